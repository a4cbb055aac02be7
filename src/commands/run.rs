//! `tweetflow run`: its arguments, and from them to a pipeline.
//!
//! Owns no default twice: what is not an argument has its default in [`RunConfig`].

use super::cluster::ClusterArgs;
use super::job::{JobArgs, JobError};
use super::last_line;
use super::listen::ListenArgs;
use super::status::StatusLine;
use crate::config::Credit;
use crate::config::RunConfig;
use crate::pipeline;
use crate::pipeline::RunSummary;
use crate::pipeline::identity;
use crate::pipeline::rebuild;
use clap::Args;
use monitor::Monitor;
use source::Throttled;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use types::dead_letter::Quota;

/// The default of --ledger: a stream comes in order.
const KAFKA_SPAN: Duration = Duration::from_mins(15);
/// The default with --files: the pages of an archive come newest first, and overlap.
const FILES_SPAN: Duration = Duration::from_hours(24);

pub(super) const EXAMPLES: &str = "Examples:\n  \
    TWEETFLOW_DATABASE=mysql://user:secret@127.0.0.1:3306/data tweetflow run --topic tweets\n  \
    tweetflow run --config deploy/tweetflow.toml --until-end\n  \
    tweetflow run --brokers kafka:9092 --require-location --until-end --workers 4\n  \
    tweetflow run --processes 3 --process 0 --hosts hosts    # and 1, and 2, elsewhere";

/// Arguments of `run`.
#[derive(Args)]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(super) struct RunArgs {
    #[command(flatten)]
    job: JobArgs,
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Workers (threads) of each process
    #[arg(long, env = "TWEETFLOW_WORKERS", value_name = "N", default_value_t = 2,
        value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Stop when everything is committed that the topic held at the start
    #[arg(long, env = "TWEETFLOW_UNTIL_END")]
    until_end: bool,
    /// At least so long between two commits
    #[arg(long, env = "TWEETFLOW_COMMIT_INTERVAL_MS", value_name = "MS", default_value_t = 0)]
    commit_interval_ms: u64,
    /// At least so long between two epochs
    #[arg(long, env = "TWEETFLOW_EPOCH_MS", value_name = "MS", default_value_t = 8)]
    epoch_ms: u64,
    /// How long after the newest tweet deletes and duplicates are still recognised: 15m, 1h, 30d.
    /// It costs about 80 bytes for each tweet of that time. 0 = deletes and duplicates have no
    /// effect [default: 15m; with --files 1d, for archives overlap and come newest first]
    #[arg(long, env = "TWEETFLOW_LEDGER", value_name = "SPAN", value_parser = span)]
    ledger: Option<Duration>,
    /// Start with an empty ledger: deletes and duplicates of tweets that were counted before have
    /// no effect. For when the topic no longer holds what the ledger must read again
    #[arg(long, env = "TWEETFLOW_FORGET_LEDGER")]
    forget_ledger: bool,
    /// Records that a worker may have read and not yet committed; fewer, down to a tenth, while a
    /// slow database would make its transactions too long
    #[arg(long, env = "TWEETFLOW_MAX_RECORDS", value_name = "N", default_value_t = 200_000)]
    max_records: u64,
    /// Read a topic that is filled already as if its records came at this rate: so many a second,
    /// from the first on. For trials
    #[arg(long, hide = true, value_name = "N", conflicts_with_all = ["rebuild", "processes"],
        value_parser = clap::value_parser!(u32).range(1..))]
    replay_rate: Option<u32>,
    /// Stop when a worker has met so many more records that cannot be counted than records that
    /// can, and most of the last ten times as many could not: the form of the records must have
    /// changed. Half of that is forgotten each hour. 0 = never
    #[arg(long, env = "TWEETFLOW_MAX_DEAD_LETTERS", value_name = "N", default_value_t = 1_000)]
    max_dead_letters: u64,
    /// Dead letters kept for each partition, the oldest; of further ones ranges are kept
    #[arg(long, env = "TWEETFLOW_DEAD_LETTER_ROWS", value_name = "N", default_value_t = 10_000)]
    dead_letter_rows: u64,
    /// The same in MiB of what was found and of samples
    #[arg(long, env = "TWEETFLOW_DEAD_LETTER_MB", value_name = "MIB", default_value_t = 8)]
    dead_letter_mb: u64,
    /// How long a commit is tried again while the database is away
    #[arg(long, env = "TWEETFLOW_RETRY_SECONDS", value_name = "S", default_value_t = 900)]
    retry_seconds: u64,
    /// Continue past records that were deleted before they were read
    #[arg(long, env = "TWEETFLOW_ACCEPT_GAP")]
    accept_gap: bool,
    /// Count the topic again into new tables, put them in the place of the old ones, and end. The
    /// old ones are served and written until then. Needs the rights to create, rename and drop
    /// tables, and twice the room
    #[arg(long, env = "TWEETFLOW_REBUILD")]
    rebuild: bool,
}

/// Runs the command to its end.
pub(super) fn run(args: &RunArgs, stop: Arc<AtomicBool>) -> ExitCode {
    let monitor = Arc::<Monitor>::default();
    let result =
        if args.rebuild { rebuild(args, &stop, &monitor) } else { follow(args, stop, &monitor) };
    match result {
        Ok(summary) => {
            let RunSummary { records, bytes, elapsed, commits, rows, resolved, set_aside } =
                summary;
            let (seconds, rate) = (elapsed.as_secs_f64(), super::per_second(records, elapsed));
            let files = if args.job.reads_files() {
                format!(" files_set_aside={set_aside}")
            } else {
                String::new()
            };
            let list = args.job.dead_letters("list");
            println!(
                "done records={records} bytes={bytes} seconds={seconds:.3} \
                 records_per_second={rate:.0} commits={commits} rows={rows} \
                 resolved={resolved}{}{files}",
                last_line::outcome(&monitor, &list)
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            // Held until the end: a thread of the mesh that loses another process now says nothing
            // more.
            std::mem::forget(std::io::stderr().lock());
            super::fail(&error, error.exit_code())
        }
    }
}

fn follow(
    args: &RunArgs,
    stop: Arc<AtomicBool>,
    monitor: &Arc<Monitor>,
) -> Result<RunSummary, JobError> {
    let mut config = config(args)?;
    let (mut topic, sink) = (args.job.topic(args.until_end, args.accept_gap)?, args.job.sink()?);
    config.cluster = args.cluster.cluster()?;
    if let Some(rate) = args.replay_rate {
        topic = Box::new(Throttled::new(topic, rate.into()));
    }
    let mut about = args.job.about(&sink);
    if !config.has_coordinator() {
        "that of process 0".clone_into(&mut about.database);
    }
    let server = args.listen.start(about, monitor)?;
    if let Some(server) = &server {
        tracing::info!("the live page: http://{}/", server.address());
    }
    let _status = StatusLine::start(monitor, args.job.unit());
    Ok(pipeline::run_watched(config, topic, sink, stop, monitor)?)
}

fn rebuild(
    args: &RunArgs,
    stop: &Arc<AtomicBool>,
    monitor: &Arc<Monitor>,
) -> Result<RunSummary, JobError> {
    args.job.can_rebuild()?;
    if args.cluster.cluster()?.is_some() {
        let text = "--rebuild is one process's work: stop the cluster, run it without --processes";
        return Err(JobError::Argument(text.to_owned()));
    }
    let (kafka, database) = (args.job.kafka(true, args.accept_gap)?, args.job.database()?);
    Ok(rebuild::run(config(args)?, kafka, &database, stop, monitor)?)
}

fn config(args: &RunArgs) -> Result<RunConfig, JobError> {
    let mut config = args.job.config();
    config.workers = usize::from(args.workers);
    config.epoch = Duration::from_millis(args.epoch_ms);
    config.pace.interval = Duration::from_millis(args.commit_interval_ms);
    config.credit = Credit { records: args.max_records.max(1), ..config.credit };
    let span = args.ledger.unwrap_or(if args.job.reads_files() { FILES_SPAN } else { KAFKA_SPAN });
    config.ledger = crate::config::LedgerConfig { span, forget: args.forget_ledger };
    config.max_dead_letters = args.max_dead_letters;
    config.dead_letters =
        Quota { rows: args.dead_letter_rows, bytes: args.dead_letter_mb.saturating_mul(1 << 20) };
    config.retry_for = Duration::from_secs(args.retry_seconds);
    // Refused here, before anything is opened.
    identity::tables(&config)?;
    Ok(config)
}

/// A span of the ledger: at most about thirty years, for ids are numbers of 64 bits.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let wanted =
        || "expected a span like 15m, 1h, 30d or 90s; 0 switches the ledger off".to_owned();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let span = text.parse::<jiff::Span>().map_err(|_| wanted())?;
    let span = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours());
    let span = Duration::try_from(span.map_err(|_| wanted())?).map_err(|_| wanted())?;
    if span > Duration::from_hours(24 * 10_000) { Err(wanted()) } else { Ok(span) }
}

#[cfg(test)]
mod tests {
    use super::{Duration, span};

    #[test]
    fn a_span_may_be_days() {
        let hours = |hours| Ok(Duration::from_hours(hours));
        assert_eq!(span("30d"), hours(30 * 24));
        assert_eq!(
            [span("1d12h"), span("90m"), span("0")],
            [hours(36), Ok(Duration::from_mins(90)), hours(0)]
        );
        for text in ["", "5", "d", "-1d", "1mo", "1y", "11000d", "30 parsecs"] {
            assert!(span(text).is_err_and(|error| error.contains("30d")), "{text}");
        }
    }
}

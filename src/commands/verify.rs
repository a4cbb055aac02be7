//! `tweetflow verify`: its arguments, and its answer as lines and an exit code.

use super::demo_folder::DemoFolder;
use super::job::{JobArgs, JobError};
use crate::config::RunConfig;
use crate::pipeline::identity;
use clap::Args;
use clap::builder::PossibleValuesParser;
use dataflows::catalogue::Tables;
use dataflows::tables::{freshness, late_acts};
use produce::InputTopic;
use sink::{Database, Identity};
use source::{Polled, SourceError, Topic, fingerprint};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use types::offsets::{Assignment, PartitionOffsets};
use verify::{Check, Range, VerifiedTopic, VerifyError, VerifySettings, Visit};

pub(super) const EXAMPLES: &str = "Examples:\n  \
    TWEETFLOW_DATABASE=mysql://user:secret@127.0.0.1:3306/data tweetflow verify --topic tweets\n  \
    tweetflow verify --config deploy/tweetflow.toml --table hashtags --sample 1\n  \
    tweetflow verify --baseline tweets.baseline   # daily: a topic forgets, a baseline does not\n  \
    tweetflow verify --demo tweetflow-demo        # the tables that `demo` has left behind\n\n\
    Exit code: 0 equal, 1 different (each key is printed) or a failure, 2 wrong arguments,\n\
    3 cannot be checked (the topic no longer holds what the tables count)";

/// Arguments of `verify`.
#[derive(Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    job: JobArgs,
    /// Folder of a demo: its tweets and its tables are compared
    #[arg(long, value_name = "DIR")]
    demo: Option<PathBuf>,
    /// Compare this table only; may be repeated
    #[arg(long = "table", id = "table", value_name = "NAME", value_parser = names())]
    tables: Vec<String>,
    /// Percent of hashtags and users to compare, the same ones each time
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0, value_parser = percent)]
    sample: f64,
    /// Print at most so many differences; all are counted
    #[arg(long, value_name = "N", default_value_t = 100)]
    show: u64,
    /// Megabytes of keys in memory, on each side; the rest goes to temporary files (TMPDIR)
    #[arg(long, value_name = "MB", default_value_t = 256)]
    memory_mb: usize,
    /// File that keeps the tables as they were found right: where it exists, only what was counted
    /// since is read; it is moved forward when nothing differs
    #[arg(long, value_name = "FILE", conflicts_with_all = ["table", "sample"])]
    baseline: Option<PathBuf>,
}

fn names() -> PossibleValuesParser {
    let tables = Tables::every().all().into_iter().map(|table| table.name);
    let not_compared = [freshness::TABLE.name, late_acts::TABLE.name];
    PossibleValuesParser::new(tables.filter(move |name| !not_compared.contains(name)))
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent),
        _ => Err("expected a number above 0, at most 100".to_owned()),
    }
}

impl VerifyArgs {
    /// The job, which must have the tables that are named; and what it is.
    fn config(&self) -> Result<(RunConfig, Identity), JobError> {
        let config = self.demo.as_ref().map_or_else(|| self.job.config(), |_| DemoFolder::config());
        let identity = identity::identity(&config, &identity::tables(&config)?);
        let is_missing = |name: &&String| identity.tables.iter().all(|table| table.name != **name);
        match self.tables.iter().find(is_missing) {
            None => Ok((config, identity)),
            Some(name) => {
                Err(JobError::Argument(format!("--table {name}: the job has no such table")))
            }
        }
    }
}

/// The tweets of a demo: the records are made, or read from its input, once more.
struct DemoTweets(InputTopic);

impl VerifiedTopic for DemoTweets {
    fn recognize(&self, counted: &[PartitionOffsets]) -> Result<(), SourceError> {
        self.0.plan(counted).map(drop)
    }

    fn read(
        &self,
        ranges: &[Range],
        stop: &AtomicBool,
        visit: &mut Visit<'_>,
    ) -> Result<(), VerifyError> {
        for Range { partition, start, next, last } in ranges {
            let mut source = self.0.open(Box::new(|| {}))?;
            let range = Assignment::fresh(*partition, *start);
            source.assign(&Assignment { until: Some(*next), anchor: *last, ..range })?;
            let mut result = Ok(());
            while result.is_ok() && !source.is_finished() {
                if stop.load(Ordering::Relaxed) {
                    return Err(VerifyError::Stopped);
                }
                let records = source.poll(1_024, &mut |polled| {
                    if let (Polled::Record(record), Ok(())) = (polled, &result) {
                        result = visit(record, fingerprint(record.key, record.payload));
                    }
                })?;
                if records == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            result?;
        }
        Ok(())
    }
}

impl VerifyArgs {
    fn topic_and_tables(&self) -> Result<(Box<dyn VerifiedTopic>, Database), JobError> {
        match &self.demo {
            None => Ok((self.job.verified_topic()?, self.job.sink()?)),
            Some(path) => {
                let folder = DemoFolder::open(path)?;
                Ok((Box::new(DemoTweets(folder.topic())), Database::Sqlite(folder.sink())))
            }
        }
    }
}

/// Runs the command to its end.
pub(super) fn run(args: &VerifyArgs, stop: &AtomicBool) -> ExitCode {
    let prepared = args.topic_and_tables().and_then(|opened| Ok((opened, args.config()?)));
    let ((topic, sink), (config, identity)) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return super::fail(&error, JobError::exit_code(&error)),
    };
    let settings = VerifySettings {
        tables: args.tables.clone(),
        sample: args.sample,
        show: args.show,
        memory: args.memory_mb << 20,
        baseline: args.baseline.clone(),
    };
    let check = Check {
        identity: &identity,
        topic_name: &config.topic,
        decode: config.decode,
        flows: config.flows,
        topic: &*topic,
        sink: &sink,
        settings: &settings,
        stop,
    };
    let mut out = std::io::stdout().lock();
    match check.run(&mut out) {
        Ok(summary) => {
            let ::verify::VerifySummary { commit_no, records, rows, differences, .. } = summary;
            let ::verify::VerifySummary { dead_letters, countable, uncertain, outcome, .. } =
                summary;
            let (word, code) = if differences == 0 { ("equal", 0) } else { ("different", 1) };
            if countable > 0 {
                let retry = args.job.dead_letters("retry --all");
                tracing::warn!(countable, "dead letters can be counted now; `{retry}` does it");
            }
            println!(
                "{word} differences={differences} commit_no={commit_no} records={records} \
                 rows={rows} dead_letters={dead_letters} countable={countable} \
                 uncertain={uncertain} {outcome}"
            );
            ExitCode::from(code)
        }
        Err(error) => super::fail(&error, error.exit_code()),
    }
}

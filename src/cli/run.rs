//! `tweetflow run`: its arguments, and from them to a pipeline.
//!
//! Owns no default twice: what is not an argument has its default in [`RunConfig`].

use crate::config::RunConfig;
use crate::decode;
use crate::error::RunError;
use crate::pipeline::{self, Credit};
use crate::sink::Prefix;
use crate::sink::mysql::MySqlSink;
use crate::source::kafka::{From, KafkaConfig, KafkaTopic};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub(super) const EXAMPLES: &str = "Examples:\n  \
    TWEETFLOW_DATABASE=mysql://user:secret@127.0.0.1:3306/data tweetflow run --topic tweets\n  \
    tweetflow run --config deploy/tweetflow.toml --until-end\n  \
    tweetflow run --brokers kafka:9092 --require-location --until-end --workers 4";

/// Arguments of `run`.
#[derive(Args)]
pub(super) struct RunArgs {
    /// Kafka brokers, host:port with commas between
    #[arg(long, env = "TWEETFLOW_BROKERS", default_value = "127.0.0.1:9092")]
    brokers: String,
    /// Topic to read
    #[arg(long, env = "TWEETFLOW_TOPIC", default_value = "tweets")]
    topic: String,
    /// Database of the tables; with a password only from the environment or a file
    #[arg(
        long,
        env = "TWEETFLOW_DATABASE",
        hide_env_values = true,
        value_name = "URL",
        default_value = "mysql://tweetflow@127.0.0.1:3306/data"
    )]
    database: String,
    /// File that holds the URL of the database, instead of --database
    #[arg(long, env = "TWEETFLOW_DATABASE_FILE", value_name = "FILE")]
    database_file: Option<PathBuf>,
    /// Name of the job: one set of tables has one job
    #[arg(long, env = "TWEETFLOW_JOB", default_value = "tweetflow")]
    job: String,
    /// What stands before each table's name, so that a database can hold several jobs or other
    /// tables: small letters, digits, underscores
    #[arg(long, env = "TWEETFLOW_TABLE_PREFIX", value_name = "PREFIX", default_value = "")]
    table_prefix: Prefix,
    /// Workers (threads)
    #[arg(long, env = "TWEETFLOW_WORKERS", value_name = "N", default_value_t = 2,
        value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Where the first start reads from: earliest, latest, or a time (2026-11-01T12:00:00Z); it
    /// belongs to the job, later starts must name the same
    #[arg(long, env = "TWEETFLOW_FROM", value_name = "WHERE", default_value = "earliest")]
    from: String,
    /// Stop when everything is committed that the topic held at the start
    #[arg(long, env = "TWEETFLOW_UNTIL_END")]
    until_end: bool,
    /// Leave out tweets whose author gives no location
    #[arg(long, env = "TWEETFLOW_REQUIRE_LOCATION")]
    require_location: bool,
    /// What becomes of shown names
    #[arg(long, env = "TWEETFLOW_NAMES", value_enum, default_value_t)]
    names: decode::Names,
    /// At least so long between two commits
    #[arg(long, env = "TWEETFLOW_COMMIT_INTERVAL_MS", value_name = "MS", default_value_t = 0)]
    commit_interval_ms: u64,
    /// At least so long between two epochs
    #[arg(long, env = "TWEETFLOW_EPOCH_MS", value_name = "MS", default_value_t = 5)]
    epoch_ms: u64,
    /// Records that a worker may have read and not yet committed
    #[arg(long, env = "TWEETFLOW_MAX_RECORDS", value_name = "N", default_value_t = 200_000)]
    max_records: u64,
    /// How long a commit is tried again while the database is away
    #[arg(long, env = "TWEETFLOW_RETRY_SECONDS", value_name = "S", default_value_t = 900)]
    retry_seconds: u64,
    /// Go on behind records that the topic lost before they were read
    #[arg(long, env = "TWEETFLOW_ACCEPT_GAP")]
    accept_gap: bool,
    /// A setting of the Kafka client, NAME=VALUE; may be repeated. From the environment: one a line.
    /// Passwords only from the environment or a file
    #[arg(long = "kafka", env = "TWEETFLOW_KAFKA", hide_env_values = true, value_delimiter = '\n',
        value_name = "NAME=VALUE", value_parser = super::setting)]
    kafka: Vec<(String, String)>,
}

/// Runs the command to its end.
pub(super) fn run(args: &RunArgs, stop: Arc<AtomicBool>) -> ExitCode {
    let (from, database) = match (start(&args.from), database(args)) {
        (Ok(from), Ok(database)) => (from, database),
        (Err(text), _) | (_, Err(text)) => {
            eprintln!("tweetflow: {text}");
            return ExitCode::from(2);
        }
    };
    let kafka = KafkaConfig {
        brokers: args.brokers.clone(),
        topic: args.topic.clone(),
        group: args.job.clone(),
        from,
        until_end: args.until_end,
        accept_gap: args.accept_gap,
        settings: args.kafka.clone(),
    };
    let result = KafkaTopic::new(kafka).map_err(RunError::from).and_then(|topic| {
        let sink = MySqlSink::new(&database)?;
        pipeline::run(config(args), topic, sink, stop)
    });
    match result {
        Ok(summary) => {
            let pipeline::Summary { records, bytes, elapsed, commits, rows, resolved } = summary;
            let (seconds, rate) = (elapsed.as_secs_f64(), super::per_second(records, elapsed));
            println!(
                "done records={records} bytes={bytes} seconds={seconds:.3} \
                 records_per_second={rate:.0} commits={commits} rows={rows} resolved={resolved}"
            );
            ExitCode::SUCCESS
        }
        Err(error) => super::fail(&error, error.exit_code()),
    }
}

fn config(args: &RunArgs) -> RunConfig {
    let mut config = RunConfig::new(&args.topic);
    config.workers = usize::from(args.workers);
    config.job.clone_from(&args.job);
    config.table_prefix = args.table_prefix.clone();
    config.from.clone_from(&args.from);
    config.decode = decode::Settings { require_location: args.require_location, names: args.names };
    config.epoch = Duration::from_millis(args.epoch_ms);
    config.pace.interval = Duration::from_millis(args.commit_interval_ms);
    config.credit = Credit { records: args.max_records.max(1), ..config.credit };
    config.retry_for = Duration::from_secs(args.retry_seconds);
    config
}

fn start(text: &str) -> Result<From, String> {
    match text {
        "earliest" => Ok(From::Earliest),
        "latest" => Ok(From::Latest),
        time => match time.parse::<jiff::Timestamp>() {
            Ok(time) => Ok(From::Time(time.as_millisecond())),
            Err(_) => Err(format!(
                "--from {time:?} is neither earliest nor latest nor a time like 2026-11-01T12:00:00Z"
            )),
        },
    }
}

/// The database's URL, from its file where one is named.
fn database(args: &RunArgs) -> Result<String, String> {
    let Some(path) = &args.database_file else { return Ok(args.database.clone()) };
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(format!("cannot read --database-file {}: {error}", path.display())),
    }
}

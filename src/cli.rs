//! Arguments to configuration to one function per command to exit code.
//!
//! Exit codes: 0 done, 1 a failure at run time, 2 wrong arguments or configuration. An error is one
//! line on standard error, with its causes and what to do; there is never a backtrace.

use crate::config::RunConfig;
use crate::decode;
use crate::error::{RunError, one_line};
use crate::pipeline::{self, Credit};
use crate::produce::{self, ProduceArgs};
use crate::schema::{self, SchemaArgs};
use crate::sink::Prefix;
use crate::sink::mysql::MySqlSink;
use crate::source::kafka::{From, KafkaConfig, KafkaTopic};
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Kafka tweets to exact MySQL tables, through differential dataflow
#[derive(Parser, Debug)]
#[command(name = "tweetflow", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Keep the tables equal to the topic until stopped
    #[command(after_help = RUN_EXAMPLES)]
    Run(Box<RunArgs>),
    /// Write tweets into a topic
    #[command(after_help = PRODUCE_EXAMPLES)]
    Produce(ProduceArgs),
    /// Print the DDL of all tables and the least rights on them
    #[command(after_help = schema::EXAMPLES)]
    Schema(SchemaArgs),
}

const RUN_EXAMPLES: &str = "Examples:\n  \
    TWEETFLOW_DATABASE=mysql://user:secret@127.0.0.1:3306/data tweetflow run --topic tweets\n  \
    tweetflow run --brokers kafka:9092 --require-location --until-end --workers 4";

const PRODUCE_EXAMPLES: &str = "Examples:\n  \
    tweetflow produce --synthetic --limit 100000\n  \
    tweetflow produce --input tweets.ndjson --topic tweets --rate 5000";

/// Arguments of `run`.
#[derive(Args, Debug, Clone)]
struct RunArgs {
    /// Kafka brokers, host:port with commas between
    #[arg(long, env = "TWEETFLOW_BROKERS", default_value = "127.0.0.1:9092")]
    brokers: String,
    /// Topic to read
    #[arg(long, env = "TWEETFLOW_TOPIC", default_value = "tweets")]
    topic: String,
    /// Database of the tables; with a password only from the environment
    #[arg(
        long,
        env = "TWEETFLOW_DATABASE",
        hide_env_values = true,
        value_name = "URL",
        default_value = "mysql://tweetflow@127.0.0.1:3306/data"
    )]
    database: String,
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
    #[arg(long)]
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
    #[arg(long)]
    accept_gap: bool,
    /// A setting of the Kafka client, NAME=VALUE; may be repeated. From the environment: one a line,
    /// which is the place for passwords
    #[arg(long = "kafka", env = "TWEETFLOW_KAFKA", hide_env_values = true, value_delimiter = '\n',
        value_name = "NAME=VALUE", value_parser = setting)]
    kafka: Vec<(String, String)>,
}

/// The program. A panic anywhere ends the process: timely would go on without the worker.
pub fn main() -> ExitCode {
    end_on_panic();
    let matches = Cli::command().get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    log_to_stderr();
    let stop = match stop_on_signal() {
        Ok(stop) => stop,
        Err(error) => return fail(&error, 1),
    };
    match cli.command {
        Command::Run(args) => {
            let matches = matches.subcommand_matches("run");
            let source = matches.and_then(|matches| matches.value_source("database"));
            run(&args, source == Some(ValueSource::CommandLine), stop)
        }
        Command::Produce(args) => match produce::run(&args, &stop) {
            Ok(summary) => {
                let produce::Summary { tweets, bytes, elapsed } = summary;
                let (seconds, rate) = (elapsed.as_secs_f64(), per_second(tweets, elapsed));
                let topic = &args.topic;
                println!(
                    "produced tweets={tweets} bytes={bytes} seconds={seconds:.3} \
                     tweets_per_second={rate:.0} topic={topic}"
                );
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error, error.exit_code()),
        },
        Command::Schema(args) => match schema::run(&args) {
            Ok(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error, error.exit_code()),
        },
    }
}

fn run(args: &RunArgs, database_is_argument: bool, stop: Arc<AtomicBool>) -> ExitCode {
    if database_is_argument && has_password(&args.database) {
        let hint = "the password of --database would stand in the process list; \
            set TWEETFLOW_DATABASE instead";
        eprintln!("tweetflow: {hint}");
        return ExitCode::from(2);
    }
    let from = match start(&args.from) {
        Ok(from) => from,
        Err(text) => {
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
        let sink = MySqlSink::new(&args.database)?;
        pipeline::run(config(args), topic, sink, stop)
    });
    match result {
        Ok(summary) => {
            let pipeline::Summary { records, bytes, elapsed, commits, rows, resolved } = summary;
            let (seconds, rate) = (elapsed.as_secs_f64(), per_second(records, elapsed));
            println!(
                "done records={records} bytes={bytes} seconds={seconds:.3} \
                 records_per_second={rate:.0} commits={commits} rows={rows} resolved={resolved}"
            );
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error, error.exit_code()),
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

/// `NAME=VALUE` of `--kafka`.
pub(crate) fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// Whether a URL holds a password: something behind a colon before the last `@`.
pub(crate) fn has_password(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    user.split_once(':').is_some_and(|(_, password)| !password.is_empty())
}

fn per_second(count: u64, elapsed: Duration) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let count = count as f64;
    count / elapsed.as_secs_f64().max(1e-9)
}

fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    eprintln!("tweetflow: {}", one_line(error));
    ExitCode::from(code)
}

/// One line and the end. Installed before anything else.
fn end_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let text = panic.payload_as_str().unwrap_or("a panic").replace('\n', " ");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let name = thread.name().unwrap_or("a thread");
        eprintln!("tweetflow: bug in {name} at {place}: {text}; the tables hold the last commit");
        std::process::exit(1);
    }));
}

/// The first signal asks for a clean stop, the second ends the process.
fn stop_on_signal() -> std::io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TWEETFLOW_LOG");
    let filter = filter.unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

#[cfg(test)]
mod tests {
    use super::has_password;

    #[test]
    fn a_password_is_seen() {
        assert!(has_password("mysql://u:p@h/d"));
        assert!(has_password("mysql://u:p@w@h:3306/d"));
        assert!(!has_password("mysql://u@h:3306/d"));
        assert!(!has_password("mysql://h:3306/d"));
        assert!(!has_password("mysql://u:@h/d"));
    }
}

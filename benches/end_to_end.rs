//! End to end: a pinned topic through `tweetflow run` into fresh tables, beside two modes that
//! only read, and only read and decode, so that what the rest costs can be told.
//!
//! Each mode is a child process: CPU time and peak memory are its own. Results are lines of JSON
//! on standard output; everything else goes to standard error. See `benches/README.md`.

#[path = "end_to_end/check.rs"]
mod check;
#[path = "end_to_end/committer.rs"]
mod committer;
#[path = "end_to_end/database.rs"]
mod database;
#[path = "end_to_end/freshness.rs"]
mod freshness;
#[path = "end_to_end/measure.rs"]
mod measure;
#[path = "end_to_end/read.rs"]
mod read;
#[path = "end_to_end/replay.rs"]
mod replay;
#[path = "end_to_end/restart.rs"]
mod restart;
#[path = "end_to_end/topic.rs"]
mod topic;

use clap::Parser;
use database::{Database, LocalInfile};
use measure::Usage;
use serde::Serialize;
use serde_json::{Value, json};
use std::process::{Command, ExitCode};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_tweetflow");
/// Seed of all synthetic tweets.
const SEED: u64 = 1;

/// Any fault ends the benchmark with one line.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Kafka to MySQL, end to end; needs `TEST_KAFKA` and `TEST_MYSQL`
#[derive(Parser, Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command line")]
struct Arguments {
    /// Tweets in the topic
    #[arg(long, default_value_t = 1_000_000)]
    tweets: u64,
    /// Workers, in every mode
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    workers: u32,
    /// Measure so many times; a last line has the medians
    #[arg(long, default_value_t = 1)]
    repeat: usize,
    /// Compare the tables with an independent count
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    check: bool,
    /// Print the identity of the tweets and end
    #[arg(long)]
    hash: bool,
    /// Measure how soon a tweet is visible in the tables, beside a stream of others
    #[arg(long)]
    freshness: bool,
    /// Tweets looked for by --freshness
    #[arg(long, default_value_t = 1000)]
    probes: usize,
    /// Tweets per second beside the probes
    #[arg(long, default_value_t = 5000)]
    rate: u32,
    /// Hashtags that the tables hold already
    #[arg(long, default_value_t = 0, value_name = "N")]
    hashtags: u64,
    /// Release the topic's records to decoding at so many a second, and measure how long each takes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    replay_rate: Option<u32>,
    /// Measure how fast ready rows are committed
    #[arg(long)]
    committer: bool,
    /// Switch `local_infile` on at the server meanwhile; it is off in MySQL and on in MariaDB
    #[arg(long)]
    local_infile: bool,
    /// Measure a start with so many users in the tables, and a tenth as many hashtags or --hashtags
    #[arg(long, value_name = "USERS")]
    restart: Option<u64>,
    /// What a child process does
    #[arg(long, hide = true)]
    mode: Option<read::Mode>,
    /// Topic of a child process
    #[arg(long, hide = true, default_value = "")]
    topic: String,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// One measurement of all modes.
#[derive(Serialize)]
struct Line {
    version: &'static str,
    commit: Option<String>,
    tweets: u64,
    workers: u32,
    hashtags_before: u64,
    drain: Mode,
    decode: Mode,
    full: Full,
    cpu_us_per_tweet_beyond_decode: f64,
    checked: bool,
}

/// One mode.
#[derive(Serialize)]
struct Mode {
    tweets_per_second: f64,
    cpu_seconds: f64,
    peak_mb: f64,
}

/// The whole program.
#[derive(Serialize)]
struct Full {
    #[serde(flatten)]
    mode: Mode,
    seconds: f64,
    rows: u64,
    commits: u64,
    max_gap_s: Option<f64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match measure::end_children_on_signal().and_then(|()| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("end_to_end: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    if arguments.hash {
        println!("{}", check::identity(arguments.tweets)?);
        return Ok(());
    }
    let brokers = server("TEST_KAFKA")?;
    if let Some(mode) = arguments.mode {
        println!("{}", read::run(mode, &brokers, &arguments.topic, arguments.workers)?);
        return Ok(());
    }
    let database = server("TEST_MYSQL")?;
    let _loads = arguments.local_infile.then(|| LocalInfile::switch_on(&database)).transpose()?;
    if arguments.committer {
        println!("{}", committer::run(&database)?);
        return Ok(());
    }
    if let Some(users) = arguments.restart {
        println!("{}", restart::run(arguments, users, &brokers, &database)?);
        return Ok(());
    }
    if arguments.freshness {
        println!("{}", freshness::run(arguments, &brokers, &database)?);
        return Ok(());
    }
    let topic = topic::filled(&brokers, arguments.tweets)?;
    if let Some(rate) = arguments.replay_rate {
        println!("{}", replay::run(arguments, rate, &topic, &brokers, &database)?);
        return Ok(());
    }
    let expected = arguments.check.then(|| check::count(arguments.tweets)).transpose()?;
    let mut lines = Vec::new();
    for _ in 0..arguments.repeat.max(1) {
        let line = measure_all(arguments, &topic, &brokers, &database, expected.as_ref())?;
        println!("{line}");
        lines.push(line);
    }
    if lines.len() > 1 {
        println!("{}", json!({"median_of": lines.len(), "medians": medians(&lines)}));
    }
    Ok(())
}

/// The address of a server that the benchmark needs.
fn server(name: &str) -> Result<String> {
    let hint = format!("{name} is not set; run: eval \"$(deploy/local start)\"");
    Ok(std::env::var(name).map_err(|_| hint)?)
}

fn measure_all(
    arguments: &Arguments,
    topic: &str,
    brokers: &str,
    database: &str,
    expected: Option<&check::Expected>,
) -> Result<Value> {
    let drain = read_only(arguments, topic, "drain")?;
    let decode = read_only(arguments, topic, "decode")?;
    let mut tables = Database::create(database)?;
    let full = full(arguments, topic, brokers, &mut tables)?;
    if let Some(expected) = expected {
        expected.compare(&mut tables)?;
    }
    let beyond = (full.mode.cpu_seconds - decode.cpu_seconds) * 1e6 / float(arguments.tweets);
    let line = Line {
        version: env!("CARGO_PKG_VERSION"),
        commit: commit(),
        tweets: arguments.tweets,
        workers: arguments.workers,
        hashtags_before: arguments.hashtags,
        drain,
        decode,
        full,
        cpu_us_per_tweet_beyond_decode: rounded(beyond, 100.0),
        checked: expected.is_some(),
    };
    Ok(serde_json::to_value(line)?)
}

/// `drain` or `decode`: this program again.
fn read_only(arguments: &Arguments, topic: &str, mode: &str) -> Result<Mode> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--mode", mode, "--topic", topic]);
    command.args(["--workers", &arguments.workers.to_string()]);
    let (output, usage) = measure::measure(&mut command)?;
    let records = number(&output, "records")?;
    mode_of(arguments.tweets, records, number(&output, "seconds")?, usage)
}

/// `full`: the program itself, into tables that are empty but for what `--hashtags` says.
fn full(arguments: &Arguments, topic: &str, brokers: &str, tables: &mut Database) -> Result<Full> {
    let mut command = Command::new(PROGRAM);
    command.args(["run", "--require-location", "--topic", topic]);
    command.args(["--brokers", brokers, "--workers", &arguments.workers.to_string()]);
    command.env("TWEETFLOW_DATABASE", tables.url());
    let mut before = 0;
    if arguments.hashtags > 0 {
        // Makes the tables; a record a second is none or one until it is stopped.
        restart::start(&command, 1)?.0.stop()?;
        freshness::fill(tables, arguments.hashtags)?;
        let read = "SELECT CAST(SUM(next_offset - start_offset) AS UNSIGNED) FROM kafka_offsets";
        before = tables.first::<Option<u64>>(read)?.flatten().unwrap_or(0);
    }
    command.arg("--until-end").env("TWEETFLOW_LOG", "warn");
    let gaps = database::Gaps::watch(tables.url());
    let (output, usage) = measure::measure(&mut command)?;
    let max_gap_s = gaps.longest().map(|gap| rounded(gap.as_secs_f64(), 1000.0));
    let (seconds, records) = (number(&output, "seconds")?, number(&output, "records")?);
    Ok(Full {
        mode: mode_of(arguments.tweets - before, records, seconds, usage)?,
        seconds,
        rows: number(&output, "rows")?,
        commits: number(&output, "commits")?,
        max_gap_s,
    })
}

fn mode_of(tweets: u64, records: u64, seconds: f64, usage: Usage) -> Result<Mode> {
    if records != tweets {
        return Err(format!("{records} of {tweets} tweets were read").into());
    }
    Ok(Mode {
        tweets_per_second: (float(records) / seconds).round(),
        cpu_seconds: rounded(usage.cpu.as_secs_f64(), 1000.0),
        peak_mb: rounded(usage.peak_mb, 10.0),
    })
}

/// The value of `name=` in a line of a child.
fn number<T: std::str::FromStr>(output: &str, name: &str) -> Result<T> {
    let mut pairs = output.split_whitespace().filter_map(|word| word.split_once('='));
    let value = pairs.find_map(|(key, value)| (key == name).then_some(value));
    let missing = || format!("a child printed no {name}: {output:?}");
    Ok(value.and_then(|value| value.parse().ok()).ok_or_else(missing)?)
}

fn commit() -> Option<String> {
    let mut git = Command::new("git");
    git.args(["rev-parse", "--short", "HEAD"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = git.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// The median of every number, wherever it stands; other values as in the first line.
fn medians(lines: &[Value]) -> Value {
    match lines.first() {
        Some(Value::Object(first)) => {
            let median = |key: &String| {
                let values: Vec<_> =
                    lines.iter().filter_map(|line| line.get(key)).cloned().collect();
                (key.clone(), medians(&values))
            };
            first.keys().map(median).collect()
        }
        Some(Value::Number(_)) => {
            let mut numbers: Vec<_> = lines.iter().filter_map(Value::as_f64).collect();
            numbers.sort_by(f64::total_cmp);
            let (low, high) = ((numbers.len() - 1) / 2, numbers.len() / 2);
            json!(f64::midpoint(numbers[low], numbers[high]))
        }
        Some(other) => other.clone(),
        None => Value::Null,
    }
}

/// A figure for people.
#[allow(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn float(number: u64) -> f64 {
    number as f64
}

fn rounded(number: f64, parts: f64) -> f64 {
    (number * parts).round() / parts
}

/// The value that so many of a thousand do not exceed.
fn at(values: &[f64], per_mille: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = (sorted.len() * per_mille).div_ceil(1000).clamp(1, sorted.len().max(1));
    sorted.get(index - 1).map_or(f64::NAN, |value| rounded(*value, 100.0))
}

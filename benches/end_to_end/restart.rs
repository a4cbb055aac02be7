//! A start of a large job: tables that hold many keys already, the time until records are read
//! again, and the memory that a key takes.

use crate::database::Database;
use crate::freshness::{self, Running};
use crate::measure::{largest_child_mb, memory_kb_of};
use crate::{Arguments, PROGRAM, Result, float, replay, rounded, topic};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Tweets that make the tables before they are filled.
const TWEETS: u64 = 10_000;
/// Starts with full tables; the medians count.
const STARTS: usize = 3;
/// Tweets that come once a start is settled, and how many a second.
const MORE: (u64, u32) = (2_000, 500);
/// Bytes of the text of a key that the fill makes, about: `old-1234567`, `user 1234567`.
const TEXT: f64 = 11.0;

/// Measures; the tables hold `keys` users, and a tenth as many hashtags or as many as `--hashtags`
/// says. The topic is its own and removed afterwards.
pub(crate) fn run(
    arguments: &Arguments,
    keys: u64,
    brokers: &str,
    database: &str,
) -> Result<Value> {
    let topic = format!("bench-restart-{}", std::process::id());
    let result = starts(arguments, keys, (brokers, &topic), database);
    topic::remove(brokers, &topic)?;
    result
}

fn starts(
    arguments: &Arguments,
    keys: u64,
    (brokers, topic): (&str, &str),
    database: &str,
) -> Result<Value> {
    topic::fill(topic::produce(brokers, topic), TWEETS)?;
    let mut tables = Database::create(database)?;
    let mut program = Command::new(PROGRAM);
    program.args(["run", "--require-location", "--topic", topic, "--brokers", brokers]);
    program.args(["--workers", &arguments.workers.to_string()]);
    program.env("TWEETFLOW_DATABASE", tables.url()).env("TWEETFLOW_LOG", "error");
    freshness::run_to_the_end(&program, tables.url())?;
    let Started { memory_mb: before, .. } = settled(&program, brokers, topic)?;
    eprintln!("filling the tables");
    let hashtags = if arguments.hashtags > 0 { arguments.hashtags } else { keys / 10 };
    freshness::fill(&mut tables, hashtags)?;
    fill(&mut tables, keys)?;
    let starts =
        (0..STARTS).map(|_| settled(&program, brokers, topic)).collect::<Result<Vec<_>>>()?;
    let sorted = |figure: fn(&Started) -> f64| {
        let mut values: Vec<_> = starts.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let keys = keys + hashtags;
    let memory_mb = sorted(|start| start.memory_mb);
    let bytes = |mb: f64| rounded((mb - before) * 1_048_576.0 / float(keys) - TEXT, 1.0);
    Ok(json!({
        "keys": keys,
        "seconds_to_reading": rounded(sorted(|start| start.seconds)[STARTS / 2], 100.0),
        "peak_mb": rounded(sorted(|start| start.peak_mb)[STARTS - 1], 1.0),
        "memory_mb": rounded(memory_mb[STARTS / 2], 1.0),
        "bytes_per_key_beyond_text": bytes(memory_mb[STARTS / 2]),
        "least_and_greatest": [bytes(memory_mb[0]), bytes(memory_mb[STARTS - 1])],
    }))
}

/// One start.
struct Started {
    /// Until records are read.
    seconds: f64,
    /// In MiB, once it does not change any more.
    memory_mb: f64,
    /// The greatest, in MiB. Some tables are filled from others while the first records are read.
    peak_mb: f64,
}

/// Starts the program and stops it when its memory is settled, also behind tweets that came: the
/// allocator gives back what the last step of a start needed while it is asked for more.
fn settled(program: &Command, brokers: &str, topic: &str) -> Result<Started> {
    let (running, seconds) = start(program, 1_000_000)?;
    settled_mb(running.0.id())?;
    let mut more = topic::produce(brokers, topic);
    more.args(["--rate", &MORE.1.to_string()]);
    topic::fill(more, MORE.0)?;
    let memory_mb = settled_mb(running.0.id())?;
    running.stop()?;
    Ok(Started { seconds, memory_mb, peak_mb: largest_child_mb()? })
}

/// Starts the program, with `rate` records a second at most. Returns when records are read, and
/// after how many seconds that was.
pub(crate) fn start(program: &Command, rate: u32) -> Result<(Running, f64)> {
    let mut start = Command::new(PROGRAM);
    start.args(program.get_args()).args(["--replay-rate", &rate.to_string()]);
    let variables = program.get_envs().filter_map(|(name, value)| Some((name, value?)));
    start.envs(variables).env("TWEETFLOW_LOG", "source::throttled=debug");
    let began = Instant::now();
    let mut running = Running::start(start.stderr(Stdio::piped()))?;
    replay::begin(&mut running.0)?;
    Ok((running, began.elapsed().as_secs_f64()))
}

/// The memory of a process that does nothing new, when it has been the same for three seconds.
fn settled_mb(process: u32) -> Result<f64> {
    let memory = || memory_kb_of(process, "VmRSS:").ok_or("the program has ended");
    let (mut kb, mut looks) = (memory()?, 0);
    while looks < 6 {
        std::thread::sleep(Duration::from_millis(500));
        let now = memory()?;
        looks = if now.abs_diff(kb) * 100 > kb { 0 } else { looks + 1 };
        kb = now;
    }
    Ok(float(kb) / 1024.0)
}

/// Users as if their tweets had been counted long ago.
fn fill(tables: &mut Database, users: u64) -> Result<()> {
    freshness::in_parts(tables, users, |numbers| {
        format!(
            "INSERT INTO users SELECT 9000000000000 + n, CONCAT('user ', n), n % 5000, n % 7000, n, \
             1600000000000, n % 4, n FROM {numbers}"
        )
    })
}

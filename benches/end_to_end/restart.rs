//! A start of a large job: tables that hold many keys already, the time until records are read again,
//! and the memory that a key takes.

use crate::database::Database;
use crate::freshness::{self, Running};
use crate::measure::peak_kb_of;
use crate::{Arguments, PROGRAM, Result, float, replay, rounded, topic};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Tweets that make the tables before they are filled.
const TWEETS: u64 = 10_000;
/// Bytes of the text of a key that the fill makes, about: `old-1234567`, `user 1234567`.
const TEXT: f64 = 11.0;

/// Measures; the tables hold `keys` users and a tenth as many hashtags.
pub(crate) fn run(
    arguments: &Arguments,
    keys: u64,
    brokers: &str,
    database: &str,
) -> Result<Value> {
    let topic = topic::filled(brokers, TWEETS)?;
    let mut tables = Database::create(database)?;
    let mut program = Command::new(PROGRAM);
    program.args(["run", "--require-location", "--topic", &topic, "--brokers", brokers]);
    program.args(["--workers", &arguments.workers.to_string()]);
    program.env("TWEETFLOW_DATABASE", tables.url()).env("TWEETFLOW_LOG", "error");
    freshness::run_to_the_end(&program, tables.url())?;
    let (_, before) = start(&program, 1_000_000)?;
    eprintln!("filling the tables");
    freshness::fill(&mut tables, keys / 10)?;
    fill(&mut tables, keys)?;
    let (seconds, after) = start(&program, 1_000_000)?;
    let keys = keys + keys / 10;
    Ok(json!({
        "keys": keys, "seconds_to_reading": rounded(seconds, 100.0), "peak_mb": rounded(after, 1.0),
        "bytes_per_key_beyond_text": rounded((after - before) * 1_048_576.0 / float(keys) - TEXT, 1.0),
    }))
}

/// Seconds until the program reads records, `rate` a second at most, and its greatest memory in MiB until then.
pub(crate) fn start(program: &Command, rate: u32) -> Result<(f64, f64)> {
    let mut start = Command::new(PROGRAM);
    start.args(program.get_args()).args(["--replay-rate", &rate.to_string()]);
    let variables = program.get_envs().filter_map(|(name, value)| Some((name, value?)));
    start.envs(variables).env("TWEETFLOW_LOG", "tweetflow=info");
    let began = Instant::now();
    let mut running = Running::start(start.stderr(Stdio::piped()))?;
    replay::begin(&mut running.0)?;
    let seconds = began.elapsed().as_secs_f64();
    let peak_mb = float(peak_kb_of(running.0.id()).unwrap_or_default()) / 1024.0;
    running.stop()?;
    Ok((seconds, peak_mb))
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

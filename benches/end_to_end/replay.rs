//! The record second: a filled topic whose records are released to the workers at a rate, and how
//! long each takes from then to the tables.
//!
//! The offsets in the database are looked at from outside; they say how many records are visible.
//! The record of a number is released at that number divided by the rate, counted from the moment
//! that the program names.

use crate::database::Database;
use crate::measure::{is_stopped, peak_kb_of};
use crate::{Arguments, PROGRAM, Result, at, float, number, rounded};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Between two looks at the database.
const LOOK: Duration = Duration::from_millis(5);
/// Seconds between two points of the series.
const SERIES: f64 = 0.25;
/// One of so many records has its time taken.
const SAMPLE: u64 = 100;

/// Measures; `topic` holds the tweets.
pub(crate) fn run(
    arguments: &Arguments,
    rate: u32,
    topic: &str,
    brokers: &str,
    database: &str,
) -> Result<Value> {
    let mut tables = Database::create(database)?;
    let mut program = Command::new(PROGRAM);
    program.args(["run", "--require-location", "--until-end", "--topic", topic]);
    program.args(["--brokers", brokers, "--workers", &arguments.workers.to_string()]);
    program.args(["--replay-rate", &rate.to_string()]);
    program.env("TWEETFLOW_DATABASE", tables.url()).env("TWEETFLOW_LOG", "source::throttled=debug");
    program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut program = program.spawn()?;
    let result = beside(&mut program, rate, arguments.tweets, &mut tables);
    if result.is_err() {
        program.kill()?;
    }
    let status = program.wait()?;
    let mut output = String::new();
    program.stdout.take().ok_or("no output")?.read_to_string(&mut output)?;
    let mut figures = result?;
    if !status.success() {
        return Err(format!("the program ended with {status}").into());
    }
    figures["commits"] = json!(number::<u64>(&output, "commits")?);
    figures["rows"] = json!(number::<u64>(&output, "rows")?);
    Ok(figures)
}

fn beside(program: &mut Child, rate: u32, tweets: u64, tables: &mut Database) -> Result<Value> {
    let begin = begin(program)?;
    // Of the sampled records, in their order: milliseconds from released to visible.
    let mut millis = Vec::new();
    let (mut series, mut seen) = (Vec::new(), 0);
    while seen < tweets {
        if is_stopped() || program.try_wait()?.is_some_and(|status| !status.success()) {
            return Err("the program, or this one, was stopped".into());
        }
        let sql = "SELECT CAST(SUM(next_offset) AS UNSIGNED) FROM kafka_offsets";
        let visible = tables.first::<Option<u64>>(sql).ok().flatten().flatten().unwrap_or(0);
        let now = seconds_now();
        for record in (seen..visible).filter(|record| record.is_multiple_of(SAMPLE)) {
            millis.push((now - begin - float(record) / f64::from(rate)) * 1e3);
        }
        seen = visible.max(seen);
        let second = now - begin;
        if second > float(series.len() as u64) * SERIES {
            let latest = millis.last().map(|millis| rounded(*millis, 1.0));
            let memory = peak_kb_of(program.id()).map(|kb| kb / 1024);
            series.push(json!([rounded(second, 100.0), seen, latest, memory]));
        }
        std::thread::sleep(LOOK);
    }
    // A backlog that grows shows in the last of four parts.
    let quarters = millis.chunks(millis.len().div_ceil(4).max(1));
    let quarters: Vec<_> = quarters.map(|part| at(part, 500)).collect();
    Ok(json!({
        "replay_rate": rate, "tweets": tweets,
        "p50_ms": at(&millis, 500), "p99_ms": at(&millis, 990), "max_ms": at(&millis, 1000),
        "p50_ms_of_quarters": quarters,
        "series_of_second_visible_ms_peak_mb": series,
    }))
}

/// Reads the log up to the moment from which on records are released; goes on reading it to its
/// end.
pub(crate) fn begin(program: &mut Child) -> Result<f64> {
    let log = BufReader::new(program.stderr.take().ok_or("no log")?);
    let (sender, begin) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in log.lines().map_while(std::io::Result::ok) {
            match number::<f64>(&line, "since_us") {
                Ok(us) => _ = sender.send(us / 1e6),
                Err(_) => eprintln!("{line}"),
            }
        }
    });
    Ok(begin.recv_timeout(Duration::from_mins(1))?)
}

fn seconds_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

//! How soon a tweet is visible: an outside probe beside a steady stream of others.
//!
//! The time of a probe is from handing it to the producer (without lingering) to the first answer
//! of the database that shows it; the database is asked every millisecond.

use crate::database::Database;
use crate::measure::{children_cpu, is_stopped};
use crate::{Arguments, PROGRAM, Result, rounded, topic};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Probes before the measurement: the stream's start is behind them.
const WARM_UP: usize = 30;
/// A tweet that is not visible after this is a failure; restoring rows is part of it.
const PATIENCE: Duration = Duration::from_mins(3);

/// A process that does not outlive the measurement.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Result<Self> {
        Ok(Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?))
    }

    /// Asks for a clean stop; returns what was printed.
    fn stop(mut self) -> Result<String> {
        kill(Pid::from_raw(i32::try_from(self.0.id())?), Signal::SIGTERM)?;
        let status = self.0.wait()?;
        if !status.success() {
            return Err(format!("a child ended with {status}").into());
        }
        let mut output = String::new();
        if let Some(pipe) = &mut self.0.stdout {
            pipe.read_to_string(&mut output)?;
        }
        Ok(output)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where it has ended already, and that is all right.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Measures; the topic is its own and removed afterwards.
pub(crate) fn run(arguments: &Arguments, brokers: &str, database: &str) -> Result<Value> {
    let topic = format!("bench-freshness-{}", std::process::id());
    let result = beside_stream(arguments, brokers, database, &topic);
    topic::remove(brokers, &topic)?;
    result
}

fn beside_stream(
    arguments: &Arguments,
    brokers: &str,
    database: &str,
    topic: &str,
) -> Result<Value> {
    let mut tables = Database::create(database)?;
    let mut stream = topic::produce(brokers, topic);
    let stream = Running::start(stream.args(["--rate", &arguments.rate.to_string()]))?;
    let deadline = Instant::now() + PATIENCE;
    while topic::records(brokers, topic)?.1 == 0 {
        if Instant::now() > deadline {
            return Err("tweetflow produce does not begin".into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut program = Command::new(PROGRAM);
    program.args(["run", "--require-location", "--topic", topic, "--brokers", brokers]);
    program.args(["--workers", &arguments.workers.to_string()]);
    program.env("TWEETFLOW_DATABASE", tables.url()).env("TWEETFLOW_LOG", "error");
    if arguments.hashtags > 0 {
        run_to_the_end(&program, tables.url())?;
        fill(&mut tables, arguments.hashtags)?;
    }
    let (started, cpu) = (Instant::now(), children_cpu()?);
    let program = Running::start(&mut program)?;
    let mut millis = probe(arguments.probes, brokers, topic, &mut tables)?;
    let summary = program.stop()?;
    let cpu = children_cpu()?.saturating_sub(cpu).as_secs_f64() / started.elapsed().as_secs_f64();
    let produced = stream.stop()?;
    millis.sort_by(f64::total_cmp);
    let at = |per_mille: usize| {
        let index = (millis.len() * per_mille).div_ceil(1000).clamp(1, millis.len());
        rounded(millis[index - 1], 100.0)
    };
    Ok(json!({
        "p50_ms": at(500), "p90_ms": at(900), "p99_ms": at(990), "max_ms": at(1000),
        "probes": millis.len(), "hashtags_before": arguments.hashtags,
        "tweets_per_second": crate::number::<f64>(&produced, "tweets_per_second")?,
        "commits": crate::number::<u64>(&summary, "commits")?,
        "rows": crate::number::<u64>(&summary, "rows")?,
        "cpu_cores": rounded(cpu, 1000.0),
    }))
}

/// Makes the tables, with what the topic holds so far.
fn run_to_the_end(program: &Command, database: &str) -> Result<()> {
    let mut first = Command::new(PROGRAM);
    first.args(program.get_args()).arg("--until-end").env("TWEETFLOW_DATABASE", database);
    let output = first.stdin(Stdio::null()).env("TWEETFLOW_LOG", "error").output()?;
    if output.status.success() { Ok(()) } else { Err("the run before the fill failed".into()) }
}

/// Hashtags that were used a few times each, as if they had been counted long ago.
fn fill(tables: &mut Database, hashtags: u64) -> Result<()> {
    const ROWS: u64 = 100_000;
    let digit = "(SELECT 0 d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 \
                  UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)";
    for first in (0..hashtags).step_by(usize::try_from(ROWS)?) {
        let last = hashtags.min(first + ROWS);
        tables.run(&format!(
            "INSERT INTO hashtags (hashtag, uses) SELECT CONCAT('old', n), 1 + n % 5 FROM \
             (SELECT {first} + a.d + 10*b.d + 100*c.d + 1000*d.d + 10000*e.d AS n \
             FROM {digit} a, {digit} b, {digit} c, {digit} d, {digit} e) numbers WHERE n < {last}"
        ))?;
    }
    Ok(())
}

/// The times of the probes in milliseconds.
fn probe(probes: usize, brokers: &str, topic: &str, tables: &mut Database) -> Result<Vec<f64>> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("linger.ms", "0")
        .set("acks", "all")
        .create()?;
    let mut millis = Vec::new();
    for number in 0..WARM_UP + probes.max(1) {
        // Uneven, so that no rhythm of the program is met always at the same beat.
        std::thread::sleep(Duration::from_micros(20_000 + (number as u64 * 7919) % 20_000));
        let id = 9_000_000_000_000_000_000 + number as u64;
        let payload = json!({
            "id": id, "id_str": id.to_string(), "truncated": false,
            "entities": {"hashtags": [{"text": format!("probe{number}")}]},
            "user": {"id": id, "id_str": id.to_string(), "name": "probe", "location": "here"},
        });
        let (payload, key) = (payload.to_string(), id.to_string());
        let sql = format!("SELECT uses FROM hashtags WHERE hashtag = 'probe{number}'");
        let sent = Instant::now();
        let record = BaseRecord::to(topic).payload(&payload).key(&key);
        producer.send(record).map_err(|(error, _)| error)?;
        while !matches!(tables.first::<u64>(&sql), Ok(Some(1))) {
            if sent.elapsed() > PATIENCE {
                return Err(format!("probe {number} is not visible after {PATIENCE:?}").into());
            }
            if is_stopped() {
                return Err("stopped by a signal".into());
            }
            producer.poll(Duration::ZERO);
            std::thread::sleep(Duration::from_millis(1));
        }
        if number >= WARM_UP {
            millis.push(sent.elapsed().as_secs_f64() * 1000.0);
        }
    }
    producer.flush(PATIENCE)?;
    Ok(millis)
}

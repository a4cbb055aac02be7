//! How soon a tweet is visible: an outside probe beside a steady stream of others.
//!
//! The time of a probe is from handing it to the producer (without lingering) to the first answer
//! of the database that shows it; the database is asked every millisecond.

use crate::database::Database;
use crate::measure::{children_cpu, is_stopped};
use crate::{Arguments, PROGRAM, Result, at, rounded, topic};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Probes before the measurement: the stream's start is behind them.
const WARM_UP: usize = 30;
/// A tweet that is not visible after this is a failure; restoring rows is part of it.
const PATIENCE: Duration = Duration::from_mins(3);

/// A process that does not outlive the measurement.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        Ok(Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?))
    }

    /// Asks for a clean stop; returns what was printed.
    pub(crate) fn stop(mut self) -> Result<String> {
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
    let one_row = OneRow::start(&mut tables)?;
    let millis = probe(arguments.probes, brokers, topic, &mut tables)?;
    let one_row = one_row.stop()?;
    let summary = program.stop()?;
    let cpu = children_cpu()?.saturating_sub(cpu).as_secs_f64() / started.elapsed().as_secs_f64();
    let produced = stream.stop()?;
    Ok(json!({
        "p50_ms": at(&millis, 500), "p90_ms": at(&millis, 900), "p99_ms": at(&millis, 990),
        "max_ms": at(&millis, 1000), "probes": millis.len(), "hashtags_before": arguments.hashtags,
        "one_row_p50_ms": at(&one_row, 500), "one_row_p99_ms": at(&one_row, 990),
        "tweets_per_second": crate::number::<f64>(&produced, "tweets_per_second")?,
        "commits": crate::number::<u64>(&summary, "commits")?,
        "rows": crate::number::<u64>(&summary, "rows")?,
        "cpu_cores": rounded(cpu, 1000.0),
    }))
}

/// What the server's own part is: transactions of one row beside the program's, of another client.
struct OneRow {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<f64>>>,
}

impl OneRow {
    fn start(tables: &mut Database) -> Result<Self> {
        tables.run("CREATE TABLE one_row (id INT PRIMARY KEY, number INT)")?;
        tables.run("INSERT INTO one_row VALUES (1, 0)")?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, mut tables) = (Arc::clone(&stop), Database::connect(tables.url())?);
        let thread = std::thread::spawn(move || {
            let mut millis = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                tables.run("UPDATE one_row SET number = number + 1")?;
                millis.push(began.elapsed().as_secs_f64() * 1000.0);
                std::thread::sleep(Duration::from_millis(37));
            }
            Ok(millis)
        });
        Ok(OneRow { stop, thread })
    }

    /// Milliseconds of each.
    fn stop(self) -> Result<Vec<f64>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|_| Err("the one-row client panicked".into()))
    }
}

/// Makes the tables, with what the topic holds so far.
pub(crate) fn run_to_the_end(program: &Command, database: &str) -> Result<()> {
    let mut first = Command::new(PROGRAM);
    first.args(program.get_args()).arg("--until-end").env("TWEETFLOW_DATABASE", database);
    let output = first.stdin(Stdio::null()).env("TWEETFLOW_LOG", "error").output()?;
    if output.status.success() { Ok(()) } else { Err("the run before the fill failed".into()) }
}

/// Hashtags that were used a few times each, as if they had been counted long ago.
pub(crate) fn fill(tables: &mut Database, hashtags: u64) -> Result<()> {
    in_parts(tables, hashtags, |numbers| {
        format!(
            "INSERT INTO hashtags (hashtag, uses) SELECT CONCAT('old-', n), 1 + n % 5 FROM {numbers}"
        )
    })
}

/// Statements over the numbers `n` below `end`, part by part.
pub(crate) fn in_parts(
    tables: &mut Database,
    end: u64,
    statement: impl Fn(&str) -> String,
) -> Result<()> {
    const PART: u64 = 100_000;
    let digit = "(SELECT 0 d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 \
                  UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)";
    for first in (0..end).step_by(usize::try_from(PART)?) {
        let last = end.min(first + PART);
        tables.run(&statement(&format!(
            "(SELECT {first} + a.d + 10*b.d + 100*c.d + 1000*d.d + 10000*e.d AS n \
             FROM {digit} a, {digit} b, {digit} c, {digit} d, {digit} e) numbers WHERE n < {last}"
        )))?;
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
            "id": id, "id_str": id.to_string(), "text": "", "truncated": false,
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

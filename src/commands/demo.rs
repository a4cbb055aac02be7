//! `tweetflow demo`: the whole program in one process, with nothing installed.
//!
//! A folder of partition files is the topic, a SQLite file holds the tables. A thread writes tweets
//! into the folder; the pipeline follows it as it would follow a topic. What is left behind is one
//! folder, from which the next start goes on.

use super::job::JobError;
use super::last_line;
use super::listen::address;
use crate::config::LedgerConfig;
use crate::config::RunConfig;
use crate::pipeline;
use crate::pipeline::RunSummary;
use clap::Args;
use monitor::Monitor;
use produce::ProduceError;
use produce::folder;
use produce::folder::FolderSettings;
use server::{JobInfo, Server};
use sink::sqlite::SqliteSink;
use source::files::{FilesConfig, FilesTopic};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(super) const EXAMPLES: &str = "Examples:\n  \
    tweetflow demo                              # then open the page that it names\n  \
    tweetflow demo --rate 0 --listen 9000       # as fast as it goes\n  \
    tweetflow demo --fresh --input tweets.ndjson --rate 500";

/// Partition files of the topic.
const PARTITIONS: u32 = 4;
const TOPIC: &str = "tweets";
/// At full speed 5,700 tweets are a second of their own time.
const LEDGER: Duration = Duration::from_mins(1);

/// Arguments of `demo`.
#[derive(Args)]
pub(super) struct DemoArgs {
    /// Folder for everything; the next start with it goes on where this one ended
    #[arg(long, env = "TWEETFLOW_DEMO_DIR", value_name = "DIR", default_value = "tweetflow-demo")]
    dir: PathBuf,
    /// Throw away what an earlier start has left in the folder
    #[arg(long)]
    fresh: bool,
    /// Tweets a second; 0 = as fast as they are counted
    #[arg(long, value_name = "N", default_value_t = 2_000.0)]
    rate: f64,
    /// Tweets to read instead of made-up ones, in any form that `produce` reads
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// End after so many tweets
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Megabytes of tweets kept on disk; older ones are counted and gone
    #[arg(long, value_name = "MB", default_value_t = 1_024,
        value_parser = clap::value_parser!(u64).range(16..))]
    keep_mb: u64,
    /// Port of the loopback, or ADDRESS:PORT, for the live page; 0 = any free port
    #[arg(long, env = "TWEETFLOW_LISTEN", value_name = "PORT", default_value = "8080",
        value_parser = address)]
    listen: SocketAddr,
    /// Workers (threads)
    #[arg(long, env = "TWEETFLOW_WORKERS", value_name = "N", default_value_t = 2,
        value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
}

/// Runs the command to its end.
pub(super) fn run(args: &DemoArgs, stop: &Arc<AtomicBool>) -> ExitCode {
    let monitor = Arc::<Monitor>::default();
    match demo(args, stop, &monitor) {
        Ok(RunSummary { records, elapsed, commits, set_aside, .. }) => {
            let (seconds, rate) = (elapsed.as_secs_f64(), super::per_second(records, elapsed));
            let tables = tables(args).display().to_string();
            let list = format!("tweetflow dead-letters list --database sqlite:{tables}");
            let line = format!(
                "done records={records} seconds={seconds:.3} records_per_second={rate:.0} \
                 commits={commits}{} files_set_aside={set_aside}\n",
                last_line::outcome(&monitor, &list)
            );
            super::print(line.as_bytes())
        }
        Err(error) => super::fail(&error, error.exit_code()),
    }
}

fn demo(
    args: &DemoArgs,
    stop: &Arc<AtomicBool>,
    monitor: &Arc<Monitor>,
) -> Result<RunSummary, JobError> {
    let rate = match args.rate {
        0.0 => None,
        rate if rate.is_finite() && rate > 0.0 => Some(rate),
        _ => return Err(JobError::Argument("--rate is a number from 0 on".to_owned())),
    };
    let topic = prepare(args).map_err(|source| {
        let path = args.dir.clone();
        JobError::Folder { path, source }
    })?;
    let settings = FolderSettings {
        folder: topic.clone(),
        partitions: PARTITIONS,
        input: args.input.clone(),
        rate,
        limit: args.limit,
        room: args.keep_mb << 20,
    };
    let sink = SqliteSink::new(tables(args));
    let database = format!("SQLite file {}", sink.path().display());
    let (job, source) = ("demo".to_owned(), "files");
    let about = JobInfo { job, topic: TOPIC.to_owned(), source, database };
    let server = Server::start(args.listen, Vec::new(), about, monitor.clone())?;
    let line = format!("the live page: http://{}/   (Ctrl-C ends the demo)\n", server.address());
    super::print(line.as_bytes());
    let mut config = RunConfig::new(TOPIC);
    "demo".clone_into(&mut config.job);
    "files".clone_into(&mut config.from);
    config.workers = usize::from(args.workers);
    // What is counted is gone from the folder, so a restart could not read it again.
    config.ledger = LedgerConfig { span: LEDGER, forget: true };
    let files = FilesConfig { folder: topic, topic: TOPIC.to_owned(), until_end: false };
    let topic = Box::new(FilesTopic::new(files));
    let (wrote, ran) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(&settings, stop, monitor));
        let ran = pipeline::run_watched(config, topic, sink, stop.clone(), monitor);
        // The writer must not go on for a pipeline that has failed.
        stop.store(true, Ordering::Relaxed);
        (writer.join(), ran)
    });
    let summary = ran.map_err(JobError::from)?;
    // A panic has ended the process already.
    wrote.unwrap_or(Ok(()))?;
    Ok(summary)
}

/// Writes tweets until the end; then, with `--limit`, waits until they are counted, and stops.
fn write(
    settings: &FolderSettings,
    stop: &AtomicBool,
    monitor: &Monitor,
) -> Result<(), ProduceError> {
    let counted = || monitor.partitions().iter().map(|at| (at.partition, at.next)).collect();
    let result = folder::run(settings, stop, &counted);
    // The input may have ended: the page stays, unless there was a limit.
    while result.is_ok() && !stop.load(Ordering::Relaxed) {
        if settings.limit.is_some() && is_counted(settings, monitor) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    stop.store(true, Ordering::Relaxed);
    result.map(drop)
}

fn is_counted(settings: &FolderSettings, monitor: &Monitor) -> bool {
    let places = monitor.partitions();
    (0..settings.partitions).all(|number| {
        let path = settings.folder.join(format!("partition-{number}.ndjson"));
        let length = std::fs::metadata(path).map_or(0, |data| data.len());
        // What is counted ends before the last line feed.
        length == 0 || places.iter().any(|at| at.partition == number && at.next + 1 >= length)
    })
}

/// The file of the tables.
fn tables(args: &DemoArgs) -> PathBuf {
    args.dir.join("tables.sqlite")
}

/// Makes the folder; returns where the tweets are.
fn prepare(args: &DemoArgs) -> std::io::Result<PathBuf> {
    let topic = args.dir.join("topic");
    if args.fresh {
        for name in ["topic", "tables.sqlite", "tables.sqlite-wal", "tables.sqlite-shm"] {
            remove(&args.dir.join(name))?;
        }
    }
    std::fs::create_dir_all(&topic)?;
    // All partitions are there before the job looks for them.
    for number in 0..PARTITIONS {
        let path = topic.join(format!("partition-{number}.ndjson"));
        std::fs::File::options().create(true).append(true).open(path)?;
    }
    Ok(topic)
}

fn remove(path: &Path) -> std::io::Result<()> {
    let removed =
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

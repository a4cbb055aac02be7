//! `tweetflow demo`: the whole program in one process, with nothing installed.
//!
//! The topic is made-up tweets or a file, which the pipeline reads as it would read Kafka; a SQLite
//! file holds the tables. What is left behind is one folder, from which the next start goes on.

use super::demo_folder::{DemoFolder, JOB, TOPIC, Tweets};
use super::job::JobError;
use super::last_line;
use super::listen::address;
use crate::config::LedgerConfig;
use crate::pipeline;
use crate::pipeline::RunSummary;
use clap::Args;
use monitor::Monitor;
use server::{JobInfo, Server};
use source::{Throttled, Topic};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub(super) const EXAMPLES: &str = "Examples:\n  \
    tweetflow demo                              # then open the page that it names\n  \
    tweetflow demo --rate 0 --listen 9000       # as fast as it goes\n  \
    tweetflow demo --fresh --input tweets.ndjson --rate 500";

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
        Ok((folder, RunSummary { records, elapsed, commits, .. })) => {
            let (seconds, rate) = (elapsed.as_secs_f64(), super::per_second(records, elapsed));
            let tables = folder.tables().display().to_string();
            let list = format!("tweetflow dead-letters list --database sqlite:{tables}");
            let line = format!(
                "done records={records} seconds={seconds:.3} records_per_second={rate:.0} \
                 commits={commits}{}\n",
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
) -> Result<(DemoFolder, RunSummary), JobError> {
    let rate = match args.rate {
        0.0 => None,
        rate if rate.is_finite() && rate > 0.0 => Some(rate),
        _ => return Err(JobError::Argument("--rate is a number from 0 on".to_owned())),
    };
    if args.fresh {
        DemoFolder::clear(&args.dir)?;
    }
    let tweets = args.input.clone().map_or_else(|| Tweets::synthetic(rate), Tweets::Input);
    let folder = DemoFolder::begin(&args.dir, tweets)?;
    let mut topic: Box<dyn Topic> = Box::new(folder.topic().limited(args.limit));
    if let Some(rate) = rate {
        topic = Box::new(Throttled::new(topic, rate));
    }
    let sink = folder.sink();
    let database = format!("SQLite file {}", sink.path().display());
    let about = JobInfo { job: JOB.to_owned(), topic: TOPIC.to_owned(), source: "demo", database };
    let server = Server::start(args.listen, Vec::new(), about, monitor.clone())?;
    let line = format!("the live page: http://{}/   (Ctrl-C ends the demo)\n", server.address());
    super::print(line.as_bytes());
    let mut config = DemoFolder::config();
    config.workers = usize::from(args.workers);
    config.ledger = LedgerConfig { span: LEDGER, forget: false };
    let summary = pipeline::run_watched(config, topic, sink, stop.clone(), monitor)?;
    Ok((folder, summary))
}

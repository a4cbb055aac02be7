//! The spine: from the topic through the tables to the database.
//!
//! ```text
//!            ┌──────────────── each worker ────────────────┐        ┌── worker 0 ──┐
//! partitions │ poll ─► decode ─► events   ─► tables  ──────┼─rows──►│    gather    │──► committer
//!   of the   │            │      letters  ─► dead_letters ─┤        └──────┬───────┘
//!   topic    │            └────► progress ─► kafka_offsets ┘               │
//!            └── credit ◄──────────── durable probe ◄──────────────────────┘
//! ```
//!
//! **Start order.** The committer raises the generation, then reads offsets and rows; the topic is
//! checked against the offsets; rows enter at epoch 0 on worker 0; only then does worker 0 tell
//! each worker, through the dataflow, which partitions to read from where.
//!
//! **Epochs.** Worker 0 ends an epoch by a message to all workers, at most one per epoch length and
//! only while something is open, so a silent topic costs nothing and no other clock matters. What
//! was polled during an epoch and the offsets that were reached enter at the same epoch: that is
//! all that reclocking needs.
//!
//! **End.** When stopped, or at the end of every partition, the inputs close, the frontier empties
//! behind the last commit, and only then a worker leaves.
//!
//! This module knows source, tables and sink; nothing else knows all three.

mod flow;
mod watcher;
mod worker;

pub use worker::Credit;

use crate::config::RunConfig;
use crate::dead_letters::DeadLetter;
use crate::dead_letters::overflow::Taken;
use crate::error::RunError;
use crate::monitor::Monitor;
use crate::progress::Stored;
use crate::sink::committer::{self, Channels, Counters};
use crate::sink::gather::Order;
use crate::sink::{Sink, Transaction};
use crate::source::{Assignment, Found, SourceError, Topic};
use crate::{dead_letters, sink::SinkError};
use dataflows::Restored;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use watcher::{Committed, Watcher};
use worker::WorkerSummary;

impl<T> Shared<T> {
    fn is_ending(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.ended.load(Ordering::Relaxed)
    }
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// Records read.
    pub records: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// From the first record to the last commit.
    pub elapsed: Duration,
    /// Transactions committed.
    pub commits: u64,
    /// Rows written or deleted by them.
    pub rows: u64,
    /// Commits whose outcome was decided by reading the position.
    pub resolved: u64,
}

impl Summary {
    /// Adds a run that followed.
    pub fn add(&mut self, next: &Summary) {
        self.records += next.records;
        self.bytes += next.bytes;
        self.elapsed += next.elapsed;
        self.commits += next.commits;
        self.rows += next.rows;
        self.resolved += next.resolved;
    }
}

/// What worker 0 has beyond the others.
struct Lead {
    orders: tokio::sync::mpsc::Sender<Order>,
    /// Batches of restored rows; `None` after the last one.
    rows: Receiver<Option<Vec<Restored>>>,
    assignments: Vec<Assignment>,
    news: Receiver<News>,
}

/// What the watcher tells worker 0.
enum News {
    /// Partitions that were added to the topic.
    Partitions(Vec<Assignment>),
    /// A dead letter that is to be tried again, and its record if the topic still holds it.
    Retry(DeadLetter, Option<Found>),
    /// The topic is not the one that was read before.
    Changed(SourceError),
}

/// What all workers of the process share.
struct Shared<T> {
    config: RunConfig,
    topic: T,
    monitor: Arc<Monitor>,
    /// Set by whoever wants the run to end.
    stop: Arc<AtomicBool>,
    /// Set by the first fault, and by the committer's end.
    ended: Arc<AtomicBool>,
    /// The first fault of a worker.
    fault: Mutex<Option<RunError>>,
    /// Taken by worker 0.
    lead: Mutex<Option<Lead>>,
}

/// Runs until `stop` is set or, where the topic has an end, until all of it is committed. Returns
/// after the last commit; the first fault ends the run, with everything read before it committed
/// if the database allows.
pub fn run<T: Topic, S: Sink>(
    config: RunConfig,
    topic: T,
    sink: S,
    stop: Arc<AtomicBool>,
) -> Result<Summary, RunError> {
    run_watched(config, topic, sink, stop, &Arc::default())
}

/// [`run`], and `monitor` is told what happens.
pub fn run_watched<T: Topic, S: Sink>(
    config: RunConfig,
    topic: T,
    sink: S,
    stop: Arc<AtomicBool>,
    monitor: &Arc<Monitor>,
) -> Result<Summary, RunError> {
    topic.check()?;
    let tables = config.tables.clone();
    monitor.begin(&tables);
    if tables.freshness().is_some() {
        // Its rows say where the topic ends.
        monitor.watch();
    }
    let identity = config.identity();
    let (offsets_in, offsets) = sync_channel(1);
    let (rows_in, rows) = sync_channel(4);
    let (requests_in, requests) = channel();
    let (orders, orders_out) = tokio::sync::mpsc::channel(1);
    let (durable, ended) = (Committed::default(), Arc::<AtomicBool>::default());
    let channels = Channels {
        offsets: offsets_in,
        rows: rows_in,
        orders: orders_out,
        committed: note_offsets(&durable, tables.progress()),
        letters: (tables.letters(), dead_letters::RETRY),
        marked: Box::new(move |row| {
            let letter = DeadLetter::of(&row);
            // A row that somebody else wrote has no record to try.
            letter.map(|letter| requests_in.send(letter));
        }),
        monitor: monitor.clone(),
        ended: ended.clone(),
    };
    let retry_for = config.retry_for;
    let (committer, counters) = committer::spawn(sink, identity, &tables, channels, retry_for)
        .map_err(|source| RunError::System { doing: "starting the committer", source })?;
    let Ok(offsets) = offsets.recv() else {
        return Err(first_fault(None, committer));
    };
    let (stored, taken) = read(&offsets, tables.progress());
    let (news_in, news) = channel();
    let (assignments, watcher) = match begin(&topic, &stored, durable, (requests, news_in), monitor)
    {
        Ok(begun) => begun,
        Err(error) => {
            drop((rows, orders));
            return Err(first_fault(Some(error), committer));
        }
    };
    let assignments = with_letters(assignments, &taken);
    let lead = Mutex::new(Some(Lead { orders, rows, assignments, news }));
    let shared = Arc::new(Shared {
        config,
        topic,
        monitor: monitor.clone(),
        stop,
        ended,
        fault: Mutex::new(None),
        lead,
    });
    let worked = work(&shared);
    // An engine that did not start has not taken it, and the committer would wait for its orders.
    drop(shared.lead.lock().unwrap_or_else(PoisonError::into_inner).take());
    let fault = shared.fault.lock().unwrap_or_else(PoisonError::into_inner).take();
    let workers = match (worked, fault) {
        (Ok(workers), None) => workers,
        (_, Some(fault)) | (Err(fault), None) => return Err(first_fault(Some(fault), committer)),
    };
    let result = join(committer);
    watcher.end();
    match result {
        Ok(_sink) => Ok(summary(&workers, &counters)),
        Err(error) => Err(error.into()),
    }
}

/// What a start must know before it reads: how far each partition is counted, and the room that its
/// dead letters take.
fn read(rows: &[Restored], progress_table: u8) -> (Vec<Stored>, Taken) {
    let (mut stored, mut taken) = (Vec::new(), Taken::default());
    for Restored { table, row } in rows {
        if *table == progress_table {
            stored.push(Stored::of(row));
        } else if let Some(letter) = DeadLetter::of(row) {
            taken.add(&letter);
        }
    }
    (stored, taken)
}

fn with_letters(mut assignments: Vec<Assignment>, taken: &Taken) -> Vec<Assignment> {
    for assignment in &mut assignments {
        assignment.letters = taken.of(assignment.partition);
    }
    assignments
}

/// Notes the offsets of each transaction that is committed.
fn note_offsets(committed: &Committed, progress_table: u8) -> Box<dyn Fn(&Transaction) + Send> {
    let committed = committed.clone();
    Box::new(move |transaction| {
        let rows = transaction.tables[usize::from(progress_table)].upserts.iter();
        committed.note(rows.map(Stored::of));
    })
}

/// Looks where to read on, and has the topic watched.
fn begin<T: Topic>(
    topic: &T,
    stored: &[Stored],
    committed: Committed,
    letters: (Receiver<DeadLetter>, Sender<News>),
    monitor: &Arc<Monitor>,
) -> Result<(Vec<Assignment>, Watcher), RunError> {
    let assignments = topic.plan(stored)?;
    let known = assignments.iter().map(|assignment| assignment.partition).collect();
    committed.note(stored.iter().cloned());
    let watcher = Watcher::start(topic.watch()?, known, committed, letters, monitor.clone())
        .map_err(|source| RunError::System { doing: "starting the watcher", source })?;
    Ok((assignments, watcher))
}

/// Starts the workers and waits for all of them.
fn work<T: Topic>(shared: &Arc<Shared<T>>) -> Result<Vec<WorkerSummary>, RunError> {
    let communication = match shared.config.workers {
        1 => timely::CommunicationConfig::Thread,
        workers => timely::CommunicationConfig::Process(workers),
    };
    let workers = timely::Config { communication, worker: timely::WorkerConfig::default() };
    let shared = Arc::clone(shared);
    let guards = timely::execute(workers, move |timely| worker::run(timely, &shared))
        .map_err(RunError::Engine)?;
    let results = guards.join().into_iter();
    // A worker that panicked has ended the process, if the program's panic hook is installed.
    results.map(|result| result.map_err(RunError::Engine)).collect()
}

/// The fault of a run: a worker's own where there is one, else the committer's.
fn first_fault<S>(
    fault: Option<RunError>,
    committer: JoinHandle<Result<S, SinkError>>,
) -> RunError {
    match (join(committer), fault) {
        (Err(error), None) => error.into(),
        (_, Some(fault)) => fault,
        (Ok(_), None) => SinkError::Gone("it ended early").into(),
    }
}

fn join<S>(committer: JoinHandle<Result<S, SinkError>>) -> Result<S, SinkError> {
    committer.join().unwrap_or(Err(SinkError::Gone("the committer panicked")))
}

fn summary(workers: &[WorkerSummary], counters: &Counters) -> Summary {
    let first = workers.iter().filter_map(|worker| worker.first).min();
    let last = workers.iter().filter_map(|worker| worker.last).max();
    let elapsed = first.zip(last).map(|(first, last)| last - first);
    Summary {
        records: workers.iter().map(|worker| worker.records).sum(),
        bytes: workers.iter().map(|worker| worker.bytes).sum(),
        elapsed: elapsed.unwrap_or_default(),
        commits: counters.commits.load(Ordering::Relaxed),
        rows: counters.rows.load(Ordering::Relaxed),
        resolved: counters.resolved.load(Ordering::Relaxed),
    }
}

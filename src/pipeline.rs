//! The path of a record: poll → ingest → decode → operators → tables → batch → commit.
//!
//! ```text
//!            ┌────────────────────── each worker ──────────────────────┐      ┌── worker 0 ──┐
//! partitions │ poll ─► ingest ─► decode ─► events ─► operators, tables ┼─────►│ commit       │
//!   of the   │                      │      dead letters ─► dead_letters ┤ rows │ batcher      │
//!   topic    │                      └────► offsets ─► kafka_offsets     ┤      └─────┬────────┘
//!            └── credit ◄─────────── durable probe ◄────────────────────┘◄───────────┤
//!                                                                        committer ◄─┘
//! ```
//!
//! | step | module |
//! |---|---|
//! | poll | `worker` (the loop), `worker::credit` (how much) |
//! | ingest, decode | `worker::ingest`, the crate `decode` |
//! | operators, tables | `flow` (the inputs), the crate `dataflows` |
//! | batch, commit | `commit_batcher`, `committer` |
//!
//! One arrow goes back: the durable probe frees credit once a commit is done.
//!
//! **Start order.** The committer raises the generation, then reads offsets and rows; the topic is
//! checked against the offsets; rows enter at epoch 0 on worker 0; then all workers read again,
//! still at epoch 0, what the ledger must remember; only then does worker 0 tell each worker,
//! through the dataflow, which partitions to read from where.
//!
//! **Epochs.** Worker 0 ends an epoch by a message to all workers, at most one per epoch length and
//! only while something is open, so a silent topic costs nothing and no other clock matters. What
//! was polled during an epoch and the offsets that were reached enter at the same epoch: that is
//! all that reclocking needs.
//!
//! **Cluster.** The workers of several processes are one dataflow; worker 0 is in process 0, which
//! alone has the committer. `peers` adds the heartbeats between processes.
//!
//! **End.** When stopped, or at the end of every partition, the inputs close. The frontier empties
//! after the last commit, and only then does a worker leave.

pub mod commit_batcher;
pub mod committer;
mod engine;
pub mod error;
mod flow;
mod freshness;
pub mod identity;
mod late;
mod ledger;
mod outage;
mod peers;
pub mod rebuild;
mod summary;
mod watcher;
mod worker;

use crate::config::RunConfig;
use crate::pipeline::commit_batcher::CommitOrder;
use crate::pipeline::error::RunError;
use committer::{Channels, Counters};
use dataflows::catalogue::Tables;
use dataflows::tables::floors::FloorName;
use dataflows::tables::kafka_offsets;
use dataflows::tables::late_acts;
use engine::Engine;
use mesh;
use mesh::{Mesh, MeshError};
use monitor::Monitor;
use peers::Peers;
use sink::Sink;
use sink::SinkError;
use source::{SourceError, Topic};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
pub use summary::RunSummary;
use summary::summary;
use types::dead_letter::{self, DeadLetter, OverflowRange, Usage};
use types::late::LateRow;
use types::offsets::Assignment;
use types::offsets::PartitionOffsets;
use types::record::StoredRecord;
use types::transaction::Transaction;
use types::{Restored, Row, Table, table};
use watcher::{Committed, Watcher};

impl RunContext {
    fn is_ending(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.is_failed()
    }

    /// Ends the run; the first fault says why.
    fn fail(&self, error: RunError) {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Whether the run ends for another reason than a stop of this process.
    fn is_failed(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
            || self.is_closed.load(Ordering::Relaxed)
            || self.peers.as_ref().is_some_and(|peers| peers.is_ending())
    }

    /// The first fault: a worker's own, or what was heard of another process.
    fn take_fault(&self) -> Option<RunError> {
        let own = self.fault.lock().unwrap_or_else(PoisonError::into_inner).take();
        own.or_else(|| self.peers.as_ref().and_then(|peers| peers.fault()))
    }
}

/// What worker 0 has beyond the others.
struct CoordinatorChannels {
    orders: tokio::sync::mpsc::Sender<CommitOrder>,
    /// Batches of restored rows; `None` after the last one.
    rows: Receiver<Option<Vec<Restored>>>,
    /// Comes when the offsets are read.
    plan: Receiver<ReadPlan>,
}

/// What worker 0 must know before anything is read.
struct ReadPlan {
    /// What to read from where.
    assignments: Vec<Assignment>,
    ledger: ledger::LedgerStart,
    /// What is to be stored of a change of its memory.
    changes: Vec<LateRow>,
    /// The records that were refused, and stand so.
    dead_letters: Vec<(u32, u64)>,
    /// What is found meanwhile.
    news: Receiver<TopicNews>,
}

/// What the watcher tells worker 0.
enum TopicNews {
    /// Partitions that were added to the topic.
    Partitions(Vec<Assignment>),
    /// A dead letter that is to be tried again, and its record if the topic still holds it.
    Retry(DeadLetter, Option<StoredRecord>),
    /// The topic is not the one that was read before.
    Changed(SourceError),
}

/// What all workers of the process share.
struct RunContext {
    config: RunConfig,
    tables: Tables,
    topic: Box<dyn Topic>,
    monitor: Arc<Monitor>,
    /// Set to end the run.
    stop: Arc<AtomicBool>,
    /// Set by the first fault.
    ended: AtomicBool,
    /// Set when nothing will be committed any more.
    is_closed: Arc<AtomicBool>,
    /// The other processes, if there are any.
    peers: Option<Arc<Peers>>,
    /// The first fault of a worker.
    fault: Mutex<Option<RunError>>,
    /// Taken by worker 0.
    coordinator: Mutex<Option<CoordinatorChannels>>,
}

/// Runs until `stop` is set or, where the topic has an end, until all of it is committed. Returns
/// after the last commit; the first fault ends the run, with everything read before it committed
/// if the database allows.
pub fn run<S: Sink>(
    config: RunConfig,
    topic: Box<dyn Topic>,
    sink: S,
    stop: Arc<AtomicBool>,
) -> Result<RunSummary, RunError> {
    run_watched(config, topic, sink, stop, &Arc::default())
}

/// [`run`], and `monitor` is told what happens.
pub fn run_watched<S: Sink>(
    config: RunConfig,
    topic: Box<dyn Topic>,
    sink: S,
    stop: Arc<AtomicBool>,
    monitor: &Arc<Monitor>,
) -> Result<RunSummary, RunError> {
    let tables = identity::tables(&config)?;
    topic.check()?;
    config.ledger.span_ms().map_or(Ok(()), |span_ms| topic.keeps(span_ms))?;
    monitor.begin(tables.all());
    if tables.freshness().is_some() {
        // Its rows say where the topic ends.
        monitor.watch();
    }
    let mesh = match &config.cluster {
        None => None,
        Some(cluster) => {
            let agreed = identity::agreed(&config, &tables);
            match mesh::join(cluster, config.workers, agreed, &stop) {
                Ok(mesh) => Some(mesh),
                Err(MeshError::Stopped) => return Ok(RunSummary::default()),
                Err(error) => return Err(error.into()),
            }
        }
    };
    if let (Some(mesh), Some(cluster)) = (&mesh, &config.cluster) {
        monitor.join(cluster.process, &cluster.hosts, mesh.traffic());
    }
    let run = PreparedRun { config, tables, topic, stop, monitor: monitor.clone(), mesh };
    let result =
        if run.config.has_coordinator() { run_coordinator(run, sink) } else { run_member(run) };
    match result {
        // Asked to stop before it had anything to do.
        Err(RunError::Sink(SinkError::StoppedAtStart)) => Ok(RunSummary::default()),
        result => result,
    }
}

/// A run that may begin.
struct PreparedRun {
    config: RunConfig,
    tables: Tables,
    topic: Box<dyn Topic>,
    stop: Arc<AtomicBool>,
    monitor: Arc<Monitor>,
    mesh: Option<Mesh>,
}

impl PreparedRun {
    /// Starts the workers. They wait for the coordinator's plan.
    fn start(
        self,
        lead: Option<CoordinatorChannels>,
        is_closed: Arc<AtomicBool>,
    ) -> Result<(Arc<RunContext>, Engine), RunError> {
        let PreparedRun { config, tables, topic, stop, monitor, mesh } = self;
        let peers = config.cluster.as_ref().map(|cluster| Arc::new(Peers::new(cluster, &monitor)));
        let (ended, fault, lead) = (AtomicBool::default(), Mutex::default(), Mutex::new(lead));
        let shared = RunContext {
            config,
            tables,
            topic,
            monitor,
            stop,
            ended,
            is_closed,
            peers,
            fault,
            coordinator: lead,
        };
        let shared = Arc::new(shared);
        let engine = Engine::start(&shared, mesh);
        if engine.is_err() {
            // No worker has taken the channels: the committer would wait for orders forever.
            drop(shared.coordinator.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
        Ok((shared, engine?))
    }
}

/// A process of a cluster without the database: its workers follow the coordinator, worker 0.
fn run_member(run: PreparedRun) -> Result<RunSummary, RunError> {
    let (shared, engine) = run.start(None, Arc::default())?;
    let workers = engine.wait()?;
    late::finish(shared.config.ledger.span, &shared.monitor);
    let summary = || RunSummary {
        set_aside: shared.topic.set_aside(),
        ..summary(&workers, &Counters::default())
    };
    shared.take_fault().map_or_else(|| Ok(summary()), Err)
}

/// The tables that are restored first: a start must know them before it plans what to read.
fn tables_of_a_start(tables: &Tables) -> Vec<u8> {
    vec![tables.progress(), tables.dead_letters(), tables.dead_letter_overflow()]
        .into_iter()
        .chain([tables.floors(), tables.late_acts()])
        .collect()
}

/// The process that has the database: it starts the committer, and its worker 0 coordinates.
fn run_coordinator<S: Sink>(run: PreparedRun, sink: S) -> Result<RunSummary, RunError> {
    let config = &run.config;
    let tables = run.tables.clone();
    let identity = identity::identity(config, &tables);
    let (offsets_in, offsets) = sync_channel(1);
    let (rows_in, rows) = sync_channel(4);
    let (requests_in, requests) = channel();
    let (orders, orders_out) = tokio::sync::mpsc::channel(1);
    let (durable, is_closed) = (Committed::default(), Arc::<AtomicBool>::default());
    let channels = Channels {
        offsets: offsets_in,
        first: tables_of_a_start(&tables),
        rows: rows_in,
        orders: orders_out,
        committed: note_offsets(&durable, tables.progress()),
        dead_letters: (tables.dead_letters(), dead_letter::RETRY),
        // A row that another program wrote has no record to try.
        retry_requested: Box::new(move |row| {
            DeadLetter::of(&row).map(|letter| requests_in.send(letter));
        }),
        monitor: run.monitor.clone(),
        stop: run.stop.clone(),
        ended: is_closed.clone(),
    };
    let (committer, counters) =
        committer::spawn(sink, identity, &tables, channels, config.retry_for)
            .map_err(|source| RunError::System { doing: "starting the committer", source })?;
    let (begun_in, begun) = channel();
    let (shared, engine) =
        match run.start(Some(CoordinatorChannels { orders, rows, plan: begun }), is_closed) {
            Ok(started) => started,
            Err(error) => return Err(first_fault(Some(error), committer)),
        };
    let Some(offsets) = engine.receive(&offsets)? else {
        return Err(end_unstarted_run(&shared, engine, None, committer));
    };
    let (known, ledger) = match RestoredState::read_checked(&offsets, &shared) {
        Ok(read) => read,
        Err(error) => return Err(end_unstarted_run(&shared, engine, Some(error), committer)),
    };
    let (news_in, news) = channel();
    let watcher = match plan_and_watch(&shared, &known.stored, durable, (requests, news_in)) {
        Ok((mut assignments, watcher)) => {
            known.complete(&mut assignments);
            let changes = known.stored.iter().flat_map(|stored| ledger.changes(stored)).collect();
            let dead_letters = known.dead_letters;
            // A worker 0 that has ended needs none.
            let _ = begun_in.send(ReadPlan { assignments, ledger, changes, dead_letters, news });
            engine.wake();
            watcher
        }
        Err(error) => return Err(end_unstarted_run(&shared, engine, Some(error), committer)),
    };
    let workers = match engine.wait() {
        // The workers are still there, and with them what the committer waits for.
        Err(error @ RunError::PeerTimeout { .. }) => return Err(error),
        worked => match (worked, shared.take_fault()) {
            (Ok(workers), None) => workers,
            (_, Some(fault)) | (Err(fault), None) => {
                return Err(first_fault(Some(fault), committer));
            }
        },
    };
    let result = join(committer);
    watcher.end();
    late::finish(shared.config.ledger.span, &shared.monitor);
    match result {
        Ok(_sink) => {
            Ok(RunSummary { set_aside: shared.topic.set_aside(), ..summary(&workers, &counters) })
        }
        Err(error) => Err(error.into()),
    }
}

/// Ends a run that has not begun to read.
fn end_unstarted_run<S>(
    shared: &RunContext,
    engine: Engine,
    error: Option<RunError>,
    committer: JoinHandle<Result<S, SinkError>>,
) -> RunError {
    shared.is_closed.store(true, Ordering::Relaxed);
    engine.wake();
    match engine.wait() {
        Err(silent @ RunError::PeerTimeout { .. }) => error.unwrap_or(silent),
        _ => first_fault(error, committer),
    }
}

/// What a start must know before it reads.
#[derive(Default)]
struct RestoredState {
    /// How far each partition is counted.
    stored: Vec<PartitionOffsets>,
    /// The room that its dead letters take, and where these stand.
    dead_letter_usage: Usage,
    dead_letters: Vec<(u32, u64)>,
    /// Ranges in which another decoder has refused some records.
    foreign_overflow: Vec<(u32, OverflowRange)>,
    floors: BTreeMap<FloorName, u64>,
    /// In the order of the key.
    late_acts: Vec<LateRow>,
}

impl RestoredState {
    /// What the rows say, and how the ledger starts with it.
    fn read_checked(
        rows: &[Restored],
        shared: &RunContext,
    ) -> Result<(Self, ledger::LedgerStart), RunError> {
        let mut known = RestoredState::read(rows, &shared.tables)?;
        let ledger = ledger::LedgerStart::new(shared.config.ledger, &known.floors);
        if ledger.is_empty {
            for stored in &mut known.stored {
                stored.replay_from = stored.next;
            }
        }
        known.check()?;
        Ok((known, ledger))
    }

    fn read(rows: &[Restored], tables: &Tables) -> Result<Self, SinkError> {
        let mut known = RestoredState::default();
        for Restored { table, row } in rows {
            if *table == tables.progress() {
                let stored = PartitionOffsets::of(row);
                known.stored.push(stored.ok_or_else(|| unreadable(&kafka_offsets::TABLE, row))?);
            } else if *table == tables.floors() {
                known.floors.extend(FloorName::of(row));
            } else if *table == tables.dead_letter_overflow() {
                let ranges = OverflowRange::of(row)
                    .into_iter()
                    .filter(|(refuser, _)| !refuser.is_by(decode::ACCEPTS));
                known
                    .foreign_overflow
                    .extend(ranges.map(|(refuser, range)| (refuser.partition, range)));
            } else if *table == tables.late_acts() {
                let late = LateRow::of(row);
                known.late_acts.push(late.ok_or_else(|| unreadable(&late_acts::TABLE, row))?);
            } else if let Some(letter) = DeadLetter::of(row) {
                known.dead_letters.push((letter.partition, letter.offset));
                known.dead_letter_usage.add(&letter);
            }
        }
        known.late_acts.sort_unstable();
        Ok(known)
    }

    /// Adds what a reader must know of the rows of its partition.
    fn complete(&self, assignments: &mut [Assignment]) {
        for assignment in assignments {
            let partition = assignment.partition;
            assignment.dead_letters = self.dead_letter_usage.of(partition);
            let late_acts = self.late_acts.iter().filter(|row| row.partition == partition);
            assignment.late_acts = late_acts.copied().collect();
        }
    }

    /// What is read again must be told apart into what was counted and what was not.
    fn check(&self) -> Result<(), RunError> {
        let reaches = |stored: &PartitionOffsets, partition: u32, range: &OverflowRange| {
            let PartitionOffsets { replay_from, next, .. } = *stored;
            stored.partition == partition && replay_from < next && range.last >= replay_from
        };
        let in_doubt = self.foreign_overflow.iter().find(|(partition, range)| {
            self.stored.iter().any(|stored| reaches(stored, *partition, range))
        });
        in_doubt.map_or(Ok(()), |(partition, range)| {
            Err(RunError::Overflow { partition: *partition, range: *range })
        })
    }
}

/// The fault of a restored row that its table cannot have written.
fn unreadable(table: &Table, row: &Row) -> SinkError {
    SinkError::Unreadable { row: table::whole(table, row) }
}

/// Notes the offsets of each transaction that is committed.
fn note_offsets(committed: &Committed, progress_table: u8) -> Box<dyn Fn(&Transaction) + Send> {
    let committed = committed.clone();
    Box::new(move |transaction| {
        let rows = transaction.tables[usize::from(progress_table)].upserts.iter();
        committed.note(rows.filter_map(PartitionOffsets::of));
    })
}

/// Looks where to read on, and has the topic watched.
fn plan_and_watch(
    shared: &RunContext,
    stored: &[PartitionOffsets],
    committed: Committed,
    letters: (Receiver<DeadLetter>, Sender<TopicNews>),
) -> Result<(Vec<Assignment>, Watcher), RunError> {
    let (topic, monitor) = (&shared.topic, shared.monitor.clone());
    let assignments = topic.plan(stored)?;
    let known = assignments.iter().map(|assignment| assignment.partition).collect();
    committed.note(stored.iter().cloned());
    let watcher = Watcher::start(topic.watch()?, known, committed, letters, monitor)
        .map_err(|source| RunError::System { doing: "starting the watcher", source })?;
    Ok((assignments, watcher))
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

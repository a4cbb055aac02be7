//! One worker's loop: apply control messages, read as much as credit allows, step the dataflow.
//!
//! Invariants: a worker reads a partition only after the coordinator has assigned the offset. It
//! never has more read and uncommitted than its credit (in bytes: plus one poll). It leaves only
//! when everything it read is committed, or nothing will be committed any more.

mod as_of;
mod backlog;
mod coordinator;
mod credit;
mod ingest;
mod late_acts;
mod partition;
mod read_position;
mod retry;

use super::flow::{self, Control, Flow};
use super::late::Late;
use super::ledger::{FloorController, WorkerReport};
use super::peers::HeartbeatSender;
use super::{CoordinatorChannels, RunContext};
use crate::config::RunConfig;
use crate::pipeline::error::RunError;
use backlog::Backlog;
use coordinator::{Coordinator, EpochClock};
use credit::InFlight;
use dataflows::Epoch;
use ingest::{Ingest, decode, record_dead_letter};
use monitor::Phase;
use partition::{ActivePartition, acts_on, find};
use source::{Polled, Source, SourceError};
use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::{Duration, Instant};
use timely::worker::Worker;
use types::offsets::Assignment;

/// Most records of one poll; between two polls the loop handles everything else.
const POLL_RECORDS: u64 = 512;
/// How often the ledger metrics are published and the remaining-record count is refreshed.
const REFRESH_INTERVAL: Duration = Duration::from_millis(200);
/// Upper bound on signal latency; every other event wakes a parked worker.
const MAX_PARK: Duration = Duration::from_millis(100);

/// What a worker did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WorkerSummary {
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// When the first record came.
    pub(super) first: Option<Instant>,
    /// When everything was committed.
    pub(super) last: Option<Instant>,
}

/// Runs one worker to its end. A fault of the source stops all workers.
pub(super) fn run(timely: &mut Worker, shared: &RunContext) -> WorkerSummary {
    let channels = match timely.index() {
        0 => shared.coordinator.lock().unwrap_or_else(PoisonError::into_inner).take(),
        _ => None,
    };
    let orders = channels.as_ref().map(|channels| channels.orders.clone());
    // Held to the end: the committer that goes while they are open has failed.
    let held = orders.clone();
    let mut flow = flow::build(timely, (&shared.config, &shared.tables), orders);
    let peers = shared.peers.as_ref();
    let mut heartbeat =
        peers.and_then(|peers| HeartbeatSender::build(timely, peers, shared.config.workers));
    let (durable, figures) = (flow.durable.clone(), flow.figures.clone());
    let this = std::thread::current();
    let mut summary = WorkerSummary::default();
    let source = shared.topic.open(Box::new(move || this.unpark())).map_err(RunError::from);
    let result = source.and_then(|source| {
        let mut worker = WorkerLoop {
            source,
            flow: &mut flow,
            heartbeat: heartbeat.as_mut(),
            shared,
            summary: &mut summary,
            worker: WorkerIndex { index: timely.index(), count: timely.peers() },
            epoch: 0,
            stage: Stage::Waiting,
            is_bounded: false,
            ingest: Ingest::new(&shared.config),
            pacing: Pacing::new(&shared.config),
            coordinator: None,
            refreshed_at: Instant::now(),
            late: Late::new(shared.config.ledger.span),
        };
        let ended = worker.run(timely, channels);
        // What was read before a fault is committed, and with it which of its acts were late.
        worker.record_late_acts();
        ended
    });
    result.unwrap_or_else(|error| shared.fail(error));
    let fault = flow.fault.clone();
    drop(flow);
    while !durable.done() {
        if let Some(heartbeat) = &mut heartbeat {
            heartbeat.send_due(shared);
        }
        timely.step_or_park(Some(MAX_PARK));
    }
    // Of what was read last.
    if let Some(error) = fault.take() {
        shared.fail(error.into());
    }
    if let Some(heartbeat) = heartbeat {
        heartbeat.end(shared);
    }
    drop(held);
    if shared.config.ledger.step_ms().is_some() {
        shared.monitor.ledger(timely.index(), figures.get());
    }
    summary.last = Some(Instant::now());
    summary
}

/// What a worker is doing.
enum Stage {
    /// It does not know what to read.
    Waiting,
    /// It reads again what the ledger must remember, but for these refused records.
    Replaying { letters: BTreeSet<(u32, u64)>, is_reported: bool },
    /// It reads what counts.
    Reading,
}

/// Which worker this is, of all processes.
#[derive(Clone, Copy)]
struct WorkerIndex {
    index: usize,
    count: usize,
}

impl WorkerIndex {
    /// Whether this worker reads the partition.
    fn reads(self, partition: u32) -> bool {
        partition as usize % self.count == self.index
    }
}

/// How much this worker reads, and how long its epochs are.
struct Pacing {
    in_flight: InFlight,
    backlog: Backlog,
    /// The newest epoch in which it has read something, as far as worker 0 was told.
    opened: Epoch,
}

impl Pacing {
    fn new(config: &RunConfig) -> Self {
        let in_flight = InFlight::new(config.credit, config.epoch + config.pace.interval);
        Pacing { in_flight, backlog: Backlog::new(config.credit.records), opened: 0 }
    }

    fn epoch_length(&self, shortest: Duration) -> Duration {
        self.backlog.epoch(shortest, self.in_flight.records)
    }
}

/// The state of one worker's loop.
struct WorkerLoop<'a> {
    source: Box<dyn Source>,
    flow: &'a mut Flow,
    /// On the first worker of each process of a cluster.
    heartbeat: Option<&'a mut HeartbeatSender>,
    shared: &'a RunContext,
    summary: &'a mut WorkerSummary,
    worker: WorkerIndex,
    /// The epoch that this worker is in.
    epoch: Epoch,
    stage: Stage,
    /// Whether reading ends at an offset that was seen at the start.
    is_bounded: bool,
    ingest: Ingest,
    pacing: Pacing,
    /// On worker 0, once the rows are restored.
    coordinator: Option<Coordinator>,
    /// When the ledger was shown, and the monitor asked.
    refreshed_at: Instant,
    late: Late,
}

impl WorkerLoop<'_> {
    /// Reads until stopped, or until all partitions of all workers are at their end.
    fn run(
        &mut self,
        timely: &mut Worker,
        channels: Option<CoordinatorChannels>,
    ) -> Result<(), RunError> {
        if let Some(channels) = channels {
            self.restore(timely, &channels);
        }
        loop {
            self.send_heartbeat();
            self.check_rows()?;
            self.apply_control()?;
            self.pacing.in_flight.settle(|epoch| !self.flow.durable.less_equal(&epoch));
            if self.shared.is_ending() || self.is_finished() {
                self.record_late_acts();
                self.flow.inputs = None;
                if self.shared.is_ending() {
                    self.shared.monitor.enter(Phase::Stopping);
                }
            }
            if self.flow.inputs.is_none() && self.flow.reading.done() {
                // No worker reads any more: the last epoch ends with the inputs. (Without a clock
                // nothing was read, and the tables are as old as they were.)
                if let Some(coordinator) = &mut self.coordinator
                    && coordinator.epoch_clock.is_some()
                {
                    let closing = coordinator.as_of.close(self.epoch);
                    self.flow.closings.borrow_mut().push_back(closing);
                }
                return Ok(());
            }
            self.forward_news()?;
            self.raise_floor();
            self.end_epoch_if_due();
            self.refresh_status();
            if self.replay()? + self.poll()? > 0 {
                timely.step();
            } else {
                timely.step_or_park(Some(self.park_time()));
            }
        }
    }

    fn send_heartbeat(&mut self) {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.send_due(self.shared);
        }
    }

    /// How long this worker may sleep if nothing wakes it.
    fn park_time(&self) -> Duration {
        match self.epoch_clock() {
            Some(EpochClock { epoch, since }) if self.flow.opened.get() >= epoch => {
                let length = self.pacing.epoch_length(self.shared.config.epoch);
                length.saturating_sub(since.elapsed()).min(MAX_PARK)
            }
            _ => MAX_PARK,
        }
    }

    /// Applies the control messages of the coordinator.
    fn apply_control(&mut self) -> Result<(), SourceError> {
        let messages = std::mem::take(&mut *self.flow.mailbox.borrow_mut());
        for message in messages {
            match message {
                Control::Epoch(epoch) => {
                    self.record_late_acts();
                    self.epoch = epoch;
                    self.ingest.floor_in_force = self.ingest.floor.unwrap_or_default();
                    if let Some(inputs) = &mut self.flow.inputs {
                        inputs.advance_to(epoch);
                    }
                }
                Control::Replay(all, letters) => self.assign_replay(all, letters)?,
                Control::Assign(all) => self.assign(all)?,
                Control::Floor(floor) => self.floor_raised(floor),
                Control::Pause(partitions) => {
                    self.source.pause(&partitions)?;
                    self.ingest.paused = partitions;
                }
                Control::Retry(letter, found) => self.retry(letter, found),
            }
        }
        Ok(())
    }

    /// Of these assignments, those of this worker.
    fn mine(&self, all: Vec<Assignment>) -> impl Iterator<Item = Assignment> + use<> {
        let worker = self.worker;
        all.into_iter().filter(move |it| worker.reads(it.partition))
    }

    /// Begins to read again what the ledger must remember.
    fn assign_replay(
        &mut self,
        all: Vec<Assignment>,
        letters: Vec<(u32, u64)>,
    ) -> Result<(), SourceError> {
        if self.flow.inputs.is_none() {
            return Ok(());
        }
        for assignment in self.mine(all) {
            self.ingest.partitions.push(ActivePartition::new(&assignment));
            let Assignment { replay_from, next, .. } = assignment;
            if replay_from < next {
                let until = Some(next);
                let again = Assignment { next: replay_from, until, anchor: None, ..assignment };
                self.source.assign(&again)?;
                self.shared.monitor.replays(next - replay_from);
            }
        }
        let letters = letters.into_iter().collect();
        self.stage = Stage::Replaying { letters, is_reported: false };
        Ok(())
    }

    /// Reads again; nothing of it counts.
    fn replay(&mut self) -> Result<u64, SourceError> {
        let before = self.flow.inputs.as_mut().and_then(|inputs| inputs.restore.as_mut());
        let (Stage::Replaying { letters, is_reported: false }, Some(before)) =
            (&self.stage, before)
        else {
            return Ok(0);
        };
        let (partitions, decoded) = (&mut self.ingest.partitions, &mut self.ingest.decoded);
        let (settings, monitor) = (self.shared.config.decode, &self.shared.monitor);
        let limit = usize::try_from(POLL_RECORDS).unwrap_or(usize::MAX);
        let records = self.source.poll(limit, &mut |polled| {
            let record = match polled {
                Polled::Record(record) => record,
                Polled::Reached(_) => return,
                Polled::End { partition, .. } => {
                    // The last offsets may hold no record.
                    let partition = find(partitions, partition);
                    monitor.replayed(partition.map_or(0, |it| it.reading.replay_done()));
                    return;
                }
            };
            let Some(partition) = find(partitions, record.partition) else { return };
            let is_refused = letters.contains(&(record.partition, record.offset));
            if !is_refused && decode(&record, settings, decoded).is_ok() {
                for event in decoded.drain(..) {
                    if let Some(clocks) = event.clocks() {
                        partition.see(clocks);
                        before.replayed.update(event, 1);
                    }
                }
            }
            monitor.replayed(partition.reading.pass(record.offset));
        })? as u64;
        before.replayed.flush();
        if self.source.is_finished() {
            self.stage = Stage::Replaying { letters: BTreeSet::new(), is_reported: true };
            self.flow.reports_out.send(WorkerReport::Replayed);
            self.flow.reports_out.flush();
        }
        Ok(records)
    }

    fn assign(&mut self, all: Vec<Assignment>) -> Result<(), SourceError> {
        if self.flow.inputs.is_none() {
            return Ok(());
        }
        self.stage = Stage::Reading;
        self.shared.monitor.enter(Phase::Running);
        if let Some(peers) = &self.shared.peers {
            peers.running();
        }
        // Of all partitions: a worker without any waits for those that are added.
        self.is_bounded = all.iter().all(|assignment| assignment.until.is_some());
        let mine: Vec<_> = self.mine(all).collect();
        self.shared.monitor.assigned(mine.iter().map(|assignment| assignment.partition));
        for assignment in &mine {
            self.source.assign(assignment)?;
            self.ingest.dead_letter_usage.set(assignment.partition, assignment.dead_letters);
            if find(&mut self.ingest.partitions, assignment.partition).is_none() {
                self.ingest.partitions.push(ActivePartition::new(assignment));
            }
            let (Some(partition), Some(inputs)) =
                (find(&mut self.ingest.partitions, assignment.partition), &mut self.flow.inputs)
            else {
                continue;
            };
            let (number, position) = partition.reading.begin();
            inputs.progress.update(number, position);
            if assignment.until.is_some_and(|until| assignment.next >= until) {
                partition.progress.end();
            }
        }
        if let Some(inputs) = &mut self.flow.inputs {
            inputs.flush();
        }
        self.report_progress();
        Ok(())
    }

    /// The floor is stored: what is below need not be read again.
    fn floor_raised(&mut self, floor: u64) {
        self.ingest.floor = Some(floor);
        let (Stage::Reading, Some(inputs)) = (&self.stage, &mut self.flow.inputs) else { return };
        for partition in &mut self.ingest.partitions {
            if let Some((partition, position)) = partition.reading.floor_raised(floor) {
                inputs.progress.update(partition, position);
            }
        }
        inputs.flush();
    }

    /// Reports to the coordinator the progress that makes a difference to the floor.
    fn report_progress(&mut self) {
        let Some(step_ms) = self.ingest.step_ms else { return };
        let (paused, now) = (&self.ingest.paused, Instant::now());
        let report = |ActivePartition { reading, progress, .. }: &mut ActivePartition| {
            let partition = reading.partition();
            if paused.contains(&partition) {
                progress.restart_patience(now);
            }
            progress.report(partition, step_ms, now)
        };
        let mut reports: Vec<_> = self.ingest.partitions.iter_mut().filter_map(report).collect();
        if !reports.is_empty() {
            self.flow.reports_out.send_batch(&mut reports);
            self.flow.reports_out.flush();
        }
    }

    /// Publishes ledger metrics and refreshes the remaining-record count (on the process that
    /// watches the topic).
    fn refresh_status(&mut self) {
        if self.refreshed_at.elapsed() < REFRESH_INTERVAL {
            return;
        }
        self.refreshed_at = Instant::now();
        let WorkerIndex { index, count } = self.worker;
        if self.ingest.step_ms.is_some() {
            self.shared.monitor.ledger(index, self.flow.figures.get());
            if index % self.shared.config.workers == 0 {
                self.late.warn_if_due(&self.shared.monitor);
            }
        }
        if !self.shared.topic.counts_bytes() {
            self.pacing
                .backlog
                .set_remaining(self.shared.monitor.left().unwrap_or_default() / count as u64);
        }
    }

    /// Whether the topic has an end, and all partitions of this worker were read up to theirs.
    /// Worker 0 is the last one: it raises the floor.
    fn is_finished(&self) -> bool {
        let controller =
            self.coordinator.as_ref().and_then(|coordinator| coordinator.floor.as_ref());
        matches!(self.stage, Stage::Reading)
            && self.is_bounded
            && self.source.is_finished()
            && controller.is_none_or(FloorController::is_all_read)
    }

    /// A partition that may not be read now keeps nobody waiting.
    fn restart_patience(&mut self) {
        let now = Instant::now();
        for partition in &mut self.ingest.partitions {
            partition.progress.restart_patience(now);
        }
    }

    /// Reads as many records as there are and credit allows, at the current epoch.
    fn poll(&mut self) -> Result<u64, SourceError> {
        let room = self.pacing.in_flight.available();
        let (Stage::Reading, Some(inputs)) = (&self.stage, &mut self.flow.inputs) else {
            return Ok(0);
        };
        if room == 0 {
            self.restart_patience();
            return Ok(0);
        }
        let (settings, bound) = (self.shared.config.decode, self.shared.config.dead_letters);
        let (floor, has_ledger) = (self.ingest.floor, self.ingest.step_ms.is_some());
        let floor_in_force = self.ingest.floor_in_force;
        let Ingest { partitions, decoded, refusals, dead_letter_usage, .. } = &mut self.ingest;
        let (mut bytes, mut is_moved) = (0, false);
        let limit = usize::try_from(room.min(POLL_RECORDS)).unwrap_or(usize::MAX);
        let records = self.source.poll(limit, &mut |polled| match polled {
            Polled::Record(record) => {
                bytes += record.payload.map_or(0, |payload| payload.len() as u64);
                let Some(partition) = find(partitions, record.partition) else { return };
                let decoding = decode(&record, settings, decoded);
                for event in decoded.drain(..).filter(|_| decoding.is_ok()) {
                    if let Some(clocks) = event.clocks().filter(|_| has_ledger) {
                        partition.see(clocks);
                        for id in acts_on(&event, clocks) {
                            partition.late_acts.note(record.offset, id, floor_in_force);
                        }
                    }
                    inputs.events.update(event, 1);
                }
                partition.reading.pass(record.offset);
                partition.progress.pass(record.timestamp_ms);
                let file = partition.reading.file();
                let refuse =
                    |letter| record_dead_letter(inputs, letter, file, (dead_letter_usage, bound));
                refusals.note(decoding.map_err(refuse));
            }
            Polled::Reached(reached) => {
                let Some(partition) = find(partitions, reached.partition) else { return };
                let (partition, position) = partition.reading.reach(&reached, floor);
                inputs.progress.update(partition, position);
            }
            Polled::End { partition, next } => {
                let Some(partition) = find(partitions, partition) else { return };
                partition.progress.end();
                if let Some((partition, position)) = partition.reading.end(next, floor) {
                    inputs.progress.update(partition, position);
                    is_moved = true;
                }
            }
        })? as u64;
        self.pacing.backlog.note(records, room.min(POLL_RECORDS));
        if records >= POLL_RECORDS {
            inputs.flush();
        } else if (records > 0 || is_moved)
            && std::mem::replace(&mut self.pacing.opened, self.epoch) < self.epoch
        {
            // Few records wait in the inputs for the end of their epoch: a way through the dataflow
            // costs the same for one record as for hundreds. Worker 0 must learn that the epoch is
            // open.
            inputs.progress.flush();
        }
        if records > 0 {
            self.pacing.in_flight.add(self.epoch, records, bytes);
            self.summary.first.get_or_insert_with(Instant::now);
            self.summary.records += records;
            self.summary.bytes += bytes;
            self.shared.monitor.read(records, bytes);
            self.ingest.refusals.check(&self.shared.config)?;
        }
        self.report_progress();
        Ok(records)
    }
}

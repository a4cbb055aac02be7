//! One worker's loop: follow the epoch, read as much as credit allows, let the dataflow work.
//!
//! Invariants: a worker reads a partition only after worker 0 has told it the offset; it never has
//! more read and uncommitted than its credit (in bytes: plus one poll); it leaves only when everything it read is committed,
//! or nothing will be any more.

use super::flow::{self, Control, Flow, Inputs};
use super::peers::Voice;
use super::{Lead, News, Shared};
use crate::config::RunConfig;
use crate::dead_letters::DeadLetter;
use crate::dead_letters::overflow::{Dropped, Room, Taken};
use crate::monitor::Phase;
use crate::source::{Assignment, Found, Polled, Record, Source, SourceError, Topic};
use crate::{decode, progress};
use dataflows::latest::Version;
use dataflows::{Epoch, Event};
use std::collections::VecDeque;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use timely::worker::Worker;

/// Records of one poll, between two looks at everything else.
const POLL_RECORDS: u64 = 512;
/// A worker with more than this read and not committed is behind: nobody waits for the single epoch
/// then, and fewer, longer ones cost less.
const BEHIND_RECORDS: u64 = 5_000;
/// How much longer epochs are then.
const BEHIND_FACTOR: u32 = 5;
/// The longest sleep. Everything that matters wakes a worker before; this bounds a signal's way.
const NAP: Duration = Duration::from_millis(100);

/// What one worker may have read and not yet committed; it is also a bound of the largest
/// transaction.
#[derive(Clone, Copy, Debug)]
pub struct Credit {
    /// In records.
    pub records: u64,
    /// In bytes of their values.
    pub bytes: u64,
}

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
pub(super) fn run<T: Topic>(timely: &mut Worker, shared: &Shared<T>) -> WorkerSummary {
    let lead = match timely.index() {
        0 => shared.lead.lock().unwrap_or_else(PoisonError::into_inner).take(),
        _ => None,
    };
    let orders = lead.as_ref().map(|lead| lead.orders.clone());
    // Held to the end: the committer that goes while they are open has failed.
    let held = orders.clone();
    let mut flow = flow::build(timely, &shared.config, orders);
    let peers = shared.peers.as_ref();
    let mut voice = peers.and_then(|peers| Voice::build(timely, peers, shared.config.workers));
    let durable = flow.durable.clone();
    let this = std::thread::current();
    let mut summary = WorkerSummary::default();
    let result = shared.topic.open(Box::new(move || this.unpark())).and_then(|source| {
        let mut reader = Reader {
            source,
            flow: &mut flow,
            voice: voice.as_mut(),
            shared,
            summary: &mut summary,
            place: (timely.index(), timely.peers()),
            epoch: 0,
            outstanding: Outstanding::default(),
            assigned: None,
            anchors: progress::Anchors::default(),
            taken: Taken::default(),
            is_bounded: false,
            clock: None,
            news: None,
            decoded: Vec::new(),
            refusals: Refusals::default(),
        };
        reader.run(timely, lead)
    });
    if let Err(error) = result {
        let mut fault = shared.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault.get_or_insert(error.into());
        shared.ended.store(true, Ordering::Relaxed);
    }
    drop(flow);
    while !durable.done() {
        if let Some(voice) = &mut voice {
            voice.speak(shared);
        }
        timely.step_or_park(Some(NAP));
    }
    if let Some(voice) = voice {
        voice.end(shared);
    }
    drop(held);
    summary.last = Some(Instant::now());
    summary
}

/// What to read from where, and what is found meanwhile.
type Plan = (Vec<Assignment>, Receiver<News>);

/// The state of one worker's loop.
struct Reader<'a, T: Topic> {
    source: T::Source,
    flow: &'a mut Flow,
    /// On the first worker of each process of a cluster.
    voice: Option<&'a mut Voice>,
    shared: &'a Shared<T>,
    summary: &'a mut WorkerSummary,
    /// Number of this worker, and number of workers.
    place: (usize, usize),
    /// The epoch that this worker is in.
    epoch: Epoch,
    outstanding: Outstanding,
    /// The partitions of this worker; `None` until worker 0 has told.
    assigned: Option<Vec<Assignment>>,
    anchors: progress::Anchors,
    /// The room that the dead letters of its partitions take.
    taken: Taken,
    /// Whether reading ends at an offset that was seen at the start.
    is_bounded: bool,
    /// On worker 0, once the rows are restored: the newest epoch announced, and when.
    clock: Option<(Epoch, Instant)>,
    /// On worker 0, once the rows are restored: what the watcher finds.
    news: Option<Receiver<News>>,
    /// The events of one record, on their way.
    decoded: Vec<Event>,
    refusals: Refusals,
}

/// Whether bad records are the exception: a topic whose form has changed is not to run into the
/// dead letters as a whole.
#[derive(Default)]
struct Refusals {
    /// Records that could not be counted, less those that could since; never below 0.
    excess: u64,
    /// What was found in the last one.
    last: Box<str>,
}

impl Refusals {
    fn note(&mut self, entered: Result<(), Box<str>>) {
        match entered {
            Ok(()) => self.excess = self.excess.saturating_sub(1),
            Err(detail) => {
                self.excess += 1;
                self.last = detail;
            }
        }
    }

    fn check(&self, config: &RunConfig) -> Result<(), SourceError> {
        if config.max_dead_letters == 0 || self.excess <= config.max_dead_letters {
            return Ok(());
        }
        let (topic, detail) = (config.topic.clone(), self.last.to_string());
        Err(SourceError::Refused { topic, excess: self.excess, detail })
    }
}

impl<T: Topic> Reader<'_, T> {
    /// Reads until stopped, or until all partitions of all workers are at their end.
    fn run(&mut self, timely: &mut Worker, lead: Option<Lead>) -> Result<(), SourceError> {
        if let Some(lead) = lead {
            self.restore(timely, &lead);
        }
        loop {
            self.speak();
            self.follow()?;
            self.outstanding.settle(|epoch| !self.flow.durable.less_equal(&epoch));
            if self.shared.is_ending() || self.is_finished() {
                self.flow.inputs = None;
                if self.shared.is_ending() {
                    self.shared.monitor.enter(Phase::Stopping);
                }
            }
            if self.flow.inputs.is_none() && self.flow.reading.done() {
                // Nobody reads any more: the last epoch ends with the inputs. (Without a clock nothing
                // was read, and the tables are as old as they were.)
                if self.clock.is_some() {
                    self.flow.closings.borrow_mut().push_back((self.epoch, now_us()));
                }
                return Ok(());
            }
            self.hear()?;
            self.tick();
            if self.poll()? > 0 {
                timely.step();
            } else {
                timely.step_or_park(Some(self.nap()));
            }
        }
    }

    /// On worker 0: rows enter at epoch 0, then every worker learns what to read, at epoch 1.
    fn restore(&mut self, timely: &mut Worker, lead: &Lead) {
        let Some((assignments, news)) = self.wait_for_plan(timely, lead) else { return };
        loop {
            self.speak();
            let Some(inputs) = &mut self.flow.inputs else { return };
            match lead.rows.recv_timeout(NAP) {
                Ok(Some(batch)) => {
                    for row in batch {
                        inputs.rows.update(row, 1);
                    }
                    inputs.flush();
                }
                Ok(None) => break,
                Err(RecvTimeoutError::Timeout) => {}
                // The committer has ended early and says why; half a state is of no use.
                Err(RecvTimeoutError::Disconnected) => {
                    self.shared.ended.store(true, Ordering::Relaxed);
                    return;
                }
            }
            timely.step();
        }
        self.shared.monitor.enter(Phase::Running);
        self.announce(1);
        self.flow.control.send(Control::Assign(assignments));
        self.flow.control.flush();
        self.news = Some(news);
    }

    /// On worker 0: waits until the offsets are read; `None` when they never will be.
    fn wait_for_plan(&mut self, timely: &mut Worker, lead: &Lead) -> Option<Plan> {
        loop {
            self.speak();
            match lead.begun.try_recv() {
                Ok(begun) => return Some(begun),
                Err(TryRecvError::Empty) if !self.shared.is_failed() => {
                    timely.step_or_park(Some(NAP));
                }
                Err(_) => {
                    self.shared.ended.store(true, Ordering::Relaxed);
                    return None;
                }
            }
        }
    }

    fn speak(&mut self) {
        if let Some(voice) = &mut self.voice {
            voice.speak(self.shared);
        }
    }

    /// On worker 0: every worker learns of partitions that were added to the topic; records that
    /// are to be tried again enter here.
    fn hear(&mut self) -> Result<(), SourceError> {
        let news: Vec<_> = self.news.iter().flat_map(Receiver::try_iter).collect();
        for news in news {
            match news {
                News::Partitions(found) => {
                    self.flow.control.send(Control::Assign(found));
                    self.flow.control.flush();
                }
                News::Retry(letter, record) => self.retry(&letter, record.as_ref()),
                News::Changed(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tries a record again. What it becomes and what becomes of its row enter at one epoch, hence
    /// leave in one transaction.
    fn retry(&mut self, letter: &DeadLetter, found: Option<&Found>) {
        let Some(inputs) = &mut self.flow.inputs else { return };
        let DeadLetter { partition, offset, .. } = *letter;
        if let Some(Found { timestamp_ms, payload }) = found {
            let (timestamp_ms, payload) = (*timestamp_ms, payload.as_deref());
            // A tombstone is never a dead letter, so the key says nothing here.
            let record = Record { partition, offset, timestamp_ms, key: None, payload };
            match enter(inputs, &record, self.shared.config.decode, &mut self.decoded) {
                Ok(()) => {
                    inputs.letters.update(letter.clone(), -1);
                    self.flow.control.send(Control::Freed(partition, Room::of(letter)));
                    self.flow.control.flush();
                }
                // The row anew, without its mark; it has its room.
                Err(letter) => inputs.letters.update(letter, 1),
            }
        } else {
            tracing::warn!(partition, offset, "the topic no longer holds a record to try again");
            inputs.letters.update(letter.clone(), 1);
        }
        inputs.flush();
        self.flow.opened.set(self.flow.opened.get().max(self.epoch));
    }

    /// On worker 0: ends the current epoch for all workers.
    fn announce(&mut self, epoch: Epoch) {
        self.flow.closings.borrow_mut().push_back((epoch - 1, now_us()));
        self.flow.control.send(Control::Epoch(epoch));
        self.flow.control.advance_to(epoch);
        self.flow.control.flush();
        self.clock = Some((epoch, Instant::now()));
    }

    /// On worker 0: ends the epoch when something is open and its length is over, or when nothing
    /// has happened for a heartbeat.
    fn tick(&mut self) {
        let Some((epoch, since)) = self.clock else { return };
        let is_open = self.flow.opened.get() >= epoch;
        let due = if is_open { self.epoch_length() } else { self.shared.config.pace.heartbeat };
        if since.elapsed() >= due {
            self.announce(epoch + 1);
        }
    }

    fn epoch_length(&self) -> Duration {
        let is_behind = self.outstanding.records > BEHIND_RECORDS;
        self.shared.config.epoch * if is_behind { BEHIND_FACTOR } else { 1 }
    }

    /// How long this worker may sleep if nothing wakes it.
    fn nap(&self) -> Duration {
        match self.clock {
            Some((epoch, since)) if self.flow.opened.get() >= epoch => {
                self.epoch_length().saturating_sub(since.elapsed())
            }
            _ => NAP,
        }
    }

    /// Does what worker 0 said.
    fn follow(&mut self) -> Result<(), SourceError> {
        let messages = std::mem::take(&mut *self.flow.mailbox.borrow_mut());
        for message in messages {
            match message {
                Control::Epoch(epoch) => {
                    self.epoch = epoch;
                    if let Some(inputs) = &mut self.flow.inputs {
                        inputs.advance_to(epoch);
                    }
                }
                Control::Assign(all) => self.assign(all)?,
                Control::Freed(partition, room) => self.taken.free(partition, room),
            }
        }
        Ok(())
    }

    fn assign(&mut self, all: Vec<Assignment>) -> Result<(), SourceError> {
        let Some(inputs) = &mut self.flow.inputs else { return Ok(()) };
        self.shared.monitor.enter(Phase::Running);
        if let Some(peers) = &self.shared.peers {
            peers.running();
        }
        // Of all partitions: a worker without any waits for those that are added.
        self.is_bounded = all.iter().all(|assignment| assignment.until.is_some());
        let (index, peers) = self.place;
        let is_mine = |assignment: &Assignment| assignment.partition as usize % peers == index;
        let mine: Vec<_> = all.into_iter().filter(is_mine).collect();
        self.shared.monitor.assigned(mine.iter().map(|assignment| assignment.partition));
        for assignment in &mine {
            self.source.assign(assignment)?;
            self.taken.set(assignment.partition, assignment.letters);
            // Where reading starts is stored before the first record: `--from latest` would else
            // mean another place after a crash.
            let (partition, position) = progress::assigned(assignment);
            inputs.progress.update(partition, position);
            if let Some(anchor) = assignment.anchor {
                self.anchors.begin(partition, anchor);
            }
        }
        inputs.flush();
        self.assigned.get_or_insert_default().extend(mine);
        Ok(())
    }

    /// Whether the topic has an end, and all partitions of this worker were read up to theirs.
    fn is_finished(&self) -> bool {
        self.assigned.is_some() && self.is_bounded && self.source.is_finished()
    }

    /// Reads as many records as there are and credit allows, at the current epoch.
    fn poll(&mut self) -> Result<u64, SourceError> {
        let room = self.outstanding.room(self.shared.config.credit);
        let (Some(inputs), Some(assigned)) = (&mut self.flow.inputs, &self.assigned) else {
            return Ok(0);
        };
        if room == 0 {
            return Ok(0);
        }
        let (settings, decoded) = (self.shared.config.decode, &mut self.decoded);
        let (refusals, anchors) = (&mut self.refusals, &mut self.anchors);
        let (taken, bound) = (&mut self.taken, self.shared.config.dead_letters);
        let mut bytes = 0;
        let limit = usize::try_from(room.min(POLL_RECORDS)).unwrap_or(usize::MAX);
        let records = self.source.poll(limit, &mut |polled| match polled {
            Polled::Record(record) => {
                bytes += record.payload.map_or(0, |payload| payload.len() as u64);
                let entered = enter(inputs, &record, settings, decoded);
                refusals.note(entered.map_err(|letter| bury(inputs, letter, taken, bound)));
            }
            Polled::Reached(reached) => {
                let of = |assignment: &&Assignment| assignment.partition == reached.partition;
                let start = assigned.iter().find(of).map_or(0, |assignment| assignment.start);
                let anchor = anchors.reach(&reached);
                let (partition, position) = progress::reached(start, &reached, anchor);
                inputs.progress.update(partition, position);
            }
        })? as u64;
        if records > 0 {
            inputs.flush();
            self.outstanding.add(self.epoch, records, bytes);
            self.summary.first.get_or_insert_with(Instant::now);
            self.summary.records += records;
            self.summary.bytes += bytes;
            self.shared.monitor.read(records, bytes);
            self.refusals.check(&self.shared.config)?;
        }
        Ok(records)
    }
}

/// A dead letter enters, as a row if there is room. Returns what was found.
fn bury(inputs: &mut Inputs, letter: DeadLetter, taken: &mut Taken, limit: Room) -> Box<str> {
    let (partition, offset, detail) = (letter.partition, letter.offset, letter.detail.clone());
    if taken.take(&letter, limit) {
        inputs.letters.update(letter, 1);
    } else {
        inputs.dropped.update(partition, Dropped { first: offset, last: offset, records: 1 });
    }
    detail
}

/// Decodes one record; it enters as its events, or its dead letter comes back.
/// `decoded` is empty before and after.
fn enter(
    inputs: &mut Inputs,
    record: &Record<'_>,
    settings: decode::Settings,
    decoded: &mut Vec<Event>,
) -> Result<(), DeadLetter> {
    let Record { partition, offset, timestamp_ms, key, payload } = *record;
    let version = Version { tweet_id: 0, record_ms: timestamp_ms, partition, offset };
    match decode::decode(key, payload, version, settings, decoded) {
        Ok(()) => {
            decoded.drain(..).for_each(|event| inputs.events.update(event, 1));
            Ok(())
        }
        Err(fault) => Err(DeadLetter::new(record, &fault)),
    }
}

/// What was read and is not committed, by epoch.
#[derive(Default)]
struct Outstanding {
    epochs: VecDeque<(Epoch, Credit)>,
    records: u64,
    bytes: u64,
}

impl Outstanding {
    fn add(&mut self, epoch: Epoch, records: u64, bytes: u64) {
        self.records += records;
        self.bytes += bytes;
        match self.epochs.back_mut() {
            Some((last, sum)) if *last == epoch => {
                sum.records += records;
                sum.bytes += bytes;
            }
            _ => self.epochs.push_back((epoch, Credit { records, bytes })),
        }
    }

    /// Forgets the epochs that are committed.
    fn settle(&mut self, is_durable: impl Fn(Epoch) -> bool) {
        while let Some((epoch, sum)) = self.epochs.front()
            && is_durable(*epoch)
        {
            self.records -= sum.records;
            self.bytes -= sum.bytes;
            self.epochs.pop_front();
        }
    }

    /// How many more records may be read.
    fn room(&self, credit: Credit) -> u64 {
        if self.bytes >= credit.bytes { 0 } else { credit.records.saturating_sub(self.records) }
    }
}

/// Microseconds since 1970, by this machine's clock.
fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

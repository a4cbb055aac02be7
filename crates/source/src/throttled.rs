//! A topic whose records come at a rate although they are all there: for trials, and for the demo.
//!
//! Rule: a late reader catches up, the schedule does not slip. It begins with the first poll for
//! what counts; what the ledger must read again is not part of it. Each partition has an equal
//! share of the rate. Records that are not due yet stay with the topic. It must know the plan, so
//! it is for the process that makes it.

use crate::{Polled, Source, SourceError, Topic, Wake, Watch};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use types::offsets::{Assignment, PartitionOffsets};
use types::record::StoredRecord;

/// How often a reader that found nothing due is woken.
const WAKE_INTERVAL: Duration = Duration::from_millis(1);

/// A topic and its schedule.
pub struct Throttled {
    topic: Box<dyn Topic>,
    schedule: Arc<Schedule>,
}

/// What all readers and the watch share.
struct Schedule {
    /// Records a second, of all partitions.
    rate: f64,
    began: OnceLock<Instant>,
    /// Where each partition is read on: earlier records are not part of the schedule.
    first: Mutex<BTreeMap<u32, u64>>,
}

impl Schedule {
    /// Records of so many partitions that are due.
    fn due(&self, partitions: usize, now: Instant) -> u64 {
        let began = *self.began.get_or_init(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let since_us = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
            tracing::debug!(since_us, rate = self.rate, "the records come by rate");
            now
        });
        let of = self.first.lock().unwrap_or_else(PoisonError::into_inner).len();
        let share = float(partitions) / float(of.max(1));
        whole(now.saturating_duration_since(began).as_secs_f64() * self.rate * share)
    }

    /// The first offset of each partition that is not due yet.
    fn ends(&self) -> BTreeMap<u32, u64> {
        let due = if self.began.get().is_some() { self.due(1, Instant::now()) } else { 0 };
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.iter().map(|(partition, first)| (*partition, first.saturating_add(due))).collect()
    }
}

fn float(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a whole number of records, of centuries at most"
)]
fn whole(records: f64) -> u64 {
    records as u64
}

impl Throttled {
    /// `topic` at so many records a second.
    pub fn new(topic: Box<dyn Topic>, rate: f64) -> Self {
        let schedule = Schedule { rate, began: OnceLock::new(), first: Mutex::default() };
        Throttled { topic, schedule: Arc::new(schedule) }
    }
}

impl Topic for Throttled {
    fn check(&self) -> Result<(), SourceError> {
        self.topic.check()
    }

    fn keeps(&self, span_ms: u64) -> Result<(), SourceError> {
        self.topic.keeps(span_ms)
    }

    fn plan(&self, stored: &[PartitionOffsets]) -> Result<Vec<Assignment>, SourceError> {
        let plan = self.topic.plan(stored)?;
        let first = plan.iter().map(|assignment| (assignment.partition, assignment.next));
        *self.schedule.first.lock().unwrap_or_else(PoisonError::into_inner) = first.collect();
        Ok(plan)
    }

    fn open(&self, wake: Wake) -> Result<Box<dyn Source>, SourceError> {
        let wake: Arc<dyn Fn() + Send + Sync> = wake.into();
        let when_records_come = Arc::clone(&wake);
        let source = self.topic.open(Box::new(move || when_records_come()))?;
        let (alarm, ending) = channel::<()>();
        // Without it, a worker looks for what is due when it wakes anyway.
        let started = std::thread::Builder::new().name("rate".to_owned()).spawn(move || {
            while ending.recv_timeout(WAKE_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                wake();
            }
        });
        if let Err(error) = started {
            tracing::debug!(%error, "records that are due are looked for ten times a second");
        }
        let (schedule, partitions, released) = (Arc::clone(&self.schedule), 0, 0);
        Ok(Box::new(ThrottledSource { source, schedule, partitions, released, _alarm: alarm }))
    }

    fn watch(&self) -> Result<Box<dyn Watch>, SourceError> {
        let (watch, schedule) = (self.topic.watch()?, Arc::clone(&self.schedule));
        Ok(Box::new(ThrottledWatch { watch, schedule, counts_bytes: self.counts_bytes() }))
    }

    fn counts_bytes(&self) -> bool {
        self.topic.counts_bytes()
    }

    fn set_aside(&self) -> u64 {
        self.topic.set_aside()
    }
}

struct ThrottledSource {
    source: Box<dyn Source>,
    schedule: Arc<Schedule>,
    /// Those that come by the schedule; none before what counts begins.
    partitions: usize,
    /// Records of them that were handed out.
    released: u64,
    /// Its end stops the thread that wakes the reader.
    _alarm: Sender<()>,
}

impl Source for ThrottledSource {
    fn assign(&mut self, assignment: &Assignment) -> Result<(), SourceError> {
        let first = self.schedule.first.lock().unwrap_or_else(PoisonError::into_inner);
        let is_read_again =
            first.get(&assignment.partition).is_some_and(|first| assignment.next < *first);
        self.partitions += usize::from(!is_read_again);
        self.source.assign(assignment)
    }

    fn poll(
        &mut self,
        limit: usize,
        visit: &mut dyn FnMut(Polled<'_>),
    ) -> Result<usize, SourceError> {
        if self.partitions == 0 {
            return self.source.poll(limit, visit);
        }
        let due = self.schedule.due(self.partitions, Instant::now());
        let due = due.saturating_sub(self.released);
        let due = usize::try_from(due).unwrap_or(usize::MAX).min(limit);
        if due == 0 {
            return Ok(0);
        }
        let records = self.source.poll(due, visit)?;
        self.released += records as u64;
        Ok(records)
    }

    fn pause(&mut self, partitions: &BTreeSet<u32>) -> Result<(), SourceError> {
        self.source.pause(partitions)
    }

    fn is_finished(&self) -> bool {
        self.source.is_finished()
    }
}

struct ThrottledWatch {
    watch: Box<dyn Watch>,
    schedule: Arc<Schedule>,
    counts_bytes: bool,
}

impl Watch for ThrottledWatch {
    fn interval(&self) -> Duration {
        self.watch.interval()
    }

    fn added(&mut self, known: &[u32]) -> Result<Vec<Assignment>, SourceError> {
        self.watch.added(known)
    }

    fn compare(&mut self, stored: &PartitionOffsets) -> Result<(), SourceError> {
        self.watch.compare(stored)
    }

    fn record(&mut self, partition: u32, offset: u64) -> Result<Option<StoredRecord>, SourceError> {
        self.watch.record(partition, offset)
    }

    /// What is not due yet is not there yet.
    fn ends(&mut self, partitions: &[u32]) -> Result<BTreeMap<u32, u64>, SourceError> {
        let mut ends = self.watch.ends(partitions)?;
        if !self.counts_bytes {
            for (partition, due) in self.schedule.ends() {
                ends.entry(partition).and_modify(|end| *end = due.min(*end)).or_insert(due);
            }
        }
        Ok(ends)
    }

    fn publish(&mut self, next: &BTreeMap<u32, u64>, wait: Duration) -> Result<bool, SourceError> {
        self.watch.publish(next, wait)
    }
}

#[cfg(test)]
mod tests {
    use super::{Schedule, Throttled};
    use crate::Topic;
    use crate::files::{FilesConfig, FilesTopic};
    use std::collections::BTreeMap;
    use std::sync::{Mutex, OnceLock};
    use std::time::{Duration, Instant};
    use types::offsets::{Assignment, PartitionOffsets};

    #[test]
    fn a_late_reader_catches_up() {
        let first = BTreeMap::from([(0, 7), (1, 7)]);
        let schedule =
            Schedule { rate: 1_000.0, began: OnceLock::new(), first: Mutex::new(first.clone()) };
        assert_eq!(schedule.ends(), first, "nothing is due before the first poll");
        let begin = Instant::now();
        let due = |ms| schedule.due(1, begin + Duration::from_millis(ms));
        assert_eq!([due(0), due(10), due(2_000)], [0, 5, 1_000]);
        assert!(schedule.ends()[&0] < 1_007, "of the time that has passed");
    }

    /// A restart must not wait for what the ledger reads again.
    #[test]
    fn what_was_read_before_does_not_come_by_rate() {
        let place = tempfile::tempdir().expect("room");
        std::fs::write(place.path().join("a.ndjson"), "{}\n".repeat(20)).expect("room");
        let (folder, topic) = (place.path().to_owned(), "t".to_owned());
        let files = FilesTopic::new(FilesConfig { folder, topic, until_end: false });
        let throttled = Throttled::new(Box::new(files), 0.001);
        let partition = throttled.plan(&[]).expect("a folder")[0].partition;
        let stored = PartitionOffsets { next: 30, ..PartitionOffsets::fresh(partition, 0) };
        let plan = throttled.plan(&[stored]).expect("the same").remove(0);
        let mut source = throttled.open(Box::new(|| {})).expect("a folder");
        let mut read = |assignment: &Assignment| {
            source.assign(assignment).expect("it is there");
            (0..50).map(|_| source.poll(100, &mut |_| {}).expect("it reads")).sum::<usize>()
        };
        let again = Assignment { next: 0, until: Some(30), anchor: None, ..plan.clone() };
        assert_eq!(read(&again), 10);
        assert_eq!(read(&plan), 0, "the first record is due in a quarter of an hour");
    }
}

//! Inputs as a topic: every record once, from any offset, and no other input.

use super::InputTopic;
use source::{Polled, Source, SourceError, Topic};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};
use types::offsets::{Assignment, LastRecord, PartitionOffsets};

/// What a reader was handed, and how far it came.
#[derive(Default)]
struct Read {
    records: Vec<(u32, u64, Vec<u8>)>,
    stored: BTreeMap<u32, PartitionOffsets>,
    ends: Vec<(u32, u64)>,
}

impl Read {
    /// Polls until `count` records came, or the topic is read to its end.
    fn poll(&mut self, source: &mut dyn Source, count: usize) -> Result<(), SourceError> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.records.len() < count && !source.is_finished() {
            assert!(Instant::now() < deadline, "only {} records", self.records.len());
            let wanted = (count - self.records.len()).min(7);
            source.poll(wanted, &mut |polled| match polled {
                Polled::Record(record) => {
                    let payload = record.payload.expect("it has one").to_vec();
                    self.records.push((record.partition, record.offset, payload));
                }
                Polled::Reached(reached) => {
                    let (offset, hash) = (reached.offset, reached.hash);
                    let fresh = PartitionOffsets::fresh(reached.partition, 0);
                    let last = Some(LastRecord { offset, ms: 0, hash });
                    let next = offset + 1;
                    let stored = PartitionOffsets { next, replay_from: next, last, ..fresh };
                    self.stored.insert(reached.partition, stored);
                }
                Polled::End { partition, next } => self.ends.push((partition, next)),
            })?;
        }
        Ok(())
    }

    fn stored(&self) -> Vec<PartitionOffsets> {
        self.stored.values().cloned().collect()
    }
}

fn open(topic: &InputTopic, stored: &[PartitionOffsets]) -> Result<Box<dyn Source>, SourceError> {
    let mut source = topic.open(Box::new(|| {}))?;
    for assignment in topic.plan(stored)? {
        source.assign(&assignment)?;
    }
    Ok(source)
}

fn file(path: &Path) -> InputTopic {
    InputTopic::file("t", path.to_owned())
}

/// An array over several lines: a form that has no lines to follow.
fn write(path: &Path, records: std::ops::Range<u64>) {
    let records: Vec<_> = records.map(|id| format!("{{\n\"id\":{id}}}")).collect();
    std::fs::write(path, format!("[{}]", records.join(",\n"))).expect("room");
}

/// Reads in two parts, the second by a new reader.
fn goes_on(topic: impl Fn() -> InputTopic, first: usize, all: usize) {
    let mut parts = Read::default();
    parts.poll(&mut *open(&topic(), &[]).expect("it opens"), first).expect("it reads");
    let stored = parts.stored();
    parts.poll(&mut *open(&topic(), &stored).expect("it opens"), all).expect("it reads");
    let mut whole = Read::default();
    whole.poll(&mut *open(&topic(), &[]).expect("it opens"), 2 * all).expect("it reads");
    let whole: BTreeSet<_> = whole.records.into_iter().collect();
    let places: BTreeSet<_> = parts.records.iter().map(|(at, offset, _)| (*at, *offset)).collect();
    assert_eq!(places.len(), all, "each place once");
    let is_next = |(at, offset): &(u32, u64)| *offset == 0 || places.contains(&(*at, offset - 1));
    assert!(places.iter().all(is_next), "{places:?}");
    assert!(parts.records.iter().all(|record| whole.contains(record)));
}

#[test]
fn reading_goes_on_behind_any_record() {
    let place = tempfile::tempdir().expect("room");
    let path = place.path().join("tweets.json");
    write(&path, 0..300);
    for first in [1, 2, 99, 299] {
        goes_on(|| InputTopic::synthetic("t", 2_000.0), first, 300);
        goes_on(|| file(&path), first, 300);
    }
}

/// As many as a slow rate lets through.
#[test]
fn short_polls_reach_every_partition() {
    let mut source = open(&InputTopic::synthetic("t", 2_000.0), &[]).expect("it opens");
    let mut read = Read::default();
    for count in 1..=40 {
        read.poll(&mut *source, count).expect("it reads");
    }
    let next: Vec<_> = read.stored.values().map(|stored| stored.next).collect();
    assert_eq!(next, [10; 4]);
}

/// As a start of the pipeline does it: first what the ledger must hear again, then what follows.
#[test]
fn what_was_read_is_read_again() {
    let place = tempfile::tempdir().expect("room");
    let path = place.path().join("tweets.json");
    write(&path, 0..50);
    for topic in [InputTopic::synthetic("t", 2_000.0), file(&path)] {
        let mut before = Read::default();
        before.poll(&mut *open(&topic, &[]).expect("it opens"), 40).expect("it reads");
        let mut source = topic.open(Box::new(|| {})).expect("it opens");
        let plan = topic.plan(&before.stored()).expect("the same");
        for planned in &plan {
            let until = Some(planned.next);
            let again = Assignment { next: planned.next - 3, until, ..planned.clone() };
            source.assign(&again).expect("it is there");
        }
        let mut again = Read::default();
        again.poll(&mut *source, usize::MAX).expect("it reads");
        assert_eq!((again.records.len(), again.ends.len()), (3 * plan.len(), plan.len()));
        assert!(again.records.iter().all(|record| before.records.contains(record)));
        for planned in &plan {
            source.assign(planned).expect("it is there");
        }
        let mut further = Read::default();
        further.poll(&mut *source, 8).expect("it reads");
        assert!(further.records.iter().all(|record| !before.records.contains(record)));
        let mut watch = topic.watch().expect("it opens");
        for (partition, offset, payload) in before.records.iter().step_by(9) {
            let found = watch.record(*partition, *offset).expect("it reads").expect("it is there");
            assert_eq!(found.payload.as_ref(), Some(payload));
        }
    }
}

#[test]
fn a_limit_counts_from_where_the_tables_are() {
    let stored = [(0, 10), (1, 7), (3, 9)].map(|(partition, next)| {
        let fresh = PartitionOffsets::fresh(partition, 0);
        PartitionOffsets { next, replay_from: next, ..fresh }
    });
    let topic = InputTopic::synthetic("t", 2_000.0).limited(Some(6));
    let mut read = Read::default();
    read.poll(&mut *open(&topic, &stored).expect("it opens"), usize::MAX).expect("it reads");
    assert_eq!(read.records.len(), 6);
    read.ends.sort_unstable();
    assert_eq!(read.ends, [(0, 12), (1, 9), (2, 1), (3, 10)]);
    assert_eq!(topic.watch().expect("it opens").ends(&[]).expect("known")[&3], 10);
}

/// A file ends where it does, with or without a limit beyond that.
#[test]
fn a_file_ends_where_it_does() {
    let place = tempfile::tempdir().expect("room");
    let path = place.path().join("tweets.json");
    write(&path, 0..5);
    for topic in [file(&path), file(&path).limited(Some(9))] {
        let mut read = Read::default();
        read.poll(&mut *open(&topic, &[]).expect("it opens"), usize::MAX).expect("it reads");
        assert_eq!((read.records.len(), &read.ends[..]), (5, &[(0, 5)][..]));
        assert_eq!(topic.watch().expect("it opens").ends(&[]).expect("known")[&0], 5);
        assert_eq!(topic.watch().expect("it opens").record(0, 5).expect("it reads"), None);
    }
}

#[test]
fn another_input_is_refused() {
    let place = tempfile::tempdir().expect("room");
    let path = place.path().join("tweets.json");
    write(&path, 0..50);
    let mut before = Read::default();
    before.poll(&mut *open(&file(&path), &[]).expect("it opens"), 40).expect("it reads");
    // Longer or shorter, but the record that was read last is another, or is not there.
    for other in [1..90, 0..39, 0..0] {
        write(&path, other.clone());
        let result = open(&file(&path), &before.stored())
            .and_then(|mut source| Read::default().poll(&mut *source, usize::MAX));
        assert!(result.as_ref().is_err_and(SourceError::is_changed), "{other:?}: {result:?}");
    }
    let synthetic = InputTopic::synthetic("t", 2_000.0);
    let result = open(&synthetic, &before.stored())
        .and_then(|mut source| Read::default().poll(&mut *source, 5));
    assert!(result.as_ref().is_err_and(SourceError::is_changed), "{result:?}");
    let mut stored = before.stored();
    stored[0].partition = 1;
    assert!(file(&path).plan(&stored).is_err_and(|error| error.is_changed()), "of made-up ones");
}

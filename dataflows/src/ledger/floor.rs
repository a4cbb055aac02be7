//! Where the floor lies: how long a tweet can be deleted or come a second time.
//!
//! It owns the newest id of each partition and the floor. Exactness does not hang on it: the ledger is
//! exact for any floor that rises. What hangs on it is how much is remembered, and what is late: the
//! floor follows the partition that is furthest behind, else all that is read of it while catching
//! up would be late. A partition that is at its end has nothing to wait for.
//!
//! Ids are Snowflakes, so a span of time is a span of ids. One that claims to be written long after
//! its record was stored is none ([`is_ahead`]); it must be kept from here, for it would raise the
//! floor above all others for ever.

use crate::snowflake::{BELOW_MS, written_ms};
use std::collections::{BTreeMap, BTreeSet};

/// Clocks may differ by so much.
const AHEAD_MS: u64 = 60 * 60 * 1_000;
/// The floor rises by this part of the span: each step is a row written.
const STEPS: u64 = 64;

/// Whether the id was made up: its time is well ahead of its record's. A record without a time (0)
/// tells nothing.
pub fn is_ahead(id: u64, record_ms: u64) -> bool {
    record_ms > 0 && written_ms(id) > record_ms.saturating_add(AHEAD_MS)
}

/// The floor, and what it follows from.
#[derive(Clone, Debug)]
pub struct Policy {
    span: u64,
    floor: u64,
    partitions: BTreeMap<u32, Partition>,
}

#[derive(Clone, Copy, Debug)]
struct Partition {
    newest: u64,
    is_at_end: bool,
}

impl Policy {
    /// Tweets can be deleted for `span_ms`; `floor` is what is stored.
    pub fn new(span_ms: u64, floor: u64) -> Self {
        Policy { span: span_ms << BELOW_MS, floor, partitions: BTreeMap::new() }
    }

    /// Ids by which the floor rises.
    pub fn step(span_ms: u64) -> u64 {
        ((span_ms << BELOW_MS) / STEPS).max(1)
    }

    /// The newest id of what was read of a partition so far, 0 where there is none; and whether all of
    /// it was read. A partition is told before the first one is read.
    pub fn read(&mut self, partition: u32, newest: u64, is_at_end: bool) {
        let held = self.partitions.entry(partition).or_insert(Partition { newest, is_at_end });
        *held = Partition { newest: newest.max(held.newest), is_at_end };
    }

    /// The new floor, if it rises.
    pub fn rise(&mut self) -> Option<u64> {
        let newest = self.partitions.values().map(|partition| partition.newest).max();
        let reached = self.furthest_behind().or(newest)?;
        let step = (self.span / STEPS).max(1);
        let floor = reached.saturating_sub(self.span) / step * step;
        if floor <= self.floor {
            return None;
        }
        self.floor = floor;
        Some(floor)
    }

    /// Whether all partitions are at their end.
    pub fn is_all_read(&self) -> bool {
        self.partitions.values().all(|partition| partition.is_at_end)
    }

    /// The partitions that are to wait for others: the ledger is as wide as they are apart. One that
    /// `waits` already does so for longer, so that it does not start and stop all the time.
    pub fn waiting(&self, waits: &BTreeSet<u32>) -> BTreeSet<u32> {
        let Some(behind) = self.furthest_behind() else { return BTreeSet::new() };
        let must_wait = |(number, partition): &(&u32, &Partition)| {
            let bound = if waits.contains(number) { self.span / 2 } else { self.span };
            partition.newest.saturating_sub(behind) > bound
        };
        self.partitions.iter().filter(must_wait).map(|(number, _)| *number).collect()
    }

    /// The newest id of the partition that has to catch up most.
    fn furthest_behind(&self) -> Option<u64> {
        let open = self.partitions.values().filter(|partition| !partition.is_at_end);
        open.map(|partition| partition.newest).min()
    }
}

#[cfg(test)]
mod tests {
    use super::{BELOW_MS, BTreeSet, Policy, is_ahead, written_ms};

    fn at(ms: u64) -> u64 {
        ms << BELOW_MS
    }

    #[test]
    fn the_floor_follows_who_is_furthest_behind_and_never_falls() {
        let mut policy = Policy::new(6_400, 0);
        assert_eq!(policy.rise(), None, "no partition is known");
        policy.read(0, at(20_000), false);
        policy.read(1, 0, false);
        assert_eq!(policy.rise(), None, "nothing is read of one of them");
        let (nobody, first) = (BTreeSet::new(), BTreeSet::from([0]));
        assert_eq!(policy.waiting(&nobody), first);
        policy.read(1, at(15_077), false);
        assert_eq!(policy.waiting(&nobody), nobody);
        assert_eq!(policy.waiting(&first), first, "it waits until they are half a span apart");
        assert_eq!(policy.rise(), Some(at(8_600)), "in steps of 100 ms");
        policy.read(1, at(15_099), false);
        assert_eq!(policy.rise(), None, "less than a step");
        policy.read(1, at(15_099), true);
        assert_eq!(policy.rise(), Some(at(13_600)), "only the other one is still read");
        policy.read(0, at(20_500), true);
        assert_eq!(policy.rise(), Some(at(14_100)), "all are read: the newest of all");
        policy.read(1, at(16_000), false);
        assert_eq!(policy.rise(), None, "it goes on from further behind");
        assert_eq!(policy.waiting(&nobody), nobody);
    }

    #[test]
    fn a_larger_span_grows_into_it() {
        let mut policy = Policy::new(100, at(1_000));
        policy.read(0, at(1_050), true);
        assert_eq!(policy.rise(), None);
        policy.read(0, at(1_200), true);
        assert_eq!(policy.rise(), Some(at(1_100)));
    }

    #[test]
    fn an_id_ahead_of_its_record_is_none() {
        // A real tweet: 2017-05-11, 20:00 UTC, and a bit.
        let id = 862_755_279_187_214_336;
        let written = written_ms(id);
        assert!((1_494_000_000_000..1_495_000_000_000).contains(&written), "{written}");
        assert!(!is_ahead(id, written) && !is_ahead(id, written - 3_600_000));
        assert!(is_ahead(id, written - 3_600_001) && is_ahead(u64::MAX, written));
        assert!(!is_ahead(u64::MAX, 0), "a record without a time tells nothing");
    }
}

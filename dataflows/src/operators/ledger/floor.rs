//! Where the floor lies: how long a tweet can be deleted or come a second time.
//!
//! It owns how far each partition is, and the floor. Exactness does not depend on it: the ledger is
//! exact for any floor that rises. It decides how much is remembered, and what is late: the floor
//! follows the partition that is furthest behind, else all that is read of it while catching up
//! would be late. A partition that is at its end has nothing to wait for.
//!
//! **Progress.** A partition is as far as its newest tweet whose time is proven ([`types::clock`]).
//! One that has no fresh tweets (notices, tombstones, a backfill of old tweets) is as far as all
//! partitions were in records with timestamps up to its own: the timestamps of records move it,
//! too.
//!
//! **Bounds.** A partition that stands still while it could be read ([`ReachedTimes::is_stalled`])
//! holds neither the floor nor the others, as long as one of the others moves or waits.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use types::clock::id_at;

/// The floor rises by this part of the span: each step is a row written.
const STEPS: u64 = 64;
/// Steps of [`Policy::by_record`]; the oldest go first.
const RECORD_TIMES: usize = 4_096;

/// How far a partition was read; times are milliseconds since 1970, 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachedTimes {
    /// The newest proven time of a tweet.
    pub proven_ms: u64,
    /// The timestamps of its last two records, the smaller one first. One that is wrong by itself
    /// makes no difference: the smaller one says how far the partition is, the greater one how far
    /// others are that come there.
    pub record_ms: (u64, u64),
    /// Whether all of it was read.
    pub is_at_end: bool,
    /// Whether it could be read for a while, and none of its clocks moved.
    pub is_stalled: bool,
}

/// The floor, and what it follows from.
#[derive(Clone, Debug)]
pub struct Policy {
    span_ms: u64,
    floor: u64,
    partitions: BTreeMap<u32, ReachedTimes>,
    /// From a timestamp on, the newest proven time of the records up to it; both rise.
    by_record: BTreeMap<u64, u64>,
}

impl Policy {
    /// Tweets can be deleted for `span_ms`; `floor` is what is stored.
    pub fn new(span_ms: u64, floor: u64) -> Self {
        Policy { span_ms, floor, partitions: BTreeMap::new(), by_record: BTreeMap::new() }
    }

    /// Milliseconds by which the floor rises.
    pub fn step_ms(span_ms: u64) -> u64 {
        (span_ms / STEPS).max(1)
    }

    /// How far a partition was read. A partition is told before the first one is read.
    pub fn read(&mut self, partition: u32, reached: ReachedTimes) {
        let held = self.partitions.entry(partition).or_default();
        let proven_ms = reached.proven_ms.max(held.proven_ms);
        *held = ReachedTimes { proven_ms, ..reached };
        let (_, record_ms) = reached.record_ms;
        if record_ms > 0 {
            self.note(record_ms, proven_ms);
        }
    }

    /// The new floor, if it rises.
    pub fn rise(&mut self) -> Option<u64> {
        let newest = self.partitions.values().map(|reached| self.progress(reached)).max();
        let reached = self.furthest_behind().or(newest)?;
        let step = Self::step_ms(self.span_ms);
        let floor = id_at(reached.saturating_sub(self.span_ms) / step * step);
        if floor <= self.floor {
            return None;
        }
        self.floor = floor;
        Some(floor)
    }

    /// Whether all partitions are at their end.
    pub fn is_all_read(&self) -> bool {
        self.partitions.values().all(|reached| reached.is_at_end)
    }

    /// The partitions that are to wait for others: the ledger is as wide as they are apart. One
    /// that `waits` already does so for longer, so that it does not start and stop all the time.
    pub fn waiting(&self, waits: &BTreeSet<u32>) -> BTreeSet<u32> {
        let Some(behind) = self.furthest_behind() else { return BTreeSet::new() };
        let must_wait = |(number, reached): &(&u32, &ReachedTimes)| {
            let bound = if waits.contains(number) { self.span_ms / 2 } else { self.span_ms };
            self.progress(reached).saturating_sub(behind) > bound
        };
        self.partitions.iter().filter(must_wait).map(|(number, _)| *number).collect()
    }

    /// The partition that others wait for.
    pub fn waited_for(&self) -> Option<u32> {
        self.behind().map(|(_, partition)| partition)
    }

    /// How far the partition is that has to catch up most.
    fn furthest_behind(&self) -> Option<u64> {
        self.behind().map(|(progress, _)| progress)
    }

    fn behind(&self) -> Option<(u64, u32)> {
        let open = || self.partitions.iter().filter(|(_, reached)| !reached.is_at_end);
        let moving = open().filter(|(_, reached)| !reached.is_stalled);
        let progress = |(number, reached): (&u32, &ReachedTimes)| (self.progress(reached), *number);
        moving.map(progress).min().or_else(|| open().map(progress).min())
    }

    fn progress(&self, reached: &ReachedTimes) -> u64 {
        let up_to = self.by_record.range(..=reached.record_ms.0).next_back();
        reached.proven_ms.max(up_to.map_or(0, |(_, proven_ms)| *proven_ms))
    }

    fn note(&mut self, record_ms: u64, proven_ms: u64) {
        let earlier = self.by_record.range(..=record_ms).next_back();
        if earlier.is_some_and(|(_, held)| *held >= proven_ms) {
            return;
        }
        self.by_record.insert(record_ms, proven_ms);
        while let Some((&later, _)) =
            self.by_record.range(record_ms + 1..).next().filter(|(_, held)| **held <= proven_ms)
        {
            self.by_record.remove(&later);
        }
        if self.by_record.len() > RECORD_TIMES {
            self.by_record.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BTreeSet, Policy, ReachedTimes, id_at};

    /// 2026-11-23 09:00:00.
    const NINE: u64 = 1_795_424_400_000;

    fn proven(ms: u64, is_at_end: bool) -> ReachedTimes {
        ReachedTimes { proven_ms: NINE + ms, is_at_end, ..ReachedTimes::default() }
    }

    fn stamped(ms: u64, record_ms: u64) -> ReachedTimes {
        let record_ms = (NINE + record_ms, NINE + record_ms);
        ReachedTimes { proven_ms: NINE + ms, record_ms, ..ReachedTimes::default() }
    }

    fn floor(ms: u64) -> u64 {
        id_at(NINE + ms)
    }

    #[test]
    fn the_floor_follows_who_is_furthest_behind_and_never_falls() {
        let mut policy = Policy::new(6_400, 0);
        assert_eq!(policy.rise(), None, "no partition is known");
        policy.read(0, proven(20_000, false));
        policy.read(1, ReachedTimes::default());
        assert_eq!(policy.rise(), None, "nothing is read of one of them");
        let (nobody, first) = (BTreeSet::new(), BTreeSet::from([0]));
        assert_eq!(policy.waiting(&nobody), first);
        policy.read(1, proven(15_077, false));
        assert_eq!(policy.waiting(&nobody), nobody);
        assert_eq!(policy.waiting(&first), first, "it waits until they are half a span apart");
        assert_eq!(policy.rise(), Some(floor(8_600)), "in steps of 100 ms");
        policy.read(1, proven(15_099, false));
        assert_eq!(policy.rise(), None, "less than a step");
        policy.read(1, proven(15_099, true));
        assert_eq!(policy.rise(), Some(floor(13_600)), "only the other one is still read");
        policy.read(0, proven(20_500, true));
        assert_eq!(policy.rise(), Some(floor(14_100)), "all are read: the newest of all");
        policy.read(1, proven(16_000, false));
        assert_eq!(policy.rise(), None, "it goes on from further behind");
        assert_eq!(policy.waiting(&nobody), nobody);
    }

    #[test]
    fn a_larger_span_grows_into_it() {
        let mut policy = Policy::new(100, id_at(NINE + 1_000));
        policy.read(0, proven(1_050, true));
        assert_eq!(policy.rise(), None);
        policy.read(0, proven(1_200, true));
        assert_eq!(policy.rise(), Some(floor(1_100)));
    }

    #[test]
    fn record_times_move_a_partition_without_fresh_tweets() {
        let nobody = BTreeSet::new();
        let mut policy = Policy::new(6_400, 0);
        // Live tweets, a backfill of old ones, notices alone.
        policy.read(0, stamped(100_000, 100_100));
        policy.read(1, ReachedTimes { proven_ms: NINE - 999_999, ..stamped(0, 100_150) });
        policy.read(2, ReachedTimes { proven_ms: 0, ..stamped(0, 100_200) });
        assert_eq!(policy.waiting(&nobody), nobody);
        assert_eq!(policy.rise(), Some(floor(93_600)));
        // It is no further than the others were at that time.
        policy.read(2, ReachedTimes { proven_ms: 0, ..stamped(0, 100_050) });
        assert_eq!(policy.waiting(&nobody), BTreeSet::from([0, 1]));
    }

    /// Tweets of a day that were loaded in a minute: their timestamps say who is behind, not by how
    /// much.
    #[test]
    fn who_is_behind_in_a_loaded_archive_is_waited_for() {
        let nobody = BTreeSet::new();
        let mut policy = Policy::new(6_400, 0);
        for step in 0..10 {
            policy.read(0, stamped(step * 1_000, 500_000 + step));
        }
        policy.read(1, stamped(1_000, 500_001));
        assert_eq!(policy.waiting(&nobody), BTreeSet::from([0]));
        assert_eq!(policy.rise(), Some(id_at(NINE - 5_400)));
        policy.read(1, stamped(8_000, 500_008));
        assert_eq!(policy.waiting(&nobody), nobody);
        assert_eq!(policy.rise(), Some(floor(1_600)));
    }

    #[test]
    fn one_odd_timestamp_moves_nothing() {
        let mut policy = Policy::new(6_400, 0);
        policy.read(0, stamped(100_000, 100_100));
        policy.read(1, ReachedTimes { record_ms: (NINE, NINE + 900_000), ..stamped(0, 0) });
        assert_eq!(policy.waiting(&BTreeSet::new()), BTreeSet::from([0]));
        policy.read(
            0,
            ReachedTimes { record_ms: (NINE - 900_000, NINE + 100_200), ..stamped(101_000, 0) },
        );
        assert_eq!(policy.waiting(&BTreeSet::new()), BTreeSet::from([0]));
    }

    #[test]
    fn a_partition_that_stands_still_is_not_waited_for() {
        let (nobody, first) = (BTreeSet::new(), BTreeSet::from([0]));
        let mut policy = Policy::new(6_400, 0);
        let still = ReachedTimes { is_stalled: true, ..proven(0, false) };
        policy.read(0, proven(20_000, false));
        policy.read(1, proven(0, false));
        assert_eq!(policy.waiting(&nobody), first);
        assert_eq!(policy.waited_for(), Some(1));
        policy.read(1, still);
        assert_eq!(policy.waiting(&first), nobody);
        assert_eq!(policy.rise(), Some(floor(13_600)));
        // Unless all do: then the topic is away.
        let mut stalled = Policy::new(6_400, 0);
        stalled.read(0, ReachedTimes { is_stalled: true, ..proven(20_000, false) });
        stalled.read(1, still);
        assert_eq!(stalled.rise(), Some(id_at(NINE - 6_400)));
    }

    #[test]
    fn the_times_of_records_are_bounded() {
        let mut policy = Policy::new(6_400, 0);
        for ms in 0..10_000 {
            policy.read(0, stamped(ms, ms));
        }
        assert_eq!(policy.by_record.len(), super::RECORD_TIMES);
    }
}

//! Partitions that wait: they were read so far ahead of another one that the ledger would have to
//! span both. No fault: the wait is bounded, and health checks do not fail for it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Which partitions wait, and for which one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PausedPartitions {
    /// Those that are not read for a while; at least one.
    pub partitions: BTreeSet<u32>,
    /// The one that is furthest behind.
    pub behind: u32,
    since: Instant,
}

impl PausedPartitions {
    /// What follows `before`: the time counts from when the first one began to wait.
    pub(super) fn after(
        before: Option<&PausedPartitions>,
        partitions: &BTreeSet<u32>,
        behind: Option<u32>,
    ) -> Option<Self> {
        let since = before.map_or_else(Instant::now, |before| before.since);
        let behind = behind.filter(|_| !partitions.is_empty())?;
        Some(PausedPartitions { partitions: partitions.clone(), behind, since })
    }

    /// For how long some have waited.
    pub fn lasting(&self) -> Duration {
        self.since.elapsed()
    }
}

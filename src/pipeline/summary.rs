//! What a run did, summed over the workers and the committer, for the last line of a command.

use super::committer::Counters;
use super::worker::WorkerSummary;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a run did.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunSummary {
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
    /// Files that could not be read to their end.
    pub set_aside: u64,
}

impl RunSummary {
    /// Adds a run that followed.
    pub fn add(&mut self, next: &RunSummary) {
        self.records += next.records;
        self.bytes += next.bytes;
        self.elapsed += next.elapsed;
        self.commits += next.commits;
        self.rows += next.rows;
        self.resolved += next.resolved;
        self.set_aside += next.set_aside;
    }
}

/// Adds up what the workers and the committer counted.
pub(super) fn summary(workers: &[WorkerSummary], counters: &Counters) -> RunSummary {
    let first = workers.iter().filter_map(|worker| worker.first).min();
    let last = workers.iter().filter_map(|worker| worker.last).max();
    let elapsed = first.zip(last).map(|(first, last)| last - first);
    RunSummary {
        records: workers.iter().map(|worker| worker.records).sum(),
        bytes: workers.iter().map(|worker| worker.bytes).sum(),
        elapsed: elapsed.unwrap_or_default(),
        commits: counters.commits.load(Ordering::Relaxed),
        rows: counters.rows.load(Ordering::Relaxed),
        resolved: counters.resolved.load(Ordering::Relaxed),
        set_aside: 0,
    }
}

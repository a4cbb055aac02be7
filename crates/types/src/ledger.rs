//! How the ledger is doing; counted by the dataflow, shown by the monitor.

/// How one worker's share of the ledger is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Ids that are remembered.
    pub entries: usize,
    /// Bytes that they take, about.
    pub bytes: usize,
    /// Ids below are not.
    pub floor: u64,
    /// Tweets that were counted and then taken back, in this run.
    pub retractions: u64,
    /// Posts that came below the floor, in this run.
    pub late_posts: u64,
    /// Deletes that came below the floor, in this run.
    pub late_deletes: u64,
}

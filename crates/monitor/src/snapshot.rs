//! What a reader of the monitor sees: all of it as of one moment, as plain data.
//!
//! Owns the sums that are read off a snapshot (lag, totals, readiness); takes no lock and changes
//! nothing.

use crate::{PausedPartitions, Percentiles, Processes, Remembered};
use std::collections::BTreeMap;
use std::time::Duration;
use types::{Row, Table, Text, Value};

/// Where the job is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// The tables are claimed and read.
    #[default]
    Starting,
    /// What the ledger must remember is read again.
    Replaying,
    /// Records are read.
    Running,
    /// No more records are read; the last ones are committed.
    Stopping,
}

/// A table that is shown, with its rows by key.
#[derive(Clone, Debug)]
pub struct ShownTable {
    /// Its declaration.
    pub table: Table,
    /// Its rows.
    pub rows: BTreeMap<Box<[Value]>, Row>,
}

/// What has been committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitTotals {
    /// By this process.
    pub count: u64,
    /// Rows written or deleted by them.
    pub rows: u64,
    /// Rows of the last one.
    pub last_rows: u64,
    /// How long the last one took.
    pub last: Duration,
    /// Number of the last one in the tables.
    pub commit_no: u64,
    /// All records read before this moment are in the tables, microseconds since 1970.
    pub as_of: i64,
    /// Commits whose outcome had to be read.
    pub in_doubt: u64,
}

/// Who does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The database.
    Database,
    /// The topic.
    Topic,
}

/// A partition's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionLag {
    /// Its number.
    pub partition: u32,
    /// The name of its file; empty where it is none.
    pub file: Text,
    /// The first offset that is not counted yet.
    pub next: u64,
    /// Where the topic ends, if it is known.
    pub end: Option<u64>,
}

impl PartitionLag {
    /// What is left, if it is known.
    pub fn lag(&self) -> Option<u64> {
        self.end.map(|end| end.saturating_sub(self.next))
    }
}

/// A snapshot of the whole status.
#[derive(Clone, Debug)]
pub struct StatusSnapshot {
    /// Where the job is in its life.
    pub phase: Phase,
    /// When it began, milliseconds since 1970.
    pub started_ms: i64,
    /// How long ago that is.
    pub running: Duration,
    /// Rows read from the tables at the start.
    pub restored: u64,
    /// What this process has left to read again for the ledger: records, of files bytes.
    pub replay: u64,
    /// The ledger, if there is one.
    pub ledger: Option<Remembered>,
    /// Partitions that wait for another one.
    pub paused: Option<PausedPartitions>,
    /// Records read by this process.
    pub records: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// The same of all processes whose work this one commits.
    pub whole: (u64, u64),
    /// Records read a second, of the whole.
    pub per_second: f64,
    /// By how much less is left each second; negative where the topic grows faster.
    pub gaining: f64,
    /// What has been committed.
    pub commits: CommitTotals,
    /// Time of commits.
    pub commit_ms: Option<Percentiles>,
    /// Time from a record to its commit.
    pub freshness_ms: Option<Percentiles>,
    /// The partitions.
    pub partitions: Vec<PartitionLag>,
    /// Dead letters that stand, by reason.
    pub dead_letters: BTreeMap<Box<str>, u64>,
    /// Records that cannot be counted and have no row in `dead_letters`.
    pub overflow: u64,
    /// Who does not answer, and for how long.
    pub trouble: Option<(Trouble, Duration)>,
    /// The tables that are shown.
    pub tables: Vec<ShownTable>,
    /// The cluster, if there are several processes.
    pub processes: Option<Processes>,
}

impl StatusSnapshot {
    /// What is left of all partitions whose end is known.
    pub fn lag(&self) -> u64 {
        self.partitions.iter().filter_map(PartitionLag::lag).sum()
    }

    /// A number of the table `totals`.
    pub fn total(&self, name: &str) -> u64 {
        let totals = self.tables.iter().find(|shown| shown.table.name == "totals");
        let key = [Value::Text(name.into())];
        let row = totals.and_then(|totals| totals.rows.get(&key[..]));
        row.and_then(|row| row.get(1)?.as_u64()).unwrap_or(0)
    }

    /// A process of the cluster that says nothing, and for how long.
    pub fn silent(&self) -> Option<(usize, Duration)> {
        let processes = self.processes.as_ref().filter(|_| self.phase == Phase::Running)?;
        processes.silent()
    }

    /// Whether records are read and everybody answers.
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Running && self.trouble.is_none() && self.silent().is_none()
    }
}

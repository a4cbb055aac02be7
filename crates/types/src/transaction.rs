//! What one commit changes, and the position that it is made for.

use crate::Row;

/// Who may write, and after which commit. Stored in `tweetflow_commit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Raised by each start; a writer of an older one is a zombie.
    pub generation: u64,
    /// Number of the last commit.
    pub commit_no: u64,
    /// A random number of the process that may write. Databases that were copied or put back have
    /// the same generations and numbers, but not the same writers.
    pub writer: u64,
}

impl Position {
    /// The position after one more commit.
    #[must_use]
    pub fn next(self) -> Self {
        Position { commit_no: self.commit_no + 1, ..self }
    }
}

/// Everything that one commit changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// All records polled before this moment are in the tables; microseconds since 1970, UTC.
    pub as_of: i64,
    /// Per table of `Identity::tables`, by its index.
    pub tables: Vec<TableChanges>,
}

impl Transaction {
    /// Number of rows that it writes or deletes.
    pub fn rows(&self) -> usize {
        self.tables.iter().map(|table| table.deletes.len() + table.upserts.len()).sum()
    }
}

/// The net changes of one table. Keys are unique across both lists, each list rises by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableChanges {
    /// Key columns of rows that are no more.
    pub deletes: Vec<Row>,
    /// Rows as they are now.
    pub upserts: Vec<Row>,
}

//! Where rows go: the trait of all sinks, and what a transaction is.
//!
//! ```text
//! workers ─changes─► gather (worker 0) ─transaction─► committer (its thread) ─► Sink
//!    ▲                    │ holds the capability until…                          │
//!    └── durable probe ◄──┴──────────────── …the transaction is committed ◄──────┘
//! ```
//!
//! Exactly-once rests on three rules that every sink keeps:
//! 1. A transaction is applied whole or not at all, and only onto the position it was made for
//!    (compare-and-set of `generation`, `commit_no` and `writer`).
//! 2. [`Sink::claim`] raises the generation in a committed transaction of its own *before*
//!    anything is read, so that no predecessor can change what [`Sink::snapshot`] reads. All of
//!    it is read in one transaction that begins with that position.
//! 3. [`Sink::position`] waits for every transaction that is still being committed.

mod answers;
pub mod committer;
mod database;
pub(crate) mod ddl;
mod error;
pub mod gather;
pub mod memory;
pub mod mysql;
mod outage;
mod prefix;
mod settings;
pub(crate) mod sql;
pub mod sqlite;
mod stop;

pub use self::answers::{Answers, Question};
pub use self::database::Database;
pub use self::error::SinkError;
pub use self::prefix::{NoPrefix, Prefix};
pub use self::stop::unless_stopped;
use crate::dead_letters::DeadLetter;
use dataflows::{Restored, Row, Table};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

/// Who may write, and after which commit. Stored in `tweetflow_commit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// A number that no other process has.
fn random_writer() -> u64 {
    // The keys of its hash function are random.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.write_i64(jiff::Timestamp::now().as_microsecond());
    hasher.finish()
}

/// What a look at all tables found, beside their rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// The commit as of which all rows were read.
    pub position: Position,
}

/// What the tables mean. A start compares it with what is stored.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The job's name: its row in `tweetflow_commit`.
    pub job: String,
    /// Everything that decides what the rows are, readable, `key=value` pairs with spaces between.
    pub fingerprint: String,
    /// All tables of the job, in the order in which a transaction writes them.
    pub tables: Vec<Table>,
    /// What stands before their names in the database. A place, not a meaning.
    pub prefix: Prefix,
}

/// Everything that one commit changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// All records polled before this moment are in the tables; microseconds since 1970, UTC.
    pub as_of: i64,
    /// Per table of [`Identity::tables`], by its index.
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

/// Which dead letters are meant: those to which everything that is given applies.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chosen<'a> {
    /// Their class.
    pub reason: Option<&'a str>,
    /// Their partition.
    pub partition: Option<u32>,
    /// Their offset.
    pub offset: Option<u64>,
}

impl Chosen<'_> {
    /// Whether this one is meant.
    pub fn includes(&self, letter: &DeadLetter) -> bool {
        self.reason.is_none_or(|reason| *letter.reason == *reason)
            && self.partition.is_none_or(|partition| letter.partition == partition)
            && self.offset.is_none_or(|offset| letter.offset == offset)
    }
}

/// Most rows of one [`Sink::marked`].
pub const MARKED_ROWS: usize = 1000;

/// A set of tables that is changed by whole transactions.
///
/// The committer's thread owns it and runs its futures on one thread.
#[allow(async_fn_in_trait, reason = "only awaited on the committer's thread; need not be Send")]
pub trait Sink: Send + 'static {
    /// Creates what is missing, compares the fingerprint, raises the generation and commits that.
    /// Waits for a predecessor's transaction, a bounded time.
    async fn claim(&mut self, identity: &Identity) -> Result<Position, SinkError>;

    /// When the database last answered. The same for as long as the sink lives.
    fn answers(&self) -> Arc<Answers>;

    /// Begins the one transaction in which everything is restored. It finds the position at `at`,
    /// and no other process can change it until [`Sink::end_restore`].
    async fn begin_restore(&mut self, at: Position) -> Result<(), SinkError>;

    /// Hands every stored row of table number `table` to `visit`, in batches. Only between
    /// [`Sink::begin_restore`] and [`Sink::end_restore`].
    async fn snapshot(
        &mut self,
        table: u8,
        visit: &mut dyn FnMut(Vec<Restored>),
    ) -> Result<(), SinkError>;

    /// Ends that transaction.
    async fn end_restore(&mut self) -> Result<(), SinkError>;

    /// Tries to apply `transaction` on top of `at`, once. An error says nothing about whether it
    /// was applied: ask [`Sink::position`].
    async fn commit(&mut self, at: Position, transaction: &Transaction) -> Result<(), SinkError>;

    /// At most [`MARKED_ROWS`] rows of table number `table` whose `column` is 1, in the order of
    /// their keys.
    async fn marked(&mut self, table: u8, column: usize) -> Result<Vec<Row>, SinkError>;

    /// The stored position, once no transaction can change it any more, on a new connection.
    async fn position(&mut self) -> Result<Position, SinkError>;

    /// Hands every row of every table of `identity` to `visit`, all as of one commit, beside the
    /// job that writes them. Needs no claim, and locks nothing.
    async fn inspect(
        &self,
        identity: &Identity,
        visit: &mut dyn FnMut(Vec<Restored>),
    ) -> Result<Inspected, SinkError>;
}

//! Where rows go: the trait of all sinks, and what a transaction is.
//!
//! Exactly-once rests on three rules that every sink keeps:
//! 1. A transaction is applied whole or not at all, and only onto the position it was made for
//!    (compare-and-set of `generation`, `commit_no` and `writer`).
//! 2. [`Sink::claim`] raises the generation in a committed transaction of its own *before*
//!    anything is read, so that no predecessor can change what [`Sink::snapshot`] reads. All of
//!    it is read in one transaction that begins with that position.
//! 3. [`Sink::position`] waits for every transaction that is still being committed.

mod database;
pub mod ddl;
mod error;
mod fingerprint;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod memory;
pub mod mysql;
pub(crate) mod sql;
pub mod sqlite;
mod stop;

pub use self::database::Database;
pub use self::error::SinkError;
pub use self::stop::{Stop, unless_stopped};
use backon::BackoffBuilder;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use types::answers::Answers;
use types::prefix::Prefix;
use types::transaction::{Position, Transaction};
use types::{Restored, Row, Table};

/// A number that no other process has.
fn random_writer() -> u64 {
    // The keys of its hash function are random.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.write_i64(jiff::Timestamp::now().as_microsecond());
    hasher.finish()
}

/// Delays between attempts: from 50 ms to 5 s, each a little random, without an end.
pub fn back_off() -> impl Iterator<Item = Duration> {
    backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(5))
        .with_jitter()
        .without_max_times()
        .build()
}

/// What a look at all tables found, beside their rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsistentRead {
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
    /// All tables that a job of this program may have.
    pub known: Vec<Table>,
    /// What stands before their names in the database. A place, not a meaning.
    pub prefix: Prefix,
}

/// Most rows of one [`Sink::flagged`].
pub const MAX_FLAGGED_ROWS: usize = 1000;

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

    /// At most [`MAX_FLAGGED_ROWS`] rows of table number `table` whose `column` is 1, in the order
    /// of their keys.
    async fn flagged(&mut self, table: u8, column: usize) -> Result<Vec<Row>, SinkError>;

    /// The stored position, once no transaction can change it any more, on a new connection.
    async fn position(&mut self) -> Result<Position, SinkError>;

    /// Hands every row of every table of `identity` to `visit`, all as of one commit, beside the
    /// job that writes them. Needs no claim, and locks nothing.
    async fn inspect(
        &self,
        identity: &Identity,
        visit: &mut dyn FnMut(Vec<Restored>),
    ) -> Result<ConsistentRead, SinkError>;
}

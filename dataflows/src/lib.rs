//! The tables of tweetflow as pure functions of the tweets.
//!
//! ```text
//! events ──► shared ──► posts ──► hashtags ──► changes ─┬──► (table, change) of every epoch
//! rows   ──► shared       │          └► top ──► changes ─┤
//!               │         ├─────► totals   ──► changes ─┤
//!               │         └─────► by minute ─► changes ─┤
//!               │            ┌──►    └► within ─► top ──┤
//!               ├───────► floors   ──► changes ─────────┤
//!               └───────────────► users    ──► changes ─┤
//!                                    └► top ──► changes ─┘
//! ```
//!
//! Each table is one file: a declaration (`TABLE`) and a function (`build`) from the collection of
//! events and its own restored rows to its changes. [`ALL`] lists them; what is not listed does not
//! exist. To add a table: one file, one line in the list, its model in `tests/oracle.rs`, a line in
//! the changelog.
//!
//! This crate does no I/O: it knows neither Kafka nor MySQL, no files, no clocks.

pub mod changes;
pub mod counted;
pub mod floors;
pub mod hashtags;
pub mod hashtags_by_minute;
mod inputs;
pub mod latest;
pub mod ledger;
pub mod posts;
pub mod settings;
pub mod shared;
pub mod table;
pub mod top;
pub mod top_hashtags;
pub mod top_users;
pub mod totals;
pub mod trending;
pub mod tweet;
pub mod users;
pub mod value;
pub mod within;

pub use changes::Changes;
pub use inputs::Inputs;
pub use posts::Ledger;
pub use settings::Settings;
pub use shared::{Events, Rows, Shared};
pub use table::Table;
pub use tweet::Event;
pub use value::{Change, Row, Value};

use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::operators::Concatenate;
use timely::dataflow::operators::vec::Map;

/// Logical time: a counter within one run. It is never stored.
pub type Epoch = u64;

/// The epoch at which restored rows enter; new records enter at later ones.
pub const RESTORED: Epoch = 0;

/// A row that a restart read from the database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Restored {
    /// Its table, as an index into the list of tables.
    pub table: u8,
    /// Its values.
    pub row: Row,
}

/// A table and the function that maintains it.
#[derive(Clone, Copy)]
pub struct Definition {
    /// The declaration.
    pub table: Table,
    /// The rows as a function of the events.
    pub build: for<'a, 'scope> fn(&'a Inputs<'scope>, &'a Rows<'scope>) -> Changes<'scope>,
}

/// Every table, in the order in which a transaction writes them.
pub const ALL: &[Definition] = &[
    Definition { table: hashtags::TABLE, build: hashtags::build },
    Definition { table: users::TABLE, build: users::build },
    Definition { table: totals::TABLE, build: totals::build },
    Definition { table: floors::TABLE, build: floors::build },
    Definition { table: hashtags_by_minute::TABLE, build: hashtags_by_minute::build },
    Definition { table: top_hashtags::TABLE, build: top_hashtags::build },
    Definition { table: top_users::TABLE, build: top_users::build },
    Definition { table: trending::TABLE, build: trending::build },
];

/// One change of one table at one epoch.
pub type TableChange = (u8, Change, Epoch);

/// The changes of all tables of [`ALL`], numbered by their place in it. Without a ledger each tweet
/// counts as often as it was read, and deletes are only counted.
pub fn build<'scope>(
    events: &Events<'scope>,
    rows: &Shared<'scope, Restored>,
    settings: Settings,
    ledger: Option<Ledger<'scope>>,
) -> StreamVec<'scope, Epoch, TableChange> {
    let scope = events.scope();
    let inputs = Inputs::new(events.clone(), rows.clone(), settings, ledger);
    let tables = (0_u8..).zip(ALL).map(|(index, definition)| {
        let changes = (definition.build)(&inputs, &Rows::new(rows, index));
        numbered(index, changes)
    });
    scope.concatenate(tables)
}

/// The changes of table number `index`.
pub fn numbered(index: u8, changes: Changes<'_>) -> StreamVec<'_, Epoch, TableChange> {
    changes.map(move |(change, epoch)| (index, change, epoch))
}

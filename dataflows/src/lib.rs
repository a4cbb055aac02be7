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
pub mod clock;
pub mod counted;
pub mod floors;
pub mod friends_histogram;
pub mod hashtag_pairs;
pub mod hashtags;
pub mod hashtags_by_minute;
pub mod hashtags_folded;
mod inputs;
pub mod latest;
pub mod ledger;
pub mod posts;
pub mod settings;
pub mod shared;
pub mod snowflake;
mod stash;
pub mod table;
pub mod top;
pub mod top_hashtag_pairs;
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
pub use shared::{Events, RestoredRows, Rows, Shared, Unreadable};
pub use table::Table;
pub use tweet::Event;
pub use value::{Change, Row, Text, Value};

use serde::{Deserialize, Serialize};
use timely::dataflow::operators::Concatenate;

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

/// What hashtags fall together: those that it makes the same text of, which can be a key. A pure text
/// rule, handed in by the program.
pub type Fold = fn(&str) -> Text;

/// Whether a job has a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Each job has it.
    Always,
    /// Unless it is switched off.
    On,
    /// Only if it is switched on.
    Off,
}

/// A table and the function that maintains it.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// The declaration.
    pub table: Table,
    /// The rows as a function of the events.
    pub build: for<'a, 'scope> fn(&'a Inputs<'scope>, &'a Rows<'scope>) -> Changes<'scope>,
    /// Whether a job has it.
    pub switch: Switch,
    /// The table from whose rows its state is restored, where not each job has that one.
    pub needs: Option<&'static str>,
}

macro_rules! definition {
    ($name:ident, $switch:ident) => {
        definition!($name, $switch, None)
    };
    ($name:ident, $switch:ident, needs $needs:ident) => {
        definition!($name, $switch, Some($needs::TABLE.name))
    };
    ($name:ident, $switch:ident, $needs:expr) => {
        Definition {
            table: $name::TABLE,
            build: $name::build,
            switch: Switch::$switch,
            needs: $needs,
        }
    };
}

/// Every table, in the order in which a transaction writes them. A job has some of them; what is not
/// built costs nothing.
pub const ALL: &[Definition] = &[
    definition!(hashtags, Always),
    definition!(users, Always),
    definition!(totals, Always),
    definition!(floors, Always),
    definition!(hashtags_by_minute, On),
    definition!(top_hashtags, On),
    definition!(top_users, On),
    definition!(trending, On, needs hashtags_by_minute),
    definition!(friends_histogram, On),
    definition!(hashtags_folded, On),
    definition!(hashtag_pairs, Off),
    definition!(top_hashtag_pairs, Off, needs hashtag_pairs),
];

/// One change of the table of that number at one epoch.
pub type TableChange = (u8, Change, Epoch);

/// What the tables are functions of.
pub struct Sources<'scope> {
    /// What was read.
    pub events: Events<'scope>,
    /// The same of records that are read out of their order.
    pub retried: Events<'scope>,
    /// At [`RESTORED`]: the rows that a restart found.
    pub rows: RestoredRows<'scope>,
    /// Floors that are the program's to raise.
    pub said: floors::Said<'scope>,
    /// Without one each tweet counts as often as it was read, and deletes are only counted.
    pub ledger: Option<Ledger<'scope>>,
}

/// The changes of `tables`, some of [`ALL`] in that order, numbered by their place among them, and of `others`,
/// which have numbers of their own.
pub fn build<'scope>(
    tables: &[Definition],
    functions: (Settings, Fold),
    sources: Sources<'scope>,
    others: impl IntoIterator<Item = Changes<'scope>>,
) -> Changes<'scope> {
    let (scope, rows) = (sources.events.scope(), sources.rows.clone());
    let inputs = Inputs::new(tables, functions, sources);
    let tables = (0_u8..)
        .zip(tables)
        .map(|(index, definition)| (definition.build)(&inputs, &Rows::new(&rows, index)));
    scope.concatenate(tables.chain(others))
}

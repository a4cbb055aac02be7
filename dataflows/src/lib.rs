//! The tables of tweetflow as pure functions of the tweets.
//!
//! ```text
//! events ──► shared ─► live tweets ► hashtags ► changes ─┬──► (table, change) of every epoch
//! rows   ──► shared       │          └► top ──► changes ─┤
//!               │         ├─────► totals   ──► changes ─┤
//!               │         └─────► by minute ─► changes ─┤
//!               │            ┌──►    └► windowed ► top ──┤
//!               ├───────► floors   ──► changes ─────────┤
//!               └───────────────► users    ──► changes ─┤
//!                                    └► top ──► changes ─┘
//! ```
//!
//! Each table is one file: a declaration (`TABLE`) and a function (`build`) from the collection of
//! events and its own restored rows to its changes. [`ALL`] lists them; what is not listed does not
//! exist. CONTRIBUTING.md says how a table is added.
//!
//! This crate does no I/O: it knows neither Kafka nor MySQL, no files, no clocks.

pub mod catalogue;
mod inputs;
pub mod live_tweets;
pub mod operators;
pub mod tables;

pub use catalogue::{ALL, Definition, Switch};
pub use inputs::Inputs;
pub use live_tweets::LedgerInputs;
pub use operators::changes::Changes;
pub use operators::shared::{Events, RestoredRows, Rows, Shared, Unreadable};

use tables::floors;
use timely::dataflow::operators::Concatenate;
use types::settings::TableSettings;
use types::{Change, Text};

/// Logical time: a counter within one run. It is never stored.
pub type Epoch = u64;

/// The epoch at which restored rows enter; new records enter at later ones.
pub const RESTORED: Epoch = 0;

/// What hashtags fall together: those that it makes the same text of, which can be a key. A pure
/// text rule, handed in by the program.
pub type Fold = fn(&str) -> Text;

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
    pub system_updates: floors::SystemUpdates<'scope>,
    /// Without one each tweet counts as often as it was read, and deletes are only counted.
    pub ledger: Option<LedgerInputs<'scope>>,
}

/// The changes of `tables`, some of [`ALL`] in that order, numbered by their place among them, and
/// of `others`, which have numbers of their own.
pub fn build<'scope>(
    tables: &[Definition],
    functions: (TableSettings, Fold),
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

//! The plain data that the layers hand to each other.
//!
//! | module | owns |
//! |---|---|
//! | [`event`] | what a record becomes: tweets, users, deletes |
//! | [`version`], [`clock`], [`snowflake`] | which statement is newer; the clocks of a record |
//! | [`value`], [`table`], [`prefix`] | rows, declarations of tables, what their names begin with |
//! | [`settings`] | what an operator chooses for a crate below: tables, decoding, a cluster |
//! | [`record`], [`offsets`] | records as they are read; how far a partition is counted |
//! | [`dead_letter`] | records that could not be counted, and their quota |
//! | [`transaction`], [`answers`] | what a commit changes; when the database last answered |
//! | [`ledger`], [`traffic`], [`outcome`] | figures that one layer counts and another shows |
//! | [`fault`] | what all errors have in common |
//!
//! This crate does no I/O and depends on no other crate of the workspace.

pub mod answers;
pub mod clock;
pub mod dead_letter;
pub mod event;
pub mod fault;
pub mod late;
pub mod ledger;
pub mod offsets;
pub mod outcome;
pub mod prefix;
pub mod record;
pub mod settings;
pub mod snowflake;
pub mod table;
pub mod traffic;
pub mod transaction;
pub mod value;
pub mod version;

pub use event::Event;
pub use table::Table;
pub use value::{Change, Restored, Row, Text, Value};
pub use version::Version;

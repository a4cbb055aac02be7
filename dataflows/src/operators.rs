//! Operators that know no table: each is one file, usable by any.

pub mod changes;
pub mod counted;
pub mod latest;
pub mod ledger;
pub mod shared;
pub(crate) mod stash;
pub mod top;
pub mod within;

//! Operators that know no table: each is one file, usable by any.

pub mod changes;
pub mod counted;
pub(crate) mod epoch_buffer;
pub mod latest;
pub mod ledger;
pub mod shared;
pub mod top;
pub mod windowed_sums;

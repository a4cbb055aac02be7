//! The part of a partition that is read, and what is done with its records.

use super::VerifyError;
use types::offsets::Anchor;
use types::record::Record;

/// The part of a partition to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Its number.
    pub partition: u32,
    /// The first offset.
    pub start: u64,
    /// The first offset behind it.
    pub next: u64,
    /// The last record that was counted: by it a packed file is known while it is read.
    pub last: Option<Anchor>,
}

/// What is done with each record: it, and its fingerprint.
pub type Visit<'a> = dyn FnMut(Record<'_>, u64) -> Result<(), VerifyError> + 'a;

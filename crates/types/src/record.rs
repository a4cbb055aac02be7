//! Records as a source hands them out, before anything is decoded.

use serde::{Deserialize, Serialize};

/// One record, borrowed from the source until it is decoded.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
    /// Its timestamp, milliseconds since 1970; 0 where it has none.
    pub timestamp_ms: u64,
    /// Its key, where it has one.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` = tombstone.
    pub payload: Option<&'a [u8]>,
}

/// A record that was read by its place, owned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRecord {
    /// Its timestamp, milliseconds since 1970; 0 where it has none.
    pub timestamp_ms: u64,
    /// Its value; `None` = tombstone.
    pub payload: Option<Vec<u8>>,
}

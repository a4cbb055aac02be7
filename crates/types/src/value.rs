//! Values and rows: what a table holds, before any database is thought of.
//!
//! A row is its key columns first, then the others, in the order of the table's declaration. This
//! module knows no SQL and no text encoding; a sink writes and reads these values its own way.

use ecow::EcoString;
use serde::{Deserialize, Serialize};

/// Text of rows and tweets: short ones need no memory of their own, long ones share theirs with
/// their copies. A name is copied half a dozen times on its way from a tweet to the database.
pub type Text = EcoString;

/// One column of one row.
///
/// The order is that of the table's key: numbers by size, text and bytes by their bytes, which is
/// also how `utf8mb4_bin` sorts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Value {
    /// Unknown. Never part of a key.
    Null,
    /// A signed number.
    Int(i64),
    /// An unsigned number; ids and counts.
    UInt(u64),
    /// Text, valid UTF-8 by type.
    Text(Text),
    /// A moment, milliseconds since 1970, UTC.
    Timestamp(i64),
    /// Bytes as they came, for records that are not valid text.
    Bytes(Box<[u8]>),
}

impl Value {
    /// An optional number, `Null` where there is none.
    pub fn optional(number: Option<i64>) -> Self {
        number.map_or(Value::Null, Value::Int)
    }

    /// How many there are: an unsigned number. What cannot be, less than none, stays visible: a
    /// sink refuses a signed number in an unsigned column.
    pub fn count(count: i64) -> Self {
        u64::try_from(count).map_or(Value::Int(count), Value::UInt)
    }

    /// The number of an unsigned column.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Value::UInt(number) => Some(*number),
            Value::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The number of a signed column; `None` for NULL and everything that is no number.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            Value::UInt(number) => i64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The text of a text column.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The values of one row, key columns first.
pub type Row = Box<[Value]>;

/// What a commit does to one key of one table.
///
/// The derived order puts a delete before an upsert of the same key;
/// `dataflows::operators::changes` relies on it: where both stand at one epoch, the upsert is the
/// newer one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Change {
    /// The key has no row any more. Holds the key columns only.
    Delete(Row),
    /// The key's row is now this one.
    Upsert(Row),
}

impl Change {
    /// The key columns, `width` of them.
    pub fn key(&self, width: usize) -> &[Value] {
        match self {
            Change::Delete(row) | Change::Upsert(row) => &row[..width],
        }
    }
}

/// A row that a restart read from the database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Restored {
    /// Its table, as an index into the list of tables.
    pub table: u8,
    /// Its values.
    pub row: Row,
}

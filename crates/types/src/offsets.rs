//! How far a partition is counted, and where it is read on.

use crate::dead_letter::Quota;
use crate::late::LateRow;
use crate::{Row, Text, Value};
use serde::{Deserialize, Serialize};

/// The table that says it.
pub const TABLE_NAME: &str = "kafka_offsets";

/// The last record read, so that a restart can tell whether the topic is still the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LastRecord {
    /// Its offset.
    pub offset: u64,
    /// Its timestamp, milliseconds since 1970.
    pub ms: u64,
    /// Its fingerprint.
    pub hash: u64,
}

/// A record by which a topic is known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Anchor {
    /// Its offset.
    pub offset: u64,
    /// Its fingerprint.
    pub hash: u64,
}

impl LastRecord {
    /// This record as an anchor.
    pub fn anchor(self) -> Anchor {
        Anchor { offset: self.offset, hash: self.hash }
    }
}

/// A row of `kafka_offsets` as a start needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionOffsets {
    /// The partition.
    pub partition: u32,
    /// The first offset that counts.
    pub start: u64,
    /// The offset to read next.
    pub next: u64,
    /// From where on a restart reads again what the ledger must remember.
    pub replay_from: u64,
    /// The last record read, where there was one.
    pub last: Option<LastRecord>,
    /// A record read long before that one.
    pub anchor: Option<Anchor>,
    /// The name of its file; empty where it is none.
    pub file: Text,
}

impl PartitionOffsets {
    /// A partition of which nothing was read.
    pub fn fresh(partition: u32, start: u64) -> Self {
        let (last, anchor, file) = (None, None, Text::new());
        PartitionOffsets { partition, start, next: start, replay_from: start, last, anchor, file }
    }

    /// What people call it: the file's name, or the number.
    pub fn location(&self) -> String {
        location(self.partition, &self.file)
    }

    /// The meaning of a row; `None` for one that `kafka_offsets` cannot hold. The topic is part of
    /// the job's fingerprint and is not looked at here.
    pub fn of(row: &Row) -> Option<Self> {
        let number = |column: usize| row.get(column)?.as_u64();
        let last = match (row.get(5)?, row.get(6)?, row.get(7)?) {
            (Value::Null, Value::Null, Value::Null) => None,
            (offset, ms, hash) => Some(LastRecord {
                offset: offset.as_i64()?.cast_unsigned(),
                ms: ms.as_i64()?.cast_unsigned(),
                hash: hash.as_i64()?.cast_unsigned(),
            }),
        };
        let anchor = match (row.get(8)?, row.get(9)?) {
            (Value::Null, Value::Null) => None,
            (offset, hash) => Some(Anchor {
                offset: offset.as_i64()?.cast_unsigned(),
                hash: hash.as_i64()?.cast_unsigned(),
            }),
        };
        let partition = u32::try_from(number(1)?).ok()?;
        let (start, next, replay_from) = (number(2)?, number(3)?, number(4)?);
        let file = row.get(10)?.as_text()?.into();
        Some(PartitionOffsets { partition, start, next, replay_from, last, anchor, file })
    }
}

/// What people call a partition: the name of its file where it has one, else its number.
pub fn location(partition: u32, file: &str) -> String {
    if file.is_empty() { format!("partition {partition}") } else { file.to_owned() }
}

/// A partition and where to read it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Assignment {
    /// Its number.
    pub partition: u32,
    /// The first offset that the tables count.
    pub start: u64,
    /// The offset to read next.
    pub next: u64,
    /// The offset from which on the ledger must hear again of what is counted; at most `next`.
    pub replay_from: u64,
    /// The offset at which to stop; `None` = read on for ever.
    pub until: Option<u64>,
    /// The last record that was read.
    pub last: Option<LastRecord>,
    /// The stored anchor, a record before `next`; else the last one.
    pub anchor: Option<Anchor>,
    /// The room that its dead letters take.
    pub dead_letters: Quota,
    /// Its rows of `late_acts`, in the order of their offsets; not those of changes.
    pub late_acts: Vec<LateRow>,
    /// The name of its file; empty where it is none.
    pub file: Text,
}

impl Assignment {
    /// A partition of which nothing was read, to its end and beyond.
    pub fn fresh(partition: u32, start: u64) -> Self {
        let (next, replay_from, letters) = (start, start, Quota::default());
        let (until, last, anchor, file) = (None, None, None, Text::new());
        Assignment {
            partition,
            start,
            next,
            replay_from,
            until,
            last,
            anchor,
            dead_letters: letters,
            late_acts: Vec::new(),
            file,
        }
    }
}

/// How far one call of a poll came in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolledUpTo {
    /// The partition.
    pub partition: u32,
    /// Offset of the last record that was handed out.
    pub offset: u64,
    /// That record's timestamp.
    pub timestamp_ms: u64,
    /// That record's `fingerprint`.
    pub hash: u64,
}

//! `dead_letters`: records that could not be counted, each with its place and the reason.
//!
//! They are written in the transaction that moves the offset past them, so that every record is
//! either counted or stands here. A stateless table: a record is met once.

use dataflows::changes::{Changes, changes};
use dataflows::table::{Column, Kind, Restore, Table};
use dataflows::{Epoch, Row, Value};
use differential_dataflow::VecCollection;
use serde::{Deserialize, Serialize};

/// Bytes of a record that are kept.
pub const SAMPLE_BYTES: usize = 512;

/// The declaration.
pub const TABLE: Table = Table {
    name: "dead_letters",
    comment: "records that were not counted, and why",
    columns: &[
        Column::new("topic", Kind::Text(249), "the topic"),
        Column::new("partition_id", Kind::Unsigned, "the record's partition"),
        Column::new("offset", Kind::Unsigned, "the record's offset"),
        Column::new("at", Kind::Moment, "the record's timestamp, UTC"),
        Column::new("reason", Kind::Text(32), "class of the fault"),
        Column::new("detail", Kind::Text(255), "what was found"),
        Column::new("sample", Kind::Bytes(512), "the record's first bytes"),
    ],
    key: 3,
    restore: Restore::Stateless,
    version: 1,
};

/// A record that could not be counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
    /// Its timestamp, milliseconds since 1970.
    pub ms: u64,
    /// Class of the fault.
    pub reason: Box<str>,
    /// What was found, at most 255 characters.
    pub detail: Box<str>,
    /// Its first bytes.
    pub sample: Box<[u8]>,
}

/// The rows as a function of the letters.
pub fn build<'scope>(
    topic: &str,
    letters: VecCollection<'scope, Epoch, DeadLetter, isize>,
) -> Changes<'scope> {
    let topic: Box<str> = topic.into();
    let keyed = letters.map(|letter| ((letter.partition, letter.offset), letter));
    changes(keyed, &TABLE, move |_, letter| row(&topic, letter))
}

/// Partition and offset of the record that a row is of; `None` for a row that the table cannot hold.
pub fn place(row: &Row) -> Option<(u32, u64)> {
    Some((u32::try_from(row.get(1)?.as_u64()?).ok()?, row.get(2)?.as_u64()?))
}

fn row(topic: &str, letter: &DeadLetter) -> Row {
    Box::new([
        Value::Text(topic.into()),
        Value::UInt(u64::from(letter.partition)),
        Value::UInt(letter.offset),
        Value::Moment(letter.ms.cast_signed()),
        Value::Text(letter.reason.clone()),
        Value::Text(letter.detail.clone()),
        Value::Bytes(letter.sample.clone()),
    ])
}

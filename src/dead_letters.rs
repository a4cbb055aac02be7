//! `dead_letters`: records that could not be counted, each with its place and the reason.
//!
//! They are written in the transaction that moves the offset past them, so that every record is
//! either counted or stands here, or in [`overflow`] where there is no room. A stateless table: a
//! record is met once.
//!
//! Whoever wants a record tried again sets `retry` of its row to 1 (`tweetflow dead-letters retry`).
//! The running job reads marked records again from the topic; one that can be counted now is counted
//! in the transaction that deletes its row, one that cannot gets its row anew, without the mark. So
//! a record counts exactly while no dead letter of it stands, whenever the job dies.

pub mod overflow;

use crate::decode::Undecodable;
use crate::source::Record;
use dataflows::changes::{Changes, changes};
use dataflows::table::{Column, Kind, Panel, Restore, Table};
use dataflows::{Epoch, Row, Shared, Text, Value};
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
        Column::new("at", Kind::Moment, "the record's timestamp, UTC; 1970-01-01 = it has none"),
        Column::new("reason", Kind::Text(32), "class of the fault"),
        Column::new("detail", Kind::Text(255), "what was found"),
        Column::new("sample", Kind::Bytes(512), "the record's first bytes"),
        Column::new("retry", Kind::Mark, "1 = the running job is to try it again"),
        Column::new("file", Kind::Text(255), "of --files, the name of the file; else empty"),
    ],
    key: 3,
    restore: Restore::Stateless,
    panel: Panel::None,
    version: 3,
};

/// Place of the column `retry`.
pub const RETRY: usize = 7;

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
    pub reason: Text,
    /// What was found, at most 255 characters.
    pub detail: Text,
    /// Its first bytes.
    pub sample: Box<[u8]>,
    /// The name of its file; empty where it is none.
    pub file: Text,
}

impl DeadLetter {
    /// The letter of a record that decode has refused.
    pub fn new(record: &Record<'_>, fault: &Undecodable) -> Self {
        let payload = record.payload.unwrap_or_default();
        DeadLetter {
            partition: record.partition,
            offset: record.offset,
            ms: record.timestamp_ms,
            reason: fault.reason().into(),
            detail: fault.to_string().chars().take(255).collect::<String>().into(),
            sample: payload[..payload.len().min(SAMPLE_BYTES)].into(),
            file: Text::new(),
        }
    }

    /// The letter that a row is of; `None` for a row that the table cannot hold.
    pub fn of(row: &Row) -> Option<Self> {
        let (partition, offset) = place(row)?;
        let (Value::Moment(ms), Value::Bytes(sample)) = (row.get(3)?, row.get(6)?) else {
            return None;
        };
        let text = |column: usize| -> Option<Text> { Some(row.get(column)?.as_text()?.into()) };
        let (reason, detail, file) = (text(4)?, text(5)?, text(8)?);
        Some(DeadLetter {
            partition,
            offset,
            ms: ms.cast_unsigned(),
            reason,
            detail,
            sample: sample.clone(),
            file,
        })
    }
}

/// The rows as a function of the letters.
pub fn build<'scope>(
    topic: &str,
    letters: VecCollection<'scope, Epoch, DeadLetter, isize>,
    number: u8,
) -> Changes<'scope> {
    let topic: Text = topic.into();
    let keyed = letters.map(|letter| ((letter.partition, letter.offset), letter));
    changes(&Shared::new(keyed), number, &TABLE, move |_, letter| row(&topic, letter))
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
        Value::UInt(0),
        Value::Text(letter.file.clone()),
    ])
}

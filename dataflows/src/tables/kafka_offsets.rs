//! `kafka_offsets`: how far each partition is counted, as one more table.
//!
//! What was polled during epoch *e* and the offsets that were reached both enter the dataflow at
//! time *e*, so they leave in one transaction: that is the whole of exactly-once. A partition has
//! one reader, which numbers its updates; the newest is the greatest, so this is `Latest` again.
//!
//! `replay_from` is where a restart reads again what the ledger must remember. It is a function of
//! the floor that is stored in the same transaction, or an earlier one. It falls only where a dead
//! letter of an older record is counted after all.
//!
//! Beside the last record stands an older one, the anchor. A topic that is deleted and recreated
//! while the job runs soon has its own last record here; the anchor is still the old topic's for a
//! minute, in which the watcher, or the next start, finds another record at its offset.
//!
//! Restore: as `users`. The rows are read a second time, before the workers start, to know where
//! to read on (`PartitionOffsets`).

use crate::operators::changes::{Changes, changes};
use crate::operators::latest::Latest;
use crate::{Epoch, Rows, Shared};
use differential_dataflow::VecCollection;
use differential_dataflow::operators::CountTotal;
use serde::{Deserialize, Serialize};
use types::offsets::{Anchor, LastRecord, PartitionOffsets};
use types::table::{Column, ColumnKind, Panel, Restore, Table};
use types::{Row, Text, Value};

/// The declaration.
pub const TABLE: Table = Table {
    name: types::offsets::TABLE_NAME,
    comment: "how far each partition is counted, from start_offset to below next_offset",
    columns: &[
        Column::new("topic", ColumnKind::Text(249), "the topic"),
        Column::new("partition_id", ColumnKind::Unsigned, "the partition"),
        Column::new("start_offset", ColumnKind::Unsigned, "first offset that counts"),
        Column::new("next_offset", ColumnKind::Unsigned, "first offset that does not count yet"),
        Column::new(
            "replay_from",
            ColumnKind::Unsigned,
            "from here on the ledger remembers tweets",
        ),
        Column::new("last_offset", ColumnKind::OptionalSigned, "offset of the last record read"),
        Column::new("last_ms", ColumnKind::OptionalSigned, "its timestamp, ms since 1970"),
        Column::new("last_hash", ColumnKind::OptionalSigned, "its hash, to know it again"),
        Column::new(
            "anchor_offset",
            ColumnKind::OptionalSigned,
            "offset of a record read long before",
        ),
        Column::new("anchor_hash", ColumnKind::OptionalSigned, "its hash, to know the topic again"),
        Column::new("file", ColumnKind::Text(255), "of --files, the name of the file; else empty"),
    ],
    key: 2,
    restore: Restore::FromRows,
    panel: Panel::None,
    version: 4,
};

/// How far a partition is counted. The order compares the fields from top to bottom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OffsetProgress {
    /// Rises with each update of a run; 0 for a restored row and for where a run begins.
    pub update: u64,
    /// The first offset that is not counted yet.
    pub next_offset: u64,
    /// From here on the ledger reads again.
    pub replay_from: u64,
    /// The first offset that counts.
    pub start_offset: u64,
    /// The last record read.
    pub last: Option<LastRecord>,
    /// A record read long before.
    pub anchor: Option<Anchor>,
    /// The name of its file; empty where it is none.
    pub file: Text,
}

/// Updates of the progress collection: partition, and how far it came.
pub type Update = (u32, Latest<OffsetProgress>);

/// The rows as a function of the updates.
pub fn build<'scope>(
    topic: &str,
    updates: VecCollection<'scope, Epoch, u32, Latest<OffsetProgress>>,
    rows: &Rows<'scope>,
) -> Changes<'scope> {
    let topic: Text = topic.into();
    let counted = updates.concat(rows.restore(state)).count_total();
    changes(&Shared::new(counted), rows.number(), &TABLE, move |partition, Latest(progress)| {
        row(&topic, *partition, progress)
    })
}

/// The row of a partition.
pub fn row(topic: &str, partition: u32, progress: &OffsetProgress) -> Row {
    let last = |field: fn(&LastRecord) -> u64| {
        Value::optional(progress.last.as_ref().map(|last| field(last).cast_signed()))
    };
    let anchor = |field: fn(&Anchor) -> u64| {
        Value::optional(progress.anchor.as_ref().map(|anchor| field(anchor).cast_signed()))
    };
    Box::new([
        Value::Text(topic.into()),
        Value::UInt(u64::from(partition)),
        Value::UInt(progress.start_offset),
        Value::UInt(progress.next_offset),
        Value::UInt(progress.replay_from),
        last(|last| last.offset),
        last(|last| last.ms),
        last(|last| last.hash),
        anchor(|anchor| anchor.offset),
        anchor(|anchor| anchor.hash),
        Value::Text(progress.file.clone()),
    ])
}

/// The reverse of [`row`]; `None` for a row that the table cannot hold.
pub fn state(row: &Row) -> Option<Update> {
    let stored = PartitionOffsets::of(row)?;
    let PartitionOffsets {
        start: start_offset, next: next_offset, replay_from, last, anchor, ..
    } = stored;
    let (update, file) = (0, stored.file);
    let progress =
        OffsetProgress { update, next_offset, replay_from, start_offset, last, anchor, file };
    Some((stored.partition, Latest(progress)))
}

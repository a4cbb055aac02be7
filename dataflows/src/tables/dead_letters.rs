//! `dead_letters`: records that could not be counted, each with its place and the reason.
//!
//! They are written in the transaction that moves the offset past them, so that every record is
//! either counted or stands here, or in [`crate::tables::dead_letter_overflow`] where there is no
//! room. A stateless table: a record is met once.
//!
//! To have a record tried again, set `retry` of its row to 1 (`tweetflow dead-letters retry`). The
//! running job reads flagged records again from the topic. A record that can be counted now is
//! counted in the transaction that deletes its row; any other keeps its row, with the flag cleared.
//! So a record counts exactly while no dead letter of it stands, whenever the job dies.

use crate::operators::changes::{Changes, changes};
use crate::{Epoch, Shared};
use differential_dataflow::VecCollection;
use types::Text;
use types::dead_letter::DeadLetter;
use types::table::{Column, ColumnKind, Panel, Restore, Table};

/// The declaration.
pub const TABLE: Table = Table {
    name: types::dead_letter::TABLE_NAME,
    comment: "records that were not counted, and why",
    columns: &[
        Column::new("topic", ColumnKind::Text(249), "the topic"),
        Column::new("partition_id", ColumnKind::Unsigned, "the record's partition"),
        Column::new("offset", ColumnKind::Unsigned, "the record's offset"),
        Column::new(
            "at",
            ColumnKind::Timestamp,
            "the record's timestamp, UTC; 1970-01-01 = it has none",
        ),
        Column::new("reason", ColumnKind::Text(32), "class of the fault"),
        Column::new("detail", ColumnKind::Text(255), "what was found"),
        Column::new("sample", ColumnKind::Bytes(512), "the record's first bytes"),
        Column::new("retry", ColumnKind::Flag, "1 = the running job is to try it again"),
        Column::new("file", ColumnKind::Text(255), "of --files, the name of the file; else empty"),
    ],
    key: 3,
    restore: Restore::Stateless,
    panel: Panel::None,
    version: 3,
};

/// The rows as a function of the letters.
pub fn build<'scope>(
    topic: &str,
    letters: VecCollection<'scope, Epoch, DeadLetter, isize>,
    number: u8,
) -> Changes<'scope> {
    let topic: Text = topic.into();
    let keyed = letters.map(|letter| ((letter.partition, letter.offset), letter));
    changes(&Shared::new(keyed), number, &TABLE, move |_, letter| letter.row(&topic))
}

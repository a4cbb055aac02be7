//! `late_acts`: which acts on tweets the ledger ignored because they came too late, and where its
//! memory changed, so that a recount needs no guess.
//!
//! A late act is one on an id below the floor of its epoch. The reader of a partition knows that
//! floor, so it says which acts these are in the epoch in which they are counted. A row stands for
//! all acts between two records on ids below a number: a new one begins only where an act that was
//! in time lies between. Of each partition the newest rows are kept; what the others said is one
//! range, `not_recorded`.
//!
//! A stateless table: the reader writes a row again as it grows.

use crate::operators::changes::{Changes, changes};
use crate::{Epoch, Shared};
use differential_dataflow::VecCollection;
use types::Text;
use types::late::LateRow;
use types::table::{Column, ColumnKind, Panel, Restore, Table};

/// The declaration.
pub const TABLE: Table = Table {
    name: types::late::TABLE_NAME,
    comment: "acts that came too late for the ledger, and changes of its memory",
    columns: &[
        Column::new("topic", ColumnKind::Text(249), "the topic"),
        Column::new("partition_id", ColumnKind::Unsigned, "the partition"),
        Column::new("first_offset", ColumnKind::Unsigned, "the first such record"),
        Column::new(
            "kind",
            ColumnKind::Text(16),
            "late, not_recorded, ledger_on, ledger_off, forgotten",
        ),
        Column::new("memory", ColumnKind::Unsigned, "of a change, the number of the new memory"),
        Column::new("last_offset", ColumnKind::Unsigned, "the last such record"),
        Column::new("below", ColumnKind::Unsigned, "acts on smaller tweet ids were late"),
    ],
    key: 5,
    restore: Restore::Stateless,
    panel: Panel::None,
    version: 1,
};

/// The rows as the readers say them.
pub fn build<'scope>(
    topic: &str,
    rows: VecCollection<'scope, Epoch, LateRow, isize>,
    number: u8,
) -> Changes<'scope> {
    let topic: Text = topic.into();
    let keyed = rows.map(|row| ((row.partition, row.first, row.kind, row.memory), row));
    changes(&Shared::new(keyed), number, &TABLE, move |_, row| row.row(&topic))
}

//! `dead_letter_overflow`: what the bound of `dead_letters` leaves out, as a range for each
//! partition and decoder.
//!
//! A record that cannot be counted is a row of `dead_letters`, or one of the `records` between the
//! first and the last offset that stand here: nothing is unaccounted for. The oldest letters are
//! kept; room that a successful retry makes is used again.
//!
//! Which records of a range these are is stored nowhere: the decoder that has refused them refuses
//! them again, another one may read some.
//!
//! Restore: as `users`, by a difference that adds ranges up.

use crate::operators::changes::{Changes, changes};
use crate::{Epoch, Rows, Shared};
use differential_dataflow::VecCollection;
use differential_dataflow::difference::{IsZero, Semigroup};
use differential_dataflow::operators::CountTotal;
use serde::{Deserialize, Serialize};
use types::Text;
use types::dead_letter::{OverflowKey, OverflowRange};
use types::table::{Column, ColumnKind, Panel, Restore, Table};

/// The declaration.
pub const TABLE: Table = Table {
    name: types::dead_letter::OVERFLOW_TABLE_NAME,
    comment: "records that were not counted and found no room in dead_letters",
    columns: &[
        Column::new("topic", ColumnKind::Text(249), "the topic"),
        Column::new("partition_id", ColumnKind::Unsigned, "the partition"),
        Column::new("decoder", ColumnKind::Unsigned, "number of the decoder that has refused them"),
        Column::new("first_offset", ColumnKind::Unsigned, "the first such record"),
        Column::new("last_offset", ColumnKind::Unsigned, "the last such record"),
        Column::new("records", ColumnKind::Unsigned, "how many there are between, both included"),
    ],
    key: 3,
    restore: Restore::FromRows,
    panel: Panel::None,
    version: 2,
};

/// Ranges as a difference. Added up: the range that holds both, and the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Extent(pub OverflowRange);

impl IsZero for Extent {
    /// A range never cancels out.
    fn is_zero(&self) -> bool {
        false
    }
}

impl Semigroup for Extent {
    fn plus_equals(&mut self, Extent(other): &Self) {
        let Extent(range) = self;
        range.first = range.first.min(other.first);
        range.last = range.last.max(other.last);
        range.records += other.records;
    }
}

/// The rows as a function of the records without a row.
pub fn build<'scope>(
    topic: &str,
    dropped: VecCollection<'scope, Epoch, OverflowKey, Extent>,
    rows: &Rows<'scope>,
) -> Changes<'scope> {
    let topic: Text = topic.into();
    let counted = dropped
        .concat(rows.restore(|row| {
            let (refuser, range) = OverflowRange::of(row)?;
            Some((refuser, Extent(range)))
        }))
        .count_total();
    changes(&Shared::new(counted), rows.number(), &TABLE, move |refuser, Extent(range)| {
        range.row(&topic, *refuser)
    })
}

#[cfg(test)]
mod tests {
    use super::{Extent, OverflowRange};
    use differential_dataflow::difference::Semigroup;

    #[test]
    fn ranges_add_up_to_the_one_that_holds_both() {
        let mut extent = Extent(OverflowRange { first: 7, last: 7, records: 1 });
        extent.plus_equals(&Extent(OverflowRange { first: 9, last: 12, records: 2 }));
        assert_eq!(extent, Extent(OverflowRange { first: 7, last: 12, records: 3 }));
    }
}

//! `dead_letter_overflow`: what the bound of `dead_letters` leaves out, as a range for each partition and
//! decoder.
//!
//! A record that cannot be counted is a row of `dead_letters`, or one of the `records` between the
//! first and the last offset that stand here: nothing is unaccounted for. The oldest letters are
//! kept; room that a successful retry makes is used again.
//!
//! Which records of a range these are is stored nowhere: the decoder that has refused them refuses them
//! again, another one may read some.
//!
//! Restore: as `users`, by a difference that adds ranges up.

use super::DeadLetter;
use crate::decode::ACCEPTS;
use dataflows::changes::{Changes, changes};
use dataflows::table::{Column, Kind, Panel, Restore, Table};
use dataflows::{Epoch, Row, Rows, Shared, Text, Value};
use differential_dataflow::VecCollection;
use differential_dataflow::difference::{IsZero, Semigroup};
use differential_dataflow::operators::CountTotal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The declaration.
pub const TABLE: Table = Table {
    name: "dead_letter_overflow",
    comment: "records that were not counted and found no room in dead_letters",
    columns: &[
        Column::new("topic", Kind::Text(249), "the topic"),
        Column::new("partition_id", Kind::Unsigned, "the partition"),
        Column::new("decoder", Kind::Unsigned, "number of the decoder that has refused them"),
        Column::new("first_offset", Kind::Unsigned, "the first such record"),
        Column::new("last_offset", Kind::Unsigned, "the last such record"),
        Column::new("records", Kind::Unsigned, "how many there are between, both included"),
    ],
    key: 3,
    restore: Restore::FromRows,
    panel: Panel::None,
    version: 2,
};

/// Records without a row. Added up: the range that holds both, and the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dropped {
    /// Offset of the first one.
    pub first: u64,
    /// Offset of the last one.
    pub last: u64,
    /// How many.
    pub records: u64,
}

impl IsZero for Dropped {
    /// A range never cancels out.
    fn is_zero(&self) -> bool {
        false
    }
}

impl Semigroup for Dropped {
    fn plus_equals(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.records += other.records;
    }
}

impl Dropped {
    /// Whether a record of that offset may be one of them.
    pub fn covers(&self, offset: u64) -> bool {
        (self.first..=self.last).contains(&offset)
    }

    /// Whose range a row is; `None` for a row that the table cannot hold.
    pub fn of(row: &Row) -> Option<(Refuser, Self)> {
        let number = |column: usize| row.get(column)?.as_u64();
        let small = |column: usize| u32::try_from(number(column)?).ok();
        let range = Dropped { first: number(3)?, last: number(4)?, records: number(5)? };
        Some((Refuser { partition: small(1)?, decoder: small(2)? }, range))
    }

    /// The row of a range.
    pub fn row(&self, topic: &str, refuser: Refuser) -> Row {
        Box::new([
            Value::Text(topic.into()),
            Value::UInt(u64::from(refuser.partition)),
            Value::UInt(u64::from(refuser.decoder)),
            Value::UInt(self.first),
            Value::UInt(self.last),
            Value::UInt(self.records),
        ])
    }
}

/// Where records were refused, and by which decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Refuser {
    /// Their partition.
    pub partition: u32,
    /// See [`ACCEPTS`].
    pub decoder: u32,
}

impl Refuser {
    /// This program's decoder.
    pub fn own(partition: u32) -> Self {
        Refuser { partition, decoder: ACCEPTS }
    }

    /// Whether this program refuses the same records.
    pub fn is_own(self) -> bool {
        self.decoder == ACCEPTS
    }
}

/// The rows as a function of the records without a row.
pub fn build<'scope>(
    topic: &str,
    dropped: VecCollection<'scope, Epoch, Refuser, Dropped>,
    rows: &Rows<'scope>,
) -> Changes<'scope> {
    let topic: Text = topic.into();
    let counted = dropped.concat(rows.restore(Dropped::of)).count_total();
    changes(&Shared::new(counted), rows.number(), &TABLE, move |refuser, dropped: &Dropped| {
        dropped.row(&topic, *refuser)
    })
}

/// How much room dead letters take, or may take, for each partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Room {
    /// In rows.
    pub rows: u64,
    /// In bytes of what was found and of samples.
    pub bytes: u64,
}

impl Room {
    /// What one letter takes.
    pub fn of(letter: &DeadLetter) -> Self {
        Room { rows: 1, bytes: (letter.detail.len() + letter.sample.len()) as u64 }
    }
}

/// The room that the letters of each partition take.
#[derive(Clone, Debug, Default)]
pub struct Taken(BTreeMap<u32, Room>);

impl Taken {
    /// Takes room for a letter, if there is some below `limit`.
    pub fn take(&mut self, letter: &DeadLetter, limit: Room) -> bool {
        let (taken, more) = (self.0.entry(letter.partition).or_default(), Room::of(letter));
        let fits = taken.rows + more.rows <= limit.rows && taken.bytes + more.bytes <= limit.bytes;
        if fits {
            *taken = Room { rows: taken.rows + more.rows, bytes: taken.bytes + more.bytes };
        }
        fits
    }

    /// Notes a letter that stands, whatever the limit.
    pub fn add(&mut self, letter: &DeadLetter) {
        let everything = Room { rows: u64::MAX, bytes: u64::MAX };
        self.take(letter, everything);
    }

    /// Gives back what a letter took.
    pub fn free(&mut self, partition: u32, room: Room) {
        if let Some(taken) = self.0.get_mut(&partition) {
            taken.rows = taken.rows.saturating_sub(room.rows);
            taken.bytes = taken.bytes.saturating_sub(room.bytes);
        }
    }

    /// What the letters of one partition take.
    pub fn of(&self, partition: u32) -> Room {
        self.0.get(&partition).copied().unwrap_or_default()
    }

    /// Begins with what is known of a partition.
    pub fn set(&mut self, partition: u32, room: Room) {
        self.0.insert(partition, room);
    }
}

#[cfg(test)]
mod tests {
    use super::{Dropped, Refuser, Room, Taken};
    use crate::dead_letters::DeadLetter;
    use differential_dataflow::difference::Semigroup;

    #[test]
    fn a_row_restores_to_what_it_was_made_from() {
        let mut dropped = Dropped { first: 7, last: 7, records: 1 };
        dropped.plus_equals(&Dropped { first: 9, last: 12, records: 2 });
        assert_eq!(dropped, Dropped { first: 7, last: 12, records: 3 });
        let refuser = Refuser { partition: 4, decoder: 9 };
        assert_eq!(Dropped::of(&dropped.row("tweets", refuser)), Some((refuser, dropped)));
        assert!(dropped.covers(7) && dropped.covers(12) && !dropped.covers(13));
    }

    #[test]
    fn room_is_bounded_by_rows_and_by_bytes_and_comes_back() {
        let letter = |partition| DeadLetter {
            partition,
            offset: 0,
            ms: 0,
            reason: "json".into(),
            detail: "12345".into(),
            sample: [0; 5].into(),
            file: "".into(),
        };
        let (rows, bytes) = (Room { rows: 2, bytes: 1_000 }, Room { rows: 9, bytes: 25 });
        for limit in [rows, bytes] {
            let mut taken = Taken::default();
            let fits = [0, 0, 0, 1].map(|partition| taken.take(&letter(partition), limit));
            assert_eq!(fits, [true, true, false, true]);
            taken.free(0, Room::of(&letter(0)));
            assert!(taken.take(&letter(0), limit) && !taken.take(&letter(0), limit));
        }
    }
}

//! Rows of `late_acts`: which acts on tweets the ledger ignored, and where its memory changed.

use crate::{Row, Text, Value};
use serde::{Deserialize, Serialize};

/// The table of these rows. It is no part of a job's fingerprint: tables without it go on, and the
/// next start makes it.
pub const TABLE_NAME: &str = "late_acts";

/// What a row says. The order is that of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LateKind {
    /// In these records, acts on ids below a number were late.
    Late,
    /// Late acts in these records have no rows.
    NotRecorded,
    /// From here on there is a ledger; before there was none.
    LedgerOn,
    /// From here on there is no ledger; before there was one.
    LedgerOff,
    /// From here on the ledger remembers nothing of what was before.
    Forgotten,
}

impl LateKind {
    const ALL: [LateKind; 5] = [
        LateKind::Late,
        LateKind::NotRecorded,
        LateKind::LedgerOn,
        LateKind::LedgerOff,
        LateKind::Forgotten,
    ];

    /// As the table names it.
    pub const fn name(self) -> &'static str {
        match self {
            LateKind::Late => "late",
            LateKind::NotRecorded => "not_recorded",
            LateKind::LedgerOn => "ledger_on",
            LateKind::LedgerOff => "ledger_off",
            LateKind::Forgotten => "forgotten",
        }
    }
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LateRow {
    /// The partition.
    pub partition: u32,
    /// The first such record, or the first one behind the change.
    pub first: u64,
    /// What the row says.
    pub kind: LateKind,
    /// Of a change, the number of the memory that begins; else 0.
    pub memory: u64,
    /// The last such record; of a change, the first one again.
    pub last: u64,
    /// Of late acts, all ids of these are below it; else 0.
    pub below: u64,
}

impl LateRow {
    /// The memory of this number begins at `first`.
    pub fn change(partition: u32, first: u64, kind: LateKind, memory: u64) -> Self {
        LateRow { partition, first, kind, memory, last: first, below: 0 }
    }

    /// Late acts between these records, both included, have no rows.
    pub fn not_recorded(partition: u32, first: u64, last: u64) -> Self {
        let kind = LateKind::NotRecorded;
        LateRow { partition, first, kind, memory: 0, last, below: 0 }
    }

    /// An act on `id` in the record at `offset` was late.
    pub fn late(partition: u32, offset: u64, id: u64) -> Self {
        let (kind, below) = (LateKind::Late, id.saturating_add(1));
        LateRow { partition, first: offset, kind, memory: 0, last: offset, below }
    }

    /// The meaning of a row; `None` for one that the table cannot hold.
    pub fn of(row: &Row) -> Option<Self> {
        let number = |column: usize| row.get(column)?.as_u64();
        let text = row.get(3)?.as_text()?;
        let kind = LateKind::ALL.into_iter().find(|kind| kind.name() == text)?;
        let partition = u32::try_from(number(1)?).ok()?;
        let (first, memory, last, below) = (number(2)?, number(4)?, number(5)?, number(6)?);
        Some(LateRow { partition, first, kind, memory, last, below })
    }

    /// The row of these values in this topic.
    pub fn row(&self, topic: &Text) -> Row {
        Box::new([
            Value::Text(topic.clone()),
            Value::UInt(u64::from(self.partition)),
            Value::UInt(self.first),
            Value::Text(self.kind.name().into()),
            Value::UInt(self.memory),
            Value::UInt(self.last),
            Value::UInt(self.below),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::{LateKind, LateRow};

    #[test]
    fn a_row_restores_to_what_it_was_made_from() {
        for kind in LateKind::ALL {
            let row = LateRow { partition: 3, first: 7, kind, memory: 2, last: 9, below: 11 };
            assert_eq!(LateRow::of(&row.row(&"tweets".into())), Some(row));
        }
    }
}

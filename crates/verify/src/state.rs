//! What is known of one key of a table, and how the parts of a topic add up to it.

use serde::{Deserialize, Serialize};
use types::{Row, Text};

/// What is known of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Tally {
    /// So many; adds up. None is no row.
    Count(i64),
    /// At least and at most so many; adds up.
    Range { least: i64, most: i64 },
    /// So many as the table says, which is one of those that there may be.
    Taken(i64),
    /// The row of the newest statement: the greatest version, then the greatest values.
    Newest(Stamp, Row),
    /// Uses of all spellings, and the one that is used most, with its uses.
    Spelt { uses: u64, most: u64, shown: Text },
    /// Exactly this row.
    Row(Row),
    /// Some row: its values are not compared.
    Present,
}

/// Tweet id, record time, partition, offset.
type Stamp = (u64, u64, u64, u64);

impl Tally {
    /// As many as these, or in between.
    pub(super) fn between((least, most): (i64, i64)) -> Self {
        if least == most { Tally::Count(least) } else { Tally::Range { least, most } }
    }

    /// At least and at most so many, where that adds up.
    fn bounds(&self) -> Option<(i64, i64)> {
        match *self {
            Tally::Count(count) => Some((count, count)),
            Tally::Range { least, most } => Some((least, most)),
            _ => None,
        }
    }

    /// How many, where that is known.
    pub(super) fn count(&self) -> Option<i64> {
        match *self {
            Tally::Count(count) | Tally::Taken(count) => Some(count),
            _ => None,
        }
    }

    /// Adds what another part of the topic says.
    pub(super) fn add(&mut self, other: Tally) {
        if let (Some((least, most)), Some((less, more))) = (self.bounds(), other.bounds()) {
            *self = Tally::between((least + less, most + more));
            return;
        }
        match (self, other) {
            (Tally::Newest(stamp, row), Tally::Newest(other, newer)) => {
                if (other, &newer) > (*stamp, &*row) {
                    (*stamp, *row) = (other, newer);
                }
            }
            (
                Tally::Spelt { uses, most, shown },
                Tally::Spelt { uses: more, most: other, shown: spelling },
            ) => {
                *uses += more;
                if other > *most || (other == *most && spelling < *shown) {
                    (*most, *shown) = (other, spelling);
                }
            }
            // What need not be compared need not be known.
            (Tally::Present, _) => {}
            (state, other) => *state = other,
        }
    }

    /// The whole row, where the state is one.
    pub(super) fn row(&self) -> Option<&Row> {
        match self {
            Tally::Newest(_, row) | Tally::Row(row) => Some(row),
            _ => None,
        }
    }
}

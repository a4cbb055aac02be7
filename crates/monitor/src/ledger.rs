//! What is seen of the ledger, as the sum of the workers' shares.

use serde::{Deserialize, Serialize};
use types::ledger::Figures;
use types::snowflake::written_ms;

/// The ledger of some workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Tweets that can still be deleted or come a second time.
    pub entries: u64,
    /// Bytes that they take, about.
    pub bytes: u64,
    /// Tweets with a smaller id are not remembered.
    pub floor: u64,
    /// Tweets that were counted and taken back since the start.
    pub retractions: u64,
}

impl Remembered {
    pub(super) fn of(figures: &Figures) -> Self {
        let Figures { entries, bytes, floor, retractions, .. } = *figures;
        Remembered { entries: entries as u64, bytes: bytes as u64, floor, retractions }
    }

    /// All of them; `None` where there are none.
    pub(super) fn sum(all: impl Iterator<Item = Remembered>) -> Option<Self> {
        all.reduce(|one, other| Remembered {
            entries: one.entries + other.entries,
            bytes: one.bytes + other.bytes,
            floor: one.floor.max(other.floor),
            retractions: one.retractions + other.retractions,
        })
    }

    /// When tweets of the floor's id were written, milliseconds since 1970; `None` before the first
    /// floor.
    pub fn floor_ms(&self) -> Option<u64> {
        (self.floor > 0).then(|| written_ms(self.floor))
    }
}

//! A record that could not be counted, and the room that such records take.

use crate::record::Record;
use crate::{Row, Text, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The table of such records.
pub const TABLE_NAME: &str = "dead_letters";
/// The table of those for which there is no room in it.
pub const OVERFLOW_TABLE_NAME: &str = "dead_letter_overflow";

/// Bytes of a record that are kept.
pub const SAMPLE_BYTES: usize = 512;

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
    /// The dead letter of a record that decode has refused: class of the fault, and what was found.
    pub fn new(record: &Record<'_>, reason: &str, detail: &str) -> Self {
        let payload = record.payload.unwrap_or_default();
        DeadLetter {
            partition: record.partition,
            offset: record.offset,
            ms: record.timestamp_ms,
            reason: reason.into(),
            detail: detail.chars().take(255).collect::<String>().into(),
            sample: payload[..payload.len().min(SAMPLE_BYTES)].into(),
            file: Text::new(),
        }
    }

    /// The letter that a row is of; `None` for a row that the table cannot hold.
    pub fn of(row: &Row) -> Option<Self> {
        let (partition, offset) = location(row)?;
        let (Value::Timestamp(ms), Value::Bytes(sample)) = (row.get(3)?, row.get(6)?) else {
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

    /// The row of a record in this topic.
    pub fn row(&self, topic: &str) -> Row {
        Box::new([
            Value::Text(topic.into()),
            Value::UInt(u64::from(self.partition)),
            Value::UInt(self.offset),
            Value::Timestamp(self.ms.cast_signed()),
            Value::Text(self.reason.clone()),
            Value::Text(self.detail.clone()),
            Value::Bytes(self.sample.clone()),
            Value::UInt(0),
            Value::Text(self.file.clone()),
        ])
    }
}

/// Partition and offset of the record that a row is of; `None` for a row that the table cannot
/// hold.
pub fn location(row: &Row) -> Option<(u32, u64)> {
    Some((u32::try_from(row.get(1)?.as_u64()?).ok()?, row.get(2)?.as_u64()?))
}

/// Records without a row. Added up: the range that holds both, and the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OverflowRange {
    /// Offset of the first one.
    pub first: u64,
    /// Offset of the last one.
    pub last: u64,
    /// How many.
    pub records: u64,
}

impl OverflowRange {
    /// Whether a record of that offset may be one of them.
    pub fn covers(&self, offset: u64) -> bool {
        (self.first..=self.last).contains(&offset)
    }

    /// Whose range a row is; `None` for a row that the table cannot hold.
    pub fn of(row: &Row) -> Option<(OverflowKey, Self)> {
        let number = |column: usize| row.get(column)?.as_u64();
        let small = |column: usize| u32::try_from(number(column)?).ok();
        let range = OverflowRange { first: number(3)?, last: number(4)?, records: number(5)? };
        Some((OverflowKey { partition: small(1)?, decoder: small(2)? }, range))
    }

    /// The row of a range.
    pub fn row(&self, topic: &str, refuser: OverflowKey) -> Row {
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
pub struct OverflowKey {
    /// Their partition.
    pub partition: u32,
    /// The number of the decoder.
    pub decoder: u32,
}

impl OverflowKey {
    /// Whether the decoder of this number refuses the same records.
    pub fn is_by(self, decoder: u32) -> bool {
        self.decoder == decoder
    }
}

/// How much room dead letters take, or may take, for each partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Quota {
    /// In rows.
    pub rows: u64,
    /// In bytes of what was found and of samples.
    pub bytes: u64,
}

impl Quota {
    /// What one letter takes.
    pub fn of(letter: &DeadLetter) -> Self {
        Quota { rows: 1, bytes: (letter.detail.len() + letter.sample.len()) as u64 }
    }
}

/// The room that the letters of each partition take.
#[derive(Clone, Debug, Default)]
pub struct Usage(BTreeMap<u32, Quota>);

impl Usage {
    /// Takes room for a letter, if there is some below `limit`.
    pub fn take(&mut self, letter: &DeadLetter, limit: Quota) -> bool {
        let (taken, more) = (self.0.entry(letter.partition).or_default(), Quota::of(letter));
        let fits = taken.rows + more.rows <= limit.rows && taken.bytes + more.bytes <= limit.bytes;
        if fits {
            *taken = Quota { rows: taken.rows + more.rows, bytes: taken.bytes + more.bytes };
        }
        fits
    }

    /// Notes a letter that stands, whatever the limit.
    pub fn add(&mut self, letter: &DeadLetter) {
        let everything = Quota { rows: u64::MAX, bytes: u64::MAX };
        self.take(letter, everything);
    }

    /// Gives back what a letter took.
    pub fn free(&mut self, partition: u32, room: Quota) {
        if let Some(taken) = self.0.get_mut(&partition) {
            taken.rows = taken.rows.saturating_sub(room.rows);
            taken.bytes = taken.bytes.saturating_sub(room.bytes);
        }
    }

    /// What the letters of one partition take.
    pub fn of(&self, partition: u32) -> Quota {
        self.0.get(&partition).copied().unwrap_or_default()
    }

    /// Begins with what is known of a partition.
    pub fn set(&mut self, partition: u32, room: Quota) {
        self.0.insert(partition, room);
    }
}

#[cfg(test)]
mod tests {
    use crate::dead_letter::DeadLetter;
    use crate::dead_letter::{OverflowKey, OverflowRange, Quota, Usage};

    #[test]
    fn a_row_restores_to_what_it_was_made_from() {
        let dropped = OverflowRange { first: 7, last: 12, records: 3 };
        let refuser = OverflowKey { partition: 4, decoder: 9 };
        assert_eq!(OverflowRange::of(&dropped.row("tweets", refuser)), Some((refuser, dropped)));
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
        let (rows, bytes) = (Quota { rows: 2, bytes: 1_000 }, Quota { rows: 9, bytes: 25 });
        for limit in [rows, bytes] {
            let mut taken = Usage::default();
            let fits = [0, 0, 0, 1].map(|partition| taken.take(&letter(partition), limit));
            assert_eq!(fits, [true, true, false, true]);
            taken.free(0, Quota::of(&letter(0)));
            assert!(taken.take(&letter(0), limit) && !taken.take(&letter(0), limit));
        }
    }
}

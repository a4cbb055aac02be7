//! `kafka_offsets`: how far each partition is counted, as one more table.
//!
//! What was polled during epoch *e* and the offsets that were reached both enter the dataflow at
//! time *e*, so they leave in one transaction: that is the whole of exactly-once. The newest
//! position of a partition is the greatest, so this is `Latest` again.
//!
//! Beside the last record stands an older one, the anchor. A topic that is deleted and made anew while
//! the job runs soon has its own last record here; the anchor is still the old topic's for a minute,
//! in which the watcher, or the next start, finds another record at its offset.
//!
//! Restore: as `users`. The rows are read a second time, before the workers start, to know where
//! to read on ([`Stored`]).

use crate::source::{Assignment, Reached};
use dataflows::changes::{Changes, changes};
use dataflows::latest::Latest;
use dataflows::table::{Column, Kind, Panel, Restore, Table};
use dataflows::{Epoch, Row, Rows, Value};
use differential_dataflow::VecCollection;
use differential_dataflow::operators::CountTotal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a record is only the next anchor; several times what the watcher needs to look at one.
const ANCHOR_AGE: Duration = Duration::from_mins(1);

/// The declaration.
pub const TABLE: Table = Table {
    name: "kafka_offsets",
    comment: "how far each partition is counted, from start_offset to below next_offset",
    columns: &[
        Column::new("topic", Kind::Text(249), "the topic"),
        Column::new("partition_id", Kind::Unsigned, "the partition"),
        Column::new("start_offset", Kind::Unsigned, "first offset that counts"),
        Column::new("next_offset", Kind::Unsigned, "first offset that does not count yet"),
        Column::new("last_offset", Kind::OptionalSigned, "offset of the last record read"),
        Column::new("last_ms", Kind::OptionalSigned, "its timestamp, ms since 1970"),
        Column::new("last_hash", Kind::OptionalSigned, "its hash, to know it again"),
        Column::new("anchor_offset", Kind::OptionalSigned, "offset of a record read long before"),
        Column::new("anchor_hash", Kind::OptionalSigned, "its hash, to know the topic again"),
    ],
    key: 2,
    restore: Restore::FromRows,
    panel: Panel::None,
    version: 2,
};

/// How far a partition is counted. The order compares `next_offset` first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Progress {
    next_offset: u64,
    start_offset: u64,
    last: Option<Last>,
    anchor: Option<Anchor>,
}

/// The last record read, so that a restart can tell whether the topic is still the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Last {
    /// Its offset.
    pub offset: u64,
    /// Its timestamp, milliseconds since 1970.
    pub ms: u64,
    /// Its [`crate::source::fingerprint`].
    pub hash: u64,
}

/// A record by which a topic is known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Anchor {
    /// Its offset.
    pub offset: u64,
    /// Its [`crate::source::fingerprint`].
    pub hash: u64,
}

impl Last {
    /// This record as an anchor.
    pub fn anchor(self) -> Anchor {
        Anchor { offset: self.offset, hash: self.hash }
    }
}

/// The anchors of one worker's partitions: each at least a minute older than the last record,
/// but for the first one.
#[derive(Debug, Default)]
pub struct Anchors(BTreeMap<u32, (Anchor, Anchor, Instant)>);

impl Anchors {
    /// Begins with an anchor that was just compared with the topic.
    pub fn begin(&mut self, partition: u32, anchor: Anchor) {
        self.0.insert(partition, (anchor, anchor, Instant::now()));
    }

    /// The anchor to store beside the last record.
    pub fn reach(&mut self, reached: &Reached) -> Anchor {
        let last = Anchor { offset: reached.offset, hash: reached.hash };
        let first = || (last, last, Instant::now());
        let (anchor, next, since) = self.0.entry(reached.partition).or_insert_with(first);
        if since.elapsed() >= ANCHOR_AGE {
            (*anchor, *next, *since) = (*next, last, Instant::now());
        }
        *anchor
    }
}

/// Updates of the progress collection: partition, and how far it came.
pub type Update = (u32, Latest<Progress>);

/// The update of a partition that is read from now on.
pub fn assigned(assignment: &Assignment) -> Update {
    let Assignment { partition, start, next, .. } = *assignment;
    let progress = Progress { next_offset: next, start_offset: start, last: None, anchor: None };
    (partition, Latest(progress))
}

/// The update of a partition that was read up to `reached`.
pub fn reached(start: u64, reached: &Reached, anchor: Anchor) -> Update {
    let last = Last { offset: reached.offset, ms: reached.timestamp_ms, hash: reached.hash };
    let next_offset = reached.offset + 1;
    let (start_offset, last, anchor) = (start, Some(last), Some(anchor));
    (reached.partition, Latest(Progress { next_offset, start_offset, last, anchor }))
}

/// A row of the table as a start needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The partition.
    pub partition: u32,
    /// The first offset that counts.
    pub start: u64,
    /// The offset to read next.
    pub next: u64,
    /// The last record read, where there was one.
    pub last: Option<Last>,
    /// A record read long before that one.
    pub anchor: Option<Anchor>,
}

impl Stored {
    /// The meaning of a row of this table.
    ///
    /// # Panics
    /// On a row that this table cannot have written.
    pub fn of(row: &Row) -> Self {
        let Some((partition, Latest(progress))) = state(row) else {
            panic!("a restored row has no meaning: {row:?}");
        };
        let Progress { next_offset, start_offset, last, anchor } = progress;
        Stored { partition, start: start_offset, next: next_offset, last, anchor }
    }
}

/// The rows as a function of the updates.
pub fn build<'scope>(
    topic: &str,
    updates: VecCollection<'scope, Epoch, u32, Latest<Progress>>,
    rows: &Rows<'scope>,
) -> Changes<'scope> {
    let topic: Box<str> = topic.into();
    let counted = updates.concat(rows.restore(state)).count_total();
    changes(counted, &TABLE, move |partition, Latest(progress)| row(&topic, *partition, progress))
}

fn row(topic: &str, partition: u32, progress: &Progress) -> Row {
    let last = |field: fn(&Last) -> u64| {
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
        last(|last| last.offset),
        last(|last| last.ms),
        last(|last| last.hash),
        anchor(|anchor| anchor.offset),
        anchor(|anchor| anchor.hash),
    ])
}

/// The reverse of [`row`]. The topic is part of the job's fingerprint and not looked at here.
fn state(row: &Row) -> Option<Update> {
    let number = |column: usize| row.get(column)?.as_u64();
    let last = match (row.get(4)?, row.get(5)?, row.get(6)?) {
        (Value::Null, Value::Null, Value::Null) => None,
        (offset, ms, hash) => Some(Last {
            offset: offset.as_i64()?.cast_unsigned(),
            ms: ms.as_i64()?.cast_unsigned(),
            hash: hash.as_i64()?.cast_unsigned(),
        }),
    };
    let anchor = match (row.get(7)?, row.get(8)?) {
        (Value::Null, Value::Null) => None,
        (offset, hash) => Some(Anchor {
            offset: offset.as_i64()?.cast_unsigned(),
            hash: hash.as_i64()?.cast_unsigned(),
        }),
    };
    let progress = Progress { next_offset: number(3)?, start_offset: number(2)?, last, anchor };
    Some((u32::try_from(number(1)?).ok()?, Latest(progress)))
}

#[cfg(test)]
mod tests {
    use super::{Anchor, Anchors, Last, Latest, Progress, Reached, row, state};
    use std::time::Instant;

    #[test]
    fn a_row_restores_to_what_it_was_made_from() {
        let last = Last { offset: 8, ms: 1_700_000_000_000, hash: u64::MAX - 5 };
        for last in [None, Some(last)] {
            let anchor = last.map(Last::anchor);
            let progress = Progress { next_offset: 9, start_offset: 4, last, anchor };
            assert_eq!(state(&row("tweets", 3, &progress)), Some((3, Latest(progress))));
        }
    }

    #[test]
    fn an_anchor_is_older_than_its_age() {
        let mut anchors = Anchors::default();
        let reached = |offset| Reached { partition: 0, offset, timestamp_ms: 0, hash: offset ^ 1 };
        assert_eq!(anchors.reach(&reached(5)).offset, 5);
        assert_eq!(anchors.reach(&reached(6)), Anchor { offset: 5, hash: 4 });
        for (offset, expected) in [(7, 5), (8, 7), (9, 8)] {
            let Some((_, _, since)) = anchors.0.get_mut(&0) else { panic!("it is known") };
            let Some(past) = Instant::now().checked_sub(super::ANCHOR_AGE) else { return };
            *since = past;
            assert_eq!(anchors.reach(&reached(offset)).offset, expected);
            assert_eq!(anchors.reach(&reached(offset)).offset, expected);
        }
    }
}

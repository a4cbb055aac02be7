//! `kafka_offsets`: how far each partition is counted, as one more table.
//!
//! What was polled during epoch *e* and the offsets that were reached both enter the dataflow at
//! time *e*, so they leave in one transaction: that is the whole of exactly-once. A partition has one
//! reader, which numbers its updates; the newest is the greatest, so this is `Latest` again.
//!
//! `replay_from` is where a restart reads again what the ledger must remember. It is a function of the
//! floor that is stored in the same transaction, or an earlier one. It falls only where a dead letter
//! of an older record is counted after all.
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
use dataflows::ledger::Replay;
use dataflows::table::{Column, Kind, Panel, Restore, Table};
use dataflows::{Epoch, Row, Rows, Shared, Text, Value};
use differential_dataflow::VecCollection;
use differential_dataflow::operators::CountTotal;
use serde::{Deserialize, Serialize};
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
        Column::new("replay_from", Kind::Unsigned, "from here on the ledger remembers tweets"),
        Column::new("last_offset", Kind::OptionalSigned, "offset of the last record read"),
        Column::new("last_ms", Kind::OptionalSigned, "its timestamp, ms since 1970"),
        Column::new("last_hash", Kind::OptionalSigned, "its hash, to know it again"),
        Column::new("anchor_offset", Kind::OptionalSigned, "offset of a record read long before"),
        Column::new("anchor_hash", Kind::OptionalSigned, "its hash, to know the topic again"),
        Column::new("file", Kind::Text(255), "of --files, the name of the file; else empty"),
    ],
    key: 2,
    restore: Restore::FromRows,
    panel: Panel::None,
    version: 4,
};

/// How far a partition is counted. The order compares the fields from top to bottom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Progress {
    /// Rises with each update of a run; 0 for a restored row and for where a run begins.
    update: u64,
    next_offset: u64,
    replay_from: u64,
    start_offset: u64,
    last: Option<Last>,
    anchor: Option<Anchor>,
    file: Text,
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

/// Updates of the progress collection: partition, and how far it came.
pub type Update = (u32, Latest<Progress>);

/// A partition as its reader keeps it.
#[derive(Debug)]
pub struct Reading {
    partition: u32,
    progress: Progress,
    /// The offset to read next.
    position: u64,
    /// The anchor that may follow the one that is stored, and since when.
    next_anchor: Option<(Anchor, Instant)>,
    /// What the ledger remembers of it.
    replay: Replay,
}

impl Reading {
    /// What the ledger must remember is read next.
    pub fn new(assignment: &Assignment) -> Self {
        let Assignment { partition, start, next, replay_from, last, anchor, .. } = *assignment;
        let (next_offset, start_offset) = (next, start);
        let (update, file) = (0, assignment.file.clone());
        let progress =
            Progress { update, next_offset, replay_from, start_offset, last, anchor, file };
        // It was just compared with the topic.
        let next_anchor = anchor.map(|anchor| (anchor, Instant::now()));
        let replay = Replay::default();
        Reading { partition, progress, position: replay_from, next_anchor, replay }
    }

    /// Its number.
    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// The name of its file; empty where it is none.
    pub fn file(&self) -> &Text {
        &self.progress.file
    }

    /// What counts is read from now on. Where that starts is stored before the first record:
    /// `--from latest` would else mean another place after a crash. A row that stands stays as it is.
    pub fn begin(&mut self) -> Update {
        self.position = self.progress.next_offset;
        (self.partition, Latest(self.progress.clone()))
    }

    /// The record that is read now has an act on the tweet of this id.
    pub fn note(&mut self, id: u64) {
        self.replay.note(self.position, id);
    }

    /// A record that was passed long ago is counted now: who reads on from `offset` finds it, and its
    /// act on the tweet of this id.
    pub fn note_early(&mut self, offset: u64, id: u64) {
        self.replay.note_early(offset, id);
    }

    /// The update that goes with what was noted early. With a ledger, `floor` is the one that is
    /// stored.
    pub fn noted(&mut self, floor: Option<u64>) -> Update {
        self.rise(floor);
        self.update()
    }

    /// A record was read; returns how far that led.
    pub fn pass(&mut self, offset: u64) -> u64 {
        offset + 1 - std::mem::replace(&mut self.position, offset + 1)
    }

    /// All records up to this one were read. With a ledger, `floor` is the one that is stored.
    pub fn reach(&mut self, reached: &Reached, floor: Option<u64>) -> Update {
        let last = Last { offset: reached.offset, ms: reached.timestamp_ms, hash: reached.hash };
        self.progress.next_offset = reached.offset + 1;
        self.progress.anchor = Some(self.anchor(last.anchor()));
        self.progress.last = Some(last);
        self.rise(floor);
        self.update()
    }

    /// Everything below `next` was read; the last offsets may hold no record. The update, if that moves
    /// the offset to read next.
    pub fn end(&mut self, next: u64, floor: Option<u64>) -> Option<Update> {
        if next <= self.progress.next_offset {
            return None;
        }
        self.progress.next_offset = next;
        self.position = self.position.max(next);
        self.rise(floor);
        Some(self.update())
    }

    /// All that the ledger must remember was read again; returns how far that led.
    pub fn remembered(&mut self) -> u64 {
        let next = self.progress.next_offset;
        next.saturating_sub(std::mem::replace(&mut self.position, next))
    }

    /// The floor of the ledger rose. The update, if that moves the offset to read again from.
    pub fn risen(&mut self, floor: u64) -> Option<Update> {
        self.rise(Some(floor)).then(|| self.update())
    }

    fn update(&mut self) -> Update {
        self.progress.update += 1;
        (self.partition, Latest(self.progress.clone()))
    }

    fn rise(&mut self, floor: Option<u64>) -> bool {
        let next = self.progress.next_offset;
        let from = floor.map_or(next, |floor| self.replay.from(floor, next));
        std::mem::replace(&mut self.progress.replay_from, from) != from
    }

    /// The anchor to store beside the last record: at least a minute older, but for the first one.
    fn anchor(&mut self, last: Anchor) -> Anchor {
        let anchor = self.progress.anchor.unwrap_or(last);
        match &mut self.next_anchor {
            Some((next, since)) if since.elapsed() >= ANCHOR_AGE => {
                *since = Instant::now();
                std::mem::replace(next, last)
            }
            Some(_) => anchor,
            None => {
                self.next_anchor = Some((last, Instant::now()));
                anchor
            }
        }
    }
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
    /// From where on a restart reads again what the ledger must remember.
    pub replay_from: u64,
    /// The last record read, where there was one.
    pub last: Option<Last>,
    /// A record read long before that one.
    pub anchor: Option<Anchor>,
    /// The name of its file; empty where it is none.
    pub file: Text,
}

impl Stored {
    /// A partition of which nothing was read.
    pub fn fresh(partition: u32, start: u64) -> Self {
        let (last, anchor, file) = (None, None, Text::new());
        Stored { partition, start, next: start, replay_from: start, last, anchor, file }
    }

    /// What people call it: the file's name, or the number.
    pub fn place(&self) -> String {
        place(self.partition, &self.file)
    }

    /// The meaning of a row of this table; `None` for one that it cannot have written.
    pub fn of(row: &Row) -> Option<Self> {
        let (partition, Latest(progress)) = state(row)?;
        let Progress { next_offset, replay_from, start_offset, last, anchor, file, .. } = progress;
        let (start, next) = (start_offset, next_offset);
        Some(Stored { partition, start, next, replay_from, last, anchor, file })
    }
}

/// What people call a partition: the name of its file where it has one, else its number.
pub fn place(partition: u32, file: &str) -> String {
    if file.is_empty() { format!("partition {partition}") } else { file.to_owned() }
}

/// The rows as a function of the updates.
pub fn build<'scope>(
    topic: &str,
    updates: VecCollection<'scope, Epoch, u32, Latest<Progress>>,
    rows: &Rows<'scope>,
) -> Changes<'scope> {
    let topic: Text = topic.into();
    let counted = updates.concat(rows.restore(state)).count_total();
    changes(&Shared::new(counted), rows.number(), &TABLE, move |partition, Latest(progress)| {
        row(&topic, *partition, progress)
    })
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
        Value::UInt(progress.replay_from),
        last(|last| last.offset),
        last(|last| last.ms),
        last(|last| last.hash),
        anchor(|anchor| anchor.offset),
        anchor(|anchor| anchor.hash),
        Value::Text(progress.file.clone()),
    ])
}

/// The reverse of [`row`]. The topic is part of the job's fingerprint and not looked at here.
fn state(row: &Row) -> Option<Update> {
    let number = |column: usize| row.get(column)?.as_u64();
    let last = match (row.get(5)?, row.get(6)?, row.get(7)?) {
        (Value::Null, Value::Null, Value::Null) => None,
        (offset, ms, hash) => Some(Last {
            offset: offset.as_i64()?.cast_unsigned(),
            ms: ms.as_i64()?.cast_unsigned(),
            hash: hash.as_i64()?.cast_unsigned(),
        }),
    };
    let anchor = match (row.get(8)?, row.get(9)?) {
        (Value::Null, Value::Null) => None,
        (offset, hash) => Some(Anchor {
            offset: offset.as_i64()?.cast_unsigned(),
            hash: hash.as_i64()?.cast_unsigned(),
        }),
    };
    let (start_offset, next_offset, replay_from) = (number(2)?, number(3)?, number(4)?);
    let (update, file) = (0, row.get(10)?.as_text()?.into());
    let progress = Progress { update, next_offset, replay_from, start_offset, last, anchor, file };
    Some((u32::try_from(number(1)?).ok()?, Latest(progress)))
}

#[cfg(test)]
mod tests {
    use super::{Assignment, Last, Latest, Progress, Reached, Reading, row, state};
    use differential_dataflow::difference::Semigroup;

    #[test]
    fn a_row_restores_to_what_it_was_made_from() {
        let last = Last { offset: 8, ms: 1_700_000_000_000, hash: u64::MAX - 5 };
        for last in [None, Some(last)] {
            let anchor = last.map(Last::anchor);
            let (next_offset, replay_from, start_offset) = (9, 7, 4);
            let (update, file) = (0, "a/b.json".into());
            let progress =
                Progress { update, next_offset, replay_from, start_offset, last, anchor, file };
            assert_eq!(state(&row("tweets", 3, &progress)), Some((3, Latest(progress))));
        }
    }

    fn reached(offset: u64) -> Reached {
        Reached { partition: 0, offset, timestamp_ms: 0, hash: offset ^ 1 }
    }

    #[test]
    fn an_anchor_is_older_than_its_age() {
        let mut reading = Reading::new(&Assignment::fresh(0, 0));
        let mut anchor = |offset, is_later: bool| {
            if let Some((_, since)) = reading.next_anchor.as_mut().filter(|_| is_later) {
                *since = since.checked_sub(super::ANCHOR_AGE)?;
            }
            reading.reach(&reached(offset), None).1.0.anchor
        };
        for (offset, expected, is_later) in
            [(5, 5, false), (6, 5, false), (7, 5, true), (7, 5, false), (8, 7, true), (9, 8, true)]
        {
            // A machine that has just started has no such past.
            let Some(found) = anchor(offset, is_later) else { return };
            assert_eq!((found.offset, found.hash), (expected, expected ^ 1), "{offset}");
        }
    }

    /// What a start stores beside an offset to read again from that the ledger has given up.
    #[test]
    fn the_last_record_stays_known() {
        let last = Last { offset: 19, ms: 7, hash: 8 };
        let stored = Progress {
            update: 0,
            next_offset: 20,
            replay_from: 10,
            start_offset: 0,
            last: Some(last),
            anchor: Some(last.anchor()),
            file: "".into(),
        };
        let (_, mut sum) = state(&row("tweets", 0, &stored)).expect("its own row");
        let (last, anchor) = (stored.last, stored.anchor);
        let start =
            Assignment { next: 20, replay_from: 20, last, anchor, ..Assignment::fresh(0, 0) };
        let mut reading = Reading::new(&start);
        sum.plus_equals(&reading.begin().1);
        assert_eq!(sum.0, Progress { replay_from: 20, ..stored });
        sum.plus_equals(&reading.reach(&reached(25), None).1);
        assert_eq!((sum.0.next_offset, sum.0.replay_from), (26, 26));
    }

    #[test]
    fn what_the_ledger_remembers_is_read_again() {
        let stored = Assignment { next: 20, replay_from: 10, ..Assignment::fresh(0, 0) };
        let mut reading = Reading::new(&stored);
        let from = |reading: &Reading| reading.progress.replay_from;
        reading.note(5);
        reading.pass(12);
        assert_eq!(reading.risen(4), None);
        assert_eq!(reading.begin().1.0.replay_from, 10);
        reading.note(9);
        reading.pass(20);
        reading.reach(&reached(20), Some(4));
        assert_eq!(from(&reading), 10);
        assert_eq!(reading.risen(5), None);
        assert!(reading.risen(10).is_some(), "all is below");
        assert_eq!(from(&reading), 21);
        reading.note(11);
        reading.reach(&reached(29), Some(10));
        assert_eq!(from(&reading), 21);
        let mut sum = reading.risen(5).map_or_else(|| reading.begin().1, |update| update.1);
        reading.note_early(3, 10);
        reading.note_early(2, 9);
        sum.plus_equals(&reading.noted(Some(10)).1);
        assert_eq!(sum.0.replay_from, 3, "of a dead letter that is counted after all");
        sum.plus_equals(&reading.risen(11).expect("it rises").1);
        assert_eq!(sum.0.replay_from, 21);
        reading.reach(&reached(30), None);
        assert_eq!(from(&reading), 31, "without a ledger nothing is");
    }

    #[test]
    fn the_position_moves_to_an_end_without_a_record() {
        let mut reading = Reading::new(&Assignment::fresh(0, 0));
        reading.begin();
        reading.pass(6);
        let last = reading.reach(&reached(6), None).1.0.last;
        assert_eq!(reading.end(7, None), None, "the end is where the last record is");
        let (partition, Latest(progress)) = reading.end(9, None).expect("it moves");
        assert_eq!((partition, progress.next_offset, progress.replay_from), (0, 9, 9));
        assert_eq!((progress.last, progress.anchor), (last, last.map(Last::anchor)));
        assert_eq!(reading.end(8, None), None, "offsets only grow");
        reading.note(5);
        reading.pass(12);
        reading.reach(&reached(12), Some(4));
        let (_, Latest(progress)) = reading.end(20, Some(4)).expect("it moves");
        assert_eq!((progress.next_offset, progress.replay_from), (20, 9), "it is remembered");
    }
}

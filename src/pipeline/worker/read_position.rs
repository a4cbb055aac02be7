//! One partition as its reader keeps it: what was read, and the update of `kafka_offsets` that says
//! so.
//!
//! Owns the position, the anchor that is stored next, and what the ledger must remember of the
//! partition. It reads nothing itself.

use dataflows::operators::latest::Latest;
use dataflows::operators::ledger::Replay;
use dataflows::tables::kafka_offsets::{OffsetProgress, Update};
use std::time::{Duration, Instant};
use types::Text;
use types::offsets::{Anchor, Assignment, LastRecord, PolledUpTo};

/// How long a record is only the next anchor; several times what the watcher needs to look at one.
const ANCHOR_AGE: Duration = Duration::from_mins(1);

/// A partition as its reader keeps it.
#[derive(Debug)]
pub(super) struct ReadPosition {
    partition: u32,
    progress: OffsetProgress,
    /// The offset to read next.
    position: u64,
    /// The anchor that may follow the one that is stored, and since when.
    next_anchor: Option<(Anchor, Instant)>,
    /// What the ledger remembers of it.
    replay: Replay,
}

impl ReadPosition {
    /// What the ledger must remember is read next.
    pub(super) fn new(assignment: &Assignment) -> Self {
        let Assignment { partition, start, next, replay_from, last, anchor, .. } = *assignment;
        let (next_offset, start_offset) = (next, start);
        let (update, file) = (0, assignment.file.clone());
        let progress =
            OffsetProgress { update, next_offset, replay_from, start_offset, last, anchor, file };
        // It was just compared with the topic.
        let next_anchor = anchor.map(|anchor| (anchor, Instant::now()));
        let replay = Replay::default();
        ReadPosition { partition, progress, position: replay_from, next_anchor, replay }
    }

    /// Its number.
    pub(super) fn partition(&self) -> u32 {
        self.partition
    }

    /// The name of its file; empty where it is none.
    pub(super) fn file(&self) -> &Text {
        &self.progress.file
    }

    /// What counts is read from now on. Where that starts is stored before the first record:
    /// `--from latest` would else mean another place after a crash. A row that stands stays as it
    /// is.
    pub(super) fn begin(&mut self) -> Update {
        self.position = self.progress.next_offset;
        (self.partition, Latest(self.progress.clone()))
    }

    /// The record that is read now has an act on the tweet of this id.
    pub(super) fn remember_act(&mut self, id: u64) {
        self.replay.note(self.position, id);
    }

    /// A record that was passed long ago is counted now: who reads on from `offset` finds it, and
    /// its act on the tweet of this id.
    pub(super) fn remember_early_act(&mut self, offset: u64, id: u64) {
        self.replay.note_early(offset, id);
    }

    /// The update that goes with what was noted early. With a ledger, `floor` is the one that is
    /// stored.
    pub(super) fn early_act_update(&mut self, floor: Option<u64>) -> Update {
        self.rise(floor);
        self.update()
    }

    /// A record was read; returns how far that led.
    pub(super) fn pass(&mut self, offset: u64) -> u64 {
        offset + 1 - std::mem::replace(&mut self.position, offset + 1)
    }

    /// All records up to this one were read. With a ledger, `floor` is the one that is stored.
    pub(super) fn reach(&mut self, reached: &PolledUpTo, floor: Option<u64>) -> Update {
        let last =
            LastRecord { offset: reached.offset, ms: reached.timestamp_ms, hash: reached.hash };
        self.progress.next_offset = reached.offset + 1;
        self.progress.anchor = Some(self.anchor(last.anchor()));
        self.progress.last = Some(last);
        self.rise(floor);
        self.update()
    }

    /// Everything below `next` was read; the last offsets may hold no record. The update, if that
    /// moves the offset to read next.
    pub(super) fn end(&mut self, next: u64, floor: Option<u64>) -> Option<Update> {
        if next <= self.progress.next_offset {
            return None;
        }
        self.progress.next_offset = next;
        self.position = self.position.max(next);
        self.rise(floor);
        Some(self.update())
    }

    /// All that the ledger must remember was read again; returns how far that led.
    pub(super) fn replay_done(&mut self) -> u64 {
        let next = self.progress.next_offset;
        next.saturating_sub(std::mem::replace(&mut self.position, next))
    }

    /// The floor of the ledger rose. The update, if that moves the offset to read again from.
    pub(super) fn floor_raised(&mut self, floor: u64) -> Option<Update> {
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

#[cfg(test)]
mod tests {
    use super::{Assignment, Latest, OffsetProgress, PolledUpTo, ReadPosition};
    use dataflows::tables::kafka_offsets::{row, state};
    use differential_dataflow::difference::Semigroup;
    use types::offsets::LastRecord;

    #[test]
    fn a_row_restores_to_what_it_was_made_from() {
        let known = LastRecord { offset: 8, ms: 1_700_000_000_000, hash: u64::MAX - 5 };
        for last in [None, Some(known)] {
            let anchor = last.map(LastRecord::anchor);
            let (next_offset, replay_from, start_offset) = (9, 7, 4);
            let (update, file) = (0, "a/b.json".into());
            let progress = OffsetProgress {
                update,
                next_offset,
                replay_from,
                start_offset,
                last,
                anchor,
                file,
            };
            assert_eq!(state(&row("tweets", 3, &progress)), Some((3, Latest(progress))));
        }
    }

    fn reached(offset: u64) -> PolledUpTo {
        PolledUpTo { partition: 0, offset, timestamp_ms: 0, hash: offset ^ 1 }
    }

    #[test]
    fn an_anchor_is_older_than_its_age() {
        let mut reading = ReadPosition::new(&Assignment::fresh(0, 0));
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
        let known = LastRecord { offset: 19, ms: 7, hash: 8 };
        let stored = OffsetProgress {
            update: 0,
            next_offset: 20,
            replay_from: 10,
            start_offset: 0,
            last: Some(known),
            anchor: Some(known.anchor()),
            file: "".into(),
        };
        let (_, mut sum) = state(&row("tweets", 0, &stored)).expect("its own row");
        let (last, anchor) = (stored.last, stored.anchor);
        let start =
            Assignment { next: 20, replay_from: 20, last, anchor, ..Assignment::fresh(0, 0) };
        let mut reading = ReadPosition::new(&start);
        sum.plus_equals(&reading.begin().1);
        assert_eq!(sum.0, OffsetProgress { replay_from: 20, ..stored });
        sum.plus_equals(&reading.reach(&reached(25), None).1);
        assert_eq!((sum.0.next_offset, sum.0.replay_from), (26, 26));
    }

    #[test]
    fn what_the_ledger_remembers_is_read_again() {
        let stored = Assignment { next: 20, replay_from: 10, ..Assignment::fresh(0, 0) };
        let mut reading = ReadPosition::new(&stored);
        let from = |position: &ReadPosition| position.progress.replay_from;
        reading.remember_act(5);
        reading.pass(12);
        assert_eq!(reading.floor_raised(4), None);
        assert_eq!(reading.begin().1.0.replay_from, 10);
        reading.remember_act(9);
        reading.pass(20);
        reading.reach(&reached(20), Some(4));
        assert_eq!(from(&reading), 10);
        assert_eq!(reading.floor_raised(5), None);
        assert!(reading.floor_raised(10).is_some(), "all is below");
        assert_eq!(from(&reading), 21);
        reading.remember_act(11);
        reading.reach(&reached(29), Some(10));
        assert_eq!(from(&reading), 21);
        let mut sum = reading.floor_raised(5).map_or_else(|| reading.begin().1, |update| update.1);
        reading.remember_early_act(3, 10);
        reading.remember_early_act(2, 9);
        sum.plus_equals(&reading.early_act_update(Some(10)).1);
        assert_eq!(sum.0.replay_from, 3, "of a dead letter that is counted after all");
        sum.plus_equals(&reading.floor_raised(11).expect("it rises").1);
        assert_eq!(sum.0.replay_from, 21);
        reading.reach(&reached(30), None);
        assert_eq!(from(&reading), 31, "without a ledger nothing is");
    }

    #[test]
    fn the_position_moves_to_an_end_without_a_record() {
        let mut reading = ReadPosition::new(&Assignment::fresh(0, 0));
        reading.begin();
        reading.pass(6);
        let last = reading.reach(&reached(6), None).1.0.last;
        assert_eq!(reading.end(7, None), None, "the end is where the last record is");
        let (partition, Latest(progress)) = reading.end(9, None).expect("it moves");
        assert_eq!((partition, progress.next_offset, progress.replay_from), (0, 9, 9));
        assert_eq!((progress.last, progress.anchor), (last, last.map(LastRecord::anchor)));
        assert_eq!(reading.end(8, None), None, "offsets only grow");
        reading.remember_act(5);
        reading.pass(12);
        reading.reach(&reached(12), Some(4));
        let (_, Latest(remembering)) = reading.end(20, Some(4)).expect("it moves");
        let offsets = (remembering.next_offset, remembering.replay_from);
        assert_eq!(offsets, (20, 9), "it is remembered");
    }
}

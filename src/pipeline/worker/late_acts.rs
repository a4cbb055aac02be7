//! Which acts of a partition were late, as rows of `late_acts`.
//!
//! Owns the rows of one partition. An act is late if its tweet id is below the floor that holds in
//! the epoch in which it is read: the ledger judges it by the same floor. One row stands for all
//! acts on ids below a number between two records; it ends where an act in time with a smaller id
//! than that of the next late act lies between.
//!
//! Invariant: of each epoch at most one change of each row enters, before the epoch ends.

use super::WorkerLoop;
use std::collections::VecDeque;
use types::late::{LateKind, LateRow};

/// Rows of late acts of a partition; the oldest go first.
const ROWS: usize = 10_000;

/// The rows of one partition.
#[derive(Debug)]
pub(super) struct LateActs {
    partition: u32,
    bound: usize,
    /// The row that may grow, and the least id since that was in time.
    run: Option<(LateRow, u64)>,
    /// Whether it has grown in this epoch, and whether it stands already.
    is_grown: bool,
    is_stored: bool,
    /// Rows that were ended in this epoch, each with whether it stands already.
    ended: Vec<(LateRow, bool)>,
    /// Those that stand.
    stored: VecDeque<LateRow>,
    /// What rows that were dropped said.
    dropped: Option<LateRow>,
}

impl LateActs {
    /// Goes on from the rows that stand.
    pub(super) fn new(partition: u32, rows: &[LateRow]) -> Self {
        LateActs::with_bound(partition, rows, ROWS)
    }

    fn with_bound(partition: u32, rows: &[LateRow], bound: usize) -> Self {
        let of = |kind| rows.iter().copied().filter(move |row| row.kind == kind);
        LateActs {
            partition,
            bound,
            run: None,
            is_grown: false,
            is_stored: false,
            ended: Vec::new(),
            stored: of(LateKind::Late).collect(),
            dropped: of(LateKind::NotRecorded).next_back(),
        }
    }

    /// An act on `id` in the record at `offset`, which is the one that is read now.
    pub(super) fn note(&mut self, offset: u64, id: u64, floor: u64) {
        if id >= floor {
            if let Some((_, least_in_time)) = &mut self.run {
                *least_in_time = id.min(*least_in_time);
            }
            return;
        }
        match &mut self.run {
            Some((row, least_in_time)) if id < *least_in_time => {
                (row.last, row.below) = (offset, row.below.max(id + 1));
                self.is_grown = true;
            }
            _ => {
                self.end_run();
                self.run = Some((LateRow::late(self.partition, offset, id), u64::MAX));
                self.is_grown = true;
            }
        }
    }

    /// Acts on these ids in a record that is counted long after its place.
    pub(super) fn note_apart(&mut self, offset: u64, ids: impl Iterator<Item = u64>, floor: u64) {
        let mut greatest = None;
        for id in ids {
            if id < floor {
                greatest = greatest.max(Some(id));
            } else {
                self.note(offset, id, floor);
            }
        }
        self.ended.extend(greatest.map(|id| (LateRow::late(self.partition, offset, id), false)));
    }

    fn end_run(&mut self) {
        if let Some((row, _)) = self.run.take()
            && self.is_grown
        {
            self.ended.push((row, self.is_stored));
        }
        (self.is_grown, self.is_stored) = (false, false);
    }

    /// Hands out what has changed in this epoch: a row, and 1 if it stands from now on, -1 if it
    /// does not.
    pub(super) fn end_epoch(&mut self, mut enter: impl FnMut(LateRow, isize)) {
        if !self.is_grown && self.ended.is_empty() {
            return;
        }
        let run = self.run.iter().filter(|_| self.is_grown).map(|(row, _)| (*row, self.is_stored));
        let changed: Vec<_> = self.ended.drain(..).chain(run).collect();
        self.is_stored |= self.is_grown;
        self.is_grown = false;
        let mut dropped = Vec::new();
        for (row, is_stored) in &changed {
            if *is_stored {
                self.stored
                    .iter_mut()
                    .rev()
                    .filter(|held| held.first == row.first)
                    .for_each(|held| *held = *row);
            } else {
                self.stored.push_back(*row);
            }
        }
        while self.stored.len() > self.bound {
            dropped.extend(self.stored.pop_front());
        }
        let is_dropped = |row: &LateRow| dropped.iter().any(|gone| gone.first == row.first);
        for (row, is_stored) in &changed {
            if !is_dropped(row) {
                enter(*row, 1);
            } else if *is_stored {
                enter(*row, -1);
            }
        }
        for row in &dropped {
            if changed.iter().all(|(changed, _)| changed.first != row.first) {
                enter(*row, -1);
            }
            let held = self
                .dropped
                .get_or_insert_with(|| LateRow::not_recorded(self.partition, row.first, row.last));
            held.last = held.last.max(row.last);
        }
        if !dropped.is_empty() {
            self.dropped.iter().for_each(|row| enter(*row, 1));
        }
    }
}

impl WorkerLoop<'_> {
    /// What of this epoch was late enters with it.
    pub(super) fn record_late_acts(&mut self) {
        let Some(inputs) = &mut self.flow.inputs else { return };
        for partition in &mut self.ingest.partitions {
            let rows = &mut inputs.late_acts;
            partition.late_acts.end_epoch(|row, difference| rows.update(row, difference));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LateActs, LateRow};

    fn epoch(acts: &mut LateActs, read: &[(u64, u64)], floor: u64) -> Vec<(LateRow, isize)> {
        let mut entered = Vec::new();
        for (offset, id) in read {
            acts.note(*offset, *id, floor);
        }
        acts.end_epoch(|row, difference| entered.push((row, difference)));
        entered
    }

    fn late(first: u64, last: u64, below: u64) -> LateRow {
        LateRow { last, below, ..LateRow::late(3, first, 0) }
    }

    #[test]
    fn a_row_grows_until_an_act_in_time_lies_between() {
        let mut acts = LateActs::new(3, &[]);
        assert_eq!(epoch(&mut acts, &[(0, 50), (1, 10)], 10), []);
        assert_eq!(epoch(&mut acts, &[(2, 5), (3, 30), (4, 7)], 20), [(late(2, 4, 8), 1)]);
        assert_eq!(epoch(&mut acts, &[(5, 40)], 20), []);
        assert_eq!(epoch(&mut acts, &[(6, 29)], 35), [(late(2, 6, 30), 1)], "below the 30");
        assert_eq!(
            epoch(&mut acts, &[(7, 3), (8, 30)], 35),
            [(late(2, 7, 30), 1), (late(8, 8, 31), 1)]
        );
        assert_eq!(epoch(&mut acts, &[(9, 1)], 35), [(late(8, 9, 31), 1)]);
    }

    #[test]
    fn what_is_counted_long_after_its_place_has_a_row_of_its_own() {
        let mut acts = LateActs::new(3, &[]);
        let mut entered = epoch(&mut acts, &[(9, 5)], 20);
        acts.note_apart(4, [3, 25, 6].into_iter(), 20);
        acts.end_epoch(|row, difference| entered.push((row, difference)));
        assert_eq!(entered, [(late(9, 9, 6), 1), (late(4, 4, 7), 1)]);
        assert_eq!(epoch(&mut acts, &[(10, 26)], 30), [(late(10, 10, 27), 1)], "above the 25");
    }

    #[test]
    fn the_oldest_rows_are_dropped_and_said_to_be() {
        let mut acts = LateActs::with_bound(3, &[late(0, 1, 5), late(2, 2, 6)], 2);
        let gone = |last| (LateRow::not_recorded(3, 0, last), 1);
        let first = epoch(&mut acts, &[(7, 5)], 20);
        assert_eq!(first, [(late(7, 7, 6), 1), (late(0, 1, 5), -1), gone(1)]);
        assert_eq!(epoch(&mut acts, &[(8, 21), (9, 22), (10, 23)], 20), []);
        let second = epoch(&mut acts, &[(11, 21), (12, 8)], 22);
        assert_eq!(second, [(late(11, 12, 22), 1), (late(2, 2, 6), -1), gone(2)]);
        let again = LateActs::with_bound(3, &[late(7, 7, 6), gone(2).0], 2);
        assert_eq!((again.stored.len(), again.dropped), (1, Some(gone(2).0)));
    }
}

//! Which acts on tweets the ledger ignored, as the table `late_acts` says, and which memory of it
//! took the others in.
//!
//! The rows are evidence: they are not compared. A row that is wrong makes the totals of late acts
//! differ.

use std::collections::BTreeMap;
use types::late::{LateKind, LateRow};
use types::{Row, Table};

/// What became of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// The memory of this number took it in.
    InTime(u64),
    /// It came too late.
    Late,
    /// There was no ledger.
    NoLedger,
}

/// The rows of `late_acts`, and what `floors` says of the memory that is now.
#[derive(Clone, Debug, Default)]
pub(super) struct LateActs {
    /// By partition and first record: the last one, and the number that the ids are below.
    runs: BTreeMap<(u32, u64), (u64, u64)>,
    /// The same of single records.
    singles: BTreeMap<(u32, u64), u64>,
    /// By partition and number of the memory that begins: its first record, and what changed.
    changes: BTreeMap<(u32, u64), (u64, LateKind)>,
    /// By partition, the last record whose late acts may have no row.
    not_recorded: BTreeMap<u32, u64>,
    /// What `floors` says; `None` if the job never noted late acts.
    memory: Option<u64>,
}

impl LateActs {
    /// Notes a row, if it says something of this.
    pub(super) fn see(&mut self, table: &Table, row: &Row) {
        if table.name == "floors" && row[0].as_text() == Some("memory") {
            self.memory = row[1].as_u64();
        }
        let late = if table.name == types::late::TABLE_NAME { LateRow::of(row) } else { None };
        let Some(LateRow { partition, first, kind, memory, last, below }) = late else { return };
        match kind {
            LateKind::Late if first == last => {
                self.singles.insert((partition, first), below);
            }
            LateKind::Late => {
                self.runs.insert((partition, first), (last, below));
            }
            LateKind::NotRecorded => {
                let held = self.not_recorded.entry(partition).or_default();
                *held = last.max(*held);
            }
            LateKind::LedgerOn | LateKind::LedgerOff | LateKind::Forgotten => {
                self.changes.insert((partition, memory), (first, kind));
            }
        }
    }

    /// What became of an act on `id` in a record.
    pub(super) fn judge(&self, partition: u32, offset: u64, id: u64) -> Judgement {
        let place = (partition, offset);
        // The last record of a run may be the first one of the next.
        let mut runs = self.runs.range(..=place).rev().take(2);
        let is_in_run =
            runs.any(|((of, _), (last, below))| *of == partition && offset <= *last && id < *below);
        if is_in_run || self.singles.get(&place).is_some_and(|below| id < *below) {
            return Judgement::Late;
        }
        let mut changes = self.changes.range((partition, 0)..=(partition, u64::MAX));
        match changes.find(|(_, (first, _))| *first > offset) {
            Some((_, (_, LateKind::LedgerOn))) => Judgement::NoLedger,
            Some(((_, memory), _)) => Judgement::InTime(memory - 1),
            None => match self.memory.unwrap_or_default() {
                memory if memory % 2 == 0 => Judgement::InTime(memory / 2),
                _ => Judgement::NoLedger,
            },
        }
    }

    /// Whether the memory ever changed.
    pub(super) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Whether late acts behind these offsets may have no row; `start` is by partition.
    pub(super) fn is_incomplete(&self, start: impl Fn(u32) -> u64) -> bool {
        self.memory.is_none()
            || self.not_recorded.iter().any(|(partition, last)| *last >= start(*partition))
    }
}

#[cfg(test)]
mod tests {
    use super::{Judgement, LateActs, LateKind, LateRow};
    use types::{Table, Value};

    fn acts(memory: u64, rows: &[LateRow]) -> LateActs {
        let mut acts = LateActs::default();
        let floors = dataflows::tables::floors::TABLE;
        acts.see(&floors, &[Value::Text("memory".into()), Value::UInt(memory)].into());
        let table: Table = dataflows::tables::late_acts::TABLE;
        for row in rows {
            acts.see(&table, &row.row(&"t".into()));
        }
        acts
    }

    #[test]
    fn an_act_is_late_as_the_rows_say() {
        let run = |first, last, below| LateRow { last, below, ..LateRow::late(0, first, 0) };
        let acts = acts(0, &[run(3, 7, 20), run(5, 5, 25), run(7, 9, 30)]);
        let is_late = |offset, id| acts.judge(0, offset, id) == Judgement::Late;
        let late = [(3, 19), (5, 24), (6, 0), (7, 29), (9, 29)];
        let in_time = [(2, 1), (3, 20), (5, 25), (6, 20), (7, 30), (10, 1)];
        assert!(late.iter().all(|(offset, id)| is_late(*offset, *id)));
        assert!(in_time.iter().all(|(offset, id)| !is_late(*offset, *id)));
        assert_eq!(acts.judge(1, 5, 1), Judgement::InTime(0));
    }

    #[test]
    fn a_memory_begins_where_the_rows_say() {
        let change = |first, kind, memory| LateRow::change(0, first, kind, memory);
        let off = change(10, LateKind::LedgerOff, 1);
        let on = change(20, LateKind::LedgerOn, 2);
        let forgotten = change(20, LateKind::Forgotten, 3);
        let acts = acts(6, &[off, on, forgotten]);
        let of = |offset| acts.judge(0, offset, 1);
        assert_eq!(of(9), Judgement::InTime(0));
        assert_eq!([of(10), of(19)], [Judgement::NoLedger; 2]);
        assert_eq!([of(20), acts.judge(1, 0, 1)], [Judgement::InTime(3); 2]);
        assert!(!acts.is_incomplete(|_| 0) && acts.has_changes());
        let unrecorded = self::acts(1, &[LateRow::not_recorded(0, 2, 8)]);
        assert_eq!(unrecorded.judge(0, 3, 1), Judgement::NoLedger);
        assert!(unrecorded.is_incomplete(|_| 8) && !unrecorded.is_incomplete(|_| 9));
        assert!(LateActs::default().is_incomplete(|_| 9));
    }
}

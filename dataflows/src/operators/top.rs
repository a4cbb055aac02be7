//! The first keys of a ranking, as a table with one row a rank.
//!
//! ```text
//! sums of a worker ─► best of worker ─┐
//!                                     ├─► best of all (worker 0) ─► ranks that changed
//! the table's rows ───────────────────┘
//! ```
//!
//! A key comes before another one if its score is greater, or the scores are equal and the key is
//! less: so ties stand still. Both operators keep the best keys and a floor: every key of the
//! worker that is as good as the floor is kept, no other is. When keys lose their score and fewer
//! than the shown ones are left, the worker's sums are read again; so no memory is needed for keys
//! that are far from being shown.
//!
//! Each epoch is ranked by itself, so that the table is of the same moment as the one it ranks.
//!
//! Restore: the sums are restored by the table that they belong to. The rows that the database
//! holds are what the first ranking is compared with, so that a restart writes the difference:
//! normally nothing.

use crate::operators::changes::Changes;
use crate::operators::counted::{Counted, Sums};
use crate::operators::epoch_buffer::EpochBuffer;
use crate::operators::shared::Batch;
use crate::{Epoch, RESTORED, Rows};
use differential_dataflow::ExchangeData;
use differential_dataflow::difference::Semigroup;
use differential_dataflow::hashable::Hashable;
use differential_dataflow::trace::TraceReader;
use differential_dataflow::trace::cursor::{Cursor, cursor_list};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::rc::Rc;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Concat;
use timely::dataflow::operators::generic::operator::Operator;
use timely::dataflow::operators::vec::Map;
use timely::progress::Antichain;
use types::table::Table;
use types::{Change, Row};

/// How many keys are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Ranks that the table shows.
    pub shown: usize,
    /// With more keys than this a worker forgets the worse half of them; at least twice `shown`.
    pub kept: usize,
}

/// Of the tables.
pub const BOUNDS: Bounds = Bounds { shown: 100, kept: 16 << 10 };

/// What is ranked, and how it is shown.
pub struct Ranking<K, R, S> {
    /// The table's declaration; its key is the rank.
    pub table: Table,
    /// How many keys are looked at.
    pub bounds: Bounds,
    /// A key's score; `None` = not ranked.
    pub score: fn(&K, &R) -> Option<S>,
    /// The row at a rank, from 1 on.
    pub row: fn(u64, &K, &R) -> Row,
}

impl<K, R, S> Clone for Ranking<K, R, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, R, S> Copy for Ranking<K, R, S> {}

/// The changes of the table.
pub fn top<'scope, K, R, S>(
    counted: &Counted<'scope, K, R>,
    rows: &Rows<'scope>,
    ranking: Ranking<K, R, S>,
) -> Changes<'scope>
where
    K: ExchangeData + Hashable,
    R: ExchangeData + Semigroup,
    S: Ord + Clone + 'static,
{
    let entries = best_of_worker(counted, ranking)
        .map(|((key, sum), epoch, difference)| (Item::Entry(key, sum), epoch, difference));
    let stored = rows.restore(|row| Some((row.clone(), 1_isize)));
    let stored = stored.inner.map(|(row, epoch, difference)| (Item::Row(row), epoch, difference));
    best_of_all(entries.concat(stored), rows.number(), ranking)
}

/// What worker 0 ranks.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Item<K, R> {
    /// A key that is among the best of some worker.
    Entry(K, R),
    /// A row that the database holds.
    Row(Row),
}

/// Retractions come before insertions.
fn in_order<D>(mut updates: Vec<(D, Epoch, isize)>) -> Vec<(D, Epoch, isize)> {
    updates.sort_by_key(|(.., difference)| *difference);
    updates
}

/// The best keys of one worker as a collection: as many as are shown of all workers.
fn best_of_worker<'scope, K, R, S>(
    counted: &Counted<'scope, K, R>,
    ranking: Ranking<K, R, S>,
) -> StreamVec<'scope, Epoch, ((K, R), Epoch, isize)>
where
    K: ExchangeData + Hashable,
    R: ExchangeData + Semigroup,
    S: Ord + Clone + 'static,
{
    let mut trace = counted.trace.clone();
    let name = format!("{}: best of worker", ranking.table.name);
    counted.sums.stream().unary_frontier(Pipeline, &name, move |_, _| {
        let mut best = Best::new(ranking.score, ranking.bounds);
        let mut buffer = EpochBuffer::<Batch<(K, R)>>::default();
        let mut shown = Vec::new();
        move |(input, frontier), output| {
            let port = output.output_index();
            input.for_each(|capability, batch| {
                let mut kept_for = None;
                for ((key, sum), epoch, difference) in batch.iter() {
                    if *epoch == RESTORED {
                        // Of all keys at once: nothing is kept of those that are not good enough.
                        best.update((key, sum), *difference);
                    }
                    // Nearly always one epoch a batch.
                    if kept_for.replace(*epoch) == Some(*epoch) {
                        continue;
                    }
                    let kept = buffer.open(*epoch, |epoch| capability.delayed(epoch, port));
                    let is_kept = kept.last().is_some_and(|last| Rc::ptr_eq(last, batch));
                    if *epoch != RESTORED && !is_kept {
                        kept.push(Rc::clone(batch));
                    }
                }
            });
            let until = frontier.frontier().first().copied();
            while let Some((epoch, capability, batches)) = buffer.pop_complete(until) {
                // What goes before what comes: a place may have another sum than before.
                for is_coming in [false, true] {
                    let updates = batches.iter().flat_map(|batch| batch.iter());
                    for ((key, sum), at, difference) in updates {
                        if *at == epoch && (*difference > 0) == is_coming {
                            best.update((key, sum), *difference);
                        }
                    }
                }
                if best.is_short() {
                    best.refill(&mut trace, epoch);
                }
                let mut session = output.session(&capability);
                for (entry, difference) in best.differences(&mut shown) {
                    session.give((entry, epoch, difference));
                }
            }
            trace.set_logical_compaction(frontier.frontier());
            trace.set_physical_compaction(frontier.frontier());
        }
    })
}

/// The best keys of all workers, as changes of the rows in the database.
fn best_of_all<K, R, S>(
    items: StreamVec<'_, Epoch, (Item<K, R>, Epoch, isize)>,
    number: u8,
    ranking: Ranking<K, R, S>,
) -> Changes<'_>
where
    K: ExchangeData,
    R: ExchangeData,
    S: Ord + Clone + 'static,
{
    let to_worker_0 = Exchange::new(|_: &(Item<K, R>, Epoch, isize)| 0);
    // All that the workers show: forgetting one could not be undone here.
    let bounds = Bounds { kept: usize::MAX, ..ranking.bounds };
    items.unary_frontier(to_worker_0, ranking.table.name, move |_, _| {
        let (mut best, mut buffer) = (Best::new(ranking.score, bounds), EpochBuffer::default());
        let mut rows = BTreeMap::<u64, Row>::new();
        move |(input, frontier), output| {
            let port = output.output_index();
            input.for_each(|capability, batch| {
                let held = |epoch: &Epoch| capability.delayed(epoch, port);
                for item in batch.drain(..) {
                    buffer.open(item.1, held).push(item);
                }
            });
            let until = frontier.frontier().first().copied();
            while let Some((epoch, capability, batch)) = buffer.pop_complete(until) {
                for (item, _, difference) in in_order(batch) {
                    match item {
                        Item::Entry(key, sum) => best.update((&key, &sum), difference),
                        Item::Row(row) => {
                            debug_assert_eq!(epoch, RESTORED, "rows are restored");
                            let rank = row[0].as_u64().expect("the key of a ranking is a rank");
                            rows.insert(rank, row);
                        }
                    }
                }
                let mut session = output.session(&capability);
                for change in differences(&mut rows, best.rows(ranking.row)) {
                    session.give((number, change, epoch));
                }
            }
        }
    })
}

/// From the rows as they are to the rows as they should be; they are so afterwards.
fn differences(rows: &mut BTreeMap<u64, Row>, wanted: impl Iterator<Item = Row>) -> Vec<Change> {
    let (mut changes, mut count) = (Vec::new(), 0);
    for row in wanted {
        count += 1;
        if rows.get(&count) != Some(&row) {
            rows.insert(count, row.clone());
            changes.push(Change::Upsert(row));
        }
    }
    let gone = rows.split_off(&(count + 1)).into_values();
    changes.extend(gone.map(|row| Change::Delete(row[..1].into())));
    changes
}

/// Where a key stands among others.
type RankPlace<K, S> = (Reverse<S>, K);

/// The best keys that were met.
struct Best<K, R, S> {
    score: fn(&K, &R) -> Option<S>,
    entries: BTreeMap<RankPlace<K, S>, Rc<R>>,
    /// Every key up to here is among the entries, no other is; `None`: all are.
    floor: Option<RankPlace<K, S>>,
    bounds: Bounds,
    /// The last place that was shown at the last look; `None`: there were fewer.
    last_shown: Option<RankPlace<K, S>>,
    /// Whether a shown place may have changed since the last look.
    is_touched: bool,
}

impl<K, R, S> Best<K, R, S>
where
    K: Ord + Clone,
    R: Clone + Eq,
    S: Ord + Clone,
{
    fn new(score: fn(&K, &R) -> Option<S>, bounds: Bounds) -> Self {
        let (entries, floor, last_shown) = (BTreeMap::new(), None, None);
        Best { score, entries, floor, bounds, last_shown, is_touched: false }
    }

    /// A key's sum comes or goes.
    fn update(&mut self, (key, sum): (&K, &R), difference: isize) {
        let Some(score) = (self.score)(key, sum).map(Reverse) else { return };
        let is_behind = |(of, other): &RankPlace<K, S>| (&score, key) > (of, other);
        if self.floor.as_ref().is_some_and(is_behind) {
            return;
        }
        self.is_touched |= !self.last_shown.as_ref().is_some_and(is_behind);
        let place = (score, key.clone());
        if difference > 0 {
            self.entries.insert(place, Rc::new(sum.clone()));
            self.forget_the_worst();
        } else {
            self.entries.remove(&place);
        }
    }

    fn forget_the_worst(&mut self) {
        let kept = self.bounds.kept;
        if self.entries.len() > kept {
            let middle = self.entries.keys().nth(kept / 2).cloned().expect("there are more");
            drop(self.entries.split_off(&middle));
            self.floor = self.entries.keys().next_back().cloned();
        }
    }

    /// Whether keys that are not among the entries belong to the shown ones.
    fn is_short(&self) -> bool {
        self.floor.is_some() && self.entries.len() < self.bounds.shown
    }

    /// The shown keys, against those of the last time.
    fn differences(&mut self, shown: &mut Vec<(K, Rc<R>)>) -> Vec<((K, R), isize)> {
        if !std::mem::take(&mut self.is_touched) {
            return Vec::new();
        }
        self.last_shown = self.entries.keys().nth(self.bounds.shown - 1).cloned();
        let entries = self.entries.iter().take(self.bounds.shown);
        let now: Vec<_> = entries.map(|((_, key), sum)| (key.clone(), Rc::clone(sum))).collect();
        let gone = shown.iter().filter(|entry| !now.contains(entry)).map(|entry| (entry, -1));
        let come = now.iter().filter(|entry| !shown.contains(entry)).map(|entry| (entry, 1));
        let differences = gone
            .chain(come)
            .map(|((key, sum), difference)| ((key.clone(), R::clone(sum)), difference));
        let differences = differences.collect();
        *shown = now;
        differences
    }

    /// The shown rows.
    fn rows(&self, row: fn(u64, &K, &R) -> Row) -> impl Iterator<Item = Row> {
        let entries = self.entries.iter().take(self.bounds.shown);
        (1..).zip(entries).map(move |(rank, ((_, key), sum))| row(rank, key, sum))
    }
}

impl<K, R, S> Best<K, R, S>
where
    K: ExchangeData + Hashable,
    R: ExchangeData + Semigroup,
    S: Ord + Clone,
{
    /// Reads all sums as of the end of `epoch`.
    fn refill(&mut self, trace: &mut Sums<K, R>, epoch: Epoch) {
        self.entries.clear();
        (self.floor, self.is_touched) = (None, true);
        let everything = Antichain::new();
        let batches = trace.batches_through(everything.borrow()).expect("all of it can be read");
        let (mut cursor, storage) = cursor_list(batches);
        while let Some(key) = cursor.get_key(&storage) {
            let mut sum: Option<R> = None;
            cursor.map_times(&storage, |time, difference| {
                if *time <= epoch {
                    match &mut sum {
                        Some(sum) => sum.plus_equals(difference),
                        None => sum = Some(difference.clone()),
                    }
                }
            });
            if let Some(sum) = sum.filter(|sum| !sum.is_zero()) {
                self.update((key, &sum), 1);
            }
            cursor.step_key(&storage);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Best, Bounds};

    #[test]
    fn what_is_far_from_being_shown_is_forgotten() {
        let mut best = Best::new(|_: &u64, sum: &i64| Some(*sum), Bounds { shown: 4, kept: 8 });
        for key in 0..100 {
            best.update((&key, &1), 1);
        }
        assert!(best.entries.len() <= 8 && best.floor.is_some(), "{}", best.entries.len());
    }
}

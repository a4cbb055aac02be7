//! Windowed sums: sums over the last minutes. What leaves the window never comes back.
//!
//! ```text
//! updates ((minute, data), difference) ───────┐
//!                                             ├─► sums ((minute, data), sum), one a pair
//! the newest minute (every worker hears it) ──┘
//! ```
//!
//! It owns the sums, by minute. The floor is a span below the newest minute. Invariant: after each
//! epoch, every pair at or above the floor has its sum, whatever came in which order; of pairs
//! below nothing is held. The newest minute of an epoch is the greatest of all that were heard at
//! epochs up to it, so all workers use the same one, and the result at an epoch is a function of
//! all updates so far: a late update below the floor counts nothing, and since floors only rise,
//! one at or above it has been below none.
//!
//! The old sum goes and the new one comes side by side, as [`crate::operators::changes`] wants it.
//! It does not decide which minute is the newest; see [`crate::tables::floors`].
//!
//! Restore: sums and newest minute enter at epoch 0 like any others.

use crate::Epoch;
use crate::tables::floors::Minutes;
use differential_dataflow::consolidation::consolidate;
use differential_dataflow::difference::Semigroup;
use differential_dataflow::{AsCollection, Data, VecCollection};
use foldhash::HashMap;
use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use timely::dataflow::channels::pact::{ParallelizationContract, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::operator::Operator;

/// Update triples of pairs of minute and data.
pub type Updates<D, R> = Vec<((u32, D), Epoch, R)>;

/// The sums of `updates` that are not more than `span` minutes older than the newest minute. `pact`
/// brings all updates of a pair to one worker.
pub fn windowed_sums<'scope, D, R, P>(
    updates: VecCollection<'scope, Epoch, (u32, D), R>,
    (newest, span): (Minutes<'scope>, u32),
    pact: P,
    name: &str,
) -> VecCollection<'scope, Epoch, ((u32, D), R), isize>
where
    D: Data + Hash,
    R: Data + Semigroup,
    P: ParallelizationContract<Epoch, Updates<D, R>>,
{
    let sums = updates.inner.binary_frontier(newest, pact, Pipeline, name, |_, _| {
        let mut pending = BTreeMap::<Epoch, PendingEpoch<D, R>>::new();
        let mut window = Window { sums: BTreeMap::new(), floor: None };
        move |(updates_in, updates_frontier), (newest_in, newest_frontier), output| {
            let port = output.output_index();
            updates_in.for_each(|capability, batch| {
                for (pair, epoch, difference) in batch.drain(..) {
                    let entry = pending
                        .entry(epoch)
                        .or_insert_with(|| PendingEpoch::new(capability.delayed(&epoch, port)));
                    entry.updates.push((pair, difference));
                }
            });
            newest_in.for_each(|capability, batch| {
                for (minute, epoch) in batch.drain(..) {
                    let entry = pending
                        .entry(epoch)
                        .or_insert_with(|| PendingEpoch::new(capability.delayed(&epoch, port)));
                    entry.floor = entry.floor.max(Some(minute.saturating_sub(span)));
                }
            });
            let is_open = |epoch: &Epoch| {
                updates_frontier.less_equal(epoch) || newest_frontier.less_equal(epoch)
            };
            while let Some(first) = pending.first_entry()
                && !is_open(first.key())
            {
                let (epoch, entry) = first.remove_entry();
                let mut session = output.session(&entry.capability);
                let mut give =
                    |pair, sum, difference| session.give(((pair, sum), epoch, difference));
                window.raise_floor(entry.floor, &mut give);
                window.apply(entry.updates, &mut give);
            }
        }
    });
    sums.as_collection()
}

/// Updates of an epoch that may still get more.
struct PendingEpoch<D, R> {
    capability: Capability<Epoch>,
    updates: Vec<((u32, D), R)>,
    floor: Option<u32>,
}

impl<D, R> PendingEpoch<D, R> {
    fn new(capability: Capability<Epoch>) -> Self {
        PendingEpoch { capability, updates: Vec::new(), floor: None }
    }
}

/// The sums at or above the floor.
struct Window<D, R> {
    sums: BTreeMap<u32, HashMap<D, R>>,
    floor: Option<u32>,
}

impl<D: Data + Hash, R: Data + Semigroup> Window<D, R> {
    /// Forgets what is below a floor, if that is a higher one.
    fn raise_floor(&mut self, floor: Option<u32>, give: &mut impl FnMut((u32, D), R, isize)) {
        if floor <= self.floor {
            return;
        }
        self.floor = floor;
        while let Some(first) = self.sums.first_entry()
            && Some(*first.key()) < floor
        {
            let (key, sums) = first.remove_entry();
            for (data, sum) in sums {
                give((key, data), sum, -1);
            }
        }
    }

    /// Adds updates up.
    fn apply(
        &mut self,
        mut updates: Vec<((u32, D), R)>,
        give: &mut impl FnMut((u32, D), R, isize),
    ) {
        updates.retain(|((key, _), _)| Some(*key) >= self.floor);
        consolidate(&mut updates);
        for ((key, data), difference) in updates {
            let sums = self.sums.entry(key).or_default();
            match sums.entry(data) {
                Entry::Vacant(vacant) => {
                    give((key, vacant.key().clone()), difference.clone(), 1);
                    vacant.insert(difference);
                }
                Entry::Occupied(mut occupied) => {
                    let held = occupied.key().clone();
                    give((key, held.clone()), occupied.get().clone(), -1);
                    occupied.get_mut().plus_equals(&difference);
                    if occupied.get().is_zero() {
                        occupied.remove();
                    } else {
                        give((key, held), occupied.get().clone(), 1);
                    }
                }
            }
            if sums.is_empty() {
                self.sums.remove(&key);
            }
        }
    }
}

//! The ledger: a tweet that stands in the topic twice counts once, a deleted one not at all, and of
//! an edited one its newest version.
//!
//! It stands before all tables that add up and turns what was read ([`Act`]) into what counts
//! ([`Effect`]). What it keeps of a tweet is up to its caller.
//!
//! **Rule.** Per tweet id at or above the floor it remembers the content that counts, or that the
//! tweet is deleted. What an id adds up to is a function of the *set* of its acts: one post counts,
//! the others are duplicates; where posts differ the greatest content counts; one delete, before or
//! behind the posts, and none counts; nor does one of a tweet that a newer version says it
//! replaces. A tweet that is both is deleted. So neither the order of arrival nor the number of
//! workers nor a restart can make a difference. Below the floor a post counts and is not
//! remembered, anything else is ignored.
//!
//! **Transient acts.** An id that no tweet can have ([`types::clock`]) would be remembered for
//! ever, and what must be remembered must be read again by a restart. So an act on such an id is
//! remembered in this run only (`transient`). An entry of it stands for effects that left since the
//! start, so no count falls below zero, whatever a restart forgets. Ordinary acts on the same id go
//! before: they make what they would make without the transient ones, and take back what those had
//! counted.
//!
//! **Floor.** One number that never falls and is the same on all workers. It holds behind the epoch
//! at which it enters, so a floor and the counts that were made above it leave in one transaction.
//! To forget what is below emits nothing: its effects stay.
//!
//! **Restore.** At [`RESTORED`] enter the stored floor and all acts since [`Replay::from`] that
//! were counted before, in any order. They make the memory what it was, and nothing leaves: it
//! stands in the rows. Their order does not matter, so they are not held back until the epoch is
//! complete.
//!
//! It does not know where the floor comes from ([`Policy`] does), nor what a content is for.

mod floor;
mod replay;
mod transient;

pub use floor::{Policy, ReachedTimes};
pub use replay::Replay;

use crate::{Epoch, RESTORED};
use differential_dataflow::{AsCollection, ExchangeData, VecCollection};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::operator::Operator;
use timely::dataflow::operators::vec::Broadcast;
use timely::progress::frontier::MutableAntichain;
use transient::Transient;
use types::ledger::Figures;

/// What was read about a tweet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Act<C> {
    /// It was posted.
    Post(C),
    /// It was deleted.
    Delete,
    /// A newer version of it was posted.
    Replace,
    /// It was posted under an implausible id. That is remembered in this run only, until the floor
    /// passes the second number, which is an id of the time of its record.
    TransientPost(Box<(C, u64)>),
    /// Such a one was deleted; likewise.
    TransientDelete(u64),
}

/// What a tweet adds up to. Of an id with posts exactly one of the first three stands, and the
/// fourth once for each post but the first: their sum is the number of posts. The others say what
/// was late.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Effect<C> {
    /// The tweet counts.
    Counts(C),
    /// The tweet was posted and does not count, because it was deleted.
    Deleted,
    /// The tweet was posted and does not count, because a newer version of it was posted.
    Superseded,
    /// A post of a tweet that was posted before.
    Duplicate,
    /// Beside its [`Effect::Counts`]: the post came below the floor.
    LatePost,
    /// A delete that came below the floor and was ignored.
    LateDelete,
    /// A newer version of a tweet below the floor: that one counts as well.
    LateEdit,
}

/// How a worker's share is looked at.
pub struct Watched<C> {
    /// Kept up to date.
    pub figures: Rc<Cell<Figures>>,
    /// Bytes that a content takes beyond its own size.
    pub weigh: fn(&C) -> usize,
}

/// Acts by tweet id; they come and never go.
pub type Acts<'scope, C> = VecCollection<'scope, Epoch, (u64, Act<C>), isize>;

/// Floors; the greatest holds. Whichever workers they enter on, all see them.
pub type Floors<'scope> = VecCollection<'scope, Epoch, u64, isize>;

/// What each tweet adds up to, as a function of acts and floors.
pub fn ledger<'scope, C: ExchangeData>(
    acts: Acts<'scope, C>,
    floors: Floors<'scope>,
    watched: Watched<C>,
) -> VecCollection<'scope, Epoch, (u64, Effect<C>), isize> {
    let by_id = Exchange::new(|((id, _), ..): &((u64, Act<C>), Epoch, isize)| spread(*id));
    let (acts, floors) = (acts.inner, floors.inner.broadcast());
    let effects = acts.binary_frontier(floors, by_id, Pipeline, "ledger", |_, _| {
        let mut memory = Memory::new(watched.weigh);
        let mut pending_acts = BTreeMap::<Epoch, (Capability<Epoch>, Vec<(u64, Act<C>)>)>::new();
        let mut pending_floors = BTreeMap::<Epoch, u64>::new();
        move |(acts_in, acts_frontier), (floors_in, floors_frontier), output| {
            let port = output.output_index();
            acts_in.for_each(|capability, batch| {
                for ((id, act), epoch, difference) in batch.drain(..) {
                    debug_assert_eq!(difference, 1, "what was read stays read");
                    if epoch == RESTORED {
                        memory.recall(id, act);
                    } else {
                        let open = || (capability.delayed(&epoch, port), Vec::new());
                        pending_acts.entry(epoch).or_insert_with(open).1.push((id, act));
                    }
                }
            });
            floors_in.for_each(|_, batch| {
                for (floor, epoch, _) in batch.drain(..) {
                    let held = pending_floors.entry(epoch).or_default();
                    *held = floor.max(*held);
                }
            });
            let until = complete([acts_frontier, floors_frontier]);
            while let Some((epoch, (capability, batch))) = pop_before(&mut pending_acts, until) {
                while let Some((_, floor)) = pop_before(&mut pending_floors, Some(epoch)) {
                    memory.raise(floor);
                }
                let mut session = output.session(&capability);
                for (id, act) in batch {
                    memory.act(id, act, |effect, difference| {
                        session.give(((id, effect), epoch, difference));
                    });
                }
            }
            while let Some((_, floor)) = pop_before(&mut pending_floors, until) {
                memory.raise(floor);
            }
            watched.figures.set(memory.figures());
        }
    });
    effects.as_collection()
}

/// The worker of an id: ids of a service are often multiples of a power of two.
fn spread(id: u64) -> u64 {
    id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

/// Epochs before this one are complete; `None` = all are.
fn complete(frontiers: [&MutableAntichain<Epoch>; 2]) -> Option<Epoch> {
    frontiers.into_iter().filter_map(|frontier| frontier.frontier().first().copied()).min()
}

/// Takes the first entry if it is before `until`.
fn pop_before<V>(map: &mut BTreeMap<Epoch, V>, until: Option<Epoch>) -> Option<(Epoch, V)> {
    let entry = map.first_entry()?;
    let is_before = until.is_none_or(|until| *entry.key() < until);
    is_before.then(|| entry.remove_entry())
}

/// What is remembered of a tweet.
#[derive(Clone, Debug, PartialEq, Eq)]
enum TweetState<C> {
    /// This content counts.
    Posted(C),
    /// It is deleted, or else replaced, before or behind its post.
    Gone { was_posted: bool, is_deleted: bool },
}

/// What a post of a tweet comes to that does not count.
fn gone<C>(is_deleted: bool) -> Effect<C> {
    if is_deleted { Effect::Deleted } else { Effect::Superseded }
}

/// One worker's share. Ids rise with time, so that the newest ones, which nearly all acts are
/// about, lie side by side.
struct Memory<C> {
    floor: u64,
    entries: BTreeMap<u64, TweetState<C>>,
    transient: Transient<C>,
    weigh: fn(&C) -> usize,
    /// Of all contents.
    weight: usize,
    retractions: u64,
    late_posts: u64,
    late_deletes: u64,
}

impl<C: Clone + Ord> Memory<C> {
    fn new(weigh: fn(&C) -> usize) -> Self {
        Memory {
            floor: 0,
            entries: BTreeMap::new(),
            transient: Transient::default(),
            weigh,
            weight: 0,
            retractions: 0,
            late_posts: 0,
            late_deletes: 0,
        }
    }

    fn act(&mut self, id: u64, act: Act<C>, mut emit: impl FnMut(Effect<C>, isize)) {
        if id < self.floor {
            return self.late(act, emit);
        }
        match act {
            Act::Post(content) => {
                self.transient.give_way_to_post(id, &mut emit);
                self.post(id, content, emit);
            }
            Act::Delete => {
                let was_posted = self.transient.give_way_to_withdrawal(id, true, &mut emit);
                self.withdraw(id, (true, was_posted), emit);
            }
            Act::Replace => {
                let was_posted = self.transient.give_way_to_withdrawal(id, false, &mut emit);
                self.withdraw(id, (false, was_posted), emit);
            }
            Act::TransientPost(post) => match self.entries.get_mut(&id) {
                None => self.transient.post(id, *post, emit),
                Some(TweetState::Posted(_)) => emit(Effect::Duplicate, 1),
                Some(TweetState::Gone { was_posted, is_deleted }) => {
                    let is_first = !std::mem::replace(was_posted, true);
                    emit(if is_first { gone(*is_deleted) } else { Effect::Duplicate }, 1);
                }
            },
            Act::TransientDelete(until) => {
                if !self.entries.contains_key(&id) {
                    self.transient.delete(id, until, emit);
                }
            }
        }
    }

    /// An act below the floor.
    fn late(&mut self, act: Act<C>, mut emit: impl FnMut(Effect<C>, isize)) {
        let content = match act {
            Act::Post(content) => content,
            Act::TransientPost(post) => post.0,
            Act::Delete | Act::TransientDelete(_) => {
                self.late_deletes += 1;
                return emit(Effect::LateDelete, 1);
            }
            Act::Replace => return emit(Effect::LateEdit, 1),
        };
        self.late_posts += 1;
        emit(Effect::LatePost, 1);
        emit(Effect::Counts(content), 1);
    }

    fn post(&mut self, id: u64, content: C, mut emit: impl FnMut(Effect<C>, isize)) {
        use std::collections::btree_map::Entry;
        match self.entries.entry(id) {
            Entry::Vacant(entry) => {
                emit(Effect::Counts(content.clone()), 1);
                self.weight += (self.weigh)(&content);
                entry.insert(TweetState::Posted(content));
            }
            Entry::Occupied(mut entry) => match entry.get_mut() {
                TweetState::Posted(held) => {
                    emit(Effect::Duplicate, 1);
                    if content > *held {
                        emit(Effect::Counts(content.clone()), 1);
                        self.weight += (self.weigh)(&content);
                        self.weight -= (self.weigh)(held);
                        emit(Effect::Counts(std::mem::replace(held, content)), -1);
                    }
                }
                TweetState::Gone { was_posted: true, .. } => emit(Effect::Duplicate, 1),
                TweetState::Gone { was_posted, is_deleted } => {
                    *was_posted = true;
                    emit(gone(*is_deleted), 1);
                }
            },
        }
    }

    /// The tweet is deleted, or else replaced. `was_posted`: a transient post of it was taken for
    /// that.
    fn withdraw(
        &mut self,
        id: u64,
        (is_deleted, was_posted): (bool, bool),
        mut emit: impl FnMut(Effect<C>, isize),
    ) {
        let fresh = TweetState::Gone { was_posted, is_deleted };
        match self.entries.entry(id).or_insert(fresh) {
            TweetState::Gone { was_posted: was_counted, is_deleted: was_deleted } => {
                if is_deleted && !std::mem::replace(was_deleted, true) && *was_counted {
                    emit(Effect::Superseded, -1);
                    emit(Effect::Deleted, 1);
                }
            }
            posted @ TweetState::Posted(_) => {
                let gone_now = TweetState::Gone { was_posted: true, is_deleted };
                if let TweetState::Posted(content) = std::mem::replace(posted, gone_now) {
                    self.weight -= (self.weigh)(&content);
                    emit(Effect::Counts(content), -1);
                }
                self.retractions += 1;
                emit(gone(is_deleted), 1);
            }
        }
    }

    /// An act that stands in the rows already.
    fn recall(&mut self, id: u64, act: Act<C>) {
        match act {
            Act::Post(content) => self.post(id, content, |_, _| ()),
            Act::Delete => self.withdraw(id, (true, false), |_, _| ()),
            Act::Replace => self.withdraw(id, (false, false), |_, _| ()),
            Act::TransientPost(_) | Act::TransientDelete(_) => (),
        }
    }

    /// Forgets what is below `floor`.
    fn raise(&mut self, floor: u64) {
        if floor > self.floor {
            self.floor = floor;
            let kept = self.entries.split_off(&floor);
            let forgotten = std::mem::replace(&mut self.entries, kept).into_values();
            let weights = forgotten.filter_map(|state| match state {
                TweetState::Posted(content) => Some((self.weigh)(&content)),
                TweetState::Gone { .. } => None,
            });
            self.weight -= weights.sum::<usize>();
            self.transient.forget_below(floor);
        }
    }

    fn figures(&self) -> Figures {
        // A map that is filled at its end is a little more than half full.
        let entry = size_of::<(u64, TweetState<C>)>() * 2;
        let entries = self.entries.len();
        let bytes = entries * entry + self.weight;
        let Memory { floor, retractions, late_posts, late_deletes, .. } = *self;
        Figures { entries, bytes, floor, retractions, late_posts, late_deletes }
    }
}

#[cfg(test)]
mod tests {
    use super::TweetState;

    /// A hundred bytes an entry, with what a map adds and a content of one allocation.
    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<(u64, TweetState<Box<str>>)>() <= 24);
    }
}

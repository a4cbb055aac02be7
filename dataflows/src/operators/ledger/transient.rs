//! What is remembered of implausible ids: in this run only, of at most [`LIMIT`] of them, and for
//! as long as an ordinary tweet of the same record would be.
//!
//! It owns their entries. Invariant: an entry stands for effects that left since the start of the
//! run, and no id has an entry here and one in the ledger. To forget entries emits nothing, so they
//! may go at any time.

use super::{Effect, TweetState, gone};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Entries of one worker; beyond, all are forgotten.
const LIMIT: usize = 100_000;

/// One worker's entries, each with the id that the floor must pass to forget it.
pub(super) struct Transient<C>(HashMap<u64, (TweetState<C>, u64)>);

impl<C> Default for Transient<C> {
    fn default() -> Self {
        Transient(HashMap::new())
    }
}

impl<C: Clone + Ord> Transient<C> {
    pub(super) fn post(
        &mut self,
        id: u64,
        (content, until): (C, u64),
        mut emit: impl FnMut(Effect<C>, isize),
    ) {
        self.make_room();
        let mut entry = match self.0.entry(id) {
            Entry::Vacant(entry) => {
                emit(Effect::Counts(content.clone()), 1);
                entry.insert((TweetState::Posted(content), until));
                return;
            }
            Entry::Occupied(entry) => entry,
        };
        let (state, held_until) = entry.get_mut();
        *held_until = until.min(*held_until);
        match state {
            TweetState::Posted(held) => {
                emit(Effect::Duplicate, 1);
                if content > *held {
                    emit(Effect::Counts(content.clone()), 1);
                    emit(Effect::Counts(std::mem::replace(held, content)), -1);
                }
            }
            TweetState::Gone { was_posted, .. } => {
                let is_first = !std::mem::replace(was_posted, true);
                emit(if is_first { Effect::Deleted } else { Effect::Duplicate }, 1);
            }
        }
    }

    pub(super) fn delete(&mut self, id: u64, until: u64, mut emit: impl FnMut(Effect<C>, isize)) {
        self.make_room();
        let deleted = TweetState::Gone { was_posted: false, is_deleted: true };
        let (state, held_until) = self.0.entry(id).or_insert((deleted, until));
        *held_until = until.min(*held_until);
        if matches!(state, TweetState::Posted(_)) {
            let withdrawn = TweetState::Gone { was_posted: true, is_deleted: true };
            if let TweetState::Posted(content) = std::mem::replace(state, withdrawn) {
                emit(Effect::Counts(content), -1);
            }
            emit(Effect::Deleted, 1);
        }
    }

    /// The ledger gets an entry by a post: what was posted here is a duplicate of it.
    pub(super) fn give_way_to_post(&mut self, id: u64, mut emit: impl FnMut(Effect<C>, isize)) {
        let held = match self.take(id) {
            Some(TweetState::Posted(content)) => Effect::Counts(content),
            Some(TweetState::Gone { was_posted: true, .. }) => Effect::Deleted,
            Some(TweetState::Gone { was_posted: false, .. }) | None => return,
        };
        emit(held, -1);
        emit(Effect::Duplicate, 1);
    }

    /// The ledger gets an entry because the tweet is deleted, or else replaced: that holds for what
    /// was posted here. Returns whether something was.
    pub(super) fn give_way_to_withdrawal(
        &mut self,
        id: u64,
        is_deleted: bool,
        mut emit: impl FnMut(Effect<C>, isize),
    ) -> bool {
        let held = match self.take(id) {
            Some(TweetState::Posted(content)) => Effect::Counts(content),
            Some(TweetState::Gone { was_posted: true, .. }) if is_deleted => return true,
            Some(TweetState::Gone { was_posted: true, .. }) => Effect::Deleted,
            Some(TweetState::Gone { was_posted: false, .. }) | None => return false,
        };
        emit(held, -1);
        emit(gone(is_deleted), 1);
        true
    }

    pub(super) fn forget_below(&mut self, floor: u64) {
        self.0.retain(|id, (_, until)| *id >= floor && *until >= floor);
    }

    fn take(&mut self, id: u64) -> Option<TweetState<C>> {
        // Nearly always there is none at all.
        if self.0.is_empty() {
            return None;
        }
        self.0.remove(&id).map(|(state, _)| state)
    }

    fn make_room(&mut self) {
        if self.0.len() >= LIMIT {
            self.0.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LIMIT, Transient};

    #[test]
    fn it_is_bounded() {
        let mut transient = Transient::<u8>::default();
        let ids = 0..u64::try_from(LIMIT).expect("small") + 5;
        for id in ids {
            transient.delete(id, 9, |_, _| panic!("nothing was posted"));
            assert!(transient.0.len() <= LIMIT);
        }
        assert_eq!(transient.0.len(), 5);
        transient.forget_below(9);
        assert_eq!(transient.0.len(), 5);
        transient.forget_below(10);
        assert!(transient.0.is_empty());
    }
}

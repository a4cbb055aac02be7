//! From where a partition must be read again, so that the ledger remembers what it did.
//!
//! One for each partition that is read. It keeps the partition's acts in chunks, of each the place
//! before the first one and the greatest tweet id, and forgets the oldest ones as long as all they
//! hold is below the floor. So whatever is left out below [`Replay::from`] is below the floor; what
//! is read again needlessly is forgotten again.
//!
//! Invariant: the offset falls only where an act of an older record is noted
//! ([`Replay::note_early`]), as the floor does not fall. An implausible id
//! ([`types::clock::Clocks::is_implausible`]) must be kept from here: it would hold the offset for
//! ever. An id of the time of its record stands for it, so that `verify` finds what may still be
//! remembered.

use std::collections::{BTreeMap, VecDeque};

/// Acts of one chunk: what may be read again for a single tweet.
const CHUNK: u32 = 1 << 8;

/// The chunks of one partition.
#[derive(Clone, Debug)]
pub struct Replay {
    chunks: VecDeque<Chunk>,
    /// By offset, the greatest id of a record that was counted long after its place.
    early: BTreeMap<u64, u64>,
    /// How many acts a chunk holds.
    width: u32,
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    /// The offset from which on it is read.
    first: u64,
    /// The greatest id in it.
    greatest: u64,
    acts: u32,
}

impl Default for Replay {
    fn default() -> Self {
        Replay::new(CHUNK)
    }
}

impl Replay {
    /// With chunks of `width` acts.
    pub fn new(width: u32) -> Self {
        Replay { chunks: VecDeque::new(), early: BTreeMap::new(), width }
    }

    /// Who reads on from `offset` finds, in the next record, an act on `id`. Offsets do not fall.
    pub fn note(&mut self, offset: u64, id: u64) {
        match self.chunks.back_mut() {
            Some(chunk) if chunk.acts < self.width => {
                (chunk.greatest, chunk.acts) = (chunk.greatest.max(id), chunk.acts + 1);
            }
            _ => self.chunks.push_back(Chunk { first: offset, greatest: id, acts: 1 }),
        }
    }

    /// The same of a record that was passed before, and is counted only now.
    pub fn note_early(&mut self, offset: u64, id: u64) {
        let greatest = self.early.entry(offset).or_default();
        *greatest = id.max(*greatest);
    }

    /// The first offset that a restart must read, if `floor` is stored and everything below `next`
    /// was noted.
    pub fn from(&mut self, floor: u64, next: u64) -> u64 {
        while self.chunks.front().is_some_and(|chunk| chunk.greatest < floor) {
            self.chunks.pop_front();
        }
        self.early.retain(|_, greatest| *greatest >= floor);
        let first = self.chunks.front().map_or(next, |chunk| chunk.first);
        self.early.keys().next().map_or(first, |early| first.min(*early))
    }
}

#[cfg(test)]
mod tests {
    use super::Replay;

    #[test]
    fn the_first_chunk_with_an_id_at_the_floor() {
        let mut replay = Replay::new(2);
        for (offset, id) in [(0, 5), (1, 3), (2, 9), (4, 1), (5, 4), (8, 9)] {
            replay.note(offset, id);
        }
        let found = [0, 5, 6, 9, 10].map(|floor| replay.from(floor, 11));
        assert_eq!(found, [0, 0, 2, 2, 11]);
        replay.note(11, 20);
        assert_eq!(replay.from(10, 12), 11);
    }

    #[test]
    fn what_is_counted_long_after_its_place_is_read_again() {
        let mut replay = Replay::new(2);
        replay.note(10, 50);
        for (offset, id) in [(7, 30), (3, 20), (3, 25), (12, 60)] {
            replay.note_early(offset, id);
        }
        let found = [0, 25, 26, 31, 51, 61].map(|floor| replay.from(floor, 13));
        assert_eq!(found, [3, 3, 7, 10, 12, 13]);
    }
}

//! The duplicate window: records of the last minutes, so that one that a service repeats is not
//! sent twice.
//!
//! A record is known by a hash of what identifies it. At a start the window is filled from the end
//! of the topic, so it also knows what an earlier process sent. It holds what was *received*
//! within its time, and no more than [`MOST`] records.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;
use xxhash_rust::xxh3::Xxh3;

/// The most records.
const MOST: usize = 1 << 18;

/// A hash of the parts that identify a record. The end of a part counts.
pub(crate) fn identity(parts: &[&[u8]]) -> u64 {
    let mut hash = Xxh3::new();
    for part in parts {
        hash.update(&part.len().to_le_bytes());
        hash.update(part);
    }
    hash.digest()
}

/// The records received lately.
pub(crate) struct Window {
    seen: HashSet<u64>,
    /// In the order of their arrival, with the time.
    order: VecDeque<(u64, u64)>,
    keep_ms: u64,
}

impl Window {
    /// A window that holds records for a time.
    pub(crate) fn new(keep: Duration) -> Self {
        let keep_ms = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        Self { seen: HashSet::new(), order: VecDeque::new(), keep_ms }
    }

    /// Adds a record; whether it is new.
    pub(crate) fn insert(&mut self, identity: u64, now_ms: u64) -> bool {
        while let Some(&(time, oldest)) = self.order.front()
            && (now_ms.saturating_sub(time) > self.keep_ms || self.order.len() >= MOST)
        {
            self.seen.remove(&oldest);
            self.order.pop_front();
        }
        let is_new = self.seen.insert(identity);
        if is_new {
            self.order.push_back((now_ms, identity));
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_record_is_known_within_the_time() {
        let mut window = Window::new(Duration::from_secs(10));
        assert!(window.insert(1, 0) && window.insert(2, 9_000));
        assert!(!window.insert(1, 10_000) && !window.insert(2, 10_000));
        assert!(window.insert(1, 10_001), "it is forgotten");
        assert!(!window.insert(2, 10_001));
    }

    #[test]
    fn memory_is_bounded() {
        let mut window = Window::new(Duration::from_hours(1));
        for record in 0..2 * MOST as u64 {
            assert!(window.insert(record, 0));
        }
        assert_eq!((window.seen.len(), window.order.len()), (MOST, MOST));
    }

    #[test]
    fn the_bounds_of_parts_count() {
        assert_ne!(identity(&[b"ab", b"c"]), identity(&[b"a", b"bc"]));
        assert_eq!(identity(&[b"a"]), identity(&[b"a"]));
    }
}

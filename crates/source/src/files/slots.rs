//! How many files a process holds open, and the memory that unpacking them takes.
//!
//! Shared by all workers. A file that finds no slot waits for one, or is opened for one poll.

use std::sync::{Arc, Mutex, PoisonError};

/// At most so many files, and less where the process may open few.
const MOST_FILES: u64 = 128;
/// A quarter of what the process may open is for files.
const SHARE: u64 = 4;
/// So much memory for windows, or one window.
const MOST_BYTES: u64 = 512 << 20;

/// The slots of a process.
#[derive(Clone, Debug)]
pub(super) struct Slots(Arc<Mutex<Used>>);

#[derive(Debug)]
struct Used {
    files: u64,
    bytes: u64,
    most: u64,
}

impl Slots {
    pub(super) fn new() -> Self {
        let most = limit().map_or(MOST_FILES, |limit| (limit / SHARE).clamp(4, MOST_FILES));
        Slots(Arc::new(Mutex::new(Used { files: 0, bytes: 0, most })))
    }

    /// A slot for a file that takes so many bytes; a worker that `has_none` gets one in any case,
    /// but for the memory.
    pub(super) fn take(&self, bytes: u64, has_none: bool) -> Option<Slot> {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = used.bytes == 0 || used.bytes + bytes <= MOST_BYTES;
        if !has_room || used.files >= used.most && !has_none {
            return None;
        }
        used.files += 1;
        used.bytes += bytes;
        Some(Slot { slots: self.clone(), bytes })
    }

    /// A slot beyond the bound, for a moment.
    pub(super) fn over(&self) -> Slot {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).files += 1;
        Slot { slots: self.clone(), bytes: 0 }
    }
}

/// How many files this process may open, where the system says it.
fn limit() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The right to hold one file open.
pub(super) struct Slot {
    slots: Slots,
    bytes: u64,
}

impl Slot {
    /// Whether it takes much of the memory.
    pub(super) fn is_large(&self) -> bool {
        self.bytes > MOST_BYTES / 64
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut used = self.slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.files -= 1;
        used.bytes -= self.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_BYTES, Slots};

    #[test]
    fn slots_are_bounded_and_come_back() {
        let slots = Slots::new();
        let mut taken: Vec<_> = std::iter::from_fn(|| slots.take(1, false)).collect();
        assert!((4..=128).contains(&taken.len()), "{}", taken.len());
        assert!(slots.take(1, true).is_some(), "a worker without any gets one");
        taken.pop();
        assert!(slots.take(1, false).is_some());
        taken.clear();
        let window = slots.take(2 * MOST_BYTES, false).expect("one of any size");
        assert!(window.is_large() && slots.take(1, true).is_none());
        drop(window);
        assert!(slots.take(MOST_BYTES, false).is_some());
    }
}

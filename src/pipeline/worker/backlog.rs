//! How long an epoch is: short while the worker keeps up, longer the further it is behind.
//!
//! A few long epochs cost less than many short ones: more changes of a key are netted before they
//! are sorted, sent and written. Readers of the tables do not notice while the worker is behind.
//!
//! Rule. A worker is behind if polls keep returning as many records as it requested. Such a poll
//! adds its records to the backlog; any other poll halves it, because one short poll proves little:
//! the client may be fetching. Records that wait for the database count as backlog, and so does the
//! worker's share of what the topic is known to hold: on a busy machine a client fetches late, and
//! polls return fewer records than there are.
//!
//! An epoch lasts the shortest length for each [`STEP`] of backlog, up to [`LONGEST`] and at most
//! twice the epoch before: the database gets its first rows soon, and never many more at once than
//! it has just committed. Lengthening the epoch reduces the backlog that caused it, so below
//! 100,000 records a second and worker the length returns to the shortest by itself.
//!
//! The backlog is an estimate; exactness does not depend on it.

use std::time::Duration;

/// Records of backlog that make an epoch longer by its shortest length.
const STEP: u64 = 1_600;
/// No epoch is longer than this (or than the shortest, if that is more): readers of the tables
/// expect fresh rows.
const LONGEST: Duration = Duration::from_millis(500);
/// More records a second than a worker reads: an epoch ends before its credit does.
const FASTEST: u64 = 400_000;

/// What this worker has before it.
pub(super) struct Backlog {
    /// The records that were found at a stretch.
    records: u64,
    /// The records that are known to be left, or none.
    remaining: u64,
    longest: Duration,
    /// How long the last epoch was.
    last: Duration,
}

impl Backlog {
    /// None yet, of a worker that may have so many records read and not committed.
    pub(super) fn new(credit: u64) -> Self {
        let lasts = Duration::from_micros(credit.saturating_mul(1_000_000) / FASTEST);
        Backlog { records: 0, remaining: 0, longest: LONGEST.min(lasts), last: Duration::ZERO }
    }

    /// So many records were found, of `limit` that were asked for.
    pub(super) fn note(&mut self, found: u64, limit: u64) {
        self.records =
            if found < limit { self.records / 2 } else { self.records.saturating_add(found) };
    }

    /// So many records are known to be left, those that are read and not committed among them.
    pub(super) fn set_remaining(&mut self, left: u64) {
        self.remaining = left;
    }

    /// An epoch has ended that was so long.
    pub(super) fn ended(&mut self, length: Duration) {
        self.last = length;
    }

    /// How long an epoch is that takes at least `shortest`, while so many records are read and not
    /// committed.
    pub(super) fn epoch(&self, shortest: Duration, outstanding: u64) -> Duration {
        let behind = self.records.saturating_add(outstanding).max(self.remaining);
        let times = u32::try_from(behind / STEP).unwrap_or(u32::MAX).max(1);
        let longest = self.longest.min(2 * self.last).max(shortest);
        shortest.saturating_mul(times).min(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::Backlog;
    use std::time::Duration;

    #[test]
    fn epochs_are_longer_while_much_is_found() {
        let ms = Duration::from_millis;
        let mut backlog = Backlog::new(200_000);
        backlog.ended(ms(1_000));
        let epoch = |of: &Backlog, outstanding| of.epoch(ms(8), outstanding);
        assert_eq!((epoch(&backlog, 0), epoch(&backlog, 32_000)), (ms(8), ms(160)));
        (0..10).for_each(|_| backlog.note(512, 512));
        assert_eq!((epoch(&backlog, 0), epoch(&backlog, 1_500)), (ms(24), ms(32)));
        (0..1_000).for_each(|_| backlog.note(512, 512));
        assert_eq!((epoch(&backlog, 0), backlog.epoch(ms(2_000), 0)), (ms(500), ms(2_000)));
        (0..10).for_each(|_| backlog.note(511, 512));
        assert_eq!((epoch(&backlog, 0), backlog.epoch(ms(2_000), 0)), (ms(8), ms(2_000)));
        backlog.set_remaining(32_000);
        assert_eq!((epoch(&backlog, 0), epoch(&backlog, 64_000)), (ms(160), ms(320)));
        backlog.set_remaining(0);
        assert_eq!(epoch(&backlog, 0), ms(8));
    }

    #[test]
    fn an_epoch_is_at_most_twice_as_long_as_the_one_before() {
        let ms = Duration::from_millis;
        let mut backlog = Backlog::new(200_000);
        backlog.set_remaining(1_000_000);
        let lengths = std::iter::repeat_with(|| {
            let length = backlog.epoch(ms(8), 0);
            backlog.ended(length);
            length
        });
        let lengths: Vec<_> = lengths.take(9).collect();
        assert_eq!(lengths, [8, 16, 32, 64, 128, 256, 500, 500, 500].map(ms));
    }

    #[test]
    fn an_epoch_ends_before_credit_does() {
        let mut backlog = Backlog::new(4_000);
        backlog.ended(Duration::from_secs(1));
        backlog.note(1 << 40, 1 << 40);
        assert_eq!(backlog.epoch(Duration::from_millis(8), 0), Duration::from_millis(10));
    }
}

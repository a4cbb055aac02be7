//! How much a worker may read before it is committed, and for how long.
//!
//! A transaction takes all that was read before it began. If a server is slower than the workers read,
//! each would be as large as the credit, and seconds apart; so a worker also stops while the oldest of
//! what it read waits for too long.

use dataflows::Epoch;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A transaction is read in about half of this time, and written in the other half.
pub(super) const AGE: Duration = Duration::from_secs(1);

/// What one worker may have read and not yet committed; it is also a bound of the largest
/// transaction.
#[derive(Clone, Copy, Debug)]
pub struct Credit {
    /// In records.
    pub records: u64,
    /// In bytes of their values.
    pub bytes: u64,
}

/// What was read at an epoch, and when the first of it was.
struct Read {
    epoch: Epoch,
    sum: Credit,
    since: Instant,
}

/// What was read and is not committed, by epoch.
#[derive(Default)]
pub(super) struct Outstanding {
    epochs: VecDeque<Read>,
    pub(super) records: u64,
    bytes: u64,
}

impl Outstanding {
    pub(super) fn add(&mut self, epoch: Epoch, records: u64, bytes: u64) {
        self.records += records;
        self.bytes += bytes;
        match self.epochs.back_mut() {
            Some(last) if last.epoch == epoch => {
                last.sum.records += records;
                last.sum.bytes += bytes;
            }
            _ => {
                let sum = Credit { records, bytes };
                self.epochs.push_back(Read { epoch, sum, since: Instant::now() });
            }
        }
    }

    /// Forgets the epochs that are committed.
    pub(super) fn settle(&mut self, is_durable: impl Fn(Epoch) -> bool) {
        while let Some(Read { epoch, sum, .. }) = self.epochs.front()
            && is_durable(*epoch)
        {
            self.records -= sum.records;
            self.bytes -= sum.bytes;
            self.epochs.pop_front();
        }
    }

    /// How many more records may be read, if none may wait for longer than `age`.
    pub(super) fn room(&self, credit: Credit, age: Duration) -> u64 {
        let is_late = self.epochs.front().is_some_and(|oldest| oldest.since.elapsed() > age);
        if is_late || self.bytes >= credit.bytes {
            return 0;
        }
        credit.records.saturating_sub(self.records)
    }
}

#[cfg(test)]
mod tests {
    use super::{Credit, Outstanding};
    use std::time::Duration;

    #[test]
    fn nothing_is_read_while_the_oldest_waits_for_too_long() {
        let (credit, hour) = (Credit { records: 10, bytes: 100 }, Duration::from_hours(1));
        let mut outstanding = Outstanding::default();
        assert_eq!(outstanding.room(credit, Duration::ZERO), 10);
        outstanding.add(1, 3, 30);
        std::thread::sleep(Duration::from_millis(2));
        outstanding.add(2, 4, 40);
        assert_eq!(outstanding.room(credit, hour), 3);
        assert_eq!(outstanding.room(credit, Duration::from_millis(1)), 0);
        outstanding.settle(|epoch| epoch < 2);
        assert_eq!(outstanding.room(credit, hour), 6);
        outstanding.settle(|_| true);
        assert_eq!(outstanding.room(credit, Duration::ZERO), 10);
    }
}

//! How much a worker may read before it is committed.
//!
//! Two bounds. The credit is what memory allows. The window is what commits in [`TARGET_WAIT`]: a
//! transaction takes all that was read before it began, so with a server that is slower than the
//! workers read each would be as large as the credit, and seconds apart.
//!
//! Rule of the window (Little's law): what was read and not committed, by how long the oldest of it
//! had waited when it was committed, is how much is committed in a second. Never less than a tenth
//! of the credit: a server whose commits are slow however small they are must not be given less and
//! less.

use crate::config::Credit;
use dataflows::Epoch;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// From a record's reading to its commit, if the server is what all wait for. Half of it is the
/// transaction before.
const TARGET_WAIT: Duration = Duration::from_millis(1_500);

/// What was read at an epoch, and when the first of it was.
struct EpochReads {
    epoch: Epoch,
    sum: Credit,
    since: Instant,
}

/// What was read and is not committed, by epoch.
pub(super) struct InFlight {
    epochs: VecDeque<EpochReads>,
    pub(super) records: u64,
    bytes: u64,
    credit: Credit,
    /// Records that are committed in `wait`, as of the last commit.
    window: u64,
    wait: Duration,
}

impl InFlight {
    /// Nothing yet. Commits are begun `interval` apart where that is not at once.
    pub(super) fn new(credit: Credit, interval: Duration) -> Self {
        let (epochs, wait) = (VecDeque::new(), TARGET_WAIT + 2 * interval);
        // Until the first commit shows more.
        let window = least(credit);
        InFlight { epochs, records: 0, bytes: 0, credit, window, wait }
    }

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
                self.epochs.push_back(EpochReads { epoch, sum, since: Instant::now() });
            }
        }
    }

    /// Forgets the epochs that are committed.
    pub(super) fn settle(&mut self, is_durable: impl Fn(Epoch) -> bool) {
        let (records, mut oldest) = (self.records, None);
        while let Some(EpochReads { epoch, sum, since }) = self.epochs.front()
            && is_durable(*epoch)
        {
            oldest.get_or_insert(*since);
            self.records -= sum.records;
            self.bytes -= sum.bytes;
            self.epochs.pop_front();
        }
        if let Some(oldest) = oldest {
            self.window = self.window_after(records, oldest.elapsed());
        }
    }

    /// The window, if so many records were outstanding when the oldest of them had waited for so
    /// long.
    fn window_after(&self, records: u64, waited: Duration) -> u64 {
        let most = self.credit.records;
        let of = u128::from(records) * self.wait.as_micros() / waited.as_micros().max(1);
        u64::try_from(of).unwrap_or(most).clamp(least(self.credit), most)
    }

    /// How many more records may be read.
    pub(super) fn available(&self) -> u64 {
        if self.bytes >= self.credit.bytes { 0 } else { self.window.saturating_sub(self.records) }
    }
}

fn least(credit: Credit) -> u64 {
    credit.records.div_ceil(10)
}

#[cfg(test)]
mod tests {
    use super::{Credit, InFlight};
    use std::time::Duration;

    const CREDIT: Credit = Credit { records: 1_000, bytes: 100 };

    #[test]
    fn what_is_read_and_not_committed_is_bounded() {
        let mut outstanding = InFlight::new(CREDIT, Duration::ZERO);
        assert_eq!(outstanding.available(), 100);
        outstanding.add(1, 30, 30);
        outstanding.add(2, 40, 40);
        assert_eq!(outstanding.available(), 30);
        outstanding.settle(|epoch| epoch < 2);
        assert_eq!(outstanding.available(), 960);
        outstanding.add(2, 1, 60);
        assert_eq!(outstanding.available(), 0);
        outstanding.settle(|_| true);
        assert_eq!(outstanding.available(), 1_000);
    }

    #[test]
    fn a_slow_server_gets_what_it_commits_in_time() {
        let outstanding = InFlight::new(CREDIT, Duration::ZERO);
        let after = |records, ms| outstanding.window_after(records, Duration::from_millis(ms));
        assert_eq!((after(1_000, 1_500), after(1_000, 3_000)), (1_000, 500));
        assert_eq!((after(500, 3_000), after(500, 1_500), after(200, 300)), (250, 500, 1_000));
        // Neither nothing nor more than memory allows.
        assert_eq!((after(1_000, 60_000), after(1, 1_500), after(1_000, 0)), (100, 100, 1_000));
        let spaced = InFlight::new(CREDIT, Duration::from_secs(5));
        assert_eq!(spaced.window_after(1_000, Duration::from_millis(11_500)), 1_000);
    }
}

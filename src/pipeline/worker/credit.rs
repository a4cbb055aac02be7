//! How much a worker may read before it is committed.

use dataflows::Epoch;
use std::collections::VecDeque;

/// What one worker may have read and not yet committed; it is also a bound of the largest
/// transaction.
#[derive(Clone, Copy, Debug)]
pub struct Credit {
    /// In records.
    pub records: u64,
    /// In bytes of their values.
    pub bytes: u64,
}

/// What was read and is not committed, by epoch.
#[derive(Default)]
pub(super) struct Outstanding {
    epochs: VecDeque<(Epoch, Credit)>,
    pub(super) records: u64,
    bytes: u64,
}

impl Outstanding {
    pub(super) fn add(&mut self, epoch: Epoch, records: u64, bytes: u64) {
        self.records += records;
        self.bytes += bytes;
        match self.epochs.back_mut() {
            Some((last, sum)) if *last == epoch => {
                sum.records += records;
                sum.bytes += bytes;
            }
            _ => self.epochs.push_back((epoch, Credit { records, bytes })),
        }
    }

    /// Forgets the epochs that are committed.
    pub(super) fn settle(&mut self, is_durable: impl Fn(Epoch) -> bool) {
        while let Some((epoch, sum)) = self.epochs.front()
            && is_durable(*epoch)
        {
            self.records -= sum.records;
            self.bytes -= sum.bytes;
            self.epochs.pop_front();
        }
    }

    /// How many more records may be read.
    pub(super) fn room(&self, credit: Credit) -> u64 {
        if self.bytes >= credit.bytes { 0 } else { credit.records.saturating_sub(self.records) }
    }
}

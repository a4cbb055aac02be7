//! A partition that a worker reads: its offsets, and its progress in the time of its tweets.
//!
//! It joins the two; the rules are in `read_position` and in `pipeline::ledger`.

use super::super::ledger::PartitionProgress;
use super::read_position::ReadPosition;
use types::clock::Clocks;

/// A partition that this worker reads.
pub(super) struct ActivePartition {
    pub(super) reading: ReadPosition,
    pub(super) progress: PartitionProgress,
}

impl ActivePartition {
    /// The record that is read now is about a tweet.
    pub(super) fn see(&mut self, clocks: Clocks) {
        self.reading.remember_act(clocks.id_to_remember());
        self.progress.observe(clocks);
    }
}

/// The partition of this number.
pub(super) fn find(
    partitions: &mut [ActivePartition],
    number: u32,
) -> Option<&mut ActivePartition> {
    partitions.iter_mut().find(|partition| partition.reading.partition() == number)
}

//! A partition that a worker reads: its offsets, its progress in the time of its tweets, and
//! which acts of it were late.
//!
//! It joins these; the rules are in `read_position` and in `pipeline::ledger`.

use super::super::ledger::PartitionProgress;
use super::late_acts::LateActs;
use super::read_position::ReadPosition;
use types::Event;
use types::clock::Clocks;
use types::offsets::Assignment;

/// A partition that this worker reads.
pub(super) struct ActivePartition {
    pub(super) reading: ReadPosition,
    pub(super) progress: PartitionProgress,
    pub(super) late_acts: LateActs,
}

impl ActivePartition {
    /// It is read from where the assignment says.
    pub(super) fn new(assignment: &Assignment) -> Self {
        ActivePartition {
            reading: ReadPosition::new(assignment),
            progress: PartitionProgress::new(),
            late_acts: LateActs::new(assignment.partition, &assignment.late_acts),
        }
    }

    /// The record that is read now is about a tweet.
    pub(super) fn see(&mut self, clocks: Clocks) {
        self.reading.remember_act(clocks.id_to_remember());
        self.progress.observe(clocks);
    }
}

/// The ids of the tweets that an event acts on; none but its own where that is implausible.
pub(super) fn acts_on(event: &Event, clocks: Clocks) -> impl Iterator<Item = u64> {
    let earlier = match event {
        Event::Tweet(tweet) if !clocks.is_implausible() => &tweet.replaces[..],
        _ => &[],
    };
    std::iter::once(clocks.id).chain(earlier.iter().copied())
}

/// The partition of this number.
pub(super) fn find(
    partitions: &mut [ActivePartition],
    number: u32,
) -> Option<&mut ActivePartition> {
    partitions.iter_mut().find(|partition| partition.reading.partition() == number)
}

//! One worker's files: whose turn it is, and which of them are open.
//!
//! Each poll hands out a run of one file's lines. Files take turns, so that no file is far behind
//! the others in the time of its tweets; few are open at a time. Where all slots are taken, a file
//! that waits, or a plain one, is closed for another one and opened again where it was; a file that
//! nothing was read of yet is opened for one poll, because others wait for what is not known of it.

use super::partition::{FilePartition, Opened};
use super::{FilesTopic, REFRESH_INTERVAL, REFRESH_INTERVAL_PER_FILE};
use crate::{Polled, Source, SourceError};
use notify::RecommendedWatcher;
use std::collections::BTreeSet;
use std::time::Instant;
use types::offsets::Assignment;

/// One worker's files.
pub(super) struct FilesSource {
    topic: FilesTopic,
    partitions: Vec<FilePartition>,
    /// The partition whose turn it is.
    turn: usize,
    /// Number of polls.
    polls: u64,
    /// When files at their end were looked at.
    refreshed_at: Instant,
    /// Wakes the worker as long as it lives.
    _watcher: Option<RecommendedWatcher>,
}

impl FilesSource {
    pub(super) fn new(topic: FilesTopic, watcher: Option<RecommendedWatcher>) -> Self {
        let (partitions, looked) = (Vec::new(), Instant::now());
        FilesSource {
            topic,
            partitions,
            turn: 0,
            polls: 0,
            refreshed_at: looked,
            _watcher: watcher,
        }
    }

    /// Polls the partition whose turn it is, if it can be opened.
    fn poll_one(
        &mut self,
        limit: usize,
        visit: &mut dyn FnMut(Polled<'_>),
    ) -> Result<usize, SourceError> {
        let is_lasting = self.partitions[self.turn].is_open() || self.open()?;
        self.polls += 1;
        let partition = &mut self.partitions[self.turn];
        partition.polled = self.polls;
        if !partition.is_open() {
            if partition.is_set_aside() {
                partition.tell_end(visit);
            }
            return Ok(0);
        }
        let handed_out = partition.poll(limit, &self.topic, visit)?;
        if !is_lasting {
            partition.close();
        }
        Ok(handed_out)
    }

    /// Opens it, if there is a slot; whether it may stay open.
    fn open(&mut self) -> Result<bool, SourceError> {
        let has_none = !self.partitions.iter().any(FilePartition::is_open);
        let slots = self.topic.slots.clone();
        let mut slot = self.partitions[self.turn].slot(&slots, has_none);
        if slot.is_none() && self.close_one() {
            slot = self.partitions[self.turn].slot(&slots, has_none);
        }
        let partition = &mut self.partitions[self.turn];
        let is_lasting = slot.is_some();
        if !is_lasting && !partition.is_new() {
            return Ok(false);
        }
        let slot = slot.unwrap_or_else(|| slots.over());
        if let Opened::Later(source) = partition.start(slot, &self.topic)? {
            if has_none {
                return Err(SourceError::File { path: partition.path(), source });
            }
            self.close_one();
        }
        Ok(is_lasting)
    }

    /// Closes the file that was polled longest ago, of those that may be closed.
    fn close_one(&mut self) -> bool {
        let may_close = self.partitions.iter_mut().filter(|partition| partition.may_close());
        let longest_ago = may_close.min_by_key(|partition| partition.polled);
        longest_ago.map(FilePartition::close).is_some()
    }
}

impl Source for FilesSource {
    fn assign(&mut self, assignment: &Assignment) -> Result<(), SourceError> {
        let number = assignment.partition;
        let found = self.topic.find(number);
        if found.is_none() {
            self.topic.put_aside(number);
        }
        self.partitions.retain(|partition| partition.number != number);
        self.partitions.push(FilePartition::new(assignment, found));
        Ok(())
    }

    fn poll(
        &mut self,
        limit: usize,
        visit: &mut dyn FnMut(Polled<'_>),
    ) -> Result<usize, SourceError> {
        let count = self.partitions.len();
        let pause =
            REFRESH_INTERVAL + REFRESH_INTERVAL_PER_FILE * u32::try_from(count).unwrap_or(u32::MAX);
        let may_refresh = self.refreshed_at.elapsed() >= pause;
        if may_refresh {
            self.refreshed_at = Instant::now();
        }
        // The first file that has something.
        for _ in 0..count {
            self.turn = (self.turn + 1) % count;
            let partition = &mut self.partitions[self.turn];
            if partition.is_waiting() {
                continue;
            }
            if !partition.is_ready(may_refresh, &self.topic)? {
                if may_refresh || partition.is_done() {
                    partition.tell_end(visit);
                }
                continue;
            }
            let handed_out = self.poll_one(limit, visit)?;
            if handed_out > 0 {
                return Ok(handed_out);
            }
        }
        Ok(0)
    }

    fn pause(&mut self, partitions: &BTreeSet<u32>) -> Result<(), SourceError> {
        for partition in &mut self.partitions {
            partition.pause(partitions.contains(&partition.number));
        }
        Ok(())
    }

    fn is_finished(&self) -> bool {
        self.partitions.iter().all(FilePartition::is_done)
    }
}

//! One worker's share of an input: how far each of its partitions was read.
//!
//! The last record that was read before is read again and compared: another input is an error, not
//! other counts.

use super::Ends;
use super::reader::{Reader, Step};
use source::{Polled, Source, SourceError, fingerprint};
use std::collections::BTreeSet;
use std::sync::PoisonError;
use types::offsets::{Anchor, Assignment, LastRecord, PolledUpTo};
use types::record::Record;

/// Reads the partitions of one worker.
pub(super) struct InputSource {
    /// The topic's name, for errors.
    name: String,
    reader: Reader,
    ends: Ends,
    partitions: Vec<InputPartition>,
    paused: BTreeSet<u32>,
    payload: Vec<u8>,
}

/// A partition that is read.
struct InputPartition {
    number: u32,
    /// The offset to read next.
    position: u64,
    /// The offset to hand out next.
    next: u64,
    until: Option<u64>,
    /// A record that was read before and is compared on the way.
    known: Option<Anchor>,
    /// Whether the input has ended.
    is_ended: bool,
    /// Whether the end was reported.
    is_reported: bool,
}

impl InputPartition {
    fn is_done(&self) -> bool {
        self.is_ended || self.until.is_some_and(|until| self.position >= until)
    }
}

impl InputSource {
    pub(super) fn new(name: String, reader: Reader, ends: Ends) -> Self {
        let (partitions, paused, payload) = (Vec::new(), BTreeSet::new(), Vec::new());
        InputSource { name, reader, ends, partitions, paused, payload }
    }

    /// Hands out at most `limit` records of one partition.
    fn poll_partition(
        &mut self,
        index: usize,
        limit: usize,
        visit: &mut dyn FnMut(Polled<'_>),
    ) -> Result<usize, SourceError> {
        let (mut reached, mut records) = (None, 0);
        let read = self.read_partition(index, limit, &mut |record, hash| {
            let Record { partition, offset, timestamp_ms, .. } = record;
            visit(Polled::Record(record));
            reached = Some(PolledUpTo { partition, offset, timestamp_ms, hash });
            records += 1;
        });
        // Before an error, too: what was handed out is committed.
        if let Some(reached) = reached {
            visit(Polled::Reached(reached));
        }
        read?;
        let partition = &mut self.partitions[index];
        if partition.is_done() && !std::mem::replace(&mut partition.is_reported, true) {
            visit(Polled::End { partition: partition.number, next: partition.position });
        }
        Ok(records)
    }

    /// Reads at most `limit` records that are new, each with its hash.
    fn read_partition(
        &mut self,
        index: usize,
        limit: usize,
        hand_out: &mut dyn FnMut(Record<'_>, u64),
    ) -> Result<(), SourceError> {
        let partition = &mut self.partitions[index];
        let (number, mut records) = (partition.number, 0);
        while records < limit && !partition.is_done() {
            let offset = partition.position;
            match self.reader.read(number, offset, &mut self.payload)? {
                Step::Record => partition.position += 1,
                Step::Later => break,
                Step::End if offset < partition.next || partition.known.is_some() => {
                    let reason = format!("it has only {offset} records");
                    return Err(self.reader.changed(&self.name, number, reason));
                }
                Step::End => {
                    partition.is_ended = true;
                    let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
                    ends.insert(number, offset);
                    break;
                }
            }
            let payload = Some(&self.payload[..]);
            let hash = fingerprint(None, payload);
            if let Some(known) = partition.known.take_if(|known| known.offset == offset)
                && known.hash != hash
            {
                let reason = format!("record {offset} is another");
                return Err(self.reader.changed(&self.name, number, reason));
            }
            if offset >= partition.next {
                let record =
                    Record { partition: number, offset, timestamp_ms: 0, key: None, payload };
                hand_out(record, hash);
                records += 1;
            }
        }
        Ok(())
    }
}

impl Source for InputSource {
    fn assign(&mut self, assignment: &Assignment) -> Result<(), SourceError> {
        let Assignment { partition: number, next, until, last, anchor, .. } = *assignment;
        let known = last.map(LastRecord::anchor).or(anchor);
        // What the ledger read again was compared then.
        let is_compared = |read: &InputPartition| read.position == next && read.known.is_none();
        let before = self.partitions.iter().find(|read| read.number == number);
        let known = if before.is_some_and(is_compared) { None } else { known };
        let position = known.map_or(next, |known| known.offset.min(next));
        let (is_ended, is_reported) = (false, false);
        self.partitions.retain(|read| read.number != number);
        self.partitions.push(InputPartition {
            number,
            position,
            next,
            until,
            known,
            is_ended,
            is_reported,
        });
        Ok(())
    }

    fn poll(
        &mut self,
        limit: usize,
        visit: &mut dyn FnMut(Polled<'_>),
    ) -> Result<usize, SourceError> {
        // A poll for few records must not begin with the same partition each time.
        let turns = self.partitions.len();
        self.partitions.rotate_left(turns.min(1));
        let mut records = 0;
        for index in 0..turns {
            if !self.paused.contains(&self.partitions[index].number) {
                let share = (limit - records).div_ceil(turns - index);
                records += self.poll_partition(index, share, visit)?;
            }
        }
        Ok(records)
    }

    fn pause(&mut self, partitions: &BTreeSet<u32>) -> Result<(), SourceError> {
        self.paused.clone_from(partitions);
        Ok(())
    }

    fn is_finished(&self) -> bool {
        self.partitions.iter().all(InputPartition::is_done)
    }
}

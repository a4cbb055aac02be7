//! How a dead letter is tried again: by the worker that reads its partition, in the epoch that it
//! is in.
//!
//! What the record becomes goes through the ledger like any other, what becomes of its row leaves
//! in the same transaction, and so does the offset from which a restart must read to remember the
//! record.

use super::ingest::decode;
use super::{WorkerLoop, acts_on, find};
use types::dead_letter::DeadLetter;
use types::dead_letter::Quota;
use types::record::{Record, StoredRecord};

impl WorkerLoop<'_> {
    /// Tries a record again, if this worker reads its partition.
    pub(super) fn retry(&mut self, letter: DeadLetter, found: Option<StoredRecord>) {
        let DeadLetter { partition, offset, .. } = letter;
        if !self.worker.reads(partition) {
            return;
        }
        let (Some(inputs), Some(reader)) =
            (&mut self.flow.inputs, find(&mut self.ingest.partitions, partition))
        else {
            return;
        };
        if let Some(StoredRecord { timestamp_ms, payload }) = found {
            let payload = payload.as_deref();
            // A tombstone is never a dead letter, so the key says nothing here.
            let record = Record { partition, offset, timestamp_ms, key: None, payload };
            match decode(&record, self.shared.config.decode, &mut self.ingest.decoded) {
                Ok(()) => {
                    let before = if self.shared.topic.counts_bytes() {
                        // A line's offset is its last byte. Who reads from within the line before
                        // finds nothing in what is left of that.
                        payload.map_or(0, |line| line.len() as u64 + 1)
                    } else {
                        0
                    };
                    let mut ids = Vec::new();
                    for event in self.ingest.decoded.drain(..) {
                        if let Some(clocks) =
                            event.clocks().filter(|_| self.ingest.step_ms.is_some())
                        {
                            ids.extend(acts_on(&event, clocks));
                            let id = clocks.id_to_remember();
                            reader.reading.remember_early_act(offset.saturating_sub(before), id);
                        }
                        inputs.retried.update(event, 1);
                    }
                    let floor = self.ingest.floor_in_force;
                    reader.late_acts.note_apart(offset, ids.into_iter(), floor);
                    self.ingest.dead_letter_usage.free(partition, Quota::of(&letter));
                    inputs.dead_letters.update(letter, -1);
                }
                // The row is rewritten without its flag; it keeps its quota.
                Err(again) => {
                    inputs.dead_letters.update(DeadLetter { file: letter.file, ..again }, 1);
                }
            }
        } else {
            let place = types::offsets::location(partition, &letter.file);
            tracing::warn!(offset, "{place} no longer holds a record to try again");
            inputs.dead_letters.update(letter, 1);
        }
        let (number, position) = reader.reading.early_act_update(self.ingest.floor);
        inputs.progress.update(number, position);
        inputs.flush();
    }
}

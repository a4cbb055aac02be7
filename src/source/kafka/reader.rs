//! One worker's consumer: the partitions that it was given, each up to its end.

use super::{Context, KafkaTopic, is_passing, record};
use crate::source::{Assignment, Polled, Reached, Record, Source, SourceError, fingerprint};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset};
use std::collections::BTreeSet;
use std::time::Duration;

/// One worker's consumer.
pub struct KafkaSource {
    pub(super) topic: KafkaTopic,
    pub(super) consumer: BaseConsumer<Context>,
    pub(super) partitions: Vec<Partition>,
}

/// A partition as its reader sees it.
pub(super) struct Partition {
    number: u32,
    next: u64,
    until: Option<u64>,
    is_done: bool,
    /// Not fetched any more.
    is_left: bool,
    /// Not fetched for a while.
    is_waiting: bool,
}

impl KafkaSource {
    /// What an error of a poll means: nothing (it passes), the end of a partition, or the end.
    fn on_error(
        &mut self,
        error: KafkaError,
        visit: &mut dyn FnMut(Polled<'_>),
    ) -> Result<(), SourceError> {
        if let KafkaError::PartitionEOF(number) = error {
            let mut partitions = self.partitions.iter_mut();
            let is_it = |partition: &&mut Partition| partition.number.cast_signed() == number;
            if let Some(partition) = partitions.find(is_it) {
                partition.is_done |= partition.until.is_some();
                if !partition.is_done {
                    visit(Polled::End(partition.number));
                }
            }
            return Ok(());
        }
        if is_passing(&error) {
            tracing::warn!(%error, "the Kafka client reports trouble, it goes on trying");
            return Ok(());
        }
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) {
            for partition in &self.partitions {
                let (number, next) = (partition.number, partition.next);
                let (low, high) = self.topic.watermarks(&self.consumer, number)?;
                let topic = self.topic.config.topic.clone();
                if next < low {
                    return Err(SourceError::Gap { topic, partition: number, next, low });
                }
                if next > high {
                    let reason = format!("it ends at offset {high}, but {next} was read before");
                    return Err(SourceError::Changed { topic, partition: number, reason });
                }
            }
        }
        Err(self.topic.read_error(error))
    }

    /// Stops fetching partitions that have reached their end.
    fn leave_done(&mut self, visit: &mut dyn FnMut(Polled<'_>)) -> Result<(), SourceError> {
        for partition in &mut self.partitions {
            let reached = partition.until.is_some_and(|until| partition.next >= until);
            if (reached || partition.is_done) && !std::mem::replace(&mut partition.is_left, true) {
                partition.is_done = true;
                visit(Polled::End(partition.number));
                let list = self.topic.list(partition.number, Offset::Invalid)?;
                let left = self.consumer.incremental_unassign(&list);
                left.map_err(|error| self.topic.read_error(error))?;
            }
        }
        Ok(())
    }
}

impl Source for KafkaSource {
    fn assign(&mut self, assignment: &Assignment) -> Result<(), SourceError> {
        let Assignment { partition: number, next, until, .. } = *assignment;
        let is_done = until.is_some_and(|until| next >= until);
        let (is_left, is_waiting) = (is_done, false);
        self.partitions.retain(|partition| partition.number != number);
        self.partitions.push(Partition { number, next, until, is_done, is_left, is_waiting });
        if is_done {
            return Ok(());
        }
        let list = self.topic.list(number, Offset::Offset(next.cast_signed()))?;
        self.consumer.incremental_assign(&list).map_err(|error| self.topic.read_error(error))
    }

    fn poll(
        &mut self,
        limit: usize,
        visit: &mut dyn FnMut(Polled<'_>),
    ) -> Result<usize, SourceError> {
        let (mut taken, mut handed_out) = (0, 0);
        let mut errors = Vec::new();
        // The last record of each partition stays borrowed until its hash is taken: once per poll
        // and partition, not once per record.
        let mut last: Vec<Option<BorrowedMessage<'_>>> = Vec::new();
        last.resize_with(self.partitions.len(), || None);
        while taken < limit {
            taken += 1;
            match self.consumer.poll(Duration::ZERO) {
                None => break,
                // Read on: the client wakes this worker only when its queue was empty before.
                Some(Err(error)) => errors.push(error),
                Some(Ok(message)) => {
                    let mut partitions = self.partitions.iter_mut().enumerate();
                    let number = message.partition().cast_unsigned();
                    let found = partitions.find(|(_, partition)| partition.number == number);
                    let offset = message.offset().cast_unsigned();
                    let Some((index, partition)) =
                        found.filter(|(_, partition)| !partition.is_done)
                    else {
                        continue;
                    };
                    if partition.until.is_some_and(|until| offset >= until) {
                        // The last offsets before the end held no record.
                        partition.is_done = true;
                        continue;
                    }
                    partition.next = offset + 1;
                    visit(Polled::Record(record(&message)));
                    last[index] = Some(message);
                    handed_out += 1;
                }
            }
        }
        for message in last.into_iter().flatten() {
            let Record { partition, offset, timestamp_ms, key, payload } = record(&message);
            let hash = fingerprint(key, payload);
            visit(Polled::Reached(Reached { partition, offset, timestamp_ms, hash }));
        }
        for error in errors {
            self.on_error(error, visit)?;
        }
        self.leave_done(visit)?;
        Ok(handed_out)
    }

    fn wait(&mut self, partitions: &BTreeSet<u32>) -> Result<(), SourceError> {
        for partition in self.partitions.iter_mut().filter(|partition| !partition.is_left) {
            let waits = partitions.contains(&partition.number);
            if std::mem::replace(&mut partition.is_waiting, waits) == waits {
                continue;
            }
            let list = self.topic.list(partition.number, Offset::Invalid)?;
            let done = if waits { self.consumer.pause(&list) } else { self.consumer.resume(&list) };
            done.map_err(|error| self.topic.read_error(error))?;
        }
        Ok(())
    }

    fn is_finished(&self) -> bool {
        self.partitions.iter().all(|partition| partition.is_done)
    }
}

//! One worker's consumer: the partitions that it was given, each up to its end.

use super::context::is_of_group;
use super::{Context, KafkaConfig, KafkaTopic, is_passing};
use crate::poll_time::PollTime;
use crate::{Polled, Source, SourceError, fingerprint};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset};
use std::collections::BTreeSet;
use std::time::Duration;
use types::offsets::{Assignment, PolledUpTo};
use types::record::Record;

/// What the client says of a partition that the cluster does not know any more.
const GONE: [RDKafkaErrorCode; 3] = [
    RDKafkaErrorCode::UnknownPartition,
    RDKafkaErrorCode::UnknownTopic,
    RDKafkaErrorCode::UnknownTopicOrPartition,
];

/// One worker's consumer.
pub(super) struct KafkaSource {
    pub(super) topic: KafkaTopic,
    pub(super) consumer: BaseConsumer<Context>,
    pub(super) partitions: Vec<KafkaPartition>,
}

/// A partition as its reader sees it.
#[derive(Debug)]
pub(super) struct KafkaPartition {
    number: u32,
    /// Everything below it was handed out or is no record; it only grows.
    next: u64,
    until: Option<u64>,
    is_done: bool,
    /// Not fetched any more.
    is_left: bool,
    /// Not fetched for a while.
    is_waiting: bool,
    /// Records that came a second time.
    repeated: u64,
}

impl KafkaPartition {
    fn new(number: u32, next: u64, until: Option<u64>) -> Self {
        let is_done = until.is_some_and(|until| next >= until);
        let (is_left, is_waiting, repeated) = (is_done, false, 0);
        KafkaPartition { number, next, until, is_done, is_left, is_waiting, repeated }
    }

    /// Whether the record at `offset` is handed out: once, and only below the end.
    fn takes(&mut self, offset: u64) -> bool {
        if self.is_done {
            return false;
        }
        if offset < self.next {
            self.repeated += 1;
            return false;
        }
        if let Some(until) = self.until.filter(|until| offset >= *until) {
            // The last offsets before the end held no record.
            (self.next, self.is_done) = (until, true);
            return false;
        }
        self.next = offset + 1;
        true
    }

    /// The partition ended at `end` when it was fetched last. Says whether that is an end to
    /// report: not where reading is to go further.
    fn ended(&mut self, end: u64) -> bool {
        if self.is_done {
            return false;
        }
        let end = self.until.map_or(end, |until| end.min(until));
        self.next = self.next.max(end);
        self.is_done = self.until.is_some_and(|until| self.next >= until);
        self.until.is_none()
    }
}

impl KafkaSource {
    /// What an error of a poll means: nothing (it passes), the end of a partition at `end`, or the
    /// end.
    fn on_error(
        &mut self,
        (error, end): (KafkaError, Option<u64>),
        visit: &mut dyn FnMut(Polled<'_>),
    ) -> Result<(), SourceError> {
        if let KafkaError::PartitionEOF(number) = error {
            return self.on_end(number.cast_unsigned(), end, visit);
        }
        if is_of_group(&error) {
            return Ok(());
        }
        if is_passing(&error) {
            tracing::warn!(%error, "the Kafka client reports trouble, it goes on trying");
            return Ok(());
        }
        let code = error.rdkafka_error_code();
        if code.is_some_and(|code| GONE.contains(&code)) {
            self.check_existence()?;
        }
        if code == Some(RDKafkaErrorCode::AutoOffsetReset) {
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

    /// Says of a topic, or of one of its partitions, that it was deleted.
    fn check_existence(&self) -> Result<(), SourceError> {
        let KafkaConfig { topic, brokers, .. } = self.topic.config.clone();
        let partitions = match self.topic.partitions(&self.consumer) {
            Err(SourceError::NoTopic { .. }) => {
                return Err(SourceError::Deleted { topic, brokers });
            }
            partitions => partitions?,
        };
        let gone = self.partitions.iter().find(|own| !partitions.contains(&own.number));
        gone.map_or(Ok(()), |gone| {
            let (partition, reason) = (gone.number, "it does not exist any more".to_owned());
            Err(SourceError::Changed { topic, partition, reason })
        })
    }

    /// The client has fetched partition `number` up to its end. Without `end` the consumer's
    /// position is the next best: it passes the markers of transactions, but no batch that
    /// compaction has emptied.
    fn on_end(
        &mut self,
        number: u32,
        end: Option<u64>,
        visit: &mut dyn FnMut(Polled<'_>),
    ) -> Result<(), SourceError> {
        let mut partitions = self.partitions.iter_mut();
        let Some(partition) = partitions.find(|partition| partition.number == number) else {
            return Ok(());
        };
        let end = match end {
            Some(end) => end,
            None => self.topic.position(&self.consumer, number)?.unwrap_or(partition.next),
        };
        if partition.ended(end) {
            visit(Polled::End { partition: number, next: partition.next });
        } else if let Some(until) = partition.until.filter(|_| !partition.is_done) {
            // A new leader may be behind for a moment. The client goes on fetching from here.
            let (_, high) = self.topic.watermarks(&self.consumer, number)?;
            tracing::warn!(
                partition = number,
                end,
                until,
                high,
                "the partition ended before the end that was seen at the start; reading on"
            );
        }
        Ok(())
    }

    /// Reports records that the broker sent a second time; they do not count twice.
    fn report_repeated(&mut self) {
        for partition in self.partitions.iter_mut().filter(|partition| partition.repeated > 0) {
            let (number, next) = (partition.number, partition.next);
            let records = std::mem::take(&mut partition.repeated);
            tracing::warn!(
                partition = number,
                records,
                next,
                "records below the next offset came again; they are skipped"
            );
        }
    }

    /// Stops fetching partitions that have reached their end.
    fn leave_done(&mut self, visit: &mut dyn FnMut(Polled<'_>)) -> Result<(), SourceError> {
        for partition in &mut self.partitions {
            partition.is_done |= partition.until.is_some_and(|until| partition.next >= until);
            if partition.is_done && !std::mem::replace(&mut partition.is_left, true) {
                visit(Polled::End { partition: partition.number, next: partition.next });
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
        self.partitions.retain(|partition| partition.number != number);
        let partition = KafkaPartition::new(number, next, until);
        let is_done = partition.is_done;
        self.partitions.push(partition);
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
        let mut time = PollTime::begin();
        let mut errors = Vec::new();
        // The last record of each partition stays borrowed until its hash is taken: once per poll
        // and partition, not once per record.
        let mut last: Vec<Option<BorrowedMessage<'_>>> = Vec::new();
        last.resize_with(self.partitions.len(), || None);
        while taken < limit {
            if time.is_over() {
                break;
            }
            taken += 1;
            match self.consumer.poll(Duration::ZERO) {
                None => break,
                // Read on: the client wakes this worker only when its queue was empty before.
                Some(Err(error)) => errors.push((error, self.consumer.context().take_end())),
                Some(Ok(message)) => {
                    let mut partitions = self.partitions.iter_mut().enumerate();
                    let number = message.partition().cast_unsigned();
                    let found = partitions.find(|(_, partition)| partition.number == number);
                    let offset = message.offset().cast_unsigned();
                    let Some((index, partition)) = found else { continue };
                    if !partition.takes(offset) {
                        continue;
                    }
                    let message_bytes = message.payload_len();
                    visit(Polled::Record(record(&message)));
                    last[index] = Some(message);
                    handed_out += 1;
                    time.passed(message_bytes);
                }
            }
        }
        for message in last.into_iter().flatten() {
            let Record { partition, offset, timestamp_ms, key, payload } = record(&message);
            let hash = fingerprint(key, payload);
            visit(Polled::Reached(PolledUpTo { partition, offset, timestamp_ms, hash }));
        }
        for error in errors {
            self.on_error(error, visit)?;
        }
        self.report_repeated();
        self.leave_done(visit)?;
        Ok(handed_out)
    }

    fn pause(&mut self, partitions: &BTreeSet<u32>) -> Result<(), SourceError> {
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

pub(super) fn record<'a>(message: &'a BorrowedMessage<'_>) -> Record<'a> {
    let timestamp_ms = message.timestamp().to_millis().unwrap_or(0).max(0).cast_unsigned();
    Record {
        partition: message.partition().cast_unsigned(),
        offset: message.offset().cast_unsigned(),
        timestamp_ms,
        key: message.key(),
        payload: message.payload(),
    }
}

#[cfg(test)]
mod tests {
    use super::KafkaPartition;

    #[test]
    fn offsets_only_grow() {
        let mut partition = KafkaPartition::new(0, 5, None);
        let taken: Vec<_> = [5, 6, 5, 6, 4, 9, 7, 10].map(|offset| partition.takes(offset)).into();
        assert_eq!(taken, [true, true, false, false, false, true, false, true]);
        assert_eq!((partition.next, partition.repeated), (11, 4));
        assert!(partition.ended(14), "markers of transactions");
        assert_eq!(partition.next, 14);
        assert!(partition.ended(12), "an end that is older than what was read");
        assert_eq!(partition.next, 14);
        assert!(!partition.takes(13) && partition.takes(14));
    }

    #[test]
    fn a_bounded_read_ends_at_its_end_and_not_before() {
        let mut partition = KafkaPartition::new(0, 5, Some(20));
        assert!(partition.takes(5) && !partition.ended(10));
        assert_eq!((partition.next, partition.is_done), (10, false), "there is more to come");
        assert!(!partition.ended(25) && partition.is_done);
        assert_eq!(partition.next, 20, "what lies beyond is not handed out");
        let mut overshot = KafkaPartition::new(0, 5, Some(20));
        assert!(!overshot.takes(22) && overshot.is_done && !overshot.takes(23));
        assert!(!overshot.ended(24));
        assert_eq!(overshot.next, 20, "what lies beyond is not handed out");
        assert!(KafkaPartition::new(0, 20, Some(20)).is_done);
    }
}

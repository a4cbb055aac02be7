//! What the verifier asks of a topic, and its own way through one of Kafka: one consumer, all
//! partitions, every record once.
//!
//! It shares the client's settings with the job and nothing else: an error in how the job reads
//! would be repeated otherwise. Invariant: [`VerifiedTopic::read`] comes back without a fault only
//! after every offset of the ranges that the topic still holds was visited.

use super::VerifyError;
use super::range::{Range, Visit};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset};
use source::kafka::{Context, KafkaTopic, is_passing};
use source::{SourceError, fingerprint};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use types::offsets::PartitionOffsets;
use types::record::Record;

/// A broker without any answer for this long counts as gone.
const SILENCE: Duration = Duration::from_mins(1);

/// A topic that tables were counted from, as the verifier reads it.
pub trait VerifiedTopic {
    /// Whether records that were counted may be gone from between others.
    fn is_compacted(&self) -> bool {
        false
    }

    /// Refuses a topic that is not the one that was counted: shorter, or with other records where
    /// the tables know one by its hash. Every difference would follow from that.
    fn recognize(&self, counted: &[PartitionOffsets]) -> Result<(), SourceError>;

    /// The partitions with records that are not among those that are counted.
    fn unread(&self, _counted: &[PartitionOffsets]) -> Result<Vec<Unread>, VerifyError> {
        Ok(Vec::new())
    }

    /// Visits every record of the ranges, per partition in order.
    fn read(
        &self,
        ranges: &[Range],
        stop: &AtomicBool,
        visit: &mut Visit<'_>,
    ) -> Result<(), VerifyError>;

    /// Whether an offset is a place in bytes, not a number of records.
    fn counts_bytes(&self) -> bool {
        false
    }
}

/// A partition that no job counts, and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its number.
    pub partition: u32,
    /// Its oldest offset, and the one behind its newest.
    pub offsets: (u64, u64),
}

impl VerifiedTopic for KafkaTopic {
    fn is_compacted(&self) -> bool {
        KafkaTopic::is_compacted(self)
    }

    fn recognize(&self, counted: &[PartitionOffsets]) -> Result<(), SourceError> {
        let consumer = self.consumer(true)?;
        let partitions = self.partitions(&consumer)?;
        for stored in counted.iter().filter(|stored| partitions.contains(&stored.partition)) {
            let lateness = self.watermarks(&consumer, stored.partition)?;
            KafkaTopic::recognize(self, &consumer, stored, lateness)?;
        }
        Ok(())
    }

    fn unread(&self, counted: &[PartitionOffsets]) -> Result<Vec<Unread>, VerifyError> {
        let consumer = self.consumer(true)?;
        let mut unread = Vec::new();
        for partition in self.partitions(&consumer)? {
            if counted.iter().all(|stored| stored.partition != partition) {
                let offsets = self.watermarks(&consumer, partition)?;
                unread.push(Unread { partition, offsets });
            }
        }
        unread.retain(|unread| unread.offsets.0 < unread.offsets.1);
        Ok(unread)
    }

    fn read(
        &self,
        ranges: &[Range],
        stop: &AtomicBool,
        visit: &mut Visit<'_>,
    ) -> Result<(), VerifyError> {
        read_topic(self, ranges, stop, visit)
    }
}

/// Refuses ranges that the topic does not hold any more.
fn check(topic: &KafkaTopic, ranges: &[Range]) -> Result<(), VerifyError> {
    let consumer = topic.consumer(true)?;
    let partitions = topic.partitions(&consumer)?;
    for range in ranges.iter().filter(|range| range.start < range.next) {
        let Range { partition, start, .. } = *range;
        if !partitions.contains(&partition) {
            return Err(VerifyError::NoPartition { partition });
        }
        let (low, _) = topic.watermarks(&consumer, partition)?;
        if low > start {
            return Err(VerifyError::Gone { partition, start, low });
        }
    }
    Ok(())
}

fn read_topic(
    topic: &KafkaTopic,
    ranges: &[Range],
    stop: &AtomicBool,
    visit: &mut Visit<'_>,
) -> Result<(), VerifyError> {
    check(topic, ranges)?;
    let consumer = topic.consumer(true)?;
    let mut open = BTreeMap::new();
    for range in ranges.iter().filter(|range| range.start < range.next) {
        let at = topic.list(range.partition, Offset::Offset(range.start.cast_signed()))?;
        consumer.incremental_assign(&at).map_err(|error| topic.read_error(error))?;
        open.insert(range.partition, *range);
    }
    let mut heard = Instant::now();
    while !open.is_empty() {
        if stop.load(Ordering::Relaxed) {
            return Err(VerifyError::Stopped);
        }
        let finished = match consumer.poll(Duration::from_millis(100)) {
            None => None,
            Some(Ok(message)) => {
                heard = Instant::now();
                one(&message, &mut open, visit)?
            }
            // What is missing between here and the range's end is no record, or is gone.
            Some(Err(KafkaError::PartitionEOF(number))) => Some(number.cast_unsigned()),
            Some(Err(error)) if is_passing(&error) => None,
            Some(Err(error)) => return Err(fault(topic, ranges, error)),
        };
        if let Some(partition) = finished
            && open.remove(&partition).is_some()
        {
            leave(topic, &consumer, partition)?;
        }
        if heard.elapsed() > SILENCE {
            let late = KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut);
            return Err(topic.read_error(late).into());
        }
    }
    Ok(())
}

/// Visits a record if it belongs to an open range; says which range it was the end of.
fn one(
    message: &BorrowedMessage<'_>,
    open: &mut BTreeMap<u32, Range>,
    visit: &mut Visit<'_>,
) -> Result<Option<u32>, VerifyError> {
    let (partition, offset) =
        (message.partition().cast_unsigned(), message.offset().cast_unsigned());
    let Some(Range { start, next, .. }) = open.get_mut(&partition) else { return Ok(None) };
    // A record that is delivered a second time was visited.
    if (*start..*next).contains(&offset) {
        *start = offset + 1;
        let timestamp_ms = message.timestamp().to_millis().unwrap_or(0).max(0).cast_unsigned();
        let (key, payload) = (message.key(), message.payload());
        let record = Record { partition, offset, timestamp_ms, key, payload };
        visit(record, fingerprint(key, payload))?;
    }
    Ok((offset + 1 >= *next).then_some(partition))
}

/// No more records of this partition are fetched.
fn leave(
    topic: &KafkaTopic,
    consumer: &BaseConsumer<Context>,
    partition: u32,
) -> Result<(), SourceError> {
    let list = topic.list(partition, Offset::Invalid)?;
    consumer.incremental_unassign(&list).map_err(|error| topic.read_error(error))
}

/// Retention may take records away while they are read.
fn fault(topic: &KafkaTopic, ranges: &[Range], error: KafkaError) -> VerifyError {
    let is_gone = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset);
    match check(topic, ranges) {
        Err(gone) if is_gone => gone,
        _ => topic.read_error(error).into(),
    }
}

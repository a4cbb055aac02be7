//! The verifier's own way through the topic: one consumer, all partitions, every record once. A
//! folder of files is [`folder`]'s.
//!
//! It shares the client's settings with the job and nothing else: an error in how the job reads
//! would be repeated otherwise. Invariant: [`read`] comes back without a fault only after every
//! offset of the ranges that the topic still holds was visited.

use super::range::{Range, Visit};
use super::{VerifyError, folder};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset};
use source::AnyTopic;
use source::kafka::{Context, KafkaTopic, is_passing};
use source::{SourceError, fingerprint};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use types::offsets::PartitionOffsets;
use types::record::Record;

/// A broker without any answer for this long counts as gone.
const SILENCE: Duration = Duration::from_mins(1);

/// Whether records that were counted may be gone from between others.
pub(super) fn is_compacted(topic: &AnyTopic) -> bool {
    match topic {
        AnyTopic::Kafka(topic) => topic.is_compacted(),
        AnyTopic::Files(_) => false,
    }
}

/// Refuses a topic that is not the one that was counted: shorter, or with other records where the
/// tables know one by its hash. Every difference would follow from that.
pub(super) fn recognize(topic: &AnyTopic, counted: &[PartitionOffsets]) -> Result<(), VerifyError> {
    let recognized = match topic {
        AnyTopic::Kafka(topic) => recognize_partitions(topic, counted),
        AnyTopic::Files(topic) => topic.recognize(counted),
    };
    recognized.map_err(folder::changed)
}

fn recognize_partitions(
    topic: &KafkaTopic,
    counted: &[PartitionOffsets],
) -> Result<(), SourceError> {
    let consumer = topic.consumer(true)?;
    let partitions = topic.partitions(&consumer)?;
    for stored in counted.iter().filter(|stored| partitions.contains(&stored.partition)) {
        let lateness = topic.watermarks(&consumer, stored.partition)?;
        topic.recognize(&consumer, stored, lateness)?;
    }
    Ok(())
}

/// A partition that no job counts, and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unread {
    pub(super) partition: u32,
    /// Its oldest offset, and the one behind its newest.
    pub(super) offsets: (u64, u64),
}

/// The partitions with records that are not among those that are counted. A new file of a folder
/// may be there before the job sees it, and says nothing of the tables.
pub(super) fn unread(
    topic: &AnyTopic,
    counted: &[PartitionOffsets],
) -> Result<Vec<Unread>, VerifyError> {
    let AnyTopic::Kafka(topic) = topic else { return Ok(Vec::new()) };
    let consumer = topic.consumer(true)?;
    let mut unread = Vec::new();
    for partition in topic.partitions(&consumer)? {
        if counted.iter().all(|stored| stored.partition != partition) {
            let offsets = topic.watermarks(&consumer, partition)?;
            unread.push(Unread { partition, offsets });
        }
    }
    unread.retain(|unread| unread.offsets.0 < unread.offsets.1);
    Ok(unread)
}

/// Visits every record of the ranges, per partition in order.
pub(super) fn read(
    topic: &AnyTopic,
    ranges: &[Range],
    stop: &AtomicBool,
    visit: &mut Visit<'_>,
) -> Result<(), VerifyError> {
    match topic {
        AnyTopic::Kafka(topic) => read_topic(topic, ranges, stop, visit),
        AnyTopic::Files(topic) => folder::read(topic, ranges, stop, visit),
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

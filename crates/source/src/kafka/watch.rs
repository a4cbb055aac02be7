//! How the watcher looks at a Kafka topic: two consumers that consume nothing.
//!
//! It decides nothing: where the topic is read and what a difference means is the topic's to say.
//! What it stores under the group's name is for Kafka's own tools, and never read back.

use super::context::is_of_group;
use super::{ANSWER_TIME, Context, KafkaTopic};
use crate::{SourceError, Watch};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use types::offsets::Assignment;
use types::offsets::PartitionOffsets;
use types::record::StoredRecord;

/// The consumers that consume nothing.
pub(super) struct KafkaWatch {
    topic: KafkaTopic,
    consumer: BaseConsumer<Context>,
    /// One that only publishes: with a commit under way the client starts to read no other
    /// partition.
    publisher: Arc<BaseConsumer<Context>>,
    publishing: Option<Publishing>,
}

/// Offsets that are on their way to the group's coordinator.
struct Publishing {
    offsets: BTreeMap<u32, u64>,
    since: Instant,
    answer: Receiver<KafkaResult<()>>,
}

impl Watch for KafkaWatch {
    fn added(&mut self, known: &[u32]) -> Result<Vec<Assignment>, SourceError> {
        if self.topic.config.until_end {
            return Ok(Vec::new());
        }
        let partitions = self.topic.partitions(&self.consumer)?.into_iter();
        let assign = |partition| {
            let (low, _) = self.topic.watermarks(&self.consumer, partition)?;
            Ok(Assignment::fresh(partition, low))
        };
        partitions.filter(|number| !known.contains(number)).map(assign).collect()
    }

    fn compare(&mut self, stored: &PartitionOffsets) -> Result<(), SourceError> {
        let Some(anchor) = stored.anchor else { return Ok(()) };
        let marks = self.topic.watermarks(&self.consumer, stored.partition)?;
        self.topic.holds(&self.consumer, stored.partition, anchor, marks).map(drop)
    }

    fn record(&mut self, partition: u32, offset: u64) -> Result<Option<StoredRecord>, SourceError> {
        let marks = self.topic.watermarks(&self.consumer, partition)?;
        let found = self.topic.record_at(&self.consumer, partition, offset, marks)?;
        Ok(found.map(|(found, _)| found))
    }

    fn ends(&mut self, partitions: &[u32]) -> Result<BTreeMap<u32, u64>, SourceError> {
        let end = |partition: &u32| {
            Ok((*partition, self.topic.watermarks(&self.consumer, *partition)?.1))
        };
        partitions.iter().map(end).collect()
    }

    fn publish(&mut self, next: &BTreeMap<u32, u64>, wait: Duration) -> Result<bool, SourceError> {
        // Errors pile up in memory if nobody polls; there is no record to come.
        while self.consumer.poll(Duration::ZERO).is_some() {}
        let deadline = Instant::now() + wait;
        loop {
            if self.publishing.is_none() {
                self.publishing = Some(self.begin_to_publish(next)?);
            }
            let Some(publishing) = &self.publishing else { return Ok(false) };
            match publishing.answer.recv_timeout(Duration::from_millis(20).min(wait)) {
                Ok(answer) => {
                    let is_newest = publishing.offsets == *next;
                    self.publishing = None;
                    answer.map_err(|error| self.group_error(error))?;
                    if is_newest {
                        return Ok(true);
                    }
                    // The answer to an earlier call.
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => self.publishing = None,
                Err(RecvTimeoutError::Timeout) => {}
            }
            while let Some(polled) = self.publisher.poll(Duration::ZERO) {
                if let Err(error) = polled
                    && is_of_group(&error)
                {
                    return Err(self.group_error(error));
                }
            }
            if self.publishing.as_ref().is_some_and(|it| it.since.elapsed() > ANSWER_TIME) {
                let late = KafkaError::ConsumerCommit(RDKafkaErrorCode::OperationTimedOut);
                return Err(self.group_error(late));
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
        }
    }
}

impl KafkaWatch {
    /// Does not connect.
    pub(super) fn new(topic: KafkaTopic) -> Result<Self, SourceError> {
        let (consumer, publisher) = (topic.consumer(true)?, Arc::new(topic.consumer(true)?));
        Ok(KafkaWatch { topic, consumer, publisher, publishing: None })
    }

    /// Sends the offsets, on a thread of its own: the client waits 45 s where it finds no
    /// coordinator of the group, and reports the outcome only to a caller that waits.
    fn begin_to_publish(&self, next: &BTreeMap<u32, u64>) -> Result<Publishing, SourceError> {
        let mut list = TopicPartitionList::new();
        for (partition, position) in next {
            let topic = &self.topic.config.topic;
            let offset = Offset::Offset(position.cast_signed());
            list.add_partition_offset(topic, partition.cast_signed(), offset)
                .map_err(|error| self.topic.read_error(error))?;
        }
        let (answer_in, answer) = channel();
        let consumer = Arc::clone(&self.publisher);
        let send = move || {
            // A watch that is gone hears no answer.
            let _ = answer_in.send(consumer.commit(&list, CommitMode::Sync));
        };
        if let Err(error) = std::thread::Builder::new().name("publishing".to_owned()).spawn(send) {
            tracing::debug!(%error, "no thread to publish the offsets");
        }
        Ok(Publishing { offsets: next.clone(), since: Instant::now(), answer })
    }

    fn group_error(&self, source: KafkaError) -> SourceError {
        SourceError::Group { group: self.topic.config.group.clone(), source }
    }
}

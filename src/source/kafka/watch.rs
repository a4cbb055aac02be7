//! How the watcher looks at a Kafka topic: a consumer that consumes nothing.
//!
//! It decides nothing: where the topic is read and what a difference means is the topic's to say. What
//! it stores under the group's name is for Kafka's own tools, and never read back.

use super::{Context, KafkaTopic};
use crate::progress::Stored;
use crate::source::{Assignment, Found, SourceError, Watch};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::Duration;

/// A consumer that consumes nothing.
pub struct KafkaWatch {
    pub(super) topic: KafkaTopic,
    pub(super) consumer: BaseConsumer<Context>,
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

    fn compare(&mut self, stored: &Stored) -> Result<(), SourceError> {
        let Some(anchor) = stored.anchor else { return Ok(()) };
        let marks = self.topic.watermarks(&self.consumer, stored.partition)?;
        self.topic.holds(&self.consumer, stored.partition, anchor, marks).map(drop)
    }

    fn record(&mut self, partition: u32, offset: u64) -> Result<Option<Found>, SourceError> {
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

    fn publish(&mut self, next: &BTreeMap<u32, u64>) -> Result<(), SourceError> {
        let mut list = TopicPartitionList::new();
        for (partition, next) in next {
            let (topic, offset) = (&self.topic.config.topic, Offset::Offset(next.cast_signed()));
            list.add_partition_offset(topic, partition.cast_signed(), offset)
                .map_err(|error| self.topic.read_error(error))?;
        }
        let committed = self.consumer.commit(&list, CommitMode::Sync);
        // Callbacks and errors pile up in memory if nobody polls; there is no record to come.
        while self.consumer.poll(Duration::ZERO).is_some() {}
        committed.map_err(|error| self.topic.read_error(error))
    }
}

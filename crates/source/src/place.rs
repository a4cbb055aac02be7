//! The topic that the arguments name: a Kafka topic or a folder of files.
//!
//! It adds nothing but the choice; a poll is asked for many records at once, so the choice costs
//! nothing.

use super::files::{FilesSource, FilesTopic, FilesWatch};
use super::kafka::{KafkaSource, KafkaTopic, KafkaWatch};
use super::{Polled, Source, SourceError, Topic, Watch};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use types::offsets::Assignment;
use types::offsets::PartitionOffsets;
use types::record::StoredRecord;

/// A place of records.
pub enum AnyTopic {
    /// A topic of a broker.
    Kafka(KafkaTopic),
    /// A folder.
    Files(FilesTopic),
}

/// Its reader.
pub enum AnySource {
    /// Of a topic of a broker.
    Kafka(KafkaSource),
    /// Of a folder.
    Files(FilesSource),
}

/// What watches it.
pub enum AnyWatch {
    /// A topic of a broker.
    Kafka(Box<KafkaWatch>),
    /// A folder.
    Files(FilesWatch),
}

impl Topic for AnyTopic {
    type Source = AnySource;
    type Watch = AnyWatch;

    fn check(&self) -> Result<(), SourceError> {
        match self {
            AnyTopic::Kafka(topic) => topic.check(),
            AnyTopic::Files(topic) => topic.check(),
        }
    }

    fn keeps(&self, span_ms: u64) -> Result<(), SourceError> {
        match self {
            AnyTopic::Kafka(topic) => topic.keeps(span_ms),
            AnyTopic::Files(topic) => topic.keeps(span_ms),
        }
    }

    fn plan(&self, stored: &[PartitionOffsets]) -> Result<Vec<Assignment>, SourceError> {
        match self {
            AnyTopic::Kafka(topic) => topic.plan(stored),
            AnyTopic::Files(topic) => topic.plan(stored),
        }
    }

    fn open(&self, wake: Box<dyn Fn() + Send + Sync>) -> Result<AnySource, SourceError> {
        Ok(match self {
            AnyTopic::Kafka(topic) => AnySource::Kafka(topic.open(wake)?),
            AnyTopic::Files(topic) => AnySource::Files(topic.open(wake)?),
        })
    }

    fn watch(&self) -> Result<AnyWatch, SourceError> {
        Ok(match self {
            AnyTopic::Kafka(topic) => AnyWatch::Kafka(Box::new(topic.watch()?)),
            AnyTopic::Files(topic) => AnyWatch::Files(topic.watch()?),
        })
    }

    fn counts_bytes(&self) -> bool {
        match self {
            AnyTopic::Kafka(topic) => topic.counts_bytes(),
            AnyTopic::Files(topic) => topic.counts_bytes(),
        }
    }

    fn set_aside(&self) -> u64 {
        match self {
            AnyTopic::Kafka(topic) => topic.set_aside(),
            AnyTopic::Files(topic) => topic.set_aside(),
        }
    }
}

impl Watch for AnyWatch {
    fn interval(&self) -> Duration {
        match self {
            AnyWatch::Kafka(watch) => watch.interval(),
            AnyWatch::Files(watch) => watch.interval(),
        }
    }

    fn added(&mut self, known: &[u32]) -> Result<Vec<Assignment>, SourceError> {
        match self {
            AnyWatch::Kafka(watch) => watch.added(known),
            AnyWatch::Files(watch) => watch.added(known),
        }
    }

    fn compare(&mut self, stored: &PartitionOffsets) -> Result<(), SourceError> {
        match self {
            AnyWatch::Kafka(watch) => watch.compare(stored),
            AnyWatch::Files(watch) => watch.compare(stored),
        }
    }

    fn record(&mut self, partition: u32, offset: u64) -> Result<Option<StoredRecord>, SourceError> {
        match self {
            AnyWatch::Kafka(watch) => watch.record(partition, offset),
            AnyWatch::Files(watch) => watch.record(partition, offset),
        }
    }

    fn ends(&mut self, partitions: &[u32]) -> Result<BTreeMap<u32, u64>, SourceError> {
        match self {
            AnyWatch::Kafka(watch) => watch.ends(partitions),
            AnyWatch::Files(watch) => watch.ends(partitions),
        }
    }

    fn publish(&mut self, next: &BTreeMap<u32, u64>, wait: Duration) -> Result<bool, SourceError> {
        match self {
            AnyWatch::Kafka(watch) => watch.publish(next, wait),
            AnyWatch::Files(watch) => watch.publish(next, wait),
        }
    }
}

impl Source for AnySource {
    fn assign(&mut self, assignment: &Assignment) -> Result<(), SourceError> {
        match self {
            AnySource::Kafka(source) => source.assign(assignment),
            AnySource::Files(source) => source.assign(assignment),
        }
    }

    fn poll(
        &mut self,
        limit: usize,
        visit: &mut dyn FnMut(Polled<'_>),
    ) -> Result<usize, SourceError> {
        match self {
            AnySource::Kafka(source) => source.poll(limit, visit),
            AnySource::Files(source) => source.poll(limit, visit),
        }
    }

    fn pause(&mut self, partitions: &BTreeSet<u32>) -> Result<(), SourceError> {
        match self {
            AnySource::Kafka(source) => source.pause(partitions),
            AnySource::Files(source) => source.pause(partitions),
        }
    }

    fn is_finished(&self) -> bool {
        match self {
            AnySource::Kafka(source) => source.is_finished(),
            AnySource::Files(source) => source.is_finished(),
        }
    }
}

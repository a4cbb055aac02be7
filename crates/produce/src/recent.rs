//! The end of a topic: the records that were sent lately, so that a stream that repeats some of
//! them after a restart does not bring them twice.
//!
//! It reads committed records only, from a time on, and ends at the end that the topic had when it
//! began. It is asked before the first record is sent.

use super::{ProduceConfig, ProduceError, client};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Message, Offset, TopicPartitionList};
use std::time::{Duration, Instant};

/// How long the brokers may take for an answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// The end of a topic.
pub(super) struct Recent {
    settings: ClientConfig,
    topic: String,
}

impl Recent {
    pub(super) fn new(args: &ProduceConfig) -> Result<Self, ProduceError> {
        let mut settings = ClientConfig::new();
        // It would only say which of the producer's settings are not for consumers.
        settings.set_log_level(RDKafkaLogLevel::Emerg);
        for (name, value) in &args.kafka {
            settings.set(name, value);
        }
        settings.set("bootstrap.servers", &args.brokers).set("ssl.ca.location", "probe");
        settings.set("group.id", "tweetflow-produce-recent").set("enable.auto.commit", "false");
        settings.set("enable.partition.eof", "true").set("isolation.level", "read_committed");
        // Refused here, where it can be said.
        let _: BaseConsumer =
            settings.create().map_err(|error| client::refused_settings(args, &error))?;
        Ok(Self { settings, topic: args.topic.clone() })
    }

    /// Each record of the topic whose timestamp is not before `since_ms`.
    pub(super) fn each(&self, since_ms: u64, each: &mut dyn FnMut(&[u8])) -> KafkaResult<()> {
        let consumer: BaseConsumer = self.settings.create()?;
        let metadata = consumer.fetch_metadata(Some(&self.topic), ANSWER_TIME)?;
        let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        let mut times = TopicPartitionList::new();
        let since = Offset::Offset(i64::try_from(since_ms).unwrap_or(i64::MAX));
        for partition in (0..).take(partitions) {
            times.add_partition_offset(&self.topic, partition, since)?;
        }
        let starts = consumer.offsets_for_times(times, ANSWER_TIME)?;
        consumer.assign(&starts)?;
        let (mut left, mut heard) = (partitions, Instant::now());
        while left > 0 {
            match consumer.poll(Duration::from_secs(1)) {
                Some(Ok(record)) => {
                    heard = Instant::now();
                    record.payload().into_iter().for_each(&mut *each);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => left -= 1,
                Some(Err(error)) if heard.elapsed() > ANSWER_TIME => return Err(error),
                None if heard.elapsed() > ANSWER_TIME => return Err(KafkaError::Canceled),
                Some(Err(_)) | None => {}
            }
        }
        Ok(())
    }
}

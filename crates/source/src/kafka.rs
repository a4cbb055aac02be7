//! Kafka: partitions assigned by the program, each read from an explicit offset.
//!
//! It owns a consumer per worker and one for looking at the topic. Invariants: no group is joined
//! and no offset is read from Kafka, so nothing but the tables decides where to read (committed
//! offsets are stored under the group's name, for tools that show the lag); an offset that does not
//! exist is an error, never a jump; only committed records are seen. [`PROTECTED`] settings stay
//! so.
//!
//! It decodes nothing and keeps no record longer than a poll.

mod context;
mod reader;
pub mod settings;
mod watch;

pub use context::{Context, is_passing};

use super::{Source, SourceError, Topic, Wake, Watch, fingerprint};
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message, Offset, TopicPartitionList};
use reader::KafkaSource;
use settings::{Hidden, SettingFault};
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};
use types::offsets::{Anchor, Assignment, LastRecord, PartitionOffsets};
use types::record::{Record, StoredRecord};
use watch::KafkaWatch;

/// How long a question to a broker may take.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Settings that exactness depends on, with their only value.
pub const PROTECTED: &[(&str, &str)] = &[
    // Its default jumps to the end, in silence, when retention overtakes a paused job.
    ("auto.offset.reset", "error"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // Ends `--until-end` where the last offsets hold no record.
    ("enable.partition.eof", "true"),
    ("isolation.level", "read_committed"),
];

/// Settings that may be overridden by name.
const DEFAULTS: &[(&str, &str)] = &[
    // The default of 1,000 lets a consumer that is slower than the network stand still.
    ("fetch.queue.backoff.ms", "5"),
    // Bounds the records that wait in memory, per worker.
    ("queued.max.messages.kbytes", "32768"),
    ("reconnect.backoff.max.ms", "2000"),
    // A partition that was added is fetched once the client's own list of partitions has it; the
    // default of five minutes is too long.
    ("topic.metadata.refresh.interval.ms", "5000"),
    ("socket.keepalive.enable", "true"),
    // Where vendored OpenSSL finds the system's certificates.
    ("ssl.ca.location", "probe"),
];

/// Where reading starts when nothing is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// At the oldest record.
    Earliest,
    /// After the newest record.
    Latest,
    /// At the first record of this time or later, milliseconds since 1970.
    Time(i64),
}

/// What to read and how.
#[derive(Clone)]
pub struct KafkaConfig {
    /// `host:port,…`.
    pub brokers: String,
    /// The topic's name.
    pub topic: String,
    /// Under which name Kafka's tools show the lag, `group.id`; no group is joined.
    pub group: String,
    /// Where reading starts when nothing is stored.
    pub from: From,
    /// The first offset that counts, by partition, where nothing is stored but is known; empty:
    /// `from` decides.
    pub starts: BTreeMap<u32, u64>,
    /// Stop at the end offsets seen at start.
    pub until_end: bool,
    /// Continue past records that were deleted before they were read.
    pub accept_gap: bool,
    /// Settings passed through to the client library by name.
    pub settings: Vec<(String, String)>,
}

/// When the broker removes records of the middle of a partition.
enum Compaction {
    Never,
    /// Not before a record is so old.
    After {
        lag_ms: u64,
    },
}

/// A topic in Kafka.
pub struct KafkaTopic {
    config: KafkaConfig,
}

impl KafkaTopic {
    /// The topic of `config`. Does not connect, but refuses settings that cannot be.
    pub fn new(config: KafkaConfig) -> Result<Self, SourceError> {
        let protected = |name: &String| PROTECTED.iter().any(|(other, _)| other == name);
        if let Some((name, _)) = config.settings.iter().find(|(name, _)| protected(name)) {
            return Err(SourceError::Protected { name: name.clone() });
        }
        if settings::is_no_address(&config.brokers) {
            return Err(SourceError::Brokers);
        }
        for (name, value) in &config.settings {
            settings::check(name, value).map_err(|fault| match fault {
                SettingFault::Unknown => SourceError::UnknownSetting { name: name.clone() },
                SettingFault::Value => SourceError::SettingValue { name: name.clone() },
            })?;
        }
        Ok(KafkaTopic { config })
    }

    /// The client's settings: ours, then the operator's, then the protected ones.
    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set_log_level(RDKafkaLogLevel::Warning);
        client.set("bootstrap.servers", &self.config.brokers);
        client.set("group.id", &self.config.group);
        for (name, value) in DEFAULTS {
            client.set(*name, *value);
        }
        for (name, value) in &self.config.settings {
            client.set(name, value);
        }
        for (name, value) in PROTECTED {
            client.set(*name, *value);
        }
        client
    }

    /// A consumer of the topic; a quiet one logs nothing.
    pub fn consumer(&self, quiet: bool) -> Result<BaseConsumer<Context>, SourceError> {
        let client = self.client();
        client.create_with_context(self.context(quiet)).map_err(|error| {
            let reason = Hidden::new(&self.config.settings).text(&error.to_string());
            SourceError::Settings { reason }
        })
    }

    fn context(&self, quiet: bool) -> Context {
        let hidden = Hidden::new(&self.config.settings);
        Context::new(quiet, hidden)
    }

    /// The fault of a read that failed.
    pub fn read_error(&self, source: KafkaError) -> SourceError {
        use RDKafkaErrorCode::{
            AllBrokersDown, BrokerTransportFailure, OperationTimedOut, Resolve, UnknownPartition,
            UnknownTopic, UnknownTopicOrPartition,
        };
        match source.rdkafka_error_code() {
            Some(AllBrokersDown | BrokerTransportFailure | OperationTimedOut | Resolve) => {
                let brokers = self.config.brokers.clone();
                SourceError::Unreachable { brokers, reason: source.to_string() }
            }
            Some(UnknownTopicOrPartition | UnknownTopic | UnknownPartition) => {
                SourceError::NoTopic {
                    topic: self.config.topic.clone(),
                    brokers: self.config.brokers.clone(),
                }
            }
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                SourceError::NoRight { topic: self.config.topic.clone() }
            }
            _ => SourceError::Read { what: format!("topic {:?}", self.config.topic), source },
        }
    }

    /// The same with the reason, which the library tells as an event: TLS and passwords fail so.
    fn refused(&self, consumer: &BaseConsumer<Context>, source: KafkaError) -> SourceError {
        let mut error = self.read_error(source);
        if let SourceError::Unreachable { reason, .. } = &mut error {
            // One event a call, and the first ones may be others.
            for _ in 0..10 {
                consumer.poll(Duration::from_millis(20));
            }
            let said = consumer.context().reason.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(said) = said.as_ref() {
                reason.clone_from(said);
            }
        }
        error
    }

    /// The numbers of the topic's partitions, rising.
    pub fn partitions(&self, consumer: &BaseConsumer<Context>) -> Result<Vec<u32>, SourceError> {
        let name = &self.config.topic;
        let metadata = consumer.fetch_metadata(Some(name), ANSWER_TIME);
        let metadata = metadata.map_err(|error| self.refused(consumer, error))?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == name);
        let refusal = topic.and_then(rdkafka::metadata::MetadataTopic::error);
        if let Some(code) = refusal.map(RDKafkaErrorCode::from)
            && code == RDKafkaErrorCode::TopicAuthorizationFailed
        {
            return Err(self.read_error(KafkaError::MetadataFetch(code)));
        }
        let partitions =
            topic.map(rdkafka::metadata::MetadataTopic::partitions).unwrap_or_default();
        let numbers = partitions.iter().filter_map(|partition| u32::try_from(partition.id()).ok());
        let mut numbers: Vec<_> = numbers.collect();
        numbers.sort_unstable();
        if numbers.is_empty() {
            let brokers = self.config.brokers.clone();
            return Err(SourceError::NoTopic { topic: name.clone(), brokers });
        }
        Ok(numbers)
    }

    /// The oldest offset of a partition, and the one behind its newest.
    pub fn watermarks(
        &self,
        consumer: &BaseConsumer<Context>,
        partition: u32,
    ) -> Result<(u64, u64), SourceError> {
        let number = partition.cast_signed();
        let marks = consumer.fetch_watermarks(&self.config.topic, number, ANSWER_TIME);
        let (low, high) = marks.map_err(|error| self.read_error(error))?;
        Ok((low.max(0).cast_unsigned(), high.max(0).cast_unsigned()))
    }

    /// Behind the last offset that was delivered, where there was one: a record or a marker.
    fn position(
        &self,
        consumer: &BaseConsumer<Context>,
        partition: u32,
    ) -> Result<Option<u64>, SourceError> {
        let positions = consumer.position().map_err(|error| self.read_error(error))?;
        let found = positions.find_partition(&self.config.topic, partition.cast_signed());
        Ok(match found.map(|found| found.offset()) {
            Some(Offset::Offset(next)) => u64::try_from(next).ok(),
            _ => None,
        })
    }

    /// Whether the broker removes records of the middle of a partition. A broker that does not say
    /// (the right to ask may be missing) is taken at its default.
    pub fn is_compacted(&self) -> bool {
        matches!(self.compaction(), Some(Compaction::After { .. }))
    }

    /// Whether and when records are removed; `None` where the broker does not say.
    fn compaction(&self) -> Option<Compaction> {
        let admin: AdminClient<Context> =
            self.client().create_with_context(self.context(true)).ok()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let topic = [ResourceSpecifier::Topic(&self.config.topic)];
        let options = AdminOptions::new().request_timeout(Some(ANSWER_TIME));
        let answer = runtime.block_on(admin.describe_configs(&topic, &options)).ok()?;
        let settings = answer.into_iter().next()?.ok()?;
        let settings = settings.entry_map();
        let value = |name| settings.get(name)?.value.as_deref();
        let lag_ms = value("min.compaction.lag.ms").and_then(|ms| ms.parse().ok()).unwrap_or(0);
        let is_compacted = value("cleanup.policy")?.contains("compact");
        Some(if is_compacted { Compaction::After { lag_ms } } else { Compaction::Never })
    }

    /// Where a partition of which nothing is stored starts.
    fn first_offset(
        &self,
        consumer: &BaseConsumer<Context>,
        partition: u32,
        (low, high): (u64, u64),
    ) -> Result<u64, SourceError> {
        if let Some(start) = self.config.starts.get(&partition) {
            let known = PartitionOffsets::fresh(partition, *start);
            return self.resume(consumer, &known, (low, high));
        }
        if !self.config.starts.is_empty() {
            return Ok(low);
        }
        let ms = match self.config.from {
            From::Earliest => return Ok(low),
            From::Latest => return Ok(high),
            From::Time(ms) => ms,
        };
        let times = self.list(partition, Offset::Offset(ms))?;
        let found = consumer.offsets_for_times(times, ANSWER_TIME);
        let found = found.map_err(|error| self.read_error(error))?;
        let offset = found
            .elements()
            .first()
            .map(rdkafka::topic_partition_list::TopicPartitionListElem::offset);
        match offset {
            Some(Offset::Offset(offset)) => Ok(offset.max(0).cast_unsigned()),
            _ => Ok(high),
        }
    }

    /// Checks that the partition still is the one that was read: it is as long, and the records
    /// that are known by their hashes are the same. Says whether one of them is still there, or
    /// none is known.
    pub fn recognize(
        &self,
        consumer: &BaseConsumer<Context>,
        stored: &PartitionOffsets,
        (low, high): (u64, u64),
    ) -> Result<bool, SourceError> {
        let PartitionOffsets { partition, next, .. } = *stored;
        if next > high {
            let reason = format!("it ends at offset {high}, but {next} was read before");
            let topic = self.config.topic.clone();
            return Err(SourceError::Changed { topic, partition, reason });
        }
        let mut is_known = stored.last.is_none();
        for anchor in [stored.last.map(LastRecord::anchor), stored.anchor].into_iter().flatten() {
            is_known |= self.holds(consumer, partition, anchor, (low, high))?;
        }
        Ok(is_known)
    }

    /// Checks that the partition still is the one that was read, and says where to go on.
    fn resume(
        &self,
        consumer: &BaseConsumer<Context>,
        stored: &PartitionOffsets,
        (low, high): (u64, u64),
    ) -> Result<u64, SourceError> {
        let (partition, topic) = (stored.partition, &self.config.topic);
        let is_known = self.recognize(consumer, stored, (low, high))?;
        if stored.next < low {
            let next = stored.next;
            if self.config.accept_gap {
                tracing::warn!(partition, next, low, "records were removed unread, going on");
                return Ok(low);
            }
            return Err(SourceError::Gap { topic: topic.clone(), partition, next, low });
        }
        if !is_known {
            tracing::warn!(
                partition,
                stored.next,
                "the last record read is gone, so nothing shows that the topic is the same"
            );
        }
        Ok(stored.next)
    }

    /// From where the ledger reads again; all of it must be there.
    fn remember(&self, stored: &PartitionOffsets, next: u64, low: u64) -> Result<u64, SourceError> {
        let PartitionOffsets { partition, replay_from, .. } = *stored;
        if replay_from == stored.next {
            return Ok(next);
        }
        if replay_from < low {
            let topic = self.config.topic.clone();
            let place = stored.location();
            return Err(SourceError::Forgotten { topic, partition, place, replay_from, low });
        }
        Ok(replay_from)
    }

    /// Whether a record is still there; [`SourceError::Changed`] if it is another one.
    fn holds(
        &self,
        consumer: &BaseConsumer<Context>,
        partition: u32,
        anchor: Anchor,
        marks: (u64, u64),
    ) -> Result<bool, SourceError> {
        let Anchor { offset, hash } = anchor;
        match self.record_at(consumer, partition, offset, marks)? {
            Some((_, found)) if found != hash => Err(SourceError::Changed {
                topic: self.config.topic.clone(),
                partition,
                reason: format!("the record at offset {offset} is another one"),
            }),
            found => Ok(found.is_some()),
        }
    }

    /// Reads one record again, with its hash; `None` if retention, compaction or an abort has
    /// removed it.
    fn record_at(
        &self,
        consumer: &BaseConsumer<Context>,
        partition: u32,
        offset: u64,
        (low, high): (u64, u64),
    ) -> Result<Option<(StoredRecord, u64)>, SourceError> {
        if offset < low || offset >= high {
            return Ok(None);
        }
        let at = self.list(partition, Offset::Offset(offset.cast_signed()))?;
        consumer.assign(&at).map_err(|error| self.read_error(error))?;
        let deadline = Instant::now() + ANSWER_TIME;
        let found = loop {
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(record)) if record.offset() == offset.cast_signed() => {
                    let hash = fingerprint(record.key(), record.payload());
                    let Record { timestamp_ms, payload, .. } = reader::record(&record);
                    let payload = payload.map(Vec::from);
                    break Some((StoredRecord { timestamp_ms, payload }, hash));
                }
                Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => break None,
                Some(Err(error)) if !is_passing(&error) => return Err(self.read_error(error)),
                _ if Instant::now() > deadline => {
                    let timed_out = RDKafkaErrorCode::OperationTimedOut;
                    return Err(self.read_error(KafkaError::MessageConsumption(timed_out)));
                }
                _ => {}
            }
        };
        consumer.unassign().map_err(|error| self.read_error(error))?;
        Ok(found)
    }

    /// The topics that the brokers know.
    pub fn list(&self, partition: u32, offset: Offset) -> Result<TopicPartitionList, SourceError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.config.topic, partition.cast_signed(), offset)
            .map_err(|error| self.read_error(error))?;
        Ok(list)
    }
}

impl Topic for KafkaTopic {
    fn check(&self) -> Result<(), SourceError> {
        let consumer = self.consumer(true)?;
        self.partitions(&consumer).map(drop)
    }

    fn keeps(&self, span_ms: u64) -> Result<(), SourceError> {
        match self.compaction() {
            Some(Compaction::After { lag_ms }) if lag_ms < span_ms => {
                let topic = self.config.topic.clone();
                Err(SourceError::Compacted { topic, lag_ms, span_ms })
            }
            Some(_) => Ok(()),
            None => {
                tracing::warn!(
                    "the broker does not say whether the topic is compacted (DESCRIBE_CONFIGS); if it \
                     is, what compaction removes within --ledger makes counts wrong after a restart"
                );
                Ok(())
            }
        }
    }

    fn plan(&self, stored: &[PartitionOffsets]) -> Result<Vec<Assignment>, SourceError> {
        let consumer = self.consumer(true)?;
        let partitions = self.partitions(&consumer)?;
        if let Some(gone) = stored.iter().find(|stored| !partitions.contains(&stored.partition)) {
            return Err(SourceError::Changed {
                topic: self.config.topic.clone(),
                partition: gone.partition,
                reason: "it does not exist any more".to_owned(),
            });
        }
        let assign = |partition| {
            let marks = self.watermarks(&consumer, partition)?;
            let known = stored.iter().find(|stored| stored.partition == partition);
            let fresh = match known {
                Some(offsets) => {
                    let next = self.resume(&consumer, offsets, marks)?;
                    let replay_from = self.remember(offsets, next, marks.0)?;
                    Assignment { next, replay_from, ..Assignment::fresh(partition, offsets.start) }
                }
                // A partition that was added to a topic that is read already counts from its start.
                None if !stored.is_empty() => Assignment::fresh(partition, marks.0),
                None => {
                    let first = self.first_offset(&consumer, partition, marks)?;
                    Assignment::fresh(partition, first)
                }
            };
            let until = self.config.until_end.then_some(marks.1);
            let last = known.and_then(|offsets| offsets.last);
            let anchor = known.and_then(|offsets| offsets.anchor).or(last.map(LastRecord::anchor));
            Ok(Assignment { until, last, anchor, ..fresh })
        };
        partitions.into_iter().map(assign).collect()
    }

    fn open(&self, wake: Wake) -> Result<Box<dyn Source>, SourceError> {
        let mut consumer = self.consumer(false)?;
        consumer.set_nonempty_callback(wake);
        let topic = KafkaTopic { config: self.config.clone() };
        Ok(Box::new(KafkaSource { topic, consumer, partitions: Vec::new() }))
    }

    fn watch(&self) -> Result<Box<dyn Watch>, SourceError> {
        let topic = KafkaTopic { config: self.config.clone() };
        Ok(Box::new(KafkaWatch::new(topic)?))
    }
}

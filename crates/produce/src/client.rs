//! Owns the Kafka side of `produce`: the client's settings, its first contact with a broker, and a
//! topic to write to.
//!
//! Invariant: every record that librdkafka took is counted once, delivered or failed. librdkafka's
//! log lines go to `tracing` only; what ends a run comes back as an error.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::{ClientContext, Message};

use super::{ProduceConfig, ProduceError};
use source::kafka::settings::{self, Hidden, SettingFault};

/// How long the brokers may take to answer before there is a topic to write to.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// One try within that time.
const TRY_TIME: Duration = Duration::from_secs(2);

/// What `--kafka` may change.
const DEFAULTS: [(&str, &str); 11] = [
    ("compression.type", "lz4"),
    // The same partition for a key as Java's clients choose.
    ("partitioner", "murmur2_random"),
    // A quiet stream is fresh in milliseconds; under load the batches fill before.
    ("linger.ms", "5"),
    ("batch.size", "1000000"),
    // What is in memory at most, beside a few batches of input.
    ("queue.buffering.max.kbytes", "131072"),
    ("queue.buffering.max.messages", "1000000"),
    // Whether a record is too large is the topic's decision.
    ("message.max.bytes", "100000000"),
    // A record is delivered or has failed within this time; see `FLUSH_TIME`.
    ("message.timeout.ms", "60000"),
    // A broker that is back is found within a second, not within ten.
    ("reconnect.backoff.max.ms", "1000"),
    // Brokers close idle connections; that is no news.
    ("log.connection.close", "false"),
    ("ssl.ca.location", "probe"),
];

/// What has a flag of its own, or what the promise of no losses and no duplicates rests on.
const FIXED: [(&str, &str); 6] = [
    ("bootstrap.servers", "set --brokers instead"),
    ("metadata.broker.list", "set --brokers instead"),
    ("enable.idempotence", "it is always true"),
    ("max.in.flight.requests.per.connection", "it is always 1"),
    ("max.in.flight", "it is always 1"),
    ("transactional.id", "set --resume instead"),
];

/// librdkafka's settings for `args`.
fn client_config(args: &ProduceConfig) -> Result<ClientConfig, ProduceError> {
    if settings::is_no_address(&args.brokers) {
        return Err(ProduceError::Brokers);
    }
    let mut settings = ClientConfig::new();
    settings.set_log_level(RDKafkaLogLevel::Warning);
    for (name, value) in DEFAULTS {
        settings.set(name, value);
    }
    for (name, value) in &args.kafka {
        if let Some((_, hint)) = FIXED.iter().find(|(fixed, _)| fixed == name) {
            return Err(ProduceError::FixedSetting { name: name.clone(), hint });
        }
        settings::check(name, value).map_err(|fault| match fault {
            SettingFault::Unknown => ProduceError::UnknownSetting { name: name.clone() },
            SettingFault::Value => ProduceError::SettingValue { name: name.clone() },
        })?;
        settings.set(name, value);
    }
    settings.set("bootstrap.servers", &args.brokers).set("enable.idempotence", "true");
    // With a second request on its way, a broker that refuses the first one of a new partition (it
    // does not lead it yet) and takes the second loses the first, and the client calls it
    // delivered: KAFKA-15591, https://github.com/apache/kafka/pull/23234.
    settings.set("max.in.flight.requests.per.connection", "1");
    Ok(settings)
}

/// The library's words on settings that do not go together, without their values.
pub(super) fn refused_settings(args: &ProduceConfig, error: &KafkaError) -> ProduceError {
    ProduceError::Client { reason: Hidden::new(&args.kafka).text(&error.to_string()) }
}

/// A producer that a broker has answered, with a topic to write to; for transactions if it has an
/// id.
pub(super) fn connect(
    args: &ProduceConfig,
    id: Option<String>,
) -> Result<BaseProducer<DeliveryContext>, ProduceError> {
    let mut settings = client_config(args)?;
    let without_id = settings.clone();
    if let Some(id) = id {
        settings.set("transactional.id", id);
    }
    let context =
        DeliveryContext { hidden: Hidden::new(&args.kafka), ..DeliveryContext::default() };
    let producer: BaseProducer<DeliveryContext> =
        settings.create_with_context(context).map_err(|error| refused_settings(args, &error))?;
    let metadata = metadata(&producer, args)?;
    if partitions(&metadata, &args.topic) == 0 {
        create_topic(args, &without_id)?;
        wait_for_topic(&producer, args)?;
    }
    Ok(producer)
}

/// All topics. Not the one topic: asking a broker for a topic by name creates it where the broker
/// is configured so, with the broker's number of partitions.
fn metadata(
    producer: &BaseProducer<DeliveryContext>,
    args: &ProduceConfig,
) -> Result<Metadata, ProduceError> {
    let deadline = Instant::now() + ANSWER_TIME;
    loop {
        match producer.client().fetch_metadata(None, TRY_TIME) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => {
                // The reasons come as events.
                producer.poll(Duration::from_millis(50));
                if Instant::now() >= deadline {
                    let brokers = args.brokers.clone();
                    let reason = lock(&producer.context().reason).take();
                    let reason = reason.unwrap_or_else(|| error.to_string());
                    return Err(ProduceError::Unreachable { brokers, reason });
                }
            }
        }
    }
}

/// Partitions of a topic; 0 where it does not exist.
fn partitions(metadata: &Metadata, topic: &str) -> usize {
    let mut topics = metadata.topics().iter();
    topics.find(|found| found.name() == topic).map_or(0, |found| found.partitions().len())
}

fn create_topic(args: &ProduceConfig, settings: &ClientConfig) -> Result<(), ProduceError> {
    let admin: AdminClient<_> =
        settings.create().map_err(|error| refused_settings(args, &error))?;
    // -1: as many replicas as the brokers' configuration says.
    let topic = NewTopic::new(&args.topic, i32::from(args.partitions), TopicReplication::Fixed(-1));
    let options =
        AdminOptions::new().request_timeout(Some(ANSWER_TIME)).operation_timeout(Some(ANSWER_TIME));
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime =
        runtime.map_err(|source| ProduceError::System { doing: "starting a runtime", source })?;
    let failed = |code| refused(&args.topic, code);
    match runtime.block_on(admin.create_topics([&topic], &options)) {
        Ok(results) => match results.into_iter().next() {
            None | Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
            Some(Err((_, code))) => Err(failed(code)),
        },
        Err(error) => Err(failed(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown))),
    }
}

/// The operator's to cure where the brokers refuse the topic; else they only failed to make it.
fn refused(topic: &str, code: RDKafkaErrorCode) -> ProduceError {
    use RDKafkaErrorCode::{
        ClusterAuthorizationFailed, InvalidArgument, InvalidPartitions, InvalidReplicationFactor,
        InvalidTopic, PolicyViolation, TopicAuthorizationFailed,
    };
    let topic = topic.to_owned();
    match code {
        ClusterAuthorizationFailed
        | InvalidArgument
        | InvalidPartitions
        | InvalidReplicationFactor
        | InvalidTopic
        | PolicyViolation
        | TopicAuthorizationFailed => ProduceError::TopicRefused { topic, code },
        _ => ProduceError::TopicFailed { topic, code },
    }
}

/// A new topic is known to the brokers one after the other.
fn wait_for_topic(
    producer: &BaseProducer<DeliveryContext>,
    args: &ProduceConfig,
) -> Result<(), ProduceError> {
    let deadline = Instant::now() + ANSWER_TIME;
    while partitions(&metadata(producer, args)?, &args.topic) == 0 {
        if Instant::now() >= deadline {
            let code = RDKafkaErrorCode::UnknownTopicOrPartition;
            return Err(ProduceError::TopicFailed { topic: args.topic.clone(), code });
        }
        producer.poll(Duration::from_millis(50));
    }
    Ok(())
}

/// What librdkafka reports, from whichever thread polls.
#[derive(Default)]
pub(super) struct DeliveryContext {
    /// What the library's words must not show.
    hidden: Hidden,
    delivered: AtomicU64,
    delivered_bytes: AtomicU64,
    /// The first failure; the others follow from it.
    failure: Mutex<Option<KafkaError>>,
    /// librdkafka's words on the latest trouble with a broker.
    reason: Mutex<Option<String>>,
}

impl DeliveryContext {
    /// Records that are confirmed, and the bytes of their payloads.
    pub(super) fn delivered(&self) -> (u64, u64) {
        (self.delivered.load(Ordering::Relaxed), self.delivered_bytes.load(Ordering::Relaxed))
    }

    /// Why a record was not delivered, if one was not.
    pub(super) fn failure(&self) -> Option<KafkaError> {
        lock(&self.failure).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClientContext for DeliveryContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let message = || self.hidden.text(message);
        tracing::debug!(target: "librdkafka", ?level, facility, message = message());
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let reason = &*self.hidden.text(reason);
        tracing::debug!(target: "librdkafka", %error, reason);
        // "1/1 brokers are down" follows the reason and says less.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *lock(&self.reason) = Some(reason.to_owned());
        }
    }
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(record) => {
                let bytes = record.payload_len() as u64;
                self.delivered.fetch_add(1, Ordering::Relaxed);
                self.delivered_bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            Err((error, record)) => {
                tracing::debug!(partition = record.partition(), %error, "not delivered");
                lock(&self.failure).get_or_insert_with(|| error.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_topic_is_the_operators_and_a_failed_one_is_not() {
        assert_eq!(refused("a b", RDKafkaErrorCode::InvalidTopic).exit_code(), 2);
        assert_eq!(refused("t", RDKafkaErrorCode::TopicAuthorizationFailed).exit_code(), 2);
        assert_eq!(refused("t", RDKafkaErrorCode::RequestTimedOut).exit_code(), 1);
    }
}

//! `tweetflow produce`: a file or synthetic tweets into a Kafka topic.
//!
//! It owns the producer: idempotent, keyed by tweet id, every delivery checked. It judges nothing:
//! a line that is no tweet is sent as it is, without a key. Reading follows the broker's pace; no
//! more than the client library's queue is in memory.

mod input;
pub mod synthetic;

use crate::error::one_line;
use indicatif::{ProgressBar, ProgressStyle};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientContext, Message};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a question to a broker may take.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// How long the last deliveries may take.
const FLUSH_TIME: Duration = Duration::from_secs(60);
/// Without a terminal, a line so often.
const LINE_TIME: Duration = Duration::from_secs(5);

/// Arguments of `produce`.
#[derive(clap::Args, Debug, Clone)]
#[group(skip)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["input", "synthetic"])))]
pub struct ProduceArgs {
    /// Kafka brokers, host:port with commas between
    #[arg(long, env = "TWEETFLOW_BROKERS", default_value = "127.0.0.1:9092")]
    pub brokers: String,
    /// Topic to write to; created if it does not exist
    #[arg(long, env = "TWEETFLOW_TOPIC", default_value = "tweets")]
    pub topic: String,
    /// Partitions of a topic that is created
    #[arg(long, env = "TWEETFLOW_PARTITIONS", default_value_t = 4)]
    pub partitions: u16,
    /// A setting of the Kafka client, NAME=VALUE; may be repeated
    #[arg(long = "kafka", value_name = "NAME=VALUE", value_parser = crate::cli::setting)]
    pub kafka: Vec<(String, String)>,
    /// File of tweets, one JSON object a line; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Make tweets up
    #[arg(long)]
    pub synthetic: bool,
    /// Seed of the synthetic tweets: the same seed gives the same tweets
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Stop after so many tweets
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Tweets per second; as fast as it goes if left out
    #[arg(long, value_name = "N")]
    pub rate: Option<f64>,
}

/// What was produced.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// Records that the broker has confirmed.
    pub tweets: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// From the first to the last.
    pub elapsed: Duration,
}

/// Producing ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum ProduceError {
    /// The input cannot be opened or read.
    #[error("cannot read {path}; check --input")]
    Input {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// `--rate` is no rate.
    #[error("--rate {0} is not a number of tweets per second; it must be above zero")]
    Rate(f64),
    /// A setting that the client library does not take.
    #[error("--kafka: the Kafka client refuses a setting")]
    Setting(#[source] KafkaError),
    /// No broker answered.
    #[error("no Kafka broker answers at {brokers}; is it running, and is --brokers right?")]
    Unreachable {
        /// The addresses tried.
        brokers: String,
        /// The library's words.
        source: KafkaError,
    },
    /// The topic does not exist and was not created.
    #[error("topic {topic:?} cannot be created: {reason}; create it first")]
    Topic {
        /// Its name.
        topic: String,
        /// The broker's words.
        reason: String,
    },
    /// A record did not arrive.
    #[error("a record was not delivered, {delivered} were before it")]
    Delivery {
        /// Records that the broker has confirmed.
        delivered: u64,
        /// The library's words.
        source: KafkaError,
    },
}

impl ProduceError {
    /// 2 for what only another command line can cure, else 1.
    pub fn exit_code(&self) -> u8 {
        use ProduceError::{Input, Rate, Setting, Topic};
        if matches!(self, Input { .. } | Rate(_) | Setting(_) | Topic { .. }) { 2 } else { 1 }
    }
}

/// Produces until the input ends, the limit is reached or `stop` is set; returns when everything
/// sent is confirmed.
pub fn run(args: &ProduceArgs, stop: &AtomicBool) -> Result<Summary, ProduceError> {
    if let Some(rate) = args.rate.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
        return Err(ProduceError::Rate(rate));
    }
    let mut tweets = input::tweets(args)?;
    let producer = connect(args)?;
    create_topic(args, &producer)?;
    let mut sender = Sender { producer, args, started: Instant::now(), sent: 0, bytes: 0 };
    let bar = progress_bar(args);
    let mut last_line = Instant::now();
    while !stop.load(Ordering::Relaxed) && args.limit.is_none_or(|limit| sender.sent < limit) {
        let Some(tweet) = tweets.next()? else { break };
        sender.pace(stop);
        sender.send(tweet.key, tweet.payload)?;
        if sender.sent % 1024 == 0 || args.rate.is_some() {
            sender.producer.poll(Duration::ZERO);
            sender.check()?;
            bar.set_position(sender.sent);
            if bar.is_hidden() && last_line.elapsed() > LINE_TIME {
                last_line = Instant::now();
                eprintln!("{} tweets sent", sender.sent);
            }
        }
    }
    let summary = sender.finish()?;
    bar.finish_and_clear();
    Ok(summary)
}

/// The producer and what it has done.
struct Sender<'a> {
    producer: BaseProducer<Deliveries>,
    args: &'a ProduceArgs,
    started: Instant,
    sent: u64,
    bytes: u64,
}

impl Sender<'_> {
    /// Waits until the next tweet is due.
    fn pace(&self, stop: &AtomicBool) {
        let Some(rate) = self.args.rate else { return };
        #[allow(clippy::cast_precision_loss, reason = "exact below 2^53 tweets")]
        let due = Duration::from_secs_f64(self.sent as f64 / rate);
        while !stop.load(Ordering::Relaxed) {
            let wait = due.saturating_sub(self.started.elapsed());
            if wait.is_zero() {
                return;
            }
            // Delivery reports come in meanwhile.
            self.producer.poll(wait.min(Duration::from_millis(50)));
        }
    }

    /// Queues one record; waits while the queue is full.
    fn send(&mut self, key: &[u8], payload: &[u8]) -> Result<(), ProduceError> {
        let mut record = BaseRecord::to(&self.args.topic).payload(payload);
        if !key.is_empty() {
            record = record.key(key);
        }
        while let Err((error, unsent)) = self.producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(self.failed(error));
            }
            record = unsent;
            self.producer.poll(Duration::from_millis(5));
            self.check()?;
        }
        self.sent += 1;
        self.bytes += payload.len() as u64;
        Ok(())
    }

    fn check(&self) -> Result<(), ProduceError> {
        match self.producer.context().failure() {
            Some(error) => Err(self.failed(error)),
            None => Ok(()),
        }
    }

    fn failed(&self, source: KafkaError) -> ProduceError {
        let delivered = self.producer.context().delivered.load(Ordering::Relaxed);
        ProduceError::Delivery { delivered, source }
    }

    fn finish(self) -> Result<Summary, ProduceError> {
        self.producer.flush(FLUSH_TIME).map_err(|error| self.failed(error))?;
        self.check()?;
        let tweets = self.producer.context().delivered.load(Ordering::Relaxed);
        Ok(Summary { tweets, bytes: self.bytes, elapsed: self.started.elapsed() })
    }
}

fn connect(args: &ProduceArgs) -> Result<BaseProducer<Deliveries>, ProduceError> {
    let producer: BaseProducer<Deliveries> =
        client(args).create_with_context(Deliveries::default()).map_err(ProduceError::Setting)?;
    // A question that every broker answers: a wrong address ends here, not after a delivery's time.
    producer
        .client()
        .fetch_metadata(None, ANSWER_TIME)
        .map_err(|source| ProduceError::Unreachable { brokers: args.brokers.clone(), source })?;
    Ok(producer)
}

fn client(args: &ProduceArgs) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set_log_level(RDKafkaLogLevel::Warning);
    for (name, value) in [
        ("bootstrap.servers", args.brokers.as_str()),
        ("compression.type", "lz4"),
        // The same partition for a key as Java's clients choose.
        ("partitioner", "murmur2_random"),
        ("linger.ms", "5"),
        ("batch.size", "1000000"),
        ("queue.buffering.max.kbytes", "262144"),
        ("message.max.bytes", "20000000"),
        ("ssl.ca.location", "probe"),
    ] {
        client.set(name, value);
    }
    for (name, value) in &args.kafka {
        client.set(name, value);
    }
    client.set("enable.idempotence", "true");
    client
}

/// Creates the topic where it does not exist; one that exists is left as it is.
fn create_topic(
    args: &ProduceArgs,
    producer: &BaseProducer<Deliveries>,
) -> Result<(), ProduceError> {
    let metadata = producer.client().fetch_metadata(Some(&args.topic), ANSWER_TIME);
    let exists = metadata
        .is_ok_and(|metadata| metadata.topics().iter().any(|topic| !topic.partitions().is_empty()));
    if exists {
        return Ok(());
    }
    let refused = |reason: String| ProduceError::Topic { topic: args.topic.clone(), reason };
    let admin: AdminClient<_> = client(args).create().map_err(ProduceError::Setting)?;
    let topic = NewTopic::new(&args.topic, i32::from(args.partitions), TopicReplication::Fixed(-1));
    let options = AdminOptions::new().operation_timeout(Some(ANSWER_TIME));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| refused(error.to_string()))?;
    let results = runtime.block_on(admin.create_topics([&topic], &options));
    match results.map_err(|error| refused(one_line(&error)))?.pop() {
        Some(Err((_, code))) if code != RDKafkaErrorCode::TopicAlreadyExists => {
            Err(refused(code.to_string()))
        }
        _ => Ok(()),
    }
}

fn progress_bar(args: &ProduceArgs) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match args.limit {
        Some(limit) => (
            ProgressBar::new(limit),
            "{bar:30} {human_pos} of {human_len} tweets, {per_sec}, {eta} left",
        ),
        None => (ProgressBar::new_spinner(), "{spinner} {human_pos} tweets, {per_sec}"),
    };
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Counts confirmed records and keeps the first failure.
#[derive(Default)]
struct Deliveries {
    delivered: AtomicU64,
    failure: Mutex<Option<KafkaError>>,
}

impl Deliveries {
    fn failure(&self) -> Option<KafkaError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", ?level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka client");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, message)) => {
                tracing::debug!(partition = message.partition(), %error, "not delivered");
                let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                failure.get_or_insert_with(|| error.clone());
            }
        }
    }
}

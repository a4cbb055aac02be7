//! `tweetflow produce`: a file or synthetic tweets into a Kafka topic.
//!
//! ```text
//! input (a thread) ── batches ──► pace ──► send ──► librdkafka's queue ──► topic
//!                                           ▲ waits while the queue is full    │
//!                                           └── confirmed, or failed ◄─────────┘
//! ```
//!
//! It owns the producer: idempotent, every delivery checked, every record keyed by the tweet that
//! it is or is about; a run that ends without an error has all of its records in the topic, once;
//! with `--resume` so have several runs together, however each of them ended. It judges nothing: a
//! line that is no tweet is sent as it is, without a key. Reading follows the brokers' pace; no
//! more than the client library's queue, a few batches and one record are in memory.

mod client;
mod file;
pub mod folder;
mod input;
mod pace;
mod progress;
mod split;
mod transfer;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use client::DeliveryContext;
use input::{Input, InputBatch, InputRecord, Next, Reading};
use pace::Pace;
use progress::ProgressLine;
use synth::Share;
use transfer::{Named, Reached, Transfer};

pub use source::foreign::Foreign;

/// How long the last deliveries may take; longer than librdkafka's `message.timeout.ms`, so that
/// it is the one to give up.
const FLUSH_TIME: Duration = Duration::from_secs(65);
/// Waits are no longer than this, so that a signal and a failure are seen.
const LOOK_TIME: Duration = Duration::from_millis(50);
/// Records between two looks at what was delivered.
const LOOK_RECORDS: u32 = 64;

/// What to produce, from where to where.
#[derive(Clone, Debug)]
pub struct ProduceConfig {
    /// Kafka brokers, host:port with commas between.
    pub brokers: String,
    /// The topic to write to; created if it does not exist.
    pub topic: String,
    /// Partitions of a topic that is created.
    pub partitions: u16,
    /// Settings of the Kafka client, by name.
    pub kafka: Vec<(String, String)>,
    /// A file of tweets; `-` is standard input.
    pub input: Option<PathBuf>,
    /// Whether to make tweets up.
    pub synthetic: bool,
    /// Seed of the synthetic tweets.
    pub seed: u64,
    /// Delete notices among the synthetic tweets.
    pub deletes: Share,
    /// Synthetic tweets that come again.
    pub duplicates: Share,
    /// Stop after so many records.
    pub limit: Option<u64>,
    /// Leave out tweets whose author gives no location.
    pub require_location: bool,
    /// The file of a transfer that is gone on with.
    pub resume: Option<PathBuf>,
    /// Records per second, evenly; none = as fast as it goes.
    pub rate: Option<f64>,
}

/// What was produced.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProduceSummary {
    /// Records that the broker has confirmed.
    pub tweets: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// Tweets that `--require-location` left out.
    pub left_out: u64,
    /// Records that are no JSON; they were sent as they are.
    pub no_json: u64,
    /// Records that earlier runs had sent.
    pub sent_before: u64,
    /// From the first to the last.
    pub elapsed: Duration,
}

/// Producing ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum ProduceError {
    /// The input cannot be opened.
    #[error("cannot open {path}; check --input")]
    Open {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The input failed while it was read; what was read before it is in the topic.
    #[error("cannot read on in {path}; the {sent} records before this were sent")]
    Read {
        /// The file.
        path: String,
        /// Records sent by this run.
        sent: u64,
        /// Why.
        source: std::io::Error,
    },
    /// The input cannot be taken apart; what stands before it is in the topic.
    #[error(
        "cannot read on in {path}: at byte {at} {what}; the {sent} records before it were sent"
    )]
    Broken {
        /// The file.
        path: String,
        /// Bytes before the place, uncompressed.
        at: u64,
        /// What is wrong there.
        what: &'static str,
        /// Records sent by this run.
        sent: u64,
    },
    /// `--resume` knows another input.
    #[error("the first {records} records of {path} are not those that were sent; check --input")]
    Changed {
        /// The file.
        path: String,
        /// Records that earlier runs read.
        records: u64,
    },
    /// The file of `--resume` cannot be read or written.
    #[error("cannot use {path}; check --resume")]
    ResumeFile {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file of `--resume` is of another transfer.
    #[error("{file} belongs to topic {topic:?}; check --resume and --topic")]
    OtherTopic {
        /// The file.
        file: String,
        /// The topic it names.
        topic: String,
    },
    /// The brokers have no position for a transfer that was begun.
    #[error(
        "the brokers do not know how far {file} came in topic {topic:?}: other brokers, a recreated \
         topic, or longer ago than their offsets.retention.minutes; delete the file to start again"
    )]
    Forgotten {
        /// The file of `--resume`.
        file: String,
        /// The topic.
        topic: String,
    },
    /// A step of a transaction failed.
    #[error("{doing} failed; start again with the same --resume")]
    Transaction {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: KafkaError,
    },
    /// `--rate` is no rate.
    #[error("--rate {0} is not a number of tweets per second; it must be above zero")]
    Rate(f64),
    /// librdkafka does not know a setting.
    #[error(
        "--kafka {name}: librdkafka has no such setting for producers; correct the name \
         (CONFIGURATION.md of librdkafka lists them)"
    )]
    UnknownSetting {
        /// Its name.
        name: String,
    },
    /// librdkafka knows a setting, but not with this value.
    #[error("--kafka {name}: librdkafka refuses its value; correct it")]
    SettingValue {
        /// Its name.
        name: String,
    },
    /// A setting that is not for `--kafka`.
    #[error("--kafka {name} cannot be set: {hint}")]
    FixedSetting {
        /// Its name.
        name: String,
        /// What to do.
        hint: &'static str,
    },
    /// The settings do not go together.
    #[error("the Kafka client does not start with these settings; change --kafka ({reason})")]
    Client {
        /// The library's words, without values.
        reason: String,
    },
    /// The brokers' addresses are none.
    #[error(
        "--brokers is HOST:PORT with commas between; user and password are settings of --kafka: \
         sasl.username, sasl.password"
    )]
    Brokers,
    /// No broker answered.
    #[error(
        "no Kafka broker answers at {brokers}; is it running, and is --brokers right? ({reason})"
    )]
    Unreachable {
        /// The addresses tried.
        brokers: String,
        /// The library's words.
        reason: String,
    },
    /// The topic does not exist and may not be created.
    #[error(
        "topic {topic:?} does not exist and cannot be created: {code}; create it, or name another"
    )]
    TopicRefused {
        /// Its name.
        topic: String,
        /// The brokers' answer.
        code: RDKafkaErrorCode,
    },
    /// The topic does not exist, and the brokers failed to create it.
    #[error("topic {topic:?} was not created: {code}; look after the brokers and try again")]
    TopicFailed {
        /// Its name.
        topic: String,
        /// The brokers' answer.
        code: RDKafkaErrorCode,
    },
    /// A record did not arrive.
    #[error("a record was not delivered to topic {topic:?}; {delivered} others were")]
    Delivery {
        /// The topic.
        topic: String,
        /// Records that the brokers have confirmed.
        delivered: u64,
        /// The library's words.
        source: KafkaError,
    },
    /// A file of something else.
    #[error("{} holds no tweets: its first record is no JSON object", .path.display())]
    NoJson {
        /// The file.
        path: PathBuf,
    },
    /// A file that cannot hold tweets, by its first bytes.
    #[error("{path} {foreign}; nothing was sent")]
    Foreign {
        /// The file.
        path: String,
        /// What it is.
        foreign: Foreign,
    },
    /// A folder of tweets cannot be written.
    #[error("cannot write {}; is there room, and may this account write there?", .path.display())]
    Folder {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The operating system refused something.
    #[error("{doing} failed")]
    System {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl ProduceError {
    /// 2 for what only another command line can cure, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Open { .. }
            | Self::Rate(_)
            | Self::UnknownSetting { .. }
            | Self::SettingValue { .. }
            | Self::FixedSetting { .. }
            | Self::Client { .. }
            | Self::Brokers
            | Self::Changed { .. }
            | Self::ResumeFile { .. }
            | Self::OtherTopic { .. }
            | Self::NoJson { .. }
            | Self::Foreign { .. }
            | Self::TopicRefused { .. } => 2,
            Self::Read { .. }
            | Self::Broken { .. }
            | Self::Forgotten { .. }
            | Self::Transaction { .. }
            | Self::Unreachable { .. }
            | Self::TopicFailed { .. }
            | Self::Delivery { .. }
            | Self::Folder { .. }
            | Self::System { .. } => 1,
        }
    }
}

/// Produces until the input ends, the limit is reached or `stop` is set; returns when everything
/// sent is confirmed.
pub fn run(args: &ProduceConfig, stop: &AtomicBool) -> Result<ProduceSummary, ProduceError> {
    if let Some(rate) = args.rate.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
        return Err(ProduceError::Rate(rate));
    }
    let mut reading = Reading::open(args)?;
    // Before anything is made at the brokers.
    reading.recognize()?;
    let named = args.resume.as_ref().map(|file| Named::read(file, &args.topic)).transpose()?;
    let producer = client::connect(args, named.as_ref().map(Named::id))?;
    let started = Instant::now();
    let (transfer, reached) = match named {
        None => (None, Reached::default()),
        Some(named) => {
            let (transfer, reached) = named.start(&producer, args)?;
            reading.skip_to(reached.position)?;
            (Some(transfer), reached)
        }
    };
    let mut sender = Sender {
        producer,
        topic: &args.topic,
        stop,
        pace: Pace::new(args.rate, started),
        left: args.limit.unwrap_or(u64::MAX).saturating_sub(reached.sent),
        progress: ProgressLine::new(args, reading.counter()),
        transfer,
        reached,
        left_out: 0,
        no_json: 0,
    };
    let result = sender.send_all(reading);
    if result.is_err()
        && let Some(transfer) = &mut sender.transfer
    {
        transfer.abort(&sender.producer);
    }
    result?;
    let (tweets, bytes) = sender.producer.context().delivered();
    let (left_out, no_json, sent_before) = (sender.left_out, sender.no_json, reached.sent);
    Ok(ProduceSummary { tweets, bytes, left_out, no_json, sent_before, elapsed: started.elapsed() })
}

/// The producer and how far it may go.
struct Sender<'a> {
    producer: BaseProducer<DeliveryContext>,
    topic: &'a str,
    stop: &'a AtomicBool,
    pace: Pace,
    /// Records that the limit leaves.
    left: u64,
    progress: ProgressLine,
    /// For `--resume`.
    transfer: Option<Transfer>,
    /// What has been sent, by earlier runs too.
    reached: Reached,
    left_out: u64,
    no_json: u64,
}

impl Sender<'_> {
    fn goes_on(&self) -> bool {
        self.left > 0 && !self.stop.load(Ordering::Relaxed)
    }

    /// What fails to be read ends the run only after what was read before it is delivered.
    fn send_all(&mut self, reading: Reading) -> Result<(), ProduceError> {
        let mut input = Input::start(reading)?;
        let mut result = Ok(());
        while self.goes_on() {
            match input.next(LOOK_TIME) {
                Ok(Next::Batch(batch)) => self.send_batch(&batch)?,
                Ok(Next::Nothing) => {}
                Ok(Next::End) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
            self.poll_deliveries(Duration::ZERO)?;
            self.commit_if_due()?;
        }
        self.commit()?;
        result.map_err(|mut error| {
            if let ProduceError::Read { sent, .. } | ProduceError::Broken { sent, .. } = &mut error
            {
                *sent = self.producer.context().delivered().0;
            }
            error
        })
    }

    fn send_batch(&mut self, batch: &InputBatch) -> Result<(), ProduceError> {
        self.left_out += batch.left_out;
        for (at, record) in (1..).zip(batch.records()) {
            self.send(&record)?;
            if at % LOOK_RECORDS == 0 {
                self.poll_deliveries(Duration::ZERO)?;
                self.commit_if_due()?;
            }
        }
        Ok(())
    }

    /// Queues one record when it is due and the queue has room; nothing at the end of the run.
    fn send(&mut self, record: &InputRecord<'_>) -> Result<(), ProduceError> {
        while self.goes_on() {
            let wait = self.pace.wait(Instant::now);
            if wait.is_zero() {
                break;
            }
            self.poll_deliveries(wait.min(LOOK_TIME))?;
            self.commit_if_due()?;
        }
        if let Some(transfer) = &mut self.transfer {
            transfer.begin(&self.producer)?;
        }
        let mut digits = itoa::Buffer::new();
        let mut message = BaseRecord::<[u8], [u8]>::to(self.topic);
        if !record.payload.is_empty() {
            message = message.payload(record.payload);
        }
        if let Some(key) = record.key {
            message = message.key(digits.format(key).as_bytes());
        }
        while self.goes_on() {
            match self.producer.send(message) {
                Ok(()) => {
                    self.left -= 1;
                    self.no_json += u64::from(!record.is_json);
                    self.reached.position = record.position;
                    self.reached.sent += 1;
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent)) => {
                    message = unsent;
                    // Long enough to be no busy loop, short enough that the queue stays full.
                    self.poll_deliveries(Duration::from_millis(5))?;
                }
                Err((error, _)) => return Err(self.failed(error)),
            }
        }
        Ok(())
    }

    /// Takes delivery reports for `time`, and ends the run if one says that a record failed.
    fn poll_deliveries(&mut self, time: Duration) -> Result<(), ProduceError> {
        self.producer.poll(time);
        self.progress.show(self.producer.context().delivered());
        self.producer.context().failure().map_or(Ok(()), |error| Err(self.failed(error)))
    }

    /// With `--resume`: what was sent becomes visible to readers in steps.
    fn commit_if_due(&mut self) -> Result<(), ProduceError> {
        if self.transfer.as_ref().is_some_and(Transfer::is_due) { self.commit() } else { Ok(()) }
    }

    /// Everything sent is in the topic, and with `--resume` the position too.
    fn commit(&mut self) -> Result<(), ProduceError> {
        self.flush()?;
        match &mut self.transfer {
            Some(transfer) if transfer.is_open() => transfer.commit(&self.producer, self.reached),
            _ => Ok(()),
        }
    }

    /// Waits until every record is confirmed.
    fn flush(&mut self) -> Result<(), ProduceError> {
        let deadline = Instant::now() + FLUSH_TIME;
        loop {
            // Sends what waits for its batch to fill, and does not wait itself.
            let flushed = self.producer.flush(Duration::ZERO);
            self.poll_deliveries(Duration::ZERO)?;
            match flushed {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(self.failed(error)),
                Err(_) => self.poll_deliveries(Duration::from_millis(5))?,
            }
        }
    }

    fn failed(&self, source: KafkaError) -> ProduceError {
        let (delivered, _) = self.producer.context().delivered();
        ProduceError::Delivery { topic: self.topic.to_owned(), delivered, source }
    }
}

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
//! more than the client library's queue, a few batches and one record are in memory. The same input
//! without Kafka, as a topic of its own, is [`InputTopic`].

mod client;
mod error;
mod file;
mod input;
mod pace;
mod progress;
mod recent;
mod split;
mod stream;
mod topic;
mod transfer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use client::DeliveryContext;
use input::{Input, InputBatch, InputRecord, Next, Reading};
use pace::Pace;
use progress::ProgressLine;
use stream::Following;
use streams::{Status, StreamConfig};
use synth::Share;
use transfer::{Named, Reached, Transfer};

pub use error::ProduceError;
pub use source::foreign::Foreign;
pub use topic::InputTopic;

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
    /// A live stream to follow.
    pub stream: Option<StreamConfig>,
    /// What is known of that stream while it runs.
    pub status: Arc<Status>,
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

/// Produces until the input ends, the limit is reached or `stop` is set; returns when everything
/// sent is confirmed.
pub fn run(args: &ProduceConfig, stop: &AtomicBool) -> Result<ProduceSummary, ProduceError> {
    if let Some(rate) = args.rate.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
        return Err(ProduceError::Rate(rate));
    }
    // Whether there is an input, before anything is made at the brokers.
    let reading = if let Some(stream) = &args.stream {
        stream.check()?;
        None
    } else {
        let mut reading = Reading::open(args)?;
        reading.recognize()?;
        Some(reading)
    };
    let stream_name = args.stream.as_ref().map(StreamConfig::name);
    let named = |file: &PathBuf| Named::read(file, &args.topic, stream_name);
    let named = args.resume.as_ref().map(named).transpose()?;
    let producer = client::connect(args, named.as_ref().map(Named::id))?;
    let started = Instant::now();
    let (transfer, reached) = match named {
        None => (None, Reached::default()),
        Some(named) => {
            let (transfer, reached) = named.start(&producer, args)?;
            (Some(transfer), reached)
        }
    };
    let left = args.limit.unwrap_or(u64::MAX).saturating_sub(reached.sent);
    let counter = reading.as_ref().map(Reading::counter).unwrap_or_default();
    let origin = match (reading, &args.stream) {
        (Some(mut reading), _) => {
            reading.skip_to(reached.position)?;
            Origin::Reading(Box::new(reading))
        }
        (None, stream) => {
            let stream = stream.as_ref().expect("one of them is there");
            Origin::Following(Box::new(Following::new(args, stream, reached.position, left)?))
        }
    };
    let mut sender = Sender {
        producer,
        topic: &args.topic,
        stop,
        pace: Pace::new(args.rate, started),
        left,
        progress: ProgressLine::new(args, counter),
        transfer,
        reached,
        left_out: 0,
        no_json: 0,
    };
    let result = sender.send_all(origin);
    if result.is_err()
        && let Some(begun) = &mut sender.transfer
    {
        begun.abort(&sender.producer);
    }
    result?;
    let (tweets, bytes) = sender.producer.context().delivered();
    let (left_out, no_json, sent_before) = (sender.left_out, sender.no_json, reached.sent);
    Ok(ProduceSummary { tweets, bytes, left_out, no_json, sent_before, elapsed: started.elapsed() })
}

/// Where records come from.
enum Origin {
    /// A file, standard input or a generator.
    Reading(Box<Reading>),
    /// A live stream.
    Following(Box<Following>),
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
    fn send_all(&mut self, origin: Origin) -> Result<(), ProduceError> {
        let mut input = match origin {
            Origin::Reading(reading) => Input::start(*reading, || {})?,
            Origin::Following(stream) => {
                Input::follow(move |sender, closed| stream.feed(sender, closed))?
            }
        };
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

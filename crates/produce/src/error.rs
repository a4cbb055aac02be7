//! Why producing ended before its time, and the exit code that says whose turn it is.

use crate::Foreign;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use streams::StreamError;

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
    /// A file that cannot hold tweets, by its first bytes.
    #[error("{path} {foreign}; nothing was sent")]
    Foreign {
        /// The file.
        path: String,
        /// What it is.
        foreign: Foreign,
    },
    /// The live stream ended.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The file of `--resume` is of another input.
    #[error("{file} belongs to {known}; check --resume and --stream")]
    OtherStream {
        /// The file.
        file: String,
        /// What it belongs to.
        known: String,
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
            Self::Stream(error) => error.exit_code(),
            Self::Open { .. }
            | Self::OtherStream { .. }
            | Self::Rate(_)
            | Self::UnknownSetting { .. }
            | Self::SettingValue { .. }
            | Self::FixedSetting { .. }
            | Self::Client { .. }
            | Self::Brokers
            | Self::Changed { .. }
            | Self::ResumeFile { .. }
            | Self::OtherTopic { .. }
            | Self::Foreign { .. }
            | Self::TopicRefused { .. } => 2,
            Self::Read { .. }
            | Self::Broken { .. }
            | Self::Forgotten { .. }
            | Self::Transaction { .. }
            | Self::Unreachable { .. }
            | Self::TopicFailed { .. }
            | Self::Delivery { .. }
            | Self::System { .. } => 1,
        }
    }
}

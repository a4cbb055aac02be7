//! Owns `--resume`: how far an input was sent, so that a later run goes on exactly there.
//!
//! Records go in transactions, and each transaction also commits the position that it reaches, as
//! the offset of a consumer group that nobody consumes with. So the brokers hold records and
//! position together or neither; whatever a killed run left half done is aborted before the next
//! one asks for the position, and nothing of it can arrive later. The file of `--resume` only names
//! the group.
//!
//! Invariant: where that file exists, the brokers have a position. Not finding one is an error,
//! never a start from the beginning. It does not read the input. See
//! `docs/adr/0009-produce-resumes.md`.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};

use super::client::{self, DeliveryContext};
use super::input::InputPosition;
use super::{ProduceConfig, ProduceError};

/// How long the brokers may take for one step; on a new cluster they make their own topics first.
const STEP_TIME: Duration = Duration::from_mins(1);
/// A transaction is committed when it is so old. Readers see its records only then.
const COMMIT_TIME: Duration = Duration::from_secs(1);

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct ResumeNote {
    topic: String,
    /// Names the group and the producer; no other transfer has it.
    transfer: String,
    /// The live stream that it is of; none for other inputs.
    #[serde(default)]
    stream: Option<String>,
}

/// What was committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reached {
    /// The last record that was sent, in the input.
    pub(super) position: InputPosition,
    /// Records that were sent.
    pub(super) sent: u64,
}

/// A transfer that is not connected yet.
pub(super) struct Named {
    file: PathBuf,
    note: ResumeNote,
    is_new: bool,
}

impl Named {
    /// Reads the file, or thinks of a new name.
    pub(super) fn read(
        file: &Path,
        topic: &str,
        stream: Option<&str>,
    ) -> Result<Self, ProduceError> {
        let stream = stream.map(str::to_owned);
        let failed = |source| ProduceError::ResumeFile { path: file.display().to_string(), source };
        let (note, is_new) = match std::fs::read(file) {
            Ok(text) => {
                (serde_json::from_slice(&text).map_err(|error| failed(error.into()))?, false)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let random = RandomState::new().hash_one(std::process::id());
                let now = jiff::Timestamp::now().as_millisecond();
                let transfer = format!("{now:x}-{random:016x}");
                (ResumeNote { topic: topic.to_owned(), transfer, stream: stream.clone() }, true)
            }
            Err(error) => return Err(failed(error)),
        };
        if note.topic != topic {
            let file = file.display().to_string();
            return Err(ProduceError::OtherTopic { file, topic: note.topic });
        }
        if note.stream != stream {
            let known = note.stream.map_or("a file or synthetic tweets".to_owned(), |name| {
                format!("the stream {name}")
            });
            return Err(ProduceError::OtherStream { file: file.display().to_string(), known });
        }
        Ok(Self { file: file.to_owned(), note, is_new })
    }

    /// Of the group and of the producer.
    pub(super) fn id(&self) -> String {
        format!("tweetflow-produce-{}", self.note.transfer)
    }

    /// Ends what an earlier run left, and finds what it committed.
    pub(super) fn start(
        self,
        producer: &BaseProducer<DeliveryContext>,
        args: &ProduceConfig,
    ) -> Result<(Transfer, Reached), ProduceError> {
        step(producer, "taking the transfer over", || producer.init_transactions(STEP_TIME))?;
        let mut transfer =
            Transfer { group: group(args, &self.id())?, topic: args.topic.clone(), begun: None };
        if self.is_new {
            // The position first, then the file: nobody finds the file without the position.
            transfer.begin(producer)?;
            transfer.commit(producer, Reached::default())?;
            self.write().map_err(|source| {
                let path = self.file.display().to_string();
                ProduceError::ResumeFile { path, source }
            })?;
            return Ok((transfer, Reached::default()));
        }
        let reached = transfer.reached(producer)?.ok_or_else(|| {
            let file = self.file.display().to_string();
            ProduceError::Forgotten { file, topic: args.topic.clone() }
        })?;
        Ok((transfer, reached))
    }

    /// The file is there as a whole or not at all, also after a power cut.
    fn write(&self) -> std::io::Result<()> {
        let mut name = self.file.as_os_str().to_owned();
        name.push(".new");
        let new = PathBuf::from(name);
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(&self.note)?)?;
        file.sync_all()?;
        std::fs::rename(&new, &self.file)?;
        match self.file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
            _ => File::open(".")?.sync_all(),
        }
    }
}

/// A running transfer.
pub(super) struct Transfer {
    /// Only holds the group's name for the producer, and asks for its offset; it consumes nothing.
    group: BaseConsumer,
    topic: String,
    /// When the open transaction was begun.
    begun: Option<Instant>,
}

impl Transfer {
    /// There is a transaction after this.
    pub(super) fn begin(
        &mut self,
        producer: &BaseProducer<DeliveryContext>,
    ) -> Result<(), ProduceError> {
        if self.begun.is_none() {
            producer
                .begin_transaction()
                .map_err(|error| failed("beginning a transaction", error))?;
            self.begun = Some(Instant::now());
        }
        Ok(())
    }

    /// Whether it is time to commit.
    pub(super) fn is_due(&self) -> bool {
        self.begun.is_some_and(|begun| begun.elapsed() >= COMMIT_TIME)
    }

    pub(super) fn is_open(&self) -> bool {
        self.begun.is_some()
    }

    /// Commits the records sent, all of which are delivered, and what they reach.
    pub(super) fn commit(
        &mut self,
        producer: &BaseProducer<DeliveryContext>,
        reached: Reached,
    ) -> Result<(), ProduceError> {
        let doing = "committing records";
        let group =
            self.group.group_metadata().ok_or_else(|| failed(doing, KafkaError::Canceled))?;
        let list = offsets(&self.topic, reached).map_err(|error| failed(doing, error))?;
        step(producer, doing, || producer.send_offsets_to_transaction(&list, &group, STEP_TIME))?;
        step(producer, doing, || producer.commit_transaction(STEP_TIME))?;
        self.begun = None;
        Ok(())
    }

    /// Takes the records sent since the last commit back, as well as it goes: if this fails, the
    /// next run does it, or the brokers when the transaction is a minute old.
    pub(super) fn abort(&mut self, producer: &BaseProducer<DeliveryContext>) {
        if self.begun.take().is_some()
            && let Err(error) = producer.abort_transaction(Duration::from_secs(5))
        {
            tracing::debug!(%error, "not aborted");
        }
    }

    /// What was committed last, if the brokers know.
    fn reached(
        &self,
        producer: &BaseProducer<DeliveryContext>,
    ) -> Result<Option<Reached>, ProduceError> {
        let doing = "asking how far an earlier run came";
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, 0);
        let mut found = None;
        step(producer, doing, || {
            found = Some(self.group.committed_offsets(list.clone(), STEP_TIME)?);
            Ok(())
        })?;
        let elements = found.as_ref().map(TopicPartitionList::elements).unwrap_or_default();
        let Some(element) = elements.first() else { return Ok(None) };
        element.error().map_err(|error| failed(doing, error))?;
        let Offset::Offset(records) = element.offset() else { return Ok(None) };
        Ok(parse(records, element.metadata()))
    }
}

/// The position as an offset: the records before it, and beside it what else there is to know.
fn offsets(topic: &str, reached: Reached) -> KafkaResult<TopicPartitionList> {
    let Reached { position: InputPosition { records, hash, place }, sent } = reached;
    let mut list = TopicPartitionList::new();
    let offset = Offset::Offset(i64::try_from(records).unwrap_or(i64::MAX));
    list.add_partition(topic, 0).set_offset(offset)?;
    if let Some(mut element) = list.find_partition(topic, 0) {
        let place = place.map(|place| format!(" place={place}")).unwrap_or_default();
        element.set_metadata(format!("sent={sent} hash={hash:016x}{place}"));
    }
    Ok(list)
}

fn parse(records: i64, metadata: &str) -> Option<Reached> {
    let (sent, rest) = metadata.strip_prefix("sent=")?.split_once(" hash=")?;
    let (hash, place) = match rest.split_once(" place=") {
        Some((hash, place)) => (hash, Some(place.parse().ok()?)),
        None => (rest, None),
    };
    // `parse` would take a sign as well.
    let is_plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_plain(sent) || !is_plain(hash) {
        return None;
    }
    let hash = u64::from_str_radix(hash, 16).ok()?;
    let position = InputPosition { records: u64::try_from(records).ok()?, hash, place };
    Some(Reached { position, sent: sent.parse().ok()? })
}

fn group(args: &ProduceConfig, id: &str) -> Result<BaseConsumer, ProduceError> {
    let mut settings = ClientConfig::new();
    // It would only say which of the producer's settings are not for consumers.
    settings.set_log_level(RDKafkaLogLevel::Emerg);
    for (name, value) in &args.kafka {
        settings.set(name, value);
    }
    settings.set("bootstrap.servers", &args.brokers).set("group.id", id);
    settings.set("enable.auto.commit", "false").set("ssl.ca.location", "probe");
    settings.create().map_err(|error| client::refused_settings(args, &error))
}

/// Tries until it works, or cannot, or time is up.
fn step(
    producer: &BaseProducer<DeliveryContext>,
    doing: &'static str,
    mut attempt: impl FnMut() -> KafkaResult<()>,
) -> Result<(), ProduceError> {
    let deadline = Instant::now() + STEP_TIME;
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(error) if is_transient(&error) && Instant::now() < deadline => {
                tracing::debug!(doing, %error, "once more");
                producer.poll(Duration::from_millis(100));
            }
            Err(error) => return Err(failed(doing, error)),
        }
    }
}

fn is_transient(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    match error {
        KafkaError::Transaction(error) => error.is_retriable(),
        // Of the question for the offset: the group's broker is not known, or not ready yet.
        _ => matches!(
            error.rdkafka_error_code(),
            Some(
                Code::CoordinatorLoadInProgress
                    | Code::CoordinatorNotAvailable
                    | Code::NotCoordinator
                    | Code::WaitingForCoordinator
                    | Code::BrokerTransportFailure
                    | Code::OperationTimedOut
                    | Code::RequestTimedOut
            )
        ),
    }
}

fn failed(doing: &'static str, source: KafkaError) -> ProduceError {
    ProduceError::Transaction { doing, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_comes_back_as_it_was() {
        let streamed = streams::Position {
            time_ms: 1_779_719_009_132,
            cursor: Some(7.into()),
            ..Default::default()
        };
        for place in [None, Some(streamed)] {
            let position = InputPosition { records: 12_345, hash: u64::MAX - 7, place };
            let reached = Reached { position, sent: 12_000 };
            let list = offsets("t", reached).unwrap();
            let element = list.find_partition("t", 0).unwrap();
            assert_eq!(element.offset(), Offset::Offset(12_345));
            assert_eq!(parse(12_345, element.metadata()), Some(reached));
        }
        for other in [
            "",
            "x",
            "sent=1",
            "sent=1 hash=x",
            "sent=-1 hash=1",
            "sent=+1 hash=1",
            "sent=1 hash=+1",
            "sent=1 hash=1 place=",
            "sent=1 hash=1 place=1/2/3",
        ] {
            assert_eq!(parse(1, other), None, "{other}");
        }
    }

    #[test]
    fn the_file_names_one_transfer_to_one_topic() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("resume");
        let (first, other) =
            (Named::read(&file, "a", None).unwrap(), Named::read(&file, "a", None).unwrap());
        assert!(first.is_new && first.id() != other.id());
        first.write().unwrap();
        let again = Named::read(&file, "a", None).unwrap();
        assert!(!again.is_new && again.id() == first.id());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let error = Named::read(&file, "b", None).err().unwrap();
        assert!(error.to_string().contains("\"a\"") && error.exit_code() == 2, "{error}");
        let other_stream = Named::read(&file, "a", Some("x")).err().unwrap();
        assert!(other_stream.to_string().contains("synthetic"), "{other_stream}");
        assert_eq!(other_stream.exit_code(), 2);
        std::fs::write(&file, "no note").unwrap();
        assert_eq!(Named::read(&file, "a", None).err().map(|fault| fault.exit_code()), Some(2));
    }
}

//! Where records come from: the topic as a whole, and one worker's share of it.
//!
//! A [`Topic`] is looked at once, by process 0, before any worker reads: which partitions exist,
//! and from which offset each is read on. A [`Source`] belongs to one worker and reads the
//! partitions that were assigned to it, each from an explicit offset. Neither knows what a tweet
//! is; no source remembers offsets: they are rows.

pub mod files;
pub mod foreign;
pub mod kafka;
mod poll_time;
mod throttled;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use types::fault::Fault;
use types::offsets::{Assignment, PartitionOffsets, PolledUpTo};
use types::record::{Record, StoredRecord};

pub use crate::foreign::Foreign;
pub use crate::throttled::Throttled;

/// Partitions that were added to a topic are to be read within 30 s, and a topic that was recreated
/// is to be noticed while the anchors still are the old one's.
const DISCOVERY: Duration = Duration::from_secs(10);

/// A fault of a source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A setting that the client library does not know.
    #[error(
        "--kafka {name}: librdkafka has no such setting; correct the name (CONFIGURATION.md of \
         librdkafka lists them)"
    )]
    UnknownSetting {
        /// Its name.
        name: String,
    },
    /// A setting that the client library knows, but not with this value.
    #[error("--kafka {name}: librdkafka refuses its value; correct it")]
    SettingValue {
        /// Its name.
        name: String,
    },
    /// The settings do not go together.
    #[error("the Kafka client does not start with these settings; change --kafka ({reason})")]
    Settings {
        /// The library's words, without values.
        reason: String,
    },
    /// The brokers' addresses are none.
    #[error(
        "--brokers is HOST:PORT with commas between; user and password are settings of --kafka: \
         sasl.username, sasl.password"
    )]
    Brokers,
    /// A setting that exactly-once depends on.
    #[error("--kafka {name}=… cannot be set: counts would no longer be exact; leave it out")]
    Protected {
        /// The setting's name.
        name: String,
    },
    /// No broker answered.
    #[error(
        "no Kafka broker answers at {brokers}; is it running, and is --brokers right? ({reason})"
    )]
    Unreachable {
        /// The addresses tried.
        brokers: String,
        /// The library's words on the latest trouble.
        reason: String,
    },
    /// The topic does not exist.
    #[error("topic {topic:?} does not exist at {brokers}; create it, or correct --topic")]
    NoTopic {
        /// Its name.
        topic: String,
        /// The addresses asked.
        brokers: String,
    },
    /// The topic is gone since reading began.
    #[error(
        "topic {topic:?} at {brokers} was deleted while it was read; the tables hold what was counted \
         of it; a topic of that name that is created again needs empty tables (another --table-prefix \
         or database)"
    )]
    Deleted {
        /// Its name.
        topic: String,
        /// The addresses asked.
        brokers: String,
    },
    /// The account may not read the topic.
    #[error("the account has no right to read topic {topic:?}; it needs READ and DESCRIBE on it")]
    NoRight {
        /// Its name.
        topic: String,
    },
    /// The topic is not the one that was read before.
    #[error(
        "partition {partition} of {topic:?} is not the one that was read before: {reason}; if the \
         topic was recreated, count it into empty tables (another --table-prefix or database)"
    )]
    Changed {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// How that was noticed.
        reason: String,
    },
    /// A file, or the folder, cannot be read.
    #[error("cannot read {}", .path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not the one that was read before.
    #[error(
        "{file} is not the file that was read before: {reason}; put the old one back, or start with \
         an empty database"
    )]
    FileChanged {
        /// Its path.
        file: String,
        /// How that was noticed.
        reason: String,
    },
    /// A file that was read has another name now.
    #[error(
        "{file} was read before as {before}: under a new name its lines would count twice; give it \
         its old name back, or start with an empty database"
    )]
    Renamed {
        /// Its name in the folder.
        file: String,
        /// The name that it had.
        before: String,
    },
    /// A file that the ledger must read again cannot be read.
    #[error(
        "the ledger must read {file} again, to know which tweets can still be deleted, and cannot; \
         --forget-ledger goes on with an empty ledger: deletes and duplicates of tweets that were \
         counted before have no effect then"
    )]
    Unremembered {
        /// Its name in the folder.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The folder holds nothing to read.
    #[error(
        "{} holds no *.ndjson, *.jsonl or *.json file (they may be packed: .gz, .zst){}; is --files \
         right?", .folder.display(), say_packed(*.packed_otherwise)
    )]
    NoFiles {
        /// The folder.
        folder: PathBuf,
        /// Files that are packed in a way that is not read.
        packed_otherwise: u64,
    },
    /// A file that holds something else.
    #[error("{} {foreign}", shown(.path))]
    Foreign {
        /// Its path.
        path: PathBuf,
        /// What it is.
        foreign: Foreign,
    },
    /// The numbers of two files' partitions are the same.
    #[error(
        "{} and {} would be the same partition; move or rename one of them",
        .first.display(), .second.display()
    )]
    SameNumber {
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// The next record to read is gone.
    #[error(
        "partition {partition} of {topic:?} goes on at offset {next}, but its oldest record is \
         {low}: records were removed before they were read; --accept-gap goes on without them"
    )]
    Gap {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// The offset to read next.
        next: u64,
        /// The lowest offset that is left.
        low: u64,
    },
    /// The records that the ledger must remember are gone.
    #[error(
        "the ledger must read {place} of {topic:?} again from offset {replay_from} on, to know which \
         tweets can still be deleted, but there is nothing before offset {low}; \
         --forget-ledger goes on with an empty ledger: deletes and duplicates of tweets that were \
         counted before have no effect then"
    )]
    Forgotten {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// What it is called.
        place: String,
        /// Where to read again from.
        replay_from: u64,
        /// The lowest offset that is left.
        low: u64,
    },
    /// Compaction may remove what the ledger must remember.
    #[error(
        "topic {topic:?} is compacted after {lag_ms} ms (min.compaction.lag.ms), but the ledger must \
         read the last {span_ms} ms again at each start: set min.compaction.lag.ms to {span_ms} and the \
         longest time for which the job may stand still, or do without: --ledger 0"
    )]
    Compacted {
        /// The topic.
        topic: String,
        /// What the topic keeps for sure.
        lag_ms: u64,
        /// What the ledger needs.
        span_ms: u64,
    },
    /// Bad records are the rule, not the exception.
    #[error(
        "{excess} more undecodable than decodable records in topic {topic:?} on one worker; last: \
         {detail}. Has the record format changed? The records stand in dead_letters; \
         --max-dead-letters sets the bound, 0 takes it away"
    )]
    Refused {
        /// The topic.
        topic: String,
        /// How many more than the others.
        excess: u64,
        /// What was found in the last one.
        detail: String,
    },
    /// Kafka does not keep the offsets for its own tools.
    #[error(
        "Kafka does not store the offsets of group {group:?}, which only its own tools read; give the \
         account the right READ on that group, or name the job otherwise (--job) if others use it"
    )]
    Group {
        /// The group's name.
        group: String,
        /// The library's words.
        source: rdkafka::error::KafkaError,
    },
    /// Reading failed in a way that does not heal by itself.
    #[error("reading {what} failed")]
    Read {
        /// Topic, or topic and partition.
        what: String,
        /// The library's words.
        source: rdkafka::error::KafkaError,
    },
}

impl SourceError {
    /// Whether the topic is another one than the one that was read before.
    pub fn is_changed(&self) -> bool {
        use SourceError::{Changed, FileChanged, Renamed};
        matches!(self, Changed { .. } | FileChanged { .. } | Renamed { .. })
    }
}

impl Fault for SourceError {
    fn is_config_error(&self) -> bool {
        use SourceError::{
            Brokers, Compacted, File, Foreign, NoFiles, NoRight, NoTopic, Protected, SameNumber,
            SettingValue, Settings, UnknownSetting,
        };
        matches!(
            self,
            UnknownSetting { .. }
                | SettingValue { .. }
                | Settings { .. }
                | Brokers
                | Protected { .. }
                | NoTopic { .. }
                | NoRight { .. }
                | File { .. }
                | NoFiles { .. }
                | Compacted { .. }
                | Foreign { .. }
                | SameNumber { .. }
        )
    }
}

/// What is said of a folder's files that are packed in a way that is not read.
fn say_packed(files: u64) -> String {
    match files {
        0 => String::new(),
        1 => ", but 1 that is packed in a way that is not read (bz2, xz, zip …): unpack it"
            .to_owned(),
        files => format!(
            ", but {files} that are packed in a way that is not read (bz2, xz, zip …): unpack them"
        ),
    }
}

/// A path in one line.
fn shown(path: &Path) -> String {
    path.display().to_string().escape_debug().to_string()
}

/// What a poll hands out.
#[derive(Clone, Copy, Debug)]
pub enum Polled<'a> {
    /// A record; per partition in the order of offsets.
    Record(Record<'a>),
    /// After all records of the poll, once for each partition that had any.
    Reached(PolledUpTo),
    /// Everything in this partition below `next` was handed out, and there is no more, or no more
    /// is to be read. The last offsets below `next` may hold no record. It comes again after
    /// further records.
    End {
        /// The partition.
        partition: u32,
        /// The offset to read next.
        next: u64,
    },
}

/// A hash that is the same in every version of the program, for "is this the same record?".
pub fn fingerprint(key: Option<&[u8]>, payload: Option<&[u8]>) -> u64 {
    let seed = xxhash_rust::xxh3::xxh3_64(key.unwrap_or_default());
    xxhash_rust::xxh3::xxh3_64_with_seed(payload.unwrap_or_default(), seed)
}

/// Wakes a reader; called from any thread when records come.
pub type Wake = Box<dyn Fn() + Send + Sync>;

/// A topic, as process 0 looks at it before the workers start. One call hands out many records, so
/// that it may be a call of an object costs nothing.
pub trait Topic: Send + Sync {
    /// Looks whether the topic can be read at all, before anything is written anywhere.
    fn check(&self) -> Result<(), SourceError>;

    /// Whether a start can read again what was said of tweets in the last `span_ms`.
    fn keeps(&self, span_ms: u64) -> Result<(), SourceError> {
        let _ = span_ms;
        Ok(())
    }

    /// The partitions and where each is read on, given what is stored of them; checks that they
    /// are still the partitions that were read.
    fn plan(&self, stored: &[PartitionOffsets]) -> Result<Vec<Assignment>, SourceError>;

    /// A reader for the calling thread.
    fn open(&self, wake: Wake) -> Result<Box<dyn Source>, SourceError>;

    /// Looks at the topic as a whole while the workers read.
    fn watch(&self) -> Result<Box<dyn Watch>, SourceError>;

    /// Whether an offset is a place in bytes, not a number of records.
    fn counts_bytes(&self) -> bool {
        false
    }

    /// How many partitions could not be read to their end.
    fn set_aside(&self) -> u64 {
        0
    }
}

/// A look at the whole topic beside the workers.
pub trait Watch: Send {
    /// How often to look for partitions that were added, and whether the topic still is the same.
    fn interval(&self) -> Duration {
        DISCOVERY
    }

    /// Partitions that are not among `known`, each from its first record on; none where reading
    /// ends at the end seen at the start.
    fn added(&mut self, known: &[u32]) -> Result<Vec<Assignment>, SourceError>;

    /// Whether the partition still is the one that was read, as far as its anchor tells: else
    /// [`SourceError::Changed`].
    fn compare(&mut self, stored: &PartitionOffsets) -> Result<(), SourceError>;

    /// Reads one record again; `None` if the topic does not hold it any more.
    fn record(&mut self, partition: u32, offset: u64) -> Result<Option<StoredRecord>, SourceError>;

    /// Where each of these partitions ends now, where that is known.
    fn ends(&mut self, _partitions: &[u32]) -> Result<BTreeMap<u32, u64>, SourceError> {
        Ok(BTreeMap::new())
    }

    /// Tells the topic's own tools, which show the lag, the offset to read next of each partition.
    /// Waits for the answer no longer than `wait`; says whether it is there, and is to be called
    /// again if not.
    fn publish(&mut self, next: &BTreeMap<u32, u64>, wait: Duration) -> Result<bool, SourceError>;
}

/// One worker's share of a topic.
pub trait Source {
    /// Adds a partition; in place of what it was told of it before, if it was finished.
    fn assign(&mut self, assignment: &Assignment) -> Result<(), SourceError>;

    /// Hands out at most `limit` records that are there, without waiting. Returns how many.
    ///
    /// Records that were handed out are committed, also when an error follows: it comes only after
    /// [`Polled::Reached`] of each partition that they are of.
    fn poll(
        &mut self,
        limit: usize,
        visit: &mut dyn FnMut(Polled<'_>),
    ) -> Result<usize, SourceError>;

    /// From now on, of the partitions that it has, it reads all but these.
    fn pause(&mut self, partitions: &BTreeSet<u32>) -> Result<(), SourceError>;

    /// Whether every assigned partition has reached its `until`.
    fn is_finished(&self) -> bool;
}

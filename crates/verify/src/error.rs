//! Why `verify` has no answer, and with which exit code it says so.

use sink::SinkError;
use source::SourceError;
use types::Text;
use types::dead_letter::OverflowRange;
use types::fault::Fault;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The topic's side.
    #[error(transparent)]
    Source(SourceError),
    /// The database's side.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Retention has removed what the tables count.
    #[error(
        "cannot be checked: partition {partition} is counted from offset {start}, but its oldest \
         record is {low}; --baseline FILE carries a check over what a topic forgets"
    )]
    Gone {
        /// The partition.
        partition: u32,
        /// The first offset to check.
        start: u64,
        /// The oldest offset that is left.
        low: u64,
    },
    /// The topic has fewer partitions than were counted.
    #[error("cannot be checked: partition {partition} does not exist any more")]
    NoPartition {
        /// The partition.
        partition: u32,
    },
    /// A file that was counted was moved away.
    #[error("cannot be checked: {file} was counted and is not there any more")]
    NoFile {
        /// Its name in the folder.
        file: Text,
    },
    /// The topic is another one than the one that was counted.
    #[error("cannot be checked: {0}")]
    Changed(SourceError),
    /// A dead letter of the baseline was counted since, and its record is gone.
    #[error(
        "cannot be checked: the record at offset {offset} of partition {partition} was counted \
         since the baseline, and the topic does not hold it any more"
    )]
    RetriedGone {
        /// Its partition.
        partition: u32,
        /// Its offset.
        offset: u64,
    },
    /// Which records of a range were refused is stored nowhere.
    #[error(
        "cannot be checked: of the {} records that another version of this program has refused in \
         partition {partition} (dead_letter_overflow) this one reads some; `run --rebuild` counts \
         them", .range.records
    )]
    Overflow {
        /// The partition.
        partition: u32,
        /// Where they are, and how many.
        range: OverflowRange,
    },
    /// Compaction may explain every difference.
    #[error(
        "cannot be told: the topic is compacted, records that were counted may be gone from it \
         ({differences} differences)"
    )]
    Compacted {
        /// How many there are.
        differences: u64,
    },
    /// Late acts without a row may explain every difference.
    #[error(
        "cannot be told: {late} acts that came too late have no row in late_acts (an earlier \
         version counted them, or there were too many), or the ledger was forgotten meanwhile; \
         which of the {differences} differences follow from that is unknown. `run --rebuild` \
         counts again and records them"
    )]
    NotRecorded {
        /// How many, by what `totals` says.
        late: u64,
        /// How many differences there are.
        differences: u64,
    },
    /// The file of `--baseline`.
    #[error("--baseline cannot be used: {reason}; move it away to begin a new one")]
    Baseline {
        /// What is wrong.
        reason: String,
    },
    /// No room for temporary files, or the like.
    #[error("a temporary file or standard output failed; is there room? TMPDIR says where")]
    Temporary(#[source] std::io::Error),
    /// The operating system refused something.
    #[error("{doing} failed")]
    System {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Stopped by a signal.
    #[error("stopped before the end, nothing is known")]
    Stopped,
}

impl From<SourceError> for VerifyError {
    /// Of another topic every difference would follow.
    fn from(error: SourceError) -> Self {
        if error.is_changed() { Self::Changed(error) } else { Self::Source(error) }
    }
}

impl VerifyError {
    /// 3 where nothing can be said of the tables, 2 for arguments that cannot work, else 1.
    pub fn exit_code(&self) -> u8 {
        use VerifyError::{Baseline, Changed, Compacted, Gone, NoFile, NoPartition, Overflow};
        use VerifyError::{NotRecorded, RetriedGone};
        use VerifyError::{Sink, Source};
        match self {
            Gone { .. }
            | NoPartition { .. }
            | NoFile { .. }
            | Changed(_)
            | RetriedGone { .. }
            | Overflow { .. }
            | Compacted { .. }
            | NotRecorded { .. }
            | Sink(SinkError::NoJob { .. } | SinkError::NoFile { .. }) => 3,
            Sink(error) if error.is_config_error() => 2,
            Source(error) if error.is_config_error() => 2,
            Baseline { .. } => 2,
            _ => 1,
        }
    }
}

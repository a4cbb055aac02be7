//! The typed configuration of a run. `commands` builds it and has checked every value by then.

use dataflows::catalogue::Tables;
use decode;
use mesh::Cluster;
use sink::{Identity, Prefix};
use std::time::Duration;
use types::dead_letter::Quota;

/// Whether there is a ledger, and how long it remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerConfig {
    /// How long after the newest tweet deletes and duplicates are still recognised; zero: no
    /// ledger.
    pub span: Duration,
    /// Starts with an empty one.
    pub forget: bool,
}

/// How the commit batcher spaces commits.
#[derive(Clone, Copy, Debug)]
pub struct CommitPace {
    /// At least so long from the start of one commit to the start of the next.
    pub interval: Duration,
    /// Without changes, a commit that only moves `as_of` after so long.
    pub heartbeat: Duration,
}

/// What one worker may have read and not yet committed; it is also a bound of the largest
/// transaction.
#[derive(Clone, Copy, Debug)]
pub struct Credit {
    /// In records.
    pub records: u64,
    /// In bytes of their values.
    pub bytes: u64,
}

/// Everything that the pipeline needs to know; the topic and the sink are given beside it.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// Number of workers, at least 1.
    pub workers: usize,
    /// The processes, where there are several; `workers` is the number of each.
    pub cluster: Option<Cluster>,
    /// The topic's name, as the tables keep it.
    pub topic: String,
    /// The job's name: its row in `tweetflow_commit`.
    pub job: String,
    /// What stands before each table's name. Where the rows are, not what they mean: no part of
    /// the fingerprint.
    pub table_prefix: Prefix,
    /// Where the first start began to read, as text; part of the fingerprint.
    pub from: String,
    /// Which tables there are; part of the fingerprint.
    pub tables: Tables,
    /// What decides about a record beside its bytes.
    pub decode: decode::DecodeSettings,
    /// What the operator said about the tables.
    pub flows: types::TableSettings,
    /// Deletes and duplicates. Part of no fingerprint: exactness does not depend on it.
    pub ledger: LedgerConfig,
    /// At least so long from one epoch to the next.
    pub epoch: Duration,
    /// How commits are spaced.
    pub pace: CommitPace,
    /// What one worker may have read and not yet committed.
    pub credit: Credit,
    /// Records that are released to decoding in a second, by all workers; none = all that are
    /// there.
    pub replay_rate: Option<u32>,
    /// How many more records than the others a worker may meet that cannot be counted; then it
    /// stops, if most of the last ones could not. 0 = any number.
    pub max_dead_letters: u64,
    /// How much of its dead letters is kept, for each partition.
    pub dead_letters: Quota,
    /// How long a commit is tried again before the process gives up.
    pub retry_for: Duration,
}

impl RunConfig {
    /// The defaults, for a topic.
    pub fn new(topic: &str) -> Self {
        RunConfig {
            workers: 2,
            cluster: None,
            topic: topic.to_owned(),
            job: "tweetflow".to_owned(),
            table_prefix: Prefix::default(),
            from: "earliest".to_owned(),
            tables: Tables::default(),
            decode: decode::DecodeSettings::default(),
            flows: types::TableSettings::default(),
            ledger: LedgerConfig { span: Duration::from_mins(15), forget: false },
            // A tweet is visible in 9 ms at 5,000 a second, for 0.27 cores; with 5 ms it was 7, for
            // 0.34.
            epoch: Duration::from_millis(8),
            pace: CommitPace { interval: Duration::ZERO, heartbeat: Duration::from_secs(10) },
            credit: Credit { records: 200_000, bytes: 1 << 30 },
            replay_rate: None,
            max_dead_letters: 1_000,
            dead_letters: Quota { rows: 10_000, bytes: 8 << 20 },
            retry_for: Duration::from_mins(15),
        }
    }

    /// Whether this process has the database: the only one, or the first of a cluster.
    pub fn has_coordinator(&self) -> bool {
        self.cluster.as_ref().is_none_or(|cluster| cluster.process == 0)
    }

    /// What all processes of a cluster must have the same, as words.
    pub fn agreed(&self) -> String {
        let Quota { rows, bytes } = self.dead_letters;
        format!(
            "{} job={} prefix={} dead_letter_rows={rows} dead_letter_bytes={bytes} \
             max_dead_letters={} ledger_ms={}",
            self.fingerprint(&self.tables.all()),
            self.job,
            self.table_prefix,
            self.max_dead_letters,
            self.ledger.span.as_millis()
        )
    }

    /// The part of the fingerprint that says what is read from where.
    pub fn location(&self) -> String {
        format!(" topic={} from={} ", self.topic, self.from)
    }

    /// The job and its tables, as a sink knows them.
    pub fn identity(&self) -> Identity {
        let tables = self.tables.all();
        let fingerprint = self.fingerprint(&tables);
        let (job, prefix) = (self.job.clone(), self.table_prefix.clone());
        Identity { job, fingerprint, tables, known: Tables::every().all(), prefix }
    }

    /// What the rows mean, readable: a start with another one must not go on from them.
    fn fingerprint(&self, tables: &[types::Table]) -> String {
        use std::fmt::Write;
        let mut text = format!(
            "decoder={}{}require_location={} names={} retweets={} minutes_span={} trend_minutes={}",
            decode::VERSION,
            self.location(),
            self.decode.require_location,
            self.decode.names,
            self.decode.retweets,
            self.flows.minutes_span,
            self.flows.trend_minutes
        );
        for table in tables {
            let definition = xxhash_rust::xxh3::xxh3_64(table.definition().as_bytes());
            let _ = write!(text, " {}={:08x}", table.name, definition >> 32);
        }
        text
    }
}

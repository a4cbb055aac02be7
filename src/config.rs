//! The typed configuration of a run, as plain data. `commands` builds it from the arguments.
//!
//! Invariant: it knows nothing of what it configures; its types are those of [`types`] and of the
//! standard library. What a run is by its configuration (its tables, its fingerprint) is worked out
//! in `pipeline::identity`.

use std::time::Duration;
use types::dead_letter::Quota;
use types::prefix::Prefix;
use types::settings::{Cluster, DecodeSettings, TableChoice, TableSettings};

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
    pub tables: TableChoice,
    /// What decides about a record beside its bytes.
    pub decode: DecodeSettings,
    /// What the operator said about the tables.
    pub flows: TableSettings,
    /// Deletes and duplicates. Part of no fingerprint: exactness does not depend on it.
    pub ledger: LedgerConfig,
    /// At least so long from one epoch to the next.
    pub epoch: Duration,
    /// How commits are spaced.
    pub pace: CommitPace,
    /// What one worker may have read and not yet committed.
    pub credit: Credit,
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
            tables: TableChoice::default(),
            decode: DecodeSettings::default(),
            flows: TableSettings::default(),
            ledger: LedgerConfig { span: Duration::from_mins(15), forget: false },
            // A tweet is visible in 9 ms at 5,000 a second, for 0.27 cores; with 5 ms it was 7, for
            // 0.34.
            epoch: Duration::from_millis(8),
            pace: CommitPace { interval: Duration::ZERO, heartbeat: Duration::from_secs(10) },
            credit: Credit { records: 200_000, bytes: 1 << 30 },
            max_dead_letters: 1_000,
            dead_letters: Quota { rows: 10_000, bytes: 8 << 20 },
            retry_for: Duration::from_mins(15),
        }
    }

    /// Whether this process has the database: the only one, or the first of a cluster.
    pub fn has_coordinator(&self) -> bool {
        self.cluster.as_ref().is_none_or(|cluster| cluster.process == 0)
    }

    /// Whether the values fit together, whatever the arguments' own bounds are.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let is_valid = |is_valid, error| if is_valid { Ok(()) } else { Err(error) };
        is_valid(self.workers > 0, ConfigError::NoWorker)?;
        is_valid(self.credit.records > 0 && self.credit.bytes > 0, ConfigError::NoCredit)?;
        let TableSettings { minutes_span, trend_minutes } = self.flows;
        is_valid(minutes_span > 0 && trend_minutes > 0, ConfigError::NoMinutes)?;
        match &self.cluster {
            Some(cluster) if cluster.process >= cluster.processes() => {
                let (process, processes) = (cluster.process, cluster.processes());
                Err(ConfigError::Process { process, processes })
            }
            _ => Ok(()),
        }
    }
}

/// Values that no run can work with.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ConfigError {
    #[error("a run without a worker reads nothing; set --workers to 1 or more")]
    NoWorker,
    #[error("a worker that may hold no record reads nothing; set --max-records to 1 or more")]
    NoCredit,
    #[error("--minutes-span and --trend-minutes are 1 or more")]
    NoMinutes,
    #[error("--process {process} of {processes} processes: they are numbered from 0")]
    Process { process: usize, processes: usize },
}

#[cfg(test)]
mod tests {
    use super::{Cluster, Duration, RunConfig};

    #[test]
    fn values_that_no_run_can_work_with_are_refused() {
        type Change = fn(&mut RunConfig);
        let refused: [(Change, &str); 5] = [
            (|config| config.workers = 0, "--workers"),
            (|config| config.credit.records = 0, "--max-records"),
            (|config| config.flows.minutes_span = 0, "--minutes-span"),
            (|config| config.flows.trend_minutes = 0, "--trend-minutes"),
            (
                |config| {
                    let (hosts, patience) = (vec!["a:1".into(), "b:1".into()], Duration::ZERO);
                    config.cluster = Some(Cluster { process: 2, hosts, patience });
                },
                "--process 2 of 2 processes",
            ),
        ];
        assert!(RunConfig::new("t").validate().is_ok());
        for (change, text) in refused {
            let mut config = RunConfig::new("t");
            change(&mut config);
            let error = config.validate().expect_err(text).to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}

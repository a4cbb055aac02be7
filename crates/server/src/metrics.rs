//! `/metrics`: what the [`Monitor`] knows, in the text form of `OpenMetrics`.
//!
//! [`METRICS`] lists them all; `docs/metrics.md` is written from it.

use super::JobInfo;
use monitor::{Monitor, PartitionLag, Process, StatusSnapshot, Trouble};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use std::fmt::Error;
use std::sync::Arc;

pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One metric, as it is documented.
#[derive(Clone, Copy, Debug)]
pub struct MetricDoc {
    /// Its name without the prefix `tweetflow_`, the unit and the ending of a counter.
    pub name: &'static str,
    /// Its unit, part of the name.
    pub unit: Option<&'static str>,
    /// What it says.
    pub help: &'static str,
    kind: MetricKind,
}

#[derive(Clone, Copy, Debug)]
enum MetricKind {
    Counter(fn(&StatusSnapshot) -> u64),
    Gauge(fn(&StatusSnapshot) -> f64),
    /// One for each partition; those that are not known are left out.
    Partitions(fn(&PartitionLag) -> Option<u64>),
    /// One for each reason.
    Reasons,
    CommitSeconds,
    /// One for each process of a cluster.
    Processes(fn(&Process) -> f64),
}

impl MetricDoc {
    /// The name in the text.
    pub fn full_name(&self) -> String {
        let unit = self.unit.map(|unit| format!("_{unit}")).unwrap_or_default();
        let end = if matches!(self.kind, MetricKind::Counter(_)) { "_total" } else { "" };
        format!("tweetflow_{}{unit}{end}", self.name)
    }

    /// Counter, gauge or histogram.
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            MetricKind::Counter(_) => "counter",
            MetricKind::Gauge(_)
            | MetricKind::Partitions(_)
            | MetricKind::Reasons
            | MetricKind::Processes(_) => "gauge",
            MetricKind::CommitSeconds => "histogram",
        }
    }

    /// Its labels.
    pub fn labels(&self) -> &'static str {
        match self.kind {
            MetricKind::Partitions(_) => "`partition`, of `--files` `file`",
            MetricKind::Reasons => "`reason`",
            MetricKind::Processes(_) => "`process`",
            _ => "",
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "metrics are floating point")]
const fn float(number: u64) -> f64 {
    number as f64
}

const fn metric(
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
    kind: MetricKind,
) -> MetricDoc {
    MetricDoc { name, unit, help, kind }
}

/// Every metric.
pub const METRICS: &[MetricDoc] = &[
    metric("records", None, "Records read.", MetricKind::Counter(|snapshot| snapshot.records)),
    metric(
        "read",
        Some("bytes"),
        "Bytes of their values.",
        MetricKind::Counter(|snapshot| snapshot.bytes),
    ),
    metric(
        "commits",
        None,
        "Transactions committed.",
        MetricKind::Counter(|snapshot| snapshot.commits.count),
    ),
    metric(
        "rows",
        None,
        "Rows written or deleted.",
        MetricKind::Counter(|snapshot| snapshot.commits.rows),
    ),
    metric(
        "commits_in_doubt",
        None,
        "Commits whose outcome had to be read.",
        MetricKind::Counter(|snapshot| snapshot.commits.in_doubt),
    ),
    metric("commit", Some("seconds"), "Time of a commit.", MetricKind::CommitSeconds),
    metric(
        "as_of_timestamp",
        Some("seconds"),
        "All records read before this moment are in the tables.",
        MetricKind::Gauge(|snapshot| float(snapshot.commits.as_of.max(0).cast_unsigned()) / 1e6),
    ),
    metric(
        "freshness_p50",
        Some("seconds"),
        "From a record's timestamp (without one: from reading it) to its commit, over a minute.",
        MetricKind::Gauge(|snapshot| snapshot.freshness_ms.map_or(f64::NAN, |ms| ms.p50 / 1000.0)),
    ),
    metric(
        "freshness_p99",
        Some("seconds"),
        "The same, 99th percentile.",
        MetricKind::Gauge(|snapshot| snapshot.freshness_ms.map_or(f64::NAN, |ms| ms.p99 / 1000.0)),
    ),
    metric(
        "next_offset",
        None,
        "The first offset that is not counted yet.",
        MetricKind::Partitions(|place| Some(place.next)),
    ),
    metric(
        "end_offset",
        None,
        "Where the partition ends.",
        MetricKind::Partitions(|place| place.end),
    ),
    metric(
        "lag",
        None,
        "What is left: records, of files bytes.",
        MetricKind::Partitions(PartitionLag::lag),
    ),
    metric("dead_letters", None, "Dead letters that stand.", MetricKind::Reasons),
    metric(
        "dead_letter_overflow",
        None,
        "Records that cannot be counted and have no row in dead_letters.",
        MetricKind::Gauge(|snapshot| float(snapshot.overflow)),
    ),
    metric(
        "restored_rows",
        None,
        "Rows read from the tables at the start.",
        MetricKind::Gauge(|snapshot| float(snapshot.restored)),
    ),
    metric(
        "replay_left",
        None,
        "What the start has left to read again for the ledger: records, of files bytes.",
        MetricKind::Gauge(|snapshot| float(snapshot.replay)),
    ),
    metric(
        "ledger_entries",
        None,
        "Tweets that can still be deleted or come a second time.",
        MetricKind::Gauge(|snapshot| snapshot.ledger.map_or(0.0, |ledger| float(ledger.entries))),
    ),
    metric(
        "ledger",
        Some("bytes"),
        "Memory that they take, about.",
        MetricKind::Gauge(|snapshot| snapshot.ledger.map_or(0.0, |ledger| float(ledger.bytes))),
    ),
    metric(
        "ledger_floor_timestamp",
        Some("seconds"),
        "Tweets from before this moment are not remembered.",
        MetricKind::Gauge(|snapshot| {
            let floor_ms = snapshot.ledger.and_then(|ledger| ledger.floor_ms());
            floor_ms.map_or(f64::NAN, |ms| float(ms) / 1000.0)
        }),
    ),
    metric(
        "ledger_retractions",
        None,
        "Tweets that were counted and taken back, because they were deleted or edited.",
        MetricKind::Counter(|snapshot| snapshot.ledger.map_or(0, |ledger| ledger.retractions)),
    ),
    metric(
        "ledger_late_posts",
        None,
        "Tweets that came below the floor and count as often as they come, in all runs.",
        MetricKind::Gauge(|snapshot| float(snapshot.total("late_posts"))),
    ),
    metric(
        "ledger_late_deletes",
        None,
        "Deletes that came below the floor and had no effect, in all runs.",
        MetricKind::Gauge(|snapshot| float(snapshot.total("late_deletes"))),
    ),
    metric(
        "ledger_late_edits",
        None,
        "Earlier versions of edited tweets that came below the floor and count, in all runs.",
        MetricKind::Gauge(|snapshot| float(snapshot.total("late_edits"))),
    ),
    metric(
        "ledger_superseded",
        None,
        "Earlier versions of edited tweets, which do not count, in all runs.",
        MetricKind::Gauge(|snapshot| float(snapshot.total("superseded"))),
    ),
    metric(
        "ledger_duplicates",
        None,
        "Tweets that came a second time and do not count, in all runs.",
        MetricKind::Gauge(|snapshot| float(snapshot.total("duplicates"))),
    ),
    metric(
        "waiting_partitions",
        None,
        "Partitions that wait for another one that is further behind than --ledger.",
        MetricKind::Gauge(|snapshot| {
            float(snapshot.paused.as_ref().map_or(0, |waiting| waiting.partitions.len() as u64))
        }),
    ),
    metric(
        "ready",
        None,
        "1 while records are read and both sides answer.",
        MetricKind::Gauge(|snapshot| float((snapshot.is_ready()).into())),
    ),
    metric(
        "database_silent",
        Some("seconds"),
        "How long the database has not answered.",
        MetricKind::Gauge(|snapshot| silent(snapshot, Trouble::Database)),
    ),
    metric(
        "topic_silent",
        Some("seconds"),
        "How long the topic has not answered.",
        MetricKind::Gauge(|snapshot| silent(snapshot, Trouble::Topic)),
    ),
    metric(
        "uptime",
        Some("seconds"),
        "Since the start.",
        MetricKind::Gauge(|snapshot| snapshot.running.as_secs_f64()),
    ),
    metric(
        "process",
        None,
        "Which process of the cluster this is; 0 has the database.",
        MetricKind::Gauge(|snapshot| {
            snapshot.processes.as_ref().map_or(0.0, |all| float(all.own as u64))
        }),
    ),
    metric(
        "process_records",
        None,
        "Records that a process has read, as it was heard of last.",
        MetricKind::Processes(|process| float(process.report.records)),
    ),
    metric(
        "process_partitions",
        None,
        "How many partitions a process reads.",
        MetricKind::Processes(|process| float(process.report.partitions.len() as u64)),
    ),
    metric(
        "process_silent",
        Some("seconds"),
        "How long nothing was heard of a process.",
        MetricKind::Processes(|process| process.heard.elapsed().as_secs_f64()),
    ),
    metric(
        "mesh_sent",
        Some("bytes"),
        "Bytes sent to a process.",
        MetricKind::Processes(|process| float(process.sent)),
    ),
    metric(
        "mesh_received",
        Some("bytes"),
        "Bytes received from a process.",
        MetricKind::Processes(|process| float(process.received)),
    ),
];

fn silent(snapshot: &StatusSnapshot, of: Trouble) -> f64 {
    let lasting = snapshot.trouble.filter(|(trouble, _)| *trouble == of);
    lasting.map_or(0.0, |(_, since)| since.as_secs_f64())
}

/// The whole text.
pub(super) fn text(monitor: &Arc<Monitor>, about: &JobInfo) -> Result<String, Error> {
    let labels = [("job", about.job.clone()), ("topic", about.topic.clone())];
    let labels = labels.map(|(name, value)| (name.into(), value.into()));
    let mut registry = Registry::with_prefix_and_labels("tweetflow", labels.into_iter());
    registry.register_collector(Box::new(SnapshotCollector(Arc::clone(monitor))));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// A snapshot, taken when metrics are requested.
#[derive(Debug)]
struct SnapshotCollector(Arc<Monitor>);

impl Collector for SnapshotCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let snapshot = self.0.snapshot();
        for metric in METRICS {
            let unit = metric.unit.map(|unit| Unit::Other(unit.to_owned()));
            let kind = match metric.kind {
                MetricKind::Counter(_) => MetricType::Counter,
                MetricKind::CommitSeconds => MetricType::Histogram,
                _ => MetricType::Gauge,
            };
            let help = metric.help.trim_end_matches('.');
            let mut family = encoder.encode_descriptor(metric.name, help, unit.as_ref(), kind)?;
            match metric.kind {
                MetricKind::Counter(value) => ConstCounter::new(value(&snapshot)).encode(family)?,
                MetricKind::Gauge(value) => ConstGauge::new(value(&snapshot)).encode(family)?,
                MetricKind::CommitSeconds => self.0.commit_seconds().encode(family)?,
                MetricKind::Partitions(value) => {
                    for place in &snapshot.partitions {
                        let Some(value) = value(place) else { continue };
                        let mut label = vec![("partition", place.partition.to_string())];
                        if !place.file.is_empty() {
                            // The number of a file is a hash of its name.
                            label.push(("file", place.file.to_string()));
                        }
                        let sample = family.encode_family(&label)?;
                        ConstGauge::new(float(value)).encode(sample)?;
                    }
                }
                MetricKind::Processes(value) => {
                    let processes = snapshot.processes.iter().flat_map(|processes| &processes.all);
                    for (index, process) in processes.enumerate() {
                        let label = [("process", index.to_string())];
                        let sample = family.encode_family(&label)?;
                        ConstGauge::new(value(process)).encode(sample)?;
                    }
                }
                MetricKind::Reasons => {
                    for (reason, count) in &snapshot.dead_letters {
                        let label = [("reason", reason.to_string())];
                        let sample = family.encode_family(&label)?;
                        ConstGauge::new(float(*count)).encode(sample)?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{JobInfo, text};
    use dataflows::catalogue::Tables;
    use monitor::Monitor;
    use std::sync::Arc;
    use std::time::Duration;
    use types::Value;
    use types::transaction::{Position, TableChanges, Transaction};

    #[test]
    fn a_file_has_its_name() {
        let (monitor, tables) = (Arc::<Monitor>::default(), Tables::default());
        monitor.begin(tables.all());
        let row = |partition, file: &str| {
            let mut row = vec![Value::Null; 11];
            (row[0], row[10]) = (Value::Text("t".into()), Value::Text(file.into()));
            for (column, number) in (1..).zip([partition, 0, 7, 7]) {
                row[column] = Value::UInt(number);
            }
            row.into()
        };
        let mut changes = vec![TableChanges::default(); tables.all().len()];
        changes[usize::from(tables.progress())].upserts = vec![row(3, ""), row(1 << 31, "a \"b\"")];
        let at = Position { generation: 1, commit_no: 1, writer: 0 };
        monitor.committed(&Transaction { as_of: 1, tables: changes }, at, Duration::ZERO);
        let [job, topic, database] = ["j", "t", "d"].map(str::to_owned);
        let text = text(&monitor, &JobInfo { job, topic, source: "files", database });
        let text = text.expect("it is encoded");
        for labels in ["partition=\"3\"", "partition=\"2147483648\",file=\"a \\\"b\\\"\""] {
            let line = format!("tweetflow_next_offset{{job=\"j\",topic=\"t\",{labels}}} 7");
            assert!(text.contains(&line), "{line}: {text}");
        }
    }
}

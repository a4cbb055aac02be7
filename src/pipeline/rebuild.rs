//! `run --rebuild`: the topic counted again into shadow tables of all tables, which then take their
//! place.
//!
//! The only way to change what tables mean. Until the last moment the tables that dashboards read,
//! and the job that writes them, go on undisturbed. Rounds up to the end of the topic follow one
//! another until one is short, so that little is missing when the shadow tables take over; `run`
//! then reads on from there.
//!
//! It counts what the tables count: from the same first offsets, if these tables read the same
//! topic from the same place. It does not know how tables are replaced: that is the sink's.

use crate::config::RunConfig;
use crate::pipeline::error::RunError;
use crate::pipeline::{self, RunSummary, identity};
use monitor::Monitor;
use sink::mysql::MySqlSink;
use sink::unless_stopped;
use source::kafka::{KafkaConfig, KafkaTopic};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A round that takes no longer is the last one.
const SHORT: Duration = Duration::from_secs(10);
/// A job that cannot keep up with its topic would never have a short round.
const ROUNDS: usize = 10;

/// Rebuilds the tables of `config` in the database at `url`. A stop leaves them as they are.
/// `monitor` ends with the rows of the rebuilt tables.
pub fn run(
    mut config: RunConfig,
    mut kafka: KafkaConfig,
    url: &str,
    stop: &Arc<AtomicBool>,
    monitor: &Arc<Monitor>,
) -> Result<RunSummary, RunError> {
    let identity = identity::identity(&config, &identity::tables(&config)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let doing = "starting the rebuild";
    let runtime = runtime.map_err(|source| RunError::System { doing, source })?;
    let sink = MySqlSink::new(url)?;
    let beginning = runtime.block_on(unless_stopped(stop, sink.begin_rebuild(&identity)));
    if let Some(counted) = beginning.ok_or(RunError::RebuildStopped)??
        && counted.fingerprint.contains(&identity::location(&config))
    {
        kafka.starts = counted.starts;
    }
    config.table_prefix = identity.prefix.shadow();
    kafka.until_end = true;
    // The lag that Kafka's tools show under the job's name is that of the tables.
    kafka.group.push_str("-rebuild");
    let mut sum = RunSummary::default();
    for round in 1..=ROUNDS {
        let began = Instant::now();
        let topic = Box::new(KafkaTopic::new(kafka.clone())?);
        let into = MySqlSink::new(url)?;
        let summary = pipeline::run_watched(config.clone(), topic, into, stop.clone(), monitor)?;
        sum.add(&summary);
        if stop.load(Ordering::Relaxed) {
            return Err(RunError::RebuildStopped);
        }
        tracing::info!(round, records = sum.records, "the shadow tables are at the topic's end");
        if began.elapsed() < SHORT {
            break;
        }
    }
    let finishing = sink.finish_rebuild(&identity, config.retry_for);
    runtime.block_on(unless_stopped(stop, finishing)).ok_or(RunError::RebuildStopped)??;
    tracing::info!("the rebuilt tables have taken the place of the old ones");
    Ok(sum)
}

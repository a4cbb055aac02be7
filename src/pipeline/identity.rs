//! What a job is by its configuration: its tables, and the fingerprint of what their rows mean.
//!
//! Invariant: each setting that changes a row is a part of the fingerprint, and none that does not.
//! Compares nothing: a start's comparison with what is stored is the sink's work, the comparison of
//! the processes of a cluster the mesh's.

use super::error::RunError;
use crate::config::RunConfig;
use dataflows::catalogue::Tables;
use sink::Identity;
use std::fmt::Write;
use types::Table;
use types::dead_letter::Quota;

/// The tables of the job, if the configuration is one that a run can work with.
pub fn tables(config: &RunConfig) -> Result<Tables, RunError> {
    config.validate()?;
    Tables::choose(&config.tables).map_err(RunError::Tables)
}

/// The job and its tables, as a sink knows them.
pub fn identity(config: &RunConfig, tables: &Tables) -> Identity {
    let tables = tables.all();
    let fingerprint = fingerprint(config, &tables);
    let (job, prefix) = (config.job.clone(), config.table_prefix.clone());
    Identity { job, fingerprint, tables, known: Tables::every().all(), prefix }
}

/// What all processes of a cluster must have the same, as words.
pub(super) fn agreed(config: &RunConfig, tables: &Tables) -> String {
    let Quota { rows, bytes } = config.dead_letters;
    format!(
        "{} job={} prefix={} dead_letter_rows={rows} dead_letter_bytes={bytes} \
         max_dead_letters={} ledger_ms={}",
        fingerprint(config, &tables.all()),
        config.job,
        config.table_prefix,
        config.max_dead_letters,
        config.ledger.span.as_millis()
    )
}

/// The part of the fingerprint that says what is read from where.
pub(super) fn location(config: &RunConfig) -> String {
    format!(" topic={} from={} ", config.topic, config.from)
}

/// What the rows mean, readable: a start with another one must not go on from them.
fn fingerprint(config: &RunConfig, tables: &[Table]) -> String {
    let mut text = format!(
        "decoder={}{}require_location={} names={} retweets={} minutes_span={} trend_minutes={}",
        decode::VERSION,
        location(config),
        config.decode.require_location,
        config.decode.names,
        config.decode.retweets,
        config.flows.minutes_span,
        config.flows.trend_minutes
    );
    // Without rows it says the same as a table that is not there: see `types::late`.
    for table in tables.iter().filter(|table| table.name != types::late::TABLE_NAME) {
        let definition = xxhash_rust::xxh3::xxh3_64(table.definition().as_bytes());
        let _ = write!(text, " {}={:08x}", table.name, definition >> 32);
    }
    text
}

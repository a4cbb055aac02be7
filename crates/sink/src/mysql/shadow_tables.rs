//! Shadow tables of all tables: filled beside the job that writes the tables, then put in their
//! place.
//!
//! | names | what they are |
//! |---|---|
//! | `users`, … | the tables |
//! | `rb_users`, … | their shadow tables, while they are filled |
//! | `rbold_users`, … | the tables that were replaced, until they are dropped |
//!
//! Invariants: one statement renames all tables, so a reader finds all old ones or all new ones.
//! Before it, on the same connection and under the job's lock, the generation is raised, so that no
//! process that has written the old tables can write the new ones. Whatever ends the process leaves
//! one of the two sets whole under the tables' names, and the same command goes on from there. Only
//! tables of a set whose commit table names this job are dropped.

use super::attached::{self, Attached};
use super::connection::Connection;
use super::{COMMIT_TABLE, MySqlSink, hexadecimal, schema};
use crate::back_off;
use crate::ddl::Shape;
use crate::{Identity, SinkError, ddl};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use types::fault::Fault;
use types::prefix::Prefix;
use types::{Table, offsets};

const DOING: &str = "replacing the tables";
/// Seconds that a statement waits for readers of the tables. While it waits, new readers wait
/// behind it.
const LOCK_WAIT: &str = "SET SESSION lock_wait_timeout=2";

/// What the tables that are to be replaced count.
#[derive(Clone, Debug)]
pub struct ReplacedTables {
    /// What their rows mean.
    pub fingerprint: String,
    /// The first offset that counts, by partition.
    pub starts: BTreeMap<u32, u64>,
}

impl MySqlSink {
    /// Clears away what an earlier attempt left and cannot be used, and looks at the tables that
    /// are to be replaced: `None` where there are none.
    pub async fn begin_rebuild(
        &self,
        identity: &Identity,
    ) -> Result<Option<ReplacedTables>, SinkError> {
        let (job, prefix) = (&identity.job, &identity.prefix);
        let mut connection = self.connect().await?;
        connection.run(DOING, LOCK_WAIT).await?;
        if meaning(&mut connection, &prefix.replaced(), job).await?.is_some() {
            drop_all(&mut connection, &prefix.replaced(), &identity.known).await?;
        }
        let shadows = meaning(&mut connection, &prefix.shadow(), job).await?;
        if shadows.is_some_and(|fingerprint| fingerprint != identity.fingerprint) {
            tracing::warn!("shadow tables of a rebuild with other settings are dropped");
            drop_all(&mut connection, &prefix.shadow(), &identity.known).await?;
        }
        let commits = prefix.table(COMMIT_TABLE);
        let stored = meaning(&mut connection, prefix, job).await?;
        // A table that the job did not have is somebody else's if it holds rows.
        let known =
            stored.as_deref().map(|stored| tables_of(stored, &identity.known)).unwrap_or_default();
        let mut added = ddl::shapes(&Prefix::default(), &identity.tables);
        added.retain(|shape| known.iter().all(|known| known.name != shape.name));
        for name in existing(&mut connection, &added, prefix).await? {
            schema::check_empty(&mut connection, &prefix.table(&name)).await?;
        }
        let attached = find_attached(&mut connection, identity, stored.as_deref()).await?;
        carry(&mut connection, identity, &attached).await?;
        let counted = if let Some(fingerprint) = stored {
            let others =
                format!("SELECT job FROM `{commits}` WHERE job <> {} LIMIT 1", hexadecimal(job));
            if let Some(other) = connection.first::<String>(DOING, others).await? {
                return Err(SinkError::Foreign {
                    table: commits,
                    difference: format!("it belongs to job {other:?}, too"),
                    fix: "give each job a --table-prefix of its own".to_owned(),
                });
            }
            let offsets = prefix.table(offsets::TABLE_NAME);
            let sql = format!("SELECT partition_id, start_offset FROM `{offsets}`");
            let starts = connection.all::<(u32, u64)>(DOING, sql).await?;
            Some(ReplacedTables { fingerprint, starts: starts.into_iter().collect() })
        } else {
            None
        };
        connection.close().await;
        Ok(counted)
    }

    /// Puts the shadow tables in the place of the tables and drops those. Tried again for
    /// `retry_for`: an attempt whose answer was lost is found out by looking.
    pub async fn finish_rebuild(
        &self,
        identity: &Identity,
        retry_for: Duration,
    ) -> Result<(), SinkError> {
        let (mut delays, give_up) = (back_off(), Instant::now() + retry_for);
        loop {
            match self.replace(identity).await {
                Err(error) if error.is_transient() && Instant::now() < give_up => {
                    let error = types::fault::one_line(&error);
                    tracing::warn!(error, "the tables were not replaced yet, trying again");
                    tokio::time::sleep(delays.next().unwrap_or_default()).await;
                }
                result => return result,
            }
        }
    }

    /// Tells of a rebuild that did not come to its end. The tables under `identity` are whole.
    pub(super) async fn warn_of_shadow_tables(
        &self,
        connection: &mut Connection,
        identity: &Identity,
    ) -> Result<(), SinkError> {
        for prefix in [identity.prefix.shadow(), identity.prefix.replaced()] {
            let table = prefix.table(COMMIT_TABLE);
            if schema::exists(connection, &table).await? {
                tracing::warn!(
                    "a rebuild did not come to its end, or goes on: there are tables {prefix}…; \
                     `run --rebuild` ends it, or drop them"
                );
            }
        }
        Ok(())
    }

    async fn replace(&self, identity: &Identity) -> Result<(), SinkError> {
        let (job, prefix) = (&identity.job, &identity.prefix);
        let mut connection = self.connect().await?;
        connection.run(DOING, LOCK_WAIT).await?;
        if meaning(&mut connection, &prefix.shadow(), job).await?.is_some() {
            let stored = meaning(&mut connection, prefix, job).await?;
            let attached = find_attached(&mut connection, identity, stored.as_deref()).await?;
            carry(&mut connection, identity, &attached).await?;
            // A job that runs notices with its next commit, ten seconds from now at the latest, and
            // leaves the lock; then the generation of a process that took it meanwhile is
            // overtaken.
            raise(&mut connection, prefix, job).await?;
            self.wait_for_lock(&mut connection, identity, Duration::ZERO).await?;
            let generation = raise(&mut connection, prefix, job).await?;
            let sql = format!(
                "UPDATE `{}` SET generation = GREATEST(generation, {generation}) + 1 WHERE job = {}",
                prefix.shadow().table(COMMIT_TABLE),
                hexadecimal(job)
            );
            connection.run(DOING, sql).await?;
            rename(&mut connection, identity).await?;
        }
        if meaning(&mut connection, prefix, job).await?.as_ref() != Some(&identity.fingerprint) {
            return Err(SinkError::Gone("the shadow tables are gone"));
        }
        if meaning(&mut connection, &prefix.replaced(), job).await?.is_some() {
            drop_all(&mut connection, &prefix.replaced(), &identity.known).await?;
        }
        connection.close().await;
        Ok(())
    }
}

/// What others have attached to the tables that are to be replaced, if it can be carried over.
async fn find_attached(
    connection: &mut Connection,
    identity: &Identity,
    stored: Option<&str>,
) -> Result<Attached, SinkError> {
    let shapes = stored.map(|stored| tables_of(stored, &identity.known)).unwrap_or_default();
    attached::find(connection, &identity.prefix, &shapes).await?.refuse()
}

/// Makes the indexes of others on the shadow tables, where they are missing.
async fn carry(
    connection: &mut Connection,
    identity: &Identity,
    attached: &Attached,
) -> Result<(), SinkError> {
    let shadow = identity.prefix.shadow();
    let shapes = ddl::shapes(&shadow, &identity.tables);
    for (table, index, definition) in &attached.indexes {
        let table = shadow.table(table);
        // A table that is switched off has no shadow table.
        let Some(shape) = shapes.iter().find(|shape| shape.name == table) else { continue };
        connection.run(DOING, shape.create()).await?;
        let place = schema::place(&table);
        let sql = format!(
            "SELECT 1 FROM information_schema.statistics WHERE {place} AND index_name = {} LIMIT 1",
            hexadecimal(index)
        );
        if connection.first::<u8>(DOING, sql).await?.is_none() {
            connection.run(DOING, format!("ALTER TABLE `{table}` ADD {definition}")).await?;
            tracing::info!(table, index, "an index of the old table is carried over");
        }
    }
    Ok(())
}

/// What the tables under `prefix` mean, if they belong to `job`.
async fn meaning(
    connection: &mut Connection,
    prefix: &Prefix,
    job: &str,
) -> Result<Option<String>, SinkError> {
    let (table, job) = (prefix.table(COMMIT_TABLE), hexadecimal(job));
    let sql = format!("SELECT fingerprint FROM `{table}` WHERE job = {job}");
    match connection.first(DOING, sql).await {
        // No such table.
        Err(SinkError::Server { code: 1146, .. }) => Ok(None),
        found => found,
    }
}

/// Raises the generation of the tables under `prefix`, where there are any; returns it.
async fn raise(connection: &mut Connection, prefix: &Prefix, job: &str) -> Result<u64, SinkError> {
    if meaning(connection, prefix, job).await?.is_none() {
        return Ok(0);
    }
    let (table, job) = (prefix.table(COMMIT_TABLE), hexadecimal(job));
    let update = format!("UPDATE `{table}` SET generation = generation + 1 WHERE job = {job}");
    connection.run(DOING, update).await?;
    let query = format!("SELECT generation FROM `{table}` WHERE job = {job}");
    Ok(connection.first(DOING, query).await?.unwrap_or_default())
}

/// The names of those tables that exist under `prefix`.
async fn existing(
    connection: &mut Connection,
    tables: &[Shape],
    prefix: &Prefix,
) -> Result<Vec<String>, SinkError> {
    let mut existing = Vec::new();
    for Shape { name, .. } in tables {
        if schema::exists(connection, &prefix.table(name)).await? {
            existing.push(name.clone());
        }
    }
    Ok(existing)
}

/// The tables of a job by its fingerprint, which may not be those that it is to have.
fn tables_of(fingerprint: &str, known: &[Table]) -> Vec<Shape> {
    // One of them is no part of it.
    let is_named =
        |name: &str| name == types::late::TABLE_NAME || fingerprint.contains(&format!(" {name}="));
    let mut tables = known.to_vec();
    tables.retain(|table| is_named(table.name));
    ddl::shapes(&Prefix::default(), &tables)
}

async fn rename(connection: &mut Connection, identity: &Identity) -> Result<(), SinkError> {
    let prefix = &identity.prefix;
    let mut renames = Vec::new();
    let mut add = |names: Vec<String>, from: &Prefix, to: &Prefix| {
        let one = |name: &String| format!("`{}` TO `{}`", from.table(name), to.table(name));
        renames.extend(names.iter().map(one));
    };
    let shadows = ddl::shapes(&Prefix::default(), &identity.tables);
    // Also those that are switched off now, whose rows would grow old.
    let stored = meaning(connection, prefix, &identity.job).await?;
    let mut old =
        stored.as_deref().map(|stored| tables_of(stored, &identity.known)).unwrap_or_default();
    let added = shadows.iter().filter(|shadow| old.iter().all(|old| old.name != shadow.name));
    old.extend(added.cloned().collect::<Vec<_>>());
    add(existing(connection, &old, prefix).await?, prefix, &prefix.replaced());
    add(shadows.into_iter().map(|shape| shape.name).collect(), &prefix.shadow(), prefix);
    connection.run(DOING, format!("RENAME TABLE {}", renames.join(", "))).await
}

/// Drops the tables under `prefix`, the one that says whose they are last.
async fn drop_all(
    connection: &mut Connection,
    prefix: &Prefix,
    known: &[Table],
) -> Result<(), SinkError> {
    for shape in ddl::shapes(prefix, known) {
        connection.run(DOING, format!("DROP TABLE IF EXISTS `{}`", shape.name)).await?;
    }
    Ok(())
}

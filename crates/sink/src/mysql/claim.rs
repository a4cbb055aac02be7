//! A job takes its tables: the named lock, then the generation.
//!
//! Invariants: one job has a set of tables, and of two that come at once one is refused; the
//! generation is raised in a committed transaction of its own. A copy that waits takes the lock
//! only when the copy that works has left it for good.

use super::connection::Connection;
use super::{COMMIT_TABLE, LEFT_TIME, MySqlSink, PREDECESSOR_TIME, hexadecimal, load, schema};
use super::{Server, ddl};
use crate::{Identity, SinkError};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use types::transaction::Position;

const DOING: &str = "claiming the tables";
const DOING_LOCK: &str = "taking the job's lock";
/// From one look at the lock to the next.
const LOOK: Duration = Duration::from_millis(500);

impl MySqlSink {
    pub(super) async fn claim_tables(
        &mut self,
        identity: &Identity,
    ) -> Result<Position, SinkError> {
        self.identity = Some(identity.clone());
        let mut checking = self.connect().await?;
        let server = Server::of(&mut checking).await?;
        if let Some(warning) = server.warning() {
            tracing::warn!("{warning}");
        }
        self.warn_of_shadow_tables(&mut checking, identity).await?;
        let server_loads = load::is_taken(&mut checking).await?;
        let shapes = ddl::shapes(&identity.prefix, &identity.tables);
        let reason = match schema::prepare(checking, &shapes).await? {
            None if !server_loads => Some("local_infile is OFF on the server".to_owned()),
            reason => reason,
        };
        if let Some(reason) = &reason {
            tracing::info!(reason, "rows are sent as upserts, which cost the server a third more");
        }
        self.loads.store(reason.is_none(), Ordering::Relaxed);
        let deadline = Instant::now() + PREDECESSOR_TIME;
        loop {
            let mut connection = self.connect().await?;
            self.wait_for_lock(&mut connection, identity, LEFT_TIME).await?;
            match self.raise(&mut connection, identity).await {
                Ok(position) => {
                    self.connection = Some(connection);
                    return Ok(position);
                }
                // A predecessor's transaction is still open, or was until now: its row lock is
                // waited for. Or another job claims the same tables at this moment. (1020: newer
                // MariaDB servers, where it changed the row meanwhile.)
                Err(SinkError::Server { code: 1205 | 1213 | 1020, .. })
                    if Instant::now() < deadline =>
                {
                    tracing::warn!("a predecessor's transaction is still open, waiting for it");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the job's lock if it is free.
    pub(super) async fn try_lock(
        &self,
        connection: &mut Connection,
        identity: &Identity,
    ) -> Result<(), SinkError> {
        let sql = format!("SELECT GET_LOCK('{}', 0)", self.lock_name(identity));
        let taken = connection.first::<Option<u64>>(DOING_LOCK, sql).await?;
        connection.has_lock = taken == Some(Some(1));
        Ok(())
    }

    /// Takes the job's lock. Where another connection has it, waits until it was free for `left`,
    /// as long as a dead process would take to be noticed.
    pub(super) async fn wait_for_lock(
        &self,
        connection: &mut Connection,
        identity: &Identity,
        left: Duration,
    ) -> Result<(), SinkError> {
        let (name, job) = (self.lock_name(identity), &identity.job);
        // A moment for a predecessor that has just ended.
        let sql = format!("SELECT GET_LOCK('{name}', 1)");
        if connection.first::<Option<u64>>(DOING_LOCK, sql).await? == Some(Some(1)) {
            connection.has_lock = true;
            return Ok(());
        }
        let deadline = Instant::now() + PREDECESSOR_TIME;
        let (mut free_since, mut is_told) = (None::<Instant>, false);
        loop {
            let query = format!("SELECT IS_USED_LOCK('{name}')");
            let holder = connection.first::<Option<u64>>(DOING_LOCK, query).await?.flatten();
            if let Some(holder) = holder {
                free_since = None;
                if Instant::now() > deadline {
                    return Err(SinkError::Held { job: job.clone(), holder });
                }
                if !std::mem::replace(&mut is_told, true) {
                    let seconds = PREDECESSOR_TIME.as_secs();
                    tracing::warn!(
                        job,
                        holder,
                        "another process holds the job; waiting {seconds} s"
                    );
                }
            } else if free_since.get_or_insert_with(Instant::now).elapsed() >= left {
                self.try_lock(connection, identity).await?;
                if connection.has_lock {
                    return Ok(());
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The server has one space of names for all databases.
    fn lock_name(&self, identity: &Identity) -> String {
        let database = self.opts.db_name().unwrap_or_default();
        let text = format!("{database}\0{}\0{}", identity.prefix, identity.job);
        format!("tweetflow-{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
    }

    /// Raises the generation on `connection` in a transaction of its own, and makes this process
    /// the writer.
    async fn raise(
        &self,
        connection: &mut Connection,
        identity: &Identity,
    ) -> Result<Position, SinkError> {
        let (job, table) = (hexadecimal(&identity.job), identity.prefix.table(COMMIT_TABLE));
        connection.run(DOING, "START TRANSACTION").await?;
        // All rows, and the room for others: of two jobs that begin at once one is rolled back.
        let query =
            format!("SELECT job, generation, commit_no, fingerprint FROM {table} FOR UPDATE");
        let rows = connection.all::<(String, u64, u64, String)>(DOING, query).await?;
        if let Some((other, ..)) = rows.iter().find(|row| row.0 != identity.job) {
            return Err(SinkError::OtherJob {
                table,
                job: identity.job.clone(),
                other: other.clone(),
            });
        }
        let writer = self.writer;
        let position = if let Some((_, generation, commit_no, fingerprint)) = rows.first() {
            if *fingerprint != identity.fingerprint {
                let (stored, now) = (fingerprint.clone(), identity.fingerprint.clone());
                return Err(SinkError::Fingerprint { stored, now });
            }
            let generation = generation + 1;
            let update = format!(
                "UPDATE {table} SET generation = {generation}, writer = {writer} WHERE job = {job}"
            );
            connection.run(DOING, update).await?;
            Position { generation, commit_no: *commit_no, writer }
        } else {
            for own in &identity.tables {
                schema::check_empty(connection, &identity.prefix.table(own.name)).await?;
            }
            let fingerprint = hexadecimal(&identity.fingerprint);
            let insert = format!(
                "INSERT INTO {table} (job, generation, commit_no, fingerprint, writer) \
                 VALUES ({job}, 1, 0, {fingerprint}, {writer})"
            );
            connection.run(DOING, insert).await?;
            Position { generation: 1, commit_no: 0, writer }
        };
        connection.run(DOING, "COMMIT").await?;
        Ok(position)
    }
}

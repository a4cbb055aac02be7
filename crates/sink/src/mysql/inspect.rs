//! A look at all tables as of one commit, beside the job that writes them.
//!
//! Invariant: everything is read in one read-only transaction on one snapshot, and nothing is
//! locked: the job goes on meanwhile. The server keeps old versions of rows for as long as that
//! takes, so the visitor should only store the rows.

use super::rows::read_all_rows;
use super::schema::without_writer;
use super::{COMMIT_TABLE, DOING_READ, MySqlSink, hexadecimal};
use crate::{ConsistentRead, Identity, SinkError};
use types::Restored;
use types::transaction::Position;

impl MySqlSink {
    pub(super) async fn inspect_all(
        &self,
        identity: &Identity,
        visit: &mut dyn FnMut(Vec<Restored>),
    ) -> Result<ConsistentRead, SinkError> {
        let mut connection = self.connect().await?;
        let begin = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
        connection.run(DOING_READ, begin).await?;
        let (job, table) = (hexadecimal(&identity.job), identity.prefix.table(COMMIT_TABLE));
        let columns = "generation, commit_no, writer, fingerprint";
        let sql = format!("SELECT {columns} FROM `{table}` WHERE job = {job}");
        let stored = match connection.first::<(u64, u64, u64, String)>(DOING_READ, sql).await {
            // No such table.
            Err(SinkError::Server { code: 1146, .. }) => None,
            Err(SinkError::Server { code: 1054, .. }) => return Err(without_writer(&table)),
            stored => stored?,
        };
        let Some((generation, commit_no, writer, fingerprint)) = stored else {
            return Err(SinkError::NoJob { job: identity.job.clone() });
        };
        if fingerprint != identity.fingerprint {
            let now = identity.fingerprint.clone();
            return Err(SinkError::Fingerprint { stored: fingerprint, now });
        }
        for (index, declared) in (0..).zip(&identity.tables) {
            let prefix = &identity.prefix;
            match read_all_rows(&mut connection, prefix, (index, declared), visit).await {
                // The version before did not make it.
                Err(SinkError::Server { code: 1146, .. })
                    if declared.name == types::late::TABLE_NAME => {}
                read => read?,
            }
        }
        connection.run(DOING_READ, "COMMIT").await?;
        connection.close().await;
        Ok(ConsistentRead { position: Position { generation, commit_no, writer } })
    }
}

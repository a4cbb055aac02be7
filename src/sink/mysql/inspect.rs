//! A look at all tables as of one commit, beside the job that writes them.
//!
//! Invariant: everything is read in one read-only transaction on one snapshot, and nothing is
//! locked: the job goes on meanwhile. The server keeps old versions of rows for as long as that
//! takes, so whoever looks should store what comes and think later.

use super::sql;
use super::{COMMIT_TABLE, DOING_READ, MySqlSink, first, hexadecimal, run};
use crate::sink::{Identity, Inspected, Position, SinkError};
use dataflows::Restored;

impl MySqlSink {
    pub(super) async fn inspect_all(
        &self,
        identity: &Identity,
        visit: &mut dyn FnMut(Vec<Restored>),
    ) -> Result<Inspected, SinkError> {
        let mut connection = self.connect().await?;
        run(&mut connection, DOING_READ, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            .await?;
        let (job, table) = (hexadecimal(&identity.job), identity.prefix.table(COMMIT_TABLE));
        let sql =
            format!("SELECT generation, commit_no, fingerprint FROM `{table}` WHERE job = {job}");
        let stored = match first::<(u64, u64, String)>(&mut connection, DOING_READ, sql).await {
            // No such table.
            Err(SinkError::Server { code: 1146, .. }) => None,
            stored => stored?,
        };
        let Some((generation, commit_no, fingerprint)) = stored else {
            return Err(SinkError::NoJob { job: identity.job.clone() });
        };
        if fingerprint != identity.fingerprint {
            let now = identity.fingerprint.clone();
            return Err(SinkError::Fingerprint { stored: fingerprint, now });
        }
        for (index, declared) in (0..).zip(&identity.tables) {
            let query = sql::select(&identity.prefix, declared);
            super::read_rows(&mut connection, query, (index, declared), visit).await?;
        }
        run(&mut connection, DOING_READ, "COMMIT").await?;
        let _ = connection.disconnect().await;
        Ok(Inspected { position: Position { generation, commit_no } })
    }
}

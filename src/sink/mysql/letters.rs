//! Dead letters by hand: looked at, and marked to be tried again.
//!
//! A mark is all that is written here, so that nothing races with the job: it alone deletes and
//! rewrites the rows, in its own transactions.

use super::rows::read_rows;
use super::{DOING_READ, MySqlSink, hexadecimal, sql};
use crate::dead_letters::{DeadLetter, TABLE};
use crate::sink::{Chosen, Prefix, SinkError};

fn condition(chosen: Chosen<'_>) -> String {
    let parts = [
        chosen.reason.map(|reason| format!("reason = {}", hexadecimal(reason))),
        chosen.partition.map(|partition| format!("partition_id = {partition}")),
        chosen.offset.map(|offset| format!("`offset` = {offset}")),
    ];
    let parts: Vec<_> =
        std::iter::once("TRUE".to_owned()).chain(parts.into_iter().flatten()).collect();
    parts.join(" AND ")
}

impl MySqlSink {
    /// How many there are, and the first `limit` of them by place.
    pub async fn dead_letters(
        &self,
        prefix: &Prefix,
        chosen: Chosen<'_>,
        limit: u64,
    ) -> Result<(u64, Vec<DeadLetter>), SinkError> {
        let mut connection = self.connect().await?;
        let (table, condition) = (prefix.table(TABLE.name), condition(chosen));
        let count = format!("SELECT COUNT(*) FROM `{table}` WHERE {condition}");
        let count = connection.first::<u64>(DOING_READ, count).await?.unwrap_or_default();
        let rows = sql::select(prefix, &TABLE);
        let query = format!(
            "{rows} WHERE {condition} ORDER BY topic, partition_id, `offset` LIMIT {limit}"
        );
        let mut letters = Vec::new();
        read_rows(&mut connection, query, (0, &TABLE), &mut |rows| {
            letters.extend(rows.iter().filter_map(|restored| DeadLetter::of(&restored.row)));
        })
        .await?;
        connection.close().await;
        Ok((count, letters))
    }

    /// Marks them; returns how many had no mark.
    pub async fn mark_dead_letters(
        &self,
        prefix: &Prefix,
        chosen: Chosen<'_>,
    ) -> Result<u64, SinkError> {
        let mut connection = self.connect().await?;
        let (table, condition) = (prefix.table(TABLE.name), condition(chosen));
        let sql = format!("UPDATE `{table}` SET retry = 1 WHERE {condition} AND retry = 0");
        connection.run("marking dead letters", sql).await?;
        let marked = connection.affected_rows();
        connection.close().await;
        Ok(marked)
    }
}

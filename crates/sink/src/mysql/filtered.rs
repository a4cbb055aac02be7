//! Rows of one table, filtered by column values: read, or flagged for the job.
//!
//! A flag is all that is written here, so that nothing races with the job: it alone deletes and
//! rewrites rows, in its own transactions.

use super::rows::read_rows;
use super::{DOING_READ, MySqlSink, sql};
use crate::SinkError;
use types::prefix::Prefix;
use types::{Row, Table, Value};

/// The condition of a query: each of these columns holds this value.
fn condition(table: &Table, filter: &[(usize, Value)]) -> String {
    let mut condition = b"TRUE".to_vec();
    for (column, value) in filter {
        condition.extend(format!(" AND `{}` = ", table.columns[*column].name).into_bytes());
        sql::push_value(&mut condition, value);
    }
    String::from_utf8_lossy(&condition).into_owned()
}

/// The server's error for a table that is not there, as this program says it.
fn no_table(name: &str) -> impl Fn(SinkError) -> SinkError {
    move |error| match error {
        SinkError::Server { code: 1146, .. } => SinkError::NoTable { table: name.to_owned() },
        error => error,
    }
}

impl MySqlSink {
    /// How many rows there are with these values, and the first `limit` of them by key.
    pub async fn filtered_rows(
        &self,
        (prefix, table): (&Prefix, &Table),
        filter: &[(usize, Value)],
        limit: u64,
    ) -> Result<(u64, Vec<Row>), SinkError> {
        let mut connection = self.connect().await?;
        let (name, condition) = (prefix.table(table.name), condition(table, filter));
        let count = format!("SELECT COUNT(*) FROM `{name}` WHERE {condition}");
        let count = connection.first::<u64>(DOING_READ, count).await.map_err(no_table(&name))?;
        let (select, key) = (sql::select(prefix, table), sql::names(&table.columns[..table.key]));
        let query = format!("{select} WHERE {condition} ORDER BY {key} LIMIT {limit}");
        let mut found = Vec::new();
        read_rows(&mut connection, query, (0, table), &mut |rows| {
            found.extend(rows.into_iter().map(|restored| restored.row));
        })
        .await?;
        connection.close().await;
        Ok((count.unwrap_or_default(), found))
    }

    /// Sets `flag` of the rows with these values; returns in how many it was not set.
    pub async fn flag_rows(
        &self,
        (prefix, table): (&Prefix, &Table),
        flag: usize,
        filter: &[(usize, Value)],
    ) -> Result<u64, SinkError> {
        let mut connection = self.connect().await?;
        let (name, condition) = (prefix.table(table.name), condition(table, filter));
        let flag = table.columns[flag].name;
        let sql = format!("UPDATE `{name}` SET `{flag}` = 1 WHERE {condition} AND `{flag}` = 0");
        connection.run("flagging rows", sql).await.map_err(no_table(&name))?;
        let flagged = connection.affected_rows();
        connection.close().await;
        Ok(flagged)
    }
}

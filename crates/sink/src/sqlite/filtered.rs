//! Rows of one table, filtered by column values: read, or flagged for the job.

use super::{Bound, SinkError, SqliteSink, read_rows, refused, sql};
use rusqlite::{Connection, params_from_iter};
use types::prefix::Prefix;
use types::{Row, Table, Value};

impl SqliteSink {
    /// A connection to a file that has this table.
    fn open_with_table(&self, table: String) -> Result<Connection, SinkError> {
        let connection = self.open_existing()?;
        match connection.table_exists(None, table.as_str()) {
            Ok(true) => Ok(connection),
            Ok(false) => Err(SinkError::NoTable { table }),
            Err(error) => Err(refused("looking for a table", &error)),
        }
    }

    /// How many rows there are with these values, and the first `limit` of them by key.
    pub fn filtered_rows(
        &self,
        (prefix, table): (&Prefix, &Table),
        filter: &[(usize, Value)],
        limit: u64,
    ) -> Result<(u64, Vec<Row>), SinkError> {
        let connection = self.open_with_table(prefix.table(table.name))?;
        let mut found = Vec::new();
        let key = sql::names(&table.columns[..table.key]);
        let query = format!("{} ORDER BY {key}", sql::select(prefix, table));
        let is_wanted =
            |row: &Row| filter.iter().all(|(column, value)| row.get(*column) == Some(value));
        read_rows(&connection, &query, (0, table), &mut |rows| {
            found.extend(rows.into_iter().map(|restored| restored.row).filter(is_wanted));
        })?;
        let count = found.len() as u64;
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok((count, found))
    }

    /// Sets `flag` of the rows with these values; returns in how many it was not set.
    pub fn flag_rows(
        &self,
        (prefix, table): (&Prefix, &Table),
        flag: usize,
        filter: &[(usize, Value)],
    ) -> Result<u64, SinkError> {
        let connection = self.open_with_table(prefix.table(table.name))?;
        let (name, flag) = (prefix.table(table.name), table.columns[flag].name);
        let columns = filter.iter().map(|(column, _)| table.columns[*column].name);
        let conditions = columns.map(|column| format!(" AND `{column}` = ?"));
        let conditions = conditions.collect::<String>();
        let sql = format!("UPDATE `{name}` SET `{flag}` = 1 WHERE `{flag}` = 0{conditions}");
        let values = params_from_iter(filter.iter().map(|(_, value)| Bound(value)));
        let flagged =
            connection.execute(&sql, values).map_err(|error| refused("flagging rows", &error))?;
        Ok(flagged as u64)
    }
}

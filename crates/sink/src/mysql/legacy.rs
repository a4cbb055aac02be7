//! The old program's tables, out of the way: `hashtags(hashtag)`, one row a use, and
//! `users(username, nb_friends)`, one row a tweet, stand under names that the job's tables need.
//!
//! They are known by their columns, exactly; a table with any other column is somebody else's, or
//! the job's, and is left alone. One statement renames what is renamed. No row is read or changed.

use super::{MySqlSink, hexadecimal, schema};
use crate::SinkError;

const DOING: &str = "renaming the old tables";
impl MySqlSink {
    /// Renames those that are there to `legacy_…`; returns their old names.
    pub async fn rename_legacy(&self) -> Result<Vec<&'static str>, SinkError> {
        let mut connection = self.connect().await?;
        let mut old = Vec::new();
        for (table, columns) in schema::OLD {
            let sql = format!(
                "SELECT column_name FROM information_schema.columns \
                 WHERE table_schema = DATABASE() AND BINARY table_name = {} ORDER BY column_name",
                hexadecimal(table)
            );
            if connection.all::<String>(DOING, sql).await? == columns {
                old.push(table);
            }
        }
        for table in &old {
            let target = format!("legacy_{table}");
            if schema::exists(&mut connection, &target).await? {
                let difference = "an earlier rename has made it";
                return Err(schema::foreign(&target, difference, "rename it or drop it first"));
            }
        }
        if !old.is_empty() {
            let renames = old.iter().map(|table| format!("`{table}` TO `legacy_{table}`"));
            let renames = renames.collect::<Vec<_>>().join(", ");
            connection.run(DOING, format!("RENAME TABLE {renames}")).await?;
        }
        connection.close().await;
        Ok(old)
    }
}

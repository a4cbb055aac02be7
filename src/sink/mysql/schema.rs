//! The tables in the server: made where they are missing, checked where they exist.
//!
//! Everything here runs on a connection of its own, before the generation is raised. Nothing that
//! exists is ever altered or dropped.

use super::{SinkError, first, hexadecimal, run};
use crate::sink::sql;
use dataflows::Table;
use dataflows::table::Kind;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::collections::BTreeMap;

const DOING: &str = "preparing the tables";

/// Makes missing tables and checks those that exist.
pub(super) async fn prepare(mut connection: Conn, tables: &[Table]) -> Result<(), SinkError> {
    for table in tables {
        let columns = existing(&mut connection, table.name).await?;
        if columns.is_empty() {
            run(&mut connection, DOING, sql::create(table)).await?;
        } else {
            check(table, &columns)?;
        }
    }
    if existing(&mut connection, "tweetflow_commit").await?.is_empty() {
        run(&mut connection, DOING, sql::COMMIT_TABLE).await?;
    }
    // A courtesy to the server; the connection is closed either way.
    let _ = connection.disconnect().await;
    Ok(())
}

/// A fresh job must find its tables empty: rows that it did not write would never be counted right.
pub(super) async fn check_empty(connection: &mut Conn, tables: &[Table]) -> Result<(), SinkError> {
    for table in tables {
        let query = format!("SELECT 1 FROM `{}` LIMIT 1", table.name);
        if first::<u8>(connection, DOING, query).await?.is_some() {
            return Err(SinkError::Foreign {
                table: table.name.to_owned(),
                difference: "it holds rows that no job of this name has written".to_owned(),
            });
        }
    }
    Ok(())
}

/// Columns of a table: name to collation (`None` for what is no text). Empty: no such table.
type Columns = BTreeMap<String, Option<String>>;

async fn existing(connection: &mut Conn, table: &str) -> Result<Columns, SinkError> {
    let query = format!(
        "SELECT column_name, collation_name FROM information_schema.columns \
         WHERE table_schema = DATABASE() AND table_name = {}",
        hexadecimal(table)
    );
    let columns: Vec<(String, Option<String>)> =
        connection.query(query).await.map_err(|error| super::lost_or_refused(DOING, error))?;
    Ok(columns.into_iter().collect())
}

fn check(table: &Table, columns: &Columns) -> Result<(), SinkError> {
    let foreign = |difference| Err(SinkError::Foreign { table: table.name.to_owned(), difference });
    for column in table.columns {
        let Some(collation) = columns.get(column.name) else {
            return foreign(format!("it has no column {}", column.name));
        };
        let binary = collation.as_deref().is_some_and(|name| name.ends_with("_bin"));
        if matches!(column.kind, Kind::Text(_)) && !binary {
            return foreign(format!("column {} does not compare byte by byte", column.name));
        }
    }
    Ok(())
}

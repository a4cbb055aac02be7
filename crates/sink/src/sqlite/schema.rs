//! The tables in the file: made where they are missing, checked where they exist; and the text of
//! their statements.
//!
//! Runs inside the transaction that claims them. Nothing that exists is ever altered or dropped.
//! What a difference would do is silent, so each is an error.

use super::{SinkError, refused};
use crate::ddl::{ColumnShape, Shape};
use rusqlite::Connection;
use std::fmt::Write;
use types::Table;

const DOING: &str = "preparing the tables";

/// Checks the tables that exist, and makes those that are missing.
pub(super) fn prepare(connection: &Connection, shapes: &[Shape]) -> Result<(), SinkError> {
    for shape in shapes {
        if exists(connection, &shape.name)? {
            check(connection, shape)?;
        } else {
            let create = create(shape);
            connection.execute_batch(&create).map_err(|error| refused(DOING, &error))?;
        }
    }
    Ok(())
}

/// Whether there is a table, or something else, of that name.
pub(super) fn exists(connection: &Connection, name: &str) -> Result<bool, SinkError> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = ?";
    let count: i64 = connection
        .query_row(sql, [name], |row| row.get(0))
        .map_err(|error| refused(DOING, &error))?;
    Ok(count > 0)
}

/// A fresh job must find its tables empty: rows that it did not write would never be counted right.
pub(super) fn check_empty(connection: &Connection, table: &str) -> Result<(), SinkError> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM `{table}`)");
    let is_filled: bool =
        connection.query_row(&sql, [], |row| row.get(0)).map_err(|error| refused(DOING, &error))?;
    if is_filled {
        return Err(foreign(
            table,
            "it holds rows that no job of this name has written".to_owned(),
        ));
    }
    Ok(())
}

fn foreign(table: &str, difference: String) -> SinkError {
    let fix = "use another --table-prefix or file".to_owned();
    SinkError::Foreign { table: table.to_owned(), difference, fix }
}

/// The first difference between a table and its shape.
fn check(connection: &Connection, shape: &Shape) -> Result<(), SinkError> {
    let difference = difference(connection, shape).map_err(|error| refused(DOING, &error))?;
    difference.map_or(Ok(()), |difference| Err(foreign(&shape.name, difference)))
}

fn difference(connection: &Connection, shape: &Shape) -> rusqlite::Result<Option<String>> {
    type SqliteTableInfo = (String, String, bool, usize);
    let columns_sql =
        "SELECT name, upper(type), \"notnull\" OR pk > 0, pk FROM pragma_table_info(?)";
    let mut columns_statement = connection.prepare(columns_sql)?;
    let found = columns_statement
        .query_map([&shape.name], |row| {
            let pk: i64 = row.get(3)?;
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, usize::try_from(pk).unwrap_or(0)))
        })?
        .collect::<rusqlite::Result<Vec<SqliteTableInfo>>>()?;
    for (index, column) in shape.columns.iter().enumerate() {
        let Some((_, kind, is_filled, key)) = found.iter().find(|found| found.0 == column.name)
        else {
            return Ok(Some(format!("it has no column {}", column.name)));
        };
        let place = if index < shape.key { index + 1 } else { 0 };
        if *key != place {
            return Ok(Some(format!("its primary key is not ({})", shape.key_names())));
        }
        if kind != storage(column) || *is_filled == column.is_optional {
            let wanted = definition(column);
            return Ok(Some(format!("column {} is not {wanted}", column.name)));
        }
    }
    let sql = "SELECT name FROM pragma_index_list(?1) WHERE \"unique\" AND origin <> 'pk' \
               UNION ALL SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 \
               UNION ALL SELECT i.name FROM pragma_index_list(?1) i, pragma_index_xinfo(i.name) x \
               WHERE i.origin = 'pk' AND x.key AND x.coll <> 'BINARY'";
    let mut statement = connection.prepare(sql)?;
    let mut names = statement.query([&shape.name])?;
    let name = names.next()?.map(|row| row.get::<_, String>(0)).transpose()?;
    Ok(name.map(|name| format!("its index or trigger {name} could let a row change another one")))
}

/// The type in the file.
fn storage(column: &ColumnShape) -> &'static str {
    match column.kind.split(['(', ' ']).next() {
        Some("BIGINT" | "TINYINT") => "INTEGER",
        Some("VARBINARY") => "BLOB",
        _ => "TEXT",
    }
}

fn definition(column: &ColumnShape) -> String {
    let null = if column.is_optional { "" } else { " NOT NULL" };
    format!("`{}` {}{null}", column.name, storage(column))
}

/// `CREATE TABLE`, with the comments, which the file keeps.
fn create(shape: &Shape) -> String {
    let mut sql = format!("CREATE TABLE `{}` ( -- {}\n", shape.name, shape.comment);
    for column in &shape.columns {
        let _ = writeln!(sql, "  {}, -- {}", definition(column), column.comment);
    }
    let _ = writeln!(sql, "  PRIMARY KEY ({})\n) STRICT, WITHOUT ROWID;", shape.key_names());
    for column in shape.columns.iter().filter(|column| column.has_index) {
        let (table, column) = (&shape.name, column.name);
        let _ = writeln!(
            sql,
            "CREATE INDEX `{table}_{column}` ON `{table}` (`{column}`) WHERE `{column}` = 1;"
        );
    }
    sql
}

/// `DELETE` of one row by its key.
pub(super) fn delete(name: &str, table: &Table) -> String {
    let key = table.columns[..table.key].iter().map(|column| format!("`{}` = ?", column.name));
    format!("DELETE FROM `{name}` WHERE {}", key.collect::<Vec<_>>().join(" AND "))
}

/// One row as it is now.
pub(super) fn upsert(name: &str, table: &Table) -> String {
    let names = |columns: &[types::table::Column]| {
        columns.iter().map(|column| format!("`{}`", column.name)).collect::<Vec<_>>()
    };
    let (all, key) = (names(table.columns), names(&table.columns[..table.key]));
    let values = names(&table.columns[table.key..]);
    let updates: Vec<_> =
        values.iter().map(|column| format!("{column}=excluded.{column}")).collect();
    format!(
        "INSERT INTO `{name}` ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}",
        all.join(", "),
        vec!["?"; all.len()].join(", "),
        key.join(", "),
        updates.join(", ")
    )
}

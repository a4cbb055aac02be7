//! Rows as the server sends them, to rows as the dataflow knows them.
//!
//! A table is read whole or not at all: what was read is compared with a count in the same
//! transaction.

use super::connection::Connection;
use super::{DOING_READ, SinkError, sql};
use types::prefix::Prefix;
use types::table::ColumnKind as Holds;
use types::{Restored, Row, Table, Value};

/// Rows handed on at a time while restoring.
const SNAPSHOT_ROWS: usize = 4096;

/// Hands every row of table number `table` to `visit`, in batches. Within a transaction, so that
/// the rows and their count are of one moment.
pub(super) async fn read_all_rows(
    connection: &mut Connection,
    prefix: &Prefix,
    (table, declared): (u8, &Table),
    visit: &mut dyn FnMut(Vec<Restored>),
) -> Result<(), SinkError> {
    let mut rows = 0;
    read_rows(connection, sql::select(prefix, declared), (table, declared), &mut |batch| {
        rows += batch.len() as u64;
        visit(batch);
    })
    .await?;
    let name = prefix.table(declared.name);
    let sql = format!("SELECT COUNT(*) FROM `{name}`");
    let stored = connection.first::<u64>(DOING_READ, sql).await?.unwrap_or_default();
    if rows == stored { Ok(()) } else { Err(SinkError::Incomplete { table: name, rows, stored }) }
}

/// Hands every row that `query` finds in table number `table` to `visit`, in batches.
pub(super) async fn read_rows(
    connection: &mut Connection,
    query: String,
    (table, declared): (u8, &Table),
    visit: &mut dyn FnMut(Vec<Restored>),
) -> Result<(), SinkError> {
    let mut rows = Vec::with_capacity(SNAPSHOT_ROWS);
    let take = &mut |row| {
        rows.push(Restored { table, row: restore_row(declared, row)? });
        if rows.len() == SNAPSHOT_ROWS {
            visit(std::mem::take(&mut rows));
        }
        Ok(())
    };
    connection.each(DOING_READ, query, take).await?;
    visit(rows);
    Ok(())
}

/// One row of a result as values, by the kinds that are declared.
fn restore_row(table: &Table, mut row: mysql_async::Row) -> Result<Row, SinkError> {
    let columns = table.columns.iter().enumerate();
    let values = columns.map(|(index, column)| {
        use mysql_async::Value as Stored;
        let parsed = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse().ok();
        let value = match (column.kind, row.take(index)?) {
            (_, Stored::NULL) => Value::Null,
            (Holds::Unsigned, Stored::UInt(number)) => Value::UInt(number),
            (Holds::Unsigned, Stored::Int(number)) => Value::UInt(u64::try_from(number).ok()?),
            (Holds::Unsigned | Holds::Flag, Stored::Bytes(bytes)) => {
                Value::UInt(std::str::from_utf8(&bytes).ok()?.parse().ok()?)
            }
            (Holds::OptionalSigned, Stored::Int(number)) => Value::Int(number),
            (Holds::OptionalSigned, Stored::Bytes(bytes)) => Value::Int(parsed(&bytes)?),
            (Holds::Text(_), Stored::Bytes(bytes)) => {
                Value::Text(std::str::from_utf8(&bytes).ok()?.into())
            }
            (Holds::Bytes(_), Stored::Bytes(bytes)) => Value::Bytes(bytes.into_boxed_slice()),
            (Holds::Timestamp, Stored::Bytes(bytes)) => {
                Value::Timestamp(sql::moment_ms(std::str::from_utf8(&bytes).ok()?)?)
            }
            _ => return None,
        };
        Some(value)
    });
    values.collect::<Option<Row>>().ok_or_else(|| SinkError::Foreign {
        table: table.name.to_owned(),
        difference: "a row holds values of other types".to_owned(),
        fix: "use another --table-prefix or database".to_owned(),
    })
}

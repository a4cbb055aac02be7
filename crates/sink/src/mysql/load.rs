//! Many rows at once: `LOAD DATA LOCAL … REPLACE`, past the server's parser of literals, which
//! takes a quarter of what an upsert costs it.
//!
//! It means the same as an upsert only where a table is exactly as this program makes it (`schema`
//! looks): a row that is replaced loses what is in a column that it does not name. Where a server
//! does not take it, or takes a row other than it was sent, the transaction is dropped and sent
//! again as upserts, which say what is wrong.
//!
//! The rows go as text with a tab between columns. It opens no connection and decides nothing but
//! the text.

use super::connection::Connection;
use super::{SinkError, sql};
use types::fault::Fault;
use types::prefix::Prefix;
use types::{Row, Table, Value};

const DOING: &str = "committing";
/// A table's rows from which on they are loaded. Of fewer, statements go together in one round
/// trip.
pub(super) const FROM: usize = 1_000;
/// Rows of one statement: less than the 10,000 after which a Galera server may commit in its midst
/// (`wsrep_load_data_splitting`).
const ROWS: usize = 8_000;

/// One statement, and what it loads.
pub(super) struct Load {
    sql: String,
    rows: usize,
    text: Vec<u8>,
}

/// Whether the server says that it takes them.
pub(super) async fn is_taken(connection: &mut Connection) -> Result<bool, SinkError> {
    let sql = "SHOW GLOBAL VARIABLES LIKE 'local_infile'".to_owned();
    let found: Option<(String, String)> = connection.first("asking for local_infile", sql).await?;
    Ok(found.is_some_and(|(_, value)| value == "ON"))
}

/// Whether an answer to one says that another way must be taken. (1047 is a cluster's answer that
/// it is not ready, and a proxy's that it does not know the statement.)
pub(super) fn is_refused(error: &SinkError) -> bool {
    match error {
        SinkError::Server { code: 1047, .. } => true,
        SinkError::Server { .. } => !error.is_transient(),
        _ => false,
    }
}

/// The statements that write `upserts`.
pub(super) fn loads<'a>(
    prefix: &Prefix,
    table: &'a Table,
    upserts: &'a [Row],
) -> impl Iterator<Item = Load> + use<'a> {
    sql::check(table, upserts);
    // Binary: bytes are taken as they are, and no part of a character in UTF-8 is a tab, a line's
    // end or a backslash. (The text is the server's word for the file, which nobody opens.)
    let sql = format!(
        r"LOAD DATA LOCAL INFILE 'rows' REPLACE INTO TABLE `{}` CHARACTER SET binary FIELDS TERMINATED BY '\t' ESCAPED BY '\\' LINES TERMINATED BY '\n' ({})",
        prefix.table(table.name),
        sql::names(table.columns),
    );
    upserts.chunks(ROWS).map(move |rows| {
        let mut text = Vec::with_capacity(rows.len() * 128);
        for row in rows {
            push_line(&mut text, row);
        }
        Load { sql: sql.clone(), rows: rows.len(), text }
    })
}

impl Load {
    /// Sends it, in packets of `bytes`. With `REPLACE` and a strict session what does not fit is an
    /// error; whatever the server warns of beside, or counts otherwise, is one here.
    pub(super) async fn run(
        self,
        connection: &mut Connection,
        bytes: usize,
    ) -> Result<(), SinkError> {
        let Load { sql, rows, text } = self;
        connection.set_infile(text, bytes);
        connection.run(DOING, sql).await?;
        let taken = connection.info().starts_with(&format!("Records: {rows} "));
        if taken && connection.warnings() == 0 {
            return Ok(());
        }
        let said = connection.info();
        let warning = "SHOW WARNINGS LIMIT 1".to_owned();
        let (code, message) =
            match connection.first::<(String, u16, String)>(DOING, warning).await? {
                Some((_level, code, message)) => (code, message),
                None => (0, format!("of {rows} rows: {said}")),
            };
        Err(SinkError::Server { doing: DOING, code, message })
    }
}

fn push_line(text: &mut Vec<u8>, row: &Row) {
    for (index, value) in row.iter().enumerate() {
        if index > 0 {
            text.push(b'\t');
        }
        push_field(text, value);
    }
    text.push(b'\n');
}

fn push_field(text: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => text.extend_from_slice(br"\N"),
        Value::Text(value) => push_escaped(text, value.as_bytes()),
        Value::Bytes(value) => push_escaped(text, value),
        Value::Timestamp(ms) => {
            text.extend_from_slice(sql::moment(ms.saturating_mul(1000), 3).as_bytes());
        }
        Value::Int(_) | Value::UInt(_) => sql::push_value(text, value),
    }
}

/// What ends a field or a line, and what escapes, is escaped; so is NUL, which some servers take
/// for padding.
fn push_escaped(text: &mut Vec<u8>, value: &[u8]) {
    for byte in value {
        match byte {
            b'\t' => text.extend_from_slice(br"\t"),
            b'\n' => text.extend_from_slice(br"\n"),
            b'\\' => text.extend_from_slice(br"\\"),
            0 => text.extend_from_slice(br"\0"),
            byte => text.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ROWS, is_refused, loads};
    use crate::SinkError;
    use types::prefix::Prefix;
    use types::table::{Column, ColumnKind, Panel, Restore, Table};
    use types::{Row, Value};

    const TABLE: Table = Table {
        name: "t",
        comment: "",
        columns: &[
            Column::new("k", ColumnKind::Text(9), ""),
            Column::new("n", ColumnKind::OptionalSigned, ""),
            Column::new("at", ColumnKind::Timestamp, ""),
            Column::new("b", ColumnKind::Bytes(9), ""),
        ],
        key: 1,
        restore: Restore::FromRows,
        panel: Panel::None,
        version: 1,
    };

    fn row(key: &str, number: Value) -> Row {
        let bytes = Value::Bytes([0, b'\t', 0xff, b'\\'].into());
        Box::new([Value::Text(key.into()), number, Value::Timestamp(1), bytes])
    }

    #[test]
    fn what_ends_a_field_or_a_line_is_escaped() {
        let rows =
            [row("", Value::Null), row(r"\N", Value::Int(-1)), row("a\tb\nc", Value::UInt(1))];
        let loads: Vec<_> = loads(&Prefix::default(), &TABLE, &rows).collect();
        assert_eq!(loads.len(), 1);
        assert!(loads[0].sql.ends_with(r"LINES TERMINATED BY '\n' (`k`, `n`, `at`, `b`)"));
        let lines = [
            br"".as_slice(),
            b"\t\\N\t1970-01-01 00:00:00.001\t\\0\\t\xff\\\\\n",
            br"\\N",
            b"\t-1\t1970-01-01 00:00:00.001\t\\0\\t\xff\\\\\n",
            br"a\tb\nc",
            b"\t1\t1970-01-01 00:00:00.001\t\\0\\t\xff\\\\\n",
        ];
        assert_eq!(loads[0].text, lines.concat());
    }

    #[test]
    fn no_statement_has_ten_thousand_rows() {
        let rows: Vec<_> = (0..20_000).map(|n| row(&format!("{n:06}"), Value::Null)).collect();
        let loads = loads(&Prefix::default(), &TABLE, &rows);
        assert_eq!(loads.map(|load| load.rows).collect::<Vec<_>>(), [ROWS, ROWS, 4_000]);
    }

    #[test]
    fn an_answer_that_would_not_pass_ends_loading() {
        let server = |code| SinkError::Server { doing: "", code, message: String::new() };
        // Switched off (both servers), a proxy's or a cluster's unknown command, a warning.
        assert!([3948, 4166, 1047, 1264, 0].map(server).iter().all(is_refused));
        // Somebody holds a lock; the server goes.
        assert!(![1205, 1213, 1053].map(server).iter().any(is_refused));
        assert!(!is_refused(&SinkError::Gone("")));
    }
}

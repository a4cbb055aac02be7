//! SQL text of rows: reads, upserts, deletes. One text, right on MariaDB and on MySQL, whatever
//! `sql_mode`: `VALUES(column)` is the one form of an upsert that both know (MySQL 9 notes that it
//! will go one day; its own form is an error on MariaDB). Declarations are in [`super::ddl`].
//!
//! Text and bytes go as hexadecimal literals: no escaping, hence none that is wrong under some
//! `sql_mode`. Statements are cut at a size, so that a server's `max_allowed_packet` bounds a
//! statement and never a transaction. This module opens no connection.

use itertools::Itertools;
use std::fmt::Write;
use types::Table;
use types::prefix::Prefix;
use types::{Row, Value};

/// Bytes after which a statement is ended where the server allows it. A thousand rows: a round trip
/// does not count, and what the server's parser makes of them stays in its cache (statements of ten
/// times as many cost a server a sixth more CPU a row, those of a twentieth as well).
pub(crate) const STATEMENT_BYTES: usize = 128 << 10;

/// The columns, quoted, with commas between.
pub(super) fn names(columns: &[types::table::Column]) -> String {
    let quoted: Vec<_> = columns.iter().map(|column| format!("`{}`", column.name)).collect();
    quoted.join(", ")
}

/// `SELECT` of all columns of all rows.
pub(super) fn select(prefix: &Prefix, table: &Table) -> String {
    format!("SELECT {} FROM `{}`", names(table.columns), prefix.table(table.name))
}

/// `SELECT` of at most `most` rows whose column number `column` is 1, by key.
pub(super) fn select_flagged(prefix: &Prefix, table: &Table, column: usize, most: usize) -> String {
    let (rows, key) = (select(prefix, table), names(&table.columns[..table.key]));
    format!("{rows} WHERE `{}` = 1 ORDER BY {key} LIMIT {most}", table.columns[column].name)
}

/// The statements that apply changes: deletes, then upserts with absolute values, each sorted by
/// key so that two writers could never deadlock on the order of rows. A statement is ended by the
/// row with which it reaches `bytes`.
///
/// # Panics
/// If a key stands twice: the commit batcher's net rows are the other half of this check.
pub(crate) fn statements<'a>(
    prefix: &Prefix,
    table: &'a Table,
    deletes: &'a [Row],
    upserts: &'a [Row],
    bytes: usize,
) -> impl Iterator<Item = Vec<u8>> + use<'a> {
    check(table, deletes);
    check(table, upserts);
    let (name, key) = (prefix.table(table.name), names(&table.columns[..table.key]));
    let deletes = Statements {
        head: format!("DELETE FROM `{name}` WHERE ({key}) IN ("),
        tail: ")".to_owned(),
        bytes,
        rows: deletes.iter(),
    };
    let values = table.columns[table.key..].iter().map(|column| column.name);
    let updates: Vec<_> = values.map(|column| format!("`{column}`=VALUES(`{column}`)")).collect();
    let upserts = Statements {
        head: format!("INSERT INTO `{name}` ({}) VALUES ", names(table.columns)),
        tail: format!(" ON DUPLICATE KEY UPDATE {}", updates.join(", ")),
        bytes,
        rows: upserts.iter(),
    };
    deletes.chain(upserts)
}

/// # Panics
/// If `rows` are not sorted by a key that stands once.
pub(super) fn check(table: &Table, rows: &[Row]) {
    let rising = rows.windows(2).all(|pair| pair[0][..table.key] < pair[1][..table.key]);
    assert!(rising, "the rows of {} are not sorted by a unique key", table.name);
}

/// Joins neighbours as long as they are not more than `bytes`. The server runs them one after
/// another, and none behind one that fails.
pub(super) fn joined(
    statements: impl Iterator<Item = Vec<u8>>,
    bytes: usize,
) -> impl Iterator<Item = Vec<u8>> {
    statements.coalesce(move |mut before, statement| {
        if before.len() + statement.len() >= bytes {
            return Err((before, statement));
        }
        before.push(b';');
        before.extend_from_slice(&statement);
        Ok(before)
    })
}

/// Cuts rows into statements.
struct Statements<'a> {
    head: String,
    tail: String,
    bytes: usize,
    rows: std::slice::Iter<'a, Row>,
}

impl Iterator for Statements<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let first = self.rows.next()?;
        let mut sql = Vec::with_capacity(self.head.len() + 256);
        sql.extend_from_slice(self.head.as_bytes());
        push_row(&mut sql, first);
        while sql.len() < self.bytes
            && let Some(row) = self.rows.next()
        {
            sql.push(b',');
            push_row(&mut sql, row);
        }
        sql.extend_from_slice(self.tail.as_bytes());
        Some(sql)
    }
}

fn push_row(sql: &mut Vec<u8>, row: &Row) {
    sql.push(b'(');
    for (index, value) in row.iter().enumerate() {
        if index > 0 {
            sql.push(b',');
        }
        push_value(sql, value);
    }
    sql.push(b')');
}

/// One value as SQL writes it.
pub(super) fn push_value(sql: &mut Vec<u8>, value: &Value) {
    let mut digits = itoa::Buffer::new();
    match value {
        Value::Null => sql.extend_from_slice(b"NULL"),
        Value::Int(number) => sql.extend_from_slice(digits.format(*number).as_bytes()),
        Value::UInt(number) => sql.extend_from_slice(digits.format(*number).as_bytes()),
        Value::Text(text) => push_hexadecimal(sql, text.as_bytes()),
        Value::Bytes(bytes) => push_hexadecimal(sql, bytes),
        Value::Timestamp(ms) => {
            let _ = write!(SqlText(sql), "'{}'", moment(ms.saturating_mul(1000), 3));
        }
    }
}

/// `X'4a…'`: right for every `sql_mode`, also for the empty text.
pub(super) fn push_hexadecimal(sql: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    sql.extend_from_slice(b"X'");
    sql.extend(
        bytes
            .iter()
            .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
    );
    sql.push(b'\'');
}

/// A moment as `DATETIME` text with `digits` of a second's fraction. Times that a `DATETIME`
/// cannot hold (a producer's clock may say anything) become the nearest that it can.
pub(super) fn moment(us_since_1970: i64, digits: usize) -> String {
    // From 1000-01-01, where DATETIME begins, to 9999-12-30, the last day that jiff knows, too.
    let us = us_since_1970.clamp(-30_610_224_000_000_000, 253_402_128_000_000_000);
    let at = jiff::Timestamp::from_microsecond(us).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let text = at.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string();
    text[..text.len() - (6 - digits)].to_owned()
}

/// The reverse of [`moment`] with three digits: milliseconds since 1970.
pub(super) fn moment_ms(text: &str) -> Option<i64> {
    let at = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S%.f", text).ok()?;
    Some(at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// Formats into bytes.
struct SqlText<'a>(&'a mut Vec<u8>);

impl Write for SqlText<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{STATEMENT_BYTES, Value, moment, moment_ms, select, statements};
    use types::prefix::Prefix;
    use types::table::{Column, ColumnKind, Panel, Restore, Table};

    const TABLE: Table = Table {
        name: "t",
        comment: "it's a test",
        columns: &[
            Column::new("k", ColumnKind::Text(9), "key"),
            Column::new("n", ColumnKind::OptionalSigned, "number"),
            Column::new("at", ColumnKind::Timestamp, "moment"),
        ],
        key: 1,
        restore: Restore::FromRows,
        panel: Panel::None,
        version: 1,
    };

    fn row(key: &str, number: Value) -> types::Row {
        [Value::Text(key.into()), number, Value::Timestamp(1)].into()
    }

    #[test]
    fn the_sql_text() {
        let deletes = [[Value::Text("".into())].into()];
        let upserts = [row("'\\\"", Value::Null), row("é", Value::Int(-1))];
        let prefix = "p_".parse().expect("it is a prefix");
        let statements = statements(&prefix, &TABLE, &deletes, &upserts, STATEMENT_BYTES);
        let mut sql: Vec<_> =
            statements.map(|sql| String::from_utf8(sql).expect("ASCII")).collect();
        sql.push(select(&prefix, &TABLE));
        insta::assert_snapshot!(sql.join(";\n"));
    }

    #[test]
    fn a_large_transaction_becomes_several_statements() {
        let upserts: Vec<_> = (0..100_000).map(|n| row(&format!("{n:06}"), Value::Null)).collect();
        for bytes in [STATEMENT_BYTES, 8192] {
            let statements = statements(&Prefix::default(), &TABLE, &[], &upserts, bytes);
            let sizes: Vec<_> = statements.map(|sql| sql.len()).collect();
            assert!(sizes.len() > 3, "{sizes:?}");
            assert!(sizes.iter().all(|size| *size < bytes + 300), "{sizes:?}");
        }
    }

    #[test]
    fn small_statements_are_joined() {
        let statements = ["ab", "c", "d", "efgh", "i"].map(|sql| sql.as_bytes().to_vec());
        let joined: Vec<_> = super::joined(statements.into_iter(), 5).collect();
        assert_eq!(joined, [&b"ab;c"[..], b"d", b"efgh", b"i"]);
    }

    #[test]
    #[should_panic(expected = "not sorted by a unique key")]
    fn a_key_that_stands_twice_is_refused() {
        let upserts = [row("a", Value::Null), row("a", Value::Null)];
        let _ = statements(&Prefix::default(), &TABLE, &[], &upserts, STATEMENT_BYTES).count();
    }

    #[test]
    fn moments_beyond_the_servers_range_become_the_nearest() {
        assert_eq!(moment(1_500_000, 6), "1970-01-01 00:00:01.500000");
        assert_eq!(moment(i64::MAX, 3), "9999-12-30 00:00:00.000");
        assert_eq!(moment(i64::MIN, 3), "1000-01-01 00:00:00.000");
        for ms in [0, 1_500, 1_790_000_000_123] {
            assert_eq!(moment_ms(&moment(ms * 1000, 3)), Some(ms));
        }
    }
}

//! SQL text: declarations, upserts, deletes. Right on MariaDB and on MySQL, whatever `sql_mode`.
//!
//! Text and bytes go as hexadecimal literals: no escaping, hence none that is wrong under some
//! `sql_mode`. Statements are cut at a size, so that a server's `max_allowed_packet` bounds a
//! statement and never a transaction. This module opens no connection.

use super::TableChanges;
use dataflows::table::{Kind, Table};
use dataflows::{Row, Value};
use std::fmt::Write;

/// Bytes after which a statement is ended; far below the smallest usual `max_allowed_packet`
/// (16 MiB), large enough that a round trip does not count.
const STATEMENT_BYTES: usize = 1 << 20;

/// The table that holds one row per job: the fence, and "as of when".
pub(super) const COMMIT_TABLE: &str = "CREATE TABLE IF NOT EXISTS `tweetflow_commit` (\n  \
    `job` VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'name of the job',\n  \
    `generation` BIGINT UNSIGNED NOT NULL COMMENT 'raised by each start',\n  \
    `commit_no` BIGINT UNSIGNED NOT NULL COMMENT 'raised by each commit',\n  \
    `as_of` DATETIME(6) NULL COMMENT 'all records read before this moment (UTC) are counted',\n  \
    `fingerprint` TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'what the rows mean',\n  \
    PRIMARY KEY (`job`)\n) ENGINE=InnoDB";

/// `CREATE TABLE IF NOT EXISTS` of a table.
pub(super) fn create(table: &Table) -> String {
    let mut sql = format!("CREATE TABLE IF NOT EXISTS `{}` (\n", table.name);
    for (index, column) in table.columns.iter().enumerate() {
        let null = if column.kind == Kind::OptionalSigned && index >= table.key {
            "NULL"
        } else {
            "NOT NULL"
        };
        let comment = column.comment.replace('\'', "''");
        let _ = writeln!(
            sql,
            "  `{}` {} {null} COMMENT '{comment}',",
            column.name,
            sql_type(column.kind)
        );
    }
    let _ = write!(
        sql,
        "  PRIMARY KEY ({})\n) ENGINE=InnoDB COMMENT='{}'",
        names(&table.columns[..table.key]),
        table.comment.replace('\'', "''")
    );
    sql
}

/// The type of a column. Text compares byte by byte: every other collation that both servers have
/// would let two keys fall into one row.
fn sql_type(kind: Kind) -> String {
    match kind {
        Kind::Unsigned => "BIGINT UNSIGNED".to_owned(),
        Kind::OptionalSigned => "BIGINT".to_owned(),
        Kind::Text(length) => {
            format!("VARCHAR({length}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        }
        Kind::Moment => "DATETIME(3)".to_owned(),
        Kind::Bytes(length) => format!("VARBINARY({length})"),
    }
}

fn names(columns: &[dataflows::table::Column]) -> String {
    let quoted: Vec<_> = columns.iter().map(|column| format!("`{}`", column.name)).collect();
    quoted.join(", ")
}

/// `SELECT` of all columns of all rows.
pub(super) fn select(table: &Table) -> String {
    format!("SELECT {} FROM `{}`", names(table.columns), table.name)
}

/// The statements that apply `changes`: deletes, then upserts with absolute values, each sorted
/// by key so that two writers could never deadlock on the order of rows.
///
/// # Panics
/// If a key stands twice: the gatherer's net rows are the other half of this check.
pub(super) fn statements<'a>(
    table: &'a Table,
    changes: &'a TableChanges,
) -> impl Iterator<Item = Vec<u8>> + 'a {
    for rows in [&changes.deletes, &changes.upserts] {
        let rising = rows.windows(2).all(|pair| pair[0][..table.key] < pair[1][..table.key]);
        assert!(rising, "the rows of {} are not sorted by a unique key", table.name);
    }
    let deletes = Statements {
        head: format!("DELETE FROM `{}` WHERE ({}) IN (", table.name, key_names(table)),
        tail: ")".to_owned(),
        rows: changes.deletes.iter(),
    };
    let values = table.columns[table.key..].iter().map(|column| column.name);
    let updates: Vec<_> = values.map(|name| format!("`{name}`=VALUES(`{name}`)")).collect();
    let upserts = Statements {
        head: format!("INSERT INTO `{}` ({}) VALUES ", table.name, names(table.columns)),
        tail: format!(" ON DUPLICATE KEY UPDATE {}", updates.join(", ")),
        rows: changes.upserts.iter(),
    };
    deletes.chain(upserts)
}

fn key_names(table: &Table) -> String {
    names(&table.columns[..table.key])
}

/// Cuts rows into statements.
struct Statements<'a> {
    head: String,
    tail: String,
    rows: std::slice::Iter<'a, Row>,
}

impl Iterator for Statements<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let first = self.rows.next()?;
        let mut sql = Vec::with_capacity(self.head.len() + 256);
        sql.extend_from_slice(self.head.as_bytes());
        push_row(&mut sql, first);
        while sql.len() < STATEMENT_BYTES
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

fn push_value(sql: &mut Vec<u8>, value: &Value) {
    let mut digits = itoa::Buffer::new();
    match value {
        Value::Null => sql.extend_from_slice(b"NULL"),
        Value::Int(number) => sql.extend_from_slice(digits.format(*number).as_bytes()),
        Value::UInt(number) => sql.extend_from_slice(digits.format(*number).as_bytes()),
        Value::Text(text) => push_hexadecimal(sql, text.as_bytes()),
        Value::Bytes(bytes) => push_hexadecimal(sql, bytes),
        Value::Moment(ms) => {
            let _ = write!(Text(sql), "'{}'", moment(ms.saturating_mul(1000), 3));
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
    // 1000-01-01 and 9999-12-31T23:59:59.999999 in microseconds since 1970.
    let us = us_since_1970.clamp(-30_610_224_000_000_000, 253_402_300_799_999_999);
    let at = jiff::Timestamp::from_microsecond(us).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let text = at.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string();
    text[..text.len() - (6 - digits)].to_owned()
}

/// Formats into bytes.
struct Text<'a>(&'a mut Vec<u8>);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{TableChanges, Value, create, moment, statements};
    use dataflows::table::{Column, Kind, Restore, Table};

    const TABLE: Table = Table {
        name: "t",
        comment: "it's a test",
        columns: &[
            Column::new("k", Kind::Text(9), "key"),
            Column::new("n", Kind::OptionalSigned, "number"),
            Column::new("at", Kind::Moment, "moment"),
        ],
        key: 1,
        restore: Restore::FromRows,
        version: 1,
    };

    fn row(key: &str, number: Value) -> dataflows::Row {
        [Value::Text(key.into()), number, Value::Moment(1)].into()
    }

    #[test]
    fn the_sql_text() {
        let changes = TableChanges {
            deletes: vec![[Value::Text("".into())].into()],
            upserts: vec![row("'\\\"", Value::Null), row("é", Value::Int(-1))],
        };
        let sql: Vec<_> = statements(&TABLE, &changes)
            .map(|sql| String::from_utf8(sql).expect("ASCII"))
            .collect();
        assert_eq!(
            sql,
            [
                "DELETE FROM `t` WHERE (`k`) IN ((X''))",
                "INSERT INTO `t` (`k`, `n`, `at`) VALUES \
                 (X'275c22',NULL,'1970-01-01 00:00:00.001'),\
                 (X'c3a9',-1,'1970-01-01 00:00:00.001') \
                 ON DUPLICATE KEY UPDATE `n`=VALUES(`n`), `at`=VALUES(`at`)"
            ]
        );
        assert_eq!(
            create(&TABLE),
            "CREATE TABLE IF NOT EXISTS `t` (\n  \
             `k` VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'key',\n  \
             `n` BIGINT NULL COMMENT 'number',\n  \
             `at` DATETIME(3) NOT NULL COMMENT 'moment',\n  \
             PRIMARY KEY (`k`)\n) ENGINE=InnoDB COMMENT='it''s a test'"
        );
    }

    #[test]
    fn a_large_transaction_becomes_several_statements() {
        let upserts: Vec<_> = (0..100_000).map(|n| row(&format!("{n:06}"), Value::Null)).collect();
        let changes = TableChanges { deletes: vec![], upserts };
        let sizes: Vec<_> = statements(&TABLE, &changes).map(|sql| sql.len()).collect();
        assert!(sizes.len() > 3, "{sizes:?}");
        assert!(sizes.iter().all(|size| *size < (1 << 20) + 300), "{sizes:?}");
    }

    #[test]
    #[should_panic(expected = "not sorted by a unique key")]
    fn a_key_that_stands_twice_is_refused() {
        let upserts = vec![row("a", Value::Null), row("a", Value::Null)];
        let _ = statements(&TABLE, &TableChanges { deletes: vec![], upserts }).count();
    }

    #[test]
    fn moments_beyond_the_servers_range_become_the_nearest() {
        assert_eq!(moment(1_500_000, 6), "1970-01-01 00:00:01.500000");
        assert_eq!(moment(i64::MAX, 3), "9999-12-31 23:59:59.999");
        assert_eq!(moment(i64::MIN, 3), "1000-01-01 00:00:00.000");
    }
}

//! Declarations: each table's shape, its `CREATE TABLE`, and the least rights on it.
//!
//! A [`Shape`] is what the server must have; the start makes missing tables of it and compares
//! existing ones with it, `tweetflow schema` prints it. Nothing is left to a server's defaults:
//! engine, character set, collation and row format are spelt out. One text for MariaDB and MySQL.

use std::fmt::Write;
use types::Table;
use types::prefix::Prefix;
use types::table::{Column, ColumnKind};

/// The table that holds one row per job: the fence, and "as of when".
pub const COMMIT_TABLE: &str = "tweetflow_commit";

/// Its column that tells one process from another with the same numbers.
pub const WRITER: &str = "writer";

/// A table as it must be in the server.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Its name, prefix included.
    pub name: String,
    /// All columns, key columns first.
    pub columns: Vec<ColumnShape>,
    /// How many of them are the primary key.
    pub key: usize,
    /// What it is for.
    pub comment: &'static str,
    rights: &'static str,
}

/// A column as it must be in the server.
#[derive(Clone, Debug)]
pub struct ColumnShape {
    /// Its name.
    pub name: &'static str,
    /// Its type, as `information_schema` writes it in capitals, without character set.
    pub kind: String,
    /// Whether it is text, hence has a character set and a collation.
    pub is_text: bool,
    /// Whether it may be NULL.
    pub is_optional: bool,
    /// Whether rows are looked for by it. A table that lacks the index is slow, not wrong.
    pub has_index: bool,
    /// One line for the reader of the schema.
    pub comment: &'static str,
}

/// The shapes of all tables of a job, the commit table last.
pub fn shapes(prefix: &Prefix, tables: &[Table]) -> Vec<Shape> {
    tables.iter().map(|table| shape(prefix, table)).chain([commit_table(prefix)]).collect()
}

fn shape(prefix: &Prefix, table: &Table) -> Shape {
    let column = |(index, column): (usize, &Column)| ColumnShape {
        name: column.name,
        kind: match column.kind {
            ColumnKind::Unsigned => "BIGINT UNSIGNED".to_owned(),
            ColumnKind::OptionalSigned => "BIGINT".to_owned(),
            ColumnKind::Text(length) => format!("VARCHAR({length})"),
            ColumnKind::Timestamp => "DATETIME(3)".to_owned(),
            ColumnKind::Bytes(length) => format!("VARBINARY({length})"),
            ColumnKind::Flag => "TINYINT UNSIGNED".to_owned(),
        },
        has_index: column.kind == ColumnKind::Flag,
        is_text: matches!(column.kind, ColumnKind::Text(_)),
        is_optional: column.kind == ColumnKind::OptionalSigned && index >= table.key,
        comment: column.comment,
    };
    Shape {
        name: prefix.table(table.name),
        columns: table.columns.iter().enumerate().map(column).collect(),
        key: table.key,
        comment: table.comment,
        rights: "SELECT, INSERT, UPDATE, DELETE",
    }
}

fn commit_table(prefix: &Prefix) -> Shape {
    let column = |name, kind: &str, comment| ColumnShape {
        name,
        kind: kind.to_owned(),
        is_text: !kind.starts_with("BIGINT") && !kind.starts_with("DATETIME"),
        is_optional: false,
        has_index: false,
        comment,
    };
    let as_of = "all records read before this moment (UTC) are counted";
    Shape {
        name: prefix.table(COMMIT_TABLE),
        columns: vec![
            column("job", "VARCHAR(64)", "name of the job"),
            column("generation", "BIGINT UNSIGNED", "raised by each start"),
            column("commit_no", "BIGINT UNSIGNED", "raised by each commit"),
            ColumnShape { is_optional: true, ..column("as_of", "DATETIME(6)", as_of) },
            column("fingerprint", "TEXT", "what the rows mean"),
            column(WRITER, "BIGINT UNSIGNED", "random number of the process that writes"),
        ],
        key: 1,
        comment: "one row a job: the fence, and as of when its tables are",
        rights: "SELECT, INSERT, UPDATE",
    }
}

impl Shape {
    /// `CREATE TABLE IF NOT EXISTS`.
    pub fn create(&self) -> String {
        let mut sql = format!("CREATE TABLE IF NOT EXISTS `{}` (\n", self.name);
        for column in &self.columns {
            let _ = writeln!(sql, "  {},", column.definition());
        }
        for column in self.columns.iter().filter(|column| column.has_index) {
            let _ = writeln!(sql, "  KEY `{0}` (`{0}`),", column.name);
        }
        let _ = write!(
            sql,
            "  PRIMARY KEY ({})\n) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 \
             COLLATE=utf8mb4_bin COMMENT={}",
            self.key_names(),
            text(self.comment)
        );
        sql
    }

    /// The key columns, quoted, with commas between.
    pub fn key_names(&self) -> String {
        let names = self.columns[..self.key].iter().map(|column| format!("`{}`", column.name));
        names.collect::<Vec<_>>().join(", ")
    }

    /// The right to read it, for an account that is written as SQL wants it.
    pub fn grant_select(&self, account: &str) -> String {
        format!("GRANT SELECT ON `{}` TO {account}", self.name)
    }

    /// The least rights on it, for an account that is written as SQL wants it.
    pub fn grant(&self, account: &str) -> String {
        format!("GRANT {} ON `{}` TO {account}", self.rights, self.name)
    }
}

impl ColumnShape {
    /// The column as `CREATE TABLE` and `ALTER TABLE … MODIFY` want it. Text compares byte by byte:
    /// every other collation that both servers have would let two keys fall into one row.
    pub fn definition(&self) -> String {
        let collation =
            if self.is_text { " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin" } else { "" };
        let null = if self.is_optional { "NULL" } else { "NOT NULL" };
        format!("`{}` {}{collation} {null} COMMENT {}", self.name, self.kind, text(self.comment))
    }
}

/// A comment as SQL text. Doubled quotes are right in every `sql_mode`; a backslash would not be.
fn text(comment: &str) -> String {
    debug_assert!(!comment.contains('\\'), "{comment}");
    format!("'{}'", comment.replace('\'', "''"))
}

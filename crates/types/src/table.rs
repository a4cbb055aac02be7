//! The declaration of a table: everything that is known of it before the first tweet.
//!
//! DDL, upserts, restore, checks and documentation all follow from a [`Table`]; nothing else in the
//! program lists columns.

use crate::Value;
use std::fmt::Write;

/// What a column holds, with its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// 64-bit unsigned: ids and counts.
    Unsigned,
    /// 64-bit signed, NULL = unknown.
    OptionalSigned,
    /// Text of at most this many characters, compared byte by byte.
    Text(u16),
    /// A timestamp in UTC, to the millisecond.
    Timestamp,
    /// Bytes, at most this many.
    Bytes(u16),
    /// 0 or 1, set from outside on few rows and looked for by itself: it has an index.
    Flag,
}

impl ColumnKind {
    /// The kind in a table's definition. Stored fingerprints hold a hash of these words: they stay
    /// as they are, whatever the variants are called.
    fn definition(self) -> String {
        match self {
            ColumnKind::Unsigned => "Unsigned".to_owned(),
            ColumnKind::OptionalSigned => "OptionalSigned".to_owned(),
            ColumnKind::Text(characters) => format!("Text({characters})"),
            ColumnKind::Timestamp => "Moment".to_owned(),
            ColumnKind::Bytes(bytes) => format!("Bytes({bytes})"),
            ColumnKind::Flag => "Mark".to_owned(),
        }
    }
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in the database.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
    /// One line for the reader of the schema.
    pub comment: &'static str,
}

impl Column {
    /// A column; `const`, so that a table's declaration is one too.
    pub const fn new(name: &'static str, kind: ColumnKind, comment: &'static str) -> Self {
        Column { name, kind, comment }
    }
}

/// Where the state behind a table comes from after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restore {
    /// From the table's own rows: they enter at epoch 0 and what leaves at epoch 0 is dropped,
    /// because it is in the database already.
    FromRows,
    /// From another table's rows: what leaves at epoch 0 is the difference to this table's own
    /// rows, normally nothing.
    Derived,
    /// From other tables' rows, which say all of it: what leaves at epoch 0 is dropped, because it
    /// is in the database already, and the table's own rows are not read.
    FromOthers,
    /// There is none: each row is written once and never looked at again.
    Stateless,
}

impl Restore {
    /// Whether the table's own rows are read at the start.
    pub fn reads_rows(self) -> bool {
        matches!(self, Restore::FromRows | Restore::Derived)
    }
}

/// How a table is shown on the live page. Columns by their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panel {
    /// Not at all: too large, or of no interest.
    None,
    /// Each row a number under a name: the key, then the number.
    Numbers,
    /// Each row a bar, in the order of the key.
    Bars {
        /// The columns that name the bar.
        label: &'static [usize],
        /// The column that is its length.
        value: usize,
    },
}

/// A table: a name, columns with the key first, and how it is restored.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name in the database.
    pub name: &'static str,
    /// One sentence for the reader of the schema.
    pub comment: &'static str,
    /// All columns, key columns first.
    pub columns: &'static [Column],
    /// How many of them are the primary key.
    pub key: usize,
    /// How its state comes back.
    pub restore: Restore,
    /// How it is shown; a table that is shown is small.
    pub panel: Panel,
    /// Raised by hand whenever the same tweets give other rows; part of the fingerprint.
    pub version: u32,
}

impl Table {
    /// The definition as one line: what must not change under rows that exist. Part of the
    /// fingerprint that a start compares.
    pub fn definition(&self) -> String {
        let mut text = format!("{}:{}:{}(", self.name, self.version, self.key);
        for column in self.columns {
            let _ = write!(text, "{} {},", column.name, column.kind.definition());
        }
        text.push(')');
        text
    }
}

/// A row in one line: its table, and what stands in some of its columns.
pub fn shown(table: &Table, row: &[Value], columns: impl Iterator<Item = usize>) -> String {
    let mut line = String::new();
    for column in columns {
        let _ = write!(line, " {}=", table.columns[column].name);
        let _ = match row.get(column) {
            None | Some(Value::Null) => write!(line, "NULL"),
            Some(Value::Int(number)) => write!(line, "{number}"),
            Some(Value::UInt(number)) => write!(line, "{number}"),
            Some(Value::Timestamp(ms)) => write!(line, "{ms} ms"),
            Some(Value::Text(text)) => write!(line, "{text:?}"),
            Some(Value::Bytes(bytes)) => write!(line, "{} bytes", bytes.len()),
        };
    }
    line
}

/// A row in one line, whole.
pub fn whole(table: &Table, row: &[Value]) -> String {
    table.name.to_owned() + &shown(table, row, 0..table.columns.len())
}

#[cfg(test)]
mod tests {
    use super::{Column, ColumnKind, Panel, Restore, Table};

    /// The text of programs before this one: another text asks every job for `--rebuild`.
    #[test]
    fn the_definition_keeps_its_words() {
        const COLUMNS: &[Column] = &[
            Column::new("id", ColumnKind::Unsigned, ""),
            Column::new("friends", ColumnKind::OptionalSigned, ""),
            Column::new("name", ColumnKind::Text(255), ""),
            Column::new("at", ColumnKind::Timestamp, ""),
            Column::new("sample", ColumnKind::Bytes(512), ""),
            Column::new("retry", ColumnKind::Flag, ""),
        ];
        let table = Table {
            name: "t",
            comment: "",
            columns: COLUMNS,
            key: 1,
            restore: Restore::FromRows,
            panel: Panel::None,
            version: 2,
        };
        assert_eq!(
            table.definition(),
            "t:2:1(id Unsigned,friends OptionalSigned,name Text(255),at Moment,sample Bytes(512),\
             retry Mark,)"
        );
    }
}

//! What must hold for any row, for the target `sql` in `fuzz/`; not part of the program.
//!
//! Each function panics when a promise is broken and does nothing else.

use types::Value;
use types::prefix::Prefix;
use types::table::{Column, ColumnKind, Panel, Restore, Table};

const TABLE: Table = Table {
    name: "t",
    comment: "",
    columns: &[
        Column::new("k", ColumnKind::Text(255), ""),
        Column::new("v", ColumnKind::Bytes(512), ""),
    ],
    key: 1,
    restore: Restore::Stateless,
    panel: Panel::None,
    version: 1,
};

/// Whatever a text holds, nothing of it is seen by the server's parser: a statement is made of our
/// own words, digits and hexadecimal literals, and the literals are the text.
///
/// # Panics
/// If it is not.
pub fn sql(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let row = [Value::Text((*text).into()), Value::Bytes(bytes.into())];
    let (deletes, upserts) = ([row[..1].into()], [row.into()]);
    let prefix = Prefix::default();
    let statements: Vec<_> =
        crate::sql::statements(&prefix, &TABLE, &deletes, &upserts, 4096).collect();
    let hexadecimal = |value: &[u8]| {
        let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
        value.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect::<String>()
    };
    let (key, value) = (hexadecimal(text.as_bytes()), hexadecimal(bytes));
    let wanted = [
        format!("DELETE FROM `t` WHERE (`k`) IN ((X'{key}'))"),
        format!(
            "INSERT INTO `t` (`k`, `v`) VALUES (X'{key}',X'{value}') \
             ON DUPLICATE KEY UPDATE `v`=VALUES(`v`)"
        ),
    ];
    assert_eq!(statements, wanted.map(String::into_bytes));
}

#[cfg(test)]
mod tests {
    /// The promises, on the corpus that is kept: in every test run, without a fuzzer.
    #[test]
    fn the_corpus_breaks_no_promise() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/sql");
        let files = std::fs::read_dir(folder).expect("a folder of seeds");
        let files: Vec<_> = files.map(|file| file.expect("readable").path()).collect();
        assert!(files.len() >= 3);
        for file in files {
            super::sql(&std::fs::read(file).expect("readable"));
        }
    }
}

//! The tables in the server: made where they are missing, checked where they exist.
//!
//! Everything here runs on a connection of its own, before the generation is raised. Nothing that
//! exists is ever altered or dropped, and nothing is made before everything that exists was found
//! right. What a difference would do is silent (another row is overwritten, a rollback is none), so
//! each is an error that names the statement that mends it. Triggers are no error: an account with
//! the least rights does not see them.

use super::connection::Connection;
use super::{SinkError, hexadecimal};
use crate::ddl::{ColumnShape, Shape, WRITER};
use std::collections::BTreeMap;

const DOING: &str = "preparing the tables";
/// Collations that tell two different texts apart, always; the last two on one kind of server each.
const BYTEWISE: [&str; 3] = ["utf8mb4_bin", "utf8mb4_0900_bin", "utf8mb4_nopad_bin"];

/// Checks the tables that exist, then makes those that are missing. The answer is what somebody has
/// added to one of them, if it is seen: something of it would go where a row is replaced by another
/// one of its key.
pub(super) async fn prepare(
    mut connection: Connection,
    shapes: &[Shape],
) -> Result<Option<String>, SinkError> {
    let mut missing = Vec::new();
    let mut addition = None;
    for shape in shapes {
        match find(&mut connection, &shape.name).await? {
            Some(found) => {
                check(shape, &found)?;
                addition = addition.or_else(|| found.addition(shape));
            }
            None => missing.push(shape),
        }
    }
    for shape in missing {
        connection.run(DOING, shape.create()).await?;
    }
    connection.close().await;
    Ok(addition)
}

/// Whether there is a table of exactly that name.
pub(super) async fn exists(connection: &mut Connection, table: &str) -> Result<bool, SinkError> {
    let place = place(table);
    let sql = format!("SELECT 1 FROM information_schema.tables WHERE {place} LIMIT 1");
    Ok(connection.first::<u8>(DOING, sql).await?.is_some())
}

/// A fresh job must find its tables empty: rows that it did not write would never be counted right.
pub(super) async fn check_empty(connection: &mut Connection, table: &str) -> Result<(), SinkError> {
    if connection.first::<u8>(DOING, format!("SELECT 1 FROM `{table}` LIMIT 1")).await?.is_some() {
        let difference = "it holds rows that no job of this name has written";
        return Err(foreign(table, difference, "use another --table-prefix or database"));
    }
    Ok(())
}

/// A commit table of an earlier version of this program.
pub(super) fn without_writer(table: &str) -> SinkError {
    let fix = "run once with --rebuild, which makes all tables again";
    foreign(table, "it has no column writer, an earlier version made it", fix)
}

pub(super) fn foreign(table: &str, difference: &str, fix: &str) -> SinkError {
    SinkError::Foreign {
        table: table.to_owned(),
        difference: difference.to_owned(),
        fix: fix.to_owned(),
    }
}

/// A table as the server describes it.
#[derive(Clone, Debug, Default)]
struct TableInfo {
    /// `BASE TABLE`, or `VIEW` and the like.
    kind: String,
    engine: String,
    columns: BTreeMap<String, ColumnInfo>,
    /// Per unique key its columns in order, each with the length of its prefix if that is shorter
    /// than the column.
    unique: BTreeMap<String, Vec<(String, Option<u64>)>>,
    /// Its foreign keys and its triggers, as far as the account sees them.
    guards: Vec<String>,
}

impl TableInfo {
    /// What it has beside its shape.
    fn addition(&self, shape: &Shape) -> Option<String> {
        let is_ours = |name: &str| shape.columns.iter().any(|column| column.name == name);
        let column = self.columns.keys().find(|name| !is_ours(name));
        let column = column.map(|name| format!("column {name}"));
        let addition = column.or_else(|| self.guards.first().cloned())?;
        Some(format!("table {} has the {addition} of somebody else", shape.name))
    }
}

#[derive(Clone, Debug)]
struct ColumnInfo {
    /// Its type in capitals.
    kind: String,
    is_optional: bool,
    charset: Option<String>,
    collation: Option<String>,
    /// Whether an insert that does not name it works.
    is_omissible: bool,
}

/// The condition that finds a table. The first comparison finds it quickly; the second compares
/// byte by byte, because `Users` is another table than `users`.
pub(super) fn place(table: &str) -> String {
    format!(
        "table_schema = DATABASE() AND table_name = '{table}' AND table_name = {}",
        hexadecimal(table)
    )
}

/// What the server says of a table; `None` where there is none of that name.
async fn find(connection: &mut Connection, table: &str) -> Result<Option<TableInfo>, SinkError> {
    let place = place(table);
    let query =
        format!("SELECT table_type, engine FROM information_schema.tables WHERE {place} LIMIT 1");
    let Some((kind, engine)) = connection.first::<(String, Option<String>)>(DOING, query).await?
    else {
        return Ok(None);
    };
    let columns_query = format!(
        "SELECT column_name, column_type, is_nullable = 'YES', character_set_name, collation_name, \
         is_nullable = 'YES' OR column_default IS NOT NULL OR extra <> '' \
         FROM information_schema.columns WHERE {place}"
    );
    let columns = connection.all(DOING, columns_query).await?.into_iter();
    let column = |(name, stored_kind, is_optional, charset, collation, is_omissible)| {
        let stored_kind: String = stored_kind;
        let column_kind = stored_kind.to_uppercase();
        (name, ColumnInfo { kind: column_kind, is_optional, charset, collation, is_omissible })
    };
    let columns = columns.map(column).collect();
    let indexes_query = format!(
        "SELECT index_name, COALESCE(column_name, ''), sub_part \
         FROM information_schema.statistics \
         WHERE {place} AND non_unique = 0 ORDER BY index_name, seq_in_index"
    );
    let mut unique: BTreeMap<String, Vec<_>> = BTreeMap::new();
    let parts = connection.all::<(String, String, Option<u64>)>(DOING, indexes_query).await?;
    for (key, name, part) in parts {
        unique.entry(key).or_default().push((name, part));
    }
    let guards_query = format!(
        "SELECT CONCAT('foreign key ', constraint_name) FROM information_schema.table_constraints \
         WHERE {place} AND constraint_type = 'FOREIGN KEY' \
         UNION ALL SELECT CONCAT('trigger ', trigger_name) FROM information_schema.triggers \
         WHERE event_object_schema = DATABASE() AND event_object_table = {}",
        hexadecimal(table)
    );
    let guards = connection.all(DOING, guards_query).await?;
    Ok(Some(TableInfo { kind, engine: engine.unwrap_or_default(), columns, unique, guards }))
}

/// The first difference between a table and its shape, as an error with the statement against it.
fn check(shape: &Shape, found: &TableInfo) -> Result<(), SinkError> {
    let name = &shape.name;
    let alter = |change: String| format!("run: ALTER TABLE `{name}` {change}");
    let refuse = |difference: String, fix: String| Err(foreign(name, &difference, &fix));
    let elsewhere = || "use another --table-prefix or database".to_owned();
    if found.kind != "BASE TABLE" {
        return refuse(format!("it is a {}", found.kind.to_lowercase()), elsewhere());
    }
    if is_old(name, found.columns.keys()) {
        let fix = format!("run `tweetflow legacy`, which renames it to legacy_{name} as it is");
        return refuse("it is a table of the old program".to_owned(), fix);
    }
    if found.engine != "InnoDB" {
        let difference = format!("its engine is {}, which may not roll back", found.engine);
        return refuse(difference, alter("ENGINE=InnoDB".to_owned()));
    }
    for (index, column) in shape.columns.iter().enumerate() {
        let Some(stored) = found.columns.get(column.name) else {
            if column.name == WRITER {
                return Err(without_writer(name));
            }
            return refuse(format!("it has no column {}", column.name), elsewhere());
        };
        if let Some(difference) = column_difference(column, stored, index < shape.key) {
            let difference = format!("column {} {difference}", column.name);
            return refuse(difference, alter(format!("MODIFY {}", column.definition())));
        }
    }
    for (column, stored) in &found.columns {
        let ours = shape.columns.iter().any(|known| known.name == column);
        if !ours && !stored.is_omissible {
            let difference = format!("column {column} has no default, so no row could be added");
            return refuse(difference, alter(format!("ALTER `{column}` SET DEFAULT …")));
        }
    }
    let wanted: Vec<_> =
        shape.columns[..shape.key].iter().map(|column| (column.name.to_owned(), None)).collect();
    let primary = found.unique.get("PRIMARY");
    if primary != Some(&wanted) {
        let difference = primary.map_or("it has no primary key".to_owned(), |columns| {
            format!("its primary key is ({})", key_text(columns))
        });
        let drop = primary.map_or("", |_| "DROP PRIMARY KEY, ");
        return refuse(difference, alter(format!("{drop}ADD PRIMARY KEY ({})", shape.key_names())));
    }
    if let Some((key, columns)) = found.unique.iter().find(|(key, _)| *key != "PRIMARY") {
        let columns = key_text(columns);
        let difference =
            format!("its unique key {key} ({columns}) would let a row overwrite another one");
        return refuse(difference, alter(format!("DROP INDEX `{key}`")));
    }
    Ok(())
}

fn key_text(columns: &[(String, Option<u64>)]) -> String {
    let text = |(name, part): &(String, Option<u64>)| match part {
        Some(length) => format!("{name}({length})"),
        None => name.clone(),
    };
    columns.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn column_difference(shape: &ColumnShape, found: &ColumnInfo, is_key: bool) -> Option<String> {
    if !holds(&found.kind, &shape.kind) {
        return Some(format!("is {}, not {}", found.kind, shape.kind));
    }
    if found.is_optional != shape.is_optional {
        let (not, wanted) = if shape.is_optional { ("not ", "") } else { ("", "not ") };
        return Some(format!("may {not}be NULL, and must {wanted}"));
    }
    if !shape.is_text {
        return None;
    }
    let charset = found.charset.as_deref().unwrap_or_default();
    if charset != "utf8mb4" {
        return Some(format!("has the character set {charset}, which cannot hold every text"));
    }
    let collation = found.collation.as_deref().unwrap_or_default();
    // How a column that is no key compares is the reader's own affair.
    (is_key && !BYTEWISE.contains(&collation))
        .then(|| format!("compares by {collation}, to which different keys are equal"))
}

/// Whether a column of type `found` holds whatever one of type `wanted` holds, and gives it back
/// the same. MariaDB writes a number's width of display, `BIGINT(20) UNSIGNED`; it means nothing.
fn holds(found: &str, wanted: &str) -> bool {
    let parts = |kind: &str| -> Option<(String, u32)> {
        let (name, rest) = kind.split_once('(')?;
        Some((name.to_owned(), rest.strip_suffix(')')?.parse().ok()?))
    };
    match (parts(found), parts(wanted)) {
        (Some((found, length)), Some((wanted, least))) if found.starts_with("VAR") => {
            found == wanted && length >= least
        }
        _ if wanted == "TEXT" => matches!(found, "TEXT" | "MEDIUMTEXT" | "LONGTEXT"),
        _ => found.replace("BIGINT(20)", "BIGINT").replace("TINYINT(3)", "TINYINT") == wanted,
    }
}

/// The old tables with all of their columns, by name.
pub(super) const OLD: [(&str, &[&str]); 2] =
    [("hashtags", &["hashtag"]), ("users", &["nb_friends", "username"])];

/// Whether a table with these columns, in the order of their names, is one of the old program's.
fn is_old<'a>(table: &str, columns: impl Iterator<Item = &'a String>) -> bool {
    let columns: Vec<_> = columns.collect();
    OLD.iter().any(|(name, old)| *name == table && columns == *old)
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn a_column_may_be_longer_and_never_shorter() {
        assert!(holds("VARCHAR(255)", "VARCHAR(255)") && holds("VARCHAR(300)", "VARCHAR(255)"));
        assert!(!holds("VARCHAR(254)", "VARCHAR(255)") && !holds("VARBINARY(255)", "VARCHAR(255)"));
        assert!(!holds("CHAR(255)", "VARCHAR(255)") && !holds("TEXT", "VARCHAR(255)"));
        assert!(holds("BIGINT(20) UNSIGNED", "BIGINT UNSIGNED") && holds("BIGINT(20)", "BIGINT"));
        assert!(holds("TINYINT(3) UNSIGNED", "TINYINT UNSIGNED"));
        assert!(!holds("BIGINT", "BIGINT UNSIGNED") && !holds("INT(11)", "BIGINT"));
        assert!(holds("DATETIME(3)", "DATETIME(3)") && !holds("DATETIME", "DATETIME(3)"));
        assert!(holds("LONGTEXT", "TEXT") && !holds("TINYTEXT", "TEXT"));
    }
}

//! What others have attached to the tables: a rebuild would drop it with the old tables.
//!
//! Plain indexes are carried over to the new tables. Everything else ends a rebuild before anything
//! is renamed. A view reads a table by its name, so it needs nothing. What the account may not see
//! (triggers need the right TRIGGER) is not found.

use super::connection::Connection;
use super::schema::place;
use super::{SinkError, hexadecimal};
use crate::ddl::Shape;
use std::collections::BTreeMap;
use types::prefix::Prefix;

const DOING: &str = "looking for what others have attached to the tables";

/// What there is beside the tables' own shape.
#[derive(Default)]
pub(super) struct Attached {
    /// What cannot be carried over, in words.
    lost: Vec<String>,
    /// Of each table, as it is declared, its further indexes: their names and definitions.
    pub(super) indexes: Vec<(String, String, String)>,
}

/// Looks at the tables under `prefix`; `shapes` are theirs without the prefix.
pub(super) async fn find(
    connection: &mut Connection,
    prefix: &Prefix,
    shapes: &[Shape],
) -> Result<Attached, SinkError> {
    let mut attached = Attached::default();
    for shape in shapes {
        let table = prefix.table(&shape.name);
        let things = things(connection, &table).await?;
        attached.lost.extend(things.into_iter().map(|thing| format!("{thing} of {table}")));
        let place = place(&table);
        let sql =
            format!("SELECT column_name FROM information_schema.columns WHERE {place} ORDER BY 1");
        let is_ours = |name: &str| shape.columns.iter().any(|column| column.name == name);
        for column in connection.all::<String>(DOING, sql).await? {
            if !is_ours(&column) {
                attached.lost.push(format!("column {column} of {table}"));
            }
        }
        for (index, parts) in indexes(connection, &table).await? {
            if shape.columns.iter().any(|column| column.has_index && column.name == index) {
                continue;
            }
            match parts.into_iter().collect::<Option<Vec<_>>>() {
                Some(parts) => {
                    let definition = format!("INDEX `{index}` ({})", parts.join(", "));
                    attached.indexes.push((shape.name.clone(), index, definition));
                }
                None => attached.lost.push(format!("index {index} of {table}")),
            }
        }
    }
    Ok(attached)
}

impl Attached {
    /// An error if something would be lost.
    pub(super) fn refuse(self) -> Result<Self, SinkError> {
        if self.lost.is_empty() {
            return Ok(self);
        }
        Err(SinkError::Attached { list: self.lost.join(", ") })
    }
}

/// Triggers, constraints, keys of other tables that refer to this one, partitions.
async fn things(connection: &mut Connection, table: &str) -> Result<Vec<String>, SinkError> {
    let (place, name) = (place(table), hexadecimal(table));
    let sql = format!(
        "SELECT CONCAT('trigger ', trigger_name) FROM information_schema.triggers \
         WHERE event_object_schema = DATABASE() AND event_object_table = {name} \
         UNION ALL SELECT CONCAT(LOWER(constraint_type), ' ', constraint_name) \
         FROM information_schema.table_constraints \
         WHERE {place} AND constraint_type IN ('FOREIGN KEY', 'CHECK') \
         UNION ALL SELECT CONCAT('foreign key ', constraint_name, ' of table ', table_name, ' to rows') \
         FROM information_schema.referential_constraints \
         WHERE unique_constraint_schema = DATABASE() AND referenced_table_name = {name} \
         AND table_name <> {name} \
         UNION ALL SELECT CONCAT('partition ', partition_name) FROM information_schema.partitions \
         WHERE {place} AND partition_name IS NOT NULL"
    );
    connection.all(DOING, sql).await
}

/// The indexes but for the primary key, each with its parts as a definition has them; `None` for a
/// part or a kind of index that is not plain.
async fn indexes(
    connection: &mut Connection,
    table: &str,
) -> Result<BTreeMap<String, Vec<Option<String>>>, SinkError> {
    type Part = (String, u8, Option<String>, Option<u64>, Option<String>, String);
    let place = place(table);
    let sql = format!(
        "SELECT index_name, non_unique, column_name, sub_part, collation, index_type \
         FROM information_schema.statistics WHERE {place} AND index_name <> 'PRIMARY' \
         ORDER BY index_name, seq_in_index"
    );
    let mut indexes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (index, non_unique, column, length, order, kind) in
        connection.all::<Part>(DOING, sql).await?
    {
        let column = column.filter(|_| non_unique == 1 && kind == "BTREE");
        let part = column.map(|column| {
            let length = length.map_or(String::new(), |length| format!("({length})"));
            let order = if order.as_deref() == Some("D") { " DESC" } else { "" };
            format!("`{column}`{length}{order}")
        });
        indexes.entry(index).or_default().push(part);
    }
    Ok(indexes)
}

//! Dead letters by hand: looked at, and marked to be tried again.

use super::{DOING_READ, SinkError, SqliteSink, read_rows, refused, sql};
use crate::dead_letters::{DeadLetter, TABLE};
use crate::sink::{Chosen, Prefix};
use rusqlite::params;

/// What [`Chosen`] means; a NULL parameter means any.
const CONDITION: &str = "(?1 IS NULL OR reason = ?1) AND (?2 IS NULL OR partition_id = ?2) \
                         AND (?3 IS NULL OR `offset` = ?3)";

impl SqliteSink {
    /// How many there are, and the first `limit` of them by place.
    pub fn dead_letters(
        &self,
        prefix: &Prefix,
        chosen: Chosen<'_>,
        limit: u64,
    ) -> Result<(u64, Vec<DeadLetter>), SinkError> {
        let connection = self.open_existing()?;
        let mut letters = Vec::new();
        let query =
            format!("{} ORDER BY topic, partition_id, `offset`", sql::select(prefix, &TABLE));
        read_rows(&connection, &query, (0, &TABLE), &mut |rows| {
            let rows = rows.iter().filter_map(|restored| DeadLetter::of(&restored.row));
            letters.extend(rows.filter(|letter| chosen.includes(letter)));
        })?;
        let count = letters.len() as u64;
        letters.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok((count, letters))
    }

    /// Marks them; returns how many had no mark.
    pub fn mark_dead_letters(&self, prefix: &Prefix, chosen: Chosen<'_>) -> Result<u64, SinkError> {
        let connection = self.open_existing()?;
        let table = prefix.table(TABLE.name);
        let sql = format!("UPDATE `{table}` SET retry = 1 WHERE {CONDITION} AND retry = 0");
        let offset = chosen.offset.map(u64::cast_signed);
        let marked = connection
            .execute(&sql, params![chosen.reason, chosen.partition, offset])
            .map_err(|error| refused(DOING_READ, &error))?;
        Ok(marked as u64)
    }
}

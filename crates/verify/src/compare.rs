//! Two sorted lists of keys beside each other: what only one of them has, and what differs.

use super::runs::Entry;
use super::state::Tally;
use itertools::{EitherOrBoth, Itertools};
use std::cmp::Ordering;
use std::fmt::Write;
use std::io::Result;
use types::table::shown;
use types::{Row, Table, Value};

/// What is wrong with one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The table has no such row.
    Missing(Tally),
    /// The table has a row that should not be.
    Surplus(Row),
    /// The table has other values.
    Changed { stored: Row, recount: Row },
    /// The table has more or less than there may be, or no row.
    Outside { stored: Option<Row>, least: i64, most: i64 },
}

/// By key; a fault comes out as early as it can.
pub(super) fn by_key(one: &Result<Entry>, other: &Result<Entry>) -> Ordering {
    match (one, other) {
        (Ok(one), Ok(other)) => one.0.cmp(&other.0),
        (Err(_), _) => Ordering::Less,
        (_, Err(_)) => Ordering::Greater,
    }
}

/// Calls `differ` for each key that differs, and `rows` for each stored row, in order.
pub(super) fn compare(
    stored: impl Iterator<Item = Result<Entry>>,
    recount: impl Iterator<Item = Result<Entry>>,
    rows: &mut dyn FnMut(&Entry) -> Result<()>,
    differ: &mut dyn FnMut(u8, &Row, Wrong) -> Result<()>,
) -> Result<()> {
    for pair in stored.merge_join_by(recount, by_key) {
        let (key, wrong) = match pair {
            EitherOrBoth::Left(surplus) => {
                let entry = surplus?;
                rows(&entry)?;
                let (key, state) = entry;
                let row = state.row().cloned().unwrap_or_default();
                (key, Some(Wrong::Surplus(row)))
            }
            EitherOrBoth::Right(counted) => {
                let (key, state) = counted?;
                (key, missing(state))
            }
            EitherOrBoth::Both(there, counted) => {
                let (entry, (_, state)) = (there?, counted?);
                rows(&entry)?;
                let row = entry.1.row().cloned().unwrap_or_default();
                let wrong = changed(&entry.0.1, row, &state);
                (entry.0, wrong)
            }
        };
        if let Some(wrong) = wrong {
            differ(key.0, &key.1, wrong)?;
        }
    }
    Ok(())
}

/// What is wrong where the table has no row.
fn missing(state: Tally) -> Option<Wrong> {
    match state {
        Tally::Count(..=0) | Tally::Taken(0) => None,
        Tally::Range { least, most } => Some(Wrong::Outside { stored: None, least, most }),
        state => Some(Wrong::Missing(state)),
    }
}

/// What is wrong where it has one.
fn changed(key: &Row, stored: Row, state: &Tally) -> Option<Wrong> {
    match *state {
        Tally::Count(..=0) => return Some(Wrong::Surplus(stored)),
        Tally::Range { least, most } => {
            return Some(Wrong::Outside { stored: Some(stored), least, most });
        }
        _ => {}
    }
    let recount = row(key, state).filter(|row| *row != stored);
    recount.map(|recount| Wrong::Changed { stored, recount })
}

/// The row that should stand; `None` where there should be none, where any would do, and where it
/// is not known.
pub(super) fn row(key: &Row, state: &Tally) -> Option<Row> {
    match state {
        Tally::Count(count) | Tally::Taken(count) => {
            let count = u64::try_from(*count).ok().filter(|count| *count > 0)?;
            Some(key.iter().cloned().chain([Value::UInt(count)]).collect())
        }
        Tally::Spelt { uses, shown, .. } => {
            let values = [Value::UInt(*uses), Value::Text(shown.clone())];
            Some(key.iter().cloned().chain(values).collect())
        }
        Tally::Newest(_, row) | Tally::Row(row) => Some(row.clone()),
        Tally::Range { .. } | Tally::Present => None,
    }
}

/// One line: table, key, and what is wrong with which columns.
pub(super) fn line(table: &Table, key: &Row, wrong: &Wrong) -> String {
    let mut line = table.name.to_owned();
    push(&mut line, table, key, 0..table.key, "");
    let values = table.key..table.columns.len();
    match wrong {
        Wrong::Missing(state) => {
            line.push_str(": missing");
            if let Some(row) = row(key, state) {
                push(&mut line, table, &row, values, ", the recount has");
            }
        }
        Wrong::Surplus(row) => {
            line.push_str(": surplus");
            push(&mut line, table, row, values, ", the table has");
        }
        Wrong::Changed { stored, recount } => {
            let differs = values.filter(|at| stored.get(*at) != recount.get(*at)).collect_vec();
            push(&mut line, table, stored, differs.iter().copied(), ": the table has");
            push(&mut line, table, recount, differs.into_iter(), ", the recount has");
        }
        Wrong::Outside { stored, least, most } => {
            match stored {
                Some(stored) => push(&mut line, table, stored, values, ": the table has"),
                None => line.push_str(": missing"),
            }
            let column = table.columns.last().map_or("", |column| column.name);
            let _ = write!(line, ", the recount has {column}={least} to {most}");
        }
    }
    line
}

fn push(
    line: &mut String,
    table: &Table,
    row: &Row,
    columns: impl Iterator<Item = usize>,
    before: &str,
) {
    line.push_str(before);
    line.push_str(&shown(table, row, columns));
}

#[cfg(test)]
mod tests {
    use super::{Tally, Value, compare, line};
    use types::Row;

    #[test]
    fn each_difference_is_one_line_that_names_it() {
        let table = dataflows::tables::hashtags::TABLE;
        let key = |tag: &str| -> Row { [Value::Text(tag.into())].into() };
        let stored = |tag: &str, uses| {
            let row = [Value::Text(tag.into()), Value::UInt(uses)].into();
            Ok(((0, key(tag)), Tally::Row(row)))
        };
        let counted = |tag: &str, uses| Ok(((0, key(tag)), Tally::Count(uses)));
        let ranged = |tag: &str, least, most| Ok(((0, key(tag)), Tally::Range { least, most }));
        let taken = |tag: &str, uses| Ok(((0, key(tag)), Tally::Taken(uses)));
        let stored = [
            stored("a", 1),
            stored("b", 2),
            stored("d\u{202e}", 4),
            stored("e", 9),
            stored("g", 5),
            stored("i", 6),
        ];
        let recount = [
            counted("a", 1),
            counted("b", 3),
            counted("c", 1),
            ranged("e", 1, 8),
            ranged("f", 1, 2),
            taken("g", 5),
            taken("h", 0),
            counted("i", 0),
            counted("j", 0),
        ];
        let (mut lines, mut rows) = (Vec::new(), 0);
        compare(
            stored.into_iter(),
            recount.into_iter(),
            &mut |_| {
                rows += 1;
                Ok(())
            },
            &mut |_, different, wrong| {
                lines.push(line(&table, different, &wrong));
                Ok(())
            },
        )
        .expect("no file");
        assert_eq!(rows, 6);
        assert_eq!(
            lines,
            [
                "hashtags hashtag=\"b\": the table has uses=2, the recount has uses=3",
                "hashtags hashtag=\"c\": missing, the recount has uses=1",
                "hashtags hashtag=\"d\\u{202e}\": surplus, the table has uses=4",
                "hashtags hashtag=\"e\": the table has uses=9, the recount has uses=1 to 8",
                "hashtags hashtag=\"f\": missing, the recount has uses=1 to 2",
                "hashtags hashtag=\"i\": surplus, the table has uses=6",
            ]
        );
    }
}

//! What became of the records that were read, for the last line of `run`, `demo` and `verify`.
//!
//! It reads rows of `totals` and `dead_letter_overflow`; it counts nothing itself. Invariant: the
//! line names every reason for which a record or a tweet does not count.

use crate::dead_letter::{OVERFLOW_TABLE_NAME, OverflowRange};
use crate::{Row, Value};
use std::fmt::{Display, Formatter};

/// The name in the line, and the name of the row in `totals`.
const TOTALS: [(&str, &str); 9] = [
    ("tweets", "tweets"),
    ("duplicates", "duplicates"),
    ("deleted", "deleted"),
    ("late_tweets", "late_posts"),
    ("late_deletes", "late_deletes"),
    ("late_edits", "late_edits"),
    ("superseded", "superseded"),
    ("filtered", "filtered"),
    ("keep_alive", "keep_alive"),
];

/// Numbers of all runs of a job, as its tables have them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    totals: [u64; TOTALS.len()],
    /// Records that cannot be counted and have no row in `dead_letters`.
    pub dead_letter_overflow: u64,
}

impl Outcome {
    /// From a function that returns a number of `totals`.
    pub fn new(total: impl Fn(&str) -> u64, dead_letter_overflow: u64) -> Self {
        Outcome { totals: TOTALS.map(|(_, row)| total(row)), dead_letter_overflow }
    }

    /// Takes a row of any table.
    pub fn see(&mut self, table: &str, row: &Row) {
        if table == OVERFLOW_TABLE_NAME {
            self.dead_letter_overflow +=
                OverflowRange::of(row).map_or(0, |(_, range)| range.records);
        } else if table == "totals"
            && let [Value::Text(name), Value::UInt(records)] = &row[..]
            && let Some(at) = TOTALS.iter().position(|(_, total)| *total == &**name)
        {
            self.totals[at] = *records;
        }
    }
}

impl Display for Outcome {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        for ((name, _), records) in TOTALS.iter().zip(self.totals) {
            write!(formatter, "{name}={records} ")?;
        }
        write!(formatter, "dead_letter_overflow={}", self.dead_letter_overflow)
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, OverflowRange, TOTALS, Value};
    use crate::dead_letter::{OVERFLOW_TABLE_NAME, OverflowKey};

    #[test]
    fn rows_and_numbers_make_the_same_line() {
        let mut outcome = Outcome::default();
        for ((_, name), records) in TOTALS.iter().zip(1..) {
            outcome.see("totals", &[Value::Text((*name).into()), Value::UInt(records)].into());
        }
        outcome.see("totals", &[Value::Text("tombstone".into()), Value::UInt(99)].into());
        for partition in 0..2 {
            let range = OverflowRange { first: 5, last: 50, records: 20 };
            outcome
                .see(OVERFLOW_TABLE_NAME, &range.row("t", OverflowKey { partition, decoder: 1 }));
        }
        let number = |name: &str| TOTALS.iter().zip(1..).find(|((_, row), _)| *row == name);
        let same = Outcome::new(|name| number(name).expect("it is named").1, 40);
        assert_eq!(outcome, same);
        assert_eq!(
            outcome.to_string(),
            "tweets=1 duplicates=2 deleted=3 late_tweets=4 late_deletes=5 late_edits=6 \
             superseded=7 filtered=8 keep_alive=9 dead_letter_overflow=40"
        );
    }
}

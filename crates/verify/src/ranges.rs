//! Ranges beside what stands: where the table's number is one of those that there may be, it is
//! taken.
//!
//! So what is made of such rows (rankings, sums over spellings, trends) is held against the table
//! by the numbers that the table itself has. What lies outside stays a range, and is a difference.

use super::compare::by_key;
use super::runs::{Entry, Runs};
use super::state::Tally;
use itertools::{EitherOrBoth, Itertools};
use std::io::Result;

/// The recount, and in it what was taken from the table.
pub(super) fn resolve(stored: &Runs, recount: Runs) -> Result<Runs> {
    let pairs = stored.sorted().merge_join_by(recount.into_sorted(), by_key);
    Runs::of_sorted(pairs.filter_map(|pair| match pair {
        EitherOrBoth::Left(surplus) => surplus.err().map(Err),
        EitherOrBoth::Right(counted) => Some(counted.map(|entry| take(entry, None))),
        EitherOrBoth::Both(there, counted) => Some(there.and_then(|(_, tally)| {
            let number = tally.row().and_then(|row| row.last()?.as_u64());
            Ok(take(counted?, number.and_then(|number| i64::try_from(number).ok())))
        })),
    }))
}

/// Takes the table's number, if it may be; a table without that row has none of it.
fn take((key, state): Entry, stored: Option<i64>) -> Entry {
    let Tally::Range { least, most } = state else { return (key, state) };
    let number = stored.unwrap_or(0);
    let may_be = (least..=most).contains(&number) && stored != Some(0);
    (key, if may_be { Tally::Taken(number) } else { state })
}

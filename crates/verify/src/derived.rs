//! What the tables that are made of another one's rows should hold: those rows pass by once, the
//! best are kept, or each adds to some sums.

use super::VerifyPlan;
use super::compare::row;
use super::runs::{Entry, Runs};
use super::state::Tally;
use decode::fold;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::Result;
use types::{Row, Value};

/// Ranks that are shown.
const SHOWN: usize = 100;

/// The meaning of a table that ranks another one.
pub(super) struct Ranked {
    pub(super) table: &'static str,
    /// The table whose rows are ranked.
    pub(super) of: &'static str,
    /// The column that decides; rows without a number there are not ranked.
    by: usize,
    /// The columns that are shown behind the rank.
    shown: &'static [usize],
}

/// The tables that rank another one. Each stands behind that one in the list of all tables.
pub(super) const RANKED: &[Ranked] = &[
    Ranked { table: "top_hashtags", of: "hashtags", by: 1, shown: &[0, 1] },
    Ranked { table: "top_users", of: "users", by: 2, shown: &[0, 1, 2, 3] },
    Ranked { table: "top_hashtag_pairs", of: "hashtag_pairs", by: 2, shown: &[0, 1, 2] },
];

/// The meaning of a table whose rows are sums over another one's.
pub(super) struct Summed {
    pub(super) table: &'static str,
    /// The table whose rows are added up.
    pub(super) of: &'static str,
    /// What a row adds to which key.
    adds: fn(&Row) -> Option<(Row, Tally)>,
}

/// These tables. Each stands behind the one that it is made of.
pub(super) const SUMMED: &[Summed] = &[
    Summed { table: "friends_histogram", of: "users", adds: friends },
    Summed { table: "hashtags_folded", of: "hashtags", adds: spelling },
];

/// The tables that are made of another one's rows: they and that one.
pub(super) fn derived() -> impl Iterator<Item = (&'static str, &'static str)> {
    let ranked = RANKED.iter().map(|ranked| (ranked.table, ranked.of));
    ranked.chain(SUMMED.iter().map(|summed| (summed.table, summed.of)))
}

/// 0 to 249, 250 to 499 and so on to 9,999; then all others in one.
fn friends(user: &Row) -> Option<(Row, Tally)> {
    let friends = user[2].as_i64().filter(|friends| *friends >= 0)?.cast_unsigned();
    let bucket = if friends < 10_000 { friends / 250 * 250 } else { 10_000 };
    Some(([Value::UInt(bucket)].into(), Tally::Count(1)))
}

fn spelling(hashtag: &Row) -> Option<(Row, Tally)> {
    let (tag, uses) = (hashtag[0].as_text()?, hashtag[1].as_u64()?);
    let state = Tally::Spelt { uses, most: uses, shown: tag.into() };
    Some(([Value::Text(fold(tag))].into(), state))
}

impl Ranked {
    fn score(&self, row: &Row) -> Option<i128> {
        match row[self.by] {
            Value::UInt(number) => Some(number.into()),
            Value::Int(number) => Some(number.into()),
            _ => None,
        }
    }
}

/// A table while the rows that it is made of pass by.
struct Making {
    table: u8,
    of: u8,
    made: Made,
}

enum Made {
    Ranking(&'static Ranked, BTreeMap<(Reverse<i128>, Row), Row>),
    Sums(&'static Summed, Runs),
}

impl Making {
    fn all(plan: &VerifyPlan) -> Vec<Self> {
        let making = |table: &str, of: &str, made: Made| {
            let (table, of) = (plan.index(table)?, plan.index(of)?);
            plan.is_whole(table).then_some(Making { table, of, made })
        };
        let ranking = |ranked: &'static Ranked| {
            making(ranked.table, ranked.of, Made::Ranking(ranked, BTreeMap::new()))
        };
        let sums = |summed: &'static Summed| {
            making(summed.table, summed.of, Made::Sums(summed, Runs::new(plan.memory)))
        };
        let sums = SUMMED.iter().filter_map(sums);
        let mut all: Vec<_> = RANKED.iter().filter_map(ranking).chain(sums).collect();
        all.sort_by_key(|derived| derived.table);
        all
    }

    fn see(&mut self, (key, state): &Entry) -> Result<()> {
        let Some(row) = row(&key.1, state).filter(|_| key.0 == self.of) else { return Ok(()) };
        match &mut self.made {
            Made::Ranking(ranked, best) => {
                if let Some(score) = ranked.score(&row) {
                    best.insert((Reverse(score), key.1.clone()), row);
                    if best.len() > SHOWN {
                        best.pop_last();
                    }
                }
                Ok(())
            }
            Made::Sums(summed, sums) => match (summed.adds)(&row) {
                Some((group, sum)) => sums.add((self.table, group), sum),
                None => Ok(()),
            },
        }
    }

    fn entries(self) -> Box<dyn Iterator<Item = Result<Entry>>> {
        let table = self.table;
        let (ranked, best) = match self.made {
            Made::Sums(_, sums) => return Box::new(sums.into_sorted()),
            Made::Ranking(ranked, best) => (ranked, best),
        };
        Box::new((1..).zip(best.into_values()).map(move |(rank, best_row)| {
            let columns = ranked.shown.iter().map(|column| best_row[*column].clone());
            let row: Row = [Value::UInt(rank)].into_iter().chain(columns).collect();
            Ok(((table, row[..1].into()), Tally::Row(row)))
        }))
    }
}

/// All entries, and in their place those of the tables that are made of them.
pub(super) fn with_derived(
    plan: &VerifyPlan,
    entries: impl Iterator<Item = Result<Entry>>,
) -> impl Iterator<Item = Result<Entry>> {
    let mut open = Making::all(plan);
    // An end, behind which no table stands.
    let entries = entries.map(Some).chain([None]);
    entries.flat_map(move |entry| {
        let next = match &entry {
            Some(Ok((key, _))) => key.0,
            _ => u8::MAX,
        };
        let passed: Vec<_> = open.extract_if(.., |making| making.table < next).collect();
        let mut fault = None;
        if let Some(Ok(entry)) = &entry {
            for making in &mut open {
                fault = making.see(entry).err().map(Err).or(fault);
            }
        }
        passed.into_iter().flat_map(Making::entries).chain(entry).chain(fault)
    })
}

//! What the tables that rank another one should hold: all of its rows passed by once, the best kept.

use super::Plan;
use super::compare::row;
use super::model::State;
use super::runs::Entry;
use dataflows::{Row, Value};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::Result;

/// Ranks that are shown.
const SHOWN: usize = 100;

/// The meaning of one table.
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
];

impl Ranked {
    fn score(&self, row: &Row) -> Option<i128> {
        match row[self.by] {
            Value::UInt(number) => Some(number.into()),
            Value::Int(number) => Some(number.into()),
            _ => None,
        }
    }
}

/// A ranking while the rows pass by.
struct Ranking {
    ranked: &'static Ranked,
    table: u8,
    of: u8,
    best: BTreeMap<(Reverse<i128>, Row), Row>,
}

impl Ranking {
    fn see(&mut self, (key, state): &Entry) {
        let Some(row) = row(&key.1, state).filter(|_| key.0 == self.of) else { return };
        if let Some(score) = self.ranked.score(&row) {
            self.best.insert((Reverse(score), key.1.clone()), row);
            if self.best.len() > SHOWN {
                self.best.pop_last();
            }
        }
    }

    fn entries(self) -> impl Iterator<Item = Result<Entry>> {
        (1..).zip(self.best.into_values()).map(move |(rank, row)| {
            let columns = self.ranked.shown.iter().map(|column| row[*column].clone());
            let row: Row = [Value::UInt(rank)].into_iter().chain(columns).collect();
            Ok(((self.table, row[..1].into()), State::Row(row)))
        })
    }
}

/// All entries, and in their place those of the rankings that are looked at.
pub(super) fn with_rankings(
    plan: &Plan,
    entries: impl Iterator<Item = Result<Entry>>,
) -> impl Iterator<Item = Result<Entry>> {
    let meant = RANKED.iter().filter(|ranked| plan.is_whole(ranked.table));
    let ranking = |ranked: &'static Ranked| {
        let (table, of) = (plan.index(ranked.table), plan.index(ranked.of));
        Ranking { ranked, table, of, best: BTreeMap::new() }
    };
    let mut open: Vec<_> = meant.map(ranking).collect();
    // An end, behind which no table stands.
    let entries = entries.map(Some).chain([None]);
    entries.flat_map(move |entry| {
        let next = match &entry {
            Some(Ok((key, _))) => key.0,
            _ => u8::MAX,
        };
        let passed = open.extract_if(.., |ranking| ranking.table < next);
        let mut all: Vec<_> = passed.flat_map(Ranking::entries).collect();
        if let Some(Ok(entry)) = &entry {
            for ranking in &mut open {
                ranking.see(entry);
            }
        }
        all.extend(entry);
        all
    })
}

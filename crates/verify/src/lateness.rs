//! What the tables say of how they were counted: the rows of `floors` and `totals`.

use std::collections::BTreeMap;
use types::{Row, Text, Value};

/// Tweets and deletes that were dead letters before, in `totals`.
const RETRIED: &str = "retried";

/// Rows of `floors` and `totals`, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct LatenessEvidence {
    floors: BTreeMap<Text, u64>,
    totals: BTreeMap<Text, u64>,
}

impl LatenessEvidence {
    /// Notes a row, if it is of these tables.
    pub(super) fn see(&mut self, table: &str, row: &Row) {
        let rows = match table {
            "floors" => &mut self.floors,
            "totals" => &mut self.totals,
            _ => return,
        };
        if let [Value::Text(name), Value::UInt(number)] = &row[..] {
            rows.insert(name.clone(), *number);
        }
    }

    /// Whether the job ever had a ledger.
    pub(super) fn has_ledger(&self) -> bool {
        self.floors.contains_key("span")
    }

    /// What was said of tweets up to this id was counted without a ledger, or partly so.
    pub(super) fn forgotten(&self) -> Option<u64> {
        self.floors.get("forgotten").copied()
    }

    /// The ledger remembers what is not below.
    pub(super) fn floor(&self) -> u64 {
        self.floors.get("ledger").copied().unwrap_or(0)
    }

    /// Whether dead letters were counted since the tables said `before`. The job read them long
    /// after their place, and which they were is stored nowhere.
    pub(super) fn is_retried(&self, before: &LatenessEvidence) -> bool {
        self.total(RETRIED) > before.total(RETRIED)
    }

    /// The row of `totals` whose number nothing else tells.
    pub(super) fn unknown_total(&self) -> Option<&'static str> {
        (self.total(RETRIED) > 0).then_some(RETRIED)
    }

    /// What stands in `totals` under this name.
    pub(super) fn total(&self, name: &str) -> i64 {
        self.totals.get(name).map_or(0, |number| i64::try_from(*number).unwrap_or(i64::MAX))
    }

    /// How many posts were counted, as one thing or another.
    pub(super) fn posts(&self) -> i64 {
        let names = ["tweets", "deleted", "superseded", "duplicates"];
        names.into_iter().fold(0, |sum, name| sum.saturating_add(self.total(name)))
    }

    /// The rows of `floors` that ids have: names, with the number where that is known. `newest` is
    /// the greatest id that another clock bears out.
    pub(super) fn floors(&self, newest: Option<u64>) -> Vec<(&'static str, Option<u64>)> {
        let is_there = |name: &str| self.floors.contains_key(name);
        if !self.has_ledger() {
            let forgotten = newest.filter(|_| is_there("forgotten"));
            return forgotten.map(|id| ("forgotten", Some(id))).into_iter().collect();
        }
        let any =
            ["forgotten", "ledger", "span", "memory"].into_iter().filter(|name| is_there(name));
        let mut rows: Vec<_> = any.map(|name| (name, None)).collect();
        if is_there("forgotten") {
            // Without a ledger it was not noted.
            rows.extend(is_there("tweets").then_some(("tweets", None)));
        } else {
            rows.extend(newest.map(|id| ("tweets", Some(id))));
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::LatenessEvidence;
    use types::Value;

    fn evidence(rows: &[(&str, &str, u64)]) -> LatenessEvidence {
        let mut evidence = LatenessEvidence::default();
        for (table, name, number) in rows {
            evidence.see(table, &[Value::Text((*name).into()), Value::UInt(*number)].into());
        }
        evidence
    }

    #[test]
    fn the_rows_of_floors() {
        let never = evidence(&[("floors", "minutes", 5), ("hashtags", "span", 3)]);
        assert!(!never.has_ledger() && never.floors(Some(7)).is_empty());
        let off = evidence(&[("floors", "forgotten", 7)]);
        assert_eq!(off.floors(Some(7)), [("forgotten", Some(7))]);
        let span = ("floors", "span", u64::MAX - 900_000);
        let on = evidence(&[span, ("floors", "ledger", 3), ("floors", "tweets", 1)]);
        assert_eq!(on.floors(Some(7)), [("ledger", None), ("span", None), ("tweets", Some(7))]);
        assert_eq!(on.floors(None), [("ledger", None), ("span", None)]);
        let late = evidence(&[span, ("floors", "forgotten", 3), ("floors", "tweets", 5)]);
        assert_eq!(late.floors(Some(7)), [("forgotten", None), ("span", None), ("tweets", None)]);
        let without_tweets = evidence(&[span, ("floors", "forgotten", 3)]);
        assert_eq!(without_tweets.floors(Some(7)), [("forgotten", None), ("span", None)]);
    }
}

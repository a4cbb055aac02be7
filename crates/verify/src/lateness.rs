//! What the tables say of how they were counted, and which acts on tweets may have come too late.
//!
//! A job with a ledger forgets the tweets below a floor that follows the newest ids; where it was
//! at which moment is stored nowhere. But it was never above what [`NewestTimes`] says: a span
//! below the
//! newest time that had been read. So an act is certainly in time, or possibly late. Where the
//! tables say that nothing was late, nothing was.

use std::collections::BTreeMap;
use types::{Row, Text, Value};

/// Milliseconds since 1970 at which ids begin, and bits of an id below its milliseconds. A copy of
/// `types::snowflake` on purpose: a check shares no code with what it checks.
const IDS: (u64, u32) = (1_288_834_974_657, 22);
const MINUTE_MS: u64 = 60_000;
/// A record may be read so long before another one that is stamped with the same time.
const SLACK_MS: u64 = 10 * MINUTE_MS;

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

    /// The smallest span that its ledger ever had, as a distance of ids.
    pub(super) fn span(&self) -> u64 {
        let smallest = self.floors.get("span").map_or(0, |span| u64::MAX - span);
        smallest.saturating_mul(1 << IDS.1)
    }

    /// What was said of tweets up to this id was counted without a ledger, or partly so.
    pub(super) fn forgotten(&self) -> Option<u64> {
        self.floors.get("forgotten").copied()
    }

    /// The ledger remembers what is not below.
    pub(super) fn floor(&self) -> u64 {
        self.floors.get("ledger").copied().unwrap_or(0)
    }

    /// Whether nothing was late since the tables said `before`.
    pub(super) fn is_in_time(&self, before: &LatenessEvidence) -> bool {
        let names = ["late_posts", "late_deletes", "late_edits"];
        names.into_iter().all(|name| self.total(name) == before.total(name))
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
        let any = ["forgotten", "ledger", "span"].into_iter().filter(|name| is_there(name));
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

/// The least id of a tweet that was written at this time.
pub(super) fn id_at(ms: u64) -> u64 {
    let (begin, bits) = IDS;
    ms.saturating_sub(begin).saturating_mul(1 << bits)
}

/// The newest times that were read, as ids: of each partition, and by the timestamps of records.
#[derive(Debug, Default)]
pub(super) struct NewestTimes {
    partitions: BTreeMap<u32, PartitionTimes>,
    /// From a minute on, the greatest id up to it: minutes and ids rise together.
    minutes: BTreeMap<u64, u64>,
    /// By how much the timestamps of a partition are behind what its tweets prove.
    behind_ms: u64,
}

#[derive(Debug, Default)]
struct PartitionTimes {
    /// The greatest id so far.
    newest: u64,
    /// The timestamp of the last record.
    last_ms: u64,
    /// What is read now was not read before this moment: of each two records the smaller timestamp,
    /// for one may be wrong.
    since_ms: u64,
}

/// When an act was read, as far as the floor of that moment is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReadMoment {
    /// The newest id that was read of its partition before.
    pub(super) newest: u64,
    /// What is stamped with a later minute was not read before.
    pub(super) minute: u64,
}

impl NewestTimes {
    /// An act of a record with this timestamp (0: none), the next one of its partition; `id` stands
    /// for the newest time that it may have proved.
    pub(super) fn read(&mut self, partition: u32, record_ms: u64, id: u64) -> ReadMoment {
        let held = self.partitions.entry(partition).or_default();
        let newest = held.newest;
        held.newest = id.max(newest);
        let since_ms = held.since_ms.max(held.last_ms.min(record_ms));
        let (noted, minute) = if record_ms == 0 {
            ((held.since_ms, id), u64::MAX)
        } else {
            (held.last_ms, held.since_ms) = (record_ms, since_ms);
            let stamped_ms = record_ms.max(since_ms);
            let (begin, bits) = IDS;
            let behind_ms = ((id >> bits) + begin).saturating_sub(stamped_ms);
            self.behind_ms = self.behind_ms.max(if id > 0 { behind_ms } else { 0 });
            ((stamped_ms, held.newest), stamped_ms.saturating_add(SLACK_MS) / MINUTE_MS)
        };
        self.note(noted.0, noted.1);
        ReadMoment { newest, minute }
    }

    /// An id that was read, wherever.
    pub(super) fn note(&mut self, record_ms: u64, id: u64) {
        let minute = record_ms / MINUTE_MS;
        if id <= self.up_to(minute) {
            return;
        }
        self.minutes.insert(minute, id);
        while let Some((&later, _)) = self.minutes.range(minute + 1..).next().filter(|e| *e.1 <= id)
        {
            self.minutes.remove(&later);
        }
    }

    /// The greatest id of the records that may have been read up to a minute.
    pub(super) fn newest(&self, minute: u64) -> u64 {
        self.up_to(minute.saturating_add(self.behind_ms.div_ceil(MINUTE_MS)))
    }

    fn up_to(&self, minute: u64) -> u64 {
        self.minutes.range(..=minute).next_back().map_or(0, |(_, id)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::{IDS, LatenessEvidence, MINUTE_MS, NewestTimes, ReadMoment, id_at};
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
        assert_eq!(on.span(), 900_000 << IDS.1);
        assert_eq!(on.floors(Some(7)), [("ledger", None), ("span", None), ("tweets", Some(7))]);
        assert_eq!(on.floors(None), [("ledger", None), ("span", None)]);
        let late = evidence(&[span, ("floors", "forgotten", 3), ("floors", "tweets", 5)]);
        assert_eq!(late.floors(Some(7)), [("forgotten", None), ("span", None), ("tweets", None)]);
        let late = evidence(&[span, ("floors", "forgotten", 3)]);
        assert_eq!(late.floors(Some(7)), [("forgotten", None), ("span", None)]);
    }

    #[test]
    fn nothing_was_late_where_nothing_says_so() {
        let nothing = LatenessEvidence::default();
        let posts = evidence(&[("totals", "late_posts", 2), ("totals", "tweets", 5)]);
        let deletes = evidence(&[("totals", "late_deletes", 1), ("totals", "duplicates", 5)]);
        assert!(nothing.is_in_time(&nothing) && posts.is_in_time(&posts));
        assert!(!posts.is_in_time(&nothing) && !deletes.is_in_time(&nothing));
        assert_eq!(posts.posts(), 5);
    }

    #[test]
    fn the_newest_id_up_to_a_minute() {
        let mut clock = NewestTimes::default();
        let moment = |newest, minute| ReadMoment { newest, minute };
        assert_eq!(clock.read(0, 100 * MINUTE_MS, 50), moment(0, 110));
        assert_eq!(clock.read(1, 103 * MINUTE_MS, 40), moment(0, 113), "less, and later");
        assert_eq!(clock.read(0, 104 * MINUTE_MS + 59_999, 60), moment(50, 114));
        assert_eq!(clock.read(1, 0, 10), moment(40, u64::MAX), "it may have been read at any time");
        assert_eq!(clock.minutes.len(), 3);
        let newest = [0, 99, 100, 103, 104, u64::MAX].map(|minute| clock.up_to(minute));
        assert_eq!(newest, [10, 10, 50, 50, 60, 60]);
        clock.note(99 * MINUTE_MS, 55);
        assert_eq!([98, 99, 103, 104].map(|minute| clock.up_to(minute)), [10, 55, 55, 60]);
        assert_eq!(clock.minutes.len(), 3, "what says nothing is not held");
    }

    #[test]
    fn odd_timestamps_make_nothing_certain() {
        let minute = |minute: u64| 30_000_000 * MINUTE_MS + minute * MINUTE_MS;
        let of = |clock: &NewestTimes, at: u64| clock.newest(minute(at) / MINUTE_MS);
        let mut clock = NewestTimes::default();
        clock.read(0, minute(0), 0);
        // Far ahead: the next record says that it was read before.
        clock.read(0, minute(500), 70);
        clock.read(0, minute(1), 0);
        assert_eq!([of(&clock, 0), of(&clock, 1)], [0, 70]);
        // Behind, or none: read behind those two all the same.
        let behind = clock.read(0, minute(0) - 500 * MINUTE_MS, 0);
        assert_eq!(behind.minute, minute(11) / MINUTE_MS);
        clock.read(0, 0, 80);
        assert_eq!([of(&clock, 0), of(&clock, 1)], [0, 80]);
        // All of a partition are an hour behind.
        clock.read(1, minute(1), id_at(minute(61)));
        assert_eq!(clock.behind_ms, 60 * MINUTE_MS);
        clock.read(0, minute(40), id_at(minute(40)));
        assert!(of(&clock, 1) >= id_at(minute(61)));
    }
}

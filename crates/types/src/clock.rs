//! What the clocks of a record say. No single clock is believed alone.
//!
//! A tweet has up to three clocks: the time in its id, its `created_at`, the timestamp of its
//! record. A delete has the id of its tweet, its own time and the timestamp of its record. A
//! reading before the service's first tweet or from 2100 on is absent: so are timestamps in
//! seconds, and 0.
//!
//! **Proven time.** Of two readings it is the smaller one. Of three it is the second greatest if
//! the greatest lies at most [`TOLERANCE_MS`] ahead of it, else the least: then no two of them
//! agree on more. One reading proves nothing. Floors and newest minutes rise only to proven times,
//! so a wrong clock raises nothing as long as another one of its record is right.
//!
//! **Ids before Snowflake** (November 2010) hold no time. Such an id says "before that date": it
//! supports an older time of the tweet, and nothing else.
//!
//! Everything here is a function of one record, so that every worker, a restart and `verify` agree.
//! It does not decide which minute a tweet belongs to, nor how a floor rises.

use crate::snowflake::{self, written_ms};

/// The first tweet, 2006-03-21.
const FIRST_MS: u64 = 1_142_899_200_000;
/// 2100-01-01: no reading is as late.
const END_MS: u64 = 4_102_444_800_000;
/// Clocks that agree differ at most by this.
pub const TOLERANCE_MS: u64 = 5 * 60_000;
/// An id may be so far ahead of two other clocks and still be the id of a tweet.
const AHEAD_OF_TWO_MS: u64 = 60 * 60_000;
/// The same for one other clock. Which of the two is wrong is not known: a timestamp may be of
/// another time zone.
const AHEAD_OF_ONE_MS: u64 = 24 * 60 * 60_000;

/// The least id of a tweet that was written at this time.
pub fn id_at(ms: u64) -> u64 {
    let since = ms.saturating_sub(snowflake::EPOCH_MS);
    since.saturating_mul(1 << snowflake::BELOW_MS)
}

/// A reading, or 0 where it cannot be right.
pub fn plausible_ms(ms: u64) -> u64 {
    if (FIRST_MS..END_MS).contains(&ms) { ms } else { 0 }
}

/// The readings of one record about one tweet; times are milliseconds since 1970, 0 is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    /// The tweet's id.
    pub id: u64,
    /// What the tweet or the delete itself says.
    pub own_ms: u64,
    /// The timestamp of the record.
    pub record_ms: u64,
}

impl Clocks {
    /// The readings that can be right, 0 for the others.
    fn readings(self) -> [u64; 3] {
        let own_ms = plausible_ms(self.own_ms);
        let id_ms = if self.id >= snowflake::FIRST {
            plausible_ms(written_ms(self.id))
        } else if (1..=snowflake::EPOCH_MS).contains(&own_ms) {
            snowflake::EPOCH_MS
        } else {
            0
        };
        [id_ms, own_ms, plausible_ms(self.record_ms)]
    }

    /// The one reading of a record that has no other.
    pub fn single_ms(self) -> Option<u64> {
        let ms = self.readings().into_iter().max().unwrap_or(0);
        (ms > 0 && self.proven_ms().is_none()).then_some(ms)
    }

    /// The time up to which two clocks agree, if there are two.
    pub fn proven_ms(self) -> Option<u64> {
        let [least, middle, greatest] = sorted(self.readings());
        let ms = if least == 0 || greatest - middle <= TOLERANCE_MS { middle } else { least };
        (ms > 0).then_some(ms)
    }

    /// Whether the id claims a later time than another clock bears out.
    pub fn is_ahead(self) -> bool {
        self.is_ahead_by(TOLERANCE_MS)
    }

    /// Whether no tweet can have this id: it is far ahead of the other clocks of the record.
    pub fn is_implausible(self) -> bool {
        let is_certain = self.readings().iter().all(|ms| *ms > 0);
        self.is_ahead_by(if is_certain { AHEAD_OF_TWO_MS } else { AHEAD_OF_ONE_MS })
    }

    /// The id of a tweet that was written at the time of the record, as far as that is known.
    pub fn id_of_record(self) -> u64 {
        self.proven_ms().or(self.single_ms()).map_or(0, id_at)
    }

    /// Until the floor passes this id, a restart must read the record again. An implausible id
    /// would hold it for ever: it counts as one of the time of its record.
    pub fn id_to_remember(self) -> u64 {
        if self.is_implausible() { self.id_of_record() } else { self.id }
    }

    /// The id if another clock bears it out, else 0.
    pub fn proven_id(self) -> u64 {
        let is_proven =
            self.id < snowflake::FIRST || self.proven_ms().is_some() && !self.is_ahead();
        if is_proven { self.id } else { 0 }
    }

    fn is_ahead_by(self, ms: u64) -> bool {
        let written_ms = written_ms(self.id);
        let is_later = |proven_ms: u64| written_ms > proven_ms + ms;
        let is_snowflake = self.id >= snowflake::FIRST;
        written_ms >= END_MS || is_snowflake && self.proven_ms().is_some_and(is_later)
    }
}

fn sorted([a, b, c]: [u64; 3]) -> [u64; 3] {
    let (low, high) = (a.min(b), a.max(b));
    [low.min(c), high.min(c).max(low), high.max(c)]
}

#[cfg(test)]
mod tests {
    use super::{Clocks, id_at, sorted};
    use crate::snowflake::{self, written_ms};

    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;
    /// 2026-11-23 09:00:00.
    const NINE: u64 = 29_923_740 * MINUTE;
    /// 2018-10-10.
    const OLD: u64 = 1_539_202_764_000;

    fn clocks(id_ms: u64, own_ms: u64, record_ms: u64) -> Clocks {
        let id = if id_ms == 0 { 7 } else { id_at(id_ms) };
        Clocks { id, own_ms, record_ms }
    }

    #[test]
    fn no_clock_is_believed_alone() {
        for (id_ms, own_ms, record_ms, proven) in [
            // As usual: live, late, loaded long after.
            (NINE, NINE - 300, NINE + 900, Some(NINE)),
            (NINE, NINE - 300, NINE + HOUR, Some(NINE - 300)),
            (OLD, OLD - 300, NINE, Some(OLD - 300)),
            // A wrong timestamp: in seconds, none, behind, ahead.
            (NINE, NINE - 300, NINE / 1000, Some(NINE - 300)),
            (NINE, NINE - 300, 0, Some(NINE - 300)),
            (NINE, NINE - 300, NINE - 8 * HOUR, Some(NINE - 300)),
            (NINE, NINE - 300, NINE + 8 * HOUR, Some(NINE - 300)),
            (NINE, NINE - 300, u64::MAX, Some(NINE - 300)),
            // A wrong id.
            (NINE + HOUR, NINE, NINE + 900, Some(NINE)),
            (OLD + HOUR, OLD, NINE, Some(OLD)),
            (5 * NINE, NINE, NINE + 900, Some(NINE)),
            (NINE + HOUR, 0, NINE, Some(NINE)),
            // A wrong time of its own.
            (NINE, NINE + HOUR, NINE + 900, Some(NINE)),
            (NINE, OLD, NINE + 900, Some(NINE)),
            (NINE, 7, NINE + 900, Some(NINE)),
            // Only two, or one.
            (NINE, 0, NINE + 900, Some(NINE)),
            (OLD, 0, NINE, Some(OLD)),
            (0, NINE, NINE + 900, Some(NINE)),
            (NINE, 0, 0, None),
            (0, NINE, 0, None),
            (5 * NINE, 0, NINE, None),
            // Before Snowflake.
            (0, 1_142_974_214_000, 0, Some(1_142_974_214_000)),
            (0, 1_142_974_214_000, NINE, Some(1_142_974_214_000)),
            (0, 0, NINE, None),
        ] {
            let clocks = clocks(id_ms, own_ms, record_ms);
            assert_eq!(clocks.proven_ms(), proven, "{id_ms} {own_ms} {record_ms}");
            let single = clocks.single_ms();
            assert_eq!(single.is_some(), proven.is_none(), "{id_ms} {own_ms} {record_ms}");
            assert!(single.is_none_or(|ms| ms == NINE), "{id_ms} {own_ms} {record_ms}");
        }
    }

    #[test]
    fn an_id_far_ahead_of_the_others_is_implausible() {
        for (id_ms, own_ms, record_ms, is_ahead, is_implausible) in [
            (NINE, NINE, NINE, false, false),
            (NINE + 5 * MINUTE, NINE, NINE, false, false),
            (NINE + 6 * MINUTE, NINE, NINE, true, false),
            (NINE + HOUR, NINE, NINE, true, false),
            (NINE + HOUR + 1, NINE, NINE, true, true),
            // One word against another.
            (NINE, 0, NINE - 24 * HOUR, true, false),
            (NINE, 0, NINE - 24 * HOUR - 1, true, true),
            (NINE, NINE - 24 * HOUR, 0, true, false),
            (NINE, 0, 0, false, false),
            (5 * NINE, NINE, 0, true, true),
            (5 * NINE, 0, 0, true, true),
            (0, NINE, NINE, false, false),
        ] {
            let clocks = clocks(id_ms, own_ms, record_ms);
            let found = (clocks.is_ahead(), clocks.is_implausible());
            assert_eq!(found, (is_ahead, is_implausible), "{id_ms} {own_ms} {record_ms}");
            let is_proven = !is_ahead && (id_ms == 0 || own_ms + record_ms > 0);
            assert_eq!(clocks.proven_id() == clocks.id, is_proven, "{id_ms} {own_ms} {record_ms}");
        }
        assert!(Clocks { id: u64::MAX, ..Clocks::default() }.is_implausible());
        // Such an id holds no restart back: the time of its record stands for it.
        let absurd = Clocks { id: u64::MAX, own_ms: NINE, record_ms: 0 };
        assert_eq!(absurd.id_to_remember(), id_at(NINE));
        assert_eq!(clocks(NINE + HOUR, NINE, NINE).id_to_remember(), id_at(NINE + HOUR));
        assert_eq!(
            Clocks { id: snowflake::FIRST - 1, ..Clocks::default() }.proven_id(),
            29_700_859_246
        );
    }

    #[test]
    fn ids_and_times() {
        // A real tweet: 2017-05-11, 20:00 UTC, and a bit.
        let id = 862_755_279_187_214_336;
        assert_eq!(written_ms(id), 1_494_531_862_433);
        assert!(id_at(written_ms(id)) <= id && written_ms(id_at(NINE)) == NINE);
        assert_eq!((id_at(5), id_at(u64::MAX)), (0, u64::MAX));
    }

    #[test]
    fn three_in_order() {
        for three in [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]] {
            assert_eq!(sorted(three), [1, 2, 3]);
        }
    }
}

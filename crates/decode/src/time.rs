//! When a tweet was written: its own `created_at`, as far as that can be.
//!
//! Rule. `created_at` is taken as it is when it lies before the time that the clocks of the record
//! prove ([`types::clock`]) or at most 5 minutes ahead of it: archives are old, not wrong, and
//! clocks differ a little. Further ahead, unreadable or missing: the proven time, which `totals`
//! counts. A clock that has no other beside it is taken too, but raises nothing: see
//! the table `floors`. No time is before the service's first tweet or after 2099; where
//! nothing is left, the tweet has none.
//!
//! Why: the newest minute decides which minutes are forgotten, so one wrong date ahead would empty
//! the tables by time for ever. It takes two wrong clocks of one record to do so.
//!
//! The forms in which it may be written are [`super::date`]'s; each is read wherever it stands.

use super::date;
use super::json::Leaf;
use serde::de::{Deserialize, Deserializer};
use types::clock::{Clocks, TOLERANCE_MS, plausible_ms};
use types::event::Time;

const MINUTE_MS: u64 = 60_000;

/// A `created_at`, whatever it holds.
#[derive(Default)]
pub(super) struct CreatedAt<'a>(Leaf<'a>);

impl CreatedAt<'_> {
    /// Milliseconds since 1970; 0 where it tells no time that a tweet can have.
    pub(super) fn ms(&self) -> u64 {
        plausible_ms(read(&self.0).unwrap_or(0))
    }
}

/// The minute of a tweet.
pub(super) fn minute(clocks: Clocks) -> Time {
    let minute = |ms: u64| u32::try_from(ms / MINUTE_MS).unwrap_or(u32::MAX);
    let own_ms = clocks.own_ms;
    match clocks.proven_ms().or(clocks.single_ms()) {
        Some(ms) if own_ms > 0 && own_ms <= ms + TOLERANCE_MS => Time::Own(minute(own_ms)),
        Some(ms) => Time::Record(minute(ms)),
        None => Time::Unknown,
    }
}

/// The time that a value tells, milliseconds since 1970.
pub(super) fn read(leaf: &Leaf<'_>) -> Option<u64> {
    match leaf {
        Leaf::Text(text) => date::read(text),
        Leaf::Whole(number) => date::epoch(*number),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
        Leaf::Float(number) => date::epoch(*number as u64),
        Leaf::Absent | Leaf::Negative(_) | Leaf::Truth(_) | Leaf::Odd => None,
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for CreatedAt<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Leaf::deserialize(deserializer).map(CreatedAt)
    }
}

#[cfg(test)]
mod tests {
    use super::super::lazy;
    use super::{Clocks, CreatedAt, Leaf, Time, minute};
    use std::borrow::Cow;
    use types::clock::id_at;

    /// 2026-11-23 09:00:00 is minute 29,923,740.
    #[test]
    fn what_no_other_clock_bears_out_is_not_believed() {
        const NINE: u64 = 29_923_740 * 60_000;
        for (created_at, record_ms, id, expected) in [
            // As it is, however old, and a little ahead.
            ("Mon Nov 23 09:00:59 +0000 2026", NINE + 60_000, 1, Time::Own(29_923_740)),
            ("Tue Mar 21 20:50:14 +0000 2006", NINE, 1, Time::Own(19_049_570)),
            ("Mon Nov 23 09:05:00 +0000 2026", NINE, 1, Time::Own(29_923_745)),
            // Further ahead, unreadable, missing.
            ("Mon Nov 23 09:05:01 +0000 2026", NINE, 1, Time::Record(29_923_740)),
            ("Mon Nov 23 09:05:01 +0000 2026", NINE, id_at(NINE), Time::Record(29_923_740)),
            ("yesterday", NINE, 1, Time::Record(29_923_740)),
            // A record's timestamp in seconds, none, 8 hours behind: the other two agree.
            ("Mon Nov 23 09:00:00 +0000 2026", NINE / 1000, id_at(NINE), Time::Own(29_923_740)),
            ("Mon Nov 23 09:00:00 +0000 2026", 0, id_at(NINE), Time::Own(29_923_740)),
            (
                "Mon Nov 23 09:00:00 +0000 2026",
                NINE - 28_800_000,
                id_at(NINE),
                Time::Own(29_923_740),
            ),
            // An id that is wrong.
            (
                "Mon Nov 23 09:00:00 +0000 2026",
                NINE,
                id_at(NINE + 3_000_000),
                Time::Own(29_923_740),
            ),
            ("Mon Nov 23 09:00:00 +0000 2026", 0, u64::MAX, Time::Own(29_923_740)),
            // Without a record's time the id holds against it.
            ("Mon Nov 23 09:05:00 +0000 2026", 0, id_at(NINE), Time::Own(29_923_745)),
            ("Mon Nov 23 09:06:00 +0000 2026", 0, id_at(NINE), Time::Record(29_923_740)),
            // One clock.
            ("", 0, id_at(NINE), Time::Record(29_923_740)),
            ("Mon Nov 23 09:00:00 +0000 2026", 0, 1, Time::Own(29_923_740)),
            ("", NINE, 1, Time::Record(29_923_740)),
            ("", 0, 1, Time::Unknown),
            // What no date can be.
            ("Fri Jan 01 00:00:00 +0000 2100", 0, 1, Time::Unknown),
            ("Fri Jan 01 00:00:00 +0000 2100", u64::MAX, 1, Time::Unknown),
            ("Thu Jan 01 00:00:07 +0000 1970", NINE / 1000, 1, Time::Unknown),
            ("Mon Nov 23 09:00:00 +0000 2026", u64::MAX, 1, Time::Own(29_923_740)),
        ] {
            let own_ms = CreatedAt(Leaf::Text(Cow::Borrowed(created_at))).ms();
            let found = minute(Clocks { id, own_ms, record_ms });
            assert_eq!(found, expected, "{created_at:?} {record_ms} {id}");
        }
        assert_eq!(CreatedAt(Leaf::Absent).ms(), 0);
    }

    #[test]
    fn a_date_of_any_shape_is_no_fault() {
        let read = |json: &str| {
            let found: CreatedAt<'_> = lazy::from_slice(json.as_bytes()).unwrap();
            super::read(&found.0)
        };
        for json in ["null", "7", "-7", "1.5", "true", "[1,[2]]", "{}", r#"{"a":{"b":1}}"#] {
            assert_eq!(read(json), None, "{json}");
        }
        for json in [
            r#""\u0032018-10-10T20:19:24Z""#,
            r#"{"$date":"2018-10-10T20:19:24Z"}"#,
            r#"{"$date":{"$numberLong":"1539202764000"}}"#,
            r#"{"$date":1539202764000}"#,
            "1539202764",
            "1539202764.0",
            "1539202764000",
        ] {
            assert_eq!(read(json), Some(1_539_202_764_000), "{json}");
        }
    }
}

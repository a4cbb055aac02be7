//! When a tweet was written: its own `created_at`, as far as that can be.
//!
//! Rule. `created_at` is taken as it is when it lies before the reference or at most 5 minutes ahead
//! of it: archives are old, not wrong, and clocks differ a little. Further ahead, unreadable or
//! missing: the reference itself, which `totals` counts. The reference is the record's timestamp;
//! of a record without one (a line of a file) it is the time in the tweet's id, which is a Snowflake
//! since November 2010 ([`snowflake`]). Older ids hold no time: there `created_at` stands alone. No time is before
//! 1970 or after 2099; where nothing is left, the tweet has none.
//!
//! Why: the newest minute decides which minutes are forgotten, so one wrong date ahead would empty
//! the tables by time for ever. It takes a wrong reference beside the wrong date to do so; Kafka
//! bounds timestamps by `message.timestamp.after.max.ms`.
//!
//! The forms in which it may be written are [`super::date`]'s; each is read wherever it stands.

use super::date;
use super::json::Leaf;
use dataflows::latest::Version;
use dataflows::snowflake;
use dataflows::tweet::Time;
use serde::de::{Deserialize, Deserializer};

/// How far ahead of the reference a tweet's own time may be.
const AHEAD_MS: u64 = 5 * 60_000;
/// 2100-01-01: no time is as late.
const END_MS: u64 = 4_102_444_800_000;
const MINUTE_MS: u64 = 60_000;

/// A `created_at`, whatever it holds.
#[derive(Default)]
pub(super) struct CreatedAt<'a>(Leaf<'a>);

impl CreatedAt<'_> {
    /// The time of the tweet whose id and record `version` names.
    pub(super) fn time(&self, version: Version) -> Time {
        let own = read(&self.0).filter(|own| *own < END_MS);
        let minute = |ms: u64| u32::try_from(ms / MINUTE_MS).unwrap_or(u32::MAX);
        match (own, reference(version)) {
            (Some(own), Some(reference)) if own <= reference + AHEAD_MS => Time::Own(minute(own)),
            (Some(own), None) => Time::Own(minute(own)),
            (_, Some(reference)) => Time::Record(minute(reference)),
            (None, None) => Time::Unknown,
        }
    }
}

/// What a tweet's own time is held against, milliseconds since 1970.
fn reference(version: Version) -> Option<u64> {
    let of_id = || {
        let is_snowflake = version.tweet_id >= snowflake::FIRST;
        is_snowflake.then(|| snowflake::written_ms(version.tweet_id))
    };
    let ms = if version.record_ms > 0 { Some(version.record_ms) } else { of_id() };
    ms.filter(|ms| *ms < END_MS)
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
    use super::{CreatedAt, Leaf, Time, Version};
    use dataflows::snowflake::FIRST as FIRST_SNOWFLAKE;
    use std::borrow::Cow;

    /// 2026-11-23 09:00:00 is minute 29,923,740.
    #[test]
    fn what_is_ahead_of_its_reference_is_not_believed() {
        const NINE: u64 = 29_923_740 * 60_000;
        let snowflake = |ms: u64| (ms - dataflows::snowflake::EPOCH_MS) << 22;
        for (created_at, record_ms, tweet_id, expected) in [
            // As it is, however old, and a little ahead.
            ("Mon Nov 23 09:00:59 +0000 2026", NINE + 60_000, 1, Time::Own(29_923_740)),
            ("Tue Mar 21 20:50:14 +0000 2006", NINE, 1, Time::Own(19_049_570)),
            ("Mon Nov 23 09:05:00 +0000 2026", NINE, 1, Time::Own(29_923_745)),
            // Further ahead, unreadable, missing.
            ("Mon Nov 23 09:05:01 +0000 2026", NINE, 1, Time::Record(29_923_740)),
            ("yesterday", NINE, 1, Time::Record(29_923_740)),
            // Without a record's time the id knows better, if it is a Snowflake.
            ("Mon Nov 23 09:05:00 +0000 2026", 0, snowflake(NINE), Time::Own(29_923_745)),
            ("Mon Nov 23 09:06:00 +0000 2026", 0, snowflake(NINE), Time::Record(29_923_740)),
            ("", 0, snowflake(NINE), Time::Record(29_923_740)),
            ("Mon Nov 23 09:00:00 +0000 2026", 0, FIRST_SNOWFLAKE - 1, Time::Own(29_923_740)),
            ("", 0, FIRST_SNOWFLAKE - 1, Time::Unknown),
            // What no date can be.
            ("Fri Jan 01 00:00:00 +0000 2100", 0, 1, Time::Unknown),
            ("Fri Jan 01 00:00:00 +0000 2100", u64::MAX, 1, Time::Unknown),
            ("Mon Nov 23 09:00:00 +0000 2026", u64::MAX, 1, Time::Own(29_923_740)),
        ] {
            let version = Version { tweet_id, record_ms, partition: 0, offset: 0 };
            let found = CreatedAt(Leaf::Text(Cow::Borrowed(created_at))).time(version);
            assert_eq!(found, expected, "{created_at:?} {record_ms} {tweet_id}");
        }
        assert_eq!(CreatedAt(Leaf::Absent).time(Version::default()), Time::Unknown);
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

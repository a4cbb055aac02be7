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
//! Forms: `Wed Oct 10 20:19:24 +0000 2018` ("Tweet object" of v1.1), RFC 3339 (v2). Either is read
//! wherever it stands.

use dataflows::latest::Version;
use dataflows::snowflake;
use dataflows::tweet::Time;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// How far ahead of the reference a tweet's own time may be.
const AHEAD_MS: u64 = 5 * 60_000;
/// 2100-01-01: no time is as late.
const END_MS: u64 = 4_102_444_800_000;
const MINUTE_MS: u64 = 60_000;

/// A `created_at`, whatever it holds: only text may be a time.
#[derive(Default)]
pub(super) struct CreatedAt<'a>(Option<Cow<'a, str>>);

impl CreatedAt<'_> {
    /// The time of the tweet whose id and record `version` names.
    pub(super) fn time(&self, version: Version) -> Time {
        let own = self.0.as_deref().and_then(read).filter(|own| *own < END_MS);
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

/// Milliseconds since 1970.
fn read(text: &str) -> Option<u64> {
    let ms = match fixed(text.as_bytes()) {
        Some(ms) => ms,
        None => text.parse::<jiff::Timestamp>().ok()?.as_millisecond(),
    };
    u64::try_from(ms).ok()
}

/// The form of v1.1, by its columns: `Wed Oct 10 20:19:24 +0000 2018`.
fn fixed(text: &[u8]) -> Option<i64> {
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let text: &[u8; 30] = text.try_into().ok()?;
    let is_parted = [(3, b' '), (7, b' '), (10, b' '), (13, b':'), (16, b':'), (19, b' ')]
        .iter()
        .all(|(at, byte)| text[*at] == *byte);
    if !is_parted || &text[20..26] != b"+0000 " {
        return None;
    }
    let number = |from: usize, to: usize| {
        text[from..to].iter().try_fold(0_i16, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + i16::from(digit - b'0'))
        })
    };
    let small = |from: usize| i8::try_from(number(from, from + 2)?).ok();
    let month = (1_i8..).zip(MONTHS.chunks(3)).find(|(_, name)| **name == text[4..7])?.0;
    // A leap second counts as the one before it.
    let second = small(17)?;
    let second = if second == 60 { 59 } else { second };
    let at = DateTime::new(number(26, 30)?, month, small(8)?, small(11)?, small(14)?, second, 0);
    Some(Offset::UTC.to_timestamp(at.ok()?).ok()?.as_millisecond())
}

impl<'de: 'a, 'a> Deserialize<'de> for CreatedAt<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

/// Takes text; everything else is no time.
struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = CreatedAt<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("anything")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(CreatedAt(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(CreatedAt(Some(Cow::Owned(text.to_owned()))))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(CreatedAt(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(CreatedAt(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(CreatedAt(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(CreatedAt(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(CreatedAt(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(CreatedAt(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(CreatedAt(None))
    }
}

#[cfg(test)]
mod tests {
    use super::{CreatedAt, Time, Version, read};
    use dataflows::snowflake::FIRST as FIRST_SNOWFLAKE;
    use std::borrow::Cow;

    #[test]
    fn both_forms_are_read_and_nothing_else() {
        let at = Some(1_539_202_764_000);
        for (text, ms) in [
            ("Wed Oct 10 20:19:24 +0000 2018", at),
            ("2018-10-10T20:19:24.000Z", at),
            ("2018-10-10T22:19:24+02:00", at),
            ("Thu Feb 29 23:59:60 +0000 2024", Some(1_709_251_199_000)),
            ("Thu Jan 01 00:00:00 +0000 1970", Some(0)),
            ("Wed Dec 31 23:59:59 +0000 1969", None),
            ("Wed Feb 29 00:00:00 +0000 2023", None),
            ("Wed Oct 10 24:19:24 +0000 2018", None),
            ("Wed Oct 10 20:19:24 +0100 2018", None),
            ("Wed Okt 10 20:19:24 +0000 2018", None),
            ("Wed Oct 1é 20:19:24 +0000 201", None),
            ("Wed Oct -1 20:19:24 +0000 2018", None),
            ("2018-10-10T20:19:24", None),
            ("1539202764000", None),
            ("", None),
        ] {
            assert_eq!(read(text), ms, "{text}");
        }
    }

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
            let found = CreatedAt(Some(Cow::Borrowed(created_at))).time(version);
            assert_eq!(found, expected, "{created_at:?} {record_ms} {tweet_id}");
        }
        assert_eq!(CreatedAt(None).time(Version::default()), Time::Unknown);
    }

    #[test]
    fn a_date_of_any_shape_is_no_fault() {
        for json in ["null", "7", "-7", "1.5", "true", "[1,[2]]", r#"{"a":{"b":1}}"#] {
            let found: CreatedAt<'_> = serde_json::from_str(json).unwrap();
            assert!(found.0.is_none(), "{json}");
        }
        let found: CreatedAt<'_> = serde_json::from_str(r#""\u0032018-10-10T20:19:24Z""#).unwrap();
        assert_eq!(found.0.as_deref(), Some("2018-10-10T20:19:24Z"));
    }
}

//! The forms in which a time is written, where they are not ambiguous.
//!
//! ```text
//! Wed Oct 10 20:19:24 +0000 2018      API v1.1; also with UTC, GMT, another offset, or none
//! 2018-10-10T20:19:24.000Z            API v2: RFC 3339; also with a space
//! Wed, 10 Oct 2018 20:19:24 +0000     Search API 1.0
//! 2018-10-10 20:19:24 UTC             twint; also +0000, or nothing (pandas)
//! 1539202764, 1539202764000           seconds or milliseconds since 1970, of 2001 to 2099
//! ```
//!
//! A time without zone is in UTC, as all of the service's are. Other zones by name, days without
//! a time, and numbers of day and month without an order are not read.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Milliseconds since 1970.
pub(super) fn read(text: &str) -> Option<u64> {
    let text = text.trim_ascii();
    let ms = match fixed(text.as_bytes()) {
        Some(ms) => ms,
        None => other(text)?,
    };
    u64::try_from(ms).ok()
}

/// The time that a number tells: of seconds, or of milliseconds.
pub(super) fn epoch(number: u64) -> Option<u64> {
    match number {
        1_000_000_000..4_102_444_800 => Some(number * 1000),
        1_000_000_000_000..4_102_444_800_000 => Some(number),
        _ => None,
    }
}

/// The form of v1.1, by its columns: `Wed Oct 10 20:19:24 +0000 2018`.
fn fixed(text: &[u8]) -> Option<i64> {
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
    // A leap second counts as the one before it.
    let second = small(17)?;
    let second = if second == 60 { 59 } else { second };
    let month = month(&text[4..7])?;
    let at = DateTime::new(number(26, 30)?, month, small(8)?, small(11)?, small(14)?, second, 0);
    Some(Offset::UTC.to_timestamp(at.ok()?).ok()?.as_millisecond())
}

fn month(name: &[u8]) -> Option<i8> {
    (1_i8..).zip(MONTHS.chunks(3)).find(|(_, month)| *month == name).map(|(month, _)| month)
}

#[cold]
fn other(text: &str) -> Option<i64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return epoch(text.parse().ok()?)?.try_into().ok();
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(at.as_millisecond());
    }
    let (at, offset) = match text.parse::<DateTime>() {
        Ok(at) if text.contains(':') => (at, Offset::UTC),
        _ => words(text)?,
    };
    Some(offset.to_timestamp(at).ok()?.as_millisecond())
}

/// A time in words, each of which can be only one thing.
fn words(text: &str) -> Option<(DateTime, Offset)> {
    let (mut date, mut time, mut offset) = (None, None, None);
    let (mut year, mut month_of, mut day) = (None, None, None);
    let mut words = text.split([' ', ',']).filter(|word| !word.is_empty()).peekable();
    words.next_if(|word| WEEKDAYS.contains(word));
    for word in words {
        let is_digits = word.bytes().all(|byte| byte.is_ascii_digit());
        let is_new = match word.len() {
            1 | 2 if is_digits => day.replace(word.parse::<i8>().ok()?).is_none(),
            4 if is_digits => year.replace(word.parse::<i16>().ok()?).is_none(),
            10 if word.as_bytes()[4] == b'-' => date.replace(word.parse::<Date>().ok()?).is_none(),
            _ if word.starts_with(['+', '-']) || matches!(word, "UTC" | "GMT" | "Z") => {
                offset.replace(zone(word)?).is_none()
            }
            _ if word.contains(':') => time.replace(word.parse::<Time>().ok()?).is_none(),
            _ => month_of.replace(month(word.as_bytes())?).is_none(),
        };
        is_new.then_some(())?;
    }
    let date = match (date, year, month_of, day) {
        (Some(date), None, None, None) => date,
        (None, Some(year), Some(month), Some(day)) => Date::new(year, month, day).ok()?,
        _ => return None,
    };
    Some((date.to_datetime(time?), offset.unwrap_or(Offset::UTC)))
}

/// An offset from UTC: `UTC`, `+0200`, `+02:00`.
fn zone(word: &str) -> Option<Offset> {
    let Some(digits) = word.strip_prefix(['+', '-']) else { return Some(Offset::UTC) };
    let digits = digits.replacen(':', "", 1);
    let is_whole = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: i32 = digits.parse().ok().filter(|_| is_whole)?;
    let seconds = (number / 100 * 60 + number % 100) * 60;
    Offset::from_seconds(if word.starts_with('-') { -seconds } else { seconds }).ok()
}

#[cfg(test)]
mod tests {
    use super::{epoch, read};

    #[test]
    fn forms_that_are_not_ambiguous_are_read() {
        for text in [
            "Wed Oct 10 20:19:24 +0000 2018",
            "2018-10-10T20:19:24.000Z",
            "2018-10-10T22:19:24+02:00",
            "2018-10-10 20:19:24+00:00",
            "2018-10-10 20:19:24.000000+00:00",
            "Wed, 10 Oct 2018 20:19:24 +0000",
            "Wed, 10 Oct 2018 20:19:24 GMT",
            "2018-10-10 20:19:24 +0000",
            "2018-10-10 20:19:24 UTC",
            "2018-10-10 16:19:24 -0400",
            "2018-10-10 20:19:24",
            "2018-10-10T20:19:24",
            "1539202764",
            "1539202764000",
            "Wed Oct 10 20:19:24 UTC 2018",
            "Wed Oct 10 22:19:24 +0200 2018",
            "Wed Oct 10 20:19:24 2018",
            " Wed Oct 10 20:19:24 +0000 2018\n",
        ] {
            assert_eq!(read(text), Some(1_539_202_764_000), "{text}");
        }
        for (text, ms) in [
            ("Thu Feb 29 23:59:60 +0000 2024", 1_709_251_199_000),
            ("Thu Jan 01 00:00:00 +0000 1970", 0),
            ("Sun Apr 01 00:00:00 +0000 2012", 1_333_238_400_000),
        ] {
            assert_eq!(read(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn nothing_else_is_a_time() {
        for text in [
            "",
            "yesterday",
            "Wed Dec 31 23:59:59 +0000 1969",
            "Wed Feb 29 00:00:00 +0000 2023",
            "Wed Oct 10 24:19:24 +0000 2018",
            "Wed Okt 10 20:19:24 +0000 2018",
            "Wed Oct 1é 20:19:24 +0000 201",
            "Wed Oct -1 20:19:24 +0000 2018",
            "Wed Oct 10 20:19:24 CEST 2018",
            "Wed Oct 10 10 20:19:24 +0000 2018",
            "Oct 10, 2018 8:19 PM",
            "10/10/2018 20:19:24",
            "2018-10-10",
            "20:19:24",
            "153920276",
            "99999999999",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!((epoch(0), epoch(u64::MAX)), (None, None));
    }
}

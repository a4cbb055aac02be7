//! Owns how values become JSON text: integers, escaped strings, Twitter's dates, random tokens.
//!
//! Everything is appended to one `Vec<u8>`; no value is built first. What stands between the values
//! (keys, braces, commas) is the caller's.

use jiff::Timestamp;
use jiff::tz::Offset;

/// Something that can be appended to the line.
pub(super) trait Put {
    /// Appends the text.
    fn put(self, out: &mut Vec<u8>);
}

/// Appends one piece after the other.
macro_rules! put {
    ($out:expr, $($piece:expr),+ $(,)?) => {{
        let out: &mut Vec<u8> = $out;
        $( $crate::json::Put::put($piece, out); )+
    }};
}
pub(super) use put;

impl Put for &str {
    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Put for u64 {
    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(itoa::Buffer::new().format(self).as_bytes());
    }
}

impl Put for i64 {
    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(itoa::Buffer::new().format(self).as_bytes());
    }
}

impl Put for bool {
    fn put(self, out: &mut Vec<u8>) {
        put!(out, if self { "true" } else { "false" });
    }
}

/// A number and the same as a string, as in `"id":7,"id_str":"7"`: the rest after the first `:`.
pub(super) struct Twice<'a>(pub(super) &'a str, pub(super) Option<u64>);

impl Put for Twice<'_> {
    fn put(self, out: &mut Vec<u8>) {
        let Self(name, value) = self;
        let Some(value) = value else {
            return put!(out, "\"", name, "\":null,\"", name, "_str\":null");
        };
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(value);
        put!(out, "\"", name, "\":", digits, ",\"", name, "_str\":\"", digits, "\"");
    }
}

/// How the characters of a string are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// UTF-8, with only what JSON asks for escaped.
    Needed,
    /// Everything beyond ASCII as `\uXXXX`, as many real producers do.
    All,
}

/// A string with its quotes.
pub(super) struct Text<'a>(pub(super) &'a str, pub(super) Escapes);

impl Put for Text<'_> {
    fn put(self, out: &mut Vec<u8>) {
        let Self(text, escapes) = self;
        out.push(b'"');
        #[expect(
            clippy::needless_bitwise_bool,
            reason = "without an early exit the compiler looks at many bytes at a time"
        )]
        let plain = text
            .bytes()
            .fold(true, |plain, byte| plain & (byte >= b' ') & (byte != b'"') & (byte != b'\\'));
        if plain && (escapes == Escapes::Needed || text.is_ascii()) {
            out.extend_from_slice(text.as_bytes());
        } else {
            for character in text.chars() {
                put_escaped(out, character, escapes);
            }
        }
        out.push(b'"');
    }
}

fn put_escaped(out: &mut Vec<u8>, character: char, escapes: Escapes) {
    match character {
        '"' => put!(out, "\\\""),
        '\\' => put!(out, "\\\\"),
        '\n' => put!(out, "\\n"),
        '\r' => put!(out, "\\r"),
        '\t' => put!(out, "\\t"),
        _ if character < ' ' || (escapes == Escapes::All && !character.is_ascii()) => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                put!(out, "\\u");
                for shift in [12, 8, 4, 0] {
                    out.push(b"0123456789abcdef"[usize::from(*unit >> shift) & 15]);
                }
            }
        }
        _ => put!(out, &*character.encode_utf8(&mut [0; 4])),
    }
}

/// A moment in milliseconds since 1970 as Twitter writes it: `"Sun Nov 01 00:00:00 +0000 2026"`.
pub(super) struct Date(pub(super) u64);

impl Put for Date {
    fn put(self, out: &mut Vec<u8>) {
        const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let moment = i64::try_from(self.0)
            .ok()
            .and_then(|millis| Timestamp::from_millisecond(millis).ok())
            .unwrap_or(Timestamp::UNIX_EPOCH);
        let civil = Offset::UTC.to_datetime(moment);
        let day = usize::try_from(civil.weekday().to_monday_zero_offset()).unwrap_or(0);
        let month = usize::try_from(civil.month() - 1).unwrap_or(0);
        put!(out, "\"", DAYS[day], " ", MONTHS[month], " ", TwoDigits(civil.day()), " ");
        put!(out, TwoDigits(civil.hour()), ":", TwoDigits(civil.minute()), ":");
        put!(out, TwoDigits(civil.second()), " +0000 ", i64::from(civil.year()), "\"");
    }
}

struct TwoDigits(i8);

impl Put for TwoDigits {
    fn put(self, out: &mut Vec<u8>) {
        let value = self.0.unsigned_abs();
        out.extend_from_slice(&[b'0' + value / 10 % 10, b'0' + value % 10]);
    }
}

/// Ten random characters, as in a `https://t.co/` link.
#[derive(Clone, Copy)]
pub(super) struct Token(pub(super) u64);

/// Characters that Twitter uses in names of links and images; 64, so that six bits choose one.
const TOKEN: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789Zq";

impl Put for Token {
    fn put(self, out: &mut Vec<u8>) {
        let mut text = [0; 10];
        let mut bits = self.0;
        for place in &mut text {
            *place = TOKEN[usize::try_from(bits & 63).unwrap_or(0)];
            bits >>= 6;
        }
        out.extend_from_slice(&text);
    }
}

/// Six hexadecimal digits, as in a colour.
pub(super) struct Colour(pub(super) u64);

impl Put for Colour {
    fn put(self, out: &mut Vec<u8>) {
        for shift in [20, 16, 12, 8, 4, 0] {
            let digit = usize::try_from((self.0 >> shift) & 15).unwrap_or(0);
            out.push(b"0123456789ABCDEF"[digit]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(piece: impl Put) -> String {
        let mut out = Vec::new();
        piece.put(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_date_is_written_as_twitter_writes_it() {
        assert_eq!(text(Date(1_793_491_200_000)), r#""Sun Nov 01 00:00:00 +0000 2026""#);
        assert_eq!(text(Date(1_575_296_165_657)), r#""Mon Dec 02 14:16:05 +0000 2019""#);
    }

    #[test]
    fn strings_survive_both_ways_of_escaping() {
        for sample in ["", "plain", "a \"b\" \\c\n\t\u{1}", "é 👨‍👩‍👧‍👦 ひらがな", "Café\\"]
        {
            for escapes in [Escapes::Needed, Escapes::All] {
                let json = text(Text(sample, escapes));
                assert_eq!(serde_json::from_str::<String>(&json).unwrap(), sample);
                assert!(escapes == Escapes::Needed || json.is_ascii(), "{json}");
            }
        }
    }

    #[test]
    fn a_number_and_its_string_agree() {
        let id = 2_117_000_000_000_000_001;
        assert_eq!(
            text(Twice("id", Some(id))),
            r#""id":2117000000000000001,"id_str":"2117000000000000001""#
        );
        assert_eq!(text(Twice("id", None)), r#""id":null,"id_str":null"#);
    }
}

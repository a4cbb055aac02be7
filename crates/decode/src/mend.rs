//! Records that are not quite JSON, or not yet.
//!
//! A second reading, for what the first one refused. It mends what can mean one thing only: bytes
//! before and behind the object (a byte order mark, the five bytes of a schema registry, zeros, a
//! comma), text that is not valid (half a surrogate, bytes that are no UTF-8: U+FFFD; surrogates in
//! UTF-8, as Java writes them: the character), keys with escapes, and keys that stand twice, of
//! which the last one counts, as in nearly all parsers. It also knows by name what people send by
//! mistake.
//!
//! Invariant: it recurses only as deep as a decoder looks; what lies deeper is copied. Time grows
//! with the record's length.

use super::Undecodable;
use super::skip;
use serde::de::IgnoredAny;
use std::collections::HashMap;

/// Objects and arrays in one another that are mended: more than any decoder enters.
const DEPTH: u8 = 12;
/// UTF-8's byte order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";
/// What stands for text that cannot be read.
const UNREADABLE: char = '\u{fffd}';

/// Whether a record says only that the connection lives.
pub(super) fn is_keep_alive(bytes: &[u8]) -> bool {
    matches!(
        bare(bytes),
        b"" | b"null"
            | b"keep-alive"
            | b"\"keep-alive\""
            | b"keepalive"
            | b"\"keepalive\""
            | b"\"\""
    )
}

/// The record, mended; `None` where there is nothing to mend, or it cannot be mended.
pub(crate) fn mend(bytes: &[u8]) -> Option<Vec<u8>> {
    let bare = bare(bytes);
    let bare = bare.strip_suffix(b",").unwrap_or(bare);
    let mut mender = Mender { rest: bare, mended: Vec::with_capacity(bare.len()) };
    mender.value(DEPTH)?;
    mender.pass_space();
    let is_whole = mender.rest.is_empty() && mender.mended != bytes;
    is_whole.then_some(mender.mended)
}

/// What a record is that is no object, where that has a name.
pub(super) fn name(bytes: &[u8]) -> Option<Undecodable> {
    let shape = |text: &str| Some(Undecodable::Shape(text.into()));
    let foreign = |text| Some(Undecodable::Foreign(text));
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'{', 0, ..] | [0, b'{', ..] => {
            return foreign("it is UTF-16; records must be UTF-8");
        }
        [0x1f, 0x8b, ..] => return foreign("it is packed with gzip; records must be plain JSON"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            return foreign("it is packed with zstd; records must be plain JSON");
        }
        [0, _, _, _, _, _, ..] => {
            return foreign(
                "five bytes of a schema registry, and no JSON behind them (Avro or Protobuf?)",
            );
        }
        _ => {}
    }
    let bare = bare(bytes);
    if bare.starts_with(b"eyJ") {
        return foreign("it is base64 that holds JSON: the producer encodes twice");
    }
    if bare.starts_with(b"\"") {
        let text = serde_json::from_slice::<String>(bare).ok()?;
        let is_json = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        let text = if is_json && text.trim_ascii_start().starts_with(['{', '[']) {
            "a JSON string that holds JSON: the producer encodes twice"
        } else {
            "a JSON string, not an object"
        };
        return shape(text);
    }
    let mut values = serde_json::Deserializer::from_slice(bare).into_iter::<IgnoredAny>();
    let first = values.next()?;
    let rest = bare[values.byte_offset()..].trim_ascii_start();
    if first.is_ok() && rest.starts_with(b"{") {
        return foreign("more than one object in a record: is a line break between them missing?");
    }
    if first.is_ok() && rest.is_empty() && bare.starts_with(b"[") {
        return shape("an array, not an object; `tweetflow produce` takes arrays apart");
    }
    None
}

/// A record without what senders put around it.
fn bare(bytes: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    let end = bytes.iter().rposition(|byte| !is_blank(byte)).map_or(0, |last| last + 1);
    let bytes = bytes[..end].strip_prefix(MARK).unwrap_or(&bytes[..end]);
    let bytes = match bytes {
        [0, _, _, _, _, object @ ..] if object.starts_with(b"{") => object,
        bytes => bytes,
    };
    bytes.trim_ascii_start().strip_prefix(MARK).unwrap_or(bytes.trim_ascii_start())
}

/// Reads a value, and writes it mended.
struct Mender<'a> {
    rest: &'a [u8],
    mended: Vec<u8>,
}

impl Mender<'_> {
    fn pass_space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    /// Passes a byte, if it comes next.
    fn pass(&mut self, byte: u8) -> bool {
        self.pass_space();
        let rest = self.rest.strip_prefix(&[byte]);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn copy(&mut self, length: usize) {
        self.mended.extend_from_slice(&self.rest[..length]);
        self.rest = &self.rest[length..];
    }

    /// The value that comes next.
    fn value(&mut self, depth: u8) -> Option<()> {
        self.pass_space();
        match self.rest.first()? {
            b'"' => {
                let text = self.text()?;
                self.write(&text);
            }
            b'{' if depth > 0 => self.object(depth - 1)?,
            b'[' if depth > 0 => self.array(depth - 1)?,
            b'{' | b'[' => self.copy(skip::value(self.rest)?),
            _ => match skip::scalar(self.rest) {
                0 => return None,
                // Python writes these.
                length if matches!(&self.rest[..length], b"NaN" | b"Infinity" | b"-Infinity") => {
                    self.rest = &self.rest[length..];
                    self.mended.extend_from_slice(b"null");
                }
                length => self.copy(length),
            },
        }
        Some(())
    }

    fn array(&mut self, depth: u8) -> Option<()> {
        self.pass(b'[');
        self.mended.push(b'[');
        let mut is_first = true;
        while !self.pass(b']') {
            if !std::mem::take(&mut is_first) {
                self.pass(b',').then_some(())?;
                self.mended.push(b',');
            }
            self.value(depth)?;
        }
        self.mended.push(b']');
        Some(())
    }

    fn object(&mut self, depth: u8) -> Option<()> {
        self.pass(b'{');
        let begin = self.mended.len();
        self.mended.push(b'{');
        // Where the last pair of each key stands, and whether there is an earlier one.
        let (mut pairs, mut is_repeated) = (HashMap::new(), false);
        let mut is_first = true;
        while !self.pass(b'}') {
            if !std::mem::take(&mut is_first) {
                self.pass(b',').then_some(())?;
                self.mended.push(b',');
            }
            let from = self.mended.len();
            self.pass_space();
            let key = self.text()?;
            // No field has such a key; written with escapes it would have to be mended again.
            self.write(&key.replace(|c: char| matches!(c, '"' | '\\' | '\0'..='\x1f'), "\u{fffd}"));
            self.pass(b':').then_some(())?;
            self.mended.push(b':');
            self.value(depth)?;
            is_repeated |= pairs.insert(key, from..self.mended.len()).is_some();
        }
        self.mended.push(b'}');
        if is_repeated {
            let mut kept: Vec<_> = pairs.into_values().collect();
            kept.sort_by_key(|pair| pair.start);
            let kept: Vec<_> = kept.into_iter().map(|pair| &self.mended[pair]).collect();
            let kept = kept.join(&b","[..]);
            self.mended.truncate(begin + 1);
            self.mended.extend_from_slice(&kept);
            self.mended.push(b'}');
        }
        Some(())
    }

    /// Passes the text that comes next; what it says.
    fn text(&mut self) -> Option<String> {
        let text = self.rest.strip_prefix(b"\"")?;
        let (length, _) = skip::text(text)?;
        let (mut said, mut rest) = (String::with_capacity(length), &text[..length]);
        self.rest = &text[length + 1..];
        while !rest.is_empty() {
            let plain = rest.iter().position(|byte| *byte == b'\\').unwrap_or(rest.len());
            say(&rest[..plain], &mut said);
            rest = &rest[plain..];
            if !rest.is_empty() {
                rest = escape(rest, &mut said)?;
            }
        }
        Some(said)
    }

    fn write(&mut self, text: &str) {
        // Into memory, and of text: it cannot fail.
        let _ = serde_json::to_writer(&mut self.mended, text);
    }
}

/// Appends the character of the escape that `bytes` begin with; what follows it.
fn escape<'a>(bytes: &'a [u8], said: &mut String) -> Option<&'a [u8]> {
    if let Some(unit) = unit(bytes) {
        let rest = &bytes[6..];
        let pair = is_high(unit).then(|| self::unit(rest)).flatten();
        if let Some(character) = pair.and_then(|low| joined(unit, low)) {
            said.push(character);
            return Some(&rest[6..]);
        }
        said.push(char::from_u32(unit).unwrap_or(UNREADABLE));
        return Some(rest);
    }
    said.push(match bytes.get(1)? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        character @ (b'"' | b'\\' | b'/') => char::from(*character),
        _ => return None,
    });
    Some(&bytes[2..])
}

/// The UTF-16 unit that `bytes` begin with as an escape.
fn unit(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.strip_prefix(b"\\u")?.first_chunk::<4>()?;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    digits.iter().try_fold(0, |unit, byte| Some(unit << 4 | digit(*byte)?))
}

fn is_high(unit: u32) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

/// The character of two surrogates.
fn joined(high: u32, low: u32) -> Option<char> {
    let is_pair = is_high(high) && (0xdc00..0xe000).contains(&low);
    char::from_u32(0x1_0000 + ((high & 0x3ff) << 10 | low & 0x3ff)).filter(|_| is_pair)
}

/// Appends what bytes without escapes say.
fn say(mut bytes: &[u8], said: &mut String) {
    while let Some(at) = (0..bytes.len()).find(|at| surrogate(&bytes[*at..]).is_some()) {
        said.push_str(&String::from_utf8_lossy(&bytes[..at]));
        let high = surrogate(&bytes[at..]).unwrap_or_default();
        let low = surrogate(&bytes[at + 3..]);
        let character = low.and_then(|low| joined(high, low));
        bytes = &bytes[at + if character.is_some() { 6 } else { 3 }..];
        said.push(character.unwrap_or(UNREADABLE));
    }
    said.push_str(&String::from_utf8_lossy(bytes));
}

/// The surrogate that `bytes` begin with as if it were a character.
fn surrogate(bytes: &[u8]) -> Option<u32> {
    match bytes {
        [0xed, second @ 0xa0..=0xbf, third @ 0x80..=0xbf, ..] => {
            Some(0xd000 | u32::from(second & 0x3f) << 6 | u32::from(third & 0x3f))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_keep_alive, mend, name};

    fn mended(bytes: &[u8]) -> Option<String> {
        mend(bytes).map(|bytes| String::from_utf8(bytes).expect("it is mended"))
    }

    #[test]
    fn what_can_mean_one_thing_only_is_mended() {
        for (bytes, expected) in [
            (&b"\xef\xbb\xbf{\"a\":1}"[..], r#"{"a":1}"#),
            (b"\0\0\0\0\x07{\"a\":1}", r#"{"a":1}"#),
            (b"{\"a\":1},", r#"{"a":1}"#),
            (b"{\"a\":1}\0\0\0", r#"{"a":1}"#),
            (br#"{"a":1,"b":[],"a":2}"#, r#"{"b":[],"a":2}"#),
            (br#"{"a":{"b":1,"\u0062":2}}"#, r#"{"a":{"b":2}}"#),
            (br#"{"a":"x\ud83dy"}"#, "{\"a\":\"x\u{fffd}y\"}"),
            (br#"{"a":"\udd80\ud83e"}"#, "{\"a\":\"\u{fffd}\u{fffd}\"}"),
            (br#"{"a":"\ud83d\ud83e\udd80"}"#, "{\"a\":\"\u{fffd}🦀\"}"),
            (b"{\"a\":\"\xed\xa0\xbe\xed\xb6\x80\"}", r#"{"a":"🦀"}"#),
            (b"{\"a\":\"\xed\xa0\xbe.\xff\"}", "{\"a\":\"\u{fffd}.\u{fffd}\"}"),
            (br#"{"a": NaN, "b": [ -Infinity ] }"#, r#"{"a":null,"b":[null]}"#),
            (b"{\"a\":\"\t\"}", r#"{"a":"\t"}"#),
            (br#"{"a\"\n":1, "b":2}"#, "{\"a\u{fffd}\u{fffd}\":1,\"b\":2}"),
        ] {
            let shown = String::from_utf8_lossy(bytes);
            assert_eq!(mended(bytes).as_deref(), Some(expected), "{shown}");
        }
    }

    #[test]
    fn what_needs_no_mending_or_cannot_be_mended_is_left() {
        for bytes in [
            &b""[..],
            b"{\"a\":1}",
            b"{\"a\":1",
            b"{\"a\":1}{\"a\":1}",
            b"{\"a\" 1}",
            b"{\"a\":\"\\x\"}",
            b"{\"a\":\"\\u12\"}",
            b"{\"a\":}",
            b"{\"a\":1 \"b\":2}",
            b"[1,,2]",
        ] {
            assert_eq!(mended(bytes), None, "{}", String::from_utf8_lossy(bytes));
        }
    }

    /// Neither in depth nor in length does a record cost more than its bytes.
    #[test]
    fn a_hostile_record_costs_its_length() {
        let deep = format!("{{\"a\":{}{}, \"a\":1}}", "[".repeat(500_000), "]".repeat(500_000));
        assert_eq!(mended(deep.as_bytes()).as_deref(), Some(r#"{"a":1}"#));
        let wide = format!("{{{}\"a\":1}}", "\"a\":[{}],".repeat(200_000));
        assert_eq!(mended(wide.as_bytes()).as_deref(), Some(r#"{"a":1}"#));
    }

    #[test]
    fn a_blank_record_keeps_the_connection_alive() {
        for bytes in [&b""[..], b" \r\n", b"\"keep-alive\"", b"keep-alive\r\n", b"null", b"\0\0"] {
            assert!(is_keep_alive(bytes), "{}", String::from_utf8_lossy(bytes));
        }
        for bytes in [&b"{}"[..], b"[]", b"0", b"nullx", b"\"text\""] {
            assert!(!is_keep_alive(bytes), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn what_is_sent_by_mistake_has_a_name() {
        for (bytes, expected) in [
            (&br#""{\"id\":1}""#[..], "a JSON string that holds JSON"),
            (br#""hello""#, "a JSON string, not an object"),
            (b"eyJpZCI6MX0=", "base64"),
            (b"{\"id\":1}{\"id\":2}", "more than one object"),
            (b"{\"id\":1}\r\n{\"id\":2}", "more than one object"),
            (b"[{\"id\":1}]", "an array"),
            (b"\xff\xfe{\0", "UTF-16"),
            (b"\0\0\0\0\x07\x02\x04ab", "schema registry"),
            (b"\x1f\x8b\x08", "gzip"),
        ] {
            let fault = name(bytes).map(|fault| fault.to_string()).unwrap_or_default();
            assert!(fault.contains(expected), "{fault}");
        }
        assert!(name(b"hello").is_none() && name(b"{").is_none());
    }
}

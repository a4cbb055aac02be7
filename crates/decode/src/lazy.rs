//! JSON of which only what is looked at is read.
//!
//! A `serde` deserializer: values that a type has no field for are skipped ([`skip`]), whole
//! numbers and texts without escapes are read, others are left to `serde_json`. The types of the
//! decoders ask for two things more, by the name of a newtype: [`RAW`], the bytes of a value, and
//! [`PART`], whether a value is an object, an array, nothing or something else.
//!
//! The hot path says only that it has failed ([`Failed`] has no size); [`explain`] reads again and
//! says where and why.

use super::fault::{Explained, Failed, KeyedError};
use super::skip;
use serde::de::value::BorrowedBytesDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use std::marker::PhantomData;

/// A newtype of this name gets the bytes of the value, which are skipped.
pub(super) const RAW: &str = "$raw";
/// A newtype of this name is visited by what the value is: a non-empty object as a newtype, a
/// non-empty array as `Some`, null and an empty object or array as a unit, anything else (which is
/// skipped) as `false`.
pub(super) const PART: &str = "$part";

/// The value that `bytes` are, and nothing beside it.
pub(crate) fn from_slice<'a, T: de::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Failed> {
    read(bytes)
}

/// Why `bytes` are not such a value; `None` if they are.
pub(super) fn explain<'a, T: de::Deserialize<'a>>(bytes: &'a [u8]) -> Option<String> {
    read::<T, Explained>(bytes).err().map(|fault| fault.to_string())
}

#[inline]
fn read<'a, T: de::Deserialize<'a>, E: KeyedError>(bytes: &'a [u8]) -> Result<T, E> {
    let mut reader = Reader { rest: bytes, fault: PhantomData };
    let value = T::deserialize(&mut reader)?;
    let is_at_end = reader.peek().is_err() && reader.rest.is_empty();
    if is_at_end { Ok(value) } else { Err(E::custom("something follows the value")) }
}

/// A place in the text.
struct Reader<'de, E> {
    /// From there on.
    rest: &'de [u8],
    fault: PhantomData<E>,
}

impl<'de, E: KeyedError> Reader<'de, E> {
    /// The first byte that is no white space.
    #[inline]
    fn peek(&mut self) -> Result<u8, E> {
        match self.rest.first() {
            // Nearly always.
            Some(byte) if *byte > b' ' => Ok(*byte),
            _ => self.peek_behind_space(),
        }
    }

    #[cold]
    fn peek_behind_space(&mut self) -> Result<u8, E> {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
        self.rest
            .first()
            .copied()
            .filter(|byte| *byte > b' ')
            .ok_or_else(|| E::custom("the end of the record"))
    }

    /// Passes so many bytes, which are there.
    #[inline]
    fn advance(&mut self, bytes: usize) -> &'de [u8] {
        let (passed, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        passed
    }

    /// Passes this byte.
    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), E> {
        if self.peek()? != byte {
            return Err(E::custom(format_args!("{:?} is missing", char::from(byte))));
        }
        self.advance(1);
        Ok(())
    }

    /// Passes the text that comes next; what stands between its quotes, and whether it has no
    /// escapes.
    #[inline]
    fn text(&mut self) -> Result<(&'de [u8], bool), E> {
        self.expect(b'"')?;
        let (length, is_plain) =
            skip::text(self.rest).ok_or_else(|| E::custom("a value is cut off or no JSON"))?;
        let text = self.advance(length);
        self.advance(1);
        Ok((text, is_plain))
    }

    /// Passes the value that comes next.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a twentieth of all that decoding takes")]
    fn pass(&mut self) -> Result<&'de [u8], E> {
        let length = match self.peek()? {
            // What comes next shows whether the word ends here.
            b'n' if self.rest.starts_with(b"null") => 4,
            b'f' if self.rest.starts_with(b"false") => 5,
            b't' if self.rest.starts_with(b"true") => 4,
            _ => {
                skip::value(self.rest).ok_or_else(|| E::custom("a value is cut off or no JSON"))?
            }
        };
        Ok(self.advance(length))
    }

    /// Whether the object or array that begins here has nothing in it; passes it if so.
    fn pass_empty(&mut self, close: u8) -> bool {
        let rest = self.rest[1..].trim_ascii_start();
        let is_empty = rest.first() == Some(&close);
        if is_empty {
            self.rest = &rest[1..];
        }
        is_empty
    }

    /// Visits a value by what it is; see [`PART`].
    fn part<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, E> {
        match self.peek()? {
            b'{' if !self.pass_empty(b'}') => visitor.visit_newtype_struct(self),
            b'[' if !self.pass_empty(b']') => visitor.visit_some(self),
            b'{' | b'[' => visitor.visit_unit(),
            b'n' => self.deserialize_any(visitor),
            _ => {
                self.pass()?;
                visitor.visit_bool(false)
            }
        }
    }

    /// Passes pairs up to the value of the first key that may be wanted; `None`: there is none, and
    /// the object is at its end.
    fn next_key(&mut self, is_first: &mut bool, wanted: &Wanted) -> Result<Option<&'de [u8]>, E> {
        loop {
            let is_first = std::mem::take(is_first);
            let key = match self.compact_key(is_first) {
                Some(key) => key,
                None => match self.key(is_first)? {
                    Some(key) => key,
                    None => return Ok(None),
                },
            };
            if wanted.has(key) {
                return Ok(Some(key));
            }
            self.pass()?;
        }
    }

    /// Passes the key that comes next, if it is short and there is no white space.
    #[inline]
    fn compact_key(&mut self, is_first: bool) -> Option<&'de [u8]> {
        let ((false, [b',', b'"', rest @ ..]) | (true, [b'"', rest @ ..])) = (is_first, self.rest)
        else {
            return None;
        };
        let length = skip::short_text(rest)?;
        let [b'"', b':', after @ ..] = &rest[length..] else { return None };
        self.rest = after;
        Some(&rest[..length])
    }

    /// Passes the key that comes next; `None`: the object is at its end.
    #[inline(never)]
    fn key(&mut self, is_first: bool) -> Result<Option<&'de [u8]>, E> {
        if !self.has_next(is_first, b'}')? {
            return Ok(None);
        }
        let (key, is_plain) = self.text()?;
        self.expect(b':')?;
        if is_plain { Ok(Some(key)) } else { Err(E::custom("a key with escapes")) }
    }

    /// Whether another element comes before `close`.
    #[inline]
    fn has_next(&mut self, is_first: bool, close: u8) -> Result<bool, E> {
        let byte = self.peek()?;
        let is_more = byte != close;
        if is_more && is_first {
            return Ok(true);
        }
        if is_more && byte != b',' {
            return Err(E::custom("a comma is missing"));
        }
        self.advance(1);
        Ok(is_more)
    }
}

/// Reads what holds no other values.
fn leaf<'de, V: Visitor<'de>, E: KeyedError>(bytes: &'de [u8], visitor: V) -> Result<V::Value, E> {
    let mut leaf = serde_json::Deserializer::from_slice(bytes);
    let value = leaf.deserialize_any(visitor).map_err(E::custom)?;
    leaf.end().map_err(E::custom)?;
    Ok(value)
}

impl<'de, E: KeyedError> Deserializer<'de> for &mut Reader<'de, E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match self.peek()? {
            b'{' => {
                self.advance(1);
                visitor.visit_map(Elements::all(self))
            }
            b'[' => {
                self.advance(1);
                visitor.visit_seq(Elements::all(self))
            }
            b'"' => {
                let whole = self.rest;
                let (text, is_plain) = self.text()?;
                if !is_plain || text.iter().any(u8::is_ascii_control) {
                    return leaf(&whole[..text.len() + 2], visitor);
                }
                visitor.visit_borrowed_str(str::from_utf8(text).map_err(E::custom)?)
            }
            _ => {
                let scalar = self.advance(skip::scalar(self.rest));
                match whole(scalar) {
                    Some(number) => visitor.visit_u64(number),
                    None => leaf(scalar, visitor),
                }
            }
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, E> {
        if self.peek()? != b'{' {
            return self.deserialize_any(visitor);
        }
        self.advance(1);
        let wanted = Wanted::new(fields);
        visitor.visit_map(Elements { wanted, ..Elements::all(self) })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        if self.peek()? != b'n' {
            return visitor.visit_some(self);
        }
        self.deserialize_any(visitor)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, E> {
        match name {
            RAW => {
                self.peek()?;
                visitor.visit_borrowed_bytes(self.pass()?)
            }
            PART => self.part(visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        self.pass()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map enum identifier
    }
}

/// The number that these bytes are, if it is written without sign, point and exponent.
fn whole(scalar: &[u8]) -> Option<u64> {
    let is_canonical = scalar.len() == 1 || scalar.first() != Some(&b'0');
    digits(scalar).filter(|_| is_canonical)
}

/// The number that these bytes are, if they are digits and not too many.
#[inline]
pub(super) fn digits(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > 19 {
        return None;
    }
    bytes.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| 10 * number + u64::from(digit - b'0'))
    })
}

/// Keys that may be those of fields: one bit for each kind of key.
struct Wanted([u64; 4]);

impl Wanted {
    const ALL: Wanted = Wanted([u64::MAX; 4]);

    /// These, and a few others.
    fn new(fields: &[&str]) -> Self {
        let mut wanted = Wanted([0; 4]);
        for field in fields {
            let (word, bit) = Wanted::kind(field.as_bytes());
            wanted.0[word] |= bit;
        }
        wanted
    }

    fn has(&self, key: &[u8]) -> bool {
        let (word, bit) = Wanted::kind(key);
        self.0[word] & bit != 0
    }

    /// What is cheap to tell of a key: its length and its last byte.
    #[inline]
    fn kind(key: &[u8]) -> (usize, u64) {
        let last = usize::from(key.last().copied().unwrap_or_default());
        (key.len() % 4, 1 << ((key.len() / 4 * 16 + last % 32) % 64))
    }
}

/// The elements of an object or array.
struct Elements<'a, 'de, E> {
    reader: &'a mut Reader<'de, E>,
    is_first: bool,
    /// Other keys are skipped with their values.
    wanted: Wanted,
    /// Of the last pair.
    key: &'de [u8],
}

impl<'a, 'de, E> Elements<'a, 'de, E> {
    /// All of them.
    #[inline]
    fn all(reader: &'a mut Reader<'de, E>) -> Self {
        Elements { reader, is_first: true, wanted: Wanted::ALL, key: &[] }
    }
}

impl<'de, E: KeyedError> MapAccess<'de> for Elements<'_, 'de, E> {
    type Error = E;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, E> {
        match self.reader.next_key(&mut self.is_first, &self.wanted)? {
            Some(key) => {
                self.key = key;
                seed.deserialize(BorrowedBytesDeserializer::new(key)).map(Some)
            }
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, E> {
        let key = self.key;
        seed.deserialize(&mut *self.reader).map_err(|fault: E| fault.within(key))
    }
}

impl<'de, E: KeyedError> SeqAccess<'de> for Elements<'_, 'de, E> {
    type Error = E;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, E> {
        if !self.reader.has_next(std::mem::take(&mut self.is_first), b']')? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::from_slice;
    use crate::fuzzing;
    use serde::Deserialize;
    use serde::de::IgnoredAny;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Seen<'a> {
        a: i64,
        #[serde(borrow)]
        b: Option<&'a str>,
        c: Option<IgnoredAny>,
        #[serde(default)]
        d: Vec<f64>,
    }

    fn seen(json: &str) -> Option<Seen<'_>> {
        from_slice(json.as_bytes()).ok()
    }

    #[test]
    fn what_is_asked_for_is_read() {
        let seen_all = seen(r#" {"x":[{"a":2}],"d":[1,2.5e0],"a":-1 , "c":{"a":3},"b":"é"} "#);
        let expected = Seen { a: -1, b: Some("é"), c: Some(IgnoredAny), d: vec![1.0, 2.5] };
        assert_eq!(seen_all, Some(expected));
        let with_nulls = Seen { a: 1, b: None, c: None, d: vec![] };
        assert_eq!(seen(r#"{"c":null,"a":1,"b":null}"#), Some(with_nulls));
    }

    /// Only unread values are checked less than JSON requires.
    #[test]
    fn what_is_looked_at_must_be_json() {
        assert!(seen(r#"{"a":1,"x":[1,,nul}}],"y":01}"#).is_some());
        for wrong in [
            "",
            "{",
            "1",
            r#"{"a":1"#,
            r#"{"a":1}}"#,
            r#"{"a":1} x"#,
            "{\"a\":1}\0",
            r#"{"a":01}"#,
            r#"{"a":1,}"#,
            r#"{,"a":1}"#,
            r#"{"a" 1}"#,
            r#"{"a":1 "c":1}"#,
            r#"{"a":}"#,
            r#"{"a":1.5}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"b":"é"#,
            "{\"a\":1,\"b\":\"a\nb\"}",
            r#"{"a":1,"b":nul}"#,
            r#"{"a":1,"d":[1,]}"#,
            r#"{"a":1,"d":[1 2]}"#,
            r#"{"a":1,"d":[1}"#,
            r#"{"a":1,"x":}"#,
            r#"{"a":1,"x":["}"#,
        ] {
            assert_eq!(seen(wrong), None, "{wrong}");
        }
        assert!(from_slice::<Seen<'_>>(b"{\"a\":1,\"b\":\"\xff\"}").is_err());
    }

    #[test]
    fn it_reads_what_serde_json_reads() {
        for json in [
            r#"{"a":[1,-2,3.5,1e9,18446744073709551615,true,false,null],"b":{"":"\u00e9\n\"\\"}}"#,
            r#"[{"text":"日本 🦀 \ud83e\udd80","k":[[],{},[{}]]}, "\/", -0, 0.0]"#,
            r#"{"a":1,"a":2}"#,
            r#"{"\u0061":1}"#,
            r#"["\ud800"]"#,
            " [ 1 , 2 ] ",
            "[1,2",
        ] {
            let mut bytes = json.as_bytes().to_vec();
            fuzzing::json(&bytes);
            for at in 0..bytes.len() {
                fuzzing::json(&bytes[..at]);
                let kept = bytes[at];
                for wrong in *b"\"\\{}[],:x0 \xff" {
                    bytes[at] = wrong;
                    fuzzing::json(&bytes);
                }
                bytes[at] = kept;
            }
        }
    }
}

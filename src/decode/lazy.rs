//! JSON of which only what is looked at is read.
//!
//! A `serde` deserializer: values that a type has no field for are passed by ([`skip`]), texts and
//! numbers are left to `serde_json`. It says only that it has failed, not why.

use super::skip;
use serde::de::value::BorrowedBytesDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use std::fmt;

/// Something is not as it should be.
#[derive(Debug)]
pub(crate) struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("not as expected")
    }
}

impl std::error::Error for Failed {}

impl de::Error for Failed {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Failed
    }
}

/// The value that `bytes` are, and nothing beside it.
pub(crate) fn from_slice<'a, T: de::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Failed> {
    let mut reader = Reader { bytes, at: 0 };
    let value = T::deserialize(&mut reader)?;
    if reader.peek().is_ok() { Err(Failed) } else { Ok(value) }
}

/// A place in the text.
struct Reader<'de> {
    bytes: &'de [u8],
    at: usize,
}

impl<'de> Reader<'de> {
    /// The first byte that is no white space.
    #[inline]
    fn peek(&mut self) -> Result<u8, Failed> {
        loop {
            match self.bytes.get(self.at) {
                // Nearly always at once.
                Some(byte) if *byte > b' ' => return Ok(*byte),
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                _ => return Err(Failed),
            }
        }
    }

    /// Passes this byte.
    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Failed> {
        if self.peek()? != byte {
            return Err(Failed);
        }
        self.at += 1;
        Ok(())
    }

    /// Passes the text that begins here; what stands between its quotes, and whether it has no
    /// escapes.
    #[inline]
    fn text(&mut self) -> Result<(&'de [u8], bool), Failed> {
        let (end, is_plain) = skip::text(self.bytes, self.at).ok_or(Failed)?;
        let text = &self.bytes[self.at + 1..end - 1];
        self.at = end;
        Ok((text, is_plain))
    }

    /// Reads what stands between `begin` and here, which holds no other values.
    fn leaf<V: Visitor<'de>>(&self, begin: usize, visitor: V) -> Result<V::Value, Failed> {
        let mut leaf = serde_json::Deserializer::from_slice(&self.bytes[begin..self.at]);
        let value = leaf.deserialize_any(visitor).map_err(|_| Failed)?;
        leaf.end().map_err(|_| Failed)?;
        Ok(value)
    }

    /// Whether another element comes before `close`.
    #[inline]
    fn has_next(&mut self, is_first: bool, close: u8) -> Result<bool, Failed> {
        let byte = self.peek()?;
        let is_more = byte != close;
        if is_more && is_first {
            return Ok(true);
        }
        if is_more && byte != b',' {
            return Err(Failed);
        }
        self.at += 1;
        Ok(is_more)
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Failed;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        match self.peek()? {
            b'{' => {
                self.at += 1;
                visitor.visit_map(Elements { reader: self, is_first: true })
            }
            b'[' => {
                self.at += 1;
                visitor.visit_seq(Elements { reader: self, is_first: true })
            }
            b'"' => {
                let begin = self.at;
                let (text, is_plain) = self.text()?;
                if !is_plain || text.iter().any(u8::is_ascii_control) {
                    return self.leaf(begin, visitor);
                }
                visitor.visit_borrowed_str(str::from_utf8(text).map_err(|_| Failed)?)
            }
            _ => {
                let begin = self.at;
                self.at = skip::scalar(self.bytes, self.at);
                self.leaf(begin, visitor)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        if self.peek()? != b'n' {
            return visitor.visit_some(self);
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.peek()?;
        self.at = skip::value(self.bytes, self.at).ok_or(Failed)?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}

/// The elements of an object or array.
struct Elements<'a, 'de> {
    reader: &'a mut Reader<'de>,
    is_first: bool,
}

impl<'de> MapAccess<'de> for Elements<'_, 'de> {
    type Error = Failed;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Failed> {
        if !self.reader.has_next(std::mem::take(&mut self.is_first), b'}')? {
            return Ok(None);
        }
        if self.reader.peek()? != b'"' {
            return Err(Failed);
        }
        let (key, is_plain) = self.reader.text()?;
        self.reader.expect(b':')?;
        if !is_plain {
            return Err(Failed);
        }
        seed.deserialize(BorrowedBytesDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failed> {
        seed.deserialize(&mut *self.reader)
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Failed;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Failed> {
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
        let expected = Seen { a: 1, b: None, c: None, d: vec![] };
        assert_eq!(seen(r#"{"c":null,"a":1,"b":null}"#), Some(expected));
    }

    /// Only where nobody looks is less asked than JSON asks.
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

//! Owns the key of a record: the id of the tweet in a line, where one can be read.
//!
//! It looks at `id_str` and `id` of the outermost object and passes over everything else; it never
//! refuses a line. `id_str` is preferred, because JavaScript producers round numbers above 2^53.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The tweet id of a line; none for control messages, other JSON, and what is no JSON.
pub(super) fn tweet_id(line: &[u8]) -> Option<u64> {
    let Outermost(id) = serde_json::from_slice(line).ok()?;
    id
}

struct Outermost(Option<u64>);

impl<'de> Deserialize<'de> for Outermost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self(None))
    }
}

impl<'de> Visitor<'de> for Outermost {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let (mut text, mut number) = (None, None);
        while let Some(name) = map.next_key::<Name>()? {
            match name {
                Name::IdStr => text = map.next_value::<Id>()?.0.or(text),
                Name::Id => number = map.next_value::<Id>()?.0.or(number),
                Name::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Self(text.or(number)))
    }
}

/// The names that matter.
enum Name {
    Id,
    IdStr,
    Other,
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl Visitor<'_> for Names {
            type Value = Name;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a name")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
                Ok(match name {
                    "id" => Name::Id,
                    "id_str" => Name::IdStr,
                    _ => Name::Other,
                })
            }
        }
        deserializer.deserialize_str(Names)
    }
}

/// A number or its decimal text; any other value is passed over.
struct Id(Option<u64>);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self(None))
    }
}

impl<'de> Visitor<'de> for Id {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_u64<E>(self, id: u64) -> Result<Self, E> {
        Ok(Self(Some(id)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self, E> {
        // `parse` takes a sign as well.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        Ok(Self(text.parse().ok().filter(|_| digits)))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_the_outermost_object_is_found() {
        for (line, expected) in [
            (r#"{"id":7,"id_str":"7"}"#, Some(7)),
            (
                r#"{"id":2116681624581155840,"id_str":"2116681624581155509"}"#,
                Some(2_116_681_624_581_155_509),
            ),
            (r#"{"id":"8"}"#, Some(8)),
            (r#"{"id_str":"x","id":9}"#, Some(9)),
            (r#"{"id_str":null,"id":18446744073709551615}"#, Some(u64::MAX)),
            (r#"{"id_str":["1"],"id":3}"#, Some(3)),
            (r#"{"retweeted_status":{"id":5},"id":4,"user":{"id":6}}"#, Some(4)),
            (r#"{"\u0069d":11}"#, Some(11)),
            (r#"{"id":1,"id":2}"#, Some(2)),
        ] {
            assert_eq!(tweet_id(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn what_is_no_tweet_has_no_key() {
        for line in [
            "",
            "no json",
            "7",
            r#"[{"id":7}]"#,
            r#"{"delete":{"status":{"id":7,"id_str":"7"}}}"#,
            r#"{"limit":{"track":5}}"#,
            r#"{"id":-1}"#,
            r#"{"id":1.5}"#,
            r#"{"id":1e3}"#,
            r#"{"id":true}"#,
            r#"{"id":{"$numberLong":"7"}}"#,
            r#"{"id_str":"+7"}"#,
            r#"{"id_str":""}"#,
            r#"{"id":18446744073709551616}"#,
            r#"{"id":7"#,
            r#"{"id":7} x"#,
        ] {
            assert_eq!(tweet_id(line.as_bytes()), None, "{line}");
        }
        assert_eq!(tweet_id(b"{\"text\":\"\xff\",\"id\":7}"), Some(7));
    }
}

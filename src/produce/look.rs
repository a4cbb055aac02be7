//! Owns what `produce` has to know of a record: its key, the id of the tweet that it is or is about,
//! so that a tweet and its delete are in one partition; whether the author gives a location, for
//! `--require-location`; and whether it is a page of statuses.
//!
//! It looks at the outermost object, one level into `data`, `user` and `author`, into messages about
//! one tweet (a delete, a drop, a withheld tweet, of either API), and passes over everything else; it
//! never refuses a record. `id_str` is preferred, because JavaScript producers round numbers above
//! 2^53.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What is known of a record; nothing of messages that are not about one tweet, of other JSON, and of
/// what is no JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// The tweet's id: of a message about one, of v1.1 or a flattened v2 tweet, else of `data`.
    pub(super) key: Option<u64>,
    /// It is a tweet whose author stands in it, and gives no location.
    pub(super) lacks_location: bool,
    /// It has a member `statuses` that is an array.
    pub(super) is_page: bool,
}

/// Looks at a record.
pub(super) fn look(record: &[u8]) -> Facts {
    serde_json::from_slice(record).unwrap_or_default()
}

impl<'de> Deserialize<'de> for Facts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Outermost)
    }
}

struct Outermost;

impl<'de> Visitor<'de> for Outermost {
    type Value = Facts;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Facts, A::Error> {
        let (mut text, mut number, mut inner) = (None, None, None);
        let (mut about, mut author, mut is_page) = (None, None, false);
        while let Some(name) = map.next_key::<Name>()? {
            match name {
                Name::IdStr => text = map.next_value::<Value>()?.id.or(text),
                Name::Id => number = map.next_value::<Value>()?.id.or(number),
                Name::Data => {
                    let data = map.next_value::<Value>()?;
                    (inner, about) = (data.inner, data.about.or(about));
                }
                // `status_withheld` of the first API holds the id itself.
                Name::Message => {
                    let message = map.next_value::<Value>()?;
                    about = message.about.or(message.inner).or(about);
                }
                Name::Author => author = map.next_value::<Value>()?.located.or(author),
                Name::Statuses => is_page = map.next_value::<Value>()?.is_array,
                Name::Tweet | Name::Location | Name::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let own = text.or(number);
        let lacks_location = own.is_some() && author == Some(false);
        Ok(Facts { key: about.or(own).or(inner), lacks_location, is_page })
    }
}

/// The names that matter.
enum Name {
    Id,
    IdStr,
    Data,
    /// Of a message about one tweet.
    Message,
    /// Of that tweet, in such a message.
    Tweet,
    Author,
    Location,
    Statuses,
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
                    "data" => Name::Data,
                    "delete" | "tweet_delete" | "status_withheld" | "withheld"
                    | "tweet_withheld" | "drop" | "undrop" | "tweet_drop" | "tweet_undrop" => {
                        Name::Message
                    }
                    "status" | "tweet" => Name::Tweet,
                    "user" | "author" => Name::Author,
                    "location" => Name::Location,
                    "statuses" => Name::Statuses,
                    _ => Name::Other,
                })
            }
        }
        deserializer.deserialize_str(Names)
    }
}

/// What one value may be; most are none of it.
#[derive(Default)]
struct Value {
    /// It is a number, or the decimal text of one.
    id: Option<u64>,
    /// It is an object with such an id.
    inner: Option<u64>,
    /// It is a message about the tweet with this id, or holds one.
    about: Option<u64>,
    /// It is an object, with a location that is not null or without.
    located: Option<bool>,
    is_array: bool,
    is_null: bool,
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self::default())
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_u64<E>(self, id: u64) -> Result<Self, E> {
        Ok(Self { id: Some(id), ..self })
    }

    fn visit_str<E>(self, text: &str) -> Result<Self, E> {
        // `parse` takes a sign as well.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        Ok(Self { id: text.parse().ok().filter(|_| digits), ..self })
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
        Ok(Self { is_null: true, ..self })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self { is_array: true, ..self })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let (mut text, mut number, mut about, mut located) = (None, None, None, false);
        while let Some(name) = map.next_key::<Name>()? {
            match name {
                Name::IdStr => text = map.next_value::<Value>()?.id,
                Name::Id => number = map.next_value::<Value>()?.id,
                Name::Tweet => about = map.next_value::<Value>()?.inner.or(about),
                Name::Message => about = map.next_value::<Value>()?.about.or(about),
                Name::Location => located = !map.next_value::<Value>()?.is_null,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Self { inner: text.or(number), about, located: Some(located), ..self })
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
            (r#"{"data":{"id":"12","text":"t"},"includes":{"users":[{"id":"3"}]}}"#, Some(12)),
            (r#"{"id":"13","data":{"id":"14"}}"#, Some(13)),
        ] {
            assert_eq!(look(line.as_bytes()).key, expected, "{line}");
        }
    }

    #[test]
    fn a_message_about_a_tweet_has_its_key() {
        for (line, expected) in [
            (
                r#"{"delete":{"status":{"id":9007199254740992,"id_str":"9007199254740993",
                    "user_id":3,"user_id_str":"3"},"timestamp_ms":"5"}}"#,
                9_007_199_254_740_993,
            ),
            (r#"{"delete":{"timestamp_ms":"5","status":{"user_id":3,"id":7}}}"#, 7),
            (r#"{"status_withheld":{"id":8,"user_id":3,"withheld_in_countries":["XY"]}}"#, 8),
            (r#"{"data":{"delete":{"tweet":{"id":"9","author_id":"3"},"event_at":"x"}}}"#, 9),
            (r#"{"data":{"tweet_delete":{"tweet":{"id":"10"}}}}"#, 10),
            (r#"{"data":{"undrop":{"tweet":{"id":"11","author_id":"3"}}}}"#, 11),
            (r#"{"data":{"tweet_withheld":{"tweet":{"id":"12"}}}}"#, 12),
            // A tweet that is withheld somewhere says so itself.
            (r#"{"data":{"id":"13","withheld":{"country_codes":["XY"]}}}"#, 13),
            (r#"{"id":14,"withheld":{"copyright":true},"user":{}}"#, 14),
            (r#"{"id":15,"delete":null}"#, 15),
        ] {
            assert_eq!(look(line.as_bytes()).key, Some(expected), "{line}");
        }
    }

    #[test]
    fn what_is_no_tweet_has_no_key() {
        for line in [
            "",
            "no json",
            "7",
            r#"[{"id":7}]"#,
            r#"{"delete":{"status":{"user_id":7}}}"#,
            r#"{"delete":{"status":[7]}}"#,
            r#"{"scrub_geo":{"user_id":7,"up_to_status_id":8,"up_to_status_id_str":"8"}}"#,
            r#"{"user_withheld":{"id":7,"withheld_in_countries":["XY"]}}"#,
            r#"{"data":{"user_delete":{"user":{"id":"7"}}}}"#,
            r#"{"data":{"scrub_geo":{"user":{"id":"7"},"up_to_tweet_id":"8"}}}"#,
            r#"{"status":{"id":7}}"#,
            r#"{"limit":{"track":5}}"#,
            r#"{"id":-1}"#,
            r#"{"data":[{"id":"12"}]}"#,
            r#"{"data":{"id":["1"]}}"#,
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
            assert_eq!(look(line.as_bytes()).key, None, "{line}");
        }
        assert_eq!(look(b"{\"text\":\"\xff\",\"id\":7}").key, Some(7));
    }

    #[test]
    fn a_location_is_looked_for_where_a_tweet_has_its_author() {
        for (line, lacks) in [
            (r#"{"id":1,"user":{"id":2,"location":"Bern"}}"#, false),
            (r#"{"id":1,"user":{"location":""}}"#, false),
            (r#"{"id":1,"user":{"location":{}}}"#, false),
            (r#"{"id":1,"user":{"location":null}}"#, true),
            (r#"{"user":{"id":2},"id":1}"#, true),
            (r#"{"id":"1","text":"t","author":{"location":"Bern"}}"#, false),
            (r#"{"id":"1","text":"t","author":{"name":"x"}}"#, true),
            (r#"{"id":1,"user":{"location":"x"},"retweeted_status":{"id":3,"user":{}}}"#, false),
            (r#"{"data":{"id":"1"},"includes":{"users":[{"id":"2"}]}}"#, false),
            (r#"{"delete":{"status":{"id":1}}}"#, false),
            (r#"{"user_withheld":{"id":1},"user":{}}"#, false),
            (r#"{"id":1,"user":7}"#, false),
            (r#"{"id":1,"user":{"location":null}"#, false),
        ] {
            assert_eq!(look(line.as_bytes()).lacks_location, lacks, "{line}");
        }
    }

    #[test]
    fn a_page_has_statuses_in_an_array() {
        for (line, is_page) in [
            (r#"{"statuses":[{"id":1}],"search_metadata":{}}"#, true),
            (r#"{"statuses":{}}"#, false),
            (r#"{"user":{"statuses":[]}}"#, false),
        ] {
            assert_eq!(look(line.as_bytes()).is_page, is_page, "{line}");
        }
    }
}

//! Twitter API v1.1 stream messages: tweets and the notices between them.
//!
//! Fields are those of the v1.1 documentation ("Tweet object", "User object", "Streaming message
//! types"). Only the fields that some table needs are looked at; everything else is skipped, not
//! checked. Unusual values (a friend count of -1, a null location, missing entities) are data.

use super::{Settings, Undecodable, hashtag, name};
use dataflows::Event;
use dataflows::latest::Version;
use dataflows::tweet::{Kind, Tweet, User};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// One message of the stream, borrowed from its bytes.
#[derive(serde::Deserialize)]
struct Message<'a> {
    #[serde(default)]
    id: Option<u64>,
    #[serde(default, borrow)]
    id_str: Option<Text<'a>>,
    #[serde(default)]
    truncated: Option<bool>,
    #[serde(default, borrow)]
    entities: Option<Object<Entities<'a>>>,
    #[serde(default, borrow)]
    extended_tweet: Option<Object<Extended<'a>>>,
    #[serde(default, borrow)]
    user: Option<Object<Author<'a>>>,
    #[serde(default)]
    delete: Option<IgnoredAny>,
    #[serde(default)]
    scrub_geo: Option<IgnoredAny>,
    #[serde(default)]
    limit: Option<IgnoredAny>,
    #[serde(default)]
    status_withheld: Option<IgnoredAny>,
    #[serde(default)]
    user_withheld: Option<IgnoredAny>,
    #[serde(default)]
    disconnect: Option<IgnoredAny>,
    #[serde(default)]
    warning: Option<IgnoredAny>,
    #[serde(default)]
    event: Option<IgnoredAny>,
    #[serde(default)]
    friends: Option<IgnoredAny>,
}

#[derive(serde::Deserialize)]
struct Extended<'a> {
    #[serde(default, borrow)]
    entities: Option<Object<Entities<'a>>>,
}

#[derive(serde::Deserialize)]
struct Entities<'a> {
    #[serde(default, borrow)]
    hashtags: Option<Vec<Object<Hashtag<'a>>>>,
}

#[derive(serde::Deserialize)]
struct Hashtag<'a> {
    #[serde(borrow)]
    text: Text<'a>,
}

#[derive(serde::Deserialize)]
struct Author<'a> {
    #[serde(default)]
    id: Option<u64>,
    #[serde(default, borrow)]
    id_str: Option<Text<'a>>,
    #[serde(default, borrow)]
    name: Option<Text<'a>>,
    /// Only whether it is null.
    #[serde(default)]
    location: Option<IgnoredAny>,
    #[serde(default)]
    friends_count: Option<i64>,
    #[serde(default)]
    followers_count: Option<i64>,
}

/// A JSON object. (serde's own structs would take an array as well, field by field.)
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// Text that is borrowed where it has no escapes. (serde's own `Option<Cow<str>>` always copies.)
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// What the bytes of one message say.
pub(super) fn decode(
    bytes: &[u8],
    version: Version,
    settings: Settings,
) -> Result<Event, Undecodable> {
    let message: Object<Message<'_>> = serde_json::from_slice(bytes).map_err(|error| {
        if error.is_data() { Undecodable::Shape(error) } else { Undecodable::Json(error) }
    })?;
    let Object(message) = message;
    if let Some(kind) = message.notice() {
        return Ok(Event::Other(kind));
    }
    let Some(Object(author)) = &message.user else {
        return Err(Undecodable::Unknown);
    };
    let tweet_id = id(message.id_str.as_ref(), message.id).ok_or(Undecodable::Id("tweet's id"))?;
    let user_id = id(author.id_str.as_ref(), author.id).ok_or(Undecodable::Id("author's id"))?;
    if settings.require_location && author.location.is_none() {
        return Ok(Event::Other(Kind::Filtered));
    }
    let hashtags = message.hashtags().iter().map(|Object(tag)| hashtag(&tag.text.0));
    Ok(Event::Tweet(Tweet {
        version: Version { tweet_id, ..version },
        hashtags: hashtags.collect::<Result<_, _>>()?,
        user: User {
            id: user_id,
            name: name::clean(author.name.as_ref().map_or("", |name| &name.0)),
            friends: author.friends_count,
            followers: author.followers_count,
        },
    }))
}

/// `id_str` where it is a number, else `id`: producers in JavaScript round ids above 2⁵³.
fn id(text: Option<&Text<'_>>, number: Option<u64>) -> Option<u64> {
    text.and_then(|text| text.0.parse().ok()).or(number)
}

impl Message<'_> {
    /// Which notice it is, where it is one.
    fn notice(&self) -> Option<Kind> {
        [
            (self.delete.is_some(), Kind::Delete),
            (self.scrub_geo.is_some(), Kind::ScrubGeo),
            (self.limit.is_some(), Kind::Limit),
            (self.status_withheld.is_some(), Kind::StatusWithheld),
            (self.user_withheld.is_some(), Kind::UserWithheld),
            (self.disconnect.is_some(), Kind::Disconnect),
            (self.warning.is_some(), Kind::Warning),
            (self.event.is_some(), Kind::Other),
            (self.friends.is_some(), Kind::Other),
        ]
        .into_iter()
        .find_map(|(is, kind)| is.then_some(kind))
    }

    /// The tweet's own hashtags: a truncated tweet has all of them only in its extended form.
    fn hashtags(&self) -> &[Object<Hashtag<'_>>] {
        let extended = self.extended_tweet.as_ref().filter(|_| self.truncated == Some(true));
        let entities = match extended {
            Some(Object(extended)) => extended.entities.as_ref(),
            None => self.entities.as_ref(),
        };
        entities.and_then(|Object(entities)| entities.hashtags.as_deref()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, Kind, Settings, Undecodable, Version, decode};

    fn decoded(json: &str) -> Result<Event, Undecodable> {
        decode(json.as_bytes(), Version::default(), Settings::default())
    }

    fn hashtags(json: &str) -> Vec<String> {
        match decoded(json) {
            Ok(Event::Tweet(tweet)) => tweet.hashtags.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// Golden: what one tweet becomes. Whoever has to change this raises `decode::VERSION`.
    #[test]
    fn a_tweet() {
        let json = r##"{"created_at":"Mon Nov 23 09:00:00 +0000 2026","id":1993,"id_str":"9007199254740993",
            "text":"#Rust and #rust \ud83e\udd80","truncated":false,
            "entities":{"hashtags":[{"text":"Rust","indices":[0,5]},{"text":"r\u00fcst","indices":[10,15]}]},
            "retweeted_status":{"id":1,"entities":{"hashtags":[{"text":"other"}]}},
            "user":{"id":7,"id_str":"7","name":"Ada \ud83e\udd80","location":null,"friends_count":-1}}"##;
        let version = Version { tweet_id: 0, record_ms: 5, partition: 1, offset: 2 };
        let Ok(Event::Tweet(tweet)) = decode(json.as_bytes(), version, Settings::default()) else {
            panic!("a tweet is a tweet");
        };
        assert_eq!(tweet.version, Version { tweet_id: 9_007_199_254_740_993, ..version });
        assert_eq!(tweet.hashtags, ["Rust".into(), "rüst".into()] as [Box<str>; 2]);
        assert_eq!((tweet.user.id, &*tweet.user.name), (7, "Ada"));
        assert_eq!((tweet.user.friends, tweet.user.followers), (Some(-1), None));
        let required = Settings { require_location: true };
        let filtered = decode(json.as_bytes(), version, required);
        assert!(matches!(filtered, Ok(Event::Other(Kind::Filtered))));
        assert_eq!(super::super::VERSION, 1, "golden rows belong to a version");
    }

    #[test]
    fn a_truncated_tweet_has_its_hashtags_in_the_extended_form() {
        let tweet = |truncated: &str| {
            format!(
                r#"{{"id":1,"user":{{"id":2}},"truncated":{truncated},
                "entities":{{"hashtags":[{{"text":"a"}}]}},
                "extended_tweet":{{"entities":{{"hashtags":[{{"text":"a"}},{{"text":"b"}}]}}}}}}"#
            )
        };
        assert_eq!(hashtags(&tweet("true")), ["a", "b"]);
        assert_eq!(hashtags(&tweet("false")), ["a"]);
    }

    #[test]
    fn unusual_values_are_data() {
        for json in [
            r#"{"id":1,"user":{"id":2}}"#,
            r#"{"id":1,"user":{"id":2,"name":null},"entities":null}"#,
            r#"{"id":1,"user":{"id":2},"entities":{"hashtags":null},"id_str":"x"}"#,
        ] {
            assert!(hashtags(json).is_empty(), "{json}");
        }
    }

    #[test]
    fn notices_are_counted_by_kind() {
        for (json, kind) in [
            (r#"{"delete":{"status":{"id":1,"id_str":"1","user_id":3}}}"#, Kind::Delete),
            (r#"{"scrub_geo":{"user_id":1,"up_to_status_id":2}}"#, Kind::ScrubGeo),
            (r#"{"limit":{"track":1234}}"#, Kind::Limit),
            (r#"{"status_withheld":{"id":1}}"#, Kind::StatusWithheld),
            (r#"{"user_withheld":{"id":1}}"#, Kind::UserWithheld),
            (r#"{"disconnect":{"code":4}}"#, Kind::Disconnect),
            (r#"{"warning":{"code":"FALLING_BEHIND"}}"#, Kind::Warning),
            (r#"{"friends":[1]}"#, Kind::Other),
        ] {
            let event = decoded(json);
            assert!(matches!(event, Ok(Event::Other(found)) if found == kind), "{json}: {event:?}");
        }
    }

    #[test]
    fn what_is_no_tweet_has_a_reason() {
        for (json, reason) in [
            ("", "json"),
            ("{", "json"),
            ("hello", "json"),
            (r#"{"id":1,"user":{"id":2}} x"#, "json"),
            ("[]", "shape"),
            ("7", "shape"),
            ("{}", "shape"),
            (r#"{"id":1}"#, "shape"),
            (r#"{"id":-1,"user":{"id":2}}"#, "shape"),
            (r#"{"id":1,"user":[]}"#, "shape"),
            (r#"{"id":1,"user":{"id":2},"entities":[[]]}"#, "shape"),
            (r#"{"id":1,"user":{"id":2},"entities":{"hashtags":[["a"]]}}"#, "shape"),
            (r#"{"id":1,"user":{"id":2},"extended_tweet":[]}"#, "shape"),
            (r#"{"user":{"id":2}}"#, "id"),
            (r#"{"id":1,"user":{"name":"x"}}"#, "id"),
            (r#"{"id":1,"user":{"id":2},"entities":{"hashtags":[{"text":"a b"}]}}"#, "hashtag"),
            (r#"{"id":1,"user":{"id":2},"entities":{"hashtags":[{"text":""}]}}"#, "hashtag"),
            (r#"{"id":1,"user":{"id":2},"entities":{"hashtags":[{"text":"a\u0000"}]}}"#, "hashtag"),
        ] {
            match decoded(json) {
                Err(error) => assert_eq!(error.reason(), reason, "{json}: {error}"),
                Ok(event) => panic!("{json}: {event:?}"),
            }
        }
    }
}

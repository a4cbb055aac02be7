//! Which earlier versions a tweet replaces: each version of an edited tweet is a tweet of its own.
//!
//! ```text
//! first API    {"id": 3, …, "edit_history": {"initial_tweet_id": "1", "edit_tweet_ids": ["1", "2", "3"]}}
//! second API   {"id": "3", …, "edit_history_tweet_ids": ["1", "2", "3"]}
//! ```
//!
//! Versions with greater ids say nothing here: they come themselves, or the tweet is the newest version
//! that was read. A history that is no list of ids is none; it refuses no tweet.

use super::json::{self, Object};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

#[derive(serde::Deserialize)]
struct Post {
    #[serde(default)]
    edit_history: Option<Object<History>>,
}

#[derive(serde::Deserialize)]
struct History {
    #[serde(default)]
    initial_tweet_id: Versions,
    #[serde(default)]
    edit_tweet_ids: Versions,
}

/// The versions of a tweet of the first API that says that it has some.
pub(super) fn of_first_api(bytes: &[u8]) -> Option<Versions> {
    let post: Post = json::parse(bytes).ok()?;
    let Object(History { initial_tweet_id, mut edit_tweet_ids }) = post.edit_history?;
    edit_tweet_ids.more.extend(initial_tweet_id.first);
    Some(edit_tweet_ids)
}

/// Ids of versions: one, or a list. Nearly all tweets have one version, which needs no memory of its own.
#[derive(Default)]
pub(super) struct Versions {
    first: Option<u64>,
    more: Vec<u64>,
}

impl Versions {
    /// Those before this one.
    pub(super) fn before(&self, id: u64) -> Box<[u64]> {
        let all = self.first.iter().chain(&self.more).copied();
        all.filter(|version| *version < id).collect()
    }
}

impl<'de> Deserialize<'de> for Versions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VersionsVisitor)
    }
}

/// Takes whatever comes.
struct VersionsVisitor;

fn one(first: Option<u64>) -> Versions {
    Versions { first, more: Vec::new() }
}

impl<'de> Visitor<'de> for VersionsVisitor {
    type Value = Versions;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ids")
    }

    fn visit_u64<E>(self, id: u64) -> Result<Versions, E> {
        Ok(one(Some(id)))
    }

    fn visit_str<E>(self, id: &str) -> Result<Versions, E> {
        let is_plain = id.bytes().all(|byte| byte.is_ascii_digit());
        Ok(one(id.parse().ok().filter(|_| is_plain)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Versions, A::Error> {
        let mut versions = Versions::default();
        while let Some(Versions { first, more: _ }) = list.next_element()? {
            match (versions.first, first) {
                (None, first) => versions.first = first,
                (Some(_), id) => versions.more.extend(id),
            }
        }
        Ok(versions)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Versions, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Versions::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Versions, E> {
        Ok(Versions::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Versions, E> {
        Ok(Versions::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Versions, E> {
        Ok(Versions::default())
    }

    fn visit_unit<E>(self) -> Result<Versions, E> {
        Ok(Versions::default())
    }
}

#[cfg(test)]
mod tests {
    use super::{Versions, of_first_api};

    fn before(versions: Option<Versions>, id: u64) -> Vec<u64> {
        versions.map_or_else(Vec::new, |versions| versions.before(id).into_vec())
    }

    #[test]
    fn the_versions_before_one() {
        for (json, wanted) in [
            (r#"["1","2","3"]"#, &[1, 2][..]),
            (r#"[1,2,3,"4"]"#, &[1, 2]),
            (r#"["3"]"#, &[]),
            ("[]", &[]),
            (r#"["3",null,{"a":[1]},["1"],true,-1,1.5,"+1","x","2"]"#, &[1, 2]),
            (r#"{"a":1}"#, &[]),
            (r#""1""#, &[1]),
            ("null", &[]),
        ] {
            let lazily = super::super::lazy::from_slice::<Versions>(json.as_bytes());
            assert_eq!(before(lazily.ok(), 3), wanted, "{json}");
            let whole = serde_json::from_str::<Versions>(json);
            assert_eq!(before(whole.ok(), 3), wanted, "{json}");
        }
    }

    #[test]
    fn the_first_api_says_it_in_an_object() {
        for (history, wanted) in [
            (r#"{"initial_tweet_id":"1","edit_tweet_ids":["1","2","3"]}"#, &[1, 2, 1][..]),
            (r#"{"initial_tweet_id":"1"}"#, &[1]),
            (r#"{"edit_tweet_ids":["2","3"],"initial_tweet_id":null}"#, &[2]),
            ("null", &[]),
            ("7", &[]),
        ] {
            let json = format!(r#"{{"id":3,"edit_history":{history}}}"#);
            assert_eq!(before(of_first_api(json.as_bytes()), 3), wanted, "{json}");
        }
    }
}

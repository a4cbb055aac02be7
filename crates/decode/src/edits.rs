//! Which earlier versions a tweet replaces: each version of an edited tweet is a tweet of its own.
//!
//! ```text
//! first API    {"id": 3, …, "edit_history": {"initial_tweet_id": "1",
//!                                        "edit_tweet_ids": ["1", "2", "3"]}}
//! second API   {"id": "3", …, "edit_history_tweet_ids": ["1", "2", "3"]}
//! ```
//!
//! Versions with greater ids say nothing here: they come themselves, or the tweet is the newest
//! version that was read. A history that is no list of ids is none; it refuses no tweet.

use super::json::{Leaf, Raw, parse};
use super::{Undecodable, lazy};
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use std::fmt;

#[derive(serde::Deserialize)]
struct History<'a> {
    #[serde(default, borrow)]
    initial_tweet_id: Leaf<'a>,
    #[serde(default)]
    edit_tweet_ids: Versions,
}

/// The versions that the `edit_history` of a tweet of the first API names.
pub(super) fn of_first_api(history: Option<Raw<'_>>) -> Result<Versions, Undecodable> {
    let Some(history) = history.filter(|it| it.0.starts_with(b"{")) else {
        return Ok(Versions::default());
    };
    let History { initial_tweet_id, mut edit_tweet_ids } = parse(history.0)?;
    edit_tweet_ids.more.extend(initial_tweet_id.id());
    Ok(edit_tweet_ids)
}

/// Ids of versions. Nearly all tweets have one version, which needs no memory of its own.
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
        deserializer.deserialize_newtype_struct(lazy::PART, VersionsVisitor)
    }
}

/// Takes whatever comes.
struct VersionsVisitor;

impl<'de> Visitor<'de> for VersionsVisitor {
    type Value = Versions;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ids")
    }

    fn visit_some<D: Deserializer<'de>>(self, array: D) -> Result<Versions, D::Error> {
        array.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Versions, A::Error> {
        let mut versions = Versions::default();
        while let Some(id) = list.next_element::<Leaf<'_>>()? {
            match (versions.first, id.id()) {
                (None, id) => versions.first = id,
                (Some(_), id) => versions.more.extend(id),
            }
        }
        Ok(versions)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, it: D) -> Result<Versions, D::Error> {
        IgnoredAny::deserialize(it).map(|_| Versions::default())
    }

    fn visit_unit<E>(self) -> Result<Versions, E> {
        Ok(Versions::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Versions, E> {
        Ok(Versions::default())
    }
}

#[cfg(test)]
mod tests {
    use super::{Raw, Versions, of_first_api};

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
            (r#"["3",null,{"a":[1]},["1"],true,-1,1.5,"+1","x","2"]"#, &[2]),
            (r#"{"a":1}"#, &[]),
            ("null", &[]),
        ] {
            let lazily = super::super::lazy::from_slice::<Versions>(json.as_bytes());
            assert_eq!(before(lazily.ok(), 3), wanted, "{json}");
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
            let found = of_first_api(Some(Raw(history.as_bytes())));
            assert_eq!(before(found.ok(), 3), wanted, "{history}");
        }
    }
}

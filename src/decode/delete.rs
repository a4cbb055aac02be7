//! Which tweet a record says is deleted.
//!
//! ```text
//! first API    {"delete": {"status": {"id": 1, "id_str": "1", …}, …}}
//! second API   {"data": {"delete": {"tweet": {"id": "1", …}, …}}}      (also `tweet_delete`)
//! tombstone    no value, and the key is the tweet's id in digits
//! ```
//!
//! Of the other messages none takes a tweet back. A withheld tweet or account is withheld in some
//! countries only; `scrub_geo` asks to forget coordinates, and no table holds any; a line of a batch
//! compliance job does not say whether its id is a tweet's or a user's. They are counted by kind.
//!
//! A notice whose id cannot be read is counted as what it is and deletes nothing.

use super::json::{self, Id, Object, Text};
use super::v1;
use dataflows::Event;
use dataflows::latest::Version;
use dataflows::tweet::Kind;

#[derive(serde::Deserialize)]
struct Notice<'a> {
    #[serde(default, borrow)]
    delete: Option<Object<First<'a>>>,
    #[serde(default, borrow)]
    data: Option<Object<Second<'a>>>,
}

#[derive(serde::Deserialize)]
struct First<'a> {
    #[serde(borrow)]
    status: Object<Status<'a>>,
}

#[derive(serde::Deserialize)]
struct Status<'a> {
    #[serde(default)]
    id: Option<Id>,
    #[serde(default, borrow)]
    id_str: Option<Text<'a>>,
}

#[derive(serde::Deserialize)]
struct Second<'a> {
    #[serde(borrow, alias = "tweet_delete")]
    delete: Object<Deleted<'a>>,
}

#[derive(serde::Deserialize)]
struct Deleted<'a> {
    #[serde(borrow)]
    tweet: Object<Tweet<'a>>,
}

#[derive(serde::Deserialize)]
struct Tweet<'a> {
    #[serde(borrow)]
    id: Text<'a>,
}

/// A delete of this tweet; without one, only a message of that kind.
pub(super) fn event(kind: Kind, version: Version, tweet_id: Option<u64>) -> Event {
    let delete = |tweet_id| Event::Delete { version: Version { tweet_id, ..version }, kind };
    tweet_id.map_or(Event::Other(kind), delete)
}

/// The tweet that a delete notice is about.
pub(super) fn of_notice(bytes: &[u8]) -> Option<u64> {
    let notice: Notice<'_> = json::parse(bytes).ok()?;
    if let Some(Object(First { status: Object(status) })) = notice.delete {
        return v1::id(status.id_str.as_ref(), status.id);
    }
    let Object(Second { delete: Object(Deleted { tweet: Object(tweet) }) }) = notice.data?;
    tweet.id.id()
}

/// The tweet that a tombstone under this key is about.
pub(super) fn of_key(key: Option<&[u8]>) -> Option<u64> {
    std::str::from_utf8(key?).ok()?.parse().ok()
}

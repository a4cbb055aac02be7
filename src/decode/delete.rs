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
//! A notice whose id cannot be read is counted apart (`delete_without_id`) and deletes nothing; so is
//! a tombstone under another key (`tombstone_without_id`).

use super::json::{self, Leaf, Part};
use super::{Undecodable, v1};
use dataflows::Event;
use dataflows::latest::Version;
use dataflows::tweet::Kind;

#[derive(serde::Deserialize)]
struct Notice<'a> {
    #[serde(default, borrow)]
    delete: Part<First<'a>>,
    #[serde(default, borrow)]
    data: Part<Second<'a>>,
}

#[derive(serde::Deserialize)]
struct First<'a> {
    #[serde(default, borrow)]
    status: Part<Status<'a>>,
}

#[derive(serde::Deserialize)]
struct Second<'a> {
    #[serde(default, borrow)]
    delete: Part<Deleted<'a>>,
    #[serde(default, borrow)]
    tweet_delete: Part<Deleted<'a>>,
}

#[derive(serde::Deserialize)]
struct Deleted<'a> {
    #[serde(default, borrow)]
    tweet: Part<Status<'a>>,
}

#[derive(serde::Deserialize)]
struct Status<'a> {
    #[serde(default, borrow)]
    id: Leaf<'a>,
    #[serde(default, borrow)]
    id_str: Leaf<'a>,
}

/// A delete of this tweet; without one, only a message that says it is one.
pub(super) fn event(kind: Kind, version: Version, tweet_id: Option<u64>) -> Event {
    match (tweet_id, kind) {
        (Some(tweet_id), kind) => Event::Delete { version: Version { tweet_id, ..version }, kind },
        (None, Kind::Tombstone) => Event::Other(Kind::TombstoneWithoutId),
        (None, _) => Event::Other(Kind::DeleteWithoutId),
    }
}

/// The tweet that a delete notice is about.
pub(super) fn of_notice(bytes: &[u8]) -> Result<Option<u64>, Undecodable> {
    let notice: Notice<'_> = json::parse(bytes)?;
    let first = notice.delete.read().and_then(|delete| delete.status.read());
    let second = notice.data.read();
    let second = second.and_then(|data| data.delete.read().or(data.tweet_delete.read()));
    let status = first.or(second.and_then(|delete| delete.tweet.read()));
    Ok(status.and_then(|status| v1::id(&status.id_str, &status.id)))
}

/// The tweet that a tombstone under this key is about.
pub(super) fn of_key(key: Option<&[u8]>) -> Option<u64> {
    let key = std::str::from_utf8(key?).ok()?;
    // `parse` takes a plus sign as well.
    key.parse().ok().filter(|_| key.bytes().all(|byte| byte.is_ascii_digit()))
}

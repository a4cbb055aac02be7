//! Which tweet a record says is deleted.
//!
//! ```text
//! first API    {"delete": {"status": {"id": 1, "id_str": "1", …}, "timestamp_ms": "1", …}}
//! second API   {"data": {"delete": {"tweet": {"id": "1", …}, "event_at": "…", …}}}
//!              (also `tweet_delete`)
//! tombstone    no value, and the key is the tweet's id in digits
//! ```
//!
//! Both notices say when the tweet was deleted; a time that cannot be read is as if it were not
//! there.
//!
//! Of the other messages none takes a tweet back. A withheld tweet or account is withheld in some
//! countries only; `scrub_geo` asks to forget coordinates, and no table holds any; a line of a
//! batch compliance job does not say whether its id is a tweet's or a user's. They are counted by
//! kind.
//!
//! A notice whose id cannot be read is counted apart (`delete_without_id`) and deletes nothing; so
//! is a tombstone under another key (`tombstone_without_id`).

use super::json::{self, Leaf, Part};
use super::time::CreatedAt;
use super::{Undecodable, v1};
use types::Event;
use types::Version;
use types::event::EventKind;

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
    timestamp_ms: CreatedAt<'a>,
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
    #[serde(default, borrow)]
    event_at: CreatedAt<'a>,
}

#[derive(serde::Deserialize)]
struct Status<'a> {
    #[serde(default, borrow)]
    id: Leaf<'a>,
    #[serde(default, borrow)]
    id_str: Leaf<'a>,
}

/// A tweet that was deleted, and when; 0 where that is not said.
#[derive(Clone, Copy)]
pub(super) struct Gone {
    tweet_id: u64,
    own_ms: u64,
}

/// A delete of this tweet; without one, only a message that says it is one.
pub(super) fn event(kind: EventKind, version: Version, gone: Option<Gone>) -> Event {
    match (gone, kind) {
        (Some(Gone { tweet_id, own_ms }), kind) => {
            Event::Delete { version: Version { tweet_id, ..version }, kind, own_ms }
        }
        (None, EventKind::Tombstone) => Event::Other(EventKind::TombstoneWithoutId),
        (None, _) => Event::Other(EventKind::DeleteWithoutId),
    }
}

/// The tweet that a delete notice is about.
pub(super) fn of_notice(bytes: &[u8]) -> Result<Option<Gone>, Undecodable> {
    let notice: Notice<'_> = json::parse(bytes)?;
    let gone = |status: &Status<'_>, at: &CreatedAt<'_>| {
        Some(Gone { tweet_id: v1::id(&status.id_str, &status.id)?, own_ms: at.ms() })
    };
    if let Some(delete) = notice.delete.read()
        && let Some(status) = delete.status.read()
    {
        return Ok(gone(status, &delete.timestamp_ms));
    }
    let data = notice.data.read();
    let delete = data.and_then(|data| data.delete.read().or(data.tweet_delete.read()));
    let status = delete.and_then(|delete| Some((delete.tweet.read()?, &delete.event_at)));
    Ok(status.and_then(|(status, at)| gone(status, at)))
}

/// The tweet that a tombstone under this key is about.
pub(super) fn of_key(key: Option<&[u8]>) -> Option<Gone> {
    let key = std::str::from_utf8(key?).ok()?;
    // `parse` takes a plus sign as well.
    let tweet_id = key.parse().ok().filter(|_| key.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some(Gone { tweet_id, own_ms: 0 })
}

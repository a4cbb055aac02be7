//! What a record becomes: the tweet as the tables need it, and the other messages of the stream.
//!
//! All text rules (names without emoji, hashtags that can be keys) are applied before a tweet
//! arrives here, so that a table is a pure function of these fields.

use crate::latest::Version;
use serde::{Deserialize, Serialize};

/// One tweet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tweet {
    /// Which of two statements about the same user is the newer one; holds the tweet's id.
    pub version: Version,
    /// Its own hashtags as written, repeated where they are repeated; never those of a quoted or
    /// retweeted tweet.
    pub hashtags: Vec<Box<str>>,
    /// Its author as of this tweet.
    pub user: User,
}

/// The author of a tweet as one tweet shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct User {
    /// The account's number.
    pub id: u64,
    /// The shown name without emoji, `No name` where nothing is left.
    pub name: Box<str>,
    /// How many accounts it follows; -1 occurs in real data, `None` = not said.
    pub friends: Option<i64>,
    /// How many accounts follow it.
    pub followers: Option<i64>,
}

/// What a record counts as. Each record is exactly one of them or a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A tweet that the tables count.
    Tweet,
    /// A tweet that the location filter leaves out.
    Filtered,
    /// `{"delete":…}`: a tweet was deleted.
    Delete,
    /// `{"scrub_geo":…}`: locations up to a tweet must go.
    ScrubGeo,
    /// `{"limit":…}`: the stream left tweets out.
    Limit,
    /// `{"status_withheld":…}`.
    StatusWithheld,
    /// `{"user_withheld":…}`.
    UserWithheld,
    /// `{"disconnect":…}`: the stream ended.
    Disconnect,
    /// `{"warning":…}`: the stream may end soon.
    Warning,
    /// `{"event":…}`, `{"friends":…}` and the other messages of user streams.
    Other,
    /// A record without a value.
    Tombstone,
}

impl Kind {
    /// The name under which `totals` counts it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Tweet => "tweets",
            Kind::Filtered => "filtered",
            Kind::Delete => "delete",
            Kind::ScrubGeo => "scrub_geo",
            Kind::Limit => "limit",
            Kind::StatusWithheld => "status_withheld",
            Kind::UserWithheld => "user_withheld",
            Kind::Disconnect => "disconnect",
            Kind::Warning => "warning",
            Kind::Other => "other",
            Kind::Tombstone => "tombstone",
        }
    }
}

/// One element of the collection that all tables are functions of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Event {
    /// A tweet that counts.
    Tweet(Tweet),
    /// Any other record that was understood.
    Other(Kind),
}

impl Event {
    /// What the record counts as.
    pub fn kind(&self) -> Kind {
        match self {
            Event::Tweet(_) => Kind::Tweet,
            Event::Other(kind) => *kind,
        }
    }
}

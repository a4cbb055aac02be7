//! What a record becomes: tweets and users as the tables need them, and the stream's other
//! messages.
//!
//! All text rules (names without emoji, hashtags that can be keys) are applied before a tweet
//! arrives here, so that a table is a pure function of these fields.

use crate::Text;
use crate::Version;
use crate::clock::Clocks;
use serde::{Deserialize, Serialize};

/// One tweet.
///
/// The service's first API shows the author inside the tweet; the second lists users beside the
/// tweets of a page, and there the statements about them are events of their own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tweet {
    /// Which of two statements about the same user is the newer one; holds the tweet's id.
    pub version: Version,
    /// When it was written.
    pub time: Time,
    /// Its `created_at`, milliseconds since 1970; 0 where it has none.
    pub own_ms: u64,
    /// Its own hashtags as written, repeated where they are repeated; never those of a quoted or
    /// retweeted tweet.
    pub hashtags: Vec<Text>,
    /// Its author as of this tweet, where the tweet itself says so.
    pub user: Option<User>,
    /// Ids of its earlier versions: of an edited tweet the newest version counts.
    pub replaces: Box<[u64]>,
    /// Which version of its id it is, where an edit keeps the id: of several posts of one id the
    /// greatest edition counts. 0 for a post that was not edited.
    pub edition: u64,
}

/// When a tweet was written, in minutes since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Time {
    /// As it says.
    Own(u32),
    /// It does not say so, or cannot be believed: the time that other clocks of its record tell.
    Record(u32),
    /// Nothing says so.
    Unknown,
}

impl Time {
    /// The minute, where there is one.
    pub fn minute(self) -> Option<u32> {
        match self {
            Time::Own(minute) | Time::Record(minute) => Some(minute),
            Time::Unknown => None,
        }
    }
}

/// A user as one record shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct User {
    /// The account's number.
    pub id: u64,
    /// The shown name without emoji, `No name` where nothing is left.
    pub name: Text,
    /// How many accounts it follows; -1 occurs in real data, `None` = not said.
    pub friends: Option<i64>,
    /// How many accounts follow it.
    pub followers: Option<i64>,
}

/// What `totals` counts. Each record adds at least one to one of them, or is a dead letter; a page
/// adds one for each of its tweets and users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// A tweet that the tables count.
    Tweet,
    /// A tweet that the location filter leaves out.
    Filtered,
    /// Such a tweet whose time is not its own, but that of other clocks of its record.
    TimeFromRecord,
    /// Such a tweet without any time.
    TimeUnknown,
    /// A tweet or a delete whose id claims a later time than any other clock of its record bears
    /// out.
    ClockAhead,
    /// A user that a page lists beside its tweets.
    User,
    /// A user that a record shows, but whose id, name or counts cannot be read.
    UserUnreadable,
    /// `{"delete":…}`: a tweet was deleted.
    Delete,
    /// Such a notice that does not say which tweet.
    DeleteWithoutId,
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
    /// Something else that the service asks for about a tweet or an account: an edit, a protected
    /// account, a line of a compliance job.
    Compliance,
    /// What was understood and changes nothing: `{"event":…}`, `{"friends":…}`, pages of lists or
    /// counts.
    Other,
    /// A record without a value, under the id of a tweet.
    Tombstone,
    /// A record without a value, under another key or none.
    TombstoneWithoutId,
    /// A blank record, or one that only says that the connection lives.
    KeepAlive,
    /// `{"stream_gap":…}`: the client of a stream could not get what was sent for a while.
    StreamGap,
    /// Bluesky: an account has another name or server.
    Identity,
    /// Bluesky: an account was switched off or on.
    Account,
    /// Bluesky: the server says something about the connection.
    Info,
    /// Bluesky: a record that is no post: a like, a follow.
    OtherCollection,
}

impl EventKind {
    /// The name under which `totals` counts it.
    pub const fn name(self) -> &'static str {
        match self {
            EventKind::Tweet => "tweets",
            EventKind::Filtered => "filtered",
            EventKind::TimeFromRecord => "time_from_record",
            EventKind::TimeUnknown => "time_unknown",
            EventKind::ClockAhead => "clock_ahead",
            EventKind::User => "users",
            EventKind::UserUnreadable => "users_unreadable",
            EventKind::Delete => "delete",
            EventKind::DeleteWithoutId => "delete_without_id",
            EventKind::ScrubGeo => "scrub_geo",
            EventKind::Limit => "limit",
            EventKind::StatusWithheld => "status_withheld",
            EventKind::UserWithheld => "user_withheld",
            EventKind::Disconnect => "disconnect",
            EventKind::Warning => "warning",
            EventKind::Compliance => "compliance",
            EventKind::Other => "other",
            EventKind::Tombstone => "tombstone",
            EventKind::TombstoneWithoutId => "tombstone_without_id",
            EventKind::KeepAlive => "keep_alive",
            EventKind::StreamGap => "stream_gap",
            EventKind::Identity => "identity",
            EventKind::Account => "account",
            EventKind::Info => "info",
            EventKind::OtherCollection => "other_collection",
        }
    }
}

/// One element of the collection that all tables are functions of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Event {
    /// A tweet that counts.
    Tweet(Tweet),
    /// A user as a page lists it beside its tweets.
    User(Version, User),
    /// A tweet was deleted. It may come before the tweet.
    Delete {
        /// Which, and the place of the record that says so.
        version: Version,
        /// How that was said: a notice, or a tombstone under the tweet's id.
        kind: EventKind,
        /// When it was deleted, milliseconds since 1970; 0 where that is not said.
        own_ms: u64,
    },
    /// Whatever else was understood.
    Other(EventKind),
}

impl Event {
    /// What `totals` counts it as.
    pub fn kind(&self) -> EventKind {
        match self {
            Event::Tweet(_) => EventKind::Tweet,
            Event::User(..) => EventKind::User,
            Event::Delete { kind, .. } | Event::Other(kind) => *kind,
        }
    }

    /// The clocks of a post or a delete of a tweet.
    pub fn clocks(&self) -> Option<Clocks> {
        let (version, own_ms) = match self {
            Event::Tweet(tweet) => (&tweet.version, tweet.own_ms),
            Event::Delete { version, own_ms, .. } => (version, *own_ms),
            Event::User(..) | Event::Other(_) => return None,
        };
        Some(Clocks { id: version.tweet_id, own_ms, record_ms: version.record_ms })
    }

    /// Under what more `totals` counts it.
    pub fn remarks(&self) -> impl Iterator<Item = EventKind> + use<> {
        let time = match self {
            Event::Tweet(Tweet { time: Time::Record(_), .. }) => Some(EventKind::TimeFromRecord),
            Event::Tweet(Tweet { time: Time::Unknown, .. }) => Some(EventKind::TimeUnknown),
            _ => None,
        };
        let is_ahead = self.clocks().is_some_and(Clocks::is_ahead);
        time.into_iter().chain(is_ahead.then_some(EventKind::ClockAhead))
    }
}

//! Payload bytes to events: the forms of the tweet APIs, and the rules for their text.
//!
//! A record becomes its events, or one [`Undecodable`] for the dead letters and no event at all.
//! Which form it has is told by its shape, record by record: `v1` for the tweets of the first API,
//! `v2` for the envelopes and flattened tweets of the second, `notice` for the other messages of
//! both, `bluesky` and `mastodon` for the streams of those services. All text rules are applied
//! here (shown names, hashtags that can be keys), so that tables are pure functions of what comes
//! out. Nothing is copied before it is known to be needed, and what is not needed is skipped and
//! not checked (see `lazy`): of a record that is broken there, what counts is read all the same.
//!
//! Senders differ in how they write the same tweet. `json` takes a value in each form in which it
//! is not ambiguous; `mend` mends bytes that are not quite JSON (half a surrogate, a byte order
//! mark, a key that stands twice), on a second reading that only records need which the first one
//! refused.
//!
//! A change of what a record becomes raises [`VERSION`]: rows that exist were made by the old rule.
//! The golden rows in the tests fail otherwise. To count what was refused before needs no new
//! version: no row that exists changes, and `tweetflow dead-letters retry` brings it in;
//! [`ACCEPTS`] is raised then.

mod bluesky;
mod date;
mod delete;
mod edits;
mod fault;
mod fold;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod ids;
mod json;
pub(crate) mod lazy;
pub mod look;
mod mastodon;
pub(crate) mod mend;
mod name;
mod notice;
pub(crate) mod skip;
mod text;
mod time;
mod v1;
mod v2;

pub use fold::fold;

use types::Version;
use types::event::EventKind;
use types::settings::{DecodeSettings, Retweets};
use types::{Event, Text};

/// Part of the fingerprint of the tables; raised by hand with every change of meaning.
pub const VERSION: u32 = 4;

/// Raised by hand with every change by which a record is read that was refused before. Where
/// refused records are known only by their number, a start must know which decoder has refused
/// them.
pub const ACCEPTS: u32 = 2;

/// Characters that a hashtag's column holds.
const HASHTAG_CHARACTERS: usize = 255;

/// A record that cannot be counted.
#[derive(Debug, thiserror::Error)]
pub enum Undecodable {
    /// It is not JSON.
    #[error("not JSON: {0}")]
    Json(serde_json::Error),
    /// It is not JSON, and it is known what it is instead.
    #[error("not JSON: {0}")]
    Foreign(&'static str),
    /// It is JSON of another shape than a tweet or a known message.
    #[error("{0}")]
    Shape(Box<str>),
    /// It is an object that is neither a tweet nor a known message.
    #[error("neither a tweet (an id, a text, and in v1.1 a user) nor a known message")]
    Unknown,
    /// It is a tweet of the first API without its author.
    #[error("a v1.1 tweet whose user is missing or not an object")]
    Author,
    /// It holds a tweet without a readable id.
    #[error("the tweet's id is missing or not a number")]
    Id,
    /// It holds a tweet whose id is a number that has lost its last digits.
    #[error("the tweet's id is a rounded number (a float above 2^53), and there is no id_str")]
    Rounded,
    /// One of its hashtags cannot be a key.
    #[error(
        "hashtag {0:?} is empty, longer than 255 characters, or holds a space or control character"
    )]
    Hashtag(Box<str>),
}

/// The classes of faults, as `dead_letters.reason` names them.
pub const REASONS: [&str; 4] = ["json", "shape", "id", "hashtag"];

impl Undecodable {
    /// The class of the fault, as `dead_letters.reason` names it.
    pub fn reason(&self) -> &'static str {
        match self {
            Undecodable::Json(_) | Undecodable::Foreign(_) => "json",
            Undecodable::Shape(_) | Undecodable::Unknown | Undecodable::Author => "shape",
            Undecodable::Id | Undecodable::Rounded => "id",
            Undecodable::Hashtag(_) => "hashtag",
        }
    }

    /// What is wrong with an id that is none.
    fn id(id: &json::Leaf<'_>) -> Self {
        if id.is_rounded() { Undecodable::Rounded } else { Undecodable::Id }
    }
}

/// Appends what a record's value says to `events`: at least one event, or none and the fault.
/// `version` holds the record's place; the tweet's id is set here. The key is looked at only where
/// there is no value.
pub fn decode(
    key: Option<&[u8]>,
    payload: Option<&[u8]>,
    version: Version,
    settings: DecodeSettings,
    events: &mut Vec<Event>,
) -> Result<(), Undecodable> {
    let before = events.len();
    let result = match payload {
        None => {
            events.push(delete::event(EventKind::Tombstone, version, delete::of_key(key)));
            Ok(())
        }
        Some(bytes) => value(bytes, version, settings, events),
    };
    if result.is_err() {
        events.truncate(before);
    }
    result
}

/// Reads a record as it stands. Nearly all of them can be; the others are read once more, mended.
fn value(
    bytes: &[u8],
    version: Version,
    settings: DecodeSettings,
    events: &mut Vec<Event>,
) -> Result<(), Undecodable> {
    let before = events.len();
    let fault = match object(bytes, version, settings, events) {
        Err(fault @ (Undecodable::Json(_) | Undecodable::Shape(_))) => fault,
        result => return result,
    };
    events.truncate(before);
    if mend::is_keep_alive(bytes) {
        events.push(Event::Other(EventKind::KeepAlive));
        return Ok(());
    }
    let fault = match mend::mend(bytes) {
        None => fault,
        Some(mended) => match object(&mended, version, settings, events) {
            Ok(()) => return Ok(()),
            Err(of_mended) => of_mended,
        },
    };
    let is_named = matches!(fault, Undecodable::Json(_) | Undecodable::Shape(_));
    Err(Some(bytes).filter(|_| is_named).and_then(mend::name).unwrap_or(fault))
}

/// One pass tells the form and, for the first API, holds all that is needed; a record of the second
/// is read once more, as what it is.
fn object(
    bytes: &[u8],
    version: Version,
    settings: DecodeSettings,
    events: &mut Vec<Event>,
) -> Result<(), Undecodable> {
    let message: v1::Message<'_> = json::parse(bytes)?;
    match message.form() {
        v1::Form::Tweet => message.tweet(version, settings, events)?,
        v1::Form::Flat => v2::flat(&json::parse(bytes)?, version, settings, events)?,
        v1::Form::Page => {
            let before = events.len();
            v2::page(&json::parse(bytes)?, version, settings, events)?;
            if events.len() == before {
                events.push(notice::second(bytes, version)?);
            }
        }
        v1::Form::Statuses(statuses) => v1::statuses(statuses, version, settings, events)?,
        v1::Form::DirectMessage => events.push(Event::Other(EventKind::Other)),
        v1::Form::Bluesky => match bluesky::frame(bytes, version, settings)? {
            Some(event) => events.push(event),
            None => events.push(notice::first(bytes, version)?),
        },
        v1::Form::Profiles => bluesky::profiles(bytes, version, settings, events)?,
        v1::Form::Mastodon => mastodon::record(bytes, version, settings, events)?,
        v1::Form::Other => events.push(notice::first(bytes, version)?),
    }
    Ok(())
}

/// Whether a text can be the key of a table: the column pads spaces when it compares, and a control
/// character would be invisible in every chart.
fn is_key(text: &str) -> bool {
    let is_short = text.len() <= HASHTAG_CHARACTERS || text.chars().count() <= HASHTAG_CHARACTERS;
    let is_plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    !text.is_empty() && is_short && is_plain
}

/// A hashtag as a key, or why it can be none.
fn hashtag(text: &str) -> Result<Text, Undecodable> {
    if !is_key(text) {
        let shown: String = text.chars().take(40).collect();
        return Err(Undecodable::Hashtag(shown.into()));
    }
    Ok(text.into())
}

/// The hashtags of a text as keys; none, where there is no text.
fn hashtags_of_text(text: Option<json::Raw<'_>>) -> Result<Vec<Text>, Undecodable> {
    let Some(text) = text else { return Ok(Vec::new()) };
    text::hashtags(&text.text()?).iter().map(|tag| hashtag(tag)).collect()
}

#[cfg(test)]
mod odd_tests;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;

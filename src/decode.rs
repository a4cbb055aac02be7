//! Payload bytes to events; the only place that knows JSON.
//!
//! A record becomes its events, or one [`Undecodable`] for the dead letters and no event at all.
//! Which form it has is told by its shape, record by record: `v1` for the stream objects of the
//! first API, `v2` for the envelopes and flattened tweets of the second. All text rules are applied
//! here (shown names, hashtags that can be keys), so that tables are pure functions of what comes
//! out. Nothing is copied before it is known to be needed, and what is not needed is passed by and
//! not checked (see `lazy`): of a record that is broken there, what counts is read all the same.
//!
//! Whoever changes what a record becomes raises [`VERSION`]: rows that exist were made by the old
//! rule. The golden rows in the tests fail otherwise. To count what was refused before needs no new
//! version: no row that exists changes, and `tweetflow dead-letters retry` brings it in.

mod delete;
mod edits;
mod fold;
mod json;
pub(crate) mod lazy;
mod name;
pub(crate) mod skip;
mod text;
mod time;
mod v1;
mod v2;

pub use fold::fold;
pub use name::Names;

use dataflows::latest::Version;
use dataflows::tweet::Kind;
use dataflows::{Event, Text};

/// Part of the fingerprint of the tables; raised by hand with every change of meaning.
pub const VERSION: u32 = 3;

/// Characters that a hashtag's column holds.
const HASHTAG_CHARACTERS: usize = 255;

/// What decides about a record beside its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// Leave out tweets whose author gives no location (it is null, or there is no author).
    pub require_location: bool,
    /// What a shown name becomes.
    pub names: Names,
}

/// A record that cannot be counted.
#[derive(Debug, thiserror::Error)]
pub enum Undecodable {
    /// It is not JSON, or what is looked at is not valid UTF-8.
    #[error("not JSON: {0}")]
    Json(serde_json::Error),
    /// It is JSON of another shape than a tweet or a known message.
    #[error("{0}")]
    Shape(serde_json::Error),
    /// It is an object that is neither a tweet nor a known message.
    #[error("neither a tweet nor a known message")]
    Unknown,
    /// It holds a tweet or user without a readable id.
    #[error("the {0} is missing or not a number")]
    Id(&'static str),
    /// One of its hashtags cannot be a key.
    #[error(
        "hashtag {0:?} is empty, longer than 255 characters, or holds a space or control character"
    )]
    Hashtag(Box<str>),
}

impl Undecodable {
    /// The class of the fault, as `dead_letters.reason` names it.
    pub fn reason(&self) -> &'static str {
        match self {
            Undecodable::Json(_) => "json",
            Undecodable::Shape(_) | Undecodable::Unknown => "shape",
            Undecodable::Id(_) => "id",
            Undecodable::Hashtag(_) => "hashtag",
        }
    }
}

/// Appends what a record's value says to `events`: at least one event, or none and the fault.
/// `version` holds the record's place; the tweet's id is set here. The key is looked at only where
/// there is no value.
pub fn decode(
    key: Option<&[u8]>,
    payload: Option<&[u8]>,
    version: Version,
    settings: Settings,
    events: &mut Vec<Event>,
) -> Result<(), Undecodable> {
    let before = events.len();
    let result = match payload {
        None => {
            events.push(delete::event(Kind::Tombstone, version, delete::of_key(key)));
            Ok(())
        }
        Some(bytes) => value(bytes, version, settings, events),
    };
    if result.is_err() {
        events.truncate(before);
    }
    result
}

/// One pass tells the form and, for the first API, holds all that is needed; a record of the second
/// is read once more, as what it is.
fn value(
    bytes: &[u8],
    version: Version,
    settings: Settings,
    events: &mut Vec<Event>,
) -> Result<(), Undecodable> {
    let message: v1::Message<'_> = json::parse(bytes)?;
    match message.form() {
        v1::Form::Tweet => events.push(v1::tweet(&message, bytes, version, settings)?),
        v1::Form::Notice(Kind::Delete) => {
            events.push(delete::event(Kind::Delete, version, delete::of_notice(bytes)));
        }
        v1::Form::Notice(kind) => events.push(Event::Other(kind)),
        v1::Form::Page => {
            v2::page(json::parse(bytes)?, version, settings, events)?;
            if let Some(event @ Event::Other(Kind::Delete)) = events.last_mut() {
                *event = delete::event(Kind::Delete, version, delete::of_notice(bytes));
            }
        }
        v1::Form::Flat => v2::flat(json::parse(bytes)?, version, settings, events)?,
        v1::Form::Unknown => return Err(Undecodable::Unknown),
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

/// The hashtags of a text as keys.
fn hashtags_of_text(text: &str) -> Result<Vec<Text>, Undecodable> {
    text::hashtags(text).iter().map(|tag| hashtag(tag)).collect()
}

#[cfg(test)]
mod tests;

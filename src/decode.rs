//! Payload bytes to events; the only place that knows JSON.
//!
//! A record becomes exactly one [`Event`], or an [`Undecodable`] for the dead letters. All text
//! rules are applied here (names without emoji, hashtags that can be keys), so that tables are pure
//! functions of what comes out. Nothing is copied before it is known to be needed.
//!
//! Whoever changes what a record becomes raises [`VERSION`]: rows that exist were made by the old
//! rule. The golden rows in the tests fail otherwise.

mod name;
mod v1;

use dataflows::Event;
use dataflows::latest::Version;
use dataflows::tweet::Kind;

/// Part of the fingerprint of the tables; raised by hand with every change of meaning.
pub const VERSION: u32 = 1;

/// Characters that a hashtag's column holds.
const HASHTAG_CHARACTERS: usize = 255;

/// What decides about a record beside its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// Leave out tweets whose author gives no location (`user.location` is null).
    pub require_location: bool,
}

/// A record that cannot be counted.
#[derive(Debug, thiserror::Error)]
pub enum Undecodable {
    /// It is not JSON, or not valid UTF-8.
    #[error("not JSON: {0}")]
    Json(serde_json::Error),
    /// It is JSON of another shape than a tweet or a known message.
    #[error("{0}")]
    Shape(serde_json::Error),
    /// It is an object that is neither a tweet nor a known message.
    #[error("neither a tweet nor a known message")]
    Unknown,
    /// It is a tweet without a readable id or author's id.
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

/// What a record's value says. `version` holds the record's place; the tweet's id is set here.
pub fn decode(
    payload: Option<&[u8]>,
    version: Version,
    settings: Settings,
) -> Result<Event, Undecodable> {
    match payload {
        None => Ok(Event::Other(Kind::Tombstone)),
        Some(bytes) => v1::decode(bytes, version, settings),
    }
}

/// A hashtag as a key, or why it can be none: the column pads spaces when it compares, and a
/// control character would be invisible in every chart.
fn hashtag(text: &str) -> Result<Box<str>, Undecodable> {
    let is_short = text.len() <= HASHTAG_CHARACTERS || text.chars().count() <= HASHTAG_CHARACTERS;
    let is_plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    if text.is_empty() || !is_short || !is_plain {
        let shown: String = text.chars().take(40).collect();
        return Err(Undecodable::Hashtag(shown.into()));
    }
    Ok(text.into())
}

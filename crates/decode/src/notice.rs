//! Messages that are no tweets, of both APIs.
//!
//! A message is known by its key and by what stands under it: somebody else's field of the same
//! name makes no notice of a record.
//!
//! ```text
//! first API    {"limit": {"track": 1}}                    ("Streaming message types" of v1.1)
//! second API   {"data": {"withheld": {"tweet": {…}}}}     (compliance streams)
//! clients      {"stream_gap": {"stream": …}}           (what `produce` could not get)
//! Bluesky      {"$type": "error", …}                   (the last frame of a connection)
//! batch job    {"id": "1", "action": "delete", …}         (a line of a compliance job)
//! ```
//!
//! Which tweet a delete is about is [`super::delete`]'s.

use super::json::{Given, Leaf, Part, Raw, parse};
use super::{Undecodable, delete};
use serde::de::IgnoredAny;
use types::Event;
use types::Version;
use types::event::EventKind;

/// A message of the first API.
#[derive(serde::Deserialize)]
struct First<'a> {
    #[serde(default)]
    delete: Part<Body>,
    #[serde(default)]
    scrub_geo: Part<Body>,
    #[serde(default)]
    limit: Part<Body>,
    #[serde(default)]
    status_withheld: Part<Body>,
    #[serde(default)]
    user_withheld: Part<Body>,
    #[serde(default)]
    disconnect: Part<Body>,
    #[serde(default)]
    warning: Part<Body>,
    #[serde(default)]
    stream_gap: Part<Body>,
    /// Of a frame of Bluesky's stream.
    #[serde(default, borrow, rename = "$type")]
    kind: Leaf<'a>,
    #[serde(default, borrow)]
    event: Leaf<'a>,
    #[serde(default)]
    source: Given,
    #[serde(default)]
    target: Given,
    #[serde(default, borrow)]
    friends: Option<Raw<'a>>,
    #[serde(default, borrow)]
    friends_str: Option<Raw<'a>>,
    #[serde(default, borrow)]
    id: Leaf<'a>,
    #[serde(default, borrow)]
    action: Leaf<'a>,
    // An envelope of Kafka Connect.
    #[serde(default)]
    schema: Option<IgnoredAny>,
    #[serde(default)]
    payload: Given,
}

/// What tells that a value is a message's: only whether it is there.
#[derive(serde::Deserialize)]
struct Body {
    #[serde(default)]
    status: Option<IgnoredAny>,
    #[serde(default)]
    direct_message: Option<IgnoredAny>,
    #[serde(default)]
    favorite: Option<IgnoredAny>,
    #[serde(default)]
    id: Option<IgnoredAny>,
    #[serde(default)]
    user_id: Option<IgnoredAny>,
    #[serde(default)]
    track: Option<IgnoredAny>,
    #[serde(default)]
    code: Option<IgnoredAny>,
    #[serde(default)]
    stream: Option<IgnoredAny>,
}

/// An envelope of the second API.
#[derive(serde::Deserialize)]
struct Envelope {
    #[serde(default)]
    data: Part<Second>,
}

/// A message of the second API. (A tweet or user that is withheld somewhere has a field of that
/// name too, but also an id.)
#[derive(serde::Deserialize)]
struct Second {
    #[serde(default)]
    id: Given,
    #[serde(default)]
    delete: Part<About>,
    #[serde(default)]
    tweet_delete: Part<About>,
    #[serde(default)]
    withheld: Part<About>,
    #[serde(default)]
    tweet_withheld: Part<About>,
    #[serde(default)]
    user_withheld: Part<About>,
    #[serde(default)]
    scrub_geo: Part<About>,
    #[serde(
        default,
        rename = "user_delete",
        alias = "user_undelete",
        alias = "user_protect",
        alias = "user_unprotect",
        alias = "user_suspend",
        alias = "user_unsuspend",
        alias = "user_profile_modification",
        alias = "tweet_edit",
        alias = "tweet_drop",
        alias = "tweet_undrop",
        alias = "drop",
        alias = "undrop"
    )]
    compliance: Part<About>,
}

/// What such a message is about.
#[derive(serde::Deserialize)]
struct About {
    #[serde(default)]
    tweet: Given,
    #[serde(default)]
    user: Given,
}

/// The event of a message of the first API; a fault where it is none.
pub(super) fn first(bytes: &[u8], version: Version) -> Result<Event, Undecodable> {
    let message: First<'_> = parse(bytes)?;
    match message.event(bytes, version)? {
        Some(event) => Ok(event),
        None if message.schema.is_some() && message.payload.0 => Err(Undecodable::Shape(
            "an envelope {schema, payload} of Kafka Connect; its converter must be set to \
             schemas.enable=false"
                .into(),
        )),
        None => Err(Undecodable::Unknown),
    }
}

/// The event of an envelope of the second API that holds neither tweets nor users; one of the first
/// API may have a key of that name.
pub(super) fn second(bytes: &[u8], version: Version) -> Result<Event, Undecodable> {
    let message: First<'_> = parse(bytes)?;
    if let Some(event) = message.event(bytes, version)? {
        return Ok(event);
    }
    let envelope: Envelope = parse(bytes)?;
    Ok(match envelope.data.read().and_then(Second::kind) {
        Some(EventKind::Delete) => {
            delete::event(EventKind::Delete, version, delete::of_notice(bytes)?)
        }
        kind => Event::Other(kind.unwrap_or(EventKind::Other)),
    })
}

impl First<'_> {
    fn event(&self, bytes: &[u8], version: Version) -> Result<Option<Event>, Undecodable> {
        Ok(match self.kind() {
            Some(EventKind::Delete) => {
                Some(delete::event(EventKind::Delete, version, delete::of_notice(bytes)?))
            }
            kind => kind.map(Event::Other),
        })
    }

    /// Which notice it is, where it is one.
    fn kind(&self) -> Option<EventKind> {
        let is_array = |it: Option<Raw<'_>>| it.is_some_and(|it| it.0.starts_with(b"["));
        let is = |part: &Part<Body>, has: fn(&Body) -> bool| part.read().is_some_and(has);
        [
            (is(&self.delete, |it| it.status.is_some()), EventKind::Delete),
            // Of a letter, or of a like: no tweet.
            (is(&self.delete, |it| it.direct_message.or(it.favorite).is_some()), EventKind::Other),
            (is(&self.scrub_geo, |it| it.user_id.is_some()), EventKind::ScrubGeo),
            (is(&self.limit, |it| it.track.is_some()), EventKind::Limit),
            (is(&self.status_withheld, |it| it.id.is_some()), EventKind::StatusWithheld),
            (is(&self.user_withheld, |it| it.id.is_some()), EventKind::UserWithheld),
            (is(&self.disconnect, |it| it.code.is_some()), EventKind::Disconnect),
            (is(&self.warning, |it| it.code.is_some()), EventKind::Warning),
            (is(&self.stream_gap, |it| it.stream.is_some()), EventKind::StreamGap),
            (self.kind.text() == Some("error"), EventKind::Disconnect),
            (self.event.text().is_some() && (self.source.0 || self.target.0), EventKind::Other),
            (is_array(self.friends) || is_array(self.friends_str), EventKind::Other),
            (self.action.text().is_some() && !self.id.is_absent(), EventKind::Compliance),
        ]
        .into_iter()
        .find_map(|(is, kind)| is.then_some(kind))
    }
}

impl Second {
    /// Which compliance message it is, where it is one.
    fn kind(&self) -> Option<EventKind> {
        let is = |part: &Part<About>| part.read().is_some_and(|it| it.tweet.0 || it.user.0);
        let kinds = [
            (is(&self.delete) || is(&self.tweet_delete), EventKind::Delete),
            (is(&self.scrub_geo), EventKind::ScrubGeo),
            (is(&self.withheld) || is(&self.tweet_withheld), EventKind::StatusWithheld),
            (is(&self.user_withheld), EventKind::UserWithheld),
            (is(&self.compliance), EventKind::Compliance),
        ];
        let mut kinds = kinds.into_iter().filter(|_| !self.id.0);
        kinds.find_map(|(is_present, kind)| is_present.then_some(kind))
    }
}

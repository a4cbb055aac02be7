//! Twitter API v1.1 stream messages: tweets and the notices between them; and the form of a record.
//!
//! Fields are those of the v1.1 documentation ("Tweet object", "User object", "Streaming message
//! types"). Only the fields that some table needs are looked at; everything else is skipped, not
//! checked. Unusual values (a friend count of -1, a null location, missing entities) are data.
//!
//! [`Message`] is what every record is read as first, so it must take the forms of the second API
//! without a fault: their keys are only looked for, and an `id` may be a string.

use super::json::{self, Id, Object, Text};
use super::time::CreatedAt;
use super::{Settings, Undecodable, edits, hashtag, hashtags_of_text};
use dataflows::Event;
use dataflows::latest::Version;
use dataflows::tweet::{Kind, Tweet, User};
use serde::de::IgnoredAny;

/// One message of the stream, borrowed from its bytes.
#[derive(serde::Deserialize)]
pub(super) struct Message<'a> {
    #[serde(default)]
    id: Option<Id>,
    #[serde(default, borrow)]
    id_str: Option<Text<'a>>,
    #[serde(default, borrow)]
    created_at: CreatedAt<'a>,
    #[serde(default)]
    truncated: Option<bool>,
    #[serde(default, borrow)]
    entities: Option<Object<Entities<'a>>>,
    #[serde(default, borrow)]
    extended_tweet: Option<Object<Extended<'a>>>,
    #[serde(default, borrow)]
    user: Option<Object<Author<'a>>>,
    /// Only whether it is there: see [`edits`].
    #[serde(default)]
    edit_history: Option<IgnoredAny>,
    #[serde(default)]
    delete: Option<IgnoredAny>,
    #[serde(default)]
    scrub_geo: Option<IgnoredAny>,
    #[serde(default)]
    limit: Option<IgnoredAny>,
    #[serde(default)]
    status_withheld: Option<IgnoredAny>,
    #[serde(default)]
    user_withheld: Option<IgnoredAny>,
    #[serde(default)]
    disconnect: Option<IgnoredAny>,
    #[serde(default)]
    warning: Option<IgnoredAny>,
    #[serde(default)]
    event: Option<IgnoredAny>,
    #[serde(default)]
    friends: Option<IgnoredAny>,
    // The second API: only whether they are there.
    #[serde(default)]
    data: Option<IgnoredAny>,
    #[serde(default)]
    includes: Option<IgnoredAny>,
    #[serde(default)]
    errors: Option<IgnoredAny>,
    #[serde(default)]
    meta: Option<IgnoredAny>,
    #[serde(default)]
    author: Option<IgnoredAny>,
    #[serde(default)]
    author_id: Option<IgnoredAny>,
    #[serde(default)]
    edit_history_tweet_ids: Option<IgnoredAny>,
    #[serde(default)]
    action: Option<IgnoredAny>,
}

#[derive(serde::Deserialize)]
struct Extended<'a> {
    #[serde(default, borrow)]
    entities: Option<Object<Entities<'a>>>,
}

#[derive(serde::Deserialize)]
struct Entities<'a> {
    #[serde(default, borrow)]
    hashtags: Option<Vec<Object<Hashtag<'a>>>>,
}

#[derive(serde::Deserialize)]
struct Hashtag<'a> {
    /// Missing in the second API, whose hashtags are not read here.
    #[serde(default, borrow)]
    text: Option<Text<'a>>,
}

#[derive(serde::Deserialize)]
struct Author<'a> {
    #[serde(default)]
    id: Option<Id>,
    #[serde(default, borrow)]
    id_str: Option<Text<'a>>,
    #[serde(default, borrow)]
    name: Option<Text<'a>>,
    /// Only whether it is null.
    #[serde(default)]
    location: Option<IgnoredAny>,
    #[serde(default)]
    friends_count: Option<i64>,
    #[serde(default)]
    followers_count: Option<i64>,
}

/// The places where a tweet's text may stand; read only where it has no entities.
#[derive(serde::Deserialize)]
struct Words<'a> {
    #[serde(default, borrow)]
    text: Option<Text<'a>>,
    #[serde(default, borrow)]
    full_text: Option<Text<'a>>,
    #[serde(default, borrow)]
    extended_tweet: Option<Object<FullText<'a>>>,
}

#[derive(serde::Deserialize)]
struct FullText<'a> {
    #[serde(default, borrow)]
    full_text: Option<Text<'a>>,
}

/// What kind of record it is.
pub(super) enum Form {
    /// A tweet of the first API; see [`tweet`].
    Tweet,
    /// A message that is all in its kind.
    Notice(Kind),
    /// An envelope of the second API.
    Page,
    /// A tweet of the second API without an envelope.
    Flat,
    /// Nothing that is known.
    Unknown,
}

/// The event of a message whose form is [`Form::Tweet`].
pub(super) fn tweet(
    message: &Message<'_>,
    bytes: &[u8],
    version: Version,
    settings: Settings,
) -> Result<Event, Undecodable> {
    let Some(Object(author)) = &message.user else {
        return Err(Undecodable::Unknown);
    };
    let tweet_id = id(message.id_str.as_ref(), message.id).ok_or(Undecodable::Id("tweet's id"))?;
    let user_id = id(author.id_str.as_ref(), author.id).ok_or(Undecodable::Id("author's id"))?;
    if settings.require_location && author.location.is_none() {
        return Ok(Event::Other(Kind::Filtered));
    }
    let version = Version { tweet_id, ..version };
    let history = message.edit_history.as_ref().and_then(|_| edits::of_first_api(bytes));
    Ok(Event::Tweet(Tweet {
        version,
        replaces: history.map_or_else(Box::default, |history| history.before(tweet_id)),
        time: message.created_at.time(version),
        hashtags: message.hashtags(bytes)?,
        user: Some(User {
            id: user_id,
            name: settings.names.shown(author.name.as_ref().map_or("", |name| &name.0)),
            friends: author.friends_count,
            followers: author.followers_count,
        }),
    }))
}

/// `id_str` where it is a number, else `id`: producers in JavaScript round ids above 2⁵³.
pub(super) fn id(text: Option<&Text<'_>>, number: Option<Id>) -> Option<u64> {
    text.and_then(Text::id).or(number.and_then(Id::number))
}

impl Message<'_> {
    /// The form of the record.
    pub(super) fn form(&self) -> Form {
        let is_page = [&self.data, &self.includes, &self.errors, &self.meta];
        let is_flat = [&self.author, &self.author_id, &self.edit_history_tweet_ids];
        if let Some(kind) = self.notice() {
            Form::Notice(kind)
        } else if self.user.is_some() {
            Form::Tweet
        } else if is_page.into_iter().any(Option::is_some) {
            Form::Page
        } else if is_flat.into_iter().any(Option::is_some) {
            Form::Flat
        } else if self.action.is_some() && self.id.is_some() {
            // A line of a batch compliance job: `{"id":"1","action":"delete",…}`.
            Form::Notice(Kind::Compliance)
        } else {
            Form::Unknown
        }
    }

    /// Which notice it is, where it is one.
    fn notice(&self) -> Option<Kind> {
        [
            (self.delete.is_some(), Kind::Delete),
            (self.scrub_geo.is_some(), Kind::ScrubGeo),
            (self.limit.is_some(), Kind::Limit),
            (self.status_withheld.is_some(), Kind::StatusWithheld),
            (self.user_withheld.is_some(), Kind::UserWithheld),
            (self.disconnect.is_some(), Kind::Disconnect),
            (self.warning.is_some(), Kind::Warning),
            (self.event.is_some(), Kind::Other),
            (self.friends.is_some(), Kind::Other),
        ]
        .into_iter()
        .find_map(|(is, kind)| is.then_some(kind))
    }

    /// The tweet's own hashtags: a truncated tweet has all of them only in its extended form; a
    /// tweet without any entities has them only in its text.
    fn hashtags(&self, bytes: &[u8]) -> Result<Vec<dataflows::Text>, Undecodable> {
        let own = self.entities.as_ref();
        let extended = self.extended_tweet.as_ref().and_then(|Object(it)| it.entities.as_ref());
        let entities =
            if self.truncated == Some(true) { extended.or(own) } else { own.or(extended) };
        let Some(Object(entities)) = entities else {
            let words: Words<'_> = json::parse(bytes)?;
            return hashtags_of_text(words.longest());
        };
        let tags = entities.hashtags.iter().flatten();
        tags.map(|Object(tag)| hashtag(tag.text.as_ref().map_or("", |text| &text.0))).collect()
    }
}

impl Words<'_> {
    /// The whole text, not the shortened one, where both are there.
    fn longest(&self) -> &str {
        let extended = self.extended_tweet.as_ref().and_then(|Object(it)| it.full_text.as_ref());
        let text = self.full_text.as_ref().or(extended).or(self.text.as_ref());
        text.map_or("", |text| &text.0)
    }
}

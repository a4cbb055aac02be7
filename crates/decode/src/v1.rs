//! Twitter API v1.1: tweets, pages of statuses; and the form of a record.
//!
//! Fields are those of the v1.1 documentation ("Tweet object", "User object"). Only the fields that
//! some table needs are looked at; everything else is skipped, not checked. Unusual values (a
//! friend count of -1, a null location, missing entities) are data.
//!
//! [`Message`] is what every record is read as first, so it must take every form without a fault:
//! of the keys of the second API it only learns whether they are there. A record is a tweet if it
//! looks like one, whatever other keys stand beside; what else it may be is asked afterwards.

use super::json::{self, Given, Leaf, List, Part, Raw};
use super::name::shown;
use super::time::{self, CreatedAt};
use super::{DecodeSettings, Retweets, Undecodable, edits, hashtag, hashtags_of_text};
use serde::de::IgnoredAny;
use types::Event;
use types::Version;
use types::clock::Clocks;
use types::event::{EventKind, Tweet, User};

/// One message of the stream, borrowed from its bytes.
#[derive(serde::Deserialize)]
pub(super) struct Message<'a> {
    #[serde(default, borrow)]
    id: Leaf<'a>,
    #[serde(default, borrow)]
    id_str: Leaf<'a>,
    #[serde(default, borrow)]
    created_at: CreatedAt<'a>,
    #[serde(default, borrow)]
    text: Option<Raw<'a>>,
    #[serde(default, borrow)]
    full_text: Option<Raw<'a>>,
    #[serde(default, borrow)]
    truncated: Leaf<'a>,
    #[serde(default, borrow)]
    entities: Part<Entities<'a>>,
    #[serde(default, borrow)]
    extended_tweet: Part<Extended<'a>>,
    #[serde(default, borrow)]
    user: Part<Author<'a>>,
    #[serde(default)]
    retweeted_status: Given,
    #[serde(default, borrow)]
    edit_history: Option<Raw<'a>>,
    /// A page of a search of the first API.
    #[serde(default, borrow)]
    statuses: Option<Raw<'a>>,
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
    event_type: Option<IgnoredAny>,
    // Other services: only whether they are there.
    #[serde(default)]
    did: Option<IgnoredAny>,
    #[serde(default)]
    payload: Option<IgnoredAny>,
    #[serde(default)]
    bluesky_profiles: Option<IgnoredAny>,
    #[serde(default)]
    mastodon: Option<IgnoredAny>,
}

#[derive(serde::Deserialize)]
struct Extended<'a> {
    #[serde(default, borrow)]
    full_text: Option<Raw<'a>>,
    #[serde(default, borrow)]
    entities: Part<Entities<'a>>,
}

#[derive(serde::Deserialize)]
struct Entities<'a> {
    #[serde(default, borrow)]
    hashtags: List<Hashtag<'a>>,
}

#[derive(serde::Deserialize)]
struct Hashtag<'a> {
    /// Missing in the second API, whose hashtags are not read here.
    #[serde(default, borrow)]
    text: Leaf<'a>,
}

#[derive(serde::Deserialize)]
struct Author<'a> {
    #[serde(default, borrow)]
    id: Leaf<'a>,
    #[serde(default, borrow)]
    id_str: Leaf<'a>,
    #[serde(default, borrow)]
    name: Leaf<'a>,
    #[serde(default)]
    location: Given,
    #[serde(default, borrow)]
    friends_count: Leaf<'a>,
    #[serde(default, borrow)]
    followers_count: Leaf<'a>,
}

/// What kind of record it is.
pub(super) enum Form<'a> {
    /// A tweet of the first API; see [`Message::tweet`].
    Tweet,
    /// A tweet of the second API without an envelope.
    Flat,
    /// An array of tweets of the first API, as it stands.
    Statuses(Raw<'a>),
    /// An envelope of the second API, unless it is a notice with a foreign key.
    Page,
    /// A direct message of the second API.
    DirectMessage,
    /// A frame of Bluesky's stream, unless it is a notice with a foreign key.
    Bluesky,
    /// Profiles of Bluesky's users.
    Profiles,
    /// An event of Mastodon's stream.
    Mastodon,
    /// A notice, or nothing that is known.
    Other,
}

/// What a record says of a user.
pub(super) enum Stated {
    User(User),
    /// Nothing that a table holds.
    Nothing,
    /// Something that cannot be read.
    Unreadable,
}

/// `id_str` where it is a number, else `id`: producers in JavaScript round ids above 2⁵³.
pub(super) fn id(text: &Leaf<'_>, number: &Leaf<'_>) -> Option<u64> {
    text.id().or_else(|| number.id())
}

/// The events of a page's statuses: all of them tweets of the first API.
pub(super) fn statuses(
    statuses: Raw<'_>,
    version: Version,
    settings: DecodeSettings,
    events: &mut Vec<Event>,
) -> Result<(), Undecodable> {
    let statuses: List<Message<'_>> = json::parse_list(statuses)?;
    let before = events.len();
    for status in statuses.objects("statuses")? {
        match status.form() {
            Form::Tweet => status.tweet(version, settings, events)?,
            _ => return Err(Undecodable::Unknown),
        }
    }
    if events.len() == before {
        events.push(Event::Other(EventKind::Other));
    }
    Ok(())
}

impl<'a> Message<'a> {
    /// Its own id.
    pub(super) fn id(&self) -> Option<u64> {
        id(&self.id_str, &self.id)
    }

    /// Whether its author is there and gives no location.
    pub(super) fn lacks_location(&self) -> bool {
        self.user.read().is_some_and(|author| !author.location.0)
    }

    /// The form of the record.
    pub(super) fn form(&self) -> Form<'a> {
        let is_text = |text: Option<Raw<'_>>| text.is_some_and(Raw::is_text);
        let has_text = is_text(self.text) || is_text(self.full_text);
        let is_page = [self.data, self.includes, self.errors, self.meta];
        let is_first = !self.id_str.is_absent() || self.full_text.is_some();
        if has_text && matches!(self.user, Part::Read(_)) {
            return Form::Tweet;
        }
        let has_id = !self.id.is_absent() && matches!(self.user, Part::Absent) && !is_first;
        if has_id && is_text(self.text) {
            return if self.event_type.is_some() { Form::DirectMessage } else { Form::Flat };
        }
        match self.statuses {
            Some(statuses) if statuses.0.starts_with(b"[") => Form::Statuses(statuses),
            _ if is_page.iter().any(Option::is_some) => Form::Page,
            // Its user is missing: it says so itself.
            _ if has_text && is_first => Form::Tweet,
            _ if self.mastodon.is_some() => Form::Mastodon,
            _ if self.bluesky_profiles.is_some() => Form::Profiles,
            _ if self.did.is_some() || self.payload.is_some() => Form::Bluesky,
            _ => Form::Other,
        }
    }

    /// The events of a message whose form is [`Form::Tweet`].
    pub(super) fn tweet(
        &self,
        version: Version,
        settings: DecodeSettings,
        events: &mut Vec<Event>,
    ) -> Result<(), Undecodable> {
        let Some(author) = self.user.read() else { return Err(Undecodable::Author) };
        let tweet_id = self.id().ok_or_else(|| Undecodable::id(&self.id))?;
        if settings.require_location && !author.location.0 {
            events.push(Event::Other(EventKind::Filtered));
            return Ok(());
        }
        let (version, own_ms) = (Version { tweet_id, ..version }, self.created_at.ms());
        let is_silent = self.retweeted_status.0 && settings.retweets == Retweets::None;
        let hashtags = if is_silent { Vec::new() } else { self.hashtags()? };
        let time = time::minute(Clocks { id: tweet_id, own_ms, record_ms: version.record_ms });
        let replaces = edits::of_first_api(self.edit_history)?.before(tweet_id);
        let stated = author.user(settings);
        let is_unreadable = matches!(stated, Stated::Unreadable);
        let user = if let Stated::User(user) = stated { Some(user) } else { None };
        let edition = 0;
        let tweet = Tweet { version, time, own_ms, hashtags, user, replaces, edition };
        events.push(Event::Tweet(tweet));
        events.extend(is_unreadable.then_some(Event::Other(EventKind::UserUnreadable)));
        Ok(())
    }

    /// The tweet's own hashtags. A truncated tweet has all of them only in its extended form, which
    /// other tweets do not have; so it also counts where `truncated` was left out. A tweet without
    /// any entities has them only in its text.
    fn hashtags(&self) -> Result<Vec<types::Text>, Undecodable> {
        let own = self.entities.object("entities")?;
        let extended = self.extended_tweet.object("extended_tweet")?;
        let own_first = extended.is_none() || self.truncated.truth() == Some(false);
        if let Some(entities) = own.filter(|_| own_first) {
            return entities.hashtags();
        }
        let text = self.full_text.or(self.text).filter(|text| text.is_text());
        let Some(extended) = extended else { return hashtags_of_text(text) };
        let full_text = extended.full_text.filter(|value| value.is_text());
        match (extended.entities.object("entities")?, own) {
            (Some(entities), _) => entities.hashtags(),
            (None, Some(entities)) if full_text.is_none() => entities.hashtags(),
            (None, _) => hashtags_of_text(full_text.or(text)),
        }
    }
}

impl Entities<'_> {
    fn hashtags(&self) -> Result<Vec<types::Text>, Undecodable> {
        let tags = self.hashtags.objects("hashtags")?;
        tags.map(|tag| hashtag(tag.text.text().unwrap_or_default())).collect()
    }
}

impl Author<'_> {
    /// What it states; nothing where it is cut to its id (`trim_user`).
    fn user(&self, settings: DecodeSettings) -> Stated {
        let (friends, followers) = (self.friends_count.count(), self.followers_count.count());
        if self.name.is_absent() && (friends, followers) == (Ok(None), Ok(None)) {
            return Stated::Nothing;
        }
        let name = if self.name.is_absent() { Some("") } else { self.name.text() };
        let id = id(&self.id_str, &self.id);
        let (Some(id), Some(name), Ok(friends), Ok(followers)) = (id, name, friends, followers)
        else {
            return Stated::Unreadable;
        };
        Stated::User(User { id, name: shown(settings.names, name), friends, followers })
    }
}

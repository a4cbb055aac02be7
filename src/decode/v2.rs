//! X API v2: what the filtered stream, look-ups and searches answer, and tweets taken out of that.
//!
//! ```text
//! page   {"data": tweet or [tweet, …], "includes": {"users": […]}, "errors": …, "meta": …}
//! flat   {"id": …, "text": …, "author": {…}}          (as `twarc2 flatten` writes it)
//! ```
//!
//! Rules. Tweets are the objects of `data` that have a text, and nothing else: those under
//! `includes` are referenced by them. Users are all of `includes.users`, and the `author` inside a
//! tweet, that say how many accounts they follow, whether they wrote one of the tweets or not; they
//! are as new as the record's greatest tweet id. `data` that holds users, lists or counts, and
//! pages without data, change nothing; compliance messages are counted by kind. Ids are strings.
//!
//! The location filter leaves out tweets, not users: who has written a tweet is looked up in the
//! record, and an author who is not there has no location.

use super::edits::Versions;
use super::json::{Object, OneOrMany, Text};
use super::time::CreatedAt;
use super::{Settings, Undecodable, hashtag, hashtags_of_text};
use dataflows::Event;
use dataflows::latest::Version;
use dataflows::tweet::{Kind, Tweet, User};
use serde::de::IgnoredAny;
use std::collections::HashSet;

/// An envelope.
#[derive(serde::Deserialize)]
pub(super) struct Page<'a> {
    #[serde(default, borrow)]
    data: Option<OneOrMany<Item<'a>>>,
    #[serde(default, borrow)]
    includes: Option<Object<Includes<'a>>>,
}

#[derive(serde::Deserialize)]
struct Includes<'a> {
    #[serde(default, borrow)]
    users: Option<Vec<Object<Account<'a>>>>,
}

/// One object of `data`: a tweet if it has a text, else something else.
#[derive(serde::Deserialize)]
pub(super) struct Item<'a> {
    #[serde(default, borrow)]
    id: Option<Text<'a>>,
    #[serde(default, borrow)]
    created_at: CreatedAt<'a>,
    #[serde(default, borrow)]
    text: Option<Text<'a>>,
    #[serde(default, borrow)]
    entities: Option<Object<Entities<'a>>>,
    #[serde(default)]
    edit_history_tweet_ids: Versions,
    #[serde(default, borrow)]
    author_id: Option<Text<'a>>,
    #[serde(default, borrow)]
    author: Option<Object<Account<'a>>>,
    /// Direct messages have a text and this.
    #[serde(default)]
    event_type: Option<IgnoredAny>,
    // Messages of the compliance streams.
    #[serde(default, alias = "tweet_delete")]
    delete: Option<IgnoredAny>,
    #[serde(default, alias = "tweet_withheld")]
    withheld: Option<IgnoredAny>,
    #[serde(default)]
    user_withheld: Option<IgnoredAny>,
    #[serde(default)]
    scrub_geo: Option<IgnoredAny>,
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
    compliance: Option<IgnoredAny>,
}

#[derive(serde::Deserialize)]
struct Entities<'a> {
    #[serde(default, borrow)]
    hashtags: Option<Vec<Object<Hashtag<'a>>>>,
}

#[derive(serde::Deserialize)]
struct Hashtag<'a> {
    #[serde(borrow)]
    tag: Text<'a>,
}

#[derive(serde::Deserialize)]
struct Account<'a> {
    #[serde(default, borrow)]
    id: Option<Text<'a>>,
    #[serde(default, borrow)]
    name: Option<Text<'a>>,
    /// Only whether it is null.
    #[serde(default)]
    location: Option<IgnoredAny>,
    #[serde(default)]
    public_metrics: Option<Object<Metrics>>,
}

#[derive(serde::Deserialize)]
struct Metrics {
    #[serde(default)]
    following_count: Option<i64>,
    #[serde(default)]
    followers_count: Option<i64>,
}

/// The events of an envelope.
pub(super) fn page(
    page: Page<'_>,
    version: Version,
    settings: Settings,
    events: &mut Vec<Event>,
) -> Result<(), Undecodable> {
    let items = page.data.map_or_else(Vec::new, |OneOrMany(items)| items);
    let included = page.includes.and_then(|Object(includes)| includes.users).unwrap_or_default();
    record(&items, &included, version, settings, events)
}

/// The events of a tweet without an envelope.
pub(super) fn flat(
    item: Item<'_>,
    version: Version,
    settings: Settings,
    events: &mut Vec<Event>,
) -> Result<(), Undecodable> {
    if !item.is_tweet() {
        return Err(Undecodable::Unknown);
    }
    record(&[item], &[], version, settings, events)
}

/// Tweets, then users; where there are neither, what the record is instead.
fn record(
    items: &[Item<'_>],
    included: &[Object<Account<'_>>],
    version: Version,
    settings: Settings,
    events: &mut Vec<Event>,
) -> Result<(), Undecodable> {
    let before = events.len();
    let located = located(included, settings);
    let mut greatest = 0;
    for item in items.iter().filter(|item| item.is_tweet()) {
        let tweet_id = item.id.as_ref().and_then(Text::id).ok_or(Undecodable::Id("tweet's id"))?;
        greatest = greatest.max(tweet_id);
        if settings.require_location && !item.is_located(&located) {
            events.push(Event::Other(Kind::Filtered));
            continue;
        }
        let (version, hashtags) = (Version { tweet_id, ..version }, item.hashtags()?);
        let time = item.created_at.time(version);
        let replaces = item.edit_history_tweet_ids.before(tweet_id);
        events.push(Event::Tweet(Tweet { version, time, hashtags, user: None, replaces }));
    }
    let version = Version { tweet_id: greatest, ..version };
    let authors =
        items.iter().filter(|item| item.is_tweet()).filter_map(|item| item.author.as_ref());
    for Object(account) in included.iter().chain(authors) {
        events.extend(account.user(settings)?.map(|user| Event::User(version, user)));
    }
    if events.len() == before {
        events.push(Event::Other(items.iter().find_map(Item::notice).unwrap_or(Kind::Other)));
    }
    Ok(())
}

/// The ids of the included users with a location, where the filter asks for them.
fn located<'a>(included: &'a [Object<Account<'_>>], settings: Settings) -> HashSet<&'a str> {
    if !settings.require_location {
        return HashSet::new();
    }
    let located = included.iter().filter(|Object(account)| account.location.is_some());
    located.filter_map(|Object(account)| account.id.as_ref()).map(|id| &*id.0).collect()
}

impl Item<'_> {
    fn is_tweet(&self) -> bool {
        self.text.is_some() && self.event_type.is_none()
    }

    /// Whether its author gives a location.
    fn is_located(&self, located: &HashSet<&str>) -> bool {
        match &self.author {
            Some(Object(author)) => author.location.is_some(),
            None => self.author_id.as_ref().is_some_and(|id| located.contains(&*id.0)),
        }
    }

    /// Its own hashtags. A tweet without entities has no hashtags, or they were not asked for: the
    /// text is right in both cases.
    fn hashtags(&self) -> Result<Vec<dataflows::Text>, Undecodable> {
        let Some(Object(entities)) = &self.entities else {
            return hashtags_of_text(self.text.as_ref().map_or("", |text| &text.0));
        };
        let tags = entities.hashtags.iter().flatten();
        tags.map(|Object(tag)| hashtag(&tag.tag.0)).collect()
    }

    /// Which compliance message it is, where it is one. (A tweet or user that is withheld somewhere
    /// has a field of that name too, but also an id.)
    fn notice(&self) -> Option<Kind> {
        if self.id.is_some() {
            return None;
        }
        [
            (self.delete.is_some(), Kind::Delete),
            (self.scrub_geo.is_some(), Kind::ScrubGeo),
            (self.withheld.is_some(), Kind::StatusWithheld),
            (self.user_withheld.is_some(), Kind::UserWithheld),
            (self.compliance.is_some(), Kind::Compliance),
        ]
        .into_iter()
        .find_map(|(is, kind)| is.then_some(kind))
    }
}

impl Account<'_> {
    /// What it states, if it says how many accounts it follows.
    fn user(&self, settings: Settings) -> Result<Option<User>, Undecodable> {
        let Some(Object(metrics)) = &self.public_metrics else { return Ok(None) };
        let Some(friends) = metrics.following_count else { return Ok(None) };
        let id = self.id.as_ref().and_then(Text::id).ok_or(Undecodable::Id("user's id"))?;
        let name = settings.names.shown(self.name.as_ref().map_or("", |name| &name.0));
        Ok(Some(User { id, name, friends: Some(friends), followers: metrics.followers_count }))
    }
}

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
//! are as new as the record's greatest tweet id. One that cannot be read costs itself, not the
//! page. `data` that holds users, lists or counts, and pages without data, change nothing;
//! compliance messages are counted by kind (see `notice`).
//!
//! The location filter leaves out tweets, not users: who has written a tweet is looked up in the
//! record, and an author who is not there has no location.

use super::edits::Versions;
use super::json::{self, Given, Leaf, List, OneOrMany, Part, Raw};
use super::name::shown;
use super::time::{self, CreatedAt};
use super::v1::Stated;
use super::{Undecodable, hashtag, hashtags_of_text};
use serde::de::IgnoredAny;
use std::collections::HashSet;
use types::Event;
use types::Version;
use types::clock::Clocks;
use types::event::{EventKind, Tweet, User};
use types::settings::{DecodeSettings, Retweets};

/// An envelope.
#[derive(serde::Deserialize)]
pub(super) struct Page<'a> {
    #[serde(default, borrow)]
    data: OneOrMany<Item<'a>>,
    #[serde(default, borrow)]
    includes: Part<Includes<'a>>,
}

#[derive(serde::Deserialize)]
struct Includes<'a> {
    #[serde(default, borrow)]
    users: List<Account<'a>>,
}

/// One object of `data`: a tweet if it has a text, else something else.
#[derive(serde::Deserialize)]
pub(super) struct Item<'a> {
    #[serde(default, borrow)]
    id: Leaf<'a>,
    #[serde(default, borrow)]
    created_at: CreatedAt<'a>,
    #[serde(default, borrow)]
    text: Option<Raw<'a>>,
    #[serde(default, borrow)]
    entities: Part<Entities<'a>>,
    /// The whole of a post of more than 280 characters, whose own text and entities are cut.
    #[serde(default, borrow)]
    note_tweet: Part<Note<'a>>,
    #[serde(default)]
    edit_history_tweet_ids: Versions,
    #[serde(default, borrow)]
    author_id: Leaf<'a>,
    #[serde(default, borrow)]
    author: Part<Account<'a>>,
    /// Which tweets it retweets, quotes or answers.
    #[serde(default, borrow)]
    referenced_tweets: Option<Raw<'a>>,
    /// Direct messages have a text and this.
    #[serde(default)]
    event_type: Option<IgnoredAny>,
}

#[derive(serde::Deserialize)]
struct Reference<'a> {
    #[serde(default, borrow, rename = "type")]
    kind: Leaf<'a>,
}

#[derive(serde::Deserialize)]
struct Note<'a> {
    #[serde(default, borrow)]
    text: Option<Raw<'a>>,
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
    #[serde(default, borrow)]
    tag: Leaf<'a>,
}

#[derive(serde::Deserialize)]
struct Account<'a> {
    #[serde(default, borrow)]
    id: Leaf<'a>,
    #[serde(default, borrow)]
    name: Leaf<'a>,
    #[serde(default)]
    location: Given,
    #[serde(default, borrow)]
    public_metrics: Part<Metrics<'a>>,
}

#[derive(serde::Deserialize)]
struct Metrics<'a> {
    #[serde(default, borrow)]
    following_count: Leaf<'a>,
    #[serde(default, borrow)]
    followers_count: Leaf<'a>,
}

/// The events of an envelope; none where it holds neither tweets nor users.
pub(super) fn page(
    page: &Page<'_>,
    version: Version,
    settings: DecodeSettings,
    events: &mut Vec<Event>,
) -> Result<(), Undecodable> {
    let items: Vec<_> = page.data.0.objects("data")?.filter(|item| item.is_tweet()).collect();
    let included = page.includes.object("includes")?.map_or(&[][..], |it| &it.users.0);
    record(&items, included, version, settings, events)
}

/// The events of a tweet without an envelope.
pub(super) fn flat(
    item: &Item<'_>,
    version: Version,
    settings: DecodeSettings,
    events: &mut Vec<Event>,
) -> Result<(), Undecodable> {
    record(&[item], &[], version, settings, events)
}

/// Tweets, then users.
fn record(
    tweets: &[&Item<'_>],
    included: &[Part<Account<'_>>],
    version: Version,
    settings: DecodeSettings,
    events: &mut Vec<Event>,
) -> Result<(), Undecodable> {
    let located = located(included, settings);
    let mut greatest = 0;
    for item in tweets {
        let tweet_id = item.id.id().ok_or_else(|| Undecodable::id(&item.id))?;
        greatest = greatest.max(tweet_id);
        if settings.require_location && !item.is_located(&located) {
            events.push(Event::Other(EventKind::Filtered));
            continue;
        }
        let is_silent = settings.retweets == Retweets::None && item.is_retweet()?;
        let hashtags = if is_silent { Vec::new() } else { item.hashtags()? };
        let (version, own_ms) = (Version { tweet_id, ..version }, item.created_at.ms());
        let time = time::minute(Clocks { id: tweet_id, own_ms, record_ms: version.record_ms });
        let replaces = item.edit_history_tweet_ids.before(tweet_id);
        let (user, edition) = (None, 0);
        let tweet = Tweet { version, time, own_ms, hashtags, user, replaces, edition };
        events.push(Event::Tweet(tweet));
    }
    let version = Version { tweet_id: greatest, ..version };
    for account in included.iter().chain(tweets.iter().map(|item| &item.author)) {
        let stated = match account {
            Part::Read(account) => account.user(settings),
            Part::Odd => Stated::Unreadable,
            Part::Absent | Part::Nothing => Stated::Nothing,
        };
        events.extend(match stated {
            Stated::User(user) => Some(Event::User(version, user)),
            Stated::Unreadable => Some(Event::Other(EventKind::UserUnreadable)),
            Stated::Nothing => None,
        });
    }
    Ok(())
}

/// The ids of the included users with a location, where the filter asks for them.
fn located(included: &[Part<Account<'_>>], settings: DecodeSettings) -> HashSet<u64> {
    if !settings.require_location {
        return HashSet::new();
    }
    let located = included.iter().filter_map(Part::read).filter(|account| account.location.0);
    located.filter_map(|account| account.id.id()).collect()
}

impl Item<'_> {
    fn is_tweet(&self) -> bool {
        self.text.is_some_and(Raw::is_text) && self.event_type.is_none()
    }

    fn is_retweet(&self) -> Result<bool, Undecodable> {
        let Some(references) = self.referenced_tweets.filter(|it| it.0.starts_with(b"[")) else {
            return Ok(false);
        };
        let List(references) = json::parse_list::<Reference<'_>>(references)?;
        let mut kinds = references.iter().filter_map(Part::read).map(|it| it.kind.text());
        Ok(kinds.any(|kind| kind == Some("retweeted")))
    }

    /// Whether its author gives a location.
    fn is_located(&self, located: &HashSet<u64>) -> bool {
        match &self.author {
            Part::Read(author) => author.location.0,
            _ => self.author_id.id().is_some_and(|id| located.contains(&id)),
        }
    }

    /// Its own hashtags: those of the whole text, where that is there. A text without entities has
    /// no hashtags, or they were not asked for: the text is right in both cases.
    fn hashtags(&self) -> Result<Vec<types::Text>, Undecodable> {
        let own = self.entities.object("entities")?;
        if let Some(note) = self.note_tweet.object("note_tweet")? {
            if let Some(entities) = note.entities.object("entities")? {
                return entities.hashtags();
            }
            if note.text.is_some_and(Raw::is_text) {
                return hashtags_of_text(note.text);
            }
        }
        own.map_or_else(|| hashtags_of_text(self.text), Entities::hashtags)
    }
}

impl Entities<'_> {
    fn hashtags(&self) -> Result<Vec<types::Text>, Undecodable> {
        let tags = self.hashtags.objects("hashtags")?;
        tags.map(|tag| hashtag(tag.tag.text().unwrap_or_default())).collect()
    }
}

impl Account<'_> {
    /// What it states, if it says how many accounts it follows.
    fn user(&self, settings: DecodeSettings) -> Stated {
        let metrics = match &self.public_metrics {
            Part::Read(metrics) => metrics,
            Part::Odd => return Stated::Unreadable,
            Part::Absent | Part::Nothing => return Stated::Nothing,
        };
        let friends = match metrics.following_count.count() {
            Ok(Some(friends)) => friends,
            Ok(None) => return Stated::Nothing,
            Err(()) => return Stated::Unreadable,
        };
        let name = if self.name.is_absent() { Some("") } else { self.name.text() };
        let (Some(id), Some(name), Ok(followers)) =
            (self.id.id(), name, metrics.followers_count.count())
        else {
            return Stated::Unreadable;
        };
        let name = shown(settings.names, name);
        Stated::User(User { id, name, friends: Some(friends), followers })
    }
}

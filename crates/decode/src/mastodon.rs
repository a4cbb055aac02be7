//! Mastodon: events of a stream, as `produce` writes them.
//!
//! ```text
//! {"mastodon": "example.org", "event": "update", "payload": {status}}     also `status.update`
//! {"mastodon": "example.org", "event": "delete", "payload": 113520000000000007}
//! ```
//!
//! Rules. An edit keeps the id, so it is an edition: `edited_at` orders them. What it says of its
//! author is as new as the edit. The author's counts are taken where both the name and the number
//! of followed accounts are there. A boost is a status of its own with its own hashtags. Events
//! that are about no status change nothing.

use super::ids::PostKey;
use super::json::{self, Given, Leaf, List, Part, Raw};
use super::name::shown;
use super::time::{self, CreatedAt};
use super::v1::Stated;
use super::{Retweets, Undecodable, hashtag, ids};
use std::borrow::Cow;
use types::clock::{Clocks, id_at};
use types::event::{EventKind, Tweet, User};
use types::settings::DecodeSettings;
use types::{Event, Text, Version};

#[derive(serde::Deserialize)]
struct Record<'a> {
    #[serde(default, borrow)]
    mastodon: Leaf<'a>,
    #[serde(default, borrow)]
    event: Leaf<'a>,
    #[serde(default, borrow)]
    payload: Option<Raw<'a>>,
}

#[derive(serde::Deserialize)]
struct Status<'a> {
    #[serde(default, borrow)]
    id: Leaf<'a>,
    #[serde(default, borrow)]
    created_at: CreatedAt<'a>,
    #[serde(default, borrow)]
    edited_at: CreatedAt<'a>,
    #[serde(default, borrow)]
    tags: List<Tag<'a>>,
    #[serde(default)]
    reblog: Given,
    #[serde(default, borrow)]
    account: Part<Account<'a>>,
}

#[derive(serde::Deserialize)]
struct Tag<'a> {
    #[serde(default, borrow)]
    name: Leaf<'a>,
}

#[derive(serde::Deserialize)]
struct Account<'a> {
    #[serde(default, borrow)]
    acct: Leaf<'a>,
    #[serde(default, borrow)]
    display_name: Leaf<'a>,
    #[serde(default, borrow)]
    following_count: Leaf<'a>,
    #[serde(default, borrow)]
    followers_count: Leaf<'a>,
}

/// What an event is about.
enum About<'a> {
    /// A status, as JSON. It may have come as a text that holds it.
    Status(Cow<'a, [u8]>),
    /// A status that was deleted, if it says which.
    Deleted(Option<u64>),
    Nothing,
}

/// The events of a record.
pub(super) fn record(
    bytes: &[u8],
    version: Version,
    settings: DecodeSettings,
    events: &mut Vec<Event>,
) -> Result<(), Undecodable> {
    let record: Record<'_> = json::parse(bytes)?;
    let domain = record.domain()?;
    let status = match record.about()? {
        About::Status(status) => status,
        About::Deleted(Some(id)) => {
            let version = Version { tweet_id: ids::mastodon(domain, id), ..version };
            events.push(Event::Delete { version, kind: EventKind::Delete, own_ms: 0 });
            return Ok(());
        }
        About::Deleted(None) => {
            events.push(Event::Other(EventKind::DeleteWithoutId));
            return Ok(());
        }
        About::Nothing => {
            events.push(Event::Other(EventKind::Other));
            return Ok(());
        }
    };
    let is_edit = record.event.text() == Some("status.update");
    let status = json::parse::<Status<'_>>(&status)?;
    events.extend(status.events(domain, is_edit, version, settings)?);
    Ok(())
}

/// Which status a record is about.
pub(super) fn key(bytes: &[u8]) -> Result<PostKey, Undecodable> {
    let record: Record<'_> = json::parse(bytes)?;
    let domain = record.domain()?;
    let (id, is_post) = match record.about()? {
        About::Status(status) => (json::parse::<Status<'_>>(&status)?.id.id(), true),
        About::Deleted(id) => (id, false),
        About::Nothing => (None, false),
    };
    Ok(PostKey { id: id.map(|id| ids::mastodon(domain, id)), is_post })
}

impl<'a> Record<'a> {
    fn domain(&self) -> Result<&str, Undecodable> {
        let domain = self.mastodon.text().filter(|domain| !domain.is_empty());
        domain.ok_or_else(|| Undecodable::Shape("mastodon: it is not a domain".into()))
    }

    fn about(&self) -> Result<About<'a>, Undecodable> {
        let no_status = || Undecodable::Shape("a status without its payload".into());
        match self.event.text() {
            Some("update" | "status.update") => {
                let payload = self.payload.ok_or_else(no_status)?;
                Ok(About::Status(if payload.is_text() {
                    Cow::Owned(payload.text()?.into_owned().into_bytes())
                } else {
                    Cow::Borrowed(payload.0)
                }))
            }
            Some("delete") => {
                let id = self.payload.map(|it| super::lazy::from_slice::<Leaf<'_>>(it.0));
                Ok(About::Deleted(id.and_then(|id| id.ok()?.id())))
            }
            Some(_) => Ok(About::Nothing),
            None => Err(Undecodable::Shape("mastodon: a record without an event".into())),
        }
    }
}

impl Status<'_> {
    fn events(
        &self,
        domain: &str,
        is_edit: bool,
        version: Version,
        settings: DecodeSettings,
    ) -> Result<Vec<Event>, Undecodable> {
        let id = self.id.id().ok_or_else(|| Undecodable::id(&self.id))?;
        let tweet_id = ids::mastodon(domain, id);
        // An account gives no location here.
        if settings.require_location {
            return Ok(vec![Event::Other(EventKind::Filtered)]);
        }
        let version = Version { tweet_id, ..version };
        let own_ms = self.created_at.ms();
        let time = time::minute(Clocks { id: tweet_id, own_ms, record_ms: version.record_ms });
        let is_silent = self.reblog.0 && settings.retweets == Retweets::None;
        let hashtags = if is_silent { Vec::new() } else { self.hashtags()? };
        let edited_ms = self.edited_at.ms();
        let edition = edited_ms.max(u64::from(is_edit));
        let (user, replaces) = (None, [].into());
        let tweet = Tweet { version, time, own_ms, hashtags, user, replaces, edition };
        // As new as the edit: the statement of a later edit counts in any order.
        let as_of = Version { tweet_id: tweet_id.max(id_at(edited_ms)), ..version };
        let stated = match &self.account {
            Part::Read(account) => account.user(domain, settings),
            Part::Odd => Stated::Unreadable,
            Part::Absent | Part::Nothing => Stated::Nothing,
        };
        let about_author = match stated {
            Stated::User(author) => Some(Event::User(as_of, author)),
            Stated::Unreadable => Some(Event::Other(EventKind::UserUnreadable)),
            Stated::Nothing => None,
        };
        Ok(std::iter::once(Event::Tweet(tweet)).chain(about_author).collect())
    }

    fn hashtags(&self) -> Result<Vec<Text>, Undecodable> {
        let tags = self.tags.objects("tags")?;
        tags.map(|tag| hashtag(tag.name.text().unwrap_or_default())).collect()
    }
}

impl Account<'_> {
    /// What it states, if it says how many accounts it follows. A local account is named without
    /// its domain.
    fn user(&self, domain: &str, settings: DecodeSettings) -> Stated {
        let friends = match self.following_count.count() {
            Ok(Some(friends)) => Some(friends),
            Ok(None) => return Stated::Nothing,
            Err(()) => return Stated::Unreadable,
        };
        let (Some(acct), Ok(followers)) = (self.acct.text(), self.followers_count.count()) else {
            return Stated::Unreadable;
        };
        let at = if acct.contains('@') { String::new() } else { format!("@{domain}") };
        let id = ids::author(&format!("acct:{acct}{at}").to_ascii_lowercase());
        let name = self.display_name.text().filter(|name| !name.trim().is_empty());
        let name = shown(settings.names, name.unwrap_or(acct));
        Stated::User(User { id, name, friends, followers })
    }
}

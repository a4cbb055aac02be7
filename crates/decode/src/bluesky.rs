//! Bluesky: frames of Jetstream, and profiles.
//!
//! ```text
//! v1         {"did": …, "time_us": 1, "kind": "commit", "commit": {"operation": …, …}}
//! v2         {"$type": "message", "payload": {"$type": "…#commit", "did": …, "time": …, …}}
//! profiles   {"bluesky_profiles": "TIME", "reply": {"profiles": [{"did": …, …}]}}
//! ```
//!
//! Rules. A post is a record of `app.bsky.feed.post`. Its hashtags are those of its facets and of
//! `tags`; of the latter, which are free text, only those that can be keys. An update keeps the id,
//! so it is an edition: the revision of the repository orders them. Other collections and other
//! kinds of frames are notices.
//!
//! `createdAt` and the post's id are said by the same client. The frame's time, which the service
//! says, bounds them: a `createdAt` after it is replaced by it, as Bluesky itself does.

use super::ids::PostKey;
use super::json::{self, Leaf, List, Part, Raw};
use super::name::shown;
use super::time::{self, CreatedAt};
use super::v1::Stated;
use super::{Undecodable, hashtag, ids, is_key, lazy};
use types::clock::{Clocks, TOLERANCE_MS, id_at, plausible_ms};
use types::event::{EventKind, Time, Tweet, User};
use types::settings::DecodeSettings;
use types::{Event, Text, Version};

/// The collection of posts.
const POSTS: &str = "app.bsky.feed.post";
/// A feature of a facet that is a hashtag.
const TAG: &str = "app.bsky.richtext.facet#tag";

#[derive(serde::Deserialize)]
struct Frame<'a> {
    #[serde(default, borrow)]
    did: Leaf<'a>,
    #[serde(default, borrow)]
    time_us: Leaf<'a>,
    #[serde(default, borrow)]
    kind: Leaf<'a>,
    #[serde(default, borrow)]
    commit: Part<Commit<'a>>,
    #[serde(default, borrow)]
    payload: Part<Commit<'a>>,
}

/// A commit of v1, or any message of v2.
#[derive(serde::Deserialize)]
struct Commit<'a> {
    #[serde(default, borrow, rename = "$type")]
    kind: Leaf<'a>,
    #[serde(default, borrow)]
    did: Leaf<'a>,
    #[serde(default, borrow)]
    time: CreatedAt<'a>,
    #[serde(default, borrow)]
    rev: Leaf<'a>,
    #[serde(default, borrow)]
    operation: Leaf<'a>,
    #[serde(default, borrow)]
    collection: Leaf<'a>,
    #[serde(default, borrow)]
    rkey: Leaf<'a>,
    #[serde(default, borrow)]
    record: Part<Post<'a>>,
}

#[derive(serde::Deserialize)]
struct Post<'a> {
    #[serde(default, borrow, rename = "createdAt")]
    created_at: CreatedAt<'a>,
    #[serde(default, borrow)]
    facets: Option<Raw<'a>>,
    #[serde(default, borrow)]
    tags: Option<Raw<'a>>,
}

#[derive(serde::Deserialize)]
struct Facet<'a> {
    #[serde(default, borrow)]
    features: List<Feature<'a>>,
}

#[derive(serde::Deserialize)]
struct Feature<'a> {
    #[serde(default, borrow, rename = "$type")]
    kind: Leaf<'a>,
    #[serde(default, borrow)]
    tag: Leaf<'a>,
}

#[derive(serde::Deserialize)]
struct Profiles<'a> {
    #[serde(default, borrow)]
    bluesky_profiles: CreatedAt<'a>,
    #[serde(default, borrow)]
    reply: Part<Reply<'a>>,
}

#[derive(serde::Deserialize)]
struct Reply<'a> {
    #[serde(default, borrow)]
    profiles: List<Profile<'a>>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile<'a> {
    #[serde(default, borrow)]
    did: Leaf<'a>,
    #[serde(default, borrow)]
    handle: Leaf<'a>,
    #[serde(default, borrow)]
    display_name: Leaf<'a>,
    #[serde(default, borrow)]
    follows_count: Leaf<'a>,
    #[serde(default, borrow)]
    followers_count: Leaf<'a>,
}

/// The event of a frame; `None` where it is none.
pub(super) fn frame(
    bytes: &[u8],
    version: Version,
    settings: DecodeSettings,
) -> Result<Option<Event>, Undecodable> {
    let frame: Frame<'_> = json::parse(bytes)?;
    let commit = match frame.message() {
        Ok(commit) => commit,
        Err(kind) => return Ok(kind.map(Event::Other)),
    };
    let (is_delete, frame_ms) = (commit.is_delete(), frame.ms());
    let Some(tweet_id) = frame.tweet_id(commit) else {
        let without_id = Event::Other(EventKind::DeleteWithoutId);
        return if is_delete { Ok(Some(without_id)) } else { Err(Undecodable::Id) };
    };
    let version = Version { tweet_id, ..version };
    if is_delete {
        let (kind, own_ms) = (EventKind::Delete, frame_ms);
        return Ok(Some(Event::Delete { version, kind, own_ms }));
    }
    let post = commit.record.object("record")?;
    let post = post.ok_or_else(|| Undecodable::Shape("a post without its record".into()))?;
    // An account gives no location here.
    if settings.require_location {
        return Ok(Some(Event::Other(EventKind::Filtered)));
    }
    let (own_ms, time) = post.time(tweet_id, frame_ms, version.record_ms);
    let hashtags = post.hashtags()?;
    let (user, replaces, edition) = (None, [].into(), commit.edition(frame_ms));
    Ok(Some(Event::Tweet(Tweet { version, time, own_ms, hashtags, user, replaces, edition })))
}

/// The users of profiles, as of the time at which they were asked for.
pub(super) fn profiles(
    bytes: &[u8],
    version: Version,
    settings: DecodeSettings,
    events: &mut Vec<Event>,
) -> Result<(), Undecodable> {
    let profiles: Profiles<'_> = json::parse(bytes)?;
    let ms = profiles.bluesky_profiles.ms();
    if ms == 0 {
        return Err(Undecodable::Shape("bluesky_profiles: it is not a time".into()));
    }
    let version = Version { tweet_id: id_at(ms), ..version };
    let before = events.len();
    if let Some(reply) = profiles.reply.object("reply")? {
        events.extend(reply.profiles.objects("profiles")?.filter_map(|profile| {
            match profile.user(settings) {
                Stated::User(user) => Some(Event::User(version, user)),
                Stated::Unreadable => Some(Event::Other(EventKind::UserUnreadable)),
                Stated::Nothing => None,
            }
        }));
    }
    if events.len() == before {
        events.push(Event::Other(EventKind::Other));
    }
    Ok(())
}

/// Which post a frame is about; `None` where it is no frame.
pub(super) fn key(bytes: &[u8]) -> Result<Option<PostKey>, Undecodable> {
    let frame: Frame<'_> = json::parse(bytes)?;
    let commit = match frame.message() {
        Ok(commit) => commit,
        Err(kind) => return Ok(kind.map(|_| PostKey::default())),
    };
    let (id, is_post) = (frame.tweet_id(commit), !commit.is_delete());
    Ok(Some(PostKey { id, is_post }))
}

impl<'a> Frame<'a> {
    /// The commit of a post; else which notice it is, if it is a frame.
    fn message(&self) -> Result<&Commit<'a>, Option<EventKind>> {
        let outer = self.kind.text().filter(|_| self.did.text().is_some());
        let inner = self.payload.read().and_then(|it| it.kind.text()?.rsplit_once('#'));
        let Some(kind) = outer.or(inner.map(|(_, kind)| kind)) else { return Err(None) };
        let commit = match kind {
            "commit" => self.commit.read().or(self.payload.read()),
            "identity" => return Err(Some(EventKind::Identity)),
            "account" => return Err(Some(EventKind::Account)),
            "info" => return Err(Some(EventKind::Info)),
            _ => return Err(Some(EventKind::Other)),
        };
        match commit {
            None => Err(None),
            Some(commit) if commit.collection.text() == Some(POSTS) => Ok(commit),
            Some(_) => Err(Some(EventKind::OtherCollection)),
        }
    }

    fn tweet_id(&self, commit: &Commit<'_>) -> Option<u64> {
        let did = self.did.text().or(commit.did.text())?;
        Some(ids::bluesky(did, POSTS, commit.rkey.text()?))
    }

    /// When the service saw it, milliseconds since 1970; 0 where that is not said.
    fn ms(&self) -> u64 {
        let v1 = self.time_us.id().map_or(0, |us| plausible_ms(us / 1000));
        if v1 > 0 { v1 } else { self.payload.read().map_or(0, |it| it.time.ms()) }
    }
}

impl Commit<'_> {
    fn is_delete(&self) -> bool {
        self.operation.text() == Some("delete")
    }

    /// Revisions of a repository rise.
    fn edition(&self, frame_ms: u64) -> u64 {
        match self.operation.text() {
            Some("update") => {
                let us = self.rev.text().and_then(ids::tid_us);
                us.unwrap_or(frame_ms * 1000).max(1)
            }
            _ => 0,
        }
    }
}

impl Post<'_> {
    /// Its own time, as far as the frame's bears it out, and its minute.
    fn time(&self, id: u64, frame_ms: u64, record_ms: u64) -> (u64, Time) {
        let created_ms = self.created_at.ms();
        let is_bounded = frame_ms == 0 || created_ms <= frame_ms + TOLERANCE_MS;
        let is_own = created_ms > 0 && is_bounded;
        let own_ms = if is_own { created_ms } else { frame_ms };
        match time::minute(Clocks { id, own_ms, record_ms }) {
            Time::Own(minute) if !is_own => (own_ms, Time::Record(minute)),
            time => (own_ms, time),
        }
    }

    fn hashtags(&self) -> Result<Vec<Text>, Undecodable> {
        let is_array = |raw: &Raw<'_>| raw.0.starts_with(b"[");
        let mut hashtags = Vec::new();
        if let Some(facets) = self.facets.filter(is_array) {
            let facets: List<Facet<'_>> = json::parse_list(facets)?;
            for facet in facets.objects("facets")? {
                for feature in facet.features.objects("features")? {
                    if feature.kind.text() == Some(TAG) {
                        hashtags.push(hashtag(bare(feature.tag.text().unwrap_or_default()))?);
                    }
                }
            }
        }
        if let Some(tags) = self.tags.filter(is_array) {
            let shape = |_| Undecodable::Shape("tags: it is not a list of texts".into());
            let tags: Vec<Leaf<'_>> = lazy::from_slice(tags.0).map_err(shape)?;
            let tags = tags.iter().filter_map(Leaf::text).map(bare);
            hashtags.extend(tags.filter(|tag| is_key(tag)).map(Text::from));
        }
        Ok(hashtags)
    }
}

/// Some clients write the sign as well.
fn bare(tag: &str) -> &str {
    tag.strip_prefix(['#', '＃']).unwrap_or(tag)
}

impl Profile<'_> {
    /// What it states, if it says how many accounts it follows.
    fn user(&self, settings: DecodeSettings) -> Stated {
        let friends = match self.follows_count.count() {
            Ok(Some(friends)) => Some(friends),
            Ok(None) => return Stated::Nothing,
            Err(()) => return Stated::Unreadable,
        };
        let (Some(did), Ok(followers)) = (self.did.text(), self.followers_count.count()) else {
            return Stated::Unreadable;
        };
        let name = self.display_name.text().filter(|name| !name.trim().is_empty());
        let name = name.or(self.handle.text()).unwrap_or_default();
        let name = shown(settings.names, name);
        Stated::User(User { id: ids::author(did), name, friends, followers })
    }
}

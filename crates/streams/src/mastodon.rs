//! The public posts of a Mastodon server: server-sent events, and its timeline for what was missed.
//!
//! A record is `{"mastodon":"DOMAIN","event":E,"payload":P}`; P is the data byte for byte, as text
//! where it is no JSON. The place is the newest post's id. After a break the stream is opened first
//! and held back, the timeline is read from the place on until it meets a post of the stream, then
//! the stream goes on. Deletes and edits of that time cannot be asked for: a gap says so.

use crate::address::Address;
use crate::budget::Allowance;
use crate::error::StreamError;
use crate::http::{Body, Client};
use crate::position::{Cursor, Position};
use crate::reply::Trouble;
use crate::service::{Continuity, Event, Message, Service};
use crate::sse::{Events, Sent};
use crate::window::identity;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// The largest event.
const MOST: usize = 4 << 20;
/// The posts of one page of the timeline.
const PAGE: usize = 40;
/// The most pages after one break.
const PAGES: u32 = 200;
/// The timeline is read from so much earlier on: posts of other servers come late.
const BACK_MS: u64 = 10_000;

/// What is followed of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Of the stream.
    stream: String,
    /// Of the posts that were missed.
    missed: String,
}

impl Timeline {
    /// Reads `public`, `public:local` or `hashtag:TAG`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (stream, missed) = match text.split_once(':') {
            None if text == "public" => ("public".to_owned(), "public?".to_owned()),
            Some(("public", "local")) => {
                ("public/local".to_owned(), "public?local=true&".to_owned())
            }
            Some(("hashtag", tag)) if !tag.is_empty() && tag.chars().all(is_of_a_tag) => {
                let tag: String = tag.bytes().map(escaped).collect();
                (format!("hashtag?tag={tag}"), format!("tag/{tag}?"))
            }
            _ => return Err("expected public, public:local or hashtag:TAG".to_owned()),
        };
        let stream = format!("/api/v1/streaming/{stream}");
        let missed = format!("/api/v1/timelines/{missed}limit={PAGE}&min_id=");
        Ok(Self { stream, missed })
    }
}

fn is_of_a_tag(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// A byte of a text as it stands in an address.
fn escaped(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}

/// What a server says of itself.
pub(crate) struct Instance {
    /// Its name in addresses of accounts.
    pub(crate) domain: String,
    /// Where its streams are.
    pub(crate) streaming: Option<String>,
    /// Who may see which live feeds.
    pub(crate) live_feeds: Value,
}

/// Asks a server what it is; nothing if it does not say.
pub(crate) async fn instance(
    client: &Client,
    address: &Address,
) -> Result<Option<Instance>, Trouble> {
    let reply = match client.fetch(address, "/api/v2/instance").await {
        Ok(reply) => reply,
        Err(Trouble::Final(StreamError::Refused { status: 404, .. })) => return Ok(None),
        Err(trouble) => return Err(trouble),
    };
    let Ok(value) = serde_json::from_slice::<Value>(&reply) else { return Ok(None) };
    let domain = value["domain"].as_str().unwrap_or(&address.host).to_owned();
    let configuration = &value["configuration"];
    let streaming = configuration["urls"]["streaming"].as_str().map(str::to_owned);
    let live_feeds = configuration["timelines_access"]["live_feeds"].clone();
    Ok(Some(Instance { domain, streaming, live_feeds }))
}

type Page = Pin<Box<dyn Future<Output = Result<Vec<u8>, Trouble>>>>;

/// What was missed, while it is asked for.
struct Filling {
    page: Page,
    pages: u32,
    /// Ids of posts that the stream has given meanwhile.
    live: HashSet<String>,
    held: VecDeque<Event>,
}

/// The stream.
pub(crate) struct Mastodon {
    address: Address,
    timeline: Timeline,
    client: Arc<Client>,
    /// Where the streams are, and the domain, once they are known.
    found: Option<(Address, String)>,
    body: Option<Body>,
    events: Events,
    sent: VecDeque<Sent>,
    ready: VecDeque<Event>,
    filling: Option<Filling>,
    /// The newest post's id.
    newest: Option<String>,
}

/// The part of a status that matters here.
#[derive(Deserialize)]
struct Status<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(rename = "mastodon", borrow)]
    _domain: Cow<'a, str>,
    #[serde(borrow)]
    event: Cow<'a, str>,
    payload: Value,
}

impl Mastodon {
    pub(crate) fn new(address: Address, timeline: Timeline, client: Client) -> Self {
        Self {
            address,
            timeline,
            client: Arc::new(client),
            found: None,
            body: None,
            events: Events::new(MOST),
            sent: VecDeque::new(),
            ready: VecDeque::new(),
            filling: None,
            newest: None,
        }
    }

    /// Where the streams are. A server that lets nobody follow is refused.
    async fn find(&mut self, client: &Client) -> Result<(Address, String), Trouble> {
        if let Some(found) = &self.found {
            return Ok(found.clone());
        }
        let Some(instance) = instance(client, &self.address).await? else {
            let found = (self.address.clone(), self.address.host.clone());
            return Ok(self.found.insert(found).clone());
        };
        if let Some(detail) = not_live(&instance.live_feeds, &self.timeline) {
            let server = self.address.name();
            return Err(Trouble::Final(StreamError::NotLive { server, detail }));
        }
        // Only where it can be reached as safely as the server itself.
        let streaming = instance.streaming.and_then(|url| Address::parse(&url).ok());
        let streaming = streaming.filter(|it| it.is_encrypted || !self.address.is_encrypted);
        let found = (streaming.unwrap_or_else(|| self.address.clone()), instance.domain);
        Ok(self.found.insert(found).clone())
    }

    fn page(&self, after: &str) -> Page {
        let (client, address) = (Arc::clone(&self.client), self.address.clone());
        let path = format!("{}{after}", self.timeline.missed);
        Box::pin(async move { client.fetch(&address, &path).await })
    }

    /// An event of the stream.
    fn event(&mut self, sent: Sent) -> Event {
        match sent {
            Sent::KeepAlive => Event::KeepAlive,
            Sent::Oversized(size) => Event::Oversized(size),
            Sent::Event { name, data } => match name.as_str() {
                "update" => self.message("update", &data),
                "status.update" => self.message("status.update", &data),
                "delete" => self.message("delete", &data),
                _ => Event::Skipped("other"),
            },
        }
    }

    fn message(&mut self, kind: &'static str, data: &[u8]) -> Event {
        let domain = self.found.as_ref().map_or("", |(_, domain)| domain);
        let record = record(domain, kind, data);
        let id = (kind == "update").then(|| id(data)).flatten();
        if let (Some(filling), Some(id)) = (&mut self.filling, &id) {
            filling.live.insert(id.clone());
        }
        let time_ms = id.as_deref().and_then(|id| id.parse::<u64>().ok()).map(|id| id >> 16);
        let identity = Self::identify(&record);
        // The cursor is set when the message is taken: the stream may be held back.
        let cursor = id.as_deref().and_then(Cursor::new);
        Event::Message(Message { record, kind, cursor, identity, time_ms })
    }

    /// A page of what was missed; the stream goes on when it is met.
    fn filled(&mut self, page: &[u8]) -> Result<(), Trouble> {
        let posts: Vec<&serde_json::value::RawValue> =
            serde_json::from_slice(page).map_err(|_| {
                let reason = format!("{} answered with no list of posts", self.address.name());
                Trouble::Passing {
                    failure: crate::backoff::Failure::Server(None),
                    reason,
                    label: "no-timeline",
                }
            })?;
        let mut is_met = posts.is_empty();
        let mut last = None;
        // The newest one is the first.
        for post in posts.iter().rev() {
            let id = id(post.get().as_bytes());
            is_met |= match (&self.filling, &id) {
                (Some(filling), Some(id)) => filling.live.contains(id),
                _ => false,
            };
            last = id.or(last);
            let event = self.fill_message(post.get().as_bytes());
            self.ready.push_back(event);
        }
        let Some(mut filling) = self.filling.take() else { return Ok(()) };
        filling.pages += 1;
        match last {
            Some(last) if !is_met && filling.pages < PAGES => {
                filling.page = self.page(&last);
                self.filling = Some(filling);
            }
            _ => self.ready.append(&mut filling.held),
        }
        Ok(())
    }

    fn fill_message(&mut self, post: &[u8]) -> Event {
        // It is no post of the stream.
        let filling = self.filling.take();
        let event = self.message("update", post);
        self.filling = filling;
        event
    }
}

/// Why a live feed cannot be followed, by what the server says.
pub(crate) fn not_live(live_feeds: &Value, timeline: &Timeline) -> Option<String> {
    let is_local = timeline.stream.contains("local");
    let names: &[&str] = if is_local { &["local"] } else { &["local", "remote"] };
    let is_disabled = |name: &&&str| live_feeds[**name] == "disabled";
    let disabled: Vec<_> = names.iter().filter(is_disabled).copied().collect();
    let detail = format!("its live feeds are disabled ({})", disabled.join(" and "));
    (disabled.len() == names.len()).then_some(detail)
}

fn id(status: &[u8]) -> Option<String> {
    serde_json::from_slice::<Status<'_>>(status).ok().map(|status| status.id.into_owned())
}

fn record(domain: &str, event: &str, data: &[u8]) -> Vec<u8> {
    let is_json = serde_json::from_slice::<IgnoredAny>(data).is_ok();
    let data = if is_json {
        Cow::Borrowed(data)
    } else {
        Cow::Owned(serde_json::to_vec(&String::from_utf8_lossy(data)).unwrap_or_default())
    };
    let domain = serde_json::to_string(domain).unwrap_or_default();
    let head = format!("{{\"mastodon\":{domain},\"event\":\"{event}\",\"payload\":");
    [head.as_bytes(), &data, b"}"].concat()
}

impl Service for Mastodon {
    const NAME: &'static str = "mastodon";

    fn silence(&self) -> Duration {
        // A keep-alive comes every 15 s.
        Duration::from_secs(45)
    }

    fn allowance(&self) -> Allowance {
        // A server allows 300 requests in 5 minutes, and what was missed needs some of them.
        Allowance { connects: 60, window: Duration::from_mins(5) }
    }

    fn repeats(&self) -> Duration {
        Duration::from_mins(10)
    }

    fn identify(record: &[u8]) -> Option<u64> {
        let Record { event, payload, .. } = serde_json::from_slice(record).ok()?;
        let (id, edited) = match &payload {
            Value::Object(status) => {
                let text = |name| status.get(name).and_then(Value::as_str).unwrap_or_default();
                let edited = if event == "status.update" { text("edited_at") } else { "" };
                (text("id").to_owned(), edited)
            }
            Value::String(id) => (id.clone(), ""),
            id => (id.to_string(), ""),
        };
        Some(identity(&[event.as_bytes(), id.as_bytes(), edited.as_bytes()]))
    }

    async fn connect(
        &mut self,
        client: &Client,
        position: &Position,
    ) -> Result<Continuity, Trouble> {
        let (address, _) = self.find(client).await?;
        (self.events, self.filling) = (Events::new(MOST), None);
        self.ready.clear();
        self.sent.clear();
        self.newest = position.cursor.map(|cursor| cursor.as_str().to_owned());
        let stream = self.timeline.stream.clone();
        self.body = Some(client.stream(&address, &stream, "html").await?);
        let Some(cursor) = position.cursor else {
            return Ok(Continuity::Gap { filled: false, note: "" });
        };
        let after = match cursor.number() {
            Some(id) => id.saturating_sub(BACK_MS << 16).to_string(),
            None => cursor.as_str().to_owned(),
        };
        let (page, live, held) = (self.page(&after), HashSet::new(), VecDeque::new());
        self.filling = Some(Filling { page, pages: 0, live, held });
        let note = "posts are asked for again, deletes and edits cannot be";
        Ok(Continuity::Gap { filled: true, note })
    }

    async fn next(&mut self) -> Result<Event, Trouble> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(self.taken(event));
            }
            if let Some(sent) = self.sent.pop_front() {
                let event = self.event(sent);
                match &mut self.filling {
                    Some(filling) if !matches!(event, Event::KeepAlive) => {
                        filling.held.push_back(event);
                    }
                    _ => return Ok(self.taken(event)),
                }
                continue;
            }
            let Some(body) = &mut self.body else {
                return Err(Trouble::network("closed", "there is no connection"));
            };
            let bytes = match &mut self.filling {
                None => body.chunk().await?,
                Some(filling) => tokio::select! {
                    page = &mut filling.page => {
                        let page = page?;
                        self.filled(&page)?;
                        continue;
                    }
                    bytes = body.chunk() => bytes?,
                },
            };
            self.events.push(&bytes, &mut self.sent);
        }
    }

    fn disconnect(&mut self) {
        (self.body, self.filling) = (None, None);
    }
}

impl Mastodon {
    /// A post that came late does not move the place back.
    fn taken(&mut self, mut event: Event) -> Event {
        if let Event::Message(message) = &mut event
            && let Some(cursor) = message.cursor
        {
            let number = |text: &str| text.parse::<u64>().ok();
            let newest = self.newest.as_deref();
            let is_older =
                newest.and_then(number).zip(cursor.number()).is_some_and(|(it, id)| id < it);
            if is_older {
                message.cursor = None;
            } else {
                self.newest = Some(cursor.as_str().to_owned());
            }
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timelines_are_read() {
        let timeline = Timeline::parse("hashtag:schöö").unwrap();
        assert_eq!(timeline.stream, "/api/v1/streaming/hashtag?tag=sch%C3%B6%C3%B6");
        assert_eq!(timeline.missed, "/api/v1/timelines/tag/sch%C3%B6%C3%B6?limit=40&min_id=");
        let local = Timeline::parse("public:local").unwrap();
        assert_eq!(local.missed, "/api/v1/timelines/public?local=true&limit=40&min_id=");
        for odd in ["", "x", "public:x", "hashtag:", "hashtag:a&b", "hashtag"] {
            assert!(Timeline::parse(odd).is_err(), "{odd}");
        }
        let feeds = |own: &str, remote: &str| serde_json::json!({"local": own, "remote": remote});
        let public = Timeline::parse("public").unwrap();
        assert!(not_live(&feeds("disabled", "disabled"), &public).is_some());
        assert!(not_live(&feeds("disabled", "public"), &local).is_some());
        assert!(not_live(&feeds("disabled", "public"), &public).is_none());
        assert!(not_live(&Value::Null, &public).is_none());
    }

    #[test]
    fn data_stays_as_it_is_and_ids_are_text_or_numbers() {
        let text =
            |data: &str| String::from_utf8(record("a.b", "delete", data.as_bytes())).unwrap();
        assert_eq!(text("123"), r#"{"mastodon":"a.b","event":"delete","payload":123}"#);
        assert_eq!(text("9vTT"), r#"{"mastodon":"a.b","event":"delete","payload":"9vTT"}"#);
        assert_eq!(
            text("{\"id\": \"\\u00fc\"}"),
            "{\"mastodon\":\"a.b\",\"event\":\"delete\",\"payload\":{\"id\": \"\\u00fc\"}}"
        );
        let known =
            |event: &str, data: &str| Mastodon::identify(&record("a", event, data.as_bytes()));
        assert_eq!(known("update", r#"{"id":"1","x":1}"#), known("update", r#"{"x":2,"id":"1"}"#));
        let edit =
            |at: &str| known("status.update", &format!("{{\"id\":\"1\",\"edited_at\":\"{at}\"}}"));
        assert_ne!(edit("1"), edit("2"));
        assert_ne!(known("delete", "1"), known("delete", "2"));
        assert_eq!(known("delete", "1"), known("delete", "\"1\""));
    }
}

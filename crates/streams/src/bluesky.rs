//! The posts of Bluesky, from Jetstream: version 2 (`subscribeEvents`), or version 1 where the
//! address ends in `/subscribe`.
//!
//! A place in the stream is `SEQ_TIME`: the server's own number of an event, and its time in
//! microseconds. The same server goes on exactly at the number; another one, or version 1, begins a
//! few seconds earlier by the time, and the window takes out what is known. Records are the text of
//! the frames. Only posts are asked for.

use crate::address::Address;
use crate::budget::Allowance;
use crate::error::StreamError;
use crate::http::{Client, WebSocket};
use crate::position::{Cursor, Position};
use crate::profiles::Profiles;
use crate::reply::{Reply, Trouble, classify};
use crate::service::{Continuity, Event, Message, Service};
use crate::window::identity;
use futures_util::StreamExt;
use serde::Deserialize;
use std::borrow::Cow;
use std::time::Duration;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};
use zstd::bulk::Decompressor;

/// The servers, in turn.
const SERVERS: [&str; 2] =
    ["wss://jetstream.us-east.bsky.network", "wss://jetstream.us-west.bsky.network"];
/// What is asked for in version 2.
const V2: &str = "/xrpc/network.bsky.jetstream.subscribeEvents?kinds=commit\
    &collections=app.bsky.feed.post&maxMessageSizeBytes=4194304";
/// And in version 1.
const V1: &str = "wantedCollections=app.bsky.feed.post&maxMessageSizeBytes=4194304";
/// The dictionary of version 2's compressed frames.
const DICTIONARY: &str = "/xrpc/network.bsky.jetstream.getZstdDictionary";
/// The largest frame after it is unpacked.
const FRAME_BYTES: usize = 16 << 20;
/// How much earlier another server begins.
const BACK_US: u64 = 10_000_000;
/// So many connections without an event, and the next server has its turn.
const FAILURES: u32 = 2;
/// A first event of version 1 that is so much later than its cursor: the server began later.
const CLAMPED_US: u64 = 60_000_000;

/// What is followed of Bluesky.
#[derive(Clone, Debug)]
pub struct BlueskyConfig {
    /// Where profiles of authors are looked up, if they are.
    pub profiles: Option<String>,
    /// Whether frames may be compressed.
    pub is_compressed: bool,
}

/// One event, in either version.
#[derive(Debug, Default)]
struct Seen<'a> {
    did: &'a str,
    seq: u64,
    time_us: u64,
    /// `rev`, `collection`, `rkey` of a commit.
    commit: Option<[&'a str; 3]>,
}

#[derive(Deserialize)]
struct FrameText<'a> {
    #[serde(rename = "$type")]
    form: Option<&'a str>,
    #[serde(borrow)]
    payload: Option<Payload<'a>>,
    #[serde(borrow)]
    error: Option<Cow<'a, str>>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    // Version 1.
    did: Option<&'a str>,
    time_us: Option<u64>,
    #[serde(borrow)]
    commit: Option<Commit<'a>>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(rename = "$type")]
    form: &'a str,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    #[serde(default)]
    did: &'a str,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    time: &'a str,
    rev: Option<&'a str>,
    collection: Option<&'a str>,
    rkey: Option<&'a str>,
}

#[derive(Deserialize)]
struct Commit<'a> {
    rev: &'a str,
    collection: &'a str,
    rkey: &'a str,
}

/// The stream.
pub(crate) struct Bluesky {
    servers: Vec<Address>,
    /// The one in use.
    server: usize,
    is_compressed: bool,
    dictionary: Option<Vec<u8>>,
    unpack: Option<Decompressor<'static>>,
    socket: Option<WebSocket>,
    /// Connections in a row without an event.
    failures: u32,
    /// Whether this connection gave an event.
    has_data: bool,
    /// The number that the first event must have.
    expected: Option<u64>,
    /// The time that the first event of version 1 should be near to.
    asked_us: Option<u64>,
    /// The number is not believed: go on by the time.
    by_time: bool,
    profiles: Option<Profiles>,
}

/// The servers' addresses.
pub(crate) fn servers(url: Option<&str>) -> Result<Vec<Address>, StreamError> {
    match url {
        Some(list) => list.split(',').map(|server| Address::parse(server.trim())).collect(),
        None => SERVERS.iter().map(|server| Address::parse(server)).collect(),
    }
}

impl Bluesky {
    pub(crate) fn new(
        config: &BlueskyConfig,
        servers: Vec<Address>,
        client: Client,
    ) -> Result<Self, StreamError> {
        let profiles = config.profiles.as_deref();
        let profiles = profiles.map(|url| Ok(Profiles::new(Address::parse(url)?, client)));
        Ok(Self {
            servers,
            server: 0,
            is_compressed: config.is_compressed,
            dictionary: None,
            unpack: None,
            socket: None,
            failures: 0,
            has_data: false,
            expected: None,
            asked_us: None,
            by_time: false,
            profiles: profiles.transpose()?,
        })
    }

    fn address(&self) -> &Address {
        &self.servers[self.server]
    }

    fn is_v1(&self) -> bool {
        let path = self.address().path.split('?').next().unwrap_or_default();
        path.ends_with("/subscribe")
    }

    /// The request, and the cursor it begins at.
    fn query(&mut self, position: &Position) -> String {
        let place = position.cursor.and_then(|cursor| place(cursor.as_str()));
        let is_exact = position.server == self.server() && !self.by_time && !self.is_v1();
        (self.expected, self.asked_us) = (None, None);
        let cursor = match place {
            Some((seq, _)) if is_exact && seq > 0 => {
                self.expected = Some(seq);
                Some(seq)
            }
            Some((_, time)) => {
                let from = time.saturating_sub(BACK_US);
                self.asked_us = self.is_v1().then_some(from);
                Some(from)
            }
            None => None,
        };
        let (own, default) = if self.is_v1() { (V1, "") } else { ("", V2) };
        let mut path = self.address().path_or(default).to_owned();
        for part in
            [own.to_owned(), cursor.map(|cursor| format!("cursor={cursor}")).unwrap_or_default()]
        {
            if !part.is_empty() {
                path.push(if path.contains('?') { '&' } else { '?' });
                path.push_str(&part);
            }
        }
        path
    }

    /// The number of the dictionary, which is fetched first. Without it frames are not compressed.
    async fn dictionary(&mut self, client: &Client) -> Option<u32> {
        if !self.is_compressed || self.is_v1() {
            return None;
        }
        if self.dictionary.is_none() {
            match client.fetch(self.address(), DICTIONARY).await {
                Ok(dictionary) => self.dictionary = Some(dictionary),
                Err(trouble) => {
                    tracing::debug!("no compression: {}", trouble.reason());
                    return None;
                }
            }
        }
        let dictionary = self.dictionary.as_ref()?;
        let id = dictionary.get(4..8).and_then(|id| id.try_into().ok()).map(u32::from_le_bytes);
        self.unpack = Decompressor::with_dictionary(dictionary).ok();
        id.filter(|_| self.unpack.is_some())
    }

    /// The frame's text becomes an event.
    fn frame(&mut self, text: Vec<u8>) -> Result<Event, Trouble> {
        let seen = match read(&text) {
            Ok(seen) => seen,
            Err(Notice::Error(reason)) => return Err(Trouble::network("disconnect", reason)),
            Err(Notice::Info(reason)) => return Ok(Event::Missing(reason)),
            Err(Notice::Unknown) => {
                // Nothing is thrown away that is not known to be of no use.
                let identity = Some(identity(&[&text]));
                let message = Message {
                    record: text,
                    kind: "unknown",
                    identity,
                    cursor: None,
                    time_ms: None,
                };
                return Ok(Event::Message(message));
            }
        };
        if let Some(expected) = self.expected.take()
            && seen.seq != expected
        {
            // Numbers of another server behind the same name.
            self.by_time = true;
            let reason = format!(
                "the server numbers its events in another way ({expected} is {})",
                seen.seq
            );
            return Err(Trouble::network("renumbered", reason));
        }
        (self.by_time, self.has_data) = (false, true);
        let Some([rev, collection, rkey]) = seen.commit else { return Ok(Event::Skipped("other")) };
        if let Some(profiles) = &mut self.profiles {
            profiles.ask(seen.did);
        }
        let cursor = Cursor::new(&format!("{}_{}", seen.seq, seen.time_us));
        let identity = identity(&[seen.did, rev, collection, rkey].map(str::as_bytes));
        let time_ms = Some(seen.time_us / 1000);
        let clamped =
            self.asked_us.take().filter(|asked| seen.time_us > asked + CLAMPED_US + BACK_US);
        let message =
            Message { record: text, kind: "post", cursor, identity: Some(identity), time_ms };
        Ok(match clamped {
            Some(_) => Event::Late(message, "the server begins later than it was asked to"),
            None => Event::Message(message),
        })
    }
}

/// What a frame is that is no event.
enum Notice {
    Error(String),
    Info(String),
    Unknown,
}

fn read(text: &[u8]) -> Result<Seen<'_>, Notice> {
    let frame: FrameText<'_> = serde_json::from_slice(text).map_err(|_| Notice::Unknown)?;
    if frame.form == Some("error") || frame.error.is_some() {
        let (error, message) = (frame.error.unwrap_or_default(), frame.message.unwrap_or_default());
        return Err(Notice::Error(format!("the server ends the stream: {error} {message}")));
    }
    if let Some(payload) = frame.payload {
        let kind = payload.form.rsplit('#').next().unwrap_or_default();
        if kind == "info" {
            let message = payload.message.unwrap_or_default();
            return Err(Notice::Info(format!(
                "the server begins later than it was asked to: {message}"
            )));
        }
        let time: Option<jiff::Timestamp> = payload.time.parse().ok();
        let time_us = time.and_then(|time| u64::try_from(time.as_microsecond()).ok());
        let commit = match (payload.rev, payload.collection, payload.rkey) {
            (Some(rev), Some(collection), Some(rkey)) => Some([rev, collection, rkey]),
            _ => None,
        };
        let (did, seq, time_us) = (payload.did, payload.seq, time_us.unwrap_or_default());
        return Ok(Seen { did, seq, time_us, commit });
    }
    let (Some(did), Some(time_us)) = (frame.did, frame.time_us) else {
        return Err(Notice::Unknown);
    };
    let commit = frame.commit.map(|Commit { rev, collection, rkey }| [rev, collection, rkey]);
    Ok(Seen { did, seq: 0, time_us, commit })
}

/// The number and the time of a cursor.
fn place(cursor: &str) -> Option<(u64, u64)> {
    let (seq, time) = cursor.split_once('_')?;
    Some((seq.parse().ok()?, time.parse().ok()?))
}

impl Service for Bluesky {
    const NAME: &'static str = "bluesky";

    fn silence(&self) -> Duration {
        Duration::from_secs(75)
    }

    fn allowance(&self) -> Allowance {
        // The service names no limit; this is one connect in three seconds.
        Allowance { connects: 100, window: Duration::from_mins(5) }
    }

    fn repeats(&self) -> Duration {
        Duration::from_mins(1)
    }

    fn identify(record: &[u8]) -> Option<u64> {
        let seen = read(record).ok()?;
        let [rev, collection, rkey] = seen.commit?;
        Some(identity(&[seen.did, rev, collection, rkey].map(str::as_bytes)))
    }

    fn server(&self) -> u64 {
        identity(&[self.address().host.as_bytes(), &self.address().port.to_le_bytes()])
    }

    async fn connect(
        &mut self,
        client: &Client,
        position: &Position,
    ) -> Result<Continuity, Trouble> {
        self.has_data = false;
        let (mut path, dictionary) = (self.query(position), self.dictionary(client).await);
        if let Some(id) = dictionary {
            path.push_str("&zstdDictionary=");
            path.push_str(&id.to_string());
        }
        let protocol = (!self.is_v1()).then_some("xrpc.v1.json");
        match client.web_socket(self.address(), &path, protocol).await? {
            Ok(socket) => self.socket = Some(socket),
            Err(reply) => return Err(self.refused(reply)),
        }
        Ok(match position.cursor {
            Some(_) => Continuity::Whole,
            None => Continuity::Gap { filled: false, note: "" },
        })
    }

    async fn next(&mut self) -> Result<Event, Trouble> {
        let Some(socket) = &mut self.socket else {
            return Err(Trouble::network("closed", "there is no connection"));
        };
        let frame = match &mut self.profiles {
            None => socket.next().await,
            Some(profiles) => tokio::select! {
                frame = socket.next() => frame,
                record = profiles.next() => return Ok(Event::Message(record)),
            },
        };
        match frame {
            Some(Ok(Frame::Text(text))) => self.frame(text.as_bytes().to_vec()),
            Some(Ok(Frame::Binary(packed))) => {
                let text = self.unpacked(&packed)?;
                self.frame(text)
            }
            Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => Ok(Event::KeepAlive),
            frame => Err(self.ended(frame)),
        }
    }

    fn disconnect(&mut self) {
        self.socket = None;
        // Another server repeats seconds, so one failure is not enough to leave this one.
        self.failures = if self.has_data || self.by_time { 0 } else { self.failures + 1 };
        if self.failures >= FAILURES {
            self.failures = 0;
            self.server = (self.server + 1) % self.servers.len();
        }
    }
}

impl Bluesky {
    fn unpacked(&mut self, packed: &[u8]) -> Result<Vec<u8>, Trouble> {
        let unpacked = self.unpack.as_mut().and_then(|unpack| {
            let size = zstd::bulk::Decompressor::upper_bound(packed).unwrap_or(FRAME_BYTES);
            unpack.decompress(packed, size.min(FRAME_BYTES)).ok()
        });
        unpacked.ok_or_else(|| {
            // The dictionary may be another one by now; the next connect does without.
            (self.is_compressed, self.dictionary) = (false, None);
            let reason = "a compressed frame cannot be read; going on without compression";
            Trouble::network("dictionary", reason)
        })
    }

    /// What the end of a web socket means.
    fn ended(&mut self, frame: Option<Result<Frame, Error>>) -> Trouble {
        let name = self.address().name();
        match frame {
            Some(Ok(Frame::Close(Some(close)))) => {
                let reason = format!("{name} closed the stream ({} {})", close.code, close.reason);
                Trouble::network("closed", reason)
            }
            Some(Err(Error::Capacity(error))) => {
                // It would come again at the same cursor.
                let reason = format!("{name} sent a message that is too large: {error}");
                Trouble::CursorTooOld { reason }
            }
            Some(Err(error)) => {
                Trouble::network("lost", format!("the connection to {name} was lost: {error}"))
            }
            _ => Trouble::network("closed", format!("{name} closed the stream")),
        }
    }

    fn refused(&mut self, reply: Reply) -> Trouble {
        let is_dictionary = |part: &[u8]| part == b"UnknownZstdDictionary";
        if reply.body.windows(21).any(is_dictionary) {
            // The one in use is fetched by the next connect.
            self.dictionary = None;
            return Trouble::network("dictionary", "the server has another dictionary by now");
        }
        classify(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read() {
        let v2 = br#"{"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#commit","seq":7,"did":"did:plc:a","time":"2026-05-25T14:23:29.132431Z","rev":"r","operation":"create","collection":"app.bsky.feed.post","rkey":"k","record":{"text":"\u00fc"},"cid":"c"}}"#;
        let v1 = br#"{"did":"did:plc:a","time_us":1779719009132431,"kind":"commit","commit":{"rev":"r","operation":"create","collection":"app.bsky.feed.post","rkey":"k","record":{"text":"\u00fc"}}}"#;
        let (new, old) = (read(v2).ok().unwrap(), read(v1).ok().unwrap());
        assert_eq!((new.seq, new.time_us, new.commit), (7, 1_779_719_009_132_431, old.commit));
        assert_eq!((old.seq, old.time_us, old.did), (0, new.time_us, new.did));
        assert_eq!(Bluesky::identify(v2), Bluesky::identify(v1));
        assert!(Bluesky::identify(v2).is_some());
        let error = br#"{"$type":"error","error":"ConsumerTooSlow","message":"too \"slow\""}"#;
        assert!(matches!(read(error), Err(Notice::Error(text)) if text.contains("too \"slow\"")));
        let info = br#"{"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#info","name":"OutdatedCursor","message":"m"}}"#;
        assert!(matches!(read(info), Err(Notice::Info(text)) if text.ends_with(": m")));
        for odd in ["", "{}", "[]", "{\"did\":1}"] {
            assert!(matches!(read(odd.as_bytes()), Err(Notice::Unknown)), "{odd}");
        }
    }

    #[test]
    fn a_place_is_a_number_and_a_time() {
        assert_eq!(place("7_1779719009132431"), Some((7, 1_779_719_009_132_431)));
        assert_eq!((place("7"), place("a_1"), place("")), (None, None, None));
        let longest = format!("{}_{}", u64::MAX, 1_779_719_009_132_431_u64);
        assert!(Cursor::new(&longest).is_some());
    }
}

//! The streams of X: the second API's, and the first API's for replays.
//!
//! One JSON object a line, `\r\n` as a keep-alive. There is no cursor: what was sent while no
//! connection stood is lost, unless the account may ask for the last minutes again
//! (`backfill_minutes`). A repeated post is known by its id.

use crate::address::Address;
use crate::budget::Allowance;
use crate::error::StreamError;
use crate::http::{Body, Client};
use crate::lines::{Line, Lines};
use crate::position::Position;
use crate::reply::{Trouble, notice};
use crate::service::{Continuity, Event, Message, Service};
use crate::window::identity;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::time::Duration;

/// The largest message.
const MOST: usize = 16 << 20;
/// Where the second API is.
const API: &str = "https://api.x.com";
/// What the tables read of a post, and no paid extras: referenced posts are not expanded.
const FIELDS: &str = "tweet.fields=author_id,created_at,edit_history_tweet_ids,entities,\
    note_tweet,referenced_tweets&expansions=author_id&user.fields=location,public_metrics";
/// The first post's time of X's ids.
const EPOCH_MS: u64 = 1_288_834_974_657;

/// A stream of the second API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    path: String,
    /// Its name for `/2/connections`.
    id: &'static str,
    /// Whether it has rules.
    pub is_filtered: bool,
}

impl Endpoint {
    /// Reads `NAME` or `NAME:PARTITION`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, partition) = match text.split_once(':') {
            Some((name, partition)) => (name, Some(partition)),
            None => (text, None),
        };
        let (path, id, partitions) = match name {
            "filtered" => ("/2/tweets/search/stream", "filtered_stream", 0),
            "sample" => ("/2/tweets/sample/stream", "sample_stream", 0),
            "sample10" => ("/2/tweets/sample10/stream", "sample10_stream", 2),
            "firehose" => ("/2/tweets/firehose/stream", "firehose_stream", 20),
            "compliance" => ("/2/tweets/compliance/stream", "tweets_compliance_stream", 4),
            "users-compliance" => ("/2/users/compliance/stream", "users_compliance_stream", 4),
            _ => {
                return Err("expected filtered, sample, sample10:N, firehose:N, compliance:N or \
                     users-compliance:N"
                    .to_owned());
            }
        };
        let path = match (partition.map(str::parse), partitions) {
            (None, 0) => path.to_owned(),
            (Some(Ok(number @ 1..=20)), most) if number <= most && !text.contains('+') => {
                format!("{path}?partition={number}")
            }
            _ if partitions == 0 => return Err("this stream has no partitions".to_owned()),
            _ => {
                let most = partitions;
                return Err(format!("expected a partition behind a colon, from 1 to {most}"));
            }
        };
        Ok(Self { path, id, is_filtered: name == "filtered" })
    }

    /// Path and query of the stream.
    fn query(&self, backfill_minutes: u8) -> String {
        let mut query = self.path.clone();
        if !self.path.contains("compliance") {
            query.push(if query.contains('?') { '&' } else { '?' });
            query.push_str(FIELDS);
        }
        if backfill_minutes > 0 {
            query.push(if query.contains('?') { '&' } else { '?' });
            query.push_str("backfill_minutes=");
            query.push_str(&backfill_minutes.to_string());
        }
        query
    }
}

/// Which of the APIs.
#[derive(Clone, Debug)]
pub enum Api {
    /// The second.
    V2 {
        /// The stream.
        endpoint: Endpoint,
        /// Minutes that may be asked for again; 0 on plans that have none.
        backfill_minutes: u8,
    },
    /// The first: any address.
    V1,
}

/// A stream of X.
pub(crate) struct X<const V1: bool> {
    api: Api,
    address: Address,
    body: Option<Body>,
    lines: Lines,
}

impl<const V1: bool> X<V1> {
    pub(crate) fn new(api: Api, address: Address) -> Self {
        Self { api, address, body: None, lines: Lines::new(MOST) }
    }
}

/// The address of the second API.
pub(crate) fn address(url: Option<&str>) -> Result<Address, StreamError> {
    Address::parse(url.unwrap_or(API))
}

impl<const V1: bool> Service for X<V1> {
    const NAME: &'static str = if V1 { "x-v1" } else { "x" };
    const IS_BILLED: bool = !V1;

    fn silence(&self) -> Duration {
        // A keep-alive comes every 20 s.
        Duration::from_secs(if V1 { 90 } else { 30 })
    }

    fn allowance(&self) -> Allowance {
        // X allows 50.
        Allowance { connects: 45, window: Duration::from_mins(15) }
    }

    fn repeats(&self) -> Duration {
        Duration::from_mins(10)
    }

    fn identify(record: &[u8]) -> Option<u64> {
        Some(identify(record))
    }

    async fn connect(
        &mut self,
        client: &Client,
        position: &Position,
    ) -> Result<Continuity, Trouble> {
        let lost = Continuity::Gap { filled: false, note: "" };
        let (path, continuity) = match &self.api {
            Api::V1 => (Cow::Borrowed(self.address.path_or("/")), lost),
            Api::V2 { endpoint, backfill_minutes: 0 } => (Cow::Owned(endpoint.query(0)), lost),
            Api::V2 { endpoint, backfill_minutes: most } => {
                let missed = crate::follow::now_ms().saturating_sub(position.time_ms);
                // One more: X counts whole minutes.
                let minutes = missed / 60_000 + 1;
                match u8::try_from(minutes).ok().filter(|minutes| minutes <= most) {
                    _ if position.time_ms == 0 => (Cow::Owned(endpoint.query(0)), lost),
                    Some(minutes) => (Cow::Owned(endpoint.query(minutes)), Continuity::Whole),
                    None => {
                        let note = "only the last minutes of it were asked for again";
                        let filled = Continuity::Gap { filled: true, note };
                        (Cow::Owned(endpoint.query(*most)), filled)
                    }
                }
            }
        };
        self.lines = Lines::new(MOST);
        self.body = Some(client.stream(&self.address, &path, "html").await?);
        Ok(continuity)
    }

    async fn next(&mut self) -> Result<Event, Trouble> {
        loop {
            match self.lines.next() {
                Some(Line::KeepAlive) => return Ok(Event::KeepAlive),
                Some(Line::Oversized(size)) => return Ok(Event::Oversized(size)),
                Some(Line::Message(line)) => return message::<V1>(line),
                None => {}
            }
            let Some(body) = &mut self.body else {
                return Err(Trouble::network("closed", "there is no connection"));
            };
            let bytes = body.chunk().await?;
            self.lines.push(&bytes);
        }
    }

    fn disconnect(&mut self) {
        self.body = None;
    }

    async fn free_connection(&mut self, client: &Client) -> bool {
        let Api::V2 { endpoint, .. } = &self.api else { return false };
        let path = format!("/2/connections/{}", endpoint.id);
        let reply = client.ask(hyper::Method::DELETE, &self.address, &path, None).await;
        let is_done = reply.is_ok_and(|reply| (200..300).contains(&reply.status));
        tracing::info!("ended this account's old connection: {is_done}");
        is_done
    }
}

/// What identifies a message.
#[derive(Deserialize)]
struct Identified<'a> {
    #[serde(borrow)]
    id_str: Option<Cow<'a, str>>,
    text: Option<IgnoredAny>,
    full_text: Option<IgnoredAny>,
    #[serde(borrow)]
    data: Option<Data<'a>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    text: Option<IgnoredAny>,
}

fn message<const V1: bool>(line: &[u8]) -> Result<Event, Trouble> {
    if let Some(trouble) = notice(line) {
        return Err(trouble);
    }
    let post = post(line);
    let kind = if post.is_some() { "post" } else { "other" };
    Ok(Event::Message(Message {
        record: line.to_vec(),
        kind,
        cursor: None,
        identity: Some(identify(line)),
        time_ms: post.map(|id| (id >> 22) + EPOCH_MS),
    }))
}

/// The id of the post that a message is.
fn post(line: &[u8]) -> Option<u64> {
    let message = serde_json::from_slice::<Identified<'_>>(line).ok()?;
    let own = message.id_str.filter(|_| message.text.is_some() || message.full_text.is_some());
    let inner = || message.data.and_then(|data| data.id.filter(|_| data.text.is_some()));
    own.or_else(inner)?.parse().ok()
}

/// A post is known by its id, any other message by all of its bytes.
pub(crate) fn identify(record: &[u8]) -> u64 {
    match post(record) {
        Some(id) => identity(&[b"post", &id.to_le_bytes()]),
        None => identity(&[record]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_have_partitions_or_none() {
        let query = |text| Endpoint::parse(text).map(|endpoint| endpoint.query(0));
        assert!(query("filtered").unwrap().starts_with("/2/tweets/search/stream?tweet.fields="));
        assert_eq!(query("compliance:4").unwrap(), "/2/tweets/compliance/stream?partition=4");
        let sample = Endpoint::parse("sample10:2").unwrap().query(5);
        assert!(sample.starts_with("/2/tweets/sample10/stream?partition=2&tweet.fields="));
        assert!(sample.ends_with("&backfill_minutes=5"));
        for odd in [
            "",
            "x",
            "filtered:1",
            "sample10",
            "sample10:3",
            "sample10:0",
            "firehose:x",
            "firehose:+1",
        ] {
            assert!(Endpoint::parse(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_post_is_known_by_its_id() {
        let flat = identify(br#"{"id":7,"id_str":"7","text":"a"}"#);
        assert_eq!(flat, identify(br#"{"text":"a","retweet_count":2,"id_str":"7"}"#));
        assert_eq!(flat, identify(br#"{"data":{"id":"7","text":"b"},"includes":{}}"#));
        let delete =
            |id: u8| identify(format!(r#"{{"delete":{{"status":{{"id":{id}}}}}}}"#).as_bytes());
        assert_ne!(delete(1), delete(2));
        assert_eq!(post(br#"{"data":{"id":"7"}}"#), None, "no text: a message about a post");
        assert_eq!(post(b"no JSON"), None);
    }
}

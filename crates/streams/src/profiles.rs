//! The profiles of Bluesky's authors, for how many they follow: looked up 25 at a time, each author
//! once a day.
//!
//! A reply is a record of its own, `{"bluesky_profiles":"TIME","reply":R}`. The stream does not
//! wait for it: an author whose look-up fails is asked for again at the next post. What is
//! remembered, and what waits, is bounded.

use crate::address::Address;
use crate::follow::now_ms;
use crate::gap::time;
use crate::http::Client;
use crate::reply::Trouble;
use crate::service::Message;
use std::collections::{HashSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep_until;

/// The service's most in one look-up.
const BATCH: usize = 25;
/// A batch that does not fill is sent after so long.
const FILL_TIME: Duration = Duration::from_secs(5);
/// Between two look-ups; the service allows 3,000 in 5 minutes.
const PAUSE: Duration = Duration::from_millis(250);
/// After a failure.
const REST: Duration = Duration::from_secs(30);
/// An author is looked up once in this time.
const KEEP: Duration = Duration::from_hours(24);
/// The most authors that are remembered.
const KNOWN: usize = 200_000;
/// The most authors that wait.
const WAITING: usize = 2_000;

type Reply = Pin<Box<dyn Future<Output = Result<Vec<u8>, Trouble>>>>;

/// Looks profiles up.
pub(crate) struct Profiles {
    address: Address,
    client: Arc<Client>,
    known: HashSet<String>,
    /// When each was asked for.
    order: VecDeque<(Instant, String)>,
    waiting: Vec<String>,
    /// When the oldest of these began to wait.
    since: Instant,
    /// No look-up before this.
    rest_until: Instant,
    running: Option<(Vec<String>, Reply)>,
}

impl Profiles {
    pub(crate) fn new(address: Address, client: Client) -> Self {
        let now = Instant::now();
        Self {
            address,
            client: Arc::new(client),
            known: HashSet::new(),
            order: VecDeque::new(),
            waiting: Vec::new(),
            since: now,
            rest_until: now,
            running: None,
        }
    }

    /// An author has posted.
    pub(crate) fn ask(&mut self, did: &str) {
        let now = Instant::now();
        while let Some((asked, _)) = self.order.front()
            && (asked.elapsed() > KEEP || self.order.len() >= KNOWN)
        {
            if let Some((_, oldest)) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":.-_%".contains(&byte);
        if self.known.contains(did) || self.waiting.len() >= WAITING || !did.bytes().all(is_plain) {
            return;
        }
        if self.waiting.is_empty() {
            self.since = now;
        }
        self.known.insert(did.to_owned());
        self.order.push_back((now, did.to_owned()));
        self.waiting.push(did.to_owned());
    }

    /// The next record. It may be dropped while it waits, and nothing is lost.
    pub(crate) async fn next(&mut self) -> Message {
        loop {
            if self.running.is_none() {
                let due =
                    if self.waiting.len() >= BATCH { self.since } else { self.since + FILL_TIME };
                if self.waiting.is_empty() {
                    // Woken by the next event: the one who waits asks again.
                    std::future::pending::<()>().await;
                }
                sleep_until(due.max(self.rest_until).into()).await;
                self.running = Some(self.start());
            }
            let Some((_, running)) = &mut self.running else { continue };
            let reply = running.await;
            let batch = self.running.take().map(|(batch, _)| batch).unwrap_or_default();
            self.rest_until = Instant::now() + PAUSE;
            match reply.map(|reply| record(&reply)) {
                Ok(Some(record)) => {
                    let (cursor, identity, time_ms) = (None, None, None);
                    return Message { record, kind: "profiles", cursor, identity, time_ms };
                }
                Ok(None) => tracing::debug!("a look-up of profiles was answered without JSON"),
                Err(trouble) => {
                    tracing::warn!("profiles are not looked up: {}", trouble.reason());
                    self.rest_until = Instant::now() + REST;
                    for did in &batch {
                        self.known.remove(did);
                    }
                }
            }
        }
    }

    fn start(&mut self) -> (Vec<String>, Reply) {
        let rest = self.waiting.split_off(self.waiting.len().min(BATCH));
        let batch = std::mem::replace(&mut self.waiting, rest);
        let actors: Vec<_> = batch.iter().map(|did| format!("actors={did}")).collect();
        let path = format!("/xrpc/app.bsky.actor.getProfiles?{}", actors.join("&"));
        let (client, address) = (Arc::clone(&self.client), self.address.clone());
        (batch, Box::pin(async move { client.fetch(&address, &path).await }))
    }
}

/// The record of a reply.
fn record(reply: &[u8]) -> Option<Vec<u8>> {
    serde_json::from_slice::<serde::de::IgnoredAny>(reply).ok()?;
    let head = format!("{{\"bluesky_profiles\":\"{}\",\"reply\":", time(now_ms()));
    Some([head.as_bytes(), reply.trim_ascii(), b"}"].concat())
}

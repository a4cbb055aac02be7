//! Live streams of X, Bluesky and Mastodon: an HTTP or web socket stream becomes raw records and a
//! position.
//!
//! ```text
//!            ┌── trouble: wait (back-off, budget of connects) ◄──┐
//! server ──► connect ──► frames (lines, events) ──► duplicates ──┴► sink: record + position
//! ```
//!
//! It owns everything between a service and the first record of a topic: addresses, tokens, the
//! meaning of every refusal, waits, gaps, repeated messages. Records leave as the service sent
//! them: it knows streams and not tables. The [`Sink`] decides where they go; it stores a record's
//! [`Position`] with the record, and gives it back at the next start. One thread, one runtime.

mod address;
mod backoff;
mod bluesky;
mod budget;
mod check;
mod error;
mod follow;
mod gap;
mod http;
mod lines;
mod mastodon;
mod meter;
mod position;
mod profiles;
mod reply;
mod rules;
mod service;
mod sse;
mod status;
mod token;
mod window;
mod x;

pub use address::Address;
pub use bluesky::BlueskyConfig;
pub use error::{End, StreamError};
pub use mastodon::Timeline;
pub use meter::{Caps, Meter};
pub use position::{Cursor, Position};
pub use status::{Figures, Status, duration};
pub use token::Token;
pub use x::{Api, Endpoint};

use follow::Follow;
use http::Client;
use service::Service;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A check connects so often at most.
const TRIES: u32 = 2;

/// Where records go.
pub trait Sink {
    /// Takes a record, and where the stream is behind it; whether more are wanted.
    fn record(&mut self, record: &[u8], position: Position) -> ControlFlow<()>;

    /// Everything that was received has been given; whether more is wanted.
    fn flush(&mut self) -> ControlFlow<()>;

    /// Whether nothing more is wanted.
    fn is_closed(&self) -> bool;

    /// Gives each record that was sent since a time in Unix milliseconds, so that none of them is
    /// sent again.
    fn each_recent(&mut self, since_ms: u64, each: &mut dyn FnMut(&[u8]));
}

/// A service and what only it has.
#[derive(Clone, Debug)]
pub enum ServiceConfig {
    /// X.
    X(Api),
    /// Bluesky.
    Bluesky(BlueskyConfig),
    /// A server of Mastodon.
    Mastodon(Timeline),
}

/// What to follow, and how.
#[derive(Clone, Debug)]
pub struct StreamConfig {
    /// The service.
    pub service: ServiceConfig,
    /// Another address than the service's own.
    pub url: Option<String>,
    /// The account's token.
    pub token: Option<Token>,
    /// Certificates to trust beside those that browsers trust.
    pub ca: Option<PathBuf>,
    /// End after so long.
    pub duration: Option<Duration>,
    /// End with an error after so long without data.
    pub give_up: Option<Duration>,
    /// End at this status instead of waiting.
    pub stop_on: Option<u16>,
    /// End when so much was read.
    pub caps: Caps,
    /// X: the account's rules are made those of this file before the stream is followed.
    pub rules: Option<PathBuf>,
    /// Append each record to this file, too.
    pub record: Option<PathBuf>,
    /// The connects of earlier processes.
    pub connects: Option<PathBuf>,
    /// All waits are so many times shorter; for tests against a server of one's own.
    pub speed: u32,
}

impl StreamConfig {
    /// A stream with nothing asked for.
    pub fn new(service: ServiceConfig) -> Self {
        Self {
            service,
            url: None,
            token: None,
            ca: None,
            duration: None,
            give_up: None,
            stop_on: None,
            caps: Caps::default(),
            rules: None,
            record: None,
            connects: None,
            speed: 1,
        }
    }

    /// The service's name.
    pub fn name(&self) -> &'static str {
        match self.service {
            ServiceConfig::X(Api::V1) => "x-v1",
            ServiceConfig::X(Api::V2 { .. }) => "x",
            ServiceConfig::Bluesky(_) => "bluesky",
            ServiceConfig::Mastodon(_) => "mastodon",
        }
    }

    /// A client with the account's token; nobody logs in at Bluesky, so a token that is there for
    /// another service is not shown to it.
    fn client(&self) -> Result<Client, StreamError> {
        let is_anonymous = matches!(self.service, ServiceConfig::Bluesky(_));
        let token = self.token.clone().filter(|_| !is_anonymous);
        Client::new(token, self.ca.as_deref(), self.speed.max(1))
    }

    fn scaled(&self, wait: Duration) -> Duration {
        wait / self.speed.max(1)
    }

    /// Refuses what cannot be followed, before anything is connected to.
    pub fn check(&self) -> Result<(), StreamError> {
        let addresses = self.addresses()?;
        if self.speed != 1 && !addresses.iter().all(Address::is_loopback) {
            let text = "waits are shortened only for a server on this machine; check --url";
            return Err(StreamError::Option(text.to_owned()));
        }
        let is_safe = |address: &Address| address.is_encrypted || address.is_loopback();
        if self.token.is_some() && !addresses.iter().all(is_safe) {
            let url = self.url.clone().unwrap_or_default();
            let hint = "the token would cross the network unencrypted; use https";
            return Err(StreamError::Url { url, hint });
        }
        match &self.service {
            ServiceConfig::X(Api::V2 { .. }) if self.token.is_none() => {
                Err(StreamError::NoToken { stream: "X" })
            }
            ServiceConfig::Mastodon(_) if self.token.is_none() => {
                Err(StreamError::NoToken { stream: "Mastodon" })
            }
            _ => Ok(()),
        }
    }

    /// The servers, of which most services have one.
    fn addresses(&self) -> Result<Vec<Address>, StreamError> {
        match (&self.service, &self.url) {
            (ServiceConfig::X(Api::V1), None) => {
                Err(StreamError::Option("--stream x-v1 needs the server's --url".to_owned()))
            }
            (ServiceConfig::X(_), url) => x::address(url.as_deref()).map(|address| vec![address]),
            (ServiceConfig::Bluesky(_), url) => bluesky::servers(url.as_deref()),
            (ServiceConfig::Mastodon(_), Some(url)) => Address::parse(url).map(|it| vec![it]),
            (ServiceConfig::Mastodon(_), None) => {
                let text =
                    "--stream mastodon needs the server's --url, as in https://mastodon.social";
                Err(StreamError::Option(text.to_owned()))
            }
        }
    }
}

/// Follows a stream until the sink has enough, a limit is reached or it cannot go on. `start` is
/// the position of the last record that is stored.
pub fn run(
    config: &StreamConfig,
    start: Option<Position>,
    sink: &mut impl Sink,
    status: &Status,
) -> Result<End, StreamError> {
    config.check()?;
    let mut addresses = config.addresses()?;
    let last = addresses.len() - 1;
    let to = (sink, status);
    for line in sync_rules(config, false)? {
        tracing::info!("{line}");
    }
    match &config.service {
        ServiceConfig::X(Api::V1) => {
            follow(x::X::<true>::new(Api::V1, addresses.swap_remove(last)), config, start, to)
        }
        ServiceConfig::X(api) => {
            follow(x::X::<false>::new(api.clone(), addresses.swap_remove(last)), config, start, to)
        }
        ServiceConfig::Mastodon(timeline) => {
            let client = config.client()?;
            let (address, timeline) = (addresses.swap_remove(last), timeline.clone());
            follow(mastodon::Mastodon::new(address, timeline, client), config, start, to)
        }
        ServiceConfig::Bluesky(bluesky) => {
            let service = bluesky::Bluesky::new(bluesky, addresses, config.client()?)?;
            follow(service, config, start, to)
        }
    }
}

/// Asks a service whether the stream could be followed, one line each.
pub fn check(config: &StreamConfig) -> Result<Vec<String>, StreamError> {
    config.check()?;
    let client = config.client()?;
    block_on(check::check(config, config.addresses()?, client))?
}

/// Says how the account's rules would be changed.
pub fn check_rules(config: &StreamConfig) -> Result<Vec<String>, StreamError> {
    config.check()?;
    sync_rules(config, true)
}

fn sync_rules(config: &StreamConfig, is_dry: bool) -> Result<Vec<String>, StreamError> {
    let Some(path) = &config.rules else { return Ok(Vec::new()) };
    let client = config.client()?;
    let addresses = config.addresses()?;
    block_on(rules::sync(&client, &addresses[0], path, is_dry))?
}

fn block_on<F: Future>(future: F) -> Result<F::Output, StreamError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|source| StreamError::System { doing: "starting a runtime", source })?;
    let result = runtime.block_on(future);
    // A look-up of a name may still run, and need not be waited for.
    runtime.shutdown_background();
    Ok(result)
}

fn follow<S: Service, K: Sink>(
    service: S,
    config: &StreamConfig,
    start: Option<Position>,
    (sink, status): (&mut K, &Status),
) -> Result<End, StreamError> {
    let mut follow = Follow::new(service, config, start.unwrap_or_default(), (sink, status))?;
    if start.is_some() {
        follow.remember();
    }
    block_on(follow.run())?
}

/// The file of `--record`.
pub(crate) struct Recorder {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Recorder {
    fn open(path: &Path) -> Result<Self, StreamError> {
        let file = File::options().create(true).append(true).open(path);
        let file = file.map_err(|source| StreamError::Record { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file) })
    }

    fn write(&mut self, record: &[u8]) -> Result<(), StreamError> {
        let written = self.file.write_all(record).and_then(|()| self.file.write_all(b"\n"));
        written.map_err(|source| StreamError::Record { path: self.path.clone(), source })
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        let flushed = self.file.flush();
        flushed.map_err(|source| StreamError::Record { path: self.path.clone(), source })
    }
}

//! `tweetflow produce --stream`: its arguments, and which of them belong to which service.

use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;
use streams::{
    Address, Api, BlueskyConfig, Caps, Endpoint, ServiceConfig, StreamConfig, StreamError,
    Timeline, Token,
};

/// A service with a live stream.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum StreamName {
    /// The second API of X; needs a token
    X,
    /// The first API of Twitter, as replay servers speak it; needs --url
    #[value(name = "x-v1")]
    XV1,
    /// The posts of Bluesky, by Jetstream; no account is needed
    Bluesky,
    /// The public posts of a Mastodon server; needs --url and a token with read:statuses
    Mastodon,
}

/// A status that ends the client.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StopOn {
    /// Enhance Your Calm
    #[value(name = "420")]
    Calm,
    /// Too Many Requests
    #[value(name = "429")]
    TooMany,
}

/// Arguments of `produce --stream`.
#[derive(Args, Clone)]
#[allow(clippy::doc_markdown, rustdoc::bare_urls, reason = "help texts")]
#[command(next_help_heading = "Live streams")]
pub(super) struct StreamArgs {
    /// Follow a live stream. The token of an account is read from TWEETFLOW_TOKEN or --token-file
    #[arg(long, env = "TWEETFLOW_STREAM", value_enum, value_name = "SERVICE")]
    stream: Option<StreamName>,
    /// Another server than the service's own: https://HOST[:PORT][/PATH]. bluesky: several with
    /// commas between, each used when the one before it fails; a path that ends in /subscribe is
    /// version 1 of Jetstream
    #[arg(long, env = "TWEETFLOW_URL", value_name = "URL")]
    url: Option<String>,
    /// File that holds the token, instead of the environment variable TWEETFLOW_TOKEN
    #[arg(long, env = "TWEETFLOW_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// File of certificates (PEM) to trust beside those that browsers trust
    #[arg(long, env = "TWEETFLOW_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Stop after so long: 90s, 15m, 1h
    #[arg(id = "for", long, env = "TWEETFLOW_FOR", value_name = "SPAN", value_parser = span)]
    duration: Option<Duration>,
    /// Append each record to this file as well, one a line; --input sends it again
    #[arg(long, env = "TWEETFLOW_RECORD", value_name = "FILE")]
    record: Option<PathBuf>,
    /// End with an error after so long without data; left out: try for ever
    #[arg(long, env = "TWEETFLOW_GIVE_UP", value_name = "SPAN", value_parser = span)]
    give_up: Option<Duration>,
    /// End at this status instead of waiting and connecting again
    #[arg(long, env = "TWEETFLOW_STOP_ON", value_enum, value_name = "STATUS")]
    stop_on: Option<StopOn>,
    /// x: which stream: filtered, sample, sample10:N, firehose:N, compliance:N, users-compliance:N;
    /// N is a partition. All but filtered need an Enterprise plan
    #[arg(long, env = "TWEETFLOW_ENDPOINT", value_name = "STREAM",
        value_parser = Endpoint::parse)]
    endpoint: Option<Endpoint>,
    /// x: make the account's rules those of this file, one a line, before the stream is followed;
    /// only rules that this program made are deleted
    #[arg(long, env = "TWEETFLOW_RULES", value_name = "FILE")]
    rules: Option<PathBuf>,
    /// x: only say how --rules would change the account's rules
    #[arg(long, env = "TWEETFLOW_RULES_DRY_RUN", requires = "rules")]
    rules_dry_run: bool,
    /// x: ask for the last minutes again after a break, 5 at most; needs an Enterprise plan
    #[arg(long, env = "TWEETFLOW_BACKFILL_MINUTES", value_name = "N",
        value_parser = clap::value_parser!(u8).range(1..=5))]
    backfill_minutes: Option<u8>,
    /// x: stop when so many posts were read, in all runs with one --resume together
    #[arg(long, env = "TWEETFLOW_MAX_POSTS", value_name = "N")]
    max_posts: Option<u64>,
    /// x: stop when so many dollars may have been spent, in all runs with one --resume together
    #[arg(long, env = "TWEETFLOW_MAX_DOLLARS", value_name = "N", value_parser = dollars)]
    max_dollars: Option<f64>,
    /// bluesky: whether the profiles of authors are looked up, for how many they follow; or from
    /// which server
    #[arg(long, env = "TWEETFLOW_PROFILES", value_name = "on|off|URL", value_parser = profiles)]
    profiles: Option<ProfileServer>,
    /// mastodon: public, public:local or hashtag:TAG; public if left out
    #[arg(long, env = "TWEETFLOW_TIMELINE", value_name = "TIMELINE",
        value_parser = Timeline::parse)]
    timeline: Option<Timeline>,
    /// Only ask the service whether the stream can be followed: token, rules, use, a first post
    /// where posts are free
    #[arg(long, env = "TWEETFLOW_CHECK")]
    check: bool,
    /// Make all waits so many times shorter; only for a server on this machine
    #[arg(long, env = "TWEETFLOW_SPEED", value_name = "N", default_value_t = 1, hide = true,
        value_parser = clap::value_parser!(u32).range(1..))]
    speed: u32,
}

impl StreamArgs {
    /// The stream that is asked for.
    pub(super) fn config(&self) -> Result<Option<StreamConfig>, StreamError> {
        let Some(name) = self.stream else {
            refuse(&self.options(), "--stream")?;
            return Ok(None);
        };
        let service = match name {
            StreamName::X => {
                let endpoint = self.endpoint.clone();
                let endpoint = endpoint.map_or_else(|| Endpoint::parse("filtered"), Ok);
                if endpoint.as_ref().is_ok_and(|endpoint| !endpoint.is_filtered) {
                    refuse(&[("--rules", self.rules.is_some())], "--endpoint filtered")?;
                }
                ServiceConfig::X(Api::V2 {
                    endpoint: endpoint.map_err(StreamError::Option)?,
                    backfill_minutes: self.backfill_minutes.unwrap_or(0),
                })
            }
            StreamName::Bluesky => {
                refuse(&self.of_x(), "--stream x")?;
                let ProfileServer(profiles) = self.profiles.clone().unwrap_or_default();
                ServiceConfig::Bluesky(BlueskyConfig { profiles, is_compressed: true })
            }
            StreamName::Mastodon => {
                refuse(&self.of_x(), "--stream x")?;
                let timeline = self.timeline.clone();
                let timeline = timeline.map_or_else(|| Timeline::parse("public"), Ok);
                ServiceConfig::Mastodon(timeline.map_err(StreamError::Option)?)
            }
            StreamName::XV1 => {
                refuse(&self.of_x(), "--stream x")?;
                ServiceConfig::X(Api::V1)
            }
        };
        if name != StreamName::Bluesky {
            refuse(&[("--profiles", self.profiles.is_some())], "--stream bluesky")?;
        }
        if name != StreamName::Mastodon {
            refuse(&[("--timeline", self.timeline.is_some())], "--stream mastodon")?;
        }
        let mut config = StreamConfig::new(service);
        config.url.clone_from(&self.url);
        config.token = self.token()?;
        config.ca.clone_from(&self.ca);
        config.duration = self.duration;
        config.give_up = self.give_up;
        config.rules.clone_from(&self.rules);
        config.record.clone_from(&self.record);
        config.speed = self.speed;
        config.caps = Caps { posts: self.max_posts, dollars: self.max_dollars };
        config.stop_on = self.stop_on.map(|status| match status {
            StopOn::Calm => 420,
            StopOn::TooMany => 429,
        });
        config.check()?;
        Ok(Some(config))
    }

    /// Whether nothing is sent anywhere, so that a signal may end the program at once.
    pub(super) fn only_asks(&self) -> bool {
        self.check || self.rules_dry_run
    }

    /// What the service says, where only that is asked for.
    pub(super) fn answer(&self) -> Option<Result<Vec<String>, StreamError>> {
        if !self.only_asks() {
            return None;
        }
        let answer = self.config().and_then(|config| match config {
            Some(config) if self.rules_dry_run => streams::check_rules(&config),
            Some(config) => streams::check(&config),
            None => Ok(Vec::new()),
        });
        Some(answer)
    }

    fn token(&self) -> Result<Option<Token>, StreamError> {
        if let Some(file) = &self.token_file {
            return Token::read(file).map(Some);
        }
        match std::env::var("TWEETFLOW_TOKEN") {
            Ok(text) if !text.is_empty() => Token::new(&text).map(Some),
            Ok(_) | Err(std::env::VarError::NotPresent) => Ok(None),
            Err(_) => Err(StreamError::Token),
        }
    }

    /// Options of the second API of X, and whether they are given.
    fn of_x(&self) -> [(&'static str, bool); 5] {
        [
            ("--rules", self.rules.is_some()),
            ("--endpoint", self.endpoint.is_some()),
            ("--backfill-minutes", self.backfill_minutes.is_some()),
            ("--max-posts", self.max_posts.is_some()),
            ("--max-dollars", self.max_dollars.is_some()),
        ]
    }

    /// Options of any stream, and whether they are given.
    fn options(&self) -> Vec<(&'static str, bool)> {
        let mut options = vec![
            ("--url", self.url.is_some()),
            ("--token-file", self.token_file.is_some()),
            ("--ca", self.ca.is_some()),
            ("--for", self.duration.is_some()),
            ("--record", self.record.is_some()),
            ("--give-up", self.give_up.is_some()),
            ("--stop-on", self.stop_on.is_some()),
            ("--profiles", self.profiles.is_some()),
            ("--timeline", self.timeline.is_some()),
            ("--check", self.check),
        ];
        options.extend(self.of_x());
        options
    }
}

/// Refuses an option that is given without what it belongs to.
fn refuse(options: &[(&str, bool)], needed: &str) -> Result<(), StreamError> {
    match options.iter().find(|(_, is_given)| *is_given) {
        Some((option, _)) => Err(StreamError::Option(format!(
            "{option} is an option of {needed}; give that, or leave {option} out"
        ))),
        None => Ok(()),
    }
}

/// Where profiles are looked up; nowhere if there is none.
#[derive(Clone)]
struct ProfileServer(Option<String>);

impl Default for ProfileServer {
    fn default() -> Self {
        Self(Some("https://public.api.bsky.app".to_owned()))
    }
}

fn profiles(text: &str) -> Result<ProfileServer, String> {
    match text {
        "on" => Ok(ProfileServer::default()),
        "off" => Ok(ProfileServer(None)),
        url => match Address::parse(url) {
            Ok(_) => Ok(ProfileServer(Some(url.to_owned()))),
            Err(_) => Err("expected on, off or a server's https://HOST".to_owned()),
        },
    }
}

/// A span of time.
fn span(text: &str) -> Result<Duration, String> {
    let wanted = || "expected a span like 90s, 15m or 1h".to_owned();
    let span = super::run::span(text).map_err(|_| wanted())?;
    if span.is_zero() { Err(wanted()) } else { Ok(span) }
}

fn dollars(text: &str) -> Result<f64, String> {
    let dollars = text.parse().ok().filter(|dollars: &f64| dollars.is_finite() && *dollars > 0.0);
    dollars.ok_or_else(|| "expected a number of dollars above zero".to_owned())
}

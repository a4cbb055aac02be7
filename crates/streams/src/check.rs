//! `--check`: whether a stream could be followed, without writing anything and without paying.
//!
//! X's stream is not opened: it would be billed, and might end another connection of the account.
//! The free ones are opened until the first post comes.

use crate::StreamConfig;
use crate::address::Address;
use crate::bluesky::Bluesky;
use crate::error::StreamError;
use crate::http::Client;
use crate::mastodon::{self, Mastodon};
use crate::position::Position;
use crate::reply::Trouble;
use crate::rules;
use crate::service::{Event, Service};
use crate::status::duration;
use crate::x::Api;
use crate::{ServiceConfig, TRIES};
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How long a first post may take.
const POST_TIME: Duration = Duration::from_secs(30);

/// What is known of a service, one line each.
pub(crate) async fn check(
    config: &StreamConfig,
    mut addresses: Vec<Address>,
    client: Client,
) -> Result<Vec<String>, StreamError> {
    let address = addresses[0].clone();
    match &config.service {
        ServiceConfig::X(Api::V1) => {
            Ok(vec![format!("{}: the first API has nothing to ask for", address.name())])
        }
        ServiceConfig::X(Api::V2 { .. }) => x(&client, &address).await,
        ServiceConfig::Bluesky(bluesky) => {
            let (mut lines, mut failures) = (Vec::new(), Vec::new());
            let servers = addresses.len();
            for server in addresses.drain(..) {
                let no_profiles = crate::BlueskyConfig { profiles: None, ..bluesky.clone() };
                let name = server.name();
                let service = Bluesky::new(&no_profiles, vec![server], config.client()?)?;
                match first_post(service, &client, config).await {
                    Ok(text) => lines.push(format!("{name}: {text}")),
                    // The others are asked all the same: the stream goes on with one that answers.
                    Err(error) => {
                        lines.push(error.to_string());
                        failures.push(error);
                    }
                }
            }
            match failures.pop() {
                Some(error) if failures.len() + 1 == servers => Err(error),
                _ => Ok(lines),
            }
        }
        ServiceConfig::Mastodon(timeline) => {
            let instance = mastodon::instance(&client, &address).await;
            let instance = instance.map_err(Trouble::unanswered)?;
            let domain = instance.map_or_else(|| address.name(), |instance| instance.domain);
            let service = Mastodon::new(address, timeline.clone(), config.client()?);
            Ok(vec![format!("{domain}: {}", first_post(service, &client, config).await?)])
        }
    }
}

/// Token, rules, connections and use of an account.
async fn x(client: &Client, address: &Address) -> Result<Vec<String>, StreamError> {
    let name = address.name();
    let rules = rules::list(client, address).await?;
    let own = rules.iter().filter(|rule| rule.is_own()).count();
    let mut lines = vec![
        format!("{name}: the token is accepted"),
        format!("rules: {}, {own} of them made by tweetflow", rules.len()),
    ];
    let get = async |path: &str| match client.fetch(address, path).await {
        Ok(body) => serde_json::from_slice::<Value>(&body).ok(),
        Err(_) => None,
    };
    let connections = get("/2/connections?status=active").await;
    let connections = connections.as_ref().map(|value| &value["data"]);
    lines.push(match connections.map(Value::as_array) {
        Some(active) => format!("connections: {} active", active.map_or(0, Vec::len)),
        None => "connections: X does not tell this account".to_owned(),
    });
    let usage = get("/2/usage/tweets").await.unwrap_or_default();
    // Numbers come as text.
    let number = |field: &str| match &usage["data"][field] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    lines.push(match (number("project_usage"), number("project_cap")) {
        (Some(used), Some(cap)) => format!("usage: {used} of {cap} posts this month"),
        _ => "usage: X does not tell this account".to_owned(),
    });
    Ok(lines)
}

/// Opens a stream until the first post.
async fn first_post(
    mut service: impl Service,
    client: &Client,
    config: &StreamConfig,
) -> Result<String, StreamError> {
    let mut tries = 0;
    while let Err(trouble) = service.connect(client, &Position::default()).await {
        tries += 1;
        if tries >= TRIES {
            return Err(trouble.unanswered());
        }
    }
    let started = Instant::now();
    let reading = async {
        loop {
            match service.next().await {
                Ok(Event::Message(_) | Event::Late(..)) => return Ok(()),
                Ok(_) => {}
                Err(trouble) => return Err(trouble.unanswered()),
            }
        }
    };
    let time = config.scaled(POST_TIME);
    match timeout(time, reading).await {
        Ok(result) => {
            result.map(|()| format!("live, a post within {}", duration(started.elapsed())))
        }
        Err(_) => Ok(format!("open, but no post came within {}", duration(time))),
    }
}

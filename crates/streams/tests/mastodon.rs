//! Mastodon's stream against a server with its faults.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod server;

use common::{Kept, bounds};
use rand::{RngExt, SeedableRng};
use server::faulty::{faulty_mastodon, toot};
use server::{Feed, Publisher, Server};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use streams::{ServiceConfig, StreamConfig, StreamError, Timeline, Token};

fn config(server: &Server, timeline: &str) -> StreamConfig {
    let timeline = Timeline::parse(timeline).unwrap();
    let mut config = StreamConfig::new(ServiceConfig::Mastodon(timeline));
    config.url = Some(server.url());
    config.token = Some(Token::new("secret").unwrap());
    config.speed = 200;
    config
}

fn status(id: u64) -> String {
    format!("{{\"id\":\"{id}\",\"content\":\"ü💡\"}}")
}

fn update(id: u64) -> String {
    format!("event: update\ndata: {}\n\n", status(id))
}

fn record(event: &str, payload: &str) -> String {
    format!("{{\"mastodon\":\"example.social\",\"event\":\"{event}\",\"payload\":{payload}}}")
}

const INSTANCE: &str = r#"{"domain":"example.social","configuration":{}}"#;

#[test]
fn what_was_missed_is_asked_for_before_the_stream_goes_on() {
    let server = Server::start(|request, to| {
        let path = &*request.path;
        if path == "/api/v2/instance" {
            return to.reply(200, "", INSTANCE);
        }
        if path.starts_with("/api/v1/timelines/tag/rust?limit=40&min_id=") {
            // Pages of two, the newest first; the last one meets the stream.
            to.wait(Duration::from_millis(50))?;
            let after: u64 = request.parameter("min_id").unwrap().parse().unwrap();
            let first = if after < 1_000 { 3 } else { after % 1_000 + 1 };
            let page = [first + 1, first].map(|id| status(9_000_000_000 + id));
            return to.reply(200, "", &format!("[{}]", page.join(",")));
        }
        to.head("text/event-stream")?;
        to.chunk(b":)\n")?;
        let text = if request.number < 2 {
            [1, 2, 3].map(|id| update(9_000_000_000 + id)).concat()
        } else {
            let delete = "event: delete\ndata: 9000000002\n\nevent: filters_changed\ndata: {}\n\n";
            let edit = status(1).replace("\"content\"", "\"edited_at\":\"2026\",\"content\"");
            let edit = format!("event: status.update\ndata: {edit}\n\n");
            update(9_000_000_007) + delete + &edit + &update(9_000_000_009)
        };
        to.chunk(text.as_bytes())?;
        if request.number < 2 { to.end() } else { to.silence() }
    });
    let mut kept = Kept::new(11, 20);
    kept.follow(&config(&server, "hashtag:rust")).unwrap();
    let id = |id: u64| record("update", &status(9_000_000_000 + id));
    let messages = kept.messages();
    assert_eq!(messages[..7], [1, 2, 3, 4, 5, 6, 7].map(id), "{messages:#?}");
    assert_eq!(messages[7], record("delete", "9000000002"));
    assert!(messages[8].contains("status.update") && messages[8].contains("edited_at"));
    assert_eq!(messages[9], id(9));
    let gap = &kept.gaps()[0];
    let reason = gap["reason"].as_str().unwrap();
    assert!(gap["filled"] == true && reason.ends_with("deletes and edits cannot be"), "{gap}");
    let request = &server.requests()[1];
    assert_eq!(request.header("authorization"), Some("Bearer secret"));
    assert_eq!(request.path, "/api/v1/streaming/hashtag?tag=rust");
}

#[test]
fn a_server_that_lets_nobody_follow_is_refused() {
    let server = Server::start(|_, to| {
        let body = r#"{"domain":"a.b","configuration":{"timelines_access":{"live_feeds":{"local":"disabled","remote":"disabled"}}}}"#;
        to.reply(200, "", body)
    });
    let error = Kept::new(1, 5).follow(&config(&server, "public")).unwrap_err();
    assert!(matches!(error, StreamError::NotLive { .. }) && error.exit_code() == 2, "{error}");
    let refusing =
        Server::start(|_, to| to.reply(401, "", r#"{"error":"The access token is invalid"}"#));
    let refused = Kept::new(1, 5).follow(&config(&refusing, "public")).unwrap_err();
    assert!(refused.to_string().contains("(401: The access token is invalid)"), "{refused}");
    let mut config = config(&refusing, "public");
    config.token = None;
    assert_eq!(Kept::new(1, 5).follow(&config).unwrap_err().exit_code(), 2);
}

/// Faults at any time, and a client that is killed at any record: each post once unless it was
/// deleted within a gap, each delete once unless a gap covers it.
#[test]
fn any_faults_and_restarts_lose_only_what_is_declared() {
    let feed = Arc::new(Feed::default());
    let shared = feed.clone();
    let server = Server::start(move |request, to| faulty_mastodon(request, to, &shared));
    let publisher = Publisher::paced(&feed, Duration::from_millis(8), |number| number.to_string());
    let mut config = config(&server, "public");
    let mut kept = Kept::new(0, 90);
    let mut random = rand_pcg::Pcg32::seed_from_u64(3);
    while feed.len() < 2_000 {
        kept.enough = kept.records.len() + random.random_range(1..200);
        kept.follow(&config).unwrap();
    }
    (config.duration, kept.enough) = (Some(Duration::from_secs(3)), usize::MAX);
    kept.follow(&config).unwrap();
    drop(publisher);
    let events = feed.from(0);
    let received: Vec<_> = kept.messages();
    let mut counts = HashMap::<&str, usize>::new();
    for record in &received {
        *counts.entry(record).or_default() += 1;
    }
    let records: Vec<_> = (0..events.len())
        .map(|number| toot(&events, number))
        .map(|(kind, data)| record(kind, &data))
        .collect();
    let is_known = |record: &String| counts.contains_key(&**record);
    let first = records.iter().position(is_known).unwrap();
    let last = records.iter().rposition(is_known).unwrap();
    let gaps: Vec<_> = kept.gaps().iter().map(bounds).collect();
    let mut odd = Vec::new();
    for number in first..=last {
        let count = counts.get(&*records[number]).copied().unwrap_or(0);
        let is_covered = gaps.iter().any(|(from, to)| (from..=to).contains(&&events[number].0));
        let can_be_lost = number.is_multiple_of(10) || number % 10 == 5;
        if count > 1 || count == 0 && !(is_covered && can_be_lost) {
            odd.push((number, count, is_covered));
        }
    }
    assert!(odd.is_empty(), "{odd:?} of {} with {} gaps", received.len(), gaps.len());
    let requests = server.requests().len();
    assert!(received.len() > 1_000 && requests > 100, "{} {requests}", received.len());
}

#[test]
fn a_check_waits_for_a_post() {
    for is_live in [true, false] {
        let server = Server::start(move |request, to| {
            if request.path == "/api/v2/instance" {
                return to.reply(200, "", INSTANCE);
            }
            to.head("text/event-stream")?;
            to.chunk(if is_live { update(7).into_bytes() } else { b":)\n\n".to_vec() }.as_slice())?;
            to.silence()
        });
        let lines = streams::check(&config(&server, "public")).unwrap();
        let expected = if is_live { "live, a post within" } else { "open, but no post came" };
        assert!(
            lines[0].starts_with("example.social: ") && lines[0].contains(expected),
            "{lines:?}"
        );
    }
}

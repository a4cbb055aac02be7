//! Bluesky's stream against servers with its faults.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod server;

use common::Kept;
use rand::{RngExt, SeedableRng};
use server::faulty::{faulty_bluesky, skeet};
use server::{Feed, Publisher, Server, frame, now_ms};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use streams::{BlueskyConfig, End, ServiceConfig, StreamConfig, Token};

fn config(servers: &[&Server]) -> StreamConfig {
    let bluesky = BlueskyConfig { profiles: None, is_compressed: false };
    let mut config = StreamConfig::new(ServiceConfig::Bluesky(bluesky));
    let urls: Vec<_> = servers.iter().map(|server| server.web_socket_url()).collect();
    config.url = Some(urls.join(","));
    config.speed = 200;
    // Of another service, as an environment may have it.
    config.token = Some(Token::new("secret").unwrap());
    config
}

fn event(number: usize) -> String {
    skeet(number, 1_779_719_009_000 + number as u64, number, false)
}

/// The number of an event, of whatever server.
fn number(record: &str) -> usize {
    let (_, rest) = record.split_once("\"rkey\":\"").unwrap();
    rest[..13].parse().unwrap()
}

#[test]
fn the_same_server_goes_on_at_its_number() {
    let server = Server::start(|request, to| {
        to.upgrade(request)?;
        let start = request.parameter("cursor").map_or(0, |cursor| cursor.parse().unwrap());
        for number in start..start + 4 {
            to.send(&frame(1, event(number).as_bytes()))?;
        }
        to.send(&frame(8, &[]))
    });
    let mut kept = Kept::new(8, 10);
    kept.follow(&config(&[&server])).unwrap();
    kept.enough = 12;
    kept.follow(&config(&[&server])).unwrap();
    assert_eq!(kept.messages(), (0..12).map(event).collect::<Vec<_>>());
    let requests = server.requests();
    let cursors: Vec<_> = requests.iter().map(|request| request.parameter("cursor")).collect();
    assert_eq!(cursors[..4], [None, Some("3"), Some("6"), Some("7")]);
    assert!(requests[0].path.contains("kinds=commit&collections=app.bsky.feed.post"));
    assert_eq!(requests[0].header("sec-websocket-protocol"), Some("xrpc.v1.json"));
    assert_eq!(requests[0].header("authorization"), None);
}

#[test]
fn what_is_no_longer_there_is_a_declared_gap() {
    let server = Server::start(|request, to| {
        if request.parameter("cursor").is_some() {
            let body = r#"{"error":"CursorTooOld","message":"cursor 0 below lookback floor 9"}"#;
            return to.reply(400, "", body);
        }
        to.upgrade(request)?;
        to.send(&frame(1, event(request.number).as_bytes()))?;
        to.send(&frame(8, &[]))
    });
    let mut kept = Kept::new(3, 10);
    kept.follow(&config(&[&server])).unwrap();
    assert_eq!(kept.messages(), [event(0), event(2)]);
    assert_eq!(kept.gaps()[0]["filled"], false);
    // A cursor of time is moved by the server, which says so.
    let moving_server = Server::start(|request, to| {
        to.upgrade(request)?;
        let info = r#"{"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#info","name":"OutdatedCursor","message":"resumed from 9"}}"#;
        to.send(&frame(1, info.as_bytes()))?;
        to.send(&frame(1, event(9).as_bytes()))?;
        to.silence()
    });
    kept.enough = 5;
    kept.follow(&config(&[&moving_server])).unwrap();
    let reason = kept.gaps()[1]["reason"].as_str().unwrap().to_owned();
    assert!(reason.ends_with("resumed from 9"), "{reason}");
    let us: u64 = moving_server.requests()[0].parameter("cursor").unwrap().parse().unwrap();
    assert_eq!(us, (1_779_719_009_002 - 10_000) * 1000);
}

#[test]
fn another_server_goes_on_by_the_time_without_repeating() {
    let broken = Server::start(|request, to| match request.number {
        0 => {
            to.upgrade(request)?;
            for number in 0..6 {
                to.send(&frame(1, event(number).as_bytes()))?;
            }
            Ok(())
        }
        _ => to.reply(503, "", ""),
    });
    let other = Server::start(|request, to| {
        to.upgrade(request)?;
        for number in 2..10 {
            let text = skeet(number + 500, 1_779_719_009_000 + number as u64, number, false);
            to.send(&frame(1, text.as_bytes()))?;
        }
        to.silence()
    });
    let mut kept = Kept::new(10, 20);
    kept.follow(&config(&[&broken, &other])).unwrap();
    let numbers: Vec<_> = kept.messages().iter().map(|record| number(record)).collect();
    assert_eq!(numbers, (0..10).collect::<Vec<_>>());
    assert_eq!(kept.gaps().len(), 0);
    // The same name, but another numbering behind it: the number is not believed.
    kept.enough = 11;
    let renumbered = Server::start(|request, to| {
        to.upgrade(request)?;
        let first = if request.parameter("cursor") == Some("509") { 2_000 } else { 5 };
        for number in first..first + 6 {
            let time = 1_779_719_009_000 + number as u64;
            to.send(&frame(1, skeet(number + 7, time, number, false).as_bytes()))?;
        }
        to.silence()
    });
    let mut position = kept.position.unwrap();
    let mut fresh = Kept::new(1, 5);
    fresh.follow(&config(&[&renumbered])).unwrap();
    position.server = fresh.position.unwrap().server;
    kept.position = Some(position);
    kept.follow(&config(&[&renumbered])).unwrap();
    assert_eq!(number(kept.messages().last().unwrap()), 10);
}

#[test]
fn version_1_begins_a_little_earlier_and_a_clamped_cursor_shows() {
    let v1 = |number: u64| {
        let time = 1_779_719_009_000_000 + number * 1_000_000;
        format!(
            "{{\"did\":\"did:plc:a\",\"time_us\":{time},\"kind\":\"commit\",\"commit\":{{\"rev\":\"{number:013}\",\"operation\":\"create\",\"collection\":\"app.bsky.feed.post\",\"rkey\":\"{number:013}\",\"record\":{{\"text\":\"t\"}}}}}}"
        )
    };
    let server = Server::start(move |request, to| {
        to.upgrade(request)?;
        // Out of order at the cut-over, as version 1 does it; then from an hour later.
        let numbers: &[u64] = match request.number {
            0 => &[0, 1, 2],
            1 => &[1, 3, 2, 4],
            _ => &[3_600, 3_601],
        };
        for number in numbers {
            to.send(&frame(1, v1(*number).as_bytes()))?;
        }
        to.send(&frame(8, &[]))
    });
    let mut config = config(&[&server]);
    config.url = Some(format!("{}/subscribe", server.web_socket_url()));
    let mut kept = Kept::new(8, 10);
    kept.follow(&config).unwrap();
    let numbers: Vec<_> = kept.messages().iter().map(|record| number(record)).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 3_600, 3_601]);
    assert_eq!(kept.gaps()[0]["reason"], "the server begins later than it was asked to");
    let request = &server.requests()[1];
    assert!(request.path.starts_with("/subscribe?wantedCollections="), "{request:?}");
    assert_eq!(request.parameter("cursor"), Some("1779719001000000"));
}

#[test]
fn compressed_frames_are_read_and_a_wrong_dictionary_is_left() {
    for is_wrong in [false, true] {
        // Plain text does as a dictionary.
        let trained = event(1_234).into_bytes();
        let used = if is_wrong {
            [b"another", &event(5).as_bytes()[3..]].concat()
        } else {
            trained.clone()
        };
        let id = u32::from_le_bytes(trained[4..8].try_into().unwrap()).to_string();
        let server = Server::start(move |request, to| {
            if request.path.contains("getZstdDictionary") {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", trained.len());
                to.send(head.as_bytes())?;
                return to.send(&trained);
            }
            to.upgrade(request)?;
            let mut pack = zstd::bulk::Compressor::with_dictionary(3, &used).unwrap();
            pack.include_checksum(true).unwrap();
            for number in 0..3 {
                let text = event(number);
                let is_packed = request.parameter("zstdDictionary").is_some();
                let bytes = if is_packed {
                    frame(2, &pack.compress(text.as_bytes()).unwrap())
                } else {
                    frame(1, text.as_bytes())
                };
                to.send(&bytes)?;
            }
            to.silence()
        });
        let mut config = config(&[&server]);
        config.service =
            ServiceConfig::Bluesky(BlueskyConfig { profiles: None, is_compressed: true });
        let mut kept = Kept::new(3, 10);
        kept.follow(&config).unwrap();
        assert_eq!(kept.messages(), (0..3).map(event).collect::<Vec<_>>(), "{is_wrong}");
        let requests = server.requests();
        assert_eq!(requests[1].parameter("zstdDictionary"), Some(&*id));
        assert_eq!(requests.len(), if is_wrong { 3 } else { 2 });
    }
}

#[test]
fn profiles_are_looked_up_by_the_batch_and_once() {
    let server = Server::start(|request, to| {
        if request.path.contains("getProfiles") {
            let count = request.path.matches("actors=").count();
            return to.reply(200, "", &format!("{{\"profiles\":[],\"n\":{count}}}"));
        }
        to.upgrade(request)?;
        for number in 0..100 {
            to.send(&frame(1, event(number % 50).as_bytes()))?;
        }
        to.wait(Duration::from_secs(2))?;
        to.send(&frame(1, event(51).as_bytes()))?;
        to.silence()
    });
    let mut config = config(&[&server]);
    config.speed = 1;
    config.service = ServiceConfig::Bluesky(BlueskyConfig {
        profiles: Some(server.url()),
        is_compressed: false,
    });
    let mut kept = Kept::new(54, 30);
    assert_eq!(kept.follow(&config).unwrap(), End::Stopped);
    let has_token = |request: &server::Request| request.header("authorization").is_some();
    assert!(!server.requests().iter().any(has_token));
    let profiles: Vec<_> = kept
        .messages()
        .into_iter()
        .filter(|it| it.starts_with("{\"bluesky_profiles\":\"20"))
        .collect();
    assert_eq!(profiles.len(), 3);
    let ends = ["25}}", "25}}", "1}}"];
    for (record, end) in profiles.iter().zip(ends) {
        assert!(record.ends_with(&format!("\"reply\":{{\"profiles\":[],\"n\":{end}")), "{record}");
    }
}

/// Faults at any time on two servers, and a client that is killed at any record: all events, each
/// once, and no gap.
#[test]
fn any_faults_and_restarts_lose_nothing() {
    let feed = Arc::new(Feed::default());
    let servers = [0, 1_000_000].map(|base| {
        let shared = feed.clone();
        Server::start(move |request, to| faulty_bluesky(request, to, &shared, base))
    });
    let publisher = Publisher::start(&feed, |number| number.to_string());
    while feed.len() == 0 {
        std::thread::yield_now();
    }
    let mut config = config(&[&servers[0], &servers[1]]);
    let mut kept = Kept::new(0, 90);
    let mut random = rand_pcg::Pcg32::seed_from_u64(now_ms());
    while feed.len() < 6_000 {
        kept.enough = kept.records.len() + random.random_range(1..600);
        kept.follow(&config).unwrap();
    }
    (config.duration, kept.enough) = (Some(Duration::from_secs(3)), usize::MAX);
    kept.follow(&config).unwrap();
    drop(publisher);
    let mut counts = HashMap::<usize, usize>::new();
    for record in kept.messages() {
        *counts.entry(number(&record)).or_default() += 1;
    }
    let (first, last) = (counts.keys().min().unwrap(), counts.keys().max().unwrap());
    let odd: Vec<_> = (*first..=*last).filter(|number| counts.get(number) != Some(&1)).collect();
    assert!(odd.is_empty() && kept.gaps().is_empty(), "{odd:?} {:?}", kept.gaps());
    let requests = servers.iter().map(|server| server.requests().len()).sum::<usize>();
    assert!(counts.len() > 1_500 && requests > 40, "{} {requests}", counts.len());
}

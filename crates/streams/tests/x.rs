//! The streams of X against a server with their faults.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod server;

use common::{Kept, bounds};
use rand::{RngExt, SeedableRng};
use server::faulty::faulty_x;
use server::{Connection, Feed, Publisher, Request, Server, chunk, differences};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use streams::{Api, Caps, End, Endpoint, ServiceConfig, StreamConfig, StreamError, Token};

const JSON: &str = "application/json";

fn post(id: usize) -> String {
    format!(
        "{{\"data\":{{\"id\":\"{id}\",\"text\":\"ü💡 \\u00fc\"}},\"includes\":{{\"users\":[{{\"id\":\"1\"}}]}}}}"
    )
}

fn v2(server: &Server) -> StreamConfig {
    let endpoint = Endpoint::parse("filtered").unwrap();
    let mut config = StreamConfig::new(ServiceConfig::X(Api::V2 { endpoint, backfill_minutes: 0 }));
    config.url = Some(server.url());
    config.token = Some(Token::new("secret").unwrap());
    config.speed = 20;
    config
}

fn lines(ids: std::ops::Range<usize>) -> String {
    ids.map(|id| post(id) + "\r\n").collect()
}

#[test]
fn a_stream_that_is_cut_at_any_byte_gives_whole_messages() {
    let text = format!("{}\r\n{}", post(0), post(1));
    let cuts = chunk(text.as_bytes()).len();
    for cut in (0..cuts).step_by(3) {
        let server = Server::start(move |request, to| {
            to.head(JSON)?;
            if request.number == 0 {
                return to.send(&chunk(format!("{}\r\n{}", post(0), post(1)).as_bytes())[..cut]);
            }
            to.chunk(lines(2..4).as_bytes())?;
            to.silence()
        });
        let first = usize::from(cut > post(0).len() + 5);
        let mut kept = Kept::new(first * 2 + 2, 10);
        assert_eq!(kept.follow(&v2(&server)).unwrap(), End::Stopped, "{cut}");
        let expected: Vec<_> = (0..first).chain(2..4).map(post).collect();
        assert_eq!(kept.messages(), expected, "{cut}");
        assert_eq!(kept.gaps().len(), first, "{cut}");
    }
}

#[test]
fn one_byte_at_a_time_is_the_same_stream() {
    let server = Server::start(|_, to| {
        to.head(JSON)?;
        for line in lines(0..20).as_bytes().chunks(1) {
            to.chunk(line)?;
        }
        to.trickle(&chunk(lines(20..30).as_bytes()))?;
        to.silence()
    });
    let mut kept = Kept::new(30, 20);
    kept.follow(&v2(&server)).unwrap();
    assert_eq!(kept.messages(), (0..30).map(post).collect::<Vec<_>>());
    let request = &server.requests()[0];
    assert_eq!(request.header("authorization"), Some("Bearer secret"));
    assert!(request.path.starts_with("/2/tweets/search/stream?tweet.fields="), "{request:?}");
}

#[test]
fn silence_ends_a_connection_and_keep_alives_do_not() {
    let server = Server::start(|request, to| {
        to.head(JSON)?;
        to.chunk(lines(request.number..request.number + 1).as_bytes())?;
        if request.number == 0 {
            return to.silence();
        }
        // Of 300 ms each; nothing else for twice that time.
        for _ in 0..12 {
            to.wait(Duration::from_millis(50))?;
            to.chunk(b"\r\n")?;
        }
        to.chunk(lines(7..8).as_bytes())?;
        to.silence()
    });
    let mut kept = Kept::new(4, 20);
    let mut config = v2(&server);
    config.speed = 100;
    kept.follow(&config).unwrap();
    assert_eq!(kept.messages(), [post(0), post(1), post(7)]);
    assert_eq!(server.requests().len(), 2);
    let gap = &kept.gaps()[0];
    assert_eq!(gap["reason"], "nothing was received for 300 ms");
    assert_eq!((&gap["stream"], &gap["filled"]), (&"x".into(), &false.into()));
}

/// What each refusal leads to.
#[test]
fn refusals_end_with_their_code_or_are_waited_for() {
    let too_many = r#"{"title":"ConnectionException","connection_issue":"TooManyConnections","type":"https://api.x.com/2/problems/streaming-connection"}"#;
    let capped = r#"{"title":"UsageCapExceeded","type":"https://api.twitter.com/2/problems/usage-capped","detail":"Monthly"}"#;
    for (status, body, code) in [
        (401, "", Some(2)),
        (402, "{}", Some(1)),
        (403, "<html>", Some(2)),
        (409, "", Some(2)),
        (404, "", Some(2)),
        (302, "", Some(2)),
        (429, capped, Some(1)),
        (429, too_many, None),
        (429, "", None),
        (420, "calm", None),
        (500, "", None),
        (503, "<html>Over capacity</html>", None),
        (200, "<html>Log in to this network</html>", None),
    ] {
        let server = Server::start(move |request, to| {
            if request.number == 0 {
                return to.reply(status, "", body);
            }
            to.head(JSON)?;
            to.chunk(lines(0..1).as_bytes())
        });
        let mut config = v2(&server);
        config.speed = 1_000;
        let result = Kept::new(1, 10).follow(&config);
        match (&result, code) {
            (Err(error), Some(code)) => {
                assert_eq!(error.exit_code(), code, "{status} {error}");
                assert!(!format!("{error} {error:?}").contains("secret"));
                assert_eq!(server.requests().len(), 1, "{status}");
            }
            (Ok(End::Stopped), None) => assert_eq!(server.requests().len(), 2, "{status}"),
            _ => panic!("{status} {body}: {result:?}"),
        }
    }
}

#[test]
fn what_a_server_says_of_waits_is_kept() {
    let server = Server::start(|request, to| match request.number {
        0 => to.reply(503, "Retry-After: 20\r\n", ""),
        1 => {
            let reset = server::now_ms() / 1000 + 40;
            to.reply(429, &format!("x-rate-limit-reset: {reset}\r\n"), "")
        }
        _ => {
            to.head(JSON)?;
            to.chunk(lines(0..1).as_bytes())
        }
    });
    let mut kept = Kept::new(1, 20);
    let mut config = v2(&server);
    config.speed = 100;
    kept.follow(&config).unwrap();
    let requests = server.requests();
    let waits: Vec<_> = requests.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    let ms = Duration::from_millis;
    assert!(waits[0] >= ms(200) && waits[0] < ms(350), "{waits:?}");
    assert!(waits[1] >= ms(380) && waits[1] < ms(550), "{waits:?}");
}

#[test]
fn a_420_ends_the_client_that_asks_for_it() {
    let server = Server::start(|request, to| {
        if request.number == 1 {
            return to.reply(420, "", "Enhance Your Calm");
        }
        to.head(JSON)?;
        to.chunk(b"{\"id\":1,\"id_str\":\"1\",\"text\":\"t\"}\r\n\r\n")?;
        to.end()
    });
    let mut config = StreamConfig::new(ServiceConfig::X(Api::V1));
    config.url = Some(format!("{}/1.1/statuses/filter.json?track=a", server.url()));
    (config.stop_on, config.speed) = (Some(420), 100);
    let mut kept = Kept::new(100, 10);
    assert_eq!(kept.follow(&config).unwrap(), End::StatusOf(420));
    assert_eq!((kept.messages().len(), server.requests().len()), (1, 2));
    assert_eq!(server.requests()[0].path, "/1.1/statuses/filter.json?track=a");
    assert_eq!(server.requests()[0].header("authorization"), None);
}

#[test]
fn clean_closes_in_a_loop_stay_within_the_budget() {
    for has_data in [false, true] {
        let server = Server::start(move |request, to| {
            to.head(JSON)?;
            if has_data {
                to.chunk(lines(request.number..request.number + 1).as_bytes())?;
            }
            to.end()
        });
        let mut config = v2(&server);
        // 15 minutes are 3 s.
        (config.speed, config.duration) = (300, Some(Duration::from_secs(4)));
        assert_eq!(Kept::new(10_000, 20).follow(&config).unwrap(), End::TimeIsUp);
        let times: Vec<_> = server.requests().iter().map(|request| request.at).collect();
        let window = Duration::from_millis(2_900);
        let most = (0..times.len()).map(|first| {
            times[first..].iter().take_while(|time| **time - times[first] < window).count()
        });
        let most = most.max().unwrap();
        assert!(most <= 45 && times.len() >= 20, "{most} of {}", times.len());
    }
}

#[test]
fn an_own_old_connection_is_ended_and_no_other() {
    let too_many = r#"{"title":"ConnectionException","connection_issue":"TooManyConnections"}"#;
    let answer =
        move |request: &Request, to: &mut Connection| match (&*request.method, request.number) {
            ("DELETE", _) => to.reply(200, "", "{}"),
            (_, 0) => {
                to.head(JSON)?;
                to.chunk(lines(0..1).as_bytes())
            }
            (_, 1) => to.reply(429, "", too_many),
            _ => {
                to.head(JSON)?;
                to.chunk(lines(1..2).as_bytes())
            }
        };
    let server = Server::start(answer);
    Kept::new(3, 10).follow(&v2(&server)).unwrap();
    let asked: Vec<_> = server
        .requests()
        .iter()
        .map(|request| format!("{} {}", request.method, &request.path[..20]))
        .collect();
    assert_eq!(asked[2], "DELETE /2/connections/filte", "{asked:?}");
    // A first connect is not ours to make room for.
    let full_server = Server::start(move |_, to| to.reply(429, "", too_many));
    let mut config = v2(&full_server);
    (config.speed, config.give_up) = (1_000, Some(Duration::from_millis(300)));
    let error = Kept::new(3, 10).follow(&config).unwrap_err();
    assert!(matches!(error, StreamError::GaveUp { .. }) && error.exit_code() == 1, "{error}");
    assert!(full_server.requests().iter().all(|request| request.method == "GET"));
}

#[test]
fn caps_end_the_stream_at_their_number() {
    let server = Server::start(|_, to| {
        to.head(JSON)?;
        to.chunk(lines(0..1_000).as_bytes())?;
        to.silence()
    });
    let mut config = v2(&server);
    config.caps = Caps { posts: Some(10), dollars: None };
    let mut kept = Kept::new(2_000, 10);
    assert!(matches!(kept.follow(&config).unwrap(), End::Cap(text) if text.contains("10")));
    assert_eq!(kept.records.len(), 10);
    // For all runs together.
    assert!(matches!(kept.follow(&config).unwrap(), End::Cap(_)));
    assert!(kept.records.len() <= 12, "{}", kept.records.len());
    // A post and its author are at most 1.5 cents.
    config.caps = Caps { posts: None, dollars: Some(0.3) };
    let mut within_budget = Kept::new(2_000, 10);
    assert!(
        matches!(within_budget.follow(&config).unwrap(), End::Cap(text) if text.contains("0.300"))
    );
    assert_eq!(within_budget.records.len(), 20);
}

#[test]
fn repeated_posts_are_sent_once_also_after_a_restart() {
    let server = Server::start(|request, to| {
        to.head(JSON)?;
        let start = request.number * 5;
        let text = lines(start..start + 10) + &lines(start + 3..start + 10);
        to.chunk(text.as_bytes())?;
        to.silence()
    });
    let mut kept = Kept::new(10, 10);
    kept.follow(&v2(&server)).unwrap();
    kept.enough = 16;
    kept.follow(&v2(&server)).unwrap();
    assert_eq!(kept.messages(), (0..15).map(post).collect::<Vec<_>>());
    let gap = &kept.gaps()[0];
    assert_eq!((kept.gaps().len(), &gap["reason"]), (1, &"it was not followed".into()));
}

#[test]
fn the_last_minutes_are_asked_for_again_where_the_plan_allows_it() {
    let server = Server::start(|request, to| {
        to.head(JSON)?;
        to.chunk(lines(request.number..request.number + 2).as_bytes())?;
        to.end()
    });
    let mut config = v2(&server);
    let endpoint = Endpoint::parse("sample").unwrap();
    config.service = ServiceConfig::X(Api::V2 { endpoint, backfill_minutes: 5 });
    let mut kept = Kept::new(4, 10);
    kept.follow(&config).unwrap();
    assert_eq!((kept.messages().len(), kept.gaps().len()), (4, 0));
    let asked = server.requests();
    let asked: Vec<_> = asked.iter().map(|it| it.parameter("backfill_minutes")).collect();
    assert_eq!(asked[..2], [None, Some("1")]);
    // Longer ago than what can be asked for.
    kept.position.as_mut().unwrap().time_ms -= 400_000;
    kept.enough = 6;
    kept.follow(&config).unwrap();
    assert_eq!((kept.gaps().len(), &kept.gaps()[0]["filled"]), (1, &true.into()));
    assert_eq!(server.requests().last().unwrap().parameter("backfill_minutes"), Some("5"));
}

#[test]
fn a_message_that_is_too_large_is_a_declared_gap() {
    let server = Server::start(|_, to| {
        to.head(JSON)?;
        to.chunk(lines(0..1).as_bytes())?;
        for _ in 0..17 {
            to.chunk(&vec![b'x'; 1 << 20])?;
        }
        to.chunk(b"\r\n")?;
        to.chunk(lines(1..2).as_bytes())?;
        to.silence()
    });
    let mut kept = Kept::new(3, 20);
    kept.follow(&v2(&server)).unwrap();
    assert_eq!(kept.messages(), [post(0), post(1)]);
    let gap = &kept.gaps()[0];
    assert_eq!((kept.gaps().len(), &gap["lost"]), (1, &1.into()));
}

/// Any faults at any time: what is received is what was published less the declared gaps, once.
#[test]
fn any_faults_and_restarts_lose_only_what_is_declared() {
    let feed = Arc::new(Feed::default());
    let shared = feed.clone();
    let faults = Arc::new(AtomicUsize::new(0));
    let counted = faults.clone();
    let server = Server::start(move |request, to| {
        counted.fetch_add(1, Ordering::Relaxed);
        faulty_x(request, to, &shared)
    });
    let publisher = Publisher::start(&feed, post);
    let mut config = v2(&server);
    config.speed = 500;
    let mut kept = Kept::new(0, 60);
    // Each run ends at any record, as a process that is killed.
    let mut random = rand_pcg::Pcg32::seed_from_u64(9);
    while feed.len() < 4_000 {
        kept.enough = kept.records.len() + random.random_range(1..200);
        kept.follow(&config).unwrap();
    }
    drop(publisher);
    let gaps: Vec<_> = kept.gaps().iter().map(bounds).collect();
    let received: Vec<_> = kept.messages().into_iter().map(String::into_bytes).collect();
    // What was published behind the last one received is still to come.
    let mut events = feed.from(0);
    let last = events.iter().rposition(|(_, event)| received.contains(event)).unwrap();
    events.truncate(last + 1);
    let differences = differences(&events, &received, &gaps);
    let faults = faults.load(Ordering::Relaxed);
    assert!(differences.is_empty(), "{differences:#?} of {} with {faults} faults", received.len());
    assert!(faults > 40 && received.len() > 1_000, "{faults} {}", received.len());
}

/// The account's rules: read, tried, added, and own ones deleted.
#[test]
fn rules_are_tried_first_and_only_own_ones_are_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules");
    std::fs::write(&path, "rust lang:en\n# more\ncats\n").unwrap();
    let server = Server::start(|request, to| {
        if request.method == "GET" && request.path.ends_with("/rules") {
            let rules = r#"{"data":[{"id":"1","value":"cats"},{"id":"2","value":"old","tag":"tweetflow"},{"id":"3","value":"theirs","tag":"other"}]}"#;
            return to.reply(200, "", rules);
        }
        if request.body.contains("bad:") {
            let body = r#"{"errors":[{"value":"bad:","details":["Reference to invalid field 'bad'"],"title":"Invalid Rule","type":"https://api.twitter.com/2/problems/invalid-rules"}]}"#;
            return to.reply(400, "", body);
        }
        if request.method == "POST" {
            return to.reply(201, "", "{}");
        }
        if request.path.starts_with("/2/connections") {
            return to.reply(200, "", r#"{"data":[{"id":"a"}]}"#);
        }
        if request.path.starts_with("/2/usage") {
            return to.reply(200, "", r#"{"data":{"project_usage":"7","project_cap":"3000000"}}"#);
        }
        to.head(JSON)?;
        to.chunk(lines(0..1).as_bytes())
    });
    let mut config = v2(&server);
    config.rules = Some(path.clone());
    let plan = streams::check_rules(&config).unwrap();
    assert_eq!(plan[..2], ["add rust lang:en", "delete old"]);
    let posts = |asked: &Server| {
        let posts = asked.requests().into_iter().filter(|request| request.method == "POST");
        posts.map(|request| format!("{} {}", &request.path[29..], request.body)).collect::<Vec<_>>()
    };
    let adding = r#"{"add":[{"tag":"tweetflow","value":"rust lang:en"}]}"#;
    assert_eq!(posts(&server), [format!("?dry_run=true {adding}")]);
    Kept::new(1, 10).follow(&config).unwrap();
    let deleting = r#" {"delete":{"ids":["2"]}}"#;
    assert_eq!(posts(&server)[2..], [format!(" {adding}"), deleting.to_owned()]);
    std::fs::write(&path, "cats\nbad:\n").unwrap();
    let error = Kept::new(1, 10).follow(&config).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("invalid field"), "{error}");
    assert_eq!(posts(&server).len(), 5, "nothing is changed");
    let checked = streams::check(&config).unwrap();
    let expected = [
        "rules: 3, 1 of them made by tweetflow",
        "connections: 1 active",
        "usage: 7 of 3000000 posts this month",
    ];
    assert_eq!(checked[1..], expected);
}

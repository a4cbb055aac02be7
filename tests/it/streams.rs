//! `produce --stream` against a server with the services' faults, on a real broker.

use crate::common::job::Job;
use crate::common::{
    Random, Running, Server as Database, assert_ended, fresh_topic, program, service,
};
use crate::stream_server::faulty::{faulty_bluesky, faulty_mastodon, faulty_x, toot};
use crate::stream_server::{Feed, Publisher, Server, differences};
use nix::sys::signal::Signal;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const TOKEN: &str = "AAAAsecretBBBB";

fn follow(topic: &str, url: &str, more: &[&str]) -> Command {
    let brokers = service("TEST_KAFKA");
    let first = ["produce", "--brokers", &brokers, "--topic", topic, "--url", url];
    let mut command = program(&[&first[..], more].concat(), "");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("TWEETFLOW_TOKEN", TOKEN);
    command
}

/// Exit code, standard output and standard error.
fn ended(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, errors) = (text(output.stdout), text(output.stderr));
    assert!(!out.contains(TOKEN) && !errors.contains(TOKEN), "{out}{errors}");
    (output.status.code(), out, errors)
}

/// The ids of X are of about now, so that the tables count them.
fn id(number: usize) -> u64 {
    let now = crate::stream_server::now_ms() - 1_288_834_974_657;
    (now << 22) + number as u64
}

/// A tweet of the first API; a third of the authors give no location.
fn tweet(number: usize) -> String {
    let id = id(number);
    let location = if number.is_multiple_of(3) { "null" } else { "\"Bern\"" };
    let user = number % 50 + 1;
    format!(
        "{{\"id\":{id},\"id_str\":\"{id}\",\"text\":\"ü💡 #rust\",\"entities\":{{\"hashtags\":\
         [{{\"text\":\"rust\",\"indices\":[3,8]}}]}},\"user\":{{\"id\":{user},\"id_str\":\
         \"{user}\",\"screen_name\":\"u{user}\",\"friends_count\":{number},\"location\":{location}}}}}"
    )
}

/// The report's run word for word: tweets whose author gives a location, a thousand of them, and
/// the end on a 420; both into tables.
#[test]
fn the_reports_client_stops_after_a_thousand_tweets_and_on_a_420() {
    let server = Server::start(|request, to| {
        if request.number == 2 {
            return to.reply(420, "", "Enhance Your Calm");
        }
        to.head("application/json")?;
        let first = request.number * 10_000;
        let text: String = (first..first + 3_000).map(|number| tweet(number) + "\r\n").collect();
        // The second connection ends by itself.
        let end = if request.number == 0 { text.len() } else { text.len() / 30 };
        to.chunk(&text.as_bytes()[..end])?;
        if request.number == 0 { to.silence() } else { to.end() }
    });
    let job = Job::new(Database::MariaDb, "report");
    let url = format!("{}/1.1/statuses/filter.json?locations=-180,-90,180,90", server.url());
    let stream = ["--stream", "x-v1", "--require-location", "--partitions", "2", "--speed", "20"];
    let follow_with =
        |more: &[&str]| ended(&mut follow(&job.topic, &url, &[&stream[..], more].concat()));
    let (limited, counts, warnings) = follow_with(&["--limit", "1000"]);
    assert!(limited == Some(0) && counts.contains("tweets=1000 "), "{counts}{warnings}");
    assert!(counts.contains("left_out=50") && counts.contains("no_json=0"), "{counts}");
    let (stopped, said, reason) = follow_with(&["--stop-on", "420"]);
    assert_eq!(stopped, Some(0), "{said}{reason}");
    assert!(reason.contains("answered 420") && said.contains("left_out=3"), "{said}{reason}");
    assert_eq!(server.requests().len(), 3);
    job.run();
    assert_ended(job.verify(&[]), 0, &["differences=0"]);
    let mut sql = job.sql();
    let uses: Vec<u64> = sql.rows("SELECT uses FROM hashtags WHERE hashtag = 'rust'");
    assert!(uses[0] > 1_050, "{uses:?}");
}

/// Faults at any time and processes that are killed at any moment: the topic holds what was
/// published, less the gaps that it declares, each once.
#[test]
fn killed_streams_lose_only_what_they_declare() {
    let feed = Arc::new(Feed::default());
    let shared = feed.clone();
    let server = Server::start(move |request, to| faulty_x(request, to, &shared));
    let events = Publisher::start(&feed, |number| {
        let id = number + 1;
        format!("{{\"data\":{{\"id\":\"{id}\",\"text\":\"ü💡\",\"author_id\":\"1\"}}}}")
    });
    let folder = tempfile::tempdir().unwrap();
    let (topic, resume) = (fresh_topic("killed-stream"), folder.path().join("resume"));
    let recording = folder.path().join("recording");
    let more = ["--stream", "x", "--speed", "500", "--partitions", "3", "--resume"];
    let more = [&more[..], &[resume.to_str().unwrap()]].concat();
    let mut random = Random(std::process::id().into());
    for run in 0..11 {
        let mut command = follow(&topic, &server.url(), &more);
        let mut running = Running::start(command.stderr(Stdio::null()).stdout(Stdio::null()));
        std::thread::sleep(Duration::from_millis(500 + random.below(2_600)));
        running.signal(if run == 6 { Signal::SIGTERM } else { Signal::SIGKILL });
        running.0.wait().unwrap();
    }
    let last = [&more[..], &["--for", "3s", "--record", recording.to_str().unwrap()]].concat();
    let (code, said, errors) = ended(&mut follow(&topic, &server.url(), &last));
    assert_eq!(code, Some(0), "{said}{errors}");
    drop(events);
    let records: Vec<_> =
        crate::produce::records(&topic, 3).into_iter().map(|(_, payload)| payload).collect();
    check(&feed, &records);
    println!("{} requests, {} records of {}", server.requests().len(), records.len(), feed.len());
    assert!(server.requests().len() > 30 && records.len() > 1_000, "{}", records.len());
    recorded_is_sent(&recording, &records);
    let other = [&more[2..], &["--stream", "x-v1"]].concat();
    let (refused, _, reason) = ended(&mut follow(&topic, &server.url(), &other));
    assert!(refused == Some(2) && reason.contains("belongs to the stream x;"), "{reason}");
}

/// Two servers of Bluesky with faults, processes that are killed at any moment: every event from
/// the first to the last, each once, and no gap; and the topic is still followed after a break.
#[test]
fn a_killed_client_of_bluesky_loses_and_repeats_nothing() {
    let feed = Arc::new(Feed::default());
    let servers = [0, 1_000_000].map(|base| {
        let shared = feed.clone();
        Server::start(move |request, to| faulty_bluesky(request, to, &shared, base))
    });
    let events = Publisher::start(&feed, |number| number.to_string());
    let folder = tempfile::tempdir().unwrap();
    let (topic, resume) = (fresh_topic("killed-bluesky"), folder.path().join("resume"));
    let url = servers.each_ref().map(Server::web_socket_url).join(",");
    let more = ["--stream", "bluesky", "--profiles", "off", "--speed", "500", "--partitions", "3"];
    let more = [&more[..], &["--resume", resume.to_str().unwrap()]].concat();
    let mut random = Random(std::process::id().into());
    for _ in 0..10 {
        let mut command = follow(&topic, &url, &more);
        let mut running = Running::start(command.stderr(Stdio::null()).stdout(Stdio::null()));
        std::thread::sleep(Duration::from_millis(500 + random.below(2_000)));
        running.signal(Signal::SIGKILL);
        running.0.wait().unwrap();
    }
    let last = [&more[..], &["--for", "4s"]].concat();
    let (code, said, errors) = ended(&mut follow(&topic, &url, &last));
    assert_eq!(code, Some(0), "{said}{errors}");
    drop(events);
    let records = crate::produce::records(&topic, 3);
    let mut counts = std::collections::BTreeMap::<usize, usize>::new();
    for (_, record) in &records {
        assert!(!record.contains("stream_gap"), "{record}");
        let (_, rest) = record.split_once("\"rkey\":\"").unwrap();
        *counts.entry(rest[..13].parse().unwrap()).or_default() += 1;
    }
    let numbers: Vec<_> = counts.keys().copied().collect();
    let whole: Vec<_> = (numbers[0]..=numbers[numbers.len() - 1]).collect();
    assert!(counts.values().all(|count| *count == 1) && numbers == whole, "{}", records.len());
    let requests: usize = servers.iter().map(|server| server.requests().len()).sum();
    println!("{requests} requests, {} records of {}", records.len(), feed.len());
    assert!(records.len() > 2_000 && requests > 30, "{} {requests}", records.len());
}

/// A server of Mastodon with faults, processes that are killed at any moment: every post that stays
/// is there once, whatever was missed, and no delete twice.
#[test]
fn a_killed_client_of_mastodon_has_every_post_that_stays() {
    let feed = Arc::new(Feed::default());
    let shared = feed.clone();
    let server = Server::start(move |request, to| faulty_mastodon(request, to, &shared));
    let pace = Duration::from_millis(8);
    let publisher = Publisher::paced(&feed, pace, |number| number.to_string());
    let folder = tempfile::tempdir().unwrap();
    let (topic, resume) = (fresh_topic("killed-mastodon"), folder.path().join("resume"));
    let more = ["--stream", "mastodon", "--speed", "500", "--partitions", "3", "--resume"];
    let more = [&more[..], &[resume.to_str().unwrap()]].concat();
    let mut random = Random(std::process::id().into());
    for _ in 0..8 {
        let mut command = follow(&topic, &server.url(), &more);
        let mut running = Running::start(command.stderr(Stdio::null()).stdout(Stdio::null()));
        std::thread::sleep(Duration::from_millis(700 + random.below(2_000)));
        running.signal(Signal::SIGKILL);
        running.0.wait().unwrap();
    }
    let to_the_end = [&more[..], &["--for", "5s"]].concat();
    let (code, said, errors) = ended(&mut follow(&topic, &server.url(), &to_the_end));
    assert_eq!(code, Some(0), "{said}{errors}");
    drop(publisher);
    let mut counts = std::collections::HashMap::<String, usize>::new();
    for (_, payload) in crate::produce::records(&topic, 3) {
        *counts.entry(payload).or_default() += 1;
    }
    let events = feed.from(0);
    let record = |number: usize| {
        let (kind, data) = toot(&events, number);
        format!("{{\"mastodon\":\"example.social\",\"event\":\"{kind}\",\"payload\":{data}}}")
    };
    let found: Vec<_> =
        (0..events.len()).map(|number| counts.get(&record(number)).copied().unwrap_or(0)).collect();
    let first = found.iter().position(|count| *count > 0).unwrap();
    let last = found.iter().rposition(|count| *count > 0).unwrap();
    // A post that is deleted five events later may be gone before it is asked for.
    let stays = |number: usize| !number.is_multiple_of(5) || number == 0;
    let is_odd = |number: &usize| found[*number] > 1 || stays(*number) && found[*number] == 0;
    let odd: Vec<_> = (first..=last).filter(is_odd).collect();
    let gaps = counts.keys().filter(|text| text.starts_with("{\"stream_gap\"")).count();
    assert!(odd.is_empty() && gaps > 5, "{odd:?} with {gaps} gaps");
    assert!(last - first > 800, "{first} {last} of {}", events.len());
}

fn check(feed: &Feed, records: &[String]) {
    let (gaps, records): (Vec<_>, Vec<_>) =
        records.iter().partition(|record| record.starts_with("{\"stream_gap\""));
    let bounds = gaps.iter().map(|gap| {
        let gap: serde_json::Value = serde_json::from_str(gap).unwrap();
        let ms = |name: &str| {
            let time: jiff::Timestamp = gap["stream_gap"][name].as_str().unwrap().parse().unwrap();
            u64::try_from(time.as_millisecond()).unwrap()
        };
        (ms("from"), ms("to"))
    });
    let bounds: Vec<_> = bounds.collect();
    let received: Vec<_> = records.into_iter().map(|it| it.clone().into_bytes()).collect();
    let known: std::collections::HashSet<_> = received.iter().collect();
    // Nobody followed before the first one, and what is behind the last one is still to come.
    let events = feed.from(0);
    let is_known = |(_, event): &(u64, Arc<Vec<u8>>)| known.contains(&**event);
    let first = events.iter().position(is_known).unwrap();
    let last = events.iter().rposition(is_known).unwrap();
    let events = &events[first..=last];
    let differences = differences(events, &received, &bounds);
    assert!(differences.is_empty(), "{differences:#?} with {} gaps", gaps.len());
}

/// What was recorded is what was sent.
fn recorded_is_sent(recording: &Path, records: &[String]) {
    let text = std::fs::read_to_string(recording).unwrap();
    assert!(text.lines().count() > 100 && !text.contains(TOKEN));
    let known: std::collections::HashSet<_> = records.iter().collect();
    assert!(text.lines().all(|line| known.contains(&line.to_owned())));
}

#[test]
fn what_cannot_be_followed_is_one_sentence() {
    let server = Server::start(|_, to| to.reply(401, "", r#"{"detail":"Unauthorized"}"#));
    let url = server.url();
    let topic = fresh_topic("refused-stream");
    let file = std::env::temp_dir().join(format!("no-token-{}", std::process::id()));
    let token_file = file.to_str().unwrap();
    for (arguments, expected) in [
        (&["--stream", "x"][..], "does not accept the token (401: Unauthorized)"),
        (&["--synthetic"], "--url is an option of --stream"),
        (&["--stream", "x-v1", "--max-posts", "1"], "--max-posts is an option of --stream x"),
        (&["--stream", "bluesky", "--max-posts", "1"], "--max-posts is an option of --stream x"),
        (&["--stream", "x", "--profiles", "off"], "--profiles is an option of --stream bluesky"),
        (&["--stream", "bluesky", "--profiles", "x"], "expected on, off or a server"),
        (&["--stream", "x", "--timeline", "public"], "an option of --stream mastodon"),
        (&["--stream", "mastodon", "--timeline", "x"], "public:local or hashtag:TAG"),
        (&["--stream", "mastodon", "--rules", "x"], "--rules is an option of --stream x"),
        (&["--stream", "x", "--rules", "/nowhere"], "check --rules"),
        (&["--stream", "x", "--check"], "does not accept the token"),
        (&["--stream", "x", "--token-file", token_file], "check --token-file"),
        (&["--stream", "x", "--seed", "2"], "--seed"),
        (&["--stream", "x", "--synthetic"], "--synthetic"),
        (&["--stream", "x", "--endpoint", "sample10"], "a partition behind a colon, from 1 to 2"),
        (&["--stream", "x", "--for", "x"], "expected a span"),
        (&["--stream", "x", "--max-dollars", "0"], "dollars above zero"),
        (&["--stream", "x", "--ca", "/dev/null"], "--ca"),
        (&["--stream", "y"], "x-v1"),
    ] {
        let (code, _, errors) = ended(&mut follow(&topic, &url, arguments));
        assert!(code == Some(2) && errors.contains(expected), "{arguments:?}: {code:?} {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
    for (refused, expected) in [
        ("http://example.com", "use https"),
        ("ftp://example.com", "begins with https"),
        ("https://me:AAAAsecretBBBB@example.com", "TWEETFLOW_TOKEN"),
    ] {
        let (code, _, errors) = ended(&mut follow(&topic, refused, &["--stream", "x"]));
        assert!(code == Some(2) && errors.contains(expected), "{refused}: {errors}");
    }
    let mut command = follow(&topic, &url, &["--stream", "x"]);
    let (code, _, errors) = ended(command.env_remove("TWEETFLOW_TOKEN"));
    assert!(code == Some(2) && errors.contains("X needs a token"), "{errors}");
    // A short way to shorter waits is no way to a real service.
    let fast = ["--stream", "x", "--speed", "9"];
    let (refused, _, reason) = ended(&mut follow(&topic, "https://192.0.2.1", &fast));
    assert!(refused == Some(2) && reason.contains("on this machine"), "{reason}");
}

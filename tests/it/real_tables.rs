//! Real tweets from their files through Kafka into the tables, on both servers.
//!
//! The data is not in this repository: `TWEETFLOW_REAL_DATA` names its folder, and CI sets it.
//! These tests are ignored unless asked for: `cargo test --test it -- --ignored real_`.

use crate::common::answers::{V1, V2};
use crate::common::{Server, Sql, fresh_topic, program, service};
use decode::decode;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;
use types::settings::DecodeSettings;

on_both_servers! {
    #[ignore = "real tweets: TWEETFLOW_REAL_DATA names their folder"]
    every_file_gives_its_answers,
    #[ignore = "real tweets: TWEETFLOW_REAL_DATA names their folder"]
    hostile_records_are_dead_letters_and_nothing_else,
    #[ignore = "real tweets: TWEETFLOW_REAL_DATA names their folder"]
    naughty_strings_travel_whole,
}

/// The folder. Its absence is a failure: these tests run only where they are asked for.
fn data() -> PathBuf {
    std::env::var_os("TWEETFLOW_REAL_DATA").expect("TWEETFLOW_REAL_DATA is not set").into()
}

fn succeed(arguments: &[&str], database: &str) {
    let brokers = service("TEST_KAFKA");
    let output = program(&[arguments, &["--brokers", &brokers]].concat(), database).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The tables of a topic, read to its end.
fn tables(server: Server, topic: &str, more: &[&str]) -> Sql {
    let database = server.fresh_database(&database_name(topic));
    succeed(&[&["run", "--until-end", "--topic", topic], more].concat(), &database);
    Sql::connect(&database)
}

/// Servers take names of at most 64 characters.
fn database_name(topic: &str) -> String {
    let (name, moment) = topic.rsplit_once('-').unwrap();
    let name = name.replace('-', "_").chars().take(28).collect::<String>();
    format!("{name}_{moment}")
}

/// The URL of the database that `tables` has filled.
fn database(server: Server, topic: &str) -> String {
    let base = server.url();
    let (address, _) = base.rsplit_once('/').unwrap();
    format!("{address}/tweetflow_test_{}", database_name(topic))
}

/// Tweets, uses of hashtags, hashtags, users, and the sum of their friend counts.
fn figures(sql: &mut Sql) -> ([usize; 4], i64) {
    let query = "SELECT CAST(COALESCE((SELECT records FROM totals WHERE name = 'tweets'), 0) AS UNSIGNED), \
        CAST(COALESCE(SUM(uses), 0) AS UNSIGNED), COUNT(*), (SELECT COUNT(*) FROM users), \
        (SELECT CAST(COALESCE(SUM(nb_friends), 0) AS SIGNED) FROM users) FROM hashtags";
    let (tweets, uses, hashtags, authors, friends) =
        sql.rows::<(usize, usize, usize, usize, i64)>(query)[0];
    ([tweets, uses, hashtags, authors], friends)
}

fn check(server: Server, data: &Path, name: &str) {
    let stem = Path::new(name).file_stem().unwrap().to_string_lossy().replace('.', "_");
    let topic = fresh_topic(&format!("real-{stem}"));
    let path = data.join(name);
    succeed(&["produce", "--topic", &topic, "--input", path.to_str().unwrap()], "");
    let all = figures(&mut tables(server, &topic, &[]));
    succeed(&["verify", "--topic", &topic], &database(server, &topic));
    let file = name.split_once('/').unwrap().1;
    if let Some((_, [tweets, kept, uses, distinct, uses_of_kept, authors], friends)) =
        V1.iter().find(|(answered, ..)| *answered == file)
    {
        assert_eq!(all, ([*tweets, *uses, *distinct, *authors], *friends), "{name}");
        let mut sql = tables(server, &topic, &["--require-location"]);
        let ([found, found_uses, ..], _) = figures(&mut sql);
        assert_eq!((found, found_uses), (*kept, *uses_of_kept), "{name}");
    } else {
        let (_, [_, tweets, uses, distinct, authors], friends) =
            V2.iter().find(|(answered, ..)| *answered == file).unwrap();
        assert_eq!(all, ([*tweets, *uses, *distinct, *authors], *friends), "{name}");
    }
    if name.ends_with("_compliance.jsonl") {
        let mut sql = Sql::connect(&database(server, &topic));
        let totals = sql.rows::<(String, u64)>("SELECT name, records FROM totals");
        assert_eq!(totals, [("compliance".to_owned(), 2)], "{name}");
    }
}

/// As `produce` reads the file and `run` the topic: the answers are in the database.
fn every_file_gives_its_answers(server: Server) {
    let data = data();
    let first = V1.iter().map(|(name, ..)| format!("v1/{name}"));
    let names = Mutex::new(first.chain(V2.iter().map(|(name, ..)| format!("v2/{name}"))));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let Some(name) = names.lock().unwrap().next() else { break };
                    check(server, &data, &name);
                }
            });
        }
    });
}

/// All files under a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Each string of the list as a shown name and as a hashtag, through the topic: what stands in the
/// tables is what was decoded, byte by byte, and the recount agrees.
fn naughty_strings_travel_whole(server: Server) {
    let data = data();
    let list = std::fs::read(data.join("adversarial/blns.json")).unwrap();
    let strings: Vec<String> = serde_json::from_slice(&list).unwrap();
    let (topic, mut lines) = (fresh_topic("naughty"), String::new());
    let (mut names, mut tags) = (BTreeMap::new(), BTreeMap::<String, u64>::new());
    for (id, text) in (1_u64..).zip(&strings) {
        let record = serde_json::json!({
            "id": id, "text": "", "entities": {"hashtags": [{"text": text}]},
            "user": {"id": id, "name": text, "friends_count": 1},
        });
        let record = record.to_string();
        let mut events = Vec::new();
        let version = types::Version::default();
        if decode(None, Some(record.as_bytes()), version, DecodeSettings::default(), &mut events)
            .is_ok()
        {
            let Some(types::Event::Tweet(tweet)) = events.pop() else { panic!("no tweet") };
            names.insert(id, tweet.user.unwrap().name.to_string());
            *tags.entry(text.clone()).or_default() += 1;
        }
        lines.push_str(&record);
        lines.push('\n');
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines).unwrap();
    succeed(&["produce", "--topic", &topic, "--input", file.path().to_str().unwrap()], "");
    let mut sql = tables(server, &topic, &[]);
    let users = sql.rows::<(u64, String)>("SELECT user_id, username FROM users");
    assert_eq!(users.into_iter().collect::<BTreeMap<_, _>>(), names);
    let hashtags = sql.rows::<(String, u64)>("SELECT hashtag, uses FROM hashtags");
    assert_eq!(hashtags.into_iter().collect::<BTreeMap<_, _>>(), tags);
    let letters = sql.rows::<usize>("SELECT COUNT(*) FROM dead_letters WHERE reason = 'hashtag'");
    assert_eq!(letters, [strings.len() - names.len()]);
    assert!(names.len() > 100, "{} of {}", names.len(), strings.len());
    succeed(&["verify", "--topic", &topic], &database(server, &topic));
}

/// What the decoder refuses, between real tweets: each record is one row with a reason, and the
/// other tables are what they are without them.
fn hostile_records_are_dead_letters_and_nothing_else(server: Server) {
    let data = data();
    let (clean, topic) = (fresh_topic("clean"), fresh_topic("hostile"));
    let tweets = data.join("v1/twut_10.jsonl");
    for target in [&clean, &topic] {
        succeed(&["produce", "--topic", target, "--input", tweets.to_str().unwrap()], "");
    }
    let expected = figures(&mut tables(server, &clean, &[]));
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", service("TEST_KAFKA"));
    let producer: BaseProducer = config.create().unwrap();
    let mut hostile = 0;
    for path in files(&data.join("adversarial")).into_iter().chain(files(&data.join("v1"))) {
        let bytes = std::fs::read(&path).unwrap();
        let refused = decode(
            None,
            Some(&bytes),
            types::Version::default(),
            DecodeSettings::default(),
            &mut Vec::new(),
        );
        // The broker takes a megabyte; whole files of many lines are no records anyway.
        if refused.is_err() && bytes.len() < 900_000 {
            hostile += 1;
            producer.send(BaseRecord::<(), _>::to(&topic).payload(&bytes)).unwrap();
        }
    }
    producer.flush(Duration::from_secs(20)).unwrap();
    let mut sql = tables(server, &topic, &[]);
    assert_eq!(figures(&mut sql), expected);
    let letters = "SELECT COUNT(*), COUNT(DISTINCT reason) FROM dead_letters \
        WHERE reason <> '' AND detail <> ''";
    let (rows, reasons) = sql.rows::<(u64, u64)>(letters)[0];
    assert!(hostile > 200 && rows == hostile && reasons >= 2, "{rows} of {hostile}, {reasons}");
}

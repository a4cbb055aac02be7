//! Real tweets and hostile input through the decoder, and a plain sequential model behind it.
//!
//! The data is not in this repository: `TWEETFLOW_REAL_DATA` names its folder, and CI sets it.
//! These tests are ignored unless asked for, so that a run without the data does not look as if
//! they had passed: `cargo test --test it -- --ignored real_`. The figures were counted by another
//! program; what this catches is a rule that real data does not follow, and a panic, which would
//! end the process again at every start.

use crate::common::answers::{V1, V2};
use decode::decode;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use types::Version;
use types::event::EventKind;
use types::settings::DecodeSettings;
use types::{Event, Text};

/// The folder. Its absence is a failure: these tests run only where they are asked for.
fn data() -> PathBuf {
    std::env::var_os("TWEETFLOW_REAL_DATA").expect("TWEETFLOW_REAL_DATA is not set").into()
}

/// All files under a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    assert!(!found.is_empty(), "{}", folder.display());
    found
}

/// The records of a file: one value, an array of them, or values one after the other. What is no
/// JSON at the end is a record too.
fn records(path: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    if bytes.starts_with(b"[") {
        let values: Vec<Value> = serde_json::from_slice(&bytes).unwrap();
        return values.iter().map(|value| value.to_string().into_bytes()).collect();
    }
    let mut values = serde_json::Deserializer::from_slice(&bytes).into_iter::<IgnoredAny>();
    let (mut records, mut from) = (Vec::new(), 0);
    while values.next().is_some_and(|value| value.is_ok()) {
        records.push(bytes[from..values.byte_offset()].to_vec());
        from = values.byte_offset();
    }
    let rest = &bytes[from..];
    if !rest.trim_ascii().is_empty() {
        records.push(rest.to_vec());
    }
    records
}

fn decoded(
    record: &[u8],
    offset: usize,
    settings: DecodeSettings,
) -> Result<Vec<Event>, &'static str> {
    let mut events = Vec::new();
    let version = Version { offset: offset as u64, ..Version::default() };
    let result = decode(None, Some(record), version, settings, &mut events);
    assert_eq!(events.is_empty(), result.is_err(), "all events or none");
    result.map(|()| events).map_err(|fault| fault.reason())
}

/// The tables as a plain loop makes them.
#[derive(Default)]
struct Model {
    tweets: usize,
    hashtags: BTreeMap<Text, usize>,
    users: BTreeMap<u64, (Version, i64)>,
    kinds: BTreeMap<&'static str, usize>,
    dead: BTreeMap<&'static str, usize>,
}

impl Model {
    fn of(records: &[Vec<u8>], require_location: bool) -> Model {
        let settings = DecodeSettings { require_location, ..DecodeSettings::default() };
        let mut model = Model::default();
        for (offset, record) in records.iter().enumerate() {
            match decoded(record, offset, settings) {
                Ok(events) => events.into_iter().for_each(|event| model.add(event)),
                Err(reason) => *model.dead.entry(reason).or_default() += 1,
            }
        }
        model
    }

    fn add(&mut self, event: Event) {
        *self.kinds.entry(event.kind().name()).or_default() += 1;
        let (version, user) = match event {
            Event::Tweet(tweet) => {
                self.tweets += 1;
                for tag in tweet.hashtags {
                    *self.hashtags.entry(tag).or_default() += 1;
                }
                (tweet.version, tweet.user)
            }
            Event::User(version, user) => (version, Some(user)),
            Event::Delete { .. } | Event::Other(_) => return,
        };
        if let Some(user) = user {
            let newest = self.users.entry(user.id).or_default();
            *newest = (*newest).max((version, user.friends.unwrap()));
        }
    }

    fn uses(&self) -> usize {
        self.hashtags.values().sum()
    }

    fn friends(&self) -> i64 {
        self.users.values().map(|(_, friends)| friends).sum()
    }
}

#[test]
#[ignore = "real tweets: TWEETFLOW_REAL_DATA names their folder"]
fn tweets_of_the_first_api_give_their_answers() {
    let data = data();
    for (file, answers, friends) in V1 {
        let records = records(&data.join("v1").join(file));
        assert_eq!(records.len(), answers[0], "{file}");
        let (all, kept) = (Model::of(&records, false), Model::of(&records, true));
        let found =
            [all.tweets, kept.tweets, all.uses(), all.hashtags.len(), kept.uses(), all.users.len()];
        assert_eq!((found, all.friends()), (*answers, *friends), "{file}");
        assert!(all.dead.is_empty(), "{file}: {:?}", all.dead);
        assert_eq!(kept.kinds.get("filtered").copied().unwrap_or(0), answers[0] - answers[1]);
    }
}

#[test]
#[ignore = "real tweets: TWEETFLOW_REAL_DATA names their folder"]
fn tweets_of_the_second_api_give_their_answers() {
    let data = data();
    for (file, answers, friends) in V2 {
        let records = records(&data.join("v2").join(file));
        let all = Model::of(&records, false);
        let (uses, distinct) = (all.uses(), all.hashtags.len());
        // The dump of a stream ends with half a record.
        let dead = usize::from(file.ends_with("_with_error.jsonl"));
        let found = [records.len() - dead, all.tweets, uses, distinct, all.users.len()];
        assert_eq!((found, all.friends()), (*answers, *friends), "{file}");
        assert_eq!(all.dead.get("json").copied().unwrap_or(0), dead, "{file}");
        assert_eq!(all.dead.len(), dead, "{file}: {:?}", all.dead);
        let kept = Model::of(&records, true);
        let filtered = kept.kinds.get("filtered").copied().unwrap_or(0);
        assert_eq!(kept.tweets + filtered, all.tweets, "{file}");
        assert_eq!(kept.users, all.users, "{file}: the filter is about tweets");
    }
    let compliance = data.join("v2/twarc-csv/tweets_compliance.jsonl");
    let kinds = Model::of(&records(&compliance), false).kinds;
    assert_eq!(kinds, BTreeMap::from([("compliance", 2)]));
}

/// Every other file of tweets is decoded, every file of another format is refused for its shape.
#[test]
#[ignore = "real tweets: TWEETFLOW_REAL_DATA names their folder"]
fn other_formats_end_in_dead_letters() {
    /// Posts that are made or edited in the recordings of Bluesky; the rest is counted by kind.
    const POSTS: [(&str, usize); 2] = [("jetstream_golden", 1), ("jetstream_expected", 17)];
    let data = data();
    for file in files(&data.join("v1")).into_iter().chain(files(&data.join("bluesky"))) {
        let name = file.to_string_lossy();
        let is_foreign = name.contains("activity_streams") || name.contains("manifest");
        let records = records(&file);
        let model = Model::of(&records, false);
        if let Some((_, posts)) = POSTS.iter().find(|(part, _)| name.contains(part)) {
            assert_eq!((model.tweets, model.dead.len()), (*posts, 0), "{name}");
        } else if is_foreign {
            assert_eq!(model.dead, BTreeMap::from([("shape", records.len())]), "{name}");
        } else {
            assert_eq!((model.tweets, model.dead.len()), (records.len(), 0), "{name}");
        }
    }
    let broken = data.join("adversarial/tweet-updates_compatibility_classic_13995.BROKEN.json");
    assert_eq!(decoded(&std::fs::read(broken).unwrap(), 0, DecodeSettings::default()), Err("json"));
    let fields = [("activity_streams_missing", "shape"), ("format_missing_user", "shape")];
    for file in files(&data.join("adversarial")) {
        let name = file.to_string_lossy();
        if !name.contains("tweet_parser") {
            continue;
        }
        let found = decoded(&std::fs::read(&file).unwrap(), 0, DecodeSettings::default()).err();
        let expected = fields.iter().find(|(part, _)| name.contains(part)).map(|(_, it)| *it);
        assert_eq!(found, expected, "{name}");
    }
}

/// Recorded answers of many end points, as they stand in a cassette and taken out of it.
#[test]
#[ignore = "real tweets: TWEETFLOW_REAL_DATA names their folder"]
fn every_answer_of_the_second_api_is_understood() {
    let data = data();
    for record in records(&data.join("v2/tweepy_v2_responses.ndjson")) {
        assert_eq!(
            decoded(&record, 0, DecodeSettings::default()),
            Err("shape"),
            "the cassette's own"
        );
        let answer: Value = serde_json::from_slice(&record).unwrap();
        let body = answer["body"].to_string();
        match decoded(body.as_bytes(), 0, DecodeSettings::default()) {
            Ok(events) => assert!(!events.is_empty()),
            Err(reason) => panic!("{reason}: {body}"),
        }
    }
}

/// What must be JSON is never called broken, what must not be always is; nothing else matters here.
#[test]
#[ignore = "real tweets: TWEETFLOW_REAL_DATA names their folder"]
fn broken_json_is_called_so() {
    let data = data();
    for file in files(&data.join("adversarial/JSONTestSuite")) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&file).unwrap();
        let is_broken =
            |payload: &[u8]| decoded(payload, 0, DecodeSettings::default()) == Err("json");
        let whole = is_broken(&bytes);
        // Blank ones are no fault, and some can mean one thing only.
        let mut events = Vec::new();
        let found =
            decode(None, Some(&bytes), Version::default(), DecodeSettings::default(), &mut events);
        let is_nothing = found.is_err() || events == [Event::Other(EventKind::KeepAlive)];
        // The same inside a tweet, in an unread field.
        let inside =
            is_broken(&[br#"{"id":1,"text":"","user":{"id":2},"x":"#, &bytes[..], b"}"].concat());
        match &name[..2] {
            "y_" => assert!(!whole && !inside, "{name}"),
            "n_" => assert!(is_nothing, "{name}"),
            _ => {}
        }
    }
}

fn tweet(name: &str, hashtag: &str) -> Vec<u8> {
    let entities = json!({"hashtags": [{"text": hashtag}]});
    let user = json!({"id": 2, "name": name});
    json!({"id": 1, "text": "", "user": user, "entities": entities}).to_string().into_bytes()
}

#[test]
#[ignore = "real tweets: TWEETFLOW_REAL_DATA names their folder"]
fn naughty_strings_are_names_and_hashtags_or_say_why_not() {
    let data = data();
    let list = std::fs::read(data.join("adversarial/blns.json")).unwrap();
    let list: Vec<String> = serde_json::from_slice(&list).unwrap();
    for text in list {
        match decoded(&tweet(&text, &text), 0, DecodeSettings::default()).as_deref() {
            Ok([Event::Tweet(tweet)]) => {
                assert_eq!(tweet.hashtags, [&*text]);
                let name = &tweet.user.as_ref().unwrap().name;
                assert!(!name.trim().is_empty(), "{text:?}");
            }
            Err(&"hashtag") => {
                let is_key = |c: char| !c.is_whitespace() && !c.is_control();
                let can_be_key = !text.is_empty() && text.chars().all(is_key);
                assert!(!can_be_key || text.chars().count() > 255, "{text:?}");
            }
            other => panic!("{text:?}: {other:?}"),
        }
        // As a text without entities it may hold anything.
        let json = json!({"id": 1, "text": text, "user": {"id": 2}}).to_string();
        assert!(decoded(json.as_bytes(), 0, DecodeSettings::default()).is_ok(), "{text:?}");
    }
}

fn shown(name: &str) -> String {
    let events = decoded(&tweet(name, "x"), 0, DecodeSettings::default());
    match events.as_deref() {
        Ok([Event::Tweet(tweet)]) => tweet.user.as_ref().unwrap().name.to_string(),
        other => panic!("{name:?}: {other:?}"),
    }
}

/// Every row of Unicode's own list goes, alone and between letters, and the letters stay.
#[test]
#[ignore = "real tweets: TWEETFLOW_REAL_DATA names their folder"]
fn every_emoji_goes_from_names() {
    let data = data();
    let list = std::fs::read_to_string(data.join("unicode/emoji-test.txt")).unwrap();
    let rows = list.lines().filter(|line| !line.starts_with('#') && line.contains(';'));
    let mut count = 0;
    for row in rows {
        let points = row.split(';').next().unwrap().split_whitespace();
        let emoji: String = points
            .map(|point| char::from_u32(u32::from_str_radix(point, 16).unwrap()).unwrap())
            .collect();
        assert_eq!(shown(&emoji), "No name", "{row}");
        assert_eq!(shown(&format!("東{emoji}京 a{emoji}é")), "東京 aé", "{row}");
        count += 1;
    }
    assert_eq!(count, 4_733);
}

/// No letter of any script goes, except those few that Unicode also calls emoji.
#[test]
fn letters_stay_in_names() {
    let mut gone = Vec::new();
    for c in ('\u{80}'..=char::MAX).filter(|c| c.is_alphabetic()) {
        if shown(&format!("x{c}")) != format!("x{c}") {
            gone.push(c);
        }
    }
    assert_eq!(gone, expected_gone());
}

/// Information source, circled M and the squared letters of blood groups and parking.
fn expected_gone() -> Vec<char> {
    vec!['ℹ', 'Ⓜ', '🅰', '🅱', '🅾', '🅿']
}

/// The service's own cases. The file is YAML of one simple kind: quoted strings and lists of them,
/// which are JSON but for one escape.
#[test]
#[ignore = "real tweets: TWEETFLOW_REAL_DATA names their folder"]
fn hashtags_in_texts_are_those_of_the_service() {
    let data = data();
    let file = std::fs::read_to_string(data.join("hashtags/extract.yml")).unwrap();
    let mut is_meant = false;
    let mut cases = Vec::<(String, Vec<String>)>::new();
    for line in file.lines() {
        let Some((key, value)) = line.trim_start_matches([' ', '-']).split_once(':') else {
            continue;
        };
        match (key, value.trim()) {
            (section, "") if section != "expected" => is_meant = section.starts_with("hashtags"),
            _ if !is_meant => {}
            ("text", text) => cases.push((yaml(text), Vec::new())),
            ("expected", list) if !list.is_empty() => cases.last_mut().unwrap().1 = yaml(list),
            ("hashtag", tag) => cases.last_mut().unwrap().1.push(yaml(tag)),
            _ => {}
        }
    }
    assert_eq!(cases.len(), 76, "65 cases, 3 beyond the first plane, 8 with indices");
    for (text, expected) in cases {
        let json = json!({"id": 1, "text": text, "user": {"id": 2}}).to_string();
        match decoded(json.as_bytes(), 0, DecodeSettings::default()).as_deref() {
            Ok([Event::Tweet(tweet)]) => {
                let found: Vec<_> = tweet.hashtags.iter().map(ToString::to_string).collect();
                assert_eq!(found, expected, "{text:?}");
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }
}

/// A quoted string or a list of them: JSON, but that `\U` and eight digits are a character.
fn yaml<T: serde::de::DeserializeOwned>(text: &str) -> T {
    let mut parts = text.split("\\U");
    let mut json = parts.next().unwrap().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at(8);
        json.push(char::from_u32(u32::from_str_radix(digits, 16).unwrap()).unwrap());
        json.push_str(rest);
    }
    serde_json::from_str(&json).unwrap()
}

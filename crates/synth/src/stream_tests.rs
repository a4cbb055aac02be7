//! The stream with deletes and repeats, looked at from outside.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::*;
use types::Event;
use types::Version;
use types::event::EventKind as TweetKind;
use types::snowflake::EPOCH_MS;

const COUNT: u64 = 20_000;
/// Records of the slow stream within which lies what is about a tweet, and that tweet.
const FAR: u64 = 513;

fn synthetic(deletes: &str, repeats: &str) -> Synthetic {
    Synthetic::new(1).with(deletes.parse().unwrap(), repeats.parse().unwrap())
}

/// So slow that the far ways are short in records.
fn slow() -> Synthetic {
    synthetic("5%", "2%").at_rate(10.0)
}

#[derive(PartialEq, Eq, Debug)]
enum RecordKind {
    Tweet,
    Repeat,
    Notice,
    Tombstone,
}

/// One record: the tweet that it is or is about, where that is in the stream, and whether the key
/// is that tweet's id.
struct Seen {
    kind: RecordKind,
    at: u64,
    of: u64,
    keyed_by_id: bool,
}

fn record(synthetic: &Synthetic, index: u64) -> (u64, Vec<u8>) {
    let mut payload = Vec::new();
    (synthetic.record(index, &mut payload), payload)
}

/// The first id of a line: of the tweet that it is or deletes.
fn id(line: &[u8]) -> u64 {
    let line = std::str::from_utf8(line).unwrap();
    let rest = line.split("\"id_str\":\"").nth(1).unwrap();
    rest[..rest.find('"').unwrap()].parse().unwrap()
}

/// The first records of the slow stream. Of the last ones only the tweets, so that every tweet that
/// something is about is there.
fn seen() -> Vec<Seen> {
    let synthetic = slow();
    let records: Vec<_> = (0..COUNT).map(|index| record(&synthetic, index)).collect();
    let mut tweets = HashMap::new();
    let mut all = Vec::new();
    for (at, (key, payload)) in (0..).zip(&records) {
        let id = if payload.is_empty() { *key } else { id(payload) };
        let kind = if payload.is_empty() {
            RecordKind::Tombstone
        } else if payload.starts_with(b"{\"delete\":") {
            RecordKind::Notice
        } else if let Some(of) = tweets.insert(id, at) {
            // The first of several is the tweet.
            tweets.insert(id, of);
            assert_eq!(payload, &records[usize::try_from(of).unwrap()].1);
            RecordKind::Repeat
        } else {
            let mut tweet = Vec::new();
            assert_eq!((synthetic.tweet(at, &mut tweet), &tweet), (*key, payload));
            RecordKind::Tweet
        };
        all.push((kind, at, id, *key == id));
    }
    let is_whole =
        |kind: &RecordKind, at: u64| *kind == RecordKind::Tweet || at < COUNT - FAR - 100;
    let whole = all.into_iter().filter(|(kind, at, ..)| is_whole(kind, *at));
    whole
        .map(|(kind, at, id, keyed_by_id)| Seen { kind, at, of: tweets[&id], keyed_by_id })
        .collect()
}

#[test]
fn deletes_and_repeats_are_about_tweets_of_the_stream_and_as_many_as_asked() {
    let records = seen();
    let count = |wanted: &dyn Fn(&Seen) -> bool| {
        u32::try_from(records.iter().filter(|seen| wanted(seen)).count()).unwrap()
    };
    let is_delete = |seen: &Seen| matches!(seen.kind, RecordKind::Notice | RecordKind::Tombstone);
    let is_repeat = |seen: &Seen| seen.kind == RecordKind::Repeat;
    let tweets = count(&|seen| seen.kind == RecordKind::Tweet);
    let (deletes, repeats) = (count(&is_delete), count(&is_repeat));
    for (what, part, whole, expected) in [
        ("deletes", deletes, tweets, 0.05),
        ("repeats", repeats, tweets, 0.02),
        ("ahead", count(&|seen| is_delete(seen) && seen.of > seen.at), deletes, 0.15),
        ("tombstones", count(&|seen| seen.kind == RecordKind::Tombstone), deletes, 0.05),
        ("elsewhere", count(&|seen| is_delete(seen) && !seen.keyed_by_id), deletes, 0.2375),
        ("elsewhere again", count(&|seen| is_repeat(seen) && !seen.keyed_by_id), repeats, 0.25),
    ] {
        let share = f64::from(part) / f64::from(whole);
        // Three times the standard deviation.
        let error = 3.0 * (expected / f64::from(whole)).sqrt();
        assert!((share - expected).abs() < error, "{what}: {part} of {whole}");
    }
    assert!(records.iter().all(|seen| seen.of.abs_diff(seen.at) < FAR + 100));
    assert!(records.iter().all(|seen| !is_repeat(seen) || seen.of < seen.at));
    // A tweet has a key of its own, and so has a tombstone, which has nothing else.
    let has_others = |seen: &Seen| matches!(seen.kind, RecordKind::Repeat | RecordKind::Notice);
    assert!(records.iter().all(|seen| seen.keyed_by_id || has_others(seen)));
}

#[test]
fn the_ways_are_from_at_once_to_tens_of_seconds() {
    let synthetic = synthetic("5%", "0");
    let (mut ways, mut line) = ([0; 4], Vec::new());
    for index in (0..400_000).filter(|index| !synthetic.is_tweet(*index)) {
        line.clear();
        synthetic.record(index, &mut line);
        if line.is_empty() {
            continue;
        }
        let notice: Value = serde_json::from_slice(&line).unwrap();
        let now_ms: u64 = notice["delete"]["timestamp_ms"].as_str().unwrap().parse().unwrap();
        let way_ms = now_ms.abs_diff((id(&line) >> 22) + EPOCH_MS);
        assert!(way_ms <= FAR_MS);
        let class = [100, 1_000, 10_000].iter().filter(|limit| way_ms >= **limit).count();
        ways[class] += 1;
    }
    // Below 0.1 s, below 1 s, below 10 s, and longer.
    assert!(ways.iter().all(|count| *count > 500), "{ways:?}");
}

#[test]
fn a_delete_has_the_form_of_the_first_api_and_is_understood() {
    let synthetic = slow();
    let (mut notices, mut tombstones) = (0, 0);
    for index in (0..5_000).filter(|index| matches!(synthetic.role(*index), Role::Delete(_))) {
        let (key, line) = record(&synthetic, index);
        let (digits, version, mut events) = (key.to_string(), Version::default(), Vec::new());
        let payload = Some(&*line).filter(|line| !line.is_empty());
        let settings = types::settings::DecodeSettings::default();
        decode::decode(Some(digits.as_bytes()), payload, version, settings, &mut events).unwrap();
        let [Event::Delete { version: Version { tweet_id, .. }, kind, .. }] = events[..] else {
            panic!("{events:?}")
        };
        if line.is_empty() {
            assert_eq!((kind, tweet_id), (TweetKind::Tombstone, key));
            tombstones += 1;
            continue;
        }
        let notice: Value = serde_json::from_slice(&line).unwrap();
        let user = notice["delete"]["status"]["user_id"].as_u64().unwrap();
        let (_, posted_ms) = synthetic.clock.snowflake(index, &mut Draw::new(0, Of::Tweet, 0));
        let expected = json!({"delete": {"timestamp_ms": posted_ms.to_string(), "status": {
            "id": tweet_id, "id_str": tweet_id.to_string(),
            "user_id": user, "user_id_str": user.to_string()}}});
        assert_eq!((kind, notice), (TweetKind::Delete, expected));
        assert!(key == tweet_id || key == user);
        notices += 1;
    }
    assert!(notices > 150 && tombstones > 2, "{notices} {tombstones}");
}

#[test]
fn a_record_depends_on_nothing_but_its_index() {
    let all: Vec<_> = (0..2_000).map(|index| record(&slow(), index)).collect();
    let one = slow();
    for index in (0..2_000).rev() {
        assert!(record(&one, index) == all[usize::try_from(index).unwrap()], "{index}");
    }
    for other in [synthetic("5%", "3%").at_rate(10.0), synthetic("5%", "2%").at_rate(20.0)] {
        assert!((0..2_000).any(|index| record(&one, index) != record(&other, index)));
        assert_ne!(one.identity(), other.identity());
    }
    assert_eq!(one.identity(), slow().identity());
}

#[test]
fn no_share_is_too_large_or_too_small() {
    let all = synthetic("100%", "100%");
    let tweets = (0..3_000).filter(|index| all.is_tweet(*index)).count();
    assert!((900..1_100).contains(&tweets), "{tweets}");
    for index in (0..300).chain(u64::MAX - 300..=u64::MAX) {
        record(&all, index);
        record(&synthetic("100%", "0").at_rate(1e-9), index);
    }
    let none = synthetic("0", "0%").at_rate(10.0);
    assert!((0..300).all(|index| none.is_tweet(index)));
    assert_eq!((none.identity(), &*none.arguments()), (1, "--synthetic --seed 1"));
}

#[test]
fn shares_are_written_in_percent() {
    for (text, millionths, shown) in [
        ("5%", 50_000, "5%"),
        ("5", 50_000, "5%"),
        ("0", 0, "0%"),
        ("0.25%", 2_500, "0.25%"),
        ("100%", 1_000_000, "100%"),
    ] {
        let share: Share = text.parse().unwrap();
        assert_eq!((share.0, &*share.to_string()), (millionths, shown));
    }
    for text in ["", "%", "-1%", "101%", "NaN", "5%%", "5 per cent"] {
        assert!(text.parse::<Share>().is_err(), "{text}");
    }
}

//! Golden rows of every form, and the rules one by one.
//!
//! A change of a golden row raises [`VERSION`].

use super::{ACCEPTS, Undecodable, VERSION, decode};
use std::fmt::Write;
use types::Event;
use types::Version;
use types::event::{EventKind, Tweet, User};
use types::settings::{DecodeSettings, Names, Retweets};

/// Its record is of 2026-11-23 09:01, minute 29,923,741.
const PLACE: Version =
    Version { tweet_id: 0, record_ms: 1_795_424_460_000, partition: 1, offset: 2 };
pub(super) const LOCATED: DecodeSettings =
    DecodeSettings { require_location: true, names: Names::Clean, retweets: Retweets::AsSent };

fn decoded_with(json: &str, settings: DecodeSettings) -> Result<Vec<Event>, Undecodable> {
    let mut events = Vec::new();
    decode(None, Some(json.as_bytes()), PLACE, settings, &mut events)?;
    Ok(events)
}

fn decoded(json: &str) -> Result<Vec<Event>, Undecodable> {
    decoded_with(json, DecodeSettings::default())
}

/// One event a line; a fault as its reason and text.
pub(super) fn golden_with(json: &str, settings: DecodeSettings) -> String {
    let events = match decoded_with(json, settings) {
        Ok(events) => events,
        Err(fault) => return format!("{}: {fault}", fault.reason()),
    };
    let mut lines = String::new();
    for event in events {
        match event {
            Event::Tweet(tweet) => {
                let Tweet { version, time, hashtags, user, replaces, .. } = tweet;
                write!(lines, "tweet {} {time:?} {hashtags:?}", version.tweet_id).unwrap();
                if !replaces.is_empty() {
                    write!(lines, " instead of {replaces:?}").unwrap();
                }
                assert_eq!(Version { tweet_id: 0, ..version }, PLACE);
                if let Some(user) = user {
                    write!(lines, " by {}", shown(&user)).unwrap();
                }
            }
            Event::User(version, user) => {
                assert_eq!(Version { tweet_id: 0, ..version }, PLACE);
                write!(lines, "user {} as of {}", shown(&user), version.tweet_id).unwrap();
            }
            Event::Delete { version, kind, .. } => {
                assert_eq!(Version { tweet_id: 0, ..version }, PLACE);
                write!(lines, "{} {}", kind.name(), version.tweet_id).unwrap();
            }
            Event::Other(kind) => lines.push_str(kind.name()),
        }
        lines.push('\n');
    }
    lines
}

fn shown(user: &User) -> String {
    format!("{} {:?} {:?} {:?}", user.id, user.name, user.friends, user.followers)
}

pub(super) fn golden(json: &str) -> String {
    golden_with(json, DecodeSettings::default())
}

#[test]
fn golden_rows_belong_to_a_version() {
    assert_eq!((VERSION, ACCEPTS), (4, 2));
}

/// Of each version the ones before it; what comes later says so itself.
#[test]
fn an_edited_tweet_names_its_earlier_versions() {
    let history = r#""edit_history_tweet_ids":["1","2","3"]"#;
    let flat = |id: u64| format!(r#"{{"id":"{id}","text":"","author_id":"7",{history}}}"#);
    let page = format!(r#"{{"data":[{},{}]}}"#, flat(3), flat(2));
    let edits = r#""edit_history":{"initial_tweet_id":"1","edit_tweet_ids":["1","2"]}"#;
    let first = format!(r#"{{"id":2,"text":"",{edits},"entities":{{}},"user":{{"id":7}}}}"#);
    let instead = |json: &str| {
        let lines = golden(json);
        let ids = lines.lines().filter_map(|line| line.split_once(" instead of "));
        ids.map(|(_, ids)| ids.split(" by ").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(instead(&page), ["[1, 2]", "[1]"]);
    assert_eq!((instead(&flat(3)), instead(&flat(1))), (vec!["[1, 2]".to_owned()], vec![]));
    assert_eq!(instead(&first), ["[1, 1]"]);
    // A history that says nothing refuses nothing.
    for odd in ["7", "{}", "null", r#"{"a":1}"#, r#"[null,"x"]"#] {
        let flat = flat(3).replace(r#"["1","2","3"]"#, odd);
        assert!(golden(&flat).starts_with("tweet 3 ") && instead(&flat).is_empty(), "{odd}");
    }
}

/// A tweet of the first API, with everything around it that must not be looked at.
const V1: &str = r##"{"created_at":"Mon Nov 23 09:00:00 +0000 2026","id":1993,"id_str":"9007199254740993",
    "text":"#Rust and #text \ud83e\udd80","truncated":false,
    "entities":{"hashtags":[{"text":"Rust","indices":[0,5]},{"text":"r\u00fcst","indices":[10,15]}]},
    "retweeted_status":{"id":1,"entities":{"hashtags":[{"text":"other"}]}},
    "user":{"id":7,"id_str":"7","name":"Ada \ud83e\udd80","location":null,"friends_count":-1}}"##;

#[test]
fn a_tweet_of_the_first_api() {
    insta::assert_snapshot!(golden(V1), @r#"tweet 9007199254740993 Own(29923740) ["Rust", "rüst"] by 7 "Ada" Some(-1) None"#);
    insta::assert_snapshot!(golden_with(V1, LOCATED), @"filtered");
    let legacy = DecodeSettings { names: Names::Legacy, ..DecodeSettings::default() };
    let kept = V1.replace("\"Ada ", "\"s 東");
    insta::assert_snapshot!(golden_with(&kept, legacy), @r#"tweet 9007199254740993 Own(29923740) ["Rust", "rüst"] by 7 "s 🦀" Some(-1) None"#);
}

#[test]
fn a_truncated_tweet_has_its_hashtags_in_the_extended_form() {
    let tweet = |truncated: &str, own: &str, extended: &str| {
        golden(
            &format!(
                r#"{{"id":1,"user":{{"id":2}},{truncated}"text":"\#t","entities":{own},
            "extended_tweet":{{"full_text":"\#f \#g","entities":{extended}}}}}"#
            )
            .replace("\\#", "#"),
        )
    };
    let (own, extended) =
        (r#"{"hashtags":[{"text":"a"}]}"#, r#"{"hashtags":[{"text":"a"},{"text":"b"}]}"#);
    for (truncated, entities, whole, expected) in [
        (r#""truncated":true,"#, own, extended, r#"["a", "b"]"#),
        (r#""truncated":"true","#, own, extended, r#"["a", "b"]"#),
        // A projection left it out.
        ("", own, extended, r#"["a", "b"]"#),
        (r#""truncated":null,"#, own, extended, r#"["a", "b"]"#),
        // It says that its own are all.
        (r#""truncated":false,"#, own, extended, r#"["a"]"#),
        (r#""truncated":false,"#, "null", extended, r#"["a", "b"]"#),
        // Its own are cut, the whole text is not.
        (r#""truncated":true,"#, own, "null", r#"["f", "g"]"#),
        (r#""truncated":true,"#, "null", "null", r#"["f", "g"]"#),
        ("", "{}", "{}", r#"["f", "g"]"#),
        (r#""truncated":false,"#, r#"{"urls":[]}"#, "null", "[]"),
    ] {
        let expected = format!("tweet 1 Record(29923741) {expected}\n");
        assert_eq!(tweet(truncated, entities, whole), expected, "{truncated} {entities} {whole}");
    }
}

#[test]
fn a_tweet_without_entities_has_its_hashtags_in_the_text() {
    for (json, expected) in [
        (r#"{"id":1,"user":{"id":2},"text":"see #a & #b, &#39; #1"}"#, r#"["a", "b"]"#),
        (
            r##"{"id":1,"user":{"id":2},"text":"#a","full_text":"#a #c","entities":null}"##,
            r#"["a", "c"]"#,
        ),
        (r##"{"id":1,"user":{"id":2},"text":"#a","entities":{"hashtags":[]}}"##, "[]"),
        (r#"{"id":1,"user":{"id":2},"text":"&lt;#a&gt; Q&amp;#b"}"#, r#"["a"]"#),
        (r#"{"id":1,"user":{"id":2},"text":"x"}"#, "[]"),
    ] {
        let expected = format!("tweet 1 Record(29923741) {expected}\n");
        assert_eq!(golden(json), expected, "{json}");
    }
    let flat = r#"{"id":"1","edit_history_tweet_ids":["1"],"text":"see #a"}"#;
    assert_eq!(golden(flat), "tweet 1 Record(29923741) [\"a\"]\n");
}

/// A search page: two tweets, a referenced one, three users of which one says nothing.
const PAGE: &str = r##"{
    "data":[
        {"id":"9007199254740993","created_at":"2026-11-23T08:58:00.000Z","text":"#text","author_id":"7","public_metrics":{"like_count":1},
         "entities":{"hashtags":[{"start":0,"end":5,"tag":"Rust"},{"start":6,"end":9,"tag":"Rust"}]}},
        {"id":"12","text":"no entities: none asked for, or no #hashtags","author_id":"8","withheld":{}}],
    "includes":{
        "tweets":[{"id":"9007199254740999","text":"#other","entities":{"hashtags":[{"tag":"other"}]}}],
        "users":[
            {"id":"7","name":"Ada 🦀","location":"London","entities":{"description":{"hashtags":[{"tag":"x"}]}},
             "public_metrics":{"followers_count":3,"following_count":2,"tweet_count":1}},
            {"id":"8","name":"Ben"},
            {"id":"9","name":"mentioned","public_metrics":{"following_count":0}}]},
    "errors":[{"title":"Not Found Error"}],
    "meta":{"result_count":2}}"##;

#[test]
fn a_page_of_the_second_api() {
    insta::assert_snapshot!(golden(PAGE), @r#"
    tweet 9007199254740993 Own(29923738) ["Rust", "Rust"]
    tweet 12 Record(29923741) ["hashtags"]
    user 7 "Ada" Some(2) Some(3) as of 9007199254740993
    user 9 "mentioned" Some(0) None as of 9007199254740993
    "#);
    // The filter leaves out tweets, not users.
    insta::assert_snapshot!(golden_with(PAGE, LOCATED), @r#"
    tweet 9007199254740993 Own(29923738) ["Rust", "Rust"]
    filtered
    user 7 "Ada" Some(2) Some(3) as of 9007199254740993
    user 9 "mentioned" Some(0) None as of 9007199254740993
    "#);
}

#[test]
fn one_tweet_of_the_filtered_stream() {
    let json = r##"{"data":{"id":"5","text":"#a","author_id":"7","entities":{"hashtags":[{"tag":"a"}]}},
        "includes":{"users":[{"id":"7","name":"","public_metrics":{"following_count":1}}]},
        "matching_rules":[{"id":"1","tag":"rule"}]}"##;
    insta::assert_snapshot!(golden(json), @r#"
    tweet 5 Record(29923741) ["a"]
    user 7 "No name" Some(1) None as of 5
    "#);
}

#[test]
fn a_flattened_tweet() {
    let json = r##"{"id":"5","text":"#a","author_id":"7","entities":{"hashtags":[{"tag":"a"}]},
        "author":{"id":"7","name":"Ada","public_metrics":{"following_count":1,"followers_count":4}},
        "in_reply_to_user":{"id":"8","public_metrics":{"following_count":9}},
        "referenced_tweets":[{"type":"quoted","id":"9","author":{"id":"9","public_metrics":{"following_count":9}}}]}"##;
    insta::assert_snapshot!(golden(json), @r#"
    tweet 5 Record(29923741) ["a"]
    user 7 "Ada" Some(1) Some(4) as of 5
    "#);
    insta::assert_snapshot!(golden_with(json, LOCATED), @r#"
    filtered
    user 7 "Ada" Some(1) Some(4) as of 5
    "#);
    insta::assert_snapshot!(golden(r#"{"id":"5","text":"x","author_id":"7"}"#), @"tweet 5 Record(29923741) []");
}

#[test]
fn messages_are_counted_by_kind() {
    for (json, kind) in [
        (r#"{"scrub_geo":{"user_id":1,"up_to_status_id":2}}"#, EventKind::ScrubGeo),
        (r#"{"limit":{"track":1234}}"#, EventKind::Limit),
        (r#"{"status_withheld":{"id":1}}"#, EventKind::StatusWithheld),
        (r#"{"user_withheld":{"id":1}}"#, EventKind::UserWithheld),
        (r#"{"disconnect":{"code":4}}"#, EventKind::Disconnect),
        (r#"{"warning":{"code":"FALLING_BEHIND"}}"#, EventKind::Warning),
        (r#"{"friends":[1]}"#, EventKind::Other),
        (r#"{"friends_str":["1"]}"#, EventKind::Other),
        (r#"{"event":"favorite","source":{"id":1},"target":{"id":2}}"#, EventKind::Other),
        (r#"{"delete":{"direct_message":{"id":1,"user_id":3}}}"#, EventKind::Other),
        (r#"{"data":{"withheld":{"tweet":{"id":"1"}}}}"#, EventKind::StatusWithheld),
        (r#"{"data":{"user_withheld":{"user":{"id":"1"}}}}"#, EventKind::UserWithheld),
        (r#"{"data":{"scrub_geo":{"user":{"id":"1"}}}}"#, EventKind::ScrubGeo),
        (r#"{"data":{"user_suspend":{"user":{"id":"1"}}}}"#, EventKind::Compliance),
        (r#"{"data":{"tweet_edit":{"tweet":{"id":"1"}}}}"#, EventKind::Compliance),
        (
            r#"{"id":"1","action":"delete","created_at":"x","reason":"protected"}"#,
            EventKind::Compliance,
        ),
        (r#"{"data":[{"id":"1","name":"a list","withheld":{}}],"meta":{}}"#, EventKind::Other),
        (r#"{"data":[{"id":"1","public_metrics":{"following_count":1}}]}"#, EventKind::Other),
        (r#"{"data":[{"start":"x","end":"y","tweet_count":1}]}"#, EventKind::Other),
        (r#"{"data":{"id":"1","event_type":"MessageCreate","text":"a letter"}}"#, EventKind::Other),
        (r#"{"data":[],"meta":{"result_count":0}}"#, EventKind::Other),
        (r#"{"meta":{"result_count":0}}"#, EventKind::Other),
        (r#"{"data":null,"errors":[{"title":"x"}]}"#, EventKind::Other),
        (r#"{"data":{"withheld":"yes","tweet_edit":[]}}"#, EventKind::Other),
        (r#"{"id":"1","event_type":"MessageCreate","text":"a letter"}"#, EventKind::Other),
        (r#"{"statuses":[],"search_metadata":{}}"#, EventKind::Other),
        // Somebody's key beside it.
        (r#"{"limit":{"track":1},"meta":{"host":"h"},"errors":[]}"#, EventKind::Limit),
        ("", EventKind::KeepAlive),
        (" \r\n", EventKind::KeepAlive),
        ("null", EventKind::KeepAlive),
        (r#""keep-alive""#, EventKind::KeepAlive),
    ] {
        match decoded(json) {
            Ok(events) => assert_eq!(events, [Event::Other(kind)], "{json}"),
            Err(fault) => panic!("{json}: {fault}"),
        }
    }
}

#[test]
fn a_delete_says_which_tweet() {
    let at = 1_539_202_764_000;
    for (json, tweet_id, own_ms) in [
        (
            r#"{"delete":{"status":{"id":1,"id_str":"9007199254740993","user_id":3}}}"#,
            9_007_199_254_740_993,
            0,
        ),
        (r#"{"delete":{"timestamp_ms":"5","status":{"id":18446744073709551615}}}"#, u64::MAX, 0),
        (r#"{"delete":{"timestamp_ms":"1539202764000","status":{"id":1}}}"#, 1, at),
        (r#"{"delete":{"status":{"id":1},"timestamp_ms":1539202764000}}"#, 1, at),
        (r#"{"delete":{"status":{"id":1},"timestamp_ms":[{"a":1}]}}"#, 1, 0),
        (r#"{"data":{"delete":{"tweet":{"id":"1","author_id":"2"},"event_at":"x"}}}"#, 1, 0),
        (
            r#"{"data":{"delete":{"tweet":{"id":"1"},"event_at":"2018-10-10T20:19:24.000Z"}}}"#,
            1,
            at,
        ),
        (r#"{"data":{"tweet_delete":{"tweet":{"id":"1"}}}}"#, 1, 0),
        (r#"{"delete":{"status":{"id":"1"}}}"#, 1, 0),
        (r#"{"delete":{"status":{"id":{"$numberLong":"1"}}}}"#, 1, 0),
        (r#"{"delete":{"status":{"id":1e3}}}"#, 1000, 0),
        (r#"{"data":{"delete":{"tweet":{"id":1}}}}"#, 1, 0),
        (r#"{"data":{"delete":{"tweet":{"id":"1"}},"id":[]},"meta":[]}"#, 1, 0),
        (r#"{"delete":{"status":{"id":1,"id":2,"\u0069d_str":"3","x":"\ud83d"}}}"#, 3, 0),
        (r#"{"data":{"delete":{"tweet":{"id":"1","id":"2"}},"\n":1}}"#, 2, 0),
    ] {
        let events = decoded(json).map_err(|fault| fault.to_string());
        let version = Version { tweet_id, ..PLACE };
        let delete = Event::Delete { version, kind: EventKind::Delete, own_ms };
        assert_eq!(events, Ok(vec![delete]), "{json}");
    }
    // Which one is not said: counted apart, and nothing is deleted.
    for json in [
        r#"{"delete":{"status":{}}}"#,
        r#"{"delete":{"status":[1]}}"#,
        r#"{"delete":{"status":{"id":"+1"}}}"#,
        r#"{"delete":{"status":{"id":1.05e18}}}"#,
        r#"{"data":{"delete":{"tweet":{"id":1.05e18}}}}"#,
        r#"{"data":{"delete":{"user":{"id":"1"}}}}"#,
    ] {
        let events = decoded(json).map_err(|fault| fault.to_string());
        assert_eq!(events, Ok(vec![Event::Other(EventKind::DeleteWithoutId)]), "{json}");
    }
    let tombstone = |key: Option<&str>| {
        let mut events = Vec::new();
        assert!(decode(key.map(str::as_bytes), None, PLACE, LOCATED, &mut events).is_ok());
        events
    };
    let version = Version { tweet_id: 20, ..PLACE };
    let deleted = Event::Delete { version, kind: EventKind::Tombstone, own_ms: 0 };
    assert_eq!(tombstone(Some("20")), [deleted]);
    for key in [None, Some(""), Some("twenty"), Some("-20"), Some("+20"), Some("\"20\"")] {
        assert_eq!(tombstone(key), [Event::Other(EventKind::TombstoneWithoutId)]);
    }
}

#[test]
fn what_is_no_tweet_has_a_reason() {
    for (json, reason) in [
        ("{", "json"),
        ("hello", "json"),
        (r#"{"id":1,"user":{"id":2},"text":"x"} x"#, "json"),
        (r#"{"id":1,"user":{"id":2},"text":"x"}{"id":2}"#, "json"),
        ("[1,", "json"),
        (r#"{"id":[],"user":{"id":2}"#, "json"),
        ("[]", "shape"),
        ("7", "shape"),
        ("{}", "shape"),
        (r#""{\"id\":1}""#, "shape"),
        (r#"{"id":1}"#, "shape"),
        // A list, and what scrapers write.
        (r#"{"id":1,"user":{"id":2},"name":"a list"}"#, "shape"),
        (r##"{"id":1,"user":{"id":2},"rawContent":"#x"}"##, "shape"),
        (r#"{"id":1,"user":{"id":2},"text":7}"#, "shape"),
        (r#"{"id":1,"user":[],"text":"x"}"#, "shape"),
        (r#"{"id":1,"id_str":"1","user":null,"text":"x"}"#, "shape"),
        (r#"{"id":1,"id_str":"1","full_text":"x"}"#, "shape"),
        (r#"{"id":1,"user":{"id":2},"text":"x","entities":[[]]}"#, "shape"),
        (r#"{"id":1,"user":{"id":2},"text":"x","entities":{"hashtags":[["a"]]}}"#, "shape"),
        (r#"{"id":1,"user":{"id":2},"text":"x","entities":{"hashtags":"a"}}"#, "shape"),
        (r#"{"id":1,"user":{"id":2},"text":"x","extended_tweet":7}"#, "shape"),
        (r#"{"statuses":[{"id":1,"user":{"id":2},"text":"x"},{"id":2}]}"#, "shape"),
        (r#"{"data":7}"#, "shape"),
        (r#"{"data":[7]}"#, "shape"),
        (r#"{"author":"somebody"}"#, "shape"),
        (r#"{"author_id":"1","id":"2"}"#, "shape"),
        (r#"{"delete":{}}"#, "shape"),
        (r#"{"delete":true,"limit":7,"warning":"x","event":{"original":"x"}}"#, "shape"),
        (r#"{"limit":{"ceiling":7},"scrub_geo":{"x":1},"disconnect":{"x":1}}"#, "shape"),
        (r#"{"schema":{"type":"struct"},"payload":{"id":1}}"#, "shape"),
        (r#"{"user":{"id":2},"text":"x"}"#, "id"),
        (r#"{"id":"x","user":{"id":2},"text":"x"}"#, "id"),
        (r#"{"id":-1,"user":{"id":2},"text":"x"}"#, "id"),
        (r#"{"id":1.05e18,"user":{"id":2},"text":"x"}"#, "id"),
        (r#"{"data":{"text":"x"}}"#, "id"),
        (r#"{"data":{"id":"x","text":"x"}}"#, "id"),
        (
            r#"{"id":1,"user":{"id":2},"text":"x","entities":{"hashtags":[{"text":"a b"}]}}"#,
            "hashtag",
        ),
        (r#"{"id":1,"user":{"id":2},"text":"x","entities":{"hashtags":[{"text":""}]}}"#, "hashtag"),
        (r#"{"id":1,"user":{"id":2},"text":"x","entities":{"hashtags":[{"tag":"a"}]}}"#, "hashtag"),
        (
            r#"{"id":1,"user":{"id":2},"text":"x","entities":{"hashtags":[{"text":"a\u0000"}]}}"#,
            "hashtag",
        ),
    ] {
        match decoded(json) {
            Err(error) => assert_eq!(error.reason(), reason, "{json}: {error}"),
            Ok(events) => panic!("{json}: {events:?}"),
        }
    }
}

/// One fault anywhere in a page, and none of its tweets counts.
#[test]
fn a_record_gives_all_its_events_or_none() {
    for (good, bad, reason) in [
        (r#""tag":"Rust"},"#, r#""tag":"two words"},"#, "hashtag"),
        (r#""id":"12""#, r#""id":"twelve""#, "id"),
        (r#""includes":{"#, r#""includes":7,"x":{"#, "shape"),
    ] {
        let json = PAGE.replacen(good, bad, 1);
        let mut events = vec![Event::Other(EventKind::Tombstone)];
        let fault =
            decode(None, Some(json.as_bytes()), PLACE, DecodeSettings::default(), &mut events);
        assert_eq!(fault.map_err(|fault| fault.reason()), Err(reason));
        assert_eq!(events, [Event::Other(EventKind::Tombstone)], "what was there stays");
    }
}

#[test]
fn depth_costs_no_stack() {
    let (open, close) = ("[".repeat(200_000), "]".repeat(200_000));
    for (before, after, reason) in [
        ("", "", Some("shape")),
        (r#"{"id":1,"text":"x","user":{"id":2,"x":"#, "}}", None),
        (r#"{"id":1,"user":"#, "}", Some("shape")),
        (r#"{"data":{"id":"1","text":"x","x":"#, "}}", None),
        (r#"{"data":"#, "}", Some("shape")),
        (r#"{"data":{"delete":"#, "}}", None),
    ] {
        let found = decoded(&format!("{before}{open}{close}{after}")).map_err(|it| it.reason());
        assert_eq!(found.err(), reason, "{before}");
        let cut = decoded(&format!("{before}{open}")).map_err(|it| it.reason());
        assert_eq!(cut.err(), Some("json"), "{before}");
    }
}

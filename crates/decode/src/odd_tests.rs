//! The same tweet as senders write it, and what a part that cannot be read costs.

use super::tests::{LOCATED, golden, golden_with};
use types::settings::{DecodeSettings, Retweets};

/// As the decoder reads it, however it is written: a whole one, of the first API.
#[test]
fn a_tweet_is_the_same_however_it_is_written() {
    const USER: &str =
        r#""user":{"id":7,"name":"Ada","location":"x","friends_count":5,"followers_count":6}"#;
    let whole =
        format!(r#"{{"id":1,"text":"x","entities":{{"hashtags":[{{"text":"a"}}]}},{USER}}}"#);
    let expected = "tweet 1 Record(29923741) [\"a\"] by 7 \"Ada\" Some(5) Some(6)\n";
    assert_eq!(golden(&whole), expected);
    for (from, to) in [
        (r#""id":1,"#, r#""id":"1","#),
        (r#""id":1,"#, r#""id":1.0,"#),
        (r#""id":1,"#, r#""id":1e0,"#),
        (r#""id":1,"#, r#""id":{"$numberLong":"1"},"#),
        (r#""id":1,"#, r#""id":{"$numberLong":"9"},"id_str":"1","#),
        (r#""id":1,"#, r#""id":1.05e18,"id_str":"1","#),
        (r#""id":1,"#, r#""id":[9],"id_str":1,"#),
        (r#""id":1,"#, r#""id":-9,"id_str":"1","#),
        (r#""id":1,"#, r#""id":9,"id":1,"#),
        (r#""id":1,"#, r#""id":9,"\u0069d":1,"#),
        (r#""text":"x""#, r#""full_text":"x""#),
        (r#""text":"x""#, r#""a\"b\\":[],"text":"x""#),
        (r#""text":"x""#, r#""text":"\ud83d""#),
        (r#""text":"x""#, r#""text":"y","text":"x","lang":"en","lang":"en""#),
        (r#""text":"x""#, r#""text":"x","event":{"original":"{}"},"limit":{"track":1},"meta":{}"#),
        (
            r#""text":"x""#,
            r#""text":"x","delete":{"status":{"id":9}},"data":{"id":"9","text":"y"}"#,
        ),
        (r#""text":"x""#, r#""text":"x","warning":{"code":"x"},"friends":[1],"statuses":[]"#),
        (r#""text":"x""#, r#""text":"x","extended_tweet":[],"truncated":[],"retweeted_status":[]"#),
        (r#""text":"x""#, r#""text":"x","extended_tweet":{},"truncated":{},"place":NaN"#),
        (r#"[{"text":"a"}]"#, r#"[null,{"text":"a"},{},[]]"#),
        (r#""friends_count":5"#, r#""friends_count":5.0"#),
        (r#""friends_count":5"#, r#""friends_count":"5""#),
        (r#""friends_count":5"#, r#""friends_count":"5.0""#),
        (r#""friends_count":5"#, r#""friends_count":{"$numberInt":"5"}"#),
        (r#""friends_count":5"#, r#""friends_count":9,"friends_count":5"#),
        (r#""id":7"#, r#""id":"7""#),
        (r#""id":7"#, r#""id":{"$numberLong":"7"},"id_str":"7""#),
        (r#""id":7"#, r#""id":1.05e18,"id_str":"7""#),
    ] {
        assert!(whole.contains(from), "{from}");
        let written = whole.replacen(from, to, 1);
        assert_eq!(golden(&written), expected, "{written}");
    }
    for (before, behind) in [
        ("\u{feff}", ""),
        ("", ","),
        ("\n", "\r\n"),
        ("", "\0\0"),
        ("\0\0\0\0\u{7}", ""),
        (r#"{"statuses":["#, "]}"),
        (r#"{"statuses":[null,"#, r#",{}],"search_metadata":{}}"#),
    ] {
        let written = format!("{before}{whole}{behind}");
        assert_eq!(golden(&written), expected, "{written}");
    }
}

#[test]
fn empty_containers_say_nothing() {
    for nothing in ["null", "{}", "[]", "[ ]", "{ }"] {
        let tweet = |entities: &str| {
            let json = r##"{"id":"1","text":"#a","author_id":"7","entities":E,"author":N}"##;
            let (entities, nothing) = (entities.replace('N', nothing), nothing);
            let flat = json.replace('E', &entities).replace('N', nothing);
            let page = format!(r#"{{"data":[{flat}],"includes":{nothing},"errors":{nothing}}}"#);
            let first = flat.replace(r#""author_id":"7""#, r#""user":{"id":2}"#);
            assert_eq!(golden(&page), golden(&flat), "{page}");
            assert_eq!(golden(&first), golden(&flat), "{first}");
            golden(&flat)
        };
        // Nobody asked for entities: the text is right.
        assert_eq!(tweet("N"), "tweet 1 Record(29923741) [\"a\"]\n", "{nothing}");
        // There are none.
        assert_eq!(tweet(r#"{"hashtags":N}"#), "tweet 1 Record(29923741) []\n", "{nothing}");
        assert_eq!(tweet(r#"{"urls":N}"#), "tweet 1 Record(29923741) []\n", "{nothing}");
        for page in [r#"{"data":N}"#, r#"{"data":[N],"meta":N}"#, r#"{"data":N,"includes":N}"#] {
            let page = page.replace('N', nothing);
            let is_silent = nothing == "null" && !page.contains('[');
            let expected = if is_silent { "shape: " } else { "other\n" };
            assert!(golden(&page).starts_with(expected), "{page}: {}", golden(&page));
        }
        let page = r#"{"data":{"id":"1","text":"x"},"includes":{"users":N}}"#;
        let page = page.replace('N', nothing);
        assert_eq!(golden(&page), "tweet 1 Record(29923741) []\n", "{page}");
    }
}

#[test]
fn a_tweet_of_the_second_api_needs_an_id_and_a_text() {
    for flat in [
        r##"{"id":"1","text":"#a"}"##,
        r##"{"id":1,"text":"#a","author_id":7,"edit_history_tweet_ids":[1]}"##,
        r##"{"id":1.0,"text":"#a"}"##,
        r##"{"id":"1","text":"#a","meta":{"host":"h"},"errors":[],"limit":{"track":1}}"##,
        r##"{"id":"1","text":"#a","withheld":{"country_codes":["XY"]},"event":"x"}"##,
        r##"{"id":"1","text":"y","text":"#a"}"##,
        r##"{"id":"1","text":"#a \ud83d..."}"##,
    ] {
        assert_eq!(golden(flat), "tweet 1 Record(29923741) [\"a\"]\n", "{flat}");
        let page = format!(r#"{{"data":{flat}}}"#);
        assert_eq!(golden(&page), golden(flat), "{page}");
    }
}

#[test]
fn a_long_post_has_its_hashtags_in_its_note() {
    let (own, whole) =
        (r#"{"hashtags":[{"tag":"a"}]}"#, r#"{"hashtags":[{"tag":"a"},{"tag":"b"}]}"#);
    for (entities, note, expected) in [
        (own, format!(r#"{{"text":"x","entities":{whole}}}"#), r#"["a", "b"]"#),
        ("null", format!(r#"{{"entities":{whole}}}"#), r#"["a", "b"]"#),
        (own, r##"{"text":"#c &amp;#d"}"##.to_owned(), r#"["c"]"#),
        (own, r##"{"text":"#c","entities":[]}"##.to_owned(), r#"["c"]"#),
        (own, "{}".to_owned(), r#"["a"]"#),
        (own, "null".to_owned(), r#"["a"]"#),
        ("null", r#"{"text":"x","entities":{"urls":[]}}"#.to_owned(), "[]"),
    ] {
        let json =
            format!(r##"{{"id":"1","text":"#t","entities":{entities},"note_tweet":{note}}}"##);
        assert_eq!(golden(&json), format!("tweet 1 Record(29923741) {expected}\n"), "{json}");
        let page = format!(r#"{{"data":[{json}]}}"#);
        assert_eq!(golden(&page), golden(&json), "{page}");
    }
}

/// One that cannot be read is counted, and costs neither its tweet nor its page.
#[test]
fn a_bad_user_costs_itself() {
    for user in [
        r#"{"name":"x","friends_count":1}"#,
        r#"{"id":"x","name":"x"}"#,
        r#"{"id":1.05e18,"name":"x"}"#,
        r#"{"id":2,"name":7}"#,
        r#"{"id":2,"name":"x","friends_count":"many"}"#,
        r#"{"id":2,"name":"x","friends_count":1.5}"#,
        r#"{"id":2,"name":"x","followers_count":[1]}"#,
    ] {
        let json = format!(r#"{{"id":1,"text":"x","user":{user}}}"#);
        let expected = "tweet 1 Record(29923741) []\nusers_unreadable\n";
        assert_eq!(golden(&json), expected, "{json}");
        assert_eq!(golden_with(&json, LOCATED), "filtered\n", "{json}");
    }
    for user in [
        r#"{"name":"x","public_metrics":{"following_count":1}}"#,
        r#"{"id":"x","public_metrics":{"following_count":1}}"#,
        r#"{"id":"2","name":["x"],"public_metrics":{"following_count":1}}"#,
        r#"{"id":"2","public_metrics":{"following_count":"many"}}"#,
        r#"{"id":"2","public_metrics":{"following_count":1,"followers_count":0.5}}"#,
        r#"{"id":"2","public_metrics":7}"#,
        "7",
        r#""x""#,
    ] {
        let good = r#"{"id":3.0,"public_metrics":{"following_count":"4"}}"#;
        let json = format!(
            r#"{{"data":[{{"id":"1","text":"x"}}],"includes":{{"users":[null,{user},{good}]}}}}"#
        );
        let expected = "tweet 1 Record(29923741) []\nusers_unreadable\n\
                        user 3 \"No name\" Some(4) None as of 1\n";
        assert_eq!(golden(&json), expected, "{json}");
    }
}

/// What `trim_user` leaves, and what others put there.
#[test]
fn a_user_of_whom_nothing_is_said_changes_nothing() {
    for user in [
        r#"{"id":2,"id_str":"2"}"#,
        r#"{"id":2,"username":"s","displayname":"Shown","followersCount":7}"#,
        r#"{"id":2,"name":null,"friends_count":[],"followers_count":{}}"#,
    ] {
        let json = format!(r#"{{"id":1,"text":"x","user":{user}}}"#);
        assert_eq!(golden(&json), "tweet 1 Record(29923741) []\n", "{json}");
    }
}

/// Its text and entities are a copy of the original's, cut.
#[test]
fn a_retweet_has_the_hashtags_it_was_sent_with_or_none() {
    let first = r#"{"id":1,"text":"RT","user":{"id":2,"name":"x"},"entities":{"hashtags":[{"text":"a"}]},REFERENCE}"#;
    let second = r#"{"id":"1","text":"RT","entities":{"hashtags":[{"tag":"a"}]},REFERENCE}"#;
    let none = DecodeSettings { retweets: Retweets::None, ..DecodeSettings::default() };
    for (tweet, reference, is_retweet) in [
        (first, r#""retweeted_status":{"id":9,"text":"x"}"#, true),
        (first, r#""retweeted_status":null"#, false),
        (first, r#""retweeted_status":[]"#, false),
        (first, r#""quoted_status":{"id":9}"#, false),
        (second, r#""referenced_tweets":[{"type":"retweeted","id":"9"}]"#, true),
        (second, r#""referenced_tweets":[{"type":"replied_to"},{"type":"retweeted"}]"#, true),
        (second, r#""referenced_tweets":[{"type":"quoted","id":"9"}]"#, false),
        (second, r#""referenced_tweets":{}"#, false),
        (second, r#""referenced_tweets":7"#, false),
    ] {
        let json = tweet.replace("REFERENCE", reference);
        let found = golden(&json);
        assert!(found.starts_with("tweet 1 Record(29923741) [\"a\"]"), "{json}: {found}");
        let without = golden_with(&json, none);
        let tags = if is_retweet { "[]" } else { "[\"a\"]" };
        let expected = format!("tweet 1 Record(29923741) {tags}");
        assert!(without.starts_with(&expected), "{json}: {without}");
    }
}

/// A dead letter says what the record is, in plain words.
#[test]
fn a_refusal_says_what_was_found() {
    for (json, said) in [
        (r#""{\"id\":1}""#, "a JSON string that holds JSON: the producer encodes twice"),
        (r#"{"schema":{},"payload":{"id":1}}"#, "schemas.enable=false"),
        (r#"{"id":1,"id_str":"1","text":"x","user":null}"#, "user is missing"),
        (r#"{"id":1.05e18,"text":"x","user":{"id":1}}"#, "rounded number"),
        (r#"{"data":{"id":"1","text":"x","entities":{"hashtags":{"a":1}}}}"#, "hashtags: "),
        (r#"{"data":"x"}"#, "data: "),
        (r#"{"id":1} {"id":2}"#, "more than one object"),
    ] {
        let found = golden(json);
        assert!(found.contains(said), "{json}: {found}");
    }
}

//! Golden rows of the forms of other services' streams.

use super::look;
use super::tests::{LOCATED, golden, golden_with};

const DID: &str = "did:plc:made1";

/// A frame of v1 about a post.
fn frame(operation: &str, record: &str) -> String {
    format!(
        r#"{{"did":"{DID}","time_us":1783175888000000,"kind":"commit","commit":{{"rev":"3mptbyoeyc22k",
        "operation":"{operation}","collection":"app.bsky.feed.post","rkey":"3mptbyoeyc22k"{record}}}}}"#
    )
}

fn post(more: &str) -> String {
    let record =
        format!(r#","record":{{"createdAt":"2026-07-04T14:38:06.240Z","text":"t"{more}}}"#);
    frame("create", &record)
}

#[test]
fn a_bluesky_post_and_its_delete() {
    let facets = r##","facets":[{"features":[{"$type":"app.bsky.richtext.facet#tag","tag":"a"},
        {"$type":"app.bsky.richtext.facet#link","uri":"u"}]}],"tags":["b c","#d","e"]"##;
    let made = post(facets);
    insta::assert_snapshot!(golden(&made), @r#"tweet 2073416062817153184 Own(29719598) ["a", "d", "e"]"#);
    insta::assert_snapshot!(golden(&frame("delete", "")), @"delete 2073416062817153184");
    assert_eq!(golden_with(&made, LOCATED), "filtered\n");
    assert_eq!(look::key(made.as_bytes()), look::key(frame("delete", "").as_bytes()));
    // What the text holds is no hashtag: the service has them in facets alone.
    assert!(golden(&post("").replace("\"t\"", "\"#t\"")).ends_with("[]\n"));
    // A client's clock that is ahead of the service's.
    let ahead = made.replace("2026-07-04", "2026-07-14");
    assert!(golden(&ahead).contains(" Record("), "{}", golden(&ahead));
    // A tweet comes first.
    let tweet = r#"{"did":1,"payload":{},"mastodon":{},"bluesky_profiles":1,"id":1,"text":"x","user":{"id":2}}"#;
    assert!(golden(tweet).starts_with("tweet 1 "));
}

#[test]
fn a_foreign_did_makes_no_frame() {
    for json in [r#"{"did":"x"}"#, r#"{"payload":{"a":1}}"#, r#"{"did":"x","kind":"commit"}"#] {
        assert!(golden(json).starts_with("shape: "), "{json}: {}", golden(json));
    }
    let delete = r#"{"payload":{"a":1},"delete":{"status":{"id":7}}}"#;
    assert_eq!((golden(delete), look::key(delete.as_bytes())), ("delete 7\n".to_owned(), Some(7)));
}

#[test]
fn a_mastodon_status_and_its_delete() {
    let record = |event: &str, payload: &str| {
        format!(r#"{{"mastodon":"example.org","event":"{event}","payload":{payload}}}"#)
    };
    let status = r#"{"id":"116862215159808001","created_at":"2026-07-04T14:38:08.000Z","tags":[{"name":"a"}],
        "account":{"acct":"eve","display_name":"","following_count":5}}"#;
    let made = record("update", status);
    insta::assert_snapshot!(golden(&made), @r#"
    tweet 2073416080683958383 Own(29719598) ["a"]
    user 7415214018972979883 "eve" Some(5) None as of 2073416080683958383
    "#);
    let delete = record("delete", "116862215159808001");
    insta::assert_snapshot!(golden(&delete), @"delete 2073416080683958383");
    assert_eq!(look::key(made.as_bytes()), look::key(delete.as_bytes()));
    assert_eq!(golden(&record("delete", "\"x\"")), "delete_without_id\n");
    assert_eq!(golden(&record("filters_changed", "null")), "other\n");
    assert!(golden(&record("update", "7")).starts_with("shape: "));
    assert!(golden(&record("update", r#"{"id":"x"}"#)).starts_with("id: "));
    // Not said is not nothing.
    let silent = made.replace("following_count", "foo");
    assert_eq!(golden(&silent).lines().count(), 1);
}

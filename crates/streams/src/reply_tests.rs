//! Each body that a service is known to send, and what follows from it.

use super::*;

fn trouble(status: u16, body: &str) -> Trouble {
    let body = body.as_bytes().to_vec();
    classify(Reply { server: "api.x.com".to_owned(), status, told: None, body })
}

fn named(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Passing { failure, label, .. } => format!("{failure:?} {label}"),
        Trouble::TooManyConnections { .. } => "TooManyConnections".to_owned(),
        Trouble::CursorTooOld { .. } => "CursorTooOld".to_owned(),
        Trouble::Final(error) => {
            let text = format!("{error:?}");
            let name = text.split([' ', '(']).next().unwrap_or_default().to_owned();
            format!("{name} {}", error.exit_code())
        }
    }
}

#[test]
fn each_body_has_its_meaning() {
    let too_many = r#"{"title":"ConnectionException","detail":"This stream is currently at the maximum allowed connection limit.","connection_issue":"TooManyConnections","type":"https://api.twitter.com/2/problems/streaming-connection"}"#;
    let capped = r#"{"title":"UsageCapExceeded","period":"Monthly","scope":"Product","detail":"Usage cap exceeded: Monthly product cap","type":"https://api.x.com/2/problems/usage-capped"}"#;
    let html = "<!DOCTYPE html><html><body>Over capacity</body></html>";
    for (status, body, expected) in [
        (429, too_many, "TooManyConnections"),
        (429, &too_many.replace("twitter", "x"), "TooManyConnections"),
        (429, capped, "UsageCap 1"),
        (429, &format!(r#"{{"errors":[{capped}]}}"#), "UsageCap 1"),
        (
            429,
            r#"{"title":"Too Many Requests","detail":"Too Many Requests","type":"about:blank","status":429}"#,
            "Rate(None) 429",
        ),
        (429, html, "Rate(None) 429"),
        (429, "", "Rate(None) 429"),
        (420, "Enhance Your Calm", "Rate(None) 420"),
        (
            402,
            r#"{"title":"CreditsDepleted","detail":"Your enrolled account does not have any credits.","type":"https://api.twitter.com/2/problems/credits"}"#,
            "Credits 1",
        ),
        (402, "", "Credits 1"),
        (
            401,
            r#"{"title":"Unauthorized","type":"about:blank","status":401,"detail":"Unauthorized"}"#,
            "Unauthorized 2",
        ),
        (
            403,
            r#"{"client_id":"1","detail":"When authenticating requests…","reason":"client-not-enrolled","title":"Client Forbidden","type":"https://api.twitter.com/2/problems/client-forbidden"}"#,
            "Forbidden 2",
        ),
        (409, r#"{"title":"RulesMissing"}"#, "NoRules 2"),
        (404, html, "Refused 2"),
        (301, "", "Refused 2"),
        (
            400,
            r#"{"error":"CursorTooOld","message":"cursor 1 is older than the oldest event"}"#,
            "CursorTooOld",
        ),
        (400, r#"{"error":"InvalidRequest","message":"no"}"#, "Refused 2"),
        (500, "", "Server(None) server-error"),
        (503, html, "Server(None) server-error"),
        (599, "{", "Server(None) server-error"),
        (408, "", "Server(None) server-error"),
        (200, html, "Server(None) no-stream"),
        (429, "null", "Rate(None) 429"),
        (429, "[1]", "Rate(None) 429"),
    ] {
        assert_eq!(named(&trouble(status, body)), expected, "{status} {body}");
    }
}

#[test]
fn a_reply_may_say_how_long_to_wait() {
    for (status, expected) in [(503, "Server(Some(9s)) server-error"), (429, "Rate(Some(9s)) 429")]
    {
        let told = Some(Duration::from_secs(9));
        let reply = Reply { server: "s".to_owned(), status, told, body: Vec::new() };
        assert_eq!(named(&classify(reply)), expected);
    }
}

#[test]
fn notices_within_a_stream_are_told_from_posts() {
    let operational = r#"{"errors":[{"title":"operational-disconnect","disconnect_type":"UpstreamOperationalDisconnect","detail":"This stream has been disconnected upstream for operational reasons.","type":"https://api.twitter.com/2/problems/operational-disconnect"}]}"#;
    let partly = r#"{"data":{"id":"1","text":"t"},"errors":[{"title":"Not Found Error","type":"https://api.twitter.com/2/problems/resource-not-found"}]}"#;
    let partly_first =
        r#"{"errors":[{"title":"operational-disconnect","type":"x"}],"data":{"id":"1"}}"#;
    for (message, expected) in [
        (operational, Some("Network disconnect")),
        (
            r#"{"title":"operational-disconnect","disconnect_type":"UpstreamUncleanDisconnect"}"#,
            Some("Network disconnect"),
        ),
        (
            r#"{"errors":[{"title":"ConnectionException","connection_issue":"TooManyConnections","type":"https://api.x.com/2/problems/streaming-connection"}]}"#,
            Some("TooManyConnections"),
        ),
        (
            r#"{"errors":[{"title":"UsageCapExceeded","type":"https://api.x.com/2/problems/usage-capped"}]}"#,
            Some("UsageCap 1"),
        ),
        (
            r#"{"disconnect":{"code":4,"stream_name":"s","reason":"stall"}}"#,
            Some("Network disconnect"),
        ),
        (r#"{"disconnect":{"code":7,"reason":"admin logout"}}"#, Some("TooManyConnections")),
        (partly, None),
        (partly_first, None),
        (r#"{"id":1,"text":"\"disconnect\" and \"errors\""}"#, None),
        (r#"{"data":{"id":"1"}}"#, None),
        ("", None),
        ("\"errors\"", None),
    ] {
        let found = notice(message.as_bytes());
        assert_eq!(found.as_ref().map(named).as_deref(), expected, "{message}");
    }
}

#[test]
fn the_servers_words_stay_on_one_line() {
    let long = format!("{{\"detail\":\"a\\nb{}\"}}", "ü".repeat(1_000));
    let reason = trouble(503, &long).reason();
    assert!(reason.starts_with("api.x.com answered 503: a b") && reason.chars().count() < 240);
}

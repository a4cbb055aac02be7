//! The services as scripts of faults: what each sends of a feed, and where its connection ends.
//!
//! Which fault comes is drawn from the number of the request, so that a test meets the same ones in
//! each run.

use super::{Connection, Dice, Feed, Request, chunk, frame};
use std::sync::Arc;
use std::time::Duration;

/// A stream of X: what is published from now on, until a fault.
pub(crate) fn faulty_x(request: &Request, to: &mut Connection, feed: &Feed) -> std::io::Result<()> {
    let mut dice = Dice(request.number as u64);
    let mut next = feed.len();
    match dice.below(12) {
        0 => return to.reply(503, "Retry-After: 1\r\n", "<html>"),
        1 => return to.reply(429, "", ""),
        2 => return to.reply(200, "", "<html>"),
        _ => {}
    }
    to.head("application/json")?;
    let until = next + 5 + dice.below(145);
    let mut text = Vec::new();
    while next < until {
        to.wait(Duration::from_millis(3))?;
        for (_, event) in feed.from(next) {
            next += 1;
            text.extend_from_slice(&event);
            text.extend_from_slice(if dice.below(3) == 0 { b"\n" } else { b"\r\n" });
            if dice.below(5) == 0 {
                text.extend_from_slice(b"\r\n");
                text.extend_from_slice(&event);
                text.extend_from_slice(b"\r\n");
            }
        }
        // Some of it stays for the next piece.
        let now = if text.is_empty() { 0 } else { dice.below(text.len() + 1) };
        if dice.below(8) == 0 {
            to.trickle(&chunk(&text[..now]))?;
        } else if now > 0 {
            to.chunk(&text[..now])?;
        }
        text.drain(..now);
    }
    match dice.below(4) {
        0 => to.end(),
        1 => {
            let notice = r#"{"errors":[{"title":"operational-disconnect","disconnect_type":"UpstreamOperationalDisconnect","type":"https://api.x.com/2/problems/operational-disconnect"}]}"#;
            text.extend_from_slice(format!("{notice}\r\n").as_bytes());
            to.chunk(&text)?;
            to.silence()
        }
        2 => to.silence(),
        // Within a chunk.
        _ => to.send(&chunk(&text)[..text.len() / 2]),
    }
}

/// An event of Bluesky, in the form of version 2.
pub(crate) fn skeet(seq: usize, time_ms: u64, number: usize, is_delete: bool) -> String {
    let time = jiff::Timestamp::from_microsecond(i64::try_from(time_ms * 1000).unwrap()).unwrap();
    let operation = if is_delete { "delete" } else { "create" };
    let record = format!(
        ",\"record\":{{\"$type\":\"app.bsky.feed.post\",\"createdAt\":\"{time:.3}\",\
         \"langs\":[\"de\"],\"text\":\"ü💡 \\u00fc #rust\"}},\"cid\":\"bafy{number}\""
    );
    let record = if is_delete { "" } else { &record };
    format!(
        "{{\"$type\":\"message\",\"payload\":{{\"$type\":\"network.bsky.jetstream.subscribeEvents\
         #commit\",\"seq\":{seq},\"did\":\"did:plc:{}\",\"time\":\"{time:.6}\",\"rev\":\"{number:013}\",\
         \"operation\":\"{operation}\",\"collection\":\"app.bsky.feed.post\",\"rkey\":\"{number:013}\"\
         {record}}}}}",
        number % 100
    )
}

/// Bluesky's version 2 with a history: the events of a feed, whose payload is a number, from a
/// cursor on, until a fault. Another server of the same service has another `base`.
pub(crate) fn faulty_bluesky(
    request: &Request,
    to: &mut Connection,
    feed: &Feed,
    base: usize,
) -> std::io::Result<()> {
    let mut dice = Dice(request.number as u64 + base as u64);
    match dice.below(12) {
        0 => return to.reply(503, "", "{\"error\":\"ServiceUnavailable\"}"),
        1 => return to.reply(200, "", "<html>"),
        2 => return to.silence(),
        _ => {}
    }
    let cursor: Option<u64> = request.parameter("cursor").and_then(|cursor| cursor.parse().ok());
    let mut next = match cursor {
        None => feed.len(),
        Some(seq) if seq < 1_000_000_000_000_000 => {
            usize::try_from(seq).unwrap().saturating_sub(base).min(feed.len())
        }
        Some(us) => feed.from(0).partition_point(|(time, _)| time * 1000 < us),
    };
    to.upgrade(request)?;
    let until = next + 5 + dice.below(4_000);
    while next < until {
        to.wait(Duration::from_millis(3))?;
        for (time, number) in feed.from(next) {
            let number: usize = String::from_utf8(number.to_vec()).unwrap().parse().unwrap();
            let text = skeet(base + next, time, number, number.is_multiple_of(7));
            let bytes = frame(1, text.as_bytes());
            next += 1;
            match dice.below(1_000) {
                0 => to.trickle(&bytes)?,
                1 => to.send(&[&bytes[..], &bytes[..]].concat())?,
                2 => return to.send(&bytes[..dice.below(bytes.len())]),
                3 => to.send(&[&frame(9, b"ping")[..], &bytes[..]].concat())?,
                _ => to.send(&bytes)?,
            }
            if next >= until {
                break;
            }
        }
    }
    match dice.below(3) {
        0 => to.send(&frame(8, &[&1001_u16.to_be_bytes()[..], b"going away"].concat())),
        1 => to.silence(),
        _ => Ok(()),
    }
}

/// An event of Mastodon: every tenth one deletes a post, the others are posts.
pub(crate) fn toot(feed: &[(u64, Arc<Vec<u8>>)], number: usize) -> (&'static str, String) {
    let id = |post: usize| (feed[post].0 << 16) + (post as u64 & 0xFFFF);
    if number >= 10 && number.is_multiple_of(10) {
        return ("delete", id(number - 5).to_string());
    }
    let (id, user) = (id(number), number % 50);
    let status = format!(
        "{{\"id\":\"{id}\",\"content\":\"<p>ü💡</p>\",\"tags\":[{{\"name\":\"rust\"}}],\"account\":\
         {{\"id\":\"{user}\",\"acct\":\"u{user}\",\"following_count\":{user}}}}}"
    );
    ("update", status)
}

/// A server of Mastodon: its stream from now on, until a fault, and its timeline.
pub(crate) fn faulty_mastodon(
    request: &Request,
    to: &mut Connection,
    feed: &Feed,
) -> std::io::Result<()> {
    let mut dice = Dice(request.number as u64);
    if request.path.starts_with("/api/v2/instance") {
        return to.reply(200, "", "{\"domain\":\"example.social\",\"configuration\":{}}");
    }
    let is_page = request.path.starts_with("/api/v1/timelines/public");
    if dice.below(if is_page { 40 } else { 10 }) == 0 {
        return to.reply([503, 429, 200][dice.below(3)], "", "<html>");
    }
    if is_page {
        let after: u64 = request.parameter("min_id").unwrap().parse().unwrap();
        let events = feed.from(0);
        let deleted = |number: usize| number % 10 == 5 && number + 5 < events.len();
        let first = events.partition_point(|(time, _)| *time < after >> 16);
        let posts = (first..events.len()).filter(|number| !deleted(*number));
        let posts = posts.map(|number| (number, toot(&events, number)));
        let posts = posts.filter(|(_, (kind, _))| *kind == "update");
        let id = |number: usize| (events[number].0 << 16) + (number as u64 & 0xFFFF);
        let posts = posts.filter(|(number, _)| id(*number) > after).take(40);
        let mut posts: Vec<_> = posts.map(|(_, (_, post))| post).collect();
        posts.reverse();
        return to.reply(200, "", &format!("[{}]", posts.join(",")));
    }
    let mut next = feed.len();
    to.head("text/event-stream")?;
    to.chunk(b":)\n\n")?;
    let until = next + 5 + dice.below(200);
    while next < until {
        to.wait(Duration::from_millis(3))?;
        let events = feed.from(0);
        let mut text = String::new();
        for number in next..events.len() {
            let (kind, data) = toot(&events, number);
            text.extend(["event: ", kind, "\ndata: ", &data, "\n\n"]);
            if dice.below(30) == 0 {
                text.push_str(":thump\n\n");
            }
        }
        next = events.len();
        if next >= until && dice.below(2) == 0 {
            return to.send(&chunk(text.as_bytes())[..dice.below(text.len() + 1)]);
        }
        if dice.below(20) == 0 {
            to.trickle(&chunk(text.as_bytes()))?;
        } else if !text.is_empty() {
            let (one, other) = text.as_bytes().split_at(dice.below(text.len()));
            [one, other].into_iter().filter(|it| !it.is_empty()).try_for_each(|it| to.chunk(it))?;
        }
    }
    if dice.below(2) == 0 { to.end() } else { to.silence() }
}

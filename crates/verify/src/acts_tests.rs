//! What acts on a tweet add up to, by small examples.

use super::{ActLog, IntervalBounds, LatenessEvidence, TweetContent, When};
use crate::state::Tally;
use crate::weigh::bounds;
use std::collections::BTreeMap;
use types::Version;
use types::event::Time;
use types::event::{EventKind, Tweet as Posted};
use types::{Event, Value};

fn content(tag: &str) -> TweetContent {
    TweetContent { hashtags: vec![tag.into()], time: Time::Own(7) }
}

const MS: u64 = 1 << 22;
/// An id that is written in the minute of the records of these tests.
const NOW: u64 = 200_000_000_000 * MS;
const NOW_MS: u64 = 200_000_000_000 + types::snowflake::EPOCH_MS;

fn post(id: u64, (partition, record_ms): (u32, u64), tag: &str) -> Event {
    let version = Version { tweet_id: id, record_ms, partition, offset: 0 };
    let TweetContent { hashtags, time } = content(tag);
    let (own_ms, replaces) = (record_ms, [].into());
    Event::Tweet(Posted { version, time, own_ms, hashtags, user: None, replaces })
}

fn edit(id: u64, at: (u32, u64), tag: &str, earlier: &[u64]) -> Event {
    let Event::Tweet(tweet) = post(id, at, tag) else { unreachable!() };
    Event::Tweet(Posted { replaces: earlier.into(), ..tweet })
}

fn delete(id: u64, (partition, record_ms): (u32, u64)) -> Event {
    let version = Version { tweet_id: id, record_ms, partition, offset: 0 };
    Event::Delete { version, kind: EventKind::Delete, own_ms: record_ms }
}

fn lateness(floors: &[(&str, u64)], late_posts: u64) -> LatenessEvidence {
    let mut lateness = LatenessEvidence::default();
    let mut see = |table: &str, name: &str, number| {
        lateness.see(table, &[Value::Text(name.into()), Value::UInt(number)].into());
    };
    for (name, number) in floors {
        see("floors", name, *number);
    }
    see("totals", "late_posts", late_posts);
    lateness
}

/// A span of 1,000 ms.
const SPAN: (&str, u64) = ("span", u64::MAX - 1_000);

type Named<N> = Vec<(N, IntervalBounds)>;

/// What the tags come to, and the totals that are not none.
fn found(
    (now, before): (&LatenessEvidence, &LatenessEvidence),
    events: Vec<(Event, When)>,
) -> (Named<String>, Named<&'static str>) {
    // So little memory that all go through files.
    let mut acts = ActLog::new(now, before, 0);
    let mut tags = BTreeMap::<String, Tally>::new();
    let mut counts = |content: &TweetContent, state: Tally| {
        let held = tags.entry(content.hashtags[0].to_string()).or_insert(Tally::Count(0));
        held.add(state);
        Ok(())
    };
    for (event, when) in events {
        acts.event(event, when, &mut counts).expect("a temporary file");
    }
    let totals = acts.finish(&mut counts).expect("a temporary file");
    let totals = totals.named().map(|(name, state)| (name, bounds(&state)));
    let totals = totals.into_iter().filter(|(_, bounds)| *bounds != (0, 0)).collect();
    (tags.into_iter().map(|(tag, state)| (tag, bounds(&state))).collect(), totals)
}

fn now(events: Vec<Event>) -> Vec<(Event, When)> {
    events.into_iter().map(|event| (event, When::Now)).collect()
}

#[test]
fn without_a_ledger_each_post_counts() {
    let never = lateness(&[("forgotten", NOW)], 0);
    let events = vec![post(1, (0, 0), "a"), post(1, (0, 0), "a"), delete(1, (0, 0))];
    let found = found((&never, &LatenessEvidence::default()), now(events));
    assert_eq!(found, (vec![("a".into(), (2, 2))], vec![("tweets", (2, 2))]));
}

#[test]
fn what_must_be_read_again() {
    let first = |floors: &[(&str, u64)]| {
        let floors = [&[SPAN], floors].concat();
        let mut acts = ActLog::new(&lateness(&floors, 0), &LatenessEvidence::default(), 1_000);
        let ids = [NOW - 2, NOW + 3_700_000 * MS, NOW, NOW - 1, NOW + 1];
        for (offset, id) in (5..).zip(ids) {
            let version = Version { tweet_id: id, record_ms: NOW_MS, partition: 1, offset };
            let event = Event::Delete { version, kind: EventKind::Delete, own_ms: NOW_MS };
            acts.event(event, When::Now, &mut |_, _| Ok(())).expect("no file");
        }
        assert_eq!(acts.needed(0), None);
        acts.needed(1)
    };
    assert_eq!(first(&[]), Some(5));
    assert_eq!(first(&[("ledger", NOW - 2)]), Some(5));
    assert_eq!(first(&[("ledger", NOW - 1)]), Some(7), "an id that is ahead is not remembered");
    assert_eq!(first(&[("ledger", NOW - 2), ("forgotten", NOW)]), Some(9));
    assert_eq!(first(&[("ledger", NOW + 2)]), None);
}

#[test]
fn where_nothing_was_late_all_is_known() {
    let events = vec![
        post(NOW, (0, NOW_MS), "a"),
        post(NOW, (1, NOW_MS), "b"),
        delete(NOW - 1, (0, NOW_MS)),
        post(NOW - 1, (1, NOW_MS), "c"),
        post(NOW - 1, (1, NOW_MS), "c"),
        delete(NOW - 2, (1, NOW_MS)),
        // By its own partition this would be late.
        post(NOW - 9_000 * MS, (0, NOW_MS), "d"),
        // An hour and more ahead: what of it one run remembered is not known.
        post(NOW + 3_700_000 * MS, (0, NOW_MS), "e"),
        post(NOW + 3_700_000 * MS, (0, NOW_MS), "e"),
        delete(NOW + 3_700_000 * MS, (0, NOW_MS)),
    ];
    let (tags, totals) = found((&lateness(&[SPAN], 0), &LatenessEvidence::default()), now(events));
    let one = |tag: &str, times| (tag.to_owned(), (times, times));
    assert_eq!(tags, [one("b", 1), one("d", 1), ("e".to_owned(), (0, 2))]);
    assert_eq!(totals, [("tweets", (2, 4)), ("deleted", (1, 3)), ("duplicates", (2, 4))]);
}

#[test]
fn of_an_edited_tweet_the_newest_version_counts() {
    let at = (0, NOW_MS);
    let versions = || {
        let first = (post(NOW, at, "a"), When::Now);
        let second = (edit(NOW + 1, (1, NOW_MS), "b", &[NOW]), When::Now);
        let third = (edit(NOW + 2, at, "c", &[NOW, NOW + 1]), When::Now);
        [first, second, third]
    };
    let wanted = vec![("tweets", (1, 1)), ("superseded", (2, 2))];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let events = order.map(|at| versions()[at].clone()).to_vec();
        let now = lateness(&[SPAN], 0);
        let found = found((&now, &LatenessEvidence::default()), events);
        assert_eq!(found, (vec![("c".into(), (1, 1))], wanted.clone()), "{order:?}");
    }
    // A version that was counted before the baseline, one that was below its floor.
    let before = lateness(&[SPAN, ("ledger", NOW)], 5);
    let third = edit(NOW + 2, at, "c", &[NOW - 1, NOW]);
    let events = vec![(post(NOW, at, "a"), When::Before), (third, When::Now)];
    let (tags, totals) = found((&before, &before), events);
    assert_eq!(tags, [("a".into(), (-1, -1)), ("c".into(), (1, 1))]);
    assert_eq!(totals, [("superseded", (1, 1)), ("late_edits", (1, 1))]);
}

/// Each rule by which an act may be late, and the same act where it is not.
#[test]
fn what_may_be_late() {
    let late = |floors: &[(&str, u64)], first: Event, id: u64, at: (u32, u64)| {
        let twice = vec![first, post(id, at, "a"), post(id, at, "a")];
        let floors = [&[SPAN], floors].concat();
        let (tags, totals) =
            found((&lateness(&floors, 1), &LatenessEvidence::default()), now(twice));
        let is_late = tags.contains(&("a".into(), (1, 2)));
        assert!(is_late != tags.contains(&("a".into(), (1, 1))), "{tags:?}");
        assert_eq!(is_late, totals.contains(&("late_posts", (0, 2))), "{totals:?}");
        is_late
    };
    let (minute, old) = (60_000, NOW - 1_000 * MS - 1);
    let here = post(NOW, (0, NOW_MS), "other");
    // Behind its own partition's, by more than the span.
    assert!(!late(&[], here.clone(), NOW - 1_000 * MS, (0, NOW_MS)));
    assert!(late(&[], here.clone(), old, (0, NOW_MS)));
    assert!(late(&[], delete(NOW, (0, NOW_MS)), old, (0, NOW_MS)));
    assert!(late(&[], here.clone(), old, (0, NOW_MS - 11 * minute)));
    // Behind another one's, that was written up to ten minutes later, or may have been.
    assert!(late(&[], here.clone(), old, (1, NOW_MS)));
    assert!(late(&[], here.clone(), old, (1, NOW_MS - 10 * minute)));
    assert!(!late(&[], here.clone(), old, (1, NOW_MS - 11 * minute)));
    assert!(late(&[], here.clone(), old, (1, 0)));
    assert!(late(&[], post(NOW, (0, 0), "other"), old, (1, NOW_MS - 11 * minute)));
    assert!(!late(&[], here.clone(), NOW - 1_000 * MS, (1, 0)));
    // An id that is ahead raises nothing.
    let ahead = post(NOW + 3_700_000 * MS, (0, NOW_MS), "other");
    assert!(!late(&[], ahead, NOW, (0, NOW_MS)));
    // What was forgotten.
    assert!(late(&[("forgotten", NOW - 1)], here.clone(), NOW - 1, (0, NOW_MS)));
    assert!(!late(&[("forgotten", NOW - 2)], here, NOW - 1, (0, NOW_MS)));
}

#[test]
fn what_the_baseline_holds_is_taken_away() {
    let (before, at) = (lateness(&[SPAN, ("ledger", NOW)], 5), (0, NOW_MS));
    let events = vec![
        // Counted before and deleted now; posted before and again.
        (post(NOW, at, "a"), When::Before),
        (post(NOW + 1, at, "b"), When::Before),
        (delete(NOW + 2, at), When::Before),
        (delete(NOW, at), When::Now),
        (post(NOW + 1, at, "b"), When::Now),
        (post(NOW + 1, at, "c"), When::Now),
        (post(NOW + 2, at, "d"), When::Now),
        // Below the floor of then: what was before is in the rows, what comes now is late.
        (post(NOW - 1, at, "f"), When::Before),
        (post(NOW - 1, at, "g"), When::Now),
        (delete(NOW - 1, at), When::Now),
        (post(NOW - 1, at, "h"), When::Later),
    ];
    let (tags, totals) = found((&before, &before), events);
    let one = |tag: &str, times| (tag.to_owned(), (times, times));
    assert_eq!(tags, [one("a", -1), one("b", -1), one("c", 1), one("g", 1), one("h", 1)]);
    let wanted = [("tweets", 1), ("deleted", 2), ("duplicates", 2)];
    let wanted = wanted.into_iter().chain([("late_posts", 2), ("late_deletes", 1)]);
    assert_eq!(totals, wanted.map(|(name, sum)| (name, (sum, sum))).collect::<Vec<_>>());
    // What was tried again came late only if something did.
    let again = || [When::Later, When::Now].map(|when| (post(NOW + 3, at, "e"), when)).to_vec();
    let (tags, totals) = found((&before, &before), again());
    assert_eq!(tags, [("e".into(), (1, 1))]);
    assert_eq!(totals, [("tweets", (1, 1)), ("duplicates", (1, 1))]);
    let late = lateness(&[SPAN, ("ledger", NOW)], 6);
    let (tags, totals) = found((&late, &before), again());
    assert_eq!(tags, [("e".into(), (1, 2))]);
    let wanted = [("tweets", (1, 2)), ("duplicates", (0, 1)), ("late_posts", (0, 1))];
    assert_eq!(totals, wanted);
}

/// Which records were dead letters is stored nowhere.
#[test]
fn where_dead_letters_were_counted_each_act_may_be_late() {
    let twice = || now(vec![post(NOW, (0, NOW_MS), "a"), post(NOW, (1, NOW_MS), "a")]);
    for (late_posts, retried, most) in [(0, 1, 1), (1, 0, 1), (1, 1, 2)] {
        let mut lateness = lateness(&[SPAN], late_posts);
        let row = [Value::Text("retried".into()), Value::UInt(retried)].into();
        lateness.see("totals", &row);
        let (tags, _) = found((&lateness, &LatenessEvidence::default()), twice());
        assert_eq!(tags, [("a".into(), (1, most))], "{late_posts}, {retried}");
    }
}

//! What acts on a tweet add up to, by small examples.

use super::{ActLog, LateActs, LatenessEvidence, TweetContent, When};
use crate::state::Tally;
use crate::tweet::{IntervalBounds, bounds};
use std::collections::BTreeMap;
use types::Version;
use types::event::Time;
use types::event::{EventKind, Tweet as Posted};
use types::late::{LateKind, LateRow};
use types::{Event, Value};

fn content(tag: &str) -> TweetContent {
    TweetContent { edition: 0, hashtags: vec![tag.into()], time: Time::Own(7) }
}

const MS: u64 = 1 << 22;
/// An id that is written in the minute of the records of these tests.
const NOW: u64 = 200_000_000_000 * MS;
const NOW_MS: u64 = 200_000_000_000 + types::snowflake::EPOCH_MS;

fn post(id: u64, (partition, record_ms): (u32, u64), tag: &str) -> Event {
    let version = Version { tweet_id: id, record_ms, partition, offset: 0 };
    let TweetContent { edition, hashtags, time } = content(tag);
    let (own_ms, replaces) = (record_ms, [].into());
    Event::Tweet(Posted { version, time, own_ms, hashtags, user: None, replaces, edition })
}

fn edit(id: u64, at: (u32, u64), tag: &str, earlier: &[u64]) -> Event {
    let Event::Tweet(tweet) = post(id, at, tag) else { unreachable!() };
    Event::Tweet(Posted { replaces: earlier.into(), ..tweet })
}

fn delete(id: u64, (partition, record_ms): (u32, u64)) -> Event {
    let version = Version { tweet_id: id, record_ms, partition, offset: 0 };
    Event::Delete { version, kind: EventKind::Delete, own_ms: record_ms }
}

fn lateness(floors: &[(&str, u64)]) -> LatenessEvidence {
    let mut lateness = LatenessEvidence::default();
    for (name, number) in floors {
        let row = [Value::Text((*name).into()), Value::UInt(*number)].into();
        lateness.see("floors", &row);
    }
    lateness
}

/// Rows of `late_acts`, and the memory that is now.
fn late(memory: u64, rows: &[LateRow]) -> LateActs {
    let mut late = LateActs::default();
    let floors = [Value::Text("memory".into()), Value::UInt(memory)].into();
    late.see(&dataflows::tables::floors::TABLE, &floors);
    let table = dataflows::tables::late_acts::TABLE;
    for row in rows {
        late.see(&table, &row.row(&"t".into()));
    }
    late
}

/// A span of 1,000 ms.
const SPAN: (&str, u64) = ("span", u64::MAX - 1_000);

type Named<N> = Vec<(N, IntervalBounds)>;

/// What the tags come to, and the totals that are not none.
fn found(
    (now, rows, before): (&LatenessEvidence, &LateActs, &LatenessEvidence),
    events: Vec<(Event, When)>,
) -> (Named<String>, Named<&'static str>) {
    // So little memory that all go through files.
    let mut acts = ActLog::new((now, rows), before, 0);
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
    let never = lateness(&[("forgotten", NOW)]);
    let events = vec![post(1, (0, 0), "a"), post(1, (0, 0), "a"), delete(1, (0, 0))];
    let found = found((&never, &late(1, &[]), &LatenessEvidence::default()), now(events));
    assert_eq!(found, (vec![("a".into(), (2, 2))], vec![("tweets", (2, 2))]));
}

#[test]
fn what_must_be_read_again() {
    let first = |floors: &[(&str, u64)]| {
        let floors = [&[SPAN], floors].concat();
        let (now, rows) = (lateness(&floors), late(0, &[]));
        let mut acts = ActLog::new((&now, &rows), &LatenessEvidence::default(), 1_000);
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
        // The only act on such an id counts, whatever was remembered.
        post(NOW + 3_700_001 * MS, (0, NOW_MS), "f"),
    ];
    let none = LatenessEvidence::default();
    let (tags, totals) = found((&lateness(&[SPAN]), &late(0, &[]), &none), now(events));
    let one = |tag: &str, times| (tag.to_owned(), (times, times));
    assert_eq!(tags, [one("b", 1), one("d", 1), ("e".to_owned(), (0, 2)), one("f", 1)]);
    assert_eq!(totals, [("tweets", (3, 5)), ("deleted", (1, 3)), ("duplicates", (2, 4))]);
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
        let events = order.map(|index| versions()[index].clone()).to_vec();
        let now = lateness(&[SPAN]);
        let found = found((&now, &late(0, &[]), &LatenessEvidence::default()), events);
        assert_eq!(found, (vec![("c".into(), (1, 1))], wanted.clone()), "{order:?}");
    }
    // A version that was counted before the baseline, one that was below its floor.
    let before = lateness(&[SPAN, ("ledger", NOW)]);
    let third = edit(NOW + 2, at, "c", &[NOW - 1, NOW]);
    let events = vec![(post(NOW, at, "a"), When::Before), (third, When::Now)];
    let (tags, totals) = found((&before, &late(0, &[]), &before), events);
    assert_eq!(tags, [("a".into(), (-1, -1)), ("c".into(), (1, 1))]);
    assert_eq!(totals, [("superseded", (1, 1)), ("late_edits", (1, 1))]);
}

/// The post or the delete that the record of partition 0 at this offset holds.
fn at(offset: u64, event: Event) -> (Event, When) {
    let event = match event {
        Event::Tweet(tweet) => {
            let version = Version { offset, ..tweet.version };
            Event::Tweet(Posted { version, ..tweet })
        }
        Event::Delete { version, kind, own_ms } => {
            Event::Delete { version: Version { offset, ..version }, kind, own_ms }
        }
        event => event,
    };
    (event, When::Now)
}

#[test]
fn an_act_is_late_where_a_row_says_so() {
    let place = (0, NOW_MS);
    let events = || {
        vec![
            at(1, post(NOW, place, "a")),
            at(2, post(NOW, place, "a")),
            at(3, edit(NOW + 2, place, "b", &[NOW])),
            at(4, delete(NOW, place)),
            at(5, post(NOW + 2, place, "b")),
        ]
    };
    let exact = |rows: &[LateRow]| {
        let none = LatenessEvidence::default();
        let (tags, totals) = found((&lateness(&[SPAN]), &late(0, rows), &none), events());
        let number = |(least, most): IntervalBounds| {
            assert_eq!(least, most);
            least
        };
        let tags = tags.into_iter().map(|(tag, uses)| format!("{tag}={}", number(uses)));
        let totals = totals.into_iter().map(|(name, sum)| format!("{name}={}", number(sum)));
        tags.chain(totals).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(exact(&[]), "b=1 tweets=1 deleted=1 duplicates=2");
    let run = |first, last, below| LateRow { last, below, ..LateRow::late(0, first, 0) };
    let all_of_now = "a=2 b=1 tweets=3 duplicates=1 late_posts=2 late_deletes=1 late_edits=1";
    assert_eq!(exact(&[run(1, 5, NOW + 1)]), all_of_now);
    let second = run(2, 2, NOW + 1);
    assert_eq!(exact(&[second]), "a=1 b=1 tweets=2 deleted=1 duplicates=1 late_posts=1");
    let last = [run(4, 4, NOW + 1), run(5, 5, NOW + 3)];
    let counted = "b=2 tweets=2 superseded=1 duplicates=1 late_posts=1 late_deletes=1";
    assert_eq!(exact(&last), counted);
}

#[test]
fn what_a_memory_took_in_another_one_does_not_know() {
    let place = (0, NOW_MS);
    let events = [1, 2, 3, 4].map(|offset| at(offset, post(NOW, place, "a"))).to_vec();
    let of = |memory, rows: &[LateRow]| {
        let none = LatenessEvidence::default();
        found((&lateness(&[SPAN]), &late(memory, rows), &none), events.clone()).1
    };
    let change = |first, kind, memory| LateRow::change(0, first, kind, memory);
    assert_eq!(of(0, &[]), [("tweets", (1, 1)), ("duplicates", (3, 3))]);
    let forgotten = change(3, LateKind::Forgotten, 1);
    assert_eq!(of(2, &[forgotten]), [("tweets", (2, 2)), ("duplicates", (2, 2))]);
    let off = change(2, LateKind::LedgerOff, 1);
    assert_eq!(of(3, &[off]), [("tweets", (4, 4))]);
    let on = change(3, LateKind::LedgerOn, 2);
    assert_eq!(of(4, &[off, on]), [("tweets", (3, 3)), ("duplicates", (1, 1))]);
}

#[test]
fn what_the_baseline_holds_is_taken_away() {
    let (before, at) = (lateness(&[SPAN, ("ledger", NOW)]), (0, NOW_MS));
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
    let (tags, totals) = found((&before, &late(0, &[]), &before), events);
    let one = |tag: &str, times| (tag.to_owned(), (times, times));
    assert_eq!(tags, [one("a", -1), one("b", -1), one("c", 1), one("g", 1), one("h", 1)]);
    let wanted = [("tweets", 1), ("deleted", 2), ("duplicates", 2)];
    let wanted = wanted.into_iter().chain([("late_posts", 2), ("late_deletes", 1)]);
    assert_eq!(totals, wanted.map(|(name, sum)| (name, (sum, sum))).collect::<Vec<_>>());
    // What was tried again came late only if a row says so.
    let again = || [When::Later, When::Now].map(|when| (post(NOW + 3, at, "e"), when)).to_vec();
    let in_time_totals = vec![("tweets", (1, 1)), ("duplicates", (1, 1))];
    let in_time = (vec![("e".into(), (1, 1))], in_time_totals);
    assert_eq!(found((&before, &late(0, &[]), &before), again()), in_time);
    let row = LateRow::late(0, 0, NOW + 3);
    let too_late_totals = vec![("tweets", (2, 2)), ("late_posts", (2, 2))];
    let too_late = (vec![("e".into(), (2, 2))], too_late_totals);
    assert_eq!(found((&before, &late(0, &[row]), &before), again()), too_late);
}

//! Which posts count: what was said of each tweet, brought together and weighed.
//!
//! A job without a ledger counts each post that it reads, and deletes nothing. With a ledger the acts
//! on a tweet (it was posted, it was deleted) are a set, told apart by when they were read:
//!
//! - *in time*: of the posts one counts, the greatest content (hashtags, then time); a delete, before
//!   or behind, and none counts; nor if a newer version says that it replaces the tweet. The other posts
//!   are duplicates.
//! - *late*, below the floor of that moment: a post counts, whatever else is known; the rest is ignored.
//! - *transient*, for no tweet can have that id: remembered in one run only, so each post may count.
//!
//! The recount reads partition by partition and cannot know where the floor was ([`super::marks`]), so
//! an act is certainly in time or possibly late. What a tweet with possibly late acts adds is a range,
//! and exactly one: each end is reached by some choice of those that were late.
//!
//! What was counted before a baseline stands in its rows. Of tweets that were at or above its floor all
//! acts are read again, in time then, and what they add up to alone is subtracted; of those below
//! nothing can be in time any more.

use super::content::{Content, What};
use super::marks::{Clock, Marks, Moment, id_at};
use super::readings::Readings;
use super::runs::{Part, Runs, Sum};
use super::state::State;
use super::weigh::{Bounds, Counts, Times, Totals, Tweet};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Result;
use types::{Event, Text};

/// When a record is read, and when it was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Before the baseline.
    Before,
    /// In its place.
    Now,
    /// Some time after its place: a dead letter that was tried again.
    Later,
}

/// An act on a tweet. Equal ones need not be told apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Act {
    id: u64,
    said: What,
    is_transient: bool,
    read: Read,
}

/// How an act was met.
#[derive(Clone, Copy)]
struct Seen {
    when: When,
    moment: Moment,
    /// The ledger that is now has met it, if it was read in time.
    is_known: bool,
    is_transient: bool,
}

/// When it was read, as far as that tells whether it may be late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Read {
    /// In time.
    Before,
    /// Possibly late by its own partition's ids; or by those of others, up to a minute; or, if it is
    /// not known, because it may have been read before the ledger was.
    Now { is_behind: bool, minute: u64, is_known: bool },
    /// A dead letter until then: possibly late by what was read meanwhile.
    Later,
}

impl Part for Act {
    fn text_bytes(&self) -> usize {
        let What::Post(content) = &self.said else { return 0 };
        content.hashtags.iter().map(|tag| size_of::<Text>() + tag.len()).sum()
    }
}

impl Part for u64 {
    fn text_bytes(&self) -> usize {
        0
    }
}

impl Sum for u64 {
    fn add(&mut self, other: u64) {
        *self += other;
    }
}

/// All acts so far.
pub(super) struct Acts {
    runs: Runs<Act, u64>,
    clock: Clock,
    totals: Totals,
    /// Posts since the baseline.
    pub(super) posts: i64,
    newest: Option<u64>,
    has_ledger: bool,
    /// Nothing was late while there was a ledger.
    is_in_time: bool,
    /// Dead letters were counted, and any act may have been one.
    is_retried: bool,
    span: u64,
    /// Up to here there was no ledger, at some moments.
    forgotten: Option<u64>,
    /// Below it everything is late since the baseline.
    floor: u64,
    /// The job must remember what was said of tweets from here on.
    remembered: u64,
    /// By partition, where that begins.
    needed: BTreeMap<u32, u64>,
}

impl Acts {
    /// Of tables that say `marks`, and said `before` at the baseline. Holds about `bound` bytes.
    pub(super) fn new(marks: &Marks, before: &Marks, bound: usize) -> Self {
        Acts {
            runs: Runs::new(bound),
            clock: Clock::default(),
            totals: Totals::default(),
            posts: 0,
            newest: None,
            has_ledger: marks.has_ledger(),
            is_in_time: marks.is_in_time(before),
            is_retried: marks.is_retried(before),
            span: marks.span(),
            forgotten: marks.forgotten(),
            floor: before.floor(),
            remembered: marks.floor().max(marks.forgotten().map_or(0, |id| id.saturating_add(1))),
            needed: BTreeMap::new(),
        }
    }

    /// The greatest id that another clock bears out; 0 where there are only others.
    pub(super) fn newest(&self) -> Option<u64> {
        self.newest
    }

    /// The first offset of a partition at which something was said that the job must remember.
    pub(super) fn needed(&self, partition: u32) -> Option<u64> {
        self.needed.get(&partition).copied()
    }

    /// Takes an event; `counts` is told of a post that counts whatever else is known.
    pub(super) fn event(
        &mut self,
        event: Event,
        when: When,
        counts: &mut Counts<'_>,
    ) -> Result<()> {
        let Some((version, readings)) = Readings::of(&event) else { return Ok(()) };
        let (said, replaces) = match event {
            Event::Tweet(tweet) => {
                let content = Content { hashtags: tweet.hashtags, time: tweet.time };
                (What::Post(content), tweet.replaces)
            }
            _ => (What::Delete, Box::default()),
        };
        let (id, is_before) = (readings.id, when == When::Before);
        let is_proven = readings.is_proven();
        self.newest = self.newest.max(Some(if is_proven { id } else { 0 }));
        self.posts += i64::from(matches!(said, What::Post(_)) && !is_before);
        if !self.has_ledger {
            return if is_before { Ok(()) } else { self.loose(&said, (0, 0), counts) };
        }
        let is_transient = readings.is_implausible;
        // Where the ledger was forgotten, an id that is not proven may be from before that.
        let is_known = is_proven || self.forgotten.is_none();
        if !is_transient && is_known && id >= self.remembered {
            self.needed.entry(version.partition).or_insert(version.offset);
        }
        let moment = self.moment(version.partition, &readings, when);
        let seen = Seen { when, moment, is_known, is_transient };
        self.act(id, said, seen, counts)?;
        // What an edited tweet says of its earlier versions.
        for id in replaces.iter().filter(|_| !is_transient) {
            self.act(*id, What::Replace, seen, counts)?;
        }
        Ok(())
    }

    /// When an act was read.
    fn moment(&mut self, partition: u32, readings: &Readings, when: When) -> Moment {
        let ms = readings.record_ms;
        let newest = readings.proven_ms.or(readings.latest_ms).map_or(0, id_at).min(readings.id);
        match when {
            When::Before | When::Now => self.clock.read(partition, ms, newest),
            When::Later => {
                self.clock.note(ms, newest);
                Moment { newest: u64::MAX, minute: u64::MAX }
            }
        }
    }

    /// Takes an act that went through the ledger.
    fn act(&mut self, id: u64, said: What, seen: Seen, counts: &mut Counts<'_>) -> Result<()> {
        let Seen { when, moment, is_known, is_transient } = seen;
        if id < self.floor {
            // Where there was no ledger at that moment it was not counted as late.
            let late = (i64::from(is_known && Some(id) > self.forgotten), 1);
            let is_before = when == When::Before;
            return if is_before { Ok(()) } else { self.loose(&said, late, counts) };
        }
        let read = match when {
            When::Before => Read::Before,
            // Where nothing was late, nothing of that matters.
            When::Now if self.is_in_time => Read::Now { is_behind: false, minute: 0, is_known },
            When::Now => {
                let Moment { newest, minute } = moment;
                let is_behind = id < newest.saturating_sub(self.span);
                Read::Now { is_behind, minute, is_known }
            }
            When::Later => Read::Later,
        };
        self.runs.add(Act { id, said, is_transient, read }, 1)
    }

    /// An act that is in no set: a post counts, the rest is ignored.
    fn loose(&mut self, said: &What, late: Bounds, counts: &mut Counts<'_>) -> Result<()> {
        let mut totals = Totals::default();
        match said {
            What::Post(content) => {
                (totals.tweets, totals.late_posts) = ((1, 1), late);
                counts(content, State::Count(1))?;
            }
            What::Delete => totals.late_deletes = late,
            What::Replace => totals.late_edits = late,
        }
        self.totals.add(totals, 1);
        Ok(())
    }

    /// Weighs the tweets, when everything was read.
    pub(super) fn finish(mut self, counts: &mut Counts<'_>) -> Result<Totals> {
        let acts = std::mem::replace(&mut self.runs, Runs::new(0));
        let (mut tweet, mut id, mut totals) = (Tweet::default(), 0, self.totals);
        for entry in acts.into_sorted() {
            let (act, times) = entry?;
            if act.id != id {
                std::mem::take(&mut tweet).settle(&mut totals, counts)?;
                id = act.id;
            }
            let times = self.times(&act, times.cast_signed());
            tweet.add(act.said, times);
        }
        tweet.settle(&mut totals, counts)?;
        Ok(totals)
    }

    /// So many of an act, by when they were read.
    fn times(&self, act: &Act, times: i64) -> Times {
        let may_be_late = match act.read {
            Read::Before => false,
            Read::Later => !self.is_in_time,
            Read::Now { is_behind, minute, is_known } => {
                let newest = || self.clock.newest(minute).saturating_sub(self.span);
                Some(act.id) <= self.forgotten
                    || !is_known
                    || !self.is_in_time && (self.is_retried || is_behind || act.id < newest())
            }
        };
        let if_so = |is_so: bool| if is_so { times } else { 0 };
        let before = if_so(act.read == Read::Before);
        if act.is_transient {
            return Times {
                transient: times - before,
                transient_late: if_so(may_be_late),
                transient_before: before,
                ..Times::default()
            };
        }
        let (in_time, late) = (if_so(!may_be_late), if_so(may_be_late));
        Times { in_time, late, before, ..Times::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::{Acts, Bounds, Content, Marks, When};
    use crate::state::State;
    use crate::weigh::bounds;
    use std::collections::BTreeMap;
    use types::Version;
    use types::event::Time;
    use types::event::{Kind, Tweet as Posted};
    use types::{Event, Value};

    fn content(tag: &str) -> Content {
        Content { hashtags: vec![tag.into()], time: Time::Own(7) }
    }

    const MS: u64 = 1 << 22;
    /// An id that is written in the minute of the records of these tests.
    const NOW: u64 = 200_000_000_000 * MS;
    const NOW_MS: u64 = 200_000_000_000 + types::snowflake::EPOCH_MS;

    fn post(id: u64, (partition, record_ms): (u32, u64), tag: &str) -> Event {
        let version = Version { tweet_id: id, record_ms, partition, offset: 0 };
        let Content { hashtags, time } = content(tag);
        let (own_ms, replaces) = (record_ms, [].into());
        Event::Tweet(Posted { version, time, own_ms, hashtags, user: None, replaces })
    }

    fn edit(id: u64, at: (u32, u64), tag: &str, earlier: &[u64]) -> Event {
        let Event::Tweet(tweet) = post(id, at, tag) else { unreachable!() };
        Event::Tweet(Posted { replaces: earlier.into(), ..tweet })
    }

    fn delete(id: u64, (partition, record_ms): (u32, u64)) -> Event {
        let version = Version { tweet_id: id, record_ms, partition, offset: 0 };
        Event::Delete { version, kind: Kind::Delete, own_ms: record_ms }
    }

    fn marks(floors: &[(&str, u64)], late_posts: u64) -> Marks {
        let mut marks = Marks::default();
        let mut see = |table: &str, name: &str, number| {
            marks.see(table, &[Value::Text(name.into()), Value::UInt(number)].into());
        };
        for (name, number) in floors {
            see("floors", name, *number);
        }
        see("totals", "late_posts", late_posts);
        marks
    }

    /// A span of 1,000 ms.
    const SPAN: (&str, u64) = ("span", u64::MAX - 1_000);

    type Named<N> = Vec<(N, Bounds)>;

    /// What the tags come to, and the totals that are not none.
    fn found(
        (now, before): (&Marks, &Marks),
        events: Vec<(Event, When)>,
    ) -> (Named<String>, Named<&'static str>) {
        // So little memory that all go through files.
        let mut acts = Acts::new(now, before, 0);
        let mut tags = BTreeMap::<String, State>::new();
        let mut counts = |content: &Content, state: State| {
            let held = tags.entry(content.hashtags[0].to_string()).or_insert(State::Count(0));
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
        let never = marks(&[("forgotten", NOW)], 0);
        let events = vec![post(1, (0, 0), "a"), post(1, (0, 0), "a"), delete(1, (0, 0))];
        let found = found((&never, &Marks::default()), now(events));
        assert_eq!(found, (vec![("a".into(), (2, 2))], vec![("tweets", (2, 2))]));
    }

    #[test]
    fn what_must_be_read_again() {
        let first = |floors: &[(&str, u64)]| {
            let floors = [&[SPAN], floors].concat();
            let mut acts = Acts::new(&marks(&floors, 0), &Marks::default(), 1_000);
            let ids = [NOW - 2, NOW + 3_700_000 * MS, NOW, NOW - 1, NOW + 1];
            for (offset, id) in (5..).zip(ids) {
                let version = Version { tweet_id: id, record_ms: NOW_MS, partition: 1, offset };
                let event = Event::Delete { version, kind: Kind::Delete, own_ms: NOW_MS };
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
        let (tags, totals) = found((&marks(&[SPAN], 0), &Marks::default()), now(events));
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
            let now = marks(&[SPAN], 0);
            let found = found((&now, &Marks::default()), events);
            assert_eq!(found, (vec![("c".into(), (1, 1))], wanted.clone()), "{order:?}");
        }
        // A version that was counted before the baseline, one that was below its floor.
        let before = marks(&[SPAN, ("ledger", NOW)], 5);
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
            let (tags, totals) = found((&marks(&floors, 1), &Marks::default()), now(twice));
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
        let (before, at) = (marks(&[SPAN, ("ledger", NOW)], 5), (0, NOW_MS));
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
        let late = marks(&[SPAN, ("ledger", NOW)], 6);
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
            let mut marks = marks(&[SPAN], late_posts);
            let row = [Value::Text("retried".into()), Value::UInt(retried)].into();
            marks.see("totals", &row);
            let (tags, _) = found((&marks, &Marks::default()), twice());
            assert_eq!(tags, [("a".into(), (1, most))], "{late_posts}, {retried}");
        }
    }
}

//! Which posts count: what was said of each tweet, brought together and weighed.
//!
//! A job without a ledger counts each post that it reads, and deletes nothing. With a ledger the acts
//! on a tweet (it was posted, it was deleted) are a set, told apart by when they were read:
//!
//! - *in time*: of the posts one counts, the greatest content (hashtags, then time); a delete, before
//!   or behind, and none counts. The other posts are duplicates.
//! - *late*, below the floor of that moment: a post counts, whatever else is known; a delete is ignored.
//! - *ahead* of its record: as if it were late, but not counted as that.
//!
//! The recount reads partition by partition and cannot know where the floor was ([`super::marks`]), so
//! an act is certainly in time or possibly late. What a tweet with possibly late acts adds is a range,
//! and exactly one: each end is reached by some choice of those that were late.
//!
//! What was counted before a baseline stands in its rows. Of tweets that were at or above its floor all
//! acts are read again, in time then, and what they add up to alone is subtracted; of those below
//! nothing can be in time any more.

use super::marks::{Clock, Marks, Moment, is_ahead};
use super::model::State;
use super::runs::{Part, Runs, Sum};
use dataflows::Event;
use dataflows::tweet::Time;
use serde::{Deserialize, Serialize};
use std::io::Result;

/// What of a post is counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Content {
    pub(super) hashtags: Vec<Box<str>>,
    pub(super) time: Time,
}

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
    /// `None`: a delete.
    post: Option<Content>,
    read: Read,
}

/// When it was read, as far as that tells whether it may be late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Read {
    /// In time.
    Before,
    /// Possibly late by its own partition's ids; or by those of others, up to a minute.
    Now { is_behind: bool, minute: u64 },
    /// The job may have taken it as one that is late, and not counted it as that.
    Later,
}

impl Part for Act {
    fn text_bytes(&self) -> usize {
        let tags = self.post.iter().flat_map(|post| &post.hashtags);
        tags.map(|tag| size_of::<Box<str>>() + tag.len()).sum()
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

/// At least and at most so many.
type Bounds = (i64, i64);

/// How many posts there were of each kind, and how many late acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    tweets: Bounds,
    deleted: Bounds,
    duplicates: Bounds,
    late_posts: Bounds,
    late_deletes: Bounds,
}

impl Totals {
    /// As `totals` names them.
    pub(super) fn named(self) -> [(&'static str, State); 5] {
        let all = [
            ("tweets", self.tweets),
            ("deleted", self.deleted),
            ("duplicates", self.duplicates),
            ("late_posts", self.late_posts),
            ("late_deletes", self.late_deletes),
        ];
        all.map(|(name, bounds)| (name, State::between(bounds)))
    }

    /// Adds what another tweet adds, or takes away what is certain.
    fn add(&mut self, other: Totals, sign: i64) {
        let add = |to: &mut Bounds, (least, most): Bounds| {
            to.0 += sign * least;
            to.1 += sign * most;
        };
        add(&mut self.tweets, other.tweets);
        add(&mut self.deleted, other.deleted);
        add(&mut self.duplicates, other.duplicates);
        add(&mut self.late_posts, other.late_posts);
        add(&mut self.late_deletes, other.late_deletes);
    }
}

/// What is done with what counts.
pub(super) type Counts<'a> = dyn FnMut(&Content, State) -> Result<()> + 'a;

/// All acts so far.
pub(super) struct Acts {
    acts: Runs<Act, u64>,
    clock: Clock,
    totals: Totals,
    /// Posts since the baseline.
    pub(super) posts: i64,
    newest: Option<u64>,
    has_ledger: bool,
    /// Nothing was late while there was a ledger.
    is_in_time: bool,
    span: u64,
    /// Up to here there was no ledger, at some moments.
    forgotten: Option<u64>,
    /// Up to here the baseline does not know what was said.
    forgotten_before: Option<u64>,
    /// Below it everything is late since the baseline.
    floor: u64,
}

impl Acts {
    /// Of tables that say `marks`, and said `before` at the baseline. Holds about `bound` bytes.
    pub(super) fn new(marks: &Marks, before: &Marks, bound: usize) -> Self {
        Acts {
            acts: Runs::new(bound),
            clock: Clock::default(),
            totals: Totals::default(),
            posts: 0,
            newest: None,
            has_ledger: marks.has_ledger(),
            is_in_time: marks.is_in_time(before),
            span: marks.span(),
            forgotten: marks.forgotten(),
            forgotten_before: before.forgotten(),
            floor: before.floor(),
        }
    }

    /// The greatest id that is not ahead of its record.
    pub(super) fn newest(&self) -> Option<u64> {
        self.newest
    }

    /// Takes an event; `counts` is told of a post that counts whatever else is known.
    pub(super) fn event(
        &mut self,
        event: Event,
        when: When,
        counts: &mut Counts<'_>,
    ) -> Result<()> {
        let (version, post) = match event {
            Event::Tweet(tweet) => {
                let content = Content { hashtags: tweet.hashtags, time: tweet.time };
                (tweet.version, Some(content))
            }
            Event::Delete { version, .. } => (version, None),
            Event::User(..) | Event::Other(_) => return Ok(()),
        };
        let (id, ms, is_before) = (version.tweet_id, version.record_ms, when == When::Before);
        let is_ahead = is_ahead(id, ms);
        self.newest = self.newest.max((!is_ahead).then_some(id));
        self.posts += i64::from(post.is_some() && !is_before);
        let is_late = id < self.floor;
        if !self.has_ledger || is_ahead || is_late {
            if is_before {
                return Ok(());
            }
            // Where there was no ledger at that moment it was not counted as late.
            let is_said = self.has_ledger && !is_ahead && when == When::Now;
            let is_certain = is_said && Some(id) > self.forgotten;
            let late = (i64::from(is_certain), i64::from(is_said));
            return self.loose(post.as_ref(), late, counts);
        }
        let read = match when {
            When::Before if Some(id) <= self.forgotten_before => return Ok(()),
            When::Before => {
                self.clock.read(version.partition, ms, id);
                Read::Before
            }
            When::Now => {
                let Moment { newest, minute } = self.clock.read(version.partition, ms, id);
                let is_behind = id < newest.saturating_sub(self.span);
                // Where nothing was late, nothing of that matters.
                match self.is_in_time {
                    true => Read::Now { is_behind: false, minute: 0 },
                    false => Read::Now { is_behind, minute },
                }
            }
            When::Later => {
                self.clock.note(ms, id);
                Read::Later
            }
        };
        self.acts.add(Act { id, post, read }, 1)
    }

    /// An act that is in no set: a post counts, a delete is ignored.
    fn loose(
        &mut self,
        post: Option<&Content>,
        late: Bounds,
        counts: &mut Counts<'_>,
    ) -> Result<()> {
        let mut totals = Totals::default();
        if let Some(content) = post {
            (totals.tweets, totals.late_posts) = ((1, 1), late);
            counts(content, State::Count(1))?;
        } else {
            totals.late_deletes = late;
        }
        self.totals.add(totals, 1);
        Ok(())
    }

    /// Weighs the tweets, when everything was read.
    pub(super) fn finish(mut self, counts: &mut Counts<'_>) -> Result<Totals> {
        let acts = std::mem::replace(&mut self.acts, Runs::new(0));
        let (mut tweet, mut totals) = (Tweet::default(), self.totals);
        for entry in acts.into_sorted() {
            let (act, times) = entry?;
            if act.id != tweet.id {
                std::mem::take(&mut tweet).settle(&mut totals, counts)?;
                tweet.id = act.id;
            }
            let is_late = self.may_be_late(&act);
            tweet.add(act, times.cast_signed(), is_late);
        }
        tweet.settle(&mut totals, counts)?;
        Ok(totals)
    }

    fn may_be_late(&self, act: &Act) -> bool {
        match act.read {
            Read::Before => false,
            Read::Later => true,
            Read::Now { is_behind, minute } => {
                let newest = || self.clock.newest(minute).saturating_sub(self.span);
                Some(act.id) <= self.forgotten
                    || !self.is_in_time && (is_behind || act.id < newest())
            }
        }
    }
}

/// So many equal acts.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    in_time: i64,
    /// Possibly late.
    late: i64,
    /// Of those in time, before the baseline.
    before: i64,
}

/// All that was said of one tweet.
#[derive(Debug, Default)]
struct Tweet {
    id: u64,
    /// In order, each once.
    posts: Vec<(Content, Times)>,
    deletes: Times,
}

impl Tweet {
    /// Adds acts, in order.
    fn add(&mut self, act: Act, times: i64, is_late: bool) {
        let to = match act.post {
            None => &mut self.deletes,
            Some(content) => {
                if self.posts.last().is_none_or(|(last, _)| *last != content) {
                    self.posts.push((content, Times::default()));
                }
                &mut self.posts.last_mut().expect("one was pushed").1
            }
        };
        let part = if is_late { &mut to.late } else { &mut to.in_time };
        *part += times;
        to.before += if act.read == Read::Before { times } else { 0 };
    }

    /// Adds what it comes to, without what it came to before the baseline.
    fn settle(self, totals: &mut Totals, counts: &mut Counts<'_>) -> Result<()> {
        let posts: Vec<Times> = self.posts.iter().map(|(_, times)| *times).collect();
        let before = |times: &Times| Times { in_time: times.before, late: 0, before: 0 };
        let posts_before: Vec<Times> = posts.iter().map(before).collect();
        let (now, sums) = weigh(&posts, self.deletes);
        let (then, sums_then) = weigh(&posts_before, before(&self.deletes));
        totals.add(sums, 1);
        totals.add(sums_then, -1);
        for ((content, _), (now, then)) in self.posts.iter().zip(now.into_iter().zip(then)) {
            let bounds = (now.0 - then.0, now.1 - then.1);
            if bounds != (0, 0) {
                counts(content, State::between(bounds))?;
            }
        }
        Ok(())
    }
}

/// How often each of a tweet's contents counts, and what that is in all.
///
/// Few count if all posts were in time, many if all that may be were late. The content that counts
/// among those in time is the greatest of them.
fn weigh(posts: &[Times], deletes: Times) -> (Vec<Bounds>, Totals) {
    let (is_deleted, may_be) = (deletes.in_time > 0, deletes.in_time + deletes.late > 0);
    let in_time: i64 = posts.iter().map(|times| times.in_time).sum();
    let late: i64 = posts.iter().map(|times| times.late).sum();
    let greatest = posts.iter().rposition(|times| times.in_time + times.late > 0);
    let greatest_in_time = posts.iter().rposition(|times| times.in_time > 0);
    let content = |(at, times): (usize, &Times)| {
        let least = !may_be && greatest == Some(at);
        let most = !is_deleted && greatest_in_time == Some(at);
        (i64::from(least), times.late + i64::from(most))
    };
    let mut totals = Totals { late_deletes: (0, deletes.late), ..Totals::default() };
    if in_time + late > 0 {
        let certain = in_time > 0;
        totals.tweets = (i64::from(!may_be), late + i64::from(certain && !is_deleted));
        totals.deleted = (i64::from(certain && is_deleted), i64::from(may_be));
        totals.duplicates = ((in_time - 1).max(0), in_time + late - 1);
        totals.late_posts = (0, late);
    }
    (posts.iter().enumerate().map(content).collect(), totals)
}

#[cfg(test)]
mod tests {
    use super::{Act, Acts, Bounds, Content, Marks, Read, Time, Totals, Tweet, When};
    use crate::verify::model::State;
    use crate::verify::tests::Random;
    use dataflows::latest::Version;
    use dataflows::tweet::{Kind, Tweet as Posted};
    use dataflows::{Event, Value};
    use std::collections::BTreeMap;

    fn content(tag: &str) -> Content {
        Content { hashtags: vec![tag.into()], time: Time::Own(7) }
    }

    /// The same rule in other words: the acts of a tweet one after the other. Returns how often each
    /// content counts, then the five totals.
    fn one_by_one(acts: &[(Option<Content>, bool)]) -> (BTreeMap<Content, i64>, [i64; 5]) {
        let (mut counts, mut totals) = (BTreeMap::new(), [0; 5]);
        let (mut held, mut is_deleted, mut posts) = (None, false, 0);
        for (post, is_late) in acts {
            match (post, is_late) {
                (Some(content), true) => {
                    *counts.entry(content.clone()).or_default() += 1;
                    totals[0] += 1;
                    totals[3] += 1;
                }
                (None, true) => totals[4] += 1,
                (Some(content), false) => {
                    posts += 1;
                    held = held.max(Some(content.clone()));
                }
                (None, false) => is_deleted = true,
            }
        }
        match held {
            Some(_) if is_deleted => totals[1] += 1,
            Some(content) => {
                *counts.entry(content).or_default() += 1;
                totals[0] += 1;
            }
            None => {}
        }
        totals[2] = (posts - 1).max(0);
        (counts, totals)
    }

    fn bounds(state: &State) -> Bounds {
        match *state {
            State::Count(count) => (count, count),
            State::Range { least, most } => (least, most),
            _ => panic!("{state:?} is no count"),
        }
    }

    /// Of few acts all choices of those that were late are tried.
    #[test]
    fn each_end_of_a_range_is_reached_and_nothing_lies_beyond() {
        let mut random = Random::new(7);
        for round in 0..20_000 {
            let mut acts: Vec<(Act, bool)> = Vec::new();
            for _ in 0..1 + random.below(6) {
                let post = ["a", "b", "c"].get(random.index(4)).map(|tag| content(tag));
                let is_before = random.one_in(4);
                let may_be_late = !is_before && random.one_in(2);
                let now = Read::Now { is_behind: may_be_late, minute: 0 };
                let read = if is_before { Read::Before } else { now };
                let act = Act { id: 1, post, read };
                acts.push((act, may_be_late));
            }
            let before: Vec<_> = acts.iter().filter(|(act, _)| act.read == Read::Before).collect();
            let before: Vec<_> = before.iter().map(|(act, _)| (act.post.clone(), false)).collect();
            let (counts_before, totals_before) = one_by_one(&before);
            let (mut counts, mut totals) = (BTreeMap::<Content, Bounds>::new(), None);
            for choice in 0..1_u32 << acts.len() {
                let is_possible =
                    |(at, (_, may_be)): (usize, &(_, bool))| *may_be || choice & 1 << at == 0;
                if !acts.iter().enumerate().all(is_possible) {
                    continue;
                }
                let chosen = acts.iter().enumerate();
                let chosen = chosen.map(|(at, (act, _))| (act.post.clone(), choice & 1 << at != 0));
                let (found, sums) = one_by_one(&chosen.collect::<Vec<_>>());
                for tag in ["a", "b", "c"].map(content) {
                    let number = |counts: &BTreeMap<_, i64>| counts.get(&tag).map_or(0, |n| *n);
                    let number = number(&found) - number(&counts_before);
                    let held = counts.entry(tag).or_insert((number, number));
                    *held = (held.0.min(number), held.1.max(number));
                }
                let sums: [i64; 5] = std::array::from_fn(|at| sums[at] - totals_before[at]);
                let held = totals.get_or_insert(sums.map(|sum| (sum, sum)));
                *held =
                    std::array::from_fn(|at| (held[at].0.min(sums[at]), held[at].1.max(sums[at])));
            }
            acts.sort();
            let mut tweet = Tweet::default();
            for (act, is_late) in acts.clone() {
                tweet.add(act, 1, is_late);
            }
            let (mut found, mut sums) = (BTreeMap::new(), Totals::default());
            let mut note = |content: &Content, state: State| {
                assert!(found.insert(content.clone(), bounds(&state)).is_none());
                Ok(())
            };
            tweet.settle(&mut sums, &mut note).expect("no file");
            counts.retain(|_, bounds| *bounds != (0, 0));
            assert_eq!(found, counts, "round {round}: {acts:?}");
            let sums = sums.named().map(|(_, state)| bounds(&state));
            assert_eq!(Some(sums), totals, "round {round}: {acts:?}");
        }
    }

    const MS: u64 = 1 << 22;
    /// An id that is written in the minute of the records of these tests.
    const NOW: u64 = 200_000_000_000 * MS;
    const NOW_MS: u64 = 200_000_000_000 + 1_288_834_974_657;

    fn post(id: u64, (partition, record_ms): (u32, u64), tag: &str) -> Event {
        let version = Version { tweet_id: id, record_ms, partition, offset: 0 };
        let Content { hashtags, time } = content(tag);
        Event::Tweet(Posted { version, time, hashtags, user: None })
    }

    fn delete(id: u64, (partition, record_ms): (u32, u64)) -> Event {
        let version = Version { tweet_id: id, record_ms, partition, offset: 0 };
        Event::Delete { version, kind: Kind::Delete }
    }

    fn marks(floors: &[(&str, u64)], late_posts: u64) -> Marks {
        let mut marks = Marks::default();
        let mut see = |table: &str, name: &str, number| {
            marks.see(table, &[Value::Text(name.into()), Value::UInt(number)].into());
        };
        floors.iter().for_each(|(name, number)| see("floors", name, *number));
        see("totals", "late_posts", late_posts);
        marks
    }

    /// A span of 1,000 ms.
    const SPAN: (&str, u64) = ("span", u64::MAX - 1_000);

    /// What the tags come to, and the totals that are not none.
    fn found(
        (now, before): (&Marks, &Marks),
        events: Vec<(Event, When)>,
    ) -> (Vec<(String, Bounds)>, Vec<(&'static str, Bounds)>) {
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
            // An hour and more ahead: no one's, twice; and such a delete is ignored.
            post(NOW + 3_700_000 * MS, (0, NOW_MS), "e"),
            post(NOW + 3_700_000 * MS, (0, NOW_MS), "e"),
            delete(NOW + 3_700_000 * MS, (0, NOW_MS)),
        ];
        let (tags, totals) = found((&marks(&[SPAN], 0), &Marks::default()), now(events));
        let one = |tag: &str, times| (tag.to_owned(), (times, times));
        assert_eq!(tags, [one("b", 1), one("d", 1), one("e", 2)]);
        assert_eq!(totals, [("tweets", (4, 4)), ("deleted", (1, 1)), ("duplicates", (2, 2))]);
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
        let minute = 60_000;
        let here = post(NOW, (0, NOW_MS), "other");
        // Behind its own partition's, by more than the span.
        assert!(!late(&[], here.clone(), NOW - 1_000 * MS, (0, NOW_MS)));
        assert!(late(&[], here.clone(), NOW - 1_000 * MS - 1, (0, NOW_MS)));
        assert!(late(&[], delete(NOW, (0, NOW_MS)), NOW - 1_000 * MS - 1, (0, NOW_MS)));
        // Behind another one's, that was written up to ten minutes later, or may have been.
        let old = NOW - 1_000 * MS - 1;
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
        let wanted = wanted.into_iter().chain([("late_posts", 1), ("late_deletes", 1)]);
        assert_eq!(totals, wanted.map(|(name, sum)| (name, (sum, sum))).collect::<Vec<_>>());
        // What was tried again may be in no set.
        let events = [When::Later, When::Now].map(|when| (post(NOW + 3, at, "e"), when)).to_vec();
        let (tags, totals) = found((&before, &before), events);
        assert_eq!(tags, [("e".into(), (1, 2))]);
        let wanted = [("tweets", (1, 2)), ("duplicates", (0, 1)), ("late_posts", (0, 1))];
        assert_eq!(totals, wanted);
    }
}

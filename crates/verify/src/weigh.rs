//! What the acts on one tweet come to: the rule of [`super::acts`] as a function of how many there
//! are of each kind, and of how many may have been late.

use super::content::{ActKind, TweetContent};
use super::state::Tally;
use std::io::Result;

/// At least and at most so many.
pub(super) type IntervalBounds = (i64, i64);

/// How many posts there were of each kind, and how many late acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) tweets: IntervalBounds,
    pub(super) deleted: IntervalBounds,
    pub(super) superseded: IntervalBounds,
    pub(super) duplicates: IntervalBounds,
    pub(super) late_posts: IntervalBounds,
    pub(super) late_deletes: IntervalBounds,
    pub(super) late_edits: IntervalBounds,
}

impl Totals {
    /// As `totals` names them.
    pub(super) fn named(self) -> [(&'static str, Tally); 7] {
        let all = [
            ("tweets", self.tweets),
            ("deleted", self.deleted),
            ("superseded", self.superseded),
            ("duplicates", self.duplicates),
            ("late_posts", self.late_posts),
            ("late_deletes", self.late_deletes),
            ("late_edits", self.late_edits),
        ];
        all.map(|(name, bounds)| (name, Tally::between(bounds)))
    }

    /// Adds what another tweet adds, or takes away what is certain.
    pub(super) fn add(&mut self, other: Totals, sign: i64) {
        let add = |to: &mut IntervalBounds, (least, most): IntervalBounds| {
            to.0 += sign * least;
            to.1 += sign * most;
        };
        add(&mut self.tweets, other.tweets);
        add(&mut self.deleted, other.deleted);
        add(&mut self.superseded, other.superseded);
        add(&mut self.duplicates, other.duplicates);
        add(&mut self.late_posts, other.late_posts);
        add(&mut self.late_deletes, other.late_deletes);
        add(&mut self.late_edits, other.late_edits);
    }
}

/// What is done with what counts.
pub(super) type Counts<'a> = dyn FnMut(&TweetContent, Tally) -> Result<()> + 'a;

/// So many equal acts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) in_time: i64,
    /// Possibly late.
    pub(super) late: i64,
    /// Of those in time, before the baseline.
    pub(super) before: i64,
    /// Under an id that the job remembers in one run only. What runs there were is not known.
    pub(super) transient: i64,
    /// Of those, possibly late.
    pub(super) transient_late: i64,
    /// Such ones before the baseline.
    pub(super) transient_before: i64,
}

impl Times {
    fn add(&mut self, other: Times) {
        self.in_time += other.in_time;
        self.late += other.late;
        self.before += other.before;
        self.transient += other.transient;
        self.transient_late += other.transient_late;
        self.transient_before += other.transient_before;
    }
}

/// All that was said of one tweet.
#[derive(Debug, Default)]
pub(super) struct TweetActs {
    /// In order, each once.
    posts: Vec<(TweetContent, Times)>,
    deletes: Times,
    /// Newer versions that say that they replace it.
    edits: Times,
}

impl TweetActs {
    /// Adds equal acts. Contents come in order.
    pub(super) fn add(&mut self, what: ActKind, times: Times) {
        let content = match what {
            ActKind::Delete => return self.deletes.add(times),
            ActKind::Replace => return self.edits.add(times),
            ActKind::Post(content) => content,
        };
        match self.posts.last_mut().filter(|(last, _)| *last == content) {
            Some((_, held)) => held.add(times),
            None => self.posts.push((content, times)),
        }
    }

    /// Adds what it comes to, without what it came to before the baseline.
    pub(super) fn settle(self, totals: &mut Totals, counts: &mut Counts<'_>) -> Result<()> {
        let posts: Vec<Times> = self.posts.iter().map(|(_, times)| *times).collect();
        let before = |times: &Times| Times { in_time: times.before, ..Times::default() };
        let posts_before: Vec<Times> = posts.iter().map(before).collect();
        let (now, sums) = weigh(&posts, self.deletes, self.edits);
        let (then, sums_then) = weigh(&posts_before, before(&self.deletes), before(&self.edits));
        totals.add(sums, 1);
        totals.add(sums_then, -1);
        totals.add(self.transient(), 1);
        for ((content, times), (now, then)) in self.posts.iter().zip(now.into_iter().zip(then)) {
            let least = now.0 - then.0 - times.transient_before;
            let bounds = (least, now.1 - then.1 + times.transient);
            if bounds != (0, 0) {
                counts(content, Tally::between(bounds))?;
            }
        }
        Ok(())
    }
}

impl TweetActs {
    /// What transient acts may add. Each post may count, be a duplicate or be deleted, by what its
    /// run remembered; and what was counted before the baseline may be taken back. On the other
    /// acts they have no effect.
    fn transient(&self) -> Totals {
        let mut posts = Times::default();
        self.posts.iter().for_each(|(_, times)| posts.add(*times));
        let (now, before) = (posts.transient, posts.transient_before);
        let late_deletes = (0, self.deletes.transient_late);
        if now + before == 0 {
            return Totals { late_deletes, ..Totals::default() };
        }
        let any = |times: Times| {
            times.in_time + times.late + times.transient + times.transient_before > 0
        };
        let gone = |is_there: bool| (-before, if is_there { now + before } else { 0 });
        Totals {
            tweets: (-before, now),
            deleted: gone(any(self.deletes)),
            superseded: gone(any(self.edits)),
            duplicates: (0, now + before),
            late_posts: (0, posts.transient_late),
            late_deletes,
            late_edits: (0, 0),
        }
    }
}

/// How often each of a tweet's contents counts, and what that is in all.
///
/// Few count if all posts were in time, many if all that may be were late. The content that counts
/// among those in time is the greatest of them.
///
/// What is both deleted and replaced is deleted.
fn weigh(posts: &[Times], deletes: Times, edits: Times) -> (Vec<IntervalBounds>, Totals) {
    let is = |times: Times| times.in_time > 0;
    let may_be = |times: Times| times.in_time + times.late > 0;
    let (is_gone, may_be_gone) = (is(deletes) || is(edits), may_be(deletes) || may_be(edits));
    let in_time: i64 = posts.iter().map(|times| times.in_time).sum();
    let late: i64 = posts.iter().map(|times| times.late).sum();
    let greatest = posts.iter().rposition(|times| times.in_time + times.late > 0);
    let greatest_in_time = posts.iter().rposition(|times| times.in_time > 0);
    let content = |(at, times): (usize, &Times)| {
        let least = !may_be_gone && greatest == Some(at);
        let most = !is_gone && greatest_in_time == Some(at);
        (i64::from(least), times.late + i64::from(most))
    };
    let (late_deletes, late_edits) = ((0, deletes.late), (0, edits.late));
    let mut totals = Totals { late_deletes, late_edits, ..Totals::default() };
    if in_time + late > 0 {
        let certain = in_time > 0;
        totals.tweets = (i64::from(!may_be_gone), late + i64::from(certain && !is_gone));
        totals.deleted = (i64::from(certain && is(deletes)), i64::from(may_be(deletes)));
        let replaced = certain && is(edits) && !may_be(deletes);
        totals.superseded = (i64::from(replaced), i64::from(may_be(edits) && !is(deletes)));
        totals.duplicates = ((in_time - 1).max(0), in_time + late - 1);
        totals.late_posts = (0, late);
    }
    (posts.iter().enumerate().map(content).collect(), totals)
}

#[cfg(test)]
pub(super) fn bounds(state: &Tally) -> IntervalBounds {
    match *state {
        Tally::Count(count) => (count, count),
        Tally::Range { least, most } => (least, most),
        _ => panic!("{state:?} is no count"),
    }
}

#[cfg(test)]
mod tests {
    use super::{ActKind, IntervalBounds, Tally, Times, Totals, TweetActs, TweetContent, bounds};
    use crate::tests::Random;
    use std::collections::BTreeMap;
    use types::event::Time;

    fn content(tag: &str) -> TweetContent {
        TweetContent { hashtags: vec![tag.into()], time: Time::Own(7) }
    }

    /// The same rule in other words: the acts of a tweet one after the other. Returns how often
    /// each content counts, then the totals.
    fn one_by_one(acts: &[(ActKind, bool)]) -> (BTreeMap<TweetContent, i64>, [i64; 7]) {
        let (mut counts, mut totals) = (BTreeMap::new(), [0; 7]);
        let (mut held, mut is_deleted, mut is_replaced, mut posts) = (None, false, false, 0);
        for (what, is_late) in acts {
            match (what, is_late) {
                (ActKind::Post(content), true) => {
                    *counts.entry(content.clone()).or_default() += 1;
                    totals[0] += 1;
                    totals[4] += 1;
                }
                (ActKind::Delete, true) => totals[5] += 1,
                (ActKind::Replace, true) => totals[6] += 1,
                (ActKind::Post(content), false) => {
                    posts += 1;
                    held = held.max(Some(content.clone()));
                }
                (ActKind::Delete, false) => is_deleted = true,
                (ActKind::Replace, false) => is_replaced = true,
            }
        }
        match held {
            Some(_) if is_deleted => totals[1] += 1,
            Some(_) if is_replaced => totals[2] += 1,
            Some(content) => {
                *counts.entry(content).or_default() += 1;
                totals[0] += 1;
            }
            None => {}
        }
        totals[3] = (posts - 1).max(0);
        (counts, totals)
    }

    /// What, whether it is from before the baseline, whether it may be late.
    type Act = (ActKind, bool, bool);

    /// The least and the most of all choices of those that were late, without what was before.
    fn ends(acts: &[Act]) -> (BTreeMap<TweetContent, IntervalBounds>, [IntervalBounds; 7]) {
        let before = acts.iter().filter(|(_, is_before, _)| *is_before);
        let before: Vec<_> = before.map(|(what, ..)| (what.clone(), false)).collect();
        let (counts_before, totals_before) = one_by_one(&before);
        let (mut counts, mut totals) = (BTreeMap::<TweetContent, IntervalBounds>::new(), None);
        let choices = (0..1_u32 << acts.len()).filter_map(|choice| {
            let chosen = acts.iter().enumerate().map(|(at, (what, _, may_be_late))| {
                let is_late = choice & 1 << at != 0;
                (*may_be_late || !is_late).then(|| (what.clone(), is_late))
            });
            chosen.collect::<Option<Vec<_>>>()
        });
        for chosen in choices {
            let (found, sums) = one_by_one(&chosen);
            let contents = acts.iter().filter_map(|(what, ..)| match what {
                ActKind::Post(content) => Some(content),
                ActKind::Delete | ActKind::Replace => None,
            });
            for content in contents {
                let number = |counts: &BTreeMap<_, i64>| counts.get(content).map_or(0, |n| *n);
                let number = number(&found) - number(&counts_before);
                let held = counts.entry(content.clone()).or_insert((number, number));
                *held = (held.0.min(number), held.1.max(number));
            }
            let sums: [i64; 7] = std::array::from_fn(|at| sums[at] - totals_before[at]);
            let held = totals.get_or_insert(sums.map(|sum| (sum, sum)));
            for (held, sum) in held.iter_mut().zip(sums) {
                *held = (held.0.min(sum), held.1.max(sum));
            }
        }
        counts.retain(|_, bounds| *bounds != (0, 0));
        (counts, totals.expect("none late is a choice"))
    }

    #[test]
    fn each_end_of_a_range_is_reached_and_nothing_lies_beyond() {
        let mut random = Random::new(7);
        for round in 0..20_000 {
            let acts = (0..=random.below(6)).map(|_| {
                let what = match random.index(5) {
                    0 => ActKind::Delete,
                    1 => ActKind::Replace,
                    at => ActKind::Post(content(["a", "b", "c"][at - 2])),
                };
                let is_before = random.one_in(4);
                (what, is_before, !is_before && random.one_in(2))
            });
            let mut acts: Vec<Act> = acts.collect();
            let wanted = ends(&acts);
            acts.sort();
            let mut tweet = TweetActs::default();
            for (what, is_before, may_be_late) in acts.iter().cloned() {
                let [in_time, late, before] = [!may_be_late, may_be_late, is_before].map(i64::from);
                let times = Times { in_time, late, before, ..Times::default() };
                tweet.add(what, times);
            }
            let (mut found, mut totals) = (BTreeMap::new(), Totals::default());
            let mut note = |content: &TweetContent, state: Tally| {
                assert!(found.insert(content.clone(), bounds(&state)).is_none());
                Ok(())
            };
            tweet.settle(&mut totals, &mut note).expect("no file");
            let totals = totals.named().map(|(_, state)| bounds(&state));
            assert_eq!((found, totals), wanted, "round {round}: {acts:?}");
        }
    }
}

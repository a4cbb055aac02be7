//! What the acts on one tweet come to: the rule of [`super::acts`] as a function of how many there
//! are of each kind.

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    /// In time, those before the baseline among them.
    pub(super) in_time: i64,
    pub(super) before: i64,
    /// Under an id that the job remembers in one run only. What runs there were is not known.
    pub(super) transient: i64,
    /// Such ones before the baseline.
    pub(super) transient_before: i64,
}

impl Times {
    fn add(&mut self, other: Times) {
        self.in_time += other.in_time;
        self.before += other.before;
        self.transient += other.transient;
        self.transient_before += other.transient_before;
    }

    /// Those since the baseline, and all.
    fn numbers(self) -> (i64, i64) {
        let now = self.in_time - self.before + self.transient;
        (now, now + self.before + self.transient_before)
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
        let before = |times: &Times| Times { in_time: times.before, ..Times::default() };
        let posts: Vec<Times> = self.posts.iter().map(|(_, times)| *times).collect();
        let posts_before: Vec<Times> = posts.iter().map(before).collect();
        let (now, sums) = outcome(&posts, self.deletes, self.edits);
        let (then, sums_then) = outcome(&posts_before, before(&self.deletes), before(&self.edits));
        totals.add(sums, 1);
        totals.add(sums_then, -1);
        let transient = self.transient();
        totals.add(transient.totals(), 1);
        for (at, (content, times)) in self.posts.iter().enumerate() {
            let exact = i64::from(now == Some(at)) - i64::from(then == Some(at));
            let (least, most) = match transient {
                Transient::None => (0, 0),
                Transient::Single => (1, 1),
                Transient::Any(_) => (-times.transient_before, times.transient),
            };
            let bounds = (exact + least, exact + most);
            if bounds != (0, 0) {
                counts(content, Tally::between(bounds))?;
            }
        }
        Ok(())
    }

    /// What transient acts may add. Each post may count, be a duplicate or be deleted, by what its
    /// run remembered; and what was counted before the baseline may be taken back. On the other
    /// acts they have no effect.
    fn transient(&self) -> Transient {
        let mut posts = Times::default();
        self.posts.iter().for_each(|(_, times)| posts.add(*times));
        let (now, before) = (posts.transient, posts.transient_before);
        let mut all = posts;
        all.add(self.deletes);
        all.add(self.edits);
        let (acts_now, acts) = all.numbers();
        match now + before {
            // What was before is in the rows.
            0 => return Transient::None,
            _ if acts_now == 0 => return Transient::None,
            _ if acts == 1 => return Transient::Single,
            _ => {}
        }
        let any = |times: Times| times.numbers().1 > 0;
        let gone = |is_there: bool| (-before, if is_there { now + before } else { 0 });
        Transient::Any(Totals {
            tweets: (-before, now),
            deleted: gone(any(self.deletes)),
            superseded: gone(any(self.edits)),
            duplicates: (0, now + before),
            ..Totals::default()
        })
    }
}

/// What the transient posts of a tweet come to.
#[derive(Clone, Copy)]
enum Transient {
    /// Nothing new.
    None,
    /// The only act on its tweet: it counts.
    Single,
    /// At least and at most so much.
    Any(Totals),
}

impl Transient {
    fn totals(self) -> Totals {
        match self {
            Transient::None => Totals::default(),
            Transient::Single => Totals { tweets: (1, 1), ..Totals::default() },
            Transient::Any(totals) => totals,
        }
    }
}

/// Which of a tweet's contents counts, and what its posts come to.
///
/// Of the posts one counts, the greatest content, unless there is a delete or a newer version. What
/// is both deleted and replaced is deleted.
fn outcome(posts: &[Times], deletes: Times, edits: Times) -> (Option<usize>, Totals) {
    let Some(greatest) = posts.iter().rposition(|times| times.in_time > 0) else {
        return (None, Totals::default());
    };
    let number: i64 = posts.iter().map(|times| times.in_time).sum();
    let duplicates = (number - 1, number - 1);
    let (mut totals, one) = (Totals { duplicates, ..Totals::default() }, (1, 1));
    if deletes.in_time > 0 {
        totals.deleted = one;
    } else if edits.in_time > 0 {
        totals.superseded = one;
    } else {
        totals.tweets = one;
        return (Some(greatest), totals);
    }
    (None, totals)
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
    use super::{ActKind, Tally, Times, Totals, TweetActs, TweetContent, bounds};
    use crate::tests::Random;
    use std::collections::BTreeMap;
    use types::event::Time;

    fn content(tag: &str) -> TweetContent {
        TweetContent { edition: 0, hashtags: vec![tag.into()], time: Time::Own(7) }
    }

    /// The same rule in other words: the acts of a tweet one after the other. Returns how often
    /// each content counts, then the totals.
    fn one_by_one<'a>(
        acts: impl Iterator<Item = &'a ActKind>,
    ) -> (BTreeMap<TweetContent, i64>, [i64; 4]) {
        let (mut counts, mut totals) = (BTreeMap::new(), [0; 4]);
        let (mut held, mut is_deleted, mut is_replaced, mut posts) = (None, false, false, 0);
        for what in acts {
            match what {
                ActKind::Post(content) => {
                    posts += 1;
                    held = held.max(Some(content.clone()));
                }
                ActKind::Delete => is_deleted = true,
                ActKind::Replace => is_replaced = true,
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

    #[test]
    fn the_acts_of_a_tweet_come_to_what_they_come_to_one_by_one() {
        let mut random = Random::new(7);
        for round in 0..20_000 {
            let acts = (0..=random.below(6)).map(|_| {
                let what = match random.index(5) {
                    0 => ActKind::Delete,
                    1 => ActKind::Replace,
                    at => ActKind::Post(content(["a", "b", "c"][at - 2])),
                };
                (what, random.one_in(4))
            });
            let mut acts: Vec<(ActKind, bool)> = acts.collect();
            let (mut wanted, mut sums) = one_by_one(acts.iter().map(|(what, _)| what));
            let earlier = acts.iter().filter(|(_, is_before)| *is_before).map(|(what, _)| what);
            let (counts_before, sums_before) = one_by_one(earlier);
            for (content, count) in counts_before {
                *wanted.entry(content).or_default() -= count;
            }
            wanted.retain(|_, count| *count != 0);
            sums.iter_mut().zip(sums_before).for_each(|(sum, part)| *sum -= part);
            acts.sort();
            let mut tweet = TweetActs::default();
            for (what, is_before) in acts.iter().cloned() {
                let before = i64::from(is_before);
                tweet.add(what, Times { in_time: 1, before, ..Times::default() });
            }
            let (mut found, mut totals) = (BTreeMap::new(), Totals::default());
            let mut note = |content: &TweetContent, state: Tally| {
                let (least, most) = bounds(&state);
                assert_eq!(least, most);
                assert!(found.insert(content.clone(), least).is_none());
                Ok(())
            };
            tweet.settle(&mut totals, &mut note).expect("no file");
            let named = totals.named().map(|(_, state)| bounds(&state));
            let exact = named.map(|(least, most)| {
                assert_eq!(least, most);
                least
            });
            assert_eq!((found, &exact[..4]), (wanted, &sums[..]), "round {round}: {acts:?}");
        }
    }
}

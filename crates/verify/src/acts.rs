//! Which posts count: what was said of each tweet, brought together.
//!
//! A job without a ledger counts each post that it reads, and deletes nothing. With a ledger
//! [`super::late_acts`] says what became of each act on a tweet (it was posted, it was deleted):
//!
//! - *in time*: the acts that one memory took in are a set. Of the posts one counts, the greatest
//!   content (edition, hashtags, time); a delete, before or behind, and none counts; nor if a newer
//!   version says that it replaces the tweet. The other posts are duplicates.
//! - *late*, or read without a ledger: a post counts, whatever else is known; the rest is ignored.
//! - *transient*, for no tweet can have that id: remembered in one run only. What runs there were
//!   is stored nowhere, so where there are several acts on such an id, each post may count.
//!
//! What was counted before a baseline stands in its rows. Of tweets that were at or above its floor
//! all acts are read again, and what they add up to alone is subtracted; of those below nothing can
//! be in time any more.

use super::content::{ActKind, TweetContent};
use super::late_acts::{Judgement, LateActs};
use super::lateness::LatenessEvidence;
use super::readings::Readings;
use super::runs::{Part, Runs, Sum};
use super::state::Tally;
use super::tweet::{Counts, Times, Totals, TweetActs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Result;
use types::{Event, Text, Version};

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
struct TweetAct {
    id: u64,
    /// The memory that took it in.
    memory: u64,
    what: ActKind,
    is_transient: bool,
    is_before: bool,
}

/// How an act was met.
#[derive(Clone, Copy)]
struct Seen {
    when: When,
    partition: u32,
    offset: u64,
    is_transient: bool,
}

impl Part for TweetAct {
    fn text_bytes(&self) -> usize {
        let ActKind::Post(content) = &self.what else { return 0 };
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
pub(super) struct ActLog<'a> {
    runs: Runs<TweetAct, u64>,
    late: &'a LateActs,
    totals: Totals,
    /// Posts since the baseline.
    pub(super) posts: i64,
    newest: Option<u64>,
    has_ledger: bool,
    /// Up to here there was no ledger, at some moments.
    forgotten: Option<u64>,
    /// Below it everything is late since the baseline.
    floor: u64,
    /// The job must remember what was said of tweets from here on.
    remembered: u64,
    /// By partition, where that begins.
    needed: BTreeMap<u32, u64>,
}

impl<'a> ActLog<'a> {
    /// Of tables that say `lateness` and `late`, and said `before` at the baseline. Holds about
    /// `bound` bytes.
    pub(super) fn new(
        (lateness, late): (&LatenessEvidence, &'a LateActs),
        before: &LatenessEvidence,
        bound: usize,
    ) -> Self {
        ActLog {
            runs: Runs::new(bound),
            late,
            totals: Totals::default(),
            posts: 0,
            newest: None,
            has_ledger: lateness.has_ledger(),
            forgotten: lateness.forgotten(),
            floor: before.floor(),
            remembered: lateness
                .floor()
                .max(lateness.forgotten().map_or(0, |id| id.saturating_add(1))),
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
        let (what, replaces) = match event {
            Event::Tweet(tweet) => {
                let (edition, hashtags) = (tweet.edition, tweet.hashtags);
                let content = TweetContent { edition, hashtags, time: tweet.time };
                (ActKind::Post(content), tweet.replaces)
            }
            _ => (ActKind::Delete, Box::default()),
        };
        let (id, is_before) = (readings.id, when == When::Before);
        let is_proven = readings.is_proven();
        self.newest = self.newest.max(Some(if is_proven { id } else { 0 }));
        self.posts += i64::from(matches!(what, ActKind::Post(_)) && !is_before);
        if !self.has_ledger {
            return if is_before { Ok(()) } else { self.loose(&what, 0, counts) };
        }
        let is_transient = readings.is_implausible;
        // Where the ledger was forgotten, an id that is not proven may be from before that.
        let is_known = is_proven || self.forgotten.is_none();
        if !is_transient && is_known && id >= self.remembered {
            self.needed.entry(version.partition).or_insert(version.offset);
        }
        let Version { partition, offset, .. } = version;
        let seen = Seen { when, partition, offset, is_transient };
        self.act(id, what, seen, counts)?;
        // What an edited tweet says of its earlier versions.
        for replaced in replaces.iter().filter(|_| !is_transient) {
            self.act(*replaced, ActKind::Replace, seen, counts)?;
        }
        Ok(())
    }

    /// Takes an act of a job that has a ledger now, or had one.
    fn act(&mut self, id: u64, what: ActKind, seen: Seen, counts: &mut Counts<'_>) -> Result<()> {
        let Seen { when, partition, offset, is_transient } = seen;
        let is_before = when == When::Before;
        let memory = match self.late.judge(partition, offset, id) {
            Judgement::InTime(memory) if id >= self.floor => memory,
            // What was before stands in the rows.
            _ if is_before => return Ok(()),
            Judgement::NoLedger => return self.loose(&what, 0, counts),
            Judgement::InTime(_) | Judgement::Late => return self.loose(&what, 1, counts),
        };
        self.runs.add(TweetAct { id, memory, what, is_transient, is_before }, 1)
    }

    /// An act that is in no set: a post counts, the rest is ignored.
    fn loose(&mut self, what: &ActKind, late: i64, counts: &mut Counts<'_>) -> Result<()> {
        let (mut totals, late) = (Totals::default(), (late, late));
        match what {
            ActKind::Post(content) => {
                (totals.tweets, totals.late_posts) = ((1, 1), late);
                counts(content, Tally::Count(1))?;
            }
            ActKind::Delete => totals.late_deletes = late,
            ActKind::Replace => totals.late_edits = late,
        }
        self.totals.add(totals, 1);
        Ok(())
    }

    /// Adds up the tweets, when everything was read.
    pub(super) fn finish(self, counts: &mut Counts<'_>) -> Result<Totals> {
        let (mut tweet, mut of, mut totals) = (TweetActs::default(), (0, 0), self.totals);
        for entry in self.runs.into_sorted() {
            let (act, times) = entry?;
            if (act.id, act.memory) != of {
                std::mem::take(&mut tweet).settle(&mut totals, counts)?;
                of = (act.id, act.memory);
            }
            let times = act.times(times.cast_signed());
            tweet.add(act.what, times);
        }
        tweet.settle(&mut totals, counts)?;
        Ok(totals)
    }
}

impl TweetAct {
    /// So many of it.
    fn times(&self, times: i64) -> Times {
        let before = if self.is_before { times } else { 0 };
        if self.is_transient {
            let transient = times - before;
            return Times { transient, transient_before: before, ..Times::default() };
        }
        Times { in_time: times, before, ..Times::default() }
    }
}

#[cfg(test)]
#[path = "acts_tests.rs"]
mod tests;

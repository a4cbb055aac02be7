//! Which posts count: what was said of each tweet, brought together and weighed.
//!
//! A job without a ledger counts each post that it reads, and deletes nothing. With a ledger the
//! acts on a tweet (it was posted, it was deleted) are a set, told apart by when they were read:
//!
//! - *in time*: of the posts one counts, the greatest content (hashtags, then time); a delete,
//!   before or behind, and none counts; nor if a newer version says that it replaces the tweet. The
//!   other posts are duplicates.
//! - *late*, below the floor of that moment: a post counts, whatever else is known; the rest is
//!   ignored.
//! - *transient*, for no tweet can have that id: remembered in one run only, so each post may
//!   count.
//!
//! The recount reads partition by partition and cannot know where the floor was
//! ([`super::lateness`]), so an act is certainly in time or possibly late. What a tweet with
//! possibly late acts adds is a range, and exactly one: each end is reached by some choice of those
//! that were late.
//!
//! What was counted before a baseline stands in its rows. Of tweets that were at or above its floor
//! all acts are read again, in time then, and what they add up to alone is subtracted; of those
//! below nothing can be in time any more.

use super::content::{ActKind, TweetContent};
use super::lateness::{LatenessEvidence, NewestTimes, ReadMoment, id_at};
use super::readings::Readings;
use super::runs::{Part, Runs, Sum};
use super::state::Tally;
use super::weigh::{Counts, IntervalBounds, Times, Totals, TweetActs};
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
struct TweetAct {
    id: u64,
    what: ActKind,
    is_transient: bool,
    read: Read,
}

/// How an act was met.
#[derive(Clone, Copy)]
struct Seen {
    when: When,
    moment: ReadMoment,
    /// The ledger that is now has met it, if it was read in time.
    is_known: bool,
    is_transient: bool,
}

/// When it was read, as far as that tells whether it may be late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Read {
    /// In time.
    Before,
    /// Possibly late by its own partition's ids; or by those of others, up to a minute; or, if it
    /// is not known, because it may have been read before the ledger was.
    Now { is_behind: bool, minute: u64, is_known: bool },
    /// A dead letter until then: possibly late by what was read meanwhile.
    Later,
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
pub(super) struct ActLog {
    runs: Runs<TweetAct, u64>,
    clock: NewestTimes,
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

impl ActLog {
    /// Of tables that say `lateness`, and said `before` at the baseline. Holds about `bound` bytes.
    pub(super) fn new(
        lateness: &LatenessEvidence,
        before: &LatenessEvidence,
        bound: usize,
    ) -> Self {
        ActLog {
            runs: Runs::new(bound),
            clock: NewestTimes::default(),
            totals: Totals::default(),
            posts: 0,
            newest: None,
            has_ledger: lateness.has_ledger(),
            is_in_time: lateness.is_in_time(before),
            is_retried: lateness.is_retried(before),
            span: lateness.span(),
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
                let content = TweetContent { hashtags: tweet.hashtags, time: tweet.time };
                (ActKind::Post(content), tweet.replaces)
            }
            _ => (ActKind::Delete, Box::default()),
        };
        let (id, is_before) = (readings.id, when == When::Before);
        let is_proven = readings.is_proven();
        self.newest = self.newest.max(Some(if is_proven { id } else { 0 }));
        self.posts += i64::from(matches!(what, ActKind::Post(_)) && !is_before);
        if !self.has_ledger {
            return if is_before { Ok(()) } else { self.loose(&what, (0, 0), counts) };
        }
        let is_transient = readings.is_implausible;
        // Where the ledger was forgotten, an id that is not proven may be from before that.
        let is_known = is_proven || self.forgotten.is_none();
        if !is_transient && is_known && id >= self.remembered {
            self.needed.entry(version.partition).or_insert(version.offset);
        }
        let moment = self.moment(version.partition, &readings, when);
        let seen = Seen { when, moment, is_known, is_transient };
        self.act(id, what, seen, counts)?;
        // What an edited tweet says of its earlier versions.
        for id in replaces.iter().filter(|_| !is_transient) {
            self.act(*id, ActKind::Replace, seen, counts)?;
        }
        Ok(())
    }

    /// When an act was read.
    fn moment(&mut self, partition: u32, readings: &Readings, when: When) -> ReadMoment {
        let ms = readings.record_ms;
        let newest = readings.proven_ms.or(readings.latest_ms).map_or(0, id_at).min(readings.id);
        match when {
            When::Before | When::Now => self.clock.read(partition, ms, newest),
            When::Later => {
                self.clock.note(ms, newest);
                ReadMoment { newest: u64::MAX, minute: u64::MAX }
            }
        }
    }

    /// Takes an act that went through the ledger.
    fn act(&mut self, id: u64, what: ActKind, seen: Seen, counts: &mut Counts<'_>) -> Result<()> {
        let Seen { when, moment, is_known, is_transient } = seen;
        if id < self.floor {
            // Where there was no ledger at that moment it was not counted as late.
            let late = (i64::from(is_known && Some(id) > self.forgotten), 1);
            let is_before = when == When::Before;
            return if is_before { Ok(()) } else { self.loose(&what, late, counts) };
        }
        let read = match when {
            When::Before => Read::Before,
            // Where nothing was late, nothing of that matters.
            When::Now if self.is_in_time => Read::Now { is_behind: false, minute: 0, is_known },
            When::Now => {
                let ReadMoment { newest, minute } = moment;
                let is_behind = id < newest.saturating_sub(self.span);
                Read::Now { is_behind, minute, is_known }
            }
            When::Later => Read::Later,
        };
        self.runs.add(TweetAct { id, what, is_transient, read }, 1)
    }

    /// An act that is in no set: a post counts, the rest is ignored.
    fn loose(
        &mut self,
        what: &ActKind,
        late: IntervalBounds,
        counts: &mut Counts<'_>,
    ) -> Result<()> {
        let mut totals = Totals::default();
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

    /// Weighs the tweets, when everything was read.
    pub(super) fn finish(mut self, counts: &mut Counts<'_>) -> Result<Totals> {
        let acts = std::mem::replace(&mut self.runs, Runs::new(0));
        let (mut tweet, mut id, mut totals) = (TweetActs::default(), 0, self.totals);
        for entry in acts.into_sorted() {
            let (act, times) = entry?;
            if act.id != id {
                std::mem::take(&mut tweet).settle(&mut totals, counts)?;
                id = act.id;
            }
            let times = self.times(&act, times.cast_signed());
            tweet.add(act.what, times);
        }
        tweet.settle(&mut totals, counts)?;
        Ok(totals)
    }

    /// So many of an act, by when they were read.
    fn times(&self, act: &TweetAct, times: i64) -> Times {
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
#[path = "acts_tests.rs"]
mod tests;

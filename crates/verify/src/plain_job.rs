//! A plain job for the tests: it remembers every act, and forgets what its floor passes.

use super::content::TweetContent;
use super::late_acts::LateActs;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use types::clock::id_at;
use types::event::Tweet;
use types::late::{LateKind, LateRow};
use types::{Event, Row, Text, Value};

const MINUTE_MS: u64 = 60_000;

/// What the job knows; rows follow from it.
#[derive(Clone, Default)]
pub(super) struct Job {
    /// The span, if the ledger is on.
    pub(super) span_ms: Option<u64>,
    /// The smallest span that it was on with.
    smallest_ms: Option<u64>,
    pub(super) floor: u64,
    tweets: Option<u64>,
    forgotten: Option<u64>,
    minute: Option<u64>,
    /// By tweet, of what was in time.
    tweet: BTreeMap<u64, Known>,
    /// By implausible id, of this run, and until the floor passes an id.
    transient: BTreeMap<u64, (Known, u64)>,
    /// What all came to of which nothing is known any more.
    before: Sums,
    late_posts: u64,
    late_deletes: u64,
    late_edits: u64,
    deletes: u64,
    ahead: u64,
    /// Twice the number of the memory, and one more without a ledger.
    pub(super) memory: u64,
    late: BTreeMap<(u32, u64), u64>,
    changes: Vec<LateRow>,
}

/// What was said of a tweet.
#[derive(Clone, Default)]
struct Known {
    posts: Vec<TweetContent>,
    is_deleted: bool,
    is_replaced: bool,
}

/// How often each content counts, and posts that were deleted, superseded and duplicates.
#[derive(Clone, Default)]
struct Sums {
    counts: BTreeMap<TweetContent, i64>,
    deleted: i64,
    superseded: i64,
    duplicates: i64,
}

impl Sums {
    fn add(&mut self, other: Sums, sign: i64) {
        for (content, count) in other.counts {
            *self.counts.entry(content).or_default() += sign * count;
        }
        self.deleted += sign * other.deleted;
        self.superseded += sign * other.superseded;
        self.duplicates += sign * other.duplicates;
    }

    fn count(&mut self, content: &TweetContent) {
        *self.counts.entry(content.clone()).or_default() += 1;
    }
}

impl Job {
    pub(super) fn switch(&mut self, span_ms: Option<u64>, partitions: &[Partition]) {
        self.restart();
        if span_ms.is_some() != self.span_ms.is_some() {
            self.memory = (self.memory / 2 + 1) * 2 + u64::from(span_ms.is_none());
            let kind = if span_ms.is_some() { LateKind::LedgerOn } else { LateKind::LedgerOff };
            for (number, partition) in (0..).zip(partitions).filter(|(_, it)| it.next > 0) {
                let next = partition.next as u64;
                self.changes.push(LateRow::change(number, next, kind, self.memory / 2));
            }
        }
        if span_ms.is_some() != self.span_ms.is_some() {
            let sums = self.sums();
            self.before.add(sums, 1);
            self.tweet.clear();
        }
        if span_ms.is_some() && self.span_ms.is_none() {
            self.floor = self.floor.max(self.forgotten.map_or(0, |id| id + 1));
        } else if span_ms.is_none() && self.span_ms.is_some() {
            self.forgotten = self.forgotten.max(self.tweets);
        }
        self.span_ms = span_ms;
        self.smallest_ms = [self.smallest_ms, span_ms].into_iter().flatten().min();
    }

    /// Nothing is known of implausible ids any more.
    pub(super) fn restart(&mut self) {
        self.forget(|_, _| true);
    }

    pub(super) fn raise(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
        let (raised, tweet) = (self.floor, self.tweet.clone());
        self.forget(|id, until| until < raised && !tweet.contains_key(&id));
    }

    /// Forgets implausible ids; what they came to stays.
    fn forget(&mut self, is_forgotten: impl Fn(u64, u64) -> bool) {
        let all = self.sums();
        self.transient.retain(|id, (_, until)| !is_forgotten(*id, *until));
        let rest = self.sums();
        self.before.add(all, 1);
        self.before.add(rest, -1);
    }

    /// Returns the time that was proven, as an id.
    pub(super) fn read(&mut self, event: &Event) -> Option<u64> {
        let clocks = event.clocks()?;
        let (Event::Tweet(Tweet { version, .. }) | Event::Delete { version, .. }) = event else {
            return None;
        };
        let place = (version.partition, version.offset);
        let (content, replaces) = match event {
            Event::Tweet(tweet) => {
                let minute = u64::from(tweet.time.minute().expect("all have one"));
                let minute = clocks.proven_ms().map(|ms| minute.min(ms / MINUTE_MS));
                self.minute = self.minute.max(minute);
                let (edition, hashtags) = (tweet.edition, tweet.hashtags.clone());
                let content = TweetContent { edition, hashtags, time: tweet.time };
                (Some(content), &tweet.replaces[..])
            }
            _ => (None, &[][..]),
        };
        self.deletes += u64::from(content.is_none());
        self.ahead += u64::from(clocks.is_ahead());
        let newest = if self.span_ms.is_some() { &mut self.tweets } else { &mut self.forgotten };
        *newest = (*newest).max(Some(clocks.proven_id()));
        let is_transient = clocks.is_implausible();
        if self.span_ms.is_none() {
            if let Some(content) = &content {
                self.before.count(content);
            }
        } else if clocks.id < self.floor {
            self.late_posts += u64::from(content.is_some());
            self.late_deletes += u64::from(content.is_none());
            self.note_late(place, clocks.id);
            if let Some(content) = &content {
                self.before.count(content);
            }
        } else {
            let until = clocks.id_of_record();
            let known = if is_transient {
                let fresh = (Known::default(), until);
                let (known, held) = self.transient.entry(clocks.id).or_insert(fresh);
                *held = until.min(*held);
                known
            } else {
                self.tweet.entry(clocks.id).or_default()
            };
            known.is_deleted |= content.is_none();
            known.posts.extend(content);
        }
        let has_ledger = self.span_ms.is_some();
        for id in replaces.iter().filter(|_| has_ledger && !is_transient) {
            if *id < self.floor {
                self.late_edits += 1;
                self.note_late(place, *id);
            } else {
                self.tweet.entry(*id).or_default().is_replaced = true;
            }
        }
        clocks.proven_ms().map(|ms| id_at(ms).min(clocks.id))
    }

    fn note_late(&mut self, place: (u32, u64), id: u64) {
        let below = self.late.entry(place).or_default();
        *below = (id + 1).max(*below);
    }

    /// What is to be known of what was late, by the rows.
    pub(super) fn late_acts(&self) -> LateActs {
        let mut late = LateActs::default();
        let memory = [Value::Text("memory".into()), Value::UInt(self.memory)].into();
        late.see(&dataflows::tables::floors::TABLE, &memory);
        let rows = self.late.iter().map(|((partition, offset), below)| LateRow {
            below: *below,
            ..LateRow::late(*partition, *offset, 0)
        });
        for row in rows.chain(self.changes.iter().copied()) {
            late.see(&dataflows::tables::late_acts::TABLE, &row.row(&"tweets".into()));
        }
        late
    }

    /// Of all tweets of which something is known. Ordinary acts decide, where there are any.
    fn sums(&self) -> Sums {
        let (mut sums, none) = (Sums::default(), Known::default());
        for id in self.tweet.keys().chain(self.transient.keys()).collect::<BTreeSet<_>>() {
            let transient = self.transient.get(id).map_or(&none, |(known, _)| known);
            let known = self.tweet.get(id);
            let (posts, more) = (&known.unwrap_or(&none).posts, &transient.posts);
            let Some(greatest) = posts.iter().max().or(more.iter().max()) else { continue };
            sums.duplicates += i64::try_from(posts.len() + more.len()).expect("few") - 1;
            match known.unwrap_or(transient) {
                Known { is_deleted: true, .. } => sums.deleted += 1,
                Known { is_replaced: true, .. } => sums.superseded += 1,
                _ => sums.count(greatest),
            }
        }
        sums
    }

    pub(super) fn rows(&self) -> Vec<(&'static str, Row)> {
        let mut tags = BTreeMap::<Text, u64>::new();
        let mut minutes = BTreeMap::<(u32, Text), u64>::new();
        let mut all = self.before.clone();
        all.add(self.sums(), 1);
        let number =
            |count: i64| u64::try_from(count).expect("nothing counts less than not at all");
        for (content, count) in &all.counts {
            for tag in &content.hashtags {
                *tags.entry(tag.clone()).or_default() += number(*count);
                if let Some(minute) = content.time.minute() {
                    *minutes.entry((minute, tag.clone())).or_default() += number(*count);
                }
            }
        }
        tags.retain(|_, uses| *uses > 0);
        minutes.retain(|_, uses| *uses > 0);
        let text = |text: &str| Value::Text(text.into());
        let mut top: Vec<_> = tags.iter().map(|(tag, uses)| (Reverse(*uses), tag)).collect();
        top.sort();
        let top = (1..).zip(top).map(|(rank, (uses, tag))| {
            let row: Row = [Value::UInt(rank), text(tag), Value::UInt(uses.0)].into();
            ("top_hashtags", row)
        });
        let minutes = minutes.iter().map(|((minute, tag), uses)| {
            let minute = Value::Timestamp(i64::from(*minute) * 60_000);
            ("hashtags_by_minute", [minute, text(tag), Value::UInt(*uses)].into())
        });
        let tags = tags.iter().map(|(tag, uses)| ("hashtags", tag.clone(), Some(*uses)));
        let some = |sum: u64| Some(sum).filter(|sum| *sum > 0);
        let named = [
            ("totals", "tweets", some(number(all.counts.values().sum()))),
            ("totals", "deleted", some(number(all.deleted))),
            ("totals", "superseded", some(number(all.superseded))),
            ("totals", "duplicates", some(number(all.duplicates))),
            ("totals", "late_posts", some(self.late_posts)),
            ("totals", "late_deletes", some(self.late_deletes)),
            ("totals", "late_edits", some(self.late_edits)),
            ("totals", "delete", some(self.deletes)),
            ("totals", "clock_ahead", some(self.ahead)),
            ("floors", "minutes", self.minute),
            ("floors", "tweets", self.tweets),
            ("floors", "forgotten", self.forgotten),
            ("floors", "ledger", some(self.floor)),
            ("floors", "memory", self.smallest_ms.map(|_| self.memory)),
            ("floors", "span", self.smallest_ms.map(|ms| u64::MAX - ms)),
        ];
        let named = named.into_iter().map(|(table, name, sum)| (table, name.into(), sum));
        let named = named.chain(tags).filter_map(|(table, name, sum)| {
            Some((table, [Value::Text(name), Value::UInt(sum?)].into()))
        });
        named.chain(minutes).chain(top).collect()
    }
}

/// A partition, and how far it is read.
#[derive(Clone, Default)]
pub(super) struct Partition {
    pub(super) events: Vec<Event>,
    pub(super) next: usize,
    pub(super) newest: u64,
}

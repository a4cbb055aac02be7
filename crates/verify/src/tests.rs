//! The recount against a plain job: a list of acts, a floor that rises, and nothing forgotten.
//!
//! A schedule is a topic that is written while it is read, partitions that lag behind, a ledger
//! that is switched on and off, and a baseline somewhere. Whatever the job's tables hold in the end
//! must be found right, and a number that was changed must not.

use super::acts::When;
use super::content::TweetContent;
use super::lateness::LatenessEvidence;
use super::recount::{Places, Recount, TableMetadata};
use super::runs::{Key, Runs};
use super::state::Tally;
use super::{VerifyPlan, VerifySettings, VerifySummary, compare, ranges};
use dataflows::catalogue::Tables;
use rand::Rng;
use rand_pcg::Pcg64Mcg;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use types::Version;
use types::clock::id_at;
use types::event::{EventKind, Time, Tweet};
use types::settings::TableChoice;
use types::snowflake::{EPOCH_MS, written_ms};
use types::{Event, Row, Text, Value};

pub(super) struct Random(Pcg64Mcg);

impl Random {
    pub(super) fn new(seed: u128) -> Self {
        Random(Pcg64Mcg::new(seed))
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    pub(super) fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).expect("it is an index")
    }

    pub(super) fn one_in(&mut self, number: u64) -> bool {
        self.below(number) == 0
    }
}

const MINUTE_MS: u64 = 60_000;
const PARTITIONS: usize = 3;
const TAGS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// What the job knows; rows follow from it.
#[derive(Clone, Default)]
struct Job {
    /// The span, if the ledger is on.
    span_ms: Option<u64>,
    /// The smallest span that it was on with.
    smallest_ms: Option<u64>,
    floor: u64,
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
    fn switch(&mut self, span_ms: Option<u64>) {
        self.restart();
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
    fn restart(&mut self) {
        self.forget(|_, _| true);
    }

    fn raise(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
        let (floor, tweet) = (self.floor, self.tweet.clone());
        self.forget(|id, until| until < floor && !tweet.contains_key(&id));
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
    fn read(&mut self, event: &Event) -> Option<u64> {
        let clocks = event.clocks()?;
        let (content, replaces) = match event {
            Event::Tweet(tweet) => {
                let minute = u64::from(tweet.time.minute().expect("all have one"));
                let minute = clocks.proven_ms().map(|ms| minute.min(ms / MINUTE_MS));
                self.minute = self.minute.max(minute);
                let content = TweetContent { hashtags: tweet.hashtags.clone(), time: tweet.time };
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
        for id in replaces.iter().filter(|_| self.span_ms.is_some() && !is_transient) {
            if *id < self.floor {
                self.late_edits += 1;
            } else {
                self.tweet.entry(*id).or_default().is_replaced = true;
            }
        }
        clocks.proven_ms().map(|ms| id_at(ms).min(clocks.id))
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

    fn rows(&self) -> Vec<(&'static str, Row)> {
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
        let some = |number: u64| Some(number).filter(|number| *number > 0);
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
            ("floors", "span", self.smallest_ms.map(|ms| u64::MAX - ms)),
        ];
        let named = named.into_iter().map(|(table, name, number)| (table, name.into(), number));
        let named = named.chain(tags).filter_map(|(table, name, number)| {
            Some((table, [Value::Text(name), Value::UInt(number?)].into()))
        });
        named.chain(minutes).chain(top).collect()
    }
}

/// A partition, and how far it is read.
#[derive(Clone, Default)]
struct Partition {
    events: Vec<Event>,
    next: usize,
    newest: u64,
}

/// What was at some commit.
struct Commit {
    rows: Vec<(&'static str, Row)>,
    lateness: LatenessEvidence,
    floor: u64,
    next: Vec<usize>,
}

impl Commit {
    fn of(job: &Job, partitions: &[Partition]) -> Self {
        let (rows, mut lateness) = (job.rows(), LatenessEvidence::default());
        for (table, row) in &rows {
            lateness.see(table, row);
        }
        let next = partitions.iter().map(|partition| partition.next).collect();
        Commit { rows, lateness, floor: job.floor, next }
    }

    fn runs(&self, plan: &VerifyPlan) -> Runs {
        let mut runs = Runs::new(plan.memory);
        for (table, row) in &self.rows {
            let (key, row) = key(plan, table, row);
            runs.add(key, Tally::Row(row)).expect("a temporary file");
        }
        runs
    }
}

fn key(plan: &VerifyPlan, table: &str, row: &Row) -> (Key, Row) {
    let table = plan.index(table).expect("the job has it");
    ((table, row[..plan.tables[usize::from(table)].key].into()), row.clone())
}

/// A topic and the job that reads it, step by step.
struct Schedule {
    random: Random,
    job: Job,
    partitions: Vec<Partition>,
    now_ms: u64,
    ids: Vec<u64>,
    has_times: bool,
}

impl Schedule {
    fn new(seed: u128) -> Self {
        let mut random = Random::new(seed);
        let has_times = !random.one_in(8);
        let now_ms = EPOCH_MS + 10_000_000_000;
        let mut job = Job::default();
        job.switch([None, Some(10_000), Some(60_000)][random.index(3)]);
        let partitions = vec![Partition::default(); PARTITIONS];
        Schedule { random, job, partitions, now_ms, ids: Vec::new(), has_times }
    }

    fn steps(&mut self) {
        for _ in 0..self.random.below(60) {
            // Now and then the topic is quiet for long.
            self.now_ms +=
                if self.random.one_in(30) { 15 * MINUTE_MS } else { self.random.below(4_000) };
            for _ in 0..self.random.below(6) {
                self.write();
            }
            if !self.random.one_in(3) {
                self.poll();
            }
            if self.random.one_in(60) {
                self.job.switch([None, Some(5_000), Some(60_000)][self.random.index(3)]);
            } else if self.random.one_in(20) {
                self.job.restart();
            }
        }
    }

    /// A tweet, the same again, or its delete, to some partition.
    fn write(&mut self) {
        let random = &mut self.random;
        let known = self.ids.len();
        let id = if known > 0 && random.one_in(2) {
            self.ids[known - 1 - random.index(known.min(30))]
        } else {
            let age = if random.one_in(10) { random.below(100_000) } else { random.below(3_000) };
            match random.below(80) {
                0 => u64::MAX - random.below(1_000),
                written => {
                    let ahead = [120, 50, 3].get(usize::try_from(written).expect("small"));
                    let ahead_ms = ahead.map_or(0, |minutes| minutes * MINUTE_MS);
                    (self.now_ms + ahead_ms - EPOCH_MS - age) << 22 | random.below(1 << 22)
                }
            }
        };
        self.ids.push(id);
        let record_ms = if self.has_times { self.now_ms - random.below(3 * MINUTE_MS) } else { 0 };
        let odd = |random: &mut Random, ms: u64| match random.below(60) {
            0 => 0,
            1 => ms / 1000,
            2 => ms.saturating_sub(8 * 60 * MINUTE_MS),
            3 => ms + 8 * 60 * MINUTE_MS,
            _ => ms,
        };
        let written_ms = written_ms(id).min(self.now_ms);
        let (own_ms, record_ms) = (odd(random, written_ms), odd(random, record_ms));
        let partition = random.index(PARTITIONS);
        let events = &mut self.partitions[partition].events;
        let partition = u32::try_from(partition).expect("few");
        let offset = events.len() as u64;
        let version = Version { tweet_id: id, record_ms, partition, offset };
        events.push(if random.one_in(5) {
            Event::Delete { version, kind: EventKind::Delete, own_ms }
        } else {
            // Nearly always what the tweet said before.
            let seed = if random.one_in(6) { random.below(99) } else { id };
            let tags =
                [seed % 6, seed / 7 % 6].into_iter().take(usize::from(seed.to_le_bytes()[0] % 3));
            let hashtags =
                tags.map(|tag| TAGS[usize::try_from(tag).expect("it is an index")].into());
            let minute = u32::try_from(written_ms / MINUTE_MS).expect("an early one");
            let (hashtags, time) = (hashtags.collect(), Time::Own(minute));
            let earlier = self.ids[..known].iter().rev().take(2).copied();
            let replaces = match random.below(20) {
                0 => earlier.filter(|earlier| *earlier < id).collect(),
                _ => [].into(),
            };
            Event::Tweet(Tweet { version, time, own_ms, hashtags, user: None, replaces })
        });
    }

    /// Some records of a partition, then the floor follows.
    fn poll(&mut self) {
        let chosen = self.random.index(PARTITIONS);
        let partition = &mut self.partitions[chosen];
        let records = self.random.index(9).min(partition.events.len() - partition.next);
        for event in &partition.events[partition.next..partition.next + records] {
            partition.newest = partition.newest.max(self.job.read(event).unwrap_or(0));
        }
        partition.next += records;
        let Some(span) = self.job.span_ms else { return };
        let open =
            self.partitions.iter().filter(|partition| partition.next < partition.events.len());
        let newest = self.partitions.iter().map(|partition| partition.newest).max();
        let reached = open.map(|partition| partition.newest).min().or(newest).unwrap_or(0);
        self.job.raise(reached.saturating_sub(span << 22));
    }

    fn commit(&self) -> Commit {
        Commit::of(&self.job, &self.partitions)
    }

    /// Checks the tables of a commit, from the one before on. Returns the lines and how many keys
    /// are uncertain.
    fn verify(
        &self,
        plan: &VerifyPlan,
        before: Option<&Commit>,
        now: &Commit,
    ) -> (String, VerifySummary) {
        let (places, none) = (Places::new(), LatenessEvidence::default());
        let said = |lateness| TableMetadata { dead_letters: &places, offsets: &[], lateness };
        let before_marks = before.map_or(&none, |before| &before.lateness);
        let settings = types::settings::DecodeSettings::default();
        let mut recount = Recount::new(plan, settings, said(&now.lateness), said(before_marks));
        for (table, row) in before.iter().flat_map(|before| &before.rows) {
            recount.resume(plan.index(table).expect("it is there"), row).expect("it has a meaning");
        }
        for (at, partition) in self.partitions.iter().enumerate() {
            let start = before.map_or(0, |before| before.next[at]);
            let is_needed = |event: &Event| {
                let clocks = event.clocks().expect("all are about a tweet");
                let id = if clocks.is_implausible() { clocks.id_of_record() } else { clocks.id };
                before.is_some_and(|before| id >= before.floor)
            };
            let from = partition.events[..start].iter().position(is_needed).unwrap_or(start);
            for (offset, event) in partition.events[..now.next[at]].iter().enumerate().skip(from) {
                let when = if offset < start { When::Before } else { When::Now };
                recount.event(event.clone(), when).expect("a temporary file");
            }
        }
        let stored = now.runs(plan);
        let (mut recount, has_ranges) = recount.finish().expect("a temporary file");
        if has_ranges {
            recount = ranges::resolve(&stored, recount).expect("a temporary file");
        }
        let mut out = Vec::new();
        let how = (plan, types::settings::TableSettings::default(), 10);
        let keep = &mut |_: &_| Ok(());
        let (files, summary) = (super::BTreeMap::new(), VerifySummary::default());
        let found = compare(how, &files, summary, (stored, recount), keep, &mut out);
        (String::from_utf8(out).expect("text"), found.expect("a temporary file"))
    }
}

/// `VERIFY_SCHEDULES` asks for more.
fn schedules(number: u128) -> u128 {
    let asked = std::env::var("VERIFY_SCHEDULES").ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(number)
}

/// Of the tables that can be switched, those that [`Job::rows`] has rows of.
const WITH_ROWS: [&str; 2] = ["top_hashtags", "hashtags_by_minute"];

fn plan(memory: usize) -> VerifyPlan {
    let without = Tables::optional().filter(|name| !WITH_ROWS.contains(name));
    let without = without.map(String::from).collect::<Vec<_>>();
    let tables = Tables::choose(&TableChoice { without, ..TableChoice::default() });
    let tables = tables.expect("they fit");
    let (sample, show) = (100.0, 10);
    let settings = VerifySettings { tables: Vec::new(), sample, show, memory, baseline: None };
    VerifyPlan::new("tweets", tables.all(), &settings)
}

#[test]
fn the_tables_of_a_job_with_a_ledger_are_found_right() {
    // Some go through files.
    let (plan, small) = (plan(1 << 20), plan(4_000));
    let (mut exact, mut late, mut keys, mut uncertain) = (0, 0, 0, 0);
    for seed in 0..schedules(300) {
        let mut schedule = Schedule::new(seed);
        schedule.steps();
        let before = schedule.commit();
        schedule.steps();
        let now = schedule.commit();
        for before in [None, Some(&before)] {
            let plan = if seed % 16 == 0 { &small } else { &plan };
            let (lines, summary) = schedule.verify(plan, before, &now);
            let is_whole = before.is_none();
            assert_eq!(lines, "", "seed {seed}, from the start: {is_whole}");
            if is_whole {
                *(if summary.uncertain == 0 { &mut exact } else { &mut late }) += 1;
                keys += now.rows.len() as u64;
                uncertain += summary.uncertain;
            }
        }
    }
    println!("{exact} exact, {late} not; {uncertain} of {keys} keys uncertain");
    assert!(exact > 50 && late > 100 && uncertain < keys / 2);
}

/// One row more, less, or with another number.
#[test]
fn what_is_wrong_is_found() {
    let plan = plan(1 << 20);
    let mut found = [0; 3];
    for seed in 0..schedules(200) {
        let mut schedule = Schedule::new(seed);
        schedule.steps();
        let mut now = schedule.commit();
        let named = |(table, row): &(&str, Row), name: &str| {
            *table == "totals" && row[0].as_text() == Some(name)
        };
        let Some(at) = now.rows.iter().position(|row| named(row, "tweets")) else { continue };
        let more = |row: &mut Row, by: u64| {
            let column = row.len() - 1;
            row[column] = Value::UInt(row[column].as_u64().expect("a number") + by);
        };
        // One post more than there is, though that may lie in the range.
        more(&mut now.rows[at].1, 1);
        let wrong = |now: &Commit| {
            let mut lateness = LatenessEvidence::default();
            for (table, row) in &now.rows {
                lateness.see(table, row);
            }
            let now = Commit { rows: now.rows.clone(), lateness, next: now.next.clone(), ..*now };
            schedule.verify(&plan, None, &now).0
        };
        let lines = wrong(&now);
        assert!(
            lines.contains("totals name=\"tweets\": the table has records="),
            "{seed}: {lines}"
        );
        now.rows[at] = schedule.commit().rows.swap_remove(at);
        found[0] += 1;
        // More uses than there are posts.
        if let Some(at) = now.rows.iter().position(|(table, _)| *table == "hashtags") {
            more(&mut now.rows[at].1, 1_000);
            let lines = wrong(&now);
            assert!(lines.contains("hashtags hashtag="), "{seed}: {lines}");
            found[1] += 1;
        }
        now.rows = schedule.commit().rows;
        if let Some(at) = now.rows.iter().position(|row| named(row, "late_posts")) {
            more(&mut now.rows[at].1, 1_000);
            let lines = wrong(&now);
            assert!(lines.contains("totals name=\"late_posts\""), "{seed}: {lines}");
            found[2] += 1;
        }
    }
    assert!(found.iter().all(|found| *found > 50), "{found:?}");
}

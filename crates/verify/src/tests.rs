//! The recount against a plain job: a list of acts, a floor that rises, and nothing forgotten.
//!
//! A schedule is a topic that is written while it is read, partitions that lag behind, a ledger
//! that is switched on and off, and a baseline somewhere. Whatever the job's tables hold in the end
//! must be found right, and a number that was changed must not.

use super::acts::When;
use super::late_acts::LateActs;
use super::lateness::LatenessEvidence;
use super::plain_job::{Job, Partition};
use super::recount::{Places, Recount, Recounted, TableMetadata};
use super::runs::{Key, Runs};
use super::state::Tally;
use super::{VerifyPlan, VerifySettings, VerifySummary, compare, ranges};
use dataflows::catalogue::Tables;
use rand::Rng;
use rand_pcg::Pcg64Mcg;
use types::Version;
use types::event::{EventKind, Time, Tweet};
use types::settings::TableChoice;
use types::snowflake::{EPOCH_MS, written_ms};
use types::{Event, Row, Value};

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

/// What was at some commit.
struct Commit {
    rows: Vec<(&'static str, Row)>,
    lateness: LatenessEvidence,
    late: LateActs,
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
        Commit { rows, lateness, late: job.late_acts(), floor: job.floor, next }
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
        let partitions = vec![Partition::default(); PARTITIONS];
        // Without a ledger at first.
        job.memory = 1;
        job.switch([None, Some(10_000), Some(60_000)][random.index(3)], &partitions);
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
                let span_ms = [None, Some(5_000), Some(60_000)][self.random.index(3)];
                self.job.switch(span_ms, &self.partitions);
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
        let odd = |chance: &mut Random, ms: u64| match chance.below(60) {
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
            let (user, edition) = (None, u64::from(offset.is_multiple_of(16)));
            Event::Tweet(Tweet { version, time, own_ms, hashtags, user, replaces, edition })
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
        let open = self.partitions.iter().filter(|each| each.next < each.events.len());
        let newest = self.partitions.iter().map(|each| each.newest).max();
        let reached = open.map(|each| each.newest).min().or(newest).unwrap_or(0);
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
        let late = &now.late;
        let said = |lateness| TableMetadata { dead_letters: &places, offsets: &[], lateness, late };
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
        let recounted = recount.finish().expect("a temporary file");
        let Recounted { mut runs, has_ranges, not_recorded } = recounted;
        assert_eq!(not_recorded, None);
        if has_ranges {
            runs = ranges::resolve(&stored, runs).expect("a temporary file");
        }
        let mut out = Vec::new();
        let how = (plan, types::settings::TableSettings::default(), 10);
        let keep = &mut |_: &_| Ok(());
        let (files, summary) = (super::BTreeMap::new(), VerifySummary::default());
        let found = compare(how, &files, summary, (stored, runs), keep, &mut out);
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
        for baseline in [None, Some(&before)] {
            let plan = if seed % 16 == 0 { &small } else { &plan };
            let (lines, summary) = schedule.verify(plan, baseline, &now);
            let is_whole = baseline.is_none();
            assert_eq!(lines, "", "seed {seed}, from the start: {is_whole}");
            if is_whole {
                *(if summary.uncertain == 0 { &mut exact } else { &mut late }) += 1;
                keys += now.rows.len() as u64;
                uncertain += summary.uncertain;
            }
        }
    }
    println!("{exact} exact, {late} not; {uncertain} of {keys} keys uncertain");
    assert!(exact > 4 * late && late > 10 && uncertain < keys / 20);
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
        let wrong = |changed: &Commit| {
            let mut lateness = LatenessEvidence::default();
            for (table, row) in &changed.rows {
                lateness.see(table, row);
            }
            let (late, next) = (changed.late.clone(), changed.next.clone());
            let rows = changed.rows.clone();
            schedule.verify(&plan, None, &Commit { rows, lateness, late, next, ..*changed }).0
        };
        let lines = wrong(&now);
        assert!(
            lines.contains("totals name=\"tweets\": the table has records="),
            "{seed}: {lines}"
        );
        now.rows[at] = schedule.commit().rows.swap_remove(at);
        found[0] += 1;
        // More uses than there are posts.
        if let Some(tag_at) = now.rows.iter().position(|(table, _)| *table == "hashtags") {
            more(&mut now.rows[tag_at].1, 1_000);
            let too_many = wrong(&now);
            assert!(too_many.contains("hashtags hashtag="), "{seed}: {too_many}");
            found[1] += 1;
        }
        now.rows = schedule.commit().rows;
        if let Some(late_at) = now.rows.iter().position(|row| named(row, "late_posts")) {
            more(&mut now.rows[late_at].1, 1);
            let too_late = wrong(&now);
            assert!(too_late.contains("totals name=\"late_posts\""), "{seed}: {too_late}");
            found[2] += 1;
        }
    }
    assert!(found.iter().all(|found| *found > 50), "{found:?}");
}

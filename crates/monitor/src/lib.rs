//! What the running job is doing, for the live page, the metrics and the terminal.
//!
//! The pipeline reports what happens; readers cannot make it wait: counters are atomic, the rest is
//! behind a lock that is held for as long as it takes to copy small rows. The rows that are shown
//! are those of committed transactions, on top of what the sink held at the start: tables of any
//! sink, never the dataflow's own state. Invariant: whatever is seen together was committed
//! together.

pub mod bar;
mod cluster;
pub mod freshness;
mod ledger;
mod samples;
mod snapshot;
mod waiting;

pub use cluster::{Process, ProcessReport, Processes};
pub use ledger::Remembered;
pub use samples::Percentiles;
pub use samples::Samples;
pub use snapshot::{CommitTotals, PartitionLag, Phase, ShownTable, StatusSnapshot, Trouble};
pub use waiting::PausedPartitions;

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use types::answers::Answers;
use types::dead_letter;
use types::dead_letter::{OverflowKey, OverflowRange};
use types::ledger::Figures;
use types::offsets::{self, PartitionOffsets};
use types::table::Panel;
use types::traffic::Traffic;
use types::transaction::{Position, Transaction};
use types::{Restored, Row, Table, Value};

/// Over how long percentiles and rates are.
const WINDOW: Duration = Duration::from_mins(1);
/// Over how long the speed of reading is.
const SPEED_WINDOW: Duration = Duration::from_secs(5);
/// A commit that takes longer than this has the pipeline wait.
const PATIENCE: Duration = Duration::from_secs(2);
/// A database that owes an answer for longer than this does not answer.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the running job is doing.
#[derive(Debug)]
pub struct Monitor {
    started: Instant,
    started_ms: i64,
    records: AtomicU64,
    bytes: AtomicU64,
    restored: AtomicU64,
    /// What is left to read again for the ledger: records, of files bytes.
    replay: AtomicU64,
    /// Whether there may be readers; without them the topic is not asked for its end.
    is_watched: AtomicBool,
    commit_seconds: Histogram,
    state: Mutex<MonitorState>,
}

/// What is behind the lock.
#[derive(Debug, Default)]
struct MonitorState {
    phase: Phase,
    /// The numbers of `kafka_offsets`, `dead_letters` and `dead_letter_overflow`.
    own: (u8, u8, u8),
    tables: Vec<ShownTable>,
    offsets: BTreeMap<u32, PartitionOffsets>,
    /// Reason of each dead letter that stands.
    dead_letters: BTreeMap<(u32, u64), Box<str>>,
    /// Records without such a row.
    overflow: BTreeMap<OverflowKey, u64>,
    ends: BTreeMap<u32, u64>,
    commits: CommitTotals,
    /// Milliseconds from a record to its commit, with the moment of the commit.
    freshness: Samples,
    /// The last record of each partition.
    newest: BTreeMap<u32, u64>,
    commit_ms: Samples,
    /// Records read so far, and records or bytes that are left, at some moments.
    speed: VecDeque<(Instant, u64, Option<u64>)>,
    trouble: Option<(Instant, Trouble)>,
    /// What the database owes.
    answers: Option<Arc<Answers>>,
    /// The partitions that this process reads.
    assigned: Vec<u32>,
    processes: Option<Processes>,
    /// By worker of this process.
    ledger: BTreeMap<usize, Figures>,
    paused: Option<PausedPartitions>,
}

impl Default for Monitor {
    fn default() -> Self {
        Monitor {
            started: Instant::now(),
            started_ms: now_ms(),
            records: AtomicU64::default(),
            bytes: AtomicU64::default(),
            restored: AtomicU64::default(),
            replay: AtomicU64::default(),
            is_watched: AtomicBool::default(),
            commit_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            state: Mutex::default(),
        }
    }
}

impl Monitor {
    fn lock(&self) -> MutexGuard<'_, MonitorState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on there may be readers.
    pub fn watch(&self) {
        self.is_watched.store(true, Ordering::Relaxed);
    }

    /// Whether there may be readers.
    pub fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Relaxed)
    }

    /// The job's tables, before anything is read.
    pub fn begin(&self, tables: Vec<Table>) {
        let shown = |table: Table| ShownTable { table, rows: BTreeMap::new() };
        let number = |name: &str| {
            let index = tables.iter().position(|table| table.name == name);
            index.and_then(|index| u8::try_from(index).ok()).expect("each job has it")
        };
        let own = [offsets::TABLE_NAME, dead_letter::TABLE_NAME, dead_letter::OVERFLOW_TABLE_NAME];
        let own: (u8, u8, u8) = own.map(number).into();
        let mut state = self.lock();
        state.own = own;
        state.tables = tables.into_iter().map(shown).collect();
    }

    /// Rows that the tables held at the start.
    pub fn restored(&self, rows: &[Restored]) {
        self.restored.fetch_add(rows.len() as u64, Ordering::Relaxed);
        let Some(first) = rows.first() else { return };
        let mut state = self.lock();
        if state.is_kept(first.table) {
            for Restored { table, row } in rows {
                state.upsert(usize::from(*table), row);
            }
        }
    }

    /// Enters a phase.
    pub fn enter(&self, phase: Phase) {
        self.lock().phase = phase;
    }

    /// Records were read.
    pub fn read(&self, records: u64, bytes: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So much is to be read again.
    pub fn replays(&self, left: u64) {
        self.replay.fetch_add(left, Ordering::Relaxed);
        self.enter(Phase::Replaying);
    }

    /// So much of it was.
    pub fn replayed(&self, done: u64) {
        self.replay.fetch_sub(done, Ordering::Relaxed);
    }

    /// How a worker's share of the ledger is doing.
    pub fn ledger(&self, worker: usize, figures: Figures) {
        self.lock().ledger.insert(worker, figures);
    }

    /// Which partitions wait from now on, and which one is furthest behind.
    pub fn set_paused(&self, partitions: &BTreeSet<u32>, behind: Option<u32>) {
        let mut state = self.lock();
        state.paused = PausedPartitions::after(state.paused.as_ref(), partitions, behind);
    }

    /// Posts and deletes that came below the floor of the ledger in this run, on this process.
    pub fn late(&self) -> (u64, u64) {
        let state = self.lock();
        let add = |(posts, deletes), figures: &Figures| {
            (posts + figures.late_posts, deletes + figures.late_deletes)
        };
        state.ledger.values().fold((0, 0), add)
    }

    /// The process is one of several.
    pub fn join(&self, own: usize, hosts: &[String], traffic: Arc<Traffic>) {
        self.lock().processes = Some(Processes::new(own, hosts, traffic));
    }

    /// A worker of this process reads these.
    pub fn assigned(&self, partitions: impl Iterator<Item = u32>) {
        let assigned = &mut self.lock().assigned;
        assigned.extend(partitions);
        assigned.sort_unstable();
    }

    /// What this process says of itself to the others.
    pub fn report(&self) -> ProcessReport {
        let (records, bytes) = (&self.records, &self.bytes);
        let [records, bytes] = [records, bytes].map(|count| count.load(Ordering::Relaxed));
        let state = self.lock();
        let (partitions, ledger) = (state.assigned.clone(), state.remembered());
        ProcessReport { records, bytes, partitions, ledger }
    }

    /// What another process, or this one, said of itself.
    pub fn peer_reported(&self, process: usize, report: &ProcessReport) {
        if let Some(processes) = &mut self.lock().processes {
            processes.heard(process, report);
        }
    }

    /// The database that is asked.
    pub fn set_database(&self, answers: Arc<Answers>) {
        self.lock().answers = Some(answers);
    }

    /// A transaction is committed.
    pub fn committed(&self, transaction: &Transaction, at: Position, took: Duration) {
        self.commit_seconds.observe(took.as_secs_f64());
        let mut state = self.lock();
        state.clear_trouble(Trouble::Database);
        for (index, changes) in transaction.tables.iter().enumerate() {
            if !u8::try_from(index).is_ok_and(|index| state.is_kept(index)) {
                continue;
            }
            for key in &changes.deletes {
                state.delete(index, key);
            }
            for row in &changes.upserts {
                state.upsert(index, row);
            }
        }
        let rows = transaction.rows() as u64;
        let commits = &mut state.commits;
        (commits.count, commits.rows) = (commits.count + 1, commits.rows + rows);
        (commits.last_rows, commits.last) = (rows, took);
        (commits.commit_no, commits.as_of) = (at.commit_no, transaction.as_of);
        state.commit_ms.push(took.as_secs_f64() * 1000.0);
        let MonitorState { own, newest, freshness, .. } = &mut *state;
        for (_, age) in freshness::ages(transaction, own.0, newest) {
            freshness.push(age);
        }
    }

    /// A commit may or may not have been applied.
    pub fn in_doubt(&self) {
        let mut state = self.lock();
        state.commits.in_doubt += 1;
        state.trouble.get_or_insert((Instant::now(), Trouble::Database));
    }

    /// Where the topic ends, or that it does not answer.
    pub fn ends(&self, ends: Option<BTreeMap<u32, u64>>) {
        let mut state = self.lock();
        if let Some(ends) = ends {
            state.clear_trouble(Trouble::Topic);
            state.ends = ends;
        } else {
            state.trouble.get_or_insert((Instant::now(), Trouble::Topic));
        }
    }

    /// Seconds of each commit.
    pub fn commit_seconds(&self) -> &Histogram {
        &self.commit_seconds
    }

    /// How far the partitions are.
    pub fn partitions(&self) -> Vec<PartitionLag> {
        self.lock().partitions()
    }

    /// What the topic has left behind the last commit, where it is watched and all ends are known.
    pub fn left(&self) -> Option<u64> {
        self.lock().left()
    }

    /// Notes how far reading is. A reader that shows a speed calls this a few times a second.
    pub fn sample(&self) {
        let (records, now) = (self.records.load(Ordering::Relaxed), Instant::now());
        let mut state = self.lock();
        let records = records + state.others().0;
        let left = state.left();
        state.speed.push_back((now, records, left));
        let old = |(at, ..): &(Instant, u64, Option<u64>)| now - *at > SPEED_WINDOW;
        while state.speed.len() > 2 && state.speed.front().is_some_and(old) {
            state.speed.pop_front();
        }
    }

    /// Looks at everything.
    pub fn snapshot(&self) -> StatusSnapshot {
        let (records, now) = (self.records.load(Ordering::Relaxed), Instant::now());
        let bytes = self.bytes.load(Ordering::Relaxed);
        let mut state = self.lock();
        let others = state.others();
        let (per_second, gaining) = state.speed();
        StatusSnapshot {
            phase: state.phase,
            started_ms: self.started_ms,
            running: self.started.elapsed(),
            restored: self.restored.load(Ordering::Relaxed),
            replay: self.replay.load(Ordering::Relaxed),
            ledger: state.whole_ledger(),
            paused: state.paused.clone(),
            records,
            bytes,
            whole: (records + others.0, bytes + others.1),
            per_second,
            gaining,
            commits: state.commits,
            commit_ms: state.commit_ms.percentiles(WINDOW),
            freshness_ms: state.freshness.percentiles(WINDOW),
            partitions: state.partitions(),
            dead_letters: state.dead_letters(),
            overflow: state.overflow.values().sum(),
            trouble: state.trouble(now),
            tables: state.shown(),
            processes: state.processes.as_ref().map(Processes::with_traffic),
        }
    }
}

impl MonitorState {
    /// Whether the rows of a table are looked at: those of small tables.
    fn is_kept(&self, index: u8) -> bool {
        let table = self.tables.get(usize::from(index)).map(|shown| &shown.table);
        [self.own.0, self.own.1, self.own.2].contains(&index)
            || table.is_some_and(|table| table.panel != Panel::None)
    }

    fn upsert(&mut self, index: usize, row: &Row) {
        if index == usize::from(self.own.0) {
            let Some(stored) = PartitionOffsets::of(row) else { return };
            self.offsets.insert(stored.partition, stored);
        } else if index == usize::from(self.own.1) {
            let reason = row.get(4).and_then(Value::as_text).unwrap_or_default();
            dead_letter::location(row).map(|place| self.dead_letters.insert(place, reason.into()));
        } else if index == usize::from(self.own.2) {
            let range = OverflowRange::of(row);
            range.map(|(refuser, range)| self.overflow.insert(refuser, range.records));
        } else if let Some(ShownTable { table, rows }) = self.tables.get_mut(index) {
            rows.insert(row[..table.key].into(), row.clone());
        }
    }

    fn delete(&mut self, index: usize, key: &Row) {
        if index == usize::from(self.own.1) {
            dead_letter::location(key).map(|place| self.dead_letters.remove(&place));
        } else if let Some(ShownTable { rows, .. }) = self.tables.get_mut(index) {
            rows.remove(key);
        }
    }

    /// What was read by the processes whose work this one commits.
    fn others(&self) -> (u64, u64) {
        let lead = self.processes.as_ref().filter(|processes| processes.has_tables());
        lead.map_or((0, 0), Processes::others)
    }

    /// What the workers of this process remember.
    fn remembered(&self) -> Option<Remembered> {
        Remembered::sum(self.ledger.values().map(Remembered::of))
    }

    /// The same of all processes whose work this one commits.
    fn whole_ledger(&self) -> Option<Remembered> {
        let lead = self.processes.as_ref().filter(|processes| processes.has_tables());
        let others = lead.into_iter().flat_map(Processes::others_remember);
        Remembered::sum(self.remembered().into_iter().chain(others))
    }

    fn clear_trouble(&mut self, of: Trouble) {
        self.trouble.take_if(|(_, trouble)| *trouble == of);
    }

    fn trouble(&self, now: Instant) -> Option<(Trouble, Duration)> {
        let lasting = self.trouble.map(|(since, trouble)| (trouble, now - since));
        let silence = self.answers.as_ref().and_then(|answers| answers.silence());
        let silent = silence.filter(|since| *since >= DATABASE_TIMEOUT);
        let silent = silent.map(|since| (Trouble::Database, since));
        lasting.filter(|(_, since)| *since >= PATIENCE).or(silent)
    }

    fn partitions(&self) -> Vec<PartitionLag> {
        let place = |stored: &PartitionOffsets| PartitionLag {
            partition: stored.partition,
            file: stored.file.clone(),
            next: stored.next,
            // The end was seen a moment ago; what was read since is beyond it.
            end: self.ends.get(&stored.partition).map(|end| stored.next.max(*end)),
        };
        self.offsets.values().map(place).collect()
    }

    /// What is left of all partitions, where all ends are known.
    fn left(&self) -> Option<u64> {
        let places = self.partitions();
        places.iter().map(PartitionLag::lag).sum::<Option<u64>>().filter(|_| !places.is_empty())
    }

    fn dead_letters(&self) -> BTreeMap<Box<str>, u64> {
        let mut reasons = BTreeMap::new();
        for reason in self.dead_letters.values() {
            *reasons.entry(reason.clone()).or_default() += 1;
        }
        reasons
    }

    fn shown(&self) -> Vec<ShownTable> {
        let shown = self.tables.iter().filter(|shown| shown.table.panel != Panel::None);
        shown.cloned().collect()
    }

    /// Records a second, and by how much less is left each second.
    #[allow(clippy::cast_precision_loss, reason = "figures for people")]
    fn speed(&self) -> (f64, f64) {
        let (Some(first), Some(last)) = (self.speed.front(), self.speed.back()) else {
            return (0.0, 0.0);
        };
        let seconds = (last.0 - first.0).as_secs_f64().max(1e-3);
        let gained = match (first.2, last.2) {
            (Some(before), Some(now)) => before as f64 - now as f64,
            _ => 0.0,
        };
        ((last.1 - first.1) as f64 / seconds, gained / seconds)
    }
}

/// Milliseconds since 1970, by this machine's clock.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::{Monitor, Trouble, Value};
    use dataflows::catalogue::Tables;
    use std::time::Duration;
    use types::transaction::{Position, TableChanges, Transaction};

    #[test]
    fn what_is_committed_is_seen() {
        let (monitor, tables) = (Monitor::default(), Tables::default().all());
        monitor.begin(tables.clone());
        let index = tables.iter().position(|table| table.name == "totals").expect("listed");
        let row = |n: u64| [Value::Text("tweets".into()), Value::UInt(n)].into();
        for n in 1..4 {
            let mut changes = vec![TableChanges::default(); tables.len()];
            changes[index].upserts = vec![row(n)];
            let transaction = Transaction { as_of: 1_000_000, tables: changes };
            let at = Position { generation: 1, commit_no: n, writer: 0 };
            monitor.committed(&transaction, at, Duration::from_millis(3));
        }
        let snapshot = monitor.snapshot();
        assert_eq!(snapshot.commits.count, 3);
        let totals = snapshot.tables.iter().find(|shown| shown.table.name == "totals");
        assert_eq!(totals.expect("it is shown").rows.values().collect::<Vec<_>>(), [&row(3)]);
        assert!(snapshot.tables.iter().all(|shown| shown.table.name != "users"));
        assert!(snapshot.commit_ms.is_some_and(|ms| (2.9..3.1).contains(&ms.p50)));
        monitor.in_doubt();
        assert_eq!(monitor.lock().trouble.map(|(_, trouble)| trouble), Some(Trouble::Database));
        assert_eq!(monitor.snapshot().trouble, None, "a moment is no trouble");
    }
}

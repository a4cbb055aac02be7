//! The ledger's part of the run: with which floor it starts, and how the floor rises.
//!
//! ```text
//! each worker: clocks, ends ────reports────► worker 0: policy ──► floors (rows)
//!      ▲                                        │
//!      └────────── Floor, Pause ◄────────────────┘
//! ```
//!
//! Worker 0 raises the floor when every partition has moved on by a step, and pauses partitions
//! that are far ahead of others. Any monotone floor is exact; the floor decides only memory use and
//! what counts as late. One order matters: a floor enters at an epoch of worker 0, and a worker
//! that receives it is in that epoch or a later one. So `replay_from` never passes a floor that is
//! not committed.
//!
//! What the ledger does stands in [`dataflows::operators::ledger`].

use crate::config::LedgerConfig;
use dataflows::operators::ledger::{Policy, ReachedTimes};
use dataflows::tables::floors::FloorName;
use monitor::Monitor;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use types::clock::{Clocks, plausible_ms};
use types::late::{LateKind, LateRow};
use types::offsets::{Assignment, PartitionOffsets};
use types::snowflake::written_ms;

/// A partition of which more was read since its end was seen is not at its end.
const BEHIND_RECORDS: u64 = 1_000;
/// No partition waits for longer than this for one whose clocks stand still while it can be read.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

impl LedgerConfig {
    /// Milliseconds that make a difference to the floor, if there is a ledger.
    pub(super) fn step_ms(&self) -> Option<u64> {
        self.span_ms().map(Policy::step_ms)
    }

    /// The span in milliseconds, if there is a ledger.
    pub(super) fn span_ms(&self) -> Option<u64> {
        let ms = u64::try_from(self.span.as_millis()).unwrap_or(u64::MAX);
        Some(ms).filter(|ms| *ms > 0)
    }
}

/// What changes of the ledger's memory, and the number of the memory that begins.
type MemoryChange = (LateKind, u64);

/// How the ledger starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LedgerStart {
    /// Below it nothing is remembered; `None` = there is no ledger.
    pub(super) floor: Option<u64>,
    /// The floor that is stored.
    pub(super) stored_floor: Option<u64>,
    change: Option<MemoryChange>,
    /// Late acts of what was counted so far have no rows.
    is_unrecorded: bool,
    /// Whether nothing is read again.
    pub(super) is_empty: bool,
    /// What is to be stored.
    pub(super) system_updates: Vec<(FloorName, u64)>,
}

impl LedgerStart {
    /// From what is stored.
    pub(super) fn new(settings: LedgerConfig, stored: &BTreeMap<FloorName, u64>) -> Self {
        let known = |name: FloorName| stored.get(&name).copied();
        let newest = known(FloorName::Tweets).max(known(FloorName::Forgotten));
        let forgotten = newest.map(|id| (FloorName::Forgotten, id));
        let stored_floor = known(FloorName::Ledger);
        let is_unrecorded = known(FloorName::Span).is_some() && known(FloorName::Memory).is_none();
        let Some(span_ms) = settings.span_ms() else {
            // What an earlier ledger remembered is forgotten.
            let had_one = known(FloorName::Span).is_some();
            let (change, memory) = next_memory(stored, (false, false));
            let system_updates = forgotten.filter(|_| had_one).into_iter().chain(memory).collect();
            return LedgerStart {
                floor: None,
                stored_floor,
                change,
                is_unrecorded,
                is_empty: true,
                system_updates,
            };
        };
        let forgotten = forgotten.filter(|_| settings.forget);
        let above = forgotten.map(|(_, id)| id).max(known(FloorName::Forgotten)).map(|id| id + 1);
        let floor = above.max(known(FloorName::Ledger)).unwrap_or(0);
        let ledger = Some((FloorName::Ledger, floor)).filter(|_| floor > 0);
        let span = (FloorName::Span, u64::MAX - span_ms);
        let (change, memory) = next_memory(stored, (true, settings.forget));
        let system_updates =
            [Some(span), forgotten, ledger, memory].into_iter().flatten().collect();
        LedgerStart {
            floor: Some(floor),
            stored_floor,
            change,
            is_unrecorded,
            is_empty: settings.forget,
            system_updates,
        }
    }

    /// The rows of `late_acts` that say what changes for a partition, as far as it was counted.
    pub(super) fn changes(&self, stored: &PartitionOffsets) -> impl Iterator<Item = LateRow> {
        let PartitionOffsets { partition, start, next, .. } = *stored;
        let unrecorded =
            self.is_unrecorded.then(|| LateRow::not_recorded(partition, start, next.max(1) - 1));
        let change =
            self.change.map(|(kind, memory)| LateRow::change(partition, next, kind, memory));
        unrecorded.into_iter().chain(change).filter(move |_| next > start)
    }
}

/// How the memory of the ledger changes with a start, and what `floors` is to say of it.
fn next_memory(
    stored: &BTreeMap<FloorName, u64>,
    (has_ledger, is_forgotten): (bool, bool),
) -> (Option<MemoryChange>, Option<(FloorName, u64)>) {
    let known = stored.get(&FloorName::Memory).copied();
    let had_one = stored.contains_key(&FloorName::Span);
    if known.is_none() && !had_one && !has_ledger {
        return (None, None);
    }
    // Nothing was noted of it so far.
    let (before, had_one) = known.map_or((0, had_one), |memory| (memory / 2, memory % 2 == 0));
    let kind = match (had_one, has_ledger) {
        (false, true) => Some(LateKind::LedgerOn),
        (true, false) => Some(LateKind::LedgerOff),
        (true, true) => Some(LateKind::Forgotten).filter(|_| is_forgotten),
        (false, false) => None,
    };
    let number = before + u64::from(kind.is_some());
    let memory = 2 * number + u64::from(!has_ledger);
    (kind.map(|kind| (kind, number)), Some((FloorName::Memory, memory)))
}

/// What a worker reports to the coordinator, worker 0.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum WorkerReport {
    /// It has read again all that it had to.
    Replayed,
    /// How far it has read a partition.
    Progress { partition: u32, reached: ReachedTimes },
}

/// How far a partition is, in the time of its tweets and of its records.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartitionProgress {
    proven_ms: u64,
    /// The last reading that had no other beside it in its record: the next such one may bear it
    /// out. (Only floors that are stored must follow from each record alone.)
    single_ms: u64,
    /// The timestamps of the last two records that have one.
    record_ms: (u64, u64),
    is_at_end: bool,
    /// Records read since its end was seen.
    since_end: u64,
    /// When a clock moved, or it could not be read.
    moved: Instant,
    /// The clocks of that moment.
    seen: (u64, u64),
    reported: Option<ReachedTimes>,
}

impl PartitionProgress {
    pub(super) fn new() -> Self {
        PartitionProgress {
            proven_ms: 0,
            single_ms: 0,
            record_ms: (0, 0),
            is_at_end: false,
            since_end: 0,
            moved: Instant::now(),
            seen: (0, 0),
            reported: None,
        }
    }

    /// A record was read.
    pub(super) fn pass(&mut self, record_ms: u64) {
        self.since_end += 1;
        self.is_at_end &= self.since_end <= BEHIND_RECORDS;
        let record_ms = plausible_ms(record_ms);
        if record_ms > 0 {
            self.record_ms = (self.record_ms.1, record_ms);
        }
    }

    /// It was about a tweet. A new delete of an old one proves no more than that: floors are ids.
    pub(super) fn observe(&mut self, clocks: Clocks) {
        let proven_ms = clocks.proven_ms().unwrap_or_else(|| {
            let single_ms = clocks.single_ms().unwrap_or(0);
            std::mem::replace(&mut self.single_ms, single_ms).min(single_ms)
        });
        self.proven_ms = self.proven_ms.max(proven_ms.min(written_ms(clocks.id)));
    }

    /// All of it is read.
    pub(super) fn end(&mut self) {
        (self.is_at_end, self.since_end) = (true, 0);
    }

    /// It could not be read just now, or waits.
    pub(super) fn restart_patience(&mut self, now: Instant) {
        self.moved = now;
    }

    /// The report for the coordinator, if it would make a difference.
    pub(super) fn report(
        &mut self,
        partition: u32,
        step_ms: u64,
        now: Instant,
    ) -> Option<WorkerReport> {
        let PartitionProgress { proven_ms, is_at_end, record_ms: (first, second), .. } = *self;
        let record_ms = (first.min(second), first.max(second));
        if self.seen != (proven_ms, record_ms.0) {
            (self.seen, self.moved) = ((proven_ms, record_ms.0), now);
        }
        let is_stalled = !is_at_end && now.duration_since(self.moved) >= PATIENCE;
        let reached = ReachedTimes { proven_ms, record_ms, is_at_end, is_stalled };
        let is_news = self.reported.is_none_or(|reported| {
            proven_ms.saturating_sub(reported.proven_ms) >= step_ms
                || record_ms.0.abs_diff(reported.record_ms.0) >= step_ms
                || (is_at_end, is_stalled) != (reported.is_at_end, reported.is_stalled)
        });
        if !is_news {
            return None;
        }
        self.reported = Some(reached);
        Some(WorkerReport::Progress { partition, reached })
    }
}

/// On worker 0: raises the floor and pauses partitions that are far ahead.
pub(super) struct FloorController {
    policy: Policy,
    paused: BTreeSet<u32>,
    /// The partition that these wait for.
    waited_for: Option<u32>,
}

impl FloorController {
    pub(super) fn new(span_ms: u64, floor: u64) -> Self {
        let policy = Policy::new(span_ms, floor);
        FloorController { policy, paused: BTreeSet::new(), waited_for: None }
    }

    /// These partitions will be read.
    pub(super) fn expect(&mut self, assignments: &[Assignment]) {
        for assignment in assignments {
            self.policy.read(assignment.partition, ReachedTimes::default());
        }
    }

    pub(super) fn apply_report(&mut self, report: WorkerReport) {
        let WorkerReport::Progress { partition, reached } = report else { return };
        let is_waited_for = reached.is_stalled && !self.paused.is_empty();
        self.policy.read(partition, reached);
        if is_waited_for {
            tracing::warn!(
                partition,
                waiting = self.paused.len(),
                "this partition has not moved for {PATIENCE:?}; the others wait for it no longer. \
                 Tweets that come of it later than --ledger says are counted as late"
            );
        }
    }

    /// The new floor, if it rises.
    pub(super) fn raise(&mut self) -> Option<u64> {
        self.policy.rise()
    }

    /// Whether all partitions are at their end.
    pub(super) fn is_all_read(&self) -> bool {
        self.policy.is_all_read()
    }

    /// Which partitions are to wait from now on, if that is news. `monitor` learns for which one.
    pub(super) fn newly_paused(&mut self, monitor: &Monitor) -> Option<BTreeSet<u32>> {
        let waiting = self.policy.waiting(&self.paused);
        let waited_for = if waiting.is_empty() { None } else { self.policy.waited_for() };
        let is_news = waiting != self.paused;
        if is_news || waited_for != self.waited_for {
            monitor.set_paused(&waiting, waited_for);
            self.waited_for = waited_for;
        }
        if !is_news {
            return None;
        }
        self.paused.clone_from(&waiting);
        Some(waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::{FloorController, FloorName, LateKind, LateRow, LedgerConfig, PartitionOffsets};
    use super::{LedgerStart, Monitor, ReachedTimes, WorkerReport};
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    /// From one start to the next, with what the run between them stored.
    fn start(stored: &mut BTreeMap<FloorName, u64>, minutes: u64, forget: bool) -> LedgerStart {
        let settings = LedgerConfig { span: Duration::from_secs(60 * minutes), forget };
        let start = LedgerStart::new(settings, stored);
        for (name, newest) in &start.system_updates {
            let held = stored.entry(*name).or_default();
            *held = (*held).max(*newest);
        }
        start
    }

    #[test]
    fn what_was_read_without_a_ledger_is_below_the_floor() {
        let mut stored = BTreeMap::new();
        let first = start(&mut stored, 15, false);
        assert_eq!((first.floor, first.is_empty), (Some(0), false));
        let span = (FloorName::Span, u64::MAX - 900_000);
        assert_eq!(first.system_updates, [span, (FloorName::Memory, 2)]);
        stored.extend([(FloorName::Tweets, 100), (FloorName::Ledger, 50)]);
        let again = start(&mut stored, 20, false);
        assert_eq!((again.floor, again.is_empty), (Some(50), false));
        assert_eq!(stored[&FloorName::Span], u64::MAX - 900_000, "the smallest");
        let off = start(&mut stored, 0, false);
        assert_eq!((off.floor, off.is_empty), (None, true));
        assert_eq!(
            off.system_updates,
            [(FloorName::Forgotten, 100), (FloorName::Memory, 5)],
            "what was remembered is no more"
        );
        stored.insert(FloorName::Forgotten, 200);
        let on = start(&mut stored, 15, false);
        assert_eq!((on.floor, on.is_empty), (Some(201), false));
        stored.insert(FloorName::Tweets, 300);
        let forgotten = start(&mut stored, 15, true);
        assert_eq!((forgotten.floor, forgotten.is_empty), (Some(301), true));
        assert_eq!((stored[&FloorName::Forgotten], stored[&FloorName::Ledger]), (300, 301));
    }

    #[test]
    fn a_change_of_the_memory_is_said_of_what_was_counted() {
        let counted = PartitionOffsets { next: 9, ..PartitionOffsets::fresh(3, 5) };
        let changes = |start: &LedgerStart| {
            assert_eq!(start.changes(&PartitionOffsets::fresh(4, 5)).next(), None, "nothing was");
            start.changes(&counted).collect::<Vec<_>>()
        };
        let change = |kind, memory| LateRow::change(3, 9, kind, memory);
        let mut stored = BTreeMap::new();
        start(&mut stored, 15, false);
        let again = start(&mut stored, 15, false);
        assert_eq!((changes(&again), stored[&FloorName::Memory]), (vec![], 2));
        let off = start(&mut stored, 0, false);
        assert_eq!(changes(&off), [change(LateKind::LedgerOff, 2)]);
        assert_eq!(
            (changes(&start(&mut stored, 0, false)), stored[&FloorName::Memory]),
            (vec![], 5)
        );
        let on = start(&mut stored, 15, false);
        assert_eq!(changes(&on), [change(LateKind::LedgerOn, 3)]);
        let forgotten = start(&mut stored, 15, true);
        assert_eq!(changes(&forgotten), [change(LateKind::Forgotten, 4)]);
        assert_eq!(stored[&FloorName::Memory], 8);
        // Tables of a version that recorded nothing.
        let mut unrecorded_tables = BTreeMap::from([(FloorName::Span, u64::MAX - 900_000)]);
        let unrecorded = LateRow::not_recorded(3, 5, 8);
        assert_eq!(changes(&start(&mut unrecorded_tables.clone(), 15, false)), [unrecorded]);
        let first_off = start(&mut unrecorded_tables, 0, false);
        assert_eq!(changes(&first_off), [unrecorded, change(LateKind::LedgerOff, 1)]);
    }

    #[test]
    fn partitions_that_wait_are_seen() {
        let (monitor, mut controller) = (Monitor::default(), FloorController::new(6_400, 0));
        let read = |applying: &mut FloorController, partition, ms: u64| {
            let reached =
                ReachedTimes { proven_ms: 1_795_424_400_000 + ms, ..ReachedTimes::default() };
            applying.apply_report(WorkerReport::Progress { partition, reached });
            let reported = applying.newly_paused(&monitor);
            (
                reported,
                monitor.snapshot().paused.map(|waiting| (waiting.partitions, waiting.behind)),
            )
        };
        let first = BTreeSet::from([0]);
        assert_eq!(read(&mut controller, 1, 0), (None, None));
        assert_eq!(read(&mut controller, 2, 1), (None, None));
        assert_eq!(
            read(&mut controller, 0, 20_000),
            (Some(first.clone()), Some((first.clone(), 1)))
        );
        // It waits on, for another one.
        assert_eq!(read(&mut controller, 1, 6_000), (None, Some((first.clone(), 2))));
        assert_eq!(read(&mut controller, 2, 12_000), (None, Some((first.clone(), 1))));
        assert_eq!(read(&mut controller, 1, 18_000), (None, Some((first, 2))));
        assert_eq!(read(&mut controller, 2, 18_000), (Some(BTreeSet::new()), None));
    }

    #[test]
    fn a_job_that_never_had_one_says_nothing() {
        let mut stored = BTreeMap::from([(FloorName::Forgotten, 7)]);
        let off = start(&mut stored, 0, false);
        assert_eq!((off.floor, off.system_updates), (None, Vec::new()));
    }
}

//! The commit batcher: worker 0 turns the changes of all workers into transactions (group commit).
//!
//! It owns the changes between the dataflow and the committer. Invariants:
//! - A transaction holds whole epochs: all of them up to the one it ends with, none of them twice.
//! - The capability of an epoch is held until the transaction that contains it is *committed*, so
//!   the frontier behind this operator is the one meaning of "durable" on every worker.
//! - A row that its table cannot hold is in no transaction, nor is anything after it.
//! - It never blocks: while the committer is busy, closed epochs are netted per key.
//!
//! It knows no database: it sends a transaction into a channel of size 1 and receives the outcome.

use crate::config::CommitPace;
use dataflows::{Epoch, TableChange};
use sink::SinkError;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::operator::Operator;
use timely::dataflow::operators::{Capability, Probe};
use timely::dataflow::{ProbeHandle, operators::probe};
use timely::scheduling::SyncActivator;
use tokio::sync::mpsc;
use types::table::{self, ColumnKind};
use types::transaction::{TableChanges, Transaction};
use types::{Change, Row, Table, Value};

/// One transaction for the committer, and how to answer.
pub struct CommitOrder {
    /// What to commit.
    pub transaction: Transaction,
    /// Where "it is committed" goes.
    pub committed: std::sync::mpsc::Sender<()>,
    /// Wakes the batcher after the answer.
    pub wake: SyncActivator,
}

/// When an epoch was closed.
#[derive(Clone, Copy, Debug)]
pub struct Closing {
    /// The epoch.
    pub epoch: Epoch,
    /// The moment that the tables show, microseconds since 1970.
    pub as_of: i64,
    /// By the monotonic clock.
    pub at: Instant,
}

/// The epochs that were closed, rising; written by worker 0's loop, read by the batcher on the same
/// thread.
pub type Closings = Rc<RefCell<VecDeque<Closing>>>;

/// What the batcher is connected to.
pub struct BatcherConfig {
    /// To the committer; only on worker 0.
    pub orders: Option<mpsc::Sender<CommitOrder>>,
    /// Where the moments of epochs come from.
    pub closings: Closings,
    /// How commits are spaced.
    pub pace: CommitPace,
    /// Set when the changes can be no transaction; ends the run.
    pub fault: CommitFault,
}

/// Why nothing more is handed over.
pub type CommitFault = Rc<Cell<Option<SinkError>>>;

/// Builds the batcher. The returned probe's frontier passes an epoch when it is committed.
pub fn commit_batcher(
    changes: StreamVec<'_, Epoch, TableChange>,
    tables: Vec<Table>,
    commits: BatcherConfig,
) -> probe::Handle<Epoch> {
    let scope = changes.scope();
    let to_worker_0 = Exchange::new(|_: &TableChange| 0);
    let durable: ProbeHandle<Epoch> = ProbeHandle::new();
    changes
        .unary_frontier::<timely::container::CapacityContainerBuilder<Vec<()>>, _, _, _>(
            to_worker_0,
            "commit batcher",
            move |_capability, info| {
                let activator = scope.activator_for(Rc::clone(&info.address));
                let wake = scope.worker().sync_activator_for(info.address.to_vec());
                let mut batcher = CommitBatcher::new(tables, commits.closings, commits.pace);
                let fault = commits.fault;
                let mut outlet =
                    commits.orders.map(|orders| CommitterLink::new(orders, wake, fault));
                move |(input, frontier), output| {
                    input.for_each(|capability, batch| {
                        let port = output.output_index();
                        let held = |epoch: &Epoch| capability.delayed(epoch, port);
                        batcher.add(batch.drain(..), held);
                    });
                    batcher.close(frontier.frontier().first().copied());
                    if let Some(outlet) = &mut outlet
                        && let Some(delay) = outlet.serve(&mut batcher)
                    {
                        activator.activate_after(delay);
                    }
                }
            },
        )
        .probe_with(&durable);
    durable
}

/// The batcher's way to the committer.
struct CommitterLink {
    orders: mpsc::Sender<CommitOrder>,
    wake: SyncActivator,
    answer: std::sync::mpsc::Sender<()>,
    answers: std::sync::mpsc::Receiver<()>,
    busy: bool,
    fault: CommitFault,
    is_over: bool,
}

impl CommitterLink {
    fn new(orders: mpsc::Sender<CommitOrder>, wake: SyncActivator, fault: CommitFault) -> Self {
        let (answer, answers) = std::sync::mpsc::channel();
        CommitterLink { orders, wake, answer, answers, busy: false, fault, is_over: false }
    }

    /// Takes answers, hands the next transaction over if the committer is free; says after how
    /// long to look again where only time is missing.
    fn serve(&mut self, batcher: &mut CommitBatcher) -> Option<Duration> {
        if self.answers.try_recv().is_ok() {
            self.busy = false;
            batcher.committed();
        }
        if self.orders.is_closed() || self.is_over {
            batcher.abandon();
            return None;
        }
        if self.busy {
            return None;
        }
        match batcher.take(Instant::now()) {
            NextBatch::Nothing => None,
            NextBatch::TooEarly(delay) => Some(delay),
            NextBatch::Impossible(row) => {
                self.fault.set(Some(SinkError::Impossible { row }));
                self.is_over = true;
                batcher.abandon();
                None
            }
            NextBatch::Transaction(transaction) => {
                let committed = self.answer.clone();
                let order = CommitOrder { transaction, committed, wake: self.wake.clone() };
                self.busy = self.orders.try_send(order).is_ok();
                None
            }
        }
    }
}

/// What `CommitBatcher::take` found.
enum NextBatch {
    Nothing,
    TooEarly(Duration),
    Transaction(Transaction),
    /// A row that its table cannot hold.
    Impossible(String),
}

/// The state of the batcher, free of timely but for the capability that it holds.
struct CommitBatcher {
    tables: Vec<Table>,
    pace: CommitPace,
    closings: Closings,
    /// Changes of epochs that may still get more, per table.
    open: BTreeMap<Epoch, Vec<TimedChanges>>,
    /// Per table, changes of closed epochs that no transaction has taken.
    closed: Vec<NettedChanges>,
    /// The least epoch in `closed`.
    closed_from: Option<Epoch>,
    /// The capability of the least epoch that is not committed.
    held: Option<Capability<Epoch>>,
    /// When the last closed epoch was closed: the moment to show, and by the monotonic clock.
    as_of: i64,
    closed_at: Option<Instant>,
    last_start: Option<Instant>,
    /// When the last epoch of the last transaction was closed.
    sent_closed_at: Option<Instant>,
}

impl CommitBatcher {
    fn new(tables: Vec<Table>, closings: Closings, pace: CommitPace) -> Self {
        let closed = tables.iter().map(|_| NettedChanges::default()).collect();
        CommitBatcher {
            tables,
            pace,
            closings,
            open: BTreeMap::new(),
            closed,
            closed_from: None,
            held: None,
            as_of: 0,
            closed_at: None,
            last_start: None,
            sent_closed_at: None,
        }
    }

    /// Keeps changes as they arrive, in any order of epochs, and the capability of the least one.
    fn add(
        &mut self,
        changes: impl Iterator<Item = TableChange>,
        capability: impl Fn(&Epoch) -> Capability<Epoch>,
    ) {
        for (table, change, epoch) in changes {
            if self.held.as_ref().is_none_or(|held| epoch < *held.time()) {
                self.held = Some(capability(&epoch));
            }
            let tables = self.tables.len();
            let open = self.open.entry(epoch).or_insert_with(|| vec![TimedChanges::new(); tables]);
            open[usize::from(table)].push((change, epoch));
        }
    }

    /// Closes the epochs before `frontier`; all of them where there is none.
    fn close(&mut self, frontier: Option<Epoch>) {
        let is_closed = |epoch: Epoch| frontier.is_none_or(|frontier| epoch < frontier);
        while let Some(entry) = self.open.first_entry()
            && is_closed(*entry.key())
        {
            let (epoch, tables) = entry.remove_entry();
            self.closed_from.get_or_insert(epoch);
            for (netted, changes) in self.closed.iter_mut().zip(tables) {
                netted.add(changes);
            }
        }
        for (netted, table) in self.closed.iter_mut().zip(&self.tables) {
            netted.net_if_grown(table.key);
        }
        let mut closings = self.closings.borrow_mut();
        while let Some(Closing { as_of, at, .. }) =
            closings.pop_front_if(|closing| is_closed(closing.epoch))
        {
            (self.as_of, self.closed_at) = (as_of, Some(at));
        }
    }

    /// Whether the last transaction is older than a heartbeat, by the monotonic clock.
    fn is_heartbeat_due(&self) -> bool {
        match (self.closed_at, self.sent_closed_at) {
            (Some(closed), Some(sent)) => {
                closed.saturating_duration_since(sent) >= self.pace.heartbeat
            }
            (closed, _) => closed.is_some(),
        }
    }

    /// The next transaction: everything that is closed, or nothing but a new `as_of` when the
    /// last one is older than a heartbeat.
    fn take(&mut self, now: Instant) -> NextBatch {
        let is_quiet = self.closed_from.is_none();
        if is_quiet && !self.is_heartbeat_due() {
            return NextBatch::Nothing;
        }
        let since = self.last_start.map_or(Duration::MAX, |start| now - start);
        if since < self.pace.interval {
            return NextBatch::TooEarly(self.pace.interval.saturating_sub(since));
        }
        self.last_start = Some(now);
        self.sent_closed_at = self.closed_at;
        self.closed_from = None;
        let closed = self.closed.iter_mut().zip(&self.tables);
        let changes: Vec<_> = closed.map(|(netted, table)| netted.take(table.key)).collect();
        for (table, TableChanges { upserts, .. }) in self.tables.iter().zip(&changes) {
            if let Some(row) = upserts.iter().find(|row| !can_hold(table, row)) {
                return NextBatch::Impossible(table::whole(table, row));
            }
        }
        NextBatch::Transaction(Transaction { as_of: self.as_of, tables: changes })
    }

    /// The transaction that was taken last is committed: the capability moves to what is left.
    fn committed(&mut self) {
        let left = self.closed_from.or_else(|| self.open.keys().next().copied());
        match (left, &mut self.held) {
            (Some(epoch), Some(held)) => held.downgrade(&epoch),
            _ => self.held = None,
        }
    }

    /// Nothing will be committed any more; lets the dataflow come to its end.
    fn abandon(&mut self) {
        self.open.clear();
        self.closed.iter_mut().for_each(|netted| *netted = NettedChanges::default());
        self.closed_from = None;
        self.held = None;
    }
}

/// Whether no count of a row is less than none.
fn can_hold(table: &Table, row: &Row) -> bool {
    let is_negative = |value: &Value| matches!(value, Value::Int(..0));
    let mut columns = table.columns.iter().zip(row);
    !columns.any(|(column, value)| column.kind == ColumnKind::Unsigned && is_negative(value))
}

/// Changes of one table.
type TimedChanges = Vec<(Change, Epoch)>;

/// The changes of one table over several epochs, netted now and then.
#[derive(Default)]
struct NettedChanges {
    changes: TimedChanges,
    /// Length after the last netting.
    netted: usize,
}

impl NettedChanges {
    fn add(&mut self, mut changes: TimedChanges) {
        if self.changes.is_empty() {
            self.changes = changes;
        } else {
            self.changes.append(&mut changes);
        }
    }

    /// Nets when the list has doubled: memory stays within twice the distinct keys, at an
    /// amortised cost of one sort.
    fn net_if_grown(&mut self, width: usize) {
        if self.changes.len() > 2 * self.netted.max(50_000) {
            self.net(width);
        }
    }

    /// Keeps the newest change of each key, by key. Within an epoch an upsert beats a delete.
    fn net(&mut self, width: usize) {
        // A stable sort finds the runs that the tables' operators leave, and only merges them.
        self.changes.sort_by(|(a, at), (b, bt)| {
            a.key(width).cmp(b.key(width)).then_with(|| at.cmp(bt)).then_with(|| a.cmp(b))
        });
        // `dedup_by` drops the later of two; put the newest first by going backwards.
        self.changes.reverse();
        self.changes.dedup_by(|(older, older_epoch), (newer, newer_epoch)| {
            let same = older.key(width) == newer.key(width);
            let both = matches!((&*older, &*newer), (Change::Upsert(_), Change::Upsert(_)));
            assert!(
                !(same && both && older_epoch == newer_epoch),
                "two rows of one key: {newer:?}"
            );
            same
        });
        self.changes.reverse();
        self.netted = self.changes.len();
    }

    fn take(&mut self, width: usize) -> TableChanges {
        self.net(width);
        self.netted = 0;
        let mut taken = TableChanges::default();
        for (change, _) in std::mem::take(&mut self.changes) {
            match change {
                Change::Delete(key) => taken.deletes.push(key),
                Change::Upsert(row) => taken.upserts.push(row),
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::CommitPace;
    use super::{Closing, Closings, CommitBatcher, Duration, Instant, NettedChanges, NextBatch};
    use std::rc::Rc;
    use types::{Change, Row, Value};

    fn row(key: u64, value: u64) -> Row {
        [Value::UInt(key), Value::UInt(value)].into()
    }

    fn key(key: u64) -> Row {
        [Value::UInt(key)].into()
    }

    #[test]
    fn the_newest_change_of_each_key_is_left() {
        let mut netted = NettedChanges::default();
        netted.add(vec![(Change::Upsert(row(2, 1)), 5)]);
        netted.add(vec![(Change::Upsert(row(1, 1)), 4)]);
        netted.add(vec![(Change::Upsert(row(1, 3)), 6)]);
        netted.add(vec![(Change::Upsert(row(1, 2)), 5)]);
        netted.add(vec![(Change::Delete(key(2)), 6)]);
        netted.net(1);
        netted.add(vec![(Change::Upsert(row(3, 7)), 7)]);
        netted.add(vec![(Change::Delete(key(3)), 7)]);
        netted.add(vec![(Change::Delete(key(4)), 7)]);
        netted.add(vec![(Change::Upsert(row(4, 1)), 8)]);
        let taken = netted.take(1);
        assert_eq!(taken.deletes, [key(2)]);
        assert_eq!(taken.upserts, [row(1, 3), row(3, 7), row(4, 1)]);
        assert_eq!(netted.take(1), super::TableChanges::default());
    }

    #[test]
    fn a_clock_that_is_set_back_holds_no_heartbeat() {
        let (closings, heartbeat) = (Closings::default(), Duration::from_secs(10));
        let pace = CommitPace { interval: Duration::ZERO, heartbeat };
        let mut batcher = CommitBatcher::new(
            vec![dataflows::tables::hashtags::TABLE],
            Rc::clone(&closings),
            pace,
        );
        let began = Instant::now();
        let mut take = |epoch: u64, second: u64, as_of: i64| {
            let at = began + Duration::from_secs(second);
            closings.borrow_mut().push_back(Closing { epoch, as_of, at });
            batcher.close(Some(epoch + 1));
            match batcher.take(at) {
                NextBatch::Transaction(transaction) => Some(transaction.as_of),
                _ => None,
            }
        };
        assert_eq!(take(1, 0, 5_000_000_000), Some(5_000_000_000));
        assert_eq!(take(2, 5, 5_005_000_000), None);
        assert_eq!(take(3, 10, 1_410_000_000), Some(1_410_000_000), "an hour back");
        assert_eq!(take(4, 20, 1_420_000_000), Some(1_420_000_000));
        assert_eq!(take(5, 21, 9_421_000_000), None, "and two ahead");
    }
}

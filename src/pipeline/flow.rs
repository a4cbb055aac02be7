//! The dataflow of one worker: its inputs, the tables, and what comes back to the loop.
//!
//! Built once, the same on every worker. It owns no state beyond timely's; the loop in `worker`
//! drives it.

use super::ledger::WorkerReport;
use crate::config::RunConfig;
use crate::pipeline::commit_batcher;
use crate::pipeline::commit_batcher::{Closings, CommitFault, CommitOrder, commit_batcher};
use dataflows::catalogue::Tables;
use dataflows::operators::latest::Latest;
use dataflows::tables::dead_letter_overflow::{self, Extent};
use dataflows::tables::dead_letters;
use dataflows::tables::floors::FloorName;
use dataflows::tables::kafka_offsets;
use dataflows::tables::kafka_offsets::OffsetProgress;
use dataflows::tables::late_acts;
use dataflows::{Epoch, LedgerInputs, RESTORED, RestoredRows, Rows, Shared, Sources, Unreadable};
use decode;
use differential_dataflow::input::{Input, InputSession};
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use timely::dataflow::operators::vec::input::Handle;
use timely::dataflow::operators::vec::{Broadcast, Input as TimelyInput, Map};
use timely::dataflow::operators::{Exchange, Inspect, Probe};
use timely::dataflow::{ProbeHandle, Scope};
use timely::worker::Worker;
use types::dead_letter::DeadLetter;
use types::dead_letter::OverflowKey;
use types::late::LateRow;
use types::ledger::Figures;
use types::offsets::Assignment;
use types::record::StoredRecord;
use types::{Event, Restored};

/// Messages of the coordinator (worker 0) to every worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Control {
    /// From here on, this epoch.
    Epoch(Epoch),
    /// What is read again, but for these refused records, before anything else.
    Replay(Vec<Assignment>, Vec<(u32, u64)>),
    /// Who reads what from where; worker `partition % workers` takes a partition.
    Assign(Vec<Assignment>),
    /// The floor of the ledger: what is stored at the last epoch that was sent, or before. It holds
    /// behind that epoch.
    Floor(u64),
    /// These partitions are not read for a while.
    Pause(BTreeSet<u32>),
    /// A dead letter is to be tried again, by the worker of its partition; with its record, if the
    /// topic still holds it.
    Retry(DeadLetter, Option<StoredRecord>),
}

/// The inputs that follow the epoch. An input that is not advanced stalls the frontier, so they
/// only advance together.
pub(super) struct FlowInputs {
    pub(super) events: InputSession<Epoch, Event, isize>,
    pub(super) retried: InputSession<Epoch, Event, isize>,
    pub(super) system_updates: InputSession<Epoch, FloorName, Latest<u64>>,
    pub(super) dead_letters: InputSession<Epoch, DeadLetter, isize>,
    pub(super) dead_letter_overflow: InputSession<Epoch, OverflowKey, Extent>,
    pub(super) late_acts: InputSession<Epoch, LateRow, isize>,
    pub(super) progress: InputSession<Epoch, u32, Latest<OffsetProgress>>,
    /// Until the first epoch behind [`dataflows::RESTORED`].
    pub(super) restore: Option<RestoreInputs>,
}

/// The inputs of what was before this run. They end with [`dataflows::RESTORED`]: what only they
/// feed is then gone from the dataflow, where it would cost its share of every later epoch.
pub(super) struct RestoreInputs {
    pub(super) rows: InputSession<Epoch, Restored, isize>,
    pub(super) replayed: InputSession<Epoch, Event, isize>,
}

impl FlowInputs {
    /// Enters `epoch`; everything before it is complete on this worker.
    pub(super) fn advance_to(&mut self, epoch: Epoch) {
        self.events.advance_to(epoch);
        self.retried.advance_to(epoch);
        self.system_updates.advance_to(epoch);
        self.dead_letters.advance_to(epoch);
        self.dead_letter_overflow.advance_to(epoch);
        self.late_acts.advance_to(epoch);
        self.progress.advance_to(epoch);
        self.flush();
        if epoch > RESTORED {
            self.restore = None;
        }
    }

    /// Hands what is buffered to the dataflow.
    pub(super) fn flush(&mut self) {
        self.events.flush();
        self.retried.flush();
        self.system_updates.flush();
        self.dead_letters.flush();
        self.dead_letter_overflow.flush();
        self.late_acts.flush();
        self.progress.flush();
        if let Some(restore) = &mut self.restore {
            restore.rows.flush();
            restore.replayed.flush();
        }
    }
}

/// What the loop holds of the dataflow.
pub(super) struct Flow {
    /// `None` once this worker reads no more.
    pub(super) inputs: Option<FlowInputs>,
    /// Control messages; only the coordinator sends.
    pub(super) control: Handle<Epoch, Control>,
    /// Control messages that this worker has not applied yet.
    pub(super) mailbox: Rc<RefCell<VecDeque<Control>>>,
    /// Reports of this worker to the coordinator.
    pub(super) reports_out: Handle<Epoch, WorkerReport>,
    pub(super) reports_in: Rc<RefCell<Vec<WorkerReport>>>,
    /// How this worker's share of the ledger is doing.
    pub(super) figures: Rc<Cell<Figures>>,
    /// On worker 0: why nothing more can be committed.
    pub(super) fault: CommitFault,
    /// On worker 0: a restored row without a meaning.
    pub(super) unreadable: Unreadable,
    /// On worker 0: the newest epoch in which some worker has read something.
    pub(super) opened: Rc<Cell<Epoch>>,
    /// On worker 0: when each epoch was ended.
    pub(super) closings: Closings,
    /// Behind the inputs of all workers: done when no worker reads any more.
    pub(super) reading: ProbeHandle<Epoch>,
    /// Behind the commit batcher: passes an epoch when it is committed.
    pub(super) durable: ProbeHandle<Epoch>,
}

/// Builds the dataflow on this worker. `orders` leads to the committer, on worker 0.
pub(super) fn build(
    worker: &mut Worker,
    (config, tables): (&RunConfig, &Tables),
    orders: Option<tokio::sync::mpsc::Sender<CommitOrder>>,
) -> Flow {
    worker.dataflow_named::<Epoch, _, _>("tweetflow", |scope| {
        let (events_in, events) = scope.new_collection();
        let (retried_in, retried) = scope.new_collection();
        let (replayed_in, replayed) = scope.new_collection();
        let (system_updates_in, system_updates) = scope.new_collection();
        let (dead_letters_in, dead_letters) = scope.new_collection();
        let (overflow_in, overflow) = scope.new_collection();
        let (late_acts_in, late_acts) = scope.new_collection();
        let (progress_in, updates) = scope.new_collection();
        let (rows_in, rows) = scope.new_collection();
        let inputs = FlowInputs {
            events: events_in,
            retried: retried_in,
            system_updates: system_updates_in,
            dead_letters: dead_letters_in,
            dead_letter_overflow: overflow_in,
            late_acts: late_acts_in,
            progress: progress_in,
            restore: Some(RestoreInputs { rows: rows_in, replayed: replayed_in }),
        };

        let (opened, reading) = (Rc::new(Cell::new(0)), ProbeHandle::new());
        let newest = Rc::clone(&opened);
        updates
            .inner
            .clone()
            // An operator before the exchange: what an input sends straight into an exchange stays
            // in the exchange's buffer until the epoch ends, which this notice is to bring about.
            .map(|(_, epoch, _)| epoch)
            .exchange(|_: &Epoch| 0)
            .inspect(move |epoch| newest.set(newest.get().max(*epoch)))
            .probe_with(&reading);

        let unreadable = Unreadable::default();
        let rows = RestoredRows::new(rows, Rc::clone(&unreadable));
        let (topic, restored) = (&config.topic, |table: u8| Rows::new(&rows, table));
        let offsets = kafka_offsets::build(topic, updates, &restored(tables.progress()));
        let dead_letters = dead_letters::build(topic, dead_letters, tables.dead_letters());
        let overflow_rows = restored(tables.dead_letter_overflow());
        let overflow = dead_letter_overflow::build(topic, overflow, &overflow_rows);
        let late_acts = late_acts::build(topic, late_acts, tables.late_acts());
        let figures = Rc::default();
        let ledger = LedgerInputs { replayed: Shared::new(replayed), figures: Rc::clone(&figures) };
        let ledger = config.ledger.span_ms().map(|_| ledger);
        let (events, retried) = (Shared::new(events), Shared::new(retried));
        let sources = Sources { events, retried, rows, system_updates, ledger };
        let functions = (config.flows, decode::fold as dataflows::Fold);
        let own = [offsets, dead_letters, overflow, late_acts];
        let changes = dataflows::build(tables.flows(), functions, sources, own);

        let (closings, fault) = (Closings::default(), CommitFault::default());
        let commits = commit_batcher::BatcherConfig {
            orders,
            closings: Rc::clone(&closings),
            pace: config.pace,
            fault: Rc::clone(&fault),
        };
        let durable = commit_batcher(changes, tables.all(), commits);
        let (control, mailbox) = mailbox(scope);
        let (reports_out, reports) = reports_to_coordinator(scope);
        Flow {
            inputs: Some(inputs),
            control,
            mailbox,
            reports_out,
            reports_in: reports,
            figures,
            fault,
            unreadable,
            opened,
            closings,
            reading,
            durable,
        }
    })
}

/// What is sent into the handle arrives in every worker's mailbox, in order.
fn mailbox(scope: Scope<'_, Epoch>) -> (Handle<Epoch, Control>, Rc<RefCell<VecDeque<Control>>>) {
    let (handle, messages) = scope.new_input();
    let mailbox = Rc::new(RefCell::new(VecDeque::new()));
    let inbox = Rc::clone(&mailbox);
    messages.broadcast().inspect(move |message: &Control| {
        inbox.borrow_mut().push_back(message.clone());
    });
    (handle, mailbox)
}

/// What is sent into the handle arrives at worker 0.
fn reports_to_coordinator(
    scope: Scope<'_, Epoch>,
) -> (Handle<Epoch, WorkerReport>, Rc<RefCell<Vec<WorkerReport>>>) {
    let (handle, reports) = scope.new_input();
    let inbox = Rc::new(RefCell::new(Vec::new()));
    let arrived = Rc::clone(&inbox);
    // An operator before the exchange, as above.
    let reports = reports.map(|report: WorkerReport| report).exchange(|_: &WorkerReport| 0);
    reports.inspect(move |report| arrived.borrow_mut().push(*report));
    (handle, inbox)
}

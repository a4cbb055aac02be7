//! The dataflow of one worker: its inputs, the tables, and what comes back to the loop.
//!
//! Built once, the same on every worker. It owns no state beyond timely's; the loop in `worker`
//! drives it.

use crate::config::RunConfig;
use crate::dead_letters::overflow::{self, Dropped, Room};
use crate::dead_letters::{self, DeadLetter};
use crate::decode;
use crate::progress::{self, Progress};
use crate::sink::gather::{self, Closings, Order, gather};
use crate::source::Assignment;
use dataflows::latest::Latest;
use dataflows::{Epoch, Event, Restored, Rows, Shared};
use differential_dataflow::input::{Input, InputSession};
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use timely::dataflow::operators::vec::{Broadcast, Input as TimelyInput, Map};
use timely::dataflow::operators::{Concat, Exchange, Inspect, Probe};
use timely::dataflow::{ProbeHandle, Scope};
use timely::worker::Worker;

/// What worker 0 tells every worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Control {
    /// From here on, this epoch.
    Epoch(Epoch),
    /// Who reads what from where; worker `partition % workers` takes a partition.
    Assign(Vec<Assignment>),
    /// A dead letter of that partition is gone, and gives back its room.
    Freed(u32, Room),
}

/// The inputs that follow the epoch. One that were forgotten would hold all others back, so they
/// are only ever moved together.
pub(super) struct Inputs {
    pub(super) events: InputSession<Epoch, Event, isize>,
    pub(super) letters: InputSession<Epoch, DeadLetter, isize>,
    pub(super) dropped: InputSession<Epoch, u32, Dropped>,
    pub(super) progress: InputSession<Epoch, u32, Latest<Progress>>,
    pub(super) rows: InputSession<Epoch, Restored, isize>,
}

impl Inputs {
    /// Enters `epoch`; everything before it is complete on this worker.
    pub(super) fn advance_to(&mut self, epoch: Epoch) {
        self.events.advance_to(epoch);
        self.letters.advance_to(epoch);
        self.dropped.advance_to(epoch);
        self.progress.advance_to(epoch);
        self.rows.advance_to(epoch);
        self.flush();
    }

    /// Hands what is buffered to the dataflow.
    pub(super) fn flush(&mut self) {
        self.events.flush();
        self.letters.flush();
        self.dropped.flush();
        self.progress.flush();
        self.rows.flush();
    }
}

/// What the loop holds of the dataflow.
pub(super) struct Flow {
    /// `None` once this worker reads no more.
    pub(super) inputs: Option<Inputs>,
    /// Only worker 0 sends.
    pub(super) control: timely::dataflow::operators::vec::input::Handle<Epoch, Control>,
    /// What worker 0 said and this worker has not yet done.
    pub(super) mailbox: Rc<RefCell<VecDeque<Control>>>,
    /// On worker 0: the newest epoch in which some worker has read something.
    pub(super) opened: Rc<Cell<Epoch>>,
    /// On worker 0: when each epoch was ended.
    pub(super) closings: Closings,
    /// Behind the inputs of all workers: done when nobody reads any more.
    pub(super) reading: ProbeHandle<Epoch>,
    /// Behind the gatherer: passes an epoch when it is committed.
    pub(super) durable: ProbeHandle<Epoch>,
}

/// Builds the dataflow on this worker. `orders` leads to the committer, on worker 0.
pub(super) fn build(
    worker: &mut Worker,
    config: &RunConfig,
    orders: Option<tokio::sync::mpsc::Sender<Order>>,
) -> Flow {
    worker.dataflow_named::<Epoch, _, _>("tweetflow", |scope| {
        let (events_in, events) = scope.new_collection();
        let (letters_in, letters) = scope.new_collection();
        let (dropped_in, dropped) = scope.new_collection();
        let (progress_in, updates) = scope.new_collection();
        let (rows_in, rows) = scope.new_collection();
        let inputs = Inputs {
            events: events_in,
            letters: letters_in,
            dropped: dropped_in,
            progress: progress_in,
            rows: rows_in,
        };

        let opened = Rc::new(Cell::new(0));
        let newest = Rc::clone(&opened);
        let reading = ProbeHandle::new();
        updates
            .inner
            .clone()
            // An operator before the exchange: what an input sends straight into an exchange stays
            // in the exchange's buffer until the epoch ends, which this notice is to bring about.
            .map(|(_, epoch, _)| epoch)
            .exchange(|_: &Epoch| 0)
            .inspect(move |epoch| newest.set(newest.get().max(*epoch)))
            .probe_with(&reading);

        let events = Shared::new(events);
        let rows = Shared::new(rows);
        let tables = &config.tables;
        let restored = Rows::new(&rows, tables.progress());
        let offsets = progress::build(&config.topic, updates, &restored);
        let letters = dead_letters::build(&config.topic, letters);
        let restored = Rows::new(&rows, tables.dropped());
        let dropped = overflow::build(&config.topic, dropped, &restored);
        let functions = (config.flows, decode::fold as dataflows::Fold);
        let changes = dataflows::build(tables.flows(), functions, &events, &rows, None)
            .concat(dataflows::numbered(tables.progress(), offsets))
            .concat(dataflows::numbered(tables.letters(), letters))
            .concat(dataflows::numbered(tables.dropped(), dropped));

        let closings = Closings::default();
        let widths = tables.all().iter().map(|table| table.key).collect();
        let durable = gather(
            changes,
            widths,
            gather::Commits { orders, closings: Rc::clone(&closings), pace: config.pace },
        );
        let (control, mailbox) = mailbox(scope);
        let inputs = Some(inputs);
        Flow { inputs, control, mailbox, opened, closings, reading, durable }
    })
}

/// What is sent into the handle arrives in every worker's mailbox, in order.
#[allow(clippy::type_complexity, reason = "two halves of one thing, taken apart at once")]
fn mailbox(
    scope: Scope<'_, Epoch>,
) -> (timely::dataflow::operators::vec::input::Handle<Epoch, Control>, Rc<RefCell<VecDeque<Control>>>)
{
    let (handle, messages) = scope.new_input();
    let mailbox = Rc::new(RefCell::new(VecDeque::new()));
    let inbox = Rc::clone(&mailbox);
    messages.broadcast().inspect(move |message: &Control| {
        inbox.borrow_mut().push_back(message.clone());
    });
    (handle, mailbox)
}

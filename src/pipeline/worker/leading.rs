//! What worker 0 does for all workers: it restores, ends epochs, raises the floor, and hands on what
//! is found meanwhile.

use super::{NAP, Reader};
use crate::pipeline::flow::Control;
use crate::pipeline::ledger::{Keeper, Tiding};
use crate::pipeline::{Lead, News, Plan};
use dataflows::Epoch;
use dataflows::operators::latest::Latest;
use dataflows::tables::floors::Name;
use sink::SinkError;
use source::{SourceError, Topic};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};
use timely::worker::Worker;
use types::{Restored, table};

/// What worker 0 does for all, once the rows are restored.
pub(super) struct Leading {
    plan: Plan,
    /// How many workers have not read again all that they had to.
    replaying: usize,
    /// Where there is a ledger.
    pub(super) keeper: Option<Keeper>,
}

impl<T: Topic> Reader<'_, T> {
    /// On worker 0: every worker learns what to read again, and the rows enter; all at epoch 0.
    pub(super) fn restore(&mut self, timely: &mut Worker, lead: &Lead) {
        let Some(plan) = self.wait_for_plan(timely, lead) else { return };
        // At once: the others read again while the rows come in.
        self.say(Control::Replay(plan.assignments.clone(), plan.letters.clone()));
        loop {
            self.speak();
            let inputs = self.flow.inputs.as_mut();
            let Some(before) = inputs.and_then(|inputs| inputs.before.as_mut()) else { return };
            match lead.rows.recv_timeout(NAP) {
                Ok(Some(batch)) => {
                    for row in batch {
                        before.rows.update(row, 1);
                    }
                    before.rows.flush();
                }
                Ok(None) => break,
                Err(RecvTimeoutError::Timeout) => {}
                // The committer has ended early and says why; half a state is of no use.
                Err(RecvTimeoutError::Disconnected) => {
                    self.shared.ended.store(true, Ordering::Relaxed);
                    return;
                }
            }
            timely.step();
        }
        let floor = plan.ledger.floor;
        let span_ms = self.shared.config.ledger.span_ms();
        let keeper = floor.zip(span_ms).map(|(floor, span_ms)| Keeper::new(span_ms, floor));
        let (_, replaying) = self.place;
        self.lead = Some(Leading { plan, replaying, keeper });
    }

    /// On worker 0: an error where a stored row, or what follows from the stored rows, cannot be.
    pub(super) fn check_rows(&self) -> Result<(), SinkError> {
        if let Some(Restored { table, row }) = self.flow.unreadable.take() {
            let table = &self.shared.config.tables.all()[usize::from(table)];
            return Err(SinkError::Unreadable { row: table::whole(table, &row) });
        }
        self.flow.fault.take().map_or(Ok(()), Err)
    }

    /// On worker 0: every worker learns what to read, at epoch 1.
    fn begin(&mut self) {
        self.announce(1);
        let Some(Leading { plan, keeper, .. }) = &mut self.lead else { return };
        if let Some(inputs) = &mut self.flow.inputs {
            inputs.advance_to(1);
            for (name, newest) in &plan.ledger.said {
                inputs.said.update(*name, Latest(*newest));
            }
            inputs.flush();
        }
        let assignments = std::mem::take(&mut plan.assignments);
        if let Some(keeper) = keeper {
            keeper.expect(&assignments);
        }
        if let Some(floor) = plan.ledger.floor {
            self.say(Control::Floor(floor));
        }
        self.say(Control::Assign(assignments));
    }

    fn say(&mut self, control: Control) {
        self.flow.control.send(control);
        self.flow.control.flush();
    }

    /// On worker 0: waits until the offsets are read; `None` when they never will be.
    fn wait_for_plan(&mut self, timely: &mut Worker, lead: &Lead) -> Option<Plan> {
        loop {
            self.speak();
            match lead.begun.try_recv() {
                Ok(begun) => return Some(begun),
                Err(TryRecvError::Empty) if !self.shared.is_failed() => {
                    timely.step_or_park(Some(NAP));
                }
                Err(_) => {
                    self.shared.ended.store(true, Ordering::Relaxed);
                    return None;
                }
            }
        }
    }

    /// On worker 0: every worker learns of partitions that were added to the topic, and of records that
    /// are to be tried again.
    pub(super) fn hear(&mut self) -> Result<(), SourceError> {
        // What is found while the ledger remembers waits.
        if self.clock.is_none() {
            return Ok(());
        }
        let news: Vec<_> = self.lead.iter().flat_map(|lead| lead.plan.news.try_iter()).collect();
        for news in news {
            match news {
                News::Partitions(found) => {
                    if let Some(keeper) = self.lead.as_mut().and_then(|lead| lead.keeper.as_mut()) {
                        keeper.expect(&found);
                    }
                    self.say(Control::Assign(found));
                }
                News::Retry(letter, record) => self.say(Control::Retry(letter, record)),
                News::Changed(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// On worker 0: hears how far the workers are, and raises the floor.
    pub(super) fn keep(&mut self) {
        let tidings = self.flow.tidings.take();
        let Some(Leading { replaying, keeper, .. }) = &mut self.lead else { return };
        for tiding in tidings {
            match (tiding, &mut *keeper) {
                (Tiding::Replayed, _) => *replaying -= 1,
                (tiding, Some(keeper)) => keeper.hear(tiding),
                (_, None) => {}
            }
        }
        let floor = keeper.as_mut().and_then(Keeper::rise);
        let monitor = &self.shared.monitor;
        let waiting = keeper.as_mut().and_then(|keeper| keeper.waiting(monitor));
        if *replaying == 0 && self.clock.is_none() {
            return self.begin();
        }
        if let (Some(floor), Some(inputs)) = (floor, &mut self.flow.inputs) {
            inputs.said.update(Name::Ledger, Latest(floor));
            inputs.flush();
            self.flow.opened.set(self.flow.opened.get().max(self.epoch));
            self.say(Control::Floor(floor));
        }
        if let Some(waiting) = waiting {
            self.say(Control::Wait(waiting));
        }
    }

    /// On worker 0: ends the current epoch for all workers.
    fn announce(&mut self, epoch: Epoch) {
        let closing = self.as_of.close(epoch - 1);
        self.flow.closings.borrow_mut().push_back(closing);
        self.flow.control.send(Control::Epoch(epoch));
        self.flow.control.advance_to(epoch);
        self.flow.control.flush();
        self.clock = Some((epoch, Instant::now()));
    }

    /// On worker 0: ends the epoch when something is open and its length is over, or when nothing
    /// has happened for a heartbeat.
    pub(super) fn tick(&mut self) {
        let Some((epoch, since)) = self.clock else { return };
        let is_open = self.flow.opened.get() >= epoch;
        let due = if is_open { self.epoch_length() } else { self.shared.config.pace.heartbeat };
        if since.elapsed() >= due {
            self.backlog.ended(if is_open { due } else { Duration::ZERO });
            self.announce(epoch + 1);
        }
    }
}

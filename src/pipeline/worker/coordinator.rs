//! The coordinator, worker 0: restores the rows, ends epochs, raises the floor, and forwards what
//! the watcher finds.

use super::as_of::AsOf;
use super::{MAX_PARK, WorkerLoop};
use crate::pipeline::flow::Control;
use crate::pipeline::ledger::{FloorController, WorkerReport};
use crate::pipeline::{CoordinatorChannels, ReadPlan, TopicNews};
use dataflows::Epoch;
use dataflows::operators::latest::Latest;
use dataflows::tables::floors::FloorName;
use sink::SinkError;
use source::SourceError;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};
use timely::worker::Worker;
use types::{Restored, table};

/// What worker 0 does for all, once the rows are restored.
pub(super) struct Coordinator {
    plan: ReadPlan,
    /// How many workers have not read again all that they had to.
    replaying: usize,
    /// Where there is a ledger.
    pub(super) floor: Option<FloorController>,
    /// Once reading has begun.
    pub(super) epoch_clock: Option<EpochClock>,
    pub(super) as_of: AsOf,
}

/// The newest epoch announced, and when.
#[derive(Clone, Copy)]
pub(super) struct EpochClock {
    pub(super) epoch: Epoch,
    pub(super) since: Instant,
}

impl WorkerLoop<'_> {
    /// On worker 0: every worker learns what to read again, and the rows enter; all at epoch 0.
    pub(super) fn restore(&mut self, timely: &mut Worker, channels: &CoordinatorChannels) {
        let Some(plan) = self.wait_for_plan(timely, channels) else { return };
        // At once: the others read again while the rows come in.
        self.broadcast(Control::Replay(plan.assignments.clone(), plan.dead_letters.clone()));
        loop {
            self.send_heartbeat();
            let inputs = self.flow.inputs.as_mut();
            let Some(before) = inputs.and_then(|inputs| inputs.restore.as_mut()) else { return };
            match channels.rows.recv_timeout(MAX_PARK) {
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
        let controller =
            floor.zip(span_ms).map(|(floor, span_ms)| FloorController::new(span_ms, floor));
        self.coordinator = Some(Coordinator {
            plan,
            replaying: self.worker.count,
            floor: controller,
            epoch_clock: None,
            as_of: AsOf::default(),
        });
    }

    /// On worker 0: an error where a stored row, or what follows from the stored rows, cannot be.
    pub(super) fn check_rows(&self) -> Result<(), SinkError> {
        if let Some(Restored { table, row }) = self.flow.unreadable.take() {
            let table = &self.shared.tables.all()[usize::from(table)];
            return Err(SinkError::Unreadable { row: table::whole(table, &row) });
        }
        self.flow.fault.take().map_or(Ok(()), Err)
    }

    /// On worker 0: every worker learns what to read, at epoch 1.
    fn begin(&mut self) {
        // It holds in the first epoch; what is stored there holds behind it.
        let stored = self.coordinator.as_ref().and_then(|it| it.plan.ledger.stored_floor);
        if let Some(floor) = stored {
            self.broadcast(Control::Floor(floor));
        }
        self.advance_epoch(1);
        let Some(Coordinator { plan, floor: controller, .. }) = &mut self.coordinator else {
            return;
        };
        if let Some(inputs) = &mut self.flow.inputs {
            inputs.advance_to(1);
            for (name, newest) in &plan.ledger.system_updates {
                inputs.system_updates.update(*name, Latest(*newest));
            }
            for row in std::mem::take(&mut plan.changes) {
                inputs.late_acts.update(row, 1);
            }
            inputs.flush();
        }
        let assignments = std::mem::take(&mut plan.assignments);
        if let Some(controller) = controller {
            controller.expect(&assignments);
        }
        if let Some(floor) = plan.ledger.floor {
            self.broadcast(Control::Floor(floor));
        }
        self.broadcast(Control::Assign(assignments));
    }

    fn broadcast(&mut self, control: Control) {
        self.flow.control.send(control);
        self.flow.control.flush();
    }

    /// On worker 0: waits until the offsets are read; `None` when they never will be.
    fn wait_for_plan(
        &mut self,
        timely: &mut Worker,
        channels: &CoordinatorChannels,
    ) -> Option<ReadPlan> {
        loop {
            self.send_heartbeat();
            match channels.plan.try_recv() {
                Ok(begun) => return Some(begun),
                Err(TryRecvError::Empty) if !self.shared.is_failed() => {
                    timely.step_or_park(Some(MAX_PARK));
                }
                Err(_) => {
                    self.shared.ended.store(true, Ordering::Relaxed);
                    return None;
                }
            }
        }
    }

    /// On worker 0: every worker learns of partitions that were added to the topic, and of records
    /// that are to be tried again.
    pub(super) fn forward_news(&mut self) -> Result<(), SourceError> {
        // What is found while the ledger remembers waits.
        if self.epoch_clock().is_none() {
            return Ok(());
        }
        let arrived: Vec<_> = self
            .coordinator
            .iter()
            .flat_map(|coordinator| coordinator.plan.news.try_iter())
            .collect();
        for news in arrived {
            match news {
                TopicNews::Partitions(found) => {
                    if let Some(controller) =
                        self.coordinator.as_mut().and_then(|coordinator| coordinator.floor.as_mut())
                    {
                        controller.expect(&found);
                    }
                    self.broadcast(Control::Assign(found));
                }
                TopicNews::Retry(letter, record) => self.broadcast(Control::Retry(letter, record)),
                TopicNews::Changed(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// On worker 0: hears how far the workers are, and raises the floor.
    pub(super) fn raise_floor(&mut self) {
        let reports = self.flow.reports_in.take();
        let Some(Coordinator { replaying, floor: controller, epoch_clock, .. }) =
            &mut self.coordinator
        else {
            return;
        };
        for report in reports {
            match (report, &mut *controller) {
                (WorkerReport::Replayed, _) => *replaying -= 1,
                (report, Some(controller)) => controller.apply_report(report),
                (_, None) => {}
            }
        }
        let floor = controller.as_mut().and_then(FloorController::raise);
        let monitor = &self.shared.monitor;
        let paused = controller.as_mut().and_then(|controller| controller.newly_paused(monitor));
        if *replaying == 0 && epoch_clock.is_none() {
            return self.begin();
        }
        let announced = *epoch_clock;
        if let (Some(floor), Some(inputs), Some(EpochClock { epoch, .. })) =
            (floor, &mut self.flow.inputs, announced)
        {
            // At the epoch that was sent last: a worker that is told in a later one knows it before
            // it reads in that.
            inputs.system_updates.update_at(FloorName::Ledger, epoch, Latest(floor));
            inputs.flush();
            self.flow.opened.set(self.flow.opened.get().max(epoch));
            self.broadcast(Control::Floor(floor));
        }
        if let Some(paused) = paused {
            self.broadcast(Control::Pause(paused));
        }
    }

    /// On worker 0, once reading has begun.
    pub(super) fn epoch_clock(&self) -> Option<EpochClock> {
        self.coordinator.as_ref()?.epoch_clock
    }

    /// On worker 0: ends the current epoch for all workers.
    fn advance_epoch(&mut self, epoch: Epoch) {
        let Some(coordinator) = &mut self.coordinator else { return };
        coordinator.epoch_clock = Some(EpochClock { epoch, since: Instant::now() });
        let closing = coordinator.as_of.close(epoch - 1);
        self.flow.closings.borrow_mut().push_back(closing);
        self.flow.control.send(Control::Epoch(epoch));
        self.flow.control.advance_to(epoch);
        self.flow.control.flush();
    }

    /// On worker 0: ends the epoch when something is open and its length is over, or when nothing
    /// has happened for a heartbeat.
    pub(super) fn end_epoch_if_due(&mut self) {
        let Some(EpochClock { epoch, since }) = self.epoch_clock() else { return };
        let is_open = self.flow.opened.get() >= epoch;
        let config = &self.shared.config;
        let due =
            if is_open { self.pacing.epoch_length(config.epoch) } else { config.pace.heartbeat };
        if since.elapsed() >= due {
            self.pacing.backlog.ended(if is_open { due } else { Duration::ZERO });
            self.advance_epoch(epoch + 1);
        }
    }
}

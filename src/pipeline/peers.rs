//! Heartbeats between the processes of a cluster, sent through the dataflow itself.
//!
//! The first worker of each process sends a heartbeat every second, and a message at once when its
//! process ends or has failed. Every process receives them, so one signal stops all processes and a
//! fault in one ends all. A process that is stopped, cut off or stuck misses heartbeats, because
//! they take the path of the records through running workers. A single process sends none.
//!
//! Invariant: a process other than 0 has done its work only after process 0 reported that all of it
//! is committed.

use super::RunContext;
use crate::pipeline::error::RunError;
use monitor::{Monitor, ProcessReport};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use timely::dataflow::InputHandleVec;
use timely::dataflow::operators::Inspect;
use timely::dataflow::operators::vec::{Broadcast, Input};
use timely::worker::Worker;
use types::fault::one_line;
use types::settings::Cluster;

/// Time between two heartbeats.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// A process without a heartbeat for this long counts as gone.
const PEER_TIMEOUT: Duration = Duration::from_secs(10);
/// The same while rows are restored: a worker sorts all of a large table in one turn.
const RESTORE_PEER_TIMEOUT: Duration = Duration::from_mins(1);

/// A message and the process that sent it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct PeerMessage(usize, PeerSignal);

#[derive(Clone, Debug, Serialize, Deserialize)]
enum PeerSignal {
    /// I am here, and this is what I have done.
    Heartbeat(ProcessReport),
    /// I stop reading; all processes stop.
    Ending,
    /// I have failed.
    Fault(String),
    /// By process 0: everything that was read is committed.
    Committed,
}

/// What a process has heard of all others.
pub(super) struct Peers {
    cluster: Cluster,
    monitor: Arc<Monitor>,
    began: Instant,
    /// Milliseconds from `began` to the last message of each process.
    heard: Vec<AtomicU64>,
    is_running: AtomicBool,
    is_ending: AtomicBool,
    is_committed: AtomicBool,
    fault: Mutex<Option<RunError>>,
}

impl Peers {
    pub(super) fn new(cluster: &Cluster, monitor: &Arc<Monitor>) -> Self {
        Peers {
            cluster: cluster.clone(),
            monitor: Arc::clone(monitor),
            began: Instant::now(),
            heard: (0..cluster.processes()).map(|_| AtomicU64::default()).collect(),
            is_running: AtomicBool::default(),
            is_ending: AtomicBool::default(),
            is_committed: AtomicBool::default(),
            fault: Mutex::default(),
        }
    }

    /// The rows are restored: from now on silence is short.
    pub(super) fn running(&self) {
        self.is_running.store(true, Ordering::Relaxed);
    }

    /// Whether some process reads no more.
    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn receive(&self, PeerMessage(from, signal): &PeerMessage) {
        if let Some(heard) = self.heard.get(*from) {
            heard.store(self.now(), Ordering::Relaxed);
        }
        match signal {
            PeerSignal::Heartbeat(report) => self.monitor.peer_reported(*from, report),
            PeerSignal::Ending => self.is_ending.store(true, Ordering::Relaxed),
            PeerSignal::Committed => self.is_committed.store(true, Ordering::Relaxed),
            PeerSignal::Fault(text) => {
                if *from != self.cluster.process {
                    let (who, text) = (self.cluster.name(*from), text.clone());
                    let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
                    fault.get_or_insert(RunError::Peer { who, text });
                }
                self.is_ending.store(true, Ordering::Relaxed);
            }
        }
    }

    /// The processes whose last heartbeat is too old.
    pub(super) fn silent(&self) -> Option<RunError> {
        let bound = if self.is_running.load(Ordering::Relaxed) {
            PEER_TIMEOUT
        } else {
            RESTORE_PEER_TIMEOUT
        };
        let now = self.now();
        let since = |heard: &AtomicU64| now.saturating_sub(heard.load(Ordering::Relaxed));
        let silent = self.heard.iter().enumerate().filter(|(index, heard)| {
            *index != self.cluster.process && u128::from(since(heard)) > bound.as_millis()
        });
        let names: Vec<_> = silent.map(|(index, _)| self.cluster.name(index)).collect();
        let who = names.join(" and ");
        (!names.is_empty()).then(|| RunError::PeerTimeout { who, seconds: bound.as_secs() })
    }

    /// After the end: what went wrong at another process.
    pub(super) fn fault(&self) -> Option<RunError> {
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner).take();
        let is_committed = self.is_committed.load(Ordering::Relaxed);
        fault.or_else(|| {
            let who = self.cluster.name(0);
            let text = "it did not report that everything is committed".to_owned();
            (!is_committed && self.cluster.process != 0).then_some(RunError::Peer { who, text })
        })
    }
}

/// Sends the messages of a process, from its first worker.
pub(super) struct HeartbeatSender {
    input: InputHandleVec<u64, PeerMessage>,
    process: usize,
    last: Option<Instant>,
    /// Whether the end, or the fault, was reported.
    has_reported_end: bool,
}

impl HeartbeatSender {
    /// Builds the broadcast on every worker; returns a sender on the first one of each process.
    pub(super) fn build(worker: &mut Worker, peers: &Arc<Peers>, workers: usize) -> Option<Self> {
        let index = worker.index();
        let peers = Arc::clone(peers);
        let input = worker.dataflow_named::<u64, _, _>("peers", |scope| {
            let (input, messages) = scope.new_input();
            messages.broadcast().inspect(move |message: &PeerMessage| peers.receive(message));
            input
        });
        let sender = HeartbeatSender {
            input,
            process: index / workers,
            last: None,
            has_reported_end: false,
        };
        index.is_multiple_of(workers).then_some(sender)
    }

    fn send(&mut self, signal: PeerSignal) {
        self.input.send(PeerMessage(self.process, signal));
        self.input.flush();
        self.last = Some(Instant::now());
    }

    /// Sends the end or the fault once, else a heartbeat if one is due.
    pub(super) fn send_due(&mut self, shared: &RunContext) {
        if !self.has_reported_end && shared.is_ending() {
            self.has_reported_end = true;
            let signal = match &*shared.fault.lock().unwrap_or_else(PoisonError::into_inner) {
                Some(error) => PeerSignal::Fault(one_line(error)),
                None => PeerSignal::Ending,
            };
            self.send(signal);
        } else if self.last.is_none_or(|last| last.elapsed() >= HEARTBEAT_INTERVAL) {
            self.send(PeerSignal::Heartbeat(shared.monitor.report()));
        }
    }

    /// Sends the last message: everything that will ever be committed is committed.
    pub(super) fn end(mut self, shared: &RunContext) {
        if self.process != 0 {
            return;
        }
        if shared.is_closed.load(Ordering::Relaxed) {
            self.send(PeerSignal::Fault("it cannot commit; it says why itself".to_owned()));
        } else {
            self.send(PeerSignal::Committed);
        }
    }
}

//! What the processes of a cluster tell each other while they run, through the dataflow itself.
//!
//! The first worker of each process says each second that it is there, and at once when its process
//! ends or has failed; every process hears it. So one signal stops all of them, a fault anywhere is
//! everybody's, and a process that is stopped, cut off or stuck is noticed by its silence: a word
//! goes the way of the records, through workers that turn. Nobody speaks when there is one process.
//!
//! Invariant: a process other than 0 has done its work only if process 0 has said that all of it is
//! committed.

use super::Shared;
use crate::pipeline::error::RunError;
use mesh::Cluster;
use monitor::{Monitor, Report};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use timely::dataflow::InputHandleVec;
use timely::dataflow::operators::Inspect;
use timely::dataflow::operators::vec::{Broadcast, Input};
use timely::worker::Worker;
use types::fault::one_line;

/// From one word to the next.
const BEAT: Duration = Duration::from_secs(1);
/// After so long without a word a process counts as gone.
const SILENCE: Duration = Duration::from_secs(10);
/// The same while rows are restored: a worker sorts all of a large table in one turn.
const LONG_SILENCE: Duration = Duration::from_mins(1);

/// What is said, and by which process.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Said(usize, Word);

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Word {
    /// I am here, and this is what I have done.
    Here(Report),
    /// I read no more; nobody is to read on.
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
    /// Milliseconds from `began` to the last word of each process.
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

    fn hear(&self, Said(from, word): &Said) {
        if let Some(heard) = self.heard.get(*from) {
            heard.store(self.now(), Ordering::Relaxed);
        }
        match word {
            Word::Here(report) => self.monitor.heard(*from, report),
            Word::Ending => self.is_ending.store(true, Ordering::Relaxed),
            Word::Committed => self.is_committed.store(true, Ordering::Relaxed),
            Word::Fault(text) => {
                if *from != self.cluster.process {
                    let (who, text) = (self.cluster.name(*from), text.clone());
                    let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
                    fault.get_or_insert(RunError::Peer { who, text });
                }
                self.is_ending.store(true, Ordering::Relaxed);
            }
        }
    }

    /// The process that has said nothing for too long.
    pub(super) fn silent(&self) -> Option<RunError> {
        let bound = if self.is_running.load(Ordering::Relaxed) { SILENCE } else { LONG_SILENCE };
        let now = self.now();
        let since = |heard: &AtomicU64| now.saturating_sub(heard.load(Ordering::Relaxed));
        let silent = self.heard.iter().enumerate().filter(|(index, heard)| {
            *index != self.cluster.process && u128::from(since(heard)) > bound.as_millis()
        });
        let names: Vec<_> = silent.map(|(index, _)| self.cluster.name(index)).collect();
        let who = names.join(" and ");
        (!names.is_empty()).then(|| RunError::Silent { who, seconds: bound.as_secs() })
    }

    /// After the end: what went wrong at another process.
    pub(super) fn fault(&self) -> Option<RunError> {
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner).take();
        let is_committed = self.is_committed.load(Ordering::Relaxed);
        fault.or_else(|| {
            let who = self.cluster.name(0);
            let text = "it did not say that everything is committed".to_owned();
            (!is_committed && self.cluster.process != 0).then_some(RunError::Peer { who, text })
        })
    }
}

/// The first worker of a process speaks for it.
pub(super) struct Voice {
    input: InputHandleVec<u64, Said>,
    process: usize,
    last: Option<Instant>,
    /// Whether the end, or the fault, was said.
    told: bool,
}

impl Voice {
    /// Builds the way of the words, on every worker; a voice on the first of each process.
    pub(super) fn build(worker: &mut Worker, peers: &Arc<Peers>, workers: usize) -> Option<Self> {
        let index = worker.index();
        let peers = Arc::clone(peers);
        let input = worker.dataflow_named::<u64, _, _>("peers", |scope| {
            let (input, words) = scope.new_input();
            words.broadcast().inspect(move |said: &Said| peers.hear(said));
            input
        });
        let voice = Voice { input, process: index / workers, last: None, told: false };
        index.is_multiple_of(workers).then_some(voice)
    }

    fn say(&mut self, word: Word) {
        self.input.send(Said(self.process, word));
        self.input.flush();
        self.last = Some(Instant::now());
    }

    /// Says what there is to say, if anything.
    pub(super) fn speak<T>(&mut self, shared: &Shared<T>) {
        if !self.told && shared.is_ending() {
            self.told = true;
            let word = match &*shared.fault.lock().unwrap_or_else(PoisonError::into_inner) {
                Some(error) => Word::Fault(one_line(error)),
                None => Word::Ending,
            };
            self.say(word);
        } else if self.last.is_none_or(|last| last.elapsed() >= BEAT) {
            self.say(Word::Here(shared.monitor.report()));
        }
    }

    /// The last word: everything that will ever be committed is.
    pub(super) fn end<T>(mut self, shared: &Shared<T>) {
        if self.process != 0 {
            return;
        }
        if shared.is_closed.load(Ordering::Relaxed) {
            self.say(Word::Fault("it cannot commit; it says why itself".to_owned()));
        } else {
            self.say(Word::Committed);
        }
    }
}

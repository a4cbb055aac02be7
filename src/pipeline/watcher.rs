//! One thread of process 0 that keeps an eye on the topic while the workers read.
//!
//! It finds partitions that were added, reads dead letters' records that are to be tried again,
//! notices that the topic was recreated, and tells the topic's own tools how far the tables are.
//! What it finds is handed to worker 0; where to read on stands in the tables alone. A fault of its
//! own ends no run, and its tasks are independent: the right to publish may be missing. A topic
//! that was replaced ends the run.

use super::TopicNews;
use monitor::Monitor;
use source::{SourceError, Watch};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use types::dead_letter::DeadLetter;
use types::fault::one_line;
use types::offsets::PartitionOffsets;

/// How often the offsets are published.
const PUBLISHING: Duration = Duration::from_secs(1);
/// How long the answer to that is waited for, and at the end.
const WAIT: Duration = Duration::from_millis(200);
const LAST_WAIT: Duration = Duration::from_secs(10);

/// How far each partition is committed; shared with the committer.
#[derive(Clone, Debug, Default)]
pub(super) struct Committed(Arc<Mutex<BTreeMap<u32, PartitionOffsets>>>);

impl Committed {
    /// Notes what a commit, or the restored tables, say.
    pub(super) fn note(&self, offsets: impl Iterator<Item = PartitionOffsets>) {
        let offsets = offsets.map(|stored| (stored.partition, stored));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(offsets);
    }

    fn all(&self) -> BTreeMap<u32, PartitionOffsets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The running watcher.
pub(super) struct Watcher {
    thread: JoinHandle<()>,
    /// Dropped to end the thread.
    ending: Sender<()>,
}

impl Watcher {
    /// Starts the thread. `known` partitions are assigned already; what is found goes to `news`.
    pub(super) fn start(
        watch: Box<dyn Watch>,
        known: Vec<u32>,
        committed: Committed,
        (requests, news): (Receiver<DeadLetter>, Sender<TopicNews>),
        monitor: Arc<Monitor>,
    ) -> std::io::Result<Self> {
        let (ending, end) = std::sync::mpsc::channel();
        let watching = Watching {
            watch,
            known,
            committed,
            requests,
            pending: Vec::new(),
            news,
            monitor,
            published: BTreeMap::new(),
            compared: BTreeMap::new(),
            steps: WatcherTasks::default(),
        };
        let thread = std::thread::Builder::new()
            .name("watcher".to_owned())
            .spawn(move || watching.run(&end))?;
        Ok(Watcher { thread, ending })
    }

    /// Publishes the last offsets, if the topic answers, and ends.
    pub(super) fn end(self) {
        drop(self.ending);
        // A panic has ended the process already.
        let _ = self.thread.join();
    }
}

/// A periodic task of the watcher. It does not depend on the others, and the log says when it
/// begins to fail and when it works again.
#[derive(Debug)]
struct WatcherTask {
    doing: &'static str,
    failing_since: Option<Instant>,
}

impl WatcherTask {
    const fn new(doing: &'static str) -> Self {
        WatcherTask { doing, failing_since: None }
    }

    /// Notes how an attempt went; says whether it went well.
    fn note(&mut self, result: &Result<(), SourceError>) -> bool {
        let doing = self.doing;
        match (result, self.failing_since) {
            (Err(error), None) => {
                self.failing_since = Some(Instant::now());
                tracing::warn!(error = one_line(error), "{doing} failed, trying again");
            }
            (Ok(()), Some(since)) => {
                self.failing_since = None;
                tracing::info!("{doing} works again, after {} s", since.elapsed().as_secs());
            }
            _ => {}
        }
        result.is_ok()
    }
}

/// All that the watcher does.
struct WatcherTasks {
    publish: WatcherTask,
    ends: WatcherTask,
    look_up: WatcherTask,
    discover: WatcherTask,
    compare: WatcherTask,
}

impl Default for WatcherTasks {
    fn default() -> Self {
        WatcherTasks {
            publish: WatcherTask::new("publishing the offsets for Kafka's own tools"),
            ends: WatcherTask::new("looking where the topic ends"),
            look_up: WatcherTask::new("reading the records of dead letters again"),
            discover: WatcherTask::new("looking for partitions that were added"),
            compare: WatcherTask::new("looking whether the topic was recreated"),
        }
    }
}

struct Watching {
    watch: Box<dyn Watch>,
    known: Vec<u32>,
    committed: Committed,
    /// Dead letters to try again.
    requests: Receiver<DeadLetter>,
    /// Those that the topic has not answered yet.
    pending: Vec<DeadLetter>,
    news: Sender<TopicNews>,
    monitor: Arc<Monitor>,
    published: BTreeMap<u32, u64>,
    compared: BTreeMap<u32, PartitionOffsets>,
    steps: WatcherTasks,
}

impl Watching {
    fn run(mut self, end: &Receiver<()>) {
        let mut discovered_at = Instant::now();
        // Whether there is much to read is good to know soon.
        self.try_ends();
        loop {
            if end.recv_timeout(PUBLISHING) != Err(RecvTimeoutError::Timeout) {
                // At the end a broker that does not answer is not waited for again.
                if self.steps.publish.failing_since.is_none() {
                    self.try_publish(LAST_WAIT);
                }
                return;
            }
            self.try_publish(WAIT);
            self.try_ends();
            let read = self.look_up();
            self.steps.look_up.note(&read);
            if discovered_at.elapsed() < self.watch.interval() {
                continue;
            }
            discovered_at = Instant::now();
            let discovered = self.discover();
            // A file that was renamed must not be read under its new name.
            if let Err(error) = &discovered
                && error.is_changed()
            {
                let _ = discovered.map_err(|changed| self.news.send(TopicNews::Changed(changed)));
                return;
            }
            self.steps.discover.note(&discovered);
            let compared = self.compare();
            if let Err(error) = &compared
                && error.is_changed()
            {
                let _ = compared.map_err(|changed| self.news.send(TopicNews::Changed(changed)));
                return;
            }
            self.steps.compare.note(&compared);
        }
    }

    /// Tells the topic's own tools how far the tables are, and waits for the answer no longer than
    /// `wait`.
    fn try_publish(&mut self, wait: Duration) {
        let committed = self.committed.all().into_iter();
        let committed = committed.map(|(partition, stored)| (partition, stored.next)).collect();
        if committed == self.published {
            return;
        }
        let result = match self.watch.publish(&committed, wait) {
            Ok(false) => return,
            Ok(true) => Ok(()),
            Err(error) => Err(error),
        };
        if self.steps.publish.note(&result) {
            self.published = committed;
        }
    }

    /// Tells the monitor how much is left, or that the topic does not say.
    fn try_ends(&mut self) {
        if !self.monitor.is_watched() {
            return;
        }
        let result = self.watch.ends(&self.known);
        let (ends, result) = match result {
            Ok(ends) => (Some(ends), Ok(())),
            Err(error) => (None, Err(error)),
        };
        self.monitor.ends(ends);
        self.steps.ends.note(&result);
    }

    /// Looks whether the partitions that were read on still are the same.
    fn compare(&mut self) -> Result<(), SourceError> {
        for (partition, stored) in self.committed.all() {
            if self.compared.get(&partition) != Some(&stored) {
                self.watch.compare(&stored)?;
                self.compared.insert(partition, stored);
            }
        }
        Ok(())
    }

    fn discover(&mut self) -> Result<(), SourceError> {
        let found = self.watch.added(&self.known)?;
        if found.is_empty() {
            return Ok(());
        }
        let partitions: Vec<_> = found.iter().map(|found| found.partition).collect();
        if found.iter().all(|found| found.file.is_empty()) {
            tracing::info!(?partitions, "partitions were added to the topic, reading them");
        } else {
            let files: Vec<_> = found.iter().take(5).map(|found| found.file.as_str()).collect();
            tracing::info!(?files, new = found.len(), "new files are read");
        }
        self.known.extend(partitions);
        // While the run ends there is no receiver.
        let _ = self.news.send(TopicNews::Partitions(found));
        Ok(())
    }

    /// Reads the records that are to be tried again.
    fn look_up(&mut self) -> Result<(), SourceError> {
        self.pending.extend(self.requests.try_iter());
        while let Some(next) = self.pending.last() {
            let found = self.watch.record(next.partition, next.offset)?;
            let letter = self.pending.pop().expect("it is there");
            let _ = self.news.send(TopicNews::Retry(letter, found));
        }
        Ok(())
    }
}

//! One thread of process 0 that keeps an eye on the topic while the workers read.
//!
//! It finds partitions that were added, reads dead letters' records that are to be tried again,
//! notices that the topic was made anew, and tells the topic's own tools how far the tables are.
//! What it finds is handed to worker 0; where to read on stands in the tables alone. A fault of its
//! own ends no run: it says what is wrong and tries again. A topic that is another one does.

use super::News;
use crate::dead_letters::DeadLetter;
use crate::error::one_line;
use crate::monitor::Monitor;
use crate::progress::Stored;
use crate::source::{SourceError, Watch};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the topic is looked at: partitions that were added are to be read within 30 s, and a
/// topic that was made anew is to be noticed while the anchors still are the old one's.
const DISCOVERY: Duration = Duration::from_secs(10);
/// How often the offsets are published.
const PUBLISHING: Duration = Duration::from_secs(1);

/// How far each partition is committed; shared with the committer.
#[derive(Clone, Debug, Default)]
pub(super) struct Committed(Arc<Mutex<BTreeMap<u32, Stored>>>);

impl Committed {
    /// Notes what a commit, or the restored tables, say.
    pub(super) fn note(&self, offsets: impl Iterator<Item = Stored>) {
        let offsets = offsets.map(|stored| (stored.partition, stored));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(offsets);
    }

    fn all(&self) -> BTreeMap<u32, Stored> {
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
    pub(super) fn start<W: Watch>(
        watch: W,
        known: Vec<u32>,
        committed: Committed,
        (requests, news): (Receiver<DeadLetter>, Sender<News>),
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

struct Watching<W> {
    watch: W,
    known: Vec<u32>,
    committed: Committed,
    /// Dead letters to try again.
    requests: Receiver<DeadLetter>,
    /// Those that the topic has not answered yet.
    pending: Vec<DeadLetter>,
    news: Sender<News>,
    monitor: Arc<Monitor>,
    published: BTreeMap<u32, u64>,
    compared: BTreeMap<u32, Stored>,
}

impl<W: Watch> Watching<W> {
    fn run(mut self, end: &Receiver<()>) {
        let mut looked = Instant::now();
        let mut answers = true;
        // Whether there is much to read is good to know soon. A topic that does not answer is told of below.
        let _ = self.look_at_ends();
        loop {
            let is_over = end.recv_timeout(PUBLISHING) != Err(RecvTimeoutError::Timeout);
            // At the end a broker that does not answer is not waited for again.
            if is_over && !answers {
                return;
            }
            let mut result = self.publish().and_then(|()| self.look_at_ends());
            if !is_over && result.is_ok() {
                result = self.look_up();
            }
            if !is_over && result.is_ok() && looked.elapsed() >= DISCOVERY {
                looked = Instant::now();
                result = self.discover().and_then(|()| self.compare());
            }
            if let Err(error @ SourceError::Changed { .. }) = result {
                let _ = self.news.send(News::Changed(error));
                return;
            }
            if result.is_err() {
                self.monitor.ends(None);
            }
            let did_answer = std::mem::replace(&mut answers, result.is_ok());
            if let Err(error) = result
                && did_answer
            {
                tracing::warn!(error = one_line(&error), "watching the topic failed, trying again");
            }
            if is_over {
                return;
            }
        }
    }

    fn publish(&mut self) -> Result<(), SourceError> {
        let committed = self.committed.all().into_iter();
        let committed = committed.map(|(partition, stored)| (partition, stored.next)).collect();
        if committed != self.published {
            self.watch.publish(&committed)?;
            self.published = committed;
        }
        Ok(())
    }

    /// Tells whoever looks how much is left.
    fn look_at_ends(&mut self) -> Result<(), SourceError> {
        if self.monitor.is_watched() {
            let ends = self.watch.ends(&self.known)?;
            self.monitor.ends(Some(ends));
        }
        Ok(())
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
        tracing::info!(?partitions, "partitions were added to the topic, reading them");
        self.known.extend(partitions);
        // Nobody listens any more while the run ends.
        let _ = self.news.send(News::Partitions(found));
        Ok(())
    }

    /// Reads the records that are to be tried again.
    fn look_up(&mut self) -> Result<(), SourceError> {
        self.pending.extend(self.requests.try_iter());
        while let Some(letter) = self.pending.last() {
            let found = self.watch.record(letter.partition, letter.offset)?;
            let letter = self.pending.pop().expect("it is there");
            let _ = self.news.send(News::Retry(letter, found));
        }
        Ok(())
    }
}

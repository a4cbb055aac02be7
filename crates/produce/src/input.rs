//! Owns the way of the records of `produce` to the sender: from a file, standard input or a
//! generator.
//!
//! ```text
//! file, standard input or generator ── one thread ── batches, a few at most ──► the sender
//! ```
//!
//! A thread of its own, because reading standard input cannot be interrupted, and because making or
//! reading tweets is half of the work. Invariant: every record of the input leaves once, in order,
//! byte for byte, unless `--require-location` leaves it out, and that is counted. A record knows
//! its [`InputPosition`]. Another form of input is one more [`Origin`].

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::file::{Plain, Raw};
use super::split::{Broken, Splitter, Step};
use super::{ProduceConfig, ProduceError};
use decode::look::{Facts, facts};
use source::foreign;
use source::foreign::Beginning;
use streams::Position;
use synth::Synthetic;

/// A batch is handed on when it holds so many bytes, or earlier when nothing more is at hand.
pub(super) const BATCH_BYTES: usize = 64 << 10;
/// Batches that wait for the sender.
const BATCHES: usize = 4;

/// A place in an input, behind some of its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct InputPosition {
    /// Records before it, sent or left out.
    pub(super) records: u64,
    /// A hash of all of their bytes, or what the generator is known by; 0 where nobody asks for it.
    pub(super) hash: u64,
    /// Of a live stream: its own place.
    pub(super) place: Option<Position>,
}

/// One record of a batch. Without a payload it is a tombstone; no record of a file is empty.
pub(super) struct InputRecord<'a> {
    pub(super) key: Option<u64>,
    pub(super) payload: &'a [u8],
    pub(super) is_json: bool,
    /// Behind it.
    pub(super) position: InputPosition,
}

/// Records in a row.
#[derive(Default)]
pub(super) struct InputBatch {
    bytes: Vec<u8>,
    /// Per record: its key, where it ends in `bytes`, the position behind it, and whether it is
    /// JSON.
    records: Vec<(Option<u64>, usize, InputPosition, bool)>,
    /// Records that `--require-location` left out.
    pub(super) left_out: u64,
}

impl InputBatch {
    /// Each record.
    pub(super) fn records(&self) -> impl Iterator<Item = InputRecord<'_>> {
        (0..).map_while(|index| self.record(index))
    }

    /// The record of this index.
    pub(super) fn record(&self, index: usize) -> Option<InputRecord<'_>> {
        let (key, end, position, is_json) = *self.records.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.records[before].1);
        Some(InputRecord { key, payload: &self.bytes[start..end], is_json, position })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.left_out == 0
    }

    /// Bytes of its records.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Appends a record.
    pub(super) fn push(&mut self, facts: Facts, payload: &[u8], position: InputPosition) {
        self.bytes.extend_from_slice(payload);
        // What has a key was read as JSON.
        let is_json = facts.key.is_some()
            || facts.is_page
            || serde_json::from_slice::<serde::de::IgnoredAny>(payload).is_ok();
        self.records.push((facts.key, self.bytes.len(), position, is_json));
    }
}

/// What the sender sees of the input.
pub(super) enum Next {
    /// Records to send.
    Batch(InputBatch),
    /// Nothing has come within the time given.
    Nothing,
    /// There is no more.
    End,
}

/// The way of batches to the sender.
pub(super) type BatchSender = SyncSender<Result<InputBatch, ProduceError>>;

/// The running input.
pub(super) struct Input {
    /// None only while it is dropped.
    batches: Option<Receiver<Result<InputBatch, ProduceError>>>,
    thread: Option<JoinHandle<()>>,
    /// A stream sees by this that its receiver is gone.
    closed: Arc<AtomicBool>,
    is_stream: bool,
}

impl Input {
    /// Starts to read; `wake` is called when more was read. The thread ends with its input, or when
    /// the `Input` is dropped; one that waits for standard input ends with the process.
    pub(super) fn start(
        reading: Reading,
        wake: impl Fn() + Send + 'static,
    ) -> Result<Self, ProduceError> {
        Self::spawn(false, move |sender, _| feed(reading, sender, &wake))
    }

    /// Starts a live stream, which sends batches until it ends or its flag is set.
    pub(super) fn follow(
        stream: impl FnOnce(&BatchSender, &AtomicBool) + Send + 'static,
    ) -> Result<Self, ProduceError> {
        Self::spawn(true, stream)
    }

    fn spawn(
        is_stream: bool,
        feed: impl FnOnce(&BatchSender, &AtomicBool) + Send + 'static,
    ) -> Result<Self, ProduceError> {
        let (sender, batches) = sync_channel(BATCHES);
        let closed = Arc::new(AtomicBool::new(false));
        let is_closed = Arc::clone(&closed);
        let thread = std::thread::Builder::new()
            .name("produce-input".to_owned())
            .spawn(move || feed(&sender, &is_closed))
            .map_err(|source| ProduceError::System { doing: "starting a thread", source })?;
        Ok(Self { batches: Some(batches), thread: Some(thread), closed, is_stream })
    }

    /// What comes within `wait`.
    pub(super) fn next(&mut self, wait: Duration) -> Result<Next, ProduceError> {
        let Some(batches) = &self.batches else { return Ok(Next::End) };
        match batches.recv_timeout(wait) {
            Ok(batch) => batch.map(Next::Batch),
            Err(RecvTimeoutError::Timeout) => Ok(Next::Nothing),
            Err(RecvTimeoutError::Disconnected) => {
                // A thread that panicked is no end of the input.
                if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
                    std::panic::resume_unwind(panic);
                }
                Ok(Next::End)
            }
        }
    }
}

impl Drop for Input {
    /// A stream closes its connection and its recording; it sees within a moment that it may.
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        self.batches = None;
        if let Some(thread) = self.thread.take().filter(|_| self.is_stream) {
            // A panic has ended the process already.
            let _ = thread.join();
        }
    }
}

/// Sends batches until the input ends, fails, or the receiver is gone.
fn feed(mut reading: Reading, sender: &BatchSender, wake: &dyn Fn()) {
    loop {
        let mut batch =
            InputBatch { bytes: Vec::with_capacity(BATCH_BYTES * 5 / 4), ..InputBatch::default() };
        let mut taken = Ok(Taken::Record);
        while matches!(taken, Ok(Taken::Record)) && batch.bytes.len() < BATCH_BYTES {
            taken = reading.take(&mut batch);
        }
        if !batch.is_empty() {
            if sender.send(Ok(batch)).is_err() {
                return;
            }
            wake();
        }
        // What was read before a failure has been sent; the receiver may be gone.
        let failed = match taken {
            Ok(Taken::Record) => Ok(()),
            Ok(Taken::Nothing) => reading.read_more(),
            Ok(Taken::End) => return,
            Err(error) => Err(error),
        };
        if let Err(error) = failed {
            return drop(sender.send(Err(error)));
        }
    }
}

/// What was taken from an input.
enum Taken {
    /// A record.
    Record,
    /// Nothing: more must be read, which may wait.
    Nothing,
    /// Nothing: this is the end.
    End,
}

/// An origin, what of it is wanted, and how far it was read.
pub(super) struct Reading {
    origin: Origin,
    require_location: bool,
    /// Whether the position's hash is wanted.
    is_hashed: bool,
    /// Records up to here were sent by an earlier run.
    skip: InputPosition,
    position: InputPosition,
}

impl Reading {
    /// Opens what `args` ask for; reads nothing.
    pub(super) fn open(args: &ProduceConfig) -> Result<Self, ProduceError> {
        let (require_location, is_hashed) = (args.require_location, args.resume.is_some());
        let generator = || {
            let rate = args.rate.unwrap_or(f64::INFINITY);
            Synthetic::new(args.seed).at_rate(rate).with(args.deletes, args.duplicates)
        };
        let reading = match &args.input {
            Some(path) => Self::file(path)?,
            None => Self::synthetic(generator()),
        };
        Ok(Self { require_location, is_hashed, ..reading })
    }

    /// Opens a file; reads nothing.
    pub(super) fn file(path: &Path) -> Result<Self, ProduceError> {
        Ok(Self::of(Origin::File(Box::new(FileInput::open(path)?))))
    }

    /// A synthetic stream.
    pub(super) fn synthetic(generator: Synthetic) -> Self {
        Self::of(Origin::Synthetic { generator: Box::new(generator), index: 0 })
    }

    fn of(origin: Origin) -> Self {
        let (skip, position) = Default::default();
        Self { origin, require_location: false, is_hashed: false, skip, position }
    }

    /// Leaves out what lies before `position`, if the input is the same up to there.
    pub(super) fn skip_to(&mut self, position: InputPosition) -> Result<(), ProduceError> {
        if let Origin::Synthetic { generator, index } = &mut self.origin {
            if position.records > 0 && position.hash != generator.identity() {
                let path = generator.arguments();
                return Err(ProduceError::Changed { path, records: position.records });
            }
            *index = position.records;
        }
        self.skip = position;
        Ok(())
    }

    /// Looks what a file is, as far as that can be seen without waiting for anybody.
    pub(super) fn recognize(&mut self) -> Result<(), ProduceError> {
        match &mut self.origin {
            Origin::File(file) if file.is_at_hand => {
                while !file.recognize()? {
                    if let Err(fault) = file.read_more() {
                        file.fault = Some(fault);
                        break;
                    }
                }
                Ok(())
            }
            Origin::File(_) | Origin::Synthetic { .. } => Ok(()),
        }
    }

    /// How many bytes of a file have been read.
    pub(super) fn counter(&self) -> Arc<AtomicU64> {
        match &self.origin {
            Origin::File(file) => Arc::clone(&file.counter),
            Origin::Synthetic { .. } => Arc::default(),
        }
    }

    /// Appends the next record, unless it is left out or was sent before.
    fn take(&mut self, batch: &mut InputBatch) -> Result<Taken, ProduceError> {
        let file = match &mut self.origin {
            Origin::Synthetic { generator, index } => {
                let start = batch.bytes.len();
                let key = generator.record(*index, &mut batch.bytes);
                *index += 1;
                if self.require_location && facts(&batch.bytes[start..]).lacks_location {
                    batch.bytes.truncate(start);
                    batch.left_out += 1;
                    return Ok(Taken::Record);
                }
                let hash = generator.identity();
                let position = InputPosition { records: *index, hash, place: None };
                batch.records.push((Some(key), batch.bytes.len(), position, true));
                return Ok(Taken::Record);
            }
            Origin::File(file) => file,
        };
        let found = match file.next()? {
            Ok(found) => found,
            Err(Taken::End) if self.position.records < self.skip.records => {
                return Err(ProduceError::Changed {
                    path: file.path.clone(),
                    records: self.skip.records,
                });
            }
            Err(nothing) => return Ok(nothing),
        };
        self.position.records += 1;
        let payload = file.bytes(&found);
        if self.is_hashed {
            self.position.hash = xxh3_64_with_seed(payload, self.position.hash);
        }
        if self.position.records <= self.skip.records {
            if self.position.records == self.skip.records && self.position != self.skip {
                let (path, records) = (file.path.clone(), self.skip.records);
                return Err(ProduceError::Changed { path, records });
            }
            return Ok(Taken::Record);
        }
        if self.require_location && found.facts.lacks_location {
            batch.left_out += 1;
            return Ok(Taken::Record);
        }
        batch.push(found.facts, payload, self.position);
        Ok(Taken::Record)
    }

    /// Reads once; this may wait.
    fn read_more(&mut self) -> Result<(), ProduceError> {
        match &mut self.origin {
            Origin::Synthetic { .. } => Ok(()),
            Origin::File(file) => file.read_more(),
        }
    }
}

/// Where records come from.
enum Origin {
    File(Box<FileInput>),
    Synthetic { generator: Box<Synthetic>, index: u64 },
}

/// A file or standard input, taken apart.
struct FileInput {
    path: String,
    counter: Arc<AtomicU64>,
    bytes: Plain,
    splitter: Splitter,
    /// A line that was a page of statuses.
    page: Option<Splitter>,
    is_at_hand: bool,
    /// Whether it is known what its first bytes are.
    is_known: bool,
    /// What the next reading meets.
    fault: Option<ProduceError>,
}

/// A record that was found.
struct InputFile {
    range: std::ops::Range<usize>,
    facts: Facts,
}

impl FileInput {
    fn open(path: &Path) -> Result<Self, ProduceError> {
        let name = path.display().to_string();
        match Raw::open(path) {
            Ok(raw) if name == "-" => Ok(Self::new("standard input".to_owned(), raw)),
            Ok(raw) => Ok(Self::new(name, raw)),
            Err(source) => Err(ProduceError::Open { path: name, source }),
        }
    }

    fn new(path: String, raw: Raw) -> Self {
        let (counter, is_at_hand) = (raw.counter(), raw.is_at_hand);
        let (bytes, splitter, page) = (Plain::New(Some(raw)), Splitter::new(), None);
        let (is_known, fault) = (false, None);
        Self { path, counter, bytes, splitter, page, is_at_hand, is_known, fault }
    }

    /// Refuses what cannot hold tweets by its first bytes; whether these were read.
    fn recognize(&mut self) -> Result<bool, ProduceError> {
        let is_whole = self.splitter.is_ended();
        self.is_known |= match foreign::beginning(self.splitter.held(), is_whole) {
            _ if self.is_known => true,
            Beginning::Foreign(foreign) => {
                return Err(ProduceError::Foreign { path: self.path.clone(), foreign });
            }
            Beginning::Unknown => is_whole,
            Beginning::Object | Beginning::Array => true,
        };
        Ok(self.is_known)
    }

    /// The next record that was read, or why there is none.
    fn next(&mut self) -> Result<Result<InputFile, Taken>, ProduceError> {
        if !self.is_known && !self.recognize()? {
            return Ok(Err(Taken::Nothing));
        }
        loop {
            let splitter = self.page.as_mut().unwrap_or(&mut self.splitter);
            let step = splitter.step().map_err(|Broken { at, what }| {
                let path = self.path.clone();
                ProduceError::Broken { path, at, what, sent: 0 }
            })?;
            let range = match step {
                Step::Record(range) => range,
                Step::More | Step::End if self.page.take().is_some() => continue,
                Step::More => return Ok(Err(Taken::Nothing)),
                Step::End => return Ok(Err(Taken::End)),
            };
            let bytes = splitter.bytes(range.clone());
            let facts = facts(bytes);
            // Other forms see their pages themselves, before these are in memory as a whole.
            if facts.is_page && splitter.is_in_lines() {
                self.page = Some(Splitter::page(bytes));
                continue;
            }
            return Ok(Ok(InputFile { range, facts }));
        }
    }

    fn bytes(&self, found: &InputFile) -> &[u8] {
        self.page.as_ref().unwrap_or(&self.splitter).bytes(found.range.clone())
    }

    fn read_more(&mut self) -> Result<(), ProduceError> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let read = self.splitter.fill(&mut self.bytes);
        read.map_err(|source| {
            let path = self.path.clone();
            ProduceError::Read { path, sent: 0, source }
        })
    }
}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;

//! A folder of files with one tweet a line (NDJSON) as a topic: archives, and the demo's tweets.
//!
//! Each file is a partition: `*.ndjson`, `*.jsonl` or `*.json`, plain, or packed with gzip (`.gz`)
//! or Zstandard (`.zst`). A plain file may grow and is followed; a packed one is complete. An offset
//! is the position of a line's last byte, so a restart goes on at exactly the next
//! line; a packed file is unpacked again up to there. Records have no timestamp.
//!
//! It remembers nothing: offsets are rows. Whoever changes or removes a file that was read has made
//! another topic of it, which is an error as it is with Kafka.

mod folder;
mod lines;

use super::{
    Assignment, Found as FoundRecord, Polled, Reached, Record, Source, SourceError, Topic, Watch,
    fingerprint,
};
use crate::progress::{Anchor, Last, Stored};
use folder::{Found, Packing};
use lines::{Lines, Next};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often files at their end are looked at, and how much longer for each of them, so that a
/// folder of thousands costs little.
const LOOK: Duration = Duration::from_millis(1);
const LOOK_EACH: Duration = Duration::from_micros(20);

/// Which folder, and how it is read.
#[derive(Clone, Debug)]
pub struct FilesConfig {
    /// The folder.
    pub folder: PathBuf,
    /// What the tables call it.
    pub topic: String,
    /// Whether reading ends at the ends that are seen at the start.
    pub until_end: bool,
}

/// A folder as a topic.
#[derive(Clone, Debug)]
pub struct FilesTopic {
    config: FilesConfig,
}

impl FilesTopic {
    /// The folder. Does not look at it.
    pub fn new(config: FilesConfig) -> Self {
        FilesTopic { config }
    }

    fn list(&self) -> Result<BTreeMap<u32, Found>, SourceError> {
        folder::list(&self.config.folder).map(|(found, _)| found)
    }

    /// The files by partition.
    pub fn paths(&self) -> Result<BTreeMap<u32, PathBuf>, SourceError> {
        let found = self.list()?.into_iter();
        Ok(found.map(|(partition, found)| (partition, found.path)).collect())
    }

    fn changed(&self, partition: u32, reason: String) -> SourceError {
        SourceError::Changed { topic: self.config.topic.clone(), partition, reason }
    }

    /// Where a plain file ends; a packed one ends where it does.
    fn end(found: &Found) -> Result<u64, SourceError> {
        match found.packing {
            Packing::Plain => Ok(size(&found.path)?),
            Packing::Gzip | Packing::Zstd => Ok(u64::MAX),
        }
    }

    /// Checks that a plain file still holds the record; a packed one is checked while it is
    /// unpacked up to there.
    fn compare(&self, partition: u32, found: &Found, anchor: Anchor) -> Result<(), SourceError> {
        if found.packing != Packing::Plain {
            return Ok(());
        }
        let fault = |source| file(&found.path, source);
        let low = first_data(&found.path).map_err(fault)?;
        match lines::at(found, anchor.offset, low).map_err(fault)? {
            Some(line) if fingerprint(None, Some(&line)) == anchor.hash => return Ok(()),
            // Its room was given back, so nothing can be told.
            None if low > 0 => return Ok(()),
            _ => {}
        }
        let path = found.path.display();
        let reason = format!("the line of {path} that ends at byte {} is another", anchor.offset);
        Err(self.changed(partition, reason))
    }

    /// Checks that the files still are those that were read, as far as plain files show it.
    pub(crate) fn recognize(&self, stored: &[Stored]) -> Result<(), SourceError> {
        let files = self.list()?;
        for Stored { partition, next, last, .. } in stored {
            let Some(found) = files.get(partition) else { continue };
            self.holds(*partition, found, *next)?;
            if let Some(last) = last {
                self.compare(*partition, found, last.anchor())?;
            }
        }
        Ok(())
    }

    /// What the ledger reads again must be there: what was counted may have been given back.
    fn remembers(
        &self,
        partition: u32,
        found: &Found,
        (replay_from, next): (u64, u64),
    ) -> Result<(), SourceError> {
        if replay_from == next || found.packing != Packing::Plain {
            return Ok(());
        }
        let low = first_data(&found.path).map_err(|source| file(&found.path, source))?;
        if replay_from < low {
            let topic = self.config.topic.clone();
            return Err(SourceError::Forgotten { topic, partition, replay_from, low });
        }
        Ok(())
    }

    /// Beyond what was read, a file has not become shorter.
    fn holds(&self, partition: u32, found: &Found, next: u64) -> Result<(), SourceError> {
        let end = Self::end(found)?;
        if end < next {
            let path = found.path.display();
            let reason = format!("{path} has {end} bytes, but {next} were read before");
            return Err(self.changed(partition, reason));
        }
        Ok(())
    }
}

fn file(path: &Path, source: std::io::Error) -> SourceError {
    SourceError::File { path: path.to_owned(), source }
}

/// Position of the first byte that is not part of a hole: what was counted may have been given back
/// to the file system.
pub(crate) fn first_data(path: &Path) -> std::io::Result<u64> {
    let mut file = std::fs::File::open(path)?;
    let mut first = [1];
    let _ = std::io::Read::read(&mut file, &mut first)?;
    #[cfg(target_os = "linux")]
    if first == [0] {
        return Ok(rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(0))?);
    }
    Ok(0)
}

fn size(path: &Path) -> Result<u64, SourceError> {
    Ok(std::fs::metadata(path).map_err(|source| file(path, source))?.len())
}

impl Topic for FilesTopic {
    type Source = FilesSource;
    type Watch = FilesWatch;

    fn check(&self) -> Result<(), SourceError> {
        let (found, others) = folder::list(&self.config.folder)?;
        let folder = self.config.folder.display();
        if others > 0 {
            tracing::warn!("{others} files in {folder} are no *.ndjson, *.jsonl or *.json");
        }
        if found.is_empty() && self.config.until_end {
            return Err(SourceError::NoFiles { folder: self.config.folder.clone() });
        }
        for found in found.values() {
            if first_data(&found.path).map_err(|source| file(&found.path, source))? > 0 {
                continue;
            }
            let mut lines = Lines::open(found, 0).map_err(|source| file(&found.path, source))?;
            let first = lines.next(true).map_err(|source| file(&found.path, source))?;
            let Next::Line { bytes, .. } = first else { continue };
            let line = lines.bytes(bytes);
            let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
            if !matches!(line.trim_ascii_start().first(), Some(b'{')) {
                return Err(SourceError::NoJson { path: found.path.clone() });
            }
        }
        Ok(())
    }

    fn plan(&self, stored: &[Stored]) -> Result<Vec<Assignment>, SourceError> {
        let found = self.list()?;
        if let Some(gone) = stored.iter().find(|stored| !found.contains_key(&stored.partition)) {
            return Err(self.changed(gone.partition, "its file does not exist any more".to_owned()));
        }
        let assign = |(partition, found): (u32, &Found)| {
            let known = stored.iter().find(|stored| stored.partition == partition);
            let anchor = known.and_then(|stored| stored.last.map(Last::anchor));
            if let Some(stored) = known {
                self.holds(partition, found, stored.next)?;
            }
            if let Some(anchor) = anchor {
                self.compare(partition, found, anchor)?;
            }
            let until = self.config.until_end.then(|| Self::end(found)).transpose()?;
            let mut fresh = Assignment::fresh(partition, 0);
            if let Some(stored) = known {
                let Stored { start, next, replay_from, .. } = *stored;
                self.remembers(partition, found, (replay_from, next))?;
                fresh = Assignment { start, next, replay_from, ..fresh };
            }
            let last = known.and_then(|stored| stored.last);
            let anchor = known.and_then(|stored| stored.anchor).or(anchor);
            Ok(Assignment { until, last, anchor, ..fresh })
        };
        found.iter().map(|(partition, found)| assign((*partition, found))).collect()
    }

    fn open(&self, wake: Box<dyn Fn() + Send + Sync>) -> Result<FilesSource, SourceError> {
        // Reading does not hang on it: without it, files are looked at when the worker wakes anyway.
        let watcher = notify::recommended_watcher(move |_| wake()).and_then(|mut watcher| {
            watcher.watch(&self.config.folder, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        if let Err(error) = &watcher {
            tracing::debug!(%error, "the folder is looked at ten times a second");
        }
        let (topic, partitions) = (self.clone(), Vec::new());
        let looked = Instant::now();
        Ok(FilesSource { topic, partitions, turn: 0, looked, _watcher: watcher.ok() })
    }

    fn watch(&self) -> Result<FilesWatch, SourceError> {
        Ok(FilesWatch { topic: self.clone() })
    }

    fn counts_bytes(&self) -> bool {
        true
    }
}

/// Looks at the folder as a whole.
pub struct FilesWatch {
    topic: FilesTopic,
}

impl Watch for FilesWatch {
    fn added(&mut self, known: &[u32]) -> Result<Vec<Assignment>, SourceError> {
        if self.topic.config.until_end {
            return Ok(Vec::new());
        }
        let found = self.topic.list()?.into_keys().filter(|number| !known.contains(number));
        Ok(found.map(|partition| Assignment::fresh(partition, 0)).collect())
    }

    fn compare(&mut self, stored: &Stored) -> Result<(), SourceError> {
        let partition = stored.partition;
        let found = self.topic.list()?;
        let found = found.get(&partition).ok_or_else(|| {
            self.topic.changed(partition, "its file does not exist any more".to_owned())
        })?;
        self.topic.holds(partition, found, stored.next)?;
        stored.anchor.map_or(Ok(()), |anchor| self.topic.compare(partition, found, anchor))
    }

    fn record(&mut self, partition: u32, offset: u64) -> Result<Option<FoundRecord>, SourceError> {
        let found = self.topic.list()?;
        let Some(found) = found.get(&partition) else { return Ok(None) };
        let fault = |source| file(&found.path, source);
        let low = first_data(&found.path).map_err(fault)?;
        let line = lines::at(found, offset, low).map_err(fault)?;
        Ok(line.map(|line| FoundRecord { timestamp_ms: 0, payload: Some(line) }))
    }

    fn ends(&mut self, partitions: &[u32]) -> Result<BTreeMap<u32, u64>, SourceError> {
        let found = self.topic.list()?;
        // What a packed file holds is not known before it is unpacked.
        let plain = |partition: &&u32| {
            found.get(partition).is_some_and(|found| found.packing == Packing::Plain)
        };
        let end = |partition: &u32| Ok((*partition, FilesTopic::end(&found[partition])?));
        partitions.iter().filter(plain).map(end).collect()
    }

    fn publish(
        &mut self,
        _next: &BTreeMap<u32, u64>,
        _wait: Duration,
    ) -> Result<bool, SourceError> {
        // Nobody else reads a folder's lag.
        Ok(true)
    }
}

/// One worker's files.
pub struct FilesSource {
    topic: FilesTopic,
    partitions: Vec<Partition>,
    /// The partition whose turn it is.
    turn: usize,
    /// When files at their end were looked at.
    looked: Instant,
    /// Wakes the worker as long as it lives.
    _watcher: Option<RecommendedWatcher>,
}

/// A file as its reader sees it.
struct Partition {
    number: u32,
    found: Found,
    next: u64,
    until: Option<u64>,
    /// A record of a packed file that is passed on the way to `next`.
    anchor: Option<Anchor>,
    /// `None` while nothing is there to be read.
    lines: Option<Lines>,
    is_done: bool,
    is_waiting: bool,
    /// Whether it was said that all of it is read.
    is_end_told: bool,
}

impl Partition {
    /// Hands out at most `limit` lines; opens the file where it is not open.
    fn poll(
        &mut self,
        limit: usize,
        visit: &mut dyn FnMut(Polled<'_>),
    ) -> Result<usize, PartitionFault> {
        let mut lines = match self.lines.take() {
            Some(lines) => lines,
            None => self.open()?,
        };
        let is_final = self.until.is_some() || self.found.packing != Packing::Plain;
        let (mut handed_out, mut last) = (0, None);
        let is_at_end = loop {
            if handed_out == limit {
                break false;
            }
            // Reading moves the bytes of the last line.
            if let Some((offset, bytes)) = last.take_if(|_| !lines.has_line()) {
                visit(self.reached(&lines, offset, bytes));
            }
            let Next::Line { offset, bytes } = lines.next(is_final)? else { break true };
            if self.until.is_some_and(|until| offset >= until) {
                break true;
            }
            let payload = Some(lines.bytes(bytes.clone()));
            visit(Polled::Record(Record {
                partition: self.number,
                offset,
                timestamp_ms: 0,
                key: None,
                payload,
            }));
            self.next = offset + 1;
            self.is_end_told = false;
            handed_out += 1;
            last = Some((offset, bytes));
        };
        if let Some((offset, bytes)) = last {
            visit(self.reached(&lines, offset, bytes));
        }
        if is_at_end {
            self.is_done = is_final;
            self.tell_end(visit);
        } else {
            self.lines = Some(lines);
        }
        Ok(handed_out)
    }

    fn tell_end(&mut self, visit: &mut dyn FnMut(Polled<'_>)) {
        if !std::mem::replace(&mut self.is_end_told, true) {
            visit(Polled::End { partition: self.number, next: self.next });
        }
    }

    fn reached(
        &self,
        lines: &Lines,
        offset: u64,
        bytes: std::ops::Range<usize>,
    ) -> Polled<'static> {
        let hash = fingerprint(None, Some(lines.bytes(bytes)));
        Polled::Reached(Reached { partition: self.number, offset, timestamp_ms: 0, hash })
    }

    /// Opens the file at `next`. A packed one is unpacked up to there.
    fn open(&mut self) -> Result<Lines, PartitionFault> {
        let mut lines = Lines::open(&self.found, self.next)?;
        while lines.position() < self.next {
            let Next::Line { offset, bytes } = lines.next(true)? else {
                return Err(PartitionFault::Changed("it has become shorter".to_owned()));
            };
            let Some(anchor) = self.anchor.filter(|anchor| anchor.offset <= offset) else {
                continue;
            };
            let hash = fingerprint(None, Some(lines.bytes(bytes)));
            if anchor != (Anchor { offset, hash }) {
                let reason = format!("the line that ends at byte {} is another", anchor.offset);
                return Err(PartitionFault::Changed(reason));
            }
        }
        Ok(lines)
    }

    /// Whether a poll may find something.
    fn is_ready(&self, may_look: bool) -> Result<bool, PartitionFault> {
        if self.is_done || self.lines.is_some() {
            return Ok(!self.is_done);
        }
        if self.found.packing != Packing::Plain || self.until.is_some() {
            return Ok(true);
        }
        if !may_look {
            return Ok(false);
        }
        let size = std::fs::metadata(&self.found.path)?.len();
        if size < self.next {
            let reason = format!("it has {size} bytes, but {} were read before", self.next);
            return Err(PartitionFault::Changed(reason));
        }
        Ok(size > self.next)
    }

    fn fault(&self, topic: &FilesTopic, fault: PartitionFault) -> SourceError {
        let path = &self.found.path;
        match fault {
            PartitionFault::Io(source) => file(path, source),
            PartitionFault::Changed(reason) => {
                topic.changed(self.number, format!("{}: {reason}", path.display()))
            }
        }
    }
}

/// What goes wrong with one file.
enum PartitionFault {
    Io(std::io::Error),
    Changed(String),
}

impl From<std::io::Error> for PartitionFault {
    fn from(error: std::io::Error) -> Self {
        PartitionFault::Io(error)
    }
}

impl Source for FilesSource {
    fn assign(&mut self, assignment: &Assignment) -> Result<(), SourceError> {
        let Assignment { partition: number, next, until, last, .. } = *assignment;
        let anchor = last.map(Last::anchor);
        let Some(found) = self.topic.list()?.remove(&number) else {
            return Err(self.topic.changed(number, "its file does not exist any more".to_owned()));
        };
        let is_done = until.is_some_and(|until| next >= until);
        self.partitions.retain(|partition| partition.number != number);
        self.partitions.push(Partition {
            number,
            found,
            next,
            until,
            anchor,
            lines: None,
            is_done,
            is_waiting: false,
            is_end_told: false,
        });
        Ok(())
    }

    fn poll(
        &mut self,
        limit: usize,
        visit: &mut dyn FnMut(Polled<'_>),
    ) -> Result<usize, SourceError> {
        let count = self.partitions.len();
        let pause = LOOK + LOOK_EACH * u32::try_from(count).unwrap_or(u32::MAX);
        let may_look = self.looked.elapsed() >= pause;
        if may_look {
            self.looked = Instant::now();
        }
        // The first file that has something: each poll hands out a run of one file's lines.
        for _ in 0..count {
            self.turn = (self.turn + 1) % count;
            let partition = &mut self.partitions[self.turn];
            if partition.is_waiting {
                continue;
            }
            let polled = match partition.is_ready(may_look) {
                Ok(true) => partition.poll(limit, visit),
                Ok(false) => {
                    if may_look || partition.is_done {
                        partition.tell_end(visit);
                    }
                    Ok(0)
                }
                Err(fault) => Err(fault),
            };
            match polled {
                Ok(0) => {}
                Ok(handed_out) => return Ok(handed_out),
                Err(fault) => {
                    let fault = self.partitions[self.turn].fault(&self.topic, fault);
                    return Err(fault);
                }
            }
        }
        Ok(0)
    }

    fn wait(&mut self, partitions: &BTreeSet<u32>) -> Result<(), SourceError> {
        for partition in &mut self.partitions {
            partition.is_waiting = partitions.contains(&partition.number);
        }
        Ok(())
    }

    fn is_finished(&self) -> bool {
        self.partitions.iter().all(|partition| partition.is_done)
    }
}

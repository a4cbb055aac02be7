//! One file as its reader sees it: where it stands, whether it is open, and whether it is set
//! aside.
//!
//! Invariant: whatever ends a poll (its limit, the end of the file, a fault), the last record that
//! it handed out is followed by how far that led, before any byte moves. A file that cannot be read
//! on is *set aside*: what stands before the fault counts, other files go on, and if the file
//! changes it is read on from there, after the line that was read last was compared.

use super::folder::{Packing, PartitionFile};
use super::lines::{Line, Lines};
use super::slots::{Slot, Slots};
use super::{FilesTopic, unpack};
use crate::poll_time::PollTime;
use crate::{Polled, SourceError, fingerprint};
use serde::de::IgnoredAny;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use types::Text;
use types::offsets::{Anchor, Assignment, LastRecord, PolledUpTo};
use types::record::Record;

/// How often a file that is set aside is looked at.
const RETRY: Duration = Duration::from_secs(1);
/// A packed file that was written so recently may not be whole yet.
const FRESH: Duration = Duration::from_secs(10);
/// A file that was written so recently may change without looking different.
const TICK: Duration = Duration::from_millis(100);

/// What a file looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    id: (u64, u64),
    size: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Self {
        let id = (metadata.dev(), metadata.ino());
        Stamp { id, size: metadata.len(), modified: metadata.modified().ok() }
    }

    /// How long ago the file was written.
    fn age(&self) -> Duration {
        self.modified.and_then(|at| at.elapsed().ok()).unwrap_or_default()
    }
}

/// A file that cannot be read on.
struct Aside {
    /// What it looked like then, and at the last look; `None` = it was not there.
    stamp: Option<Stamp>,
    seen: Option<Stamp>,
    looked: Instant,
    /// What is to be said if it stays so.
    untold: Option<String>,
}

/// What goes wrong with one file.
enum ReadFault {
    /// It is another file: the run ends.
    Changed(String),
    /// It cannot be read on.
    Unreadable(String),
    /// This process may not open more files now.
    NoFile(std::io::Error),
}

impl From<std::io::Error> for ReadFault {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(23 | 24) => ReadFault::NoFile(error),
            _ => ReadFault::Unreadable(error.to_string()),
        }
    }
}

/// A file as its reader sees it.
#[allow(clippy::struct_excessive_bools, reason = "independent of each other")]
pub(super) struct FilePartition {
    pub(super) number: u32,
    /// `None` = it does not exist.
    found: Option<PartitionFile>,
    name: Text,
    /// Behind the last record.
    next: u64,
    /// Up to here there is nothing more: only blanks stand behind `next`.
    read_to: u64,
    until: Option<u64>,
    /// The last record read; a file that is opened again must still hold it.
    last: Option<Anchor>,
    /// `None` while nothing is there to be read, or it waits for a slot.
    lines: Option<(Lines, Slot)>,
    /// Which file was read last.
    id: Option<(u64, u64)>,
    /// What it looked like when it was read to its end.
    end: Option<Stamp>,
    aside: Option<Aside>,
    /// Whether it is read again for the ledger: all of it must be there.
    is_replay: bool,
    is_done: bool,
    is_waiting: bool,
    /// Whether it was said that all of it is read.
    is_end_told: bool,
    /// Whether it was polled since it was assigned.
    is_begun: bool,
    /// Whether it was said that it is set aside.
    is_told: bool,
    /// When it was polled last, in polls of the source.
    pub(super) polled: u64,
}

impl FilePartition {
    pub(super) fn new(assignment: &Assignment, found: Option<PartitionFile>) -> Self {
        let Assignment { partition: number, next, until, last, .. } = *assignment;
        // What counts is read from behind the last record on, what is read again up to it.
        let is_replay = last.is_some_and(|last| next <= last.offset);
        let name = match &found {
            Some(found) => found.name.clone(),
            None => assignment.file.clone(),
        };
        let now = Instant::now();
        let gone = || Aside { stamp: None, seen: None, looked: now, untold: None };
        let aside = if found.is_none() { Some(gone()) } else { None };
        let is_done =
            until.is_some_and(|until| next >= until) || aside.is_some() && until.is_some();
        FilePartition {
            number,
            found,
            name,
            next,
            read_to: next,
            until,
            last: last.map(LastRecord::anchor).filter(|_| !is_replay),
            lines: None,
            id: None,
            end: None,
            aside,
            is_replay,
            is_done,
            is_waiting: false,
            is_end_told: false,
            is_begun: false,
            is_told: false,
            polled: 0,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    pub(super) fn is_open(&self) -> bool {
        self.lines.is_some()
    }

    pub(super) fn is_set_aside(&self) -> bool {
        self.aside.is_some()
    }

    /// Whether it must be polled soon, that others need not wait for what is not known of it.
    pub(super) fn is_new(&self) -> bool {
        !self.is_begun
    }

    /// Whether it may be closed for another one: going on from here costs little, or it waits
    /// anyway.
    pub(super) fn may_close(&self) -> bool {
        self.is_open() && (self.is_waiting || self.is_plain())
    }

    pub(super) fn close(&mut self) {
        self.lines = None;
    }

    /// From now on it is read, or not. What waits holds no great memory.
    pub(super) fn pause(&mut self, is_waiting: bool) {
        self.is_waiting = is_waiting;
        if is_waiting && self.lines.as_ref().is_some_and(|(_, slot)| slot.is_large()) {
            self.lines = None;
        }
    }

    fn is_plain(&self) -> bool {
        self.found.as_ref().is_none_or(|found| found.packing == Packing::Plain)
    }

    /// Whether the file ends where it does, hence its last line may lack its end.
    fn is_final(&self) -> bool {
        self.until.is_some() || !self.is_plain()
    }

    fn stamp(&self) -> Option<Stamp> {
        let found = self.found.as_ref()?;
        std::fs::metadata(&found.path).ok().map(|metadata| Stamp::of(&metadata))
    }

    /// Whether a poll may find something.
    pub(super) fn is_ready(
        &mut self,
        may_look: bool,
        topic: &FilesTopic,
    ) -> Result<bool, SourceError> {
        if self.is_done || self.lines.is_some() {
            return Ok(!self.is_done);
        }
        if self.aside.is_some() {
            return Ok(may_look && self.is_repaired(topic));
        }
        if self.is_final() {
            return Ok(true);
        }
        if !may_look {
            return Ok(false);
        }
        let Some(stamp) = self.stamp() else {
            self.set_aside("it is not there any more", topic)?;
            return Ok(false);
        };
        if stamp.size < self.next {
            let reason = format!("it has {} bytes, but {} were read before", stamp.size, self.next);
            return Err(self.changed(topic, &reason));
        }
        Ok(stamp.size > self.next.max(self.read_to) && self.end != Some(stamp))
    }

    fn changed(&self, topic: &FilesTopic, reason: &str) -> SourceError {
        topic.changed(&self.name, reason)
    }

    /// Whether a file that is set aside is to be tried again: it looks different, and the same for
    /// a while.
    fn is_repaired(&mut self, topic: &FilesTopic) -> bool {
        let Some(looked) = self.aside.as_mut().map(|aside| &mut aside.looked) else { return true };
        if looked.elapsed() < RETRY {
            return false;
        }
        *looked = Instant::now();
        if let Some(found) = topic.find(self.number) {
            self.found = Some(found);
        }
        let stamp = self.stamp();
        let Some(aside) = &mut self.aside else { return true };
        let is_settled = std::mem::replace(&mut aside.seen, stamp) == stamp;
        if stamp.is_none() || !is_settled {
            return false;
        }
        if stamp != aside.stamp {
            return true;
        }
        if stamp.is_some_and(|stamp| stamp.age() >= FRESH)
            && let Some(text) = aside.untold.take()
        {
            self.is_told = true;
            tracing::warn!("{text}");
        }
        false
    }

    /// The file cannot be read on.
    fn set_aside(&mut self, why: &str, topic: &FilesTopic) -> Result<(), SourceError> {
        if self.is_replay {
            let source = std::io::Error::other(why.to_owned());
            return Err(SourceError::Unremembered { file: self.name.to_string(), source });
        }
        let read_to = self.lines.take().map_or(self.next, |(lines, _)| lines.end());
        topic.put_aside(self.number);
        let unpacked = if self.is_plain() { "" } else { " (unpacked)" };
        let warning = format!(
            "{} is set aside behind byte {read_to}{unpacked}: {why}; the lines before that count \
             and other files go on; if it is replaced by a whole one, that is read on from there",
            self.name
        );
        let stamp = self.stamp();
        let may_be_unfinished = self.until.is_none()
            && !self.is_plain()
            && stamp.is_some_and(|stamp| stamp.age() < FRESH);
        let mut untold = Some(warning).filter(|_| !self.is_told);
        if !may_be_unfinished && let Some(text) = untold.take() {
            self.is_told = true;
            tracing::warn!("{text}");
        }
        self.is_done = self.until.is_some();
        self.aside = Some(Aside { stamp, seen: stamp, looked: Instant::now(), untold });
        Ok(())
    }

    /// Opens the file at `next`, with a slot. A packed one is unpacked up to there.
    fn open(&mut self) -> Result<Lines, ReadFault> {
        let Some(found) = &self.found else {
            return Err(ReadFault::Unreadable("it does not exist".to_owned()));
        };
        let id = std::fs::metadata(&found.path).map(|metadata| Stamp::of(&metadata).id)?;
        let (next, last) = (self.next, self.last);
        let was_another = self.id.replace(id).is_some_and(|before| before != id);
        if next == 0 {
            let (lines, foreign) = Lines::begin(found)?;
            return foreign.map_or(Ok(lines), |it| Err(ReadFault::Unreadable(format!("it {it}"))));
        }
        let mut lines = Lines::open(found, next)?;
        let another = |offset| format!("the line that ends at byte {offset} is another");
        if found.packing == Packing::Plain {
            // It was removed, or set aside, and another one came: is it the same?
            if (was_another || self.aside.is_some())
                && let Some(last) = last
                && !super::is_at(found, last)?
            {
                return Err(ReadFault::Changed(another(last.offset)));
            }
            return Ok(lines);
        }
        let mut last = last;
        let goes_so_far = lines.skip_to(next, &mut |offset, bytes| {
            let Some(anchor) = last.take_if(|anchor| anchor.offset <= offset) else {
                return Ok(());
            };
            let hash = fingerprint(None, Some(bytes));
            if anchor == (Anchor { offset, hash }) {
                return Ok(());
            }
            Err(ReadFault::Changed(another(anchor.offset)))
        })?;
        if !goes_so_far {
            return Err(ReadFault::Changed("it has become shorter".to_owned()));
        }
        if let Some(anchor) = last {
            return Err(ReadFault::Changed(another(anchor.offset)));
        }
        Ok(lines)
    }

    /// Opens the file, with a slot. One that cannot be opened is set aside.
    pub(super) fn start(&mut self, slot: Slot, topic: &FilesTopic) -> Result<Opened, SourceError> {
        match self.open() {
            Ok(lines) => {
                if self.aside.take().is_some() {
                    topic.take_back(self.number);
                    tracing::info!("{} is read on from byte {}", self.name, self.next);
                }
                self.lines = Some((lines, slot));
                return Ok(Opened::Yes);
            }
            Err(ReadFault::Changed(reason)) => return Err(self.changed(topic, &reason)),
            Err(ReadFault::NoFile(source)) => return Ok(Opened::Later(source)),
            Err(ReadFault::Unreadable(why)) => self.set_aside(&why, topic)?,
        }
        Ok(Opened::No)
    }

    /// Its file's path, for an error.
    pub(super) fn path(&self) -> PathBuf {
        self.found.as_ref().map(|found| found.path.clone()).unwrap_or_default()
    }

    /// Hands out at most `limit` lines of the open file.
    pub(super) fn poll(
        &mut self,
        limit: usize,
        topic: &FilesTopic,
        visit: &mut dyn FnMut(Polled<'_>),
    ) -> Result<usize, SourceError> {
        let before = if self.is_final() { None } else { self.stamp() };
        let Some((mut lines, slot)) = self.lines.take() else { return Ok(0) };
        self.is_begun = true;
        let (handed_out, end) = self.hand_out(&mut lines, limit, visit);
        match end {
            End::None => {
                self.lines = Some((lines, slot));
                return Ok(handed_out);
            }
            End::Whole => {
                self.read_to = lines.position();
                self.is_done = self.is_final();
                self.end = before.filter(|stamp| stamp.age() > TICK);
            }
            End::Fault(why) => {
                self.lines = Some((lines, slot));
                self.set_aside(&why, topic)?;
            }
        }
        self.tell_end(visit);
        Ok(handed_out)
    }

    fn hand_out(
        &mut self,
        lines: &mut Lines,
        limit: usize,
        visit: &mut dyn FnMut(Polled<'_>),
    ) -> (usize, End) {
        let (mut handed_out, mut last, mut time) = (0, None, PollTime::begin());
        let end = loop {
            // Behind what is to be read there may be a fault.
            if self.until.is_some_and(|until| self.next >= until) {
                break End::Whole;
            }
            if handed_out == limit || time.is_over() {
                break End::None;
            }
            let line = if let Some(line) = lines.next() {
                line
            } else {
                // Reading moves the bytes of the last line, and may fail.
                self.tell_reached(lines, last.take(), visit);
                match lines.fill() {
                    Ok(true) => continue,
                    Err(error) => break End::Fault(error.to_string()),
                    Ok(false) => match self.last_line(lines) {
                        Ok(Some(line)) => line,
                        Ok(None) => break End::Whole,
                        Err(why) => break End::Fault(why),
                    },
                }
            };
            if self.until.is_some_and(|until| line.offset >= until) {
                break End::Whole;
            }
            visit(Polled::Record(Record {
                partition: self.number,
                offset: line.offset,
                timestamp_ms: 0,
                key: None,
                payload: Some(lines.bytes(line.bytes.clone())),
            }));
            time.passed(line.bytes.len());
            self.next = line.offset + 1;
            self.is_end_told = false;
            handed_out += 1;
            last = Some(line);
        };
        self.tell_reached(lines, last, visit);
        (handed_out, end)
    }

    /// At the end of the file: a line that lacks its end, where that counts. A plain file may be
    /// written just now, so that half a record is none.
    fn last_line(&self, lines: &mut Lines) -> Result<Option<Line>, String> {
        if !self.is_final() {
            return Ok(None);
        }
        let Some(line) = lines.last() else { return Ok(None) };
        let read = serde_json::from_slice::<IgnoredAny>(lines.bytes(line.bytes.clone()));
        if self.is_plain() && read.is_err_and(|error| error.is_eof()) {
            return Err("it ends within a line".to_owned());
        }
        Ok(Some(line))
    }

    fn tell_reached(
        &mut self,
        lines: &Lines,
        line: Option<Line>,
        visit: &mut dyn FnMut(Polled<'_>),
    ) {
        let Some(Line { offset, bytes }) = line else { return };
        let hash = fingerprint(None, Some(lines.bytes(bytes)));
        self.last = Some(Anchor { offset, hash });
        let (partition, timestamp_ms) = (self.number, 0);
        visit(Polled::Reached(PolledUpTo { partition, offset, timestamp_ms, hash }));
    }

    pub(super) fn tell_end(&mut self, visit: &mut dyn FnMut(Polled<'_>)) {
        self.is_begun = true;
        if !std::mem::replace(&mut self.is_end_told, true) {
            visit(Polled::End { partition: self.number, next: self.next });
        }
    }

    /// A slot for it, if it needs one; whether it can be polled now.
    pub(super) fn slot(&self, slots: &Slots, has_none: bool) -> Option<Slot> {
        let found = self.found.as_ref()?;
        slots.take(unpack::memory(&found.path, found.packing), has_none)
    }
}

/// Whether a file could be opened.
pub(super) enum Opened {
    Yes,
    /// It is set aside.
    No,
    /// This process may not open more files now.
    Later(std::io::Error),
}

/// Why lines end.
enum End {
    /// More may follow.
    None,
    /// All of it was read.
    Whole,
    /// It cannot be read on.
    Fault(String),
}

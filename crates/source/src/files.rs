//! A folder of files with one tweet a line (NDJSON) as a topic: archives.
//!
//! Each file is a partition: `*.ndjson`, `*.jsonl` or `*.json`, plain, or packed with gzip (`.gz`)
//! or Zstandard (`.zst`). A plain file may grow and is followed; a packed one is complete. An
//! offset is the position of a line's last byte, so a restart goes on at exactly the next line; a
//! packed file is unpacked again up to there. Records have no timestamp.
//!
//! It remembers nothing: offsets are rows. A file may be moved away after it was read: what was
//! counted stays, and if it comes back it is read on from there. A file that was changed or renamed
//! after it was read would count twice, which is an error.

mod folder;
mod lines;
mod partition;
mod reader;
mod slots;
#[cfg(test)]
mod tests;
mod unpack;
mod watch;

use super::{Source, SourceError, Topic, Wake, Watch, fingerprint};
use folder::{Files, Listing};
use lines::Lines;
use notify::{RecursiveMode, Watcher};
use reader::FilesSource;
use slots::Slots;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use types::offsets::Assignment;
use types::offsets::{Anchor, LastRecord, PartitionOffsets};
use watch::FilesWatch;

pub use folder::{Packing, PartitionFile};
pub use unpack::open as open_unpacked;

/// How often files at their end are looked at, and how much longer for each of them, so that a
/// folder of thousands costs little.
const REFRESH_INTERVAL: Duration = Duration::from_millis(1);
const REFRESH_INTERVAL_PER_FILE: Duration = Duration::from_micros(20);
/// A listing is believed for so long.
const LISTED: Duration = Duration::from_secs(1);
/// So many names are printed in one line of the log.
const NAMES: usize = 5;

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
    state: Arc<Mutex<FolderState>>,
    slots: Slots,
}

/// What all that read a folder share.
#[derive(Debug, Default)]
struct FolderState {
    /// The files as they were listed last, and when.
    listing: Option<(Instant, Files)>,
    /// The partitions that cannot be read on.
    aside: BTreeSet<u32>,
    /// What was said to be skipped.
    told: BTreeSet<PathBuf>,
}

impl FilesTopic {
    /// The folder. Does not look at it.
    pub fn new(config: FilesConfig) -> Self {
        FilesTopic { config, state: Arc::default(), slots: Slots::new() }
    }

    fn state(&self) -> MutexGuard<'_, FolderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists the folder again, and says what is skipped.
    fn refresh(&self) -> Result<Listing, SourceError> {
        let listing = folder::list(&self.config.folder)?;
        let mut state = self.state();
        for (path, why) in &listing.skipped {
            if state.told.insert(path.clone()) {
                tracing::warn!("{} is skipped: {why}", path.display().to_string().escape_debug());
            }
        }
        state.listing = Some((Instant::now(), listing.files.clone()));
        Ok(listing)
    }

    /// The files as they were listed last.
    fn known(&self) -> Files {
        self.state().listing.as_ref().map(|(_, files)| files.clone()).unwrap_or_default()
    }

    /// The file of a partition, by a listing that is not old.
    fn find(&self, partition: u32) -> Option<PartitionFile> {
        let is_new = |state: &FolderState| {
            state.listing.as_ref().is_some_and(|(listed, _)| listed.elapsed() < LISTED)
        };
        if !is_new(&self.state()) {
            // A folder that cannot be listed now is the old one until then.
            let _ = self.refresh();
        }
        self.state().listing.as_ref().and_then(|(_, files)| files.get(&partition).cloned())
    }

    /// The files by partition.
    pub fn files(&self) -> Result<Files, SourceError> {
        Ok(self.refresh()?.files)
    }

    /// A partition cannot be read on.
    fn put_aside(&self, partition: u32) {
        self.state().aside.insert(partition);
    }

    /// It can again.
    fn take_back(&self, partition: u32) {
        self.state().aside.remove(&partition);
    }

    fn changed(&self, file: &str, reason: &str) -> SourceError {
        let path = self.config.folder.join(file).display().to_string();
        SourceError::FileChanged { file: path, reason: reason.to_owned() }
    }

    /// Where a plain file ends; a packed one ends where it does.
    fn end(found: &PartitionFile) -> Result<u64, SourceError> {
        match found.packing {
            Packing::Plain => {
                let metadata = std::fs::metadata(&found.path);
                Ok(metadata.map_err(|source| file(&found.path, source))?.len())
            }
            Packing::Gzip | Packing::Zstd => Ok(u64::MAX),
        }
    }

    /// Checks that a plain file still holds the record; a packed one is checked while it is
    /// unpacked up to there.
    fn compare(&self, found: &PartitionFile, anchor: Anchor) -> Result<(), SourceError> {
        if found.packing != Packing::Plain {
            return Ok(());
        }
        self.compare_packed(found, anchor)
    }

    /// The same for a packed file, which is unpacked up to there.
    pub fn compare_packed(&self, found: &PartitionFile, anchor: Anchor) -> Result<(), SourceError> {
        let is_there = is_at(found, anchor).map_err(|source| file(&found.path, source))?;
        if !is_there {
            let reason = format!("the line that ends at byte {} is another", anchor.offset);
            return Err(self.changed(&found.name, &reason));
        }
        Ok(())
    }

    /// Checks that the files still are those that were read, as far as plain files show it. One
    /// that is not there shows nothing.
    pub fn recognize(&self, stored: &[PartitionOffsets]) -> Result<(), SourceError> {
        let files = self.refresh()?.files;
        for PartitionOffsets { partition, next, last, .. } in stored {
            let Some(found) = files.get(partition) else { continue };
            self.holds(found, *next)?;
            if let Some(last) = last {
                self.compare(found, last.anchor())?;
            }
        }
        Ok(())
    }

    /// Beyond what was read, a file has not become shorter.
    fn holds(&self, found: &PartitionFile, next: u64) -> Result<(), SourceError> {
        let end = Self::end(found)?;
        if end < next {
            let reason = format!("it has {end} bytes, but {next} were read before");
            return Err(self.changed(&found.name, &reason));
        }
        Ok(())
    }

    /// A new file must not be one that was read under another name: it would count twice.
    #[allow(clippy::unused_self, reason = "beside its siblings")]
    fn check_renamed(&self, new: &Files, gone: &[&PartitionOffsets]) -> Result<(), SourceError> {
        for found in new.values() {
            for stored in gone {
                let Some(last) = stored.last else { continue };
                if Self::end(found).is_ok_and(|end| end <= last.offset) {
                    continue;
                }
                // A file that cannot be read is set aside when its turn comes.
                if is_at(found, last.anchor()).is_ok_and(|is_there| is_there) {
                    let (file, before) = (found.name.to_string(), stored.location());
                    return Err(SourceError::Renamed { file, before });
                }
            }
        }
        Ok(())
    }

    fn say_gone(gone: &[&PartitionOffsets]) {
        let mut names: Vec<_> = gone.iter().take(NAMES).map(|stored| stored.location()).collect();
        if gone.len() > NAMES {
            names.push(format!("{} more", gone.len() - NAMES));
        }
        tracing::warn!(
            "files that were read are not there any more; what was counted of them stays: {}",
            names.join(", ")
        );
    }

    fn assignment(
        &self,
        partition: u32,
        found: &PartitionFile,
        known: Option<&PartitionOffsets>,
    ) -> Result<Assignment, SourceError> {
        let until = self.config.until_end.then(|| Self::end(found)).transpose()?;
        let fresh = Assignment { until, ..Assignment::fresh(partition, 0) };
        let file = found.name.clone();
        let Some(stored) = known else { return Ok(Assignment { file, ..fresh }) };
        self.holds(found, stored.next)?;
        let anchor = stored.anchor.or(stored.last.map(LastRecord::anchor));
        for counted in stored.last.map(LastRecord::anchor).into_iter().chain(stored.anchor) {
            self.compare(found, counted)?;
        }
        let PartitionOffsets { start, next, replay_from, last, .. } = *stored;
        Ok(Assignment { start, next, replay_from, last, anchor, file, ..fresh })
    }

    /// A partition whose file was moved away: nothing is read of it unless it comes back.
    fn without_file(&self, stored: &PartitionOffsets) -> Result<Assignment, SourceError> {
        let PartitionOffsets { partition, start, next, replay_from, last, .. } = *stored;
        if replay_from < next {
            // What the ledger must read again was moved away too.
            let (topic, place) = (self.config.topic.clone(), stored.location());
            return Err(SourceError::Forgotten { topic, partition, place, replay_from, low: next });
        }
        let until = self.config.until_end.then_some(next);
        let anchor = stored.anchor.or(last.map(LastRecord::anchor));
        let file = stored.file.clone();
        let fresh = Assignment::fresh(partition, start);
        Ok(Assignment { next, replay_from, until, last, anchor, file, ..fresh })
    }
}

fn file(path: &Path, source: std::io::Error) -> SourceError {
    SourceError::File { path: path.to_owned(), source }
}

/// Whether the file holds the record that the anchor is of.
fn is_at(found: &PartitionFile, anchor: Anchor) -> std::io::Result<bool> {
    let line = lines::at(found, anchor.offset)?;
    Ok(line.is_some_and(|line| fingerprint(None, Some(&line)) == anchor.hash))
}

impl Topic for FilesTopic {
    fn check(&self) -> Result<(), SourceError> {
        let Listing { files, others, packed_otherwise, .. } = self.refresh()?;
        let folder = &self.config.folder;
        if files.is_empty() && self.config.until_end {
            return Err(SourceError::NoFiles { folder: folder.clone(), packed_otherwise });
        }
        if others > 0 {
            tracing::warn!(
                "{others} files in {} are no *.ndjson, *.jsonl or *.json and are not read; \
                 {packed_otherwise} of them are packed in a way that is not read",
                folder.display()
            );
        }
        for found in files.values() {
            // A file that cannot be read is set aside when its turn comes.
            if let Ok((_, Some(foreign))) = Lines::begin(found) {
                return Err(SourceError::Foreign { path: found.path.clone(), foreign });
            }
        }
        Ok(())
    }

    fn plan(&self, stored: &[PartitionOffsets]) -> Result<Vec<Assignment>, SourceError> {
        let files = self.refresh()?.files;
        let gone: Vec<_> =
            stored.iter().filter(|stored| !files.contains_key(&stored.partition)).collect();
        if !gone.is_empty() {
            let mut new = files.clone();
            new.retain(|number, _| stored.iter().all(|stored| stored.partition != *number));
            self.check_renamed(&new, &gone)?;
            Self::say_gone(&gone);
        }
        let assign = |(partition, found): (&u32, &PartitionFile)| {
            let known = stored.iter().find(|stored| stored.partition == *partition);
            self.assignment(*partition, found, known)
        };
        let there = files.iter().map(assign);
        there.chain(gone.iter().map(|offsets| self.without_file(offsets))).collect()
    }

    fn open(&self, wake: Wake) -> Result<Box<dyn Source>, SourceError> {
        // Reading does not depend on it: without it, files are looked at when the worker wakes
        // anyway.
        let watcher = notify::recommended_watcher(move |_| wake()).and_then(|mut watcher| {
            watcher.watch(&self.config.folder, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        if let Err(error) = &watcher {
            tracing::debug!(%error, "the folder is looked at ten times a second");
        }
        Ok(Box::new(FilesSource::new(self.clone(), watcher.ok())))
    }

    fn watch(&self) -> Result<Box<dyn Watch>, SourceError> {
        Ok(Box::new(FilesWatch::new(self.clone())))
    }

    fn counts_bytes(&self) -> bool {
        true
    }

    fn set_aside(&self) -> u64 {
        self.state().aside.len() as u64
    }
}

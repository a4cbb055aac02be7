//! Looks at a folder as a whole while workers read its files.

use super::folder::{Files, Packing};
use super::{FilesTopic, file, lines};
use crate::{SourceError, Watch};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};
use types::offsets::Assignment;
use types::offsets::PartitionOffsets;
use types::record::StoredRecord as FoundRecord;

/// How often the folder is looked at, and how much of the time that may take.
const INTERVAL: Duration = Duration::from_secs(1);
const SHARE: u32 = 20;

/// Looks at the folder as a whole.
pub(super) struct FilesWatch {
    topic: FilesTopic,
    /// What the last look found, and how long it took.
    files: Files,
    took: Duration,
    /// How far each partition was at the last look.
    stored: BTreeMap<u32, PartitionOffsets>,
    /// Sizes of plain files, and where their last lines end.
    ends: BTreeMap<u32, (u64, u64)>,
}

impl FilesWatch {
    pub(super) fn new(topic: FilesTopic) -> Self {
        let (files, took) = (topic.known(), Duration::ZERO);
        FilesWatch { topic, files, took, stored: BTreeMap::new(), ends: BTreeMap::new() }
    }
}

/// Where a file of that size ends, without the last line feed: what is counted ends before it.
fn end_of_records(path: &Path, size: u64) -> std::io::Result<u64> {
    let mut last = [0; 2];
    let file = super::unpack::open_file(path)?;
    let at = size.saturating_sub(last.len() as u64);
    let read = file.read_at(&mut last, at)?;
    let blanks = last[..read].iter().rev().take_while(|byte| byte.is_ascii_whitespace());
    Ok(size - blanks.count() as u64)
}

impl Watch for FilesWatch {
    fn interval(&self) -> Duration {
        INTERVAL.max(self.took * SHARE)
    }

    fn added(&mut self, known: &[u32]) -> Result<Vec<Assignment>, SourceError> {
        if self.topic.config.until_end {
            return Ok(Vec::new());
        }
        let began = Instant::now();
        self.files = self.topic.refresh()?.files;
        self.took = began.elapsed();
        let known: BTreeSet<_> = known.iter().collect();
        let mut new: Files = self.files.clone();
        new.retain(|number, _| !known.contains(number));
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let gone =
            self.stored.values().filter(|stored| !self.files.contains_key(&stored.partition));
        self.topic.check_renamed(&new, &gone.collect::<Vec<_>>())?;
        let assign = |(partition, found): (u32, super::folder::PartitionFile)| Assignment {
            file: found.name,
            ..Assignment::fresh(partition, 0)
        };
        Ok(new.into_iter().map(assign).collect())
    }

    fn compare(&mut self, stored: &PartitionOffsets) -> Result<(), SourceError> {
        self.stored.insert(stored.partition, stored.clone());
        // What is gone stays counted; its reader says so.
        let Some(found) = self.files.get(&stored.partition) else { return Ok(()) };
        if !found.path.exists() {
            return Ok(());
        }
        self.topic.holds(found, stored.next)?;
        stored.anchor.map_or(Ok(()), |anchor| self.topic.compare(found, anchor))
    }

    fn record(&mut self, partition: u32, offset: u64) -> Result<Option<FoundRecord>, SourceError> {
        let Some(found) = self.topic.find(partition) else { return Ok(None) };
        let fault = |source| file(&found.path, source);
        // Of a file that is cut or damaged, what stands behind the fault is not there.
        let line = match lines::at(&found, offset) {
            Err(_) if found.packing != Packing::Plain => None,
            line => line.map_err(fault)?,
        };
        Ok(line.map(|line| FoundRecord { timestamp_ms: 0, payload: Some(line) }))
    }

    fn ends(&mut self, partitions: &[u32]) -> Result<BTreeMap<u32, u64>, SourceError> {
        // What a packed file holds is not known before it is unpacked.
        for partition in partitions {
            let Some(found) = self.files.get(partition) else { continue };
            if found.packing != Packing::Plain {
                continue;
            }
            let Ok(metadata) = std::fs::metadata(&found.path) else { continue };
            let size = metadata.len();
            if self.ends.get(partition).is_none_or(|(before, _)| *before != size) {
                let end = end_of_records(&found.path, size).unwrap_or(size);
                self.ends.insert(*partition, (size, end));
            }
        }
        let end = |partition: &u32| Some((*partition, self.ends.get(partition)?.1));
        Ok(partitions.iter().filter_map(end).collect())
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

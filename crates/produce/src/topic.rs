//! The records of an input as a topic of the same process: made-up tweets, or a file in any form
//! that `produce` reads.
//!
//! Rule: record `N` of the made-up tweets is offset `N / 4` of partition `N mod 4`; record `N` of a
//! file is offset `N` of partition 0. Invariant: a partition and an offset always name the same
//! record, so a restart reads on, and reads again, from any offset. Nothing is written anywhere.
//! Records have neither key nor time.

mod input_source;
mod reader;

use input_source::InputSource;
use reader::{InputFile, Reader, Step};
use source::{Source, SourceError, Topic, Wake, Watch};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use synth::Synthetic;
use types::offsets::{Assignment, PartitionOffsets};
use types::record::StoredRecord;

/// Partitions of made-up tweets.
const PARTITIONS: u32 = 4;
/// The seed of made-up tweets.
const SEED: u64 = 7;
/// Between two looks whether a file's next record was read.
const LOOK_TIME: Duration = Duration::from_millis(1);

/// Records of an input.
pub struct InputTopic {
    name: String,
    origin: Origin,
    limit: Option<u64>,
    ends: Ends,
}

/// Where the records come from.
#[derive(Clone)]
enum Origin {
    Synthetic(Arc<Synthetic>),
    File(Arc<InputFile>),
}

/// Where partitions end, as far as that is known.
type Ends = Arc<Mutex<BTreeMap<u32, u64>>>;

impl InputTopic {
    /// Made-up tweets of which so many pass in a second of their own time.
    pub fn synthetic(name: &str, rate: f64) -> Self {
        Self::of(name, Origin::Synthetic(Arc::new(Synthetic::new(SEED).at_rate(rate))))
    }

    /// The records of a file; `-` is standard input. Does not open it.
    pub fn file(name: &str, path: PathBuf) -> Self {
        Self::of(name, Origin::File(Arc::new(InputFile::new(path))))
    }

    fn of(name: &str, origin: Origin) -> Self {
        InputTopic { name: name.to_owned(), origin, limit: None, ends: Ends::default() }
    }

    /// The same, and it ends after so many records that were not read before.
    #[must_use]
    pub fn limited(self, limit: Option<u64>) -> Self {
        InputTopic { limit, ..self }
    }
}

impl Origin {
    fn partitions(&self) -> u32 {
        match self {
            Origin::Synthetic(_) => PARTITIONS,
            Origin::File(_) => 1,
        }
    }
}

impl Topic for InputTopic {
    fn check(&self) -> Result<(), SourceError> {
        match &self.origin {
            Origin::Synthetic(_) => Ok(()),
            Origin::File(file) => file.check(),
        }
    }

    fn plan(&self, stored: &[PartitionOffsets]) -> Result<Vec<Assignment>, SourceError> {
        let partitions = self.origin.partitions();
        if let Some(stored) = stored.iter().find(|stored| stored.partition >= partitions) {
            let (topic, partition) = (self.name.clone(), stored.partition);
            let reason = "this input has no such partition".to_owned();
            return Err(SourceError::Changed { topic, partition, reason });
        }
        let assign = |partition: u32| {
            let stored = stored.iter().find(|stored| stored.partition == partition).cloned();
            let stored = stored.unwrap_or_else(|| PartitionOffsets::fresh(partition, 0));
            let PartitionOffsets { start, next, replay_from, last, anchor, .. } = stored;
            let until = self.limit.map(|limit| {
                let (share, rest) = (limit / u64::from(partitions), limit % u64::from(partitions));
                next.saturating_add(share + u64::from(u64::from(partition) < rest))
            });
            let fresh = Assignment::fresh(partition, start);
            Assignment { next, replay_from, until, last, anchor, ..fresh }
        };
        let plan: Vec<_> = (0..partitions).map(assign).collect();
        let ends = plan.iter().filter_map(|planned| Some((planned.partition, planned.until?)));
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).extend(ends);
        Ok(plan)
    }

    fn open(&self, wake: Wake) -> Result<Box<dyn Source>, SourceError> {
        let reader = Reader::new(self.origin.clone(), wake);
        let ends = Arc::clone(&self.ends);
        Ok(Box::new(InputSource::new(self.name.clone(), reader, ends)))
    }

    fn watch(&self) -> Result<Box<dyn Watch>, SourceError> {
        let (origin, ends) = (self.origin.clone(), Arc::clone(&self.ends));
        Ok(Box::new(InputWatch { origin, ends }))
    }
}

/// Reads single records again.
struct InputWatch {
    origin: Origin,
    ends: Ends,
}

impl Watch for InputWatch {
    fn added(&mut self, _known: &[u32]) -> Result<Vec<Assignment>, SourceError> {
        Ok(Vec::new())
    }

    fn compare(&mut self, _stored: &PartitionOffsets) -> Result<(), SourceError> {
        // A start compares the last record, and the input is not replaced while it is read.
        Ok(())
    }

    fn record(&mut self, partition: u32, offset: u64) -> Result<Option<StoredRecord>, SourceError> {
        if matches!(&self.origin, Origin::File(file) if file.is_standard_input()) {
            return Ok(None);
        }
        let mut reader = Reader::new(self.origin.clone(), Box::new(|| {}));
        let mut payload = Vec::new();
        loop {
            match reader.read(partition, offset, &mut payload) {
                Ok(Step::Record) => break,
                Ok(Step::Later) => std::thread::sleep(LOOK_TIME),
                Ok(Step::End) => return Ok(None),
                Err(error) if error.is_changed() => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(StoredRecord { timestamp_ms: 0, payload: Some(payload) }))
    }

    fn ends(&mut self, _partitions: &[u32]) -> Result<BTreeMap<u32, u64>, SourceError> {
        Ok(self.ends.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn publish(
        &mut self,
        _next: &BTreeMap<u32, u64>,
        _wait: Duration,
    ) -> Result<bool, SourceError> {
        Ok(true)
    }
}

#[cfg(test)]
mod tests;

//! A record of an input by its partition and offset.
//!
//! Made-up tweets are made. A file is read from its beginning up to the record, and on from there:
//! reading in order costs one pass.

use super::super::ProduceError;
use super::super::input::{Input, InputBatch, InputPosition, Next, Reading};
use super::{Origin, PARTITIONS};
use source::{SourceError, Wake};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A file, or standard input.
pub(super) struct InputFile {
    path: PathBuf,
    /// Opened to see what it is; standard input is there once.
    opened: Mutex<Option<Reading>>,
}

impl InputFile {
    pub(super) fn new(path: PathBuf) -> Self {
        InputFile { path, opened: Mutex::default() }
    }

    pub(super) fn is_standard_input(&self) -> bool {
        self.path.as_os_str() == "-"
    }

    /// Refuses what cannot be read, or holds no tweets.
    pub(super) fn check(&self) -> Result<(), SourceError> {
        let reading = Reading::file(&self.path).and_then(|mut reading| {
            reading.recognize()?;
            Ok(reading)
        });
        let reading = reading.map_err(|error| self.fault(error))?;
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
        Ok(())
    }

    /// The records from this one on.
    fn open(&self, record: u64, wake: &Arc<Wake>) -> Result<Input, SourceError> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).take();
        let reading = match opened {
            Some(reading) => Ok(reading),
            None if self.is_standard_input() => {
                let source = std::io::Error::other("standard input can be read only once");
                Err(ProduceError::Open { path: "standard input".to_owned(), source })
            }
            None => Reading::file(&self.path),
        };
        let wake = Arc::clone(wake);
        let input = reading.and_then(|mut reading| {
            reading.skip_to(InputPosition { records: record, ..InputPosition::default() })?;
            Input::start(reading, move || wake())
        });
        input.map_err(|error| self.fault(error))
    }

    /// The input is shorter than what was read of it, or has other records.
    fn changed(&self, reason: String) -> SourceError {
        SourceError::FileChanged { file: self.path.display().to_string(), reason }
    }

    fn fault(&self, error: ProduceError) -> SourceError {
        let path = self.path.clone();
        match error {
            ProduceError::Open { source, .. } | ProduceError::Read { source, .. } => {
                SourceError::File { path, source }
            }
            ProduceError::Broken { at, what, .. } => {
                let source = std::io::Error::other(format!("at byte {at} {what}"));
                SourceError::File { path, source }
            }
            ProduceError::Foreign { foreign, .. } => SourceError::Foreign { path, foreign },
            ProduceError::Changed { records, .. } => {
                self.changed(format!("it has fewer than {records} records"))
            }
            error => SourceError::File { path, source: std::io::Error::other(error) },
        }
    }
}

/// What there is at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A record.
    Record,
    /// Nothing that was read already; the reader is woken when it was.
    Later,
    /// Nothing: the input has ended.
    End,
}

/// Reads an input.
pub(super) struct Reader {
    origin: Origin,
    /// Of a file.
    run: Option<InputRun>,
    wake: Arc<Wake>,
}

/// A file that is read in order.
struct InputRun {
    input: Input,
    /// The number of the next record.
    next: u64,
    batch: InputBatch,
    /// Records of the batch that were taken.
    taken: usize,
}

impl Reader {
    pub(super) fn new(origin: Origin, wake: Wake) -> Self {
        Reader { origin, run: None, wake: Arc::new(wake) }
    }

    /// Puts the record at this place into `payload`.
    pub(super) fn read(
        &mut self,
        partition: u32,
        offset: u64,
        payload: &mut Vec<u8>,
    ) -> Result<Step, SourceError> {
        payload.clear();
        let file = match &self.origin {
            Origin::Synthetic(generator) => {
                let number = offset.saturating_mul(PARTITIONS.into());
                generator.record(number.saturating_add(partition.into()), payload);
                return Ok(Step::Record);
            }
            Origin::File(file) => file,
        };
        let run = match self.run.take() {
            Some(run) if run.next == offset => self.run.insert(run),
            _ => {
                let (input, batch) = (file.open(offset, &self.wake)?, InputBatch::default());
                self.run.insert(InputRun { input, next: offset, batch, taken: 0 })
            }
        };
        loop {
            if let Some(record) = run.batch.record(run.taken) {
                payload.extend_from_slice(record.payload);
                run.taken += 1;
                run.next += 1;
                return Ok(Step::Record);
            }
            match run.input.next(Duration::ZERO).map_err(|error| file.fault(error))? {
                Next::Batch(batch) => (run.batch, run.taken) = (batch, 0),
                Next::Nothing => return Ok(Step::Later),
                Next::End => return Ok(Step::End),
            }
        }
    }

    /// The error of an input that is not the one that was read before.
    pub(super) fn changed(&self, topic: &str, partition: u32, reason: String) -> SourceError {
        match &self.origin {
            Origin::File(file) => file.changed(reason),
            Origin::Synthetic(_) => {
                SourceError::Changed { topic: topic.to_owned(), partition, reason }
            }
        }
    }
}

//! A baseline: all rows and offsets as they were, and were right, at one commit, in one file.
//!
//! A topic forgets; a baseline carries what was verified once over that. It is replaced as a whole
//! (written beside, then renamed), so that it is always of one commit.

use super::VerifyError;
use super::runs::{self, Entry};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufReader, BufWriter, Result, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// The first words of the file, and which form the rest has.
const MAGIC: &str = "tweetflow baseline 1";

/// What the rows belong to.
#[derive(Serialize, Deserialize)]
struct Head {
    magic: String,
    job: String,
    fingerprint: String,
    commit_no: u64,
}

/// A baseline that is being written.
pub(super) struct Writer {
    file: BufWriter<NamedTempFile>,
}

impl Writer {
    /// Begins a file that will stand at `path`.
    pub(super) fn new(path: &Path, job: &str, fingerprint: &str, commit_no: u64) -> Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let file = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        let mut file = BufWriter::new(file);
        let (magic, job, fingerprint) = (MAGIC.to_owned(), job.to_owned(), fingerprint.to_owned());
        runs::write(&mut file, &Head { magic, job, fingerprint, commit_no })?;
        Ok(Writer { file })
    }

    pub(super) fn push(&mut self, entry: &Entry) -> Result<()> {
        runs::write(&mut self.file, entry)
    }

    /// Puts it in its place.
    pub(super) fn keep(mut self, path: &Path) -> Result<()> {
        self.file.flush()?;
        let file = self.file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }
}

/// The rows of the baseline at `path`; `None` where there is none yet.
pub(super) fn open(
    path: &Path,
    job: &str,
    fingerprint: &str,
) -> std::result::Result<Option<impl Iterator<Item = Result<Entry>> + use<>>, VerifyError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(VerifyError::Baseline { reason: error.to_string() }),
        Ok(file) => file,
    };
    let mut file = BufReader::new(file);
    let refused = |reason: &str| VerifyError::Baseline { reason: reason.to_owned() };
    let head = match runs::read::<Head>(&mut file) {
        Ok(Some(head)) if head.magic == MAGIC => head,
        _ => return Err(refused("it is no baseline of this version")),
    };
    if head.job != job || head.fingerprint != fingerprint {
        return Err(refused("it is of another job, or of other settings"));
    }
    Ok(Some(runs::entries(file)))
}

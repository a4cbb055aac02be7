//! The verifier's own way through a folder of files: each file from its first byte, line by line.
//!
//! It shares with the job which file is which partition, and nothing else.

use super::VerifyError;
use super::topic::{Range, Visit};
use crate::source::files::{FilesTopic, first_data};
use crate::source::{Record, SourceError, fingerprint};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Visits every record of the ranges, per file in order.
pub(super) fn read(
    topic: &FilesTopic,
    ranges: &[Range],
    stop: &AtomicBool,
    visit: &mut Visit<'_>,
) -> Result<(), VerifyError> {
    let paths = topic.paths()?;
    for range in ranges.iter().filter(|range| range.start < range.next) {
        let partition = range.partition;
        let path = paths.get(&partition).ok_or(VerifyError::NoPartition { partition })?;
        read_file(path, *range, stop, visit)?;
    }
    Ok(())
}

fn read_file(
    path: &Path,
    range: Range,
    stop: &AtomicBool,
    visit: &mut Visit<'_>,
) -> Result<(), VerifyError> {
    let fault = |source| SourceError::File { path: path.to_owned(), source };
    let Range { partition, start, .. } = range;
    // The demo gives the room of what it has counted back.
    let low = first_data(path).map_err(fault)?;
    if low > start {
        return Err(VerifyError::Gone { partition, start, low });
    }
    let mut file = open(path).map_err(fault)?;
    let (mut line, mut position) = (Vec::new(), 0);
    while position < range.next {
        if stop.load(Ordering::Relaxed) {
            return Err(VerifyError::Stopped);
        }
        line.clear();
        let read = file.read_until(b'\n', &mut line).map_err(fault)?;
        if read == 0 {
            break;
        }
        position += read as u64;
        let text = line.trim_ascii_end();
        if position <= start || text.is_empty() {
            continue;
        }
        let offset = position - 1;
        let record = Record { partition, offset, timestamp_ms: 0, key: None, payload: Some(text) };
        visit(record, fingerprint(None, Some(text)))?;
    }
    Ok(())
}

fn open(path: &Path) -> std::io::Result<Box<dyn BufRead>> {
    let file = File::open(path)?;
    Ok(match path.extension().map(OsStr::to_ascii_lowercase) {
        Some(end) if end == "gz" => {
            Box::new(BufReader::new(flate2::read::MultiGzDecoder::new(file)))
        }
        Some(end) if end == "zst" || end == "zstd" => {
            Box::new(BufReader::new(zstd::stream::read::Decoder::new(file)?))
        }
        _ => Box::new(BufReader::with_capacity(1 << 20, file)),
    })
}

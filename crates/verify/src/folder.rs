//! The verifier's own way through a folder of files: each file from its first byte, line by line.
//!
//! It shares with the job which file is which partition, how it is unpacked and how it is known
//! again, and nothing else.

use super::VerifyError;
use super::range::{Range, Visit};
use super::topic::VerifiedTopic;
use source::files::{FilesTopic, Packing, PartitionFile, open_unpacked};
use source::{SourceError, fingerprint};
use std::io::{BufRead, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use types::offsets::PartitionOffsets;
use types::record::Record;

impl VerifiedTopic for FilesTopic {
    fn recognize(&self, counted: &[PartitionOffsets]) -> Result<(), SourceError> {
        FilesTopic::recognize(self, counted)
    }

    // A new file of a folder may be there before the job sees it: `unread` says nothing of it.

    fn read(
        &self,
        ranges: &[Range],
        stop: &AtomicBool,
        visit: &mut Visit<'_>,
    ) -> Result<(), VerifyError> {
        let files = self.files()?;
        for range in ranges.iter().filter(|range| range.start < range.next) {
            let partition = range.partition;
            let found = files.get(&partition).ok_or(VerifyError::NoPartition { partition })?;
            read_file(self, found, *range, stop, visit)?;
        }
        Ok(())
    }

    fn counts_bytes(&self) -> bool {
        true
    }
}

fn read_file(
    topic: &FilesTopic,
    found: &PartitionFile,
    range: Range,
    stop: &AtomicBool,
    visit: &mut Visit<'_>,
) -> Result<(), VerifyError> {
    let fault = |source| SourceError::File { path: found.path.clone(), source };
    let Range { partition, start, next, last } = range;
    let bytes = open_unpacked(&found.path, found.packing, 0).map_err(fault)?;
    // What was written behind the range, also to its last line, is not of the tables.
    let mut bytes = BufReader::with_capacity(64 << 10, bytes.take(next));
    let (mut line, mut position) = (Vec::new(), 0);
    // A plain file was compared before.
    let mut last = last.filter(|_| found.packing != Packing::Plain);
    while position < next {
        if stop.load(Ordering::Relaxed) {
            return Err(VerifyError::Stopped);
        }
        line.clear();
        let read = bytes.read_until(b'\n', &mut line).map_err(fault)?;
        if read == 0 {
            break;
        }
        position += read as u64;
        let Some((end, text)) = record(&line) else { continue };
        let offset = position - read as u64 + end as u64 - 1;
        if let Some(last) = last.take_if(|last| last.offset <= offset)
            && (last.offset, last.hash) != (offset, fingerprint(None, Some(text)))
        {
            topic.compare_packed(found, last)?;
        }
        if offset < start {
            continue;
        }
        let record = Record { partition, offset, timestamp_ms: 0, key: None, payload: Some(text) };
        visit(record, fingerprint(None, Some(text)))?;
    }
    last.map_or(Ok(()), |last| Ok(topic.compare_packed(found, last)?))
}

/// A line without what does not belong to its record: blanks and zeros around it, and the comma
/// that follows an object; with the place where it ends. `None` if nothing is left.
fn record(line: &[u8]) -> Option<(usize, &[u8])> {
    let is_filled = |byte: &u8| *byte != 0 && !byte.is_ascii_whitespace();
    let last = |bytes: &[u8]| bytes.iter().rposition(is_filled);
    let mut end = last(line)? + 1;
    if line[end - 1] == b',' {
        let before = last(&line[..end - 1])?;
        if line[before] == b'}' {
            end = before + 1;
        }
    }
    let start = line.iter().position(is_filled)?;
    Some((end, &line[start..end]))
}

#[cfg(test)]
mod tests {
    use super::record;

    #[test]
    fn what_does_not_belong_to_a_record() {
        for (line, expected) in [
            ("{} \r\n", "{}"),
            ("\0\0 {}\0\0\0\n", "{}"),
            ("{},\r\n", "{}"),
            ("{} , \0", "{}"),
            (",\n", ""),
            ("},", "}"),
            ("{},,", "{},,"),
            (" ,,\n", ",,"),
            ("no json,\n", "no json,"),
            (" \0\r\n", ""),
        ] {
            let found = record(line.as_bytes());
            assert_eq!(found.map_or(&b""[..], |(_, text)| text), expected.as_bytes(), "{line:?}");
            assert!(found.is_none_or(|(end, _)| line[..end].ends_with(expected)), "{line:?}");
        }
    }
}

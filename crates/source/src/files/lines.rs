//! One file, line by line, from any place on.
//!
//! A record is a line without what surrounds it: blanks, zeros (a block that was never written, a
//! tape's padding), a comma behind an object. Its offset is the position of its last byte, so that
//! it is the same before and after its line feed is written; from `offset + 1` on nothing stands
//! before the next record. Positions count the bytes that were packed, not those of the packed
//! file. Empty lines are no records.
//!
//! Invariant: only [`Lines::fill`] reads and moves bytes; what [`Lines::bytes`] shows is valid
//! until then.

use super::folder::{Packing, PartitionFile};
use super::unpack;
use crate::foreign::{self, Foreign, HEAD_BYTES};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

/// Bytes read at a time.
#[cfg(not(test))]
const BLOCK: usize = 256 << 10;
/// Small, so that the tests meet every place where a block can end.
#[cfg(test)]
const BLOCK: usize = 64;
/// A longer line is handed out cut; it is then no JSON, hence a dead letter.
const LONGEST: usize = BLOCK << 6;

/// A file that is read.
pub(super) struct Lines {
    input: Box<dyn Read>,
    buffer: Vec<u8>,
    /// The part of the buffer that was read and not handed out.
    rest: Range<usize>,
    /// No line feed stands in so many first bytes of it.
    searched: usize,
    /// Position in the file of the rest's first byte.
    position: u64,
    /// What was left out of the line that begins here.
    cut: u64,
    /// What the next read meets.
    fault: Option<std::io::Error>,
}

/// A line, as a part of [`Lines::bytes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) offset: u64,
    pub(super) bytes: Range<usize>,
}

impl Lines {
    /// Opens a file. A packed one begins at its first byte; a plain one at `position`.
    pub(super) fn open(found: &PartitionFile, position: u64) -> std::io::Result<Self> {
        let input = unpack::open(&found.path, found.packing, position)?;
        Ok(Self::of(input, if found.packing == Packing::Plain { position } else { 0 }))
    }

    /// Lines of any bytes, the first of which is at `position`.
    fn of(input: Box<dyn Read>, position: u64) -> Self {
        Lines { input, buffer: Vec::new(), rest: 0..0, searched: 0, position, cut: 0, fault: None }
    }

    /// Opens a file at its first byte and looks what it is.
    pub(super) fn begin(found: &PartitionFile) -> std::io::Result<(Self, Option<Foreign>)> {
        let mut lines = Self::open(found, 0)?;
        let mut is_whole = false;
        while !is_whole && lines.rest.len() < HEAD_BYTES && lines.feeds() < 2 {
            is_whole = match lines.fill() {
                Ok(more) => !more,
                // What stands before it says enough.
                Err(error) if !lines.rest.is_empty() => {
                    lines.fault = Some(error);
                    break;
                }
                Err(error) => return Err(error),
            };
        }
        let foreign = foreign::of_lines(&lines.buffer[lines.rest.clone()], is_whole);
        Ok((lines, foreign))
    }

    fn feeds(&self) -> usize {
        memchr::memchr_iter(b'\n', &self.buffer[self.rest.clone()]).take(2).count()
    }

    /// The position of the next line.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The position up to which the file was read.
    pub(super) fn end(&self) -> u64 {
        self.position + self.cut + self.rest.len() as u64
    }

    /// The bytes that a line's range means; valid until the next call of [`Lines::fill`].
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// The next line that is not empty, of what is read already.
    pub(super) fn next(&mut self) -> Option<Line> {
        while let Some(length) = self.line_feed() {
            if let Some(line) = self.take(length + 1) {
                return Some(line);
            }
        }
        None
    }

    /// At the end of the file, what stands without a line feed.
    pub(super) fn last(&mut self) -> Option<Line> {
        if self.rest.is_empty() { None } else { self.take(self.rest.len()) }
    }

    /// The next line, reading as far as it takes; at the end what stands without a line feed too.
    fn read(&mut self) -> std::io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.next() {
                return Ok(Some(line));
            }
            if !self.fill()? {
                return Ok(self.last());
            }
        }
    }

    /// The record of the next `length` bytes, which are a line.
    fn line(&self, length: usize) -> Option<Line> {
        let begin = self.rest.start;
        let Range { start, end } = record(&self.buffer[begin..begin + length]);
        let position = self.position + self.cut;
        (start < end)
            .then(|| Line { offset: position + end as u64 - 1, bytes: begin + start..begin + end })
    }

    fn take(&mut self, length: usize) -> Option<Line> {
        let line = self.line(length);
        self.rest.start += length;
        self.searched = 0;
        self.position += length as u64 + std::mem::take(&mut self.cut);
        line
    }

    /// Place of the next line feed within the rest.
    fn line_feed(&mut self) -> Option<usize> {
        let rest = &self.buffer[self.rest.clone()];
        let found = memchr::memchr(b'\n', &rest[self.searched..]);
        let found = found.map(|place| place + self.searched);
        self.searched = found.unwrap_or(rest.len());
        found
    }

    /// Reads more, behind the rest; says whether there was any.
    pub(super) fn fill(&mut self) -> std::io::Result<bool> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        self.buffer.copy_within(self.rest.clone(), 0);
        self.rest = 0..self.rest.len();
        if self.rest.end == self.buffer.len() {
            if self.buffer.len() >= LONGEST {
                // The last block of a line that is too long makes room for the next one.
                self.rest.end -= BLOCK;
                self.searched = self.searched.min(self.rest.end);
                self.cut += BLOCK as u64;
            } else {
                self.buffer.resize((2 * self.buffer.len()).max(BLOCK), 0);
            }
        }
        let read = loop {
            match self.input.read(&mut self.buffer[self.rest.end..]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.rest.end += read;
        Ok(read > 0)
    }

    /// Reads a packed file up to `next`, but nothing of a record that ends there or later; `visit`
    /// sees each record, and ends the reading by an error. Whether the file goes so far.
    #[allow(clippy::type_complexity, reason = "a callback with a fault of its own")]
    pub(super) fn skip_to<E: From<std::io::Error>>(
        &mut self,
        next: u64,
        visit: &mut dyn FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<bool, E> {
        while self.position < next {
            let length = match self.line_feed() {
                Some(length) => length + 1,
                None if self.fill()? => continue,
                None if self.rest.is_empty() => return Ok(false),
                None => self.rest.len(),
            };
            if self.line(length).is_some_and(|line| line.offset >= next) {
                break;
            }
            if let Some(line) = self.take(length) {
                visit(line.offset, &self.buffer[line.bytes])?;
            }
        }
        Ok(true)
    }
}

/// The part of a line that is the record.
fn record(line: &[u8]) -> Range<usize> {
    let is_padding = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    let trimmed =
        |part: &[u8]| part.len() - part.iter().rev().take_while(|byte| is_padding(byte)).count();
    let mut end = trimmed(line);
    let start = line[..end].iter().take_while(|byte| is_padding(byte)).count();
    // A comma behind an object, or what is left of a line behind that: lines of an array that was
    // never closed.
    if line[start..end].ends_with(b",") {
        let before = trimmed(&line[..end - 1]).max(start);
        if before == start || line[start..before].ends_with(b"}") {
            end = before;
        }
    }
    start..end
}

/// The line that ends at `offset`, if there is one. What was written behind `offset` since is not
/// looked at: the line may have had no end then.
pub(super) fn at(found: &PartitionFile, offset: u64) -> std::io::Result<Option<Vec<u8>>> {
    let begin = match found.packing {
        Packing::Plain => begin_of_line(&found.path, offset)?,
        Packing::Gzip | Packing::Zstd => 0,
    };
    let input = unpack::open(&found.path, found.packing, begin)?;
    let mut lines = Lines::of(Box::new(input.take(offset + 1 - begin)), begin);
    let mut last = None;
    while let Some(line) = lines.read()? {
        last = (line.offset == offset).then(|| lines.bytes(line.bytes).to_owned());
    }
    Ok(last)
}

/// Position of the first byte of the line that holds `offset`.
fn begin_of_line(path: &std::path::Path, offset: u64) -> std::io::Result<u64> {
    let mut file = unpack::open_file(path)?;
    let mut end = offset.min(file.metadata()?.len());
    let mut block = std::iter::repeat_n(0, BLOCK).collect::<Vec<u8>>();
    while end > 0 {
        let begin = end.saturating_sub(BLOCK as u64);
        let length = usize::try_from(end - begin).unwrap_or(BLOCK);
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(&mut block[..length])?;
        if let Some(place) = memchr::memrchr(b'\n', &block[..length]) {
            return Ok(begin + place as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::{Lines, record};
    use std::io::Cursor;

    #[test]
    fn padding_and_a_comma_do_not_belong_to_a_record() {
        for (line, expected) in [
            ("{} \r\n", "{}"),
            ("\0\0 {}\0\0\0\n", "{}"),
            ("{},\r\n", "{}"),
            ("{} , \0", "{}"),
            (",\n", ""),
            (",,\n", ",,"),
            ("},", "}"),
            ("no json,\n", "no json,"),
            (" \0\r\n", ""),
            ("", ""),
        ] {
            let range = record(line.as_bytes());
            assert_eq!(&line[range], expected, "{line:?}");
        }
    }

    /// A line that is too long is cut in the same way wherever reading began.
    #[test]
    fn a_line_that_is_too_long_is_always_the_same() {
        let mut text = vec![b'x'; super::LONGEST * 2 + 17];
        text.push(b'\n');
        let before = b"ab\n".to_vec();
        let read = |bytes: Vec<u8>| {
            let mut lines = Lines::of(Box::new(Cursor::new(bytes)), 0);
            let mut all = Vec::new();
            while let Some(line) = lines.read().expect("it reads") {
                all.push((line.offset, lines.bytes(line.bytes).to_vec()));
            }
            all
        };
        let (alone, second) = (read(text.clone()), read([&before[..], &text].concat()));
        assert_eq!(alone.len(), 1);
        assert_eq!(alone[0].0 + 3, second[1].0);
        assert_eq!(alone[0].1, second[1].1);
        assert_eq!(alone[0].0, text.len() as u64 - 2, "the last byte before the line feed");
    }
}

//! One file, line by line, from any place on.
//!
//! A line's offset is the position of its last byte, which is the line feed where there is one; so
//! the next line begins at `offset + 1`, as with the records of a topic. Positions count the bytes
//! that were packed, not those of the packed file. Empty lines are no records.

use super::folder::{Found, Packing};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

/// Bytes read at a time.
const BLOCK: usize = 256 << 10;
/// A longer line is handed out cut; it is then no JSON, hence a dead letter.
pub(super) const LONGEST: usize = 16 << 20;

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
}

/// What stands at the next place.
pub(super) enum Next {
    /// A line, as a part of [`Lines::bytes`].
    Line { offset: u64, bytes: Range<usize> },
    /// Nothing that ends with a line feed, so far.
    End,
}

impl Lines {
    /// Opens a file. A packed one begins at its first byte; a plain one at `position`.
    pub(super) fn open(found: &Found, position: u64) -> std::io::Result<Self> {
        let mut file = File::open(&found.path)?;
        let (input, position): (Box<dyn Read>, u64) = match found.packing {
            Packing::Plain => {
                file.seek(SeekFrom::Start(position))?;
                (Box::new(file), position)
            }
            Packing::Gzip => (Box::new(flate2::read::MultiGzDecoder::new(file)), 0),
            Packing::Zstd => (Box::new(zstd::stream::read::Decoder::new(file)?), 0),
        };
        let buffer = vec![0; BLOCK];
        Ok(Lines { input, buffer, rest: 0..0, searched: 0, position, cut: 0 })
    }

    /// The position of the next line.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The bytes that a line's range means; valid until the next call of [`Lines::next`].
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// Whether the next call hands out a line without reading, hence leaves all bytes in place.
    pub(super) fn has_line(&mut self) -> bool {
        self.line_feed().is_some()
    }

    /// The next line that is not empty. At the end, what stands without a line feed counts as a line
    /// if `is_final`.
    pub(super) fn next(&mut self, is_final: bool) -> std::io::Result<Next> {
        loop {
            let length = match self.line_feed() {
                Some(length) => length + 1,
                None if self.fill()? => continue,
                None if is_final && !self.rest.is_empty() => self.rest.len(),
                None => return Ok(Next::End),
            };
            let begin = self.rest.start;
            let mut bytes = begin..begin + length;
            self.rest.start += length;
            self.searched = 0;
            self.position += length as u64 + std::mem::take(&mut self.cut);
            while bytes.end > bytes.start && self.buffer[bytes.end - 1].is_ascii_whitespace() {
                bytes.end -= 1;
            }
            if !bytes.is_empty() {
                return Ok(Next::Line { offset: self.position - 1, bytes });
            }
        }
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
    fn fill(&mut self) -> std::io::Result<bool> {
        self.buffer.copy_within(self.rest.clone(), 0);
        self.rest = 0..self.rest.len();
        if self.rest.end == self.buffer.len() {
            if self.buffer.len() >= LONGEST {
                // The last block of a line that is too long makes room for the next one.
                self.rest.end -= BLOCK;
                self.searched = self.searched.min(self.rest.end);
                self.cut += BLOCK as u64;
            } else {
                self.buffer.resize(2 * self.buffer.len(), 0);
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
}

/// The line that ends at `offset`, if there is one; its bytes before `low` are gone.
pub(super) fn at(found: &Found, offset: u64, low: u64) -> std::io::Result<Option<Vec<u8>>> {
    let begin = match found.packing {
        Packing::Plain => begin_of_line(&found.path, offset, low)?,
        Packing::Gzip | Packing::Zstd => Some(0),
    };
    let Some(begin) = begin else { return Ok(None) };
    let mut lines = Lines::open(found, begin)?;
    while let Next::Line { offset: found, bytes } = lines.next(true)? {
        if found >= offset {
            return Ok((found == offset).then(|| lines.bytes(bytes).to_owned()));
        }
    }
    Ok(None)
}

/// Position of the first byte of the line that holds `offset`, unless that lies before `low`.
fn begin_of_line(path: &std::path::Path, offset: u64, low: u64) -> std::io::Result<Option<u64>> {
    let mut file = File::open(path)?;
    let mut end = offset.min(file.metadata()?.len());
    let mut block = vec![0; BLOCK];
    while end > low {
        let begin = end.saturating_sub(BLOCK as u64).max(low);
        let length = usize::try_from(end - begin).unwrap_or(BLOCK);
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(&mut block[..length])?;
        if let Some(place) = memchr::memrchr(b'\n', &block[..length]) {
            return Ok(Some(begin + place as u64 + 1));
        }
        end = begin;
    }
    Ok((low == 0).then_some(0))
}

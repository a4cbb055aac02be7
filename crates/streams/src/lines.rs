//! One message a line, however the bytes were cut on their way.
//!
//! Invariant: the lines do not depend on how the bytes were divided. An empty line is a keep-alive.
//! A line that is too large is skipped and reported with its size, and the next line is read; what
//! is left at the end of the connection is no line.

use memchr::memchr;

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// An empty line.
    KeepAlive,
    /// A message.
    Message(&'a [u8]),
    /// A message of so many bytes, which is lost.
    Oversized(usize),
}

/// Bytes that become lines.
pub(crate) struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// No line ends between `start` and here.
    searched: usize,
    /// The largest line.
    most: usize,
    /// Bytes of an oversized line that were thrown away.
    skipped: usize,
}

impl Lines {
    /// Lines of at most `most` bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, searched: 0, most, skipped: 0 }
    }

    /// Adds bytes as they were received.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next line that is whole.
    pub(crate) fn next(&mut self) -> Option<Line<'_>> {
        let Some(length) = memchr(b'\n', &self.bytes[self.searched..]) else {
            self.searched = self.bytes.len();
            // One byte may be the CR of the line's end.
            if self.searched - self.start > self.most + 1 {
                let is_after_cr = self.bytes.last() == Some(&b'\r');
                let end = self.searched - usize::from(is_after_cr);
                self.skipped += end - self.start;
                self.start = end;
            }
            return None;
        };
        let (start, end) = (self.start, self.searched + length);
        self.start = end + 1;
        self.searched = self.start;
        let line = &self.bytes[start..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let size = std::mem::take(&mut self.skipped) + line.len();
        Some(match size {
            0 => Line::KeepAlive,
            size if size > self.most => Line::Oversized(size),
            _ => Line::Message(line),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};

    fn all(lines: &mut Lines, seen: &mut Vec<String>) {
        while let Some(line) = lines.next() {
            seen.push(match line {
                Line::KeepAlive => String::new(),
                Line::Message(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                Line::Oversized(size) => format!("{size} bytes"),
            });
        }
    }

    #[test]
    fn lines_do_not_depend_on_the_cuts() {
        let long = format!("{{\"long\":\"{}\"}}", "ü".repeat(40));
        let text = format!("{{\"a\":\"ü💡\"}}\r\n\r\n\n{long}\r\n{{\"b\":2}}\n{{\"c\":3}}\r\nrest");
        let expected =
            ["{\"a\":\"ü💡\"}", "", "", "91 bytes", "{\"b\":2}", "{\"c\":3}"].map(str::to_owned);
        let mut random = rand_pcg::Pcg32::seed_from_u64(1);
        for most_cut in (1..=text.len()).chain((0..2_000).map(|_| 0)) {
            let (mut lines, mut seen, mut rest) = (Lines::new(64), Vec::new(), text.as_bytes());
            while !rest.is_empty() {
                let cut = if most_cut == 0 { random.random_range(1..30) } else { most_cut };
                let (now, later) = rest.split_at(cut.min(rest.len()));
                lines.push(now);
                all(&mut lines, &mut seen);
                rest = later;
            }
            assert_eq!(seen, expected, "{most_cut}");
        }
    }

    #[test]
    fn a_line_of_the_largest_size_is_read_and_an_endless_one_is_not_kept() {
        let (mut lines, mut seen) = (Lines::new(10), Vec::new());
        lines.push(b"0123456789\r");
        all(&mut lines, &mut seen);
        lines.push(b"\n");
        all(&mut lines, &mut seen);
        for _ in 0..1_000 {
            lines.push(&[b'x'; 100]);
            all(&mut lines, &mut seen);
            assert!(lines.bytes.len() <= 200);
        }
        lines.push(b"\nend\n");
        all(&mut lines, &mut seen);
        assert_eq!(seen, ["0123456789", "100000 bytes", "end"]);
    }
}

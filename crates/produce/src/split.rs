//! Owns where one record of an input ends and the next begins, for every form that tweets come in.
//!
//! The form is recognised by the first bytes that are not blank (behind a byte order mark):
//!
//! - `[`: an array; each of its elements is a record.
//! - `{`, and the first object has a member `statuses` that is an array: a page; each status is a
//!   record, the page's other members are not sent.
//! - `{`, and another value follows the first object on its last line, or the object goes on over
//!   several lines: objects one after the other, with or without white space between.
//! - anything else: lines. Each line that is not blank is a record, JSON or not.
//!
//! Arrays, pages and objects may follow one another; a stream of lines stays one. An object whose
//! first line can't be the beginning of JSON that goes on (a syntax error, or the line ends within
//! a string) is a broken line, and the input is lines.
//!
//! Invariant: the bytes of a record are those of the input, line breaks within it included; nothing
//! is written again, so numbers and escapes stay what they were. In memory is one record, and
//! what is read at once. It follows brackets, strings and escapes only: whether a record is JSON is
//! for its reader. It does not read files and knows no tweets.

use std::io::Read;
use std::ops::Range;

use memchr::{memchr, memchr2};

/// A record may hold so many bytes: what the client library sends at most.
pub(super) const RECORD_BYTES: usize = 100_000_000;
/// What is read at once.
const READ_BYTES: usize = 128 << 10;
/// UTF-8's byte order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// What can be had without reading more.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A record, until the next call.
    Record(Range<usize>),
    /// More must be read first.
    More,
    /// There is no more.
    End,
}

/// The input cannot be taken apart behind this place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// How many bytes of the input, uncompressed, lie before it.
    pub(super) at: u64,
    /// What is wrong there.
    pub(super) what: &'static str,
}

/// Where in the input the next byte lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SplitState {
    /// At the very beginning.
    Mark,
    /// Between outermost values.
    Between,
    /// Behind the first object, when it is not yet known whether lines follow.
    BehindFirst,
    /// In an array: where an element or its end may be.
    FirstElement,
    /// In an array, behind a comma.
    Element,
    /// In an array, behind an element.
    BehindElement,
    /// In an object or array that is a record, or in the outermost object.
    Value { depth: u32 },
    /// In an element that is a number or a word.
    Scalar,
    /// In a string of a value; at depth 0 it is an element itself.
    Text { depth: u32 },
    /// In lines.
    Line,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    /// No array: the values are the outermost ones.
    Nothing,
    /// An array whose elements are the records.
    Array,
    /// The statuses of a page.
    Page,
    /// What follows the statuses in a page.
    Rest,
}

/// Takes an input apart.
pub(super) struct Splitter {
    buffer: Vec<u8>,
    /// So much of it is filled.
    end: usize,
    /// Bytes before the buffer.
    before: u64,
    /// Where the record begins that is looked at.
    from: usize,
    /// Up to here it was looked at.
    at: usize,
    place: SplitState,
    /// The form is not yet known.
    deciding: bool,
    within: Within,
    /// Nothing more can be read.
    ended: bool,
    limit: usize,
}

impl Splitter {
    pub(super) fn new() -> Self {
        Self {
            buffer: Vec::new(),
            end: 0,
            before: 0,
            from: 0,
            at: 0,
            place: SplitState::Mark,
            deciding: true,
            within: Within::Nothing,
            ended: false,
            limit: RECORD_BYTES,
        }
    }

    /// The statuses of a page that came as a line.
    pub(super) fn page(line: &[u8]) -> Self {
        let (buffer, end, place) = (line.to_vec(), line.len(), SplitState::Between);
        Self { buffer, end, place, ended: true, deciding: false, ..Self::new() }
    }

    /// Whether the records are lines; so for the rest of the input.
    pub(super) fn is_in_lines(&self) -> bool {
        self.place == SplitState::Line
    }

    /// Whether nothing more can be read.
    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// The bytes of a record.
    pub(super) fn bytes(&self, record: Range<usize>) -> &[u8] {
        &self.buffer[record]
    }

    /// Reads once.
    pub(super) fn fill(&mut self, reader: &mut impl Read) -> std::io::Result<()> {
        let keep = self.from.min(self.at);
        self.buffer.copy_within(keep..self.end, 0);
        (self.from, self.at, self.end) = (self.from - keep, self.at - keep, self.end - keep);
        self.before += keep as u64;
        if self.end == self.buffer.len() {
            self.buffer.resize((self.end * 2).max(READ_BYTES), 0);
        }
        let read = loop {
            match reader.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.end += read;
        self.ended = read == 0;
        Ok(())
    }

    /// What was read and is not done with.
    pub(super) fn held(&self) -> &[u8] {
        &self.buffer[..self.end]
    }

    /// The next record, if it has been read.
    pub(super) fn step(&mut self) -> Result<Step, Broken> {
        loop {
            let found = match self.place {
                SplitState::Mark => self.mark(),
                SplitState::Between => self.between()?,
                SplitState::BehindFirst => self.behind_first(),
                SplitState::FirstElement | SplitState::Element => self.element()?,
                SplitState::BehindElement => self.behind_element()?,
                SplitState::Value { depth } => self.value(depth)?,
                SplitState::Text { depth } => self.text(depth)?,
                SplitState::Scalar => Some(self.scalar()),
                SplitState::Line => self.line(),
            };
            match found {
                None => {}
                Some(Step::More) if self.at - self.from.min(self.at) > self.limit => {
                    return Err(self.broken(self.from, "a record of more than 100 MB begins"));
                }
                Some(step) => return Ok(step),
            }
        }
    }

    fn broken(&self, at: usize, what: &'static str) -> Broken {
        Broken { at: self.before + at as u64, what }
    }

    /// The next byte that is not blank; `at` is on it, or at the end of what was read.
    fn behind_blanks(&mut self) -> Option<u8> {
        let rest = &self.held()[self.at..];
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        self.at += blanks.count();
        self.held().get(self.at).copied()
    }

    fn mark(&mut self) -> Option<Step> {
        let start = &self.held()[..self.end.min(MARK.len())];
        if start.len() < MARK.len() && MARK.starts_with(start) && !self.ended {
            return Some(Step::More);
        }
        if start == MARK {
            (self.from, self.at) = (MARK.len(), MARK.len());
        }
        self.place = SplitState::Between;
        None
    }

    fn between(&mut self) -> Result<Option<Step>, Broken> {
        let blank_from = self.at;
        let byte = self.behind_blanks();
        // A line begins behind the last line end, should this become lines.
        if let Some(end) = memchr::memrchr(b'\n', &self.buffer[blank_from..self.at]) {
            self.from = blank_from + end + 1;
        }
        match byte {
            None if self.ended => return Ok(Some(Step::End)),
            None => {
                if !self.deciding {
                    self.from = self.at;
                }
                return Ok(Some(Step::More));
            }
            Some(b'[') => {
                self.at += 1;
                (self.within, self.deciding, self.place) =
                    (Within::Array, false, SplitState::FirstElement);
            }
            Some(b'{') => {
                if !self.deciding {
                    self.from = self.at;
                }
                self.at += 1;
                self.place = SplitState::Value { depth: 1 };
            }
            Some(_) if self.deciding => self.lines(),
            Some(_) => return Err(self.broken(self.at, "neither an object nor an array begins")),
        }
        Ok(None)
    }

    /// From here on, and from the first line on, this is lines.
    fn lines(&mut self) {
        (self.deciding, self.place, self.at) = (false, SplitState::Line, self.from);
    }

    /// The first object ended at `at`; the rest of its line decides.
    fn behind_first(&mut self) -> Option<Step> {
        let rest = &self.held()[self.at..];
        let next = rest.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r'));
        match next {
            None if !self.ended => Some(Step::More),
            Some(b'{' | b'[') => {
                self.deciding = false;
                self.place = SplitState::Between;
                Some(self.record())
            }
            _ => {
                self.lines();
                None
            }
        }
    }

    /// The value that ends at `at`, without the blanks before it.
    fn record(&mut self) -> Step {
        let blanks = self.buffer[self.from..self.at].iter();
        let start = self.from + blanks.take_while(|byte| byte.is_ascii_whitespace()).count();
        self.from = self.at;
        Step::Record(start..self.at)
    }

    fn element(&mut self) -> Result<Option<Step>, Broken> {
        let byte = self.behind_blanks();
        self.from = self.at;
        let Some(byte) = byte else { return self.more("the input ends within an array") };
        self.at += 1;
        self.place = match byte {
            b'{' | b'[' => SplitState::Value { depth: 1 },
            b'"' => SplitState::Text { depth: 0 },
            b']' if self.place == SplitState::FirstElement => {
                self.leave_array();
                return Ok(None);
            }
            b',' | b':' | b']' | b'}' => {
                return Err(self.broken(self.at - 1, "an element of the array is missing"));
            }
            _ => SplitState::Scalar,
        };
        Ok(None)
    }

    fn behind_element(&mut self) -> Result<Option<Step>, Broken> {
        let byte = self.behind_blanks();
        self.from = self.at;
        let Some(byte) = byte else { return self.more("the input ends within an array") };
        self.at += 1;
        match byte {
            b',' => self.place = SplitState::Element,
            b']' => self.leave_array(),
            _ => return Err(self.broken(self.at - 1, "a comma between elements is missing")),
        }
        Ok(None)
    }

    /// `at` is behind the closing bracket.
    fn leave_array(&mut self) {
        self.from = self.at;
        (self.within, self.place) = match self.within {
            Within::Page => (Within::Rest, SplitState::Value { depth: 1 }),
            _ => (Within::Nothing, SplitState::Between),
        };
    }

    fn more(&self, what: &'static str) -> Result<Option<Step>, Broken> {
        if self.ended { Err(self.broken(self.end, what)) } else { Ok(Some(Step::More)) }
    }

    /// Follows brackets to the end of the value.
    fn value(&mut self, mut depth: u32) -> Result<Option<Step>, Broken> {
        while let Some(&byte) = self.held().get(self.at) {
            self.at += 1;
            match byte {
                b'"' => {
                    self.place = SplitState::Text { depth };
                    return Ok(None);
                }
                b'[' if depth == 1 && self.is_page() => {
                    (self.from, self.deciding) = (self.at, false);
                    (self.within, self.place) = (Within::Page, SplitState::FirstElement);
                    return Ok(None);
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(self.behind_value());
                    }
                }
                b'\n' if self.deciding => {
                    let line = &self.buffer[self.from..self.at];
                    let read = serde_json::from_slice::<serde::de::IgnoredAny>(line);
                    if read.is_err_and(|error| error.is_eof()) {
                        self.deciding = false;
                    } else {
                        self.lines();
                        return Ok(None);
                    }
                }
                _ => {}
            }
        }
        self.place = SplitState::Value { depth };
        self.more("the input ends within a value")
    }

    fn behind_value(&mut self) -> Option<Step> {
        if self.within == Within::Rest {
            (self.from, self.within, self.place) = (self.at, Within::Nothing, SplitState::Between);
            return None;
        }
        if self.deciding {
            self.place = SplitState::BehindFirst;
            return None;
        }
        let outermost = self.within == Within::Nothing;
        self.place = if outermost { SplitState::Between } else { SplitState::BehindElement };
        Some(self.record())
    }

    /// Whether the bracket before `at` opens the member `statuses` of the outermost object.
    fn is_page(&self) -> bool {
        if matches!(self.within, Within::Array | Within::Page) {
            return false;
        }
        let before = self.buffer[self.from..self.at - 1].trim_ascii_end();
        let name = before.strip_suffix(b":").map(<[u8]>::trim_ascii_end);
        let before_name = name.and_then(|name| name.strip_suffix(b"\"statuses\""));
        // Behind an array that was a page the rest begins with a comma, as any member does.
        before_name.is_some_and(|text| matches!(text.trim_ascii_end().last(), Some(b'{' | b',')))
    }

    /// Follows a string to its end.
    fn text(&mut self, depth: u32) -> Result<Option<Step>, Broken> {
        loop {
            let rest = &self.held()[self.at..];
            let end = memchr2(b'"', b'\\', rest);
            let line_end = if self.deciding {
                memchr(b'\n', &rest[..end.unwrap_or(rest.len())])
            } else {
                None
            };
            match (end, line_end) {
                (_, Some(_)) => {
                    self.lines();
                    return Ok(None);
                }
                (None, _) => {
                    self.at = self.end;
                    return self.more("the input ends within a string");
                }
                (Some(end), _) if rest[end] == b'"' => {
                    self.at += end + 1;
                    if depth > 0 {
                        self.place = SplitState::Value { depth };
                        return Ok(None);
                    }
                    return Ok(self.behind_value());
                }
                // An escape: whatever stands behind the backslash is text.
                (Some(end), _) if end + 1 < rest.len() => self.at += end + 2,
                (Some(end), _) => {
                    self.at += end;
                    return self.more("the input ends within a string");
                }
            }
        }
    }

    fn scalar(&mut self) -> Step {
        let ends = |byte: &u8| matches!(byte, b',' | b']' | b' ' | b'\t' | b'\r' | b'\n');
        match self.held()[self.at..].iter().position(ends) {
            Some(end) => self.at += end,
            // At the end of the input, what is missing behind the element is reported.
            None if self.ended => self.at = self.end,
            None => {
                self.at = self.end;
                return Step::More;
            }
        }
        self.place = SplitState::BehindElement;
        self.record()
    }

    /// The next line that is not blank, without its end.
    fn line(&mut self) -> Option<Step> {
        let end = memchr(b'\n', &self.held()[self.at..]).map(|end| self.at + end);
        let (end, next) = match end {
            Some(end) => (end, end + 1),
            None if self.ended && self.from == self.end => return Some(Step::End),
            None if self.ended => (self.end, self.end),
            None => {
                self.at = self.end;
                return Some(Step::More);
            }
        };
        let start = std::mem::replace(&mut self.from, next);
        self.at = next;
        let line = &self.buffer[start..end];
        let length = line.strip_suffix(b"\r").unwrap_or(line).len();
        let is_blank = line.trim_ascii().is_empty();
        (!is_blank).then_some(Step::Record(start..start + length))
    }
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;

//! Server-sent events, as the HTML standard defines them: fields in lines, a blank line ends an
//! event, a line that begins with a colon is a comment, which servers send as a keep-alive.
//!
//! Invariant: events do not depend on how the bytes were cut. An event that is too large is skipped
//! and reported. It knows nothing of what events mean.

use std::collections::VecDeque;

/// What a server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// A comment.
    KeepAlive,
    /// An event with its name and data.
    Event {
        /// `event:`; `message` if there is none.
        name: String,
        /// The lines of `data:` with line feeds between.
        data: Vec<u8>,
    },
    /// An event of at least so many bytes, which is lost.
    Oversized(usize),
}

/// Bytes that become events.
pub(crate) struct Events {
    /// The line that is being read, as far as it is kept.
    line: Vec<u8>,
    line_size: usize,
    /// The last byte was a CR, whose LF belongs to it.
    is_after_cr: bool,
    name: String,
    data: Vec<u8>,
    has_data: bool,
    /// Bytes of this event's lines, kept or not.
    size: usize,
    most: usize,
}

impl Events {
    /// Events of at most `most` bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            line: Vec::new(),
            line_size: 0,
            is_after_cr: false,
            name: String::new(),
            data: Vec::new(),
            has_data: false,
            size: 0,
            most,
        }
    }

    /// Reads bytes as they were received.
    pub(crate) fn push(&mut self, bytes: &[u8], sent: &mut VecDeque<Sent>) {
        for &byte in bytes {
            let is_after_cr = std::mem::take(&mut self.is_after_cr);
            match byte {
                b'\n' if is_after_cr => {}
                b'\n' | b'\r' => {
                    self.is_after_cr = byte == b'\r';
                    sent.extend(self.end_line());
                }
                byte => {
                    self.line_size += 1;
                    // The first byte says whether it is a comment.
                    if self.line_size == 1 || self.size + self.line_size <= self.most {
                        self.line.push(byte);
                    }
                }
            }
        }
    }

    fn end_line(&mut self) -> Option<Sent> {
        let (line, size) = (std::mem::take(&mut self.line), std::mem::take(&mut self.line_size));
        if size == 0 {
            return self.end_event();
        }
        let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line);
        if line.first() == Some(&b':') {
            return Some(Sent::KeepAlive);
        }
        self.size += size;
        if self.size > self.most {
            return None;
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => self.name = String::from_utf8_lossy(value).into_owned(),
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
            }
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<Sent> {
        let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        let size = std::mem::take(&mut self.size);
        let has_data = std::mem::take(&mut self.has_data);
        if size > self.most {
            return Some(Sent::Oversized(size));
        }
        let name = if name.is_empty() { "message".to_owned() } else { name };
        has_data.then_some(Sent::Event { name, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};

    fn event(name: &str, data: &str) -> Sent {
        Sent::Event { name: name.to_owned(), data: data.as_bytes().to_vec() }
    }

    #[test]
    fn events_do_not_depend_on_the_cuts() {
        let large = "x".repeat(70);
        let text = format!(
            ":)\n:thump\n\nevent: update\ndata: {{\"content\":\"ü💡\"}}\n\nevent:delete\r\ndata:12\r\n\
             \r\ndata: {large}\ndata: more\n:thump\n\ndata: one\rdata:  two\rdata\r\rid: 7\n\
             event: nothing\n\ndata: last\nretry: 3\n\nevent: update\ndata: cut"
        );
        let expected = [
            Sent::KeepAlive,
            Sent::KeepAlive,
            event("update", "{\"content\":\"ü💡\"}"),
            event("delete", "12"),
            Sent::KeepAlive,
            Sent::Oversized(86),
            event("message", "one\n two\n"),
            event("message", "last"),
        ];
        let mut random = rand_pcg::Pcg32::seed_from_u64(1);
        for most_cut in (1..=text.len()).chain((0..2_000).map(|_| 0)) {
            let (mut events, mut sent) = (Events::new(64), VecDeque::new());
            let mut rest = text.as_bytes();
            while !rest.is_empty() {
                let cut = if most_cut == 0 { random.random_range(1..30) } else { most_cut };
                let (now, later) = rest.split_at(cut.min(rest.len()));
                events.push(now, &mut sent);
                rest = later;
            }
            assert_eq!(sent, expected, "{most_cut}");
        }
    }

    #[test]
    fn an_endless_event_is_not_kept() {
        let (mut events, mut sent) = (Events::new(64), VecDeque::new());
        for _ in 0..1_000 {
            events.push(b"data: 0123456789\n", &mut sent);
            events.push(&[b'x'; 100], &mut sent);
        }
        assert!(events.data.len() < 200 && events.line.len() < 200);
        events.push(b"\n\n:\n\ndata: next\n\n", &mut sent);
        assert!(matches!(sent[0], Sent::Oversized(116_000)), "{:?}", sent[0]);
        assert_eq!(sent.make_contiguous()[1..], [Sent::KeepAlive, event("message", "next")]);
    }
}

//! Owns where the tweets of `produce` come from: lines of a file or of standard input, or made up.
//!
//! ```text
//! file, standard input or generator ── one thread ── batches, a few at most ──► the sender
//! ```
//!
//! A thread of its own, because reading standard input cannot be interrupted, and because making or
//! reading tweets is half of the work. Invariant: every line that is not blank leaves once, byte for
//! byte without its line end, in order; only its tweet id is looked for, for the record's key. It
//! does not judge what a line holds. Another form of input is one more [`Origin`].

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::key::tweet_id;
use super::synthetic::Synthetic;
use super::{ProduceArgs, ProduceError};

/// A batch is handed on when it holds so many bytes, or earlier when nothing more is at hand.
const BATCH_BYTES: usize = 256 << 10;
/// Batches that wait for the sender.
const BATCHES: usize = 4;
/// What is read at once.
const READ_BYTES: usize = 1 << 20;

/// Records in a row.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Per record: its tweet id, and where it ends in `bytes`.
    records: Vec<(Option<u64>, usize)>,
}

impl Batch {
    /// Tweet id and payload of each record.
    pub(super) fn records(&self) -> impl Iterator<Item = (Option<u64>, &[u8])> {
        let starts = std::iter::once(0).chain(self.records.iter().map(|(_, end)| *end));
        starts.zip(&self.records).map(|(start, &(id, end))| (id, &self.bytes[start..end]))
    }

    /// Appends what `write` writes, unless it says that there is nothing more.
    fn push(&mut self, origin: &mut Origin) -> Result<bool, ProduceError> {
        let start = self.bytes.len();
        let id = match origin.next(&mut self.bytes)? {
            Taken::Nothing => return Ok(false),
            Taken::Tweet(id) => Some(id),
            Taken::Line => tweet_id(&self.bytes[start..]),
        };
        self.records.push((id, self.bytes.len()));
        Ok(true)
    }
}

/// What the sender sees of the input.
pub(super) enum Next {
    /// Records to send.
    Batch(Batch),
    /// Nothing has come within the time given.
    Nothing,
    /// There is no more.
    End,
}

/// The running input.
pub(super) struct Input {
    batches: Receiver<Result<Batch, ProduceError>>,
    thread: Option<JoinHandle<()>>,
}

impl Input {
    /// Opens what `args` ask for and starts to read. The thread ends with its input, or when the
    /// `Input` is dropped; one that waits for standard input ends with the process.
    pub(super) fn start(args: &ProduceArgs) -> Result<Self, ProduceError> {
        let origin = Origin::open(args)?;
        let (sender, batches) = sync_channel(BATCHES);
        let thread = std::thread::Builder::new()
            .name("produce-input".to_owned())
            .spawn(move || feed(origin, &sender))
            .map_err(|source| ProduceError::System { doing: "starting a thread", source })?;
        Ok(Self { batches, thread: Some(thread) })
    }

    /// What comes within `wait`.
    pub(super) fn next(&mut self, wait: Duration) -> Result<Next, ProduceError> {
        match self.batches.recv_timeout(wait) {
            Ok(batch) => batch.map(Next::Batch),
            Err(RecvTimeoutError::Timeout) => Ok(Next::Nothing),
            Err(RecvTimeoutError::Disconnected) => {
                // A thread that panicked is no end of the input.
                if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
                    std::panic::resume_unwind(panic);
                }
                Ok(Next::End)
            }
        }
    }
}

/// Hands batches on until the input ends, fails, or nobody listens any more.
fn feed(mut origin: Origin, sender: &SyncSender<Result<Batch, ProduceError>>) {
    let mut more = true;
    while more {
        let mut batch =
            Batch { bytes: Vec::with_capacity(BATCH_BYTES * 5 / 4), ..Batch::default() };
        let mut failure = None;
        while more && batch.bytes.len() < BATCH_BYTES {
            match batch.push(&mut origin) {
                Ok(pushed) => more = pushed,
                Err(error) => (more, failure) = (false, Some(error)),
            }
            if !origin.at_hand() {
                break;
            }
        }
        if !batch.records.is_empty() && sender.send(Ok(batch)).is_err() {
            return;
        }
        // What was read before the failure has been handed on; nobody may listen any more.
        if let Some(error) = failure {
            drop(sender.send(Err(error)));
        }
    }
}

/// What an origin has appended.
enum Taken {
    /// A tweet whose id is known.
    Tweet(u64),
    /// Something that must be looked at.
    Line,
    /// Nothing: this is the end.
    Nothing,
}

enum Origin {
    Lines { path: String, reader: BufReader<Box<dyn Read + Send>> },
    Synthetic { generator: Box<Synthetic>, index: u64 },
}

impl Origin {
    fn open(args: &ProduceArgs) -> Result<Self, ProduceError> {
        let Some(path) = &args.input else {
            let generator = Box::new(Synthetic::new(args.seed));
            return Ok(Self::Synthetic { generator, index: 0 });
        };
        let path = path.display().to_string();
        if path == "-" {
            return Ok(Self::lines("standard input".to_owned(), Box::new(std::io::stdin())));
        }
        // A folder can be opened; only reading it fails.
        let file = File::open(&path).and_then(|file| {
            let folder = file.metadata()?.is_dir();
            if folder { Err(std::io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
        });
        match file {
            Ok(file) => Ok(Self::lines(path, Box::new(file))),
            Err(source) => Err(ProduceError::Open { path, source }),
        }
    }

    fn lines(path: String, reader: Box<dyn Read + Send>) -> Self {
        Self::Lines { path, reader: BufReader::with_capacity(READ_BYTES, reader) }
    }

    /// Appends the next payload, if there is one.
    fn next(&mut self, out: &mut Vec<u8>) -> Result<Taken, ProduceError> {
        match self {
            Self::Synthetic { generator, index } => {
                let id = generator.tweet(*index, out);
                *index += 1;
                Ok(Taken::Tweet(id))
            }
            Self::Lines { path, reader } => match next_line(reader, out) {
                Ok(true) => Ok(Taken::Line),
                Ok(false) => Ok(Taken::Nothing),
                Err(source) => Err(ProduceError::Read { path: path.clone(), source }),
            },
        }
    }

    /// Whether the next payload comes without waiting.
    fn at_hand(&self) -> bool {
        match self {
            Self::Synthetic { .. } => true,
            Self::Lines { reader, .. } => reader.buffer().contains(&b'\n'),
        }
    }
}

/// Appends the next line that is not blank, without its end; false where there is none.
fn next_line(reader: &mut impl BufRead, out: &mut Vec<u8>) -> std::io::Result<bool> {
    let start = out.len();
    while reader.read_until(b'\n', out)? > 0 {
        if out.ends_with(b"\n") {
            out.pop();
        }
        if out[start..].ends_with(b"\r") {
            out.pop();
        }
        if !out[start..].trim_ascii().is_empty() {
            return Ok(true);
        }
        out.truncate(start);
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids and payloads of an input of lines, read to its end through the thread's loop.
    fn read(text: &[u8]) -> Vec<(Option<u64>, Vec<u8>)> {
        let origin =
            Origin::lines("test".to_owned(), Box::new(std::io::Cursor::new(text.to_vec())));
        let (sender, batches) = sync_channel(1000);
        feed(origin, &sender);
        drop(sender);
        let batches: Vec<Batch> = batches.iter().map(Result::unwrap).collect();
        let records = batches.iter().flat_map(Batch::records);
        records.map(|(id, payload)| (id, payload.to_vec())).collect()
    }

    #[test]
    fn lines_leave_as_they_are_and_blank_ones_do_not() {
        let text =
            b"\n{\"id\":7}\r\n \t \r\n {\"id\":1,\"id_str\":\"9\"} \n\r\nno json\n{\"delete\":{}}";
        let expected: [(Option<u64>, &[u8]); 4] = [
            (Some(7), b"{\"id\":7}"),
            (Some(9), b" {\"id\":1,\"id_str\":\"9\"} "),
            (None, b"no json"),
            (None, b"{\"delete\":{}}"),
        ];
        let seen = read(text);
        let seen: Vec<_> = seen.iter().map(|(id, payload)| (*id, payload.as_slice())).collect();
        assert_eq!(seen, expected);
        assert!(read(b"").is_empty() && read(b"\n\r\n  ").is_empty());
    }

    #[test]
    fn lines_of_any_length_and_any_bytes_leave_once() {
        let lines: Vec<Vec<u8>> = (0..300_usize)
            .map(|number| vec![b'a' + u8::try_from(number % 26).unwrap(); 1 + number * number])
            .chain([vec![b'x'; 10 << 20], b"\xff\xfe\0\x01".to_vec(), b"last".to_vec()])
            .collect();
        let seen: Vec<Vec<u8>> =
            read(&lines.join(&b"\n"[..])).into_iter().map(|(_, payload)| payload).collect();
        assert!(seen == lines);
    }

    #[test]
    fn what_is_at_hand_does_not_wait_for_what_is_not() {
        let (first, mut writer) = std::io::pipe().unwrap();
        let origin = Origin::lines("pipe".to_owned(), Box::new(first));
        let (sender, batches) = sync_channel(4);
        let thread = std::thread::spawn(move || feed(origin, &sender));
        std::io::Write::write_all(&mut writer, b"{\"id\":1}\n{\"id\":2}\n{\"id\":").unwrap();
        let batch = batches.recv_timeout(Duration::from_secs(10)).unwrap().unwrap();
        assert_eq!(batch.records().map(|(id, _)| id).collect::<Vec<_>>(), [Some(1), Some(2)]);
        drop(writer);
        let last = batches.recv().unwrap().unwrap();
        assert_eq!(last.records().next(), Some((None, &b"{\"id\":"[..])));
        thread.join().unwrap();
    }
}

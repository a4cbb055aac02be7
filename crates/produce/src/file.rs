//! Owns the bytes of `--input`: a file or standard input, as it is, gzip or Zstandard, told apart
//! by the first bytes and not by the name.
//!
//! Several gzip members or Zstandard frames in a row are one input, as their own tools have it. An
//! end in the middle of one is an error. What is counted is what was read, before decompression.

use std::fs::File;
use std::io::{Cursor, Error, ErrorKind, Read, Result};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const GZIP: &[u8] = b"\x1f\x8b";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
/// A Zstandard file may begin with a frame to be skipped; its first byte is 0x50 to 0x5f.
const ZSTD_SKIPPABLE: &[u8] = b"\x2a\x4d\x18";

/// A file or standard input, with the count of the bytes that were read from it.
pub(super) struct Raw {
    bytes: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
    /// Whether reading never waits for a writer.
    pub(super) is_at_hand: bool,
}

impl Raw {
    /// Opens a file, or standard input for `-`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::new(Box::new(std::io::stdin())));
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        // A folder can be opened; only reading it fails.
        if metadata.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        Ok(Self { is_at_hand: metadata.is_file(), ..Self::new(Box::new(file)) })
    }

    pub(super) fn new(bytes: Box<dyn Read + Send>) -> Self {
        Self { bytes, read: Arc::default(), is_at_hand: false }
    }

    /// The count.
    pub(super) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read)
    }
}

impl Read for Raw {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        let read = self.bytes.read(out)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// The bytes, uncompressed.
pub(super) enum Plain {
    /// Nothing has been read; reading may wait, so that opening must not.
    New(Option<Raw>),
    /// It is known what they are.
    Known(Box<dyn Read + Send>),
}

impl Read for Plain {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        loop {
            match self {
                Self::Known(bytes) => return bytes.read(out),
                Self::New(raw) => {
                    let raw = raw.take().ok_or_else(|| Error::other("it failed before"))?;
                    *self = Self::Known(recognise(raw)?);
                }
            }
        }
    }
}

fn recognise(mut raw: Raw) -> Result<Box<dyn Read + Send>> {
    let mut head = Vec::new();
    // Byte by byte: where tweets come slowly, no more is waited for than it takes.
    while may_be(&head) && raw.by_ref().take(1).read_to_end(&mut head)? > 0 {}
    let is_zstd = head == ZSTD || is_skippable(&head) && head.len() == ZSTD.len();
    let is_gzip = head == GZIP;
    let bytes = Cursor::new(head).chain(raw);
    Ok(if is_gzip {
        Box::new(flate2::read::MultiGzDecoder::new(bytes))
    } else if is_zstd {
        Box::new(zstd::stream::read::Decoder::new(bytes)?)
    } else {
        Box::new(bytes)
    })
}

/// Whether more bytes could make this the beginning of a compressed file.
fn may_be(head: &[u8]) -> bool {
    let begins = |magic: &[u8]| head.len() < magic.len() && magic.starts_with(head);
    begins(GZIP) || begins(ZSTD) || is_skippable(head) && head.len() < ZSTD.len()
}

fn is_skippable(head: &[u8]) -> bool {
    let Some((first, rest)) = head.split_first() else { return false };
    (0x50..=0x5f).contains(first) && ZSTD_SKIPPABLE.starts_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn plain(bytes: &[u8]) -> Result<Vec<u8>> {
        let raw = Raw::new(Box::new(Cursor::new(bytes.to_vec())));
        let (counter, mut out) = (raw.counter(), Vec::new());
        Plain::New(Some(raw)).read_to_end(&mut out)?;
        assert_eq!(counter.load(Ordering::Relaxed), bytes.len() as u64);
        Ok(out)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        zstd::stream::encode_all(text, 3).unwrap()
    }

    #[test]
    fn what_is_compressed_is_known_by_its_bytes() {
        let texts = [&b""[..], b"{", b"[]", b"(", b"Pxyz", b"\x1f", b"\x28\xb5", b"{\"id\":1}\n"];
        for text in texts {
            assert_eq!(plain(text).unwrap(), text);
            assert_eq!(plain(&gzip(text)).unwrap(), text);
            assert_eq!(plain(&zstd(text)).unwrap(), text);
        }
    }

    #[test]
    fn members_and_frames_follow_one_another() {
        let twice = |part: fn(&[u8]) -> Vec<u8>| [part(b"one\n"), part(b""), part(b"two")].concat();
        let skipped = [b"\x5a\x2a\x4d\x18\x03\0\0\0abc", &zstd(b"one\ntwo")[..]].concat();
        for bytes in [twice(gzip), twice(zstd), skipped] {
            assert_eq!(plain(&bytes).unwrap(), b"one\ntwo");
        }
    }

    #[test]
    fn an_end_within_is_an_error() {
        let text: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        for bytes in [gzip(&text), zstd(&text)] {
            for cut in [5, 9, bytes.len() / 2, bytes.len() - 1] {
                assert!(plain(&bytes[..cut]).is_err(), "{cut} of {}", bytes.len());
            }
            let mut bytes = bytes;
            let middle = bytes.len() / 2;
            bytes[middle..middle + 8].fill(0xff);
            assert!(plain(&bytes).is_err() || bytes.starts_with(ZSTD));
        }
    }
}

//! The bytes of a file, unpacked, and what it costs to keep one open.
//!
//! gzip: members one behind the other are one stream, empty ones too, and zeros behind a member are
//! padding, as gzip(1) has it. Zstandard: frames with any window. An end within either is an error.

use super::folder::Packing;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What the window of a packed file takes if its head does not say it.
const USUAL_WINDOW: u64 = 8 << 20;
/// The greatest window that Zstandard knows, as a power of two: `zstd --long=31`.
const WINDOW_LOG: u32 = 31;

/// Opens a regular file. Opening never waits, as it would for a pipe that took its place.
pub(super) fn open_file(path: &Path) -> Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it is no regular file"));
    }
    Ok(file)
}

/// The bytes of a file: of a plain one from `position` on, of a packed one from its first byte on.
pub fn open(path: &Path, packing: Packing, position: u64) -> Result<Box<dyn Read>> {
    let mut file = open_file(path)?;
    Ok(match packing {
        Packing::Plain => {
            file.seek(SeekFrom::Start(position))?;
            Box::new(file)
        }
        Packing::Gzip => Box::new(Gzip::Between(Some(BufReader::new(file)), true)),
        Packing::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(file)?;
            decoder.window_log_max(WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

/// Members of gzip.
enum Gzip<R> {
    /// Before a member, or at the end; whether none has begun yet.
    Between(Option<R>, bool),
    Within(flate2::bufread::GzDecoder<R>),
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        loop {
            match self {
                Gzip::Within(decoder) => {
                    let read = decoder.read(out)?;
                    if read > 0 || out.is_empty() {
                        return Ok(read);
                    }
                }
                Gzip::Between(reader, is_first) => {
                    let (Some(bytes), is_first) = (reader, *is_first) else {
                        return Err(Error::other("it failed before"));
                    };
                    match next_byte(bytes, is_first)? {
                        Some(0x1f) => {}
                        None if !is_first => return Ok(0),
                        None => return Err(ErrorKind::UnexpectedEof.into()),
                        Some(_) if is_first => {
                            return Err(Error::new(
                                ErrorKind::InvalidData,
                                "it is not packed by gzip",
                            ));
                        }
                        Some(_) => {
                            let text = "what follows the end of the gzip stream is no gzip";
                            return Err(Error::new(ErrorKind::InvalidData, text));
                        }
                    }
                }
            }
            let before = std::mem::replace(self, Gzip::Between(None, false));
            *self = match before {
                Gzip::Within(decoder) => Gzip::Between(Some(decoder.into_inner()), false),
                Gzip::Between(Some(reader), _) => {
                    Gzip::Within(flate2::bufread::GzDecoder::new(reader))
                }
                nothing @ Gzip::Between(None, _) => nothing,
            };
        }
    }
}

/// The next byte, which stays; behind a member one that is not 0.
fn next_byte(reader: &mut impl BufRead, is_first: bool) -> Result<Option<u8>> {
    loop {
        let bytes = match reader.fill_buf() {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            bytes => bytes?,
        };
        if bytes.is_empty() || is_first {
            return Ok(bytes.first().copied());
        }
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        if let Some(byte) = bytes.get(zeros) {
            let byte = *byte;
            reader.consume(zeros);
            return Ok(Some(byte));
        }
        reader.consume(zeros);
    }
}

/// Bytes of memory that reading takes beside the lines, by what the file's head says.
pub(super) fn memory(path: &Path, packing: Packing) -> u64 {
    let window = || {
        let mut head = [0; 18];
        let length = open_file(path).and_then(|mut file| file.read(&mut head)).ok()?;
        window(&head[..length])
    };
    match packing {
        Packing::Plain => 0,
        Packing::Gzip => 64 << 10,
        Packing::Zstd => window().unwrap_or(USUAL_WINDOW),
    }
}

/// The window of a Zstandard frame (RFC 8878, 3.1.1.1).
fn window(head: &[u8]) -> Option<u64> {
    let rest = head.strip_prefix(b"\x28\xb5\x2f\xfd")?;
    let (descriptor, rest) = rest.split_first()?;
    if descriptor & 0x20 == 0 {
        let window = rest.first()?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // A single segment: as large as what it holds.
    let skip = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let mut bytes = [0; 8];
    bytes[..size].copy_from_slice(rest.get(skip..skip + size)?);
    Some(u64::from_le_bytes(bytes) + if size == 2 { 256 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::{Packing, memory, open};
    use std::io::{Read, Write};

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        writer.write_all(text).expect("room");
        writer.finish().expect("room")
    }

    /// What can be read, and whether an error follows.
    fn unpacked(bytes: &[u8], packing: Packing) -> (Vec<u8>, Option<String>) {
        let place = tempfile::NamedTempFile::new().expect("room");
        std::fs::write(place.path(), bytes).expect("room");
        let mut reader = open(place.path(), packing, 0).expect("it is there");
        let (mut all, mut part) = (Vec::new(), [0; 7]);
        loop {
            match reader.read(&mut part) {
                Ok(0) => return (all, None),
                Ok(read) => all.extend_from_slice(&part[..read]),
                Err(error) => return (all, Some(error.to_string())),
            }
        }
    }

    #[test]
    fn members_and_padding_are_one_stream() {
        let (one, none, two) = (gzip(b"one\n"), gzip(b""), gzip(b"two\n"));
        let zeros = vec![0; 10_000];
        for parts in [
            vec![&one, &two],
            vec![&none, &one, &none, &two, &none],
            vec![&one, &two, &zeros],
            vec![&one, &zeros, &two],
        ] {
            let bytes: Vec<u8> = parts.into_iter().flatten().copied().collect();
            assert_eq!(unpacked(&bytes, Packing::Gzip), (b"one\ntwo\n".to_vec(), None));
        }
    }

    #[test]
    fn what_is_cut_or_damaged_is_an_error_behind_what_can_be_read() {
        let text: Vec<u8> = (0..60_000_u32).flat_map(|n| format!("{n}\n").into_bytes()).collect();
        let bytes = gzip(&text);
        for cut in [0, 5, 18, bytes.len() / 2, bytes.len() - 1] {
            let (read, error) = unpacked(&bytes[..cut], Packing::Gzip);
            assert!(error.is_some() && text.starts_with(&read), "{cut}");
            assert!(cut < 1_000 || read.len() > text.len() / 3, "{cut}");
        }
        let (read, error) = unpacked(&[&bytes[..], b"\0\0garbage"].concat(), Packing::Gzip);
        assert!(read == text && error.is_some_and(|error| error.contains("no gzip")));
        assert!(unpacked(b"{\"id\":1}\n", Packing::Gzip).1.is_some());
        let packed = zstd::encode_all(&text[..], 1).expect("room");
        assert_eq!(unpacked(&packed, Packing::Zstd), (text, None));
        assert!(unpacked(&packed[..packed.len() - 3], Packing::Zstd).1.is_some());
    }

    #[test]
    fn a_window_of_any_size_is_read_and_its_size_known() {
        for (log, expected) in [(20, 1 << 20), (31, 1 << 31)] {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("room");
            encoder.window_log(log).expect("it is known");
            encoder.long_distance_matching(log > 27).expect("it is known");
            encoder.write_all(b"{\"id\":1}\n").expect("room");
            let bytes = encoder.finish().expect("room");
            let place = tempfile::NamedTempFile::new().expect("room");
            std::fs::write(place.path(), &bytes).expect("room");
            assert_eq!(memory(place.path(), Packing::Zstd), expected);
            assert_eq!(unpacked(&bytes, Packing::Zstd), (b"{\"id\":1}\n".to_vec(), None));
        }
        let whole = zstd::bulk::compress(&[7; 1000], 3).expect("room");
        assert_eq!(super::window(&whole), Some(1_000));
    }
}

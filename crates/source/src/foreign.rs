//! What a file begins with: JSON objects, or something that people take for a file of tweets.
//!
//! It looks at the first bytes only, unpacked. The source and `produce` share it, so that both
//! refuse the same files with the same words. It does not read files.

use serde::de::IgnoredAny;
use std::fmt;

/// A look at so many bytes tells everything that can be told.
pub const HEAD_BYTES: usize = 128 << 10;
/// Where a tar archive says that it is one.
const TAR: std::ops::Range<usize> = 257..262;
const MARK: &[u8] = b"\xef\xbb\xbf";
/// Some tools write this line while no tweet comes.
const KEEP_ALIVE: &[u8] = b"keep-alive";

/// Not a file of tweets, one JSON object a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Text of 16 bits a character.
    Utf16,
    /// Packed by gzip, which its name does not say.
    Gzip,
    /// Packed by Zstandard, which its name does not say.
    Zstd,
    /// Not packed, although its name says so.
    NotPacked,
    /// Packed by bzip2.
    Bzip2,
    /// Packed by xz.
    Xz,
    /// A zip archive.
    Zip,
    /// A 7z archive.
    SevenZip,
    /// A tar archive.
    Tar,
    /// JavaScript of an account's own archive.
    Archive,
    /// A JSON array.
    Array,
    /// A JSON object over several lines.
    Lines,
    /// Other text: CSV, HTML, whatever.
    Text,
}

impl fmt::Display for Foreign {
    /// What it is, and the way on.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Foreign::Utf16 => "is UTF-16 text; convert it with iconv -f UTF-16 -t UTF-8",
            Foreign::Gzip => "is packed by gzip; let its name end in .gz",
            Foreign::Zstd => "is packed by Zstandard; let its name end in .zst",
            Foreign::NotPacked => "is not packed; let its name end without .gz or .zst",
            Foreign::Bzip2 => "is packed by bzip2, which is not read; unpack it with bunzip2",
            Foreign::Xz => "is packed by xz, which is not read; unpack it with unxz",
            Foreign::Zip => "is a zip archive, which is not read; unpack it with unzip",
            Foreign::SevenZip => "is a 7z archive, which is not read; unpack it",
            Foreign::Tar => "is a tar archive, which is not read; unpack it with tar -xf",
            Foreign::Archive => {
                "is JavaScript of an account's own archive, not one JSON object a line; its tweets \
                 say nothing of their author"
            }
            Foreign::Array => {
                "is a JSON array, not one object a line; jq -c '.[]' makes lines of it, and \
                 tweetflow produce --input reads it as it is"
            }
            Foreign::Lines => {
                "is not one JSON object a line: its first object goes over several lines; jq -c . \
                 makes one line of each, and tweetflow produce --input reads it as it is"
            }
            Foreign::Text => "is not one JSON object a line: it begins with other text",
        })
    }
}

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// More bytes must be seen.
    Unknown,
    /// An object.
    Object,
    /// An array.
    Array,
    /// Something else.
    Foreign(Foreign),
}

/// What `head` begins with; `is_whole` if no more follows.
#[allow(clippy::match_same_arms, reason = "each arm has its own reason")]
pub fn beginning(head: &[u8], is_whole: bool) -> Beginning {
    if let Some(foreign) = binary(head) {
        return Beginning::Foreign(foreign);
    }
    // Room that was given back: nothing is known of what stood there.
    if head.starts_with(&[0; 4]) {
        return Beginning::Object;
    }
    let mut text = head.strip_prefix(MARK).unwrap_or(head);
    loop {
        let blanks = text.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0);
        text = &text[blanks.count()..];
        let Some(rest) = text.strip_prefix(KEEP_ALIVE) else { break };
        text = rest;
    }
    match text.first() {
        None => Beginning::Unknown,
        // The second byte would be 0 in UTF-16.
        Some(b'{' | b'[') if text.len() == 1 && !is_whole => Beginning::Unknown,
        Some(b'{') => Beginning::Object,
        Some(b'[') => Beginning::Array,
        Some(_) if text.starts_with(b"window.") || text.starts_with(b"Grailbird.") => {
            Beginning::Foreign(Foreign::Archive)
        }
        Some(_) if is_whole || text.contains(&b'\n') || head.len() >= TAR.end => {
            Beginning::Foreign(Foreign::Text)
        }
        Some(_) => Beginning::Unknown,
    }
}

fn binary(head: &[u8]) -> Option<Foreign> {
    let is_wide = |pair: &[u8]| matches!(pair, [0, b'{' | b'['] | [b'{' | b'[', 0]);
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Some(Foreign::Utf16);
    }
    // Zeros may pad a line; two characters of 16 bits are no padding.
    if head.len() >= 4 && is_wide(&head[..2]) && (head[0] == 0) == (head[2] == 0) {
        return Some(Foreign::Utf16);
    }
    if head.get(TAR) == Some(b"ustar") {
        return Some(Foreign::Tar);
    }
    let known = [
        (&b"\x1f\x8b"[..], Foreign::Gzip),
        (b"\x28\xb5\x2f\xfd", Foreign::Zstd),
        (b"BZh", Foreign::Bzip2),
        (b"\xfd7zXZ\0", Foreign::Xz),
        (b"PK\x03\x04", Foreign::Zip),
        (b"7z\xbc\xaf\x27\x1c", Foreign::SevenZip),
    ];
    known.into_iter().find_map(|(magic, foreign)| head.starts_with(magic).then_some(foreign))
}

/// The same where each line must be an object. What is not yet known passes.
pub fn of_lines(head: &[u8], is_whole: bool) -> Option<Foreign> {
    match beginning(head, is_whole) {
        Beginning::Foreign(foreign) => Some(foreign),
        Beginning::Array => Some(Foreign::Array),
        Beginning::Object if is_over_lines(head) => Some(Foreign::Lines),
        Beginning::Object | Beginning::Unknown => None,
    }
}

/// Whether the first object goes on behind its line: no JSON ends there, and none begins on the
/// next.
fn is_over_lines(head: &[u8]) -> bool {
    let lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut lines = lines.filter(|line| !line.is_empty() && *line != KEEP_ALIVE);
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else { return false };
    let first = first.strip_prefix(MARK).unwrap_or(first);
    let read = serde_json::from_slice::<IgnoredAny>(first);
    second[0] != b'{' && read.is_err_and(|error| error.is_eof())
}

/// What a name says of a file that is packed in a way that is not read.
pub fn is_packed_otherwise(name: &[u8]) -> bool {
    let ends = [&b".bz2"[..], b".xz", b".zip", b".7z", b".tar", b".tgz", b".lz4", b".br", b".rar"];
    ends.iter().any(|end| {
        name.len() > end.len() && name[name.len() - end.len()..].eq_ignore_ascii_case(end)
    })
}

#[cfg(test)]
mod tests {
    use super::{Beginning, Foreign, beginning, of_lines};

    #[test]
    fn what_is_foreign_is_known_by_its_first_bytes() {
        let mut tar = vec![b'a'; 300];
        tar[257..262].copy_from_slice(b"ustar");
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        for (head, foreign) in [
            (b"\xff\xfe{\0".to_vec(), Foreign::Utf16),
            (utf16("{\"id\":1}\n"), Foreign::Utf16),
            (b"\0{\0\"\0i".to_vec(), Foreign::Utf16),
            (b"PK\x03\x04\x14\0".to_vec(), Foreign::Zip),
            (b"BZh91AY&SY".to_vec(), Foreign::Bzip2),
            (b"\xfd7zXZ\0\0\x04".to_vec(), Foreign::Xz),
            (b"7z\xbc\xaf\x27\x1c\0\x04".to_vec(), Foreign::SevenZip),
            (tar, Foreign::Tar),
            (b"\x1f\x8b\x08\0".to_vec(), Foreign::Gzip),
            (b"window.YTD.tweets.part0 = [ {".to_vec(), Foreign::Archive),
            (b"id,text\n1,x\n".to_vec(), Foreign::Text),
            (b"<html>".to_vec(), Foreign::Text),
            (b" [\n {\"id\":1}".to_vec(), Foreign::Array),
            (b"[]".to_vec(), Foreign::Array),
            (b"{\n  \"id\": 1\n}\n".to_vec(), Foreign::Lines),
            (b"\xef\xbb\xbf{\"a\": [\r\n1,2]}".to_vec(), Foreign::Lines),
            (b"{\n}".to_vec(), Foreign::Lines),
        ] {
            let text = String::from_utf8_lossy(&head);
            assert_eq!(of_lines(&head, true), Some(foreign), "{text}");
        }
    }

    #[test]
    fn lines_of_objects_pass() {
        for head in [
            "",
            "\n\n",
            "{\"id\":1}",
            "{\"id\":1}\nnot json\n",
            "\u{feff}{\"id\":1}\n{\n",
            "{\"id\":1,\n{\"id\":2}\n",
            "keep-alive\r\n\nkeep-alive\n{}",
            "{\"id\"",
            "\0\0{\"id\":1}",
            "\0\0\0\0\0id\":1}\n{}",
        ] {
            assert_eq!(of_lines(head.as_bytes(), true), None, "{head:?}");
        }
    }

    #[test]
    fn a_part_says_no_more_than_it_can() {
        let whole = b"keep-alive\n{\"id\":1}\n";
        for length in 0..=whole.len() {
            let found = beginning(&whole[..length], false);
            assert!(matches!(found, Beginning::Unknown | Beginning::Object), "{length}: {found:?}");
        }
        assert_eq!(beginning(b"ab", false), Beginning::Unknown);
        assert_eq!(beginning(b"[", true), Beginning::Array);
    }
}

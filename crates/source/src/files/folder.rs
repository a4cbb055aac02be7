//! A folder as a topic: which files are partitions, and what their numbers are.
//!
//! A partition's number is a function of its file's name alone, so that files may be added in any
//! order: `partition-7.ndjson` is partition 7, any other name gets a number from 2³¹ on by its
//! hash. Each regular file is one partition, however many names lead to it: by device and inode,
//! and a name without symbolic links goes first. Nothing is opened here.

use super::SourceError;
use crate::foreign;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use types::Text;

/// Characters of a file's name that are shown and stored.
const NAME_CHARACTERS: usize = 255;

/// How a partition's bytes are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// As they are; the file may grow.
    Plain,
    /// gzip; complete.
    Gzip,
    /// Zstandard; complete.
    Zstd,
}

/// A partition's file.
#[derive(Clone, Debug)]
pub struct PartitionFile {
    /// Where it is.
    pub path: PathBuf,
    /// How it is packed.
    pub packing: Packing,
    /// Its name within the folder, as it is shown.
    pub(super) name: Text,
}

/// The partitions, by number.
pub(super) type Files = BTreeMap<u32, PartitionFile>;

/// What a folder and its subfolders hold.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) files: Files,
    /// Files whose names are none of a partition.
    pub(super) others: u64,
    /// Of these, files that are packed in a way that is not read.
    pub(super) packed_otherwise: u64,
    /// What is skipped although its name is one of a partition, or cannot be looked at; and why.
    pub(super) skipped: Vec<(PathBuf, String)>,
}

/// Looks at the folder and its subfolders.
pub(super) fn list(folder: &Path) -> Result<Listing, SourceError> {
    let fault = |source| SourceError::File { path: folder.to_owned(), source };
    let root = std::fs::metadata(folder).map_err(fault)?;
    // Whether it can be read at all.
    std::fs::read_dir(folder).map_err(fault)?;
    let (links, listing) = Default::default();
    let mut walk = Walk { folder, seen: HashSet::from([id(&root)]), links, listing };
    walk.enter(folder.to_owned())?;
    // What has a name without symbolic links is known by it, whatever else leads there.
    while let Some(path) = walk.links.pop_first() {
        walk.scan(path, std::fs::metadata)?;
    }
    Ok(walk.listing)
}

fn id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

struct Walk<'a> {
    folder: &'a Path,
    seen: HashSet<(u64, u64)>,
    links: BTreeSet<PathBuf>,
    listing: Listing,
}

impl Walk<'_> {
    /// Looks at all that is in a folder, but for symbolic links.
    fn enter(&mut self, folder: PathBuf) -> Result<(), SourceError> {
        let mut folders = vec![folder];
        while let Some(inner) = folders.pop() {
            let entries = std::fs::read_dir(&inner).and_then(|entries| {
                entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<BTreeSet<_>>>()
            });
            let entries = match entries {
                Ok(entries) => entries,
                Err(error) => {
                    self.listing.skipped.push((inner, error.to_string()));
                    continue;
                }
            };
            for path in entries {
                folders.extend(self.scan(path, std::fs::symlink_metadata)?);
            }
        }
        Ok(())
    }

    /// Looks at one name; returns it if it is a folder to be entered.
    fn scan(
        &mut self,
        path: PathBuf,
        stat: fn(PathBuf) -> std::io::Result<Metadata>,
    ) -> Result<Option<PathBuf>, SourceError> {
        if path.file_name().is_none_or(|name| name.as_bytes().starts_with(b".")) {
            return Ok(None);
        }
        let metadata = match stat(path.clone()) {
            Ok(metadata) => metadata,
            Err(error) => {
                // A file may go while the folder is looked at; a link may lead nowhere.
                if error.kind() != std::io::ErrorKind::NotFound {
                    self.listing.skipped.push((path, error.to_string()));
                }
                return Ok(None);
            }
        };
        if metadata.is_symlink() {
            self.links.insert(path);
        } else if metadata.is_dir() {
            if self.seen.insert(id(&metadata)) {
                if path.is_symlink() {
                    self.enter(path)?;
                } else {
                    return Ok(Some(path));
                }
            }
        } else {
            self.add(path, &metadata)?;
        }
        Ok(None)
    }

    fn add(&mut self, path: PathBuf, metadata: &Metadata) -> Result<(), SourceError> {
        let Some(packing) = packing(&path) else {
            let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
            self.listing.others += 1;
            self.listing.packed_otherwise += u64::from(foreign::is_packed_otherwise(name));
            return Ok(());
        };
        if !metadata.is_file() {
            self.listing.skipped.push((path, "it is no regular file".to_owned()));
            return Ok(());
        }
        if !self.seen.insert(id(metadata)) {
            return Ok(());
        }
        let inner = path.strip_prefix(self.folder).unwrap_or(&path);
        let (number, name) = (number(inner), shown(inner));
        if let Some(other) = self.listing.files.get(&number) {
            let (first, second) = (other.path.clone(), path);
            return Err(SourceError::SameNumber { first, second });
        }
        self.listing.files.insert(number, PartitionFile { path, packing, name });
        Ok(())
    }
}

/// How a file is packed, by its name; `None` for a file that is no partition.
fn packing(path: &Path) -> Option<Packing> {
    let name = path.file_name()?.as_bytes();
    let (name, packing) = match name.iter().rposition(|byte| *byte == b'.') {
        Some(dot) if name[dot..].eq_ignore_ascii_case(b".gz") => (&name[..dot], Packing::Gzip),
        Some(dot)
            if name[dot..].eq_ignore_ascii_case(b".zst")
                || name[dot..].eq_ignore_ascii_case(b".zstd") =>
        {
            (&name[..dot], Packing::Zstd)
        }
        _ => (name, Packing::Plain),
    };
    let kind = &name[name.iter().rposition(|byte| *byte == b'.')?..];
    let is_kind = |wanted: &&[u8]| kind.eq_ignore_ascii_case(wanted);
    [&b".ndjson"[..], b".jsonl", b".json"].iter().any(is_kind).then_some(packing)
}

/// A partition's number, by its path within the folder. Packing a file changes no number.
fn number(path: &Path) -> u32 {
    let name = path.as_os_str().as_bytes();
    let ends = [&b".gz"[..], b".zst", b".zstd"];
    let name = ends.iter().find_map(|end| name.strip_suffix(*end)).unwrap_or(name);
    let digits =
        name.strip_prefix(b"partition-").and_then(|rest| rest.split(|b| *b == b'.').next());
    let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    // `parse` takes a sign as well.
    let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|digits| digits.parse::<u32>().ok()) {
        Some(number) if number < 1 << 31 => number,
        _ => {
            let hash = xxhash_rust::xxh3::xxh3_64(name);
            1 << 31 | u32::try_from(hash >> 33).unwrap_or_default()
        }
    }
}

/// A name as people and tables see it: in one line, valid, and not too long.
fn shown(path: &Path) -> Text {
    let name = path.to_string_lossy();
    let mut text = String::new();
    for c in name.chars() {
        if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
    }
    let more = text.chars().count().saturating_sub(NAME_CHARACTERS);
    if more > 0 {
        // The end of a path tells more.
        text = std::iter::once('…').chain(text.chars().skip(more + 1)).collect();
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::{Packing, list, number, packing, shown};
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    #[test]
    fn a_partition_is_known_by_its_name() {
        let packing = |name: &str| packing(Path::new(name));
        assert_eq!(packing("a.ndjson"), Some(Packing::Plain));
        assert_eq!(packing("a.b/c.JSON.GZ"), Some(Packing::Gzip));
        assert_eq!(packing("a.jsonl.zst"), Some(Packing::Zstd));
        for other in ["a.txt", "a", "a.gz", "json", "a.json.bz2"] {
            assert_eq!(packing(other), None, "{other}");
        }
    }

    #[test]
    fn a_number_hangs_on_the_name_alone() {
        let number = |name: &str| number(Path::new(name));
        assert_eq!(number("partition-0.ndjson"), 0);
        assert_eq!(number("partition-0017.ndjson.gz"), 17);
        assert!(number("partition-x.ndjson") >= 1 << 31);
        assert!(number("a/partition-1.ndjson") >= 1 << 31);
        assert_eq!(number("2011/09.json"), number("2011/09.json.zst"));
        assert_ne!(number("2011/09.json"), number("2011/10.json"));
    }

    #[test]
    fn names_are_any_bytes() {
        let name = |bytes: &'static [u8]| Path::new(OsStr::from_bytes(bytes));
        assert_eq!(packing(name(b"caf\xe9.jsonl")), Some(Packing::Plain));
        assert_ne!(number(name(b"caf\xe9.jsonl")), number(name(b"caf\xe8.jsonl")));
        assert_eq!(shown(name(b"caf\xe9 #1\n.jsonl")), "caf\u{fffd} #1\\n.jsonl");
        let long = format!("{}/end.jsonl", "x".repeat(999));
        let shown = shown(Path::new(&long));
        assert!(shown.chars().count() == 255 && shown.ends_with("/end.jsonl"), "{shown}");
    }

    #[test]
    fn each_regular_file_is_one_partition() {
        let place = tempfile::tempdir().expect("room");
        let folder = place.path().join("in");
        let inner = folder.join("b/c");
        std::fs::create_dir_all(&inner).expect("room");
        std::fs::write(inner.join("a.jsonl"), "{}\n").expect("room");
        std::fs::write(place.path().join("out.jsonl"), "{}\n").expect("room");
        std::fs::hard_link(inner.join("a.jsonl"), inner.join("hard.jsonl")).expect("room");
        for (to, from) in [
            (folder.clone(), inner.join("loop")),
            (folder.join("b"), folder.join("a")),
            (inner.join("a.jsonl"), folder.join("link.jsonl")),
            (place.path().join("out.jsonl"), folder.join("out.jsonl")),
            (place.path().join("nowhere"), folder.join("dead.jsonl")),
        ] {
            symlink(to, from).expect("room");
        }
        let socket = std::os::unix::net::UnixListener::bind(folder.join("s.jsonl"));
        let listing = list(&folder).expect("it is there");
        let mut names: Vec<_> = listing.files.values().map(|found| found.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["b/c/a.jsonl", "out.jsonl"]);
        if socket.is_ok() {
            assert_eq!(listing.skipped.len(), 1, "{:?}", listing.skipped);
        }
    }
}

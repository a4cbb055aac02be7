//! A folder as a topic: which files are partitions, and what their numbers are.
//!
//! A partition's number is a function of its file's name alone, so that files may be added in any
//! order: `partition-7.ndjson` is partition 7, any other name gets a number from 2³¹ on by its hash.
//! Nothing is opened here.

use super::SourceError;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How a partition's bytes are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// As they are; the file may grow.
    Plain,
    /// gzip; complete.
    Gzip,
    /// Zstandard; complete.
    Zstd,
}

/// A partition's file.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) packing: Packing,
}

/// The partitions in `folder` and its subfolders, and how many other files there are.
pub(super) fn list(folder: &Path) -> Result<(BTreeMap<u32, Found>, u64), SourceError> {
    let (mut found, mut others) = (BTreeMap::<u32, Found>::new(), 0);
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        let fault = |source| SourceError::File { path: inner.clone(), source };
        for entry in std::fs::read_dir(&inner).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            let (path, name) = (entry.path(), entry.file_name());
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            // Follows symbolic links.
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let Some(packing) = packing(&path) else {
                others += 1;
                continue;
            };
            let number = number(path.strip_prefix(folder).unwrap_or(&path));
            if let Some(other) = found.get(&number) {
                let (first, second) = (other.path.clone(), path);
                return Err(SourceError::SameNumber { first, second });
            }
            found.insert(number, Found { path, packing });
        }
    }
    Ok((found, others))
}

/// How a file is packed, by its name; `None` for a file that is no partition.
fn packing(path: &Path) -> Option<Packing> {
    let name = path.file_name()?.to_str()?.to_lowercase();
    let (name, packing) = match name.rsplit_once('.')? {
        (name, "gz") => (name, Packing::Gzip),
        (name, "zst" | "zstd") => (name, Packing::Zstd),
        _ => (&*name, Packing::Plain),
    };
    let (_, kind) = name.rsplit_once('.')?;
    matches!(kind, "ndjson" | "jsonl" | "json").then_some(packing)
}

/// A partition's number, by its path within the folder. Packing a file changes no number.
fn number(path: &Path) -> u32 {
    let name = path.to_string_lossy();
    let name = [".gz", ".zst", ".zstd"].iter().find_map(|end| name.strip_suffix(end));
    let name = name.map_or_else(|| path.to_string_lossy(), Into::into);
    let digits = name.strip_prefix("partition-").and_then(|rest| rest.split('.').next());
    match digits.and_then(|digits| digits.parse::<u32>().ok()) {
        Some(number) if number < 1 << 31 => number,
        _ => {
            let hash = xxhash_rust::xxh3::xxh3_64(name.as_bytes());
            1 << 31 | u32::try_from(hash >> 33).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Packing, number, packing};
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
}

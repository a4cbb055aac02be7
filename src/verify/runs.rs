//! Sorted runs: more keys than memory holds, each key once and in order at the end.
//!
//! What is added stands in a map; when that is as large as the bound, it goes into a temporary file
//! as one sorted run. Reading merges the runs and adds up what several of them say of one key
//! (external merge sort). Memory: the bound, then one buffer a run.

use super::model::State;
use dataflows::{Row, Value};
use itertools::Itertools;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Result, Seek, Write};

/// Number of a table, and the key columns of one of its rows.
pub(super) type Key = (u8, Row);

/// A key and what is known of it.
pub(super) type Entry = (Key, State);

/// What an entry costs in memory beside its text: map, boxes, allocator. An estimate.
const ENTRY_BYTES: usize = 200;

/// Keys and their states, in memory and in files.
pub(super) struct Runs {
    held: BTreeMap<Key, State>,
    held_bytes: usize,
    bound: usize,
    files: Vec<File>,
}

impl Runs {
    /// Holds about `bound` bytes in memory.
    pub(super) fn new(bound: usize) -> Self {
        Runs { held: BTreeMap::new(), held_bytes: 0, bound, files: Vec::new() }
    }

    /// Adds `state` to what is known of `key`.
    pub(super) fn add(&mut self, key: Key, state: State) -> Result<()> {
        match self.held.entry(key) {
            std::collections::btree_map::Entry::Occupied(mut held) => held.get_mut().add(state),
            std::collections::btree_map::Entry::Vacant(vacant) => {
                let (_, row) = vacant.key();
                self.held_bytes +=
                    ENTRY_BYTES + text_bytes(row) + state.row().map_or(0, text_bytes);
                vacant.insert(state);
            }
        }
        if self.held_bytes > self.bound { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> Result<()> {
        let mut run = BufWriter::new(tempfile::tempfile()?);
        for entry in std::mem::take(&mut self.held) {
            write(&mut run, &entry)?;
        }
        self.held_bytes = 0;
        let mut file = run.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.files.push(file);
        Ok(())
    }

    /// All entries by key, each key once.
    pub(super) fn into_sorted(self) -> impl Iterator<Item = Result<Entry>> {
        let held: Box<dyn Iterator<Item = Result<Entry>>> = Box::new(self.held.into_iter().map(Ok));
        let runs = self.files.into_iter().map(|file| {
            let run: Box<dyn Iterator<Item = Result<Entry>>> = Box::new(entries(file));
            run
        });
        let all = runs.chain([held]).kmerge_by(|one, other| match (one, other) {
            (Ok(one), Ok(other)) => one.0 < other.0,
            // A fault comes out as early as it can.
            (one, _) => one.is_err(),
        });
        let mut all = all.peekable();
        std::iter::from_fn(move || {
            let mut one = match all.next()? {
                Ok(one) => one,
                fault => return Some(fault),
            };
            while let Some(Ok(other)) =
                all.next_if(|next| matches!(next, Ok(next) if next.0 == one.0))
            {
                one.1.add(other.1);
            }
            Some(Ok(one))
        })
    }
}

fn text_bytes(row: &Row) -> usize {
    let bytes = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 0,
    };
    row.iter().map(|value| size_of::<Value>() + bytes(value)).sum()
}

/// Writes one value with its length before it.
pub(super) fn write(to: &mut impl Write, value: &impl serde::Serialize) -> Result<()> {
    let bytes = postcard::to_stdvec(value).map_err(std::io::Error::other)?;
    let length = u32::try_from(bytes.len()).map_err(std::io::Error::other)?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(&bytes)
}

/// Reads what [`write`] wrote; `None` at the end.
pub(super) fn read<T: serde::de::DeserializeOwned>(from: &mut impl Read) -> Result<Option<T>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut bytes = Vec::new();
    let length = u64::from(u32::from_le_bytes(length));
    if from.take(length).read_to_end(&mut bytes)? as u64 != length {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    postcard::from_bytes(&bytes).map(Some).map_err(std::io::Error::other)
}

/// The entries of a file, from where it stands.
pub(super) fn entries(file: impl Read) -> impl Iterator<Item = Result<Entry>> {
    let mut file = BufReader::with_capacity(1 << 16, file);
    std::iter::from_fn(move || read(&mut file).transpose())
}

#[cfg(test)]
mod tests {
    use super::{Runs, State, Value};

    #[test]
    fn what_is_spilled_comes_back_added_up_and_in_order() {
        let mut runs = Runs::new(1_000);
        for number in (0..100_u64).chain(50..150) {
            let key = (0, [Value::UInt(number * 7 % 150)].into());
            runs.add(key, State::Count(1)).expect("a temporary file");
        }
        assert!(runs.files.len() > 10);
        let found = runs.into_sorted().map(|entry| entry.expect("readable")).collect::<Vec<_>>();
        let wanted = |number: u64| {
            let times = (0..100).chain(50..150).filter(|n| n * 7 % 150 == number).count() as u64;
            ((0, [Value::UInt(number)].into()), State::Count(times))
        };
        assert_eq!(
            found,
            (0..150).map(wanted).filter(|e| e.1 != State::Count(0)).collect::<Vec<_>>()
        );
    }
}

//! Sorted runs: more keys than memory holds, each key once and in order at the end.
//!
//! What is added stands in a map; when that is as large as the bound, it goes into a temporary file
//! as one sorted run. Reading merges the runs and adds up what several of them say of one key
//! (external merge sort). Of many runs one is made before that: a process may have open only so
//! many files. Memory: the bound, then one buffer a run.

use super::state::Tally;
use itertools::Itertools;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry::{Occupied, Vacant};
use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Result, Seek, Write};
use types::{Row, Value};

/// Number of a table, and the key columns of one of its rows.
pub(super) type Key = (u8, Row);

/// A key and what is known of it.
pub(super) type Entry = (Key, Tally);

/// What an entry costs in memory beside its text: map, boxes, allocator. An estimate.
const ENTRY_BYTES: usize = 200;

/// So many runs become one.
const WIDTH: usize = 64;

/// A key or a state, as far as runs must know it.
pub(super) trait Part: Clone + Serialize + DeserializeOwned + 'static {
    /// What it holds in memory beside itself.
    fn text_bytes(&self) -> usize;
}

/// What is known of a key.
pub(super) trait Sum: Part {
    /// Adds what another part of the topic says.
    fn add(&mut self, other: Self);
}

/// Keys and their states, in memory and in files.
pub(super) struct Runs<K = Key, S = Tally> {
    held: BTreeMap<K, S>,
    held_bytes: usize,
    bound: usize,
    /// Runs, then those that are made of [`WIDTH`] runs each, and so on.
    levels: Vec<Vec<File>>,
}

impl<K: Part + Ord, S: Sum> Runs<K, S> {
    /// Holds about `bound` bytes in memory.
    pub(super) fn new(bound: usize) -> Self {
        Runs { held: BTreeMap::new(), held_bytes: 0, bound, levels: Vec::new() }
    }

    /// What is in order already, in one file.
    pub(super) fn of_sorted(entries: impl Iterator<Item = Result<(K, S)>>) -> Result<Self> {
        Ok(Runs { levels: vec![vec![run(entries)?]], ..Runs::new(0) })
    }

    /// Adds `state` to what is known of `key`.
    pub(super) fn add(&mut self, key: K, state: S) -> Result<()> {
        match self.held.entry(key) {
            Occupied(mut held) => held.get_mut().add(state),
            Vacant(vacant) => {
                self.held_bytes += ENTRY_BYTES + vacant.key().text_bytes() + state.text_bytes();
                vacant.insert(state);
            }
        }
        if self.held_bytes > self.bound { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> Result<()> {
        let held = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        self.push(0, run(held.into_iter().map(Ok))?)
    }

    fn push(&mut self, level: usize, run: File) -> Result<()> {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        let runs = &mut self.levels[level];
        runs.push(run);
        if runs.len() < WIDTH {
            return Ok(());
        }
        let runs = std::mem::take(runs).into_iter().map(|file| boxed(from_the_start(file)));
        self.push(level + 1, self::run(merge::<K, S>(runs))?)
    }

    /// All entries by key, each key once.
    pub(super) fn into_sorted(self) -> impl Iterator<Item = Result<(K, S)>> {
        let files = self.levels.into_iter().flatten();
        let files = files.map(|file| boxed(from_the_start(file)));
        merge(files.chain([boxed(self.held.into_iter().map(Ok))]))
    }

    /// The same, to be read again.
    pub(super) fn sorted(&self) -> impl Iterator<Item = Result<(K, S)>> {
        let files = self.levels.iter().flatten().map(|file| boxed(from_the_start(file)));
        let held = self.held.iter().map(|(key, state)| Ok((key.clone(), state.clone())));
        merge(files.chain([boxed(held)]))
    }
}

type Boxed<'a, K, S> = Box<dyn Iterator<Item = Result<(K, S)>> + 'a>;

fn boxed<'a, K, S>(run: impl Iterator<Item = Result<(K, S)>> + 'a) -> Boxed<'a, K, S> {
    Box::new(run)
}

/// A temporary file of these entries.
fn run<K: Part, S: Part>(entries: impl Iterator<Item = Result<(K, S)>>) -> Result<File> {
    let mut run = BufWriter::new(tempfile::tempfile()?);
    for entry in entries {
        write(&mut run, &entry?)?;
    }
    run.into_inner().map_err(std::io::IntoInnerError::into_error)
}

fn from_the_start<K: Part, S: Part>(
    mut file: impl Read + Seek,
) -> impl Iterator<Item = Result<(K, S)>> {
    let fault = file.rewind().err().map(Err);
    fault.into_iter().chain(entries(file))
}

/// What several runs say of a key is added up.
fn merge<'a, K: Part + Ord + 'a, S: Sum + 'a>(
    runs: impl Iterator<Item = Boxed<'a, K, S>>,
) -> impl Iterator<Item = Result<(K, S)>> {
    let all = runs.kmerge_by(|one, other| match (one, other) {
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
        while let Some(Ok(other)) = all.next_if(|next| matches!(next, Ok(next) if next.0 == one.0))
        {
            one.1.add(other.1);
        }
        Some(Ok(one))
    })
}

impl Part for Key {
    fn text_bytes(&self) -> usize {
        text_bytes(&self.1)
    }
}

impl Part for Tally {
    fn text_bytes(&self) -> usize {
        self.row().map_or(0, text_bytes)
    }
}

impl Sum for Tally {
    fn add(&mut self, other: Tally) {
        Tally::add(self, other);
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
pub(super) fn write(to: &mut impl Write, value: &impl Serialize) -> Result<()> {
    let bytes = postcard::to_stdvec(value).map_err(std::io::Error::other)?;
    let length = u32::try_from(bytes.len()).map_err(std::io::Error::other)?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(&bytes)
}

/// Reads what [`write()`] wrote; `None` at the end.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl Read) -> Result<Option<T>> {
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
pub(super) fn entries<T: DeserializeOwned>(file: impl Read) -> impl Iterator<Item = Result<T>> {
    let mut file = BufReader::with_capacity(1 << 16, file);
    std::iter::from_fn(move || read(&mut file).transpose())
}

#[cfg(test)]
mod tests {
    use super::{Entry, Runs, Tally, Value, WIDTH};

    #[test]
    fn what_is_spilled_comes_back_added_up_and_in_order() {
        let mut runs = Runs::new(400);
        for number in (0..100_u64).chain(50..150) {
            let key = (0, [Value::UInt(number * 7 % 150)].into());
            runs.add(key, Tally::Count(1)).expect("a temporary file");
        }
        assert!(runs.levels.len() > 1 && runs.levels.iter().all(|runs| runs.len() < WIDTH));
        let wanted = |number: u64| {
            let times = (0..100).chain(50..150).filter(|n| n * 7 % 150 == number).count();
            let times = i64::try_from(times).expect("few");
            ((0, [Value::UInt(number)].into()), Tally::Count(times))
        };
        let wanted = (0..150).map(wanted).filter(|e| e.1 != Tally::Count(0)).collect::<Vec<_>>();
        let all = |sorted: &mut dyn Iterator<Item = std::io::Result<Entry>>| {
            sorted.map(|entry| entry.expect("readable")).collect::<Vec<_>>()
        };
        for _ in 0..2 {
            assert_eq!(all(&mut runs.sorted()), wanted, "it can be read again");
        }
        let once = Runs::of_sorted(runs.into_sorted()).expect("a temporary file");
        assert_eq!(once.levels.iter().flatten().count(), 1);
        assert_eq!(all(&mut once.into_sorted()), wanted);
    }
}

//! Tweets into a folder of partition files, for a job that follows it in the same process.
//!
//! The folder is a topic with a bounded size: what the job has counted is freed again, but for the
//! newest part, without moving anything (holes at the beginning of the files). The writer waits
//! when it is too far ahead of the job. Invariant: every record of the input is in the folder once,
//! in order by partition, also after a kill: a note says how long the files were after so many
//! records, and what stands behind that is counted again. A line without its end is taken back.

use super::ProduceError;
use super::input::{Input, InputBatch, InputPosition, Next, Reading};
use super::pace::Pace;
use rustix::fs::{FallocateFlags, fallocate};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use synth::Synthetic;

/// Lines are handed to the files at least so often.
const WRITE_TIME: Duration = Duration::from_millis(10);
/// The note is written, and room is freed, so often.
const NOTE_TIME: Duration = Duration::from_millis(500);
/// Bytes of a partition that are gathered before they are written.
const WRITE_BYTES: usize = 256 << 10;
/// Holes are made of whole blocks of this size.
const BLOCK: u64 = 1 << 20;

/// Of synthetic tweets.
const SEED: u64 = 7;

/// What is written where.
#[derive(Clone, Debug)]
pub struct FolderSettings {
    /// The folder; it exists.
    pub folder: PathBuf,
    /// Number of partitions.
    pub partitions: u32,
    /// Tweets to write; synthetic ones if there is none.
    pub input: Option<PathBuf>,
    /// Tweets per second; as fast as the job counts if there is none.
    pub rate: Option<f64>,
    /// Stop after so many tweets.
    pub limit: Option<u64>,
    /// Bytes on disk.
    pub room: u64,
}

/// Where the writer was.
#[derive(Debug, Default, Serialize, Deserialize)]
struct FolderProgressNote {
    /// Records written.
    records: u64,
    /// How long each partition's file was then.
    lengths: Vec<u64>,
}

/// Writes until the input ends, the limit is reached or `stop` is set; returns how many records
/// were written. `counted` tells the first offset of each partition that the job has not counted.
pub fn run(
    settings: &FolderSettings,
    stop: &AtomicBool,
    counted: &dyn Fn() -> BTreeMap<u32, u64>,
) -> Result<u64, ProduceError> {
    let mut writer = Writer::open(settings)?;
    let rate = settings.rate.unwrap_or(f64::INFINITY);
    let generator = || Synthetic::new(SEED).at_rate(rate);
    let mut reading = Reading::of(settings.input.as_deref(), generator)?;
    let hash = if settings.input.is_none() { SEED } else { 0 };
    reading.skip_to(InputPosition { records: writer.records, hash, place: None })?;
    let mut input = Input::start(reading)?;
    let mut pace = Pace::new(settings.rate, Instant::now());
    let began = writer.records;
    let limit = settings.limit.map_or(u64::MAX, |limit| began.saturating_add(limit));
    while writer.records < limit && !stop.load(Ordering::Relaxed) {
        match input.next(WRITE_TIME)? {
            Next::Batch(batch) => writer.take(&batch, &mut pace, (limit, stop), counted)?,
            Next::Nothing => writer.flush_if_due(counted)?,
            Next::End => break,
        }
    }
    writer.flush()?;
    writer.note()?;
    writer.free(&counted());
    Ok(writer.records - began)
}

/// One partition's file.
struct FolderPartition {
    path: PathBuf,
    file: File,
    /// Lines that are not written yet.
    lines: Vec<u8>,
    length: u64,
    /// Up to here it is a hole.
    freed: u64,
}

struct Writer<'a> {
    settings: &'a FolderSettings,
    partitions: Vec<FolderPartition>,
    records: u64,
    /// Whether the first record was looked at.
    is_begun: bool,
    written_at: Instant,
    noted_at: Instant,
    /// How much of the files the job has counted, at the last look.
    counted: u64,
}

impl<'a> Writer<'a> {
    /// Opens the files and finds out how many records they hold.
    fn open(settings: &'a FolderSettings) -> Result<Self, ProduceError> {
        let path = note_path(&settings.folder);
        let note: FolderProgressNote = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                FolderProgressNote::default()
            }
            Err(source) => return Err(ProduceError::Folder { path, source }),
        };
        let (mut records, mut partitions) = (note.records, Vec::new());
        for number in 0..settings.partitions {
            let path = settings.folder.join(format!("partition-{number}.ndjson"));
            let noted = note.lengths.get(number as usize).copied().unwrap_or_default();
            let opened = open(&path, noted);
            let (file, length, lines) =
                opened.map_err(|source| ProduceError::Folder { path: path.clone(), source })?;
            records += lines;
            partitions.push(FolderPartition { path, file, lines: Vec::new(), length, freed: 0 });
        }
        let now = Instant::now();
        Ok(Writer {
            settings,
            partitions,
            records,
            is_begun: false,
            written_at: now,
            noted_at: now,
            counted: 0,
        })
    }

    /// Takes the records of a batch when they are due.
    fn take(
        &mut self,
        batch: &InputBatch,
        pace: &mut Pace,
        (limit, stop): (u64, &AtomicBool),
        counted: &dyn Fn() -> BTreeMap<u32, u64>,
    ) -> Result<(), ProduceError> {
        for record in batch.records() {
            if !std::mem::replace(&mut self.is_begun, true)
                && record.payload.trim_ascii_start().first() != Some(&b'{')
                && let Some(path) = self.settings.input.clone()
            {
                return Err(ProduceError::NoJson { path });
            }
            loop {
                if self.records >= limit || stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let wait = if self.is_ahead() { WRITE_TIME } else { pace.wait(Instant::now) };
                if wait.is_zero() {
                    break;
                }
                self.flush_if_due(counted)?;
                std::thread::sleep(wait.min(WRITE_TIME));
            }
            let partition = self.records % self.partitions.len() as u64;
            let partition = &mut self.partitions[usize::try_from(partition).unwrap_or_default()];
            let line = partition.lines.len();
            partition.lines.extend_from_slice(record.payload);
            // A line feed within JSON is white space.
            for at in memchr::memchr_iter(b'\n', record.payload) {
                partition.lines[line + at] = b' ';
            }
            partition.lines.push(b'\n');
            self.records += 1;
            if partition.lines.len() >= WRITE_BYTES {
                self.flush()?;
            }
        }
        self.flush_if_due(counted)
    }

    /// Whether the job has so much left that more would only fill the disk.
    fn is_ahead(&self) -> bool {
        let written: u64 = self.partitions.iter().map(|partition| partition.length).sum();
        written.saturating_sub(self.counted) > self.settings.room / 2
    }

    fn flush_if_due(
        &mut self,
        counted: &dyn Fn() -> BTreeMap<u32, u64>,
    ) -> Result<(), ProduceError> {
        if self.written_at.elapsed() >= WRITE_TIME {
            self.written_at = Instant::now();
            self.flush()?;
            let counted = counted();
            self.counted = counted.values().sum();
            if self.noted_at.elapsed() >= NOTE_TIME {
                self.noted_at = Instant::now();
                self.note()?;
                self.free(&counted);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ProduceError> {
        for partition in &mut self.partitions {
            let written = partition.file.write_all(&partition.lines);
            written
                .map_err(|source| ProduceError::Folder { path: partition.path.clone(), source })?;
            partition.length += partition.lines.len() as u64;
            partition.lines.clear();
        }
        Ok(())
    }

    /// The note is there as a whole or not at all.
    fn note(&self) -> Result<(), ProduceError> {
        let lengths = self.partitions.iter().map(|partition| partition.length).collect();
        let path = note_path(&self.settings.folder);
        let new = path.with_extension("new");
        let text = serde_json::to_vec(&FolderProgressNote { records: self.records, lengths });
        let written = text
            .map_err(std::io::Error::from)
            .and_then(|text| std::fs::write(&new, text))
            .and_then(|()| std::fs::rename(&new, &path));
        written.map_err(|source| ProduceError::Folder { path, source })
    }

    /// Gives back the room of what was counted long before. Where the file system cannot, the files
    /// grow.
    fn free(&mut self, counted: &BTreeMap<u32, u64>) {
        let keep = self.settings.room / 2 / self.partitions.len() as u64;
        for (number, partition) in (0..).zip(&mut self.partitions) {
            let counted = counted.get(&number).copied().unwrap_or_default();
            let end = counted.saturating_sub(keep) / BLOCK * BLOCK;
            if end > partition.freed {
                let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                if let Err(error) = fallocate(&partition.file, hole, 0, end) {
                    tracing::debug!(%error, "the files of the demo grow");
                }
                partition.freed = end;
            }
        }
    }
}

fn note_path(folder: &Path) -> PathBuf {
    folder.join(".written")
}

/// Opens a file to append; takes back a line without its end. Returns the file's length and how
/// many lines stand behind `noted`.
fn open(path: &Path, noted: u64) -> std::io::Result<(File, u64, u64)> {
    let mut file = File::options().create(true).read(true).append(true).open(path)?;
    let mut length = noted.min(file.metadata()?.len());
    file.seek(SeekFrom::Start(length))?;
    let (mut reader, mut line, mut lines) = (BufReader::new(&file), Vec::new(), 0);
    while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        length += line.len() as u64;
        lines += 1;
        line.clear();
    }
    file.set_len(length)?;
    Ok((file, length, lines))
}

#[cfg(test)]
mod tests {
    use super::{FolderSettings, run};
    use std::collections::BTreeMap;
    use std::os::unix::fs::MetadataExt;
    use std::sync::atomic::AtomicBool;

    fn ids(folder: &std::path::Path) -> Vec<String> {
        let mut ids = Vec::new();
        for number in 0..4 {
            let path = folder.join(format!("partition-{number}.ndjson"));
            let text = std::fs::read_to_string(path).expect("it is there");
            let id =
                |line: &str| line.split("\"id_str\":\"").nth(1).map(|rest| rest[..12].to_owned());
            ids.extend(text.lines().map(|line| id(line).expect("a whole tweet")));
        }
        ids.sort();
        ids
    }

    fn settings(folder: &std::path::Path, limit: u64) -> FolderSettings {
        FolderSettings {
            folder: folder.to_owned(),
            partitions: 4,
            input: None,
            rate: None,
            limit: Some(limit),
            room: 64 << 20,
        }
    }

    #[test]
    fn a_second_run_goes_on_where_the_first_was_killed() {
        let (one, two) = (tempfile::tempdir().expect("room"), tempfile::tempdir().expect("room"));
        let (stop, nothing) = (AtomicBool::new(false), BTreeMap::new);
        run(&settings(one.path(), 1_000), &stop, &nothing).expect("it writes");
        run(&settings(two.path(), 300), &stop, &nothing).expect("it writes");
        let note = std::fs::read(two.path().join(".written")).expect("there is a note");
        run(&settings(two.path(), 300), &stop, &nothing).expect("it writes");
        // As after a kill: the note is old, and a line lacks its end.
        std::fs::write(two.path().join(".written"), note).expect("room");
        let path = two.path().join("partition-2.ndjson");
        let torn = std::fs::read_to_string(&path).expect("it is there") + "{\"id_str\":";
        std::fs::write(&path, torn).expect("room");
        run(&settings(two.path(), 400), &stop, &nothing).expect("it writes");
        assert_eq!(ids(two.path()), ids(one.path()));
    }

    #[test]
    fn what_is_counted_gives_its_room_back() {
        let place = tempfile::tempdir().expect("room");
        let folder = place.path().to_owned();
        let settings = FolderSettings { room: 16 << 20, ..settings(&folder, 15_000) };
        let lengths = || {
            let length = |number: u32| {
                let path = folder.join(format!("partition-{number}.ndjson"));
                (number, std::fs::metadata(path).map_or(0, |data| data.len()))
            };
            (0..4).map(length).collect::<BTreeMap<_, _>>()
        };
        // As if the job counted everything at once.
        run(&settings, &AtomicBool::new(false), &lengths).expect("it writes");
        let length: u64 = lengths().values().sum();
        let on_disk = |number: u32| {
            let path = folder.join(format!("partition-{number}.ndjson"));
            std::fs::metadata(path).map_or(0, |data| data.blocks() * 512)
        };
        let on_disk: u64 = (0..4).map(on_disk).sum();
        assert!(length > 48 << 20 && on_disk < length / 2, "{on_disk} of {length} bytes");
    }
}

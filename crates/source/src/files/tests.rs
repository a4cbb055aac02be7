//! A folder over starts, growth, damage and repair: each line is handed out once, and after each of
//! them the last record that was told is the one that stands there.

use super::{FilesConfig, FilesTopic};
use crate::{Polled, Source, SourceError, Topic, fingerprint};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use types::offsets::{LastRecord, PartitionOffsets};

/// What a job would have committed: records and how far that led, together.
#[derive(Default)]
struct Job {
    /// By partition: offset and text.
    records: BTreeMap<u32, Vec<(u64, String)>>,
    stored: BTreeMap<u32, PartitionOffsets>,
}

impl Job {
    fn take(&mut self, polled: Polled<'_>) {
        match polled {
            Polled::Record(record) => {
                let text = String::from_utf8(record.payload.expect("a line").to_vec());
                let records = self.records.entry(record.partition).or_default();
                let before = records.last().map(|(offset, _)| *offset);
                assert!(before.is_none_or(|before| before < record.offset), "out of order");
                records.push((record.offset, text.expect("text")));
            }
            Polled::Reached(reached) => {
                let (offset, text) = self.records[&reached.partition].last().expect("a record");
                assert_eq!(reached.offset, *offset, "it came elsewhere");
                assert_eq!(reached.hash, fingerprint(None, Some(text.as_bytes())), "{text}");
                let last = LastRecord { offset: reached.offset, ms: 0, hash: reached.hash };
                let next = reached.offset + 1;
                let stored = PartitionOffsets::fresh(reached.partition, 0);
                let stored =
                    PartitionOffsets { next, replay_from: next, last: Some(last), ..stored };
                self.stored.insert(reached.partition, stored);
            }
            Polled::End { partition, next } => {
                let stored = self.stored.get(&partition).map_or(0, |stored| stored.next);
                assert_eq!(next, stored, "it ends elsewhere");
            }
        }
    }

    /// All records and how far they led must have been told together.
    fn check(&self) {
        for (partition, records) in &self.records {
            let stored = self.stored.get(partition).and_then(|stored| stored.last);
            let last = records.last().map(|(offset, _)| *offset);
            assert_eq!(stored.map(|record| record.offset), last, "records without their offset");
        }
    }

    fn texts(&self) -> Vec<&str> {
        let mut texts: Vec<_> =
            self.records.values().flatten().map(|(_, text)| text.as_str()).collect();
        texts.sort_unstable();
        texts
    }

    fn plan(&self, topic: &FilesTopic) -> Result<Box<dyn Source>, SourceError> {
        topic.check()?;
        let stored: Vec<_> = self.stored.values().cloned().collect();
        let mut source = topic.open(Box::new(|| {}))?;
        for assignment in topic.plan(&stored)? {
            source.assign(&assignment)?;
        }
        Ok(source)
    }

    /// Reads until nothing has come for a while, or all is read.
    fn read(&mut self, source: &mut Box<dyn Source>, limit: usize) -> Result<(), SourceError> {
        let mut heard = Instant::now();
        while !source.is_finished() && heard.elapsed() < Duration::from_millis(30) {
            if source.poll(limit, &mut |polled| self.take(polled))? > 0 {
                heard = Instant::now();
            }
            self.check();
        }
        Ok(())
    }

    /// A run to the end; how many files it set aside.
    fn run(&mut self, folder: &Path) -> Result<u64, SourceError> {
        let topic = topic(folder, true);
        let mut source = self.plan(&topic)?;
        self.read(&mut source, 7)?;
        assert!(source.is_finished());
        Ok(Topic::set_aside(&topic))
    }
}

fn topic(folder: &Path, until_end: bool) -> FilesTopic {
    let folder = folder.to_owned();
    FilesTopic::new(FilesConfig { folder, topic: "t".to_owned(), until_end })
}

/// Of a simple congruential generator, which is enough to meet every case.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn line(random: &mut Random, number: u64) -> String {
    let fill = "x".repeat(usize::try_from(random.below(90)).expect("small"));
    format!("{{\"id\":{number},\"fill\":\"{fill}\"}}")
}

/// A file that grows by pieces of any size, blank lines and zeros among them, over starts at any
/// moment.
#[test]
fn each_line_comes_once_whatever_the_chunks_and_starts() {
    for seed in 0..60 {
        let place = tempfile::tempdir().expect("room");
        let path = place.path().join("a.jsonl");
        let (mut random, mut job) = (Random(seed), Job::default());
        let (mut bytes, mut lines) = (Vec::new(), Vec::new());
        for number in 0..80 {
            let text = line(&mut random, number);
            let end = ["\n", "\r\n", "\n\n", "\n \n", "\0\0\n", ",\n", "\n\n\n\r\n"];
            bytes.extend(text.as_bytes());
            bytes.extend(end[usize::try_from(random.below(7)).expect("small")].as_bytes());
            lines.push(text);
        }
        let mut written = 0;
        let follow = topic(place.path(), false);
        std::fs::write(&path, "").expect("room");
        while written < bytes.len() {
            let mut source = job.plan(&follow).expect("it is the same file");
            for _ in 0..random.below(6) {
                let more = usize::try_from(random.below(400)).expect("small");
                let end = bytes.len().min(written + more);
                let mut file = std::fs::File::options().append(true).open(&path).expect("there");
                file.write_all(&bytes[written..end]).expect("room");
                written = end;
                let limit = 1 + usize::try_from(random.below(9)).expect("small");
                for _ in 0..random.below(9) {
                    let visit = &mut |polled: Polled<'_>| job.take(polled);
                    source.poll(limit, visit).expect("it reads");
                    job.check();
                }
            }
            // Half a line at the end is none, for a run to the end neither.
            if random.below(4) == 0 {
                job.run(place.path()).expect("it is the same file");
            }
        }
        job.run(place.path()).expect("it is the same file");
        let mut expected: Vec<_> = lines.iter().map(String::as_str).collect();
        expected.sort_unstable();
        assert_eq!(job.texts(), expected, "seed {seed}");
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(text.as_bytes()).expect("room");
    writer.finish().expect("room")
}

/// A file that is cut anywhere: what can be read counts, other files too, and a whole file in its
/// place is read on exactly.
#[test]
fn a_cut_file_is_set_aside_and_read_on_when_it_is_whole() {
    for seed in 0..30 {
        let place = tempfile::tempdir().expect("room");
        let (mut random, mut job) = (Random(seed), Job::default());
        let lines: Vec<_> = (0..200).map(|number| line(&mut random, number)).collect();
        let end = ["\n", "\n\n", "\r\n \n"][usize::try_from(seed % 3).expect("small")];
        let text = lines.join(end) + end;
        let (name, whole) = if seed % 2 == 0 {
            ("a.jsonl.gz", gzip(&text))
        } else {
            ("a.jsonl.zst", zstd::encode_all(text.as_bytes(), 1).expect("room"))
        };
        let path = place.path().join(name);
        let cut = usize::try_from(random.below(whole.len() as u64)).expect("small");
        std::fs::write(&path, &whole[..cut]).expect("room");
        std::fs::write(place.path().join("b.jsonl"), "{\"b\":1}\n").expect("room");
        // An empty file of Zstandard is whole: it holds no frame.
        let set_aside = u64::from(cut > 0 || seed % 2 == 0);
        for _ in 0..2 {
            assert_eq!(job.run(place.path()).expect("others go on"), set_aside, "{cut}");
            assert!(job.texts().contains(&"{\"b\":1}"));
        }
        if seed % 3 == 0 {
            // Moved away, it holds up nothing.
            std::fs::remove_file(&path).expect("there");
            job.run(place.path()).expect("what was counted stays");
        }
        std::fs::write(&path, &whole).expect("room");
        assert_eq!(job.run(place.path()).expect("it is whole"), 0);
        let mut expected: Vec<_> = lines.iter().map(String::as_str).chain(["{\"b\":1}"]).collect();
        expected.sort_unstable();
        assert_eq!(job.texts(), expected, "seed {seed}");
    }
}

/// The same while the job runs.
#[test]
fn a_file_is_read_on_when_it_is_repaired_or_comes_back() {
    let place = tempfile::tempdir().expect("room");
    let mut random = Random(7);
    let lines: Vec<_> = (0..300).map(|number| line(&mut random, number)).collect();
    let whole = gzip(&(lines.join("\n") + "\n"));
    let (packed, plain) = (place.path().join("a.jsonl.gz"), place.path().join("b.jsonl"));
    std::fs::write(&packed, &whole[..whole.len() / 2]).expect("room");
    std::fs::write(&plain, "{\"b\":1}\n").expect("room");
    let (follow, mut job) = (topic(place.path(), false), Job::default());
    let mut source = job.plan(&follow).expect("it reads");
    job.read(&mut source, 512).expect("it reads");
    let count = job.texts().len();
    assert!((10..300).contains(&count) && Topic::set_aside(&follow) == 1, "{count}");
    let until = |reading: &mut Job, from: &mut Box<dyn Source>, expected: usize| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while reading.texts().len() < expected {
            assert!(Instant::now() < deadline, "{} of {expected}", reading.texts().len());
            reading.read(from, 512).expect("it reads");
        }
        assert_eq!(reading.texts().len(), expected);
    };
    std::fs::rename(&plain, place.path().join("moved")).expect("there");
    std::fs::write(&packed, &whole).expect("room");
    until(&mut job, &mut source, 301);
    assert_eq!(Topic::set_aside(&follow), 1, "the plain one is away");
    std::fs::rename(place.path().join("moved"), &plain).expect("there");
    let mut file = std::fs::File::options().append(true).open(&plain).expect("there");
    writeln!(file, "{{\"b\":2}}").expect("room");
    until(&mut job, &mut source, 302);
    // Another one in its place is none that comes back.
    std::fs::remove_file(&plain).expect("there");
    job.read(&mut source, 512).expect("it waits");
    std::fs::write(&plain, "{\"b\":8}\n{\"b\":9}\n{\"b\":0}\n").expect("room");
    let deadline = Instant::now() + Duration::from_secs(20);
    let error = loop {
        assert!(Instant::now() < deadline, "it is not seen");
        if let Err(error) = job.read(&mut source, 512) {
            break error;
        }
    };
    assert!(error.is_changed(), "{error}");
}

/// A file under a new name would count twice.
#[test]
fn a_renamed_file_is_refused() {
    for (name, other) in [("a.jsonl", "b.jsonl"), ("a.jsonl.gz", "b.jsonl.gz")] {
        let place = tempfile::tempdir().expect("room");
        let path = |file: &str| place.path().join(file);
        let text = "{\"a\":1}\n{\"a\":2}\n";
        let bytes = if name.ends_with("gz") { gzip(text) } else { text.into() };
        std::fs::write(path(name), &bytes).expect("room");
        let mut job = Job::default();
        job.run(place.path()).expect("it reads");
        let follow = topic(place.path(), false);
        job.plan(&follow).expect("it is there");
        let mut watch = follow.watch().expect("there");
        let known: Vec<_> = job.stored.keys().copied().collect();
        for stored in job.stored.values() {
            watch.compare(stored).expect("it is the same");
        }
        assert!(watch.added(&known).expect("there").is_empty());
        std::fs::rename(path(name), path(other)).expect("there");
        for error in [job.run(place.path()).err(), watch.added(&known).err()] {
            let error = error.expect("it is refused");
            assert!(matches!(error, SourceError::Renamed { .. }), "{error}");
        }
        // Another file beside it is read, and the old one stays counted.
        std::fs::remove_file(path(other)).expect("there");
        std::fs::write(path("c.jsonl"), "{\"a\":3}\n{\"a\":4}\n").expect("room");
        assert_eq!(watch.added(&known).expect("it is new").len(), 1);
        job.run(place.path()).expect("it reads");
        assert_eq!(job.texts().len(), 4);
    }
}

fn open_files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    entries.filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect()
}

/// Hundreds of files, packed and plain, take turns in few slots.
#[test]
fn few_of_many_files_are_open() {
    let place = tempfile::tempdir().expect("room");
    let mut random = Random(3);
    for number in 0..400 {
        let lines: Vec<_> = (0..9).map(|n| line(&mut random, number * 10 + n)).collect();
        let text = lines.join("\n");
        let (name, bytes) = if number % 2 == 0 {
            (format!("{number}.jsonl"), text.into_bytes())
        } else {
            (format!("{number}.jsonl.gz"), gzip(&text))
        };
        std::fs::write(place.path().join(name), bytes).expect("room");
    }
    let (topic, mut job) = (topic(place.path(), true), Job::default());
    let mut source = job.plan(&topic).expect("it reads");
    let mut most = 0;
    while !source.is_finished() {
        source.poll(2, &mut |polled| job.take(polled)).expect("it reads");
        job.check();
        let open = open_files();
        most = most.max(open.iter().filter(|path| path.starts_with(place.path())).count());
    }
    assert_eq!(job.texts().len(), 3_600);
    assert!((2..=129).contains(&most), "{most}");
}

/// Heartbeats wait for the end of a poll.
#[test]
fn a_poll_of_slow_lines_ends_early() {
    let place = tempfile::tempdir().expect("room");
    let line = format!("{{\"id\":1,\"fill\":\"{}\"}}\n", "x".repeat(8 << 10));
    std::fs::write(place.path().join("a.jsonl"), line.repeat(60)).expect("written");
    let job = Job::default();
    let mut source = job.plan(&topic(place.path(), true)).expect("it opens");
    let mut slow = |_: Polled<'_>| std::thread::sleep(Duration::from_millis(20));
    let handed_out = source.poll(60, &mut slow).expect("it reads");
    assert!((1..50).contains(&handed_out), "{handed_out}");
}

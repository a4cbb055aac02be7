//! `drain` and `decode`: the program's own source, and its own decoder behind it.

use crate::Result;
use decode::decode;
use source::kafka::{From, KafkaConfig, KafkaTopic};
use source::{Polled, Topic};
use std::hint::black_box;
use std::time::{Duration, Instant};
use types::Version;
use types::offsets::Assignment;
use types::settings::DecodeSettings;

/// How much of the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// Reads.
    Drain,
    /// Reads and decodes.
    Decode,
}

/// What one worker did.
struct Read {
    records: u64,
    bytes: u64,
    first: Option<Instant>,
    last: Instant,
}

/// Reads the topic to its end; returns a line like that of `tweetflow run`.
pub(crate) fn run(mode: Mode, brokers: &str, topic: &str, workers: u32) -> Result<String> {
    let topic = KafkaTopic::new(KafkaConfig {
        brokers: brokers.to_owned(),
        topic: topic.to_owned(),
        group: "tweetflow".to_owned(),
        from: From::Earliest,
        starts: std::collections::BTreeMap::new(),
        until_end: true,
        accept_gap: false,
        settings: Vec::new(),
    })?;
    let plan = topic.plan(&[])?;
    let read: Vec<Read> = std::thread::scope(|scope| {
        let start = |worker| {
            let of_worker =
                move |assignment: &&Assignment| assignment.partition % workers == worker;
            let mine: Vec<_> = plan.iter().filter(of_worker).cloned().collect();
            let topic = &topic;
            scope.spawn(move || read(mode, topic, &mine))
        };
        let threads: Vec<_> = (0..workers).map(start).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Read>>| {
            thread.join().unwrap_or_else(|_| Err("a reader panicked".into()))
        };
        threads.into_iter().map(join).collect::<Result<_>>()
    })?;
    let records: u64 = read.iter().map(|read| read.records).sum();
    let bytes: u64 = read.iter().map(|read| read.bytes).sum();
    let first = read.iter().filter_map(|read| read.first).min();
    let last = read.iter().map(|read| read.last).max();
    let elapsed = first.zip(last).map_or(Duration::ZERO, |(first, last)| last - first);
    Ok(format!("done records={records} bytes={bytes} seconds={:.3}", elapsed.as_secs_f64()))
}

/// One worker: as the pipeline reads, 512 records at a time.
fn read(mode: Mode, topic: &KafkaTopic, assignments: &[Assignment]) -> Result<Read> {
    let thread = std::thread::current();
    let mut source = topic.open(Box::new(move || thread.unpark()))?;
    for assignment in assignments {
        source.assign(assignment)?;
    }
    let settings = DecodeSettings { require_location: true, ..DecodeSettings::default() };
    let mut events = Vec::new();
    let mut read = Read { records: 0, bytes: 0, first: None, last: Instant::now() };
    while !source.is_finished() {
        let records = source.poll(512, &mut |polled| {
            let Polled::Record(record) = polled else { return };
            read.bytes += record.payload.map_or(0, |payload| payload.len() as u64);
            if mode == Mode::Decode {
                let version = Version {
                    tweet_id: 0,
                    record_ms: record.timestamp_ms,
                    partition: record.partition,
                    offset: record.offset,
                };
                events.clear();
                let _ =
                    black_box(decode(record.key, record.payload, version, settings, &mut events));
                black_box(&events);
            }
        })?;
        if records == 0 {
            std::thread::park_timeout(Duration::from_millis(100));
        } else {
            read.first.get_or_insert_with(Instant::now);
            read.records += records as u64;
        }
    }
    read.last = Instant::now();
    Ok(read)
}

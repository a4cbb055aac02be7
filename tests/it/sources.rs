//! One suite for every source: a Kafka topic, and folders of files, plain and packed. What `source`
//! promises and the pipeline rests on.

use crate::common::{fresh_topic, service};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use source::files::{FilesConfig, FilesTopic};
use source::kafka::{From, KafkaConfig, KafkaTopic};
use source::{Polled, Source, SourceError, Topic};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use types::offsets::Assignment;
use types::offsets::{LastRecord, PartitionOffsets};

/// Somewhere records can be put.
trait Bed {
    /// Adds records to a partition; makes it where it is missing.
    fn add(&mut self, partition: u32, records: &[String]);
    fn topic(&self, until_end: bool) -> Box<dyn Topic>;
    /// Whether records can be added to a partition that has some.
    const GROWS: bool = true;
}

struct Kafka {
    topic: String,
    partitions: u32,
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

impl Kafka {
    fn new(name: &str) -> Self {
        Kafka { topic: fresh_topic(name), partitions: 0 }
    }
}

impl Bed for Kafka {
    fn add(&mut self, partition: u32, records: &[String]) {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", service("TEST_KAFKA"));
        let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
        let wanted = usize::try_from(partition + 1).unwrap();
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
        if self.partitions == 0 {
            let new =
                NewTopic::new(&self.topic, partition.cast_signed() + 1, TopicReplication::Fixed(1));
            block_on(admin.create_topics([&new], &options)).unwrap()[0].clone().unwrap();
        } else if partition >= self.partitions {
            let more = NewPartitions::new(&self.topic, wanted);
            block_on(admin.create_partitions([&more], &options)).unwrap()[0].clone().unwrap();
        }
        self.partitions = self.partitions.max(partition + 1);
        let producer: BaseProducer = client.create().unwrap();
        for record in records {
            let record = BaseRecord::<(), str>::to(&self.topic).payload(record);
            producer.send(record.partition(partition.cast_signed())).unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
    }

    fn topic(&self, until_end: bool) -> Box<dyn Topic> {
        let config = KafkaConfig {
            brokers: service("TEST_KAFKA"),
            topic: self.topic.clone(),
            group: "tweetflow".to_owned(),
            from: From::Earliest,
            starts: BTreeMap::new(),
            until_end,
            accept_gap: false,
            settings: Vec::new(),
        };
        Box::new(KafkaTopic::new(config).unwrap())
    }
}

struct Folder<const PACKING: u8>(tempfile::TempDir);

impl<const PACKING: u8> Folder<PACKING> {
    fn path(&self, partition: u32) -> PathBuf {
        let end = ["", ".gz", ".zst"][usize::from(PACKING)];
        self.0.path().join(format!("partition-{partition}.ndjson{end}"))
    }
}

impl<const PACKING: u8> Bed for Folder<PACKING> {
    const GROWS: bool = PACKING == 0;

    fn add(&mut self, partition: u32, records: &[String]) {
        let text = records.join("\n") + "\n";
        let mut file =
            std::fs::File::options().create(true).append(true).open(self.path(partition)).unwrap();
        let bytes = match PACKING {
            0 => text.into_bytes(),
            1 => {
                let mut packed =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                packed.write_all(text.as_bytes()).unwrap();
                packed.finish().unwrap()
            }
            _ => zstd::encode_all(text.as_bytes(), 1).unwrap(),
        };
        file.write_all(&bytes).unwrap();
    }

    fn topic(&self, until_end: bool) -> Box<dyn Topic> {
        let folder = self.0.path().to_owned();
        Box::new(FilesTopic::new(FilesConfig { folder, topic: "t".to_owned(), until_end }))
    }
}

macro_rules! on_every_source {
    ($($name:ident),* $(,)?) => {
        mod kafka {
            $(#[test] fn $name() { super::$name(super::Kafka::new(concat!("src_", stringify!($name)))); })*
        }
        mod plain {
            $(#[test] fn $name() { super::$name(super::Folder::<0>(tempfile::tempdir().unwrap())); })*
        }
        mod gzip {
            $(#[test] fn $name() { super::$name(super::Folder::<1>(tempfile::tempdir().unwrap())); })*
        }
        mod zstandard {
            $(#[test] fn $name() { super::$name(super::Folder::<2>(tempfile::tempdir().unwrap())); })*
        }
    };
}

on_every_source! {
    every_record_comes_once_and_in_order,
    reading_goes_on_behind_any_record,
    the_end_is_the_one_seen_at_the_start,
    what_is_added_is_read,
    a_record_is_found_by_its_place,
    another_topic_is_refused,
}

fn records(partition: u32, range: std::ops::Range<u32>) -> Vec<String> {
    let record = |n: u32| {
        let fill = "x".repeat(usize::try_from(n * 7919 % 3000).unwrap());
        format!(r#"{{"id":{n},"partition":{partition},"fill":"{fill}ヒ"}}"#)
    };
    range.map(record).collect()
}

/// What a reader was handed: per partition the records, and how far it came.
#[derive(Default)]
struct Read {
    records: BTreeMap<u32, Vec<(u64, String)>>,
    stored: BTreeMap<u32, PartitionOffsets>,
}

impl Read {
    fn take(&mut self, polled: Polled<'_>) {
        match polled {
            Polled::Record(record) => {
                let text = String::from_utf8(record.payload.unwrap().to_vec()).unwrap();
                self.records.entry(record.partition).or_default().push((record.offset, text));
            }
            Polled::Reached(reached) => {
                let newest = self.records[&reached.partition].last().unwrap().0;
                assert_eq!(reached.offset, newest, "it came elsewhere");
                let last = LastRecord {
                    offset: reached.offset,
                    ms: reached.timestamp_ms,
                    hash: reached.hash,
                };
                let stored = PartitionOffsets {
                    partition: reached.partition,
                    start: 0,
                    next: reached.offset + 1,
                    replay_from: reached.offset + 1,
                    last: Some(last),
                    anchor: Some(last.anchor()),
                    file: "".into(),
                };
                self.stored.insert(reached.partition, stored);
            }
            Polled::End { .. } => {}
        }
    }

    fn texts(&self, partition: u32) -> Vec<String> {
        let records = self.records.get(&partition).into_iter().flatten();
        records.map(|(_, text)| text.clone()).collect()
    }

    fn stored(&self) -> Vec<PartitionOffsets> {
        self.stored.values().cloned().collect()
    }
}

fn open(topic: &dyn Topic, assignments: &[Assignment]) -> Box<dyn Source> {
    let mut source = topic.open(Box::new(|| {})).unwrap();
    for assignment in assignments {
        source.assign(assignment).unwrap();
    }
    source
}

/// Reads until `enough`, at most `limit` records a poll.
fn read(
    source: &mut Box<dyn Source>,
    read: &mut Read,
    limit: usize,
    enough: impl Fn(&Read, bool) -> bool,
) -> Result<(), SourceError> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !enough(read, source.is_finished()) {
        assert!(Instant::now() < deadline, "it does not come to its end");
        if source.poll(limit, &mut |polled| read.take(polled))? == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    Ok(())
}

fn every_record_comes_once_and_in_order(mut bed: impl Bed) {
    for partition in 0..3 {
        bed.add(partition, &records(partition, 0..700));
    }
    let topic = bed.topic(true);
    topic.check().unwrap();
    let plan = topic.plan(&[]).unwrap();
    assert!(plan.iter().map(|one| (one.partition, one.start, one.next)).eq([
        (0, 0, 0),
        (1, 0, 0),
        (2, 0, 0)
    ]));
    for limit in [1, 7, 512, 100_000] {
        let mut found = Read::default();
        read(&mut open(&*topic, &plan), &mut found, limit, |_, finished| finished).unwrap();
        for partition in 0..3 {
            assert_eq!(found.texts(partition), records(partition, 0..700), "limit {limit}");
            let offsets = found.records[&partition].iter().map(|(offset, _)| *offset);
            assert!(offsets.clone().zip(offsets.skip(1)).all(|(one, next)| one < next));
        }
    }
}

fn reading_goes_on_behind_any_record(mut bed: impl Bed) {
    bed.add(0, &records(0, 0..60));
    let topic = bed.topic(true);
    for stop in [1, 2, 29, 59, 60] {
        let mut first = Read::default();
        let mut source = open(&*topic, &topic.plan(&[]).unwrap());
        read(&mut source, &mut first, 1, |read, _| read.texts(0).len() == stop).unwrap();
        let plan = topic.plan(&first.stored()).unwrap();
        read(&mut open(&*topic, &plan), &mut first, 11, |_, finished| finished).unwrap();
        assert_eq!(first.texts(0), records(0, 0..60), "stopped at {stop}");
    }
}

fn the_end_is_the_one_seen_at_the_start<B: Bed>(mut bed: B) {
    bed.add(0, &records(0, 0..50));
    let topic = bed.topic(true);
    let plan = topic.plan(&[]).unwrap();
    if B::GROWS {
        bed.add(0, &records(0, 50..80));
    }
    let mut found = Read::default();
    read(&mut open(&*topic, &plan), &mut found, 512, |_, finished| finished).unwrap();
    assert_eq!(found.texts(0), records(0, 0..50));
    assert!(topic.watch().unwrap().added(&[]).unwrap().is_empty());
}

fn what_is_added_is_read<B: Bed>(mut bed: B) {
    bed.add(0, &records(0, 0..50));
    let topic = bed.topic(false);
    let plan = topic.plan(&[]).unwrap();
    assert_eq!(plan[0].until, None);
    let mut source = open(&*topic, &plan);
    let mut found = Read::default();
    let mut until = 50;
    read(&mut source, &mut found, 512, |read, _| read.texts(0).len() == 50).unwrap();
    if B::GROWS {
        for _ in 0..5 {
            bed.add(0, &records(0, until..until + 3));
            until += 3;
            let all = usize::try_from(until).unwrap();
            read(&mut source, &mut found, 512, |read, _| read.texts(0).len() == all).unwrap();
        }
    }
    bed.add(1, &records(1, 0..9));
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut watch = topic.watch().unwrap();
    let added = loop {
        let added = watch.added(&[0]).unwrap();
        if !added.is_empty() {
            break added;
        }
        assert!(Instant::now() < deadline, "no partition is found");
    };
    assert_eq!((added[0].partition, added[0].next), (1, 0));
    source.assign(&added[0]).unwrap();
    read(&mut source, &mut found, 512, |read, _| read.texts(1).len() == 9).unwrap();
    assert_eq!(found.texts(0), records(0, 0..until));
    assert_eq!(found.texts(1), records(1, 0..9));
}

fn a_record_is_found_by_its_place(mut bed: impl Bed) {
    bed.add(0, &records(0, 0..400));
    let topic = bed.topic(true);
    let mut found = Read::default();
    read(&mut open(&*topic, &topic.plan(&[]).unwrap()), &mut found, 512, |_, end| end).unwrap();
    let mut watch = topic.watch().unwrap();
    for (offset, text) in found.records[&0].iter().step_by(57) {
        let record = watch.record(0, *offset).unwrap().unwrap();
        assert_eq!(record.payload.unwrap(), text.as_bytes());
    }
    let beyond = found.records[&0].last().unwrap().0 + 1;
    assert_eq!(watch.record(0, beyond).unwrap(), None);
    watch.compare(&found.stored()[0]).unwrap();
}

fn another_topic_is_refused(mut bed: impl Bed) {
    bed.add(0, &records(0, 0..40));
    let topic = bed.topic(true);
    let mut found = Read::default();
    read(&mut open(&*topic, &topic.plan(&[]).unwrap()), &mut found, 512, |_, end| end).unwrap();
    let stored = found.stored()[0].clone();
    let mut other = stored.clone();
    other.last = stored.last.map(|last| LastRecord { hash: last.hash ^ 1, ..last });
    let mut longer = stored.clone();
    longer.next += 1000;
    longer.replay_from = longer.next;
    longer.last = None;
    let gone = PartitionOffsets { partition: 5, ..stored };
    for wrong in [other, longer, gone] {
        // What a packed file holds is only seen while it is unpacked.
        let result = topic.plan(std::slice::from_ref(&wrong)).and_then(|plan| {
            read(&mut open(&*topic, &plan), &mut Read::default(), 512, |_, end| end)
        });
        let is_refused = result.as_ref().is_err_and(SourceError::is_changed);
        assert!(is_refused, "{wrong:?}: {result:?}");
    }
}

//! What a broker may hold, and what it may do while the program reads: each scenario is a topic or
//! a fault, then `verify`.

use crate::common::job::Job;
use crate::common::{Running, Server, assert_ended, service};
use nix::sys::signal::Signal;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", service("TEST_KAFKA")).create().unwrap()
}

/// A topic of one partition.
fn create(topic: &str, settings: &[(&str, &str)]) {
    create_with(topic, 1, settings);
}

fn create_with(topic: &str, partitions: i32, settings: &[(&str, &str)]) {
    let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    for (name, value) in settings {
        new = new.set(name, value);
    }
    let made = block_on(admin().create_topics(&[new], &AdminOptions::new())).unwrap();
    assert!(made[0].is_ok(), "{made:?}");
}

fn producer(settings: &[(&str, &str)]) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", service("TEST_KAFKA"));
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config.create().unwrap()
}

/// A tweet as long as `padding` makes it.
fn tweet(id: u64, padding: usize) -> String {
    let text = "x".repeat(padding);
    format!(
        r#"{{"id":{id},"text":"{text}","entities":{{"hashtags":[{{"text":"t{}"}}]}},
        "user":{{"id":{},"name":"n","friends_count":{id}}}}}"#,
        id % 7,
        id % 5,
    )
}

fn send(producer: &BaseProducer, topic: &str, payloads: impl IntoIterator<Item = String>) {
    for payload in payloads {
        let record = BaseRecord::<(), _>::to(topic).payload(&payload);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(SOON).unwrap();
}

/// The counts of `totals`, and what `verify` says.
fn assert_totals(job: &Job, expected: &[(&str, u64)]) {
    let found = job.sql().rows::<(String, u64)>("SELECT name, records FROM totals ORDER BY name");
    let found: Vec<_> = found.iter().map(|(name, records)| (&name[..], *records)).collect();
    assert_eq!(found, expected);
    assert_ended(job.verify(&[]), 0, &[]);
}

#[test]
fn every_compression_is_read() {
    let job = Job::new(Server::MariaDb, "compressed");
    create(&job.topic, &[]);
    for (index, codec) in (0..).zip(["none", "gzip", "snappy", "lz4", "zstd"]) {
        let producer = producer(&[("compression.codec", codec), ("linger.ms", "50")]);
        send(&producer, &job.topic, (1..=200).map(|n| tweet(index * 1_000 + n, 300)));
    }
    job.run();
    assert_totals(&job, &[("time_from_record", 1_000), ("tweets", 1_000)]);
}

/// What a producer takes back was never there; the markers are offsets without a record.
#[test]
fn aborted_transactions_are_not_counted() {
    let job = Job::new(Server::MariaDb, "aborted");
    create(&job.topic, &[]);
    let producer = producer(&[("transactional.id", &job.topic)]);
    producer.init_transactions(SOON).unwrap();
    for (round, commits) in (0..).zip([true, false, true, false]) {
        producer.begin_transaction().unwrap();
        send(&producer, &job.topic, (1..=50).map(|n| tweet(round * 100 + n, 0)));
        let end = if commits {
            producer.commit_transaction(SOON)
        } else {
            producer.abort_transaction(SOON)
        };
        end.unwrap();
    }
    job.run();
    assert_totals(&job, &[("time_from_record", 100), ("tweets", 100)]);
}

/// The position moves over offsets that hold no record, so that retention up to the end, which
/// removes markers and aborted records as well, is no loss to the next start.
#[test]
fn the_position_passes_markers_and_aborted_records() {
    let job = Job::new(Server::MariaDb, "markers");
    create(&job.topic, &[]);
    let writer = producer(&[("transactional.id", &job.topic)]);
    writer.init_transactions(SOON).unwrap();
    let transaction = |first: u64, commits: bool| {
        writer.begin_transaction().unwrap();
        send(&writer, &job.topic, (first..first + 50).map(|n| tweet(n, 0)));
        let end =
            if commits { writer.commit_transaction(SOON) } else { writer.abort_transaction(SOON) };
        end.unwrap();
    };
    let position = |sql: &mut crate::common::Sql| {
        sql.rows::<(u64, u64)>("SELECT next_offset, last_offset FROM kafka_offsets")[0]
    };
    let run = ["--until-end", "--ledger", "0"];
    transaction(0, true);
    transaction(100, false);
    job.done("run", &run);
    assert_eq!(position(&mut job.sql()), (102, 49), "two markers and 50 aborted records");
    assert_totals(&job, &[("time_from_record", 50), ("tweets", 50)]);
    // Beside a job that runs on.
    let mut command = job.command("run", &["--ledger", "0"]);
    let child = Running::start(command.stderr(Stdio::piped()).stdout(Stdio::null()));
    transaction(200, true);
    transaction(300, false);
    let (mut sql, deadline) = (job.sql(), Instant::now() + SOON);
    while position(&mut sql) != (204, 151) {
        assert!(Instant::now() < deadline, "{:?}", position(&mut sql));
        std::thread::sleep(Duration::from_millis(20));
    }
    child.signal(Signal::SIGTERM);
    assert_eq!(end(child).0, Some(0));
    assert_totals(&job, &[("time_from_record", 100), ("tweets", 100)]);
    job.delete_below(0, 204);
    let said = assert_ended(job.call("run", &run), 0, &[]);
    assert!(!said.contains("removed"), "{said}");
    transaction(400, true);
    job.done("run", &run);
    assert_eq!(position(&mut job.sql()), (255, 253));
}

/// A partition with records that no job reads is a difference.
#[test]
fn a_partition_that_nobody_reads_is_found() {
    let job = Job::new(Server::MariaDb, "unread");
    create(&job.topic, &[]);
    let first_writer = producer(&[]);
    send(&first_writer, &job.topic, (1..=20).map(|n| tweet(n, 0)));
    job.run();
    let more = NewPartitions::new(&job.topic, 3);
    block_on(admin().create_partitions(&[more], &AdminOptions::new())).unwrap();
    let (code, said) = job.verify(&[]);
    assert_eq!(code, Some(0), "an empty partition is no difference: {said}");
    let payload = tweet(21, 0);
    // A producer of its own: the other one does not know the new partitions yet.
    let writer = producer(&[]);
    let record = BaseRecord::<(), _>::to(&job.topic).partition(2).payload(&payload);
    writer.send(record).map_err(|(error, _)| error).unwrap();
    writer.flush(SOON).unwrap();
    assert_ended(
        job.verify(&[]),
        1,
        &["different differences=1 ", "kafka_offsets partition_id=2: missing, and the topic holds"],
    );
    job.run();
    assert_eq!(job.verify(&[]).0, Some(0));
}

#[test]
fn tombstones_and_records_of_ten_megabytes() {
    let job = Job::new(Server::MariaDb, "sizes");
    create(&job.topic, &[("max.message.bytes", "12000000")]);
    let producer = producer(&[("message.max.bytes", "12000000")]);
    send(&producer, &job.topic, [tweet(1, 0), tweet(2, 10 << 20)]);
    producer.send(BaseRecord::<_, ()>::to(&job.topic).key("3")).map_err(|(e, _)| e).unwrap();
    send(&producer, &job.topic, [tweet(4, 10 << 20), tweet(5, 0)]);
    job.run();
    assert_totals(&job, &[("time_from_record", 4), ("tombstone", 1), ("tweets", 4)]);
}

/// A running job that reads `records` records of its topic before this returns.
fn running(job: &Job, records: u64) -> Running {
    let mut command = job.command("run", &[]);
    let child = Running::start(command.stderr(Stdio::piped()).stdout(Stdio::null()));
    let (mut sql, deadline) = (job.sql(), Instant::now() + SOON);
    while sql.records_counted() < records {
        assert!(Instant::now() < deadline, "{records} records are not counted");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

/// The exit code, in bounded time, and what was said.
fn end(mut child: Running) -> (Option<i32>, String) {
    let deadline = Instant::now() + 2 * SOON;
    let status = loop {
        if let Some(status) = child.0.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it goes on");
        std::thread::sleep(Duration::from_millis(20));
    };
    let mut said = String::new();
    child.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (status.code(), said)
}

/// Retention overtakes a job that was paused: it stops and names both offsets, and what it had
/// counted stays.
#[test]
fn a_paused_job_that_retention_overtakes_stops() {
    let job = Job::new(Server::MariaDb, "overtaken");
    create(&job.topic, &[]);
    let producer = producer(&[]);
    send(&producer, &job.topic, (1..=100).map(|n| tweet(n, 0)));
    let child = running(&job, 100);
    child.signal(Signal::SIGSTOP);
    send(&producer, &job.topic, (101..=20_000).map(|n| tweet(n, 2_000)));
    job.delete_below(0, 19_000);
    child.signal(Signal::SIGCONT);
    assert_ended(end(child), 1, &["oldest record is 19000", "--accept-gap"]);
    assert!(job.sql().records_counted() < 19_000, "it jumped");
    assert_eq!(job.verify(&[]).0, Some(3), "what is gone cannot be called equal");
}

/// A topic that is recreated under the running job stops it, within the minute in which the anchor
/// still is the old topic's; every later start says so too, also when the new topic's own records
/// were counted meanwhile.
#[test]
fn a_topic_made_anew_under_a_running_job_stops_it() {
    let job = Job::new(Server::MariaDb, "made_anew");
    create(&job.topic, &[]);
    send(&producer(&[]), &job.topic, (1..=100).map(|n| tweet(n, 0)));
    let child = running(&job, 100);
    block_on(admin().delete_topics(&[&job.topic], &AdminOptions::new())).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    create(&job.topic, &[]);
    // A producer of its own: the old one remembers the old topic.
    send(&producer(&[]), &job.topic, (1_001..=1_200).map(|n| tweet(n, 0)));
    assert_ended(end(child), 1, &["is not the one that was read before"]);
    let counted = job.sql().records_counted();
    assert_eq!(counted, 200, "the case to test is that the new topic's records were counted");
    assert_ended(job.call("run", &["--until-end"]), 1, &["the record at offset 99 is another one"]);
    assert_eq!(job.sql().records_counted(), 200);
    let (code, said) = job.verify(&[]);
    assert!(
        code == Some(3) && said.contains("cannot be checked") && said.lines().count() == 1,
        "{said}"
    );
}

/// A topic that is deleted under the running job ends it with a sentence that says so.
#[test]
fn a_topic_that_is_deleted_is_called_so() {
    let job = Job::new(Server::MariaDb, "deleted");
    create(&job.topic, &[]);
    send(&producer(&[]), &job.topic, (1..=100).map(|n| tweet(n, 0)));
    let child = running(&job, 100);
    block_on(admin().delete_topics(&[&job.topic], &AdminOptions::new())).unwrap();
    let said = assert_ended(end(child), 1, &[]);
    let last = said.lines().last().unwrap();
    assert!(last.contains("was deleted while it was read"), "{said}");
    assert!(!last.contains("UnknownPartition") && !last.contains("UnknownTopic"), "{said}");
}

/// The number of records that a topic still holds.
fn held(topic: &str) -> usize {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", service("TEST_KAFKA")).set("group.id", "held");
    let consumer: BaseConsumer = config.set("enable.partition.eof", "true").create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let mut held = 0;
    loop {
        match consumer.poll(SOON) {
            Some(Ok(_)) => held += 1,
            Some(Err(KafkaError::PartitionEOF(_))) => return held,
            other => panic!("{other:?}"),
        }
    }
}

/// Compaction removes records of the middle: a job that counted them keeps them and goes on, and is
/// told that they cannot be checked; a later job counts what is there.
#[test]
fn a_compacted_topic_is_read_over_its_holes() {
    let job = Job::new(Server::MariaDb, "compacted");
    let settings = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.001"),
        ("max.compaction.lag.ms", "100"),
    ];
    create(&job.topic, &settings);
    let producer = producer(&[]);
    let send = |ids: std::ops::RangeInclusive<u64>| {
        for id in ids {
            let (key, payload) = (format!("k{}", id % 5), tweet(id, 0));
            let record = BaseRecord::to(&job.topic).key(&key).payload(&payload);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(SOON).unwrap();
    };
    send(1..=100);
    // A restart could not remember what is gone.
    assert_ended(job.call("run", &["--until-end"]), 2, &["set min.compaction.lag.ms to 900000"]);
    let run = |forgetful: &Job| forgetful.done("run", &["--until-end", "--ledger", "0"]);
    run(&job);
    let deadline = Instant::now() + 4 * SOON;
    while held(&job.topic) > 20 {
        assert!(Instant::now() < deadline, "nothing is compacted");
        std::thread::sleep(Duration::from_secs(1));
        // A segment is compacted once a later one has begun.
        send(101..=101);
    }
    assert_ended(job.verify(&[]), 3, &["the topic is compacted"]);
    let before = job.sql().records_counted();
    send(102..=105);
    run(&job);
    assert!(job.sql().records_counted() > before);

    let late = Job { database: Server::MariaDb.fresh_database("compacted_late"), ..job };
    run(&late);
    // Until the next compaction what is there and what was counted are the same.
    let (code, said) = late.verify(&[]);
    assert!(code == Some(0) || said.contains("the topic is compacted"), "{said}");
    let tweets = late.sql().rows::<u64>("SELECT CAST(SUM(uses) AS UNSIGNED) FROM hashtags")[0];
    assert!((5..100).contains(&tweets), "{tweets} tweets");
}

/// What compaction leaves alone for as long as the ledger needs it is enough.
#[test]
fn a_topic_that_is_compacted_late_has_a_ledger() {
    for (lag_ms, wanted) in [("900000", 0), ("899999", 2)] {
        let job = Job::new(Server::MariaDb, "compacted_later");
        let policy = ("cleanup.policy", "compact,delete");
        create(&job.topic, &[policy, ("min.compaction.lag.ms", lag_ms)]);
        assert_ended(job.call("run", &["--until-end", "--ledger", "15m"]), wanted, &[]);
    }
}

/// Partitions without fresh tweets, busy all the time, do not hold the others: notices, tombstones,
/// and a backfill of old tweets are as far as the timestamps of their records say.
#[test]
fn busy_partitions_without_fresh_tweets_hold_nobody() {
    const TWEETS: u64 = 1_000;
    const OTHERS: u64 = 20_000;
    /// Half an hour of tweets in one partition, and as many records a second in the others.
    const STEP_MS: u64 = 1_800;
    let job = Job::new(Server::MariaDb, "held");
    create_with(&job.topic, 4, &[("retention.ms", "-1")]);
    let producer = producer(&[]);
    let began_ms = 1_795_424_400_000;
    let id = |ms: u64| (ms - 1_288_834_974_657) << 22;
    let send = |partition: i32, ms: u64, key: &str, payload: Option<String>| {
        let record = BaseRecord::to(&job.topic).key(key).partition(partition);
        let mut record = record.timestamp(ms.cast_signed());
        if let Some(payload) = &payload {
            record = record.payload(payload);
        }
        producer.send(record).map_err(|(error, _)| error).unwrap();
    };
    for number in 0..OTHERS {
        let ms = began_ms + number * STEP_MS;
        if number < TWEETS {
            send(0, ms, "", Some(tweet(id(ms), 0)));
        }
        send(1, ms, "", Some(r#"{"limit":{"track":1}}"#.to_owned()));
        send(2, ms, &(1_000 + number).to_string(), None);
        // A year old.
        send(3, ms, "", Some(tweet(id(ms - 31_536_000_000), 0)));
    }
    producer.flush(SOON).unwrap();
    // Ten seconds of work for the busy ones.
    let rate = (4 * OTHERS / 10).to_string();
    let more = ["--ledger", "1m", "--workers", "4", "--replay-rate", &rate];
    let mut command = job.command("run", &more);
    let child = Running::start(command.stderr(Stdio::piped()).stdout(Stdio::null()));
    let (mut sql, deadline) = (job.sql(), Instant::now() + SOON);
    let sql_next = "SELECT partition_id, next_offset FROM kafka_offsets ORDER BY partition_id";
    let next_offsets = loop {
        let offsets =
            if sql.has_table("kafka_offsets") { sql.rows::<(u32, u64)>(sql_next) } else { vec![] };
        if offsets.contains(&(0, TWEETS)) {
            break offsets;
        }
        assert!(Instant::now() < deadline, "the tweets are held: {offsets:?}");
        std::thread::sleep(Duration::from_millis(20));
    };
    for (partition, next) in &next_offsets[1..] {
        assert!(*next < OTHERS / 2, "the tweets were held for partition {partition}: {next}");
    }
    child.signal(Signal::SIGTERM);
    let (code, said) = end(child);
    assert!(code == Some(0) && !said.contains("has not moved"), "{said}");
    assert_ended(job.verify(&[]), 0, &[]);
}

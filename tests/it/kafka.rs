//! The source on a real broker: offsets that are gone, recreated topics.

use crate::common::{Running, Server, assert_ended, fresh_topic, program, service};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use source::kafka::{From, KafkaConfig, KafkaTopic};
use source::{SourceError, Topic};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use types::offsets::Assignment;

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", service("TEST_KAFKA")).create().unwrap()
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

fn produce(topic: &str, seed: &str) {
    let brokers = service("TEST_KAFKA");
    let arguments = ["produce", "--brokers", &brokers, "--topic", topic, "--synthetic"];
    let more = ["--limit", "200", "--partitions", "1", "--seed", seed];
    let output = program(&[&arguments[..], &more].concat(), "").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn run(topic: &str, database: &str, more: &[&str]) -> (Option<i32>, String) {
    let brokers = service("TEST_KAFKA");
    let arguments = ["run", "--brokers", &brokers, "--topic", topic, "--until-end"];
    let output = program(&[&arguments[..], more].concat(), database).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn delete_below(topic: &str, offset: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(offset)).unwrap();
    block_on(admin().delete_records(&list, &AdminOptions::new())).unwrap();
}

/// Retention overtakes a job while it runs: an error with both offsets, never a jump.
#[test]
fn an_offset_that_is_gone_is_an_error_and_no_jump() {
    let topic = fresh_topic("gap");
    produce(&topic, "1");
    delete_below(&topic, 50);
    let config = KafkaConfig {
        brokers: service("TEST_KAFKA"),
        topic: topic.clone(),
        group: "tweetflow".to_owned(),
        from: From::Earliest,
        starts: BTreeMap::new(),
        until_end: false,
        accept_gap: false,
        settings: Vec::new(),
    };
    let mut source = KafkaTopic::new(config).unwrap().open(Box::new(|| {})).unwrap();
    source.assign(&Assignment::fresh(0, 0)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let error = loop {
        match source.poll(100, &mut |polled| panic!("it jumped to {polled:?}")) {
            Err(error) => break error,
            Ok(_) => assert!(Instant::now() < deadline, "neither an error nor a record"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(matches!(error, SourceError::Gap { next: 0, low: 50, .. }), "{error}");
}

/// Records that take long to decode do not keep a process from its heartbeats: a poll ends early,
/// and the next ones hand out the rest.
#[test]
fn a_poll_of_slow_records_ends_early() {
    let (topic, file) = (fresh_topic("slow"), tempfile::NamedTempFile::new().unwrap());
    let text = "x".repeat(80_000);
    let line = |id: u64| format!("{{\"id\":{id},\"text\":\"{text}\",\"user\":{{\"id\":2}}}}\n");
    std::fs::write(file.path(), (1..=30).map(line).collect::<String>()).unwrap();
    let (brokers, path) = (service("TEST_KAFKA"), file.path().to_str().unwrap().to_owned());
    let arguments = ["produce", "--input", &path, "--topic", &topic, "--partitions", "1"];
    let output = program(&[&arguments[..], &["--brokers", &brokers]].concat(), "").output();
    assert!(output.unwrap().status.success());
    let config = KafkaConfig {
        brokers,
        topic: topic.clone(),
        group: "tweetflow".to_owned(),
        from: From::Earliest,
        starts: BTreeMap::new(),
        until_end: false,
        accept_gap: false,
        settings: Vec::new(),
    };
    let mut source = KafkaTopic::new(config).unwrap().open(Box::new(|| {})).unwrap();
    source.assign(&Assignment::fresh(0, 0)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let (mut records, mut longest) = (0, Duration::ZERO);
    while records < 30 {
        let began = Instant::now();
        let slow = &mut |polled: source::Polled<'_>| {
            if matches!(polled, source::Polled::Record(_)) {
                std::thread::sleep(Duration::from_millis(50));
            }
        };
        records += source.poll(512, slow).unwrap();
        longest = longest.max(began.elapsed());
        assert!(Instant::now() < deadline, "{records} records");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}

#[test]
fn records_removed_unread_stop_a_start_until_the_gap_is_accepted() {
    let (topic, database) = (fresh_topic("unread"), Server::MariaDb.fresh_database("kafka_unread"));
    produce(&topic, "1");
    assert_eq!(run(&topic, &database, &[]).0, Some(0));
    produce(&topic, "2");
    delete_below(&topic, 300);
    assert_ended(run(&topic, &database, &[]), 1, &["offset 200", "--accept-gap"]);
    // The ledger has lost what it must remember, too.
    assert_ended(
        run(&topic, &database, &["--accept-gap"]),
        1,
        &["again from offset 0", "--forget-ledger"],
    );
    assert_ended(run(&topic, &database, &["--accept-gap", "--forget-ledger"]), 0, &[]);
    let records = "SELECT CAST(SUM(records) AS UNSIGNED) FROM totals WHERE name <> 'late_posts'";
    assert_eq!(crate::common::Sql::connect(&database).rows::<u64>(records), [300]);
}

/// Recreated with as many records, the topic has the same offsets and other records.
#[test]
fn a_topic_that_was_made_anew_is_noticed() {
    let (topic, database) = (fresh_topic("anew"), Server::MariaDb.fresh_database("anew"));
    produce(&topic, "1");
    assert_eq!(run(&topic, &database, &[]).0, Some(0));
    block_on(admin().delete_topics(&[&topic], &AdminOptions::new())).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    produce(&topic, "2");
    assert_ended(run(&topic, &database, &[]), 1, &["is another one"]);
}

/// What Kafka's own tools know of the group's offsets, summed.
fn group_offsets(topic: &str, group: &str, partitions: i32) -> i64 {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", service("TEST_KAFKA")).set("group.id", group);
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, partitions - 1);
    let found = consumer.committed_offsets(list, Duration::from_secs(10)).unwrap();
    found.elements().iter().filter_map(|partition| partition.offset().to_raw()).sum()
}

/// Kafka refuses offsets of a group that others have joined. That is all that fails: partitions
/// that are added are found, and the reason is logged once.
#[test]
fn a_group_that_others_have_joined_costs_nothing_but_the_lag() {
    let (topic, database) = (fresh_topic("joined"), Server::MariaDb.fresh_database("joined"));
    produce(&topic, "1");
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", service("TEST_KAFKA")).set("group.id", &topic);
    let member: BaseConsumer = config.create().unwrap();
    #[expect(clippy::disallowed_methods, reason = "another program's group")]
    member.subscribe(&[&topic]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while member.assignment().unwrap().count() == 0 {
        assert!(Instant::now() < deadline, "the member does not join");
        member.poll(Duration::from_millis(100));
    }
    let brokers = service("TEST_KAFKA");
    let arguments = ["run", "--brokers", &brokers, "--topic", &topic, "--job", &topic];
    let mut command = program(&arguments, &database);
    let mut child = Running::start(command.stderr(std::process::Stdio::piped()));
    let mut sql = crate::common::Sql::connect(&database);
    let mut counted = |records| {
        let counted_by = Instant::now() + Duration::from_secs(40);
        while sql.records_counted() < records {
            assert!(Instant::now() < counted_by, "{} records are counted", sql.records_counted());
            member.poll(Duration::from_millis(100));
        }
    };
    counted(200);
    let partitions = NewPartitions::new(&topic, 2);
    block_on(admin().create_partitions(&[partitions], &AdminOptions::new())).unwrap();
    produce(&topic, "2");
    counted(400);
    child.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(child.0.wait().unwrap().success());
    let said = std::io::read_to_string(child.0.stderr.take().unwrap()).unwrap();
    assert_eq!(said.matches("does not store the offsets of group").count(), 1, "{said}");
}

/// Partitions that are added to a topic that is being read are read within half a minute; and
/// Kafka's tools see how far the job is.
#[test]
fn added_partitions_are_read_and_the_lag_is_shown() {
    let (topic, database) = (fresh_topic("added"), Server::MariaDb.fresh_database("added"));
    produce(&topic, "1");
    let brokers = service("TEST_KAFKA");
    let mut child = Running::start(&mut program(
        &["run", "--brokers", &brokers, "--topic", &topic, "--workers", "3", "--job", &topic],
        &database,
    ));
    let mut sql = crate::common::Sql::connect(&database);
    let mut counted = |records, limit| {
        let deadline = Instant::now() + limit;
        while sql.records_counted() < records {
            assert!(Instant::now() < deadline, "{records} records are not counted in {limit:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    counted(200, Duration::from_secs(20));
    let partitions = NewPartitions::new(&topic, 5);
    block_on(admin().create_partitions(&[partitions], &AdminOptions::new())).unwrap();
    // The producer learns of them on its next start; 200 tweets fall on all of them.
    produce(&topic, "2");
    counted(400, Duration::from_secs(30));
    child.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(child.0.wait().unwrap().success());
    assert_eq!(group_offsets(&topic, &topic, 5), 400);
    let touched = "SELECT COUNT(*) FROM kafka_offsets WHERE start_offset = 0 AND next_offset > 0";
    assert_eq!(sql.rows::<u64>(touched), [5]);
}

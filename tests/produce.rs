//! `produce` on a real broker: every form of input, errors, and runs that are killed and go on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Random, Running, fresh_topic, program, service};
use nix::sys::signal::Signal;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn produce(topic: &str, input: &Path, more: &[&str]) -> Command {
    let (brokers, input) = (service("TEST_KAFKA"), input.to_str().unwrap());
    let arguments = ["produce", "--brokers", &brokers, "--topic", topic, "--input", input];
    let mut command = program(&[&arguments[..], more].concat(), "");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Exit code, standard output and standard error.
fn ended(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Key and payload of all committed records, sorted.
fn records(topic: &str, partitions: i32) -> Vec<(Option<String>, String)> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", service("TEST_KAFKA")).set("group.id", "tests");
    config.set("enable.partition.eof", "true").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut seen, mut ends) = (Vec::new(), 0);
    while ends < partitions {
        match consumer.poll(Duration::from_secs(70)).expect("records or the end within a minute") {
            Ok(record) => {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                seen.push((record.key().map(text), text(record.payload().unwrap())));
            }
            Err(rdkafka::error::KafkaError::PartitionEOF(_)) => ends += 1,
            Err(error) => panic!("{error}"),
        }
    }
    seen.sort();
    seen
}

fn tweet(id: u64) -> String {
    let location = if id.is_multiple_of(3) { "null" } else { "\"Bern\"" };
    format!(
        "{{\"id\":{id},\"text\":\"\\u00fc }}]\",\"user\":{{\"id\":1,\"location\":{location}}}}}"
    )
}

fn expected(tweets: impl Iterator<Item = u64>) -> Vec<(Option<String>, String)> {
    let mut all: Vec<_> = tweets.map(|id| (Some(id.to_string()), tweet(id))).collect();
    all.sort();
    all
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(text).unwrap();
    writer.finish().unwrap()
}

#[test]
fn every_form_is_the_same_records() {
    let folder = tempfile::tempdir().unwrap();
    let tweets: Vec<String> = (0..2_000).map(tweet).collect();
    let array = format!("[\n{}\n]\n", tweets.join(",\n"));
    let forms = [
        tweets.join("\r\n\r\n").into_bytes(),
        array.clone().into_bytes(),
        format!("{{\"statuses\":{array},\"search_metadata\":{{}}}}").into_bytes(),
        tweets.concat().into_bytes(),
        [
            gzip(tweets[..999].join("\n").as_bytes()),
            gzip(b"\n"),
            gzip(tweets[999..].join("\n").as_bytes()),
        ]
        .concat(),
        zstd::stream::encode_all(array.as_bytes(), 1).unwrap(),
    ];
    for (number, bytes) in forms.iter().enumerate() {
        let (topic, file) = (fresh_topic("form"), folder.path().join("input"));
        std::fs::write(&file, bytes).unwrap();
        let (code, said, errors) = ended(&mut produce(&topic, &file, &["--partitions", "2"]));
        assert!(code == Some(0) && said.contains("tweets=2000 "), "{number}: {said}{errors}");
        assert!(records(&topic, 2) == expected(0..2_000), "{number}");
    }
    let topic = fresh_topic("form");
    let mut command = produce(&topic, Path::new("-"), &["--require-location", "--partitions", "1"]);
    let file = std::fs::File::open(folder.path().join("input")).unwrap();
    let (code, said, errors) = ended(command.stdin(file));
    assert!(code == Some(0) && said.contains("left_out=667 "), "{said}{errors}");
    assert!(records(&topic, 1) == expected((0..2_000).filter(|id| id % 3 != 0)));
}

#[test]
fn what_cannot_be_read_is_one_line_and_what_was_read_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let array: Vec<String> = (0..1_000).map(tweet).collect();
    let array = format!("[{}]", array.join(","));
    let cut = |bytes: &[u8]| bytes[..bytes.len() - 20].to_vec();
    let packed = zstd::stream::encode_all(array.as_bytes(), 1).unwrap();
    for (bytes, what) in [
        (cut(array.as_bytes()), "the 999 records before it were sent"),
        (cut(&gzip(array.as_bytes())), "cannot read on in"),
        (cut(&packed), "cannot read on in"),
    ] {
        let (topic, file) = (fresh_topic("cut"), folder.path().join("input"));
        std::fs::write(&file, bytes).unwrap();
        let (code, _, errors) = ended(&mut produce(&topic, &file, &["--partitions", "1"]));
        assert_eq!((code, errors.lines().count()), (Some(1), 1), "{errors}");
        assert!(errors.contains(what) && errors.contains("records before"), "{errors}");
        let sent = format!("the {} records", records(&topic, 1).len());
        assert!(errors.contains(&sent), "{errors}");
    }
    for path in [folder.path(), &folder.path().join("nothing")] {
        let (code, _, errors) = ended(&mut produce("unused", path, &[]));
        assert_eq!((code, errors.lines().count()), (Some(2), 1), "{errors}");
    }
}

/// Twelve runs are killed at any moment, one is asked to stop; the topic has each record once.
#[test]
fn killed_runs_leave_nothing_out_and_send_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (topic, file) = (fresh_topic("killed"), folder.path().join("input"));
    let resume = folder.path().join("resume");
    let tweets: Vec<String> = (0..400_000).map(tweet).collect();
    std::fs::write(&file, gzip(format!("[{}]", tweets.join(",")).as_bytes())).unwrap();
    let more = ["--partitions", "3", "--resume", resume.to_str().unwrap(), "--require-location"];
    let slow = [&more[..], &["--rate", "20000"]].concat();
    let mut random = Random(std::process::id().into());
    let started = std::time::Instant::now();
    for run in 0..13 {
        let mut running = Running::start(&mut produce(&topic, &file, &slow));
        // From before the first contact with a broker to behind the second commit.
        std::thread::sleep(Duration::from_millis(random.below(2_600)));
        running.signal(if run == 6 { Signal::SIGTERM } else { Signal::SIGKILL });
        running.0.wait().unwrap();
    }
    println!("killed for {:?}", started.elapsed());
    let (code, said, errors) = ended(&mut produce(&topic, &file, &more));
    assert_eq!(code, Some(0), "{errors}");
    println!("{said}");
    assert!(!said.contains("sent_before=0 "), "no killed run got anywhere: {said}");
    let seen = records(&topic, 3);
    let expected = expected((0..400_000).filter(|id| id % 3 != 0));
    assert_eq!(seen.len(), expected.len());
    assert!(seen == expected);
    let (_, said, _) = ended(&mut produce(&topic, &file, &more));
    assert!(said.contains("tweets=0 ") && said.contains("sent_before=266666 "), "{said}");
}

#[test]
fn a_transfer_goes_on_only_with_its_input_its_topic_and_its_brokers() {
    let folder = tempfile::tempdir().unwrap();
    let (topic, file) = (fresh_topic("resume"), folder.path().join("input"));
    let resume = folder.path().join("resume");
    let more = ["--partitions", "1", "--resume", resume.to_str().unwrap()];
    let write = |ids: std::ops::Range<u64>| {
        std::fs::write(&file, ids.map(tweet).collect::<Vec<_>>().join("\n")).unwrap();
    };
    write(0..10);
    let limited = [&more[..], &["--limit", "4"]].concat();
    for sent in ["tweets=4 ", "tweets=0 "] {
        let (code, said, errors) = ended(&mut produce(&topic, &file, &limited));
        assert!(code == Some(0) && said.contains(sent), "{said}{errors}");
    }
    let refused = |topic: &str, what: &str, expected: i32| {
        let (code, _, errors) = ended(&mut produce(topic, &file, &more));
        assert!(code == Some(expected) && errors.contains(what), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    };
    write(1..10);
    refused(&topic, "are not those that were sent", 2);
    write(0..3);
    refused(&topic, "are not those that were sent", 2);
    // A file that has grown is the same input.
    write(0..12);
    assert_eq!(ended(&mut produce(&topic, &file, &more)).0, Some(0));
    assert_eq!(records(&topic, 1), expected(0..12));
    refused("another", "belongs to topic", 2);
    let note = std::fs::read_to_string(&resume).unwrap();
    let note: serde_json::Value = serde_json::from_str(&note).unwrap();
    let group = format!("tweetflow-produce-{}", note["transfer"].as_str().unwrap());
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", service("TEST_KAFKA")).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let deleted = runtime.block_on(admin.delete_groups(&[&group], &AdminOptions::new())).unwrap();
    assert!(deleted[0].is_ok(), "{deleted:?}");
    refused(&topic, "do not know how far", 1);
    assert_eq!(records(&topic, 1), expected(0..12));
}

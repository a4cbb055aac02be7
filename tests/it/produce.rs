//! `produce` on a real broker: every form of input, errors, and runs that are killed and go on.

use crate::common::{Random, Running, fresh_topic, program, service};
use nix::sys::signal::Signal;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use synth::Synthetic;

fn produce(topic: &str, input: &Path, more: &[&str]) -> Command {
    command(topic, &[&["--input", input.to_str().unwrap()], more].concat())
}

fn command(topic: &str, more: &[&str]) -> Command {
    let brokers = service("TEST_KAFKA");
    let arguments = ["produce", "--brokers", &brokers, "--topic", topic];
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
pub(crate) fn records(topic: &str, partitions: i32) -> Vec<(Option<String>, String)> {
    let placed = placed_records(topic, partitions).into_iter();
    let mut seen: Vec<_> =
        placed.map(|(_, key, payload)| (key, payload.expect("it is no tombstone"))).collect();
    seen.sort();
    seen
}

/// Partition, key and payload.
type Placed = (i32, Option<String>, Option<String>);

fn placed_records(topic: &str, partitions: i32) -> Vec<Placed> {
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
                let (key, payload) = (record.key().map(text), record.payload().map(text));
                seen.push((record.partition(), key, payload));
            }
            Err(rdkafka::error::KafkaError::PartitionEOF(_)) => ends += 1,
            Err(error) => panic!("{error}"),
        }
    }
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
    let (_, again, _) = ended(&mut produce(&topic, &file, &more));
    assert!(again.contains("tweets=0 ") && again.contains("sent_before=266666 "), "{again}");
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
    let refused = |target: &str, what: &str, expected: i32| {
        let (code, _, errors) = ended(&mut produce(target, &file, &more));
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

/// Deletes, tombstones and tweets that come again, sent by two runs, are those of the generator;
/// and what is about a tweet is in its partition or in another.
#[test]
fn an_untidy_stream_arrives_as_it_was_made() {
    const COUNT: u64 = 3_000;
    let folder = tempfile::tempdir().unwrap();
    let (topic, resume) = (fresh_topic("untidy"), folder.path().join("resume"));
    let run = |limit: &str, deletes: &str| {
        let resume = resume.to_str().unwrap();
        let stream = ["--synthetic", "--seed", "5", "--deletes", deletes, "--duplicates", "10%"];
        let more = ["--partitions", "4", "--resume", resume, "--limit", limit];
        ended(&mut command(&topic, &[&stream[..], &more].concat()))
    };
    assert_eq!(run("1234", "20%").0, Some(0));
    let (refused, _, reason) = run("3000", "5%");
    assert!(refused == Some(2) && reason.contains("--seed 5 --deletes 5%"), "{reason}");
    let (code, said, errors) = run("3000", "20%");
    assert!(code == Some(0) && said.contains("tweets=1766 "), "{said}{errors}");
    let [deletes, repeats] = ["20%", "10%"].map(|share| share.parse().unwrap());
    let generator = Synthetic::new(5).with(deletes, repeats);
    let record = |index| {
        let mut payload = Vec::new();
        let key = generator.record(index, &mut payload).to_string();
        (Some(key), String::from_utf8(payload).unwrap())
    };
    let mut expected: Vec<_> = (0..COUNT).map(record).collect();
    let placed = placed_records(&topic, 4);
    let mut seen: Vec<_> =
        placed.iter().cloned().map(|(_, key, value)| (key, value.unwrap_or_default())).collect();
    expected.sort();
    seen.sort();
    assert!(seen == expected);
    let id = |payload: &str| {
        let rest = payload.split("\"id_str\":\"").nth(1).unwrap();
        rest[..rest.find('"').unwrap()].to_owned()
    };
    let (mut homes, mut others, mut tombstones) = (BTreeMap::new(), Vec::new(), 0);
    for (partition, key, payload) in placed {
        match payload {
            None => tombstones += 1,
            Some(payload) if payload.starts_with("{\"delete\":") || key != Some(id(&payload)) => {
                others.push((partition, id(&payload)));
            }
            Some(payload) => drop(homes.insert(id(&payload), partition)),
        }
    }
    // Some deletes are about tweets beyond the limit.
    let home = |(partition, post): &(i32, String)| homes.get(post).map(|home| home == partition);
    let at_home = others.iter().filter(|other| home(other) == Some(true)).count();
    let elsewhere = others.iter().filter(|other| home(other) == Some(false)).count();
    assert!(
        at_home > 200 && elsewhere > 60 && tombstones > 8,
        "{at_home} {elsewhere} {tombstones}"
    );
}

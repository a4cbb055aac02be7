//! The pinned topic: made once, never changed.

use crate::{PROGRAM, Result, SEED};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::MetadataTopic;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use synth::GENERATOR_VERSION;

/// Partitions of every topic of the benchmark.
const PARTITIONS: usize = 4;
/// How long a question to a broker may take.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The name of the topic of `tweets` tweets, filled if it does not hold them yet.
pub(crate) fn filled(brokers: &str, tweets: u64) -> Result<String> {
    let topic = format!("bench-v{GENERATOR_VERSION}-{tweets}");
    if records(brokers, &topic)? == (PARTITIONS, tweets) {
        return Ok(topic);
    }
    remove(brokers, &topic)?;
    eprintln!("filling {topic}");
    fill(produce(brokers, &topic), tweets)?;
    match records(brokers, &topic)? {
        (PARTITIONS, count) if count == tweets => Ok(topic),
        found => Err(format!("{topic} has (partitions, records) {found:?}").into()),
    }
}

/// Waits until `produce` has written so many.
pub(crate) fn fill(mut produce: Command, tweets: u64) -> Result<()> {
    let status = produce.args(["--limit", &tweets.to_string()]).stdout(Stdio::null()).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("tweetflow produce ended with {status}").into())
    }
}

/// `tweetflow produce` of the benchmark's tweets.
pub(crate) fn produce(brokers: &str, topic: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["produce", "--synthetic", "--seed", &SEED.to_string(), "--topic", topic]);
    command.args(["--brokers", brokers, "--partitions", &PARTITIONS.to_string()]);
    command.env("TWEETFLOW_LOG", "warn");
    command
}

/// Number of partitions and of records; no topic has none.
pub(crate) fn records(brokers: &str, topic: &str) -> Result<(usize, u64)> {
    let consumer: BaseConsumer = client(brokers).create()?;
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER_TIME)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let partitions = found.map(MetadataTopic::partitions).unwrap_or_default();
    let mut sum = 0;
    for partition in partitions {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), ANSWER_TIME)?;
        sum += (high - low).max(0).cast_unsigned();
    }
    Ok((partitions.len(), sum))
}

/// Removes a topic, if there is one.
pub(crate) fn remove(brokers: &str, topic: &str) -> Result<()> {
    if records(brokers, topic)?.0 == 0 {
        return Ok(());
    }
    let admin: AdminClient<DefaultClientContext> = client(brokers).create()?;
    let options = AdminOptions::new().operation_timeout(Some(ANSWER_TIME));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for result in runtime.block_on(admin.delete_topics(&[topic], &options))? {
        result.map_err(|(refused, code)| format!("{refused} cannot be removed: {code}"))?;
    }
    let deadline = Instant::now() + ANSWER_TIME;
    while records(brokers, topic).is_ok_and(|(partitions, _)| partitions > 0) {
        if Instant::now() > deadline {
            return Err(format!("{topic} does not go away").into());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn client(brokers: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers).set("group.id", "tweetflow-bench");
    client
}

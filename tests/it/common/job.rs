//! A topic and a database, and the program's commands on them.

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::{Server, Sql, fresh_topic, program, service};

/// A topic with tweets in a database.
pub struct Job {
    pub topic: String,
    pub database: String,
}

impl Job {
    pub fn new(server: Server, name: &str) -> Self {
        Job { topic: fresh_topic(name), database: server.fresh_database(name) }
    }

    /// Makes the topic, with these settings.
    pub fn create(&self, partitions: i32, settings: &[(&str, &str)]) {
        let mut config = ClientConfig::new();
        let admin: AdminClient<DefaultClientContext> =
            config.set("bootstrap.servers", service("TEST_KAFKA")).create().unwrap();
        let mut topic = NewTopic::new(&self.topic, partitions, TopicReplication::Fixed(1));
        for (name, value) in settings {
            topic = topic.set(name, value);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let made = runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
        assert!(made.iter().all(Result::is_ok), "{made:?}");
    }

    pub fn produce(&self, tweets: u64, seed: &str) {
        let limit = tweets.to_string();
        self.done(
            "produce",
            &["--synthetic", "--limit", &limit, "--seed", seed, "--partitions", "2"],
        );
    }

    pub fn run(&self) {
        self.done("run", &["--until-end"]);
    }

    pub fn done(&self, command: &str, more: &[&str]) {
        let (code, out) = self.call(command, more);
        assert_eq!(code, Some(0), "{out}");
    }

    /// Exit code, and all output.
    pub fn call(&self, command: &str, more: &[&str]) -> (Option<i32>, String) {
        let output = self.command(command, more).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }

    pub fn command(&self, command: &str, more: &[&str]) -> std::process::Command {
        let brokers = service("TEST_KAFKA");
        let first = [command, "--brokers", &brokers, "--topic", &self.topic];
        program(&[&first[..], more].concat(), &self.database)
    }

    pub fn verify(&self, more: &[&str]) -> (Option<i32>, String) {
        self.call("verify", more)
    }

    /// Retention, at once.
    pub fn delete_below(&self, partition: i32, offset: i64) {
        let mut config = ClientConfig::new();
        let admin: AdminClient<DefaultClientContext> =
            config.set("bootstrap.servers", service("TEST_KAFKA")).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition, Offset::Offset(offset)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(admin.delete_records(&list, &AdminOptions::new())).unwrap();
    }

    pub fn sql(&self) -> Sql {
        Sql::connect(&self.database)
    }
}

//! A topic and a database, and the program's commands on them.

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::{Server, Sql, assert_ended, fresh_topic, program, service};

/// A topic with tweets in a database.
pub(crate) struct Job {
    pub(crate) topic: String,
    pub(crate) database: String,
}

impl Job {
    pub(crate) fn new(server: Server, name: &str) -> Self {
        Job { topic: fresh_topic(name), database: server.fresh_database(name) }
    }

    pub(crate) fn produce(&self, tweets: u64, seed: &str) {
        let limit = tweets.to_string();
        self.done(
            "produce",
            &["--synthetic", "--limit", &limit, "--seed", seed, "--partitions", "2"],
        );
    }

    pub(crate) fn run(&self) {
        self.done("run", &["--until-end"]);
    }

    pub(crate) fn done(&self, command: &str, more: &[&str]) {
        assert_ended(self.call(command, more), 0, &[]);
    }

    /// Exit code, and all output.
    pub(crate) fn call(&self, command: &str, more: &[&str]) -> (Option<i32>, String) {
        let output = self.command(command, more).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }

    pub(crate) fn command(&self, command: &str, more: &[&str]) -> std::process::Command {
        let brokers = service("TEST_KAFKA");
        let first = [command, "--brokers", &brokers, "--topic", &self.topic];
        program(&[&first[..], more].concat(), &self.database)
    }

    pub(crate) fn verify(&self, more: &[&str]) -> (Option<i32>, String) {
        self.call("verify", more)
    }

    /// Retention, at once.
    pub(crate) fn delete_below(&self, partition: i32, offset: i64) {
        let mut config = ClientConfig::new();
        let admin: AdminClient<DefaultClientContext> =
            config.set("bootstrap.servers", service("TEST_KAFKA")).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition, Offset::Offset(offset)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(admin.delete_records(&list, &AdminOptions::new())).unwrap();
    }

    pub(crate) fn sql(&self) -> Sql {
        Sql::connect(&self.database)
    }
}

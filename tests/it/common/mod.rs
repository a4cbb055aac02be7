//! What several tests need: a topic in memory, an independent recount, real servers, the program.

pub(crate) mod answers;
pub(crate) mod broker;
pub(crate) mod browser;
pub(crate) mod job;
pub(crate) mod own;
pub(crate) mod proxy;
pub(crate) mod small_disk;

use serde_json::Value;
use source::{Polled, Source, SourceError, Topic, Wake, Watch, fingerprint};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use types::offsets::PartitionOffsets;
use types::offsets::{Assignment, PolledUpTo};
use types::record::{Record, StoredRecord};

/// A small generator (`SplitMix64`), so that a seed is the whole schedule.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// The payloads of each partition.
pub(crate) type Partitions = Arc<Vec<Vec<Vec<u8>>>>;

/// The timestamp of the first record of a partition in memory: 2023-11-14, a time that can be
/// right.
pub(crate) const BEGIN_MS: u64 = 1_700_000_000_000;

/// A topic in memory that ends where its payloads end.
#[derive(Clone)]
pub(crate) struct MemoryTopic {
    pub(crate) partitions: Partitions,
    /// Records handed out so far, by all sources.
    pub(crate) polled: Arc<AtomicU64>,
    /// Most records of one poll.
    pub(crate) slice: usize,
    /// Whether records have a time: a minute for each offset.
    pub(crate) has_time: bool,
}

impl MemoryTopic {
    pub(crate) fn new(partitions: Partitions) -> Self {
        MemoryTopic { partitions, polled: Arc::default(), slice: 7, has_time: true }
    }
}

impl Topic for MemoryTopic {
    fn check(&self) -> Result<(), SourceError> {
        Ok(())
    }

    fn plan(&self, stored: &[PartitionOffsets]) -> Result<Vec<Assignment>, SourceError> {
        let assign = |(partition, payloads): (u32, &Vec<Vec<u8>>)| {
            let stored = stored.iter().find(|stored| stored.partition == partition);
            let (next, replay_from) =
                stored.map_or((0, 0), |stored| (stored.next, stored.replay_from));
            let until = Some(payloads.len() as u64);
            let last = stored.and_then(|stored| stored.last);
            Assignment { next, replay_from, until, last, ..Assignment::fresh(partition, 0) }
        };
        Ok((0..).zip(self.partitions.iter()).map(assign).collect())
    }

    fn open(&self, _wake: Wake) -> Result<Box<dyn Source>, SourceError> {
        let (assigned, waiting) = (Vec::new(), BTreeSet::new());
        Ok(Box::new(MemorySource { topic: self.clone(), assigned, waiting }))
    }

    fn watch(&self) -> Result<Box<dyn Watch>, SourceError> {
        Ok(Box::new(Unwatched))
    }
}

/// A topic that never gets another partition, and has no tools of its own.
pub(crate) struct Unwatched;

impl Watch for Unwatched {
    fn added(&mut self, _known: &[u32]) -> Result<Vec<Assignment>, SourceError> {
        Ok(Vec::new())
    }

    fn compare(&mut self, _stored: &PartitionOffsets) -> Result<(), SourceError> {
        Ok(())
    }

    fn record(
        &mut self,
        _partition: u32,
        _offset: u64,
    ) -> Result<Option<StoredRecord>, SourceError> {
        Ok(None)
    }

    fn publish(
        &mut self,
        _next: &BTreeMap<u32, u64>,
        _wait: Duration,
    ) -> Result<bool, SourceError> {
        Ok(true)
    }
}

pub(crate) struct MemorySource {
    topic: MemoryTopic,
    assigned: Vec<Assignment>,
    waiting: BTreeSet<u32>,
}

impl Source for MemorySource {
    fn assign(&mut self, assignment: &Assignment) -> Result<(), SourceError> {
        self.assigned.retain(|held| held.partition != assignment.partition);
        self.assigned.push(assignment.clone());
        Ok(())
    }

    fn poll(
        &mut self,
        limit: usize,
        visit: &mut dyn FnMut(Polled<'_>),
    ) -> Result<usize, SourceError> {
        let mut handed_out = 0;
        for assignment in &mut self.assigned {
            let partition = assignment.partition;
            if self.waiting.contains(&partition) {
                continue;
            }
            let left = assignment.until.unwrap_or(u64::MAX).saturating_sub(assignment.next);
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            let room = self.topic.slice.min(limit - handed_out).min(left);
            let payloads = &self.topic.partitions[partition as usize];
            let next = usize::try_from(assignment.next).unwrap();
            let mut last = None;
            for payload in payloads.iter().skip(next).take(room) {
                let offset = assignment.next;
                let timestamp_ms = if self.topic.has_time { BEGIN_MS + 60_000 * offset } else { 0 };
                let payload = Some(&payload[..]);
                let key = None;
                visit(Polled::Record(Record { partition, offset, timestamp_ms, key, payload }));
                let hash = fingerprint(None, payload);
                last = Some(PolledUpTo { partition, offset, timestamp_ms, hash });
                assignment.next += 1;
                handed_out += 1;
            }
            if let Some(reached) = last {
                visit(Polled::Reached(reached));
                if Some(assignment.next) >= assignment.until {
                    visit(Polled::End { partition, next: assignment.next });
                }
            }
        }
        self.topic.polled.fetch_add(handed_out as u64, Ordering::Relaxed);
        Ok(handed_out)
    }

    fn pause(&mut self, partitions: &BTreeSet<u32>) -> Result<(), SourceError> {
        self.waiting.clone_from(partitions);
        Ok(())
    }

    fn is_finished(&self) -> bool {
        self.assigned.iter().all(|assignment| Some(assignment.next) >= assignment.until)
    }
}

/// Hashtag uses, and per user (tweet id, friends); totals by kind; by another code path than the
/// program's: the whole document as a tree, plain loops.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Recount {
    pub(crate) hashtags: BTreeMap<String, u64>,
    pub(crate) users: BTreeMap<u64, (u64, Option<i64>)>,
    pub(crate) totals: BTreeMap<String, u64>,
    pub(crate) dead: u64,
}

impl Recount {
    pub(crate) fn add(&mut self, payload: &[u8], require_location: bool) {
        let count = |totals: &mut BTreeMap<String, u64>, name: &str| {
            *totals.entry(name.to_owned()).or_default() += 1;
        };
        // As text: this function of `serde_json` is compiled, optimised, where it is written.
        let text = std::str::from_utf8(payload).unwrap_or_default();
        let Ok(tweet) = text.parse::<Value>() else {
            self.dead += 1;
            return;
        };
        if tweet.get("delete").is_some() {
            return count(&mut self.totals, "delete");
        }
        let id = |object: &Value| {
            let from_text = object["id_str"].as_str().and_then(|digits| digits.parse::<u64>().ok());
            from_text.or(object["id"].as_u64())
        };
        let (Some(tweet_id), Some(user_id)) = (id(&tweet), id(&tweet["user"])) else {
            self.dead += 1;
            return;
        };
        if require_location && tweet["user"]["location"].is_null() {
            return count(&mut self.totals, "filtered");
        }
        count(&mut self.totals, "tweets");
        if tweet["created_at"].is_null() {
            count(&mut self.totals, "time_from_record");
        }
        let extended = &tweet["extended_tweet"];
        let entities = if tweet["truncated"] == Value::Bool(true) && extended.is_object() {
            &extended["entities"]
        } else {
            &tweet["entities"]
        };
        for tag in entities["hashtags"].as_array().into_iter().flatten() {
            let tag = tag["text"].as_str().unwrap().to_owned();
            *self.hashtags.entry(tag).or_default() += 1;
        }
        let friends = tweet["user"]["friends_count"].as_i64();
        let held = self.users.entry(user_id).or_insert((tweet_id, friends));
        if tweet_id > held.0 {
            *held = (tweet_id, friends);
        }
    }
}

/// A real server's address. A missing service is a failure, never a skip.
pub(crate) fn service(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set; run: eval \"$(deploy/local start)\""))
}

/// The two kinds of database server. Every test of a database runs on both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    MariaDb,
    MySql,
}

impl Server {
    /// The address of its usual database, with the account that may do everything.
    pub(crate) fn url(self) -> String {
        match self {
            Server::MariaDb => service("TEST_MYSQL"),
            Server::MySql => service("TEST_MYSQL9"),
        }
    }

    /// An own, empty database on it: the URL. A name belongs to one test.
    pub(crate) fn fresh_database(self, name: &str) -> String {
        self.claim_name(name);
        let base = self.url();
        let (server, _) = base.rsplit_once('/').expect("a URL names a database");
        let database = format!("tweetflow_test_{name}");
        let mut sql = Sql::connect(&base);
        sql.run(&format!("DROP DATABASE IF EXISTS {database}"));
        sql.run(&format!("CREATE DATABASE {database}"));
        format!("{server}/{database}")
    }

    /// Two tests that run at once must not drop each other's database.
    fn claim_name(self, name: &str) {
        static TAKEN: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
        // A thread that the test has started has no name.
        let Some(test) = std::thread::current().name().map(str::to_owned) else { return };
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let owner = taken.entry(format!("{name} on {self:?}")).or_insert_with(|| test.clone());
        assert_eq!(*owner, test, "two tests use the database {name}");
    }

    /// An account without any right yet, and the URL of `database` with it.
    pub(crate) fn fresh_account(self, name: &str, database: &str) -> Account {
        static ALONE: [Mutex<()>; 2] = [Mutex::new(()), Mutex::new(())];
        let alone = ALONE[self as usize].lock().unwrap_or_else(PoisonError::into_inner);
        let mut sql = Sql::connect(&self.url());
        sql.run(&format!("DROP USER IF EXISTS {name}"));
        sql.run(&format!("CREATE USER {name} IDENTIFIED BY 'least'"));
        let (_, place) = database.split_once('@').expect("a URL names an account");
        Account { url: format!("mysql://{name}:least@{place}"), _alone: alone }
    }
}

/// An account that has only the rights which its test grants. `read_only` and `init_connect` of a
/// server apply to such accounts, so only one test at a time has one.
pub(crate) struct Account {
    pub(crate) url: String,
    _alone: MutexGuard<'static, ()>,
}

/// Makes of each function that takes a [`Server`] two tests, one a server.
///
/// Behind `long:` stand those whose test on MySQL belongs to the long tier: what they hold does not
/// depend on the dialect. `cargo test` shows them as ignored, `tests/long` runs them.
macro_rules! on_both_servers {
    ($($(#[$attribute:meta])* $name:ident),* $(,)? $(; long: $($long:ident),* $(,)?)?) => {
        mod mariadb {
            $(#[test] $(#[$attribute])* fn $name() { super::$name($crate::common::Server::MariaDb); })*
            $($(#[test] fn $long() { super::$long($crate::common::Server::MariaDb); })*)?
        }
        mod mysql9 {
            $(#[test] $(#[$attribute])* fn $name() { super::$name($crate::common::Server::MySql); })*
        }
        $(mod long_mysql9 {
            $(#[test]
            #[ignore = "the long tier: tests/long"]
            fn $long() { super::$long($crate::common::Server::MySql); })*
        })?
    };
}

/// Variables of a server, until the test ends. Who sets some waits for who has set some.
pub(crate) struct Globals {
    sql: Sql,
    before: Vec<(&'static str, String)>,
    _alone: MutexGuard<'static, ()>,
}

impl Globals {
    pub(crate) fn set(server: Server, variables: &[(&'static str, &str)]) -> Self {
        static ALONE: [Mutex<()>; 2] = [Mutex::new(()), Mutex::new(())];
        let alone = ALONE[server as usize].lock().unwrap_or_else(PoisonError::into_inner);
        let mut sql = Sql::connect(&server.url());
        let mut before = Vec::new();
        for (name, value) in variables {
            before.push((*name, sql.rows::<String>(&format!("SELECT @@GLOBAL.{name}")).remove(0)));
            sql.run(&format!("SET GLOBAL {name} = '{value}'"));
        }
        Globals { sql, before, _alone: alone }
    }
}

impl Drop for Globals {
    fn drop(&mut self) {
        for (name, value) in &self.before {
            // A number is how a switch is told, and no text to any.
            let value =
                value.parse::<u8>().map_or(format!("'{value}'"), |number| number.to_string());
            self.sql.run(&format!("SET GLOBAL {name} = {value}"));
        }
    }
}

/// A plain connection beside the program's own.
pub(crate) struct Sql {
    runtime: tokio::runtime::Runtime,
    connection: mysql_async::Conn,
}

impl Sql {
    pub(crate) fn connect(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let opts = mysql_async::Opts::from_url(url).unwrap();
        let opts = mysql_async::OptsBuilder::from_opts(opts)
            .prefer_socket(false)
            // Whatever another test has set for the whole server.
            .init(vec!["SET SESSION sql_mode = 'STRICT_TRANS_TABLES'"]);
        let connection = runtime.block_on(mysql_async::Conn::new(opts)).unwrap();
        Sql { runtime, connection }
    }

    pub(crate) fn run(&mut self, sql: &str) {
        use mysql_async::prelude::Queryable;
        self.runtime.block_on(self.connection.query_drop(sql)).unwrap();
    }

    /// The same for a statement that may fail.
    pub(crate) fn attempt(&mut self, sql: &str) {
        use mysql_async::prelude::Queryable;
        let _ = self.runtime.block_on(self.connection.query_drop(sql));
    }

    pub(crate) fn rows<T>(&mut self, sql: &str) -> Vec<T>
    where
        T: mysql_async::prelude::FromRow + Send + 'static,
    {
        use mysql_async::prelude::Queryable;
        self.runtime.block_on(self.connection.query(sql)).unwrap()
    }

    /// Whether the database has such a table.
    pub(crate) fn has_table(&mut self, name: &str) -> bool {
        let sql = format!(
            "SELECT COUNT(*) FROM information_schema.tables \
             WHERE table_schema = DATABASE() AND table_name = '{name}'"
        );
        self.rows::<u64>(&sql) == [1]
    }

    /// The sum of the committed offsets; 0 before there is a table.
    pub(crate) fn records_counted(&mut self) -> u64 {
        if !self.has_table("kafka_offsets") {
            return 0;
        }
        self.rows("SELECT CAST(COALESCE(SUM(next_offset), 0) AS UNSIGNED) FROM kafka_offsets")[0]
    }

    /// What the program's tables say, in the recount's form.
    pub(crate) fn recount(&mut self) -> Recount {
        self.recount_of("")
    }

    /// The same for the tables with a prefix.
    pub(crate) fn recount_of(&mut self, prefix: &str) -> Recount {
        let from = |columns: &str, table: &str| format!("SELECT {columns} FROM {prefix}{table}");
        let hashtags = self.rows::<(String, u64)>(&from("hashtag, uses", "hashtags"));
        let users = from("user_id, tweet_id, nb_friends", "users");
        let users = self.rows::<(u64, u64, Option<i64>)>(&users);
        let totals = self.rows::<(String, u64)>(&from("name, records", "totals"));
        let dead = self.rows::<u64>(&from("COUNT(*)", "dead_letters"));
        Recount {
            hashtags: hashtags.into_iter().collect(),
            users: users.into_iter().map(|(user, tweet, n)| (user, (tweet, n))).collect(),
            totals: totals.into_iter().collect(),
            dead: dead[0],
        }
    }
}

/// The program with arguments and a database; nothing inherited that could configure it.
pub(crate) fn program(arguments: &[&str], database: &str) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tweetflow"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TWEETFLOW_")) {
        command.env_remove(name);
    }
    command.args(arguments).env("TWEETFLOW_DATABASE", database).env("NO_COLOR", "1");
    command
}

/// Checks how a call of the program ended: its exit code, and what its output contains. Returns the
/// output.
#[track_caller]
pub(crate) fn assert_ended(
    (code, output): (Option<i32>, String),
    expected: i32,
    texts: &[&str],
) -> String {
    assert_eq!(code, Some(expected), "{output}");
    for text in texts {
        assert!(output.contains(text), "{text:?} is missing: {output}");
    }
    output
}

/// A program that runs until it ends or the test does: a failed test leaves nothing behind.
pub(crate) struct Running(pub(crate) std::process::Child);

impl Running {
    pub(crate) fn start(command: &mut std::process::Command) -> Self {
        Running(command.spawn().unwrap())
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
        nix::sys::signal::kill(pid, signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A topic name that no earlier test run has used.
pub(crate) fn fresh_topic(name: &str) -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("{name}-{}", since.as_micros())
}

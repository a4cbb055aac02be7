//! Odd inputs, one folder each: the program reads it, and the tables hold what was expected.
//!
//! `tests/cases/NAME/` holds `in/` (what a user has), perhaps `then/` (files that are added before
//! a second run) and `expected.json`; see [`Expected`] for its keys. A case whose `in/` holds
//! `records.ndjson` is a Kafka topic (`key` in hexadecimal, `value` with one character a byte, `ts`
//! in milliseconds, `partition`); every other one is a folder for `--files`. After each run that
//! ends well the program runs once more, which must change nothing, and `verify` must find no
//! difference.
//!
//! The same table drives the cases of another collection, `cases/` in `TWEETFLOW_REAL_DATA`, with
//! the answers in `tests/cases/handed.json`: those that deviate say why.

use crate::common::{fresh_topic, program, service};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What must come out. A key that is missing is not checked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Expected {
    /// Why this is right; for the reader of the file.
    #[serde(rename = "why")]
    _why: String,
    /// More arguments of `run`.
    arguments: Vec<String>,
    /// Exit code of the last run (0).
    exit: i32,
    /// Each must stand in what the last run says.
    says: Vec<String>,
    /// None of these may stand there.
    never_says: Vec<String>,
    /// The whole table.
    hashtags: Option<BTreeMap<String, i64>>,
    /// `totals.tweets`.
    tweets: Option<i64>,
    /// Rows of `users`.
    users: Option<i64>,
    /// Names of some users.
    names: BTreeMap<i64, String>,
    /// Friends of some users.
    friends: BTreeMap<i64, Option<i64>>,
    /// Some rows of `totals`; 0 also where there is no row.
    totals: BTreeMap<String, i64>,
    /// Rows of `dead_letters`.
    dead: Option<i64>,
    /// At most so many.
    dead_at_most: Option<i64>,
    /// How many dead letters have which reason; the whole table.
    reasons: Option<BTreeMap<String, i64>>,
    /// Uses by minute, `2018-10-10 20:19`; the whole table.
    minutes: Option<BTreeMap<String, i64>>,
    /// Each must stand in some dead letter's detail.
    details: Vec<String>,
    /// Exit code of `verify` (0).
    verify: i32,
}

/// Where the records of a case are, and its tables.
struct Case {
    input: PathBuf,
    topic: Option<String>,
    place: tempfile::TempDir,
}

impl Case {
    fn new(folder: &Path) -> Self {
        let place = tempfile::tempdir().unwrap();
        let input = place.path().join("in");
        copy(&folder.join("in"), &input);
        let topic = input.join("records.ndjson").exists().then(|| fresh_topic("cases"));
        Case { input, topic, place }
    }

    fn tables(&self) -> PathBuf {
        self.place.path().join("tables.sqlite")
    }

    fn command(&self, name: &str, expected: &Expected) -> Command {
        let mut arguments = vec![name];
        let brokers;
        match &self.topic {
            None => arguments.extend(["--files", self.input.to_str().unwrap()]),
            Some(topic) => {
                brokers = service("TEST_KAFKA");
                arguments.extend(["--brokers", &brokers, "--topic", topic]);
            }
        }
        if name == "run" {
            arguments.push("--until-end");
        }
        let mut more = expected.arguments.iter().map(String::as_str);
        while let Some(argument) = more.next() {
            if argument == "--ledger" && name != "run" {
                // `verify` learns the span from the tables.
                more.next();
            } else {
                arguments.push(argument);
            }
        }
        program(&arguments, &format!("sqlite:{}", self.tables().display()))
    }

    /// Exit code, and all that it said.
    fn call(&self, name: &str, expected: &Expected) -> (Option<i32>, String) {
        let output = self.command(name, expected).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    fn rows<T: rusqlite::types::FromSql>(&self, sql: &str) -> Vec<(String, T)> {
        let connection = rusqlite::Connection::open(self.tables()).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    fn map(&self, sql: &str) -> BTreeMap<String, i64> {
        self.rows(sql).into_iter().collect()
    }

    fn count(&self, table: &str) -> i64 {
        self.rows(&format!("SELECT '', count(*) FROM {table}"))[0].1
    }

    /// All rows that mean something, for a comparison.
    fn state(&self) -> Vec<(String, String)> {
        let mut state = Vec::new();
        for sql in [
            "SELECT hashtag, uses FROM hashtags",
            "SELECT name, records FROM totals",
            "SELECT partition_id, next_offset FROM kafka_offsets",
            "SELECT user_id, tweet_id FROM users",
            "SELECT minute || hashtag, uses FROM hashtags_by_minute",
        ] {
            let sql =
                sql.replacen("SELECT ", "SELECT CAST(", 1).replacen(", ", " AS TEXT), CAST(", 1);
            let sql = sql.replacen(" FROM", " AS TEXT) FROM", 1);
            state.extend(self.rows(&sql));
        }
        state.sort();
        state
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// One line of `records.ndjson`.
#[derive(Deserialize)]
struct Record {
    key: Option<String>,
    value: Option<String>,
    ts: Option<i64>,
    #[serde(default)]
    partition: i32,
}

/// Sends a file's records as they are.
fn send(path: &Path, topic: &str) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", service("TEST_KAFKA"));
    let text = std::fs::read_to_string(path).unwrap();
    let records: Vec<Record> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let partitions = 1 + records.iter().map(|record| record.partition).max().unwrap_or(0);
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let fresh = [NewTopic::new(topic, partitions, TopicReplication::Fixed(1))];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(admin.create_topics(&fresh, &AdminOptions::new())).unwrap();
    let producer: BaseProducer = config.create().unwrap();
    for record in records {
        let byte = |at: usize, hex: &str| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let key = record
            .key
            .map(|hex| (0..hex.len()).step_by(2).map(|at| byte(at, &hex)).collect::<Vec<_>>());
        let value = record.value.map(|latin1| {
            latin1.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect::<Vec<_>>()
        });
        let mut sent = BaseRecord::<[u8], [u8]>::to(topic).partition(record.partition);
        sent.timestamp = record.ts;
        sent.key = key.as_deref();
        sent.payload = value.as_deref();
        producer.send(sent).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

/// Runs a case; what is not as expected, a line each.
fn differences(folder: &Path, expected: &Expected) -> Vec<String> {
    let case = Case::new(folder);
    if let Some(topic) = &case.topic {
        send(&case.input.join("records.ndjson"), topic);
    }
    let mut wrong = Vec::new();
    let (mut code, mut said) = case.call("run", expected);
    let then = folder.join("then");
    if then.exists() {
        if code != Some(0) {
            wrong.push(format!("the first run ended with {code:?}: {said}"));
        }
        copy(&then, &case.input);
        (code, said) = case.call("run", expected);
    }
    if code != Some(expected.exit) {
        wrong.push(format!("exit code {code:?} instead of {}: {said}", expected.exit));
    }
    wrong.extend(speech(&said, expected));
    if code == Some(0) {
        wrong.extend(tables(&case, expected));
        let before = case.state();
        (code, said) = case.call("run", expected);
        if code != Some(0) || case.state() != before {
            wrong.push(format!("another start: exit code {code:?}, {:?}: {said}", case.state()));
        }
        (code, said) = case.call("verify", expected);
        if code != Some(expected.verify) {
            wrong.push(format!("verify: exit code {code:?}: {said}"));
        }
    }
    wrong
}

fn speech(said: &str, expected: &Expected) -> Vec<String> {
    let mut wrong = Vec::new();
    for text in expected.says.iter().filter(|text| !said.contains(&***text)) {
        wrong.push(format!("it does not say {text:?}: {said}"));
    }
    for text in expected.never_says.iter().filter(|text| said.contains(&***text)) {
        wrong.push(format!("it says {text:?}: {said}"));
    }
    wrong
}

/// Compares the tables; only what is expected is looked at.
fn tables(case: &Case, expected: &Expected) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |what: &str, is_right: bool, found: String| {
        if !is_right {
            wrong.push(format!("{what}: {found}"));
        }
    };
    if let Some(map) = &expected.hashtags {
        let found = case.map("SELECT hashtag, uses FROM hashtags");
        check("hashtags", found == *map, format!("{found:?}"));
    }
    let totals = case.map("SELECT name, records FROM totals");
    let tweets = expected.tweets.map(|number| ("tweets".to_owned(), number));
    for (name, number) in expected.totals.clone().into_iter().chain(tweets) {
        let found = totals.get(&name).copied().unwrap_or(0);
        check(&name, found == number, format!("{found} instead of {number}, of {totals:?}"));
    }
    if let Some(number) = expected.users {
        let found = case.count("users");
        check("users", found == number, format!("{found} instead of {number}"));
    }
    let names: BTreeMap<_, String> =
        case.rows("SELECT CAST(user_id AS TEXT), username FROM users").into_iter().collect();
    for (user, name) in &expected.names {
        let found = names.get(&user.to_string());
        check("name", found == Some(name), format!("{found:?} instead of {name:?}"));
    }
    let friends: BTreeMap<_, Option<i64>> =
        case.rows("SELECT CAST(user_id AS TEXT), nb_friends FROM users").into_iter().collect();
    for (user, number) in &expected.friends {
        let found = friends.get(&user.to_string());
        check("friends", found == Some(number), format!("{found:?} instead of {number:?}"));
    }
    let letters: Vec<(String, String)> = case.rows("SELECT reason, detail FROM dead_letters");
    let dead = i64::try_from(letters.len()).unwrap();
    check("dead", expected.dead.is_none_or(|it| it == dead), format!("{letters:?}"));
    check("dead", expected.dead_at_most.is_none_or(|it| dead <= it), format!("{letters:?}"));
    if let Some(reasons) = &expected.reasons {
        let found = case.map("SELECT reason, count(*) FROM dead_letters GROUP BY reason");
        check("reasons", found == *reasons, format!("{letters:?}"));
    }
    for text in &expected.details {
        let is_there = letters.iter().any(|(_, detail)| detail.contains(text));
        check("details", is_there, format!("none of {letters:?} has {text:?}"));
    }
    if let Some(minutes) = &expected.minutes {
        let sql = "SELECT substr(minute, 1, 16), sum(uses) FROM hashtags_by_minute GROUP BY minute";
        let found = case.map(sql);
        check("minutes", found == *minutes, format!("{found:?}"));
    }
    wrong
}

/// Runs cases, some at a time; all that is wrong.
fn run(cases: Vec<(PathBuf, Expected)>) -> String {
    let queue = std::sync::Mutex::new(cases.into_iter());
    let wrong = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some((folder, expected)) = queue.lock().unwrap().next() else { break };
                    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
                    let found = differences(&folder, &expected);
                    wrong.lock().unwrap().extend(found.iter().map(|it| format!("{name}: {it}")));
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort();
    wrong.join("\n")
}

/// `CASES=name,name` runs only these.
fn is_asked_for(name: &str) -> bool {
    let asked = std::env::var("CASES").unwrap_or_default();
    asked.is_empty() || asked.split(',').any(|it| it == name)
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = entries
        .filter(|path| path.join("in").is_dir())
        .filter(|path| is_asked_for(&path.file_name().unwrap().to_string_lossy()))
        .collect();
    folders.sort();
    folders
}

fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

#[test]
fn odd_inputs_give_what_is_expected() {
    let expected = |folder: &Path| {
        let text = std::fs::read_to_string(folder.join("expected.json"));
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    };
    let cases = folders(&own()).into_iter().map(|folder| {
        let expected = expected(&folder);
        (folder, expected)
    });
    let wrong = run(cases.collect());
    assert!(wrong.is_empty(), "{wrong}");
}

/// The cases of another collection.
#[test]
#[ignore = "real tweets: TWEETFLOW_REAL_DATA names their folder"]
fn handed_cases_give_what_is_expected() {
    let data = std::env::var_os("TWEETFLOW_REAL_DATA").expect("TWEETFLOW_REAL_DATA is not set");
    let answers = std::fs::read_to_string(own().join("handed.json")).unwrap();
    let answers: BTreeMap<String, Expected> = serde_json::from_str(&answers).unwrap();
    let mut cases = Vec::new();
    for folder in folders(&PathBuf::from(data).join("cases")) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let expected = answers.get(&name);
        let expected = expected.unwrap_or_else(|| panic!("{name} has no answer in handed.json"));
        cases.push((folder, expected.clone()));
    }
    let wrong = run(cases);
    assert!(wrong.is_empty(), "{wrong}");
}

//! The commit protocol against a server in memory that fails at any step.
//!
//! After every crash the tables must be exactly the records below the stored offsets, and no sum
//! may ever fall. The topic, the server and the faults are a function of the seed, which is
//! printed.

use crate::common::{BEGIN_MS, MemoryTopic, Partitions, Random, Recount};
use dataflows::catalogue::Tables;
use sink::SinkError;
use sink::memory::{FaultPoint, Faults, InjectedFault, MemorySink, Store, StoredTables};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tweetflow::config::Credit;
use tweetflow::config::RunConfig;
use tweetflow::pipeline;
use tweetflow::pipeline::RunSummary;
use tweetflow::pipeline::error::RunError;
use types::Value;

fn topic(random: &mut Random, records: u64) -> Partitions {
    let mut partitions = vec![Vec::new(); 3];
    for tweet in 0..records {
        let partition: &mut Vec<_> = &mut partitions[usize::try_from(random.below(3)).unwrap()];
        // It was written when its record was: two clocks agree on its minute.
        let at_ms = BEGIN_MS + 60_000 * partition.len() as u64;
        let at = jiff::Timestamp::from_millisecond(at_ms.cast_signed()).unwrap();
        let payload = match random.below(20) {
            0 => "no json".to_owned(),
            1 => format!(r#"{{"delete":{{"status":{{"id":{tweet}}}}}}}"#),
            _ => {
                let tags = (0..random.below(3)).map(|_| random.below(12)).collect::<Vec<_>>();
                let tags = tags.iter().map(|tag| format!(r#"{{"text":"t{tag}"}}"#));
                format!(
                    r#"{{"id":{tweet},"text":"","created_at":"{at}","entities":{{"hashtags":[{}]}},
                    "user":{{"id":{},"name":"n","friends_count":{}}}}}"#,
                    tags.collect::<Vec<_>>().join(","),
                    random.below(9),
                    random.below(50),
                )
            }
        };
        partition.push(payload.into_bytes());
    }
    Arc::new(partitions)
}

fn config(workers: u64, credit: u64) -> RunConfig {
    let mut config = RunConfig::new("memory");
    config.workers = usize::try_from(workers).unwrap();
    config.credit = Credit { records: credit, bytes: u64::MAX };
    config.epoch = Duration::from_millis(1);
    config.flows = types::settings::TableSettings { minutes_span: 20, trend_minutes: 5 };
    config
}

fn run(
    topic: &MemoryTopic,
    store: &Store,
    config: RunConfig,
    faults: Faults,
) -> Result<RunSummary, tweetflow::pipeline::error::RunError> {
    let topic = Box::new(topic.clone());
    pipeline::run(config, topic, MemorySink::new(store, faults), Arc::default())
}

/// A run that ends well, and in time: one that loses its capability may never end.
fn within(limit: Duration, topic: &MemoryTopic, store: &Store, config: RunConfig, faults: Faults) {
    let (ended, end) = std::sync::mpsc::channel();
    let (topic, store) = (topic.clone(), store.clone());
    std::thread::spawn(move || ended.send(run(&topic, &store, config, faults)));
    end.recv_timeout(limit).expect("the run does not end").unwrap();
}

fn table<'a>(stored: &'a StoredTables, name: &str) -> impl Iterator<Item = &'a types::Row> {
    let tables = Tables::default().all();
    let index = tables.iter().position(|table| table.name == name).expect("it is a table");
    stored.tables.get(index).into_iter().flat_map(|rows| rows.values())
}

fn sum_of_uses(stored: &StoredTables) -> u64 {
    table(stored, "hashtags").filter_map(|row| row[1].as_u64()).sum()
}

/// The tables must be what a plain loop makes of the records below the stored offsets.
fn assert_exact(store: &Store, partitions: &Partitions, about: &str) -> u64 {
    let stored = store.lock();
    let mut expected = Recount::default();
    let mut counted = 0;
    // A record's time is the minute of its offset, behind the first one.
    let begin = i64::try_from(BEGIN_MS / 60_000).unwrap();
    let mut newest = begin;
    let mut by_minute = BTreeMap::<(i64, String), u64>::new();
    for row in table(&stored, "kafka_offsets") {
        let number = |column: usize| usize::try_from(row[column].as_u64().unwrap()).unwrap();
        let (partition, next) = (number(1), number(3));
        counted += next as u64;
        for (minute, payload) in (begin..).zip(&partitions[partition][..next]) {
            expected.add(payload, false);
            let mut one = Recount::default();
            one.add(payload, false);
            newest = newest.max(if one.totals.contains_key("tweets") { minute } else { begin });
            let uses = one.hashtags.into_iter();
            uses.for_each(|(tag, uses)| *by_minute.entry((minute, tag)).or_default() += uses);
        }
    }
    by_minute.retain(|(minute, _), _| newest - minute <= 20);
    let text = |value: &Value| value.as_text().unwrap().to_owned();
    let pairs = |name| {
        let rows = table(&stored, name).map(|row| (text(&row[0]), row[1].as_u64().unwrap()));
        rows.collect()
    };
    let users = table(&stored, "users")
        .map(|row| (row[0].as_u64().unwrap(), (row[4].as_u64().unwrap(), row[2].as_i64())));
    let found = Recount {
        hashtags: pairs("hashtags"),
        users: users.collect(),
        totals: pairs("totals"),
        dead: table(&stored, "dead_letters").count() as u64,
    };
    assert_eq!(found, expected, "{about}");
    let minutes = table(&stored, "hashtags_by_minute").map(|row| {
        let Value::Timestamp(ms) = row[0] else { panic!("{row:?}") };
        ((ms / 60_000, text(&row[1])), row[2].as_u64().unwrap())
    });
    assert_eq!(minutes.collect::<BTreeMap<_, _>>(), by_minute, "{about}");
    counted
}

#[test]
fn exact_after_a_fault_at_any_step() {
    for seed in 0..40 {
        println!("seed {seed}");
        let mut random = Random(seed);
        let records = 50 + random.below(400);
        let memory = MemoryTopic::new(topic(&mut random, records));
        let store = Store::default();
        let mut runs = 0;
        loop {
            runs += 1;
            let (workers, credit) = (1 + random.below(4), 5 + random.below(60));
            let mut fate = Random(random.next());
            let (watched, mut least) = (store.clone(), 0);
            let quiet = runs > 12;
            let faults = Box::new(move |_: FaultPoint| {
                let sum = sum_of_uses(&watched.lock());
                assert!(sum >= least, "a reader saw the sum fall");
                least = sum;
                match fate.below(40) {
                    _ if quiet => InjectedFault::None,
                    0..2 => InjectedFault::Lost,
                    2..4 => InjectedFault::Crash,
                    _ => InjectedFault::None,
                }
            });
            let result = run(&memory, &store, config(workers, credit), faults);
            let about = format!("seed {seed}, run {runs} with {workers} workers: {result:?}");
            let counted = assert_exact(&store, &memory.partitions, &about);
            if result.is_ok() {
                assert_eq!(counted, records, "{about}");
                break;
            }
        }
    }
}

/// A predecessor that still lives tries to commit at each step of its successor's start: either
/// the successor has not read anything yet, or the predecessor must fail.
#[test]
fn a_predecessor_cannot_commit_behind_what_its_successor_has_read() {
    let mut random = Random(7);
    let all = topic(&mut random, 400);
    let half: Partitions =
        Arc::new(all.iter().map(|payloads| payloads[..payloads.len() / 2].to_vec()).collect());
    for step in 0..8 {
        let no_faults = || Box::new(|_: FaultPoint| InjectedFault::None) as Faults;
        let (store, later) = (Store::default(), Store::default());
        for half_way in [&store, &later] {
            run(&MemoryTopic::new(Arc::clone(&half)), half_way, config(2, 50), no_faults())
                .unwrap();
        }
        // What the predecessor is about to commit, as a run of its own over the whole topic.
        run(&MemoryTopic::new(Arc::clone(&all)), &later, config(1, 1000), no_faults()).unwrap();
        let (server, mut steps, mut least) = (store.clone(), 0, 0);
        let faults = Box::new(move |_: FaultPoint| {
            let mut stored = server.lock();
            // The predecessor's compare-and-set: only while the generation is still its own.
            if steps == step && stored.position.generation == 1 {
                let position = stored.position.next();
                *stored = std::mem::take(&mut *later.lock());
                stored.position = position;
            }
            steps += 1;
            let sum = sum_of_uses(&stored);
            assert!(sum >= least, "a reader saw the sum fall from {least} to {sum}");
            least = sum;
            InjectedFault::None
        });
        run(&MemoryTopic::new(Arc::clone(&all)), &store, config(3, 20), faults).unwrap();
        assert_exact(&store, &all, &format!("predecessor's commit at step {step}"));
    }
}

/// Somebody else moves the position by one: at each commit, before it or behind one whose answer
/// was lost, as the same process or as another one. What is stored is never taken for what this run
/// has sent: it ends, and nothing of it comes on top.
#[test]
fn a_position_that_moved_is_mine_only_if_i_may_have_moved_it() {
    let mut random = Random(17);
    let all = topic(&mut random, 300);
    for commit in 0..6 {
        for (is_lost, is_other) in [(false, false), (false, true), (true, true)] {
            let store = Store::default();
            let (server, mut commits, mut written) = (store.clone(), 0, None);
            let moved = Arc::new(Mutex::new(None));
            let told = Arc::clone(&moved);
            let faults = Box::new(move |step: FaultPoint| {
                let mut stored = server.lock();
                if written.is_some() {
                    return InjectedFault::None;
                }
                if step != FaultPoint::Commit {
                    return InjectedFault::None;
                }
                commits += 1;
                if commits <= commit {
                    return InjectedFault::None;
                }
                stored.position.commit_no += 1;
                stored.position.writer ^= u64::from(is_other);
                written = Some(stored.rows_written);
                *told.lock().unwrap() = written;
                if is_lost { InjectedFault::Lost } else { InjectedFault::None }
            });
            let memory = MemoryTopic::new(Arc::clone(&all));
            let result = run(&memory, &store, config(2, 20), faults);
            let about = format!("commit {commit}, lost {is_lost}, other {is_other}");
            let Some(before) = *moved.lock().unwrap() else { panic!("{about}: too few commits") };
            let Err(RunError::Sink(SinkError::Fenced { .. })) = result else {
                panic!("{about}: {result:?}")
            };
            assert_eq!(store.lock().rows_written, before, "{about}");
        }
    }
}

#[test]
fn a_restart_writes_no_row() {
    let mut random = Random(11);
    let memory = MemoryTopic::new(topic(&mut random, 300));
    let store = Store::default();
    for workers in [2, 1, 4, 3] {
        let before = store.lock().rows_written;
        run(&memory, &store, config(workers, 100), Box::new(|_| InjectedFault::None)).unwrap();
        let written = store.lock().rows_written - before;
        assert_eq!(written == 0, before > 0, "{written} rows were written by {workers} workers");
    }
}

/// The database answers nothing for a while: what is read and not committed stays within the
/// workers' credit. (A capability that is dropped before the commit would let it grow, too.)
#[test]
fn a_slow_database_stops_reading() {
    let mut random = Random(5);
    let memory = MemoryTopic::new(topic(&mut random, 5_000));
    let store = Store::default();
    let polled = Arc::clone(&memory.polled);
    let (workers, credit) = (2, 100);
    let most = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&most);
    let mut committed = 0;
    let mut slept = 0;
    let server = store.clone();
    let faults = Box::new(move |step: FaultPoint| {
        if step == FaultPoint::Commit && slept < 3 {
            slept += 1;
            std::thread::sleep(Duration::from_millis(300));
            let read = polled.load(Ordering::Relaxed);
            let mut seen = seen.lock().unwrap();
            *seen = (*seen).max(read - committed);
        }
        let rows = server.lock();
        committed = table(&rows, "kafka_offsets").filter_map(|row| row[3].as_u64()).sum();
        InjectedFault::None
    });
    within(Duration::from_mins(1), &memory, &store, config(workers, credit), faults);
    let most = *most.lock().unwrap();
    assert!(most > 0 && most <= workers * credit, "{most} records were read and not committed");
    assert_exact(&store, &memory.partitions, "after a slow database");
}

/// A run is over when its last commit is, not when its last record was read.
#[test]
fn the_end_waits_for_the_last_commit() {
    let mut random = Random(3);
    let memory = MemoryTopic::new(topic(&mut random, 50));
    let store = Store::default();
    let in_commit = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&in_commit);
    let faults = Box::new(move |step: FaultPoint| {
        if step == FaultPoint::Commit {
            flag.store(true, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(200));
        }
        InjectedFault::None
    });
    let started = Instant::now();
    run(&memory, &store, config(3, 1000), faults).unwrap();
    assert!(in_commit.load(Ordering::Relaxed) && started.elapsed() >= Duration::from_millis(200));
    let counted = assert_exact(&store, &memory.partitions, "at the end");
    assert_eq!(counted, 50);
}

/// Tweets that are written a second apart, some of them a second time or deleted within seconds,
/// before or behind them, in any partition.
fn tweets_and_deletes(random: &mut Random, tweets: u64) -> Partitions {
    let mut partitions = vec![Vec::new(); 3];
    for second in 0..tweets {
        let mut put = |payload: String| {
            let partition = usize::try_from(random.below(3)).unwrap();
            partitions[partition].push(payload.into_bytes());
            random.below(10)
        };
        let chance = put(snowflake(second, second % 12));
        // About another one, some seconds away.
        match chance {
            0 => drop(put(snowflake(second.saturating_sub(5), second.saturating_sub(5) % 12))),
            1 => drop(put(delete(second.saturating_sub(7)))),
            2 => drop(put(delete(second + 6))),
            _ => {}
        }
    }
    Arc::new(partitions)
}

fn id(second: u64) -> u64 {
    (1_000 * (1_000_000 + second)) << 22
}

fn snowflake(second: u64, tag: u64) -> String {
    let (id, user) = (id(second), second % 9);
    format!(
        r#"{{"id":{id},"text":"","entities":{{"hashtags":[{{"text":"t{tag}"}}]}},"user":{{"id":{user},"name":"n"}}}}"#
    )
}

fn delete(second: u64) -> String {
    let id = id(second);
    format!(r#"{{"delete":{{"status":{{"id":{id},"id_str":"{id}"}}}}}}"#)
}

/// Uses by hashtag, and tweets that count, are deleted, are there again: of the records below the
/// stored offsets, with nothing forgotten.
fn what_counts(stored: &StoredTables, partitions: &Partitions) -> BTreeMap<String, u64> {
    let mut acts = BTreeMap::<u64, (u64, bool, String)>::new();
    let mut counts = BTreeMap::<String, u64>::new();
    for row in table(stored, "kafka_offsets") {
        let number = |column: usize| usize::try_from(row[column].as_u64().unwrap()).unwrap();
        for payload in &partitions[number(1)][..number(3)] {
            let json: serde_json::Value = std::str::from_utf8(payload).unwrap().parse().unwrap();
            if let Some(id) = json["delete"]["status"]["id"].as_u64() {
                acts.entry(id).or_default().1 = true;
                *counts.entry("delete".to_owned()).or_default() += 1;
            } else {
                let (posts, _, tag) = acts.entry(json["id"].as_u64().unwrap()).or_default();
                *posts += 1;
                json["entities"]["hashtags"][0]["text"].as_str().unwrap().clone_into(tag);
            }
        }
    }
    for (posts, is_deleted, tag) in acts.into_values().filter(|(posts, ..)| *posts > 0) {
        let mut add = |name: &str, count| *counts.entry(name.to_owned()).or_default() += count;
        add("duplicates", posts - 1);
        if is_deleted {
            add("deleted", 1);
        } else {
            add("tweets", 1);
            add(&tag, 1);
        }
    }
    counts.retain(|_, count| *count > 0);
    counts
}

/// With a ledger that forgets most of it, and partitions that wait for each other.
#[test]
fn deletes_and_duplicates_are_exact_after_a_fault_at_any_step() {
    let (mut replayed, mut forgotten) = (0, 0);
    for seed in 0..12 {
        println!("seed {seed}");
        let mut random = Random(seed);
        let mut memory = MemoryTopic::new(tweets_and_deletes(&mut random, 3_000));
        (memory.has_time, memory.slice) = (false, 40);
        let store = Store::default();
        for run_no in 0.. {
            let (workers, credit) = (1 + random.below(4), 50 + random.below(400));
            let mut config = config(workers, credit);
            config.ledger.span = Duration::from_secs(40 + random.below(40));
            let mut fate = Random(random.next());
            let quiet = run_no > 12;
            let faults = Box::new(move |_: FaultPoint| match fate.below(40) {
                _ if quiet => InjectedFault::None,
                0..2 => InjectedFault::Lost,
                2..4 => InjectedFault::Crash,
                _ => InjectedFault::None,
            });
            let result = run(&memory, &store, config, faults);
            let about = format!("seed {seed}, run {run_no} with {workers} workers: {result:?}");
            let stored = store.lock();
            let number = |row: &types::Row, column: usize| row[column].as_u64().unwrap();
            let counts = ["hashtags", "totals"].into_iter().flat_map(|name| table(&stored, name));
            let text = |row: &types::Row| row[0].as_text().unwrap().to_owned();
            let mut counts: BTreeMap<_, _> =
                counts.map(|row| (text(row), number(row, 1))).collect();
            // That nothing was late is part of the comparison.
            for name in ["time_unknown", "time_from_record"] {
                counts.remove(name);
            }
            assert_eq!(counts, what_counts(&stored, &memory.partitions), "{about}");
            for row in table(&stored, "kafka_offsets") {
                replayed += number(row, 3) - number(row, 4);
                forgotten += number(row, 4);
            }
            if result.is_ok() {
                break;
            }
        }
    }
    assert!(replayed > 1_000 && forgotten > 1_000, "{replayed} {forgotten}");
}

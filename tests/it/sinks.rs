//! One suite for every sink: memory, a SQLite file, MariaDB, MySQL. What `sink` promises and the
//! restart rests on.

use crate::common::{MemoryTopic, Server};
use dataflows::catalogue::Tables;
use monitor::Monitor;
use sink::memory::{InjectedFault, MemorySink, Store};
use sink::mysql::MySqlSink;
use sink::sqlite::SqliteSink;
use sink::{Identity, Sink, SinkError};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use synth::Synthetic;
use tweetflow::config::RunConfig;
use tweetflow::pipeline;
use tweetflow::pipeline::identity;
use types::prefix::Prefix;
use types::table::Panel;
use types::transaction::{Position, TableChanges, Transaction};
use types::{Restored, Row, Value};

/// A place of tables to which several processes may be connected.
trait Bed: Sync {
    type Sink: Sink + Send;
    /// Another process.
    fn connect(&self) -> Self::Sink;
    /// Takes from all processes what tells a successor that they live.
    fn silence(&self) {}
}

struct Memory(Store);

impl Bed for Memory {
    type Sink = MemorySink;

    fn connect(&self) -> MemorySink {
        MemorySink::new(&self.0, Box::new(|_| InjectedFault::None))
    }
}

struct File(tempfile::TempDir);

impl Bed for File {
    type Sink = SqliteSink;

    fn connect(&self) -> SqliteSink {
        SqliteSink::new(self.0.path().join("tables.sqlite"))
    }

    fn silence(&self) {
        for entry in std::fs::read_dir(self.0.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "lock") {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

struct OnServer(String);

impl Bed for OnServer {
    type Sink = MySqlSink;

    fn connect(&self) -> MySqlSink {
        MySqlSink::new(&self.0).unwrap()
    }

    fn silence(&self) {
        // On a thread of its own: the caller's has a runtime.
        let kill = || {
            let mut sql = crate::common::Sql::connect(&self.0);
            let others = sql.rows::<u64>(
                "SELECT id FROM information_schema.processlist \
                 WHERE db = DATABASE() AND id <> CONNECTION_ID()",
            );
            for id in others {
                sql.attempt(&format!("KILL {id}"));
            }
        };
        std::thread::scope(|scope| scope.spawn(kill).join().unwrap());
    }
}

macro_rules! on_every_sink {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $name() { super::$name(&super::Memory(super::Store::default())); })*
        }
        mod sqlite {
            $(#[test] fn $name() { super::$name(&super::File(tempfile::tempdir().unwrap())); })*
        }
        mod mariadb {
            $(#[test] fn $name() {
                let url = super::Server::MariaDb.fresh_database(concat!("s_", stringify!($name)));
                super::$name(&super::OnServer(url));
            })*
        }
        mod mysql9 {
            $(#[test] fn $name() {
                let url = super::Server::MySql.fresh_database(concat!("s_", stringify!($name)));
                super::$name(&super::OnServer(url));
            })*
        }
    };
}

on_every_sink! {
    what_is_committed_comes_back,
    a_transaction_applies_once_and_in_its_place,
    a_process_that_was_succeeded_changes_nothing,
    the_position_decides_a_commit_in_doubt,
    other_settings_and_no_job_are_told_apart,
    tables_belong_to_one_job,
    what_is_restored_begins_with_the_position,
    marked_rows_are_found,
    a_look_sees_one_commit,
    a_restart_shows_what_the_tables_hold,
}

fn identity() -> Identity {
    Identity {
        job: "a job/with signs".to_owned(),
        fingerprint: "f=1".to_owned(),
        tables: Tables::every().all(),
        known: Tables::every().all(),
        prefix: Prefix::default(),
    }
}

fn index(table: &str) -> u8 {
    let index = Tables::every().all().iter().position(|declared| declared.name == table);
    u8::try_from(index.unwrap()).unwrap()
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

fn hashtag(tag: &str, uses: u64) -> Row {
    [Value::Text(tag.into()), Value::UInt(uses)].into()
}

fn letter(offset: u64, retry: u64) -> Row {
    Box::new([
        Value::Text("t".into()),
        Value::UInt(0),
        Value::UInt(offset),
        Value::Timestamp(1_790_000_000_123),
        Value::Text("json".into()),
        Value::Text("'\"\\ \u{0} 🍣".into()),
        Value::Bytes(Box::new([0, 255, 39, 92])),
        Value::UInt(retry),
        Value::Text("".into()),
    ])
}

/// Deletes and rows of tables by name; everything sorted.
fn transaction(tables: Vec<(&str, Vec<Row>, Vec<Row>)>) -> Transaction {
    let mut changes = vec![TableChanges::default(); Tables::every().all().len()];
    for (table, mut deletes, mut upserts) in tables {
        deletes.sort();
        upserts.sort();
        changes[usize::from(index(table))] = TableChanges { deletes, upserts };
    }
    Transaction { as_of: 1_700_000_000_000_000, tables: changes }
}

fn uses(n: u64) -> Transaction {
    transaction(vec![("hashtags", vec![], vec![hashtag("x", n)])])
}

async fn rows(sink: &mut impl Sink, table: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let take = &mut |batch: Vec<Restored>| rows.extend(batch.into_iter().map(|row| row.row));
    let at = sink.position().await.unwrap();
    sink.begin_restore(at).await.unwrap();
    sink.snapshot(index(table), take).await.unwrap();
    sink.end_restore().await.unwrap();
    rows.sort();
    rows
}

fn what_is_committed_comes_back(bed: &impl Bed) {
    let mut tags: Vec<_> =
        ["", "'", "\\", "a\u{0}b", "Café", "Cafe\u{301}", "ヒ", "ひ", "🍣", "RUST"]
            .iter()
            .map(|tag| hashtag(tag, 1))
            .collect();
    tags.push(hashtag(&"本".repeat(255), u64::from(u32::MAX) << 20));
    tags.extend((0..10_000).map(|n| hashtag(&format!("t{n}"), n)));
    let user = |id: u64, friends: Option<i64>| -> Row {
        Box::new([
            Value::UInt(id),
            Value::Text("東京 نص".into()),
            Value::optional(friends),
            Value::optional(friends.map(|friends| -friends)),
            Value::UInt(u64::MAX),
            Value::UInt(0),
            Value::UInt(7),
            Value::UInt(1 << 63),
        ])
    };
    let users = vec![user(0, None), user(u64::MAX, Some(i64::MAX)), user(1 << 63, Some(-1))];
    let letters = vec![letter(1, 0), letter(u64::from(u32::MAX) + 1, 0)];
    let first = transaction(vec![
        ("hashtags", vec![], tags.clone()),
        ("users", vec![], users.clone()),
        ("dead_letters", vec![], letters.clone()),
    ]);
    tags.sort();
    let (gone, mut left) = (tags.split_off(10_000), tags);
    left[3][1] = Value::UInt(4711);
    let keys = gone.iter().map(|row| row[..1].into()).collect();
    let second = transaction(vec![("hashtags", keys, vec![left[3].clone()])]);
    block_on(async {
        let mut sink = bed.connect();
        let at = sink.claim(&identity()).await.unwrap();
        sink.commit(at, &first).await.unwrap();
        sink.commit(at.next(), &second).await.unwrap();
        drop(sink);
        bed.silence();
        let mut reopened = bed.connect();
        let found = reopened.claim(&identity()).await.unwrap();
        assert_eq!((found.generation, found.commit_no), (at.generation + 1, 2));
        assert_eq!(rows(&mut reopened, "hashtags").await, left);
        let mut users = users;
        users.sort();
        assert_eq!(rows(&mut reopened, "users").await, users);
        assert_eq!(rows(&mut reopened, "dead_letters").await, letters);
        assert_eq!(rows(&mut reopened, "totals").await, Vec::<Row>::new());
    });
}

fn a_transaction_applies_once_and_in_its_place(bed: &impl Bed) {
    block_on(async {
        let mut sink = bed.connect();
        let at = sink.claim(&identity()).await.unwrap();
        sink.commit(at, &uses(1)).await.unwrap();
        let ahead = at.next().next();
        let later = Position { generation: at.generation + 1, ..at.next() };
        // A database that was copied, or put back: the numbers are the same.
        let copied = Position { writer: at.writer ^ 1, ..at.next() };
        for wrong in [at, ahead, later, copied] {
            let refused = sink.commit(wrong, &uses(9)).await;
            assert!(
                matches!(refused, Err(SinkError::Outdated(outdated)) if outdated == wrong),
                "{refused:?}"
            );
        }
        assert_eq!(sink.position().await.unwrap(), at.next());
        sink.commit(at.next(), &uses(2)).await.unwrap();
        assert_eq!(rows(&mut sink, "hashtags").await, [hashtag("x", 2)]);
    });
}

fn a_process_that_was_succeeded_changes_nothing(bed: &impl Bed) {
    block_on(async {
        let (mut old, mut new) = (bed.connect(), bed.connect());
        let before = old.claim(&identity()).await.unwrap();
        old.commit(before, &uses(1)).await.unwrap();
        bed.silence();
        let at = new.claim(&identity()).await.unwrap();
        assert_eq!((at.generation, at.commit_no), (before.generation + 1, 1));
        assert_ne!(at.writer, before.writer);
        assert!(old.commit(before.next(), &uses(9)).await.is_err());
        assert_eq!(old.position().await.unwrap(), at);
        assert!(old.commit(before.next(), &uses(9)).await.is_err());
        assert_eq!(rows(&mut new, "hashtags").await, [hashtag("x", 1)]);
        new.commit(at, &uses(2)).await.unwrap();
        assert_eq!(rows(&mut new, "hashtags").await, [hashtag("x", 2)]);
    });
}

fn the_position_decides_a_commit_in_doubt(bed: &impl Bed) {
    block_on(async {
        let mut sink = bed.connect();
        let at = sink.claim(&identity()).await.unwrap();
        for n in 1..20 {
            let before = Position { commit_no: at.commit_no + n - 1, ..at };
            assert_eq!(sink.position().await.unwrap(), before);
            sink.commit(before, &uses(n)).await.unwrap();
            assert_eq!(sink.position().await.unwrap(), before.next());
        }
    });
}

fn other_settings_and_no_job_are_told_apart(bed: &impl Bed) {
    block_on(async {
        let mut nothing = |_| {};
        let none = bed.connect().inspect(&identity(), &mut nothing).await;
        let is_nothing = matches!(none, Err(SinkError::NoJob { .. } | SinkError::NoFile { .. }));
        assert!(is_nothing, "{none:?}");
        let at = bed.connect().claim(&identity()).await.unwrap();
        bed.silence();
        let other = Identity { fingerprint: "f=2".to_owned(), ..identity() };
        let refused = bed.connect().claim(&other).await;
        let Err(SinkError::Fingerprint { stored, now }) = refused else { panic!("{refused:?}") };
        assert_eq!((&*stored, &*now), ("f=1", "f=2"));
        bed.silence();
        let looked = bed.connect().inspect(&other, &mut nothing).await;
        assert!(matches!(looked, Err(SinkError::Fingerprint { .. })), "{looked:?}");
        let inspected = bed.connect().inspect(&identity(), &mut nothing).await.unwrap();
        assert_eq!(inspected.position, at);
    });
}

/// Also while they are empty: the first job has committed nothing.
fn tables_belong_to_one_job(bed: &impl Bed) {
    block_on(async {
        bed.connect().claim(&identity()).await.unwrap();
        bed.silence();
        let another = Identity { job: "another".to_owned(), ..identity() };
        let refused = bed.connect().claim(&another).await;
        let Err(SinkError::OtherJob { other, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(other, identity().job);
        bed.silence();
        assert_eq!(bed.connect().claim(&identity()).await.unwrap().generation, 2);
    });
}

fn what_is_restored_begins_with_the_position(bed: &impl Bed) {
    block_on(async {
        let (mut old, mut new) = (bed.connect(), bed.connect());
        let before = old.claim(&identity()).await.unwrap();
        bed.silence();
        let at = new.claim(&identity()).await.unwrap();
        let refused = old.begin_restore(before).await;
        assert!(refused.is_err(), "the successor's rows are no state of its predecessor");
        new.begin_restore(at).await.unwrap();
        new.end_restore().await.unwrap();
    });
}

fn marked_rows_are_found(bed: &impl Bed) {
    let letters: Vec<_> = (0..3000).map(|n| letter(n, u64::from(n % 2 == 1))).collect();
    block_on(async {
        let mut sink = bed.connect();
        let at = sink.claim(&identity()).await.unwrap();
        let (table, column) = (index("dead_letters"), types::dead_letter::RETRY);
        assert!(sink.flagged(table, column).await.unwrap().is_empty());
        let commit = transaction(vec![("dead_letters", vec![], letters)]);
        sink.commit(at, &commit).await.unwrap();
        let marked = sink.flagged(table, column).await.unwrap();
        let offsets: Vec<_> = marked.iter().map(|row| row[2].as_u64().unwrap()).collect();
        assert_eq!(offsets, (0..1000).map(|n| 2 * n + 1).collect::<Vec<_>>());
    });
}

/// A look beside commits that set two tables to the same number finds the same number in both.
fn a_look_sees_one_commit<B: Bed>(bed: &B) {
    let both = |n: u64| {
        let total = [Value::Text("x".into()), Value::UInt(n)].into();
        transaction(vec![
            ("hashtags", vec![], vec![hashtag("x", n)]),
            ("totals", vec![], vec![total]),
        ])
    };
    let done = AtomicBool::new(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut sink = bed.connect();
    let mut at = runtime.block_on(sink.claim(&identity())).unwrap();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (look, mut looks) = (bed.connect(), 0_u64);
            while !done.load(Ordering::Relaxed) || looks == 0 {
                let mut found = Vec::new();
                let take = &mut |batch: Vec<Restored>| {
                    found.extend(batch.into_iter().map(|row| row.row[1].as_u64().unwrap()));
                };
                let inspected = block_on(look.inspect(&identity(), take)).unwrap();
                let commit_no = inspected.position.commit_no;
                let wanted = vec![commit_no; if commit_no == 0 { 0 } else { 2 }];
                assert_eq!(found, wanted, "two commits in one look");
                looks += 1;
            }
            looks
        });
        for n in 1..200 {
            runtime.block_on(sink.commit(at, &both(n))).unwrap();
            at = at.next();
        }
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
}

/// Every table with a panel: a restart that reads nothing new shows the rows that are stored, and
/// one that reads more shows the rows that it commits.
fn a_restart_shows_what_the_tables_hold(bed: &impl Bed) {
    let mut config = RunConfig::new("t");
    let pairs = ["hashtag_pairs", "top_hashtag_pairs"].map(String::from);
    config.tables.with = pairs.to_vec();
    let tables = Tables::choose(&config.tables).unwrap();
    let generator = Synthetic::new(7);
    let tweet = |index| {
        let mut bytes = Vec::new();
        generator.tweet(index, &mut bytes);
        bytes
    };
    let run = |records: u64| {
        let partitions = (0..2).map(|n| (0..records).filter(|i| i % 2 == n).map(tweet).collect());
        let topic = Box::new(MemoryTopic::new(Arc::new(partitions.collect())));
        let monitor = Arc::<Monitor>::default();
        pipeline::run_watched(config.clone(), topic, bed.connect(), Arc::default(), &monitor)
            .unwrap();
        let mut stored: Vec<_> = tables.all().iter().map(|_| BTreeSet::new()).collect();
        let visit = &mut |rows: Vec<Restored>| {
            for Restored { table, row } in rows {
                stored[usize::from(table)].insert(row);
            }
        };
        block_on(bed.connect().inspect(&identity::identity(&config, &tables), visit)).unwrap();
        let shown = monitor.snapshot().tables;
        let panels = tables.all().into_iter().filter(|table| table.panel != Panel::None);
        assert!(shown.iter().map(|shown| shown.table.name).eq(panels.map(|table| table.name)));
        for panel in shown {
            let name = panel.table.name;
            let rows: BTreeSet<_> = panel.rows.into_values().collect();
            assert_eq!(rows, stored[usize::from(index(name))], "{name} after {records} records");
            assert!(!rows.is_empty(), "{name}");
        }
    };
    [400, 400, 600].into_iter().for_each(run);
}

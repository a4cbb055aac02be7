//! The sink on real servers, MariaDB and MySQL: the fence, the read that waits, the snapshot; a
//! [`session`] that is not as it was set; ways to [`sign_in`]; [`strings`] as they went in;
//! [`tables`] that exist; many rows as [`loads`].

mod loads;
mod session;
mod sign_in;
mod strings;
mod tables;

use crate::common::proxy::{Verdict, proxied};
use crate::common::{Server, Sql};
use dataflows::catalogue::Tables;
use mysql_async::prelude::Queryable;
use sink::mysql::MySqlSink;
use sink::{Identity, Sink, SinkError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use types::prefix::Prefix;
use types::transaction::{Position, TableChanges, Transaction};
use types::{Restored, Row, Value};

on_both_servers! {
    every_commit_is_one_snapshot_of_rows_and_offsets,
    a_zombie_never_changes_a_row,
    the_position_waits_for_a_commit_in_progress,
    a_copy_that_waits_leaves_the_tables_to_one_that_comes_back,
    other_settings_and_foreign_tables_are_refused,
}

fn identity() -> Identity {
    let tables = Tables::every().all();
    Identity {
        job: "test".to_owned(),
        fingerprint: "f=1".to_owned(),
        tables,
        known: Tables::every().all(),
        prefix: Prefix::default(),
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

fn hashtag(tag: &str, uses: u64) -> Row {
    [Value::Text(tag.into()), Value::UInt(uses)].into()
}

/// A transaction that sets hashtags and the offset of partition 0.
fn transaction(mut hashtags: Vec<Row>, next_offset: u64) -> Transaction {
    hashtags.sort();
    let offset: Row = Box::new([
        Value::Text("t".into()),
        Value::UInt(0),
        Value::UInt(0),
        Value::UInt(next_offset),
        Value::UInt(next_offset),
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Text("".into()),
    ]);
    let mut tables = vec![TableChanges::default(); identity().tables.len()];
    tables[0].upserts = hashtags;
    tables[usize::from(Tables::every().progress())].upserts = vec![offset];
    Transaction { as_of: 1_700_000_000_000_000, tables }
}

async fn snapshot(sink: &mut MySqlSink, table: u8) -> Vec<Restored> {
    let mut rows = Vec::new();
    let at = sink.position().await.unwrap();
    sink.begin_restore(at).await.unwrap();
    sink.snapshot(table, &mut |mut batch| rows.append(&mut batch)).await.unwrap();
    sink.end_restore().await.unwrap();
    rows
}

/// A reader that takes a consistent snapshot never sees rows of one commit and offsets of another.
fn every_commit_is_one_snapshot_of_rows_and_offsets(server: Server) {
    let url = server.fresh_database("snapshot");
    let mut sink = MySqlSink::new(&url).unwrap();
    let done = AtomicBool::new(false);
    // One runtime: a connection lives on the one that it was made on.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut at = runtime.block_on(sink.claim(&identity())).unwrap();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut sql = Sql::connect(&url);
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) {
                sql.run("START TRANSACTION WITH CONSISTENT SNAPSHOT");
                let uses = sql.rows::<u64>("SELECT uses FROM hashtags");
                let next = sql.rows::<u64>("SELECT next_offset FROM kafka_offsets");
                sql.run("COMMIT");
                assert_eq!(uses, next, "rows and offsets are of different commits");
                reads += 1;
            }
            reads
        });
        for n in 1..300 {
            let commit = transaction(vec![hashtag("x", n)], n);
            runtime.block_on(sink.commit(at, &commit)).unwrap();
            at = at.next();
        }
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 10);
    });
}

/// A process that was succeeded changes nothing any more, however late it wakes.
fn a_zombie_never_changes_a_row(server: Server) {
    let url = server.fresh_database("zombie");
    let (mut old, mut new) = (MySqlSink::new(&url).unwrap(), MySqlSink::new(&url).unwrap());
    block_on(async {
        let at = old.claim(&identity()).await.unwrap();
        old.commit(at, &transaction(vec![hashtag("x", 1)], 1)).await.unwrap();
        // Its connection breaks, and with it the named lock; the successor starts.
        let mut sql = mysql_async::Conn::from_url(&url).await.unwrap();
        let ids: Vec<u64> = sql
            .query(
                "SELECT id FROM information_schema.processlist \
                 WHERE db = DATABASE() AND id <> CONNECTION_ID()",
            )
            .await
            .unwrap();
        for id in ids {
            sql.query_drop(format!("KILL {id}")).await.unwrap();
        }
        let successor = new.claim(&identity()).await.unwrap();
        let Position { generation, commit_no, writer } = successor;
        assert!((generation, commit_no) == (2, 1) && writer != at.writer);
        let late = transaction(vec![hashtag("x", 99)], 99);
        for _ in 0..3 {
            let result = old.commit(at.next(), &late).await;
            assert!(result.is_err(), "a zombie committed");
        }
        new.commit(successor, &transaction(vec![hashtag("x", 2)], 2)).await.unwrap();
        assert!(matches!(old.commit(at.next(), &late).await, Err(SinkError::Outdated(_))));
        let rows = snapshot(&mut new, 0).await;
        assert_eq!(rows, [Restored { table: 0, row: hashtag("x", 2) }]);
    });
}

/// The answer to a COMMIT is lost while the server still works on it: the position is only told
/// once that session is through.
fn the_position_waits_for_a_commit_in_progress(server: Server) {
    let url = server.fresh_database("waits");
    let mut sink = MySqlSink::new(&url).unwrap();
    let at = block_on(sink.claim(&identity())).unwrap();
    let mut slow = Sql::connect(&url);
    slow.run("START TRANSACTION");
    slow.run("UPDATE tweetflow_commit SET commit_no = commit_no + 1");
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| block_on(sink.position()).unwrap());
        std::thread::sleep(Duration::from_millis(700));
        assert!(!asking.is_finished(), "the position was told while a commit was in progress");
        slow.run("COMMIT");
        assert_eq!(asking.join().unwrap(), at.next());
    });
}

/// A second copy waits for the job's lock. The connection of the first breaks, and with it the lock
/// goes: the first takes it again, the second goes on waiting; until the first has ended.
fn a_copy_that_waits_leaves_the_tables_to_one_that_comes_back(server: Server) {
    let database = server.fresh_database("comes_back");
    let (proxy, url) = proxied(&database);
    let (second_proxy, second_url) = proxied(&database);
    let is_waiting = Arc::<AtomicBool>::default();
    let seen = Arc::clone(&is_waiting);
    second_proxy.look(move |piece| {
        let look = b"IS_USED_LOCK";
        if piece.windows(look.len()).any(|window| window == look) {
            seen.store(true, Ordering::Relaxed);
        }
        Verdict::Pass
    });
    let letters = Tables::every().dead_letters();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut first = MySqlSink::new(&url).unwrap();
    let mut at = runtime.block_on(first.claim(&identity())).unwrap();
    std::thread::scope(|scope| {
        let second =
            scope.spawn(|| block_on(MySqlSink::new(&second_url).unwrap().claim(&identity())));
        // Before, it would take a lock that is free at once.
        while !is_waiting.load(Ordering::Relaxed) {
            assert!(!second.is_finished(), "the second copy has not waited");
            std::thread::sleep(Duration::from_millis(5));
        }
        for n in 1..4 {
            std::thread::sleep(Duration::from_millis(1500));
            proxy.break_once();
            // As the committer does: it looks for marks each second, and a commit fails or not.
            let _ = runtime.block_on(first.flagged(letters, types::dead_letter::RETRY));
            let found = runtime.block_on(first.flagged(letters, types::dead_letter::RETRY));
            found.unwrap();
            std::thread::sleep(Duration::from_millis(1500));
            runtime.block_on(first.commit(at, &transaction(vec![hashtag("x", n)], n))).unwrap();
            at = at.next();
            assert!(!second.is_finished(), "the second copy has taken the tables");
        }
        std::thread::sleep(Duration::from_secs(7));
        assert!(!second.is_finished(), "the lock was not taken again");
        runtime.block_on(async { drop(first) });
        proxy.cut();
        let Position { generation, commit_no, .. } = second.join().unwrap().unwrap();
        assert_eq!((generation, commit_no), (2, 3));
    });
}

fn other_settings_and_foreign_tables_are_refused(server: Server) {
    let url = server.fresh_database("settings");
    let mut sql = Sql::connect(&url);
    let claim = |identity: Identity| block_on(MySqlSink::new(&url).unwrap().claim(&identity));
    sql.run("CREATE TABLE users (username VARCHAR(30), nb_friends INT)");
    let unknown_table = claim(identity()).unwrap_err();
    assert!(matches!(unknown_table, SinkError::Foreign { .. }), "{unknown_table}");
    sql.run("DROP TABLE users");
    claim(identity()).unwrap();
    let other = Identity { fingerprint: "f=2".to_owned(), ..identity() };
    let mismatch = claim(other).unwrap_err();
    let SinkError::Fingerprint { stored, now } = mismatch else { panic!("{mismatch}") };
    assert_eq!((&*stored, &*now), ("f=1", "f=2"));
    sql.run("DELETE FROM tweetflow_commit");
    sql.run("INSERT INTO hashtags VALUES ('x', 1)");
    let no_position = claim(identity()).unwrap_err();
    assert!(matches!(no_position, SinkError::Foreign { .. }), "{no_position}");
}

//! Many rows are loaded where that means the same as upserts, and only there.

use super::{block_on, hashtag, identity, transaction};
use crate::common::proxy::{Verdict, proxied};
use crate::common::{Globals, Server, Sql};
use sink::mysql::MySqlSink;
use sink::{Sink, SinkError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use types::Row;
use types::fault::Fault;

on_both_servers! {
    many_rows_are_loaded_and_few_are_not,
    a_column_of_somebody_else_keeps_what_is_in_it,
    a_row_that_refers_to_a_replaced_one_stays,
    a_row_that_does_not_fit_is_refused_and_nothing_stays,
    a_row_that_somebody_holds_is_waited_for_and_not_left_out,
    what_is_refused_to_load_goes_as_upserts,
}

const MANY: u64 = 9_000;
const LOAD: &[u8] = b"LOAD DATA LOCAL";

fn hashtags(uses: u64) -> Vec<Row> {
    (0..MANY).map(|n| hashtag(&format!("tag{n:05}"), uses)).collect()
}

/// A way to `database` that counts the statements which load rows: the server's own count is of all
/// that others load beside this test.
fn counted(database: &str) -> (String, impl Fn() -> u64 + use<>) {
    let (proxy, url) = proxied(database);
    let count = Arc::<AtomicU64>::default();
    let loads = Arc::clone(&count);
    proxy.look(move |piece| {
        let new = piece.windows(LOAD.len()).filter(|window| *window == LOAD).count();
        count.fetch_add(new as u64, Ordering::Relaxed);
        Verdict::Pass
    });
    (url, move || loads.load(Ordering::Relaxed))
}

/// A job that has committed `MANY` hashtags, each used once; a second commit uses them `uses` times
/// after `between`.
fn twice(url: &str, between: &[&str], uses: u64) -> Result<(), SinkError> {
    let mut sink = MySqlSink::new(url).unwrap();
    block_on(async {
        let at = sink.claim(&identity()).await.unwrap();
        sink.commit(at, &transaction(hashtags(1), 1)).await.unwrap();
        let mut successor = MySqlSink::new(url).unwrap();
        run_beside(url, between);
        let next = successor.claim(&identity()).await.unwrap();
        successor.commit(next, &transaction(hashtags(uses), 2)).await
    })
}

/// On a thread of its own: the caller's has a runtime.
fn run_beside(url: &str, statements: &[&str]) {
    let run = || {
        let mut sql = Sql::connect(url);
        let others = "SELECT id FROM information_schema.processlist \
                      WHERE db = DATABASE() AND id <> CONNECTION_ID()";
        let others = sql.rows::<u64>(others);
        // A predecessor's connection: its lock goes with it.
        for id in others {
            sql.attempt(&format!("KILL {id}"));
        }
        for statement in statements {
            sql.run(statement);
        }
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap());
}

fn many_rows_are_loaded_and_few_are_not(server: Server) {
    let globals = Globals::set(server, &[("local_infile", "ON")]);
    let (url, loads) = counted(&server.fresh_database("loads"));
    twice(&url, &[], 2).unwrap();
    // Of each commit, two statements: no statement has 10,000 rows.
    assert_eq!(loads(), 4);
    let mut sink = MySqlSink::new(&url).unwrap();
    run_beside(&url, &[]);
    let mut few = transaction(hashtags(3)[..999].to_vec(), 3);
    few.tables[0].deletes = vec![[types::Value::Text("tag08999".into())].into()];
    block_on(async {
        let at = sink.claim(&identity()).await.unwrap();
        sink.commit(at, &few).await.unwrap();
    });
    let mut sql = Sql::connect(&url);
    assert_eq!(loads(), 4);
    let query = "SELECT uses, COUNT(*) FROM hashtags GROUP BY uses ORDER BY uses";
    assert_eq!(sql.rows::<(u64, u64)>(query), [(2, MANY - 1000), (3, 999)]);
    drop(globals);
}

fn a_column_of_somebody_else_keeps_what_is_in_it(server: Server) {
    let globals = Globals::set(server, &[("local_infile", "ON")]);
    let url = server.fresh_database("added_column");
    let add = "ALTER TABLE hashtags ADD COLUMN note VARCHAR(9) NULL";
    twice(&url, &[add, "UPDATE hashtags SET note = 'kept'"], 2).unwrap();
    let query = "SELECT COUNT(*) FROM hashtags WHERE uses = 2 AND note = 'kept'";
    assert_eq!(Sql::connect(&url).rows::<u64>(query), [MANY]);
    // A trigger that is seen, too.
    let triggered = server.fresh_database("trigger");
    let trigger = "CREATE TRIGGER follow AFTER UPDATE ON hashtags FOR EACH ROW \
                   UPDATE totals SET records = records + 1 WHERE name = 'followed'";
    twice(&triggered, &["INSERT INTO totals VALUES ('followed', 0)", trigger], 2).unwrap();
    let followed = "SELECT records FROM totals WHERE name = 'followed'";
    assert_eq!(Sql::connect(&triggered).rows::<u64>(followed), [MANY]);
    drop(globals);
}

fn a_row_that_refers_to_a_replaced_one_stays(server: Server) {
    let globals = Globals::set(server, &[("local_infile", "ON")]);
    let (url, loads) = counted(&server.fresh_database("referred"));
    let create = "CREATE TABLE notes (hashtag VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, \
                  FOREIGN KEY (hashtag) REFERENCES hashtags (hashtag) ON DELETE CASCADE)";
    twice(&url, &[create, "INSERT INTO notes SELECT hashtag FROM hashtags"], 2).unwrap();
    let mut sql = Sql::connect(&url);
    assert_eq!(sql.rows::<u64>("SELECT COUNT(*) FROM notes"), [MANY]);
    assert_eq!(sql.rows::<u64>("SELECT COUNT(*) FROM hashtags WHERE uses = 2"), [MANY]);
    assert_eq!(loads(), 4);
    drop(globals);
}

/// It is the error that an upsert would be, not the warning that `LOCAL` makes of it without
/// `REPLACE`.
fn a_row_that_does_not_fit_is_refused_and_nothing_stays(server: Server) {
    let globals = Globals::set(server, &[("local_infile", "ON")]);
    let url = server.fresh_database("does_not_fit");
    let mut sink = MySqlSink::new(&url).unwrap();
    block_on(async {
        let at = sink.claim(&identity()).await.unwrap();
        sink.commit(at, &transaction(hashtags(1), 1)).await.unwrap();
        let narrow = "ALTER TABLE hashtags MODIFY uses TINYINT UNSIGNED NOT NULL";
        run_beside(&url, &[narrow]);
        let next = sink.position().await.unwrap();
        let error = sink.commit(next, &transaction(hashtags(256), 2)).await.unwrap_err();
        assert!(matches!(error, SinkError::Server { code: 1264, .. }), "{error}");
    });
    let query = "SELECT uses, COUNT(*) FROM hashtags GROUP BY uses";
    assert_eq!(Sql::connect(&url).rows::<(u64, u64)>(query), [(1, MANY)]);
    drop(globals);
}

fn a_row_that_somebody_holds_is_waited_for_and_not_left_out(server: Server) {
    let globals = Globals::set(server, &[("local_infile", "ON")]);
    let (url, loads) = counted(&server.fresh_database("held_row"));
    let mut sink = MySqlSink::new(&url).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let at = runtime.block_on(async {
        let at = sink.claim(&identity()).await.unwrap();
        sink.commit(at, &transaction(hashtags(1), 1)).await.unwrap();
        at.next()
    });
    let mut holder = Sql::connect(&url);
    holder.run("START TRANSACTION");
    holder.rows::<u64>("SELECT uses FROM hashtags WHERE hashtag = 'tag04000' FOR UPDATE");
    let again = transaction(hashtags(2), 2);
    let error = runtime.block_on(sink.commit(at, &again)).unwrap_err();
    assert!(matches!(error, SinkError::Server { code: 1205, .. }), "{error}");
    holder.run("COMMIT");
    runtime.block_on(async {
        assert_eq!(sink.position().await.unwrap(), at);
        sink.commit(at, &again).await.unwrap();
    });
    let mut sql = Sql::connect(&url);
    let query = "SELECT uses, COUNT(*) FROM hashtags GROUP BY uses";
    assert_eq!(sql.rows::<(u64, u64)>(query), [(2, MANY)]);
    // Two, the one that failed, two: a lock that is held does not end loading.
    assert_eq!(loads(), 5);
    drop(globals);
}

fn what_is_refused_to_load_goes_as_upserts(server: Server) {
    let globals = Globals::set(server, &[("local_infile", "ON")]);
    let (url, loads) = counted(&server.fresh_database("refused_load"));
    let mut sink = MySqlSink::new(&url).unwrap();
    block_on(async {
        let at = sink.claim(&identity()).await.unwrap();
        run_beside(&url, &["SET GLOBAL local_infile = 'OFF'"]);
        let next = match sink.commit(at, &transaction(hashtags(1), 1)).await {
            Ok(()) => at.next(),
            // Its connection was ended.
            Err(error) => {
                assert!(error.is_transient(), "{error}");
                let current = sink.position().await.unwrap();
                sink.commit(current, &transaction(hashtags(1), 1)).await.unwrap();
                current.next()
            }
        };
        sink.commit(next, &transaction(hashtags(2), 2)).await.unwrap();
    });
    let mut sql = Sql::connect(&url);
    let query = "SELECT uses, COUNT(*) FROM hashtags GROUP BY uses";
    assert_eq!(sql.rows::<(u64, u64)>(query), [(2, MANY)]);
    // One was tried and refused.
    assert!(loads() <= 1);
    drop(globals);
}

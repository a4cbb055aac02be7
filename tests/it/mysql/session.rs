//! A session means what this program set: whatever the server's defaults are, and if a proxy
//! between does not pass settings on, the start is refused.

use super::{block_on, hashtag, identity, snapshot, transaction};
use crate::common::own::OwnServer;
use crate::common::{Server, Sql};
use sink::mysql::MySqlSink;
use sink::{Sink, SinkError};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

on_both_servers! {
    a_setting_that_does_not_reach_the_server_is_refused,
    rows_that_are_cut_short_are_noticed,
    what_is_restored_is_of_one_moment,
    a_servers_globals_change_nothing,
}

/// Changes what a client says, as a proxy would; told whether a transaction is open.
type Change = fn(&str, bool) -> Option<String>;

/// A proxy in front of the server of `url` that changes statements; its URL.
fn changing(url: &str, change: Change) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (account, place) = url.rsplit_once('@').unwrap();
    let (server, database) = place.split_once('/').unwrap();
    let (own, server) = (listener.local_addr().unwrap(), server.to_owned());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
            let (answers, asked) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || copy(answers, asked, b"", b""));
            std::thread::spawn(move || change_statements(client, server, change));
        }
    });
    format!("{account}@{own}/{database}")
}

fn change_statements(mut input: TcpStream, mut output: TcpStream, change: Change) {
    let (mut buffer, mut is_open) = (vec![0; 1 << 16], false);
    while let Ok(length @ 1..) = input.read(&mut buffer) {
        let mut bytes = buffer[..length].to_vec();
        // A packet's length and number, then 3: a statement.
        if bytes.len() > 5 && bytes[4] == 3 {
            let text = String::from_utf8_lossy(&bytes[5..]).into_owned();
            is_open = (is_open || text.starts_with("START TRANSACTION")) && text != "COMMIT";
            if let Some(changed) = change(&text, is_open) {
                let packet_length = u32::try_from(changed.len() + 1).unwrap().to_le_bytes();
                bytes = [&packet_length[..3], &bytes[3..5], changed.as_bytes()].concat();
            }
        }
        if output.write_all(&bytes).is_err() {
            break;
        }
    }
}

fn rows_that_are_cut_short_are_noticed(server: Server) {
    let url = server.fresh_database("cut_short");
    let cut = changing(&url, |text, _| {
        (text.starts_with("SELECT `hashtag`")).then(|| format!("{text} LIMIT 2"))
    });
    block_on(async {
        let mut sink = MySqlSink::new(&url).unwrap();
        let at = sink.claim(&identity()).await.unwrap();
        let rows = ["a", "b", "c"].map(|tag| hashtag(tag, 1)).to_vec();
        sink.commit(at, &transaction(rows, 1)).await.unwrap();
        drop(sink);
        let mut cut_off = MySqlSink::new(&cut).unwrap();
        let claimed = cut_off.claim(&identity()).await.unwrap();
        cut_off.begin_restore(claimed).await.unwrap();
        let error = cut_off.snapshot(0, &mut |_| {}).await.unwrap_err();
        assert!(matches!(error, SinkError::Incomplete { rows: 2, stored: 3, .. }), "{error}");
        let inspected = cut_off.inspect(&identity(), &mut |_| {}).await.unwrap_err();
        assert!(
            matches!(inspected, SinkError::Incomplete { rows: 2, stored: 3, .. }),
            "{inspected}"
        );
    });
}

/// A splitter sends what is in no transaction to a replica, which is a commit behind.
fn what_is_restored_is_of_one_moment(server: Server) {
    let url = server.fresh_database("one_moment");
    let split = changing(&url, |text, is_open| {
        (text.starts_with("SELECT `") && !is_open)
            .then(|| text.replace("FROM `hashtags`", "FROM `replica`"))
    });
    block_on(async {
        let mut sink = MySqlSink::new(&url).unwrap();
        let at = sink.claim(&identity()).await.unwrap();
        sink.commit(at, &transaction(vec![hashtag("x", 1)], 1)).await.unwrap();
        drop(sink);
    });
    let mut sql = Sql::connect(&url);
    sql.run("CREATE TABLE replica LIKE hashtags");
    sql.run("INSERT INTO replica SELECT * FROM hashtags");
    sql.run("UPDATE hashtags SET uses = 2");
    block_on(async {
        let mut sink = MySqlSink::new(&split).unwrap();
        sink.claim(&identity()).await.unwrap();
        assert_eq!(snapshot(&mut sink, 0).await[0].row, hashtag("x", 2));
    });
}

/// Each of them changes what a statement means, or ends it.
const GLOBALS: [&str; 12] = [
    "sql_select_limit = 100",
    "sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT'",
    "max_join_size = 1",
    "completion_type = 'CHAIN'",
    "transaction_isolation = 'READ-UNCOMMITTED'",
    "sql_safe_updates = 1",
    "sql_auto_is_null = 1",
    "foreign_key_checks = 0",
    "unique_checks = 0",
    "autocommit = 0",
    "max_sort_length = 4",
    "transaction_read_only = 1",
];
/// Those of one family.
const MARIADB: [&str; 6] = [
    "sql_if_exists = 1",
    "tx_isolation = 'READ-UNCOMMITTED'",
    "max_statement_time = 0.5",
    "check_constraint_checks = 0",
    "character_set_collations = ''",
    "system_versioning_asof = '2020-01-01 00:00:00'",
];

fn a_servers_globals_change_nothing(server: Server) {
    let own = OwnServer::start(server);
    let mut sql = Sql::connect(&own.url);
    sql.run("CREATE USER plain IDENTIFIED BY 'plain'");
    sql.run("GRANT ALL ON data.* TO plain");
    let mut names = std::collections::BTreeSet::new();
    let all = GLOBALS.iter().chain(MARIADB.iter().filter(|_| server == Server::MariaDb));
    for global in all {
        // Not every version has each.
        let name = global.split(' ').next().unwrap();
        let sql_text = format!("SHOW GLOBAL VARIABLES LIKE '{name}'");
        if sql.rows::<(String, String)>(&sql_text).is_empty() {
            continue;
        }
        sql.attempt(&format!("SET GLOBAL {global}"));
        names.insert(name.to_owned());
    }
    assert!(names.len() >= 10, "{names:?}");
    // An account that may do nothing beyond its database.
    let (_, place) = own.url.split_once('@').unwrap();
    let url = format!("mysql://plain:plain@{place}");
    block_on(async {
        let tags: Vec<_> = (0..700).map(|n| hashtag(&format!("t{n:03}"), 1)).collect();
        let mut sink = MySqlSink::new(&url).unwrap();
        let at = sink.claim(&identity()).await.unwrap();
        sink.commit(at, &transaction(tags.clone(), 1)).await.unwrap();
        sink.commit(at.next(), &transaction(vec![hashtag("t000", 2)], 2)).await.unwrap();
        drop(sink);
        let mut reopened = MySqlSink::new(&url).unwrap();
        let claimed = reopened.claim(&identity()).await.unwrap();
        assert_eq!((claimed.generation, claimed.commit_no), (2, 2));
        assert_eq!(snapshot(&mut reopened, 0).await.len(), tags.len());
        let mut rows = 0;
        let count = &mut |batch: Vec<_>| rows += batch.len();
        reopened.inspect(&identity(), count).await.unwrap();
        assert_eq!(rows, tags.len() + 1);
    });
}

/// A proxy in front of the server of `url` that puts `to` for `from`, of the same length, into what
/// the client says; its URL. It lives as long as the test's process.
fn proxy(url: &str, from: &'static str, to: &'static str) -> String {
    assert_eq!(from.len(), to.len());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (account, place) = url.rsplit_once('@').unwrap();
    let (server, database) = place.split_once('/').unwrap();
    let (own, server) = (listener.local_addr().unwrap(), server.to_owned());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
            let (answers, asked) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || copy(answers, asked, b"", b""));
            std::thread::spawn(move || copy(client, server, from.as_bytes(), to.as_bytes()));
        }
    });
    format!("{account}@{own}/{database}")
}

/// Statements of a session's set-up are far smaller than the buffer, hence come in one piece.
fn copy(mut input: TcpStream, mut output: TcpStream, from: &[u8], to: &[u8]) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = input.read(&mut buffer) {
        let bytes = &mut buffer[..length];
        let at = bytes.windows(from.len().max(1)).position(|window| window == from);
        if let Some(at) = at {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
        if output.write_all(bytes).is_err() {
            break;
        }
    }
}

fn a_setting_that_does_not_reach_the_server_is_refused(server: Server) {
    let url = server.fresh_database("proxy");
    let claim = |through: &str| block_on(MySqlSink::new(through).unwrap().claim(&identity()));
    for (from, to, says) in [
        ("time_zone='+00:00'", "time_zone='+05:00'", "keeps time_zone at \"+05:00\""),
        ("NO_ENGINE_SUBSTITUTION", "NO_BACKSLASH_ESCAPES,,", "NO_BACKSLASH_ESCAPES"),
        ("sql_select_limit=18446744073709551615", "sql_select_limit=00000000000000000100", "100"),
        ("wait_timeout=60", "wait_timeout=99", "keeps wait_timeout at \"99\""),
    ] {
        let error = claim(&proxy(&url, from, to)).unwrap_err();
        assert!(matches!(error, SinkError::Session { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    claim(&proxy(&url, "never said", "never said")).unwrap();
}

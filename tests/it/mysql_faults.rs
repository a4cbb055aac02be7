//! The database fails while the program writes: each scenario is a fault, then an exact recount.
//!
//! The topic is in memory, the servers are real, a small proxy between cuts what a network cuts.
//! What needs a server of its own (killed, full, woken) is in `tests/soak`.

use crate::common::own::OwnServer;
use crate::common::proxy::{Proxy, Verdict, proxied};
use crate::common::small_disk::SmallDisk;
use crate::common::{MemoryTopic, Recount, Running, Server, Sql, program};
use sink::SinkError;
use sink::mysql::MySqlSink;
use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};
use tweetflow::config::Credit;
use tweetflow::config::RunConfig;
use tweetflow::pipeline;
use tweetflow::pipeline::RunSummary;
use tweetflow::pipeline::error::RunError;

on_both_servers! {
    connections_killed_by_an_administrator,
    a_lock_wait_that_times_out_loses_no_row,
    a_deadlock_is_tried_again,
    a_servers_defaults_mean_nothing,
    an_account_that_asks_for_tls;
    long: commits_cut_before_the_server_sees_them_are_sent_again,
    commits_cut_after_the_server_saw_them_are_not_sent_again,
    a_commit_cut_while_the_server_is_slow_counts_once,
    connections_that_break_black_holes_and_a_server_out_of_reach,
    tables_put_back_by_one_commit_stop_the_program,
    small_packets_bound_statements_not_transactions,
    a_server_that_turns_read_only_is_waited_for,
    a_full_disk_is_waited_for,
    an_outage_is_logged_when_it_begins_and_when_it_ends,
}

const RECORDS: u64 = 4_000;

/// Each record is one tweet with one of 50 hashtags, by one of 70 users, and with a hashtag that no
/// other has: a row that is lost and would come again with the next commit is no loss to be seen.
fn topic(records: u64) -> MemoryTopic {
    let mut partitions = vec![Vec::new(); 2];
    for tweet in 1..=records {
        let payload = format!(
            r#"{{"id":{tweet},"text":"","entities":{{"hashtags":[{{"text":"t{}"}},{{"text":"once{tweet}"}}]}},
            "user":{{"id":{},"name":"it's \\ \u65e5\u672c\u8a9e","friends_count":{tweet}}}}}"#,
            tweet % 50,
            tweet % 70,
        );
        partitions[usize::from(tweet % 3 == 0)].push(payload.into_bytes());
    }
    MemoryTopic::new(Arc::new(partitions))
}

/// A run of the whole topic on a thread, by transactions of a few dozen tweets.
struct Job {
    topic: MemoryTopic,
    thread: JoinHandle<Result<RunSummary, RunError>>,
    sql: Sql,
}

impl Job {
    /// `url` is how the program reaches the database, `database` how the test does.
    fn start(url: &str, database: &str, records: u64) -> Self {
        Job::with_credit(20, url, database, records)
    }

    /// `credit` is the number of records that a worker reads ahead of the commit.
    fn with_credit(credit: u64, url: &str, database: &str, records: u64) -> Self {
        let mut config = RunConfig::new("memory");
        config.workers = 2;
        config.credit = Credit { records: credit, bytes: u64::MAX };
        config.epoch = Duration::from_millis(1);
        let (topic, sink) = (topic(records), MySqlSink::new(url).unwrap());
        let (read, sql) = (Box::new(topic.clone()), Sql::connect(database));
        let thread = std::thread::spawn(move || pipeline::run(config, read, sink, Arc::default()));
        Job { topic, thread, sql }
    }

    /// Waits until something is committed: the fault shall meet the program at work.
    fn until_at_work(&mut self) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while self.sql.records_counted() == 0 {
            assert!(Instant::now() < deadline && !self.thread.is_finished(), "nothing committed");
            sleep(Duration::from_millis(5));
        }
    }

    /// The run ended well, with every record counted once.
    fn ends_exact(mut self) -> RunSummary {
        let summary = self.thread.join().unwrap().unwrap();
        let mut expected = Recount::default();
        self.topic.partitions.iter().flatten().for_each(|payload| expected.add(payload, false));
        assert_eq!(self.sql.recount(), expected);
        summary
    }
}

/// One of the server's own counts.
fn metric(server: Server, name: &str) -> u64 {
    let sql = format!("SELECT COUNT FROM information_schema.innodb_metrics WHERE NAME = '{name}'");
    Sql::connect(&server.url()).rows(&sql)[0]
}

/// Cuts every fifth COMMIT, and says how many it cut. The first ones are those of the start.
fn cut_commits(proxy: &Proxy, verdict: Verdict) -> Arc<AtomicU64> {
    let cut = Arc::<AtomicU64>::default();
    let (count, mut seen) = (Arc::clone(&cut), 0_u64);
    proxy.look(move |piece| {
        if !piece.ends_with(b"COMMIT") {
            return Verdict::Pass;
        }
        seen += 1;
        if seen < 4 || !seen.is_multiple_of(5) {
            return Verdict::Pass;
        }
        count.fetch_add(1, Ordering::Relaxed);
        verdict
    });
    cut
}

fn commits_cut_before_the_server_sees_them_are_sent_again(server: Server) {
    let database = server.fresh_database("cut_before");
    let (proxy, url) = proxied(&database);
    let cut = cut_commits(&proxy, Verdict::CutBefore);
    let summary = Job::start(&url, &database, RECORDS).ends_exact();
    assert!(cut.load(Ordering::Relaxed) > 3, "{cut:?} cut");
    assert_eq!(summary.resolved, 0, "a commit that never arrived was taken as applied");
}

fn commits_cut_after_the_server_saw_them_are_not_sent_again(server: Server) {
    let database = server.fresh_database("cut_after");
    let (proxy, url) = proxied(&database);
    let cut = cut_commits(&proxy, Verdict::CutAnswer(Duration::from_millis(20)));
    let summary = Job::start(&url, &database, RECORDS).ends_exact();
    assert!(cut.load(Ordering::Relaxed) > 3, "{cut:?} cut");
    // The others were those of the question for the position.
    assert!(summary.resolved > 0, "none was found to be applied");
}

/// A lock of the whole server holds the COMMIT back; its client is gone before it is through.
fn a_commit_cut_while_the_server_is_slow_counts_once(server: Server) {
    let database = server.fresh_database("cut_slow");
    let (proxy, url) = proxied(&database);
    let mut job = Job::start(&url, &database, RECORDS);
    job.until_at_work();
    for _ in 0..3 {
        let mut administrator = Some(Sql::connect(&server.url()));
        let (locked, lock) = std::sync::mpsc::channel();
        proxy.look(move |piece| {
            let Some(mut sql) = administrator.take_if(|_| piece.ends_with(b"COMMIT")) else {
                return Verdict::Pass;
            };
            sql.run("FLUSH TABLES WITH READ LOCK");
            locked.send(sql).unwrap();
            Verdict::CutAnswer(Duration::from_millis(50))
        });
        let mut lock_holder = lock.recv_timeout(Duration::from_mins(1)).unwrap();
        sleep(Duration::from_millis(400));
        lock_holder.run("UNLOCK TABLES");
    }
    job.ends_exact();
}

fn connections_that_break_black_holes_and_a_server_out_of_reach(server: Server) {
    let database = server.fresh_database("network");
    let (proxy, url) = proxied(&database);
    let mut job = Job::start(&url, &database, RECORDS);
    job.until_at_work();
    for round in 0..12 {
        match round % 3 {
            0 => proxy.break_once(),
            1 => proxy.hold(),
            _ => proxy.cut(),
        }
        sleep(Duration::from_millis(100));
        proxy.mend();
        sleep(Duration::from_millis(30));
    }
    job.ends_exact();
    assert!(proxy.connections() > 5, "{} connections", proxy.connections());
}

/// All connections to the job's database but the one that asks.
fn kill_all(sql: &mut Sql) -> usize {
    let others = "SELECT id FROM information_schema.processlist \
        WHERE db = DATABASE() AND id <> CONNECTION_ID()";
    let ids = sql.rows::<u64>(others);
    for id in &ids {
        // One that has ended meanwhile is an error, and fine.
        sql.attempt(&format!("KILL {id}"));
    }
    ids.len()
}

fn connections_killed_by_an_administrator(server: Server) {
    let database = server.fresh_database("killed");
    let mut job = Job::start(&database, &database, RECORDS);
    job.until_at_work();
    let mut killed = 0;
    // However long the job takes to come back each time.
    for _ in 0..500 {
        killed += kill_all(&mut job.sql);
        if killed > 7 {
            break;
        }
        sleep(Duration::from_millis(20));
    }
    assert!(killed > 3, "{killed} killed");
    job.ends_exact();
}

/// Error 1205 rolls back a statement and leaves its transaction open, offsets and all: one that
/// goes on from there commits the offsets without the rows.
fn a_lock_wait_that_times_out_loses_no_row(server: Server) {
    let database = server.fresh_database("lock_wait");
    let mut job = Job::start(&database, &database, RECORDS);
    job.until_at_work();
    let timeouts = metric(server, "lock_timeouts");
    let mut other = Sql::connect(&database);
    other.run("START TRANSACTION");
    other.rows::<u64>("SELECT uses FROM hashtags FOR UPDATE");
    let before = job.sql.records_counted();
    // The session's innodb_lock_wait_timeout is 10 s.
    sleep(Duration::from_secs(12));
    assert_eq!(job.sql.records_counted(), before, "offsets moved without their rows");
    assert!(metric(server, "lock_timeouts") > timeouts, "no wait has timed out");
    other.run("ROLLBACK");
    job.ends_exact();
}

/// The other client has changed more rows, so that the server chooses the program as the victim.
fn a_deadlock_is_tried_again(server: Server) {
    let database = server.fresh_database("deadlock");
    let mut job = Job::start(&database, &database, RECORDS);
    job.until_at_work();
    let mut other = Sql::connect(&database);
    let deadlocks = metric(server, "lock_deadlocks");
    other.run("CREATE TABLE heavy (n INT PRIMARY KEY) ENGINE=InnoDB");
    let rows: Vec<_> = (0..2_000).map(|n| format!("({n})")).collect();
    // Another test may hold the whole server and wait for this statement, which waits for the
    // program, whose COMMIT waits for that test: then this one gives way.
    other.run("SET SESSION innodb_lock_wait_timeout = 3");
    for round in 0..20 {
        other.run("START TRANSACTION");
        other.run(&format!("INSERT INTO heavy VALUES {}", rows.join(",")));
        other.attempt("SELECT uses FROM hashtags FOR UPDATE");
        // The program holds its row of the commit table by now, and waits for a hashtag.
        sleep(Duration::from_millis(300));
        other.attempt("UPDATE tweetflow_commit SET fingerprint = fingerprint");
        other.attempt("SELECT commit_no FROM tweetflow_commit FOR UPDATE");
        other.attempt("ROLLBACK");
        if round > 1 && metric(server, "lock_deadlocks") > deadlocks {
            break;
        }
        sleep(Duration::from_millis(50));
    }
    assert!(metric(server, "lock_deadlocks") > deadlocks, "there was no deadlock");
    job.ends_exact();
}

/// A backup that is put back under the running program: it must not write on top of it.
fn tables_put_back_by_one_commit_stop_the_program(server: Server) {
    let database = server.fresh_database("put_back");
    let mut job = Job::start(&database, &database, 40_000);
    job.until_at_work();
    job.sql.run("UPDATE tweetflow_commit SET commit_no = commit_no - 1");
    let put_back = job.sql.records_counted();
    let error = job.thread.join().unwrap().unwrap_err();
    let RunError::Sink(error) = error else { panic!("{error}") };
    assert!(matches!(error, SinkError::Fenced { .. }), "{error}");
    assert_eq!(job.sql.records_counted(), put_back, "something was written afterwards");
}

fn small_packets_bound_statements_not_transactions(server: Server) {
    let own = OwnServer::start(server);
    let database = &own.url;
    Sql::connect(database).run("SET GLOBAL max_allowed_packet = 16384");
    let mut job = Job::with_credit(2_000, database, database, RECORDS);
    job.until_at_work();
    // While a commit waits for a row the next one grows to thousands of rows, hence many packets.
    let mut other = Sql::connect(database);
    other.run("START TRANSACTION");
    other.rows::<u64>("SELECT uses FROM hashtags FOR UPDATE");
    sleep(Duration::from_millis(500));
    let left = RECORDS - other.records_counted();
    other.run("ROLLBACK");
    let deadline = Instant::now() + Duration::from_mins(1);
    while job.sql.records_counted() < RECORDS && Instant::now() < deadline {
        sleep(Duration::from_millis(10));
    }
    assert!(Instant::now() < deadline, "it does not get on");
    assert!(left > 2_000, "only {left} records were left for the large transaction");
    job.ends_exact();
}

/// `init_connect` is what a server does first on each connection of a usual account.
fn a_servers_defaults_mean_nothing(server: Server) {
    let database = server.fresh_database("defaults");
    let name = "tweetflow_defaults";
    let account = server.fresh_account(name, &database);
    let mut administrator = Sql::connect(&server.url());
    administrator.run(&format!("GRANT ALL ON tweetflow_test_defaults.* TO {name}"));
    administrator.run(
        "SET GLOBAL init_connect = \"SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT', \
         NAMES latin1, autocommit = 0, time_zone = '+05:00'\"",
    );
    let mut job = Job::start(&account.url, &database, RECORDS);
    job.until_at_work();
    administrator.run("SET GLOBAL init_connect = ''");
    job.ends_exact();
}

/// As when another server becomes the primary: the account has no right to write nevertheless.
fn a_server_that_turns_read_only_is_waited_for(server: Server) {
    let own = OwnServer::start(server);
    let mut administrator = Sql::connect(&own.url);
    administrator.run("CREATE USER plain IDENTIFIED BY 'plain'");
    administrator.run("GRANT ALL ON data.* TO plain");
    let (_, place) = own.url.split_once('@').unwrap();
    let account = format!("mysql://plain:plain@{place}");
    let mut job = Job::start(&account, &own.url, RECORDS);
    job.until_at_work();
    administrator.run("SET GLOBAL read_only = 1");
    let before = job.sql.records_counted();
    sleep(Duration::from_secs(2));
    assert!(job.sql.records_counted() <= before + 100, "it was not read-only");
    assert!(!job.thread.is_finished(), "it gave up");
    administrator.run("SET GLOBAL read_only = 0");
    job.ends_exact();
}

/// A full disk: no file may grow, until somebody makes room.
fn a_full_disk_is_waited_for(server: Server) {
    let mut own = SmallDisk::start(server);
    let records = 20_000;
    // Nearly full before the job starts: what is left is taken in a moment, long before it ends.
    own.tell("fallocate -l 32M reserve; dd if=/dev/zero of=filler bs=64k; rm reserve");
    let mut job = Job::with_credit(2_000, &own.url, &own.url, records);
    job.until_at_work();
    own.tell("dd if=/dev/zero of=filler bs=64k oflag=append conv=notrunc; dd if=/dev/zero of=filler2 bs=1k");
    let deadline = Instant::now() + Duration::from_secs(30);
    let (mut stalls, mut before) = (0, 0);
    while stalls < 20 {
        let counted = job.sql.records_counted();
        stalls = if counted == before { stalls + 1 } else { 0 };
        before = counted;
        assert!(Instant::now() < deadline, "the disk is not full");
        assert!(!job.thread.is_finished(), "it gave up: {:?}", job.thread.join().unwrap());
        sleep(Duration::from_millis(100));
    }
    assert!(before < records, "there was room for everything");
    own.tell("rm filler filler2");
    job.ends_exact();
}

/// Not at each attempt in between.
fn an_outage_is_logged_when_it_begins_and_when_it_ends(server: Server) {
    let database = server.fresh_database("outage");
    let (proxy, url) = proxied(&database);
    let folder = tempfile::tempdir().unwrap();
    let append = |tweet: u64| {
        let mut options = std::fs::File::options();
        options.create(true).append(true);
        let mut file = options.open(folder.path().join("tweets.ndjson")).unwrap();
        writeln!(file, r#"{{"id":{tweet},"text":"t","user":{{"id":1,"name":"n"}}}}"#).unwrap();
    };
    append(1);
    let arguments = ["run", "--files", folder.path().to_str().unwrap()];
    let mut child = Running::start(program(&arguments, &url).stderr(Stdio::piped()));
    let mut sql = Sql::connect(&database);
    let tweets = "SELECT COUNT(*) FROM totals WHERE name = 'tweets' AND records = ";
    let mut counted = |tweets_so_far: u64| {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !sql.has_table("totals")
            || sql.rows::<u64>(&format!("{tweets}{tweets_so_far}")) != [1]
        {
            assert!(Instant::now() < deadline, "{tweets_so_far} tweets are not counted");
            sleep(Duration::from_millis(20));
        }
    };
    counted(1);
    proxy.cut();
    append(2);
    sleep(Duration::from_secs(4));
    proxy.mend();
    counted(2);
    child.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(child.0.wait().unwrap().success());
    let said = std::io::read_to_string(child.0.stderr.take().unwrap()).unwrap();
    let warnings = said.lines().filter(|line| line.contains(" WARN ")).count();
    assert_eq!(warnings, 1, "{said}");
    assert_eq!(said.matches("a commit failed, trying again").count(), 1, "{said}");
    assert_eq!(said.matches("committing works again after").count(), 1, "{said}");
}

/// MySQL makes its own certificate; MariaDB has none unless it is given one, so only the refusal is
/// seen there.
fn an_account_that_asks_for_tls(server: Server) {
    let database = server.fresh_database("tls");
    let account = server.fresh_account("tweetflow_tls", &database);
    let mut administrator = Sql::connect(&server.url());
    administrator.run("GRANT ALL ON tweetflow_test_tls.* TO tweetflow_tls");
    administrator.run("ALTER USER tweetflow_tls REQUIRE SSL");
    let plain = Job::start(&account.url, &database, 100).thread.join().unwrap();
    let said = plain.unwrap_err().to_string();
    assert!(said.contains("?require_ssl=true"), "{said}");
    let tls = format!("{}?require_ssl=true&verify_ca=false&verify_identity=false", account.url);
    let job = Job::start(&tls, &database, 100);
    match server {
        Server::MySql => drop(job.ends_exact()),
        Server::MariaDb => {
            let refused = job.thread.join().unwrap().unwrap_err();
            let is_unreachable = matches!(refused, RunError::Sink(SinkError::Unreachable { .. }));
            assert!(is_unreachable, "{refused:?}");
        }
    }
    // Whom it talks to is checked unless that is asked away.
    let checked = Job::start(&format!("{}?require_ssl=true", account.url), &database, 100);
    let distrust = checked.thread.join().unwrap().unwrap_err();
    let is_unreachable = matches!(distrust, RunError::Sink(SinkError::Unreachable { .. }));
    assert!(is_unreachable, "{distrust:?}");
}

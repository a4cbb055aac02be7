//! The program on a real broker and a real database: killed, stopped, doubled, misused.
//!
//! `TWEETFLOW_TEST_TWEETS` sets how many tweets the kill test reads (20,000; 1,000,000 for a full
//! run), `TWEETFLOW_TEST_SEED` its seed, which is printed.

use crate::common::{Random, Recount, Server, Sql, fresh_topic, program, service};
use std::io::{Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use synth::Synthetic;

on_both_servers! {
    misuse_is_one_line_and_an_exit_code,
    a_read_only_server_is_one_line_and_nothing_written,
    the_printed_schema_and_rights_are_enough;
    long: killed_at_random_moments_the_tables_stay_exact,
    a_second_copy_waits_and_takes_over,
    a_stopped_copy_that_wakes_changes_nothing,
    a_row_without_a_meaning_ends_the_start,
    a_clean_stop_loses_nothing,
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn produce(topic: &str, tweets: u64, more: &[&str]) {
    let (brokers, limit) = (service("TEST_KAFKA"), tweets.to_string());
    let mut arguments = vec!["produce", "--brokers", &brokers, "--topic", topic, "--synthetic"];
    arguments.extend(["--limit", &limit]);
    arguments.extend(more);
    let output = program(&arguments, "").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn run(topic: &str, database: &str, more: &[&str]) -> Command {
    let brokers = service("TEST_KAFKA");
    let mut arguments = vec!["run", "--brokers", &brokers, "--topic", topic];
    arguments.extend(more);
    let mut command = program(&arguments, database);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn until_end(topic: &str, database: &str, more: &[&str]) -> Output {
    run(topic, database, &[more, &["--until-end"]].concat()).output().unwrap()
}

fn recount(tweets: u64, require_location: bool) -> Recount {
    let (generator, mut recount, mut tweet) = (Synthetic::new(1), Recount::default(), Vec::new());
    for index in 0..tweets {
        tweet.clear();
        generator.tweet(index, &mut tweet);
        recount.add(&tweet, require_location);
    }
    recount
}

fn assert_equal(found: &Recount, expected: &Recount) {
    assert_eq!(found.totals, expected.totals);
    let hashtags = found.hashtags.iter().filter(|row| expected.hashtags.get(row.0) != Some(row.1));
    assert_eq!(hashtags.collect::<Vec<_>>(), [], "hashtags that differ");
    let users = found.users.iter().filter(|row| expected.users.get(row.0) != Some(row.1));
    assert_eq!(users.collect::<Vec<_>>(), [], "users that differ");
    assert_eq!(
        (found.hashtags.len(), found.users.len()),
        (expected.hashtags.len(), expected.users.len())
    );
    assert_eq!(found.dead, expected.dead);
}

fn stop(child: &Child, signal: nix::sys::signal::Signal) {
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    nix::sys::signal::kill(pid, signal).unwrap();
}

fn wait(child: &mut Child, limit: Duration) -> Option<std::process::ExitStatus> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

fn text(mut from: impl Read) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).unwrap();
    text
}

/// Twenty starts, each with another number of workers than the last, each killed: one in four while
/// it starts, the others when the tables have come to a random share of the topic.
fn kill_twenty_times(topic: &str, database: &str, tweets: u64, random: &mut Random) {
    const KILLS: u64 = 20;
    let mut sql = Sql::connect(database);
    // Small transactions, so that there are many moments to die at.
    let records = (tweets / 100).to_string();
    let (mut workers, mut in_the_middle) = (1, 0);
    for kill in 1..=KILLS {
        workers = 1 + (workers + random.below(3)) % 4;
        let count = workers.to_string();
        let more = ["--require-location", "--workers", &count, "--max-records", &records];
        let mut child = run(topic, database, &more).spawn().unwrap();
        if random.below(4) == 0 {
            std::thread::sleep(Duration::from_millis(random.below(400)));
        } else {
            let until = tweets * (kill - 1) / KILLS + random.below(tweets / KILLS);
            let deadline = Instant::now() + Duration::from_mins(2);
            while sql.records_counted() < until {
                assert!(Instant::now() < deadline, "kill {kill}: {until} is never reached");
                assert_eq!(child.try_wait().unwrap(), None, "kill {kill}: it ended by itself");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        stop(&child, nix::sys::signal::Signal::SIGKILL);
        child.wait().unwrap();
        in_the_middle += u64::from(sql.records_counted() < tweets);
    }
    println!("{KILLS} kills, {in_the_middle} before the end was reached");
    assert!(in_the_middle >= KILLS / 2);
}

/// Killed at random moments, restarted with other numbers of workers, while a reader looks on: the
/// tables end as an independent recount says, and no sum is ever seen to fall.
fn killed_at_random_moments_the_tables_stay_exact(server: Server) {
    let tweets = number("TWEETFLOW_TEST_TWEETS", 20_000);
    let seed = number("TWEETFLOW_TEST_SEED", 1);
    println!("seed {seed}");
    let (topic, database) = (fresh_topic("kill"), server.fresh_database("kill"));
    produce(&topic, tweets, &[]);
    let mut random = Random(seed);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut sql = Sql::connect(&database);
            let mut least = 0;
            while !ended.load(Ordering::Relaxed) {
                if sql.has_table("hashtags") {
                    let sum = sql.rows::<u64>(
                        "SELECT CAST(COALESCE(SUM(uses), 0) AS UNSIGNED) FROM hashtags",
                    )[0];
                    assert!(sum >= least, "the sum of uses fell from {least} to {sum}");
                    least = sum;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            least
        });
        kill_twenty_times(&topic, &database, tweets, &mut random);
        let output = until_end(&topic, &database, &["--require-location", "--workers", "3"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        ended.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
    assert_equal(&Sql::connect(&database).recount(), &recount(tweets, true));
    // Nothing is left to do: not a row is written.
    let output = until_end(&topic, &database, &["--require-location", "--workers", "4"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("records=0 ") && said.contains("rows=0 "), "{said}");
    // The program's own recount says the same as the test's.
    let brokers = service("TEST_KAFKA");
    let arguments = ["verify", "--brokers", &brokers, "--topic", &topic, "--require-location"];
    let verified = program(&arguments, &database).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

/// A second copy waits while the first lives; it takes over when the first is killed.
fn a_second_copy_waits_and_takes_over(server: Server) {
    let (topic, database) = (fresh_topic("second"), server.fresh_database("second"));
    produce(&topic, 5_000, &[]);
    let mut first = run(&topic, &database, &[]).spawn().unwrap();
    let mut sql = Sql::connect(&database);
    let deadline = Instant::now() + Duration::from_mins(1);
    while sql.records_counted() < 5_000 {
        assert!(Instant::now() < deadline, "5000 records are not counted");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut second = run(&topic, &database, &["--until-end"]).spawn().unwrap();
    assert_eq!(wait(&mut second, Duration::from_secs(3)), None, "the second copy did not wait");
    assert_eq!(sql.rows::<u64>("SELECT generation FROM tweetflow_commit"), [1]);
    stop(&first, nix::sys::signal::Signal::SIGKILL);
    first.wait().unwrap();
    let status = wait(&mut second, Duration::from_mins(1)).expect("the second copy takes over");
    let said = text(second.stderr.take().unwrap());
    assert!(status.success() && said.contains("another process holds the job"), "{said}");
    assert_equal(&sql.recount(), &recount(5_000, false));
}

/// Stopped in the middle, succeeded by another, then woken: it changes nothing and says why.
fn a_stopped_copy_that_wakes_changes_nothing(server: Server) {
    let (topic, database) = (fresh_topic("stopped"), server.fresh_database("stopped"));
    produce(&topic, 10_000, &[]);
    let mut zombie = run(&topic, &database, &["--max-records", "300"]).spawn().unwrap();
    let mut sql = Sql::connect(&database);
    let busy = "SELECT COUNT(*) FROM information_schema.processlist \
        WHERE db = DATABASE() AND info LIKE 'INSERT INTO `users`%'";
    while sql.rows::<u64>(busy)[0] == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    stop(&zombie, nix::sys::signal::Signal::SIGSTOP);
    // The server rolls an idle session back after `wait_timeout`, one minute.
    let output = until_end(&topic, &database, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = recount(10_000, false);
    assert_equal(&sql.recount(), &expected);
    stop(&zombie, nix::sys::signal::Signal::SIGCONT);
    let status = wait(&mut zombie, Duration::from_mins(1)).expect("a zombie ends");
    let said = text(zombie.stderr.take().unwrap());
    assert!(status.code() == Some(1) && said.contains("another process has taken over"), "{said}");
    assert_equal(&sql.recount(), &expected);
}

/// A row that no table can have written ends the start with one line: going on would count from
/// nothing.
fn a_row_without_a_meaning_ends_the_start(server: Server) {
    let (topic, database) = (fresh_topic("row"), server.fresh_database("row"));
    produce(&topic, 100, &[]);
    assert!(until_end(&topic, &database, &[]).status.success());
    // No tweet makes such a row.
    Sql::connect(&database).run("UPDATE users SET record_partition = 1 << 40 LIMIT 1");
    let mut child = run(&topic, &database, &[]).spawn().unwrap();
    let status = wait(&mut child, Duration::from_secs(20));
    child.kill().unwrap();
    let said = text(child.stderr.take().unwrap());
    assert_eq!(status.and_then(|status| status.code()), Some(1), "{said}");
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("tweetflow: ")).collect();
    assert!(lines.len() == 1 && lines[0].contains("--rebuild"), "{said}");
}

/// SIGTERM ends with the last commit and exit code 0; the next start goes on from there.
fn a_clean_stop_loses_nothing(server: Server) {
    let (topic, database) = (fresh_topic("stop"), server.fresh_database("stop"));
    produce(&topic, 15_000, &[]);
    let mut child = run(&topic, &database, &["--max-records", "2000"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(600));
    stop(&child, nix::sys::signal::Signal::SIGTERM);
    let status = wait(&mut child, Duration::from_secs(20)).expect("it stops");
    assert!(status.success(), "{}", text(child.stderr.take().unwrap()));
    assert!(until_end(&topic, &database, &["--workers", "1"]).status.success());
    assert_equal(&Sql::connect(&database).recount(), &recount(15_000, false));
}

/// What cannot work ends at once with one line that says what to do, and the contract's exit code.
fn misuse_is_one_line_and_an_exit_code(server: Server) {
    let (topic, database) = (fresh_topic("misuse"), server.fresh_database("misuse"));
    produce(&topic, 10, &[]);
    let kafka = service("TEST_KAFKA");
    let wrong = |from: &str, to: &str| database.replacen(from, to, 1);
    let (good, ended) = (["run", "--brokers", &kafka, "--topic", &topic], "--until-end");
    let cases: [(&[&str], String, i32, &str); 8] = [
        (
            &["run", "--brokers", "127.0.0.1:1", ended],
            database.clone(),
            1,
            "no Kafka broker answers",
        ),
        (
            &["run", "--brokers", &kafka, "--topic", "absent", ended],
            database.clone(),
            2,
            "does not exist",
        ),
        (&[&good[..], &[ended]].concat(), wrong(":tweetflow@", ":wrong@"), 2, "password"),
        (&[&good[..], &[ended]].concat(), format!("{database}_absent"), 2, "create the database"),
        (&[&good[..], &[ended]].concat(), "mysql://a@127.0.0.1:1/d".to_owned(), 1, "cannot reach"),
        (&[&good[..], &["--kafka", "no.such=1"]].concat(), database.clone(), 2, "no.such"),
        (&[&good[..], &["--kafka", "isolation.level=x"]].concat(), database.clone(), 2, "exact"),
        (&[&good[..], &["--database", &database]].concat(), String::new(), 2, "process list"),
    ];
    for (arguments, target, code, says) in cases {
        let output = program(arguments, &target).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let lines: Vec<_> = said.lines().filter(|line| line.starts_with("tweetflow: ")).collect();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(lines.len() == 1 && lines[0].contains(says), "{arguments:?}: {said}");
        assert!(!said.contains("panicked") && !said.contains("tweetflow@127"), "{said}");
    }
    let written = "SELECT COUNT(*) FROM information_schema.tables \
        WHERE table_schema = DATABASE() AND table_rows > 0";
    assert_eq!(Sql::connect(&database).rows::<u64>(written), [0]);
}

/// Sends SQL to the database of `url` by the client that comes with the servers.
fn apply(url: &str, sql: &[u8]) {
    let opts = mysql_async::Opts::from_url(url).unwrap();
    let (host, port) = (opts.ip_or_hostname(), opts.tcp_port());
    let mut client = Command::new("mariadb")
        .args(["--no-defaults", "--protocol=tcp", "--default-character-set=utf8mb4"])
        .args([format!("--host={host}"), format!("--port={port}")])
        .args([format!("--user={}", opts.user().unwrap()), opts.db_name().unwrap().to_owned()])
        .env("MYSQL_PWD", opts.pass().unwrap())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    client.stdin.take().unwrap().write_all(sql).unwrap();
    assert!(client.wait().unwrap().success());
}

/// What `schema` prints, applied to an empty database, lets a job run that may do nothing else;
/// beside it in the same database a job with no prefix, on another topic.
fn the_printed_schema_and_rights_are_enough(server: Server) {
    let (topic, other) = (fresh_topic("schema"), fresh_topic("beside"));
    let database = server.fresh_database("schema");
    produce(&topic, 3_000, &[]);
    produce(&other, 1_000, &[]);
    let account = server.fresh_account("tweetflow_schema", &database);
    let least = &account.url;
    let more = ["--table-prefix", "p_1_"];
    // An account without any right is told a way that needs none, not to run the same again.
    let refused = program(&["schema"], least).output().unwrap();
    let reason = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "{reason}");
    assert!(reason.contains("name it with --server mariadb"), "{reason}");
    assert!(!reason.contains("`tweetflow schema`"), "{reason}");
    let schema = |arguments: &[&str], url: &str| {
        let arguments = [&["schema", "--user", "tweetflow_schema"], &more[..], arguments].concat();
        let succeeded = program(&arguments, url).output().unwrap();
        assert!(succeeded.status.success(), "{}", String::from_utf8_lossy(&succeeded.stderr));
        succeeded.stdout
    };
    let printed = schema(&[], &database);
    let kind = if server == Server::MySql { "mysql" } else { "mariadb" };
    let without = schema(&["--server", kind], "mysql://nobody@127.0.0.1:1/none");
    let behind_heading = |text: &[u8]| text.iter().position(|byte| *byte == b'\n').unwrap();
    assert_eq!(printed[behind_heading(&printed)..], without[behind_heading(&without)..]);
    apply(&database, &printed);
    let mut beside = run(&other, &database, &[]).spawn().unwrap();
    let first = until_end(&topic, least, &more);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let second = until_end(&topic, least, &[&more[..], &["--workers", "3"]].concat());
    let said = String::from_utf8_lossy(&second.stdout).into_owned();
    assert!(said.contains("records=0 ") && said.contains("rows=0 "), "{said}");
    let mut sql = Sql::connect(&database);
    assert_equal(&sql.recount_of("p_1_"), &recount(3_000, false));
    let deadline = Instant::now() + Duration::from_mins(1);
    while sql.records_counted() < 1_000 {
        assert_eq!(beside.try_wait().unwrap(), None, "the job beside ended by itself");
        assert!(Instant::now() < deadline, "{} records are counted", sql.records_counted());
        std::thread::sleep(Duration::from_millis(20));
    }
    stop(&beside, nix::sys::signal::Signal::SIGTERM);
    assert!(wait(&mut beside, Duration::from_secs(20)).expect("it stops").success());
    assert_equal(&sql.recount(), &recount(1_000, false));
    // Without a table that `schema` prints, there is no right to make it.
    sql.run("DROP TABLE p_1_totals");
    let incomplete = until_end(&topic, least, &more);
    let hint = String::from_utf8_lossy(&incomplete.stderr).into_owned();
    assert!(incomplete.status.code() == Some(2) && hint.contains("tweetflow schema"), "{hint}");
}

/// Lets other accounts write again, however the test ends.
struct ReadOnly(Sql);

impl Drop for ReadOnly {
    fn drop(&mut self) {
        self.0.run("SET GLOBAL read_only = 0");
    }
}

/// A server that is read-only for the job's account, which has the least rights that it needs.
fn a_read_only_server_is_one_line_and_nothing_written(server: Server) {
    let (topic, database) = (fresh_topic("readonly"), server.fresh_database("readonly"));
    produce(&topic, 10, &[]);
    let mut sql = Sql::connect(&database);
    let account = server.fresh_account("tweetflow_readonly", &database);
    let least = &account.url;
    sql.run(
        "GRANT CREATE, SELECT, INSERT, UPDATE, DELETE ON tweetflow_test_readonly.* \
             TO tweetflow_readonly",
    );
    let read_only = ReadOnly(Sql::connect(&database));
    sql.run("SET GLOBAL read_only = 1");
    let output = until_end(&topic, least, &[]);
    drop(read_only);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("tweetflow: ")).collect();
    assert!(lines.len() == 1 && lines[0].contains("the server is read-only"), "{said}");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!sql.has_table("tweetflow_commit") && !sql.has_table("hashtags"));
    // The rights above are enough once the server takes writes.
    let writable = until_end(&topic, least, &[]);
    assert!(writable.status.success(), "{}", String::from_utf8_lossy(&writable.stderr));
    assert_equal(&sql.recount(), &recount(10, false));
}

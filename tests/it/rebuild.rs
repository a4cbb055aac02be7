//! `run --rebuild` on real servers: what tables mean is changed beside the job that writes them,
//! readers always find one whole set, and whatever ends it, the same command goes on.

use crate::common::job::Job;
use crate::common::proxy::{Verdict, proxied};
use crate::common::{Running, Server, Sql, assert_ended, program, service};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

on_both_servers! {
    settings_change_beside_the_running_job,
    a_table_of_somebody_else_is_left_alone,
    what_others_have_attached_is_carried_over_or_named;
    long: killed_anywhere_one_set_is_whole,
    the_same_records_are_counted_again,
}

const SOON: Duration = Duration::from_mins(1);
const LOCATED: &[&str] = &["--until-end", "--require-location"];
const REBUILD: &[&str] = &["--rebuild", "--require-location"];

fn tables_named(sql: &mut Sql, like: &str) -> Vec<String> {
    sql.rows(&format!(
        "SELECT table_name FROM information_schema.tables \
         WHERE table_schema = DATABASE() AND table_name LIKE '{like}' ORDER BY table_name"
    ))
}

/// Reads two tables in one snapshot for as long as it may; every user came with a tweet.
fn read_on(database: &str, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<u64> {
    let mut sql = Sql::connect(database);
    std::thread::spawn(move || {
        let mut looks = 0;
        while !stop.load(Ordering::Relaxed) {
            let seen = "SELECT (SELECT COUNT(*) FROM users), \
                (SELECT CAST(COALESCE(SUM(records), 0) AS UNSIGNED) FROM totals \
                WHERE name IN ('tweets', 'filtered'))";
            let (users, records) = sql.rows::<(u64, u64)>(seen)[0];
            assert!(users > 0 && records == 3_000, "{users} users, {records} records");
            looks += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
        looks
    })
}

fn settings_change_beside_the_running_job(server: Server) {
    let job = Job::new(server, "rebuild_beside");
    job.produce(3_000, "1");
    job.run();
    let users = job.sql().rows::<u64>("SELECT COUNT(*) FROM users")[0];
    let (code, said) = job.call("run", LOCATED);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("run once with --rebuild"), "{said}");

    let mut old = Running::start(job.command("run", &[]).stderr(Stdio::null()));
    let stop = Arc::<AtomicBool>::default();
    let reader = read_on(&job.database, Arc::clone(&stop));
    job.done("run", REBUILD);
    stop.store(true, Ordering::Relaxed);
    assert!(reader.join().unwrap() > 0);
    assert_eq!(old.0.wait().unwrap().code(), Some(1), "the old job is fenced");

    let mut sql = job.sql();
    assert!(sql.rows::<u64>("SELECT COUNT(*) FROM users")[0] < users, "some have no location");
    assert_eq!(tables_named(&mut sql, "rb%"), [""; 0]);
    assert_ended(job.verify(&["--require-location"]), 0, &[]);
    // The job goes on from there: it has nothing to write, then only what is new.
    assert_ended(job.call("run", LOCATED), 0, &["done records=0", " rows=0 "]);
    job.produce(500, "2");
    job.done("run", LOCATED);
    assert_eq!(job.verify(&["--require-location"]).0, Some(0));
}

/// Rebuilds through a proxy, killed when a statement that begins so comes for the `nth` time;
/// `reaches` says whether the server still gets it.
fn killed_at(job: &Job, (begin, nth): (&'static str, u64), reaches: bool) -> bool {
    let (proxy, through) = proxied(&job.database);
    let (child, seen) = (Arc::<AtomicI32>::default(), AtomicU64::default());
    let of_proxy = Arc::clone(&child);
    proxy.look(move |piece| {
        // A packet's length and number, and the kind of command, stand before the statement.
        if !piece.get(5..).is_some_and(|text| text.starts_with(begin.as_bytes())) {
            return Verdict::Pass;
        }
        if seen.fetch_add(1, Ordering::Relaxed) + 1 != nth {
            return Verdict::Pass;
        }
        while of_proxy.load(Ordering::Relaxed) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = kill(Pid::from_raw(of_proxy.load(Ordering::Relaxed)), Signal::SIGKILL);
        if reaches { Verdict::CutAnswer(Duration::from_millis(300)) } else { Verdict::CutBefore }
    });
    let brokers = service("TEST_KAFKA");
    let first = ["run", "--brokers", &brokers, "--topic", &job.topic];
    let mut command = program(&[&first[..], REBUILD].concat(), &through);
    let mut running = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    child.store(running.0.id().cast_signed(), Ordering::Relaxed);
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(status) = running.0.try_wait().unwrap() {
            return status.code().is_none();
        }
        assert!(Instant::now() < deadline, "the rebuild does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn killed_anywhere_one_set_is_whole(server: Server) {
    let moments = [
        ("CREATE TABLE", 3),
        ("COMMIT", 2),
        ("UPDATE `rb_tweetflow_commit` SET generation = GREATEST", 1),
        ("RENAME TABLE", 1),
        ("DROP TABLE", 1),
        ("DROP TABLE", 4),
    ];
    // A few moments at a time: each is a dozen starts of the program, which mostly wait.
    std::thread::scope(|scope| {
        for lane in moments.chunks(2) {
            scope.spawn(move || {
                for moment in lane {
                    one_set_is_whole(server, *moment, false);
                    one_set_is_whole(server, *moment, true);
                }
            });
        }
    });
}

fn one_set_is_whole(server: Server, moment: (&'static str, u64), reaches: bool) {
    let name = format!("rebuild_killed_{}{}{reaches}", moment.0[..6].to_lowercase(), moment.1);
    let job = Job::new(server, &name.replace(' ', "_"));
    job.produce(1_000, "1");
    job.run();
    assert!(killed_at(&job, moment, reaches), "{moment:?}: it was not killed");
    // The old set, or the new one: to the settings of the other it is refused.
    let (old, said) = job.call("run", &["--until-end"]);
    let (new, refused) = job.call("run", LOCATED);
    assert!(matches!((old, new), (Some(0), Some(2)) | (Some(2), Some(0))), "{moment:?} {said}");
    let said = said + &refused;
    assert!(said.contains("run once with --rebuild"), "{moment:?}: {said}");
    let is_told = said.contains("a rebuild did not come to its end");
    // The table that says whose the shadow tables are is made last, and dropped last.
    assert_eq!(is_told, moment.0 != "CREATE TABLE", "{moment:?}: {said}");
    let renamed = matches!(moment.0, "DROP TABLE") || (moment.0 == "RENAME TABLE" && reaches);
    assert_eq!(new == Some(0), renamed, "{moment:?}");
    job.done("run", REBUILD);
    let (code, verified) = job.verify(&["--require-location"]);
    assert_eq!(code, Some(0), "{moment:?}: {verified}");
    assert_eq!(tables_named(&mut job.sql(), "rb%"), [""; 0], "{moment:?}");
}

fn the_same_records_are_counted_again(server: Server) {
    let job = Job::new(server, "rebuild_same");
    job.produce(400, "1");
    let latest = ["--until-end", "--from", "latest"];
    job.done("run", &latest);
    job.produce(200, "2");
    job.done("run", &latest);
    // Not from the end of the topic as it is now.
    job.done("run", &["--rebuild", "--from", "latest", "--names", "legacy"]);
    assert_ended(job.verify(&["--from", "latest", "--names", "legacy"]), 0, &["records=200"]);

    // What the topic has lost cannot be counted again: nobody loses it without having said so.
    let starts = "SELECT partition_id, start_offset FROM kafka_offsets WHERE partition_id = 0";
    let (_, start) = job.sql().rows::<(u32, i64)>(starts)[0];
    job.delete_below(0, start + 1);
    assert_ended(job.call("run", &["--rebuild", "--from", "latest"]), 1, &["--accept-gap"]);
    assert_eq!(job.sql().rows::<(u32, i64)>(starts)[0].1, start, "the tables are as they were");
    // The last line says what the new tables say of records that do not count.
    let said =
        assert_ended(job.call("run", &["--rebuild", "--from", "latest", "--accept-gap"]), 0, &[]);
    let tweets = job.sql().rows::<u64>("SELECT records FROM totals WHERE name = 'tweets'")[0];
    assert!(said.contains(&format!(" dead_letters=0 tweets={tweets} duplicates=0 ")), "{said}");
    assert_ended(job.verify(&["--from", "latest"]), 0, &["records=199"]);
}

fn a_table_of_somebody_else_is_left_alone(server: Server) {
    let job = Job::new(server, "rebuild_foreign");
    job.produce(10, "1");
    job.sql().run("CREATE TABLE users (name VARCHAR(20))");
    job.sql().run("INSERT INTO users VALUES ('mine')");
    assert_ended(job.call("run", REBUILD), 2, &["table users"]);
    assert_eq!(job.sql().rows::<String>("SELECT name FROM users"), ["mine"]);

    // A job that was never run is built at once; two jobs in one set of tables are not taken apart.
    job.sql().run("DROP TABLE users");
    job.done("run", REBUILD);
    assert_eq!(job.verify(&["--require-location"]).0, Some(0));
    job.sql().run("INSERT INTO tweetflow_commit VALUES ('another', 1, 0, NULL, '', 7)");
    assert_ended(job.call("run", REBUILD), 2, &["another"]);
}

/// Indexes stay; what cannot stay is named before anything is renamed, also if it came meanwhile.
fn what_others_have_attached_is_carried_over_or_named(server: Server) {
    let job = Job::new(server, "rebuild_attached");
    job.produce(200, "1");
    job.run();
    let mut sql = job.sql();
    sql.run("ALTER TABLE hashtags ADD INDEX by_uses (uses), ADD INDEX by_both (hashtag(20), uses)");
    sql.run("CREATE VIEW mine AS SELECT hashtag FROM hashtags");
    sql.run(
        "CREATE TABLE notes (tag VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, \
        CONSTRAINT to_tag FOREIGN KEY (tag) REFERENCES hashtags (hashtag)) ENGINE=InnoDB",
    );
    sql.run("ALTER TABLE totals ADD COLUMN note VARCHAR(9) NULL");
    sql.run("CREATE TRIGGER seen AFTER INSERT ON users FOR EACH ROW SET @seen = 1");
    let said = assert_ended(job.call("run", REBUILD), 2, &[]);
    for thing in
        ["foreign key to_tag of table notes", "column note of totals", "trigger seen of users"]
    {
        assert!(said.contains(thing), "{thing}: {said}");
    }
    assert!(!said.contains("by_uses") && !said.contains("mine"), "{said}");
    assert_eq!(tables_named(&mut sql, "rb%"), [""; 0]);
    sql.run("DROP TABLE notes");
    sql.run("ALTER TABLE totals DROP COLUMN note");
    sql.run("DROP TRIGGER seen");
    job.done("run", REBUILD);
    let indexes = sql.rows::<String>(
        "SELECT DISTINCT index_name FROM information_schema.statistics \
         WHERE table_schema = DATABASE() AND table_name = 'hashtags' ORDER BY index_name",
    );
    assert_eq!(indexes, ["by_both", "by_uses", "PRIMARY"]);
    assert!(sql.rows::<u64>("SELECT COUNT(*) FROM mine")[0] > 0);
    assert_eq!(job.verify(&["--require-location"]).0, Some(0));
}

//! Late acts on tweets stand in rows: however the job is killed and whatever number of workers goes
//! on, `verify` finds every number exactly.

use crate::common::job::Job;
use crate::common::{Random, Running, Server, fresh_topic};
use std::fmt::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

on_both_servers! {
    late_acts_survive_kills_and_other_workers,
}

const LEDGER: [&str; 2] = ["--ledger", "5s"];
const RECORDS: u64 = 12_000;

/// The id of a tweet, the hundredth of a second of its day.
fn id(tweet: u64) -> u64 {
    let day_ms = 1_795_392_000_000 - types::snowflake::EPOCH_MS;
    ((day_ms + tweet * 10) << 22) | (tweet & 0xfff)
}

/// A tweet, one that came before, a newer version or a delete: of now, or up to 30 seconds ago.
fn record(random: &mut Random, now: u64) -> String {
    let old = now.saturating_sub(random.below(3_000));
    let tweet = if random.below(4) == 0 { old } else { now };
    let second = tweet / 100;
    let tags = format!(r#"[{{"text":"t{}"}},{{"text":"u{}"}}]"#, tweet % 9, random.below(3));
    let before = id(old.min(tweet.saturating_sub(1)));
    let earlier = match random.below(20) {
        0 => format!(
            r#","edit_history":{{"initial_tweet_id":"{before}","edit_tweet_ids":["{before}"]}}"#
        ),
        _ => String::new(),
    };
    if random.below(6) == 0 {
        let (tweet, now_ms) = (id(tweet), 1_795_392_000_000 + now * 10);
        return format!(r#"{{"delete":{{"status":{{"id":{tweet}}},"timestamp_ms":"{now_ms}"}}}}"#);
    }
    format!(
        r#"{{"id":{},"text":"","created_at":"Mon Nov 23 00:{:02}:{:02} +0000 2026"{earlier},"entities":{{"hashtags":{tags}}},"user":{{"id":{},"name":"n","friends_count":1}}}}"#,
        id(tweet),
        second / 60,
        second % 60,
        tweet % 50
    )
}

fn produce(job: &Job, tweets: std::ops::Range<u64>) {
    let mut random = Random(tweets.start + 1);
    let mut records = String::new();
    for tweet in tweets {
        writeln!(records, "{}", record(&mut random, tweet)).unwrap();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), records).unwrap();
    job.done("produce", &["--input", file.path().to_str().unwrap(), "--partitions", "3"]);
}

/// What a single number of the database is.
type Number<'a> = &'a mut dyn FnMut(&str) -> u64;

fn survive_kills(job: &Job, number: Number<'_>) {
    produce(job, 0..RECORDS);
    let mut between = 0;
    for (round, workers) in (0_u64..).zip(["1", "3", "2", "4"]) {
        let slow = ["--workers", workers, "--max-records", "100", "--epoch-ms", "1"];
        let more = [&LEDGER[..], &slow, &["--commit-interval-ms", "20"]].concat();
        let mut command = job.command("run", &more);
        let running = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        if round == 0 {
            // The tables are made, and each partition has its first row.
            let deadline = Instant::now() + Duration::from_mins(1);
            while job.verify(&[]).0 != Some(0) {
                assert!(Instant::now() < deadline, "{:?}", job.verify(&[]));
            }
            continue;
        }
        std::thread::sleep(Duration::from_millis(1_000 + 150 * round));
        drop(running);
        let counted = number("SELECT COALESCE(SUM(next_offset), 0) FROM kafka_offsets");
        between += u64::from(counted > 0 && counted < RECORDS);
        exact(job);
    }
    assert!(between > 0, "the job was never killed between");
    job.done("run", &[&LEDGER[..], &["--until-end", "--workers", "3"]].concat());
    let late = |query: Number<'_>, name: &str| {
        query(&format!("SELECT COALESCE(SUM(records), 0) FROM totals WHERE name = 'late_{name}'"))
    };
    for name in ["posts", "deletes", "edits"] {
        assert!(late(number, name) > 5, "late {name}");
    }
    let rows = number("SELECT COUNT(*) FROM late_acts");
    assert!(rows > 3 && rows < late(number, "posts") / 2, "{rows} rows");
    exact(job);
    // A ledger that is switched off, and on, and forgotten.
    let mut next = RECORDS;
    for ledger in [&["--ledger", "0"][..], &LEDGER, &[LEDGER[0], LEDGER[1], "--forget-ledger"]] {
        produce(job, next..next + 1_000);
        next += 1_000;
        job.done("run", &[ledger, &["--until-end", "--workers", "2"]].concat());
        exact(job);
    }
    assert_eq!(number("SELECT COUNT(*) FROM late_acts WHERE kind <> 'late'"), 9);
}

/// Every number is right, and none is only within a range.
fn exact(job: &Job) {
    let (code, out) = job.verify(&[]);
    assert!(code == Some(0) && out.contains("equal differences=0"), "{out}");
    assert!(out.contains(" uncertain=0 "), "{out}");
}

fn late_acts_survive_kills_and_other_workers(server: Server) {
    let job = Job::new(server, "late_acts");
    let mut sql = None;
    let mut number = |query: &str| {
        let sql = sql.get_or_insert_with(|| job.sql());
        let query = query.replacen("SELECT ", "SELECT CAST(", 1);
        let query = query.replacen(" FROM", " AS UNSIGNED) FROM", 1);
        sql.rows::<u64>(&query)[0]
    };
    survive_kills(&job, &mut number);
    // A row that is missing shows in the totals.
    job.sql().run("DELETE FROM late_acts WHERE kind = 'late' ORDER BY first_offset LIMIT 1");
    let (code, out) = job.verify(&["--table", "totals"]);
    assert!(code == Some(1) && out.contains("totals name=\"late_"), "{out}");
}

#[test]
fn late_acts_survive_kills_and_other_workers_on_sqlite() {
    let (job, file) = on_sqlite("late_acts_sqlite");
    let mut number = |query: &str| {
        let connection = rusqlite::Connection::open(file.path().join("tables")).unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        connection.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap().cast_unsigned()
    };
    survive_kills(&job, &mut number);
}

/// Tables of a version that did not record late acts go on, and what that leaves open is said.
#[test]
fn tables_without_rows_of_late_acts_go_on() {
    let (job, folder) = on_sqlite("late_acts_before");
    produce(&job, 0..3_000);
    let run = [&LEDGER[..], &["--until-end", "--workers", "2"]].concat();
    job.done("run", &run);
    exact(&job);
    let tables = rusqlite::Connection::open(folder.path().join("tables")).unwrap();
    tables.execute_batch("DROP TABLE late_acts; DELETE FROM floors WHERE name = 'memory'").unwrap();
    let unknown = || {
        let (code, out) = job.verify(&[]);
        assert_eq!(code, Some(3), "{out}");
        assert!(out.contains("that came too late have no row in late_acts"), "{out}");
    };
    unknown();
    produce(&job, 3_000..4_000);
    job.done("run", &run);
    unknown();
    let query = "SELECT count(*) FROM late_acts WHERE kind = 'not_recorded'";
    assert_eq!(tables.query_row(query, [], |row| row.get(0)), Ok(3));
    // What does not follow from acts on tweets is told all the same.
    assert_eq!(job.verify(&["--table", "users"]).0, Some(0));
}

fn on_sqlite(name: &str) -> (Job, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", folder.path().join("tables").display());
    (Job { topic: fresh_topic(name), database }, folder)
}

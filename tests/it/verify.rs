//! `verify` on real servers: it finds what is wrong, says which, and never calls equal what it
//! cannot check.

use crate::common::job::Job;
use crate::common::{Running, Server, assert_ended, program, service};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::process::Stdio;
use std::time::{Duration, Instant};
use synth::Synthetic;

on_both_servers! {
    it_finds_what_is_wrong_and_says_which,
    it_works_beside_the_running_job,
    a_dead_letter_is_tried_again_and_counts_once;
    long: a_dead_letter_that_is_missing_or_surplus_is_found,
    a_topic_whose_form_has_changed_stops_the_job,
    what_finds_no_room_is_accounted_for,
    a_baseline_carries_a_check_over_what_the_topic_forgets,
    a_baseline_carries_a_ledger,
}

fn send(topic: &str, partition: i32, payload: &str) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", service("TEST_KAFKA")).create().unwrap();
    let record = BaseRecord::<(), str>::to(topic).partition(partition).payload(payload);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(Duration::from_secs(10)).unwrap();
}

fn it_finds_what_is_wrong_and_says_which(server: Server) {
    let job = Job::new(server, "verify_wrong");
    job.produce(3_000, "1");
    assert_eq!(job.verify(&[]).0, Some(3), "there are no tables yet");
    job.run();
    assert_ended(job.verify(&[]), 0, &["equal differences=0", "records=3000"]);
    // So little memory that everything goes through files.
    assert_eq!(job.verify(&["--memory-mb", "0"]).0, Some(0));

    let mut sql = job.sql();
    let tag =
        sql.rows::<String>("SELECT hashtag FROM hashtags ORDER BY uses DESC LIMIT 1").remove(0);
    let user = sql.rows::<u64>("SELECT MIN(user_id) FROM users")[0];
    sql.run(&format!("UPDATE hashtags SET uses = uses + 1 WHERE hashtag = '{tag}'"));
    sql.run(&format!("DELETE FROM users WHERE user_id = {user}"));
    sql.run("INSERT INTO hashtags VALUES ('surplus tag', 7)");
    let out = assert_ended(
        job.verify(&[]),
        1,
        &["different differences=3 ", &format!("hashtags hashtag={tag:?}: the table has uses=")],
    );
    assert!(out.contains(&format!("users user_id={user}: missing, the recount has username=")));
    assert!(out.contains("hashtags hashtag=\"surplus tag\": surplus, the table has uses=7"));
    assert_ended(
        job.verify(&["--table", "totals", "--table", "users"]),
        1,
        &["different differences=1 "],
    );
    assert_eq!(job.verify(&["--table", "totals"]).0, Some(0));
    let (_, shown) = job.verify(&["--show", "1"]);
    assert_eq!(shown.lines().count(), 2, "one difference and the summary: {shown}");
    sql.run(&format!("UPDATE hashtags SET uses = uses - 1 WHERE hashtag = '{tag}'"));
    sql.run("DELETE FROM hashtags WHERE hashtag = 'surplus tag'");
    assert_eq!(job.verify(&["--table", "hashtags"]).0, Some(0));

    // Behind the end of the topic nothing can have been read: it is another topic.
    let changed = "is not the one that was read before: it ends at offset";
    for (by, exit_code, says) in [("- 1", 1, "partition_id=1: the table has "), ("+ 1", 3, changed)]
    {
        sql.run(&format!(
            "UPDATE kafka_offsets SET next_offset = next_offset {by} WHERE partition_id = 1"
        ));
        let tables = ["--table", "kafka_offsets", "--table", "totals"];
        assert_ended(job.verify(&tables), exit_code, &[says]);
        sql.run("UPDATE kafka_offsets SET next_offset = last_offset + 1");
    }
    let other = job.verify(&["--require-location"]);
    assert!(other.0 == Some(2) && other.1.contains("made with other settings"), "{}", other.1);
}

fn it_works_beside_the_running_job(server: Server) {
    let job = Job::new(server, "verify_beside");
    job.produce(20_000, "1");
    let mut command = job.command("run", &["--epoch-ms", "1", "--max-records", "500"]);
    let _running = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    let deadline = Instant::now() + Duration::from_mins(1);
    let (mut sql, mut between) = (job.sql(), 0);
    loop {
        let counted = sql.records_counted();
        if counted > 0 {
            assert_ended(job.verify(&[]), 0, &[]);
            between += u32::from(counted < 20_000);
        }
        if counted == 20_000 {
            break;
        }
        assert!(Instant::now() < deadline, "only {counted} were counted");
    }
    assert!(between > 0, "the job was faster than the first look");
    assert_eq!(job.verify(&["--sample", "10%"]).0, Some(0));
}

fn a_dead_letter_that_is_missing_or_surplus_is_found(server: Server) {
    let job = Job::new(server, "verify_letters");
    job.produce(200, "1");
    send(&job.topic, 0, "{\"no\": \"tweet\"}");
    job.run();
    assert_ended(job.verify(&[]), 0, &["dead_letters=1 countable=0"]);
    let mut sql = job.sql();
    let offset = sql.rows::<u64>("SELECT `offset` FROM dead_letters")[0];
    sql.run("UPDATE dead_letters SET `offset` = 3");
    let out = assert_ended(job.verify(&[]), 1, &[]);
    // The record at offset 3 was counted although a letter says that it was not.
    assert!(out.contains(&format!("partition_id=0 offset={offset}: missing")), "{out}");
    assert!(out.contains(
        "totals name=\"tweets\": the table has records=200, the recount has records=199"
    ));
    assert!(out.contains("countable=1"), "{out}");
    sql.run("DELETE FROM dead_letters");
    assert_ended(job.verify(&[]), 1, &["different differences=1 "]);
}

fn a_topic_whose_form_has_changed_stops_the_job(server: Server) {
    let job = Job::new(server, "verify_form");
    job.produce(2_000, "1");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "{\"another\": \"form\"}\n".repeat(5_000)).unwrap();
    job.done("produce", &["--input", file.path().to_str().unwrap()]);
    assert_ended(
        job.call("run", &["--until-end", "--workers", "1"]),
        1,
        &["Has the record format changed?"],
    );
    let letters = job.sql().rows::<u64>("SELECT COUNT(*) FROM dead_letters")[0];
    // The bound and what a poll brings; none of the 2,000 tweets before.
    assert!((1_000..4_000).contains(&letters), "{letters}");
    // What was read is committed.
    assert_ended(job.verify(&[]), 0, &[]);
    job.done("run", &["--until-end", "--max-dead-letters", "0"]);
    assert_ended(job.verify(&[]), 0, &["dead_letters=5000"]);
}

/// Dead letters beyond the bound stand as ranges, exactly, whenever the job stops and starts.
fn what_finds_no_room_is_accounted_for(server: Server) {
    let job = Job::new(server, "verify_overflow");
    job.produce(100, "1");
    let bounded = ["--until-end", "--dead-letter-rows", "10", "--workers", "1"];
    for round in 0..3 {
        for partition in [0, 0, 0, 0, 0, 0, 0, 1] {
            send(&job.topic, partition, "no tweet");
        }
        job.produce(100, &format!("{}", round + 2));
        job.done("run", &bounded);
        assert_ended(job.verify(&[]), 0, &[]);
    }
    let mut sql = job.sql();
    let letters = "SELECT COUNT(*) FROM dead_letters GROUP BY partition_id ORDER BY partition_id";
    assert_eq!(sql.rows::<u64>(letters), [10, 3]);
    let overflow = "SELECT partition_id, records FROM dead_letter_overflow";
    assert_eq!(sql.rows::<(u32, u64)>(overflow), [(0, 11)]);
    for change in ["records = records - 1", "last_offset = last_offset - 1"] {
        sql.run(&format!("UPDATE dead_letter_overflow SET {change}"));
        let (code, out) = job.verify(&[]);
        assert!(code == Some(1) && out.contains("partition_id=0"), "{change}: {out}");
        sql.run(&format!("UPDATE dead_letter_overflow SET {}", change.replace('-', "+")));
    }
    assert_eq!(job.verify(&[]).0, Some(0));
}

/// Good records that an older version refused, as far as the tables can tell: the counts are those
/// without them, and a letter of each stands.
fn refuse(job: &Job, places: &[(u32, u64)]) {
    let mut sql = job.sql();
    for (partition, offset) in places {
        sql.run(&format!(
            "INSERT INTO dead_letters VALUES ('{}', {partition}, {offset}, '2026-01-01', 'shape', \
             'an older version', '', 0, '')",
            job.topic
        ));
    }
    // The recount says what the tables would be.
    let out = assert_ended(job.verify(&["--show", "100000"]), 1, &[]);
    for line in out.lines() {
        let value = |name: &str| {
            let (_, rest) = line.split_once(&format!("the recount has {name}="))?;
            rest.split(' ').next()
        };
        let key = |name: &str| {
            let (_, rest) = line.split_once(&format!(" {name}="))?;
            rest.split([' ', ':']).next()
        };
        // Tables that follow from these are not read at the start.
        let (table, rest) = line.split_once(' ').unwrap_or_default();
        let tag = key("hashtag").unwrap_or_default().replace('"', "'");
        let minute = rest.strip_prefix("minute=").and_then(|rest| rest.split(' ').next());
        let row = match (table, key("user_id"), minute) {
            ("hashtags", ..) => format!("hashtag = {tag}"),
            ("hashtags_by_minute", _, Some(ms)) => format!(
                "hashtag = {tag} AND minute = TIMESTAMPADD(SECOND, {ms} / 1000, '1970-01-01')"
            ),
            ("totals", ..) => "name = 'tweets'".to_owned(),
            ("users", Some(user), _) => format!("user_id = {user}"),
            _ => continue,
        };
        let column = if table == "totals" { "records" } else { "uses" };
        if line.contains("surplus") {
            sql.run(&format!("DELETE FROM {table} WHERE {row}"));
        } else if let Some(number) = value(column) {
            sql.run(&format!("UPDATE {table} SET {column} = {number} WHERE {row}"));
        }
    }
}

fn a_dead_letter_is_tried_again_and_counts_once(server: Server) {
    let job = Job::new(server, "verify_retry");
    job.produce(400, "1");
    send(&job.topic, 0, "never a tweet");
    job.run();
    let places = [(0, 5), (0, 6), (1, 0), (1, 100)];
    refuse(&job, &places);
    assert_ended(
        job.verify(&["--table", "hashtags", "--table", "totals"]),
        0,
        &["dead_letters=5 countable=4"],
    );
    let list = |more: &[&str]| {
        let output = program(&[&["dead-letters"][..], more].concat(), &job.database).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let listed = list(&["list"]);
    assert!(
        listed.contains("partition=1 offset=100 ") && listed.contains("dead_letters=5 shown=5")
    );
    assert_eq!(list(&["retry", "--partition", "1", "--offset", "100"]), "marked=1\n");
    assert_eq!(list(&["retry", "--all"]), "marked=4\n");
    for action in [&["list"][..], &["retry", "--all"]] {
        let elsewhere = [&["dead-letters", "--table-prefix", "x_"], action].concat();
        let output = program(&elsewhere, &job.database).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("there is no table x_dead_letters in this database"), "{text}");
    }
    // Killed at some moment between the mark and the commit, then again to the end.
    for milliseconds in [300, 900, 1_300, 1_700] {
        let mut command = job.command("run", &[]);
        let running = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        std::thread::sleep(Duration::from_millis(milliseconds));
        drop(running);
    }
    // Several looks for marks fall before the commit that takes them away.
    let mut command = job.command("run", &["--commit-interval-ms", "2500"]);
    let _running = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    let mut sql = job.sql();
    let deadline = Instant::now() + Duration::from_secs(30);
    while sql.rows::<(u64, u64)>("SELECT COUNT(*), CAST(SUM(retry) AS UNSIGNED) FROM dead_letters")
        != [(1, 0)]
    {
        assert!(Instant::now() < deadline, "{}", list(&["list"]));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_ended(job.verify(&[]), 0, &["dead_letters=1 countable=0"]);
}

fn a_baseline_carries_a_check_over_what_the_topic_forgets(server: Server) {
    let job = Job::new(server, "verify_baseline");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("baseline");
    let baseline = ["--baseline", file.to_str().unwrap()];
    job.produce(1_000, "1");
    send(&job.topic, 1, "no tweet");
    // Nothing of what is gone is needed to go on.
    let run = || job.done("run", &["--until-end", "--ledger", "0"]);
    run();
    assert_ended(job.verify(&baseline), 0, &["records=1001"]);
    for partition in 0..2 {
        job.delete_below(partition, 100);
    }
    assert_ended(job.verify(&[]), 3, &["its oldest record is 100"]);
    job.produce(500, "2");
    run();
    assert_ended(job.verify(&baseline), 0, &["records=500"]);
    job.sql().run("UPDATE totals SET records = records + 1 WHERE name = 'tweets'");
    assert_ended(job.verify(&baseline), 1, &["totals name=\"tweets\""]);
    std::fs::write(&file, "something else").unwrap();
    assert_eq!(job.verify(&baseline).0, Some(2));
}

/// The topic holds no more than what the ledger reads again at a start.
fn a_baseline_carries_a_ledger(server: Server) {
    let job = Job::new(server, "verify_ledger");
    let folder = tempfile::tempdir().unwrap();
    let (file, resume) = (folder.path().join("baseline"), folder.path().join("resume"));
    let baseline = ["--baseline", file.to_str().unwrap()];
    // Deletes of its own come up to a minute ahead of their tweets, and this stream lasts for
    // seconds.
    let stream = ["--synthetic", "--partitions", "2", "--duplicates", "10"];
    let tweets = Synthetic::new(1);
    let mut sql = job.sql();
    for limit in [6_000, 12_000, 18_000] {
        let more = ["--resume", resume.to_str().unwrap(), "--limit", &limit.to_string()];
        job.done("produce", &[&stream[..], &more].concat());
        let notices: Vec<_> = (limit - 500..limit)
            .step_by(5)
            .map(|index| tweets.tweet(index, &mut Vec::new()))
            .map(|id| format!(r#"{{"delete":{{"status":{{"id":{id}}}}}}}"#))
            .collect();
        let notes = folder.path().join("notices");
        std::fs::write(&notes, notices.join("\n")).unwrap();
        job.done("produce", &["--input", notes.to_str().unwrap()]);
        job.done("run", &["--until-end", "--ledger", "1s"]);
        assert_ended(job.verify(&baseline), 0, &["records=6100 "]);
        let again = sql.rows::<i64>("SELECT replay_from FROM kafka_offsets ORDER BY partition_id");
        for (partition, offset) in (0..).zip(again) {
            job.delete_below(partition, offset);
        }
    }
    assert_eq!(job.verify(&[]).0, Some(3), "the first records are gone");
    let sum = "SELECT CAST(SUM(records) AS UNSIGNED) FROM totals WHERE name IN";
    let mut records = |names: &str| sql.rows::<u64>(&format!("{sum} {names}"))[0];
    assert!(records("('deleted')") > 0 && records("('duplicates')") > 0);
    assert_eq!(records("('tweets', 'deleted', 'duplicates', 'delete')"), 18_300);
    sql.run("UPDATE totals SET records = records + 1 WHERE name = 'duplicates'");
    assert_ended(job.verify(&baseline), 1, &["totals name="]);
}

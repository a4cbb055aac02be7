//! Archives into a file of tables: the whole program with no server at all.

use crate::common::{Random, Recount, Running, assert_ended, program};
use nix::sys::signal::Signal;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const RECORDS: u64 = 30_000;
/// 2026-11-23, as an id.
const DAY: u64 = (1_795_392_000_000 - 1_288_834_974_657) << 22;

fn record(random: &mut Random, tweet: u64) -> String {
    // A hundred a minute.
    let id = |minute: u64| DAY + ((minute * 60_000) << 22) + tweet;
    match random.below(40) {
        0 => "no json".to_owned(),
        1 => format!(r#"{{"delete":{{"status":{{"id":{}}}}}}}"#, id(tweet / 100)),
        _ => {
            let tags = (0..random.below(3)).map(|_| random.below(4_000)).collect::<Vec<_>>();
            // One hashtag in several spellings.
            let t = ["t", "T", "ｔ"][usize::try_from(random.below(3)).unwrap()];
            let tags: Vec<_> =
                tags.iter().map(|tag| format!(r#"{{"text":"ヒ{t}{tag}"}}"#)).collect();
            let friends = random.below(900) * random.below(20);
            let (tags, user) = (tags.join(","), random.below(5_000));
            // Five hours, of which the tables by time keep one; some tweets come late.
            let minute = (tweet / 100).saturating_sub(random.below(4) * random.below(40));
            let (id, at) = (id(minute), format!("{:02}:{:02}:59", minute / 60, minute % 60));
            format!(
                r#"{{"id":{id},"text":"","created_at":"Mon Nov 23 {at} +0000 2026","entities":{{"hashtags":[{tags}]}},"user":{{"id":{user},"name":"n","friends_count":{friends}}}}}"#
            )
        }
    }
}

/// A folder of three partitions, plain and packed, and what counting it gives.
fn archive(folder: &Path, seed: u64) -> Recount {
    let (mut random, mut expected) = (Random(seed), Recount::default());
    let mut partitions = [const { String::new() }; 3];
    for tweet in 0..RECORDS {
        let mut record = record(&mut random, tweet);
        let partition = &mut partitions[usize::try_from(random.below(3)).unwrap()];
        if partition.is_empty() {
            // What a file begins with says whether it is one of tweets.
            record = record.replace("no json", "{}");
        }
        expected.add(record.as_bytes(), false);
        partition.push_str(&record);
        partition.push_str(if random.below(50) == 0 { "\r\n\n" } else { "\n" });
    }
    std::fs::create_dir(folder.join("2011")).unwrap();
    std::fs::write(folder.join("2011/09.json"), &partitions[0]).unwrap();
    // The last line of a file may lack its end.
    std::fs::write(
        folder.join("b.jsonl.zst"),
        zstd::encode_all(partitions[1].trim_end().as_bytes(), 1).unwrap(),
    )
    .unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(partitions[2].as_bytes()).unwrap();
    std::fs::write(folder.join("partition-3.ndjson.gz"), packed.finish().unwrap()).unwrap();
    std::fs::write(folder.join("README.txt"), "not a partition").unwrap();
    expected
}

fn command(name: &str, folder: &Path, tables: &Path, more: &[&str]) -> Command {
    let files = folder.to_str().unwrap();
    let spans = ["--minutes-span", "60", "--trend-minutes", "20"];
    let arguments = [&[name, "--files", files], &spans[..], more].concat();
    let mut command = program(&arguments, &format!("sqlite:{}", tables.display()));
    // Every table that there is.
    command.env("TWEETFLOW_WITH", "hashtag_pairs,top_hashtag_pairs");
    command
}

fn run(folder: &Path, tables: &Path, more: &[&str]) -> Command {
    let always = ["--until-end", "--max-dead-letters", "0"];
    command("run", folder, tables, &[&always, more].concat())
}

fn output(mut command: Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// What stands in the tables, by SQL.
fn recount(tables: &Path) -> Recount {
    let connection = rusqlite::Connection::open(tables).unwrap();
    let number =
        |row: &rusqlite::Row<'_>, column| row.get::<_, i64>(column).unwrap().cast_unsigned();
    let pairs = |sql: &str| {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, number(row, 1)))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let mut users = connection.prepare("SELECT user_id, tweet_id, nb_friends FROM users").unwrap();
    let users = users.query_map([], |row| Ok((number(row, 0), (number(row, 1), row.get(2)?))));
    let dead =
        connection.query_row("SELECT count(*) FROM dead_letters", [], |row| Ok(number(row, 0)));
    Recount {
        hashtags: pairs("SELECT hashtag, uses FROM hashtags"),
        users: users.unwrap().map(Result::unwrap).collect(),
        totals: pairs("SELECT name, records FROM totals"),
        dead: dead.unwrap(),
    }
}

#[test]
fn exact_after_kills_with_any_number_of_workers() {
    for seed in 1..4 {
        let folder = tempfile::tempdir().unwrap();
        let place = tempfile::tempdir().unwrap();
        let tables = place.path().join("tables.sqlite");
        let expected = archive(folder.path(), seed);
        let (mut random, mut kills) = (Random(seed), 0);
        loop {
            let workers = (1 + random.below(4)).to_string();
            // Few records an epoch: a fast machine shall not be done before it is killed.
            let more = ["--workers", &workers, "--max-records", "300", "--epoch-ms", "50"];
            let mut running = Running::start(&mut run(folder.path(), &tables, &more));
            std::thread::sleep(Duration::from_millis(20 + random.below(200)));
            if let Some(status) = running.0.try_wait().unwrap() {
                assert!(status.success(), "seed {seed}: {status}");
                break;
            }
            if kills == 12 {
                // A slow machine never ends in so short a time.
                assert!(running.0.wait().unwrap().success());
                break;
            }
            kills += 1;
            running.signal(Signal::SIGKILL);
            let code = running.0.wait().unwrap().code();
            assert!(code.is_none_or(|code| code == 0), "seed {seed}: {code:?}");
            if code.is_some() {
                break;
            }
        }
        assert_eq!(recount(&tables), expected, "seed {seed} after {kills} kills");
        assert!(kills > 2, "only {kills} kills");
        assert_ended(
            output(command("verify", folder.path(), &tables, &[])),
            0,
            &[&format!("records={RECORDS} ")],
        );
        // Nothing is written by a run that finds nothing new.
        assert_ended(output(run(folder.path(), &tables, &[])), 0, &[" rows=0 "]);
    }
}

/// A change by hand, how it is taken back, and what `verify` says of it.
const TAMPERED: [(&str, &str, &str); 10] = [
    (
        "UPDATE hashtags SET uses = uses + 1 WHERE hashtag = 'ヒt7'",
        "UPDATE hashtags SET uses = uses - 1 WHERE hashtag = 'ヒt7'",
        "hashtags hashtag=\"ヒt7\": the table has uses=",
    ),
    (
        "UPDATE top_hashtags SET uses = uses + 1 WHERE `rank` = 4",
        "UPDATE top_hashtags SET uses = uses - 1 WHERE `rank` = 4",
        "top_hashtags rank=4: the table has uses=",
    ),
    (
        "UPDATE top_users SET `rank` = 101 WHERE `rank` = 100",
        "UPDATE top_users SET `rank` = 100 WHERE `rank` = 101",
        "top_users rank=100: missing",
    ),
    (
        "UPDATE friends_histogram SET users = users + 1 WHERE bucket = 9750",
        "UPDATE friends_histogram SET users = users - 1 WHERE bucket = 9750",
        "friends_histogram bucket=9750: the table has users=",
    ),
    (
        "UPDATE hashtags_folded SET shown_as = 'x' || shown_as WHERE hashtag = 'ヒt7'",
        "UPDATE hashtags_folded SET shown_as = substr(shown_as, 2) WHERE hashtag = 'ヒt7'",
        "hashtags_folded hashtag=\"ヒt7\": the table has shown_as=\"x",
    ),
    (
        "UPDATE hashtag_pairs SET uses = uses + 5 \
             WHERE (hashtag_a, hashtag_b) = \
             (SELECT hashtag_a, hashtag_b FROM hashtag_pairs ORDER BY 1, 2 LIMIT 1)",
        "UPDATE hashtag_pairs SET uses = uses - 5 \
             WHERE (hashtag_a, hashtag_b) = \
             (SELECT hashtag_a, hashtag_b FROM hashtag_pairs ORDER BY 1, 2 LIMIT 1)",
        "hashtag_pairs hashtag_a=",
    ),
    (
        "UPDATE top_hashtag_pairs SET uses = uses + 1 WHERE `rank` = 4",
        "UPDATE top_hashtag_pairs SET uses = uses - 1 WHERE `rank` = 4",
        "top_hashtag_pairs rank=4: the table has uses=",
    ),
    (
        "UPDATE trending SET score = score + 1 WHERE `rank` = 3",
        "UPDATE trending SET score = score - 1 WHERE `rank` = 3",
        "trending rank=3: the table has score=",
    ),
    (
        "UPDATE floors SET newest = newest + 1 WHERE name = 'minutes'",
        "UPDATE floors SET newest = newest - 1 WHERE name = 'minutes'",
        "floors name=\"minutes\": the table has newest=",
    ),
    (
        // A minute that was forgotten.
        "INSERT INTO hashtags_by_minute VALUES ('2026-11-23 00:01:00.000', 'x', 1)",
        "DELETE FROM hashtags_by_minute WHERE hashtag = 'x'",
        "hashtag=\"x\": surplus, the table has uses=1",
    ),
];

#[test]
fn verify_finds_what_was_changed_by_hand() {
    let (folder, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tables = place.path().join("tables.sqlite");
    archive(folder.path(), 9);
    assert_ended(output(run(folder.path(), &tables, &[])), 0, &[]);
    let connection = rusqlite::Connection::open(&tables).unwrap();
    for (sql, back, line) in TAMPERED {
        assert_eq!(connection.execute(sql, []).unwrap(), 1);
        let (code, text) = output(command("verify", folder.path(), &tables, &[]));
        assert!(code == Some(1) && text.contains(line), "{sql}: {text}");
        connection.execute(back, []).unwrap();
    }
    for table in ["top_users", "trending", "hashtags_by_minute", "hashtags_folded"] {
        assert_ended(
            output(command("verify", folder.path(), &tables, &["--table", table])),
            0,
            &[],
        );
    }
    assert_ended(output(command("verify", folder.path(), &tables, &["--sample", "10"])), 0, &[]);
}

/// What is switched off has no table; another set of tables is another job.
#[test]
fn tables_can_be_switched_off() {
    let (folder, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tables = place.path().join("tables.sqlite");
    let expected = archive(folder.path(), 5);
    let with = |mut command: Command, with: &str, without: &str| {
        command.env("TWEETFLOW_WITH", with).env("TWEETFLOW_WITHOUT", without);
        if with.is_empty() {
            command.env_remove("TWEETFLOW_WITH");
        }
        output(command)
    };
    let optional = dataflows::catalogue::Tables::optional();
    let off = |name: &&str| !name.ends_with("hashtag_pairs");
    let none = optional.filter(off).collect::<Vec<_>>().join(",");
    assert_ended(with(run(folder.path(), &tables, &[]), "", &none), 0, &[]);
    assert_eq!(recount(&tables), expected);
    let connection = rusqlite::Connection::open(&tables).unwrap();
    let sql = "SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_schema \
        WHERE type = 'table' ORDER BY name)";
    let names: String = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(
        names,
        "dead_letter_overflow dead_letters floors hashtags kafka_offsets late_acts totals \
         tweetflow_commit users"
    );
    let verify = || command("verify", folder.path(), &tables, &[]);
    assert_ended(with(verify(), "", &none), 0, &[]);
    for command in [verify(), run(folder.path(), &tables, &[])] {
        let (code, text) = with(command, "hashtag_pairs", &none);
        let difference = "table hashtag_pairs was off and is on now (--with, --without); give";
        assert!(code == Some(2) && text.contains(difference), "{code:?} {text}");
    }
    assert_ended(
        with(run(folder.path(), &tables, &[]), "top_hashtag_pairs", &none),
        2,
        &["top_hashtag_pairs needs hashtag_pairs"],
    );
    let one = command("verify", folder.path(), &tables, &["--table", "top_users"]);
    assert_ended(with(one, "", &none), 2, &["the job has no such table"]);
}

/// What a partition is known by does not depend on the ledger.
#[test]
fn the_last_record_stays_known_whatever_becomes_of_the_ledger() {
    let (folder, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tables = place.path().join("tables.sqlite");
    let line = |tweet: u64| format!(r##"{{"id":{tweet},"text":"#a","user":{{"id":1}}}}"##) + "\n";
    std::fs::write(folder.path().join("a.json"), line(1 << 40) + &line(2 << 40)).unwrap();
    let known = || {
        let connection = rusqlite::Connection::open(&tables).unwrap();
        let columns = "last_offset, last_ms, last_hash, anchor_offset, anchor_hash";
        let sql = format!("SELECT {columns} FROM kafka_offsets");
        let all = |row: &rusqlite::Row<'_>| {
            (0..5).map(|column| row.get(column)).collect::<Result<Vec<Option<i64>>, _>>()
        };
        connection.query_row(&sql, [], all).unwrap()
    };
    let done = |more: &[&str]| assert_eq!(output(run(folder.path(), &tables, more)).0, Some(0));
    done(&["--ledger", "15m"]);
    assert!(known().iter().all(Option::is_some), "{:?}", known());
    for more in
        [&["--ledger", "0"][..], &["--ledger", "15m"], &["--ledger", "15m", "--forget-ledger"]]
    {
        done(more);
        assert!(known().iter().all(Option::is_some), "{more:?}: {:?}", known());
    }
    std::fs::write(folder.path().join("a.json"), line(3 << 40) + &line(4 << 40)).unwrap();
    assert_ended(output(run(folder.path(), &tables, &["--ledger", "0"])), 1, &["is another"]);
}

/// A folder of two files whose lines can be spoilt: what is refused is so as long as it is spoilt.
struct Spoilt {
    folder: tempfile::TempDir,
    place: tempfile::TempDir,
}

impl Spoilt {
    fn new() -> Self {
        Spoilt { folder: tempfile::tempdir().unwrap(), place: tempfile::tempdir().unwrap() }
    }

    fn tables(&self) -> std::path::PathBuf {
        self.place.path().join("tables.sqlite")
    }

    fn append(&self, name: &str, line: &str) {
        let path = self.folder.path().join(name);
        let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }

    /// A tweet, or a line of its length that is none.
    fn tweet(tweet: u64, tag: &str, is_spoilt: bool) -> String {
        let (id, end) = (tweet << 22, if is_spoilt { "!" } else { "}" });
        let entities = format!(r#""entities":{{"hashtags":[{{"text":"{tag}"}}]}}"#);
        format!(r#"{{"id":{id},"text":"x",{entities},"user":{{"id":1,"name":"a"}}{end}"#)
    }

    fn delete(tweet: u64) -> String {
        format!(r#"{{"delete":{{"status":{{"id":{}}}}}}}"#, tweet << 22)
    }

    fn mend(&self, file: &str) {
        let path = self.folder.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap().replace("!\n", "}\n");
        std::fs::write(&path, text).unwrap();
    }

    fn done(&self, name: &str, more: &[&str]) {
        let more = if name == "run" { &[more, &["--until-end"]].concat() } else { more };
        assert_ended(output(command(name, self.folder.path(), &self.tables(), more)), 0, &[]);
    }

    /// Has the dead letters tried again until none stands.
    fn retry(&self, more: &[&str]) {
        let sql = |sql: &str| {
            let connection = rusqlite::Connection::open(self.tables()).unwrap();
            connection.busy_timeout(Duration::from_secs(5)).unwrap();
            connection.query_row(sql, [], |row| row.get::<_, i64>(0))
        };
        let _ = sql("UPDATE dead_letters SET retry = 1 RETURNING 1");
        let mut command = command("run", self.folder.path(), &self.tables(), more);
        let running = Running::start(&mut command);
        let deadline = Instant::now() + Duration::from_secs(30);
        while sql("SELECT count(*) FROM dead_letters") != Ok(0) {
            assert!(Instant::now() < deadline, "they are not tried again");
            std::thread::sleep(Duration::from_millis(50));
        }
        // Killed: what was committed is all that is known.
        drop(running);
    }

    fn hashtags(&self) -> String {
        let hashtags = recount(&self.tables()).hashtags.into_iter();
        hashtags.map(|(tag, uses)| format!("{tag}={uses}")).collect::<Vec<_>>().join(" ")
    }

    fn total(&self, name: &str) -> u64 {
        recount(&self.tables()).totals.get(name).copied().unwrap_or_default()
    }
}

/// What was counted or deleted before a dead letter is tried again is so after it, and a restart
/// remembers the dead letter.
#[test]
fn a_dead_letter_goes_through_the_ledger() {
    let ledger = ["--ledger", "1m"];
    for workers in ["1", "3"] {
        let run = [&ledger[..], &["--workers", workers]].concat();
        let job = Spoilt::new();
        for (tweet, tag) in [(100, "a"), (101, "b"), (102, "c")] {
            job.append("a.json", &Spoilt::tweet(tweet, tag, true));
        }
        job.append("a.json", &Spoilt::tweet(103, "d", false));
        job.append("b.json", &Spoilt::tweet(100, "a", false));
        job.append("b.json", &Spoilt::delete(101));
        job.done("run", &run);
        assert_eq!((job.hashtags(), recount(&job.tables()).dead), ("a=1 d=1".into(), 3));
        job.mend("a.json");
        job.retry(&run);
        assert_eq!(job.hashtags(), "a=1 c=1 d=1", "a stood there, b was deleted");
        assert_eq!(
            (job.total("duplicates"), job.total("deleted"), job.total("retried")),
            (1, 1, 3)
        );
        job.done("verify", &[]);
        job.append("b.json", &Spoilt::delete(102));
        job.done("run", &run);
        assert_eq!(job.hashtags(), "a=1 d=1", "the restart remembers c");
        job.done("verify", &[]);
        // Below the floor it is late as any other.
        job.append("a.json", &Spoilt::tweet(200, "d", true));
        job.append("b.json", &Spoilt::tweet(200, "d", false));
        // These have no clock but their ids: only two in a row raise the floor.
        for tweet in [200_000, 200_001] {
            job.append("a.json", &Spoilt::tweet(tweet, "e", false));
            job.append("b.json", &Spoilt::tweet(tweet, "e", false));
        }
        job.done("run", &run);
        job.mend("a.json");
        job.retry(&run);
        assert_eq!((job.hashtags(), job.total("late_posts")), ("a=1 d=3 e=2".into(), 1));
        job.done("verify", &[]);
    }
}

/// What did not count is not remembered: where another version has refused records that are known
/// only by their number, and this one may read them, a start needs a word.
#[test]
fn what_another_version_left_out_is_not_remembered() {
    let job = Spoilt::new();
    job.append("a.json", &Spoilt::tweet(99, "z", false));
    for (tweet, is_spoilt) in [(100, true), (101, true), (102, true), (103, false)] {
        job.append("a.json", &Spoilt::tweet(tweet, "a", is_spoilt));
    }
    let bounded = ["--dead-letter-rows", "1"];
    let ledger = [&bounded[..], &["--ledger", "1m"]].concat();
    job.done("run", &ledger);
    let connection = rusqlite::Connection::open(job.tables()).unwrap();
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(number("SELECT records FROM dead_letter_overflow"), 2);
    job.done("verify", &[]);
    // The same version refuses the same.
    job.append("a.json", &Spoilt::delete(100));
    job.done("run", &ledger);
    assert_eq!(connection.execute("UPDATE dead_letter_overflow SET decoder = 0", []), Ok(1));
    job.done("verify", &[]);
    job.mend("a.json");
    assert_ended(
        output(command("verify", job.folder.path(), &job.tables(), &[])),
        3,
        &["dead_letter_overflow"],
    );
    assert_ended(
        output(run(job.folder.path(), &job.tables(), &ledger)),
        1,
        &["refused 2 records", "--forget-ledger", "run --rebuild"],
    );
    // They did not count, so nothing of them is taken back.
    job.done("run", &[&ledger[..], &["--forget-ledger"]].concat());
    job.append("a.json", &Spoilt::delete(101));
    job.append("a.json", &Spoilt::tweet(104, "b", false));
    job.append("a.json", &Spoilt::tweet(105, "b", true));
    job.done("run", &ledger);
    assert_eq!(job.hashtags(), "a=1 b=1 z=1");
    // What this version refuses has a range of its own.
    let sql = "SELECT 1000000 * min(records) + count(*) FROM dead_letter_overflow";
    assert_eq!(number(sql), 1_000_002);
    job.done("run", &ledger);
}

/// Rows that were changed by hand end each start with one line, and nothing is written.
#[test]
fn no_stored_row_makes_a_start_panic() {
    let changes = [
        ("UPDATE hashtags SET uses = 1", "hashtags hashtag=\"a\" uses=-1 would follow"),
        ("UPDATE hashtags_by_minute SET uses = 1", "uses=-1 would follow"),
        (
            "UPDATE hashtag_pairs SET uses = 1",
            "hashtag_pairs hashtag_a=\"a\" hashtag_b=\"b\" uses=-1",
        ),
        (
            "UPDATE totals SET records = 1 WHERE name = 'tweets'",
            "totals name=\"tweets\" records=-1",
        ),
        ("INSERT INTO floors VALUES ('other', 1)", "such a row: floors name=\"other\" newest=1"),
        ("UPDATE kafka_offsets SET last_ms = NULL", "such a row: kafka_offsets topic="),
        ("UPDATE kafka_offsets SET partition_id = 5000000000", "such a row: kafka_offsets topic="),
    ];
    for (change, says) in changes {
        for workers in ["1", "3"] {
            let job = Spoilt::new();
            for tweet in [100, 101] {
                let tweet = Spoilt::tweet(tweet, "a", false);
                let tweet = tweet.replace("}]", r#"},{"text":"b"}]"#);
                let at = r#""created_at":"Wed Oct 10 20:19:24 +0000 2018","text""#;
                job.append("a.json", &tweet.replacen(r#""text""#, at, 1));
            }
            job.done("run", &["--ledger", "1m"]);
            let connection = rusqlite::Connection::open(job.tables()).unwrap();
            assert!(connection.execute(change, []).unwrap() > 0, "{change}");
            let number =
                |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
            let before = number("SELECT sum(next_offset) FROM kafka_offsets");
            job.append("a.json", &Spoilt::delete(100));
            job.append("a.json", &Spoilt::delete(101));
            for _ in 0..2 {
                let more = ["--ledger", "1m", "--workers", workers];
                let (code, text) = output(run(job.folder.path(), &job.tables(), &more));
                assert!(code == Some(1) && text.contains(says), "{change}: {code:?} {text}");
                assert!(text.contains("--rebuild") && !text.contains("panic"), "{change}: {text}");
                assert_eq!(
                    number("SELECT sum(next_offset) FROM kafka_offsets"),
                    before,
                    "{change}"
                );
            }
        }
    }
}

/// The file is there before its tables are.
fn has_tables(path: &Path) -> bool {
    let look = || rusqlite::Connection::open(path)?.prepare("SELECT 1 FROM users").map(drop);
    path.exists() && look().is_ok()
}

/// A file that grows is followed, and read on after a clean stop.
#[test]
fn a_folder_is_followed_as_it_grows() {
    let (folder, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tables = place.path().join("tables.sqlite");
    let path = folder.path().join("partition-0.ndjson");
    let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
    let (mut random, mut expected) = (Random(3), Recount::default());
    let mut tweet = 0;
    for round in 0..3 {
        let mut running = Running::start(&mut command("run", folder.path(), &tables, &[]));
        for _ in 0..20 {
            let record = record(&mut random, tweet).replace("no json", "{}");
            tweet += 1;
            expected.add(record.as_bytes(), false);
            // In two parts: half a line is no record.
            file.write_all(&record.as_bytes()[..5.min(record.len())]).unwrap();
            std::thread::sleep(Duration::from_millis(3));
            writeln!(file, "{}", &record[5.min(record.len())..]).unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        while !has_tables(&tables) || recount(&tables) != expected {
            assert!(Instant::now() < deadline, "round {round} is not counted");
            std::thread::sleep(Duration::from_millis(20));
        }
        running.signal(Signal::SIGTERM);
        assert!(running.0.wait().unwrap().success());
    }
}

#[test]
fn what_cannot_work_is_said_in_one_line() {
    let (folder, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tables = place.path().join("tables.sqlite");
    let says = |command: Command, wanted: i32, words: &str| {
        let (code, text) = output(command);
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("tweetflow: ")).collect();
        assert!(
            code == Some(wanted) && lines.len() == 1 && lines[0].contains(words),
            "{code:?} {text}"
        );
    };
    says(run(folder.path(), &tables, &[]), 2, "holds no *.ndjson");
    says(run(&folder.path().join("none"), &tables, &[]), 2, "cannot read");
    std::fs::write(folder.path().join("a.json"), "PNG or what else\n").unwrap();
    says(
        run(folder.path(), &tables, &[]),
        2,
        "a.json is not one JSON object a line: it begins with other text",
    );
    std::fs::write(folder.path().join("a.json"), "{}\n").unwrap();
    says(run(folder.path(), &place.path().join("no/folder.sqlite"), &[]), 2, "cannot open");
    std::fs::write(
        place.path().join("other"),
        "no database, but long enough to be looked at ".repeat(99),
    )
    .unwrap();
    says(run(folder.path(), &place.path().join("other"), &[]), 2, "cannot open");
    says(run(folder.path(), &tables, &["--from", "latest"]), 2, "means nothing beside --files");
    says(run(folder.path(), &tables, &["--rebuild"]), 2, "--rebuild is not for a file of tables");
    says(command("verify", folder.path(), &tables, &[]), 3, "there is no file of tables at");
    let list = program(&["dead-letters", "list"], &format!("sqlite:{}", tables.display()));
    says(list, 2, "there is no file of tables at");
    let mut first = Running::start(&mut command("run", folder.path(), &tables, &[]));
    while !tables.exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    says(run(folder.path(), &tables, &[]), 1, "another process works on");
    first.signal(Signal::SIGTERM);
    assert!(first.0.wait().unwrap().success());
    for action in [["list", "--limit=1"], ["retry", "--all"]] {
        let arguments = [&["dead-letters", "--table-prefix", "x_"][..], &action].concat();
        let prefixed = program(&arguments, &format!("sqlite:{}", tables.display()));
        says(prefixed, 2, "there is no table x_dead_letters in this database");
    }
    // A file that was read is now another one.
    std::fs::write(folder.path().join("a.json"), "").unwrap();
    says(run(folder.path(), &tables, &[]), 1, "is not the file that was read before");
}

fn tweet(id: u64) -> String {
    let entities = r#""entities":{"hashtags":[{"text":"a"}]}"#;
    format!(r#"{{"id":{id},"text":"x",{entities},"user":{{"id":{id},"name":"n"}}}}"#) + "\n"
}

/// A pipe is no file: it holds up nothing, and a signal ends the job at once.
#[test]
fn a_pipe_is_skipped_and_new_files_are_read_at_once() {
    let (folder, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tables = place.path().join("tables.sqlite");
    let pipe = folder.path().join("pipe.jsonl");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
    std::fs::write(folder.path().join("a.jsonl"), tweet(1)).unwrap();
    let mut command = command("run", folder.path(), &tables, &[]);
    let mut running = Running::start(&mut command);
    let total = || recount(&tables).totals.get("tweets").copied().unwrap_or_default();
    let until = |count: u64, seconds: u64| {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        while !has_tables(&tables) || total() != count {
            assert!(Instant::now() < deadline, "{count} are not counted");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    until(1, 60);
    for number in 0..300 {
        std::fs::write(folder.path().join(format!("{number}.jsonl")), tweet(100 + number)).unwrap();
    }
    let began = Instant::now();
    until(301, 60);
    println!("300 new files took {:?}", began.elapsed());
    running.signal(Signal::SIGTERM);
    assert!(running.0.wait().unwrap().success());
    assert_ended(output(run(folder.path(), &tables, &[])), 0, &["pipe.jsonl is skipped"]);
}

/// What is damaged is set aside by name, in one line of the log and in the last line.
#[test]
fn a_damaged_file_is_named_and_others_count() {
    const LEDGER: [&str; 2] = ["--ledger", "0"];
    let (folder, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tables = place.path().join("tables.sqlite");
    let tweets: String = (0..3_000).map(|id| tweet(1_000_000 + id * 7_919)).collect();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(tweets.as_bytes()).unwrap();
    let whole = packed.finish().unwrap();
    let path = folder.path().join("cut one.jsonl.gz");
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    std::fs::write(folder.path().join("b.jsonl"), tweet(1) + "no json\n").unwrap();
    for _ in 0..2 {
        let text =
            assert_ended(output(run(folder.path(), &tables, &LEDGER)), 0, &[" files_set_aside=1"]);
        let told: Vec<_> = text.lines().filter(|line| line.contains("is set aside")).collect();
        assert!(told.len() == 1 && told[0].contains("cut one.jsonl.gz"), "{text}");
        assert_ended(output(command("verify", folder.path(), &tables, &[])), 0, &[]);
    }
    let count = recount(&tables).totals["tweets"];
    assert!((100..3_000).contains(&count), "{count}");
    let connection = rusqlite::Connection::open(&tables).unwrap();
    let sql = "SELECT group_concat(file, ',') FROM (SELECT file FROM kafka_offsets ORDER BY file)";
    let files: String = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(files, "b.jsonl,cut one.jsonl.gz");
    let list = program(&["dead-letters", "list"], &format!("sqlite:{}", tables.display()));
    let (code, text) = output(list);
    assert!(code == Some(0) && text.starts_with("file=\"b.jsonl\" "), "{text}");
    assert!(!text.contains(" at="), "{text}");
    std::fs::remove_file(&path).unwrap();
    assert_ended(output(run(folder.path(), &tables, &LEDGER)), 0, &["not there any more"]);
    assert_ended(output(command("verify", folder.path(), &tables, &[])), 3, &["cut one.jsonl.gz"]);
    std::fs::write(&path, &whole).unwrap();
    assert_ended(output(run(folder.path(), &tables, &LEDGER)), 0, &[" files_set_aside=0"]);
    assert_eq!(recount(&tables).totals["tweets"], 3_001);
    assert_ended(output(command("verify", folder.path(), &tables, &[])), 0, &[]);
}

/// Tables that count another file cannot be checked: one sentence, as for a recreated topic.
#[test]
fn verify_knows_a_packed_file_that_was_replaced() {
    let pack = |path: &Path, ids: std::ops::Range<u64>| {
        let text: String = ids.map(|id| tweet(1_000_000 + id * 7_919)).collect();
        let packed = if path.extension().is_some_and(|end| end == "zst") {
            zstd::encode_all(text.as_bytes(), 1).unwrap()
        } else {
            let mut packed =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            packed.write_all(text.as_bytes()).unwrap();
            packed.finish().unwrap()
        };
        std::fs::write(path, packed).unwrap();
    };
    for name in ["a.jsonl.gz", "b.jsonl.zst"] {
        let (folder, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (tables, path) = (place.path().join("tables.sqlite"), folder.path().join(name));
        pack(&path, 0..50);
        assert_ended(output(run(folder.path(), &tables, &[])), 0, &[]);
        // As long, longer, shorter.
        for ids in [50..100, 50..150, 0..20] {
            pack(&path, ids.clone());
            let (code, text) = output(command("verify", folder.path(), &tables, &[]));
            assert!(code == Some(3) && text.lines().count() == 1, "{name} {ids:?}: {text}");
            assert!(text.contains("cannot be checked") && text.contains(name), "{text}");
        }
        // Behind what was counted it may go on.
        pack(&path, 0..60);
        assert_ended(output(command("verify", folder.path(), &tables, &[])), 0, &[]);
    }
}

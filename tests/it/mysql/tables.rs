//! Tables that exist already: each difference that would do harm in silence is refused, and what
//! the message says against it helps. Two jobs side by side.

use super::{block_on, hashtag, identity, snapshot, transaction};
use crate::common::{Server, Sql};
use sink::mysql::MySqlSink;
use sink::{Identity, Sink, SinkError};
use types::transaction::Position;

on_both_servers! {
    differences_are_refused_and_mended_as_told,
    harmless_differences_are_accepted,
    a_refused_start_makes_no_table,
    two_prefixes_are_two_jobs,
    of_two_jobs_that_begin_at_once_one_is_refused,
    a_commit_table_of_an_earlier_version_is_told,
}

fn claim(url: &str) -> Result<Position, SinkError> {
    block_on(async {
        // Dropped with the runtime: its connection and the named lock end here.
        MySqlSink::new(url).unwrap().claim(&identity()).await
    })
}

fn numbers(position: Position) -> (u64, u64) {
    (position.generation, position.commit_no)
}

/// A change, what the refusal says, and the way back where one ALTER TABLE cannot be told.
const DIFFERENCES: [(&str, &str, &str); 17] = [
    (
        "ALTER TABLE hashtags MODIFY hashtag VARCHAR(255) CHARACTER SET utf8mb4 \
         COLLATE utf8mb4_unicode_ci NOT NULL",
        "hashtags is not as this program makes it: column hashtag compares by utf8mb4_unicode_ci",
        "",
    ),
    (
        "ALTER TABLE hashtags MODIFY hashtag VARCHAR(255) CHARACTER SET latin1 \
         COLLATE latin1_bin NOT NULL",
        "column hashtag has the character set latin1",
        "",
    ),
    (
        "ALTER TABLE users MODIFY username VARCHAR(255) CHARACTER SET latin1 NOT NULL",
        "column username has the character set latin1",
        "",
    ),
    (
        "ALTER TABLE hashtags MODIFY hashtag VARCHAR(100) CHARACTER SET utf8mb4 \
         COLLATE utf8mb4_bin NOT NULL",
        "column hashtag is VARCHAR(100), not VARCHAR(255)",
        "",
    ),
    ("ALTER TABLE hashtags MODIFY uses BIGINT NOT NULL", ", not BIGINT UNSIGNED", ""),
    ("ALTER TABLE hashtags MODIFY uses INT UNSIGNED NOT NULL", ", not BIGINT UNSIGNED", ""),
    ("ALTER TABLE hashtags MODIFY uses BIGINT UNSIGNED", "column uses may be NULL", ""),
    ("ALTER TABLE users MODIFY nb_friends BIGINT NOT NULL", "nb_friends may not be NULL", ""),
    ("ALTER TABLE users ADD UNIQUE KEY one_name (username)", "unique key one_name (username)", ""),
    (
        "ALTER TABLE hashtags DROP PRIMARY KEY, ADD PRIMARY KEY (hashtag(20))",
        "primary key is (hashtag(20))",
        "",
    ),
    (
        "ALTER TABLE kafka_offsets DROP PRIMARY KEY, ADD PRIMARY KEY (partition_id, topic)",
        "primary key is (partition_id, topic)",
        "",
    ),
    ("ALTER TABLE hashtags DROP PRIMARY KEY", "it has no primary key", ""),
    ("ALTER TABLE totals ENGINE=MyISAM", "its engine is MyISAM", ""),
    ("ALTER TABLE tweetflow_commit ENGINE=MyISAM", "tweetflow_commit is not as", ""),
    (
        "ALTER TABLE hashtags ADD COLUMN note VARCHAR(9) NOT NULL",
        "column note has no default",
        "ALTER TABLE hashtags DROP COLUMN note",
    ),
    (
        "ALTER TABLE totals CHANGE records n BIGINT UNSIGNED NOT NULL",
        "it has no column records",
        "ALTER TABLE totals CHANGE n records BIGINT UNSIGNED NOT NULL",
    ),
    ("CREATE VIEW `totals` AS SELECT 1 AS one", "it is a view", "DROP VIEW totals"),
];

fn differences_are_refused_and_mended_as_told(server: Server) {
    let url = server.fresh_database("differences");
    let mut sql = Sql::connect(&url);
    claim(&url).unwrap();
    for (change, says, back) in DIFFERENCES {
        if change.starts_with("CREATE VIEW") {
            sql.run("DROP TABLE totals");
        }
        sql.run(change);
        let error = claim(&url).unwrap_err();
        assert!(matches!(error, SinkError::Foreign { .. }), "{change}: {error}");
        let said = error.to_string();
        assert!(said.contains(says) && !said.contains('\n'), "{change}: {said}");
        match said.split_once("; run: ") {
            Some((_, fix)) if back.is_empty() => sql.run(fix),
            _ => sql.run(back),
        }
        claim(&url).unwrap();
    }
}

fn harmless_differences_are_accepted(server: Server) {
    let url = server.fresh_database("harmless");
    let mut sql = Sql::connect(&url);
    claim(&url).unwrap();
    let own = match server {
        Server::MariaDb => "utf8mb4_nopad_bin",
        Server::MySql => "utf8mb4_0900_bin",
    };
    for change in [
        &format!("MODIFY hashtag VARCHAR(300) CHARACTER SET utf8mb4 COLLATE {own} NOT NULL"),
        "ADD COLUMN note VARCHAR(9) NULL",
        "ADD COLUMN more INT NOT NULL DEFAULT 7",
        "ADD INDEX by_uses (uses)",
    ] {
        sql.run(&format!("ALTER TABLE hashtags {change}"));
        claim(&url).unwrap_or_else(|error| panic!("{change}: {error}"));
    }
    sql.run(
        "ALTER TABLE users MODIFY username VARCHAR(255) CHARACTER SET utf8mb4 \
         COLLATE utf8mb4_unicode_ci NOT NULL",
    );
    let mut sink = MySqlSink::new(&url).unwrap();
    block_on(async {
        let at = sink.claim(&identity()).await.unwrap();
        sink.commit(at, &transaction(vec![hashtag("x", 1)], 1)).await.unwrap();
    });
}

fn a_refused_start_makes_no_table(server: Server) {
    let url = server.fresh_database("refused");
    let mut sql = Sql::connect(&url);
    sql.run("CREATE TABLE kafka_offsets (topic VARCHAR(9))");
    assert!(matches!(claim(&url), Err(SinkError::Foreign { .. })));
    assert!(!sql.has_table("hashtags") && !sql.has_table("tweetflow_commit"));
}

/// The same job name under two prefixes: neither waits for the other nor sees its rows.
fn two_prefixes_are_two_jobs(server: Server) {
    let url = server.fresh_database("prefixes");
    let prefixed = |prefix: &str| Identity { prefix: prefix.parse().unwrap(), ..identity() };
    let (mut a, mut b) = (MySqlSink::new(&url).unwrap(), MySqlSink::new(&url).unwrap());
    block_on(async {
        let first = a.claim(&prefixed("a_")).await.unwrap();
        let second = b.claim(&prefixed("b_")).await.unwrap();
        assert_eq!([first, second].map(numbers), [(1, 0), (1, 0)]);
        a.commit(first, &transaction(vec![hashtag("x", 1)], 1)).await.unwrap();
        b.commit(second, &transaction(vec![hashtag("y", 2)], 2)).await.unwrap();
        assert_eq!(snapshot(&mut a, 0).await[0].row, hashtag("x", 1));
        assert_eq!(snapshot(&mut b, 0).await[0].row, hashtag("y", 2));
        assert_eq!(a.position().await.unwrap(), first.next());
    });
    let query = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()";
    let names = Sql::connect(&url).rows::<String>(query);
    assert_eq!(names.len(), 2 * (identity().tables.len() + 1));
    assert!(names.iter().all(|name| name.starts_with("a_") || name.starts_with("b_")), "{names:?}");
    // A prefix is a place: renamed, the job goes on.
    for name in names.iter().filter_map(|name| name.strip_prefix("a_")) {
        Sql::connect(&url).run(&format!("RENAME TABLE a_{name} TO c_{name}"));
    }
    let claimed = block_on(async {
        let mut c = MySqlSink::new(&url).unwrap();
        let at = c.claim(&prefixed("c_")).await.unwrap();
        assert_eq!(snapshot(&mut c, 0).await[0].row, hashtag("x", 1));
        at
    });
    assert_eq!(numbers(claimed), (2, 1));
}

/// On the same tables, empty as they are.
fn of_two_jobs_that_begin_at_once_one_is_refused(server: Server) {
    let url = server.fresh_database("two_jobs");
    for round in 0..6 {
        let mut sql = Sql::connect(&url);
        sql.attempt("DELETE FROM tweetflow_commit");
        let begin = std::sync::Barrier::new(2);
        let claimed = std::thread::scope(|scope| {
            let claims = ["one", "two"].map(|job| {
                let (begin, url) = (&begin, &url);
                scope.spawn(move || {
                    let identity = Identity { job: job.to_owned(), ..identity() };
                    let mut sink = MySqlSink::new(url).unwrap();
                    begin.wait();
                    block_on(sink.claim(&identity))
                })
            });
            claims.map(|claim| claim.join().unwrap())
        });
        let refused = claimed.iter().filter(|claimed| claimed.is_err()).count();
        assert_eq!(refused, 1, "round {round}: {claimed:?}");
        let refusal = claimed.into_iter().find_map(Result::err).unwrap();
        assert!(matches!(refusal, SinkError::OtherJob { .. }), "{refusal}");
        assert_eq!(sql.rows::<u64>("SELECT COUNT(*) FROM tweetflow_commit"), [1]);
    }
}

fn a_commit_table_of_an_earlier_version_is_told(server: Server) {
    let url = server.fresh_database("no_writer");
    claim(&url).unwrap();
    Sql::connect(&url).run("ALTER TABLE tweetflow_commit DROP COLUMN writer");
    let error = claim(&url).unwrap_err();
    assert!(error.to_string().contains("run once with --rebuild"), "{error}");
    let looked = block_on(MySqlSink::new(&url).unwrap().inspect(&identity(), &mut |_| {}));
    assert!(matches!(looked, Err(SinkError::Foreign { .. })), "{looked:?}");
}

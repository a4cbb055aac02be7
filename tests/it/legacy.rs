//! `tweetflow legacy` on real servers: only what has exactly the old columns is renamed, in one
//! statement, and nothing is lost.

use crate::common::{Server, Sql, assert_ended, program};

on_both_servers! {
    the_old_tables_get_out_of_the_way,
    a_table_of_another_form_is_left_alone,
}

const OLD: [&str; 4] = [
    "CREATE TABLE hashtags (hashtag TEXT)",
    "CREATE TABLE users (username TEXT, nb_friends INT)",
    "INSERT INTO hashtags VALUES ('a'), ('a'), ('b')",
    "INSERT INTO users VALUES ('u', 1), ('u', 2)",
];

/// The exit code, and what is said.
fn legacy(database: &str) -> (Option<i32>, String) {
    let output = program(&["legacy"], database).output().unwrap();
    let texts = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(texts).unwrap())
}

fn make_old_tables(sql: &mut Sql) {
    for statement in OLD {
        sql.run(statement);
    }
}

fn tables(sql: &mut Sql) -> Vec<String> {
    sql.rows(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() \
         ORDER BY table_name",
    )
}

fn the_old_tables_get_out_of_the_way(server: Server) {
    let database = server.fresh_database("legacy");
    let mut sql = Sql::connect(&database);
    make_old_tables(&mut sql);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.jsonl"), "{}\n").unwrap();
    let arguments = ["run", "--files", folder.path().to_str().unwrap(), "--until-end"];
    let output = program(&arguments, &database).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("table hashtags is") && said.contains("run `tweetflow legacy`"),
        "{said}"
    );
    assert!(!said.contains("ALTER TABLE"), "{said}");
    let renamed = assert_ended(legacy(&database), 0, &[]);
    assert_eq!(renamed, "renamed hashtags to legacy_hashtags\nrenamed users to legacy_users\n");
    assert_eq!(tables(&mut sql), ["legacy_hashtags", "legacy_users"]);
    let rows = "SELECT (SELECT COUNT(*) FROM legacy_hashtags), (SELECT COUNT(*) FROM legacy_users)";
    assert_eq!(sql.rows::<(u64, u64)>(rows), [(3, 2)]);
    // A second time there is nothing to do, and that is no success.
    assert_ended(legacy(&database), 2, &["nothing is renamed"]);
    // The old program went on: what it has made again must not replace what was kept.
    make_old_tables(&mut sql);
    assert_ended(legacy(&database), 2, &["legacy_hashtags"]);
    assert_eq!(tables(&mut sql).len(), 4);
}

fn a_table_of_another_form_is_left_alone(server: Server) {
    let database = server.fresh_database("legacy_other");
    let mut sql = Sql::connect(&database);
    sql.run("CREATE TABLE hashtags (hashtag VARCHAR(255) PRIMARY KEY, uses BIGINT UNSIGNED)");
    sql.run(OLD[1]);
    let (code, said) = legacy(&database);
    assert_eq!((code, said.as_str()), (Some(0), "renamed users to legacy_users\n"));
    assert_eq!(tables(&mut sql), ["hashtags", "legacy_users"]);
    assert_ended(legacy("sqlite:nowhere"), 2, &[]);
}

//! Texts come back as they went in, and two different keys are two rows, whatever the server's
//! defaults are.

use super::{block_on, hashtag, identity, snapshot, transaction};
use crate::common::{Globals, Random, Server, Sql};
use dataflows::catalogue::Tables;
use sink::Sink;
use sink::mysql::MySqlSink;
use std::collections::BTreeSet;
use types::transaction::{TableChanges, Transaction};
use types::{Row, Value};

on_both_servers! {
    keys_are_compared_byte_by_byte,
    random_keys_are_as_many_rows,
    naughty_strings_come_back_byte_by_byte,
    #[ignore = "real tweets: TWEETFLOW_REAL_DATA names their folder"]
    listed_strings_come_back_byte_by_byte,
}

/// Pairs that some collation takes for one: case, accents, kana, width, ß, ligatures, symbols.
const TAGS: [&str; 40] = [
    "Rust",
    "rust",
    "Café",
    "cafe",
    "Cafe\u{301}",
    "Å",
    "A\u{30a}",
    "\u{212b}",
    "ひらがな",
    "ヒラガナ",
    "ﾋﾗｶﾞﾅ",
    "ABC",
    "ＡＢＣ",
    "straße",
    "strasse",
    "STRASSE",
    "ǅ",
    "Ǆ",
    "ǆ",
    "ﬁ",
    "fi",
    "🍣",
    "🍺",
    "'",
    "\\",
    "\"",
    "%",
    "_",
    "؀",
    "日本語",
    "नमस्ते",
    "a\u{200d}b",
    "ab",
    "A",
    "a",
    "ä",
    "İ",
    "ı",
    "i",
    "I",
];

/// Writes the hashtags twice (new rows, then rows that exist) and reads them back.
fn hashtags_come_back(url: &str, tags: &BTreeSet<String>) {
    let rows: BTreeSet<Row> = (1..).zip(tags).map(|(uses, tag)| hashtag(tag, uses)).collect();
    let mut sink = MySqlSink::new(url).unwrap();
    let commit = transaction(rows.iter().cloned().collect(), 1);
    block_on(async {
        let at = sink.claim(&identity()).await.unwrap();
        sink.commit(at, &commit).await.unwrap();
        sink.commit(at.next(), &commit).await.unwrap();
        let stored: Vec<_> =
            snapshot(&mut sink, 0).await.into_iter().map(|restored| restored.row).collect();
        assert_eq!(stored.len(), tags.len(), "keys in memory and rows in the table");
        assert_eq!(stored.into_iter().collect::<BTreeSet<_>>(), rows);
    });
}

fn keys_are_compared_byte_by_byte(server: Server) {
    let tags: BTreeSet<_> = TAGS.iter().map(ToString::to_string).collect();
    assert_eq!(tags.len(), TAGS.len());
    hashtags_come_back(&server.fresh_database("keys"), &tags);
    let url = server.fresh_database("keys_latin1");
    Sql::connect(&url).run(
        "ALTER DATABASE tweetflow_test_keys_latin1 CHARACTER SET latin1 COLLATE latin1_swedish_ci",
    );
    hashtags_come_back(&url, &tags);
}

/// Letters that case, accents, width and equivalence make alike, put together at random.
fn random_keys_are_as_many_rows(server: Server) {
    let letters: Vec<_> =
        "aAáÁａＡàÀåÅsSßẞiIİıkKKかカｶがガ\u{3099}\u{301}\u{308}\u{200d}\u{200c}éeE日本🍣🍺👩🏽"
            .chars()
            .collect();
    let mut random = Random(4);
    let mut pick = |bound: usize| usize::try_from(random.below(bound as u64)).unwrap();
    let tags: BTreeSet<String> =
        (0..5_000).map(|_| (0..=pick(6)).map(|_| letters[pick(letters.len())]).collect()).collect();
    assert!(tags.len() > 3_000);
    let globals = Globals::set(server, &[("local_infile", "ON")]);
    hashtags_come_back(&server.fresh_database("random_keys"), &tags);
    drop(globals);
}

/// Texts that a careless program takes for something else.
fn naughty_strings() -> Vec<String> {
    let own = [
        "",
        "'",
        "''",
        "\\",
        "\\'",
        "\\\\'; DROP TABLE users; -- ",
        "\"",
        "`",
        "x'41'",
        "\0",
        "a\0b",
        "\r\n\t\u{1a}",
        "  both sides  ",
        "null",
        "%s %n {} ${x} ?",
        "\u{feff}bom",
        "\u{10ffff}",
        "e\u{301}\u{301}\u{301}",
        "😀👩‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿",
        "/*! SELECT 1 */",
    ];
    let mut strings: Vec<_> = own.iter().map(ToString::to_string).collect();
    strings.push("é".repeat(255));
    strings
}

/// The list of naughty strings of the real data.
fn listed_strings() -> Vec<String> {
    let folder = std::env::var_os("TWEETFLOW_REAL_DATA").expect("TWEETFLOW_REAL_DATA is not set");
    let path = std::path::Path::new(&folder).join("adversarial/blns.json");
    let list: Vec<String> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(list.len() > 400);
    list.iter().map(|text| text.chars().take(255).collect()).collect()
}

/// What decoding lets through as a hashtag: no empty one, no white space, no control character.
fn is_key(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// As names of users, hashtags, and dead letters; under modes that change what a quote means. Few
/// rows, then so many that they are loaded.
fn naughty_strings_come_back_byte_by_byte(server: Server) {
    let globals = [("sql_mode", "NO_BACKSLASH_ESCAPES,ANSI_QUOTES"), ("local_infile", "ON")];
    let globals = Globals::set(server, &globals);
    let strings = naughty_strings();
    for rows in [strings.len(), 2_000] {
        naughty_rows_come_back(&server.fresh_database("naughty"), &strings, rows);
    }
    drop(globals);
}

/// The same of the list that others have collected.
fn listed_strings_come_back_byte_by_byte(server: Server) {
    let globals = [("sql_mode", "NO_BACKSLASH_ESCAPES,ANSI_QUOTES"), ("local_infile", "ON")];
    let globals = Globals::set(server, &globals);
    let strings = listed_strings();
    for rows in [strings.len(), 2_000] {
        naughty_rows_come_back(&server.fresh_database("listed"), &strings, rows);
    }
    drop(globals);
}

fn naughty_rows_come_back(url: &str, strings: &[String], row_count: usize) {
    let user = |(id, name): (u64, &String)| -> Row {
        let numbers = [Value::Null, Value::Null, Value::UInt(0), Value::UInt(0)];
        let key = [Value::UInt(id), Value::Text(name.as_str().into())];
        key.into_iter().chain(numbers).chain([Value::UInt(0), Value::UInt(0)]).collect()
    };
    let letter = |(offset, text): (u64, &String)| -> Row {
        let sample = text.bytes().chain([0xff, 0xc3]).take(512).collect();
        Box::new([
            Value::Text("t".into()),
            Value::UInt(0),
            Value::UInt(offset),
            Value::Timestamp(0),
            Value::Text("json".into()),
            Value::Text(text.as_str().into()),
            Value::Bytes(sample),
            Value::UInt(0),
            Value::Text("".into()),
        ])
    };
    let tags: BTreeSet<_> = strings.iter().filter(|text| is_key(text)).collect();
    let tags: Vec<_> = (1..).zip(tags).map(|(uses, tag)| hashtag(tag, uses)).collect();
    let users: Vec<_> = (0..).zip(strings.iter().cycle().take(row_count)).map(user).collect();
    let letters: Vec<_> = (0..).zip(strings.iter().cycle().take(row_count)).map(letter).collect();
    let mut tables = vec![TableChanges::default(); identity().tables.len()];
    for (table, upserts) in
        [(0, &tags), (1, &users), (usize::from(Tables::every().dead_letters()), &letters)]
    {
        tables[table].upserts.clone_from(upserts);
    }
    let commit = Transaction { as_of: 0, tables };
    let mut sink = MySqlSink::new(url).unwrap();
    block_on(async {
        let at = sink.claim(&identity()).await.unwrap();
        sink.commit(at, &commit).await.unwrap();
        sink.commit(at.next(), &commit).await.unwrap();
        for (table, rows) in [(0, tags), (1, users)] {
            let stored = snapshot(&mut sink, table).await;
            let stored: BTreeSet<_> = stored.into_iter().map(|restored| restored.row).collect();
            assert_eq!(stored, rows.into_iter().collect());
        }
    });
    let query = "SELECT detail, sample FROM dead_letters ORDER BY `offset`";
    let stored: Vec<Vec<Value>> = (Sql::connect(url).rows::<(String, Vec<u8>)>(query).into_iter())
        .map(|(detail, sample)| vec![Value::Text(detail.into()), Value::Bytes(sample.into())])
        .collect();
    assert_eq!(stored, letters.iter().map(|row| row[5..7].to_vec()).collect::<Vec<_>>());
}

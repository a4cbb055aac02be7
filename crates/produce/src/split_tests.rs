//! The forms, each read at once, a byte at a time, and in uneven pieces.

use super::*;
use synth::Synthetic;

/// Hands out at most so many bytes a call.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let length = self.1.min(self.0.len()).min(out.len());
        let (now, later) = self.0.split_at(length);
        out[..length].copy_from_slice(now);
        self.0 = later;
        Ok(length)
    }
}

type Records = (Vec<Vec<u8>>, Option<Broken>);

fn split_by(text: &[u8], piece: usize, limit: usize) -> Records {
    let (mut reader, mut records) = (Pieces(text, piece), Vec::new());
    let mut splitter = Splitter { limit, ..Splitter::new() };
    loop {
        match splitter.step() {
            Ok(Step::Record(range)) => records.push(splitter.bytes(range).to_vec()),
            Ok(Step::More) => splitter.fill(&mut reader).unwrap(),
            Ok(Step::End) => return (records, None),
            Err(broken) => return (records, Some(broken)),
        }
    }
}

/// The same whatever the pieces.
fn split(text: &[u8]) -> Records {
    let whole = split_by(text, usize::MAX, RECORD_BYTES);
    for piece in [1, 2, 3, 7] {
        let text_of = String::from_utf8_lossy(text);
        assert_eq!(split_by(text, piece, RECORD_BYTES), whole, "pieces of {piece}: {text_of}");
    }
    whole
}

fn texts(text: &str) -> Vec<String> {
    let (records, broken) = split(text.as_bytes());
    assert_eq!(broken, None, "{text}");
    records.into_iter().map(|record| String::from_utf8(record).unwrap()).collect()
}

#[test]
fn lines() {
    for (text, expected) in [
        ("", &[][..]),
        ("\n\r\n  ", &[]),
        ("\u{feff}", &[]),
        ("{\"id\":1}", &["{\"id\":1}"]),
        ("{\"id\":1}\n", &["{\"id\":1}"]),
        ("\u{feff}{\"id\":1}\r\n\r\n \t\r\n{\"id\":2} \r\n", &["{\"id\":1}", "{\"id\":2} "]),
        ("\n  {\"id\":1}\nno json\n[1]\n{", &["  {\"id\":1}", "no json", "[1]", "{"]),
        ("no json\n{\"id\":1}", &["no json", "{\"id\":1}"]),
        ("{oops\n{\"id\":1}", &["{oops", "{\"id\":1}"]),
        ("{\"text\":\"cut\n{\"id\":1}", &["{\"text\":\"cut", "{\"id\":1}"]),
        ("{\"id\":1}, x\n{\"id\":2}", &["{\"id\":1}, x", "{\"id\":2}"]),
        ("{}}\n{}", &["{}}", "{}"]),
        ("7\n\"x\"\nnull", &["7", "\"x\"", "null"]),
    ] {
        assert_eq!(texts(text), expected, "{text}");
    }
}

#[test]
fn arrays_pages_and_objects() {
    for (text, expected) in [
        ("[]", &[][..]),
        (" [ ] \n", &[]),
        ("[{\"id\":1},{\"id\":2}]", &["{\"id\":1}", "{\"id\":2}"]),
        ("\u{feff}[\n {\"a\":\n[1,\n2]}\n ,\r\n{}\n]\n", &["{\"a\":\n[1,\n2]}", "{}"]),
        ("[1,-2.50e+3 ,null,\"a,]\\\"\",[[]]]", &["1", "-2.50e+3", "null", "\"a,]\\\"\"", "[[]]"]),
        ("[{}][{\"id\":2}]\n{\"id\":3}", &["{}", "{\"id\":2}", "{\"id\":3}"]),
        ("{\"statuses\":[{\"id\":1},{\"id\":2}],\"m\":{\"n\":[]}}", &["{\"id\":1}", "{\"id\":2}"]),
        ("{\"m\":{\"statuses\":[7]},\n\"statuses\" :\n[ {} ]}\n", &["{}"]),
        ("{\"statuses\":[]}{\"statuses\":[{\"statuses\":[4]}]}", &["{\"statuses\":[4]}"]),
        ("{\"statuses\":[{}],\"statuses\":[[]]}", &["{}", "[]"]),
        ("[{\"statuses\":[1]}]", &["{\"statuses\":[1]}"]),
        (
            "{\"statuses\":7,\"t\":\",\\\"statuses\\\":[\"}",
            &[r#"{"statuses":7,"t":",\"statuses\":["}"#],
        ),
        ("{\n \"id\": 1,\n \"t\": \"}{][\\\\\"\n}", &["{\n \"id\": 1,\n \"t\": \"}{][\\\\\"\n}"]),
        ("{}{} {}\n\n[{}]{\n}", &["{}", "{}", "{}", "{}", "{\n}"]),
        ("{\"id\":1} {\"id\":2}", &["{\"id\":1}", "{\"id\":2}"]),
        ("{\n}\n{\"a\":\"b\\u0022\"}", &["{\n}", "{\"a\":\"b\\u0022\"}"]),
    ] {
        assert_eq!(texts(text), expected, "{text}");
    }
}

#[test]
fn what_is_broken_says_where() {
    for (text, records, at, what) in [
        ("[{\"id\":1},{\"id\":2}", 2, 18, "the input ends within an array"),
        ("[{\"id\":1},", 1, 10, "the input ends within an array"),
        ("[{\"id\":1},{\"id", 1, 14, "the input ends within a string"),
        ("[{},{", 1, 5, "the input ends within a value"),
        ("[{} {}]", 1, 4, "a comma between elements is missing"),
        ("[{},]", 1, 4, "an element of the array is missing"),
        ("[,{}]", 0, 1, "an element of the array is missing"),
        ("[{}]]", 1, 4, "neither an object nor an array begins"),
        ("{}{} x", 2, 5, "neither an object nor an array begins"),
        ("{\n\"a\":1", 0, 7, "the input ends within a value"),
        ("{\"a\":1", 0, 6, "the input ends within a value"),
        ("{\"statuses\":[{}]", 1, 16, "the input ends within a value"),
        ("[1,2", 2, 4, "the input ends within an array"),
    ] {
        let (seen, broken) = split(text.as_bytes());
        assert_eq!(broken, Some(Broken { at, what }), "{text}");
        assert_eq!(seen.len(), records, "{text}");
    }
}

#[test]
fn a_record_has_a_limit_and_an_array_has_none() {
    let long = format!("[{}]", vec!["{\"id\":1}"; 100_000].join(","));
    let (records, broken) = split_by(long.as_bytes(), 10, 100);
    assert!(records.len() == 100_000 && broken.is_none());
    for start in ["x\n", "[{},", "{}{}"] {
        let text = format!("{start}{{\"t\":\"{}\"}}", "x".repeat(1000));
        let (_, too_long) = split_by(text.as_bytes(), 10, 100);
        let at = if start == "x\n" { 2 } else { 4 };
        assert_eq!(too_long.map(|fault| fault.at), Some(at), "{start}");
    }
}

#[test]
fn memory_is_one_record_and_one_read() {
    let text = format!("[{}]", vec!["{\"id\":1234567}"; 300_000].join(", "));
    let (mut reader, mut splitter, mut records) = (text.as_bytes(), Splitter::new(), 0);
    loop {
        match splitter.step().unwrap() {
            Step::Record(_) => records += 1,
            Step::More => splitter.fill(&mut reader).unwrap(),
            Step::End => break,
        }
        assert!(splitter.buffer.len() <= 2 * READ_BYTES);
    }
    assert_eq!(records, 300_000);
}

/// A small generator, so that a seed is the whole test.
fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

fn value(state: &mut u64, depth: u32) -> String {
    let blank = ["", "", " ", "\t"][usize::try_from(random(state, 4)).unwrap()];
    let scalars =
        ["0", "-1.50E+2", "null", "true", "\"\"", r#""\\""#, r#""\"}],[{""#, r#""ü\u00e9""#];
    let kind = if depth > 4 { 0 } else { random(state, 4) };
    let count = random(state, 4);
    let inner = |seed: &mut u64, key: &str| {
        let items = (0..count).map(|_| format!("{key}{blank}{}", value(seed, depth + 1)));
        items.collect::<Vec<_>>().join(&format!("{blank},{blank}"))
    };
    match kind {
        1 => format!("[{blank}{}]", inner(state, "")),
        2 | 3 => format!("{{{}{blank}}}", inner(state, "\"k\\\"\":")),
        _ => scalars[usize::try_from(random(state, 8)).unwrap()].to_owned(),
    }
}

#[test]
fn random_values_come_back_as_they_were() {
    let mut state = 7;
    for _ in 0..300 {
        let count = random(&mut state, 5) + 2;
        let values: Vec<String> = (0..count).map(|_| value(&mut state, 0)).collect();
        assert_eq!(texts(&format!("[{}]", values.join(" ,\n"))), values);
        assert_eq!(texts(&format!("{{\"statuses\":[{}]}}", values.join(","))), values);
        let objects: Vec<String> =
            values.iter().map(|value| format!("{{\"v\":{value}}}")).collect();
        for between in ["", " ", "\n", "\r\n\n"] {
            assert_eq!(texts(&objects.join(between)), objects, "{between:?}");
        }
    }
}

#[test]
fn every_prefix_gives_records_or_says_why_not() {
    let mut tweet = Vec::new();
    Synthetic::new(1).tweet(0, &mut tweet);
    let text = [b"[", &tweet[..], b",{\"a\":\"\\\"\"}, 5]"].concat();
    let (whole, _) = split(&text);
    for end in 0..text.len() {
        let (records, broken) = split_by(&text[..end], usize::MAX, RECORD_BYTES);
        assert_eq!(broken.is_some(), end > 0, "{end}");
        assert!(whole.starts_with(&records), "{end}");
    }
}

/// Files that others made; the counts are their documentation's.
#[test]
#[ignore = "real tweets: TWEETFLOW_REAL_DATA names their folder"]
fn real_files_have_the_records_that_they_should() {
    let folder = std::env::var_os("TWEETFLOW_REAL_DATA").expect("TWEETFLOW_REAL_DATA is not set");
    let folder = std::path::PathBuf::from(folder);
    for (file, expected) in [
        ("v1/twut_500.jsonl", 500),
        ("v1/tweet_parser_original.ndjson", 25),
        ("v1/tweet_parser_public_api_sample.ndjson", 20),
        ("v1/tweepy_v11_tweets.ndjson", 39),
        ("v1/eggmode_tweet_array.json", 20),
        ("v1/eggmode_sample-stream.json", 1),
        ("v1/eggmode_nullable_user_mention.json", 1),
        ("v2/twarc-csv/2sets.jsonl", 2),
        ("v2/twarc-csv/flat.jsonl", 100),
        ("v2/twarc-csv/streaming_output_with_error.jsonl", 7),
        ("v2/twarc-csv/withheld.jsonl", 5),
        ("v2/twut_10_v2.jsonl", 10),
    ] {
        let text = std::fs::read(folder.join(file)).unwrap();
        for piece in [1000, usize::MAX] {
            let (records, broken) = split_by(&text, piece, RECORD_BYTES);
            // One file holds a line that is no JSON: it leaves too, and is no object.
            let is_json =
                |record: &&Vec<u8>| serde_json::from_slice::<serde::de::IgnoredAny>(record).is_ok();
            let objects = records.iter().filter(is_json).count();
            assert_eq!((objects, broken), (expected, None), "{file}");
        }
    }
    let naughty = std::fs::read(folder.join("adversarial/blns.json")).unwrap();
    let strings: Vec<String> = serde_json::from_slice(&naughty).unwrap();
    let (records, _) = split(&naughty);
    let seen = records.iter().map(|record| serde_json::from_slice::<String>(record).unwrap());
    assert_eq!(seen.collect::<Vec<_>>(), strings);
    for file in std::fs::read_dir(folder.join("adversarial/JSONTestSuite")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            // Whatever comes, it ends, and it is the same for all pieces.
            split(&std::fs::read(path).unwrap());
        }
    }
}

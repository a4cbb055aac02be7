//! What must hold for any bytes, for the targets in `fuzz/`; not part of the program.
//!
//! Each function panics when a promise is broken and does nothing else.

use crate::decode::look::look;
use crate::decode::{Names, Retweets, Settings, decode as decode_record, lazy, mend, skip};
use crate::sink::Prefix;
use dataflows::latest::Version;
use dataflows::table::{Column, Kind, Panel, Restore, Table};
use dataflows::tweet::Tweet;
use dataflows::{Event, Value};

/// What is read lazily is what `serde_json` reads, where all of it is looked at; and a value that is
/// passed by is passed by whole.
///
/// # Panics
/// If it is not.
pub fn json(bytes: &[u8]) {
    let depth = bytes.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if depth > 100 {
        // The types of the records bound how deep it is read; this one does not.
        return;
    }
    let lazily = lazy::from_slice::<serde_json::Value>(bytes).ok();
    let Ok(read) = serde_json::from_slice::<serde_json::Value>(bytes) else {
        assert_eq!(lazily, None, "read, although it is no JSON");
        return;
    };
    assert!(lazily.is_none_or(|lazily| lazily == read), "read as something else");
    let length = bytes.trim_ascii().len();
    assert_eq!(skip::value(bytes.trim_ascii_start()), Some(length), "passed by wrongly");
}

/// Any record is events or a fault with a reason; what comes out can be a key.
///
/// # Panics
/// If it is neither.
pub fn decode(bytes: &[u8]) {
    json(bytes);
    for names in [Names::Clean, Names::Legacy] {
        let require_location = bytes.len().is_multiple_of(2);
        let retweets =
            if bytes.len().is_multiple_of(3) { Retweets::None } else { Retweets::AsSent };
        let settings = Settings { require_location, names, retweets };
        let mut events = Vec::new();
        match decode_record(None, Some(bytes), Version::default(), settings, &mut events) {
            Ok(()) => assert!(!events.is_empty(), "a record that is neither counted nor refused"),
            Err(fault) => {
                assert!(events.is_empty() && !fault.reason().is_empty(), "{fault}");
            }
        }
        // Where nothing had to be mended, the record means the same mended.
        if let (Some(mended), false) = (mend::mend(bytes), events.is_empty()) {
            let mut again = Vec::new();
            let result =
                decode_record(None, Some(&mended), Version::default(), settings, &mut again);
            assert!(result.is_ok() && again == events, "mended, it means something else");
        }
        let key = look(bytes).key;
        for event in events {
            // `produce` must put a tweet and its deletes where they belong, or leave them without a key.
            if let Event::Tweet(Tweet { version, .. }) | Event::Delete { version, .. } = &event {
                assert!(key.is_none_or(|key| key == version.tweet_id), "another tweet's key");
            }
            let Event::Tweet(tweet) = event else { continue };
            for tag in tweet.hashtags {
                let is_key = !tag.is_empty()
                    && tag.chars().count() <= 255
                    && !tag.chars().any(|c| c.is_whitespace() || c.is_control());
                assert!(is_key, "{tag:?}");
            }
        }
    }
}

const TABLE: Table = Table {
    name: "t",
    comment: "",
    columns: &[Column::new("k", Kind::Text(255), ""), Column::new("v", Kind::Bytes(512), "")],
    key: 1,
    restore: Restore::Stateless,
    panel: Panel::None,
    version: 1,
};

/// Whatever a text holds, nothing of it is seen by the server's parser: a statement is made of our
/// own words, digits and hexadecimal literals, and the literals are the text.
///
/// # Panics
/// If it is not.
pub fn sql(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let row = [Value::Text((*text).into()), Value::Bytes(bytes.into())];
    let (deletes, upserts) = ([row[..1].into()], [row.into()]);
    let prefix = Prefix::default();
    let statements: Vec<_> =
        crate::sink::sql::statements(&prefix, &TABLE, &deletes, &upserts, 4096).collect();
    let hexadecimal = |bytes: &[u8]| {
        let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
        bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect::<String>()
    };
    let (key, value) = (hexadecimal(text.as_bytes()), hexadecimal(bytes));
    let wanted = [
        format!("DELETE FROM `t` WHERE (`k`) IN ((X'{key}'))"),
        format!(
            "INSERT INTO `t` (`k`, `v`) VALUES (X'{key}',X'{value}') \
             ON DUPLICATE KEY UPDATE `v`=VALUES(`v`)"
        ),
    ];
    assert_eq!(statements, wanted.map(String::into_bytes));
}

/// Any file of settings is taken or refused in one line that shows nothing of it but keys.
///
/// # Panics
/// If the refusal has several lines.
pub fn config(bytes: &[u8]) {
    let Ok(file) = tempfile::NamedTempFile::new() else { return };
    if std::fs::write(file.path(), bytes).is_ok()
        && let Err(fault) = crate::cli::check_file(file.path())
    {
        assert!(!fault.is_empty() && !fault.contains('\n'), "{fault:?}");
    }
}

#[cfg(test)]
mod tests {
    type Target = fn(&[u8]);

    /// The promises, on the corpus that is kept: in every test run, without a fuzzer.
    #[test]
    fn the_corpus_breaks_no_promise() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        for (name, target) in
            [("decode", super::decode as Target), ("sql", super::sql), ("config", super::config)]
        {
            let files = std::fs::read_dir(folder.join(name)).expect("a folder of seeds");
            let files: Vec<_> = files.map(|file| file.expect("readable").path()).collect();
            assert!(files.len() >= 3, "{name}");
            for file in files {
                target(&std::fs::read(file).expect("readable"));
            }
        }
    }
}

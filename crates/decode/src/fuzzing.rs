//! What must hold for any record, for the target `decode` in `fuzz/`; not part of the program.
//!
//! Each function panics when a promise is broken and does nothing else.

use crate::look::facts;
use crate::{decode as decode_record, lazy, mend, skip};
use types::event::Tweet;
use types::settings::{DecodeSettings, Names, Retweets};
use types::{Event, Version};

/// What is read lazily is what `serde_json` reads, where all of it is looked at; and a value that
/// is skipped is skipped whole.
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
    assert_eq!(skip::value(bytes.trim_ascii_start()), Some(length), "skipped wrongly");
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
        let settings = DecodeSettings { require_location, names, retweets };
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
        let key = facts(bytes).key;
        for event in events {
            // `produce` must put a tweet and its deletes where they belong, or leave them without a
            // key.
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

#[cfg(test)]
mod tests {
    /// The promises, on the corpus that is kept: in every test run, without a fuzzer.
    #[test]
    fn the_corpus_breaks_no_promise() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/decode");
        let files = std::fs::read_dir(folder).expect("a folder of seeds");
        let files: Vec<_> = files.map(|file| file.expect("readable").path()).collect();
        assert!(files.len() >= 3);
        for file in files {
            super::decode(&std::fs::read(file).expect("readable"));
        }
    }
}

//! Hashtags from the text of a tweet that comes without entities, by the service's own rules.
//!
//! The rules are those of twitter-text (what precedes a hashtag, which letters of which scripts it
//! may hold, links that are none); its conformance cases are run by `tests/real_data.rs`. This
//! module only bounds the text.

use twitter_text::extractor::Extractor;

/// The longest post that the service takes. The extractor's time grows with the square of a hostile
/// text; this many characters cost a tenth of a second at worst.
const CHARACTERS: usize = 25_000;

/// The hashtags in a text, without #, repeated where they are repeated.
pub(super) fn hashtags(text: &str) -> Vec<String> {
    let end = text.char_indices().nth(CHARACTERS).map_or(text.len(), |(end, _)| end);
    Extractor::new().extract_hashtags(&text[..end])
}

#[cfg(test)]
mod tests {
    use super::{CHARACTERS, hashtags};

    #[test]
    fn hashtags_are_what_the_service_would_link() {
        for (text, expected) in [
            ("", &[] as &[&str]),
            ("#Rust and #rust, twice #Rust", &["Rust", "rust", "Rust"]),
            ("(#a) [#b]'#c' .#d! ＃e", &["a", "b", "c", "d", "e"]),
            ("no#tag &#39; #1 #_ # x", &[]),
            ("#1a #a_1 #a-b", &["1a", "a_1", "a"]),
            ("https://example.com/#top #http://example.com example.com/#x", &[]),
            ("日本語。#東京タワー！ #한국", &["東京タワー", "한국"]),
            ("#Cafe\u{301} #café", &["Cafe\u{301}", "café"]),
            ("🎉#party #🎉", &["party"]),
            ("#می‌خواهم #il·lusió", &["می‌خواهم", "il·lusió"]),
        ] {
            assert_eq!(hashtags(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_text_beyond_any_post_is_read_to_the_bound() {
        let text = "é".repeat(CHARACTERS - 3) + " #a #b";
        assert_eq!(hashtags(&text), ["a"]);
    }
}

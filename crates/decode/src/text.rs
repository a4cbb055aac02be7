//! Hashtags from the text of a tweet that comes without entities, by the service's own rules.
//!
//! The rules are those of twitter-text (what precedes a hashtag, which letters of which scripts it
//! may hold, links that are none); its conformance cases are run by `tests/it/real_data.rs`. This
//! module only bounds the text and undoes its HTML.

use std::borrow::Cow;
use twitter_text::extractor::Extractor;

/// The longest post that the service takes. The extractor's time grows with the square of a hostile
/// text; this many characters cost a tenth of a second at worst.
const CHARACTERS: usize = 25_000;

/// The hashtags in a text as the service sends it, without #, repeated where they are repeated.
pub(super) fn hashtags(text: &str) -> Vec<String> {
    let end = text.char_indices().nth(CHARACTERS).map_or(text.len(), |(end, _)| end);
    Extractor::new().extract_hashtags(&unescaped(&text[..end]))
}

/// A text as it was written: the service sends `&`, `<` and `>` as HTML has them. Once only: what a
/// writer had escaped already stays so.
fn unescaped(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find('&') else { return Cow::Borrowed(text) };
    let (mut written, mut rest) = (text[..first].to_owned(), &text[first..]);
    while let Some(behind) = rest.strip_prefix('&') {
        let entities = [("amp;", '&'), ("lt;", '<'), ("gt;", '>'), ("quot;", '"')];
        let found = entities.iter().find_map(|(name, is)| Some((behind.strip_prefix(name)?, *is)));
        let (behind, character) = found.unwrap_or((behind, '&'));
        written.push(character);
        let next = behind.find('&').unwrap_or(behind.len());
        written.push_str(&behind[..next]);
        rest = &behind[next..];
    }
    Cow::Owned(written)
}

#[cfg(test)]
mod tests {
    use super::{CHARACTERS, hashtags, unescaped};

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
    fn a_text_is_searched_as_it_was_written() {
        for (text, written, expected) in [
            ("It&amp;#x27;s", "It&#x27;s", &[] as &[&str]),
            ("Q&amp;#A &#39;", "Q&#A &#39;", &[]),
            ("&lt;#yes&gt; &amp; #also", "<#yes> & #also", &["yes", "also"]),
            ("x&amp;amp;#no", "x&amp;#no", &["no"]),
            ("&#a &b &", "&#a &b &", &[]),
        ] {
            assert_eq!(unescaped(text), written);
            assert_eq!(hashtags(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_text_beyond_any_post_is_read_to_the_bound() {
        let text = "é".repeat(CHARACTERS - 3) + " #a #b";
        assert_eq!(hashtags(&text), ["a"]);
    }
}

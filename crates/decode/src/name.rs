//! Shown names: emoji go, letters stay; or the old rule, for tables that were made by it.
//!
//! Emoji are removed by grapheme (what a reader sees as one character), by Unicode's own
//! properties; a range of code points written by hand takes letters with it (one that is in wide
//! use damages every CJK name). What is left is trimmed; nothing left is `No name`.
//!
//! `legacy` is that range and the rest of the old rule, faults included, so that new rows equal old
//! ones. No other use is known.

use icu_properties::CodePointSetData;
use icu_properties::props::Emoji;
use regex::Regex;
use std::sync::LazyLock;
use types::Text;
use types::settings::Names;
use unicode_segmentation::UnicodeSegmentation;

/// The name of somebody whose name is blank.
const NO_NAME: &str = "No name";
/// Characters that the column holds; the service allows 50.
const CHARACTERS: usize = 255;
/// Makes a keycap of the digit before it.
const KEYCAP: char = '\u{20e3}';

/// The name as the tables keep it, cut to the column.
pub(super) fn shown(names: Names, name: &str) -> Text {
    match names {
        Names::Clean => clean(name),
        Names::Legacy => legacy(name),
    }
}

/// Without emoji and outer white space, never blank.
fn clean(name: &str) -> Text {
    // Nearly all names: there is nothing to look for between graphemes.
    if name.is_ascii() || !name.chars().any(|c| c == KEYCAP || is_emoji(c)) {
        return or_no_name(name.trim());
    }
    let mut kept = String::with_capacity(name.len());
    for grapheme in name.graphemes(true).filter(|grapheme| !is_emoji_sequence(grapheme)) {
        // A stray skin tone belongs to the letter before it; the letter stays.
        kept.extend(grapheme.chars().filter(|c| !is_emoji(*c)));
    }
    or_no_name(kept.trim())
}

fn or_no_name(name: &str) -> Text {
    if name.is_empty() { NO_NAME.into() } else { cut(name) }
}

fn cut(name: &str) -> Text {
    match name.char_indices().nth(CHARACTERS) {
        None => name.into(),
        Some((end, _)) => name[..end].into(),
    }
}

/// Whether a grapheme is an emoji with all that belongs to it, or a keycap.
fn is_emoji_sequence(grapheme: &str) -> bool {
    let mut rest = grapheme.chars();
    rest.next().is_some_and(|base| match base {
        '0'..='9' | '#' | '*' => rest.any(|c| c == KEYCAP),
        base => is_emoji(base),
    })
}

/// Digits, `#` and `*` have the property too, as the first half of keycaps.
fn is_emoji(c: char) -> bool {
    !c.is_ascii() && CodePointSetData::new::<Emoji>().contains(c)
}

/// The range pattern that many programs share. Its last range holds most of the world's scripts.
static LEGACY_EMOJI: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        "[\u{1F600}-\u{1F64F}\u{1F300}-\u{1F5FF}\u{1F680}-\u{1F6FF}\u{1F1E0}-\u{1F1FF}\
         \u{2702}-\u{27B0}\u{24C2}-\u{1F251}]+",
    )
    .expect("a constant pattern")
});

/// Meant to be `^\s*$`; the backslash was lost on the way.
static LEGACY_BLANK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("^s*$").expect("a constant pattern"));

/// The old rule: emoji by range, "blank" by the broken test, then outer white space.
fn legacy(name: &str) -> Text {
    let kept = LEGACY_EMOJI.replace_all(name, "");
    if LEGACY_BLANK.is_match(&kept) { NO_NAME.into() } else { cut(kept.trim()) }
}

#[cfg(test)]
mod tests {
    use super::{clean, legacy};

    #[test]
    fn emoji_go_and_letters_stay() {
        for (name, expected) in [
            ("Ada", "Ada"),
            ("  Ada\t", "Ada"),
            ("", "No name"),
            (" \u{3000} ", "No name"),
            ("🎉🎉", "No name"),
            ("東京タワー🗼", "東京タワー"),
            ("👨‍👩‍👧 família", "família"),
            ("🇯🇵 日本", "日本"),
            ("1️⃣ one #2 *", "one #2 *"),
            ("👍🏽ok❤️", "ok"),
            ("שלום 🌍 עולם", "שלום  עולם"),
            ("한국어 ㊙", "한국어"),
            ("Ⅻ ℵ ½", "Ⅻ ℵ ½"),
            ("s", "s"),
            ("東🏽a🏽", "東a"),
            ("a\u{20e3} 1\u{20e3}", "a\u{20e3}"),
        ] {
            assert_eq!(&*clean(name), expected, "{name:?}");
        }
        assert_eq!(clean(&"é".repeat(300)).chars().count(), 255);
    }

    #[test]
    fn the_old_rule_is_kept_with_its_faults() {
        for (name, expected) in [
            ("Ada", "Ada"),
            (" Ada ", "Ada"),
            ("", "No name"),
            ("s", "No name"),
            ("sss", "No name"),
            ("🎉s🎉", "No name"),
            ("   ", ""),
            ("🎉 🎉", ""),
            ("🎉🎉", "No name"),
            ("東京タワー", "No name"),
            ("한국 Ada", "Ada"),
            ("Ⓜ️etro", "etro"),
            ("👨‍👩‍👧 família", "\u{200d}\u{200d} família"),
            ("🥰 Ada", "🥰 Ada"),
            ("é ℵ", "é ℵ"),
        ] {
            assert_eq!(&*legacy(name), expected, "{name:?}");
        }
        assert_eq!(legacy(&"é".repeat(300)).chars().count(), 255);
    }
}

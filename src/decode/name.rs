//! Shown names: emoji go, letters stay.
//!
//! Emoji are removed by grapheme (what a reader sees as one character), by Unicode's own `Emoji`
//! property; a range of code points written by hand takes letters with it (one that is in wide use
//! damages every CJK name). What is left is trimmed; nothing left is `No name`.

use icu_properties::CodePointSetData;
use icu_properties::props::Emoji;
use unicode_segmentation::UnicodeSegmentation;

/// The name of somebody whose name is blank.
const NO_NAME: &str = "No name";
/// Characters that the column holds; the service allows 50.
const CHARACTERS: usize = 255;
/// Makes a keycap of the digit before it.
const KEYCAP: char = '\u{20e3}';

/// A shown name without emoji and outer white space, cut to the column, never blank.
pub(super) fn clean(name: &str) -> Box<str> {
    if name.is_ascii() {
        return or_no_name(name.trim());
    }
    let mut kept = String::with_capacity(name.len());
    kept.extend(name.graphemes(true).filter(|grapheme| !is_emoji(grapheme)));
    or_no_name(kept.trim())
}

fn or_no_name(name: &str) -> Box<str> {
    if name.is_empty() {
        return NO_NAME.into();
    }
    match name.char_indices().nth(CHARACTERS) {
        None => name.into(),
        Some((end, _)) => name[..end].into(),
    }
}

/// Digits, `#` and `*` have the property too, as the first half of keycaps.
fn is_emoji(grapheme: &str) -> bool {
    let emoji = CodePointSetData::new::<Emoji>();
    grapheme.chars().any(|c| c == KEYCAP || (!c.is_ascii() && emoji.contains(c)))
}

#[cfg(test)]
mod tests {
    use super::clean;

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
        ] {
            assert_eq!(&*clean(name), expected, "{name:?}");
        }
        assert_eq!(clean(&"é".repeat(300)).chars().count(), 255);
    }
}

//! What hashtags fall together: those that a reader takes for the same word.
//!
//! Unicode's `NFKC_Casefold`: full case folding (`ß` = `ss`, `Σ` = `ς` = `σ`), one form of each
//! sign (`ＡＢＣ` = `abc`, `ｶﾞ` = `ガ`, composed = decomposed), without what cannot be seen (joiners,
//! variation selectors). Different letters stay different: `ひらがな` and `ヒラガナ`, `Café` and `Cafe`,
//! `ı` and `i`.
//!
//! The result can be a key like every hashtag. Folding may lengthen a text beyond the column, leave
//! nothing of it, or make a space; such a hashtag stands for itself, as it is written.

use super::is_key;
use icu_casemap::{CaseMapper, CaseMapperBorrowed};
use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::CodePointSetData;
use icu_properties::props::DefaultIgnorableCodePoint;
use types::Text;

/// The folded form of a hashtag.
pub fn fold(tag: &str) -> Text {
    if tag.chars().all(is_plain) {
        return if tag.bytes().any(|byte| byte.is_ascii_uppercase()) {
            tag.to_ascii_lowercase().into()
        } else {
            tag.into()
        };
    }
    let folded = nfkc_casefold(tag);
    if is_key(&folded) { folded.into() } else { tag.into() }
}

/// Letters that fold to themselves whatever stands beside them, and ASCII, of which only capitals
/// do not: most of what hashtags are made of. Signs that others are composed with are none.
fn is_plain(c: char) -> bool {
    matches!(c,
        '\0'..='\x7f'
        | 'à'..='ö' | 'ø'..='ÿ'
        | 'ぁ'..='ゖ' | 'ァ'..='ヺ' | 'ー'
        | '一'..='\u{9fff}'
        | '가'..='힣')
}

fn nfkc_casefold(tag: &str) -> String {
    const CASES: CaseMapperBorrowed<'_> = CaseMapper::new();
    const NORMAL: ComposingNormalizerBorrowed<'_> = ComposingNormalizerBorrowed::new_nfkc();
    let invisible = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let seen: String = tag.chars().filter(|c| !invisible.contains(*c)).collect();
    // A compatibility form may hold capitals, and a folded letter signs that are to be composed.
    let once = NORMAL.normalize(&CASES.fold_string(&NORMAL.normalize(&seen))).into_owned();
    let twice = NORMAL.normalize(&CASES.fold_string(&once)).into_owned();
    twice.chars().filter(|c| !invisible.contains(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::{fold, is_key, nfkc_casefold};

    #[test]
    fn what_reads_the_same_falls_together() {
        for (folded, tags) in [
            ("rust", &["Rust", "RUST", "rust", "ｒｕｓｔ", "ＲＵＳＴ", "ru\u{ad}st"] as &[&str]),
            ("strasse", &["Straße", "STRASSE", "STRAẞE"]),
            ("οδοσ", &["Οδος", "ΟΔΟΣ", "οδοσ"]),
            ("café", &["Café", "Cafe\u{301}", "CAFÉ", "CAFE\u{301}"]),
            ("cafe", &["Cafe"]),
            ("ガ", &["ガ", "ｶﾞ", "カ\u{3099}"]),
            ("ひらがな", &["ひらがな"]),
            ("ヒラガナ", &["ヒラガナ", "ﾋﾗｶﾞﾅ"]),
            ("東京", &["東京"]),
            ("한국", &["한국", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}"]),
            ("میخواهم", &["می\u{200c}خواهم", "میخواهم"]),
            ("file", &["ﬁle", "File"]),
            ("2", &["²", "②", "2"]),
            ("i\u{307}", &["İ"]),
            ("ı", &["ı"]),
            ("i", &["I", "i"]),
            ("👍🏽", &["👍🏽"]),
        ] {
            for tag in tags {
                assert_eq!(&*fold(tag), folded, "{tag:?}");
            }
        }
    }

    #[test]
    fn what_folds_to_no_key_stands_for_itself() {
        let long = "ﬃ".repeat(255);
        for tag in ["\u{200d}", "\u{fe0f}", "a\u{a8}b", &long] {
            assert!(is_key(tag) && !is_key(&nfkc_casefold(tag)), "{tag:?}");
            assert_eq!(&*fold(tag), tag);
        }
    }

    /// The short way is the long one.
    #[test]
    fn a_plain_letter_folds_to_itself() {
        for letter in ('\u{80}'..='\u{1ffff}').filter(|c| super::is_plain(*c)) {
            for text in [letter.to_string(), format!("a{letter}"), format!("かé가{letter}가éか")]
            {
                assert_eq!(nfkc_casefold(&text), text);
            }
        }
        for letter in '\0'..='\x7f' {
            let text = format!("é{letter}é");
            assert_eq!(*nfkc_casefold(&text), *fold(&text));
        }
    }

    /// Else the folded forms would not be one for each group, and a fold of a fold another one.
    #[test]
    fn a_folded_sign_stays_as_it_is() {
        for sign in '\0'..='\u{1ffff}' {
            for text in [sign.to_string(), format!("a{sign}\u{301}")] {
                let folded = nfkc_casefold(&text);
                assert_eq!(nfkc_casefold(&folded), folded, "{text:?}");
            }
        }
    }
}

//! Owns the generated vocabulary: words of seven scripts, and the hashtag of each rank.
//!
//! The words do not depend on the seed: two runs with different seeds speak the same languages.
//! They are syllables in a row and mean nothing; only the list of frequent hashtags is written by
//! hand, because it holds the pairs that a careless collation would fold into one row.

use super::draw::{Draw, Of, mix};

/// A script that users write in, with the language code that Twitter would give it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Script {
    Latin,
    Japanese,
    Arabic,
    Hebrew,
    Hangul,
    Thai,
    Devanagari,
}

impl Script {
    /// The script of a user or hashtag, with about the shares of a sample stream.
    pub(super) fn of(draw: &mut Draw) -> Self {
        match draw.below(100) {
            0..62 => Self::Latin,
            62..78 => Self::Japanese,
            78..86 => Self::Arabic,
            86..88 => Self::Hebrew,
            88..93 => Self::Hangul,
            93..97 => Self::Thai,
            _ => Self::Devanagari,
        }
    }

    /// A language that is written in the script.
    pub(super) fn language(self, draw: &mut Draw) -> &'static str {
        match self {
            Self::Latin => draw.pick(&["en", "en", "en", "es", "pt", "tr", "in", "fr", "de", "tl"]),
            Self::Japanese => "ja",
            Self::Arabic => draw.pick(&["ar", "ar", "fa", "ur"]),
            Self::Hebrew => "iw",
            Self::Hangul => "ko",
            Self::Thai => "th",
            Self::Devanagari => "hi",
        }
    }

    /// Whether blanks stand between words.
    pub(super) fn has_blanks(self) -> bool {
        !matches!(self, Self::Japanese | Self::Thai)
    }

    /// Syllables, how many make a word at most, and how many words there are.
    fn syllables(self) -> (&'static str, u64, usize) {
        match self {
            Self::Latin => (
                "ba be bi bo bu da de di do du fa fe fi ga go ka ke ki ko la le li lo lu ma me mi \
                 mo mu na ne ni no nu pa pe pi po ra re ri ro ru sa se si so su ta te ti to tu va \
                 ve vi wa we wi ya yo za ze zo chi sha tho qui an er in on el ar or ish ing est \
                 ent ly ness ström né ção ñe ção über ça is",
                4,
                6000,
            ),
            Self::Japanese => (
                "あ い う え お か き く け こ さ し す せ そ た ち つ て と な に ぬ の は ひ ふ へ ほ \
                 ま み む も や ゆ よ ら り る れ ろ わ ん ア イ ウ カ キ ク コ サ シ ス タ テ ト ナ ニ \
                 ラ リ ル ロ ン 日 本 人 大 学 生 今 東 京 時 間 朝 夜 見 行 食 楽 新 年 月 火 水 木 金 土",
                4,
                3000,
            ),
            Self::Arabic => (
                "با بو بي تا تر ثم جا جم حب حر خا دا در را رو زي سا سم شا صا ضو طا ظل عا عر غا فا \
                 في قا قل كا كت لا لم ما مر نا نو ها هم وا ور يا ين ال ست",
                3,
                2000,
            ),
            Self::Hebrew => (
                "אב בא גד דר הו זמ חב טו יש כל לא מה נו סב על פה צא קר רב שא תו שלום בית עם ים אור",
                3,
                1000,
            ),
            Self::Hangul => (
                "가 나 다 라 마 바 사 아 자 차 카 타 파 하 고 노 도 로 모 보 소 오 조 구 누 두 무 부 수 \
                 우 기 니 디 리 미 비 시 이 지 한 국 인 생 일 월 년 사랑 학 교 는 을 에 서 요",
                4,
                2000,
            ),
            Self::Thai => (
                "กา กิน ขา คน งาน จะ ชา ดี ตา ทำ นา น้ำ บ้าน ไป ผม ฟ้า มา ยา รัก ลา วัน สวย หา อา \
                 ไทย ใจ เรา แมว โต ที่ นี้ ว่า ได้ ให้",
                3,
                1000,
            ),
            Self::Devanagari => (
                "क का की के को ग घर च ज जा त ता द दि न ना नि प पा प्रे ब भा म मा मि य या र रा ल ला \
                 व वि श स सा सि ह हा हि त्र क्ष ज्ञ",
                3,
                1500,
            ),
        }
    }
}

/// One word and its length in characters, which is what Twitter's indices count.
#[derive(Clone, Copy)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) chars: u32,
}

/// All words.
pub(super) struct Words {
    text: String,
    /// Per script: where each word starts and ends in `text`, and its characters.
    spans: [Vec<(u32, u32, u32)>; SCRIPTS.len()],
}

const SCRIPTS: [Script; 7] = [
    Script::Latin,
    Script::Japanese,
    Script::Arabic,
    Script::Hebrew,
    Script::Hangul,
    Script::Thai,
    Script::Devanagari,
];

impl Words {
    /// Makes the vocabulary; a few milliseconds.
    pub(super) fn new() -> Self {
        let mut text = String::new();
        let spans = SCRIPTS.map(|script| {
            let (syllables, longest, count) = script.syllables();
            let syllables: Vec<&str> = syllables.split_whitespace().collect();
            let mut draw = Draw::new(0, Of::Vocabulary, script as u64);
            let mut word = || {
                let start = text.len();
                for _ in 0..=draw.below(longest) {
                    text.push_str(draw.pick(&syllables));
                }
                let chars = text[start..].chars().count();
                (narrow(start), narrow(text.len()), narrow(chars))
            };
            (0..count).map(|_| word()).collect()
        });
        Self { text, spans }
    }

    /// A word of the script, frequent ones more often.
    pub(super) fn word(&self, script: Script, draw: &mut Draw) -> Word<'_> {
        let spans = &self.spans[script as usize];
        let (start, end, chars) = spans[draw.low_below(spans.len())];
        Word { text: &self.text[start as usize..end as usize], chars }
    }

    /// A word of the script, each as often as the other.
    fn any_word(&self, script: Script, draw: &mut Draw) -> &str {
        let (start, end, _) = draw.pick(&self.spans[script as usize]);
        &self.text[start as usize..end as usize]
    }

    /// Appends the hashtag of a rank, without `#`. The first ranks are [`FREQUENT`].
    pub(super) fn hashtag(&self, rank: u64, out: &mut String) {
        let frequent = usize::try_from(rank.wrapping_sub(1)).ok().and_then(|at| FREQUENT.get(at));
        if let Some(text) = frequent {
            return out.push_str(text);
        }
        let mut draw = Draw::new(0, Of::Hashtag, mix(rank));
        let script = Script::of(&mut draw);
        let capitals = draw.per_mille(600);
        for _ in 0..2 + draw.below(2) {
            let word = self.any_word(script, &mut draw);
            if capitals { push_capitalized(out, word) } else { out.push_str(word) }
        }
        if draw.per_mille(120) {
            out.push_str(itoa::Buffer::new().format(2000 + draw.below(30)));
        }
    }
}

/// Lengths and positions in the vocabulary, which is far smaller than 4 GiB.
pub(super) fn narrow(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Appends a word with a capital, where the script has them.
pub(super) fn push_capitalized(out: &mut String, word: &str) {
    let mut rest = word.chars();
    if let Some(first) = rest.next() {
        out.extend(first.to_uppercase());
        out.push_str(rest.as_str());
    }
}

/// The most frequent hashtags. Neighbours differ only by case, width, accent, kana or normal form.
pub(super) const FREQUENT: [&str; 45] = [
    "Rust",
    "rust",
    "Café",
    "cafe",
    "ひらがな",
    "ヒラガナ",
    "ＡＢＣ",
    "ABC",
    "\u{c5}land",
    "A\u{30a}land",
    "straße",
    "strasse",
    "BTS",
    "방탄소년단",
    "السعودية",
    "القدس",
    "ירושלים",
    "שלום",
    "ประเทศไทย",
    "รักเธอ",
    "हिन्दी",
    "भारत",
    "RUST",
    "Cafe",
    "cafe\u{301}",
    "カフェ",
    "ｶﾌｪ",
    "abc",
    "한국",
    "\u{1112}\u{1161}\u{11ab}국",
    "İstanbul",
    "istanbul",
    "ISTANBUL",
    "ıstanbul",
    "日本",
    "東京",
    "Σίσυφος",
    "ΣΊΣΥΦΟΣ",
    "naïve",
    "naive",
    "2026",
    "２０２６",
    "NowPlaying",
    "nowplaying",
    "COVID19",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn few_ranks_share_a_hashtag() {
        let words = Words::new();
        let distinct: HashSet<String> = (1..=50_000)
            .map(|rank| {
                let mut tag = String::new();
                words.hashtag(rank, &mut tag);
                tag
            })
            .collect();
        assert!(distinct.len() > 49_000, "{}", distinct.len());
    }

    #[test]
    fn a_hashtag_is_a_key() {
        let words = Words::new();
        for rank in 1..=20_000 {
            let mut tag = String::new();
            words.hashtag(rank, &mut tag);
            assert!(!tag.is_empty() && tag.chars().count() < 255, "{tag:?}");
            assert!(!tag.contains(|c: char| c.is_whitespace() || c.is_control()), "{tag:?}");
        }
    }

    #[test]
    fn a_word_knows_its_length() {
        let words = Words::new();
        let mut draw = Draw::new(1, Of::Tweet, 1);
        for script in SCRIPTS {
            for _ in 0..100 {
                let word = words.word(script, &mut draw);
                assert_eq!(word.text.chars().count(), word.chars as usize);
            }
        }
    }
}

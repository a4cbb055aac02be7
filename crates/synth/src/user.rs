//! Owns the users: who the user of a rank is, and the user object of a tweet at a moment.
//!
//! Invariant: all but the counts is a function of seed and rank alone, so a user has the same id,
//! name and location in every tweet; the counts move with the tweet's index.

use super::draw::{Draw, Of, mix};
use super::json::{Colour, Date, Escapes, Text, Token, Twice, put};
use super::words::{Script, Words, push_capitalized};
use super::{EPOCH_MS, START_MS};

/// A user, cheap to make: what mentions need.
#[derive(Clone, Copy)]
pub(super) struct User {
    pub(super) rank: u64,
    pub(super) id: u64,
    pub(super) script: Script,
    created_ms: u64,
    seed: u64,
}

/// Twitter's ids were counted up to here, and are Snowflakes since.
const FIRST_SNOWFLAKE_MS: u64 = 1_456_000_000_000;
/// Counted ids begin in July 2006.
const FIRST_COUNTED_MS: u64 = 1_152_000_000_000;
/// The gap between counted ids, so that the greatest rank still fits 32 bits.
const COUNTED_GAP: u64 = 1000;
/// A count moves each so many tweets; a prime, so that users do not move together.
const DRIFT: u64 = 4093;

const EMOJI: [&str; 32] = [
    "😀",
    "😂",
    "❤️",
    "✨",
    "🔥",
    "☕",
    "⚽",
    "🌸",
    "🎧",
    "🐱",
    "🚀",
    "🌈",
    "👨‍👩‍👧‍👦",
    "👩‍👩‍👦",
    "🏳️‍🌈",
    "🏴‍☠️",
    "👩🏿‍🚀",
    "👍🏽",
    "💪🏾",
    "🤷🏻‍♀️",
    "🇫🇷",
    "🇯🇵",
    "🇧🇷",
    "🇺🇦",
    "🏴󠁧󠁢󠁳󠁣󠁴󠁿",
    "1️⃣",
    "#️⃣",
    "™️",
    "Ⓜ️",
    "㊗️",
    "🈁",
    "🫶🏼",
];

/// Names that a careless rule damages.
const ODD_NAMES: [&str; 16] = [
    "s",
    "sss",
    "",
    " ",
    "   ",
    "\u{3000}",
    "\"quoted\"",
    "back\\slash",
    "O'Brien; DROP TABLE users--",
    "tab\there",
    "line\nbreak",
    "\u{202e}sdrawkcab",
    "²³¹ ½",
    "Z͑ͫ̓a͂l̈g̀o",
    "No name",
    "null",
];

const CITIES: [&str; 24] = [
    "London, England",
    "São Paulo, Brasil",
    "東京",
    "日本 大阪",
    "Los Angeles, CA",
    "New York, NY",
    "الرياض",
    "القاهرة, مصر",
    "İstanbul, Türkiye",
    "서울",
    "กรุงเทพมหานคร",
    "नई दिल्ली, भारत",
    "תל אביב",
    "Paris, France",
    "Jakarta Capital Region",
    "Lagos, Nigeria",
    "she/her",
    "🌍",
    "Madrid, España",
    "München, Bayern",
    "Mumbai, India",
    "Manila",
    "Toronto \\ \"the six\"",
    "Buenos Aires",
];

impl User {
    /// The user of a rank.
    pub(super) fn new(seed: u64, rank: u64) -> Self {
        let mut draw = Draw::new(seed, Of::Profile, rank);
        let script = Script::of(&mut draw);
        let counted = draw.per_mille(600);
        let (id, created_ms) = if counted {
            let id = 12 + rank * COUNTED_GAP + draw.below(COUNTED_GAP);
            (id, FIRST_COUNTED_MS + draw.below(FIRST_SNOWFLAKE_MS - FIRST_COUNTED_MS))
        } else {
            let created_ms = FIRST_SNOWFLAKE_MS + draw.below(START_MS - FIRST_SNOWFLAKE_MS);
            (((created_ms - EPOCH_MS) << 22) | draw.below(1 << 22), created_ms)
        };
        Self { rank, id, script, created_ms, seed }
    }

    /// The handle: at most 15 of `A-Z a-z 0-9 _`.
    pub(super) fn screen_name(&self, words: &Words) -> String {
        let mut draw = Draw::new(self.seed, Of::ScreenName, self.rank);
        let mut name = String::with_capacity(16);
        push_capitalized(&mut name, words.word(Script::Latin, &mut draw).text);
        name.retain(|character| character.is_ascii_alphanumeric());
        name.truncate(9);
        name.push('_');
        let mut rest = self.rank;
        while rest > 0 {
            name.push(char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % 36) as usize]));
            rest /= 36;
        }
        name
    }

    /// The name that people see.
    pub(super) fn name(&self, words: &Words) -> String {
        let mut draw = Draw::new(self.seed, Of::Name, self.rank);
        let mut name = String::with_capacity(48);
        if draw.per_mille(25) {
            name.push_str(draw.pick(&ODD_NAMES));
            return name;
        }
        if draw.per_mille(15) {
            for _ in 0..=draw.below(3) {
                name.push_str(draw.pick(&EMOJI));
            }
            return name;
        }
        if draw.per_mille(40) {
            name.push_str(draw.pick(&EMOJI));
        }
        for place in 0..=draw.below(2) {
            if place > 0 {
                name.push(' ');
            }
            push_capitalized(&mut name, words.word(self.script, &mut draw).text);
        }
        if draw.per_mille(180) {
            name.push_str(if draw.per_mille(500) { " " } else { "" });
            name.push_str(draw.pick(&EMOJI));
        }
        name
    }

    /// Where the user says to be: null for 35 % of them, empty for a few.
    fn location(&self, words: &Words) -> Option<String> {
        let mut draw = Draw::new(self.seed, Of::Place, self.rank);
        match draw.below(1000) {
            0..350 => None,
            350..380 => Some(String::new()),
            380..700 => Some(draw.pick(&CITIES).to_owned()),
            _ => {
                let mut place = String::with_capacity(48);
                push_capitalized(&mut place, words.word(self.script, &mut draw).text);
                place.push_str(", ");
                push_capitalized(&mut place, words.word(self.script, &mut draw).text);
                Some(place)
            }
        }
    }

    /// How many the user follows at the time of tweet `index`; -1 in rare cases, as in real data.
    fn friends(&self, index: u64) -> i64 {
        let mut fixed = Draw::new(self.seed, Of::Friends, self.rank);
        let base = fixed.magnitude(13);
        let step = index.wrapping_add(mix(self.rank) % DRIFT) / DRIFT;
        let moved = mix(step ^ fixed.bits());
        if moved.is_multiple_of(4001) {
            return -1;
        }
        i64::try_from(base + (moved >> 20) % (base / 50 + 5)).unwrap_or(0)
    }

    /// Appends the user object as of tweet `index`.
    pub(super) fn put(&self, words: &Words, index: u64, escapes: Escapes, out: &mut Vec<u8>) {
        let mut draw = Draw::new(self.seed ^ 1, Of::Profile, self.rank);
        put!(out, "{", Twice("id", Some(self.id)));
        put!(out, ",\"name\":", Text(&self.name(words), escapes));
        put!(out, ",\"screen_name\":\"", &*self.screen_name(words), "\",\"location\":");
        match self.location(words) {
            None => put!(out, "null"),
            Some(place) => put!(out, Text(&place, escapes)),
        }
        if draw.per_mille(250) {
            put!(out, ",\"url\":\"https://t.co/", Token(draw.bits()), "\",\"description\":");
        } else {
            put!(out, ",\"url\":null,\"description\":");
        }
        self.put_description(words, &mut draw, escapes, out);
        put!(out, ",\"translator_type\":\"none\",\"protected\":false,\"verified\":");
        put!(out, draw.per_mille(12), ",\"followers_count\":", draw.magnitude(16) + index % 7);
        put!(out, ",\"friends_count\":", self.friends(index));
        put!(out, ",\"listed_count\":", draw.magnitude(7));
        put!(out, ",\"favourites_count\":", draw.magnitude(17) + index / DRIFT);
        put!(out, ",\"statuses_count\":", draw.magnitude(18) + index / DRIFT);
        put!(out, ",\"created_at\":", Date(self.created_ms));
        put!(out, ",\"utc_offset\":null,\"time_zone\":null,\"geo_enabled\":", draw.per_mille(300));
        put!(out, ",\"lang\":null,\"contributors_enabled\":false,\"is_translator\":false,");
        self.put_appearance(&mut draw, out);
        put!(out, ",\"following\":null,\"follow_request_sent\":null,\"notifications\":null}");
    }

    fn put_description(&self, words: &Words, draw: &mut Draw, escapes: Escapes, out: &mut Vec<u8>) {
        if draw.per_mille(150) {
            return put!(out, "null");
        }
        let mut text = String::with_capacity(256);
        for _ in 0..=draw.below(39) {
            text.push_str(words.word(self.script, draw).text);
            text.push_str(draw.pick(&[" ", " ", " ", " ", ", ", " | ", "\n", ". "]));
        }
        if draw.per_mille(200) {
            text.push_str(draw.pick(&EMOJI));
        }
        put!(out, Text(&text, escapes));
    }

    fn put_appearance(&self, draw: &mut Draw, out: &mut Vec<u8>) {
        let default_profile = draw.per_mille(550);
        let theme =
            if draw.per_mille(500) { "" } else { "abs.twimg.com/images/themes/theme1/bg.png" };
        let (http, https) = if theme.is_empty() { ("", "") } else { ("http://", "https://") };
        let bits = draw.bits();
        let colour = |shift: u64, usual: u64| if default_profile { usual } else { bits >> shift };
        put!(out, "\"profile_background_color\":\"", Colour(colour(0, 0x00F5_F8FA)));
        put!(out, "\",\"profile_background_image_url\":\"", http, theme);
        put!(out, "\",\"profile_background_image_url_https\":\"", https, theme);
        put!(out, "\",\"profile_background_tile\":false,\"profile_link_color\":\"");
        put!(out, Colour(colour(12, 0x001D_A1F2)), "\",\"profile_sidebar_border_color\":\"");
        put!(out, Colour(colour(24, 0x00C0_DEED)), "\",\"profile_sidebar_fill_color\":\"");
        put!(out, Colour(colour(36, 0x00DD_EEF6)), "\",\"profile_text_color\":\"333333\"");
        put!(out, ",\"profile_use_background_image\":true,");
        let picture = 1_000_000_000_000_000_000 + draw.below(1_000_000_000_000_000_000);
        let (first, second) = (draw.bits(), draw.bits());
        for (name, scheme) in [("", "http"), ("_https", "https")] {
            put!(out, "\"profile_image_url", name, "\":\"", scheme);
            put!(out, "://pbs.twimg.com/profile_images/", picture, "/", Token(first));
            put!(out, Token(second), "_normal.jpg\",");
        }
        if draw.per_mille(750) {
            put!(out, "\"profile_banner_url\":\"https://pbs.twimg.com/profile_banners/", self.id);
            put!(out, "/", 1_300_000_000 + draw.below(490_000_000), "\",");
        }
        put!(out, "\"default_profile\":", default_profile, ",\"default_profile_image\":false");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_and_handles_are_unique_and_stay() {
        let words = Words::new();
        let mut ids = HashSet::new();
        let mut handles = HashSet::new();
        for rank in 1..=50_000 {
            let user = User::new(1, rank);
            assert!(ids.insert(user.id));
            let handle = user.screen_name(&words);
            assert!(handle.len() <= 15 && handle.is_ascii(), "{handle}");
            assert!(handles.insert(handle));
            assert_eq!(user.location(&words), User::new(1, rank).location(&words));
        }
    }

    #[test]
    fn friends_move_and_are_rarely_unknown() {
        let counts: Vec<i64> =
            (1..=20_000).map(|rank| User::new(1, rank).friends(1_000_000)).collect();
        let later = (1..=20_000).map(|rank| User::new(1, rank).friends(1_100_000));
        let moved = counts.iter().zip(later).filter(|(before, after)| *before != after).count();
        assert!(moved > 10_000, "{moved}");
        let unknown = counts.iter().filter(|count| **count == -1).count();
        assert!((1..40).contains(&unknown), "{unknown}");
        assert!(counts.iter().all(|count| *count >= -1));
    }
}

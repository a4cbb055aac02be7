//! Owns the text of one status and what its entities say about it.
//!
//! Invariant: every span of a hashtag, mention or link is where it stands in the text, in bytes for
//! the program and in characters for the JSON, which counts as Twitter does. A long text also knows
//! where its short form ends, always between two words and never within an entity.

use std::ops::Range;

use super::draw::Draw;
use super::json::{Escapes, Put, Text, Token, Twice, put};
use super::user::User;
use super::words::{Script, Words, narrow};

/// Where something stands in the text.
#[derive(Clone, Default)]
pub(super) struct Span {
    bytes: Range<usize>,
    chars: Range<u32>,
}

/// What a status is to hold.
pub(super) struct Plan {
    pub(super) script: Script,
    /// Longer than 140 characters, so that the status carries a short form as well.
    pub(super) long: bool,
    /// The ranks of its hashtags, in order; a rank may occur twice.
    pub(super) hashtags: Vec<u64>,
    pub(super) retweet_of: Option<User>,
    pub(super) mention: Option<User>,
    pub(super) link: bool,
    pub(super) media: bool,
}

/// A text under way, and then the text with its entities.
pub(super) struct Body {
    text: String,
    chars: u32,
    /// Where the short form of a long text ends.
    short: Span,
    hashtags: Vec<Span>,
    mentions: Vec<(User, Span)>,
    link: Option<(u64, Span)>,
    media: Option<Media>,
}

/// The pictures of a status, or its one video; all share the link that stands in the text.
struct Media {
    /// What every random part of the links is made of.
    token: u64,
    pictures: u64,
    span: Span,
}

/// The short form keeps this many characters at most, and `… https://t.co/…` is appended.
const SHORT_CHARS: u32 = 115;

/// Either form of a status: all of the text, or what fits into 140 characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Full,
    /// Ends in a link to the status of this id.
    Short(u64),
}

impl Body {
    /// Draws the text.
    pub(super) fn new(plan: &Plan, words: &Words, draw: &mut Draw) -> Self {
        let mut body = Self {
            text: String::with_capacity(512),
            chars: 0,
            short: Span::default(),
            hashtags: Vec::new(),
            mentions: Vec::new(),
            link: None,
            media: None,
        };
        if let Some(user) = plan.retweet_of {
            body.push("RT ", 3);
            body.push_mention(user, words);
            body.push(": ", 2);
        }
        if let Some(user) = plan.mention {
            body.push_mention(user, words);
            body.push(" ", 1);
        }
        body.push_sentence(plan, words, draw);
        if plan.link {
            body.push_blank();
            let token = draw.bits();
            let span = body.push_link(token);
            body.link = Some((token, span));
        }
        if plan.media {
            body.push_blank();
            let token = draw.bits();
            let span = body.push_link(token);
            body.media = Some(Media { token, pictures: 1 + draw.low_below(5) as u64, span });
        }
        body
    }

    /// Words up to the length drawn, with the hashtags between and after them.
    fn push_sentence(&mut self, plan: &Plan, words: &Words, draw: &mut Draw) {
        let blank = if plan.script.has_blanks() { " " } else { "" };
        let length = if plan.long { 142 + draw.below(115) } else { 16 + draw.below(82) };
        let end = u64::from(self.chars) + length;
        let mut hashtags = plan.hashtags.iter().copied();
        while u64::from(self.chars) < end {
            let word = words.word(plan.script, draw);
            self.push(word.text, word.chars);
            if hashtags.len() > 0 && draw.per_mille(80) {
                self.push_hashtag(hashtags.next(), words);
            }
            if self.chars <= SHORT_CHARS {
                self.short = Span { bytes: 0..self.text.len(), chars: 0..self.chars };
            }
            self.push(blank, narrow(blank.len()));
        }
        for rank in hashtags {
            self.push_hashtag(Some(rank), words);
        }
    }

    fn push(&mut self, text: &str, chars: u32) {
        self.text.push_str(text);
        self.chars += chars;
    }

    fn push_blank(&mut self) {
        if !self.text.ends_with(' ') {
            self.push(" ", 1);
        }
    }

    /// Appends what `write` writes and returns where it stands.
    fn push_with(&mut self, write: impl FnOnce(&mut String)) -> Span {
        let (byte, char) = (self.text.len(), self.chars);
        write(&mut self.text);
        self.chars += narrow(self.text[byte..].chars().count());
        Span { bytes: byte..self.text.len(), chars: char..self.chars }
    }

    fn push_hashtag(&mut self, rank: Option<u64>, words: &Words) {
        let Some(rank) = rank else { return };
        self.push_blank();
        let span = self.push_with(|text| {
            text.push('#');
            words.hashtag(rank, text);
        });
        self.hashtags.push(span);
    }

    fn push_mention(&mut self, user: User, words: &Words) {
        let span = self.push_with(|text| {
            text.push('@');
            text.push_str(&user.screen_name(words));
        });
        self.mentions.push((user, span));
    }

    fn push_link(&mut self, token: u64) -> Span {
        let mut link = Vec::with_capacity(24);
        put!(&mut link, "https://t.co/", Token(token));
        self.push_with(|text| text.push_str(&String::from_utf8_lossy(&link)))
    }

    /// Whether the status carries pictures.
    pub(super) fn has_media(&self) -> bool {
        self.media.is_some()
    }

    /// Whether the status carries a link or a picture, as `possibly_sensitive` asks.
    pub(super) fn has_links(&self) -> bool {
        self.link.is_some() || self.media.is_some()
    }

    /// Appends `"…"`: the text of the form, with its quotes.
    pub(super) fn put_text(&self, form: Form, escapes: Escapes, out: &mut Vec<u8>) {
        match form {
            Form::Full => put!(out, Text(&self.text, escapes)),
            Form::Short(id) => {
                put!(out, Text(&self.text[self.short.bytes.clone()], escapes));
                out.pop();
                put!(out, if escapes == Escapes::All { "\\u2026" } else { "…" });
                put!(out, " https://t.co/", Token(id), "\"");
            }
        }
    }

    /// Appends `[first,last]`: the characters that clients show.
    pub(super) fn put_display_range(&self, form: Form, out: &mut Vec<u8>) {
        let end = match form {
            Form::Full => {
                self.media.as_ref().map_or(self.chars, |media| media.span.chars.start - 1)
            }
            Form::Short(_) => self.short.chars.end + 25,
        };
        put!(out, "[0,", u64::from(end), "]");
    }

    /// Appends the entities object of the form.
    pub(super) fn put_entities(
        &self,
        form: Form,
        words: &Words,
        escapes: Escapes,
        out: &mut Vec<u8>,
    ) {
        let end = if form == Form::Full { self.chars } else { self.short.chars.end };
        let shown = |span: &Span| span.chars.end <= end;
        put!(out, "{\"hashtags\":[");
        for span in self.hashtags.iter().filter(|span| shown(span)) {
            let text = &self.text[span.bytes.start + 1..span.bytes.end];
            put!(out, "{\"text\":", Text(text, escapes), ",", span, "},");
        }
        close(out);
        put!(out, ",\"urls\":[");
        self.put_links(form, end, out);
        close(out);
        put!(out, ",\"user_mentions\":[");
        for (user, span) in self.mentions.iter().filter(|(_, span)| shown(span)) {
            put!(out, "{\"screen_name\":\"", &*user.screen_name(words), "\",\"name\":");
            put!(out, Text(&user.name(words), escapes), ",", Twice("id", Some(user.id)));
            put!(out, ",", span, "},");
        }
        close(out);
        put!(out, ",\"symbols\":[]");
        if form == Form::Full && self.has_media() {
            put!(out, ",");
            self.put_media(false, out);
        }
        put!(out, "}");
    }

    fn put_links(&self, form: Form, end: u32, out: &mut Vec<u8>) {
        if let Some((token, span)) = self.link.as_ref().filter(|(_, span)| span.chars.end <= end) {
            const HOSTS: [&str; 6] = [
                "youtu.be",
                "www.instagram.com/p",
                "www.example.com/news",
                "open.spotify.com/track",
                "blog.example.org",
                "amzn.to",
            ];
            let host = HOSTS[usize::try_from(token % 6).unwrap_or(0)];
            put!(out, "{\"url\":\"https://t.co/", Token(*token), "\",\"expanded_url\":\"https://");
            put!(out, host, "/", Token(token.rotate_left(17)), "?s=", token % 100);
            put!(out, "\",\"display_url\":\"", host, "/", Token(token.rotate_left(17)), "…\",");
            put!(out, span, "},");
        }
        if let Form::Short(id) = form {
            let start = self.short.chars.end + 2;
            put!(out, "{\"url\":\"https://t.co/", Token(id));
            put!(out, "\",\"expanded_url\":\"https://twitter.com/i/web/status/", id);
            put!(out, "\",\"display_url\":\"twitter.com/i/web/status/", id / 1_000_000_000_000);
            put!(out, "…\",", &Span { bytes: 0..0, chars: start..start + 23 }, "},");
        }
    }

    /// Appends `"media":[…]`: one in the entities, and all of them again beside the entities.
    pub(super) fn put_media(&self, all: bool, out: &mut Vec<u8>) {
        put!(out, "\"media\":[");
        if let Some(media) = &self.media {
            let video = media.token.is_multiple_of(5);
            let count = if all && !video { media.pictures } else { 1 };
            for number in 0..count {
                media.put(number, video && all, out);
                put!(out, ",");
            }
        }
        close(out);
    }
}

impl Media {
    /// Appends one picture, or the video with the addresses of its qualities.
    fn put(&self, number: u64, video: bool, out: &mut Vec<u8>) {
        let token = self.token.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let id = 1_900_000_000_000_000_000 + (token >> 8);
        let folder = if video { "ext_tw_video_thumb/1900/pu/img/" } else { "media/" };
        put!(out, "{", Twice("id", Some(id)), ",", &self.span);
        for (name, scheme) in [("", "http"), ("_https", "https")] {
            put!(out, ",\"media_url", name, "\":\"", scheme, "://pbs.twimg.com/", folder);
            put!(out, Token(token.rotate_left(9)), Token(token.rotate_left(31)), ".jpg\"");
        }
        let kind = if video { "video" } else { "photo" };
        put!(out, ",\"url\":\"https://t.co/", Token(self.token));
        put!(out, "\",\"display_url\":\"pic.twitter.com/", Token(self.token));
        put!(out, "\",\"expanded_url\":\"https://twitter.com/i/status/", id, "/", kind, "/1\"");
        put!(out, ",\"type\":\"", kind, "\",\"sizes\":{");
        put!(out, "\"thumb\":{\"w\":150,\"h\":150,\"resize\":\"crop\"}");
        for (name, width) in [("small", 680), ("medium", 1200), ("large", 2048)] {
            let height = width * (50 + token % 100) / 100;
            put!(out, ",\"", name, "\":{\"w\":", width, ",\"h\":", height, ",\"resize\":\"fit\"}");
        }
        put!(out, "}");
        if video {
            put_qualities(token, id, out);
        }
        put!(out, "}");
    }
}

fn put_qualities(token: u64, id: u64, out: &mut Vec<u8>) {
    put!(out, ",\"video_info\":{\"aspect_ratio\":[16,9],\"duration_millis\":", token % 140_000);
    put!(out, ",\"variants\":[");
    let qualities = [("320x180", 256_000_u64), ("640x360", 832_000), ("1280x720", 2_176_000)];
    for (turn, (size, rate)) in (1..).zip(qualities) {
        put!(out, "{\"bitrate\":", rate, ",\"content_type\":\"video/mp4\",\"url\":\"");
        put!(out, "https://video.twimg.com/ext_tw_video/", id, "/pu/vid/", size, "/");
        put!(out, Token(token.rotate_left(turn * 13)), ".mp4?tag=10\"},");
    }
    put!(out, "{\"content_type\":\"application/x-mpegURL\",\"url\":\"https://video.twimg.com/");
    put!(out, "ext_tw_video/", id, "/pu/pl/", Token(token.rotate_left(7)), ".m3u8?tag=10\"}]}");
    put!(out, ",\"additional_media_info\":{\"monetizable\":false}");
}

impl Put for &Span {
    fn put(self, out: &mut Vec<u8>) {
        let (start, end) = (u64::from(self.chars.start), u64::from(self.chars.end));
        put!(out, "\"indices\":[", start, ",", end, "]");
    }
}

/// Ends a list whose every entry was followed by a comma.
fn close(out: &mut Vec<u8>) {
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.push(b']');
}

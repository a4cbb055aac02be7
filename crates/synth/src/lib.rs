//! Owns the synthetic stream: Twitter API v1.1 stream objects, each one line of JSON.
//!
//! ```text
//! (seed, index) ── draw ──► who, what kind ── words, users ──► body ── json ──► one line
//! ```
//!
//! Invariant: tweet `index` of a seed and rate is always the same bytes for one
//! [`GENERATOR_VERSION`], and its id rises with the index; so threads can share a run, and a run
//! can be resumed at an index. The same holds for every record of a stream with deletes and
//! repeats, see `stream.rs`. (The ranks of users and hashtags go through the platform's `powf`,
//! whose last bit may differ between C libraries; that moves a rank about once in 10^10 samples.)
//!
//! What the numbers are made after: 5,700 tweets a second, Zipf's law for users and hashtags, 35 %
//! of users without a location, 35 % retweets and quotes with hashtags of their own, 12 % texts
//! that were cut. It does not read or write anything, and it does not know Kafka.

mod body;
mod draw;
mod json;
mod stream;
mod user;
mod words;

#[cfg(test)]
mod tests;

pub use stream::Share;

use rand_distr::Zipf;
use types::snowflake::EPOCH_MS;

use body::{Body, Form, Plan};
use draw::{Draw, Of, mix};
use json::{Date, Escapes, Put, Text, Token, Twice, put};
use stream::Extras;
use user::User;
use words::{Script, Words};

/// Raised whenever the tweets of a seed change, so that figures name what they were measured with.
pub const GENERATOR_VERSION: u32 = 1;

/// When tweet 0 was posted: 2026-11-01T00:00:00Z.
const START_MS: u64 = 1_793_491_200_000;
/// The longest run in the tweets' own time: 53 years fit into an id.
const SPAN_MS: u64 = 10 << 38;
/// How many users there are, and how unequal they are: a million tweets have 325,000 that are kept.
const USERS: (f64, f64) = (4_000_000.0, 0.85);
/// The same for hashtags: the kept tweets of a million use 83,000.
const HASHTAGS: (f64, f64) = (500_000.0, 1.0);

const SOURCES: [&str; 8] = [
    r#"<a href=\"http://twitter.com/download/iphone\" rel=\"nofollow\">Twitter for iPhone</a>"#,
    r#"<a href=\"http://twitter.com/download/iphone\" rel=\"nofollow\">Twitter for iPhone</a>"#,
    r#"<a href=\"http://twitter.com/download/android\" rel=\"nofollow\">Twitter for Android</a>"#,
    r#"<a href=\"http://twitter.com/download/android\" rel=\"nofollow\">Twitter for Android</a>"#,
    r#"<a href=\"https://mobile.twitter.com\" rel=\"nofollow\">Twitter Web App</a>"#,
    r#"<a href=\"http://twitter.com/#!/download/ipad\" rel=\"nofollow\">Twitter for iPad</a>"#,
    r#"<a href=\"http://twittbot.net/\" rel=\"nofollow\">twittbot.net</a>"#,
    r#"<a href=\"https://ifttt.com\" rel=\"nofollow\">IFTTT</a>"#,
];

/// How fast the stream's own time passes; every record takes its part of it.
#[derive(Clone, Copy)]
struct Clock {
    tweets: u64,
    in_ms: u64,
}

/// Twitter's average of 5,700 tweets a second.
const AVERAGE: Clock = Clock { tweets: 57, in_ms: 10 };

/// The generator: a seed, its vocabulary and its distributions.
pub struct Synthetic {
    seed: u64,
    clock: Clock,
    extras: Extras,
    words: Words,
    users: Option<Zipf<f64>>,
    hashtags: Option<Zipf<f64>>,
}

/// What stands inside a status besides its own text.
enum Inner {
    Nothing,
    Retweeted(Head),
    Quoted(Head),
}

/// Who posted what and when.
#[derive(Clone, Copy)]
struct Head {
    id: u64,
    posted_ms: u64,
    author: User,
    /// The tweet of the stream that this is or stands in: moves the counts.
    index: u64,
    /// Whether it was retweeted or quoted.
    passed_on: bool,
    escapes: Escapes,
}

impl Synthetic {
    /// A generator whose tweets depend on the seed alone.
    pub fn new(seed: u64) -> Self {
        let zipf = |(count, exponent)| Zipf::new(count, exponent).ok();
        let (clock, extras, words) = (AVERAGE, Extras::default(), Words::new());
        Self { seed, clock, extras, words, users: zipf(USERS), hashtags: zipf(HASHTAGS) }
    }

    /// The same with so many records in a second of their own time, at most 5,700: a reader that
    /// watches a slow stream sees minutes pass.
    #[must_use]
    pub fn at_rate(self, per_second: f64) -> Self {
        const UNIT_MS: u32 = 1_000_000;
        let tweets = per_second * f64::from(UNIT_MS / 1000);
        if tweets.is_nan() || tweets >= 5_700_000.0 {
            return self;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is small")]
        let tweets = (tweets as u64).max(1);
        Self { clock: Clock { tweets, in_ms: UNIT_MS.into() }, ..self }
    }

    /// Appends tweet `index` as one line of JSON without its end, and returns the tweet's id.
    pub fn tweet(&self, index: u64, out: &mut Vec<u8>) -> u64 {
        let (head, mut draw) = self.head(index);
        let inner = match draw.below(100) {
            0..25 => Inner::Retweeted(self.earlier(&head, &mut draw)),
            25..35 => Inner::Quoted(self.earlier(&head, &mut draw)),
            _ => Inner::Nothing,
        };
        self.status(&head, &inner, &mut draw, out);
        out.pop();
        let level = if draw.per_mille(990) { "low" } else { "none" };
        put!(out, ",\"filter_level\":\"", level, "\",\"timestamp_ms\":\"", head.posted_ms, "\"}");
        head.id
    }

    /// The head of tweet `index`, and the stream of its further decisions.
    fn head(&self, index: u64) -> (Head, Draw) {
        let mut draw = Draw::new(self.seed, Of::Tweet, index);
        let (id, posted_ms) = self.clock.snowflake(index, &mut draw);
        let escapes = if draw.per_mille(50) { Escapes::All } else { Escapes::Needed };
        let author = self.author(&mut draw);
        (Head { id, posted_ms, author, index, passed_on: false, escapes }, draw)
    }

    /// A user, popular ones more often.
    fn author(&self, draw: &mut Draw) -> User {
        let rank = self.users.as_ref().map_or(1, |users| draw.rank(users));
        User::new(self.seed, rank)
    }

    /// The head of a status that was posted up to two days earlier.
    fn earlier(&self, head: &Head, draw: &mut Draw) -> Head {
        let age_ms = 1000 + draw.magnitude(27);
        let id = (head.id - (age_ms << 22)) ^ draw.below(1 << 18);
        Head {
            id,
            posted_ms: head.posted_ms - age_ms,
            author: self.author(draw),
            passed_on: true,
            ..*head
        }
    }

    /// The hashtags of one status: none for 65 %, 0.5 in the mean, some of them twice.
    fn hashtags(&self, draw: &mut Draw) -> Vec<u64> {
        let count = match draw.below(1000) {
            0..650 => return Vec::new(),
            650..895 => 1,
            895..965 => 2,
            965..994 => 3,
            _ => 4,
        };
        let mut ranks: Vec<u64> = (0..count)
            .map(|_| self.hashtags.as_ref().map_or(1, |hashtags| draw.rank(hashtags)))
            .collect();
        if draw.per_mille(30) {
            ranks.push(ranks[0]);
        }
        ranks
    }

    fn plan(&self, head: &Head, inner: &Inner, draw: &mut Draw) -> Plan {
        let retweet_of = match inner {
            Inner::Retweeted(original) => Some(original.author),
            _ => None,
        };
        // What is passed on is longer and shows more than the average.
        let (long, media) = if head.passed_on { (400, 550) } else { (160, 380) };
        let long = retweet_of.is_none() && draw.per_mille(long);
        let mention = draw.per_mille(400).then(|| self.author(draw));
        Plan {
            script: head.author.script,
            long,
            hashtags: self.hashtags(draw),
            retweet_of,
            mention,
            link: draw.per_mille(280),
            media: draw.per_mille(media),
        }
    }

    /// Appends a whole status object; `tweet` adds what only the stream's own tweets carry.
    fn status(&self, head: &Head, inner: &Inner, draw: &mut Draw, out: &mut Vec<u8>) {
        let plan = self.plan(head, inner, draw);
        let body = Body::new(&plan, &self.words, draw);
        let form = if plan.long { Form::Short(head.id) } else { Form::Full };
        put!(out, "{\"created_at\":", Date(head.posted_ms), ",", Twice("id", Some(head.id)));
        put!(out, ",\"text\":");
        body.put_text(form, head.escapes, out);
        put!(out, ",\"display_text_range\":");
        body.put_display_range(form, out);
        put!(out, ",\"source\":\"", draw.pick(&SOURCES), "\",\"truncated\":", plan.long, ",");
        self.reply(head, plan.mention, draw, out);
        put!(out, ",\"user\":");
        head.author.put(&self.words, head.index, head.escapes, out);
        self.place(plan.script, head, draw, out);
        self.inner(inner, draw, out);
        put!(out, ",\"quote_count\":", draw.magnitude(3), ",\"reply_count\":", draw.magnitude(4));
        put!(out, ",\"retweet_count\":", draw.magnitude(6), ",\"favorite_count\":");
        put!(out, draw.magnitude(8));
        if plan.long {
            put!(out, ",\"extended_tweet\":{\"full_text\":");
            body.put_text(Form::Full, head.escapes, out);
            put!(out, ",\"display_text_range\":");
            body.put_display_range(Form::Full, out);
            self.entities(&body, Form::Full, head.escapes, out);
            put!(out, "}");
        }
        self.entities(&body, form, head.escapes, out);
        put!(out, ",\"favorited\":false,\"retweeted\":false");
        if body.has_links() {
            put!(out, ",\"possibly_sensitive\":", draw.per_mille(20));
        }
        put!(out, ",\"lang\":\"", plan.script.language(draw), "\"}");
    }

    /// Appends `,"entities":…` and, where there are pictures, `,"extended_entities":…`.
    fn entities(&self, body: &Body, form: Form, escapes: Escapes, out: &mut Vec<u8>) {
        put!(out, ",\"entities\":");
        body.put_entities(form, &self.words, escapes, out);
        if form == Form::Full && body.has_media() {
            put!(out, ",\"extended_entities\":{");
            body.put_media(true, out);
            put!(out, "}");
        }
    }

    /// Appends the five fields that say what this answers to: the user mentioned first, or nothing.
    fn reply(&self, head: &Head, to: Option<User>, draw: &mut Draw, out: &mut Vec<u8>) {
        let to = to.filter(|_| draw.per_mille(800));
        let status = to.map(|_| head.id - ((1000 + draw.magnitude(24)) << 22));
        put!(out, Twice("in_reply_to_status_id", status), ",");
        put!(out, Twice("in_reply_to_user_id", to.map(|user| user.id)));
        match to {
            None => put!(out, ",\"in_reply_to_screen_name\":null"),
            Some(user) => {
                let name = user.screen_name(&self.words);
                put!(out, ",\"in_reply_to_screen_name\":\"", &*name, "\"");
            }
        }
    }

    /// Appends `,"geo":…,"coordinates":…,"place":…,"contributors":null`, mostly all null.
    fn place(&self, script: Script, head: &Head, draw: &mut Draw, out: &mut Vec<u8>) {
        if !draw.per_mille(30) {
            return put!(
                out,
                ",\"geo\":null,\"coordinates\":null,\"place\":null,\"contributors\":null"
            );
        }
        let (south, west) = (draw.below(80), draw.below(170));
        if draw.per_mille(250) {
            let (lat, lon) = (100_000 + draw.below(900_000), 100_000 + draw.below(900_000));
            put!(out, ",\"geo\":{\"type\":\"Point\",\"coordinates\":[", south, ".", lat, ",");
            put!(out, west, ".", lon, "]},\"coordinates\":{\"type\":\"Point\",\"coordinates\":[");
            put!(out, west, ".", lon, ",", south, ".", lat, "]}");
        } else {
            put!(out, ",\"geo\":null,\"coordinates\":null");
        }
        let id = draw.bits();
        let name = self.words.word(script, draw).text;
        put!(
            out,
            ",\"place\":{\"id\":\"",
            PlaceId(id),
            "\",\"url\":\"https://api.twitter.com/1.1/geo/id/"
        );
        put!(
            out,
            PlaceId(id),
            ".json\",\"place_type\":\"city\",\"name\":",
            Text(name, head.escapes)
        );
        put!(out, ",\"full_name\":", Text(name, head.escapes), ",\"country_code\":\"");
        let (code, country) = draw.pick(&[
            ("US", "United States"),
            ("JP", "Japan"),
            ("BR", "Brazil"),
            ("GB", "United Kingdom"),
            ("IN", "India"),
        ]);
        put!(out, code, "\",\"country\":\"", country);
        put!(out, "\",\"bounding_box\":{\"type\":\"Polygon\",\"coordinates\":[[[");
        put!(out, west, ".0,", south, ".0],[", west, ".0,", south, ".5],[");
        put!(out, west, ".5,", south, ".5],[", west, ".5,", south, ".0]]]},\"attributes\":{}}");
        put!(out, ",\"contributors\":null");
    }

    /// Appends the status that is retweeted or quoted, and whether it is a quote.
    fn inner(&self, inner: &Inner, draw: &mut Draw, out: &mut Vec<u8>) {
        match inner {
            Inner::Nothing => put!(out, ",\"is_quote_status\":false"),
            Inner::Retweeted(original) => {
                // What was retweeted may be a quote itself: hashtags two levels down.
                let quote = draw.per_mille(200);
                let deeper = if quote {
                    Inner::Quoted(self.earlier(original, draw))
                } else {
                    Inner::Nothing
                };
                put!(out, ",\"retweeted_status\":");
                self.status(original, &deeper, draw, out);
                put!(out, ",\"is_quote_status\":", quote);
            }
            Inner::Quoted(original) => {
                put!(out, ",", Twice("quoted_status_id", Some(original.id)), ",\"quoted_status\":");
                self.status(original, &Inner::Nothing, draw, out);
                let screen_name = original.author.screen_name(&self.words);
                let link = mix(original.id);
                put!(out, ",\"quoted_status_permalink\":{\"url\":\"https://t.co/", Token(link));
                put!(
                    out,
                    "\",\"expanded\":\"https://twitter.com/",
                    &*screen_name,
                    "/status/",
                    original.id
                );
                put!(out, "\",\"display\":\"twitter.com/", &*screen_name, "/status/…\"}");
                put!(out, ",\"is_quote_status\":true");
            }
        }
    }
}

/// Eighteen hexadecimal digits of a number, as in the id of a place.
struct PlaceId(u64);

impl Put for PlaceId {
    fn put(self, out: &mut Vec<u8>) {
        put!(out, json::Colour(self.0 >> 40), json::Colour(self.0 >> 16));
        put!(out, json::Colour(self.0));
    }
}

impl Clock {
    /// The id and the time of a tweet: the id rises with the index, within a millisecond too.
    fn snowflake(self, index: u64, draw: &mut Draw) -> (u64, u64) {
        let [tweets, in_ms, span] = [self.tweets, self.in_ms, SPAN_MS].map(u128::from);
        // Later records stay at the last millisecond.
        let index = u128::from(index).min(span * tweets / in_ms);
        let millis = index * in_ms / tweets;
        let within = index - (millis * tweets).div_ceil(in_ms);
        let [millis, within] = [millis, within].map(|part| u64::try_from(part).unwrap_or_default());
        let posted_ms = START_MS + millis;
        let id = ((posted_ms - EPOCH_MS) << 22) | (within << 18) | draw.below(1 << 18);
        (id, posted_ms)
    }
}

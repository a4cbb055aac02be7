//! Owns what each record of the synthetic stream is: a tweet, a delete of a tweet, or a tweet
//! again.
//!
//! ```text
//! record   0      1      2         3      4                 5        6
//!          tweet  tweet  delete 0  tweet  delete 6 (ahead)  tweet 3  tweet
//! ```
//!
//! Invariant: record `index` is a pure function of seed, rate, shares and index, as a tweet is, so
//! a run can be resumed at any record and nothing is remembered. A record that is a tweet is tweet
//! `index` of the seed, whatever else is in the stream; one that is not is about the next tweet
//! that is found from a place at a drawn distance, before it or, for some deletes, ahead of it. So
//! a tweet may be deleted or repeated more than once, and an end of the stream may lie before a
//! tweet whose delete has come.

use std::fmt;
use std::str::FromStr;

use super::draw::{Draw, Of, mix};
use super::json::{Twice, put};
use super::{Clock, Synthetic};

/// A whole, in parts of a [`Share`].
const WHOLE: u32 = 1_000_000;
/// The longest way between a tweet and what is about it is between half of this and this, in the
/// stream's own time. The ways are of all orders of magnitude: near ones are frequent.
const FAR_MS: u64 = 60_000;
/// Deletes that come ahead of their tweet, of 1,000.
const AHEAD: u64 = 150;
/// Deletes without a value, of 1,000.
const TOMBSTONES: u64 = 50;
/// Notices and repeated tweets that have the author's id for their key, of 1,000: most of these are
/// in another partition than the tweet.
const KEYED_BY_AUTHOR: u64 = 250;

/// A part of the tweets, in millionths; written in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share(u32);

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').unwrap_or(text).parse::<f64>().ok();
        let percent = number.filter(|percent| (0.0..=100.0).contains(percent));
        let percent = percent.ok_or("expected 0% to 100%")?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to a million"
        )]
        let millionths = (percent * f64::from(WHOLE / 100)).round() as u32;
        Ok(Self(millionths))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}%", f64::from(self.0) / f64::from(WHOLE / 100))
    }
}

/// What there is beside the tweets.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Extras {
    deletes: Share,
    repeats: Share,
}

/// What a record is, with the stream of its further decisions.
enum Role {
    Tweet,
    Delete(Draw),
    Repeat(Draw),
}

impl Synthetic {
    /// The same with deletes and repeated tweets among the tweets, so many for 100 of them.
    #[must_use]
    pub fn with(self, deletes: Share, repeats: Share) -> Self {
        Self { extras: Extras { deletes, repeats }, ..self }
    }

    /// Appends record `index` of the stream as one line without its end, and returns its key. Of a
    /// tombstone nothing is appended: it has no value.
    pub fn record(&self, index: u64, out: &mut Vec<u8>) -> u64 {
        match self.role(index) {
            Role::Tweet => self.tweet(index, out),
            Role::Delete(mut draw) => {
                let ahead = draw.per_mille(AHEAD);
                let of = if ahead {
                    self.tweet_ahead(index, &mut draw)
                } else {
                    self.tweet_before(index, &mut draw)
                };
                self.delete(index, of, &mut draw, out)
            }
            Role::Repeat(mut draw) => {
                let of = self.tweet_before(index, &mut draw);
                let id = self.tweet(of, out);
                if draw.per_mille(KEYED_BY_AUTHOR) { self.head(of).0.author.id } else { id }
            }
        }
    }

    /// What tells this stream from those of other arguments: the seed, where there are only tweets.
    /// Otherwise the clock too, because a delete says the id that its tweet had.
    pub fn identity(&self) -> u64 {
        let (Clock { tweets, in_ms }, Extras { deletes, repeats }) = (self.clock, self.extras);
        if self.extras == Extras::default() {
            return self.seed;
        }
        let parts = [deletes.0.into(), repeats.0.into(), tweets, in_ms];
        parts.into_iter().fold(self.seed, |hash, part| mix(hash ^ mix(part)))
    }

    /// The arguments that make this stream.
    pub fn arguments(&self) -> String {
        let (seed, Extras { deletes, repeats }) = (self.seed, self.extras);
        if self.extras == Extras::default() {
            return format!("--synthetic --seed {seed}");
        }
        let extras = format!("--deletes {deletes} --duplicates {repeats}");
        format!("--synthetic --seed {seed} {extras} at this --rate")
    }

    /// The first record is always a tweet, so that every other one finds a tweet before it.
    fn role(&self, index: u64) -> Role {
        let [deletes, repeats] = [self.extras.deletes, self.extras.repeats].map(|it| it.0.into());
        if deletes + repeats == 0 || index == 0 {
            return Role::Tweet;
        }
        let mut draw = Draw::new(self.seed, Of::Record, index);
        let drawn = draw.below(deletes + repeats + u64::from(WHOLE));
        if drawn < deletes {
            Role::Delete(draw)
        } else if drawn < deletes + repeats {
            Role::Repeat(draw)
        } else {
            Role::Tweet
        }
    }

    fn is_tweet(&self, index: u64) -> bool {
        matches!(self.role(index), Role::Tweet)
    }

    /// Records between one that is about a tweet and that tweet, at least 1.
    fn distance(&self, draw: &mut Draw) -> u64 {
        let longest = (self.clock.tweets * FAR_MS / self.clock.in_ms).max(1);
        1 + draw.magnitude(longest.ilog2().into())
    }

    /// A tweet before `index`, which is not 0.
    fn tweet_before(&self, index: u64, draw: &mut Draw) -> u64 {
        // Where the stream has just begun, the way is cut to what there is of it.
        let mut of = index - 1 - (self.distance(draw) - 1) % index;
        while !self.is_tweet(of) {
            of -= 1;
        }
        of
    }

    fn tweet_ahead(&self, index: u64, draw: &mut Draw) -> u64 {
        let mut of = index.wrapping_add(self.distance(draw));
        while !self.is_tweet(of) {
            of = of.wrapping_add(1);
        }
        of
    }

    /// Appends what deletes tweet `of`, and returns its key.
    fn delete(&self, index: u64, of: u64, draw: &mut Draw, out: &mut Vec<u8>) -> u64 {
        let (head, _) = self.head(of);
        if draw.per_mille(TOMBSTONES) {
            return head.id;
        }
        let (_, now_ms) = self.clock.snowflake(index, draw);
        put!(out, "{\"delete\":{\"status\":{", Twice("id", Some(head.id)), ",");
        put!(out, Twice("user_id", Some(head.author.id)), "},\"timestamp_ms\":\"", now_ms, "\"}}");
        if draw.per_mille(KEYED_BY_AUTHOR) { head.author.id } else { head.id }
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;

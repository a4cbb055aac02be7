//! The meter of what X bills: posts, and dollars as a lower and an upper bound.
//!
//! Posts are billed each; whether the author that comes with a post is billed too is not
//! documented, so the upper bound counts every user of `includes` as a user read. Caps hold against
//! the upper bound. Prices are those of the public list of 2026-11; the developer console has the
//! last word.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// Thousandths of a dollar for a post.
const POST_PRICE: u64 = 5;
/// Thousandths of a dollar for a user.
const USER_PRICE: u64 = 10;

/// What was read and may be billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// Posts.
    pub posts: u64,
    /// Users beside them.
    pub users: u64,
}

/// Where reading ends.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Caps {
    /// Posts.
    pub posts: Option<u64>,
    /// Dollars.
    pub dollars: Option<f64>,
}

/// The parts of a message that are billed.
#[derive(Deserialize)]
struct Billed {
    #[serde(default)]
    data: Option<IgnoredAny>,
    #[serde(default)]
    includes: Option<Includes>,
}

#[derive(Deserialize)]
struct Includes {
    #[serde(default)]
    users: Vec<IgnoredAny>,
    #[serde(default)]
    tweets: Vec<IgnoredAny>,
}

impl Meter {
    /// Adds a message of the second API.
    pub fn add(&mut self, message: &[u8]) {
        // A struct is read from an array too.
        let is_object = message.trim_ascii_start().first() == Some(&b'{');
        let Some(Ok(billed)) = is_object.then(|| serde_json::from_slice::<Billed>(message)) else {
            return;
        };
        self.posts += u64::from(billed.data.is_some());
        if let Some(Includes { users, tweets }) = billed.includes {
            self.users += users.len() as u64;
            self.posts += tweets.len() as u64;
        }
    }

    /// Dollars, from … to.
    pub fn dollars(&self) -> (f64, f64) {
        let dollars = |thousandths: u64| {
            #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
            let thousandths = thousandths as f64;
            thousandths / 1000.0
        };
        let posts = self.posts * POST_PRICE;
        (dollars(posts), dollars(posts + self.users * USER_PRICE))
    }

    /// Which cap is reached, in words.
    pub fn reached(&self, caps: Caps) -> Option<String> {
        if caps.posts.is_some_and(|most| self.posts >= most) {
            return Some(format!("--max-posts {} is reached", self.posts));
        }
        let (_, dollars) = self.dollars();
        let most = caps.dollars.filter(|most| dollars >= *most)?;
        Some(format!("--max-dollars {most} is reached: at most {dollars:.3} dollars were spent"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_are_counted() {
        let mut meter = Meter::default();
        meter.add(br#"{"data":{"id":"1"},"includes":{"users":[{"id":"2"},{"id":"3"}]}}"#);
        meter.add(br#"{"data":{"id":"4"},"includes":{"tweets":[{"id":"5"}]}}"#);
        for free in [&br#"{"errors":[]}"#[..], b"", b"no JSON", b"[1]"] {
            meter.add(free);
        }
        assert_eq!(meter, Meter { posts: 3, users: 2 });
        let (least, most) = meter.dollars();
        assert!((least - 0.015).abs() < 1e-9 && (most - 0.035).abs() < 1e-9, "{least} {most}");
    }

    #[test]
    fn a_cap_ends_at_its_number() {
        let meter = Meter { posts: 10, users: 5 };
        let reached = |posts, dollars| meter.reached(Caps { posts, dollars });
        assert_eq!((reached(None, None), reached(Some(11), Some(0.11))), (None, None));
        assert!(reached(Some(10), None).is_some_and(|text| text.contains("--max-posts")));
        assert!(reached(None, Some(0.1)).is_some_and(|text| text.contains("--max-dollars")));
    }
}

//! What the tables must hold: an independent count over the generated tweets, which shares nothing
//! with the program but the generator.

use crate::database::Database;
use crate::{Result, SEED};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write;
use synth::{GENERATOR_VERSION, Synthetic};

/// The tables, counted with plain maps.
#[derive(Default)]
pub(crate) struct Expected {
    records: u64,
    tweets: u64,
    filtered: u64,
    uses: HashMap<String, u64>,
    /// The newest tweet of each user and the friends that it states.
    users: HashMap<u64, (u64, Option<i64>)>,
}

/// Counts the first `tweets` tweets.
pub(crate) fn count(tweets: u64) -> Result<Expected> {
    let mut expected = Expected::default();
    each(tweets, |payload| expected.add(payload))?;
    Ok(expected)
}

/// What is special about the first `tweets` tweets: the hash of their lines, and how many different
/// keys they have.
pub(crate) fn identity(tweets: u64) -> Result<Value> {
    let (mut expected, mut hash, mut bytes) = (Expected::default(), Sha256::new(), 0);
    each(tweets, |payload| {
        hash.update(payload);
        hash.update(b"\n");
        bytes += payload.len() as u64;
        expected.add(payload)
    })?;
    let mut sha256 = String::new();
    for byte in hash.finalize() {
        write!(sha256, "{byte:02x}")?;
    }
    Ok(json!({
        "generator_version": GENERATOR_VERSION,
        "seed": SEED,
        "tweets": tweets,
        "bytes": bytes,
        "sha256": sha256,
        "with_location": expected.tweets,
        "users": expected.users.len(),
        "hashtags": expected.uses.len(),
        "uses": expected.uses.values().sum::<u64>(),
    }))
}

fn each(tweets: u64, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let generator = Synthetic::new(SEED);
    let mut payload = Vec::new();
    for index in 0..tweets {
        payload.clear();
        generator.tweet(index, &mut payload);
        visit(&payload)?;
    }
    Ok(())
}

impl Expected {
    fn add(&mut self, payload: &[u8]) -> Result<()> {
        let tweet: Value = serde_json::from_slice(payload)?;
        self.records += 1;
        if tweet["user"]["location"].is_null() {
            self.filtered += 1;
            return Ok(());
        }
        self.tweets += 1;
        let is_cut = tweet["truncated"] == true && tweet["extended_tweet"].is_object();
        let text = if is_cut { &tweet["extended_tweet"] } else { &tweet };
        for tag in text["entities"]["hashtags"].as_array().into_iter().flatten() {
            let tag = tag["text"].as_str().ok_or("a hashtag has no text")?;
            *self.uses.entry(tag.to_owned()).or_default() += 1;
        }
        let id = |value: &Value| value["id"].as_u64().ok_or("a tweet has no id");
        let newest = (id(&tweet)?, tweet["user"]["friends_count"].as_i64());
        let held = self.users.entry(id(&tweet["user"])?).or_insert(newest);
        if newest.0 >= held.0 {
            *held = newest;
        }
        Ok(())
    }

    /// Compares every row; the first difference is an error.
    pub(crate) fn compare(&self, tables: &mut Database) -> Result<()> {
        let totals: HashMap<String, u64> =
            tables.rows("SELECT name, records FROM totals")?.into_iter().collect();
        let total = |name: &str| totals.get(name).copied().unwrap_or_default();
        same("tweets", &self.tweets, &total("tweets"))?;
        same("filtered", &self.filtered, &total("filtered"))?;
        same("all kinds", &self.records, &totals.values().sum())?;
        let read = "SELECT CAST(SUM(next_offset - start_offset) AS UNSIGNED) FROM kafka_offsets";
        same("offsets", &Some(self.records), &tables.first(read)?)?;
        let letters = "SELECT COUNT(*) FROM dead_letters";
        same("dead letters", &Some(0_u64), &tables.first(letters)?)?;

        // Without those that `--hashtags` asks for; no hashtag holds a hyphen.
        let hashtags = "SELECT hashtag, uses FROM hashtags WHERE hashtag NOT LIKE 'old-%'";
        let hashtags: Vec<(String, u64)> = tables.rows(hashtags)?;
        same("hashtags", &self.uses.len(), &hashtags.len())?;
        for (tag, uses) in hashtags {
            same(&tag, &self.uses.get(&tag), &Some(&uses))?;
        }
        let users: Vec<(u64, u64, Option<i64>)> =
            tables.rows("SELECT user_id, tweet_id, nb_friends FROM users")?;
        same("users", &self.users.len(), &users.len())?;
        for (user, tweet, friends) in users {
            let name = format!("user {user}");
            same(&name, &self.users.get(&user), &Some(&(tweet, friends)))?;
        }
        Ok(())
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, found: &T) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(format!("the tables are wrong: {what}: expected {expected:?}, found {found:?}").into())
}

//! `hashtag_pairs(hashtag_a, hashtag_b, uses)`: how many tweets use two hashtags together.
//!
//! Of each tweet its first 10 distinct hashtags make pairs, the less one by bytes first: at most
//! 45. Spellings are different hashtags, as in `hashtags`.
//!
//! Off by default: there are many more pairs than hashtags, and each costs memory (about 150 bytes)
//! and a row.
//!
//! Restore: `uses` of a row is the difference that all its tweets add up to.

use crate::operators::changes::{Changes, changes};
use crate::operators::counted::Counted;
use crate::{Inputs, Rows};
use types::table::{Column, ColumnKind, Panel, Restore, Table};
use types::{Text, Value};

/// The declaration.
pub const TABLE: Table = Table {
    name: "hashtag_pairs",
    comment: "how many tweets use two hashtags together, of each tweet's first 10 hashtags",
    columns: &[
        Column::new(
            "hashtag_a",
            ColumnKind::Text(255),
            "as written, without #; the less one by bytes",
        ),
        Column::new("hashtag_b", ColumnKind::Text(255), "the other one"),
        Column::new("uses", ColumnKind::Unsigned, "tweets that use both"),
    ],
    key: 2,
    restore: Restore::FromRows,
    panel: Panel::None,
    version: 1,
};

/// Distinct hashtags of a tweet that make pairs.
const TAGS: usize = 10;

/// Two hashtags, the less one first.
pub type Pair = (Text, Text);

/// Uses by pair.
pub type PairUses<'scope> = Counted<'scope, Pair, i64>;

/// The uses as a function of the posts; [`Inputs::pairs`] keeps them for all who read them.
pub(crate) fn count<'scope>(inputs: &Inputs<'scope>) -> PairUses<'scope> {
    let seen =
        inputs.live_tweets.extract("pairs of hashtags", |post, (epoch, difference), uses| {
            let pairs = pairs(post.hashtags()).into_iter();
            uses.extend(pairs.map(|pair| (pair, epoch, difference as i64)));
        });
    let restored = inputs.rows(&TABLE).restore(|row| match &row[..] {
        [Value::Text(a), Value::Text(b), Value::UInt(uses)] => {
            Some(((a.clone(), b.clone()), i64::try_from(*uses).ok()?))
        }
        _ => None,
    });
    Counted::new(seen.concat(restored), TABLE.name)
}

fn pairs(tags: impl Iterator<Item = Text>) -> Vec<Pair> {
    let mut distinct = Vec::<Text>::new();
    for tag in tags {
        if distinct.len() < TAGS && !distinct.contains(&tag) {
            distinct.push(tag);
        }
    }
    distinct.sort_unstable();
    let with_later = |(at, a): (usize, &Text)| {
        let a = a.clone();
        distinct[at + 1..].iter().map(move |b| (a.clone(), b.clone())).collect::<Vec<_>>()
    };
    distinct.iter().enumerate().flat_map(with_later).collect()
}

/// The rows as a function of the uses.
pub fn build<'scope>(inputs: &Inputs<'scope>, rows: &Rows<'scope>) -> Changes<'scope> {
    changes(&inputs.pairs().sums, rows.number(), &TABLE, |pair, uses: &i64| {
        values(pair, *uses).into()
    })
}

/// The row of a pair.
pub(crate) fn values((a, b): &Pair, uses: i64) -> [Value; 3] {
    [Value::Text(a.clone()), Value::Text(b.clone()), Value::count(uses)]
}

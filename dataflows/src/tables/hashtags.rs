//! `hashtags(hashtag, uses)`: how often each hashtag was used in the tweets that count.
//!
//! A hashtag that stands twice in one tweet is two uses. Keys are compared byte by byte: `Rust`,
//! `rust` and the two normal forms of `Å` are different hashtags.
//!
//! Restore: `uses` of a row is the difference that all its tweets add up to, so the row enters
//! with exactly that and nothing else is needed.

use crate::operators::changes::{Changes, changes};
use crate::operators::counted::Counted;
use crate::{Inputs, Rows};
use types::table::{Column, ColumnKind, Panel, Restore, Table};
use types::{Text, Value};

/// The declaration.
pub const TABLE: Table = Table {
    name: "hashtags",
    comment: "how often each hashtag was used",
    columns: &[
        Column::new("hashtag", ColumnKind::Text(255), "as written, without #"),
        Column::new("uses", ColumnKind::Unsigned, "uses in the tweets that count"),
    ],
    key: 1,
    restore: Restore::FromRows,
    panel: Panel::None,
    version: 1,
};

/// Uses by hashtag.
pub type HashtagUses<'scope> = Counted<'scope, Text, i64>;

/// The uses as a function of the events; [`Inputs::hashtags`] keeps them for all who read them.
pub(crate) fn count<'scope>(inputs: &Inputs<'scope>) -> HashtagUses<'scope> {
    let seen =
        inputs.live_tweets.extract("hashtags of tweets", |post, (epoch, difference), uses| {
            uses.extend(post.hashtags().map(|tag| (tag, epoch, difference as i64)));
        });
    let restored = inputs.rows(&TABLE).restore(|row| match &row[..] {
        [Value::Text(tag), Value::UInt(count)] => Some((tag.clone(), i64::try_from(*count).ok()?)),
        _ => None,
    });
    Counted::new(seen.concat(restored), TABLE.name)
}

/// The rows as a function of the uses.
pub fn build<'scope>(inputs: &Inputs<'scope>, rows: &Rows<'scope>) -> Changes<'scope> {
    changes(&inputs.hashtags().sums, rows.number(), &TABLE, |tag, uses: &i64| {
        values(tag, *uses).into()
    })
}

/// The row of a hashtag.
pub(crate) fn values(tag: &str, uses: i64) -> [Value; 2] {
    [Value::Text(tag.into()), Value::count(uses)]
}

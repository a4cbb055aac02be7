//! `hashtags(hashtag, uses)`: how often each hashtag was used in the tweets that count.
//!
//! A hashtag that stands twice in one tweet is two uses. Keys are compared byte by byte: `Rust`,
//! `rust` and the two normal forms of `Å` are different hashtags.
//!
//! Restore: `uses` of a row is the difference that all its tweets add up to, so the row enters
//! with exactly that and nothing else is needed.

use crate::changes::{Changes, changes};
use crate::table::{Column, Kind, Restore, Table};
use crate::{Event, Events, Rows, Value};
use differential_dataflow::operators::CountTotal;

/// The declaration.
pub const TABLE: Table = Table {
    name: "hashtags",
    comment: "how often each hashtag was used",
    columns: &[
        Column::new("hashtag", Kind::Text(255), "as written, without #"),
        Column::new("uses", Kind::Unsigned, "uses in the tweets that count"),
    ],
    key: 1,
    restore: Restore::FromRows,
    version: 1,
};

/// The rows as a function of the events.
pub fn build<'scope>(events: &Events<'scope>, rows: &Rows<'scope>) -> Changes<'scope> {
    let seen = events.extract("hashtags of tweets", |batch, uses| {
        for (event, epoch, difference) in batch {
            if let Event::Tweet(tweet) = event {
                let tags = tweet.hashtags.iter();
                uses.extend(tags.map(|tag| (tag.clone(), *epoch, *difference as i64)));
            }
        }
    });
    let restored = rows.restore(|row| match &row[..] {
        [Value::Text(tag), Value::UInt(count)] => Some((tag.clone(), i64::try_from(*count).ok()?)),
        _ => None,
    });
    let counted = seen.concat(restored).count_total();
    changes(counted, &TABLE, |tag, count: &i64| {
        let count = u64::try_from(*count).expect("a hashtag is not used less than zero times");
        [Value::Text(tag.clone()), Value::UInt(count)].into()
    })
}

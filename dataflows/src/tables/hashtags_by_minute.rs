//! `hashtags_by_minute(minute, hashtag, uses)`: how often each hashtag was used in each of the last
//! minutes.
//!
//! A tweet belongs to the minute in which it was written, as decode says. Minutes below the floor,
//! which is `minutes_span` below the newest minute, leave table and state together and never come
//! back; a tweet that comes later than that counts nothing here. At every commit the rows are
//! therefore exactly the uses of all tweets so far in the minutes from the floor on, in whatever
//! order they came.
//!
//! Restore: `uses` of a row is the difference that all its tweets add up to, and the floor is that
//! of the table `floors`.

use crate::operators::changes::{Changes, changes};
use crate::operators::windowed_sums::windowed_sums;
use crate::{Epoch, Inputs, Rows, Shared};
use differential_dataflow::hashable::Hashable;
use timely::dataflow::channels::pact::Exchange;
use types::table::{Column, ColumnKind, Panel, Restore, Table};
use types::{Text, Value};

/// The declaration.
pub const TABLE: Table = Table {
    name: "hashtags_by_minute",
    comment: "how often each hashtag was used in each of the last minutes",
    columns: &[
        Column::new(
            "minute",
            ColumnKind::Timestamp,
            "begin of the minute in which the tweets were written",
        ),
        Column::new("hashtag", ColumnKind::Text(255), "as written, without #"),
        Column::new("uses", ColumnKind::Unsigned, "uses in the tweets of that minute that count"),
    ],
    key: 2,
    restore: Restore::FromRows,
    panel: Panel::None,
    version: 1,
};

const MINUTE_MS: i64 = 60_000;

/// Uses by minute and hashtag.
pub type MinuteUses<'scope> = Shared<'scope, ((u32, Text), i64)>;

/// The uses as a function of the events; [`Inputs::minutes`] keeps them for all who read them.
pub(crate) fn count<'scope>(inputs: &Inputs<'scope>) -> MinuteUses<'scope> {
    let seen =
        inputs.live_tweets.extract("hashtags of minutes", |post, (epoch, difference), uses| {
            if let Some(minute) = post.time.minute() {
                let tags = post.hashtags().map(|tag| (minute, tag));
                uses.extend(tags.map(|pair| (pair, epoch, difference as i64)));
            }
        });
    let restored = inputs.rows(&TABLE).restore(|row| match &row[..] {
        [Value::Timestamp(ms), Value::Text(tag), Value::UInt(uses)] => {
            let minute = u32::try_from(ms / MINUTE_MS).ok()?;
            Some(((minute, tag.clone()), i64::try_from(*uses).ok()?))
        }
        _ => None,
    });
    let by_pair = Exchange::new(|(pair, ..): &((u32, Text), Epoch, i64)| pair.hashed());
    let floor = (inputs.newest_minute(), inputs.settings.minutes_span);
    Shared::new(windowed_sums(seen.concat(restored), floor, by_pair, TABLE.name))
}

/// The rows as a function of the uses.
pub fn build<'scope>(inputs: &Inputs<'scope>, rows: &Rows<'scope>) -> Changes<'scope> {
    changes(inputs.minutes(), rows.number(), &TABLE, |(minute, tag), uses| {
        let minute = Value::Timestamp(i64::from(*minute) * MINUTE_MS);
        [minute, Value::Text(tag.clone()), Value::count(*uses)].into()
    })
}

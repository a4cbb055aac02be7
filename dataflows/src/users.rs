//! `users(user_id, username, nb_friends, …)`: each user as of the newest tweet that shows them.
//!
//! A tweet shows its author, or the page that it stands in shows users beside the tweets.
//!
//! "Newest" is the order of [`Version`]; what the order looks at stands in the row.
//!
//! Restore: a row is the newest statement about its user, so it enters as that statement and is
//! replaced only by a newer one. Nothing retracts it: a friend count once seen stays true of its
//! moment, also when the tweet is deleted.

use crate::changes::{Changes, changes};
use crate::counted::Counted;
use crate::latest::{Latest, Version};
use crate::table::{Column, Kind, Panel, Restore, Table};
use crate::tweet::User;
use crate::{Event, Inputs, Row, Rows, Text, Value};
use serde::{Deserialize, Serialize};

/// The declaration.
pub const TABLE: Table = Table {
    name: "users",
    comment: "each user as of the newest tweet that shows them",
    columns: &[
        Column::new("user_id", Kind::Unsigned, "the account's number"),
        Column::new("username", Kind::Text(255), "shown name without emoji, or No name"),
        Column::new("nb_friends", Kind::OptionalSigned, "accounts followed; NULL = not said"),
        Column::new("nb_followers", Kind::OptionalSigned, "followers; NULL = not said"),
        Column::new("tweet_id", Kind::Unsigned, "the tweet that says so"),
        Column::new("record_ms", Kind::Unsigned, "time of its record in Kafka, ms since 1970"),
        Column::new("record_partition", Kind::Unsigned, "partition of its record"),
        Column::new("record_offset", Kind::Unsigned, "offset of its record"),
    ],
    key: 1,
    restore: Restore::FromRows,
    panel: Panel::None,
    version: 1,
};

/// What one tweet, or the page around it, states about a user. The derived order decides by the version; the other
/// fields only make it total.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Profile {
    version: Version,
    pub(crate) name: Text,
    pub(crate) friends: Option<i64>,
    pub(crate) followers: Option<i64>,
}

/// The newest statement about each user.
pub type Newest<'scope> = Counted<'scope, u64, Latest<Profile>>;

/// The newest statements as a function of the events; [`Inputs::users`] keeps them for all who read
/// them.
pub(crate) fn count<'scope>(inputs: &Inputs<'scope>) -> Newest<'scope> {
    let seen = inputs.events.extract("users", |batch, seen| {
        for (event, epoch, difference) in batch {
            if let Some((version, user)) = statement(event)
                && *difference > 0
            {
                let profile = Profile {
                    version,
                    name: user.name.clone(),
                    friends: user.friends,
                    followers: user.followers,
                };
                seen.push((user.id, *epoch, Latest(profile)));
            }
        }
    });
    Counted::new(seen.concat(inputs.rows(&TABLE).restore(state)), TABLE.name)
}

/// The rows as a function of the newest statements.
pub fn build<'scope>(inputs: &Inputs<'scope>, rows: &Rows<'scope>) -> Changes<'scope> {
    changes(&inputs.users().sums, rows.number(), &TABLE, |user_id, Latest(profile)| {
        row(*user_id, profile)
    })
}

/// What an event says about a user, and how new that is.
fn statement(event: &Event) -> Option<(Version, &User)> {
    match event {
        Event::Tweet(tweet) => Some((tweet.version, tweet.user.as_ref()?)),
        Event::User(version, user) => Some((*version, user)),
        Event::Delete { .. } | Event::Other(_) => None,
    }
}

fn row(user_id: u64, profile: &Profile) -> Row {
    let version = profile.version;
    Box::new([
        Value::UInt(user_id),
        Value::Text(profile.name.clone()),
        Value::optional(profile.friends),
        Value::optional(profile.followers),
        Value::UInt(version.tweet_id),
        Value::UInt(version.record_ms),
        Value::UInt(u64::from(version.partition)),
        Value::UInt(version.offset),
    ])
}

/// The reverse of [`row`].
fn state(row: &Row) -> Option<(u64, Latest<Profile>)> {
    let number = |column: usize| row.get(column)?.as_u64();
    let optional = |column: usize| match row.get(column)? {
        Value::Null => Some(None),
        value => value.as_i64().map(Some),
    };
    let version = Version {
        tweet_id: number(4)?,
        record_ms: number(5)?,
        partition: u32::try_from(number(6)?).ok()?,
        offset: number(7)?,
    };
    let name = row.get(1)?.as_text()?.into();
    let profile = Profile { version, name, friends: optional(2)?, followers: optional(3)? };
    Some((number(0)?, Latest(profile)))
}

#[cfg(test)]
mod tests {
    use super::{Latest, Profile, Version, row, state};

    #[test]
    fn a_row_restores_to_what_it_was_made_from() {
        let version = Version { tweet_id: u64::MAX, record_ms: 1, partition: 2, offset: 3 };
        let unknown =
            Profile { version, name: "東京".into(), friends: Some(-1), followers: None };
        assert_eq!(state(&row(7, &unknown)), Some((7, Latest(unknown))));
    }
}

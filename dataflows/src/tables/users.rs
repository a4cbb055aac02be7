//! `users(user_id, username, nb_friends, …)`: each user as of the newest tweet that shows them.
//!
//! A tweet shows its author, or the page that it stands in shows users beside the tweets.
//!
//! "Newest" is the order of [`Version`]; what the order looks at stands in the row.
//!
//! Restore: a row is the newest statement about its user, so it enters as that statement and is
//! replaced only by a newer one. Nothing retracts it: a friend count once seen stays true of its
//! moment, also when the tweet is deleted.

use crate::operators::changes::{Changes, changes};
use crate::operators::counted::Counted;
use crate::operators::latest::Latest;
use crate::{Inputs, Rows};
use serde::{Deserialize, Serialize};
use types::Version;
use types::event::User;
use types::table::{Column, ColumnKind, Panel, Restore, Table};
use types::{Event, Row, Text, Value};

/// The declaration.
pub const TABLE: Table = Table {
    name: "users",
    comment: "each user as of the newest tweet that shows them",
    columns: &[
        Column::new("user_id", ColumnKind::Unsigned, "the account's number"),
        Column::new("username", ColumnKind::Text(255), "shown name without emoji, or No name"),
        Column::new("nb_friends", ColumnKind::OptionalSigned, "accounts followed; NULL = not said"),
        Column::new("nb_followers", ColumnKind::OptionalSigned, "followers; NULL = not said"),
        Column::new("tweet_id", ColumnKind::Unsigned, "the tweet that says so"),
        Column::new(
            "record_ms",
            ColumnKind::Unsigned,
            "time of its record in Kafka, ms since 1970",
        ),
        Column::new("record_partition", ColumnKind::Unsigned, "partition of its record"),
        Column::new("record_offset", ColumnKind::Unsigned, "offset of its record"),
    ],
    key: 1,
    restore: Restore::FromRows,
    panel: Panel::None,
    version: 1,
};

/// What one tweet, or the page around it, states about a user. The derived order decides by the
/// version, whose fields come first in their order; the others only make it total.
///
/// A user is one of these for as long as the job lives. Fields are apart that other types hold
/// together, so that no byte is left between them: an `Option` of a number takes as much as two
/// numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Profile {
    tweet_id: u64,
    record_ms: u64,
    partition: u32,
    offset: u64,
    pub(crate) name: Text,
    has_friends: bool,
    friends: i64,
    has_followers: bool,
    followers: i64,
}

impl Profile {
    fn new(version: Version, name: Text, friends: Option<i64>, followers: Option<i64>) -> Self {
        let Version { tweet_id, record_ms, partition, offset } = version;
        Profile {
            tweet_id,
            record_ms,
            partition,
            offset,
            name,
            has_friends: friends.is_some(),
            friends: friends.unwrap_or_default(),
            has_followers: followers.is_some(),
            followers: followers.unwrap_or_default(),
        }
    }

    /// Accounts that the user follows, where that is said.
    pub(crate) fn friends(&self) -> Option<i64> {
        self.has_friends.then_some(self.friends)
    }

    /// Accounts that follow the user, where that is said.
    pub(crate) fn followers(&self) -> Option<i64> {
        self.has_followers.then_some(self.followers)
    }
}

/// The newest statement about each user.
pub type NewestUsers<'scope> = Counted<'scope, u64, Latest<Profile>>;

/// The newest statements as a function of the events; [`Inputs::users`] keeps them for all who read
/// them.
pub(crate) fn count<'scope>(inputs: &Inputs<'scope>) -> NewestUsers<'scope> {
    let seen = inputs.events.extract("users", |batch, seen| {
        for (event, epoch, difference) in batch {
            if let Some((version, user)) = statement(event)
                && *difference > 0
            {
                let name = user.name.clone();
                let profile = Profile::new(version, name, user.friends, user.followers);
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
    Box::new([
        Value::UInt(user_id),
        Value::Text(profile.name.clone()),
        Value::optional(profile.friends()),
        Value::optional(profile.followers()),
        Value::UInt(profile.tweet_id),
        Value::UInt(profile.record_ms),
        Value::UInt(u64::from(profile.partition)),
        Value::UInt(profile.offset),
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
    let profile = Profile::new(version, name, optional(2)?, optional(3)?);
    Some((number(0)?, Latest(profile)))
}

#[cfg(test)]
mod tests {
    use super::{Latest, Profile, Version, row, state};

    #[test]
    fn a_row_restores_to_what_it_was_made_from() {
        let version = Version { tweet_id: u64::MAX, record_ms: 1, partition: 2, offset: 3 };
        let unknown = Profile::new(version, "東京".into(), Some(-1), None);
        assert_eq!(state(&row(7, &unknown)), Some((7, Latest(unknown))));
    }

    /// 64 bytes of what a user may take; an arrangement adds key, epoch and the key's place.
    #[test]
    fn a_profile_is_small() {
        assert!(size_of::<Profile>() <= 64, "{}", size_of::<Profile>());
    }
}

//! `top_users(rank, user_id, username, nb_friends, nb_followers)`: the users who follow the most
//! accounts. Users whose number of friends is not known are not ranked.

use crate::operators::latest::Latest;
use crate::operators::top::{BOUNDS, Ranking, top};
use crate::tables::users::Profile;
use crate::{Changes, Inputs, Rows};
use types::Value;
use types::table::{Column, ColumnKind, Panel, Restore, Table};

/// The declaration.
pub const TABLE: Table = Table {
    name: "top_users",
    comment: "the 100 users who follow the most accounts",
    columns: &[
        Column::new("rank", ColumnKind::Unsigned, "from 1 on; ties by the account's number"),
        Column::new("user_id", ColumnKind::Unsigned, "the account's number"),
        Column::new("username", ColumnKind::Text(255), "shown name without emoji, or No name"),
        Column::new("nb_friends", ColumnKind::OptionalSigned, "accounts followed"),
        Column::new("nb_followers", ColumnKind::OptionalSigned, "followers; NULL = not said"),
    ],
    key: 1,
    restore: Restore::Derived,
    panel: Panel::Bars { label: &[2], value: 3 },
    version: 1,
};

/// The rows as a function of the users.
pub fn build<'scope>(inputs: &Inputs<'scope>, rows: &Rows<'scope>) -> Changes<'scope> {
    let ranking = Ranking {
        table: TABLE,
        bounds: BOUNDS,
        score: |_, profile: &Latest<Profile>| profile.0.friends(),
        row: |rank, user_id, profile| {
            let profile = &profile.0;
            Box::new([
                Value::UInt(rank),
                Value::UInt(*user_id),
                Value::Text(profile.name.clone()),
                Value::optional(profile.friends()),
                Value::optional(profile.followers()),
            ])
        },
    };
    top(inputs.users(), rows, ranking)
}

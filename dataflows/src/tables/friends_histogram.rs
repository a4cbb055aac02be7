//! `friends_histogram(bucket, users)`: how many users follow how many accounts.
//!
//! A bucket is named by its lower bound. Buckets are 250 wide up to 10,000; larger counts are
//! in the last one. So a chart has at most 41 bars from zero on, and the few large accounts do not
//! squeeze all others into the first. Users whose count is not said, or is below zero (it occurs),
//! are in no bucket.
//!
//! A user whose newest count moves it leaves the old bucket in the epoch in which it enters the
//! new.
//!
//! Restore: a function of `users`, which is restored from its rows; its own rows are not read.

use crate::operators::changes::{Changes, changes};
use crate::operators::latest::Latest;
use crate::{Epoch, Inputs, Rows, Shared};
use differential_dataflow::operators::CountTotal;
use std::collections::BTreeMap;
use types::Value;
use types::table::{Column, ColumnKind, Panel, Restore, Table};

/// The declaration.
pub const TABLE: Table = Table {
    name: "friends_histogram",
    comment: "how many users follow how many accounts; not those whose count is unknown or below 0",
    columns: &[
        Column::new(
            "bucket",
            ColumnKind::Unsigned,
            "from so many, 250 wide; 10000 = so many and more",
        ),
        Column::new("users", ColumnKind::Unsigned, "users whose newest count is in the bucket"),
    ],
    key: 1,
    restore: Restore::FromOthers,
    panel: Panel::Bars { label: &[0], value: 1 },
    version: 1,
};

/// Width of a bucket.
const WIDTH: u64 = 250;
/// The last bucket, which has no end.
const TOP: u64 = 10_000;

/// The rows as a function of the users.
pub fn build<'scope>(inputs: &Inputs<'scope>, rows: &Rows<'scope>) -> Changes<'scope> {
    let moved = inputs.users().sums.extract("buckets of users", |updates, moved| {
        // Most users stay in their bucket: add up before anything is sent.
        let mut sums = BTreeMap::<(u64, Epoch), i64>::new();
        for ((_, Latest(profile)), epoch, difference) in updates {
            if let Some(bucket) = profile.friends().and_then(bucket) {
                *sums.entry((bucket, *epoch)).or_default() += *difference as i64;
            }
        }
        let sums = sums.into_iter().filter(|(_, users)| *users != 0);
        moved.extend(sums.map(|((bucket, epoch), users)| (bucket, epoch, users)));
    });
    changes(
        &Shared::new(moved.count_total()),
        rows.number(),
        &TABLE,
        |bucket: &u64, users: &i64| [Value::UInt(*bucket), Value::count(*users)].into(),
    )
}

fn bucket(friends: i64) -> Option<u64> {
    let friends = u64::try_from(friends).ok()?.min(TOP);
    Some(friends - friends % WIDTH)
}

//! `top_hashtags(rank, hashtag, uses)`: the most used hashtags, for dashboards that must not sort
//! all of them.

use crate::operators::top::{BOUNDS, Ranking, top};
use crate::tables::hashtags;
use crate::{Changes, Inputs, Rows};
use types::table::{Column, ColumnKind, Panel, Restore, Table};
use types::{Row, Text, Value};

/// The declaration.
pub const TABLE: Table = Table {
    name: "top_hashtags",
    comment: "the 100 most used hashtags",
    columns: &[
        Column::new("rank", ColumnKind::Unsigned, "from 1 on; ties by the hashtag's bytes"),
        Column::new("hashtag", ColumnKind::Text(255), "as written, without #"),
        Column::new("uses", ColumnKind::Unsigned, "uses in the tweets that count"),
    ],
    key: 1,
    restore: Restore::Derived,
    panel: Panel::Bars { label: &[1], value: 2 },
    version: 1,
};

/// The rows as a function of the hashtags' uses.
pub fn build<'scope>(inputs: &Inputs<'scope>, rows: &Rows<'scope>) -> Changes<'scope> {
    let ranking = Ranking { table: TABLE, bounds: BOUNDS, score: |_, uses| Some(*uses), row };
    top(inputs.hashtags(), rows, ranking)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as a ranking wants it")]
fn row(rank: u64, tag: &Text, uses: &i64) -> Row {
    let [tag, uses] = hashtags::values(tag, *uses);
    [Value::UInt(rank), tag, uses].into()
}

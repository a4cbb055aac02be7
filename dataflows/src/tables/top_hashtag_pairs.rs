//! `top_hashtag_pairs(rank, hashtag_a, hashtag_b, uses)`: the hashtags that are most used together.

use crate::operators::top::{BOUNDS, Ranking, top};
use crate::tables::hashtag_pairs;
use crate::tables::hashtag_pairs::Pair;
use crate::{Changes, Inputs, Rows};
use types::table::{Column, ColumnKind, Panel, Restore, Table};
use types::{Row, Value};

/// The declaration.
pub const TABLE: Table = Table {
    name: "top_hashtag_pairs",
    comment: "the 100 pairs of hashtags that are most used together",
    columns: &[
        Column::new("rank", ColumnKind::Unsigned, "from 1 on; ties by the hashtags' bytes"),
        Column::new(
            "hashtag_a",
            ColumnKind::Text(255),
            "as written, without #; the less one by bytes",
        ),
        Column::new("hashtag_b", ColumnKind::Text(255), "the other one"),
        Column::new("uses", ColumnKind::Unsigned, "tweets that use both"),
    ],
    key: 1,
    restore: Restore::Derived,
    panel: Panel::Bars { label: &[1, 2], value: 3 },
    version: 1,
};

/// The rows as a function of the pairs' uses.
pub fn build<'scope>(inputs: &Inputs<'scope>, rows: &Rows<'scope>) -> Changes<'scope> {
    let ranking = Ranking { table: TABLE, bounds: BOUNDS, score: |_, uses| Some(*uses), row };
    top(inputs.pairs(), rows, ranking)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as a ranking wants it")]
fn row(rank: u64, pair: &Pair, uses: &i64) -> Row {
    let [a, b, uses] = hashtag_pairs::values(pair, *uses);
    [Value::UInt(rank), a, b, uses].into()
}

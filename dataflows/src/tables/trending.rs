//! `trending(rank, hashtag, uses_now, uses_before, score)`: hashtags that are used more in the last
//! N minutes than in the N before.
//!
//! "Now" ends with the newest minute that was seen, not with a clock: the same tweets give the same
//! rows, also of an archive and after a restart.
//!
//! Score: `100 × (now − before)² ÷ (now + before)`, rounded down; hashtags that do not rise have
//! none. That is the chi-squared statistic of the question whether two counts come from the same
//! rate, times 100: 384 is the usual 5 % level. So growth counts for more the less chance explains
//! it: a hashtag that doubles from 100 to 200 (3333) stands before one that comes from 0 to 5
//! (500), and a single use (100) before none. It is a whole number, so equal counts have equal
//! scores on every machine, and ties are broken by the hashtag's bytes: nothing moves but what was
//! used.
//!
//! The two windows are the uses of the last N and of the last 2 N minutes, both `within` a floor of
//! their own: an epoch costs what changed in it, and a new minute what stands in the minutes that
//! change sides.
//!
//! Restore: from the rows of `hashtags_by_minute`; see `top`.

use crate::operators::counted::Counted;
use crate::operators::top::{BOUNDS, Ranking, top};
use crate::operators::windowed_sums::windowed_sums;
use crate::tables::hashtags_by_minute::MinuteUses;
use crate::{Changes, Epoch, Inputs, Rows, Shared};
use differential_dataflow::VecCollection;
use timely::dataflow::channels::pact::Pipeline;
use types::table::{Column, ColumnKind, Panel, Restore, Table};
use types::{Row, Text, Value};

/// The declaration.
pub const TABLE: Table = Table {
    name: "trending",
    comment: "the 100 hashtags that rise most, by event time",
    columns: &[
        Column::new("rank", ColumnKind::Unsigned, "from 1 on; ties by the hashtag's bytes"),
        Column::new("hashtag", ColumnKind::Text(255), "as written, without #"),
        Column::new("uses_now", ColumnKind::Unsigned, "uses in the last N minutes"),
        Column::new("uses_before", ColumnKind::Unsigned, "uses in the N minutes before"),
        Column::new(
            "score",
            ColumnKind::Unsigned,
            "100 (now - before)² / (now + before), rounded down",
        ),
    ],
    key: 1,
    restore: Restore::Derived,
    panel: Panel::Bars { label: &[1], value: 4 },
    version: 1,
};

/// Uses now and before.
type Trend = (i64, i64);

/// The rows as a function of the uses by minute.
pub fn build<'scope>(inputs: &Inputs<'scope>, rows: &Rows<'scope>) -> Changes<'scope> {
    let minutes = inputs.settings.trend_minutes;
    // What a span of 0 keeps is the newest minute alone.
    let last = |uses: &MinuteUses<'scope>, span: u32, name| {
        let floor = (inputs.newest_minute(), span.saturating_sub(1));
        Shared::new(windowed_sums(updates(uses), floor, Pipeline, name))
    };
    let both = last(inputs.minutes(), minutes.saturating_mul(2), "trending: both windows");
    let now = last(&both, minutes, "trending: now");
    let of_now = trends(&now, |uses| (uses, -uses));
    let of_both = trends(&both, |uses| (0, uses));
    let trends = Counted::new(of_now.concat(of_both), TABLE.name);
    top(&trends, rows, Ranking { table: TABLE, bounds: BOUNDS, score, row })
}

/// Sums as what has to be added to them.
fn updates<'scope>(uses: &MinuteUses<'scope>) -> VecCollection<'scope, Epoch, (u32, Text), i64> {
    uses.extract("sums as updates", |sums, updates| {
        let sums = sums.iter();
        updates.extend(sums.map(|((pair, sum), epoch, difference)| {
            (pair.clone(), *epoch, sum * *difference as i64)
        }));
    })
}

/// What sums by minute add to the trends of their hashtags.
fn trends<'scope>(
    uses: &MinuteUses<'scope>,
    trend: impl Fn(i64) -> Trend + 'static,
) -> VecCollection<'scope, Epoch, Text, Trend> {
    uses.extract("trends", move |sums, trends| {
        let sums = sums.iter();
        trends.extend(sums.map(|(((_, tag), sum), epoch, difference)| {
            (tag.clone(), *epoch, trend(sum * *difference as i64))
        }));
    })
}

fn score(_tag: &Text, (now, before): &Trend) -> Option<u64> {
    let rise = u128::try_from(now - before).ok().filter(|rise| *rise > 0)?;
    let uses = u128::try_from(now + before).ok()?;
    u64::try_from((100 * rise * rise).checked_div(uses)?).ok()
}

fn row(rank: u64, tag: &Text, trend: &Trend) -> Row {
    let score = Value::UInt(score(tag, trend).expect("what is ranked has a score"));
    [
        Value::UInt(rank),
        Value::Text(tag.clone()),
        Value::count(trend.0),
        Value::count(trend.1),
        score,
    ]
    .into()
}

//! `freshness`: how far behind the tables are, as rows, for charts.
//!
//! One row for the whole job (`all`), one for each partition. The program writes them from what it
//! measures; they are no function of the tweets, nothing reads them back, and `verify` does not
//! compare them.

use types::table::{Column, ColumnKind, Panel, Restore, Table};

/// The declaration.
pub const TABLE: Table = Table {
    name: "freshness",
    comment: "how far behind all tables are, for charts; at most once a second",
    columns: &[
        Column::new("place", ColumnKind::Text(20), "a partition's number, or all"),
        Column::new("partition_id", ColumnKind::OptionalSigned, "the partition; NULL = all"),
        Column::new("as_of", ColumnKind::Timestamp, "all records read before it are counted, UTC"),
        Column::new("commit_no", ColumnKind::Unsigned, "the commit that wrote the row"),
        Column::new(
            "records_behind",
            ColumnKind::OptionalSigned,
            "what the topic holds beyond; of --files bytes; NULL = unknown",
        ),
        Column::new(
            "p50_ms",
            ColumnKind::OptionalSigned,
            "of the last 5 minutes half the commits' newest records were in the tables so soon; NULL = none",
        ),
        Column::new("p99_ms", ColumnKind::OptionalSigned, "the same, 99 of 100"),
    ],
    key: 1,
    restore: Restore::Stateless,
    panel: Panel::None,
    version: 1,
};

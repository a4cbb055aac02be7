//! `docs/tables.md` and `docs/metrics.md` are written from the declarations in the code.
//!
//! `TWEETFLOW_WRITE_DOCS=1 cargo test --workspace --test it docs::` writes it anew; otherwise a
//! difference fails.

use std::fmt::Write;
use types::Table;
use types::table::ColumnKind;

const HEAD: &str = "\
# Tables

Written from the declarations in the code; see the test `tests/it/docs.rs`. `tweetflow schema` prints
the DDL. Text compares byte by byte (`utf8mb4_bin`): `Rust` and `rust` are two hashtags. Missing
tables are made at the start; nothing that exists is altered or dropped.

A commit changes all tables in one transaction, so that a reader who reads several of them in one
transaction sees them at the same moment of the stream.

## tweetflow_commit

One row, the job's: the fence against a second writer, and as of when the tables are.

| column | holds | meaning |
|---|---|---|
| `job` (key) | text, at most 64 characters | name of the job |
| `generation` | unsigned 64-bit number | raised by each start |
| `commit_no` | unsigned 64-bit number | raised by each commit |
| `as_of` | moment in UTC, to the microsecond, or NULL | all records read before it are counted |
| `fingerprint` | text | the settings that decide what the rows are |
| `writer` | unsigned 64-bit number | a random number of the process that writes, new at each start |

On a quiet topic a commit every 10 s moves `as_of`. An old `as_of` therefore means that the program
does not run or cannot commit. While the machine's clock is set back, `as_of` goes on at half speed until
that clock has caught up.
";

fn holds(kind: ColumnKind) -> String {
    match kind {
        ColumnKind::Unsigned => "unsigned 64-bit number".to_owned(),
        ColumnKind::OptionalSigned => "signed 64-bit number, or NULL".to_owned(),
        ColumnKind::Text(length) => format!("text, at most {length} characters"),
        ColumnKind::Timestamp => "moment in UTC, to the millisecond".to_owned(),
        ColumnKind::Flag => "0 or 1".to_owned(),
        ColumnKind::Bytes(length) => format!("at most {length} bytes"),
    }
}

fn section(table: &Table) -> String {
    let mut text = format!("\n## {}\n\n", table.name);
    let more = match table.name {
        "floors" => FLOORS,
        "late_acts" => LATE_ACTS,
        _ => "",
    };
    let mut sentence = table.comment.chars();
    let first = sentence.next().unwrap().to_uppercase();
    writeln!(text, "{first}{}.\n", sentence.as_str()).unwrap();
    text.push_str("| column | holds | meaning |\n|---|---|---|\n");
    for (index, column) in table.columns.iter().enumerate() {
        let key = if index < table.key { " (key)" } else { "" };
        let (name, comment) = (column.name, column.comment);
        writeln!(text, "| `{name}`{key} | {} | {comment} |", holds(column.kind)).unwrap();
    }
    text + more
}

const FLOORS: &str = "
| row | `newest` |
|---|---|
| `minutes` | the newest minute in which a tweet was written, since 1970, as far as two clocks of its record bear it out |
| `tweets` | the newest tweet id that another clock of its record bears out, read with a ledger; 0 if there is none |
| `ledger` | its floor: of tweets below this id nothing is remembered |
| `span` | 2⁶⁴ - 1 less the smallest span of the ledger so far, in milliseconds; there is none if there never was a ledger |
| `forgotten` | the newest such tweet id that was read without a ledger, or remembered by one that was switched off or forgotten |
| `memory` | twice the number of the ledger's memory, and 1 more while there is no ledger; the number rises when the ledger is switched on or off or forgotten |
";

const LATE_ACTS: &str = "
| `kind` | meaning |
|---|---|
| `late` | in these records all acts on tweet ids below `below` were late: a tweet counted, a delete or an edit was ignored |
| `not_recorded` | late acts in these records have no rows: an earlier version counted them, or there were more than 10,000 rows of the partition |
| `ledger_on`, `ledger_off` | from `first_offset` on there is a ledger, or none |
| `forgotten` | from `first_offset` on the ledger remembers nothing of what was before |
";

const METRICS_HEAD: &str = "\
# Metrics

Written from the code; see the test `tests/it/docs.rs`. Served at `/metrics` by `run --listen PORT` and
`demo`. Each has the labels `job` and `topic`. Alert on `tweetflow_ready == 0`, on an old
`tweetflow_as_of_timestamp_seconds`, on `tweetflow_lag` that grows, and on new
`tweetflow_dead_letters`.

| metric | type | further labels | meaning |
|---|---|---|---|
";

#[test]
fn the_metrics_are_described() {
    let line = |metric: &server::MetricDoc| {
        let (name, kind, labels) = (metric.full_name(), metric.type_name(), metric.labels());
        format!("| `{name}` | {kind} | {labels} | {} |\n", metric.help)
    };
    let lines = server::METRICS.iter().map(line).collect::<Vec<_>>();
    compare("docs/metrics.md", &format!("{METRICS_HEAD}{}", lines.concat()));
}

#[test]
fn the_tables_are_described() {
    let sections =
        dataflows::catalogue::Tables::every().all().iter().map(section).collect::<String>();
    compare("docs/tables.md", &format!("{HEAD}{sections}"));
}

fn compare(path: &str, text: &str) {
    if std::env::var_os("TWEETFLOW_WRITE_DOCS").is_some() {
        std::fs::write(path, text).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == text,
        "{path} is not what the declarations say; see the header of tests/it/docs.rs"
    );
}

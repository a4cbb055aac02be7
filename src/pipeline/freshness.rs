//! `freshness`: how far behind the tables are, as rows, for charts.
//!
//! One row for the whole job (`all`), one for each partition. All tables move together in one
//! commit, so that a row holds for each of them. The committer writes them at most once a second,
//! into a transaction that it commits anyway: never one of its own, so a quiet topic has them with
//! the heartbeat. They are no state: nothing reads them back, `verify` does not compare them, and a
//! start that changes no other row writes none.
//!
//! The percentiles are of the commits before, because the one that holds them is not committed yet.

use monitor::freshness::ages;
use monitor::{Monitor, PartitionLag, Percentiles, Samples};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use types::transaction::{Position, Transaction};
use types::{Row, Value};

/// At most one set of rows in this time.
const PACE: Duration = Duration::from_secs(1);
/// Over how long percentiles are.
const WINDOW: Duration = Duration::from_mins(5);

/// What the rows are made of.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    all: Samples,
    partitions: BTreeMap<u32, Samples>,
    /// The last record of each partition.
    newest: BTreeMap<u32, u64>,
    written: Option<Instant>,
    has_committed: bool,
}

impl Freshness {
    /// Adds the rows to a transaction that will be committed on top of `at`, if it is time for
    /// them.
    pub(super) fn add(
        &mut self,
        transaction: &mut Transaction,
        table: u8,
        at: Position,
        monitor: &Monitor,
    ) {
        let is_due = self.written.is_none_or(|written| written.elapsed() >= PACE);
        // The first commit of a start may be a heartbeat.
        if !is_due || (!self.has_committed && transaction.rows() == 0) {
            return;
        }
        self.written = Some(Instant::now());
        let (as_of, commit_no) = (transaction.as_of, at.next().commit_no);
        let rows = self.rows(as_of, commit_no, &monitor.partitions());
        transaction.tables[usize::from(table)].upserts = rows;
    }

    /// Notes what a transaction that is committed has brought.
    pub(super) fn committed(&mut self, transaction: &Transaction, progress_table: u8) {
        self.has_committed = true;
        for (partition, age) in ages(transaction, progress_table, &mut self.newest) {
            self.all.push(age);
            self.partitions.entry(partition).or_default().push(age);
        }
    }

    /// The rows by key.
    fn rows(&mut self, as_of: i64, commit_no: u64, places: &[PartitionLag]) -> Vec<Row> {
        let whole = places.iter().map(PartitionLag::lag).sum::<Option<u64>>();
        let whole = whole.filter(|_| !places.is_empty());
        let mut row = |place: Option<&PartitionLag>, lag: Option<u64>| -> Row {
            let partition = place.map(|place| place.partition);
            let samples = match partition {
                Some(partition) => self.partitions.entry(partition).or_default(),
                None => &mut self.all,
            };
            let percentiles = samples.percentiles(WINDOW);
            #[allow(clippy::cast_possible_truncation, reason = "milliseconds for people")]
            let rounded = |of: fn(Percentiles) -> f64| {
                Value::optional(percentiles.map(|ms| of(ms).round() as i64))
            };
            let name = partition.map_or("all".to_owned(), |partition| partition.to_string());
            Box::new([
                Value::Text(name.into()),
                Value::optional(partition.map(i64::from)),
                Value::Timestamp(as_of / 1000),
                Value::UInt(commit_no),
                Value::optional(lag.map(u64::cast_signed)),
                rounded(|ms| ms.p50),
                rounded(|ms| ms.p99),
            ])
        };
        let mut rows = vec![row(None, whole)];
        rows.extend(places.iter().map(|place| row(Some(place), place.lag())));
        rows.sort();
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::Freshness;
    use dataflows::catalogue::Tables;
    use monitor::{Monitor, now_ms};
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};
    use types::transaction::{Position, TableChanges, Transaction};
    use types::{Row, Value};

    /// A transaction in which partition 3 comes to offset 10 by a record of two seconds ago.
    fn transaction(tables: &Tables, is_empty: bool) -> Transaction {
        let mut changes = vec![TableChanges::default(); tables.all().len()];
        let mut row: Row = vec![Value::Null; 11].into();
        row[0] = Value::Text("t".into());
        row[10] = Value::Text("".into());
        for (column, number) in (1..).zip([3, 0, 10, 10]) {
            row[column] = Value::UInt(number);
        }
        for (column, number) in (5..).zip([9, now_ms() - 2_000, 0]) {
            row[column] = Value::Int(number);
        }
        if !is_empty {
            changes[usize::from(tables.progress())].upserts = vec![row];
        }
        Transaction { as_of: 5_000_000, tables: changes }
    }

    #[test]
    fn rows_are_written_with_other_rows_and_not_too_often() {
        let (tables, monitor) = (Tables::default(), Monitor::default());
        monitor.begin(tables.all());
        let number = tables.freshness().expect("it is on by default");
        let mut freshness = Freshness::default();
        let mut position = Position { generation: 1, commit_no: 0, writer: 0 };
        let mut commit = |written: &mut Freshness, is_empty| {
            let mut transaction = transaction(&tables, is_empty);
            written.add(&mut transaction, number, position, &monitor);
            position = position.next();
            monitor.committed(&transaction, position, Duration::ZERO);
            written.committed(&transaction, tables.progress());
            std::mem::take(&mut transaction.tables[usize::from(number)].upserts)
        };
        // A start that changes nothing, then the heartbeat of a quiet topic.
        assert_eq!(commit(&mut freshness, true), Vec::<Row>::new());
        let rows = commit(&mut freshness, true);
        assert_eq!((rows.len(), &rows[0][0]), (1, &Value::Text("all".into())));
        assert_eq!(commit(&mut freshness, false), Vec::<Row>::new(), "too early");
        monitor.ends(Some(BTreeMap::from([(3, 25)])));
        freshness.written = Instant::now().checked_sub(Duration::from_secs(2));
        let with_partition = commit(&mut freshness, true);
        let row = |name: &str, partition| -> Vec<Value> {
            let values = [Value::Timestamp(5_000), Value::UInt(4), Value::Int(15)];
            [Value::Text(name.into()), partition].into_iter().chain(values).collect()
        };
        assert_eq!(with_partition[0][..5], row("3", Value::Int(3)));
        assert_eq!(with_partition[1][..5], row("all", Value::Null));
        for written in &with_partition {
            assert!((2_000..9_000).contains(&written[5].as_i64().expect("known")), "{written:?}");
        }
    }
}

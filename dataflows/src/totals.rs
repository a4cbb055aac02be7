//! `totals(name, records)`: how many records of each kind were read: tweets that count, tweets that
//! the filter left out, and the stream's other messages by kind.
//!
//! Together with the dead letters these are all records: per partition, nothing is unaccounted for.
//!
//! Restore: a row's number is the difference that its records add up to.

use crate::changes::{Changes, changes};
use crate::table::{Column, Kind, Restore, Table};
use crate::{Events, Rows, Value};
use differential_dataflow::operators::CountTotal;

/// The declaration.
pub const TABLE: Table = Table {
    name: "totals",
    comment: "records read, by kind",
    columns: &[
        Column::new("name", Kind::Text(64), "kind of record"),
        Column::new("records", Kind::Unsigned, "how many were read"),
    ],
    key: 1,
    restore: Restore::FromRows,
    version: 1,
};

/// The rows as a function of the events.
pub fn build<'scope>(events: &Events<'scope>, rows: &Rows<'scope>) -> Changes<'scope> {
    let read = events.extract("kinds of records", |batch, read| {
        // All updates of a batch fall on a handful of keys: add up before anything is sent.
        for (event, epoch, difference) in batch {
            let (name, difference) = (event.kind().name(), *difference as i64);
            match read.iter_mut().find(|(key, time, _)| *key == name && time == epoch) {
                Some((.., sum)) => *sum += difference,
                None => read.push((name, *epoch, difference)),
            }
        }
    });
    let restored = rows.restore(|row| match &row[..] {
        [Value::Text(name), Value::UInt(records)] => {
            Some((String::from(&**name), i64::try_from(*records).ok()?))
        }
        _ => None,
    });
    let counted = read.map(String::from).concat(restored).count_total();
    changes(counted, &TABLE, |name: &String, records: &i64| {
        let records = u64::try_from(*records).expect("no kind is read less than zero times");
        [Value::Text(name.as_str().into()), Value::UInt(records)].into()
    })
}

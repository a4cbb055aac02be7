//! `totals(name, records)`: what was read, by kind: tweets that count, tweets that the filter left
//! out, users that pages list beside their tweets, and the stream's other messages.
//!
//! A tweet whose time is not its own adds one to `time_from_record` or `time_unknown` as well.
//! Every record adds at least one here, or is a dead letter: nothing is unaccounted for. A page of
//! the second API adds one for each of its tweets and users.
//!
//! Restore: a row's number is the difference that its records add up to.

use crate::changes::{Changes, changes};
use crate::table::{Column, Kind, Panel, Restore, Table};
use crate::{Inputs, Rows, Value};
use differential_dataflow::operators::CountTotal;

/// The declaration.
pub const TABLE: Table = Table {
    name: "totals",
    comment: "what was read, by kind",
    columns: &[
        Column::new("name", Kind::Text(64), "tweets, users, or a kind of message"),
        Column::new("records", Kind::Unsigned, "how many were read"),
    ],
    key: 1,
    restore: Restore::FromRows,
    panel: Panel::Numbers,
    version: 1,
};

/// The rows as a function of the events.
pub fn build<'scope>(inputs: &Inputs<'scope>, rows: &Rows<'scope>) -> Changes<'scope> {
    let read = inputs.events.extract("kinds of records", |batch, read| {
        // All updates of a batch fall on a handful of keys: add up before anything is sent.
        for (event, epoch, difference) in batch {
            for kind in [event.kind()].into_iter().chain(event.remark()) {
                let (name, difference) = (kind.name(), *difference as i64);
                match read.iter_mut().find(|(key, time, _)| *key == name && time == epoch) {
                    Some((.., sum)) => *sum += difference,
                    None => read.push((name, *epoch, difference)),
                }
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

//! `totals(name, records)`: what was read, by kind: tweets that count, tweets that the filter left
//! out, users that pages list beside their tweets, and the stream's other messages.
//!
//! A tweet that was read and whose time is not its own adds one to `time_from_record` or
//! `time_unknown` as well; a tweet or delete whose id claims a later time than its other clocks
//! bear out ([`types::clock`]) one to `clock_ahead`. Every record adds at least one here, or is a
//! dead letter: nothing is unaccounted for. A page of the second API adds one for each of its
//! tweets and users. With a ledger the tweets that were read are told apart: those that count,
//! those that were deleted, earlier versions of edited ones, and what stood in the topic again.
//! Tweets and deletes that were dead letters before add one to `retried` as well: those that came
//! too late may then be anything ([`crate::operators::ledger`]), which a recount must know.
//!
//! Restore: a row's number is the difference that its records add up to.

use crate::live_tweets::LiveTweets;
use crate::operators::changes::{Changes, changes};
use crate::operators::ledger::Effect;
use crate::{Epoch, Inputs, Rows, Shared};
use differential_dataflow::operators::CountTotal;
use types::table::{Column, ColumnKind, Panel, Restore, Table};
use types::{Event, Value, event};

/// The declaration.
pub const TABLE: Table = Table {
    name: "totals",
    comment: "what was read, by kind",
    columns: &[
        Column::new("name", ColumnKind::Text(64), "tweets, users, or a kind of message"),
        Column::new("records", ColumnKind::Unsigned, "how many were read"),
    ],
    key: 1,
    restore: Restore::FromRows,
    panel: Panel::Numbers,
    version: 2,
};

/// The rows as a function of the events.
pub fn build<'scope>(inputs: &Inputs<'scope>, rows: &Rows<'scope>) -> Changes<'scope> {
    let is_kept = matches!(inputs.live_tweets, LiveTweets::Kept(_));
    let mut read = inputs.events.extract("kinds of records", move |batch, names| {
        for (event, epoch, difference) in batch {
            // With a ledger, that of a tweet is what the ledger makes of it.
            let own =
                Some(event.kind()).filter(|kind| *kind != event::EventKind::Tweet || !is_kept);
            for kind in own.into_iter().chain(event.remarks()) {
                add(names, kind.name(), *epoch, *difference);
            }
        }
    });
    read = read.concat(inputs.retried.extract("retried acts", |batch, names| {
        for (event, epoch, difference) in batch {
            if matches!(event, Event::Tweet(_) | Event::Delete { .. }) {
                add(names, "retried", *epoch, *difference);
            }
        }
    }));
    if let LiveTweets::Kept(effects) = &inputs.live_tweets {
        read = read.concat(effects.extract("kinds of posts", |batch, names| {
            for ((_, effect), epoch, difference) in batch {
                let name = match effect {
                    Effect::Counts(_) => event::EventKind::Tweet.name(),
                    Effect::Deleted => "deleted",
                    Effect::Superseded => "superseded",
                    Effect::Duplicate => "duplicates",
                    Effect::LatePost => "late_posts",
                    Effect::LateDelete => "late_deletes",
                    Effect::LateEdit => "late_edits",
                };
                add(names, name, *epoch, *difference);
            }
        }));
    }
    let restored = rows.restore(|row| match &row[..] {
        [Value::Text(name), Value::UInt(records)] => {
            Some((String::from(&**name), i64::try_from(*records).ok()?))
        }
        _ => None,
    });
    let counted = read.map(String::from).concat(restored).count_total();
    changes(&Shared::new(counted), rows.number(), &TABLE, |name: &String, records: &i64| {
        [Value::Text(name.as_str().into()), Value::count(*records)].into()
    })
}

/// All updates of a batch fall on a handful of keys: they are added up before anything is sent.
fn add(read: &mut Vec<(&'static str, Epoch, i64)>, name: &'static str, at: Epoch, count: isize) {
    let count = count as i64;
    match read.iter_mut().find(|(key, time, _)| *key == name && *time == at) {
        Some((.., sum)) => *sum += count,
        None => read.push((name, at, count)),
    }
}

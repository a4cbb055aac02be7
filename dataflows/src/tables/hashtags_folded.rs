//! `hashtags_folded(hashtag, uses, shown_as)`: hashtags that differ only in how they are written,
//! as one: `#Rust` and `#rust` add up.
//!
//! What falls together is the fold's word ([`crate::Fold`]), a pure text rule that is handed in, so
//! that this crate knows no Unicode tables. It is applied to the sums of `hashtags` and not to
//! tweets: once for each hashtag that a batch changes, and to restored rows by the same line of
//! code. Shown is the most used spelling; of equally used ones the first by bytes.
//!
//! State: each spelling with its uses, by folded hashtag; an operator of its own, because `reduce`
//! would keep the same twice. A sum that changes is a difference here, in any order within an
//! epoch.
//!
//! Restore: a function of `hashtags`, which is restored from its rows; its own rows are not read.

use crate::operators::changes::Changes;
use crate::operators::epoch_buffer::EpochBuffer;
use crate::{Epoch, Fold, Inputs, RESTORED, Rows};
use differential_dataflow::VecCollection;
use differential_dataflow::hashable::Hashable;
use foldhash::HashMap;
use smallvec::SmallVec;
use std::cmp::Reverse;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::operator::Operator;
use types::table::{Column, ColumnKind, Panel, Restore, Table};
use types::{Change, Row, Text, Value};

/// The declaration.
pub const TABLE: Table = Table {
    name: "hashtags_folded",
    comment: "hashtags that differ only in how they are written, as one",
    columns: &[
        Column::new(
            "hashtag",
            ColumnKind::Text(255),
            "folded: small letters, one form of each sign",
        ),
        Column::new("uses", ColumnKind::Unsigned, "uses of all its spellings"),
        Column::new("shown_as", ColumnKind::Text(255), "the most used spelling; ties by bytes"),
    ],
    key: 1,
    restore: Restore::FromOthers,
    panel: Panel::None,
    version: 1,
};

/// The rows as a function of the hashtags' uses.
pub fn build<'scope>(inputs: &Inputs<'scope>, rows: &Rows<'scope>) -> Changes<'scope> {
    let number = rows.number();
    let by_hashtag = Exchange::new(|((hashtag, _), ..): &(Spelled, Epoch, i64)| hashtag.hashed());
    folded(inputs).inner.unary_frontier(by_hashtag, TABLE.name, move |_, _| {
        let (mut spellings, mut buffer) = (Spellings::default(), EpochBuffer::default());
        move |(input, frontier), output| {
            let port = output.output_index();
            input.for_each(|capability, differences| {
                for (spelled, epoch, uses) in differences.drain(..) {
                    if epoch == RESTORED {
                        // All that the tables hold, and no row of it changes: it does not wait.
                        spellings.add(spelled, uses);
                        continue;
                    }
                    let held = |at: &Epoch| capability.delayed(at, port);
                    buffer.open(epoch, held).push((spelled, uses));
                }
            });
            let until = frontier.frontier().first().copied();
            while let Some((epoch, capability, differences)) = buffer.pop_complete(until) {
                let mut session = output.session(&capability);
                for hashtag in spellings.add_all(differences) {
                    session.give((number, spellings.change(hashtag), epoch));
                }
            }
        }
    })
}

/// A folded hashtag and one of its spellings; empty: it is the folded form itself, as for most.
type Spelled = (Text, Text);

/// How many more or fewer uses the spellings have, folded where that arises.
fn folded<'scope>(inputs: &Inputs<'scope>) -> VecCollection<'scope, Epoch, Spelled, i64> {
    let fold: Fold = inputs.fold;
    inputs.hashtags().sums.extract("fold", move |updates, folded| {
        let mut give = |(tag, epoch, uses): (&str, Epoch, i64)| {
            if uses != 0 {
                let hashtag = fold(tag);
                let spelling = if *hashtag == *tag { Text::new() } else { tag.into() };
                folded.push(((hashtag, spelling), epoch, uses));
            }
        };
        // The old sum and the new one mostly stand beside each other.
        let mut last: Option<(&str, Epoch, i64)> = None;
        for ((tag, uses), epoch, difference) in updates {
            let uses = uses * *difference as i64;
            match &mut last {
                Some(last) if *last.0 == **tag && last.1 == *epoch => last.2 += uses,
                _ => {
                    if let Some(passed) = last.replace((tag, *epoch, uses)) {
                        give(passed);
                    }
                }
            }
        }
        if let Some(passed) = last {
            give(passed);
        }
    })
}

/// A spelling, empty where it is the folded hashtag itself, and its uses.
type Spelling = (Text, i64);

/// Each spelling and its uses, by folded hashtag. Nearly all have one: it has no list of its own.
#[derive(Default)]
struct Spellings(HashMap<Text, SmallVec<[Spelling; 1]>>);

impl Spellings {
    fn add(&mut self, (hashtag, spelling): Spelled, uses: i64) {
        let held = self.0.entry(hashtag).or_default();
        match held.iter_mut().find(|(held, _)| *held == spelling) {
            Some((_, sum)) => *sum += uses,
            None => held.push((spelling, uses)),
        }
    }

    /// Returns the hashtags that may have other rows now, each once.
    fn add_all(&mut self, differences: Vec<(Spelled, i64)>) -> Vec<Text> {
        let mut changed = Vec::with_capacity(differences.len());
        for (spelled, uses) in differences {
            changed.push(spelled.0.clone());
            self.add(spelled, uses);
        }
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// The row that a hashtag has, or that it has none. Spellings without a use are forgotten.
    fn change(&mut self, hashtag: Text) -> Change {
        let held = self.0.entry(hashtag.clone()).or_default();
        held.retain(|(_, uses)| *uses != 0);
        let rank = |(spelling, uses): &&Spelling| {
            let bytes = if spelling.is_empty() { &hashtag } else { spelling };
            (*uses, Reverse(bytes.clone()))
        };
        let sum: i64 = held.iter().map(|(_, uses)| uses).sum();
        let Some((shown, _)) = held.iter().max_by_key(rank) else {
            self.0.remove(&hashtag);
            return Change::Delete([Value::Text(hashtag)].into());
        };
        let shown = if shown.is_empty() { hashtag.clone() } else { shown.clone() };
        let row: Row = [Value::Text(hashtag), Value::count(sum), Value::Text(shown)].into();
        Change::Upsert(row)
    }
}

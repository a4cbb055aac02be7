//! From a maintained collection to what a database must be told.
//!
//! `count_total` says "the old row goes, the new row comes"; a table with a primary key only needs
//! the new row, and a delete where none comes. This operator pairs the two while they still stand
//! side by side, before rows are built, sent and sorted.
//!
//! Invariant: per key and epoch at most one row goes and one comes. Pairing is an optimisation and
//! may miss a pair that two messages split: then a delete and an upsert of the key stand at the
//! same epoch, and the upsert is the newer one (see the order of [`Change`]).
//!
//! It does not net epochs; the commit batcher of the program does.

use crate::{Epoch, RESTORED, Shared, TableChange};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::operator::Operator;
use types::table::{Restore, Table};
use types::value::{Change, Row};

/// The changes of one table, each with the table's number and its epoch.
pub type Changes<'scope> = StreamVec<'scope, Epoch, TableChange>;

/// The changes of table number `number`, whose rows are `row(key, value)` for each pair of
/// `counted`, where `counted` holds at most one pair per key (as the output of `count_total` does).
pub fn changes<'scope, K, V>(
    counted: &Shared<'scope, (K, V)>,
    number: u8,
    table: &Table,
    row: impl Fn(&K, &V) -> Row + 'static,
) -> Changes<'scope>
where
    K: Clone + Eq + 'static,
    V: Clone + Eq + 'static,
{
    let (name, width) = (table.name, table.key);
    let skip_restored = matches!(table.restore, Restore::FromRows | Restore::FromOthers);
    counted.stream().unary(Pipeline, name, move |_, _| {
        move |input, output| {
            input.for_each(|capability, updates| {
                let mut session = output.session(&capability);
                let delete = |(key, value): &(K, V), time| {
                    (number, Change::Delete(row(key, value)[..width].into()), time)
                };
                let mut going: Option<(&(K, V), Epoch)> = None;
                for (coming, time, difference) in updates.iter() {
                    if skip_restored && *time == RESTORED {
                        continue;
                    }
                    if *difference < 0 {
                        if let Some((gone, since)) = going.replace((coming, *time)) {
                            session.give(delete(gone, since));
                        }
                        continue;
                    }
                    assert_eq!(*difference, 1, "a key of {name} has several rows");
                    if let Some((gone, since)) = going.take() {
                        if gone.0 != coming.0 || since != *time {
                            session.give(delete(gone, since));
                        } else if gone.1 == coming.1 {
                            continue;
                        }
                    }
                    session.give((number, Change::Upsert(row(&coming.0, &coming.1)), *time));
                }
                if let Some((gone, since)) = going.take() {
                    session.give(delete(gone, since));
                }
            });
        }
    })
}

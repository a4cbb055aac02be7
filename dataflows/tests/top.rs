//! Rankings against a plain sort, with far more keys than are kept: floors, and sums read again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::trivially_copy_pass_by_ref, reason = "what a ranking is made of")]

use dataflows::operators::counted::Counted;
use dataflows::operators::top::{Bounds, Ranking, top};
use dataflows::{Epoch, RestoredRows, Rows, TableChange, Unreadable};
use differential_dataflow::input::Input;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use timely::dataflow::operators::{Inspect, Probe};
use types::table::{Column, ColumnKind, Panel, Restore, Table};
use types::{Change, Restored, Row, Value};

const TABLE: Table = Table {
    name: "top",
    comment: "",
    columns: &[
        Column::new("rank", ColumnKind::Unsigned, ""),
        Column::new("key", ColumnKind::Unsigned, ""),
    ],
    key: 1,
    restore: Restore::Derived,
    panel: Panel::None,
    version: 1,
};
const BOUNDS: Bounds = Bounds { shown: 4, kept: 8 };
const EPOCHS: Epoch = 30;

/// Key, epoch, difference.
type Update = (u64, Epoch, i64);

fn score(key: &u64, sum: &i64) -> Option<i64> {
    (!key.is_multiple_of(7)).then_some(*sum)
}

fn row(rank: u64, key: &u64, sum: &i64) -> Row {
    [Value::UInt(rank), Value::UInt(*key), Value::Int(*sum)].into()
}

fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Keys rise for two epochs and fall in the third.
fn updates(seed: u64) -> Vec<Update> {
    let mut state = seed;
    let mut updates = Vec::new();
    for epoch in 1..=EPOCHS {
        for _ in 0..random(&mut state) % 40 {
            let amount = 1 + (random(&mut state) % 9).cast_signed();
            let amount = if epoch.is_multiple_of(3) { -3 * amount } else { amount };
            updates.push((random(&mut state) % 60, epoch, amount));
        }
    }
    updates
}

fn model(sums: &BTreeMap<u64, i64>) -> BTreeMap<u64, Row> {
    let mut all: Vec<_> = sums.iter().filter(|(_, sum)| **sum != 0).collect();
    all.retain(|(key, sum)| score(key, sum).is_some());
    all.sort_by_key(|(key, sum)| (std::cmp::Reverse(**sum), **key));
    let ranked = (1..).zip(all).take(BOUNDS.shown);
    ranked.map(|(rank, (key, sum))| (rank, row(rank, key, sum))).collect()
}

/// All changes of the ranking, from rows that the database is said to hold.
fn run(workers: usize, updates: &[Update], stored: &[Row]) -> Vec<(Change, Epoch)> {
    let changes = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&changes);
    let (fed, stored) = (Arc::new(updates.to_vec()), Arc::new(stored.to_vec()));
    let guards = timely::execute(timely::Config::process(workers), move |worker| {
        let (index, peers, sink) = (worker.index(), worker.peers(), Arc::clone(&sink));
        let (mut input, mut rows, probe) = worker.dataflow::<Epoch, _, _>(|scope| {
            let (input, sums) = scope.new_collection::<u64, i64>();
            let (rows_in, rows) = scope.new_collection::<Restored, isize>();
            let rows = Rows::new(&RestoredRows::new(rows, Unreadable::default()), 0);
            let ranking = Ranking { table: TABLE, bounds: BOUNDS, score, row };
            let ranked = top(&Counted::new(sums, "sums"), &rows, ranking);
            let push = move |(_, change, epoch): &TableChange| {
                sink.lock().unwrap().push((change.clone(), *epoch));
            };
            let (probe, _) = ranked.inspect(push).probe();
            (input, rows_in, probe)
        });
        for row in stored.iter().filter(|_| index == 0) {
            rows.update(Restored { table: 0, row: row.clone() }, 1);
        }
        drop(rows);
        for epoch in 1..=EPOCHS {
            input.advance_to(epoch);
            let mine = fed.iter().enumerate().filter(|(n, _)| n % peers == index);
            for (_, (key, _, amount)) in mine.filter(|(_, update)| update.1 == epoch) {
                input.update(*key, *amount);
            }
            input.flush();
            worker.step();
        }
        drop(input);
        while !probe.done() {
            worker.step_or_park(None);
        }
    });
    guards.unwrap().join().into_iter().for_each(|result| result.unwrap());
    Arc::try_unwrap(changes).unwrap().into_inner().unwrap()
}

fn apply(rows: &mut BTreeMap<u64, Row>, change: &Change) {
    match change {
        Change::Delete(key) => drop(rows.remove(&key[0].as_u64().unwrap())),
        Change::Upsert(row) => drop(rows.insert(row[0].as_u64().unwrap(), row.clone())),
    }
}

#[test]
fn the_rows_are_the_best_at_each_epoch() {
    for seed in 1..80_u64 {
        let updates = updates(seed);
        let changes = run(1 + usize::try_from(seed % 3).unwrap(), &updates, &[]);
        let (mut sums, mut rows) = (BTreeMap::new(), BTreeMap::new());
        for at in 1..=EPOCHS {
            for (key, _, amount) in updates.iter().filter(|(_, epoch, _)| *epoch == at) {
                *sums.entry(*key).or_insert(0) += amount;
            }
            let of_epoch = changes.iter().filter(|(_, epoch)| *epoch == at);
            for (change, _) in of_epoch {
                apply(&mut rows, change);
            }
            assert_eq!(rows, model(&sums), "epoch {at} of seed {seed}");
        }
    }
}

/// Rows that the database holds and should not are put right by the first epochs.
#[test]
fn the_rows_in_the_database_are_what_is_changed() {
    let wrong = [row(1, &1, &99), row(3, &2, &1), row(9, &5, &1)];
    let changes = run(2, &[(5, 1, 3), (8, 1, 2)], &wrong);
    let mut rows = wrong.iter().map(|row| (row[0].as_u64().unwrap(), row.clone())).collect();
    for (change, _) in &changes {
        apply(&mut rows, change);
    }
    let wanted = [(1, row(1, &5, &3)), (2, row(2, &8, &2))];
    assert_eq!(rows, wanted.into());
}

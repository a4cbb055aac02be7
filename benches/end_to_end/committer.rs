//! The committer's side alone: transactions of ready rows through the program's own sink, one after
//! the other on one connection.

use crate::database::Database;
use crate::{Result, float, rounded};
use dataflows::tables::{hashtags, users};
use serde_json::{Value, json};
use sink::mysql::MySqlSink;
use sink::{Identity, Sink};
use std::collections::BTreeSet;
use std::time::Instant;
use types::prefix::Prefix;
use types::transaction::{TableChanges, Transaction};
use types::{Row, Value as Column};

/// Transactions of one measurement, and the rows of each.
const TRANSACTIONS: u64 = 20;
const ROWS: u64 = 50_000;
/// Keys of both tables: later transactions write rows that exist already, as in a job.
const KEYS: u64 = 400_000;

/// Measures into an empty database.
pub(crate) fn run(database: &str) -> Result<Value> {
    let tables = Database::create(database)?;
    let identity = Identity {
        job: "bench".to_owned(),
        fingerprint: "bench".to_owned(),
        tables: vec![hashtags::TABLE, users::TABLE],
        known: vec![hashtags::TABLE, users::TABLE],
        prefix: Prefix::default(),
    };
    let transactions: Vec<_> = (0..TRANSACTIONS).map(transaction).collect();
    let rows: usize = transactions.iter().map(Transaction::rows).sum();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let seconds = runtime.block_on(async {
        let mut sink = MySqlSink::new(tables.url())?;
        let mut position = sink.claim(&identity).await?;
        let began = Instant::now();
        for transaction in &transactions {
            sink.commit(position, transaction).await?;
            position = position.next();
        }
        Result::Ok(began.elapsed().as_secs_f64())
    })?;
    let per_second = float(rows as u64) / seconds;
    Ok(json!({
        "transactions": TRANSACTIONS, "rows": rows, "seconds": rounded(seconds, 1000.0),
        "rows_per_second": rounded(per_second, 1.0),
    }))
}

/// Two users' rows for each hashtag's, sorted by key as the commit batcher does.
fn transaction(number: u64) -> Transaction {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut keys = || -> BTreeSet<u64> {
        let random = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % KEYS
        };
        (0..ROWS / 3).map(random).collect()
    };
    let hashtags = keys().into_iter().map(|key| -> Row {
        [Column::Text(format!("hashtag{key:06}").into()), Column::UInt(number + 1)].into()
    });
    let ids: BTreeSet<u64> = keys().into_iter().chain(keys()).collect();
    let users = ids.into_iter().map(|key| -> Row {
        let (id, tweet) = (key * 1_000_003, number * ROWS + key);
        Box::new([
            Column::UInt(id),
            Column::Text(format!("user name {key}").into()),
            Column::Int(350),
            Column::Int(700),
            Column::UInt(2_116_681_624_581_249_282 + tweet),
            Column::UInt(1_795_424_460_000 + tweet),
            Column::UInt(key % 4),
            Column::UInt(tweet),
        ])
    });
    let changes = |upserts: Vec<Row>| TableChanges { deletes: Vec::new(), upserts };
    let tables = vec![changes(hashtags.collect()), changes(users.collect())];
    Transaction { as_of: 1_795_424_460_000_000, tables }
}

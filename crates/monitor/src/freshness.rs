//! How old records are when they are committed.

use crate::now_ms;
use std::collections::BTreeMap;
use types::offsets::PartitionOffsets;
use types::transaction::Transaction;

/// How old the last record of each partition is that a transaction has counted, in milliseconds. A
/// row without a newer record than those in `newest` moves past offsets that hold none.
pub fn ages<'a>(
    transaction: &'a Transaction,
    progress_table: u8,
    newest: &'a mut BTreeMap<u32, u64>,
) -> impl Iterator<Item = (u32, f64)> + 'a {
    let now_ms = now_ms();
    let offsets = transaction.tables[usize::from(progress_table)].upserts.iter();
    offsets.filter_map(PartitionOffsets::of).filter_map(move |stored| {
        let last = stored.last?;
        if newest.insert(stored.partition, last.offset) == Some(last.offset) {
            return None;
        }
        // Records without a timestamp count from when they were read.
        let since = if last.ms > 0 { last.ms.cast_signed() } else { transaction.as_of / 1000 };
        #[allow(clippy::cast_precision_loss, reason = "milliseconds for people")]
        let age = now_ms.saturating_sub(since).max(0) as f64;
        Some((stored.partition, age))
    })
}

//! What the last line of `run` and `demo` says of records that do not count, and what to do next.

use monitor::{Monitor, StatusSnapshot};
use types::outcome::Outcome;

/// The numbers of the tables, each with a space before it. Empty in a process without tables.
/// `list` is the command that shows dead letters.
pub(super) fn outcome(monitor: &Monitor, list: &str) -> String {
    let snapshot = monitor.snapshot();
    if snapshot.tables.is_empty()
        || snapshot.processes.as_ref().is_some_and(|all| !all.has_tables())
    {
        return String::new();
    }
    warn(&snapshot, list);
    let dead_letters: u64 = snapshot.dead_letters.values().sum();
    let outcome = Outcome::new(|name| snapshot.total(name), snapshot.overflow);
    format!(" dead_letters={dead_letters} {outcome}")
}

fn warn(snapshot: &StatusSnapshot, list: &str) {
    let dead_letters: u64 = snapshot.dead_letters.values().sum();
    if dead_letters > 0 {
        tracing::warn!(dead_letters, "records could not be counted; `{list}` shows them");
    }
    if snapshot.overflow > 0 {
        tracing::warn!(
            dead_letter_overflow = snapshot.overflow,
            "records could not be counted and found no room in dead_letters. To list them, count \
             again with a larger --dead-letter-rows, into new tables (--table-prefix) or with \
             --rebuild"
        );
    }
}

//! What the page shows, as JSON: `/api/v1/state` and the events. Described in `docs/api.md`.
//!
//! Numbers beyond 2⁵³ are texts: a browser would round them.

use super::JobInfo;
use indicatif::HumanCount;
use monitor::now_ms;
use monitor::{
    Percentiles, Phase, Process, Processes, Remembered, ShownTable, StatusSnapshot, Trouble,
};
use serde_json::json;
use std::time::Duration;
use types::Value;
use types::offsets::location;
use types::table::Panel;

/// With less work left than this many seconds the job is not behind.
const AT_HAND: f64 = 2.0;
/// Nor with so few records or bytes.
const FEW: u64 = 1_000;
/// The greatest number that every browser keeps.
const EXACT: u64 = 1 << 53;

/// The whole state.
pub(super) fn json(snapshot: &StatusSnapshot, about: &JobInfo) -> Vec<u8> {
    let (kind, text) = status(snapshot, about);
    let ms = |ms: Option<Percentiles>| json!({ "p50_ms": ms.map(|ms| round(ms.p50)), "p99_ms": ms.map(|ms| round(ms.p99)) });
    let commits = &snapshot.commits;
    let commit_ms = ms(snapshot.commit_ms);
    let partitions: Vec<_> = snapshot
        .partitions
        .iter()
        .map(|place| {
            let (partition, next) = (place.partition, number(place.next));
            let (end, lag) = (place.end.map(number), place.lag().map(number));
            let file = Some(&place.file).filter(|file| !file.is_empty());
            let file = file.map(types::Text::as_str);
            json!({ "partition": partition, "file": file, "next": next, "end": end, "lag": lag })
        })
        .collect();
    let reasons: Vec<_> = snapshot
        .dead_letters
        .iter()
        .map(|(reason, count)| json!({ "reason": reason, "count": count }))
        .collect();
    let state = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "job": about.job,
        "topic": about.topic,
        "source": about.source,
        "database": about.database,
        "now_ms": now_ms(),
        "started_ms": snapshot.started_ms,
        "status": { "kind": kind, "text": text, "eta_seconds": eta(snapshot) },
        "records": { "total": snapshot.whole.0, "per_second": round(snapshot.per_second) },
        "commits": {
            "count": commits.count,
            "rows": commits.rows,
            "commit_no": commits.commit_no,
            "as_of_ms": commits.as_of / 1000,
            "last_rows": commits.last_rows,
            "last_ms": round(commits.last.as_secs_f64() * 1000.0),
            "p50_ms": commit_ms["p50_ms"],
            "p99_ms": commit_ms["p99_ms"],
        },
        "freshness": ms(snapshot.freshness_ms),
        "partitions": partitions,
        "lag": number(snapshot.lag()),
        "lag_unit": unit(about),
        "ledger": snapshot.ledger.map(|ledger| self::ledger(snapshot, &ledger)),
        "dead_letters": {
            "total": snapshot.dead_letters.values().sum::<u64>(),
            "reasons": reasons,
            "overflow": snapshot.overflow,
        },
        "cluster": snapshot.processes.as_ref().map(cluster),
        "tables": snapshot.tables.iter().map(table).collect::<Vec<_>>(),
    });
    // A value of plain maps and lists has a text.
    serde_json::to_vec(&state).unwrap_or_default()
}

fn ledger(snapshot: &StatusSnapshot, ledger: &Remembered) -> serde_json::Value {
    json!({
        "entries": ledger.entries,
        "bytes": ledger.bytes,
        "floor_ms": ledger.floor_ms(),
        "retractions": ledger.retractions,
        "deleted": snapshot.total("deleted"),
        "duplicates": snapshot.total("duplicates"),
        "late_posts": snapshot.total("late_posts"),
        "late_deletes": snapshot.total("late_deletes"),
        "superseded": snapshot.total("superseded"),
        "late_edits": snapshot.total("late_edits"),
        "waiting": snapshot.paused.as_ref().map_or(0, |waiting| waiting.partitions.len()),
    })
}

fn cluster(processes: &Processes) -> serde_json::Value {
    let all: Vec<_> = processes
        .all
        .iter()
        .map(|process| {
            let Process { address, report, heard, .. } = process;
            json!({
                "address": address,
                "records": report.records,
                "partitions": report.partitions,
                "silent_ms": round(heard.elapsed().as_secs_f64() * 1000.0),
                "sent_bytes": number(process.sent),
                "received_bytes": number(process.received),
            })
        })
        .collect();
    let role = if processes.has_tables() { "lead" } else { "reader" };
    json!({ "process": processes.own, "role": role, "processes": all })
}

/// What this process is in its cluster, behind other words; nothing if it is alone.
pub(super) fn role(snapshot: &StatusSnapshot) -> String {
    let Some(Processes { own, all, .. }) = &snapshot.processes else { return String::new() };
    let partitions = all[*own].report.partitions.len();
    let share = format!("process {own} of {}, reading {partitions} partitions", all.len());
    let place = if *own == 0 { "" } else { "; the tables are process 0's to show" };
    format!(": {share}{place}")
}

/// Which partitions wait for another one, behind other words; nothing if none does.
pub(super) fn paused(snapshot: &StatusSnapshot) -> String {
    let Some(waiting) = &snapshot.paused else { return String::new() };
    let count = match waiting.partitions.len() {
        1 => "1 partition waits".to_owned(),
        count => format!("{count} partitions wait"),
    };
    let file = snapshot.partitions.iter().find(|place| place.partition == waiting.behind);
    let behind = location(waiting.behind, file.map_or("", |place| place.file.as_str()));
    let seconds = waiting.lasting().as_secs();
    format!("; {count} for {behind}, which is further behind than --ledger, for {seconds} s")
}

fn unit(about: &JobInfo) -> &'static str {
    if about.source == "files" { "bytes" } else { "records" }
}

/// The class of what is going on, and one line for people.
pub(super) fn status(snapshot: &StatusSnapshot, about: &JobInfo) -> (&'static str, String) {
    let seconds = |since: Duration| since.as_secs();
    if let Some((process, since)) = snapshot.silent() {
        let text = format!("process {process} says nothing: waiting for {} s", seconds(since));
        return ("paused", text);
    }
    match (snapshot.phase, snapshot.trouble) {
        (_, Some((Trouble::Database, since))) => {
            let text = format!("the database does not answer: waiting for {} s", seconds(since));
            ("paused", text)
        }
        (_, Some((Trouble::Topic, since))) => {
            ("paused", format!("the topic does not answer: waiting for {} s", seconds(since)))
        }
        (Phase::Starting, None)
            if snapshot.processes.as_ref().is_some_and(|all| !all.has_tables()) =>
        {
            ("starting", "waiting for process 0 to read the tables".to_owned())
        }
        (Phase::Starting, None) => {
            let rows = HumanCount(snapshot.restored);
            ("starting", format!("reading the tables: {rows} rows"))
        }
        (Phase::Replaying, None) => {
            let (left, unit) = (HumanCount(snapshot.replay), unit(about));
            ("starting", format!("reading again what the ledger remembers: {left} {unit} left"))
        }
        (Phase::Stopping, None) => ("stopping", "the last records are committed".to_owned()),
        (Phase::Running, None) if is_behind(snapshot) => {
            let left = HumanCount(snapshot.lag());
            let time = match eta(snapshot) {
                Some(left_seconds) => format!("about {left_seconds} s to go"),
                None => "and the topic grows faster than it is read".to_owned(),
            };
            ("behind", format!("behind by {left} {}, {time}{}", unit(about), paused(snapshot)))
        }
        (Phase::Running, None) => {
            let is_reader = snapshot.processes.as_ref().is_some_and(|all| !all.has_tables());
            // Only process 0 knows what is committed.
            let text = if is_reader { "reading" } else { "caught up" };
            ("caught_up", format!("{text}{}{}", role(snapshot), paused(snapshot)))
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn is_behind(snapshot: &StatusSnapshot) -> bool {
    let lag = snapshot.lag();
    // What is left is in records or in bytes, what is gained each second in the same.
    lag > FEW
        && (snapshot.gaining <= 0.0 || lag as f64 / snapshot.gaining > AT_HAND)
        && !is_steady(snapshot)
}

/// A job that keeps up always has a few records left.
#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn is_steady(snapshot: &StatusSnapshot) -> bool {
    let (records, bytes) = snapshot.whole;
    let bytes = if records == 0 { 1.0 } else { bytes as f64 / records as f64 };
    (snapshot.lag() as f64) < snapshot.per_second * AT_HAND * bytes.max(1.0)
        && snapshot.gaining.abs() < snapshot.per_second * bytes.max(1.0) / 10.0
}

/// Seconds until the end of the topic, if it comes nearer.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a figure for people"
)]
fn eta(snapshot: &StatusSnapshot) -> Option<u64> {
    (is_behind(snapshot) && snapshot.gaining > 0.0)
        .then(|| (snapshot.lag() as f64 / snapshot.gaining).ceil() as u64)
}

fn table(shown: &ShownTable) -> serde_json::Value {
    let ShownTable { table, rows } = shown;
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| json!({ "name": column.name, "comment": column.comment }))
        .collect();
    let rows: Vec<Vec<_>> = rows.values().map(|row| row.iter().map(value).collect()).collect();
    let mut text =
        json!({ "name": table.name, "comment": table.comment, "columns": columns, "rows": rows });
    match table.panel {
        Panel::None => {}
        Panel::Numbers => text["panel"] = "numbers".into(),
        Panel::Bars { label, value } => {
            text["panel"] = "bars".into();
            (text["label"], text["value"]) = (label.into(), value.into());
        }
    }
    text
}

fn value(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Int(number) if number.unsigned_abs() <= EXACT => (*number).into(),
        Value::Int(number) => number.to_string().into(),
        Value::UInt(unsigned) => number(*unsigned),
        Value::Text(text) => (**text).into(),
        Value::Timestamp(ms) => (*ms).into(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into(),
    }
}

fn number(number: u64) -> serde_json::Value {
    if number <= EXACT { number.into() } else { number.to_string().into() }
}

fn round(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::{JobInfo, status};
    use dataflows::catalogue::Tables;
    use monitor::{Monitor, Phase};
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;
    use std::time::Duration;
    use types::transaction::{Position, TableChanges, Transaction};
    use types::{Row, Value};

    /// A job that has counted partition 0 up to `next`.
    fn monitor(next: u64) -> Arc<Monitor> {
        let (monitor, tables) = (Arc::<Monitor>::default(), Tables::default());
        monitor.begin(tables.all());
        monitor.enter(Phase::Running);
        let mut changes = vec![TableChanges::default(); tables.all().len()];
        let mut row: Row = vec![Value::Null; 11].into();
        row[0] = Value::Text("t".into());
        row[10] = Value::Text("".into());
        for (column, number) in (1..).zip([0, 0, next, next]) {
            row[column] = Value::UInt(number);
        }
        changes[usize::from(tables.progress())].upserts = vec![row];
        let at = Position { generation: 1, commit_no: 1, writer: 0 };
        let transaction = Transaction { as_of: 1, tables: changes };
        monitor.committed(&transaction, at, Duration::from_millis(1));
        monitor
    }

    #[test]
    fn what_is_said_of_the_job() {
        let about = JobInfo {
            job: "j".to_owned(),
            topic: "t".to_owned(),
            source: "kafka",
            database: "d".to_owned(),
        };
        let said = |monitor: &Monitor| status(&monitor.snapshot(), &about);
        assert_eq!(said(&Monitor::default()).0, "starting");
        let monitor = monitor(5_000);
        assert_eq!(said(&monitor), ("caught_up", "caught up".to_owned()));
        monitor.ends(Some(BTreeMap::from([(0, 6_000_000)])));
        let (kind, text) = said(&monitor);
        assert!(kind == "behind" && text.starts_with("behind by 5,995,000 records, and"), "{text}");
        monitor.ends(Some(BTreeMap::from([(0, 5_900)])));
        assert_eq!(said(&monitor).0, "caught_up");
        // A partition that waits is no fault.
        for (waits, says) in [(&[1][..], "1 partition waits"), (&[1, 2], "2 partitions wait")] {
            monitor.set_paused(&waits.iter().copied().collect(), Some(0));
            let end = "for partition 0, which is further behind than --ledger, for 0 s";
            assert_eq!(said(&monitor), ("caught_up", format!("caught up; {says} {end}")));
            assert!(monitor.snapshot().is_ready());
        }
        monitor.set_paused(&BTreeSet::new(), None);
        assert_eq!(said(&monitor), ("caught_up", "caught up".to_owned()));
        monitor.enter(Phase::Stopping);
        assert_eq!(said(&monitor).0, "stopping");
    }
}

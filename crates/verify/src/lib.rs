//! `tweetflow verify`: are the tables what the topic says?
//!
//! ```text
//! tables ─ one snapshot ─► sorted runs ──────────────┐
//!   └ offsets, dead letters ─┐                       ├─► compare ─► differences, exit code
//! topic ─ start..next ─► own loop ─► plain sums ─────┘
//! ```
//!
//! Beside the running job: the snapshot says how far each partition was counted, the topic is read
//! to exactly there, by a loop and a model that share no code with the dataflow. Nothing is written
//! but temporary files and the baseline. What cannot be checked is never called equal.

mod acts;
mod baseline;
mod compare;
mod content;
mod derived;
mod error;
mod folder;
mod late_acts;
mod lateness;
mod model;
#[cfg(test)]
mod plain_job;
mod range;
mod ranges;
mod readings;
mod recount;
mod retention_window;
mod runs;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod topic;
mod tweet;

use acts::When;
use derived::derived;
pub use error::VerifyError;
use indicatif::HumanCount;
use late_acts::LateActs;
use lateness::LatenessEvidence;
use model::MODELS;
use monitor::bar::{Bar, per_second};
pub use range::{Range, Visit};
use recount::{Places, Recount, Recounted, TableMetadata};
use runs::{Key, Runs};
use sink::{Database, Identity};
use snapshot::Snapshot;
use state::Tally;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
pub use topic::{Unread, VerifiedTopic};
use types::dead_letter::{self, OverflowKey, OverflowRange};
use types::offsets::{self, LastRecord, PartitionOffsets};
use types::outcome::Outcome;
use types::{Row, Table, Text};

/// One says how far behind the tables are, not what was counted; the other one is evidence.
const NOT_COMPARED: [&str; 2] = ["freshness", types::late::TABLE_NAME];

/// What to compare and how.
#[derive(Clone, Debug)]
pub struct VerifySettings {
    /// Names of the tables to compare; none: all.
    pub tables: Vec<String>,
    /// Percent of the keys of large tables to compare.
    pub sample: f64,
    /// At most so many differences are printed.
    pub show: u64,
    /// Bytes of keys in memory, on each side.
    pub memory: usize,
    /// A file that carries what was verified.
    pub baseline: Option<PathBuf>,
}

/// What was found.
#[derive(Clone, Copy, Debug, Default)]
pub struct VerifySummary {
    /// The commit that was looked at.
    pub commit_no: u64,
    /// Records read.
    pub records: u64,
    /// Rows compared.
    pub rows: u64,
    /// Keys that differ.
    pub differences: u64,
    /// Dead letters that stand.
    pub dead_letters: u64,
    /// Of these, those that could be counted now.
    pub countable: u64,
    /// Keys of which only a range is known.
    pub uncertain: u64,
    /// What the tables say of records that do not count.
    pub outcome: Outcome,
}

/// Which keys are looked at.
struct VerifyPlan {
    topic: String,
    tables: Vec<Table>,
    /// By table: whether it is compared, and whether only a sample of it is.
    looks: Vec<(bool, bool)>,
    sample: f64,
    memory: usize,
}

impl VerifyPlan {
    fn new(topic: &str, tables: Vec<Table>, settings: &VerifySettings) -> Self {
        let is_large =
            |table: &Table| MODELS.iter().any(|model| model.table == table.name && model.is_large);
        let is_named = |table: &str| {
            settings.tables.is_empty() || settings.tables.iter().any(|name| name == table)
        };
        let is_meant = |table: &Table| {
            let is_needed = |(by, of): (&str, &str)| of == table.name && is_named(by);
            // A sample of the rows has no ranking and no sums.
            let is_derived = derived().any(|(name, _)| name == table.name)
                || retention_window::TRENDING == table.name;
            let is_wanted = is_named(table.name) && (!is_derived || settings.sample >= 100.0)
                || derived().chain(retention_window::NEEDS.iter().copied()).any(is_needed);
            is_wanted && !NOT_COMPARED.contains(&table.name)
        };
        let looks = tables.iter().map(|table| (is_meant(table), is_large(table))).collect();
        let (sample, memory) = (settings.sample, settings.memory);
        VerifyPlan { topic: topic.to_owned(), tables, looks, sample, memory }
    }

    /// The number of a table, if the job has it.
    fn index(&self, table: &str) -> Option<u8> {
        let index = self.tables.iter().position(|declared| declared.name == table);
        index.and_then(|index| u8::try_from(index).ok())
    }

    /// The number of a table that each job has.
    fn number(&self, table: &str) -> u8 {
        self.index(table).expect("each job has this table")
    }

    /// The key of a row of such a table.
    fn key(&self, table: &str, row: &Row) -> Key {
        let number = self.number(table);
        (number, row[..self.tables[usize::from(number)].key].into())
    }

    /// Whether all rows of a table are looked at.
    fn is_whole(&self, table: u8) -> bool {
        let (is_meant, is_sampled) = self.looks[usize::from(table)];
        is_meant && (!is_sampled || self.sample >= 100.0)
    }

    fn takes(&self, (table, key): &Key) -> bool {
        let (is_meant, is_sampled) = self.looks[usize::from(*table)];
        is_meant && (!is_sampled || self.sample >= 100.0 || self.is_in_sample(key))
    }

    /// By the key's hash: the same keys on both sides, and in every run.
    fn is_in_sample(&self, key: &Row) -> bool {
        let bytes = postcard::to_stdvec(key).unwrap_or_default();
        let place = xxhash_rust::xxh3::xxh3_64(&bytes) % 1_000_000;
        #[allow(clippy::cast_precision_loss, reason = "below a million")]
        let place = place as f64;
        place < self.sample * 10_000.0
    }
}

/// A job and its topic, and how to look at them.
pub struct Check<'a> {
    /// The job and its tables.
    pub identity: &'a Identity,
    /// The name of the topic, as the tables keep it.
    pub topic_name: &'a str,
    /// What decides about a record beside its bytes.
    pub decode: types::settings::DecodeSettings,
    /// What the operator said about the tables.
    pub flows: types::settings::TableSettings,
    /// The topic that they count.
    pub topic: &'a dyn VerifiedTopic,
    /// Where they are.
    pub sink: &'a Database,
    /// What to compare and how.
    pub settings: &'a VerifySettings,
    /// Set by a signal.
    pub stop: &'a AtomicBool,
}

impl Check<'_> {
    /// Checks the tables of the job against its topic; prints each difference to `out`.
    pub fn run(&self, out: &mut dyn Write) -> Result<VerifySummary, VerifyError> {
        let Check { identity, topic, settings, stop, flows, .. } = *self;
        let plan = VerifyPlan::new(self.topic_name, identity.tables.clone(), settings);
        let snapshot = Snapshot::read(&plan, self.sink, identity, stop)?;
        topic.recognize(&snapshot.offsets)?;
        let unread = topic.unread(&snapshot.offsets)?;
        let base = Base::read(&plan, settings, identity)?;
        let mut recount = Recount::new(&plan, self.decode, snapshot.metadata(), base.metadata());
        recount.overflow(&snapshot.overflow);
        base.begin(&mut recount, topic, &snapshot.dead_letters, stop)?;
        let files = files(&snapshot.offsets);
        let ranges = base.ranges(&snapshot.offsets);
        read(topic, &ranges, stop, &mut recount).map_err(|error| match error {
            VerifyError::NoPartition { partition } if files.contains_key(&partition) => {
                VerifyError::NoFile { file: files[&partition].clone() }
            }
            error => error,
        })?;
        let summary = VerifySummary {
            commit_no: snapshot.commit_no,
            records: recount.records,
            dead_letters: snapshot.dead_letters.len() as u64,
            countable: recount.countable,
            outcome: snapshot.outcome,
            ..VerifySummary::default()
        };
        let Recounted { runs: mut recount, has_ranges, not_recorded } = recount.finish()?;
        if has_ranges {
            recount = ranges::resolve(&snapshot.rows, recount).map_err(VerifyError::Temporary)?;
        }
        let commit_no = snapshot.commit_no;
        let begin = |path: &PathBuf| {
            baseline::Writer::new(path, &identity.job, &identity.fingerprint, commit_no)
                .map(|writer| (path.clone(), writer))
        };
        let writer = settings.baseline.as_ref().map(begin).transpose();
        let mut writer = writer.map_err(|error| unwritable(&error))?;
        let keep = &mut |entry: &runs::Entry| {
            writer.as_mut().map_or(Ok(()), |(_, writer)| writer.push(entry))
        };
        let show = settings.show;
        let tables = (snapshot.rows, recount);
        let summary = compare((&plan, flows, show), &files, summary, tables, keep, out)?;
        if summary.differences > 0 && topic.is_compacted() {
            return Err(VerifyError::Compacted { differences: summary.differences });
        }
        if let Some(late) = not_recorded.filter(|_| summary.differences > 0) {
            return Err(VerifyError::NotRecorded { late, differences: summary.differences });
        }
        let summary = report_unread(&unread, summary, out)?;
        if let Some((path, writer)) = writer
            && summary.differences == 0
        {
            writer.keep(&path).map_err(|error| unwritable(&error))?;
        }
        Ok(summary)
    }
}

/// Prints at most `show` differences, and shows each stored row to `keep`.
#[allow(clippy::too_many_arguments, reason = "one caller")]
fn compare(
    (plan, flows, show): (&VerifyPlan, types::settings::TableSettings, u64),
    files: &BTreeMap<u32, Text>,
    mut summary: VerifySummary,
    (stored, recount): (Runs, Runs),
    keep: &mut dyn FnMut(&runs::Entry) -> std::io::Result<()>,
    out: &mut dyn Write,
) -> Result<VerifySummary, VerifyError> {
    let VerifySummary { rows, differences, uncertain, .. } = &mut summary;
    let mut each = |entry: &runs::Entry| {
        *rows += 1;
        keep(entry)
    };
    let mut differ = |table: u8, key: &Row, wrong| {
        *differences += 1;
        if *differences > show {
            return Ok(());
        }
        let table = &plan.tables[usize::from(table)];
        let file = file(files, table, key);
        writeln!(out, "{}{file}", compare::line(table, key, &wrong))
    };
    let recount = retention_window::with_windowed(plan, flows, recount.into_sorted());
    let recount = derived::with_derived(plan, recount).inspect(|entry| {
        let is_uncertain = |state: &Tally| matches!(state, Tally::Range { .. } | Tally::Taken(_));
        *uncertain += u64::from(entry.as_ref().is_ok_and(|(_, state)| is_uncertain(state)));
    });
    compare::compare(stored.into_sorted(), recount, &mut each, &mut differ)
        .map_err(VerifyError::Temporary)?;
    Ok(summary)
}

/// Each uncounted partition is a difference.
fn report_unread(
    unread: &[Unread],
    mut summary: VerifySummary,
    out: &mut dyn Write,
) -> Result<VerifySummary, VerifyError> {
    for Unread { partition, offsets: (first, behind) } in unread {
        summary.differences += 1;
        let table = offsets::TABLE_NAME;
        writeln!(
            out,
            "{table} partition_id={partition}: missing, and the topic holds offsets {first} to {} \
             of it: no job reads this partition",
            behind - 1
        )
        .map_err(VerifyError::Temporary)?;
    }
    Ok(summary)
}

/// The names of the files that are counted, by partition.
fn files(counted: &[PartitionOffsets]) -> BTreeMap<u32, Text> {
    let counted = counted.iter().filter(|stored| !stored.file.is_empty());
    counted.map(|stored| (stored.partition, stored.file.clone())).collect()
}

/// The file that a row is about, for people.
fn file(files: &BTreeMap<u32, Text>, table: &Table, key: &Row) -> String {
    let column = table.columns[..table.key].iter().position(|it| it.name == "partition_id");
    let number = column.and_then(|column| u32::try_from(key.get(column)?.as_u64()?).ok());
    let file = number.and_then(|number| files.get(&number));
    file.map_or_else(String::new, |file| format!(" (file {file:?})"))
}

fn unwritable(error: &std::io::Error) -> VerifyError {
    VerifyError::Baseline { reason: error.to_string() }
}

/// Reads the ranges into the recount, with a bar.
fn read(
    topic: &dyn VerifiedTopic,
    ranges: &[Range],
    stop: &AtomicBool,
    recount: &mut Recount<'_>,
) -> Result<(), VerifyError> {
    let all = ranges.iter().map(|range| range.next.saturating_sub(range.start)).sum();
    let (mut bar, mut shown) = (Bar::new(Some(all)), 0);
    let began = Instant::now();
    let is_in_bytes = topic.counts_bytes();
    let (mut bytes, mut records) = (0, 0_u64);
    topic.read(ranges, stop, &mut |record, hash| {
        bytes += record.payload.map_or(0, |line| line.len() as u64 + 1);
        recount.record(record, hash)?;
        records += 1;
        // A look at the clock costs more than it is worth at each record.
        if records.is_multiple_of(1024) {
            bar.show(if is_in_bytes { bytes } else { records }, |since| {
                let rate = HumanCount(per_second(records - shown, since));
                shown = records;
                let of =
                    if is_in_bytes { String::new() } else { format!(" of {}", HumanCount(all)) };
                format!("{}{of} records recounted, {rate} a second", HumanCount(records))
            });
        }
        Ok(())
    })?;
    tracing::debug!(recount.records, seconds = began.elapsed().as_secs_f64(), "recounted");
    Ok(())
}

/// What an earlier check found right, from where the recount goes on; empty without a baseline.
#[derive(Default)]
struct Base {
    rows: Vec<(u8, Row)>,
    offsets: Vec<PartitionOffsets>,
    dead_letters: Places,
    overflow: Vec<(OverflowKey, OverflowRange)>,
    lateness: LatenessEvidence,
    /// None: what became of its acts, the tables say that are now.
    late: LateActs,
}

impl Base {
    fn read(
        plan: &VerifyPlan,
        settings: &VerifySettings,
        identity: &Identity,
    ) -> Result<Self, VerifyError> {
        let mut base = Base::default();
        let Some(path) = &settings.baseline else { return Ok(base) };
        let entries = baseline::open(path, &identity.job, &identity.fingerprint)?;
        for entry in entries.into_iter().flatten() {
            let ((table, _), state) = entry.map_err(|error| unwritable(&error))?;
            let Some(row) = state.row() else { continue };
            let name = plan.tables[usize::from(table)].name;
            base.lateness.see(name, row);
            match name {
                name if name == offsets::TABLE_NAME => {
                    base.offsets.extend(PartitionOffsets::of(row));
                }
                name if name == dead_letter::TABLE_NAME => {
                    base.dead_letters.extend(dead_letter::location(row));
                }
                name if name == dead_letter::OVERFLOW_TABLE_NAME => {
                    base.overflow.extend(OverflowRange::of(row));
                }
                _ => base.rows.push((table, row.clone())),
            }
        }
        Ok(base)
    }

    fn metadata(&self) -> TableMetadata<'_> {
        let (dead_letters, offsets, lateness) = (&self.dead_letters, &self.offsets, &self.lateness);
        TableMetadata { dead_letters, offsets, lateness, late: &self.late }
    }

    /// What is to be read: from the baseline, else from the start, to where the tables are. With a
    /// ledger a little from before the baseline is read again.
    fn ranges(&self, offsets: &[PartitionOffsets]) -> Vec<Range> {
        let range = |stored: &PartitionOffsets| {
            let base = self.offsets.iter().find(|base| base.partition == stored.partition);
            let has_ledger = self.lateness.has_ledger();
            let again = |of: &PartitionOffsets| if has_ledger { of.replay_from } else { of.next };
            let start = base.map_or(stored.start, again);
            let last = stored.last.map(LastRecord::anchor);
            Range { partition: stored.partition, start, next: stored.next, last }
        };
        offsets.iter().map(range).collect()
    }

    /// Puts the baseline into the recount: its rows, its dead letters that stand, the records of
    /// those that were counted since.
    fn begin(
        &self,
        recount: &mut Recount<'_>,
        topic: &dyn VerifiedTopic,
        standing: &Places,
        stop: &AtomicBool,
    ) -> Result<(), VerifyError> {
        for (table, row) in &self.rows {
            recount.resume(*table, row)?;
        }
        for (refuser, dropped) in &self.overflow {
            recount.resume_dropped(*refuser, dropped.records);
        }
        for (partition, offset) in &self.dead_letters {
            let (partition, offset) = (*partition, *offset);
            if standing.contains(&(partition, offset)) {
                recount.letter(partition, offset)?;
                continue;
            }
            let range = Range { partition, start: offset, next: offset + 1, last: None };
            let mut found = false;
            let read = topic.read(&[range], stop, &mut |record, _| {
                found = true;
                recount.count(record, When::Later)
            });
            match read {
                Ok(()) if found => {}
                Ok(()) | Err(VerifyError::Gone { .. } | VerifyError::NoPartition { .. }) => {
                    return Err(VerifyError::RetriedGone { partition, offset });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

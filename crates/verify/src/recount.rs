//! From records to what the tables should hold, one record after the other.
//!
//! A record counts unless a dead letter of it stands; whether it can be counted at all is decode's
//! word, which is what the program means by a record and is held by golden rows and by real tweets
//! with known answers, not here.

use super::acts::{ActLog, When};
use super::content::TweetContent;
use super::late_acts::LateActs;
use super::lateness::LatenessEvidence;
use super::model::{MODELS, Model, Of};
use super::runs::{Key, Runs};
use super::state::Tally;
use super::{VerifyError, VerifyPlan};
use std::collections::{BTreeMap, BTreeSet};
use types::Version;
use types::dead_letter::{self, OverflowKey, OverflowRange};
use types::offsets::{self, Anchor, LastRecord, PartitionOffsets};
use types::record::Record;
use types::settings::DecodeSettings;
use types::{Event, Row, Value};

/// Places of records: partition, offset.
pub(super) type Places = BTreeSet<(u32, u64)>;

/// What the tables say of themselves at some commit.
#[derive(Clone, Copy)]
pub(super) struct TableMetadata<'a> {
    /// Records whose dead letter stands.
    pub(super) dead_letters: &'a Places,
    /// How far each partition is counted.
    pub(super) offsets: &'a [PartitionOffsets],
    pub(super) lateness: &'a LatenessEvidence,
    pub(super) late: &'a LateActs,
}

/// Everything that should stand.
pub(super) struct Recounted {
    pub(super) runs: Runs,
    /// Of some of it only a range is known.
    pub(super) has_ranges: bool,
    /// Late acts without a row, where they may explain a difference.
    pub(super) not_recorded: Option<u64>,
}

/// The sums so far.
struct RecountSums<'a> {
    plan: &'a VerifyPlan,
    /// Each model with the number of its table.
    models: Vec<(u8, &'static Model)>,
    runs: Runs,
}

impl RecountSums<'_> {
    fn add(&mut self, key: Key, state: Tally) -> std::io::Result<()> {
        if self.plan.takes(&key) { self.runs.add(key, state) } else { Ok(()) }
    }

    fn event(&mut self, event: &Event) -> std::io::Result<()> {
        let (plan, runs, mut result) = (self.plan, &mut self.runs, Ok(()));
        for (table, model) in &self.models {
            let Of::Events(adds) = model.of else { continue };
            adds(event, &mut |key, state| {
                let key = (*table, key);
                if result.is_ok() && plan.takes(&key) {
                    result = runs.add(key, state);
                }
            });
        }
        result
    }

    /// A post that counts so often.
    fn post(&mut self, post: &TweetContent, times: &Tally) -> std::io::Result<()> {
        let (plan, runs, mut result) = (self.plan, &mut self.runs, Ok(()));
        for (table, model) in &self.models {
            let Of::Posts(adds) = model.of else { continue };
            adds(post, &mut |key| {
                let key = (*table, key);
                if result.is_ok() && plan.takes(&key) {
                    result = runs.add(key, times.clone());
                }
            });
        }
        result
    }

    /// Adds to a row of a table that the job may have.
    fn named(&mut self, table: &str, name: &str, state: Tally) -> std::io::Result<()> {
        let Some(table) = self.plan.index(table) else { return Ok(()) };
        self.add((table, [Value::Text(name.into())].into()), state)
    }
}

/// The recount so far.
pub(super) struct Recount<'a> {
    settings: DecodeSettings,
    metadata: TableMetadata<'a>,
    /// At the baseline.
    before: TableMetadata<'a>,
    sums: RecountSums<'a>,
    acts: ActLog<'a>,
    last: BTreeMap<u32, LastRecord>,
    /// What the tables say are the records by which the topic is known; not those that were seen
    /// to be others.
    anchors: BTreeMap<u32, Anchor>,
    /// What the tables say was left out of the dead letters, and how many such records were seen.
    dropped: BTreeMap<OverflowKey, (OverflowRange, u64)>,
    decoded: Vec<Event>,
    /// Records seen.
    pub(super) records: u64,
    /// Records that could be counted although a dead letter stands.
    pub(super) countable: u64,
}

impl<'a> Recount<'a> {
    pub(super) fn new(
        plan: &'a VerifyPlan,
        settings: DecodeSettings,
        metadata: TableMetadata<'a>,
        before: TableMetadata<'a>,
    ) -> Self {
        let number = |model: &'static Model| Some((plan.index(model.table)?, model));
        let models = MODELS.iter().filter_map(number).collect();
        let anchor = |stored: &PartitionOffsets| Some((stored.partition, stored.anchor?));
        // With a ledger acts and sums share the room.
        let acts = if metadata.lateness.has_ledger() { plan.memory / 2 } else { 0 };
        Recount {
            settings,
            metadata,
            before,
            sums: RecountSums { plan, models, runs: Runs::new(plan.memory - acts) },
            acts: ActLog::new((metadata.lateness, metadata.late), before.lateness, acts),
            last: BTreeMap::new(),
            anchors: metadata.offsets.iter().filter_map(anchor).collect(),
            dropped: BTreeMap::new(),
            decoded: Vec::new(),
            records: 0,
            countable: 0,
        }
    }

    /// Records in these ranges may have no dead letter.
    pub(super) fn overflow(&mut self, dropped: &[(OverflowKey, OverflowRange)]) {
        self.dropped = dropped.iter().map(|(refuser, range)| (*refuser, (*range, 0))).collect();
    }

    /// Goes on from so many of them.
    pub(super) fn resume_dropped(&mut self, refuser: OverflowKey, records: u64) {
        if let Some((_, seen)) = self.dropped.get_mut(&refuser) {
            *seen += records;
        }
    }

    /// Goes on from a row that was right at some commit.
    pub(super) fn resume(&mut self, table: u8, row: &Row) -> Result<(), VerifyError> {
        let models = &mut self.sums.models.iter();
        let Some((_, model)) = models.find(|(index, _)| *index == table) else { return Ok(()) };
        let state = (model.state)(row).ok_or_else(|| VerifyError::Baseline {
            reason: format!("a row of {} has no meaning: {row:?}", model.table),
        })?;
        let key = row[..self.sums.plan.tables[usize::from(table)].key].into();
        self.add((table, key), state)
    }

    /// Counts one record of a range that is read in order.
    pub(super) fn record(&mut self, record: Record<'_>, hash: u64) -> Result<(), VerifyError> {
        let Record { partition, offset, timestamp_ms, .. } = record;
        let is_at = |stored: &&PartitionOffsets| stored.partition == partition;
        if self.before.offsets.iter().find(is_at).is_some_and(|stored| offset < stored.next) {
            return self.remember(record);
        }
        self.last.insert(partition, LastRecord { offset, ms: timestamp_ms, hash });
        if self.anchors.get(&partition).is_some_and(|at| at.offset == offset && at.hash != hash) {
            self.anchors.remove(&partition);
        }
        self.records += 1;
        self.count(record, When::Now)
    }

    /// Counts a record, wherever it stands.
    pub(super) fn count(&mut self, record: Record<'_>, when: When) -> Result<(), VerifyError> {
        let Record { partition, offset, .. } = record;
        let mut decoded = std::mem::take(&mut self.decoded);
        let result = self.decode(record, &mut decoded);
        if self.metadata.dead_letters.contains(&(partition, offset)) {
            self.countable += u64::from(result.is_ok());
            decoded.clear();
            self.letter(partition, offset)?;
        } else if result.is_err() {
            let mut ranges = self.dropped.iter_mut().filter(|(of, (range, seen))| {
                let has_room = of.is_by(decode::ACCEPTS) || *seen < range.records;
                of.partition == partition && range.covers(offset) && has_room
            });
            match ranges.next() {
                Some((_, (_, seen))) => *seen += 1,
                None => self.letter(partition, offset)?,
            }
        }
        for event in decoded.drain(..) {
            self.event(event, when).map_err(VerifyError::Temporary)?;
        }
        self.decoded = decoded;
        Ok(())
    }

    /// Takes a record that was counted before the baseline.
    fn remember(&mut self, record: Record<'_>) -> Result<(), VerifyError> {
        let mut decoded = Vec::new();
        let is_letter = self.before.dead_letters.contains(&(record.partition, record.offset));
        if !is_letter && self.decode(record, &mut decoded).is_ok() {
            for event in decoded {
                self.event(event, When::Before).map_err(VerifyError::Temporary)?;
            }
        }
        Ok(())
    }

    fn decode(
        &self,
        record: Record<'_>,
        decoded: &mut Vec<Event>,
    ) -> Result<(), decode::Undecodable> {
        let Record { partition, offset, timestamp_ms, key, payload } = record;
        let version = Version { tweet_id: 0, record_ms: timestamp_ms, partition, offset };
        decode::decode(key, payload, version, self.settings, decoded)
    }

    /// Counts an event; of those before the baseline only what was said of tweets matters.
    pub(super) fn event(&mut self, event: Event, when: When) -> std::io::Result<()> {
        let Recount { sums, acts, .. } = self;
        if when != When::Before {
            sums.event(&event)?;
        }
        acts.event(event, when, &mut |post, times| sums.post(post, &times))
    }

    /// A dead letter of this record should stand.
    pub(super) fn letter(&mut self, partition: u32, offset: u64) -> Result<(), VerifyError> {
        let plan = self.sums.plan;
        let topic = Value::Text(plan.topic.as_str().into());
        let key = [topic, Value::UInt(u64::from(partition)), Value::UInt(offset)];
        self.add((plan.number(dead_letter::TABLE_NAME), key.into()), Tally::Present)
    }

    fn add(&mut self, key: Key, state: Tally) -> Result<(), VerifyError> {
        self.sums.add(key, state).map_err(VerifyError::Temporary)
    }

    /// Everything that should stand.
    pub(super) fn finish(mut self) -> Result<Recounted, VerifyError> {
        let plan = self.sums.plan;
        for (refuser, (range, records)) in std::mem::take(&mut self.dropped) {
            if !refuser.is_by(decode::ACCEPTS) && records < range.records {
                return Err(VerifyError::Overflow { partition: refuser.partition, range });
            }
            let row = OverflowRange { records, ..range }.row(&plan.topic, refuser);
            let key = plan.key(dead_letter::OVERFLOW_TABLE_NAME, &row);
            self.add(key, Tally::Row(row))?;
        }
        for stored in self.metadata.offsets {
            let row = self.progress(stored);
            let key = plan.key(offsets::TABLE_NAME, &row);
            self.add(key, Tally::Row(row))?;
        }
        let Recount { sums, acts, metadata, before, .. } = self;
        add_acts(sums, acts, (metadata, before)).map_err(VerifyError::Temporary)
    }

    /// The row that a partition should have. Where it begins, also to be read again, is taken from
    /// the one that it has.
    fn progress(&self, stored: &PartitionOffsets) -> Row {
        let PartitionOffsets { partition, start, replay_from, .. } = *stored;
        let mut before = self.before.offsets.iter().filter(|base| base.partition == partition);
        let before = || before.next().and_then(|base| base.last);
        let last = self.last.get(&partition).copied().or_else(before);
        let next = last.map_or(start, |last| last.offset + 1);
        // All of the range was read: between its last record and its end there is none, but for
        // markers of transactions or blank lines.
        let next = next.max(stored.next);
        // It may lie before the first record that must be read again, not behind it.
        let needed = self.acts.needed(partition).unwrap_or(u64::MAX);
        let of_last = |field: fn(LastRecord) -> u64| {
            Value::optional(last.map(|record| field(record).cast_signed()))
        };
        let anchor = self.anchors.get(&partition);
        let of_anchor = |field: fn(&Anchor) -> u64| {
            Value::optional(anchor.map(|record| field(record).cast_signed()))
        };
        [
            Value::Text(self.sums.plan.topic.as_str().into()),
            Value::UInt(u64::from(partition)),
            Value::UInt(start),
            Value::UInt(next),
            Value::UInt(replay_from.min(needed).min(next)),
            of_last(|record| record.offset),
            of_last(|record| record.ms),
            of_last(|record| record.hash),
            of_anchor(|record| record.offset),
            of_anchor(|record| record.hash),
            Value::Text(stored.file.clone()),
        ]
        .into()
    }
}

/// Adds what the acts come to, and what `floors` and `totals` say of it.
fn add_acts(
    mut sums: RecountSums<'_>,
    acts: ActLog<'_>,
    (metadata, base): (TableMetadata<'_>, TableMetadata<'_>),
) -> std::io::Result<Recounted> {
    let (now, before) = (metadata.lateness, base.lateness);
    let mut has_ranges = false;
    for (name, newest) in now.floors(acts.newest()) {
        let row = |id| [Value::Text(name.into()), Value::UInt(id)].into();
        let state = newest.map_or(Tally::Present, |id| Tally::Newest((id, 0, 0, 0), row(id)));
        sums.named("floors", name, state)?;
    }
    if let Some(name) = now.unknown_total() {
        sums.named("totals", name, Tally::Present)?;
    }
    // Whatever was late, each post is one thing or another.
    let surplus = now.posts() - before.posts() - acts.posts;
    let tweets = now.total("tweets") - before.total("tweets") - surplus;
    let totals = acts.finish(&mut |post, times| {
        has_ranges |= matches!(times, Tally::Range { .. });
        sums.post(post, &times)
    })?;
    let start = |partition: u32| {
        let stored = base.offsets.iter().find(|stored| stored.partition == partition);
        stored.map_or(0, |stored| stored.next)
    };
    let is_incomplete = now.has_ledger() && metadata.late.is_incomplete(start);
    let mut not_recorded = 0;
    for (name, mut state) in totals.named() {
        let more = now.total(name) - before.total(name) - state.count().unwrap_or_default();
        if is_incomplete && name.starts_with("late_") && more > 0 {
            state.add(Tally::Count(more));
            not_recorded += more.cast_unsigned();
        }
        let is_known = matches!(state, Tally::Count(_)) || name != "tweets" || surplus == 0;
        let state = if is_known { state } else { Tally::Count(tweets) };
        has_ranges |= matches!(state, Tally::Range { .. });
        if state != Tally::Count(0) {
            sums.named("totals", name, state)?;
        }
    }
    // Which memory took in a dead letter that was tried again is stored nowhere.
    let is_unclear = now.is_retried(before) && metadata.late.has_changes();
    let may_explain =
        is_incomplete && (not_recorded > 0 || now.forgotten().is_some()) || is_unclear;
    let not_recorded = may_explain.then_some(not_recorded);
    Ok(Recounted { runs: sums.runs, has_ranges, not_recorded })
}

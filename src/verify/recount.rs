//! From records to what the tables should hold, one record after the other.
//!
//! A record counts unless a dead letter of it stands; whether it can be counted at all is decode's
//! word, which is what the program means by a record and is held by golden rows and by real tweets
//! with known answers, not here.

use super::model::{MODELS, Model, State};
use super::runs::{Key, Runs};
use super::topic::Range;
use super::{Plan, VerifyError};
use crate::dead_letters::overflow::{self, Dropped};
use crate::decode::{self, Settings};
use crate::progress::{Anchor, Last, Stored};
use crate::source::Record;
use dataflows::latest::Version;
use dataflows::{Event, Row, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Places of records: partition, offset.
pub(super) type Places = BTreeSet<(u32, u64)>;

/// The sums so far.
pub(super) struct Recount<'a> {
    plan: &'a Plan,
    settings: Settings,
    /// Records whose dead letter stands.
    letters: &'a Places,
    /// Each model with the number of its table.
    models: Vec<(u8, &'static Model)>,
    runs: Runs,
    last: BTreeMap<u32, Last>,
    /// What the tables say are the records by which the topic is known; not those that were seen
    /// to be others.
    anchors: BTreeMap<u32, Anchor>,
    /// What the tables say is to be read again; it is not compared.
    replays: BTreeMap<u32, u64>,
    /// What the tables say was left out of the dead letters, and how many such records were seen.
    dropped: BTreeMap<u32, (Dropped, u64)>,
    decoded: Vec<Event>,
    /// Records seen.
    pub(super) records: u64,
    /// Records that could be counted although a dead letter stands.
    pub(super) countable: u64,
}

impl<'a> Recount<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        settings: Settings,
        letters: &'a Places,
        offsets: &[Stored],
    ) -> Self {
        let number = |model: &'static Model| Some((plan.index(model.table)?, model));
        let models = MODELS.iter().filter_map(number).collect();
        let (last, decoded) = (BTreeMap::new(), Vec::new());
        let anchor = |stored: &Stored| Some((stored.partition, stored.anchor?));
        Recount {
            plan,
            settings,
            letters,
            models,
            runs: Runs::new(plan.memory),
            last,
            anchors: offsets.iter().filter_map(anchor).collect(),
            replays: offsets.iter().map(|it| (it.partition, it.replay_from)).collect(),
            dropped: BTreeMap::new(),
            decoded,
            records: 0,
            countable: 0,
        }
    }

    /// Records in these ranges may have no dead letter.
    pub(super) fn overflow(&mut self, dropped: &[(u32, Dropped)]) {
        self.dropped =
            dropped.iter().map(|(partition, dropped)| (*partition, (*dropped, 0))).collect();
    }

    /// Goes on from so many of them.
    pub(super) fn resume_dropped(&mut self, partition: u32, records: u64) {
        if let Some((_, seen)) = self.dropped.get_mut(&partition) {
            *seen += records;
        }
    }

    /// Goes on from a row that was right at some commit.
    pub(super) fn resume(&mut self, table: u8, row: &Row) -> Result<(), VerifyError> {
        let Some((_, model)) = self.models.iter().find(|(index, _)| *index == table) else {
            return Ok(());
        };
        let state = (model.state)(row).ok_or_else(|| VerifyError::Baseline {
            reason: format!("a row of {} has no meaning: {row:?}", model.table),
        })?;
        let key = row[..self.plan.tables[usize::from(table)].key].into();
        self.add((table, key), state)
    }

    /// Counts one record of a range that is read in order.
    pub(super) fn record(&mut self, record: Record<'_>, hash: u64) -> Result<(), VerifyError> {
        let Record { partition, offset, timestamp_ms, .. } = record;
        self.last.insert(partition, Last { offset, ms: timestamp_ms, hash });
        if self.anchors.get(&partition).is_some_and(|at| at.offset == offset && at.hash != hash) {
            self.anchors.remove(&partition);
        }
        self.records += 1;
        self.count(record)
    }

    /// Counts a record, wherever it stands.
    pub(super) fn count(&mut self, record: Record<'_>) -> Result<(), VerifyError> {
        let Record { partition, offset, timestamp_ms, key, payload } = record;
        let version = Version { tweet_id: 0, record_ms: timestamp_ms, partition, offset };
        let mut decoded = std::mem::take(&mut self.decoded);
        let result = decode::decode(key, payload, version, self.settings, &mut decoded);
        if self.letters.contains(&(partition, offset)) {
            self.countable += u64::from(result.is_ok());
            decoded.clear();
            self.letter(partition, offset)?;
        } else if result.is_err() {
            match self.dropped.get_mut(&partition) {
                Some((range, seen)) if range.covers(offset) => *seen += 1,
                _ => self.letter(partition, offset)?,
            }
        }
        for event in decoded.drain(..) {
            self.event(&event)?;
        }
        self.decoded = decoded;
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<(), VerifyError> {
        let (plan, runs, mut result) = (self.plan, &mut self.runs, Ok(()));
        for (table, model) in &self.models {
            (model.count)(event, &mut |key, state| {
                let key = (*table, key);
                if result.is_ok() && plan.takes(&key) {
                    result = runs.add(key, state);
                }
            });
        }
        result.map_err(VerifyError::Temporary)
    }

    /// A dead letter of this record should stand.
    pub(super) fn letter(&mut self, partition: u32, offset: u64) -> Result<(), VerifyError> {
        let topic = Value::Text(self.plan.topic.as_str().into());
        let key = [topic, Value::UInt(u64::from(partition)), Value::UInt(offset)];
        self.add((self.plan.own.letters(), key.into()), State::Present)
    }

    fn add(&mut self, key: Key, state: State) -> Result<(), VerifyError> {
        if !self.plan.takes(&key) {
            return Ok(());
        }
        self.runs.add(key, state).map_err(VerifyError::Temporary)
    }

    /// Everything that should stand. `starts` are the ranges from the first offset that counts;
    /// `before`: the last record of each partition before the range that was read.
    pub(super) fn finish(
        mut self,
        starts: &[Range],
        before: &BTreeMap<u32, Last>,
    ) -> Result<Runs, VerifyError> {
        let table = self.plan.own.dropped();
        for (partition, (range, records)) in std::mem::take(&mut self.dropped) {
            let row = Dropped { records, ..range }.row(&self.plan.topic, partition);
            self.add((table, row[..overflow::TABLE.key].into()), State::Row(row))?;
        }
        let table = self.plan.own.progress();
        for range in starts {
            let last = self.last.get(&range.partition).or(before.get(&range.partition)).copied();
            let next = last.map_or(range.start, |last| last.offset + 1);
            let field = |field: fn(Last) -> u64| {
                Value::optional(last.map(|last| field(last).cast_signed()))
            };
            let anchor = self.anchors.get(&range.partition);
            let anchored = |field: fn(&Anchor) -> u64| {
                Value::optional(anchor.map(|anchor| field(anchor).cast_signed()))
            };
            let topic = Value::Text(self.plan.topic.as_str().into());
            let key: Row = [topic.clone(), Value::UInt(u64::from(range.partition))].into();
            let row: Row = [
                topic,
                Value::UInt(u64::from(range.partition)),
                Value::UInt(range.start),
                Value::UInt(next),
                Value::UInt(self.replays.get(&range.partition).copied().unwrap_or(next)),
                field(|last| last.offset),
                field(|last| last.ms),
                field(|last| last.hash),
                anchored(|anchor| anchor.offset),
                anchored(|anchor| anchor.hash),
            ]
            .into();
            self.add((table, key), State::Row(row))?;
        }
        Ok(self.runs)
    }
}

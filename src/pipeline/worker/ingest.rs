//! How a record enters the dataflow: as its events, or as a dead letter.

use super::super::flow::FlowInputs;
use super::partition::ActivePartition;
use crate::config::RunConfig;
use dataflows::tables::dead_letter_overflow::Extent;
use source::SourceError;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use types::Version;
use types::dead_letter::DeadLetter;
use types::dead_letter::{OverflowKey, OverflowRange, Quota, Usage};
use types::record::Record;
use types::{Event, Text};

/// After so long half of what was met is forgotten.
const HALF_LIFE: Duration = Duration::from_hours(1);
/// Of late is what was met among so many times the bound of records.
const OF_LATE: u64 = 10;

/// Whether bad records are the exception: a topic whose form has changed is not to run into the
/// dead letters as a whole. A number alone does not tell: a quiet job may meet a bad record a day
/// for years, and a busy one a thousand at once from one sender among many.
pub(super) struct Refusals {
    /// Records that could not be counted, less those that could since; never below 0.
    excess: u64,
    /// Of late: records that could not be counted, and those that could.
    bad: u64,
    good: u64,
    /// When half of it was forgotten.
    since: Instant,
    /// What was found in the last one.
    last: Text,
}

impl Default for Refusals {
    fn default() -> Self {
        Refusals { excess: 0, bad: 0, good: 0, since: Instant::now(), last: Text::default() }
    }
}

impl Refusals {
    pub(super) fn note(&mut self, entered: Result<(), Text>) {
        match entered {
            Ok(()) => {
                self.excess = self.excess.saturating_sub(1);
                self.good += 1;
            }
            Err(detail) => {
                self.excess += 1;
                self.bad += 1;
                self.last = detail;
            }
        }
    }

    /// Whether more than `bound` records more than the others could not be counted within the hour,
    /// and most of the last ones could not.
    fn is_rule(&mut self, bound: u64, now: Instant) -> bool {
        if now.duration_since(self.since) >= HALF_LIFE {
            let halves = now.duration_since(self.since).as_secs() / HALF_LIFE.as_secs();
            let halves = u32::try_from(halves).unwrap_or(u32::MAX);
            self.since = now;
            self.excess = self.excess.checked_shr(halves).unwrap_or_default();
        }
        let is_rule = bound > 0 && self.excess > bound && self.bad > self.good;
        while self.bad + self.good > OF_LATE.saturating_mul(bound) && self.bad + self.good > 0 {
            (self.bad, self.good) = (self.bad / 2, self.good / 2);
        }
        is_rule
    }

    pub(super) fn check(&mut self, config: &RunConfig) -> Result<(), SourceError> {
        if !self.is_rule(config.max_dead_letters, Instant::now()) {
            return Ok(());
        }
        let (topic, detail) = (config.topic.clone(), self.last.to_string());
        Err(SourceError::Refused { topic, excess: self.excess, detail })
    }
}

/// What becomes of records, by partition.
pub(super) struct Ingest {
    /// Those that this worker reads.
    pub(super) partitions: Vec<ActivePartition>,
    /// Partitions that are not read for a while, of all workers.
    pub(super) paused: BTreeSet<u32>,
    /// With a ledger: its floor, which is stored.
    pub(super) floor: Option<u64>,
    /// The floor that holds in this epoch: the one that entered before it.
    pub(super) floor_in_force: u64,
    /// With a ledger: milliseconds that make a difference to its floor.
    pub(super) step_ms: Option<u64>,
    /// The events of one record, on their way.
    pub(super) decoded: Vec<Event>,
    pub(super) refusals: Refusals,
    /// The room that the dead letters of its partitions take.
    pub(super) dead_letter_usage: Usage,
}

impl Ingest {
    pub(super) fn new(config: &RunConfig) -> Self {
        Ingest {
            partitions: Vec::new(),
            paused: BTreeSet::new(),
            floor: None,
            floor_in_force: 0,
            step_ms: config.ledger.step_ms(),
            decoded: Vec::new(),
            refusals: Refusals::default(),
            dead_letter_usage: Usage::default(),
        }
    }
}

/// A dead letter enters, as a row if there is room. Returns what was found.
pub(super) fn record_dead_letter(
    inputs: &mut FlowInputs,
    letter: DeadLetter,
    file: &Text,
    (taken, limit): (&mut Usage, Quota),
) -> Text {
    let letter = DeadLetter { file: file.clone(), ..letter };
    let (partition, offset, detail) = (letter.partition, letter.offset, letter.detail.clone());
    if taken.take(&letter, limit) {
        inputs.dead_letters.update(letter, 1);
    } else {
        let refuser = OverflowKey { partition, decoder: ::decode::ACCEPTS };
        let range = OverflowRange { first: offset, last: offset, records: 1 };
        inputs.dead_letter_overflow.update(refuser, Extent(range));
    }
    detail
}

/// Decodes one record; what it becomes stands in `decoded`, in place of what stood there, or its
/// dead letter comes back.
pub(super) fn decode(
    record: &Record<'_>,
    settings: types::settings::DecodeSettings,
    decoded: &mut Vec<Event>,
) -> Result<(), DeadLetter> {
    let Record { partition, offset, timestamp_ms, key, payload } = *record;
    let version = Version { tweet_id: 0, record_ms: timestamp_ms, partition, offset };
    decoded.clear();
    ::decode::decode(key, payload, version, settings, decoded)
        .map_err(|fault| DeadLetter::new(record, fault.reason(), &fault.to_string()))
}

#[cfg(test)]
mod tests {
    use super::{HALF_LIFE, Instant, Refusals};

    /// So many good records, then so many bad ones, twice: looked at as polls are.
    fn is_rule(refusals: &mut Refusals, good: u64, bad: u64, now: Instant) -> bool {
        let records = (0..good).map(|_| Ok(())).chain((0..bad).map(|_| Err("bad".into())));
        let mut is_rule = false;
        for record in records {
            refusals.note(record);
            is_rule |= refusals.is_rule(100, now);
        }
        is_rule
    }

    #[test]
    fn a_topic_whose_form_has_changed_stops_the_job() {
        let now = Instant::now();
        assert!(is_rule(&mut Refusals::default(), 0, 101, now));
        assert!(!is_rule(&mut Refusals::default(), 0, 100, now));
        // However many good records there were.
        assert!(is_rule(&mut Refusals::default(), 100_000, 2_000, now));
    }

    #[test]
    fn bad_records_among_many_good_ones_do_not() {
        let (now, mut refusals) = (Instant::now(), Refusals::default());
        assert!((0..1_000).all(|_| !is_rule(&mut refusals, 1_000, 150, now)));
    }

    #[test]
    fn a_quiet_job_that_meets_a_bad_record_now_and_then_goes_on() {
        let (mut now, mut refusals) = (Instant::now(), Refusals::default());
        for _ in 0..24 * 365 {
            now += HALF_LIFE;
            assert!(!is_rule(&mut refusals, 0, 40, now));
        }
    }
}

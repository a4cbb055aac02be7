//! How a record enters the dataflow: as its events, or as a dead letter.

use super::super::flow::Inputs;
use crate::config::RunConfig;
use crate::dead_letters::DeadLetter;
use crate::dead_letters::overflow::{Dropped, Room, Taken};
use crate::decode;
use crate::source::{Record, SourceError};
use dataflows::latest::Version;
use dataflows::{Event, Text};

/// Whether bad records are the exception: a topic whose form has changed is not to run into the
/// dead letters as a whole.
#[derive(Default)]
pub(super) struct Refusals {
    /// Records that could not be counted, less those that could since; never below 0.
    excess: u64,
    /// What was found in the last one.
    last: Text,
}

impl Refusals {
    pub(super) fn note(&mut self, entered: Result<(), Text>) {
        match entered {
            Ok(()) => self.excess = self.excess.saturating_sub(1),
            Err(detail) => {
                self.excess += 1;
                self.last = detail;
            }
        }
    }

    pub(super) fn check(&self, config: &RunConfig) -> Result<(), SourceError> {
        if config.max_dead_letters == 0 || self.excess <= config.max_dead_letters {
            return Ok(());
        }
        let (topic, detail) = (config.topic.clone(), self.last.to_string());
        Err(SourceError::Refused { topic, excess: self.excess, detail })
    }
}

/// A dead letter enters, as a row if there is room. Returns what was found.
pub(super) fn bury(
    inputs: &mut Inputs,
    letter: DeadLetter,
    taken: &mut Taken,
    limit: Room,
) -> Text {
    let (partition, offset, detail) = (letter.partition, letter.offset, letter.detail.clone());
    if taken.take(&letter, limit) {
        inputs.letters.update(letter, 1);
    } else {
        inputs.dropped.update(partition, Dropped { first: offset, last: offset, records: 1 });
    }
    detail
}

/// Decodes one record; what it becomes stands in `decoded`, in place of what stood there, or its dead
/// letter comes back.
pub(super) fn decode(
    record: &Record<'_>,
    settings: decode::Settings,
    decoded: &mut Vec<Event>,
) -> Result<(), DeadLetter> {
    let Record { partition, offset, timestamp_ms, key, payload } = *record;
    let version = Version { tweet_id: 0, record_ms: timestamp_ms, partition, offset };
    decoded.clear();
    decode::decode(key, payload, version, settings, decoded)
        .map_err(|fault| DeadLetter::new(record, &fault))
}

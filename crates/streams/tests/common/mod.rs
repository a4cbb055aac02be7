//! A sink that keeps what it is given.

#![allow(dead_code)]

use serde_json::Value;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use streams::{End, Position, Sink, Status, StreamConfig, StreamError};

/// Keeps records until it has enough.
pub(crate) struct Kept {
    /// All records.
    pub(crate) records: Vec<Vec<u8>>,
    /// The position behind the last one.
    pub(crate) position: Option<Position>,
    /// How many are enough.
    pub(crate) enough: usize,
    /// When it is enough however many there are.
    pub(crate) deadline: Instant,
}

impl Kept {
    /// A sink of at most so many records and so much time.
    pub(crate) fn new(enough: usize, secs: u64) -> Self {
        let deadline = Instant::now() + Duration::from_secs(secs);
        Self { records: Vec::new(), position: None, enough, deadline }
    }

    /// Follows a stream.
    pub(crate) fn follow(&mut self, config: &StreamConfig) -> Result<End, StreamError> {
        let start = self.position;
        streams::run(config, start, self, &Status::default())
    }

    /// The records that are no gaps.
    pub(crate) fn messages(&self) -> Vec<String> {
        let records = self.records.iter().map(|record| String::from_utf8(record.clone()).unwrap());
        records.filter(|record| !record.starts_with("{\"stream_gap\"")).collect()
    }

    /// The gaps.
    pub(crate) fn gaps(&self) -> Vec<Value> {
        let records = self.records.iter().filter(|record| record.starts_with(b"{\"stream_gap\""));
        records
            .map(|record| serde_json::from_slice::<Value>(record).unwrap()["stream_gap"].clone())
            .collect()
    }
}

/// From when to when a gap is, in Unix milliseconds.
pub(crate) fn bounds(gap: &Value) -> (u64, u64) {
    let ms = |name: &str| {
        let time: jiff::Timestamp = gap[name].as_str().unwrap().parse().unwrap();
        u64::try_from(time.as_millisecond()).unwrap()
    };
    (ms("from"), ms("to"))
}

impl Sink for Kept {
    fn record(&mut self, record: &[u8], position: Position) -> ControlFlow<()> {
        self.records.push(record.to_vec());
        self.position = Some(position);
        if self.records.len() >= self.enough {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn flush(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn is_closed(&self) -> bool {
        Instant::now() >= self.deadline
    }

    fn each_recent(&mut self, _: u64, each: &mut dyn FnMut(&[u8])) {
        self.records.iter().for_each(|record| each(record));
    }
}

//! Figures of the last minute, and their percentiles.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Samples of a window; the oldest go first.
const SAMPLES: usize = 4096;

/// Figures of the last minutes, each with its moment.
#[derive(Debug, Default)]
pub struct Samples(VecDeque<(Instant, f64)>);

/// The 50th and the 99th percentile, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percentiles {
    /// Half are at most this.
    pub p50: f64,
    /// 99 of 100 are at most this.
    pub p99: f64,
}

impl Samples {
    /// Adds one, of now.
    pub fn push(&mut self, sample: f64) {
        self.0.push_back((Instant::now(), sample));
        if self.0.len() > SAMPLES {
            self.0.pop_front();
        }
    }

    /// Of the samples that are not older than `window`, which is the same each time.
    pub fn percentiles(&mut self, window: Duration) -> Option<Percentiles> {
        while self.0.front().is_some_and(|(at, _)| at.elapsed() > window) {
            self.0.pop_front();
        }
        let mut sorted: Vec<_> = self.0.iter().map(|(_, sample)| *sample).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |percent: usize| sorted.get((sorted.len() * percent / 100).min(sorted.len() - 1));
        if sorted.is_empty() {
            return None;
        }
        Some(Percentiles { p50: *at(50)?, p99: *at(99)? })
    }
}

//! `--replay-rate`: how many records of a topic that is filled already may be decoded by now.
//!
//! A late worker catches up: the schedule does not slip. Records that are not due yet stay with the
//! client.

use std::time::{Duration, Instant};

/// The longest sleep of a worker that follows a schedule.
pub(super) const MAX_PARK: Duration = Duration::from_millis(1);

/// What one worker has released, and when it began.
pub(super) struct ReplayThrottle {
    /// Records per second of this worker; none = all that are there.
    rate: Option<f64>,
    began: Option<Instant>,
    released: u64,
}

impl ReplayThrottle {
    /// The share of one of `workers` in a rate.
    pub(super) fn new(rate: Option<u32>, workers: usize) -> Self {
        let share = |rate| f64::from(rate) / f64::from(u32::try_from(workers).unwrap_or(1));
        ReplayThrottle { rate: rate.map(share), began: None, released: 0 }
    }

    /// Whether there is a schedule.
    pub(super) fn is_paced(&self) -> bool {
        self.rate.is_some()
    }

    /// How many more records may be released now.
    pub(super) fn due(&mut self, now: Instant) -> u64 {
        let Some(rate) = self.rate else { return u64::MAX };
        let began = *self.began.get_or_insert_with(|| {
            tracing::info!(
                since_us = super::as_of::now_us(),
                rate,
                "this worker's records come by rate"
            );
            now
        });
        let due = now.duration_since(began).as_secs_f64() * rate;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number of records, of centuries at most"
        )]
        let due = due as u64;
        due.saturating_sub(self.released)
    }

    /// So many were.
    pub(super) fn passed(&mut self, records: u64) {
        self.released += records;
    }
}

#[cfg(test)]
mod tests {
    use super::ReplayThrottle;
    use std::time::{Duration, Instant};

    #[test]
    fn what_was_missed_is_made_up_for() {
        let begin = Instant::now();
        let mut release = ReplayThrottle::new(Some(1_000), 2);
        assert_eq!(release.due(begin), 0);
        assert_eq!(release.due(begin + Duration::from_millis(10)), 5);
        release.passed(3);
        assert_eq!(release.due(begin + Duration::from_secs(2)), 997);
        assert_eq!(ReplayThrottle::new(None, 2).due(begin), u64::MAX);
    }
}

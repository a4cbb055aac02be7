//! The moments that the tables show as `as_of`, and that pace the heartbeat.
//!
//! Invariants: the pace follows the monotonic clock alone. `as_of` follows the machine's clock;
//! while that one is set back, `as_of` goes on at half speed until the clock has caught up, so it
//! neither falls nor stands. Only a clock that was wrong by more than a day takes `as_of` back with
//! it.

use crate::pipeline::commit_batcher::Closing;
use dataflows::Epoch;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock that was set back by more than this was wrong before.
const LARGEST_STEP: Duration = Duration::from_hours(24);

/// When the last epoch was closed, by both clocks.
#[derive(Debug, Default)]
pub(super) struct AsOf {
    last: Option<(i64, Instant)>,
}

impl AsOf {
    /// An epoch is closed now.
    pub(super) fn close(&mut self, epoch: Epoch) -> Closing {
        let at = Instant::now();
        Closing { epoch, as_of: self.next(now_us(), at), at }
    }

    /// The moment to show where the machine's clock says `wall_us`.
    fn next(&mut self, wall_us: i64, at: Instant) -> i64 {
        let us = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        let as_of = match self.last {
            Some((last, _)) if last.saturating_sub(wall_us) > us(LARGEST_STEP) => {
                tracing::warn!(
                    "the machine's clock was set back by more than a day, as_of follows"
                );
                wall_us
            }
            Some((last, since)) => {
                wall_us.max(last.saturating_add(us(at.saturating_duration_since(since)) / 2))
            }
            None => wall_us,
        };
        self.last = Some((as_of, at));
        as_of
    }
}

/// Microseconds since 1970, by this machine's clock.
pub(super) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{AsOf, Duration, Instant};

    const SECOND: i64 = 1_000_000;

    #[test]
    fn a_clock_that_is_set_back_neither_holds_as_of_nor_takes_it_back() {
        let (mut as_of, began) = (AsOf::default(), Instant::now());
        let mut next = |second: u64, wall: i64| {
            as_of.next(wall * SECOND, began + Duration::from_secs(second)) / SECOND
        };
        assert_eq!(next(0, 10_000), 10_000);
        assert_eq!(next(10, 10_010), 10_010);
        // An hour back.
        assert_eq!(next(20, 6_420), 10_015);
        assert_eq!(next(30, 6_430), 10_020);
        // Two hours later both are the same again.
        assert_eq!(next(7_230, 13_630), 13_630);
        assert_eq!(next(7_240, 13_640), 13_640);
        // A clock that runs ahead is followed.
        assert_eq!(next(7_250, 20_000), 20_000);
    }

    #[test]
    fn a_clock_that_was_wrong_by_days_is_not_waited_for() {
        let (mut as_of, began) = (AsOf::default(), Instant::now());
        let day = 24 * 3600 * SECOND;
        assert_eq!(as_of.next(300 * day, began), 300 * day);
        assert_eq!(as_of.next(2 * day, began), 2 * day);
    }
}

//! Owns the pace of `--rate`: how long the next tweet has to wait.
//!
//! Invariant: in no stretch of time do more tweets leave than the rate allows, but for the few that
//! one slice holds; time lost to a slow broker is made up for [`DEBT`] at most, so that a stall is
//! never followed by a burst. It does not sleep itself: the caller has callbacks to serve
//! meanwhile.

use std::time::{Duration, Instant};

/// The shortest wait: shorter ones cost more than they smooth.
const SLICE: Duration = Duration::from_millis(2);
/// Tweets of so much time are made up for after a stall.
const DEBT: Duration = Duration::from_millis(50);

/// Lets tweets through at a steady rate.
pub(super) struct Pace {
    /// Tweets per second; none = all at once.
    rate: Option<f64>,
    /// Whole tweets that may leave without another look at the clock.
    ready: u64,
    /// The part of a tweet that was left over when the clock was last read.
    part: f64,
    read_at: Instant,
}

impl Pace {
    /// A pace whose first tweet is due at `now`.
    pub(super) fn new(rate: Option<f64>, now: Instant) -> Self {
        Self { rate, ready: 1, part: 0.0, read_at: now }
    }

    /// Zero where a tweet may leave now, and then it counts as gone; else how long to wait before
    /// asking again.
    pub(super) fn wait(&mut self, now: impl FnOnce() -> Instant) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        if self.ready == 0 {
            let now = now();
            let earned = self.part + now.duration_since(self.read_at).as_secs_f64() * rate;
            if earned < 1.0 {
                let left = Duration::try_from_secs_f64((1.0 - earned) / rate);
                return left.unwrap_or(Duration::MAX).max(SLICE);
            }
            let earned = earned.min(1.0 + rate * DEBT.as_secs_f64());
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "at least 1, and hardly more than a rate times 50 ms"
            )]
            let whole = earned.floor() as u64;
            (self.ready, self.part, self.read_at) = (whole, earned.fract(), now);
        }
        self.ready -= 1;
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tweets that leave within `span`, when each wait takes `late` longer than asked.
    fn count(rate: f64, span: Duration, late: Duration) -> u64 {
        let start = Instant::now();
        let (mut now, mut pace, mut sent) = (start, Pace::new(Some(rate), start), 0);
        while now < start + span {
            match pace.wait(|| now) {
                Duration::ZERO => sent += 1,
                wait => now += wait + late,
            }
        }
        sent
    }

    #[test]
    fn the_rate_is_kept() {
        for rate in [0.5, 1.0, 7.0, 999.0, 5_700.0, 250_000.0] {
            for late in [0, 1, 20] {
                let sent = count(rate, Duration::from_secs(20), Duration::from_millis(late));
                #[expect(clippy::cast_precision_loss, reason = "small")]
                let error = (sent as f64 - rate * 20.0).abs();
                // A wait that ends late may hold back the tweets of its own slice.
                assert!(error <= 1.0 + rate * 0.03, "{rate}/s, {late} ms late: {sent}");
            }
        }
    }

    #[test]
    fn a_stall_is_not_followed_by_a_burst() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(10_000.0), start);
        while pace.wait(|| start).is_zero() {}
        let later = start + Duration::from_secs(10);
        let burst = std::iter::from_fn(|| pace.wait(|| later).is_zero().then_some(())).count();
        assert_eq!(burst, 501);
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let mut pace = Pace::new(None, Instant::now());
        assert!((0..1000).all(|_| pace.wait(Instant::now).is_zero()));
    }
}

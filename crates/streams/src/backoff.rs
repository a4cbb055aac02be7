//! How long to wait before the next connect: pure functions of what went wrong and how often.
//!
//! Invariant: only data or a keep-alive resets a schedule, never a status 200 alone. A server that
//! accepts and closes is waited for like one that refuses. It reads no clock and does not sleep.

use std::time::Duration;

/// The longest wait that a server may ask for by `Retry-After`.
const LONGEST_TOLD: Duration = Duration::from_hours(1);

/// What kind of failure a wait is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The connection was refused, lost, closed or silent.
    Network,
    /// The server failed: a status of 500 and above. It may have said how long to wait.
    Server(Option<Duration>),
    /// The server limits the rate: 420 and 429. It may have said when the limit ends.
    Rate(Option<Duration>),
}

/// Failures in a row, by their kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    network: u32,
    server: u32,
    rate: u32,
}

impl Backoff {
    /// The wait before the next try. `jitter` is between -1 and 1.
    pub(crate) fn wait(&mut self, failure: Failure, jitter: f64) -> Duration {
        match failure {
            Failure::Network => spread(linear(next(&mut self.network)), jitter),
            Failure::Server(told) => {
                let own = doubling(next(&mut self.server), Duration::from_secs(5), 320);
                told.map_or_else(|| spread(own, jitter), |told| obey(told, jitter))
            }
            Failure::Rate(told) => {
                let own = doubling(next(&mut self.rate), Duration::from_mins(1), 900);
                told.map_or_else(|| spread(own, jitter), |told| obey(told, jitter))
            }
        }
    }

    /// Data or a keep-alive has arrived.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Counts a failure, and says how many there were before it.
fn next(count: &mut u32) -> u32 {
    let before = *count;
    *count = count.saturating_add(1);
    before
}

/// At once, then 250 ms more each time, 16 s at most.
fn linear(before: u32) -> Duration {
    Duration::from_millis(u64::from(before.min(64)) * 250)
}

fn doubling(before: u32, first: Duration, most_secs: u64) -> Duration {
    (first * (1 << before.min(16))).min(Duration::from_secs(most_secs))
}

/// A fifth more or less, so that many clients do not return at the same moment.
fn spread(wait: Duration, jitter: f64) -> Duration {
    wait.mul_f64(1.0 + 0.2 * jitter.clamp(-1.0, 1.0))
}

/// Never earlier than the server said, and a second later at most.
fn obey(told: Duration, jitter: f64) -> Duration {
    told.min(LONGEST_TOLD) + Duration::from_secs_f64(jitter.clamp(-1.0, 1.0).abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(failure: Failure, count: usize) -> Vec<u64> {
        let mut backoff = Backoff::default();
        let wait = |_| backoff.wait(failure, 0.0).as_millis().try_into().unwrap();
        (0..count).map(wait).collect()
    }

    #[test]
    fn the_documented_schedules() {
        assert_eq!(waits(Failure::Network, 4), [0, 250, 500, 750]);
        assert_eq!(waits(Failure::Network, 100)[64..], [16_000; 36]);
        assert_eq!(
            waits(Failure::Server(None), 9),
            [5, 10, 20, 40, 80, 160, 320, 320, 320].map(|secs| secs * 1000)
        );
        assert_eq!(
            waits(Failure::Rate(None), 6),
            [60, 120, 240, 480, 900, 900].map(|secs| secs * 1000)
        );
    }

    #[test]
    fn what_a_server_says_is_a_lower_bound() {
        for jitter in [-1.0, -0.3, 0.0, 1.0] {
            let told = Duration::from_secs(7);
            for failure in [Failure::Server(Some(told)), Failure::Rate(Some(told))] {
                let wait = Backoff::default().wait(failure, jitter);
                assert!(wait >= told && wait <= told + Duration::from_secs(1), "{wait:?}");
            }
        }
        let absurd = Failure::Server(Some(Duration::from_hours(999)));
        assert_eq!(Backoff::default().wait(absurd, 0.0), LONGEST_TOLD);
    }

    #[test]
    fn jitter_is_a_fifth() {
        let wait = |jitter| Backoff::default().wait(Failure::Rate(None), jitter).as_secs();
        assert_eq!((wait(-1.0), wait(1.0), wait(9.0)), (48, 72, 72));
    }

    #[test]
    fn each_kind_has_its_own_schedule_until_data_arrives() {
        let mut backoff = Backoff::default();
        for _ in 0..3 {
            backoff.wait(Failure::Server(None), 0.0);
        }
        assert_eq!(backoff.wait(Failure::Network, 0.0), Duration::ZERO);
        assert_eq!(backoff.wait(Failure::Server(None), 0.0), Duration::from_secs(40));
        backoff.reset();
        assert_eq!(backoff.wait(Failure::Server(None), 0.0), Duration::from_secs(5));
    }
}

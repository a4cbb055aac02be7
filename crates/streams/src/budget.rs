//! The budget of connects: never more than so many within any window of time.
//!
//! It is a log of the last connects, not a bucket of tokens: a bucket of 45 that refills in 15
//! minutes lets 90 through in the first 15. With a file the log outlives the process, so a client
//! that is restarted in a loop keeps the limit too. It does not sleep.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

/// What a service allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// Connects within the window.
    pub(crate) connects: usize,
    /// The window.
    pub(crate) window: Duration,
}

/// The connects of the last window.
#[derive(Debug)]
pub(crate) struct ConnectBudget {
    allowance: Allowance,
    /// Unix milliseconds, the oldest first.
    times: VecDeque<u64>,
    file: Option<PathBuf>,
}

impl ConnectBudget {
    /// A budget; `file` holds the connects of earlier processes, if there were any.
    pub(crate) fn new(allowance: Allowance, file: Option<PathBuf>) -> Self {
        let text = file.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        let mut times: Vec<u64> =
            text.iter().flat_map(|text| text.lines()).flat_map(str::parse).collect();
        times.sort_unstable();
        Self { allowance, times: times.into(), file }
    }

    /// How long to wait before a connect is within the budget.
    pub(crate) fn wait(&mut self, now_ms: u64) -> Duration {
        let window = u64::try_from(self.allowance.window.as_millis()).unwrap_or(u64::MAX);
        // A time ahead of the clock is of a clock that was set back.
        self.times.retain(|time| *time <= now_ms && now_ms - *time < window);
        let Some(excess) = (self.times.len() + 1).checked_sub(self.allowance.connects.max(1))
        else {
            return Duration::ZERO;
        };
        let Some(freed) = excess.checked_sub(1).and_then(|last| self.times.get(last)) else {
            return Duration::ZERO;
        };
        Duration::from_millis(freed + window - now_ms)
    }

    /// Counts a connect, before it is made.
    pub(crate) fn note(&mut self, now_ms: u64) {
        self.times.push_back(now_ms);
        let Some(file) = &self.file else { return };
        let text: String =
            self.times.iter().flat_map(|time| [time.to_string(), "\n".to_owned()]).collect();
        if let Err(error) = std::fs::write(file, text) {
            tracing::warn!("cannot note connects in {}: {error}", file.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};

    const X: Allowance = Allowance { connects: 45, window: Duration::from_mins(15) };

    #[test]
    fn no_window_has_more_connects_than_allowed() {
        let mut random = rand_pcg::Pcg32::seed_from_u64(7);
        let mut budget = ConnectBudget::new(X, None);
        let (mut now, mut connects) = (1_000_000, Vec::new());
        for _ in 0..2_000 {
            let wait = budget.wait(now);
            if wait.is_zero() {
                budget.note(now);
                connects.push(now);
                now += random.random_range(0..20_000);
            } else {
                now += u64::try_from(wait.as_millis()).unwrap();
                assert!(budget.wait(now).is_zero(), "the wait is long enough");
            }
        }
        for (index, start) in connects.iter().enumerate() {
            let within = connects[index..].iter().take_while(|time| **time < start + 900_000);
            assert!(within.count() <= 45);
        }
        // And it is used: a client that always wants to connect has all of them.
        let hours = (connects[connects.len() - 1] - connects[0]) / 3_600_000;
        assert!(connects.len() as u64 >= hours * 4 * 44, "{} in {hours} h", connects.len());
    }

    #[test]
    fn a_restarted_process_knows_the_connects_of_the_last() {
        let file = std::env::temp_dir().join(format!("connects-{}", std::process::id()));
        for index in 0..45 {
            let mut budget = ConnectBudget::new(X, Some(file.clone()));
            assert!(budget.wait(10_000 + index).is_zero(), "{index}");
            budget.note(10_000 + index);
        }
        let mut budget = ConnectBudget::new(X, Some(file.clone()));
        assert_eq!(budget.wait(70_000), Duration::from_mins(14));
        std::fs::write(&file, "rubbish\n\n99999999999999\n").unwrap();
        assert!(ConnectBudget::new(X, Some(file.clone())).wait(70_000).is_zero());
        std::fs::remove_file(file).unwrap();
    }
}

//! A stop, for what waits for a database: it must end although the database does not answer.
//!
//! Nothing is lost by it. A transaction that is given up was applied whole or not at all, and the
//! next start finds out which.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use types::answers::Answers;

/// How long a database may be silent once the process is to stop.
const GRACE: Duration = Duration::from_secs(5);
/// From one look at the flag to the next.
const LOOK: Duration = Duration::from_millis(100);

/// Whether the process is to stop, and since when that is known.
pub struct Stop {
    flag: Arc<AtomicBool>,
    seen: Cell<Option<Instant>>,
}

impl Stop {
    /// Set by a signal.
    pub fn new(flag: &Arc<AtomicBool>) -> Self {
        Stop { flag: Arc::clone(flag), seen: Cell::new(None) }
    }

    fn since(&self) -> Option<Instant> {
        if self.flag.load(Ordering::Relaxed) && self.seen.get().is_none() {
            self.seen.set(Some(Instant::now()));
        }
        self.seen.get()
    }

    /// Whether it is time to give up what fails again and again.
    pub fn is_overdue(&self) -> bool {
        self.since().is_some_and(|since| since.elapsed() >= GRACE)
    }

    /// Comes when the process is to stop and the database has not answered for `GRACE`.
    pub async fn given_up(&self, answers: &Answers) {
        while self.since().is_none_or(|since| since.max(answers.last()).elapsed() < GRACE) {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// What comes of `waiting`, or `None` if the process is to stop before. For what may end anywhere.
pub async fn unless_stopped<T>(stop: &AtomicBool, waiting: impl Future<Output = T>) -> Option<T> {
    let stopped = async {
        while !stop.load(Ordering::Relaxed) {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        biased;
        () = stopped => None,
        result = waiting => Some(result),
    }
}

//! What the log says while a database is away: one line at the start, one a minute, one at the end.

use sink::SinkError;
use std::time::{Duration, Instant};
use types::fault::one_line;

/// From one line to the next.
const EVERY: Duration = Duration::from_mins(1);

/// The failed attempts at one transaction.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// When the first attempt failed, and when that was last logged.
    since: Option<(Instant, Instant)>,
}

impl Outage {
    /// An attempt has failed.
    pub(super) fn failed(&mut self, fault: &SinkError) {
        let error = one_line(fault);
        match &mut self.since {
            None => {
                self.since = Some((Instant::now(), Instant::now()));
                tracing::warn!(error, "a commit failed, trying again");
            }
            Some((since, told)) if told.elapsed() >= EVERY => {
                *told = Instant::now();
                let seconds = since.elapsed().as_secs();
                tracing::warn!(error, "the commit has failed for {seconds} s, trying again");
            }
            Some(_) => tracing::debug!(error, "the commit failed again"),
        }
    }

    /// The transaction is applied: by the last attempt, or `had_been` by one whose answer was lost.
    pub(super) fn over(self, had_been: bool) {
        let Some((since, _)) = self.since else { return };
        let seconds = since.elapsed().as_secs_f64();
        let how = if had_been { "had been" } else { "is" };
        tracing::info!("committing works again after {seconds:.1} s; the commit {how} applied");
    }
}

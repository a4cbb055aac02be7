//! Says that tweets or deletes came too late for the ledger: their duplicates and deletes are not
//! recognised, so numbers may be higher than they should be.
//!
//! Once at the end of a run, and while it goes on at most every ten minutes, where tweets came late
//! since the last time. (Deletes of old tweets are usual in a stream: those alone wait for the
//! end.)

use monitor::Monitor;
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_mins(10);

/// What was said so far.
pub(super) struct Late {
    span: Duration,
    tweets: u64,
    next: Instant,
}

impl Late {
    pub(super) fn new(span: Duration) -> Self {
        Late { span, tweets: 0, next: Instant::now() + INTERVAL }
    }

    /// Says it if it is time.
    pub(super) fn warn_if_due(&mut self, monitor: &Monitor) {
        let (posts, deletes) = monitor.late();
        if posts > self.tweets && Instant::now() >= self.next {
            (self.tweets, self.next) = (posts, Instant::now() + INTERVAL);
            warn(self.span, posts, deletes);
        }
    }
}

/// Says it at the end of a run.
pub(super) fn finish(span: Duration, monitor: &Monitor) {
    let (posts, deletes) = monitor.late();
    if posts + deletes > 0 {
        warn(span, posts, deletes);
    }
}

fn warn(span: Duration, late_posts: u64, late_deletes: u64) {
    tracing::warn!(
        late_posts,
        late_deletes,
        "tweets or deletes came more than {span:?} behind the newest: duplicates and deletes among \
         them are not recognised. A longer --ledger, such as 30d, recognises them; count again \
         with it, into new tables (--table-prefix) or with --rebuild"
    );
}

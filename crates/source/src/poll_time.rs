//! How long a poll may hand out records.
//!
//! A worker sends heartbeats and hears of a stop between two polls, and its peers wait for a
//! heartbeat for 10 s. A few records may take longer than hundreds of others, so that a number of
//! records bounds nothing. The clock is read once in many bytes.

use std::time::{Duration, Instant};

/// After so long a poll hands out no further records.
const POLL_TIME: Duration = Duration::from_millis(200);
/// Bytes of records between two readings of the clock.
const CLOCK_BYTES: usize = 64 << 10;

/// The time of one poll.
pub(super) struct PollTime {
    began: Instant,
    unclocked: usize,
}

impl PollTime {
    pub(super) fn begin() -> Self {
        PollTime { began: Instant::now(), unclocked: 0 }
    }

    /// A record of this length was handed out.
    pub(super) fn passed(&mut self, bytes: usize) {
        self.unclocked += bytes;
    }

    /// Whether the poll is to end.
    pub(super) fn is_over(&mut self) -> bool {
        if self.unclocked < CLOCK_BYTES {
            return false;
        }
        self.unclocked = 0;
        self.began.elapsed() > POLL_TIME
    }
}

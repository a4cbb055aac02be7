//! What is known of a running stream, for the progress line and the metrics.

use crate::meter::Meter;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The figures of a stream since its start.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Whether a connection stands.
    pub is_connected: bool,
    /// Messages by their kind.
    pub messages: BTreeMap<&'static str, u64>,
    /// Bytes of messages.
    pub bytes: u64,
    /// Messages that were known already and are not sent again.
    pub duplicates: u64,
    /// Connections that were made.
    pub connects: u64,
    /// Ends of connections and failed connects, by their reason.
    pub troubles: BTreeMap<&'static str, u64>,
    /// Gaps.
    pub gaps: u64,
    /// Their length together.
    pub gap_ms: u64,
    /// When data or a keep-alive was received last, in Unix milliseconds.
    pub alive_ms: u64,
    /// From the newest message's own time to its arrival.
    pub delay_ms: Option<u64>,
    /// Until when the stream waits, in Unix milliseconds, and why.
    pub waiting: Option<(u64, String)>,
    /// What may be billed.
    pub meter: Meter,
    /// Profiles that were looked up.
    pub profiles: u64,
}

/// The figures, shared between the stream and who shows them.
#[derive(Debug, Default)]
pub struct Status(Mutex<Figures>);

impl Status {
    /// The figures of this moment.
    pub fn figures(&self) -> Figures {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes figures.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Figures)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A time for people: `4 min 12 s`.
pub fn duration(time: std::time::Duration) -> String {
    let secs = time.as_secs();
    match (secs / 3600, secs / 60 % 60, secs % 60) {
        (0, 0, 0) => format!("{} ms", time.as_millis()),
        (0, 0, secs) => format!("{secs} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, secs) => format!("{minutes} min {secs} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_for_people() {
        let text = |secs| duration(Duration::from_secs(secs));
        assert_eq!(
            (text(252), text(60), text(7)),
            ("4 min 12 s".into(), "1 min".into(), "7 s".into())
        );
        assert_eq!((text(3600), text(7_299)), ("1 h".into(), "2 h 1 min".into()));
        assert_eq!(duration(Duration::from_millis(250)), "250 ms");
    }
}

//! Gaps: what a stream did not give, as a record of the topic.
//!
//! `{"stream_gap":{"stream":"x","from":T,"to":T,"reason":"…","filled":false,"lost":null}}`:
//! `filled` says that what can be asked for again was asked for; `lost` is the number of records
//! lost, null where nobody knows it.

use jiff::Timestamp;
use serde::Serialize;

/// A gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The service.
    pub(crate) stream: &'static str,
    /// From when on, in Unix milliseconds.
    pub(crate) from_ms: u64,
    /// Until when.
    pub(crate) to_ms: u64,
    /// Why, in words.
    pub(crate) reason: String,
    /// Whether it was asked for again.
    pub(crate) filled: bool,
    /// Records that are lost, if that is known.
    pub(crate) lost: Option<u64>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    stream_gap: Fields<'a>,
}

#[derive(Serialize)]
struct Fields<'a> {
    stream: &'a str,
    from: String,
    to: String,
    reason: &'a str,
    filled: bool,
    lost: Option<u64>,
}

impl Gap {
    /// The record.
    pub(crate) fn record(&self) -> Vec<u8> {
        let Self { stream, from_ms, to_ms, reason, filled, lost } = self;
        let (from, to) = (time(*from_ms), time((*to_ms).max(*from_ms)));
        let fields = Fields { stream, from, to, reason, filled: *filled, lost: *lost };
        serde_json::to_vec(&Envelope { stream_gap: fields }).unwrap_or_default()
    }
}

/// A time as RFC 3339 writes it, in milliseconds.
pub(crate) fn time(ms: u64) -> String {
    let timestamp = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", timestamp.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_one_object() {
        let gap = Gap {
            stream: "x",
            from_ms: 1_779_719_009_132,
            to_ms: 1_779_719_010_000,
            reason: "the server closed \"it\"".to_owned(),
            filled: false,
            lost: None,
        };
        assert_eq!(
            String::from_utf8(gap.record()).unwrap(),
            r#"{"stream_gap":{"stream":"x","from":"2026-05-25T14:23:29.132Z","to":"2026-05-25T14:23:30.000Z","reason":"the server closed \"it\"","filled":false,"lost":null}}"#
        );
    }
}

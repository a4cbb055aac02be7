//! What an operator may say about the tables. Every setting changes rows, so each is part of the
//! fingerprint.

/// The settings of all tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSettings {
    /// Minutes that `hashtags_by_minute` keeps before the newest.
    pub minutes_span: u32,
    /// Minutes of each of the two windows that `trending` compares.
    pub trend_minutes: u32,
}

impl Default for TableSettings {
    fn default() -> Self {
        TableSettings { minutes_span: 24 * 60, trend_minutes: 10 }
    }
}

//! The errors of a reading: one that costs nothing on the hot path, and one that tells the reason.

use serde::de;
use std::fmt;

/// An error of a reading.
pub(crate) trait KeyedError: de::Error {
    /// The error, in the value of this key.
    #[must_use]
    fn within(self, key: &[u8]) -> Self;
}

/// Something is not as it should be.
#[derive(Debug)]
pub(crate) struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("not as expected")
    }
}

impl std::error::Error for Failed {}

impl de::Error for Failed {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Failed
    }
}

impl KeyedError for Failed {
    fn within(self, _: &[u8]) -> Self {
        self
    }
}

/// What is not as it should be, and under which keys.
#[derive(Debug)]
pub(super) struct Explained {
    path: String,
    what: String,
}

impl fmt::Display for Explained {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explained { path, what } = self;
        if path.is_empty() {
            formatter.write_str(what)
        } else {
            write!(formatter, "{path}: {what}")
        }
    }
}

impl std::error::Error for Explained {}

impl de::Error for Explained {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Explained { path: String::new(), what: what.to_string() }
    }
}

impl KeyedError for Explained {
    fn within(self, key: &[u8]) -> Self {
        let key = String::from_utf8_lossy(key);
        let path = if self.path.is_empty() { key.into() } else { format!("{key}.{}", self.path) };
        Explained { path, ..self }
    }
}

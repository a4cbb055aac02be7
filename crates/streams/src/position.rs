//! How far a stream was read: what is stored beside the records and read at the next start.
//!
//! It is of a fixed size and copied with each record, so any record can be the last of a
//! transaction. As text it fits into the metadata of a Kafka offset (4,096 bytes) many times.

use crate::meter::Meter;
use std::fmt;
use std::str::FromStr;

/// The longest cursor that is kept, in bytes.
const CURSOR_BYTES: usize = 40;

/// A service's own name for a place in its stream: a sequence number, an id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    bytes: [u8; CURSOR_BYTES],
    length: u8,
}

impl Cursor {
    /// A cursor of letters, digits, `-` and `_`; nothing of anything else, or if it is too long.
    pub fn new(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let length = u8::try_from(text.len()).ok()?;
        let mut bytes = [0; CURSOR_BYTES];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        (length > 0 && text.bytes().all(is_plain)).then_some(Self { bytes, length })
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }

    /// Its number, if it is one.
    pub fn number(&self) -> Option<u64> {
        self.as_str().parse().ok()
    }
}

impl From<u64> for Cursor {
    fn from(number: u64) -> Self {
        let mut cursor = Self { bytes: [0; CURSOR_BYTES], length: 0 };
        let text = number.to_string();
        cursor.bytes[..text.len()].copy_from_slice(text.as_bytes());
        cursor.length = u8::try_from(text.len()).unwrap_or_default();
        cursor
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(formatter)
    }
}

/// A place in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// When the newest record was received, in Unix milliseconds.
    pub time_ms: u64,
    /// The server it came from, as a hash; a cursor may be of one server only.
    pub server: u64,
    /// The newest record's cursor.
    pub cursor: Option<Cursor>,
    /// What was billed up to here.
    pub meter: Meter,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time_ms, server, cursor, meter: Meter { posts, users } } = self;
        let cursor = cursor.as_ref().map_or("", Cursor::as_str);
        write!(formatter, "{time_ms}/{server:016x}/{cursor}/{posts}/{users}")
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |part: &str| {
            let is_plain = part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse::<u64>().ok().filter(|_| is_plain).ok_or(())
        };
        let parts: Vec<_> = text.split('/').collect();
        let &[time, server, cursor, posts, users] = &parts[..] else { return Err(()) };
        let cursor = match cursor {
            "" => None,
            cursor => Some(Cursor::new(cursor).ok_or(())?),
        };
        Ok(Self {
            time_ms: number(time)?,
            server: u64::from_str_radix(server, 16).map_err(drop)?,
            cursor,
            meter: Meter { posts: number(posts)?, users: number(users)? },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written() {
        for cursor in ["", "1779719009132431", "9vTT4iGUpyJ1jgF6wC"] {
            let position = Position {
                time_ms: 1_779_719_009_132,
                server: 0xFF,
                cursor: Cursor::new(cursor),
                meter: Meter { posts: 3, users: u64::MAX },
            };
            assert_eq!(position.to_string().parse(), Ok(position));
            assert_eq!(position.cursor.is_some(), !cursor.is_empty());
        }
        assert_eq!(Cursor::from(u64::MAX).number(), Some(u64::MAX));
        let long = "x".repeat(41);
        for odd in [&*long, "a b", "ü", "1/2", ""] {
            assert_eq!(Cursor::new(odd), None, "{odd}");
        }
        for odd in ["", "1/2/3/4", "1/2/3/4/5/6", "-1/2/3/4/5", "1/x/3/4/5", "1/2/ü/4/5"] {
            assert_eq!(odd.parse::<Position>(), Err(()), "{odd}");
        }
    }
}

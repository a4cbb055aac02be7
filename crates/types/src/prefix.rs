//! The prefix of table names: where a job's tables stand in a database that holds others, too.
//!
//! Small letters, digits and underscores only: such a name needs no escaping, and it is the same
//! name on servers that fold names to small letters and on those that don't. Not part of what the
//! rows mean.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

/// Longest prefix: with the longest name of a table it stays below 64, the servers' bound.
const LONGEST: usize = 32;

/// What the names of shadow tables and of replaced tables begin with. No prefix may: a job's tables
/// would be the shadow tables of another one's.
const TWIN: &str = "rb_";
const REPLACED: &str = "rbold_";

/// What stands before the name of each table; empty unless asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// Of the shadow tables of the tables under this prefix, while they are filled.
    #[must_use]
    pub fn shadow(&self) -> Self {
        Prefix(format!("{TWIN}{}", self.0))
    }

    /// Of the tables that were replaced by their shadow tables, until they are dropped.
    #[must_use]
    pub fn replaced(&self) -> Self {
        Prefix(format!("{REPLACED}{}", self.0))
    }

    /// The name in the database of the table that is declared as `name`.
    #[must_use]
    pub fn table(&self, name: &str) -> String {
        format!("{}{name}", self.0)
    }
}

impl Display for Prefix {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A text that is no prefix.
#[derive(Debug)]
pub struct NoPrefix;

impl Display for NoPrefix {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(
            "a table prefix is at most 32 small letters, digits and underscores (servers differ in \
             how they treat capitals in names), and begins neither with rb_ nor with rbold_, which \
             are the names of --rebuild",
        )
    }
}

impl std::error::Error for NoPrefix {}

impl FromStr for Prefix {
    type Err = NoPrefix;

    fn from_str(text: &str) -> Result<Self, NoPrefix> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let is_taken = [TWIN, REPLACED].iter().any(|taken| text.starts_with(taken));
        if text.len() > LONGEST || is_taken || !text.chars().all(plain) {
            return Err(NoPrefix);
        }
        Ok(Prefix(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::Prefix;

    #[test]
    fn only_plain_short_text_is_a_prefix() {
        for good in ["", "a", "team_1_", &"x".repeat(32)] {
            let prefix: Prefix = good.parse().expect("it is a prefix");
            assert_eq!(prefix.table("users"), format!("{good}users"));
        }
        for bad in
            ["A", "a-b", "a b", "a`", "a.b", "é", "a'", &"x".repeat(33), "rb_", "rb_a", "rbold_"]
        {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_names_of_a_rebuild_are_nobody_elses() {
        let parse = |text: &str| text.parse::<Prefix>().expect("it is a prefix");
        for (one, other) in [("", "old_"), ("old_", ""), ("a", "old_a")] {
            assert_ne!(parse(one).replaced(), parse(other).shadow());
        }
    }
}

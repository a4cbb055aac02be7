//! What an operator may choose for the crates below the program, as plain data.
//!
//! [`TableSettings`], [`DecodeSettings`] and [`TableChoice`] change rows: each of their values is a
//! part of the fingerprint. [`Cluster`] changes none. Nothing here is checked: arguments are, where
//! they are read.

use std::fmt;
use std::time::Duration;

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

/// Which tables a job has, beside those that each job has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableChoice {
    /// Names of tables that are off by default.
    pub with: Vec<String>,
    /// Names of tables that are on by default, and that this job does without.
    pub without: Vec<String>,
}

/// What decides about a record beside its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct DecodeSettings {
    /// Leave out tweets whose author gives no location (it is null, or there is no author).
    pub require_location: bool,
    /// What a shown name becomes.
    pub names: Names,
    /// What a retweet adds to the hashtags.
    pub retweets: Retweets,
}

/// What becomes of a shown name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// Without emoji, every letter kept
    #[default]
    Clean,
    /// As the first version of these tables had them; damages names in many scripts
    Legacy,
}

impl fmt::Display for Names {
    /// As the flag and the fingerprint say it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Names::Clean => "clean",
            Names::Legacy => "legacy",
        })
    }
}

/// Whose hashtags a retweet's are. Its text and entities are a copy of the original's, which the
/// service cuts to 140 characters; a quote has a text of its own and is not meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retweets {
    /// Its own, as the API gives them: those of the original, as far as they lie before the cut
    #[default]
    AsSent,
    /// None: hashtags count once for the original, however often it is retweeted
    None,
}

impl fmt::Display for Retweets {
    /// As the flag and the fingerprint say it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Retweets::AsSent => "as-sent",
            Retweets::None => "none",
        })
    }
}

/// The cluster as one of its processes sees it.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The own index; 0 has the database.
    pub process: usize,
    /// `host:port` of each process, by index.
    pub hosts: Vec<String>,
    /// How long a start waits for the others.
    pub patience: Duration,
}

impl Cluster {
    /// How many processes there are.
    #[must_use]
    pub fn processes(&self) -> usize {
        self.hosts.len()
    }

    /// Where this process listens.
    #[must_use]
    pub fn own(&self) -> &str {
        &self.hosts[self.process]
    }

    /// A process, for people.
    #[must_use]
    pub fn name(&self, process: usize) -> String {
        format!("process {process} at {}", self.hosts[process])
    }
}

//! The folder of a demo: which tweets it counts, and the tables.
//!
//! Made-up tweets are the same only for one version of the generator and one rate, at which their
//! own time passes; so both are noted beside the tables. A folder whose tables count other tweets
//! is refused, never mixed.

use super::job::JobError;
use crate::config::RunConfig;
use produce::InputTopic;
use serde::{Deserialize, Serialize};
use sink::sqlite::SqliteSink;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use synth::GENERATOR_VERSION;

pub(super) const JOB: &str = "demo";
pub(super) const TOPIC: &str = "tweets";
const NOTE: &str = "tweets.json";
const TABLES: &str = "tables.sqlite";

/// Which tweets are counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tweets {
    /// Made-up ones: so many in a second of their own time, or as many as there are.
    Synthetic { generator: u32, rate: Option<f64> },
    /// Those of a file.
    Input(PathBuf),
}

impl Tweets {
    pub(super) fn synthetic(rate: Option<f64>) -> Self {
        Tweets::Synthetic { generator: GENERATOR_VERSION, rate }
    }

    /// What a folder counts from now on, if that may follow what it counts.
    fn after(self, before: &Self) -> Option<Self> {
        match (before, self) {
            // The first rate stays that of their own time.
            (Tweets::Synthetic { generator, .. }, Tweets::Synthetic { .. }) => {
                (*generator == GENERATOR_VERSION).then(|| before.clone())
            }
            // Whether a file holds the same tweets is seen while it is read.
            (Tweets::Input(_), input @ Tweets::Input(_)) => Some(input),
            _ => None,
        }
    }
}

/// A folder and the tweets that its tables count.
pub(super) struct DemoFolder {
    path: PathBuf,
    tweets: Tweets,
}

impl DemoFolder {
    /// Makes the folder, or goes on with what is in it.
    pub(super) fn begin(path: &Path, tweets: Tweets) -> Result<Self, JobError> {
        let fault = |source| JobError::Folder { path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(fault)?;
        let mut folder = DemoFolder { path: path.to_owned(), tweets };
        let note = read_note(path).map_err(fault)?;
        if folder.tables().exists() || path.join("topic").exists() {
            let continued = note.as_ref().and_then(|before| folder.tweets.after(before));
            folder.tweets = continued.ok_or_else(|| other_tweets(path, note.as_ref()))?;
        }
        if note.as_ref() != Some(&folder.tweets) {
            folder.write_note().map_err(fault)?;
        }
        Ok(folder)
    }

    /// What an earlier demo has left behind.
    pub(super) fn open(path: &Path) -> Result<Self, JobError> {
        let fault = |source| JobError::Folder { path: path.to_owned(), source };
        match read_note(path).map_err(fault)? {
            Some(tweets) if tweets.clone().after(&tweets).is_some() => {
                Ok(DemoFolder { path: path.to_owned(), tweets })
            }
            note => Err(other_tweets(path, note.as_ref())),
        }
    }

    /// Removes what earlier demos, of this version and of those before, have left behind.
    pub(super) fn clear(path: &Path) -> Result<(), JobError> {
        let tables = ["", "-wal", "-shm"].map(|end| path.join(format!("{TABLES}{end}")));
        let remove = |entry: &Path| {
            if entry.is_dir() {
                std::fs::remove_dir_all(entry)
            } else {
                std::fs::remove_file(entry)
            }
        };
        for old in tables.iter().chain(&[path.join(NOTE), path.join("topic")]) {
            match remove(old) {
                Err(source) if source.kind() != ErrorKind::NotFound => {
                    return Err(JobError::Folder { path: old.clone(), source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The tweets.
    pub(super) fn topic(&self) -> InputTopic {
        match &self.tweets {
            Tweets::Synthetic { rate, .. } => {
                InputTopic::synthetic(TOPIC, rate.unwrap_or(f64::INFINITY))
            }
            Tweets::Input(path) => InputTopic::file(TOPIC, path.clone()),
        }
    }

    /// The file of the tables.
    pub(super) fn tables(&self) -> PathBuf {
        self.path.join(TABLES)
    }

    /// The same as a sink. Does not open it.
    pub(super) fn sink(&self) -> SqliteSink {
        SqliteSink::new(self.tables())
    }

    /// What the rows mean; the rest is at its default.
    pub(super) fn config() -> RunConfig {
        let mut config = RunConfig::new(TOPIC);
        JOB.clone_into(&mut config.job);
        "demo".clone_into(&mut config.from);
        config
    }

    /// The note is there as a whole or not at all.
    fn write_note(&self) -> std::io::Result<()> {
        let path = self.path.join(NOTE);
        let new = path.with_extension("new");
        std::fs::write(&new, serde_json::to_vec(&self.tweets)?)?;
        std::fs::rename(new, path)
    }
}

/// The note of a folder; `None` if there is none that this version reads.
fn read_note(path: &Path) -> std::io::Result<Option<Tweets>> {
    match std::fs::read(path.join(NOTE)) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn other_tweets(path: &Path, before: Option<&Tweets>) -> JobError {
    let what = match before {
        None => "does not say which tweets its tables count: no demo of this version wrote it",
        Some(Tweets::Synthetic { generator, .. }) if *generator != GENERATOR_VERSION => {
            "counts made-up tweets of another version of this program"
        }
        Some(Tweets::Synthetic { .. }) => "counts made-up tweets; leave out --input to go on",
        Some(Tweets::Input(_)) => "counts the tweets of a file; name it by --input to go on",
    };
    let path = path.display();
    JobError::Argument(format!("{path} {what}; start again with --fresh, or name another --dir"))
}

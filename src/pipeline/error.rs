//! What can go wrong, by seam; and what the process answers with.
//!
//! Each message says what happened, to what, and what to do. Messages never contain a secret and
//! never print their sources: `main` prints the chain once.

use crate::config::ConfigError;
use mesh::MeshError;
use sink::SinkError;
use source::SourceError;
use types::dead_letter::OverflowRange;
use types::fault::{self, Fault};

/// A run ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The topic's side.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The database's side.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Values of the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Tables that do not fit together.
    #[error("{0}")]
    Tables(String),
    /// The dataflow engine did not start.
    #[error("the dataflow engine did not start: {0}; is --workers a number this machine can run?")]
    Engine(String),
    /// A signal came before the tables were rebuilt.
    #[error(
        "stopped before the end; one set of tables, old or new, is whole, and the same command goes on"
    )]
    RebuildStopped,
    /// Which records of these were counted is stored nowhere.
    #[error(
        "another version of this program has refused {} records up to offset {} of partition \
         {partition} (dead_letter_overflow), this one may read some of them, and the ledger must \
         remember what was counted there; start once with --forget-ledger, or count all of it: \
         `run --rebuild`", .range.records, .range.last
    )]
    Overflow {
        /// The partition.
        partition: u32,
        /// Where they are, and how many.
        range: OverflowRange,
    },
    /// The processes of the cluster did not come together.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// Another process of the cluster ended before its time.
    #[error("{who} has failed: {text}")]
    Peer {
        /// The process.
        who: String,
        /// What it reported.
        text: String,
    },
    /// Another process of the cluster does not work any more, or cannot be reached.
    #[error("no heartbeat from {who} for {seconds} s; the tables are as of the last commit")]
    PeerTimeout {
        /// The processes.
        who: String,
        /// For how long.
        seconds: u64,
    },
    /// The operating system refused something that a run cannot do without.
    #[error("{doing} failed")]
    System {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl Fault for RunError {
    fn is_config_error(&self) -> bool {
        match self {
            RunError::Source(error) => error.is_config_error(),
            RunError::Sink(error) => error.is_config_error(),
            RunError::Mesh(error) => error.is_config_error(),
            RunError::Config(_) | RunError::Tables(_) => true,
            RunError::Engine(_)
            | RunError::System { .. }
            | RunError::RebuildStopped
            | RunError::Overflow { .. }
            | RunError::Peer { .. }
            | RunError::PeerTimeout { .. } => false,
        }
    }
}

impl RunError {
    /// 2 for arguments and configuration that could never have worked, else 1.
    pub fn exit_code(&self) -> u8 {
        fault::exit_code(self)
    }
}

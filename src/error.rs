//! What can go wrong, by seam; and what the process answers with.
//!
//! Each message says what happened, to what, and what to do. Messages never contain a secret and
//! never print their sources: `main` prints the chain once.

use crate::mesh::MeshError;
use crate::sink::SinkError;
use crate::source::SourceError;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Runs code of others on what comes from outside; its panic is an error with the panic's text.
/// What `call` has changed must not be used afterwards.
pub fn catch<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    let before = IS_CAUGHT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    IS_CAUGHT.set(before);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref().copied()).unwrap_or("a panic").to_owned()
    })
}

/// Whether a panic of this thread is caught by [`catch`]: no other panic is survived.
pub fn is_caught() -> bool {
    IS_CAUGHT.get()
}

/// A run ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The topic's side.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The database's side.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The dataflow engine did not start.
    #[error("the dataflow engine did not start: {0}; is --workers a number this machine can run?")]
    Engine(String),
    /// A signal came before the tables were rebuilt.
    #[error(
        "stopped before the end; one set of tables, old or new, is whole, and the same command goes on"
    )]
    RebuildStopped,
    /// The processes of the cluster did not come together.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// Another process of the cluster ended before its time.
    #[error("{who} has failed: {text}")]
    Peer {
        /// The process.
        who: String,
        /// What it said.
        text: String,
    },
    /// Another process of the cluster does not work any more, or cannot be reached.
    #[error("{who} said nothing for {seconds} s; the tables hold the last commit")]
    Silent {
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

impl RunError {
    /// 2 for arguments and configuration that could never have worked, else 1.
    pub fn exit_code(&self) -> u8 {
        let operator = match self {
            RunError::Source(error) => error.is_operators(),
            RunError::Sink(error) => error.is_operators(),
            RunError::Mesh(error) => error.is_operators(),
            RunError::Engine(_)
            | RunError::System { .. }
            | RunError::RebuildStopped
            | RunError::Peer { .. }
            | RunError::Silent { .. } => false,
        };
        if operator { 2 } else { 1 }
    }
}

/// An error and its causes in one line, outermost first.
pub fn one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // Some libraries repeat their source in their own text.
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = cause.source();
    }
    line.replace('\n', " ")
}

//! `tweetflow config`: the commented file of settings, to begin one's own with.
//!
//! It is the file that is shipped; a test holds it equal to the arguments of the program.

use std::process::ExitCode;

/// Examples of `--help`.
pub(super) const EXAMPLES: &str = "Examples:\n  \
    tweetflow config > tweetflow.toml\n  \
    tweetflow run --config tweetflow.toml";

/// Every setting with its default and what it means.
const FILE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/tweetflow.toml"));

/// Prints the file.
pub(super) fn run() -> ExitCode {
    super::print(FILE.as_bytes())
}

//! `tweetflow legacy`: the old program's tables get out of the way, and stay readable.

use super::job::{DatabaseArgs, JobError};
use crate::pipeline::error::RunError;
use clap::Args;
use std::process::ExitCode;

pub(super) const EXAMPLES: &str = "Examples:\n  \
    TWEETFLOW_DATABASE=mysql://user:secret@127.0.0.1:3306/data tweetflow legacy\n\n\
    hashtags(hashtag) becomes legacy_hashtags, users(username, nb_friends) legacy_users. Tables with\n\
    other columns are left alone. The old program must be stopped: it would make its tables again.";

/// Arguments of `legacy`. The old tables have no prefix.
#[derive(Args)]
pub(super) struct LegacyArgs {
    #[command(flatten)]
    place: DatabaseArgs,
}

/// Runs the command to its end.
pub(super) fn run(args: &LegacyArgs) -> ExitCode {
    match act(args) {
        Ok(line) => super::print(line.as_bytes()),
        Err(error) => super::fail(&error, error.exit_code()),
    }
}

fn act(args: &LegacyArgs) -> Result<String, JobError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let starting = |source| RunError::System { doing: "starting the connection", source };
    let runtime = runtime.map_err(starting)?;
    let renamed = runtime.block_on(args.place.mysql()?.rename_legacy()).map_err(RunError::from)?;
    if renamed.is_empty() {
        return Err(JobError::Argument(
            "there is no hashtags(hashtag) and no users(username, nb_friends): nothing is renamed"
                .to_owned(),
        ));
    }
    let lines = renamed.iter().map(|table| format!("renamed {table} to legacy_{table}\n"));
    Ok(lines.collect::<Vec<_>>().concat())
}

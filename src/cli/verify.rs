//! `tweetflow verify`: its arguments, and its answer as lines and an exit code.

use super::job::{JobArgs, JobError};
use crate::pipeline;
use crate::verify::{self, Check, Settings};
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

pub(super) const EXAMPLES: &str = "Examples:\n  \
    TWEETFLOW_DATABASE=mysql://user:secret@127.0.0.1:3306/data tweetflow verify --topic tweets\n  \
    tweetflow verify --config deploy/tweetflow.toml --table hashtags --sample 1\n  \
    tweetflow verify --baseline tweets.baseline   # daily: a topic forgets, a baseline does not\n\n\
    Exit code: 0 equal, 1 different (each key is printed) or a failure, 2 wrong arguments,\n\
    3 cannot be checked (the topic no longer holds what the tables count)";

/// Arguments of `verify`.
#[derive(Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    job: JobArgs,
    /// Compare this table only; may be repeated
    #[arg(long = "table", id = "table", value_name = "NAME", value_parser = names())]
    tables: Vec<String>,
    /// Percent of hashtags and users to compare, the same ones each time
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0, value_parser = percent)]
    sample: f64,
    /// Print at most so many differences; all are counted
    #[arg(long, value_name = "N", default_value_t = 100)]
    show: u64,
    /// Megabytes of keys in memory, on each side; the rest goes to temporary files (TMPDIR)
    #[arg(long, value_name = "MB", default_value_t = 256)]
    memory_mb: usize,
    /// File that keeps the tables as they were found right: where it exists, only what was counted
    /// since is read; it is moved forward when nothing differs
    #[arg(long, value_name = "FILE", conflicts_with_all = ["table", "sample"])]
    baseline: Option<PathBuf>,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(pipeline::tables().iter().map(|table| table.name))
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent),
        _ => Err("expected a number above 0, at most 100".to_owned()),
    }
}

/// Runs the command to its end.
pub(super) fn run(args: &VerifyArgs, stop: &AtomicBool) -> ExitCode {
    let prepared = args.job.topic(false, false).and_then(|topic| Ok((topic, args.job.sink()?)));
    let (topic, sink) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return super::fail(&error, JobError::exit_code(&error)),
    };
    let settings = Settings {
        tables: args.tables.clone(),
        sample: args.sample,
        show: args.show,
        memory: args.memory_mb << 20,
        baseline: args.baseline.clone(),
    };
    let config = args.job.config();
    let check = Check { config: &config, topic: &topic, sink: &sink, settings: &settings, stop };
    let mut out = std::io::stdout().lock();
    match check.run(&mut out) {
        Ok(summary) => {
            let verify::Summary { commit_no, records, rows, differences, .. } = summary;
            let verify::Summary { dead_letters, countable, .. } = summary;
            let (word, code) = if differences == 0 { ("equal", 0) } else { ("different", 1) };
            println!(
                "{word} differences={differences} commit_no={commit_no} records={records} \
                 rows={rows} dead_letters={dead_letters} countable={countable}"
            );
            ExitCode::from(code)
        }
        Err(error) => super::fail(&error, error.exit_code()),
    }
}

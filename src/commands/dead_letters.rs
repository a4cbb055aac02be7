//! `tweetflow dead-letters`: what was not counted and why, and another try.

use super::job::{DatabaseArgs, JobError};
use crate::pipeline::error::RunError;
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use dataflows::tables::dead_letters::TABLE;
use std::process::ExitCode;
use types::Value;
use types::dead_letter::{DeadLetter, RETRY};

pub(super) const EXAMPLES: &str = "Examples:\n  \
    tweetflow dead-letters list --reason json\n  \
    tweetflow dead-letters retry --reason shape       # after an upgrade that knows the new shape\n  \
    tweetflow dead-letters retry --partition 3 --offset 4711\n\n\
    The running job (or the next one) reads flagged records again from Kafka. In one transaction it\n\
    counts the record and deletes its row; what still cannot be counted keeps a row, without the flag.";

/// Arguments of `dead-letters`. Flat, because the file of settings knows one level of commands.
#[derive(Args)]
pub(super) struct DeadLettersArgs {
    /// What to do
    #[arg(value_enum)]
    action: Action,
    #[command(flatten)]
    place: DatabaseArgs,
    /// Only those of this class
    #[arg(long, value_name = "CLASS", value_parser = PossibleValuesParser::new(decode::REASONS))]
    reason: Option<String>,
    /// Only those of this partition
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// Only the one at this offset
    #[arg(long, value_name = "N", requires = "partition")]
    offset: Option<u64>,
    /// list: print at most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
    /// retry: all of them
    #[arg(long, conflicts_with_all = ["reason", "partition", "offset"])]
    all: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Action {
    /// Print them, one a line
    List,
    /// Mark them to be tried again by the running job
    Retry,
}

impl DeadLettersArgs {
    /// The columns by which rows are chosen, and their values.
    fn chosen(&self) -> Vec<(usize, Value)> {
        let reason = self.reason.as_deref().map(|reason| (4, Value::Text(reason.into())));
        let partition = self.partition.map(|partition| (1, Value::UInt(partition.into())));
        let offset = self.offset.map(|offset| (2, Value::UInt(offset)));
        reason.into_iter().chain(partition).chain(offset).collect()
    }
}

/// Runs the command to its end.
pub(super) fn run(args: &DeadLettersArgs) -> ExitCode {
    match act(args) {
        Ok(line) => super::print(line.as_bytes()),
        Err(error) => super::fail(&error, error.exit_code()),
    }
}

fn act(args: &DeadLettersArgs) -> Result<String, JobError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let starting = |source| RunError::System { doing: "starting the connection", source };
    let runtime = runtime.map_err(starting)?;
    let (sink, table) = (args.place.sink()?, (&args.place.table_prefix, &TABLE));
    let chosen = args.chosen();
    match args.action {
        Action::List if args.all => Err(JobError::Argument(
            "--all is for retry; list prints as many as --limit says".to_owned(),
        )),
        Action::List => {
            let rows = runtime.block_on(sink.filtered_rows(table, &chosen, args.limit));
            let (count, rows) = rows.map_err(RunError::from)?;
            let lines = rows.iter().filter_map(DeadLetter::of).map(|letter| line(&letter));
            let lines = lines.collect::<String>();
            Ok(format!("{lines}dead_letters={count} shown={}\n", rows.len()))
        }
        Action::Retry if chosen.is_empty() && !args.all => Err(JobError::Argument(
            "say which to try again: --reason, --partition and --offset, or --all".to_owned(),
        )),
        Action::Retry => {
            let flagged = runtime.block_on(sink.flag_rows(table, RETRY, &chosen));
            Ok(format!("marked={}\n", flagged.map_err(RunError::from)?))
        }
    }
}

/// One letter; text from the topic is escaped, it may hold anything.
fn line(letter: &DeadLetter) -> String {
    let DeadLetter { partition, offset, ms, reason, detail, sample, file } = letter;
    let file = if file.is_empty() { String::new() } else { format!("file={file:?} ") };
    let at = jiff::Timestamp::from_millisecond(ms.cast_signed()).ok();
    // 0: the record has no timestamp.
    let at = at.filter(|_| *ms > 0).map_or_else(String::new, |at| format!("at={at} "));
    let sample = String::from_utf8_lossy(&sample[..sample.len().min(60)]).into_owned();
    format!(
        "{file}partition={partition} offset={offset} {at}reason={reason} {detail:?} {sample:?}\n"
    )
}

//! Owns what a person sees while `produce` runs: a bar or a spinner on a terminal, else a line
//! every few seconds, both on standard error. The figures are of records that are confirmed; the bar
//! of a file is how much of it was read, in bytes of the file, compressed or not.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use super::ProduceArgs;

/// Without a terminal, a line so often.
const LINE_TIME: Duration = Duration::from_secs(5);
/// On a terminal, new figures so often.
const BAR_TIME: Duration = Duration::from_millis(500);

/// The bar, or what stands in for it.
pub(super) struct Progress {
    /// None without a terminal.
    bar: Option<ProgressBar>,
    /// Bytes read from a file, if the bar counts these rather than tweets.
    read: Option<Arc<AtomicU64>>,
    shown_at: Instant,
    shown: (u64, u64),
}

impl Progress {
    /// Shows a bar where the end is known: by `--limit`, or by the size of the file.
    pub(super) fn new(args: &ProduceArgs, read: Arc<AtomicU64>) -> Self {
        let size = args.input.as_ref().and_then(|path| std::fs::metadata(path).ok());
        let size = size.filter(std::fs::Metadata::is_file).map(|file| file.len());
        let read = (args.limit.is_none() && size.is_some()).then_some(read);
        let bar = std::io::stderr().is_terminal().then(|| bar(args.limit.or(size)));
        Self { bar, read, shown_at: Instant::now(), shown: (0, 0) }
    }

    /// Shows the records and bytes that are confirmed by now, if it is time to.
    pub(super) fn show(&mut self, (tweets, bytes): (u64, u64)) {
        let time = if self.bar.is_some() { BAR_TIME } else { LINE_TIME };
        let since = self.shown_at.elapsed();
        if since < time {
            return;
        }
        let tweets_per_second = per_second(tweets - self.shown.0, since);
        let megabytes_per_second = per_second((bytes - self.shown.1) / 1_000_000, since);
        let (count, rate) = (HumanCount(tweets), HumanCount(tweets_per_second));
        let text = format!("{count} tweets, {rate} tweets/s, {megabytes_per_second} MB/s");
        match &self.bar {
            Some(bar) => {
                bar.set_position(
                    self.read.as_ref().map_or(tweets, |read| read.load(Ordering::Relaxed)),
                );
                bar.set_message(text);
            }
            None => eprintln!("{text}"),
        }
        (self.shown_at, self.shown) = (Instant::now(), (tweets, bytes));
    }
}

impl Drop for Progress {
    /// The terminal is left clean however the run ends.
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(end: Option<u64>) -> ProgressBar {
    let (bar, template) = match end {
        Some(end) => (ProgressBar::new(end), "{bar:30} {percent:>3} % {msg}, {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
    };
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Whole units per second.
fn per_second(count: u64, time: Duration) -> u64 {
    let units = u128::from(count) * 1_000_000_000 / time.as_nanos().max(1);
    u64::try_from(units).unwrap_or(u64::MAX)
}

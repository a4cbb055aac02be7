//! What a person sees of long work: a bar or a spinner on a terminal, else a line every few
//! seconds, both on standard error.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Without a terminal, a line so often.
const LINE_TIME: Duration = Duration::from_secs(5);
/// On a terminal, new figures so often.
const BAR_TIME: Duration = Duration::from_millis(500);

/// The bar, or what stands in for it.
pub struct Bar {
    /// None without a terminal.
    bar: Option<ProgressBar>,
    shown_at: Instant,
}

impl Bar {
    /// A bar where the end is known, else a spinner.
    pub fn new(end: Option<u64>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| styled(end));
        Bar { bar, shown_at: Instant::now() }
    }

    /// Shows position and text if it is time to; the text is given the time since it was last.
    pub fn show(&mut self, position: u64, text: impl FnOnce(Duration) -> String) {
        let time = if self.bar.is_some() { BAR_TIME } else { LINE_TIME };
        let since = self.shown_at.elapsed();
        if since < time {
            return;
        }
        let text = text(since);
        match &self.bar {
            Some(bar) => {
                bar.set_position(position);
                bar.set_message(text);
            }
            None => eprintln!("{text}"),
        }
        self.shown_at = Instant::now();
    }
}

impl Drop for Bar {
    /// The terminal is left clean however the work ends.
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn styled(end: Option<u64>) -> ProgressBar {
    let (bar, template) = match end {
        Some(end) => (ProgressBar::new(end), "{bar:30} {percent:>3} % {msg}, {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
    };
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Whole units per second.
pub fn per_second(count: u64, time: Duration) -> u64 {
    let units = u128::from(count) * 1_000_000_000 / time.as_nanos().max(1);
    u64::try_from(units).unwrap_or(u64::MAX)
}

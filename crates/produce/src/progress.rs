//! What a person sees while `produce` runs. The figures are of records that are confirmed; the bar
//! of a file is how much of it was read, in bytes of the file, compressed or not.

use super::ProduceConfig;
use super::stream::progress;
use indicatif::HumanCount;
use monitor::bar::{Bar, per_second};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use streams::Status;

/// The bar and what it was last told.
pub(super) struct ProgressLine {
    bar: Bar,
    /// Bytes read from a file, if the bar counts these rather than tweets.
    read: Option<Arc<AtomicU64>>,
    shown: (u64, u64),
    /// Of a live stream.
    stream: Option<Arc<Status>>,
}

impl ProgressLine {
    /// Shows a bar where the end is known: by `--limit`, or by the size of the file.
    pub(super) fn new(args: &ProduceConfig, read: Arc<AtomicU64>) -> Self {
        let size = args.input.as_ref().and_then(|path| std::fs::metadata(path).ok());
        let size = size.filter(std::fs::Metadata::is_file).map(|file| file.len());
        let read = (args.limit.is_none() && size.is_some()).then_some(read);
        let stream = args.stream.as_ref().map(|_| Arc::clone(&args.status));
        Self { bar: Bar::new(args.limit.or(size)), read, shown: (0, 0), stream }
    }

    /// Shows the records and bytes that are confirmed by now, if it is time to.
    pub(super) fn show(&mut self, (tweets, bytes): (u64, u64)) {
        let position = self.read.as_ref().map_or(tweets, |read| read.load(Ordering::Relaxed));
        let (shown, stream) = (&mut self.shown, &self.stream);
        self.bar.show(position, |since| {
            let tweets_per_second = per_second(tweets - shown.0, since);
            let megabytes_per_second = per_second((bytes - shown.1) / 1_000_000, since);
            *shown = (tweets, bytes);
            let (count, rate) = (HumanCount(tweets), HumanCount(tweets_per_second));
            match stream {
                None => format!("{count} tweets, {rate} tweets/s, {megabytes_per_second} MB/s"),
                Some(status) => {
                    format!("{count} records, {rate} records/s, {}", progress(status))
                }
            }
        });
    }
}

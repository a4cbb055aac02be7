//! A live stream as the input of `produce`: its thread, and the way of its records to the sender.
//!
//! Invariant: a record leaves with the stream's position behind it. What was received is handed on
//! as soon as nothing more is at hand. Filters and the limit hold here, so that no stream is read
//! for longer than its records are wanted.

use super::input::{BATCH_BYTES, BatchSender, InputBatch, InputPosition};
use super::recent::Recent;
use super::{ProduceConfig, ProduceError};
use decode::look::facts;
use std::fmt::Write;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use streams::{End, Position, Sink, Status, StreamConfig};

/// A stream that is to be followed.
pub(super) struct Following {
    config: StreamConfig,
    status: Arc<Status>,
    require_location: bool,
    /// Records that the limit leaves.
    left: u64,
    start: InputPosition,
    recent: Recent,
}

impl Following {
    /// A stream that goes on behind `start`.
    pub(super) fn new(
        args: &ProduceConfig,
        config: &StreamConfig,
        start: InputPosition,
        left: u64,
    ) -> Result<Self, ProduceError> {
        let mut config = config.clone();
        config.connects = args.resume.as_ref().map(|file| {
            let mut name = file.as_os_str().to_owned();
            name.push(".connects");
            name.into()
        });
        let (status, require_location) = (Arc::clone(&args.status), args.require_location);
        let recent = Recent::new(args)?;
        Ok(Self { config, status, require_location, left, start, recent })
    }

    /// Follows until the end of the stream, or of the receiver.
    pub(super) fn feed(self, sender: &BatchSender, closed: &AtomicBool) {
        let Self { config, status, require_location, left, start, recent } = self;
        let batch = InputBatch::default();
        let mut feed =
            Feed { sender, closed, batch, require_location, left, position: start, recent };
        let result = match left {
            0 => Ok(End::Stopped),
            _ => streams::run(&config, start.place, &mut feed, &status),
        };
        // The receiver may be gone.
        let _ = feed.flush();
        match result {
            Ok(End::Cap(cap)) => tracing::info!("{cap}; the stream is left"),
            Ok(_) => {}
            Err(error) => drop(sender.send(Err(error.into()))),
        }
    }
}

struct Feed<'a> {
    sender: &'a BatchSender,
    closed: &'a AtomicBool,
    batch: InputBatch,
    require_location: bool,
    left: u64,
    position: InputPosition,
    recent: Recent,
}

impl Sink for Feed<'_> {
    fn record(&mut self, record: &[u8], position: Position) -> ControlFlow<()> {
        self.position.records += 1;
        self.position.place = Some(position);
        let facts = facts(record);
        if self.require_location && facts.lacks_location {
            self.batch.left_out += 1;
            return ControlFlow::Continue(());
        }
        self.batch.push(facts, record, self.position);
        self.left -= 1;
        if self.left == 0 {
            let _ = self.flush();
            return ControlFlow::Break(());
        }
        if self.batch.size() >= BATCH_BYTES { self.flush() } else { ControlFlow::Continue(()) }
    }

    fn flush(&mut self) -> ControlFlow<()> {
        if self.batch.is_empty() {
            return ControlFlow::Continue(());
        }
        match self.sender.send(Ok(std::mem::take(&mut self.batch))) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn each_recent(&mut self, since_ms: u64, each: &mut dyn FnMut(&[u8])) {
        if let Err(error) = self.recent.each(since_ms, each) {
            tracing::warn!("the end of the topic is not known, records may be sent twice: {error}");
        }
    }
}

/// The text of the progress line.
pub(super) fn progress(status: &Status) -> String {
    let figures = status.figures();
    let now = jiff::Timestamp::now().as_millisecond();
    let now = u64::try_from(now).unwrap_or_default();
    let mut text = match &figures.waiting {
        Some((until, reason)) if *until > now => {
            let wait = Duration::from_millis(until - now);
            return format!("waiting, next try in {}: {reason}", streams::duration(wait));
        }
        _ if figures.is_connected => "connected".to_owned(),
        _ => "connecting".to_owned(),
    };
    if let Some(delay) = figures.delay_ms {
        text.push_str(", delay ");
        text.push_str(&streams::duration(Duration::from_millis(delay)));
    }
    if figures.meter.posts > 0 {
        let (least, most) = figures.meter.dollars();
        let _ = write!(text, ", {least:.2} to {most:.2} dollars");
    }
    if figures.gaps > 0 {
        let _ = write!(text, ", {} gaps", figures.gaps);
    }
    text
}

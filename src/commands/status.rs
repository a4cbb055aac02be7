//! What a person sees of a long start or a long way to the end of the topic: a bar on a terminal,
//! lines in the log elsewhere. Nothing once the job has caught up.

use indicatif::{HumanBytes, HumanCount};
use monitor::bar::Bar;
use monitor::{Monitor, Phase, StatusSnapshot};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often it is looked at.
const TICK: Duration = Duration::from_millis(250);
/// Without a terminal, a line in the log so often.
const LOG_TIME: Duration = Duration::from_secs(10);
/// No bar is shown below this many records.
const FEW: u64 = 10_000;
/// What is short needs no bar.
const SHORT: Duration = Duration::from_secs(2);

/// Shown until it is dropped.
pub(super) struct StatusLine {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl StatusLine {
    /// Starts to look. Without a thread there is no line.
    pub(super) fn start(monitor: &Arc<Monitor>, unit: &'static str) -> Self {
        monitor.watch();
        let ended = Arc::<AtomicBool>::default();
        let (end, monitor) = (Arc::clone(&ended), Arc::clone(monitor));
        let thread = std::thread::Builder::new().name("status".to_owned()).spawn(move || {
            let mut line = StatusText { unit, bar: None, logged: None };
            while !end.load(Ordering::Relaxed) {
                std::thread::park_timeout(TICK);
                monitor.sample();
                line.show(&monitor.snapshot());
            }
        });
        StatusLine { ended, thread: thread.ok() }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic has ended the process already.
            let _ = thread.join();
        }
    }
}

struct StatusText {
    unit: &'static str,
    /// The bar with what was left when it began; `None` while there is nothing to wait for.
    bar: Option<(Bar, u64)>,
    /// When the last line was logged.
    logged: Option<Instant>,
}

impl StatusText {
    fn show(&mut self, snapshot: &StatusSnapshot) {
        if snapshot.running < SHORT {
            return;
        }
        let left = snapshot.lag();
        #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
        let is_far = left as f64 > snapshot.gaining.max(1.0) * SHORT.as_secs_f64() && left > FEW;
        match snapshot.phase {
            Phase::Starting if snapshot.restored > 0 => {
                let text = format!("{} rows restored", HumanCount(snapshot.restored));
                self.say(snapshot.restored, None, text);
            }
            Phase::Replaying if snapshot.replay > 0 => {
                let to_replay = snapshot.replay;
                let text = match self.unit {
                    "bytes" => format!("{} to read again for the ledger", HumanBytes(to_replay)),
                    unit => {
                        format!("{} {unit} to read again for the ledger", HumanCount(to_replay))
                    }
                };
                let all = self.bar.as_ref().map_or(to_replay, |(_, all)| to_replay.max(*all));
                self.say(all - to_replay, Some(all), text);
            }
            Phase::Running if is_far => {
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a figure for people"
                )]
                let rate = HumanCount(snapshot.per_second as u64);
                let text = match self.unit {
                    "bytes" => format!("{}, {rate} records/s", HumanBytes(left)),
                    unit => format!("{} {unit}, {rate}/s", HumanCount(left)),
                };
                let all = self.bar.as_ref().map_or(left, |(_, all)| left.max(*all));
                self.say(all - left, Some(all), text);
            }
            _ => self.bar = None,
        }
    }

    /// On a terminal as a bar, else in the log now and then.
    fn say(&mut self, position: u64, end: Option<u64>, text: String) {
        if !std::io::stderr().is_terminal() {
            if self.logged.is_none_or(|logged| logged.elapsed() >= LOG_TIME) {
                self.logged = Some(Instant::now());
                tracing::info!("{text}");
            }
            return;
        }
        let all = end.unwrap_or_default();
        if self.bar.as_ref().is_none_or(|(_, before)| *before != all) {
            self.bar = Some((Bar::new(end), all));
        }
        if let Some((bar, _)) = &mut self.bar {
            bar.show(position, |_| text);
        }
    }
}

//! Follows one stream: connects, reads, waits, connects again, until something ends it.
//!
//! Invariants: a record leaves once, with the position behind it; what the service did not give
//! leaves as a gap before the next record; a schedule of waits is reset only by data or a
//! keep-alive; no connect is made beyond the budget. It knows no service and no topic.

use crate::backoff::{Backoff, Failure};
use crate::budget::ConnectBudget;
use crate::error::{End, StreamError};
use crate::gap::Gap;
use crate::http::Client;
use crate::position::Position;
use crate::reply::Trouble;
use crate::service::{Continuity, Event, Message, Service};
use crate::status::{Status, duration};
use crate::window::Window;
use crate::{Recorder, Sink, StreamConfig};
use futures_util::FutureExt;
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::pin::pin;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::time::{sleep, timeout};

/// Whether the stream was stopped is seen so often.
const LOOK_TIME: Duration = Duration::from_millis(50);
/// A record was sent before it was received: a gap begins so much earlier.
const GAP_MARGIN_MS: u64 = 1_000;

/// Why the reading of a connection ended.
enum Stop {
    Trouble(Trouble),
    End(End),
    Error(StreamError),
}

/// A stream that is followed.
pub(crate) struct Follow<'a, S, K> {
    pub(crate) service: S,
    pub(crate) sink: &'a mut K,
    pub(crate) client: Client,
    pub(crate) config: &'a StreamConfig,
    pub(crate) status: &'a Status,
    pub(crate) position: Position,
    pub(crate) window: Window,
    pub(crate) recorder: Option<Recorder>,
    budget: ConnectBudget,
    backoff: Backoff,
    started: Instant,
    /// When data or a keep-alive was received last.
    alive: Instant,
    alive_ms: u64,
    /// The reason of the gap that the next sign of life ends.
    gap: Option<(String, bool)>,
    /// Why the stream is down, since the last sign of life.
    down: Option<String>,
    has_freed: bool,
}

impl<'a, S: Service, K: Sink> Follow<'a, S, K> {
    pub(crate) fn new(
        service: S,
        config: &'a StreamConfig,
        start: Position,
        (sink, status): (&'a mut K, &'a Status),
    ) -> Result<Self, StreamError> {
        let client = config.client()?;
        let recorder = config.record.as_deref().map(Recorder::open).transpose()?;
        let mut allowance = service.allowance();
        allowance.window = config.scaled(allowance.window);
        let budget = ConnectBudget::new(allowance, config.connects.clone());
        let window = Window::new(service.repeats());
        let now = Instant::now();
        status.update(|figures| figures.meter = start.meter);
        Ok(Self {
            service,
            sink,
            client,
            config,
            status,
            position: start,
            window,
            recorder,
            budget,
            backoff: Backoff::default(),
            started: now,
            alive: now,
            alive_ms: start.time_ms,
            gap: None,
            down: Some("it was not followed".to_owned()),
            has_freed: false,
        })
    }

    /// Fills the duplicate window with what was sent lately.
    pub(crate) fn remember(&mut self) {
        let repeats = u64::try_from(self.service.repeats().as_millis()).unwrap_or(u64::MAX);
        let (since, now) = (self.position.time_ms.saturating_sub(repeats), now_ms());
        let window = &mut self.window;
        self.sink.each_recent(since, &mut |record| {
            if let Some(identity) = S::identify(record) {
                window.insert(identity, now);
            }
        });
    }

    /// Follows until the end.
    pub(crate) async fn run(mut self) -> Result<End, StreamError> {
        loop {
            let stop = self.one_connection().await;
            self.service.disconnect();
            self.status.update(|figures| figures.is_connected = false);
            let flushed = self.flush();
            let trouble = match stop {
                Stop::Error(error) => return Err(error),
                Stop::End(end) => return flushed.map(|_| end),
                Stop::Trouble(_) if flushed?.is_break() => return Ok(End::Stopped),
                Stop::Trouble(trouble) => trouble,
            };
            match self.after(trouble).await {
                Ok(()) => {}
                Err(Stop::End(end)) => return Ok(end),
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::Trouble(trouble)) => self.down = Some(trouble.reason()),
            }
        }
    }

    /// Connects within the budget and reads until the connection ends.
    async fn one_connection(&mut self) -> Stop {
        loop {
            let wait = self.budget.wait(now_ms());
            if wait.is_zero() {
                return self.connect_and_read().await;
            }
            let allowance = self.service.allowance();
            let window = duration(allowance.window);
            let reason = format!("only {} connects are made in {window}", allowance.connects);
            if let Err(stop) = self.wait(wait, &reason).await {
                return stop;
            }
        }
    }

    async fn connect_and_read(&mut self) -> Stop {
        self.budget.note(now_ms());
        self.status.update(|figures| figures.connects += 1);
        let deadline = self.deadline();
        let connecting = self.service.connect(&self.client, &self.position);
        let connected = unless_closed(&*self.sink, deadline, connecting).await;
        let continuity = match connected {
            Ok(Ok(continuity)) => continuity,
            Ok(Err(trouble)) => return Stop::Trouble(trouble),
            Err(end) => return Stop::End(end),
        };
        self.status.update(|figures| figures.is_connected = true);
        if let Continuity::Gap { filled, note } = continuity
            && self.alive_ms > 0
        {
            let reason = self.down.clone().unwrap_or_default();
            let reason = if note.is_empty() { reason } else { format!("{reason}; {note}") };
            self.gap = Some((reason, filled));
        }
        self.read().await
    }

    /// Reads until the connection ends.
    async fn read(&mut self) -> Stop {
        let silence = self.config.scaled(self.service.silence());
        let mut heard = Instant::now();
        loop {
            let event = if let Some(event) = self.service.next().now_or_never() {
                event
            } else {
                // Everything at hand is handed over before anything is waited for.
                match self.flush() {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => return Stop::End(End::Stopped),
                    Err(error) => return Stop::Error(error),
                }
                match timeout(LOOK_TIME, self.service.next()).await {
                    Ok(event) => event,
                    Err(_) if heard.elapsed() > silence => {
                        let reason = format!("nothing was received for {}", duration(silence));
                        return Stop::Trouble(Trouble::network("silent", reason));
                    }
                    Err(_) => match self.is_over() {
                        Some(end) => return Stop::End(end),
                        None => continue,
                    },
                }
            };
            heard = Instant::now();
            let result = match event {
                Ok(event) => self.take(event),
                Err(trouble) => return Stop::Trouble(trouble),
            };
            match result {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(end)) => return Stop::End(end),
                Err(error) => return Stop::Error(error),
            }
        }
    }

    fn flush(&mut self) -> Result<ControlFlow<()>, StreamError> {
        if let Some(recorder) = &mut self.recorder {
            recorder.flush()?;
        }
        Ok(self.sink.flush())
    }

    fn take(&mut self, event: Event) -> Result<ControlFlow<End>, StreamError> {
        let now = now_ms();
        if let Event::Missing(reason) = event {
            self.gap = Some((reason, false));
            return Ok(ControlFlow::Continue(()));
        }
        if let Event::Late(_, reason) = &event {
            self.gap = Some(((*reason).to_owned(), false));
        }
        self.backoff.reset();
        (self.has_freed, self.down) = (false, None);
        let before_ms = std::mem::replace(&mut self.alive_ms, now);
        self.alive = Instant::now();
        self.status.update(|figures| {
            (figures.alive_ms, figures.waiting) = (now, None);
        });
        if let Some((reason, filled)) = self.gap.take() {
            let gap = self.gap_record(before_ms, reason, filled, None);
            if self.send(&gap, "gap", now)?.is_break() {
                return Ok(ControlFlow::Break(End::Stopped));
            }
        }
        match event {
            Event::KeepAlive | Event::Missing(_) => Ok(ControlFlow::Continue(())),
            Event::Skipped(kind) => {
                self.status.update(|figures| *figures.messages.entry(kind).or_default() += 1);
                Ok(ControlFlow::Continue(()))
            }
            Event::Oversized(size) => {
                let reason = format!("a message of {size} bytes is too large to read");
                let gap = self.gap_record(now, reason, false, Some(1));
                let sent = self.send(&gap, "gap", now)?;
                Ok(if sent.is_break() {
                    ControlFlow::Break(End::Stopped)
                } else {
                    ControlFlow::Continue(())
                })
            }
            Event::Message(message) | Event::Late(message, _) => self.message(&message, now),
        }
    }

    fn message(&mut self, message: &Message, now: u64) -> Result<ControlFlow<End>, StreamError> {
        if let Some(cursor) = message.cursor {
            (self.position.cursor, self.position.server) = (Some(cursor), self.service.server());
        }
        if S::IS_BILLED {
            self.position.meter.add(&message.record);
        }
        let meter = self.position.meter;
        let is_new = message.identity.is_none_or(|identity| self.window.insert(identity, now));
        self.status.update(|figures| {
            figures.meter = meter;
            figures.duplicates += u64::from(!is_new);
            if let Some(time) = message.time_ms {
                figures.delay_ms = Some(now.saturating_sub(time));
            }
        });
        if is_new && self.send(&message.record, message.kind, now)?.is_break() {
            return Ok(ControlFlow::Break(End::Stopped));
        }
        if let Some(cap) = meter.reached(self.config.caps) {
            return Ok(ControlFlow::Break(End::Cap(cap)));
        }
        Ok(ControlFlow::Continue(()))
    }

    fn send(
        &mut self,
        record: &[u8],
        kind: &'static str,
        now: u64,
    ) -> Result<ControlFlow<()>, StreamError> {
        self.position.time_ms = now;
        self.status.update(|figures| {
            *figures.messages.entry(kind).or_default() += 1;
            figures.bytes += record.len() as u64;
        });
        if let Some(recorder) = &mut self.recorder {
            recorder.write(record)?;
        }
        Ok(self.sink.record(record, self.position))
    }

    fn gap_record(&self, from: u64, reason: String, filled: bool, lost: Option<u64>) -> Vec<u8> {
        let from_ms = from.saturating_sub(GAP_MARGIN_MS);
        let gap = Gap { stream: S::NAME, from_ms, to_ms: now_ms(), reason, filled, lost };
        tracing::warn!(
            stream = S::NAME,
            seconds = (gap.to_ms - from_ms) / 1000,
            filled,
            "gap: {}",
            gap.reason
        );
        self.status.update(|figures| {
            figures.gaps += 1;
            figures.gap_ms += gap.to_ms - from_ms;
        });
        gap.record()
    }

    /// Waits as the trouble asks for.
    async fn after(&mut self, trouble: Trouble) -> Result<(), Stop> {
        let words = self.client.hidden(trouble.reason().as_bytes());
        let reason = String::from_utf8_lossy(&words).into_owned();
        self.down.get_or_insert_with(|| reason.clone());
        let (failure, label) = match trouble {
            Trouble::Final(error) => return Err(Stop::Error(error)),
            Trouble::Passing { failure, label, .. } => (failure, label),
            Trouble::CursorTooOld { .. } => {
                // The next connect begins with what the server has.
                self.position.cursor = None;
                (Failure::Network, "cursor-too-old")
            }
            Trouble::TooManyConnections { .. } => {
                // Only a connection of our own is ended, and once, so that two programs on one
                // account do not end each other's in turn.
                let is_own = self.alive_ms > 0 && !std::mem::replace(&mut self.has_freed, true);
                let is_freed = is_own && self.service.free_connection(&self.client).await;
                let failure = if is_freed { Failure::Network } else { Failure::Rate(None) };
                (failure, "too-many-connections")
            }
        };
        self.status.update(|figures| *figures.troubles.entry(label).or_default() += 1);
        if let Some(status) = self.config.stop_on
            && label == status.to_string()
        {
            tracing::info!("{reason}; stopped, as --stop-on {status} asks");
            return Err(Stop::End(End::StatusOf(status)));
        }
        let wait = self.config.scaled(self.backoff.wait(failure, jitter()));
        if let Some(give_up) = self.config.give_up
            && self.alive.elapsed() + wait > give_up
        {
            let tried = duration(self.alive.elapsed());
            return Err(Stop::Error(StreamError::GaveUp { tried, reason }));
        }
        self.wait(wait, &reason).await
    }

    /// Waits, and says so where it is long.
    async fn wait(&mut self, wait: Duration, reason: &str) -> Result<(), Stop> {
        if wait >= Duration::from_secs(1) {
            tracing::info!("{}: {reason}; next try in {}", S::NAME, duration(wait));
        } else {
            tracing::debug!("{}: {reason}; next try in {}", S::NAME, duration(wait));
        }
        let until = now_ms() + u64::try_from(wait.as_millis()).unwrap_or_default();
        self.status.update(|figures| figures.waiting = Some((until, reason.to_owned())));
        let deadline = self.deadline();
        unless_closed(&*self.sink, deadline, sleep(wait)).await.map_err(Stop::End)
    }

    /// When `--for` ends.
    fn deadline(&self) -> Option<Instant> {
        self.config.duration.map(|duration| self.started + duration)
    }

    fn is_over(&self) -> Option<End> {
        is_over(&*self.sink, self.deadline())
    }
}

fn is_over(sink: &impl Sink, deadline: Option<Instant>) -> Option<End> {
    if sink.is_closed() {
        return Some(End::Stopped);
    }
    deadline.filter(|deadline| Instant::now() >= *deadline).map(|_| End::TimeIsUp)
}

/// A future's value, unless the stream is stopped before.
async fn unless_closed<T>(
    sink: &impl Sink,
    deadline: Option<Instant>,
    future: impl Future<Output = T>,
) -> Result<T, End> {
    let mut future = pin!(future);
    loop {
        if let Ok(value) = timeout(LOOK_TIME, &mut future).await {
            return Ok(value);
        }
        if let Some(end) = is_over(sink, deadline) {
            return Err(end);
        }
    }
}

/// Now, in Unix milliseconds.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// A number from -1 to 1.
fn jitter() -> f64 {
    let random = RandomState::new().hash_one(0) >> 11;
    #[expect(clippy::cast_precision_loss, reason = "53 bits")]
    let part = random as f64 / (1_u64 << 53) as f64;
    part * 2.0 - 1.0
}

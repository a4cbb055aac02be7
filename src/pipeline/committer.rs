//! The committer: one thread, one connection, one transaction at a time, each exactly once.
//!
//! It owns the [`Sink`] from the first connection to the last. Order of a start, which is what
//! makes a restart exact: raise the generation (committed), *then* read the rows and offsets, then
//! commit on top of that position only.
//!
//! After a failed commit its outcome is unknown. The committer re-reads the position, on a new
//! connection and with a locking read, to learn whether the commit was applied, must be retried, or
//! was fenced. A commit that finds another position, with no unknown outcome before it, was never
//! applied.
//!
//! A stop does not wait for a database that is silent.
//!
//! This is the one asynchronous place of the program. It knows nothing of timely but how to wake
//! the commit batcher.

use super::commit_batcher::CommitOrder;
use super::outage::Outage;
use crate::pipeline::freshness::Freshness;
use dataflows::catalogue::Tables;
use monitor::Monitor;
use sink::back_off;
use sink::{Identity, Sink, SinkError};
use sink::{Stop, unless_stopped};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use types::dead_letter;
use types::fault::{Fault, one_line};
use types::table::Panel;
use types::transaction::{Position, TableChanges, Transaction};
use types::{Restored, Row};

/// What the committer has done; read by the summary of a run.
#[derive(Debug, Default)]
pub struct Counters {
    /// Transactions committed.
    pub commits: AtomicU64,
    /// Rows written or deleted by them.
    pub rows: AtomicU64,
    /// Commits whose outcome was decided by reading the position.
    pub resolved: AtomicU64,
}

/// The committer's ends of its channels.
pub struct Channels {
    /// The rows of what a start must know, sent once, after the generation was raised.
    pub offsets: SyncSender<Vec<Restored>>,
    /// The numbers of those tables.
    pub first: Vec<u8>,
    /// All rows that state is restored from, batch by batch; `None` after the last one.
    pub rows: SyncSender<Option<Vec<Restored>>>,
    /// Transactions to commit; closed when the commit batcher is gone.
    pub orders: mpsc::Receiver<CommitOrder>,
    /// Called with each transaction that is committed.
    pub committed: Box<dyn Fn(&Transaction) + Send>,
    /// The table of dead letters, and its column that asks for another try.
    pub dead_letters: (u8, usize),
    /// Called with each row that asks for it, once until a commit changes the row.
    pub retry_requested: Box<dyn Fn(Row) + Send>,
    /// Told what happens.
    pub monitor: Arc<Monitor>,
    /// Set when the process is to stop.
    pub stop: Arc<AtomicBool>,
    /// Set when the committer has ended, for whatever reason.
    pub ended: Arc<AtomicBool>,
}

/// The committer's thread; it gives the sink back.
pub type Committing<S> = JoinHandle<Result<S, SinkError>>;

/// Starts the committer. The thread ends when `channels.orders` closes, or with the first error
/// that no new attempt can cure; it gives the sink back.
pub fn spawn<S: Sink>(
    sink: S,
    identity: Identity,
    tables: &Tables,
    channels: Channels,
    retry_for: Duration,
) -> std::io::Result<(Committing<S>, Arc<Counters>)> {
    let counters = Arc::new(Counters::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (shared, monitor) = (Arc::clone(&counters), Arc::clone(&channels.monitor));
    let (progress, freshness) = (tables.progress(), tables.freshness());
    let freshness = freshness.map(|table| (table, Freshness::default()));
    monitor.set_database(sink.answers());
    let stop = Stop::new(&channels.stop);
    let committer =
        Committer { sink, counters: shared, monitor, progress, freshness, retry_for, stop };
    let thread = std::thread::Builder::new().name("committer".to_owned()).spawn(move || {
        let ended = Arc::clone(&channels.ended);
        let result = runtime.block_on(committer.run(&identity, channels));
        // A name that is being looked up is not waited for.
        runtime.shutdown_background();
        ended.store(true, Ordering::Relaxed);
        result
    })?;
    Ok((thread, counters))
}

/// How often the committer looks for dead letters whose retry is requested.
const RETRY_SCAN_INTERVAL: Duration = Duration::from_secs(1);
/// Upper bound on one scan: a commit must not wait longer for it.
const RETRY_SCAN_TIMEOUT: Duration = Duration::from_secs(5);

/// The dead letters that are on their way through the dataflow.
struct RequestedRetries {
    keys: BTreeSet<(u32, u64)>,
    scanned_at: Instant,
}

impl Default for RequestedRetries {
    fn default() -> Self {
        RequestedRetries { keys: BTreeSet::new(), scanned_at: Instant::now() }
    }
}

impl RequestedRetries {
    fn is_due(&self) -> bool {
        self.scanned_at.elapsed() >= RETRY_SCAN_INTERVAL
    }

    /// Whether the row was not on its way yet.
    fn add(&mut self, row: &Row) -> bool {
        dead_letter::location(row).is_some_and(|place| self.keys.insert(place))
    }

    /// Forgets the rows that a commit has deleted or rewritten.
    fn settle(&mut self, changes: &TableChanges) {
        if self.keys.is_empty() {
            return;
        }
        for row in changes.deletes.iter().chain(&changes.upserts) {
            dead_letter::location(row).map(|place| self.keys.remove(&place));
        }
    }
}

struct Committer<S> {
    sink: S,
    counters: Arc<Counters>,
    monitor: Arc<Monitor>,
    /// The table of offsets.
    progress: u8,
    /// The table of freshness, where there is one, and what its rows are made of.
    freshness: Option<(u8, Freshness)>,
    /// How long a transaction is tried again before the process gives up.
    retry_for: Duration,
    stop: Stop,
}

impl<S: Sink> Committer<S> {
    async fn run(mut self, identity: &Identity, mut channels: Channels) -> Result<S, SinkError> {
        let stop = Arc::clone(&channels.stop);
        let starting = unless_stopped(&stop, self.start(identity, &channels)).await;
        let mut position = starting.unwrap_or(Err(SinkError::StoppedAtStart))?;
        let mut asked = RequestedRetries::default();
        loop {
            let mut order =
                match tokio::time::timeout(RETRY_SCAN_INTERVAL, channels.orders.recv()).await {
                    Ok(Some(order)) => order,
                    Ok(None) => break,
                    Err(_late) => {
                        self.scan_for_retries(&channels, &mut asked).await;
                        continue;
                    }
                };
            // What is told of freshness is no row that the run has changed.
            let rows = order.transaction.rows();
            if let Some((table, freshness)) = &mut self.freshness {
                freshness.add(&mut order.transaction, *table, position, &self.monitor);
            }
            let began = Instant::now();
            position = match self.settle(position, &order.transaction).await {
                Ok(position) => position,
                Err(error) => {
                    // Closed first, woken last: the commit batcher must find the channel closed.
                    channels.orders.close();
                    channels.ended.store(true, Ordering::Relaxed);
                    let _ = order.wake.activate();
                    return Err(error);
                }
            };
            self.counters.commits.fetch_add(1, Ordering::Relaxed);
            self.counters.rows.fetch_add(rows as u64, Ordering::Relaxed);
            tracing::debug!(position.commit_no, rows, "committed");
            self.monitor.committed(&order.transaction, position, began.elapsed());
            if let Some((_, freshness)) = &mut self.freshness {
                freshness.committed(&order.transaction, self.progress);
            }
            (channels.committed)(&order.transaction);
            asked.settle(&order.transaction.tables[usize::from(channels.dead_letters.0)]);
            if asked.is_due() {
                self.scan_for_retries(&channels, &mut asked).await;
            }
            // The commit batcher may be gone when the dataflow was abandoned; the commit stands.
            let _ = order.committed.send(());
            let _ = order.wake.activate();
        }
        Ok(self.sink)
    }

    /// Hands over the dead letters whose retry is requested. It runs between two transactions, so a
    /// row that one of them deletes is not found again. Errors are ignored: the flags stay set, and
    /// the next commit handles a lost connection.
    async fn scan_for_retries(&mut self, channels: &Channels, asked: &mut RequestedRetries) {
        asked.scanned_at = Instant::now();
        let (table, column) = channels.dead_letters;
        let looking = tokio::time::timeout(RETRY_SCAN_TIMEOUT, self.sink.flagged(table, column));
        match unless_stopped(&channels.stop, looking).await {
            Some(Ok(Ok(rows))) => {
                rows.into_iter().filter(|row| asked.add(row)).for_each(&channels.retry_requested);
            }
            Some(Ok(Err(error))) => {
                tracing::debug!(error = one_line(&error), "looking for requested retries failed");
            }
            Some(Err(_late)) => tracing::debug!("looking for requested retries took too long"),
            None => {}
        }
    }

    /// Claims the tables and reads what is stored.
    async fn start(
        &mut self,
        identity: &Identity,
        channels: &Channels,
    ) -> Result<Position, SinkError> {
        let position = self.sink.claim(identity).await?;
        tracing::info!(position.generation, position.commit_no, "the tables are claimed");
        self.sink.begin_restore(position).await?;
        self.restore(identity, channels).await?;
        self.sink.end_restore().await?;
        // Only now: rows of a transaction that did not end must not be used.
        let _ = channels.rows.send(None);
        Ok(position)
    }

    /// Reads what is stored, after the claim. A receiver that is gone means that the run has
    /// already failed elsewhere; the remaining rows are then dropped.
    async fn restore(&mut self, identity: &Identity, channels: &Channels) -> Result<(), SinkError> {
        let mut offsets = Vec::new();
        for table in channels.first.iter().copied() {
            let monitor = &self.monitor;
            let keep = &mut |mut rows: Vec<Restored>| {
                monitor.restored(&rows);
                offsets.append(&mut rows);
            };
            self.sink.snapshot(table, keep).await?;
        }
        let _ = channels.offsets.send(offsets);
        for (index, table) in (0_u8..).zip(&identity.tables) {
            let reads_rows = table.restore.reads_rows();
            // A table that is shown is read even if its state comes from other tables.
            if reads_rows || table.panel != Panel::None {
                let monitor = &self.monitor;
                let send = &mut |rows: Vec<Restored>| {
                    monitor.restored(&rows);
                    if reads_rows {
                        let _ = channels.rows.send(Some(rows));
                    }
                };
                self.sink.snapshot(index, send).await?;
            }
        }
        Ok(())
    }

    /// Applies `transaction` on top of `at` exactly once and returns the new position. Once the
    /// process is to stop, only for as long as the database answers.
    async fn settle(
        &mut self,
        at: Position,
        transaction: &Transaction,
    ) -> Result<Position, SinkError> {
        let Committer { sink, counters, monitor, retry_for, stop, .. } = self;
        let answers = sink.answers();
        let attempts = Attempts { counters, monitor, stop, retry_for: *retry_for };
        tokio::select! {
            biased;
            settled = attempts.settle(sink, at, transaction) => settled,
            () = stop.given_up(&answers) => Err(SinkError::Stopped),
        }
    }
}

/// The attempts at one transaction.
struct Attempts<'a> {
    counters: &'a Counters,
    monitor: &'a Monitor,
    stop: &'a Stop,
    retry_for: Duration,
}

impl Attempts<'_> {
    async fn settle<S: Sink>(
        &self,
        sink: &mut S,
        at: Position,
        transaction: &Transaction,
    ) -> Result<Position, SinkError> {
        let next = at.next();
        let mut delays = back_off();
        let give_up = Instant::now() + self.retry_for;
        let mut outage = Outage::default();
        // Whether an attempt may have been applied although it failed.
        let mut is_in_doubt = false;
        loop {
            let mut fault = match sink.commit(at, transaction).await {
                Ok(()) => {
                    outage.over(false);
                    return Ok(next);
                }
                Err(fault) => fault,
            };
            is_in_doubt |= fault.leaves_doubt();
            loop {
                if !fault.is_transient() || Instant::now() > give_up {
                    return Err(fault);
                }
                if self.stop.is_overdue() {
                    return Err(SinkError::Stopped);
                }
                self.monitor.in_doubt();
                outage.failed(&fault);
                tokio::time::sleep(delays.next().unwrap_or_default()).await;
                match sink.position().await {
                    Ok(found) if found == next && is_in_doubt => {
                        self.counters.resolved.fetch_add(1, Ordering::Relaxed);
                        outage.over(true);
                        return Ok(next);
                    }
                    Ok(found) if found == at => break,
                    Ok(found) => return Err(SinkError::Fenced { ours: at, found }),
                    Err(error) => fault = error,
                }
            }
        }
    }
}

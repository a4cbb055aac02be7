//! A sink in memory whose faults are chosen by the caller: the proof of the commit protocol.
//!
//! A [`Store`] is the server; each [`MemorySink`] is one process connected to it. At every step
//! the sink asks a function what goes wrong there. Nothing is written to disk.

use super::{ConsistentRead, Identity, MAX_FLAGGED_ROWS, Sink, SinkError, random_writer};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use types::answers::Answers;
use types::transaction::{Position, Transaction};
use types::{Restored, Row, Value};

/// The rows of one table by key.
pub type StoredRows = BTreeMap<Box<[Value]>, Row>;

/// What the server holds.
#[derive(Debug, Default)]
pub struct StoredTables {
    /// The stored position.
    pub position: Position,
    /// The job that has claimed the tables, and the fingerprint.
    pub job: Option<(String, String)>,
    /// `as_of` of the last commit.
    pub as_of: i64,
    /// The tables.
    pub tables: Vec<StoredRows>,
    /// How many rows all commits together have written or deleted.
    pub rows_written: usize,
}

/// A database server in memory, shared by the processes that are connected to it.
#[derive(Clone, Debug, Default)]
pub struct Store(Arc<Mutex<StoredTables>>);

impl Store {
    /// What the server holds now.
    pub fn lock(&self) -> MutexGuard<'_, StoredTables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A step of the protocol at which something may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPoint {
    /// Before the generation is raised.
    Claim,
    /// Before a table is read.
    Snapshot,
    /// Before a transaction is applied.
    Commit,
    /// After a transaction was applied, before the answer arrives.
    Answer,
    /// Before the position is read.
    Position,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InjectedFault {
    /// Nothing.
    None,
    /// The connection is lost; the process lives.
    Lost,
    /// The process dies.
    Crash,
}

/// Decides what goes wrong at each step. It may change the store: that is what another process or
/// a delayed packet does meanwhile.
pub type Faults = Box<dyn FnMut(FaultPoint) -> InjectedFault + Send>;

/// One process's connection to a [`Store`].
pub struct MemorySink {
    store: Store,
    faults: Faults,
    widths: Vec<usize>,
    writer: u64,
    answers: Arc<Answers>,
}

impl MemorySink {
    /// A connection at which `faults` go wrong.
    pub fn new(store: &Store, faults: Faults) -> Self {
        let (store, writer) = (store.clone(), random_writer());
        MemorySink { store, faults, widths: Vec::new(), writer, answers: Arc::default() }
    }

    fn step(&mut self, step: FaultPoint) -> Result<(), SinkError> {
        match (self.faults)(step) {
            InjectedFault::None => Ok(()),
            InjectedFault::Lost => {
                let source = Box::from("a chosen fault");
                Err(SinkError::Lost { doing: "testing", source })
            }
            InjectedFault::Crash => Err(SinkError::Gone("a chosen crash")),
        }
    }
}

impl Sink for MemorySink {
    async fn claim(&mut self, identity: &Identity) -> Result<Position, SinkError> {
        self.step(FaultPoint::Claim)?;
        self.widths = identity.tables.iter().map(|table| table.key).collect();
        let mut stored = self.store.lock();
        stored.tables.resize_with(identity.tables.len(), StoredRows::new);
        let own = || (identity.job.clone(), identity.fingerprint.clone());
        let (job, fingerprint) = stored.job.get_or_insert_with(own);
        if *job != identity.job {
            let (table, job, other) = ("memory".to_owned(), identity.job.clone(), job.clone());
            return Err(SinkError::OtherJob { table, job, other });
        }
        if *fingerprint != identity.fingerprint {
            let now = identity.fingerprint.clone();
            return Err(SinkError::Fingerprint { stored: fingerprint.clone(), now });
        }
        stored.position.generation += 1;
        stored.position.writer = self.writer;
        Ok(stored.position)
    }

    fn answers(&self) -> Arc<Answers> {
        Arc::clone(&self.answers)
    }

    async fn begin_restore(&mut self, at: Position) -> Result<(), SinkError> {
        self.step(FaultPoint::Snapshot)?;
        let found = self.store.lock().position;
        if found == at { Ok(()) } else { Err(SinkError::Fenced { ours: at, found }) }
    }

    async fn end_restore(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    async fn snapshot(
        &mut self,
        table: u8,
        visit: &mut dyn FnMut(Vec<Restored>),
    ) -> Result<(), SinkError> {
        self.step(FaultPoint::Snapshot)?;
        let stored = self.store.lock();
        let rows = stored.tables.get(usize::from(table)).into_iter().flat_map(StoredRows::values);
        let rows = rows.map(|row| Restored { table, row: row.clone() }).collect();
        drop(stored);
        visit(rows);
        Ok(())
    }

    async fn commit(&mut self, at: Position, transaction: &Transaction) -> Result<(), SinkError> {
        self.step(FaultPoint::Commit)?;
        let mut stored = self.store.lock();
        if stored.position != at {
            return Err(SinkError::Outdated(at));
        }
        stored.position = at.next();
        stored.as_of = transaction.as_of;
        stored.rows_written += transaction.rows();
        for (index, changes) in transaction.tables.iter().enumerate() {
            let rows = &mut stored.tables[index];
            for key in &changes.deletes {
                rows.remove(key);
            }
            for row in &changes.upserts {
                rows.insert(row[..self.widths[index]].into(), row.clone());
            }
        }
        drop(stored);
        self.step(FaultPoint::Answer)
    }

    async fn flagged(&mut self, table: u8, column: usize) -> Result<Vec<Row>, SinkError> {
        let stored = self.store.lock();
        let rows = stored.tables.get(usize::from(table)).into_iter().flat_map(StoredRows::values);
        let flagged = rows.filter(|row| row.get(column) == Some(&Value::UInt(1)));
        Ok(flagged.take(MAX_FLAGGED_ROWS).cloned().collect())
    }

    async fn position(&mut self) -> Result<Position, SinkError> {
        self.step(FaultPoint::Position)?;
        Ok(self.store.lock().position)
    }

    async fn inspect(
        &self,
        identity: &Identity,
        visit: &mut dyn FnMut(Vec<Restored>),
    ) -> Result<ConsistentRead, SinkError> {
        let stored = self.store.lock();
        let Some((_, fingerprint)) = stored.job.as_ref().filter(|(job, _)| *job == identity.job)
        else {
            return Err(SinkError::NoJob { job: identity.job.clone() });
        };
        if *fingerprint != identity.fingerprint {
            let now = identity.fingerprint.clone();
            return Err(SinkError::Fingerprint { stored: fingerprint.clone(), now });
        }
        for (table, rows) in (0_u8..).zip(&stored.tables) {
            visit(rows.values().map(|row| Restored { table, row: row.clone() }).collect());
        }
        Ok(ConsistentRead { position: stored.position })
    }
}

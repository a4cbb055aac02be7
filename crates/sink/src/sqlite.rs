//! SQLite: all tables in one file, no server.
//!
//! It owns one connection, on which every transaction runs; after any error that connection is
//! dropped, which rolls back what was open on it. The fence is the same as on a server: the first
//! statement of each transaction is a compare-and-set on `tweetflow_commit`. The lock file beside
//! the database only improves the error for a second instance; correctness does not depend on it.
//!
//! A commit outlives the process at once; the last ones may be missing after a power cut
//! (`synchronous=NORMAL` with a write-ahead log), whole, and with them their offsets: the topic is
//! then read again from there. Readers see one commit or the next, and never wait.
//!
//! SQLite knows no unsigned 64-bit numbers: those of 2⁶³ and more stand as their two's complement.

mod filtered;
mod schema;

use super::ddl::{self, COMMIT_TABLE};
use super::{ConsistentRead, Identity, MAX_FLAGGED_ROWS, Sink, SinkError, random_writer, sql};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, ToSql, params, params_from_iter,
};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use types::answers::Answers;
use types::table::ColumnKind;
use types::transaction::{Position, TableChanges, Transaction};
use types::{Restored, Row, Table, Value};

/// How long another process's transaction is waited for.
const BUSY_TIME: Duration = Duration::from_secs(10);
/// The same within one call, which nothing can end.
const CALL_TIME: Duration = Duration::from_millis(250);
/// How long a start waits for another process to end; a dead one's lock is gone at once.
const PREDECESSOR_TIME: Duration = Duration::from_secs(10);
/// Rows handed on at a time while restoring.
const SNAPSHOT_ROWS: usize = 4096;
const DOING_READ: &str = "reading the tables";

/// A file of tables.
pub struct SqliteSink {
    path: PathBuf,
    /// Set by `claim`.
    identity: Option<Identity>,
    connection: Option<Connection>,
    /// Held while this process works on the job.
    lock: Option<File>,
    /// This process, in the row of the commit table.
    writer: u64,
    answers: Arc<Answers>,
}

impl SqliteSink {
    /// The tables in the file at `path`. Does not open it.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        SqliteSink {
            path: path.into(),
            identity: None,
            connection: None,
            lock: None,
            writer: random_writer(),
            answers: Arc::default(),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self) -> Result<Connection, SinkError> {
        self.open_with(OpenFlags::SQLITE_OPEN_CREATE)
    }

    /// A connection to a file that exists; [`SinkError::NoFile`] where there is none.
    fn open_existing(&self) -> Result<Connection, SinkError> {
        if !self.path.exists() {
            return Err(SinkError::NoFile { path: self.path.clone() });
        }
        self.open_with(OpenFlags::empty())
    }

    fn open_with(&self, more: OpenFlags) -> Result<Connection, SinkError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
        let open = || {
            let connection = Connection::open_with_flags(&self.path, flags)?;
            connection.busy_timeout(CALL_TIME)?;
            // The first access to the file, so what is wrong with it shows here.
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            // In KiB where negative: the upper parts of all trees.
            connection.pragma_update(None, "cache_size", -65_536)?;
            Ok(connection)
        };
        open().map_err(|source| SinkError::File { path: self.path.clone(), source })
    }

    fn identity(&self) -> Result<&Identity, SinkError> {
        self.identity.as_ref().ok_or(SinkError::Gone("the tables are not claimed"))
    }

    /// The connection, or a new one. The caller puts it back after success only.
    fn take(&mut self) -> Result<Connection, SinkError> {
        self.connection.take().map_or_else(|| self.open(), Ok)
    }

    /// Begins a transaction that writes, once no other process is in one.
    async fn begin(&self, connection: &Connection, doing: &'static str) -> Result<(), SinkError> {
        let question = self.answers.ask();
        let deadline = Instant::now() + BUSY_TIME;
        loop {
            match execute(connection, doing, "BEGIN IMMEDIATE") {
                Err(SinkError::Sqlite { code: Some(ErrorCode::DatabaseBusy), .. })
                    if Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(error),
                Ok(()) => {
                    question.answered();
                    return Ok(());
                }
            }
        }
    }

    /// Waits a bounded time until no other living process works on the job.
    async fn take_lock(&mut self, identity: &Identity) -> Result<(), SinkError> {
        let job = format!("{}\0{}", identity.prefix, identity.job);
        let mut path = self.path.clone().into_os_string();
        path.push(format!("-{:08x}.lock", xxhash_rust::xxh3::xxh3_64(job.as_bytes()) >> 32));
        let Ok(file) = File::create(&path) else { return Ok(()) };
        let deadline = Instant::now() + PREDECESSOR_TIME;
        loop {
            match file.try_lock() {
                Ok(()) => {
                    self.lock = Some(file);
                    return Ok(());
                }
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(SinkError::HeldFile { path: self.path.clone() });
                }
                // A file system without locks.
                Err(TryLockError::Error(_)) => return Ok(()),
            }
        }
    }
}

impl Sink for SqliteSink {
    async fn claim(&mut self, identity: &Identity) -> Result<Position, SinkError> {
        self.connection = None;
        let connection = self.open()?;
        self.take_lock(identity).await?;
        // Declarations are part of a transaction here: a crash leaves all tables or none.
        self.begin(&connection, "claiming the tables").await?;
        let shapes = ddl::shapes(&identity.prefix, &identity.tables);
        schema::prepare(&connection, &shapes)?;
        let position = raise(&connection, identity, self.writer)?;
        execute(&connection, "claiming the tables", "COMMIT")?;
        self.identity = Some(identity.clone());
        self.connection = Some(connection);
        Ok(position)
    }

    fn answers(&self) -> Arc<Answers> {
        Arc::clone(&self.answers)
    }

    async fn begin_restore(&mut self, at: Position) -> Result<(), SinkError> {
        let connection = self.take()?;
        execute(&connection, DOING_READ, "BEGIN")?;
        let found = stored(&connection, DOING_READ, self.identity()?)?;
        let found = found.map(|(position, _)| position).unwrap_or_default();
        if found != at {
            return Err(SinkError::Fenced { ours: at, found });
        }
        self.connection = Some(connection);
        Ok(())
    }

    async fn end_restore(&mut self) -> Result<(), SinkError> {
        let connection = self.take()?;
        execute(&connection, DOING_READ, "COMMIT")?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn snapshot(
        &mut self,
        table: u8,
        visit: &mut dyn FnMut(Vec<Restored>),
    ) -> Result<(), SinkError> {
        let connection = self.take()?;
        let identity = self.identity()?;
        let declared = identity.tables[usize::from(table)];
        let query = sql::select(&identity.prefix, &declared);
        read_rows(&connection, &query, (table, &declared), visit)?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn commit(&mut self, at: Position, transaction: &Transaction) -> Result<(), SinkError> {
        let connection = self.take()?;
        self.begin(&connection, "committing").await?;
        apply(&connection, self.identity()?, at, transaction)?;
        // Only a connection on which everything went well is kept.
        self.connection = Some(connection);
        Ok(())
    }

    async fn flagged(&mut self, table: u8, column: usize) -> Result<Vec<Row>, SinkError> {
        let connection = self.take()?;
        let identity = self.identity()?;
        let declared = identity.tables[usize::from(table)];
        let query = sql::select_flagged(&identity.prefix, &declared, column, MAX_FLAGGED_ROWS);
        let mut flagged = Vec::new();
        read_rows(&connection, &query, (table, &declared), &mut |rows| {
            flagged.extend(rows.into_iter().map(|restored| restored.row));
        })?;
        self.connection = Some(connection);
        Ok(flagged)
    }

    async fn position(&mut self) -> Result<Position, SinkError> {
        self.connection = None;
        let connection = self.open()?;
        let doing = "reading the position";
        // Waits for a transaction that is still being committed.
        self.begin(&connection, doing).await?;
        let stored = stored(&connection, doing, self.identity()?)?;
        execute(&connection, doing, "COMMIT")?;
        self.connection = Some(connection);
        // No row: the file was emptied, which is no position of ours.
        Ok(stored.map(|(position, _)| position).unwrap_or_default())
    }

    async fn inspect(
        &self,
        identity: &Identity,
        visit: &mut dyn FnMut(Vec<Restored>),
    ) -> Result<ConsistentRead, SinkError> {
        let connection = self.open_existing()?;
        execute(&connection, DOING_READ, "BEGIN")?;
        let no_job = || SinkError::NoJob { job: identity.job.clone() };
        if !schema::exists(&connection, &identity.prefix.table(COMMIT_TABLE))? {
            return Err(no_job());
        }
        let found = stored(&connection, DOING_READ, identity)?;
        let (position, fingerprint) = found.ok_or_else(no_job)?;
        if fingerprint != identity.fingerprint {
            let now = identity.fingerprint.clone();
            return Err(SinkError::Fingerprint { stored: fingerprint, now });
        }
        for (index, declared) in (0..).zip(&identity.tables) {
            // The version before did not make it.
            if declared.name == types::late::TABLE_NAME
                && !schema::exists(&connection, &identity.prefix.table(declared.name))?
            {
                continue;
            }
            let query = sql::select(&identity.prefix, declared);
            read_rows(&connection, &query, (index, declared), visit)?;
        }
        execute(&connection, DOING_READ, "COMMIT")?;
        Ok(ConsistentRead { position })
    }
}

/// Position and fingerprint of the job, if it was ever started.
fn stored(
    connection: &Connection,
    doing: &'static str,
    identity: &Identity,
) -> Result<Option<(Position, String)>, SinkError> {
    let table = identity.prefix.table(COMMIT_TABLE);
    let sql =
        format!("SELECT generation, commit_no, writer, fingerprint FROM `{table}` WHERE job = ?");
    let row = connection.query_row(&sql, [&identity.job], |row| {
        let number = |column| row.get(column).map(i64::cast_unsigned);
        let (generation, commit_no, writer) = (number(0)?, number(1)?, number(2)?);
        Ok((Position { generation, commit_no, writer }, row.get(3)?))
    });
    match row {
        Ok(row) => Ok(Some(row)),
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
        Err(error) => Err(refused(doing, &error)),
    }
}

/// Raises the generation in the open transaction, and makes `writer` the writer.
fn raise(connection: &Connection, identity: &Identity, writer: u64) -> Result<Position, SinkError> {
    let doing = "claiming the tables";
    let table = identity.prefix.table(COMMIT_TABLE);
    let failed = |error| refused(doing, &error);
    let other = connection.query_row(
        &format!("SELECT job FROM `{table}` WHERE job <> ? LIMIT 1"),
        [&identity.job],
        |row| row.get::<_, String>(0),
    );
    if let Some(other) = other.optional().map_err(failed)? {
        return Err(SinkError::OtherJob { table, job: identity.job.clone(), other });
    }
    if let Some((position, fingerprint)) = stored(connection, doing, identity)? {
        if fingerprint != identity.fingerprint {
            let now = identity.fingerprint.clone();
            return Err(SinkError::Fingerprint { stored: fingerprint, now });
        }
        let sql =
            format!("UPDATE `{table}` SET generation = generation + 1, writer = ? WHERE job = ?");
        let row = params![writer.cast_signed(), identity.job];
        connection.execute(&sql, row).map_err(failed)?;
        return Ok(Position { generation: position.generation + 1, writer, ..position });
    }
    for own in &identity.tables {
        schema::check_empty(connection, &identity.prefix.table(own.name))?;
    }
    let sql = format!(
        "INSERT INTO `{table}` (job, generation, commit_no, fingerprint, writer) \
         VALUES (?, 1, 0, ?, ?)"
    );
    let row = params![identity.job, identity.fingerprint, writer.cast_signed()];
    connection.execute(&sql, row).map_err(failed)?;
    Ok(Position { generation: 1, commit_no: 0, writer })
}

/// One attempt at a whole transaction. Whatever goes wrong, `connection` must not be used again.
fn apply(
    connection: &Connection,
    identity: &Identity,
    at: Position,
    transaction: &Transaction,
) -> Result<(), SinkError> {
    let doing = "committing";
    let compare_and_set = format!(
        "UPDATE `{}` SET commit_no = commit_no + 1, as_of = ? \
         WHERE job = ? AND generation = ? AND commit_no = ? AND writer = ?",
        identity.prefix.table(COMMIT_TABLE)
    );
    let as_of = sql::moment(transaction.as_of, 6);
    let [generation, commit_no, writer] =
        [at.generation, at.commit_no, at.writer].map(u64::cast_signed);
    let affected = connection
        .prepare_cached(&compare_and_set)
        .and_then(|mut sql| {
            sql.execute(params![as_of, identity.job, generation, commit_no, writer])
        })
        .map_err(|error| refused(doing, &error))?;
    if affected != 1 {
        return Err(SinkError::Outdated(at));
    }
    for (table, changes) in identity.tables.iter().zip(&transaction.tables) {
        let name = identity.prefix.table(table.name);
        write(connection, &name, table, changes).map_err(|error| refused(doing, &error))?;
    }
    execute(connection, doing, "COMMIT")
}

/// Deletes, then upserts with absolute values.
fn write(
    connection: &Connection,
    name: &str,
    table: &Table,
    changes: &TableChanges,
) -> Result<(), rusqlite::Error> {
    for (rows, sql) in [
        (&changes.deletes, schema::delete(name, table)),
        (&changes.upserts, schema::upsert(name, table)),
    ] {
        if rows.is_empty() {
            continue;
        }
        let mut statement = connection.prepare_cached(&sql)?;
        for row in rows {
            statement.execute(params_from_iter(row.iter().map(Bound)))?;
        }
    }
    Ok(())
}

/// A value as a parameter.
struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Int(number) => (*number).into(),
            Value::UInt(number) => number.cast_signed().into(),
            Value::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Value::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Value::Timestamp(ms) => sql::moment(ms.saturating_mul(1000), 3).into(),
        })
    }
}

/// Hands every row that `query` finds in table number `table` to `visit`, in batches.
fn read_rows(
    connection: &Connection,
    query: &str,
    (table, declared): (u8, &Table),
    visit: &mut dyn FnMut(Vec<Restored>),
) -> Result<(), SinkError> {
    let refused = |error| refused(DOING_READ, &error);
    let mut statement = connection.prepare(query).map_err(refused)?;
    let mut found = statement.query([]).map_err(refused)?;
    let mut rows = Vec::with_capacity(SNAPSHOT_ROWS);
    while let Some(row) = found.next().map_err(refused)? {
        rows.push(Restored { table, row: restore_row(declared, row)? });
        if rows.len() == SNAPSHOT_ROWS {
            visit(std::mem::take(&mut rows));
        }
    }
    visit(rows);
    Ok(())
}

/// One row of a result as values, by the kinds that are declared.
fn restore_row(table: &Table, row: &rusqlite::Row<'_>) -> Result<Row, SinkError> {
    let columns = table.columns.iter().enumerate();
    let values = columns.map(|(index, column)| {
        let text = |bytes: &[u8]| Some(std::str::from_utf8(bytes).ok()?.into());
        Some(match (column.kind, row.get_ref(index).ok()?) {
            (_, ValueRef::Null) => Value::Null,
            (ColumnKind::OptionalSigned, ValueRef::Integer(number)) => Value::Int(number),
            (ColumnKind::Unsigned | ColumnKind::Flag, ValueRef::Integer(number)) => {
                Value::UInt(number.cast_unsigned())
            }
            (ColumnKind::Text(_), ValueRef::Text(bytes)) => Value::Text(text(bytes)?),
            (ColumnKind::Bytes(_), ValueRef::Blob(bytes)) => Value::Bytes(bytes.into()),
            (ColumnKind::Timestamp, ValueRef::Text(bytes)) => {
                Value::Timestamp(sql::moment_ms(std::str::from_utf8(bytes).ok()?)?)
            }
            _ => return None,
        })
    });
    values.collect::<Option<Row>>().ok_or_else(|| SinkError::Foreign {
        table: table.name.to_owned(),
        difference: "a row holds values of other types".to_owned(),
        fix: "use another --table-prefix or file".to_owned(),
    })
}

fn execute(connection: &Connection, doing: &'static str, sql: &str) -> Result<(), SinkError> {
    connection.execute_batch(sql).map_err(|error| refused(doing, &error))
}

fn refused(doing: &'static str, error: &rusqlite::Error) -> SinkError {
    let code = error.sqlite_error_code();
    SinkError::Sqlite { doing, code, message: error.to_string() }
}

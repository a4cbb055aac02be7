//! MySQL and MariaDB.
//!
//! It owns one connection, on which every transaction runs; after any error that connection is
//! dropped, never used again, because half a transaction may be open on it. Declarations run on a
//! connection of their own: they commit implicitly.
//!
//! The fence is the first statement of each transaction, a compare-and-set on `tweetflow_commit`.
//! The named lock only buys a friendly message to a second copy; nothing hangs on it.

mod inspect;
mod legacy;
mod letters;
mod load;
mod schema;
mod session;
mod twins;

pub use session::{Kind, Server};
pub use twins::Counted;

use super::ddl::{self, COMMIT_TABLE};
use super::sql;
use super::{Identity, Inspected, MARKED_ROWS, Position, Sink, SinkError, Transaction};
use crate::error::one_line;
use dataflows::table::Kind as Holds;
use dataflows::{Restored, Row, Table, Value};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a statement may take before the connection is given up.
const STATEMENT_TIME: Duration = Duration::from_mins(1);
/// How long a connection may take to come about.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// How long a start waits for a predecessor: longer than the server needs to notice that the
/// predecessor is dead (`wait_timeout` below).
const PREDECESSOR_TIME: Duration = Duration::from_secs(90);
/// Rows handed on at a time while restoring.
const SNAPSHOT_ROWS: usize = 4096;
const DOING_READ: &str = "reading the tables";

/// A MySQL or MariaDB server.
pub struct MySqlSink {
    opts: Opts,
    address: String,
    /// Set by `claim`.
    identity: Option<Identity>,
    connection: Option<Conn>,
    /// Where statements are cut, by what the server said at the last connection.
    statement_bytes: AtomicUsize,
    /// Whether many rows are loaded, not sent as upserts. Set by `claim`, cleared when the server refuses.
    loads: AtomicBool,
}

impl MySqlSink {
    /// The server at `url` (`mysql://user:password@host:port/database`). Does not connect.
    pub fn new(url: &str) -> Result<Self, SinkError> {
        let reason = |error: mysql_async::UrlError| SinkError::Url { reason: error.to_string() };
        let opts = Opts::from_url(url).map_err(reason)?;
        if opts.db_name().is_none_or(str::is_empty) {
            return Err(SinkError::Url { reason: "it names no database".to_owned() });
        }
        let address = format!("{}:{}", opts.ip_or_hostname(), opts.tcp_port());
        let opts = OptsBuilder::from_opts(opts)
            // A local socket would be another server than the one the address names.
            .prefer_socket(false)
            .tcp_keepalive(Some(Duration::from_secs(10)))
            .setup(session::SETUP.to_vec());
        Ok(MySqlSink {
            opts: opts.into(),
            address,
            identity: None,
            connection: None,
            statement_bytes: AtomicUsize::default(),
            loads: AtomicBool::default(),
        })
    }

    /// Where it is, without any secret.
    pub fn description(&self) -> String {
        let database = self.opts.db_name().unwrap_or_default();
        format!("database {database} at {}", self.address)
    }

    /// Connects to ask which server it is.
    pub async fn server(&self) -> Result<Server, SinkError> {
        let mut connection = self.connect().await?;
        let server = Server::of(&mut connection).await?;
        let _ = connection.disconnect().await;
        Ok(server)
    }

    async fn connect(&self) -> Result<Conn, SinkError> {
        let connecting = Conn::new(self.opts.clone());
        match tokio::time::timeout(CONNECT_TIME, connecting).await {
            Ok(Ok(mut connection)) => {
                let bytes = session::check(&mut connection).await?;
                self.statement_bytes.store(bytes, Ordering::Relaxed);
                Ok(connection)
            }
            Ok(Err(mysql_async::Error::Server(error))) => Err(refused("connecting", error)),
            Ok(Err(error)) => Err(self.unreachable(error)),
            Err(late) => Err(self.unreachable(late)),
        }
    }

    fn unreachable(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> SinkError {
        SinkError::Unreachable { address: self.address.clone(), source: error.into() }
    }

    fn identity(&self) -> Result<&Identity, SinkError> {
        self.identity.as_ref().ok_or(SinkError::Gone("the tables are not claimed"))
    }

    /// Waits until no other living process holds the job, as long as one would take to be
    /// noticed dead.
    async fn take_named_lock(
        &self,
        connection: &mut Conn,
        identity: &Identity,
    ) -> Result<(), SinkError> {
        let (name, job) = (self.lock_name(identity), &identity.job);
        let deadline = Instant::now() + PREDECESSOR_TIME;
        let mut told = false;
        loop {
            let sql = format!("SELECT GET_LOCK('{name}', 1)");
            if first::<Option<u64>>(connection, "taking the job's lock", sql).await?
                == Some(Some(1))
            {
                return Ok(());
            }
            let sql = format!("SELECT IS_USED_LOCK('{name}')");
            let holder = first::<Option<u64>>(connection, "taking the job's lock", sql).await?;
            let holder = holder.flatten().unwrap_or_default();
            if Instant::now() > deadline {
                return Err(SinkError::Held { job: job.clone(), holder });
            }
            if !std::mem::replace(&mut told, true) {
                let seconds = PREDECESSOR_TIME.as_secs();
                tracing::warn!(job, holder, "another process holds the job; waiting {seconds} s");
            }
        }
    }

    /// The server has one space of names for all databases.
    fn lock_name(&self, identity: &Identity) -> String {
        let database = self.opts.db_name().unwrap_or_default();
        let text = format!("{database}\0{}\0{}", identity.prefix, identity.job);
        format!("tweetflow-{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
    }

    /// Raises the generation on `connection` in a transaction of its own.
    async fn raise(
        &self,
        connection: &mut Conn,
        identity: &Identity,
    ) -> Result<Position, SinkError> {
        let doing = "claiming the tables";
        let (job, table) = (hexadecimal(&identity.job), identity.prefix.table(COMMIT_TABLE));
        run(connection, doing, "START TRANSACTION").await?;
        let stored: Option<(u64, u64, String)> = first(
            connection,
            doing,
            format!(
                "SELECT generation, commit_no, fingerprint FROM {table} \
                 WHERE job = {job} FOR UPDATE"
            ),
        )
        .await?;
        let position = if let Some((generation, commit_no, fingerprint)) = stored {
            if fingerprint != identity.fingerprint {
                let now = identity.fingerprint.clone();
                return Err(SinkError::Fingerprint { stored: fingerprint, now });
            }
            let generation = generation + 1;
            let sql = format!("UPDATE {table} SET generation = {generation} WHERE job = {job}");
            run(connection, doing, sql).await?;
            Position { generation, commit_no }
        } else {
            for table in &identity.tables {
                schema::check_empty(connection, &identity.prefix.table(table.name)).await?;
            }
            let fingerprint = hexadecimal(&identity.fingerprint);
            let sql = format!(
                "INSERT INTO {table} (job, generation, commit_no, fingerprint) \
                 VALUES ({job}, 1, 0, {fingerprint})"
            );
            run(connection, doing, sql).await?;
            Position { generation: 1, commit_no: 0 }
        };
        run(connection, doing, "COMMIT").await?;
        Ok(position)
    }

    /// One attempt at a whole transaction. Whatever goes wrong, `connection` must not be used
    /// again.
    async fn apply(
        &self,
        connection: &mut Conn,
        at: Position,
        transaction: &Transaction,
    ) -> Result<(), SinkError> {
        let (doing, identity) = ("committing", self.identity()?);
        let bytes = self.statement_bytes.load(Ordering::Relaxed);
        let next = at.next();
        let compare_and_set = format!(
            "START TRANSACTION; UPDATE {} SET commit_no = {}, as_of = '{}' \
             WHERE job = {} AND generation = {} AND commit_no = {}",
            identity.prefix.table(COMMIT_TABLE),
            next.commit_no,
            sql::moment(transaction.as_of, 6),
            hexadecimal(&identity.job),
            at.generation,
            at.commit_no,
        );
        run(connection, doing, compare_and_set).await?;
        if connection.affected_rows() != 1 {
            return Err(SinkError::Outdated(at));
        }
        let tables = identity.tables.iter().zip(&transaction.tables);
        let least = if self.loads.load(Ordering::Relaxed) { load::FROM } else { usize::MAX };
        let statements = tables.clone().flat_map(|(table, changes)| {
            let upserts = if changes.upserts.len() < least { &changes.upserts[..] } else { &[] };
            sql::statements(&identity.prefix, table, &changes.deletes, upserts, bytes)
        });
        // A small transaction is one round trip between this one and COMMIT, not one a table.
        for statements in sql::joined(statements, bytes) {
            run(connection, doing, statements).await?;
        }
        let large = tables.filter(|(_, changes)| changes.upserts.len() >= least);
        let loads = large
            .flat_map(|(table, changes)| load::loads(&identity.prefix, table, &changes.upserts));
        self.load(connection, loads, bytes).await?;
        run(connection, doing, "COMMIT").await
    }

    /// Loads rows within a transaction. What the server refuses is not asked of it again.
    async fn load(
        &self,
        connection: &mut Conn,
        loads: impl Iterator<Item = load::Load>,
        bytes: usize,
    ) -> Result<(), SinkError> {
        let mut loads = loads.peekable();
        if loads.peek().is_none() {
            return Ok(());
        }
        // Where somebody's table refers to one of these, a row is replaced by its end and a new one.
        run(connection, "committing", "SET SESSION foreign_key_checks=0").await?;
        for load in loads {
            if let Err(error) = load.run(connection, bytes).await {
                if load::is_refused(&error) {
                    self.loads.store(false, Ordering::Relaxed);
                    tracing::warn!(
                        error = one_line(&error),
                        "the database refused LOAD DATA LOCAL; rows are sent as upserts from now on"
                    );
                }
                return Err(error);
            }
        }
        run(connection, "committing", "SET SESSION foreign_key_checks=1").await
    }
}

impl Sink for MySqlSink {
    async fn claim(&mut self, identity: &Identity) -> Result<Position, SinkError> {
        self.identity = Some(identity.clone());
        let mut connection = self.connect().await?;
        let server = Server::of(&mut connection).await?;
        if let Some(warning) = server.warning() {
            tracing::warn!("{warning}");
        }
        self.warn_of_twins(&mut connection, identity).await?;
        let server_loads = load::is_taken(&mut connection).await?;
        let shapes = ddl::shapes(&identity.prefix, &identity.tables);
        let reason = match schema::prepare(connection, &shapes).await? {
            None if !server_loads => Some("local_infile is OFF on the server".to_owned()),
            reason => reason,
        };
        if let Some(reason) = &reason {
            tracing::info!(reason, "rows are sent as upserts, which cost the server a third more");
        }
        self.loads.store(reason.is_none(), Ordering::Relaxed);
        let deadline = Instant::now() + PREDECESSOR_TIME;
        loop {
            let mut connection = self.connect().await?;
            self.take_named_lock(&mut connection, identity).await?;
            match self.raise(&mut connection, identity).await {
                Ok(position) => {
                    self.connection = Some(connection);
                    return Ok(position);
                }
                // A predecessor's transaction is still open, or was until now: its row lock is
                // waited for. (1020: newer MariaDB servers, where it changed the row meanwhile.)
                Err(SinkError::Server { code: 1205 | 1213 | 1020, .. })
                    if Instant::now() < deadline =>
                {
                    tracing::warn!("a predecessor's transaction is still open, waiting for it");
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn snapshot(
        &mut self,
        table: u8,
        visit: &mut dyn FnMut(Vec<Restored>),
    ) -> Result<(), SinkError> {
        let identity = self.identity()?;
        let declared = identity.tables[usize::from(table)];
        let query = sql::select(&identity.prefix, &declared);
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        read_rows(&mut connection, query, (table, &declared), visit).await?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn commit(&mut self, at: Position, transaction: &Transaction) -> Result<(), SinkError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let loads = self.loads.load(Ordering::Relaxed);
        let mut result = self.apply(&mut connection, at, transaction).await;
        if loads && !self.loads.load(Ordering::Relaxed) {
            // Not committed. The old connection goes first: its locks go with it.
            drop(connection);
            connection = self.connect().await?;
            result = self.apply(&mut connection, at, transaction).await;
        }
        result?;
        // Only a connection on which everything went well is kept.
        self.connection = Some(connection);
        Ok(())
    }

    async fn marked(&mut self, table: u8, column: usize) -> Result<Vec<Row>, SinkError> {
        let identity = self.identity()?;
        let (declared, prefix) = (identity.tables[usize::from(table)], identity.prefix.clone());
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let mut marked = Vec::new();
        let sql = sql::select_marked(&prefix, &declared, column, MARKED_ROWS);
        read_rows(&mut connection, sql, (table, &declared), &mut |rows| {
            marked.extend(rows.into_iter().map(|restored| restored.row));
        })
        .await?;
        self.connection = Some(connection);
        Ok(marked)
    }

    async fn position(&mut self) -> Result<Position, SinkError> {
        let doing = "reading the position";
        self.connection = None;
        let identity = self.identity()?;
        let (job, table) = (hexadecimal(&identity.job), identity.prefix.table(COMMIT_TABLE));
        let mut connection = self.connect().await?;
        run(&mut connection, doing, "START TRANSACTION").await?;
        // FOR UPDATE waits for a session that is still committing; a plain read would not.
        let sql = format!("SELECT generation, commit_no FROM {table} WHERE job = {job} FOR UPDATE");
        let stored: Option<(u64, u64)> = first(&mut connection, doing, sql).await?;
        run(&mut connection, doing, "COMMIT").await?;
        let name = self.lock_name(identity);
        let _: Option<Option<u64>> =
            first(&mut connection, doing, format!("SELECT GET_LOCK('{name}', 0)")).await?;
        self.connection = Some(connection);
        // No row: somebody emptied the database, which is no position of ours.
        let (generation, commit_no) = stored.unwrap_or_default();
        Ok(Position { generation, commit_no })
    }

    async fn inspect(
        &self,
        identity: &Identity,
        visit: &mut dyn FnMut(Vec<Restored>),
    ) -> Result<Inspected, SinkError> {
        self.inspect_all(identity, visit).await
    }
}

/// Hands every row that `query` finds in table number `table` to `visit`, in batches.
async fn read_rows(
    connection: &mut Conn,
    query: String,
    (table, declared): (u8, &Table),
    visit: &mut dyn FnMut(Vec<Restored>),
) -> Result<(), SinkError> {
    let refused = |error| lost_or_refused(DOING_READ, error);
    let mut result = connection.query_iter(query).await.map_err(refused)?;
    let mut rows = Vec::with_capacity(SNAPSHOT_ROWS);
    loop {
        let next = tokio::time::timeout(STATEMENT_TIME, result.next()).await;
        let next = next.map_err(|late| lost(DOING_READ, late))?;
        let Some(row) = next.map_err(refused)? else { break };
        rows.push(Restored { table, row: restore_row(declared, row)? });
        if rows.len() == SNAPSHOT_ROWS {
            visit(std::mem::take(&mut rows));
        }
    }
    visit(rows);
    Ok(())
}

/// One row of a result as values, by the kinds that are declared.
fn restore_row(table: &Table, mut row: mysql_async::Row) -> Result<Row, SinkError> {
    let columns = table.columns.iter().enumerate();
    let values = columns.map(|(index, column)| {
        use mysql_async::Value as Stored;
        let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse().ok();
        let value = match (column.kind, row.take(index)?) {
            (_, Stored::NULL) => Value::Null,
            (Holds::Unsigned, Stored::UInt(number)) => Value::UInt(number),
            (Holds::Unsigned, Stored::Int(number)) => Value::UInt(u64::try_from(number).ok()?),
            (Holds::Unsigned | Holds::Mark, Stored::Bytes(bytes)) => {
                Value::UInt(std::str::from_utf8(&bytes).ok()?.parse().ok()?)
            }
            (Holds::OptionalSigned, Stored::Int(number)) => Value::Int(number),
            (Holds::OptionalSigned, Stored::Bytes(bytes)) => Value::Int(number(&bytes)?),
            (Holds::Text(_), Stored::Bytes(bytes)) => {
                Value::Text(std::str::from_utf8(&bytes).ok()?.into())
            }
            (Holds::Bytes(_), Stored::Bytes(bytes)) => Value::Bytes(bytes.into_boxed_slice()),
            (Holds::Moment, Stored::Bytes(bytes)) => {
                Value::Moment(sql::moment_ms(std::str::from_utf8(&bytes).ok()?)?)
            }
            _ => return None,
        };
        Some(value)
    });
    values.collect::<Option<Row>>().ok_or_else(|| SinkError::Foreign {
        table: table.name.to_owned(),
        difference: "a row holds values of other types".to_owned(),
        fix: "use another --table-prefix or database".to_owned(),
    })
}

fn hexadecimal(text: &str) -> String {
    let mut sql = Vec::new();
    sql::push_hexadecimal(&mut sql, text.as_bytes());
    String::from_utf8_lossy(&sql).into_owned()
}

/// Runs a statement, or several with `;` between them, and reads the whole answer, in bounded time.
async fn run<Q>(connection: &mut Conn, doing: &'static str, sql: Q) -> Result<(), SinkError>
where
    Q: mysql_async::prelude::AsQuery,
{
    match tokio::time::timeout(STATEMENT_TIME, connection.query_drop(sql)).await {
        Ok(answer) => answer.map_err(|error| lost_or_refused(doing, error)),
        Err(late) => Err(lost(doing, late)),
    }
}

/// The first row of a statement's answer, in bounded time.
async fn first<T>(
    connection: &mut Conn,
    doing: &'static str,
    sql: String,
) -> Result<Option<T>, SinkError>
where
    T: mysql_async::prelude::FromRow + Send + 'static,
{
    match tokio::time::timeout(STATEMENT_TIME, connection.query_first(sql)).await {
        Ok(answer) => answer.map_err(|error| lost_or_refused(doing, error)),
        Err(late) => Err(lost(doing, late)),
    }
}

fn lost_or_refused(doing: &'static str, error: mysql_async::Error) -> SinkError {
    match error {
        mysql_async::Error::Server(error) => refused(doing, error),
        error => lost(doing, error),
    }
}

fn refused(doing: &'static str, error: mysql_async::ServerError) -> SinkError {
    SinkError::Server { doing, code: error.code, message: error.message }
}

fn lost(
    doing: &'static str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> SinkError {
    SinkError::Lost { doing, source: error.into() }
}

//! MySQL and MariaDB.
//!
//! It owns one connection, on which every transaction runs; after any error that connection is
//! dropped, never used again, because half a transaction may be open on it. Declarations run on a
//! connection of their own: they commit implicitly.
//!
//! The fence is the first statement of each transaction, a compare-and-set on `tweetflow_commit`.
//! The named lock keeps two copies of a job from taking the tables from each other in turns;
//! exactness does not depend on it.

mod attached;
mod claim;
mod connection;
mod filtered;
mod inspect;
mod legacy;
mod load;
mod rows;
mod schema;
mod shadow_tables;

pub use connection::session::{Server, ServerFamily};
pub use shadow_tables::ReplacedTables;

use super::ddl::{self, COMMIT_TABLE};
use super::sql;
use super::{ConsistentRead, Identity, MAX_FLAGGED_ROWS, Sink, SinkError, random_writer};
use connection::Connection;
use mysql_async::{Opts, OptsBuilder};
use rows::{read_all_rows, read_rows};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use types::answers::Answers;
use types::fault::one_line;
use types::transaction::{Position, Transaction};
use types::{Restored, Row};

/// How long a start waits for a predecessor: longer than the server needs to notice that the
/// predecessor is dead (`wait_timeout` of `session`), and than [`LEFT_TIME`] more.
const PREDECESSOR_TIME: Duration = Duration::from_secs(90);
/// How long the lock of a job must be free before a copy that waits takes it: the copy that works
/// takes it again within a second or two when its connection was lost.
const LEFT_TIME: Duration = Duration::from_secs(5);
const DOING_READ: &str = "reading the tables";

/// A MySQL or MariaDB server.
pub struct MySqlSink {
    opts: Opts,
    address: String,
    /// This process, in the row of the commit table.
    writer: u64,
    answers: Arc<Answers>,
    /// Set by `claim`.
    identity: Option<Identity>,
    connection: Option<Connection>,
    /// Whether many rows are loaded, not sent as upserts. Set by `claim`, cleared when the server
    /// refuses.
    loads: AtomicBool,
}

/// What a URL says, or what is wrong with it: never a part of it, which may be a password.
fn options(url: &str) -> Result<Opts, String> {
    use mysql_async::UrlError;
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = authority.find(['/', '?', '#']).unwrap_or(authority.len());
    if authority[end..].contains('@') {
        return Err(
            "an @ stands behind a /, ? or #; percent-encode these four in user and password \
                    (%40 %2F %3F %23)"
                .to_owned(),
        );
    }
    Opts::from_url(url).map_err(|error| match error {
        UrlError::InvalidParamValue { param, .. } => {
            format!("the value of its parameter {param} is refused")
        }
        UrlError::FeatureRequired { param, .. } | UrlError::UnknownParameter { param } => {
            format!("it has no parameter {param}")
        }
        UrlError::UnsupportedScheme { .. } => "it begins with another scheme".to_owned(),
        UrlError::Parse(error) => error.to_string(),
        UrlError::Invalid | UrlError::InvalidPoolConstraints { .. } => {
            "it is incomplete".to_owned()
        }
    })
}

impl MySqlSink {
    /// The server at `url` (`mysql://user:password@host:port/database`). Does not connect.
    pub fn new(url: &str) -> Result<Self, SinkError> {
        let opts = options(url).map_err(|reason| SinkError::Url { reason })?;
        if opts.db_name().is_none_or(str::is_empty) {
            return Err(SinkError::Url { reason: "it names no database".to_owned() });
        }
        let host = opts.ip_or_hostname();
        let address = format!("{host}:{}", opts.tcp_port());
        // The brackets of an IPv6 address belong to the URL.
        let plain = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = plain.unwrap_or(host).to_owned();
        let opts = OptsBuilder::from_opts(opts)
            .ip_or_hostname(host)
            // A local socket would be another server than the one the address names.
            .prefer_socket(false)
            .tcp_keepalive(Some(Duration::from_secs(10)))
            .setup(connection::session::SETUP.to_vec());
        Ok(MySqlSink {
            opts: opts.into(),
            address,
            writer: random_writer(),
            answers: Arc::default(),
            identity: None,
            connection: None,
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
        connection.close().await;
        Ok(server)
    }

    async fn connect(&self) -> Result<Connection, SinkError> {
        Connection::open(&self.opts, &self.address, &self.answers).await
    }

    fn identity(&self) -> Result<&Identity, SinkError> {
        self.identity.as_ref().ok_or(SinkError::Gone("the tables are not claimed"))
    }

    /// The connection, or a new one. The job's lock went with the old one: it is taken again as
    /// soon as it is free. The caller puts the connection back after success only.
    async fn take(&mut self) -> Result<Connection, SinkError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        if !connection.has_lock {
            self.try_lock(&mut connection, self.identity()?).await?;
        }
        Ok(connection)
    }

    /// The stored position, locked on `connection` until its transaction ends. No row: somebody
    /// emptied the database, which is no position of ours.
    async fn lock_position(
        &self,
        connection: &mut Connection,
        doing: &'static str,
    ) -> Result<Position, SinkError> {
        let identity = self.identity()?;
        let (job, table) = (hexadecimal(&identity.job), identity.prefix.table(COMMIT_TABLE));
        connection.run(doing, "START TRANSACTION").await?;
        // FOR UPDATE waits for a session that is still committing; a plain read would not.
        let columns = "generation, commit_no, writer";
        let sql = format!("SELECT {columns} FROM {table} WHERE job = {job} FOR UPDATE");
        let stored = connection.first::<(u64, u64, u64)>(doing, sql).await?;
        let (generation, commit_no, writer) = stored.unwrap_or_default();
        Ok(Position { generation, commit_no, writer })
    }

    /// One attempt at a whole transaction. Whatever goes wrong, `connection` must not be used
    /// again.
    async fn apply(
        &self,
        connection: &mut Connection,
        at: Position,
        transaction: &Transaction,
    ) -> Result<(), SinkError> {
        let (doing, identity) = ("committing", self.identity()?);
        let bytes = connection.statement_bytes;
        let next = at.next();
        let compare_and_set = format!(
            "START TRANSACTION; UPDATE {} SET commit_no = {}, as_of = '{}' \
             WHERE job = {} AND generation = {} AND commit_no = {} AND writer = {}",
            identity.prefix.table(COMMIT_TABLE),
            next.commit_no,
            sql::moment(transaction.as_of, 6),
            hexadecimal(&identity.job),
            at.generation,
            at.commit_no,
            at.writer,
        );
        connection.run(doing, compare_and_set).await?;
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
        for batch in sql::joined(statements, bytes) {
            connection.run(doing, batch).await?;
        }
        let large = tables.filter(|(_, changes)| changes.upserts.len() >= least);
        let loads = large
            .flat_map(|(table, changes)| load::loads(&identity.prefix, table, &changes.upserts));
        self.load(connection, loads, bytes).await?;
        connection.run(doing, "COMMIT").await
    }

    /// Loads rows within a transaction. What the server refuses is not asked of it again.
    async fn load(
        &self,
        connection: &mut Connection,
        loads: impl Iterator<Item = load::Load>,
        bytes: usize,
    ) -> Result<(), SinkError> {
        let mut loads = loads.peekable();
        if loads.peek().is_none() {
            return Ok(());
        }
        // Where somebody's table refers to one of these, a row is replaced by its end and a new
        // one.
        connection.run("committing", "SET SESSION foreign_key_checks=0").await?;
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
        connection.run("committing", "SET SESSION foreign_key_checks=1").await
    }
}

impl Sink for MySqlSink {
    fn answers(&self) -> Arc<Answers> {
        Arc::clone(&self.answers)
    }

    async fn claim(&mut self, identity: &Identity) -> Result<Position, SinkError> {
        self.claim_tables(identity).await
    }

    async fn begin_restore(&mut self, at: Position) -> Result<(), SinkError> {
        let mut connection = self.take().await?;
        let found = self.lock_position(&mut connection, DOING_READ).await?;
        if found != at {
            return Err(SinkError::Fenced { ours: at, found });
        }
        self.connection = Some(connection);
        Ok(())
    }

    async fn snapshot(
        &mut self,
        table: u8,
        visit: &mut dyn FnMut(Vec<Restored>),
    ) -> Result<(), SinkError> {
        let mut connection =
            self.connection.take().ok_or(SinkError::Gone("nothing is restored"))?;
        let identity = self.identity()?;
        let declared = identity.tables[usize::from(table)];
        read_all_rows(&mut connection, &identity.prefix, (table, &declared), visit).await?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn end_restore(&mut self) -> Result<(), SinkError> {
        let mut connection =
            self.connection.take().ok_or(SinkError::Gone("nothing is restored"))?;
        connection.run(DOING_READ, "COMMIT").await?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn commit(&mut self, at: Position, transaction: &Transaction) -> Result<(), SinkError> {
        let mut connection = self.take().await?;
        let loads = self.loads.load(Ordering::Relaxed);
        let mut result = self.apply(&mut connection, at, transaction).await;
        if loads && !self.loads.load(Ordering::Relaxed) {
            // Not committed. The old connection goes first: its locks go with it.
            drop(connection);
            connection = self.take().await?;
            result = self.apply(&mut connection, at, transaction).await;
        }
        result?;
        // Only a connection on which everything went well is kept.
        self.connection = Some(connection);
        Ok(())
    }

    async fn flagged(&mut self, table: u8, column: usize) -> Result<Vec<Row>, SinkError> {
        let mut connection = self.take().await?;
        let identity = self.identity()?;
        let declared = identity.tables[usize::from(table)];
        let mut flagged = Vec::new();
        let sql = sql::select_flagged(&identity.prefix, &declared, column, MAX_FLAGGED_ROWS);
        read_rows(&mut connection, sql, (table, &declared), &mut |rows| {
            flagged.extend(rows.into_iter().map(|restored| restored.row));
        })
        .await?;
        self.connection = Some(connection);
        Ok(flagged)
    }

    async fn position(&mut self) -> Result<Position, SinkError> {
        let doing = "reading the position";
        self.connection = None;
        let mut connection = self.take().await?;
        let position = self.lock_position(&mut connection, doing).await?;
        connection.run(doing, "COMMIT").await?;
        self.connection = Some(connection);
        Ok(position)
    }

    async fn inspect(
        &self,
        identity: &Identity,
        visit: &mut dyn FnMut(Vec<Restored>),
    ) -> Result<ConsistentRead, SinkError> {
        self.inspect_all(identity, visit).await
    }
}

fn hexadecimal(text: &str) -> String {
    let mut sql = Vec::new();
    sql::push_hexadecimal(&mut sql, text.as_bytes());
    String::from_utf8_lossy(&sql).into_owned()
}

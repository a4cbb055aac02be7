//! The database that a URL names: one of the sinks that keep their tables.
//!
//! It adds nothing but the choice, so that its users need not know the kinds of databases.

use super::mysql::MySqlSink;
use super::sqlite::SqliteSink;
use super::{ConsistentRead, Identity, Sink, SinkError};
use std::sync::Arc;
use types::answers::Answers;
use types::prefix::Prefix;
use types::transaction::{Position, Transaction};
use types::{Restored, Row, Table, Value};

/// What begins the name of a file of tables.
const SQLITE: &str = "sqlite:";

/// A place of tables.
pub enum Database {
    /// A server.
    MySql(MySqlSink),
    /// A file.
    Sqlite(SqliteSink),
}

impl Database {
    /// `mysql://user:password@host:port/database` or `sqlite:FILE`. Does not connect.
    pub fn new(url: &str) -> Result<Self, SinkError> {
        match url.strip_prefix(SQLITE) {
            Some("") => Err(SinkError::Url { reason: "it names no file".to_owned() }),
            Some(path) => Ok(Database::Sqlite(SqliteSink::new(path))),
            None => Ok(Database::MySql(MySqlSink::new(url)?)),
        }
    }

    /// What and where it is, without any secret.
    pub fn description(&self) -> String {
        match self {
            Database::MySql(sink) => sink.description(),
            Database::Sqlite(sink) => format!("SQLite file {}", sink.path().display()),
        }
    }

    /// How many rows of a table there are with these values, and the first `limit` of them by key.
    pub async fn filtered_rows(
        &self,
        table: (&Prefix, &Table),
        filter: &[(usize, Value)],
        limit: u64,
    ) -> Result<(u64, Vec<Row>), SinkError> {
        match self {
            Database::MySql(sink) => sink.filtered_rows(table, filter, limit).await,
            Database::Sqlite(sink) => sink.filtered_rows(table, filter, limit),
        }
    }

    /// Sets `flag` of the rows with these values; returns in how many it was not set.
    pub async fn flag_rows(
        &self,
        table: (&Prefix, &Table),
        flag: usize,
        filter: &[(usize, Value)],
    ) -> Result<u64, SinkError> {
        match self {
            Database::MySql(sink) => sink.flag_rows(table, flag, filter).await,
            Database::Sqlite(sink) => sink.flag_rows(table, flag, filter),
        }
    }
}

impl Sink for Database {
    async fn claim(&mut self, identity: &Identity) -> Result<Position, SinkError> {
        match self {
            Database::MySql(sink) => sink.claim(identity).await,
            Database::Sqlite(sink) => sink.claim(identity).await,
        }
    }

    fn answers(&self) -> Arc<Answers> {
        match self {
            Database::MySql(sink) => sink.answers(),
            Database::Sqlite(sink) => sink.answers(),
        }
    }

    async fn begin_restore(&mut self, at: Position) -> Result<(), SinkError> {
        match self {
            Database::MySql(sink) => sink.begin_restore(at).await,
            Database::Sqlite(sink) => sink.begin_restore(at).await,
        }
    }

    async fn end_restore(&mut self) -> Result<(), SinkError> {
        match self {
            Database::MySql(sink) => sink.end_restore().await,
            Database::Sqlite(sink) => sink.end_restore().await,
        }
    }

    async fn snapshot(
        &mut self,
        table: u8,
        visit: &mut dyn FnMut(Vec<Restored>),
    ) -> Result<(), SinkError> {
        match self {
            Database::MySql(sink) => sink.snapshot(table, visit).await,
            Database::Sqlite(sink) => sink.snapshot(table, visit).await,
        }
    }

    async fn commit(&mut self, at: Position, transaction: &Transaction) -> Result<(), SinkError> {
        match self {
            Database::MySql(sink) => sink.commit(at, transaction).await,
            Database::Sqlite(sink) => sink.commit(at, transaction).await,
        }
    }

    async fn flagged(&mut self, table: u8, column: usize) -> Result<Vec<Row>, SinkError> {
        match self {
            Database::MySql(sink) => sink.flagged(table, column).await,
            Database::Sqlite(sink) => sink.flagged(table, column).await,
        }
    }

    async fn position(&mut self) -> Result<Position, SinkError> {
        match self {
            Database::MySql(sink) => sink.position().await,
            Database::Sqlite(sink) => sink.position().await,
        }
    }

    async fn inspect(
        &self,
        identity: &Identity,
        visit: &mut dyn FnMut(Vec<Restored>),
    ) -> Result<ConsistentRead, SinkError> {
        match self {
            Database::MySql(sink) => sink.inspect(identity, visit).await,
            Database::Sqlite(sink) => sink.inspect(identity, visit).await,
        }
    }
}

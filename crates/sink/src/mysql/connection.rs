//! One connection to a server. Invariant: no wait on it is without a bound, and every wait is seen
//! by [`Answers`].
//!
//! It hides the driver's own connection, whose methods wait for ever. It knows no table.

pub(super) mod session;

use crate::SinkError;
use futures_util::stream::{self, StreamExt};
use mysql_async::prelude::{AsQuery, FromRow, Queryable};
use mysql_async::{Conn, DriverError, Opts};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use types::answers::{Answers, Question};
use types::fault::catch;

/// How long a statement, or the next row of one, may take before the connection is given up.
pub(super) const STATEMENT_TIME: Duration = Duration::from_mins(1);
/// How long a connection may take to come about.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// How long the server may take to say goodbye.
const CLOSE_TIME: Duration = Duration::from_secs(1);
/// Rows between two notes that the server answers.
const ROWS: usize = 1024;

/// A connection whose session is as `session` sets it.
pub(super) struct Connection {
    inner: Conn,
    answers: Arc<Answers>,
    /// The bytes after which a statement is to be ended.
    pub(super) statement_bytes: usize,
    /// Whether the job's named lock is held on it.
    pub(super) has_lock: bool,
}

impl Connection {
    /// Connects, signs in, and sets the session. `address` is what errors say.
    pub(super) async fn open(
        opts: &Opts,
        address: &str,
        answers: &Arc<Answers>,
    ) -> Result<Self, SinkError> {
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| {
            SinkError::Unreachable { address: address.to_owned(), source }
        };
        let question = answers.ask();
        let inner = match timeout(CONNECT_TIME, sign_in(opts.clone())).await {
            Err(late) => return Err(unreachable(late.into())),
            Ok(Err(panic)) => return Err(SinkError::SignIn { reason: panic }),
            Ok(Ok(Err(mysql_async::Error::Server(error)))) => {
                question.answered();
                return Err(refused("connecting", error));
            }
            Ok(Ok(Err(mysql_async::Error::Driver(error)))) if is_sign_in(&error) => {
                return Err(SinkError::SignIn { reason: error.to_string() });
            }
            Ok(Ok(Err(error))) => return Err(unreachable(error.into())),
            Ok(Ok(Ok(inner))) => inner,
        };
        question.answered();
        let answers = Arc::clone(answers);
        let mut connection = Connection { inner, answers, statement_bytes: 0, has_lock: false };
        connection.statement_bytes = session::prepare(&mut connection).await?;
        Ok(connection)
    }

    /// Runs a statement, or several with `;` between them, and reads the whole answer.
    pub(super) async fn run(
        &mut self,
        doing: &'static str,
        sql: impl AsQuery,
    ) -> Result<(), SinkError> {
        bounded(doing, self.answers.ask(), self.inner.query_drop(sql)).await
    }

    /// The first row of a statement's answer.
    pub(super) async fn first<T>(
        &mut self,
        doing: &'static str,
        sql: impl AsQuery,
    ) -> Result<Option<T>, SinkError>
    where
        T: FromRow + Send + 'static,
    {
        bounded(doing, self.answers.ask(), self.inner.query_first(sql)).await
    }

    /// All rows of an answer that is small.
    pub(super) async fn all<T>(
        &mut self,
        doing: &'static str,
        sql: impl AsQuery,
    ) -> Result<Vec<T>, SinkError>
    where
        T: FromRow + Send + 'static,
    {
        bounded(doing, self.answers.ask(), self.inner.query(sql)).await
    }

    /// Hands each row of an answer of any size to `visit`. The bound is that of each row.
    pub(super) async fn each(
        &mut self,
        doing: &'static str,
        sql: String,
        visit: &mut dyn FnMut(mysql_async::Row) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let question = self.answers.ask();
        let answer = timeout(STATEMENT_TIME, self.inner.query_iter(sql)).await;
        let mut result = answered(doing, answer)?;
        let mut rows = 0_usize;
        while let Some(row) = answered(doing, timeout(STATEMENT_TIME, result.next()).await)? {
            visit(row)?;
            rows += 1;
            if rows.is_multiple_of(ROWS) {
                question.progressed();
            }
        }
        question.answered();
        Ok(())
    }

    /// Rows that the last statement has changed.
    pub(super) fn affected_rows(&self) -> u64 {
        self.inner.affected_rows()
    }

    /// What the server says of the last statement.
    pub(super) fn info(&self) -> String {
        self.inner.info().into_owned()
    }

    /// How many warnings the last statement has.
    pub(super) fn warnings(&self) -> u16 {
        self.inner.get_warnings()
    }

    /// The text that the next `LOAD DATA LOCAL` reads, in packets of `bytes`.
    pub(super) fn set_infile(&mut self, text: Vec<u8>, bytes: usize) {
        self.inner.set_infile_handler(async move {
            let packets: Vec<_> =
                text.chunks(bytes).map(|packet| Ok(packet.to_vec().into())).collect();
            Ok(stream::iter(packets).boxed())
        });
    }

    /// A courtesy to the server: without it the server notices by itself.
    pub(super) async fn close(self) {
        let _ = timeout(CLOSE_TIME, self.inner.disconnect()).await;
    }
}

/// The driver panics on some of what a server may ask for; the outer error is what it says then.
async fn sign_in(opts: Opts) -> Result<Result<Conn, mysql_async::Error>, String> {
    let mut connecting = Box::pin(Conn::new(opts));
    poll_fn(move |context| match catch(|| connecting.as_mut().poll(context)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(result)) => Poll::Ready(Ok(result)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// Whether the server asks for another way to sign in than this program has.
fn is_sign_in(error: &DriverError) -> bool {
    matches!(
        error,
        DriverError::UnknownAuthPlugin { .. }
            | DriverError::CleartextPluginDisabled
            | DriverError::MysqlOldPasswordDisabled
            | DriverError::InvalidParsecSalt
    )
}

async fn bounded<T>(
    doing: &'static str,
    question: Question<'_>,
    waiting: impl Future<Output = Result<T, mysql_async::Error>>,
) -> Result<T, SinkError> {
    let result = answered(doing, timeout(STATEMENT_TIME, waiting).await);
    // A refusal is an answer, too.
    if !matches!(result, Err(SinkError::Lost { .. })) {
        question.answered();
    }
    result
}

fn answered<T>(
    doing: &'static str,
    answer: Result<Result<T, mysql_async::Error>, Elapsed>,
) -> Result<T, SinkError> {
    match answer {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(mysql_async::Error::Server(error))) => Err(refused(doing, error)),
        Ok(Err(error)) => Err(SinkError::Lost { doing, source: error.into() }),
        Err(late) => Err(SinkError::Lost { doing, source: late.into() }),
    }
}

fn refused(doing: &'static str, error: mysql_async::ServerError) -> SinkError {
    SinkError::Server { doing, code: error.code, message: error.message }
}

//! What a service has to give so that its stream can be followed.

use crate::budget::Allowance;
use crate::http::Client;
use crate::position::{Cursor, Position};
use crate::reply::Trouble;
use std::time::Duration;

/// A message of a stream.
pub(crate) struct Message {
    /// The record, as it goes into the topic.
    pub(crate) record: Vec<u8>,
    /// What it is, for the metrics.
    pub(crate) kind: &'static str,
    /// Where the stream is behind it; none = where it was.
    pub(crate) cursor: Option<Cursor>,
    /// What identifies it among repeated messages; none = it is never a repetition.
    pub(crate) identity: Option<u64>,
    /// Its own time, in Unix milliseconds.
    pub(crate) time_ms: Option<u64>,
}

/// What a service gives next.
pub(crate) enum Event {
    /// The connection lives.
    KeepAlive,
    /// A message for the topic.
    Message(Message),
    /// A message that no table needs, of a kind.
    Skipped(&'static str),
    /// A message of so many bytes was too large to read.
    Oversized(usize),
    /// A message before which something is missing, as it shows.
    Late(Message, &'static str),
    /// The service does not give what was between the position and now, as it says.
    Missing(String),
}

/// How a new connection goes on from the position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Continuity {
    /// Nothing is missing.
    Whole,
    /// What was between is lost, or only a part of it was asked for again: why.
    Gap {
        /// Whether it is asked for again, as far as it can be.
        filled: bool,
        /// Said beside the reason of the gap.
        note: &'static str,
    },
}

/// One service.
pub(crate) trait Service {
    /// Its name in records and messages.
    const NAME: &'static str;
    /// Whether posts are billed.
    const IS_BILLED: bool = false;

    /// The longest silence of a connection that lives.
    fn silence(&self) -> Duration;

    /// How often it may be connected to.
    fn allowance(&self) -> Allowance;

    /// For how long a message may be repeated.
    fn repeats(&self) -> Duration;

    /// What identifies a record of the topic, as [`Message::identity`] does.
    fn identify(record: &[u8]) -> Option<u64>;

    /// The server that the cursor is of, as a hash; 0 = any.
    fn server(&self) -> u64 {
        0
    }

    /// Connects, and says how the stream goes on from `position`. The position of a first start has
    /// no time.
    async fn connect(
        &mut self,
        client: &Client,
        position: &Position,
    ) -> Result<Continuity, Trouble>;

    /// The next event. It may be dropped while it waits, and nothing is lost.
    async fn next(&mut self) -> Result<Event, Trouble>;

    /// Drops the connection.
    fn disconnect(&mut self);

    /// Frees a connection that this account holds without using it; whether that was tried.
    async fn free_connection(&mut self, _client: &Client) -> bool {
        false
    }
}

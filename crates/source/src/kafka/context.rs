//! What the client library tells beside records: its log, its errors, and where a partition ended.
//!
//! It decides which errors pass; what the others mean is the caller's to say.

use crate::kafka::settings::Hidden;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::sync::{Mutex, PoisonError};

/// Errors that the client library goes on from by itself.
pub fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::AllBrokersDown
                | Code::BrokerTransportFailure
                | Code::OperationTimedOut
                | Code::Resolve
                | Code::RequestTimedOut
                | Code::LeaderNotAvailable
                | Code::NotLeaderForPartition
                | Code::BrokerNotAvailable
                | Code::ReplicaNotAvailable
                | Code::NetworkException
                | Code::CoordinatorLoadInProgress
                | Code::CoordinatorNotAvailable
                | Code::KafkaStorageError
                | Code::FencedLeaderEpoch
                | Code::UnknownLeaderEpoch
                | Code::OffsetNotAvailable
        )
    ) || is_of_group(error)
}

/// Errors of the consumer group. No group is joined: reading goes on without any right on it.
pub(super) fn is_of_group(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed)
}

/// The client library's log lines as ours.
#[derive(Default)]
pub struct Context {
    /// While the program is only looking, its own error says it all.
    quiet: bool,
    /// What its words must not show.
    hidden: Hidden,
    /// The library's words on the latest trouble with a broker.
    pub(super) reason: Mutex<Option<String>>,
    /// Where the partition ends whose end was reported last.
    end: Mutex<Option<u64>>,
}

impl Context {
    pub(super) fn new(quiet: bool, hidden: Hidden) -> Self {
        Context { quiet, hidden, ..Context::default() }
    }

    /// The offset at which the partition ends that a poll has just called ended.
    pub(super) fn take_end(&self) -> Option<u64> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The offset in "Fetch from broker 1 reached end of partition at offset 7 (`HighwaterMark` 7)".
/// The binding drops the number of the event.
fn end_of(reason: &str) -> Option<u64> {
    let (_, rest) = reason.split_once("end of partition at offset ")?;
    rest.split(' ').next()?.parse().ok()
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let message = || self.hidden.text(message);
        tracing::debug!(target: "librdkafka", ?level, facility, message = message());
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The end of a partition is reported here too; it is an answer, not trouble.
        let is_end = error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF);
        if is_end {
            *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end_of(reason);
        }
        let reason = &*self.hidden.text(reason);
        // "1/1 brokers are down" follows the reason and says less.
        if !is_end && error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            let mut said = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
            *said = Some(reason.to_owned());
        }
        if self.quiet || is_end || is_of_group(&error) {
            tracing::debug!(%error, reason, "Kafka client");
        } else {
            tracing::warn!(%error, reason, "Kafka client");
        }
    }
}

impl ConsumerContext for Context {}

#[cfg(test)]
mod tests {
    use super::end_of;

    #[test]
    fn the_end_of_a_partition_is_read_from_the_clients_words() {
        let reason =
            "Fetch from broker 1 reached end of partition at offset 152 (HighwaterMark 160)";
        assert_eq!(end_of(reason), Some(152));
        assert_eq!(end_of("Broker: No more messages"), None);
    }
}

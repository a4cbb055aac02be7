//! Which of two statements about the same thing is the newer one.

use serde::{Deserialize, Serialize};

/// How new the statement of one tweet is: the greatest tweet id, then the later record (its time,
/// then partition and offset). The derived order compares the fields from top to bottom.
///
/// The tweet id alone is not enough: a topic that holds a tweet twice would leave the winner to
/// the order in which workers happen to see the records.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Version {
    /// Id of the tweet that makes the statement; the service's ids rise with time.
    pub tweet_id: u64,
    /// Time of its record in Kafka, milliseconds since 1970; 0 where the record has none.
    pub record_ms: u64,
    /// Partition of its record.
    pub partition: u32,
    /// Offset of its record.
    pub offset: u64,
}

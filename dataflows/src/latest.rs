//! `Latest`: "the newest value" as a difference.
//!
//! Differential dataflow adds differences up. An addition that keeps the newer of two values makes
//! "newest friend count" the same `count_total` as "number of uses", with one entry per key in the
//! arrangement instead of one per tweet.
//!
//! Invariant: addition is commutative, associative and idempotent, whatever the order of arrival,
//! because it is the maximum of a total order: the greatest tweet id, then the later record (its
//! time, then partition and offset), then the values themselves. The oracle's restarts rely on it:
//! a row that is restored must beat and be beaten exactly as the tweet it came from, so the whole
//! [`Version`] stands in the row.
//!
//! It does not retract: a value once seen stays until a newer one comes.

use differential_dataflow::difference::{IsZero, Semigroup};
use serde::{Deserialize, Serialize};

/// How new a statement is. The derived order compares the fields from top to bottom.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Version {
    /// Id of the tweet that makes the statement; ids of the service rise with time.
    pub tweet_id: u64,
    /// Time of its record in Kafka, milliseconds since 1970, 0 where the record has none.
    pub record_ms: u64,
    /// Partition of its record.
    pub partition: u32,
    /// Offset of its record.
    pub offset: u64,
}

/// The newest of all values added so far.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Latest<V> {
    /// How new `value` is.
    pub version: Version,
    /// What was stated.
    pub value: V,
}

impl<V> IsZero for Latest<V> {
    /// There is no "nothing": a statement never cancels out.
    fn is_zero(&self) -> bool {
        false
    }
}

impl<V: Clone + Ord> Semigroup for Latest<V> {
    fn plus_equals(&mut self, other: &Self) {
        if *other > *self {
            self.clone_from(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Latest, Version};
    use differential_dataflow::difference::Semigroup;

    fn of(tweet_id: u64, record_ms: u64, partition: u32, offset: u64, value: &str) -> Latest<String> {
        let version = Version { tweet_id, record_ms, partition, offset };
        Latest { version, value: value.to_owned() }
    }

    fn sum(all: &[&Latest<String>]) -> Latest<String> {
        let mut sum = all[0].clone();
        for other in &all[1..] {
            sum.plus_equals(other);
        }
        sum
    }

    /// Two records of one tweet (a topic that holds it twice, or a later sample of it) must give
    /// the same user whatever order the workers see them in.
    #[test]
    fn addition_is_a_total_order_beyond_the_tweet_id() {
        let rising = [
            of(1, 9, 9, 9, "z"),
            of(2, 1, 1, 1, "b"),
            of(2, 1, 1, 1, "c"),
            of(2, 1, 1, 2, "a"),
            of(2, 1, 2, 0, "a"),
            of(2, 3, 0, 0, "a"),
        ];
        for (index, low) in rising.iter().enumerate() {
            assert_eq!(sum(&[low, low]), *low);
            for high in &rising[index + 1..] {
                assert_eq!(sum(&[low, high]), *high);
                assert_eq!(sum(&[high, low]), *high);
            }
        }
    }
}

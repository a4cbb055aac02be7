//! `Latest`: "the newest value" as a difference.
//!
//! Differential dataflow adds differences up. An addition that keeps the newer of two values makes
//! "newest friend count" the same `count_total` as "number of uses", with one entry per key in the
//! arrangement instead of one per tweet.
//!
//! Invariant: addition is commutative, associative and idempotent, whatever the order of arrival,
//! because it is the maximum of a total order. A restored row must beat and be beaten exactly as
//! the tweet it came from, so everything that the order looks at stands in the row.
//!
//! It does not retract: a value once seen stays until a newer one comes.

use differential_dataflow::difference::{IsZero, Semigroup};
use serde::{Deserialize, Serialize};

/// The greatest of all values added so far, by the order of `T`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Latest<T>(pub T);

impl<T> IsZero for Latest<T> {
    /// There is no "nothing": a statement never cancels out.
    fn is_zero(&self) -> bool {
        false
    }
}

impl<T: Clone + Ord> Semigroup for Latest<T> {
    fn plus_equals(&mut self, other: &Self) {
        if other.0 > self.0 {
            self.0.clone_from(&other.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Latest;
    use differential_dataflow::difference::Semigroup;
    use types::Version;

    type Statement = Latest<(Version, &'static str)>;

    fn of(tweet_id: u64, record_ms: u64, at: (u32, u64), value: &'static str) -> Statement {
        Latest((Version { tweet_id, record_ms, partition: at.0, offset: at.1 }, value))
    }

    fn sum(first: &Statement, second: &Statement) -> Statement {
        let mut sum = first.clone();
        sum.plus_equals(second);
        sum
    }

    /// Two records of one tweet (a topic that holds it twice, or a later sample of it) must give
    /// the same user whatever order the workers see them in.
    #[test]
    fn addition_is_a_total_order_beyond_the_tweet_id() {
        let rising = [
            of(1, 9, (9, 9), "z"),
            of(2, 1, (1, 1), "b"),
            of(2, 1, (1, 1), "c"),
            of(2, 1, (1, 2), "a"),
            of(2, 1, (2, 0), "a"),
            of(2, 3, (0, 0), "a"),
        ];
        for (index, low) in rising.iter().enumerate() {
            assert_eq!(sum(low, low), *low);
            for high in &rising[index + 1..] {
                assert_eq!(sum(low, high), *high);
                assert_eq!(sum(high, low), *high);
            }
        }
    }
}

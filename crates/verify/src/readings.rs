//! Which clocks of a record agree: the rule of the job, written a second time.
//!
//! A time is proven by two readings. A reading from before the first tweet or after 2099 is none,
//! and an id from before November 2010 is one only beside an older time. Of three readings the one
//! in the middle counts if the latest is close to it, else the earliest; of two the earlier.

use types::Event;
use types::Version;

/// When ids begin, milliseconds since 1970, and the least id that holds a time. A copy of
/// `types::snowflake` on purpose: a check shares no code with what it checks.
pub(super) const IDS_MS: u64 = 1_288_834_974_657;
const FIRST_ID: u64 = 29_700_859_247;
const FIRST_TWEET_MS: u64 = 1_142_899_200_000;
const YEAR_2100_MS: u64 = 4_102_444_800_000;
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// What the clocks of an act on a tweet come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Readings {
    pub(super) id: u64,
    /// The time that two of them tell.
    pub(super) proven_ms: Option<u64>,
    /// The id tells a later time than is proven.
    pub(super) is_ahead: bool,
    /// By so much that the job remembers it in one run only.
    pub(super) is_implausible: bool,
}

impl Readings {
    /// Of a post or a delete.
    pub(super) fn of(event: &Event) -> Option<(Version, Self)> {
        let (version, own_ms) = match event {
            Event::Tweet(tweet) => (tweet.version, tweet.own_ms),
            Event::Delete { version, own_ms, .. } => (*version, *own_ms),
            Event::User(..) | Event::Other(_) => return None,
        };
        Some((version, Readings::new(version.tweet_id, own_ms, version.record_ms)))
    }

    pub(super) fn new(id: u64, own_ms: u64, record_ms: u64) -> Self {
        let is_time = |ms: &u64| *ms >= FIRST_TWEET_MS && *ms < YEAR_2100_MS;
        let mut times: Vec<u64> = [own_ms, record_ms].into_iter().filter(is_time).collect();
        let claimed_ms = IDS_MS + id / (1 << 22);
        if id >= FIRST_ID {
            times.extend(Some(claimed_ms).filter(is_time));
        } else if is_time(&own_ms) && own_ms <= IDS_MS {
            times.push(IDS_MS);
        }
        times.sort_unstable();
        let proven_ms = match times[..] {
            [_, middle, latest] if latest <= middle + 5 * MINUTE_MS => Some(middle),
            [earliest, _] | [earliest, _, _] => Some(earliest),
            _ => None,
        };
        let ahead_ms = match proven_ms {
            _ if claimed_ms >= YEAR_2100_MS => u64::MAX,
            Some(proven_ms) if id >= FIRST_ID => claimed_ms.saturating_sub(proven_ms),
            _ => 0,
        };
        let bound_ms = if times.len() == 3 { HOUR_MS } else { 24 * HOUR_MS };
        Readings {
            id,
            proven_ms,
            is_ahead: ahead_ms > 5 * MINUTE_MS,
            is_implausible: ahead_ms > bound_ms,
        }
    }

    /// Whether something bears the id out.
    pub(super) fn is_proven(&self) -> bool {
        self.id < FIRST_ID || self.proven_ms.is_some() && !self.is_ahead
    }

    /// The minute up to which a tweet of this minute raises the newest one.
    pub(super) fn raises(&self, minute: u32) -> Option<u64> {
        self.proven_ms.map(|ms| (ms / MINUTE_MS).min(u64::from(minute)))
    }
}

#[cfg(test)]
mod tests {
    use super::{HOUR_MS, IDS_MS, MINUTE_MS, Readings};
    use crate::tests::Random;
    use types::clock::Clocks;

    const NOW_MS: u64 = 1_795_424_400_000;

    #[test]
    fn the_rule_in_examples() {
        let id = |ms: u64| (ms - IDS_MS) << 22;
        let found = |tweet_id, own_ms, record_ms| {
            let readings = Readings::new(tweet_id, own_ms, record_ms);
            (readings.proven_ms, readings.is_ahead, readings.is_implausible)
        };
        assert_eq!(found(id(NOW_MS), NOW_MS - 9, NOW_MS + 9), (Some(NOW_MS), false, false));
        assert_eq!(found(id(NOW_MS), NOW_MS - 9, NOW_MS / 1000), (Some(NOW_MS - 9), false, false));
        let ahead = id(NOW_MS + HOUR_MS);
        assert_eq!(found(ahead, NOW_MS, NOW_MS), (Some(NOW_MS), true, false));
        assert_eq!(found(ahead + (1 << 22), NOW_MS, NOW_MS), (Some(NOW_MS), true, true));
        assert_eq!(found(ahead + (1 << 22), NOW_MS, 0), (Some(NOW_MS), true, false));
        assert_eq!(found(u64::MAX, 0, 0), (None, true, true));
        assert_eq!(found(7, 1_142_974_214_000, 0), (Some(1_142_974_214_000), false, false));
        assert_eq!(found(7, NOW_MS, 0), (None, false, false));
        assert_eq!(Readings::new(7, NOW_MS, 0).raises(1), None);
        let raises = |minute| Readings::new(7, NOW_MS, NOW_MS).raises(minute);
        assert_eq!([raises(1), raises(u32::MAX)], [Some(1), Some(NOW_MS / MINUTE_MS)]);
    }

    /// Twice the same rule, told apart by nothing.
    #[test]
    fn the_job_and_the_recount_agree() {
        let mut random = Random::new(24);
        let mut met = [0; 4];
        for _ in 0..100_000 {
            let mut ms = || match random.below(12) {
                0 => 0,
                1 => NOW_MS / 1000,
                2 => u64::MAX,
                3 => random.below(5_000_000_000_000),
                4 => IDS_MS - random.below(1_000_000),
                5 => NOW_MS - random.below(30 * HOUR_MS),
                6 => NOW_MS + random.below(2 * HOUR_MS),
                7 => NOW_MS + [5 * MINUTE_MS, HOUR_MS, 24 * HOUR_MS][random.index(3)],
                _ => NOW_MS + random.below(2_000),
            };
            let (id_ms, own_ms, record_ms) = (ms(), ms(), ms());
            let id = match random.below(10) {
                0 => random.below(40_000_000_000),
                1 => u64::MAX - random.below(10),
                _ => id_ms.saturating_sub(IDS_MS).saturating_mul(1 << 22),
            };
            let clocks = Clocks { id, own_ms, record_ms };
            let found = Readings::new(id, own_ms, record_ms);
            assert_eq!(found.proven_ms, clocks.proven_ms(), "{clocks:?}");
            assert_eq!(found.is_ahead, clocks.is_ahead(), "{clocks:?}");
            assert_eq!(found.is_implausible, clocks.is_implausible(), "{clocks:?}");
            assert_eq!(if found.is_proven() { id } else { 0 }, clocks.proven_id(), "{clocks:?}");
            met[0] += u32::from(found.proven_ms.is_none());
            met[1] += u32::from(found.is_ahead);
            met[2] += u32::from(found.is_implausible);
            met[3] += u32::from(found.is_proven());
        }
        assert!(met.iter().all(|met| *met > 1_000), "{met:?}");
    }
}

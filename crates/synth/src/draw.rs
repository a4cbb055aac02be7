//! Owns every random decision of the generator: one small stream of numbers a thing.
//!
//! A thing (a tweet, a user, a hashtag) is a pure function of the seed, its kind and its number, so
//! any thread can make any of them in any order. The arithmetic is spelled out here rather than
//! taken from a range trait, whose stream may change between versions of a library.

use rand::Rng;
use rand_pcg::Pcg64Mcg;

/// Which family of things a stream belongs to, so that tweet 7 and user 7 share nothing.
#[derive(Clone, Copy)]
pub(super) enum Of {
    Tweet = 1,
    Profile,
    Name,
    ScreenName,
    Place,
    Friends,
    Hashtag,
    Vocabulary,
    Record,
}

/// The stream of one thing.
pub(super) struct Draw(Pcg64Mcg);

/// The finalizer of `SplitMix64`: a bijection that spreads neighbouring numbers apart.
pub(super) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl Draw {
    /// The stream of thing `number` of kind `of`.
    pub(super) fn new(seed: u64, of: Of, number: u64) -> Self {
        let high = mix(seed ^ mix(of as u64));
        let low = mix(high ^ number);
        Self(Pcg64Mcg::new((u128::from(high.wrapping_add(low)) << 64) | u128::from(mix(low))))
    }

    /// 64 random bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..bound`, and 0 where the bound is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let scaled = (u128::from(self.bits()) * u128::from(bound)) >> 64;
        u64::try_from(scaled).unwrap_or(0)
    }

    /// A number in `0..bound` that prefers small ones, as words in a language do.
    pub(super) fn low_below(&mut self, bound: usize) -> usize {
        let first = self.index(bound);
        let second = self.index(bound);
        first * second / bound.max(1)
    }

    /// A number with many orders of magnitude, as counts of followers have them: up to `2^bits`.
    pub(super) fn magnitude(&mut self, bits: u64) -> u64 {
        let width = self.below(bits.min(63) + 1);
        self.below(1 << width)
    }

    /// A position in something of `len` entries.
    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// One entry of a list that is not empty.
    pub(super) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.index(list.len())]
    }

    /// True in `share` of 1,000 cases.
    pub(super) fn per_mille(&mut self, share: u64) -> bool {
        self.below(1000) < share
    }

    /// A sample of a distribution over ranks `1..=n`.
    pub(super) fn rank(&mut self, zipf: &rand_distr::Zipf<f64>) -> u64 {
        use rand_distr::Distribution;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "Zipf's samples are whole numbers from 1 to n, far below 2^53"
        )]
        let rank = zipf.sample(&mut self.0) as u64;
        rank
    }
}

//! Tweet ids as moments. Since November 2010 an id is a Snowflake: milliseconds since an epoch of
//! its own above 22 other bits ("Twitter IDs" in the X API documentation).
//!
//! Owns that epoch and that layout. It does not judge whether an id tells the truth.

/// The epoch of ids, 2010-11-04T01:42:54.657Z, in milliseconds since 1970.
pub const EPOCH_MS: u64 = 1_288_834_974_657;
/// Bits of an id below its milliseconds.
pub const BELOW_MS: u32 = 22;
/// The least id that is a Snowflake. Older ids count up and hold no time.
pub const FIRST: u64 = 29_700_859_247;

/// When the tweet of this id was written, milliseconds since 1970.
pub fn written_ms(id: u64) -> u64 {
    (id >> BELOW_MS) + EPOCH_MS
}

#[cfg(test)]
mod tests {
    use super::written_ms;

    #[test]
    fn an_id_holds_its_time() {
        // Of 2018-10-10T20:19:24Z, the example of the documentation.
        assert_eq!(written_ms(1_050_118_621_198_921_728) / 1000, 1_539_202_764);
    }
}

//! Ids of posts and authors of services that name them by texts, or by numbers of another layout.
//!
//! A post gets a Snowflake of its time, so that the ledger's clock reads it; a delete computes the
//! same id. A post whose id tells no time after November 2010 gets an id below the first Snowflake,
//! which tells none: the ledger never relies on it. See ADR 19.
//!
//! It knows the layouts, not the services' records. One topic holds the posts of one service.

use sha2::{Digest, Sha256};
use types::snowflake::{BELOW_MS, EPOCH_MS, FIRST};

/// Above all ids that X gives to accounts.
const AUTHOR: u64 = 1 << 62;
/// Bits of a Mastodon id below its milliseconds.
const MASTODON_BELOW_MS: u32 = 16;
/// Bits of a TID below its microseconds.
const TID_BELOW_US: u32 = 10;

/// Which post a record is about.
#[derive(Clone, Copy, Default)]
pub(super) struct PostKey {
    /// Its id; `None`: the record is about none.
    pub(super) id: Option<u64>,
    /// The record is the post itself, not a delete.
    pub(super) is_post: bool,
}

/// The id of an author: of the DID, or of `acct:user@domain`.
pub(super) fn author(name: &str) -> u64 {
    AUTHOR | hash(&[name]) >> 2
}

/// The id of a Bluesky record: the time of its TID and 22 bits of what names it.
pub(super) fn bluesky(did: &str, collection: &str, rkey: &str) -> u64 {
    let hash = hash(&[did, "/", collection, "/", rkey]);
    let ms = tid_us(rkey).map_or(0, |us| us / 1000);
    at(ms, hash >> (64 - BELOW_MS)).unwrap_or(hash % FIRST)
}

/// The id of a Mastodon status: its time, its other bits, and 6 bits of its server.
pub(super) fn mastodon(domain: &str, id: u64) -> u64 {
    let host = hash(&[&domain.to_ascii_lowercase()]) >> 58;
    let low = (id & ((1 << MASTODON_BELOW_MS) - 1)) << 6 | host;
    at(id >> MASTODON_BELOW_MS, low).unwrap_or(id % FIRST)
}

/// The microseconds since 1970 that a TID holds: 13 digits to the base of 32.
pub(super) fn tid_us(tid: &str) -> Option<u64> {
    const DIGITS: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";
    let is_tid = tid.len() == 13 && matches!(tid.as_bytes()[0], b'2'..=b'7' | b'a'..=b'j');
    let digit = |byte: u8| DIGITS.iter().position(|digit| *digit == byte);
    let number = tid
        .bytes()
        .try_fold(0, |number: u64, byte| Some(number << 5 | u64::try_from(digit(byte)?).ok()?))?;
    is_tid.then_some(number >> TID_BELOW_US)
}

/// The Snowflake of a time, if there is one.
fn at(ms: u64, low: u64) -> Option<u64> {
    let since = ms.checked_sub(EPOCH_MS).filter(|since| *since < 1 << (64 - BELOW_MS))?;
    Some(since << BELOW_MS | low).filter(|id| *id >= FIRST)
}

/// The first 64 bits of SHA-256.
fn hash(parts: &[&str]) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::{author, bluesky, mastodon, tid_us};
    use types::snowflake::{FIRST, written_ms};

    #[test]
    fn an_id_holds_the_time_of_its_post() {
        let of = |rkey| bluesky("did:plc:a", "app.bsky.feed.post", rkey);
        // 2024-11-21 16:09:27 UTC, as its record says.
        let id = of("3lbhtyteurk2y");
        assert_eq!(Some(written_ms(id)), tid_us("3lbhtyteurk2y").map(|us| us / 1000));
        assert_eq!(written_ms(id) / 1000, 1_732_205_367);
        assert_ne!(id, bluesky("did:plc:b", "app.bsky.feed.post", "3lbhtyteurk2y"));
        for none in ["self", "", "zzzzzzzzzzzzz", "3LBHTYTEURK2Y", "2222222222222", "jzzzzzzzzzzzz"]
        {
            assert!(of(none) < FIRST, "{none}");
        }
        let status = mastodon("example.org", 113_520_000_000_000_007);
        assert_eq!(written_ms(status), 113_520_000_000_000_007 >> 16);
        assert_eq!(status, mastodon("EXAMPLE.org", 113_520_000_000_000_007));
        assert_ne!(status, mastodon("example.com", 113_520_000_000_000_007));
        // Before Snowflakes.
        assert_eq!(mastodon("example.org", 15_486), 15_486);
        assert!(mastodon("example.org", 1_100_000_000_000 << 16) < FIRST);
    }

    #[test]
    fn an_author_is_above_all_accounts_of_x() {
        assert_eq!(author("did:plc:a") >> 62, 1);
        assert_ne!(author("acct:a@example.org"), author("acct:a@example.com"));
    }
}

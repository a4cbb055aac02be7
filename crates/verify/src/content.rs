//! What records say of a tweet, as far as it is counted.

use serde::{Deserialize, Serialize};
use types::Text;
use types::event::Time;

/// What of a post is counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct TweetContent {
    /// First: a later edition is the greater content.
    pub(super) edition: u64,
    pub(super) hashtags: Vec<Text>,
    pub(super) time: Time,
}

/// What records say of a tweet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum ActKind {
    /// It was deleted.
    Delete,
    /// A newer version was posted.
    Replace,
    /// It was posted.
    Post(TweetContent),
}

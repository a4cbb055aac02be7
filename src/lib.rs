//! tweetflow
pub mod produce;

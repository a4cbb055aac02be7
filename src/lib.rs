//! tweetflow

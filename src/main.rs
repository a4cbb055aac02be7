//! tweetflow
fn main() {}

//! The tables: each is one file, a declaration (`TABLE`) and a function (`build`).
//!
//! The last four belong to the pipeline itself: they say what was read, what could not be counted,
//! and how far behind the tables are. `freshness` has no function: the program writes its rows.

pub mod floors;
pub mod friends_histogram;
pub mod hashtag_pairs;
pub mod hashtags;
pub mod hashtags_by_minute;
pub mod hashtags_folded;
pub mod top_hashtag_pairs;
pub mod top_hashtags;
pub mod top_users;
pub mod totals;
pub mod trending;
pub mod users;

pub mod dead_letter_overflow;
pub mod dead_letters;
pub mod freshness;
pub mod kafka_offsets;
pub mod late_acts;

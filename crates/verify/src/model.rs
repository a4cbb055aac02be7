//! What each table should hold, as plain sums and maxima over the events and over the posts that
//! count: the tables' meaning said a second time. Which posts those are is [`super::acts`]'s.
//!
//! Nothing of the dataflows' own code is used here but the declarations and the events; a test
//! holds on to that. A new table needs a model in [`MODELS`], or a test fails.

use super::content::TweetContent;
use super::readings::Readings;
use super::state::Tally;
use types::Version;
use types::event::{Time, User};
use types::{Event, Row, Value};

/// What a table is a function of.
#[derive(Clone, Copy)]
pub(super) enum Of {
    /// Of all that was read: what an event adds to which keys.
    Events(fn(&Event, &mut dyn FnMut(Row, Tally))),
    /// Of the posts that count: the keys that one adds one to.
    Posts(fn(&TweetContent, &mut dyn FnMut(Row))),
}

/// The meaning of one table.
pub(super) struct Model {
    pub(super) table: &'static str,
    /// Whether it grows with the topic, so that a sample of its keys saves something.
    pub(super) is_large: bool,
    /// What adds to which keys.
    pub(super) of: Of,
    /// The state that a row stands for; `None` for a row that the table cannot hold.
    pub(super) state: fn(&Row) -> Option<Tally>,
}

/// The tables that are functions of the events.
pub(super) const MODELS: &[Model] = &[
    Model { table: "hashtags", is_large: true, of: Of::Posts(hashtags), state: counted },
    Model { table: "users", is_large: true, of: Of::Events(users), state: user },
    Model { table: "totals", is_large: false, of: Of::Events(totals), state: counted },
    Model { table: "floors", is_large: false, of: Of::Events(floors), state: floor },
    Model { table: "hashtags_by_minute", is_large: true, of: Of::Posts(by_minute), state: counted },
    Model { table: "hashtag_pairs", is_large: true, of: Of::Posts(pairs), state: counted },
];

fn counted(row: &Row) -> Option<Tally> {
    Some(Tally::Count(i64::try_from(row.last()?.as_u64()?).ok()?))
}

fn hashtags(post: &TweetContent, add: &mut dyn FnMut(Row)) {
    for tag in &post.hashtags {
        add([Value::Text(tag.clone())].into());
    }
}

/// Each two of a tweet's first ten distinct hashtags.
fn pairs(post: &TweetContent, add: &mut dyn FnMut(Row)) {
    let mut met = Vec::<&str>::new();
    for tag in post.hashtags.iter().map(|tag| &**tag) {
        if met.len() == 10 || met.contains(&tag) {
            continue;
        }
        for other in &met {
            let (a, b) = if tag < *other { (tag, *other) } else { (*other, tag) };
            add([Value::Text(a.into()), Value::Text(b.into())].into());
        }
        met.push(tag);
    }
}

/// What the posts come to is told apart in [`super::acts`].
fn totals(event: &Event, add: &mut dyn FnMut(Row, Tally)) {
    let kind = match event {
        Event::Tweet(tweet) => match tweet.time {
            Time::Own(_) => None,
            Time::Record(_) => Some("time_from_record"),
            Time::Unknown => Some("time_unknown"),
        },
        other => Some(other.kind().name()),
    };
    let is_ahead = Readings::of(event).is_some_and(|(_, readings)| readings.is_ahead);
    for name in kind.into_iter().chain(is_ahead.then_some("clock_ahead")) {
        add([Value::Text(name.into())].into(), Tally::Count(1));
    }
}

fn floors(event: &Event, add: &mut dyn FnMut(Row, Tally)) {
    let (Event::Tweet(tweet), Some((_, readings))) = (event, Readings::of(event)) else { return };
    if let Some(newest) = tweet.time.minute().and_then(|minute| readings.raises(minute)) {
        let name = Value::Text("minutes".into());
        let row = [name.clone(), Value::UInt(newest)].into();
        add([name].into(), Tally::Newest((newest, 0, 0, 0), row));
    }
}

fn floor(row: &Row) -> Option<Tally> {
    Some(Tally::Newest((row.get(1)?.as_u64()?, 0, 0, 0), row.clone()))
}

/// All of them, however old: see `recent`.
fn by_minute(post: &TweetContent, add: &mut dyn FnMut(Row)) {
    let Some(minute) = post.time.minute() else { return };
    let minute = Value::Timestamp(i64::from(minute) * 60_000);
    for tag in &post.hashtags {
        add([minute.clone(), Value::Text(tag.clone())].into());
    }
}

fn users(event: &Event, add: &mut dyn FnMut(Row, Tally)) {
    let (version, user): (&Version, &User) = match event {
        Event::Tweet(tweet) => match &tweet.user {
            Some(user) => (&tweet.version, user),
            None => return,
        },
        Event::User(version, user) => (version, user),
        Event::Delete { .. } | Event::Other(_) => return,
    };
    let (partition, stamp_ms) = (u64::from(version.partition), version.record_ms);
    let stamp = (version.tweet_id, stamp_ms, partition, version.offset);
    let row = [
        Value::UInt(user.id),
        Value::Text(user.name.clone()),
        Value::optional(user.friends),
        Value::optional(user.followers),
        Value::UInt(stamp.0),
        Value::UInt(stamp.1),
        Value::UInt(stamp.2),
        Value::UInt(stamp.3),
    ];
    add([Value::UInt(user.id)].into(), Tally::Newest(stamp, row.into()));
}

fn user(row: &Row) -> Option<Tally> {
    let number = |column: usize| row.get(column)?.as_u64();
    let stamp = (number(4)?, number(5)?, number(6)?, number(7)?);
    Some(Tally::Newest(stamp, row.clone()))
}

#[cfg(test)]
mod tests {
    use super::MODELS;
    use crate::derived::derived;
    use crate::retention_window::TRENDING;
    use std::collections::BTreeSet;

    #[test]
    fn every_table_has_a_model() {
        let names = dataflows::ALL.iter().map(|definition| definition.table.name);
        let derived = derived().map(|(table, _)| table).chain([TRENDING]);
        let models = MODELS.iter().map(|model| model.table).chain(derived).collect::<Vec<_>>();
        assert_eq!(models.len(), dataflows::ALL.len());
        assert_eq!(names.collect::<BTreeSet<_>>(), models.into_iter().collect());
    }

    /// A recount by the code that it is to check would find nothing.
    #[test]
    fn the_recount_shares_no_code_with_the_dataflow() {
        let sources = [
            include_str!("model.rs"),
            include_str!("state.rs"),
            include_str!("content.rs"),
            include_str!("range.rs"),
            include_str!("acts.rs"),
            include_str!("tweet.rs"),
            include_str!("late_acts.rs"),
            include_str!("lateness.rs"),
            include_str!("readings.rs"),
            include_str!("ranges.rs"),
            include_str!("folder.rs"),
            include_str!("derived.rs"),
            include_str!("retention_window.rs"),
            include_str!("recount.rs"),
            include_str!("snapshot.rs"),
            include_str!("topic.rs"),
            include_str!("compare.rs"),
            include_str!("runs.rs"),
        ];
        for source in sources {
            let (code, _) = source.split_once("#[cfg(test)]").unwrap_or((source, ""));
            for word in [
                "timely",
                "differential",
                "::build",
                "Latest",
                "pipeline::run",
                "KafkaSource",
                "ledger::",
                "live_tweets::",
                "clock::",
                "clocks(",
            ] {
                assert!(!code.contains(word), "the recount uses {word}");
            }
        }
    }
}

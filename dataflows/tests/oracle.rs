//! The main proof of the tables: random schedules against a plain sequential model.
//!
//! A schedule feeds random events to random workers at random epochs, looks at every table after
//! every epoch, then restarts with another number of workers from the rows alone. What it catches:
//! wrong counts, a `Latest` that depends on the order of arrival, changes that do not lead from the
//! old rows to the new, a restart that writes a row, and a restored row that means something else
//! than what it was made from. What it cannot catch: anything about databases; see the program's
//! `tests/it/crash.rs`.
//!
//! Every other schedule has a ledger, without a floor and with all events read again at a restart:
//! how the ledger forgets and crashes is proved in `tests/ledger.rs`.
//!
//! The seed is printed; `ORACLE_SEED` runs one seed, `ORACLE_SCHEDULES` sets how many.

mod common;

use common::Random;
use dataflows::live_tweets::LedgerInputs;
use dataflows::operators::latest::Latest;
use dataflows::tables::floors::FloorName;
use dataflows::{
    Definition, Epoch, RestoredRows, Shared, Sources, Switch, TableChange, Unreadable,
};
use differential_dataflow::input::Input;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use timely::dataflow::operators::{Inspect, Probe};
use types::Version;
use types::event::{EventKind, Time, Tweet, User};
use types::settings::TableSettings;
use types::{Change, Event, Restored, Row, Text, Value};

/// Rows of all tables by table and key.
type Tables = Vec<BTreeMap<Vec<Value>, Row>>;

impl Random {
    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.index(all.len())]
    }
}

/// Pairs that a database might fold into one key, if it did not compare byte by byte.
const TAGS: &[&str] = &[
    "Rust",
    "rust",
    "RUST",
    "Café",
    "Cafe\u{301}",
    "ひらがな",
    "ヒラガナ",
    "ABC",
    "ＡＢＣ",
    "abc",
    "🍣",
    "🍺",
];

/// Friend counts on both sides of the histogram's bounds.
const FRIENDS: &[i64] = &[-1, 0, 1, 249, 250, 9_999, 10_000, 2_000_000];

/// A fold of its own: what the program hands in is tested there.
fn fold(tag: &str) -> Text {
    let narrow = |c| match c {
        'Ａ'..='Ｚ' => char::from_u32(c as u32 - 'Ａ' as u32 + 'a' as u32).expect("a letter"),
        c => c,
    };
    tag.to_lowercase().chars().map(narrow).collect::<String>().into()
}

/// `ids`: how many tweets there are.
fn event(random: &mut Random, offset: u64, ids: u64) -> Event {
    if random.below(10) == 0 {
        let kind = *random.pick(&[EventKind::Delete, EventKind::Tombstone]);
        let version = Version { tweet_id: random.below(ids), offset, ..Version::default() };
        return Event::Delete { version, kind, own_ms: 0 };
    }
    if random.below(10) == 0 {
        return Event::Other(*random.pick(&[
            EventKind::Delete,
            EventKind::Filtered,
            EventKind::Limit,
        ]));
    }
    // Now and then more distinct ones than make pairs.
    let most = *random.pick(&[4, 4, 4, 40]);
    let tags = (0..random.below(most)).map(|_| Text::from(*random.pick(TAGS))).collect();
    // Few tweet ids and record times: two statements about a user often differ only in the
    // partition, the offset or the values, as in a topic that holds a tweet twice.
    let version = Version {
        tweet_id: random.below(ids),
        record_ms: clock(random, offset),
        partition: u32::try_from(random.below(3)).expect("small"),
        offset,
    };
    let friends = (random.below(5) > 0).then(|| *random.pick(FRIENDS));
    let user = User {
        id: random.below(6),
        name: format!("name {}", random.below(3)).into(),
        friends,
        followers: (random.below(3) > 0).then_some(7),
    };
    let (time, own_ms) = (time(random, offset), clock(random, offset));
    let user = match random.below(4) {
        0 => return Event::User(version, user),
        1 => None,
        _ => Some(user),
    };
    let edits = if random.below(6) == 0 { random.below(3) } else { 0 };
    let replaces = (0..edits).filter_map(|_| version.tweet_id.checked_sub(1 + random.below(9)));
    let replaces = replaces.collect();
    let edition = random.below(8).saturating_sub(5);
    Event::Tweet(Tweet { version, time, own_ms, hashtags: tags, user, replaces, edition })
}

/// The minute of the first event.
const FIRST_MINUTE: u32 = 30_000_000;

/// Mostly right; also none, in seconds, hours behind or ahead.
fn clock(random: &mut Random, offset: u64) -> u64 {
    let now_ms = 60_000 * (u64::from(FIRST_MINUTE) + 100 + offset / 8);
    match random.below(20) {
        0 => 0,
        1 => now_ms / 1000,
        2 => now_ms - 8 * 3_600_000,
        3 => now_ms + 8 * 3_600_000,
        4 => u64::MAX,
        _ => now_ms + random.below(2),
    }
}

/// Minutes that rise with the offsets, with late ones, early ones, leaps over every span, and none.
fn time(random: &mut Random, offset: u64) -> Time {
    let now = FIRST_MINUTE + u32::try_from(100 + offset / 8).expect("small");
    match random.below(40) {
        0 => Time::Unknown,
        1 => Time::Own(0),
        2..6 => Time::Record(now),
        6..12 => Time::Own(now - u32::try_from(random.below(20)).expect("small")),
        12 => Time::Own(now + u32::try_from(random.below(12)).expect("small")),
        _ => Time::Own(now - u32::try_from(random.below(3)).expect("small")),
    }
}

/// Spans that a schedule crosses; the windows of trends may be longer than what is kept.
fn settings(random: &mut Random) -> TableSettings {
    let mut span = || u32::try_from(random.below(8)).expect("small");
    TableSettings { minutes_span: span(), trend_minutes: 1 + span() / 2 }
}

/// The tables as plain loops over all events so far.
mod model {
    use super::{BTreeMap, Definition, Event, Row, TableSettings, Tables, Time};
    use super::{Text, Tweet, User, Value, Version, fold};
    use std::collections::BTreeSet;

    type Model = fn(&[Event], TableSettings) -> Vec<Row>;

    /// With a ledger the tables are what they are without one if the tweets that do not count had
    /// no hashtags, and the totals tell how many those are.
    pub(super) fn tables(
        definitions: &[Definition],
        events: &[Event],
        (settings, has_ledger): (TableSettings, bool),
    ) -> Tables {
        if !has_ledger {
            return plain(definitions, events, settings);
        }
        let (events, gone) = kept(events);
        let mut tables = plain(definitions, &events, settings);
        let totals_at = definitions.iter().position(|it| it.table.name == "totals");
        let totals = &mut tables[totals_at.expect("it is listed")];
        let read = tweets(&events).count() as u64;
        let tweets = read - gone.values().sum::<u64>();
        for (name, count) in gone.into_iter().chain([("tweets", tweets)]) {
            let row: Row = [Value::Text(name.into()), Value::UInt(count)].into();
            totals.remove(&row[..1]);
            if count > 0 {
                totals.insert(row[..1].to_vec(), row);
            }
        }
        // The newest id has another name, for nothing is forgotten.
        let floors_at = definitions.iter().position(|it| it.table.name == "floors");
        let floors = &mut tables[floors_at.expect("it is listed")];
        if let Some(row) = floors.remove(&[Value::Text("forgotten".into())][..]) {
            let name = Value::Text("tweets".into());
            floors.insert(vec![name.clone()], [name, row[1].clone()].into());
        }
        tables
    }

    /// The events without the hashtags of tweets that do not count, and how many these are of each
    /// kind.
    fn kept(events: &[Event]) -> (Vec<Event>, BTreeMap<&'static str, u64>) {
        let mut kept = events.to_vec();
        let mut posts = BTreeMap::<u64, Vec<&mut Tweet>>::new();
        for event in &mut kept {
            if let Event::Tweet(tweet) = event {
                posts.entry(tweet.version.tweet_id).or_default().push(tweet);
            }
        }
        let replaced: BTreeSet<u64> =
            tweets(events).flat_map(|tweet| tweet.replaces.iter().copied()).collect();
        let mut gone = BTreeMap::new();
        for (id, mut same_id) in posts {
            *gone.entry("duplicates").or_default() += same_id.len() as u64 - 1;
            same_id.sort_by_key(|tweet| (tweet.edition, tweet.hashtags.clone(), tweet.time));
            let is_this = |event: &Event| matches!(event, Event::Delete { version, .. } if version.tweet_id == id);
            if events.iter().any(is_this) {
                *gone.entry("deleted").or_default() += 1;
            } else if replaced.contains(&id) {
                *gone.entry("superseded").or_default() += 1;
            } else {
                same_id.pop();
            }
            for tweet in same_id {
                tweet.hashtags.clear();
            }
        }
        (kept, gone)
    }

    fn plain(tables: &[Definition], events: &[Event], settings: TableSettings) -> Tables {
        // A table without a model fails the test.
        let models: BTreeMap<&str, Model> = BTreeMap::from([
            ("hashtags", hashtags as Model),
            ("users", users),
            ("totals", totals),
            ("floors", floors),
            ("hashtags_by_minute", hashtags_by_minute),
            ("top_hashtags", top_hashtags),
            ("top_users", top_users),
            ("trending", trending),
            ("friends_histogram", friends_histogram),
            ("hashtags_folded", hashtags_folded),
            ("hashtag_pairs", hashtag_pairs),
            ("top_hashtag_pairs", top_hashtag_pairs),
        ]);
        let tables = tables.iter().map(|definition| {
            let table = &definition.table;
            let model = models.get(table.name).expect("every table has a model");
            let rows = model(events, settings).into_iter();
            rows.map(|row| (row[..table.key].to_vec(), row)).collect()
        });
        tables.collect()
    }

    fn tweets(events: &[Event]) -> impl Iterator<Item = &Tweet> {
        events.iter().filter_map(|event| match event {
            Event::Tweet(tweet) => Some(tweet),
            Event::User(..) | Event::Delete { .. } | Event::Other(_) => None,
        })
    }

    fn counts<'a>(keys: impl Iterator<Item = &'a str>) -> Vec<Row> {
        let mut counts = BTreeMap::<&str, u64>::new();
        keys.for_each(|key| *counts.entry(key).or_default() += 1);
        let rows = counts.into_iter();
        rows.map(|(key, count)| [Value::Text(key.into()), Value::UInt(count)].into()).collect()
    }

    fn hashtags(events: &[Event], _: TableSettings) -> Vec<Row> {
        counts(tweets(events).flat_map(|tweet| tweet.hashtags.iter().map(|tag| &**tag)))
    }

    /// Sorts all of them.
    fn top_hashtags(events: &[Event], settings: TableSettings) -> Vec<Row> {
        let mut rows = hashtags(events, settings);
        rows.sort_by_key(|row| (std::cmp::Reverse(row[1].clone()), row[0].clone()));
        let ranked = (1..=100).zip(rows);
        ranked.map(|(n, row)| [Value::UInt(n), row[0].clone(), row[1].clone()].into()).collect()
    }

    fn top_users(events: &[Event], settings: TableSettings) -> Vec<Row> {
        let mut rows = users(events, settings);
        rows.retain(|row| row[2] != Value::Null);
        rows.sort_by_key(|row| (std::cmp::Reverse(row[2].as_i64()), row[0].clone()));
        let row = |(n, row): (u64, Row)| -> Row {
            [Value::UInt(n)].into_iter().chain(row.iter().take(4).cloned()).collect()
        };
        (1..=100).zip(rows).map(row).collect()
    }

    fn friends_histogram(events: &[Event], settings: TableSettings) -> Vec<Row> {
        let mut buckets = BTreeMap::<u64, u64>::new();
        for row in users(events, settings) {
            match row[2].as_i64() {
                Some(friends @ 0..10_000) => {
                    *buckets.entry(friends.cast_unsigned() / 250 * 250).or_default() += 1;
                }
                Some(10_000..) => *buckets.entry(10_000).or_default() += 1,
                _ => {}
            }
        }
        let rows = buckets.into_iter();
        rows.map(|(bucket, users)| [Value::UInt(bucket), Value::UInt(users)].into()).collect()
    }

    fn hashtags_folded(events: &[Event], settings: TableSettings) -> Vec<Row> {
        let mut folded = BTreeMap::<Text, (u64, u64, Value)>::new();
        // By bytes, so that of equal ones the first is kept.
        for row in hashtags(events, settings) {
            let (Value::Text(tag), Value::UInt(uses)) = (&row[0], &row[1]) else {
                panic!("{row:?}")
            };
            let (sum, most, shown) = folded.entry(fold(tag)).or_insert((0, 0, Value::Null));
            *sum += uses;
            if uses > most {
                (*most, *shown) = (*uses, row[0].clone());
            }
        }
        let rows = folded.into_iter();
        rows.map(|(tag, (sum, _, shown))| [Value::Text(tag), Value::UInt(sum), shown].into())
            .collect()
    }

    fn hashtag_pairs(events: &[Event], _: TableSettings) -> Vec<Row> {
        let mut pairs = BTreeMap::<(&str, &str), u64>::new();
        for tweet in tweets(events) {
            let mut seen = BTreeSet::new();
            for tag in &tweet.hashtags {
                if seen.len() < 10 && !seen.contains(&**tag) {
                    for other in &seen {
                        let pair = ((&**tag).min(*other), (&**tag).max(*other));
                        *pairs.entry(pair).or_default() += 1;
                    }
                    seen.insert(&**tag);
                }
            }
        }
        let row = |((a, b), uses): ((&str, &str), u64)| -> Row {
            [Value::Text(a.into()), Value::Text(b.into()), Value::UInt(uses)].into()
        };
        pairs.into_iter().map(row).collect()
    }

    fn top_hashtag_pairs(events: &[Event], settings: TableSettings) -> Vec<Row> {
        let mut rows = hashtag_pairs(events, settings);
        // They are in the order of their keys already.
        rows.sort_by_key(|row| std::cmp::Reverse(row[2].as_u64()));
        let row = |(n, row): (u64, Row)| [Value::UInt(n)].into_iter().chain(row).collect();
        (1..=100).zip(rows).map(row).collect()
    }

    fn totals(events: &[Event], _: TableSettings) -> Vec<Row> {
        let remarks = tweets(events).filter_map(|tweet| match tweet.time {
            Time::Own(_) => None,
            Time::Record(_) => Some("time_from_record"),
            Time::Unknown => Some("time_unknown"),
        });
        counts(events.iter().map(|event| event.kind().name()).chain(remarks))
    }

    /// A minute that two clocks bear out: these ids hold no time.
    fn newest(events: &[Event]) -> Option<u32> {
        let raises = |tweet: &Tweet| {
            let clocks = [tweet.own_ms, tweet.version.record_ms];
            let is_sound = |ms: &u64| (1_142_899_200_000..4_102_444_800_000).contains(ms);
            let proven = clocks.iter().min().filter(|_| clocks.iter().all(is_sound))?;
            let proven = u32::try_from(proven / 60_000).expect("before 2100");
            Some(tweet.time.minute()?.min(proven))
        };
        tweets(events).filter_map(raises).max()
    }

    fn floors(events: &[Event], _: TableSettings) -> Vec<Row> {
        let ids = events.iter().filter_map(|event| match event {
            Event::Tweet(Tweet { version, .. }) | Event::Delete { version, .. } => {
                Some(version.tweet_id)
            }
            Event::User(..) | Event::Other(_) => None,
        });
        let minutes = newest(events).map(|newest| ("minutes", u64::from(newest)));
        let rows = minutes.into_iter().chain(ids.max().map(|id| ("forgotten", id)));
        rows.map(|(name, newest)| [Value::Text(name.into()), Value::UInt(newest)].into()).collect()
    }

    /// Uses by minute and hashtag, of the newest minute and so many before it.
    fn uses_within(events: &[Event], minutes: u32) -> BTreeMap<(u32, &str), i64> {
        let (newest, mut uses) = (newest(events).unwrap_or(0), BTreeMap::new());
        for tweet in tweets(events) {
            let Some(minute) =
                tweet.time.minute().filter(|it| newest.saturating_sub(*it) <= minutes)
            else {
                continue;
            };
            for tag in &tweet.hashtags {
                *uses.entry((minute, &**tag)).or_default() += 1;
            }
        }
        uses
    }

    fn hashtags_by_minute(events: &[Event], settings: TableSettings) -> Vec<Row> {
        let uses = uses_within(events, settings.minutes_span).into_iter();
        let row = |((minute, tag), sum): ((u32, &str), i64)| -> Row {
            let minute = Value::Timestamp(i64::from(minute) * 60_000);
            [minute, Value::Text(tag.into()), Value::UInt(sum.cast_unsigned())].into()
        };
        uses.map(row).collect()
    }

    fn trending(events: &[Event], settings: TableSettings) -> Vec<Row> {
        let newest = newest(events).unwrap_or(0);
        let mut trends = BTreeMap::<&str, (u64, u64)>::new();
        // What is forgotten cannot have been used before.
        let minutes = settings.minutes_span.min(2 * settings.trend_minutes - 1);
        for ((minute, tag), uses) in uses_within(events, minutes) {
            let (now, before) = trends.entry(tag).or_default();
            let window =
                if newest.saturating_sub(minute) < settings.trend_minutes { now } else { before };
            *window += uses.cast_unsigned();
        }
        trends.retain(|_, (now, before)| now > before);
        let scored = trends.into_iter().map(|(tag, (now, before))| {
            (std::cmp::Reverse(100 * (now - before).pow(2) / (now + before)), tag, now, before)
        });
        let mut scored: Vec<_> = scored.collect();
        scored.sort();
        let ranked = (1..=100).zip(scored).map(|(n, (score, tag, now, before))| -> Row {
            let numbers = [now, before, score.0].map(Value::UInt);
            [Value::UInt(n), Value::Text(tag.into())].into_iter().chain(numbers).collect()
        });
        ranked.collect()
    }

    /// By tweet id, then record time, partition, offset and the values, spelt out here a second
    /// time.
    fn users(events: &[Event], _: TableSettings) -> Vec<Row> {
        let mut newest = BTreeMap::<u64, (Version, &User)>::new();
        let rank = |(v, user): (Version, &User)| {
            let values = (user.name.clone(), user.friends, user.followers);
            (v.tweet_id, v.record_ms, v.partition, v.offset, values)
        };
        let statements = events.iter().filter_map(|event| match event {
            Event::Tweet(tweet) => Some((tweet.version, tweet.user.as_ref()?)),
            Event::User(version, user) => Some((*version, user)),
            Event::Delete { .. } | Event::Other(_) => None,
        });
        for statement in statements {
            let held = newest.entry(statement.1.id).or_insert(statement);
            if rank(statement) > rank(*held) {
                *held = statement;
            }
        }
        let row = |(v, user): (Version, &User)| -> Row {
            Box::new([
                Value::UInt(user.id),
                Value::Text(user.name.clone()),
                Value::optional(user.friends),
                Value::optional(user.followers),
                Value::UInt(v.tweet_id),
                Value::UInt(v.record_ms),
                Value::UInt(u64::from(v.partition)),
                Value::UInt(v.offset),
            ])
        };
        newest.into_values().map(row).collect()
    }
}

/// What each worker is fed: events by epoch.
type Feed = Vec<Vec<(Epoch, Event)>>;

/// Runs the tables on `feed.len()` workers from `rows` on; returns all changes. `before`: with a
/// ledger, what was counted before.
fn run(
    (tables, settings): (&[Definition], TableSettings),
    feed: Feed,
    rows: &Tables,
    epochs: Epoch,
    before: Option<Arc<Vec<Event>>>,
) -> Vec<TableChange> {
    let workers = feed.len();
    let changes = Arc::new(Mutex::new(Vec::new()));
    let (sink, feed, rows) = (Arc::clone(&changes), Arc::new(feed), rows.clone());
    let tables = tables.to_vec();
    let config =
        if workers == 1 { timely::Config::thread() } else { timely::Config::process(workers) };
    let guards = timely::execute(config, move |worker| {
        let (index, sink) = (worker.index(), Arc::clone(&sink));
        let (mut events, mut restored, mut replayed, retried, said, probe) = worker
            .dataflow::<Epoch, _, _>(|scope| {
                let (events_in, events) = scope.new_collection::<Event, isize>();
                let (restored_in, restored) = scope.new_collection::<Restored, isize>();
                let (replayed_in, replayed) = scope.new_collection::<Event, isize>();
                let (retried_in, retried) = scope.new_collection::<Event, isize>();
                let (said_in, said) = scope.new_collection::<FloorName, Latest<u64>>();
                let (replayed, retried) = (Shared::new(replayed), Shared::new(retried));
                let ledger = LedgerInputs { replayed, figures: Rc::default() };
                let ledger = before.is_some().then_some(ledger);
                let restored = RestoredRows::new(restored, Unreadable::default());
                let events = Shared::new(events);
                let sources =
                    Sources { events, retried, rows: restored, system_updates: said, ledger };
                let functions = (settings, fold as dataflows::Fold);
                let tables = dataflows::build(&tables, functions, sources, []);
                let (probe, _) = tables
                    .inspect(move |change| sink.lock().expect("no panic").push(change.clone()))
                    .probe();
                (events_in, restored_in, replayed_in, retried_in, said_in, probe)
            });
        if index == 0 {
            for (table, stored) in (0_u8..).zip(&rows) {
                for row in stored.values() {
                    restored.update(Restored { table, row: row.clone() }, 1);
                }
            }
        }
        for event in before.iter().flat_map(|before| before.iter().skip(index).step_by(workers)) {
            replayed.insert(event.clone());
        }
        drop((replayed, retried, said));
        for epoch in 1..=epochs {
            for input in [&mut events as &mut dyn Advance, &mut restored] {
                input.to(epoch);
            }
            for (_, event) in feed[index].iter().filter(|(at, _)| *at == epoch) {
                events.update(event.clone(), 1);
            }
            events.flush();
            worker.step();
        }
        drop((events, restored));
        while !probe.done() {
            worker.step_or_park(None);
        }
    });
    let results = guards.expect("timely starts").join();
    for result in results {
        result.expect("no worker panics");
    }
    Arc::try_unwrap(changes).expect("workers are gone").into_inner().expect("no panic")
}

/// Both inputs follow the epoch.
trait Advance {
    fn to(&mut self, epoch: Epoch);
}

impl<D: differential_dataflow::Data> Advance
    for differential_dataflow::input::InputSession<Epoch, D, isize>
{
    fn to(&mut self, epoch: Epoch) {
        self.advance_to(epoch);
        self.flush();
    }
}

/// Applies the changes of one epoch; the same key never gets two rows in it.
fn apply(definitions: &[Definition], tables: &mut Tables, changes: &mut [TableChange]) {
    changes.sort();
    for pair in changes.windows(2) {
        let width = definitions[usize::from(pair[0].0)].table.key;
        let same = pair[0].0 == pair[1].0 && pair[0].1.key(width) == pair[1].1.key(width);
        let both = matches!((&pair[0].1, &pair[1].1), (Change::Upsert(_), Change::Upsert(_)));
        assert!(!(same && both), "two rows of one key: {pair:?}");
    }
    for (table, change, _) in changes.iter() {
        let width = definitions[usize::from(*table)].table.key;
        let rows = &mut tables[usize::from(*table)];
        match change {
            Change::Delete(key) => drop(rows.remove(&key[..])),
            Change::Upsert(row) => drop(rows.insert(row[..width].to_vec(), row.clone())),
        }
    }
}

/// All tables half of the time, else those that a job must have and some of the others.
fn definitions(random: &mut Random) -> Vec<Definition> {
    let everything = random.below(2) == 0;
    let mut some = Vec::<Definition>::new();
    for definition in dataflows::ALL {
        let is_possible =
            definition.needs.is_none_or(|needs| some.iter().any(|d| d.table.name == needs));
        let is_chosen = everything || definition.switch == Switch::Always || random.below(2) == 0;
        if is_possible && is_chosen {
            some.push(*definition);
        }
    }
    some
}

fn schedule(seed: u64) {
    let mut random = Random(seed);
    let (definitions, settings) = (definitions(&mut random), settings(&mut random));
    let mut tables: Tables = definitions.iter().map(|_| BTreeMap::new()).collect();
    let mut all = Vec::new();
    let mut offset = 0;
    let has_ledger = seed % 2 == 1;
    let ids = if has_ledger { 60 } else { 4 };
    for run_number in 0..3 {
        let workers = 1 + random.below(4);
        let epochs = 1 + random.below(8);
        let mut feed: Feed = (0..workers).map(|_| Vec::new()).collect();
        let mut by_epoch = BTreeMap::<Epoch, Vec<Event>>::new();
        for _ in 0..random.below(60) {
            let epoch = 1 + random.below(epochs);
            // One record may hold several events.
            let event = event(&mut random, offset, ids);
            offset += random.below(2);
            let worker = usize::try_from(random.below(workers)).expect("small");
            feed[worker].push((epoch, event.clone()));
            by_epoch.entry(epoch).or_default().push(event);
        }
        let before = has_ledger.then(|| Arc::new(all.clone()));
        let changes = run((&definitions, settings), feed, &tables, epochs, before);
        let at_restore = changes.iter().find(|(.., epoch)| *epoch == dataflows::RESTORED);
        assert_eq!(at_restore, None, "run {run_number} of seed {seed}: a restart writes a row");
        for epoch in 1..=epochs {
            all.append(&mut by_epoch.remove(&epoch).unwrap_or_default());
            let of_epoch = changes.iter().filter(|(.., at)| *at == epoch).cloned();
            apply(&definitions, &mut tables, &mut of_epoch.collect::<Vec<_>>());
            assert_eq!(
                tables,
                model::tables(&definitions, &all, (settings, has_ledger)),
                "run {run_number}, epoch {epoch} of seed {seed} with {workers} workers"
            );
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn tables_equal_the_model_at_every_epoch_across_restarts() {
    if let Some(seed) = number("ORACLE_SEED") {
        return schedule(seed);
    }
    let schedules = number("ORACLE_SCHEDULES").unwrap_or(150);
    for seed in 0..schedules {
        println!("seed {seed}");
        schedule(seed);
    }
}

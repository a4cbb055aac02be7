//! The two paths that every tweet takes, alone: its bytes to events, and its events through the
//! tables that a job has by default. One thread, no servers, the same tweets as everywhere.
//!
//!     cargo bench --bench hot_paths [-- make|decode|tables [TWEETS [ROUNDS]]]
//!
//! A line of JSON a round. `benches/instructions` counts what they execute.

use clap::{Parser, ValueEnum};
use dataflows::operators::latest::Latest;
use dataflows::tables::floors::FloorName;
use dataflows::{Epoch, RestoredRows, Shared, Sources, Switch, Unreadable};
use differential_dataflow::input::Input;
use std::hint::black_box;
use std::time::Instant;
use synth::Synthetic;
use timely::dataflow::operators::Probe;
use types::Version;
use types::settings::TableSettings;
use types::{Event, Restored};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Seed of all synthetic tweets.
const SEED: u64 = 1;
/// Tweets in one epoch: about what one worker reads in one when it is behind.
const EPOCH: usize = 20_000;

/// Which path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Path {
    /// Nothing: what making the tweets costs
    Make,
    /// Bytes to events
    Decode,
    /// Events to changes of rows
    Tables,
}

/// The hot paths, one by one
#[derive(Parser)]
struct Arguments {
    /// Only this one
    path: Option<Path>,
    /// Tweets of a round
    #[arg(default_value_t = 200_000)]
    tweets: usize,
    /// Rounds
    #[arg(default_value_t = 3)]
    rounds: usize,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let both = vec![Path::Decode, Path::Tables];
    for path in arguments.path.map_or(both, |path| vec![path]) {
        for _ in 0..arguments.rounds {
            let seconds = match path {
                Path::Make => make(arguments.tweets),
                Path::Decode => decode_all(arguments.tweets),
                Path::Tables => tables(arguments.tweets),
            };
            #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
            let us = seconds * 1e6 / arguments.tweets as f64;
            let (name, tweets) = (format!("{path:?}").to_lowercase(), arguments.tweets);
            println!("{{\"path\":\"{name}\",\"tweets\":{tweets},\"us_per_tweet\":{us:.3}}}");
        }
    }
}

/// Makes tweets and hands each on, in parts, so that the tweets of a round need not be in memory.
fn each(tweets: usize, mut visit: impl FnMut(&[Vec<u8>])) {
    let generator = Synthetic::new(SEED);
    let mut part = vec![Vec::new(); EPOCH.min(tweets)];
    for first in (0..tweets).step_by(EPOCH) {
        let part = &mut part[..EPOCH.min(tweets - first)];
        for (payload, index) in part.iter_mut().zip(first..) {
            payload.clear();
            generator.tweet(index as u64, payload);
        }
        visit(part);
    }
}

/// Appends the events of a tweet, as with `--require-location`.
fn decode_one(payload: &[u8], offset: usize, events: &mut Vec<Event>) {
    let settings = types::settings::DecodeSettings {
        require_location: true,
        ..types::settings::DecodeSettings::default()
    };
    let offset = offset as u64;
    let version = Version { tweet_id: 0, record_ms: 1_795_424_460_000, partition: 0, offset };
    let decoded = decode::decode(None, Some(payload), version, settings, events);
    decoded.expect("the generator makes tweets");
}

fn make(tweets: usize) -> f64 {
    let began = Instant::now();
    each(tweets, |part| {
        black_box(part);
    });
    began.elapsed().as_secs_f64()
}

fn decode_all(tweets: usize) -> f64 {
    let (mut seconds, mut events) = (0.0, Vec::new());
    each(tweets, |part| {
        let began = Instant::now();
        for (offset, payload) in part.iter().enumerate() {
            events.clear();
            decode_one(black_box(payload), offset, &mut events);
            black_box(&events);
        }
        seconds += began.elapsed().as_secs_f64();
    });
    seconds
}

fn tables(tweets: usize) -> f64 {
    timely::execute_directly(move |worker| {
        let (mut events, probe) = worker.dataflow::<Epoch, _, _>(|scope| {
            let (events_in, events) = scope.new_collection::<Event, isize>();
            let (_, rows) = scope.new_collection::<Restored, isize>();
            let (_, retried) = scope.new_collection::<Event, isize>();
            let (_, said) = scope.new_collection::<FloorName, Latest<u64>>();
            let (events, retried) = (Shared::new(events), Shared::new(retried));
            let rows = RestoredRows::new(rows, Unreadable::default());
            let sources = Sources { events, retried, rows, system_updates: said, ledger: None };
            let by_default = |definition: &&dataflows::Definition| definition.switch != Switch::Off;
            let tables: Vec<_> = dataflows::ALL.iter().filter(by_default).copied().collect();
            let functions = (TableSettings::default(), decode::fold as dataflows::Fold);
            let (probe, _) = dataflows::build(&tables, functions, sources, []).probe();
            (events_in, probe)
        });
        let (mut seconds, mut epoch, mut decoded) = (0.0, 0, Vec::with_capacity(EPOCH));
        each(tweets, |part| {
            for (offset, payload) in part.iter().enumerate() {
                decode_one(payload, offset, &mut decoded);
            }
            let began = Instant::now();
            epoch += 1;
            events.advance_to(epoch);
            decoded.drain(..).for_each(|event| events.insert(event));
            events.advance_to(epoch + 1);
            events.flush();
            while probe.less_than(&(epoch + 1)) {
                worker.step();
            }
            seconds += began.elapsed().as_secs_f64();
        });
        drop(events);
        seconds
    })
}

//! What a second worker is worth: decoded tweets through the tables, without broker and database.
//!
//! Each worker makes its share of the tweets before the clock starts. All tables that a job has by
//! default are built; their changes are counted where they arise. Lines of JSON: one a measurement,
//! and one with the medians. By CPU, a run took as long as the worker that used most: on a machine
//! that has other work too this says more than the clock.
//!
//!     cargo bench -p dataflows --bench workers [-- TWEETS [ROUNDS]]

use dataflows::operators::latest::Latest;
use dataflows::tables::floors::FloorName;
use dataflows::{Epoch, RestoredRows, Shared, Sources, Switch, Unreadable};
use differential_dataflow::input::Input;
use std::sync::{Arc, Barrier};
use std::time::Instant;
use timely::dataflow::operators::{Inspect, Probe};
use types::Version;
use types::event::{Time, Tweet, User};
use types::settings::TableSettings;
use types::{Event, Restored};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tweets of all workers in one epoch: about what the program reads in one when it is behind.
const EPOCH: usize = 20_000;
/// Events between two turns of a worker.
const TURN: usize = 512;

/// What one worker did.
struct Done {
    seconds: f64,
    cpu_seconds: f64,
    changes: u64,
}

fn main() {
    let numbers = std::env::args().skip(1).filter_map(|word| word.parse().ok());
    let numbers: Vec<usize> = numbers.collect();
    let tweets = numbers.first().copied().unwrap_or(1_000_000);
    let rounds = numbers.get(1).copied().unwrap_or(3).max(1);
    let mut all = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for workers in [1, 2] {
            let (seconds, cpu_seconds) = measure(workers, tweets);
            all[workers - 1].push((seconds, cpu_seconds));
        }
    }
    let median = |workers: usize, pick: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<_> = all[workers - 1].iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!(
        "{{\"tweets\":{tweets},\"rounds\":{rounds},\"speed_of_2_workers\":{:.2},\
         \"speed_of_2_workers_by_cpu\":{:.2}}}",
        median(1, |it| it.0) / median(2, |it| it.0),
        median(1, |it| it.1) / median(2, |it| it.1),
    );
}

fn measure(workers: usize, tweets: usize) -> (f64, f64) {
    let ready = Arc::new(Barrier::new(workers));
    let config =
        if workers == 1 { timely::Config::thread() } else { timely::Config::process(workers) };
    let guards = timely::execute(config, move |worker| work(worker, tweets, &ready));
    let results = guards.expect("timely starts").join().into_iter();
    let done: Vec<Done> = results.map(|result| result.expect("no worker panics")).collect();
    let most = |pick: fn(&Done) -> f64| done.iter().map(pick).fold(0.0, f64::max);
    let (seconds, cpu_seconds) = (most(|it| it.seconds), most(|it| it.cpu_seconds));
    let changes: u64 = done.iter().map(|done| done.changes).sum();
    let cpu: Vec<_> = done.iter().map(|done| format!("{:.3}", done.cpu_seconds)).collect();
    println!(
        "{{\"workers\":{workers},\"tweets\":{tweets},\"seconds\":{seconds:.3},\
         \"cpu_seconds\":[{}],\"changes\":{changes}}}",
        cpu.join(",")
    );
    (seconds, cpu_seconds)
}

fn work(worker: &mut timely::worker::Worker, tweets: usize, ready: &Barrier) -> Done {
    let (index, peers) = (worker.index(), worker.peers());
    let share: Vec<Event> = (index..tweets).step_by(peers).map(|n| event(n as u64)).collect();
    let change_count = std::rc::Rc::new(std::cell::Cell::new(0));
    let counted = std::rc::Rc::clone(&change_count);
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
        let settings = TableSettings { minutes_span: 1_500, trend_minutes: 60 };
        let changes = dataflows::build(&tables, (settings, |tag| tag.into()), sources, []);
        let (probe, _) = changes.inspect(move |_| counted.set(counted.get() + 1)).probe();
        (events_in, probe)
    });
    ready.wait();
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let mut left = share.into_iter();
    for epoch in 1.. {
        events.advance_to(epoch);
        events.flush();
        for _ in 0..(EPOCH / peers).div_ceil(TURN) {
            left.by_ref().take(TURN).for_each(|event| events.insert(event));
            events.flush();
            worker.step();
        }
        if left.len() == 0 {
            break;
        }
        // As credit does: nobody runs away from the others.
        while epoch > 4 && probe.less_than(&(epoch - 4)) {
            worker.step_or_park(None);
        }
    }
    drop(events);
    while !probe.done() {
        worker.step_or_park(None);
    }
    let (seconds, cpu_seconds) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    Done { seconds, cpu_seconds, changes: change_count.get() }
}

/// CPU time of this thread; 0 where there is no /proc.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ran = text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    ran.unwrap_or_default() / 1e9
}

/// Tweet number `n`, of a user of half as many, with hashtags of which few are frequent.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn event(n: u64) -> Event {
    let mut state = n;
    let mut random = || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) >> 11
    };
    let tags = random() % 3;
    let tags = (0..tags).map(|_| {
        let part = random() as f64 / (1_u64 << 53) as f64;
        format!("hashtag{}", 100_000_f64.powf(part) as u64).into()
    });
    let hashtags = tags.collect();
    let version =
        Version { tweet_id: n, record_ms: 2_000_000_000_000 + n / 10, partition: 0, offset: n };
    let id = random() % 500_000;
    let (friends, followers) = (Some((random() % 3_000).cast_signed()), Some(7));
    let user = User { id, name: format!("user {id}").into(), friends, followers };
    // A minute of 60,000 tweets.
    let time = Time::Own(30_000_000 + (n / 60_000) as u32);
    let (own_ms, replaces) = (0, [].into());
    Event::Tweet(Tweet { version, time, own_ms, hashtags, user: Some(user), replaces, edition: 0 })
}

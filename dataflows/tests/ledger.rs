//! The proof of the ledger: random crashes against a plain sequential model that forgets nothing.
//!
//! A schedule has a few partitions of posts, duplicates, edits and deletes, and a few runs. Each
//! run reads on from the offsets that the last one committed, on another number of workers, with
//! floors that rise as they like, and is cut off somewhere. What it committed is added up and
//! compared with the model after every epoch. What it catches: an effect that depends on order or
//! worker, a floor that does not survive, a replay that reads too little or counts; the mutants
//! below prove that it does.
//!
//! A run depends on the runs before it only by offsets and floor, and these are known beforehand.
//! So all runs of all schedules with the same number of workers share one set of threads.
//!
//! `LEDGER_SCHEDULES` sets how many schedules, `LEDGER_SEED` the first seed.

mod common;

use common::Random;
use dataflows::Epoch;
use dataflows::operators::ledger::{Act, Effect, Replay, Watched, ledger};
use differential_dataflow::input::Input;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use timely::dataflow::ProbeHandle;
use timely::dataflow::operators::{Inspect, Probe};
use timely::worker::Worker;

/// A content is one letter; what an effect of it adds up to is a table.
type Content = u8;
type Table = BTreeMap<Effect<Content>, isize>;
/// What one record says of tweets. An edited one speaks of earlier ids behind its own.
type Record = Vec<(u64, Act<Content>)>;
/// A thing that enters on a worker.
type Entering<T> = Vec<(usize, T)>;

/// A rule that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutant {
    None,
    /// A restart reads from one offset too late on.
    ReplayFromOneLater,
    /// A restart begins with no floor.
    FloorNotStored,
    /// What is read again counts again.
    ReplayCounted,
    /// A restart remembers the last epochs instead of the newest ids.
    ForgottenByEpoch,
    /// Where a record is read again hangs on the least id of it.
    NotedByLeastId,
    /// A restart remembers transient acts, as far as it reads them again.
    TransientRemembered,
}

/// All that was said of one tweet.
#[derive(Default)]
struct Known {
    posts: Vec<Content>,
    is_deleted: bool,
    is_replaced: bool,
}

/// What the ledger does, spelt out: all acts so far, none forgotten.
#[derive(Default)]
struct Model {
    floor: u64,
    /// By id.
    known: BTreeMap<u64, Known>,
    /// By id, of this run, and until the floor passes a number.
    transient: BTreeMap<u64, (Known, u64)>,
    /// What transient acts came to in earlier runs.
    before: Table,
    /// Posts that count and are not remembered.
    late: Vec<Content>,
    late_posts: isize,
    late_deletes: isize,
    late_edits: isize,
}

impl Model {
    fn act(&mut self, id: u64, act: &Act<Content>) {
        match act {
            Act::Post(content) if id < self.floor => self.late(*content),
            Act::TransientPost(post) if id < self.floor => self.late(post.0),
            Act::Delete | Act::TransientDelete(_) if id < self.floor => self.late_deletes += 1,
            Act::Post(content) => self.known.entry(id).or_default().posts.push(*content),
            Act::Delete => self.known.entry(id).or_default().is_deleted = true,
            Act::Replace if id < self.floor => self.late_edits += 1,
            Act::Replace => self.known.entry(id).or_default().is_replaced = true,
            Act::TransientPost(post) => self.transient(id, post.1).posts.push(post.0),
            Act::TransientDelete(until) => self.transient(id, *until).is_deleted = true,
        }
    }

    fn late(&mut self, content: Content) {
        self.late.push(content);
        self.late_posts += 1;
    }

    fn transient(&mut self, id: u64, until: u64) -> &mut Known {
        let (said, held) = self.transient.entry(id).or_insert((Known::default(), until));
        *held = until.min(*held);
        said
    }

    fn raise(&mut self, floor: u64) {
        if floor > self.floor {
            self.floor = floor;
            let known = std::mem::take(&mut self.known);
            self.forget(|id, until| until < floor && !known.contains_key(&id));
            self.known = known;
        }
    }

    /// Transient acts are forgotten; what they came to stays.
    fn forget(&mut self, is_forgotten: impl Fn(u64, u64) -> bool) {
        let all = self.of_ids();
        self.transient.retain(|id, (_, until)| !is_forgotten(*id, *until));
        for (effect, count) in all {
            *self.before.entry(effect).or_default() += count;
        }
        for (effect, count) in self.of_ids() {
            *self.before.entry(effect).or_default() -= count;
        }
    }

    fn table(&self) -> Table {
        let mut table = self.of_ids();
        let mut add = |effect, count| *table.entry(effect).or_default() += count;
        self.before.iter().for_each(|(effect, count)| add(effect.clone(), *count));
        self.late.iter().for_each(|content| add(Effect::Counts(*content), 1));
        add(Effect::LatePost, self.late_posts);
        add(Effect::LateDelete, self.late_deletes);
        add(Effect::LateEdit, self.late_edits);
        table.retain(|_, count| *count != 0);
        table
    }

    /// Without what was late. Ordinary acts decide, where there are any.
    fn of_ids(&self) -> Table {
        let mut table = Table::new();
        let mut add = |effect, count| *table.entry(effect).or_default() += count;
        let none = Known::default();
        let ids = self.known.keys().chain(self.transient.keys()).collect::<BTreeSet<_>>();
        for id in ids {
            let transient = self.transient.get(id).map_or(&none, |(known, _)| known);
            let known = self.known.get(id);
            let posts = &known.unwrap_or(&none).posts;
            let number = (posts.len() + transient.posts.len()).cast_signed();
            let Some(greatest) = posts.iter().max().or(transient.posts.iter().max()) else {
                continue;
            };
            let decisive = known.unwrap_or(transient);
            let effect = match (decisive.is_deleted, decisive.is_replaced) {
                (true, _) => Effect::Deleted,
                (false, true) => Effect::Superseded,
                (false, false) => Effect::Counts(*greatest),
            };
            add(effect, 1);
            add(Effect::Duplicate, number - 1);
        }
        table
    }
}

/// One run: what enters on which worker, and what the tables must be after each committed epoch.
#[derive(Default)]
struct Run {
    seed: u64,
    workers: usize,
    floor: u64,
    replay: Entering<(u64, Act<Content>)>,
    epochs: Vec<Entering<(u64, Act<Content>)>>,
    floors: Vec<Entering<u64>>,
    expected: Vec<Table>,
}

/// One schedule while it is made.
struct Schedule {
    random: Random,
    mutant: Mutant,
    partitions: Vec<Vec<Record>>,
    model: Model,
    /// By partition the offset to read again from, and the one to go on from.
    stored: Vec<(u64, u64)>,
    /// Acts that a chunk holds.
    width: u32,
}

/// The runs of one schedule.
fn plan(seed: u64, mutant: Mutant) -> Vec<Run> {
    let mut random = Random(seed);
    let partitions: Vec<_> = (0..=random.below(3)).map(|_| partition(&mut random)).collect();
    let stored = vec![(0, 0); partitions.len()];
    let width = 1 + u32::try_from(random.below(3)).expect("small");
    let model = Model::default();
    let mut schedule = Schedule { random, mutant, partitions, model, stored, width };
    (0..3).map(|_| Run { seed, ..schedule.run() }).collect()
}

/// Records whose ids rise, more or less.
fn partition(random: &mut Random) -> Vec<Record> {
    let records = (0..random.below(40)).map(|offset| {
        let id = offset / 2 + random.below(8);
        let content = u8::try_from(random.below(3)).expect("small");
        match random.below(20) {
            0..4 => vec![(id, Act::Delete)],
            4 => vec![(id, Act::TransientDelete(offset / 2 + random.below(4)))],
            5 | 6 => {
                let post = (content, offset / 2 + random.below(4));
                vec![(id, Act::TransientPost(Box::new(post)))]
            }
            7..11 => {
                let mut record = vec![(id, Act::Post(content))];
                let earlier = (0..=random.below(2)).map(|_| id.checked_sub(1 + random.below(6)));
                record.extend(earlier.flatten().map(|replaced| (replaced, Act::Replace)));
                record
            }
            _ => vec![(id, Act::Post(content))],
        }
    });
    records.collect()
}

impl Schedule {
    /// The next run: it reads on from what is stored, and stores what it commits.
    fn run(&mut self) -> Run {
        self.model.forget(|_, _| true);
        let mut chunks = vec![Replay::new(self.width); self.partitions.len()];
        let workers = 1 + self.random.index(3);
        let floor = if self.mutant == Mutant::FloorNotStored { 0 } else { self.model.floor };
        let replay = self.replay(workers, &mut chunks);
        let mut run = Run { workers, floor, replay, ..Run::default() };
        let count = 1 + self.random.index(6);
        let committed = self.random.index(count + 1);
        let mut next: Vec<u64> = self.stored.iter().map(|(_, next)| *next).collect();
        let mut before_last = next.clone();
        for epoch in 0..count {
            let start = next.clone();
            let read = self.read(&mut next);
            // Some are no news, some pass all ids that were seen.
            let newest = read.iter().map(|(.., record)| record[0].0);
            let newest = newest.fold(self.model.floor, u64::max);
            let floors: Entering<u64> = (0..self.random.below(3))
                .map(|_| {
                    let raised = (newest + 2).saturating_sub(self.random.below(9));
                    (self.random.index(workers), raised)
                })
                .collect();
            if epoch < committed {
                for (partition, offset, record) in &read {
                    self.note(&mut chunks[*partition], *offset, record);
                    for (id, act) in record {
                        self.model.act(*id, act);
                    }
                }
                for (_, raised) in &floors {
                    self.model.raise(*raised);
                }
                run.expected.push(self.model.table());
                self.commit(&next, &mut chunks, &before_last);
            }
            before_last = start;
            run.epochs.push(self.entering(workers, read));
            run.floors.push(floors);
        }
        if self.mutant == Mutant::ReplayCounted {
            run.epochs[0].append(&mut run.replay);
        }
        run
    }

    /// A record is known by the id of its post.
    fn note(&self, chunks: &mut Replay, offset: u64, record: &Record) {
        let ids = record.iter().map(|(id, _)| *id);
        let id = if self.mutant == Mutant::NotedByLeastId { ids.min() } else { ids.max() };
        chunks.note(offset, id.expect("it says something"));
    }

    /// Reads a few records of each partition: partition, offset and what it says.
    fn read(&mut self, next: &mut [u64]) -> Vec<(usize, u64, Record)> {
        let mut read = Vec::new();
        for (partition, position) in next.iter_mut().enumerate() {
            let acts = self.partitions[partition].iter().skip(small(*position));
            let acts = acts.take(self.random.index(9)).cloned();
            read.extend((*position..).zip(acts).map(|(offset, act)| (partition, offset, act)));
            *position += read.iter().filter(|(at, ..)| *at == partition).count() as u64;
        }
        read
    }

    /// What was committed and must be remembered.
    fn replay(&mut self, workers: usize, chunks: &mut [Replay]) -> Entering<(u64, Act<Content>)> {
        let mut read = Vec::new();
        for (partition, (from, next)) in self.stored.iter().enumerate() {
            let acts = &self.partitions[partition][small(*from)..small(*next)];
            for (offset, record) in (*from..).zip(acts) {
                self.note(&mut chunks[partition], offset, record);
                let mut record = record.clone();
                for (_, act) in &mut record {
                    if let (Act::TransientPost(post), Mutant::TransientRemembered) =
                        (&*act, self.mutant)
                    {
                        *act = Act::Post(post.0);
                    }
                }
                read.push((partition, offset, record));
            }
        }
        self.entering(workers, read)
    }

    /// In any order, on any worker.
    fn entering(
        &mut self,
        workers: usize,
        read: Vec<(usize, u64, Record)>,
    ) -> Entering<(u64, Act<Content>)> {
        let acts = read.into_iter().flat_map(|(.., record)| record);
        let mut entering: Vec<_> = acts.map(|act| (self.random.index(workers), act)).collect();
        for last in (1..entering.len()).rev() {
            entering.swap(last, self.random.index(last + 1));
        }
        entering
    }

    fn commit(&mut self, next: &[u64], chunks: &mut [Replay], before_last: &[u64]) {
        for (partition, position) in next.iter().enumerate() {
            let from = chunks[partition].from(self.model.floor, *position);
            let from = match self.mutant {
                Mutant::ReplayFromOneLater => (from + 1).min(*position),
                Mutant::ForgottenByEpoch => before_last[partition],
                _ => from,
            };
            self.stored[partition] = (from, *position);
        }
    }
}

fn small(offset: u64) -> usize {
    usize::try_from(offset).expect("it is small")
}

/// What left the ledger in each run, by epoch.
type Outputs = BTreeMap<usize, Vec<(Effect<Content>, Epoch, isize)>>;

/// All runs that have this number of workers.
fn execute(runs: &Arc<Vec<Run>>, workers: usize) -> Outputs {
    let outputs = Arc::new(Mutex::new(Outputs::new()));
    let (sink, runs) = (Arc::clone(&outputs), Arc::clone(runs));
    let config = match workers {
        1 => timely::Config::thread(),
        _ => timely::Config::process(workers),
    };
    let guards = timely::execute(config, move |worker| {
        let mine: Vec<_> = (0..).zip(&*runs).filter(|(_, run)| run.workers == workers).collect();
        // Many at once: threads that wait for each other are what takes time here.
        for chunk in mine.chunks(64) {
            let begun: Vec<_> = chunk.iter().map(|(_, run)| begin(worker, run)).collect();
            for ((number, _), (probe, effects)) in chunk.iter().zip(begun) {
                while !probe.done() {
                    worker.step_or_park(None);
                }
                let mut collected = sink.lock().expect("no panic");
                collected.entry(*number).or_default().extend(effects.take());
            }
        }
    });
    for result in guards.expect("timely starts").join() {
        result.expect("no worker panics");
    }
    Arc::try_unwrap(outputs).expect("workers are gone").into_inner().expect("no panic")
}

/// Where the effects of a run arrive.
type Arriving = Rc<RefCell<Vec<(Effect<Content>, Epoch, isize)>>>;

/// Feeds one worker's part of one run; it is complete when the probe is.
fn begin(worker: &mut Worker, run: &Run) -> (ProbeHandle<Epoch>, Arriving) {
    let index = worker.index();
    let effects = Arriving::default();
    let seen = Rc::clone(&effects);
    let (mut acts, mut floors, probe) = worker.dataflow::<Epoch, _, _>(|scope| {
        let (acts_in, acts) = scope.new_collection();
        let (floors_in, floors) = scope.new_collection();
        let watched = Watched { figures: Rc::new(Cell::default()), weigh: |_| 0 };
        let counted = ledger(acts, floors, watched);
        let (probe, _) = counted
            .map(|(_, effect)| effect)
            .inner
            .inspect(move |effect| seen.borrow_mut().push(effect.clone()))
            .probe();
        (acts_in, floors_in, probe)
    });
    for (_, (id, act)) in run.replay.iter().filter(|(at, _)| *at == index) {
        acts.insert((*id, act.clone()));
    }
    if index == 0 {
        floors.insert(run.floor);
    }
    for (epoch, (entering, raised)) in (1..).zip(run.epochs.iter().zip(&run.floors)) {
        acts.advance_to(epoch);
        floors.advance_to(epoch);
        for (_, (id, act)) in entering.iter().filter(|(at, _)| *at == index) {
            acts.insert((*id, act.clone()));
        }
        for (_, floor) in raised.iter().filter(|(at, _)| *at == index) {
            floors.insert(*floor);
        }
        if epoch % 2 == 0 {
            acts.flush();
            floors.flush();
            worker.step();
        }
    }
    (probe, effects)
}

/// Runs schedules; the first difference.
fn check(seeds: std::ops::Range<u64>, mutant: Mutant) -> Result<(), String> {
    let runs: Arc<Vec<Run>> = Arc::new(seeds.flat_map(|seed| plan(seed, mutant)).collect());
    let mut outputs: Outputs = (1..=3).flat_map(|workers| execute(&runs, workers)).collect();
    let mut table = Table::new();
    for (number, run) in runs.iter().enumerate() {
        if number == 0 || runs[number - 1].seed != run.seed {
            table.clear();
        }
        let mut effects = outputs.remove(&number).unwrap_or_default();
        effects.sort_by_key(|(_, epoch, _)| *epoch);
        let mut effects = effects.into_iter().peekable();
        for (epoch, expected) in (1..).zip(&run.expected) {
            while let Some((effect, _, difference)) = effects.next_if(|(_, at, _)| *at <= epoch) {
                *table.entry(effect).or_default() += difference;
            }
            table.retain(|_, count| *count != 0);
            if table != *expected || table.values().any(|count| *count < 0) {
                let Run { seed, workers, .. } = run;
                return Err(format!(
                    "seed {seed}, run {number}, epoch {epoch}, {workers} workers: {table:?} is not \
                     {expected:?}"
                ));
            }
        }
    }
    Ok(())
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn what_counts_equals_the_model_at_every_epoch_across_crashes() {
    let first = number("LEDGER_SEED").unwrap_or(0);
    let schedules = number("LEDGER_SCHEDULES").unwrap_or(10_000);
    for batch in (first..first + schedules).step_by(1_000) {
        let seeds = batch..(first + schedules).min(batch + 1_000);
        if let Err(difference) = check(seeds, Mutant::None) {
            panic!("{difference}");
        }
    }
}

#[test]
fn each_mutant_is_found_within_a_hundred_schedules() {
    use Mutant::{FloorNotStored, ForgottenByEpoch, NotedByLeastId};
    use Mutant::{ReplayCounted, ReplayFromOneLater, TransientRemembered};
    let replays = [ReplayFromOneLater, ReplayCounted, NotedByLeastId, TransientRemembered];
    for mutant in replays.into_iter().chain([FloorNotStored, ForgottenByEpoch]) {
        let difference = check(0..100, mutant).expect_err(&format!("{mutant:?} goes unseen"));
        println!("{mutant:?}: {difference}");
    }
}

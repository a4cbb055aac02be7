//! `floors(name, newest)`: the newest key that was seen of what is forgotten by age.
//!
//! Whatever is forgotten is forgotten by one number that rises and never falls: its floor. Only
//! times and ids that two clocks of a record bear out raise one ([`types::clock`]). That of minutes
//! lies a fixed span below the newest one: a function of the data's own keys, so that it is the
//! same whatever the order of arrival, the epochs and the workers. That of the ledger is the
//! program's to raise ([`SystemUpdates`]). Any monotone floor is exact; it decides only memory use
//! and what counts as late. Floors are stored, because the newest key may have no row of its own.
//!
//! `rises` and [`Inputs::newest_minute`] are how the others learn a floor: at the epoch
//! in which it rose.
//!
//! Restore: a row is the greatest key so far, so it enters as that and only a greater one replaces
//! it.

use crate::operators::changes::{Changes, changes};
use crate::operators::latest::Latest;
use crate::operators::ledger::Floors;
use crate::{Epoch, Events, Inputs, Rows, Shared};
use differential_dataflow::VecCollection;
use differential_dataflow::operators::CountTotal;
use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::operators::vec::{Broadcast, Map};
use types::table::{Column, ColumnKind, Panel, Restore, Table};
use types::{Event, Row, Value};

const MINUTE_MS: u64 = 60_000;

/// The declaration.
pub const TABLE: Table = Table {
    name: "floors",
    comment: "the newest of what is forgotten by age",
    columns: &[
        Column::new(
            "name",
            ColumnKind::Text(64),
            "minutes, tweets, ledger, span, forgotten, memory",
        ),
        Column::new("newest", ColumnKind::Unsigned, "the greatest so far: see docs/tables.md"),
    ],
    key: 1,
    restore: Restore::FromRows,
    panel: Panel::None,
    version: 3,
};

/// What is known by its greatest number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FloorName {
    /// Minutes in which tweets were written, since 1970.
    Minutes,
    /// Ids that the ledger was told of and that another clock bears out; 0 for the others.
    Tweets,
    /// The floor of the ledger: of tweets below this id nothing is remembered.
    Ledger,
    /// [`u64::MAX`] less the milliseconds of the smallest span that the ledger was run with.
    Span,
    /// Ids that were told while there was no ledger: of tweets up to this one not all is known.
    Forgotten,
    /// Twice the number of the ledger's memory, which rises when the ledger is switched on or off
    /// or forgotten; one more while there is none. Where it stands, `late_acts` has what was late.
    Memory,
}

/// What the program says beside the events: of one of these names, a number.
pub type SystemUpdates<'scope> = VecCollection<'scope, Epoch, FloorName, Latest<u64>>;

impl FloorName {
    const ALL: [FloorName; 6] = [
        FloorName::Minutes,
        FloorName::Tweets,
        FloorName::Ledger,
        FloorName::Span,
        FloorName::Forgotten,
        FloorName::Memory,
    ];

    /// As the table names it.
    pub const fn text(self) -> &'static str {
        match self {
            FloorName::Minutes => "minutes",
            FloorName::Tweets => "tweets",
            FloorName::Ledger => "ledger",
            FloorName::Span => "span",
            FloorName::Forgotten => "forgotten",
            FloorName::Memory => "memory",
        }
    }

    /// The meaning of a row; `None` for one that the table cannot have written.
    pub fn of(row: &Row) -> Option<(FloorName, u64)> {
        match &row[..] {
            [Value::Text(text), Value::UInt(newest)] => {
                let name = FloorName::ALL.into_iter().find(|name| name.text() == &**text)?;
                Some((name, *newest))
            }
            _ => None,
        }
    }

    /// The key of an event.
    fn key(self, event: &Event) -> Option<u64> {
        let clocks = event.clocks()?;
        match (self, event) {
            (FloorName::Minutes, Event::Tweet(tweet)) => {
                let proven = clocks.proven_ms()? / MINUTE_MS;
                tweet.time.minute().map(|minute| proven.min(minute.into()))
            }
            (FloorName::Tweets | FloorName::Forgotten, _) => Some(clocks.proven_id()),
            _ => None,
        }
    }
}

/// Minutes, each with the epoch from which on it is the newest.
pub type Minutes<'scope> = StreamVec<'scope, Epoch, (u32, Epoch)>;

/// The newest keys, at most one a name.
#[derive(Clone)]
pub struct NewestKeys<'scope>(Shared<'scope, (FloorName, Latest<u64>)>);

impl<'scope> NewestKeys<'scope> {
    /// The newest key of `name` where it changes, on some worker.
    pub fn rises(&self, name: FloorName) -> Floors<'scope> {
        self.0.extract("rises", move |updates, rises| {
            let risen = updates.iter().filter(|((of, _), _, by)| *of == name && *by > 0);
            rises.extend(risen.map(|((_, newest), epoch, _)| (newest.0, *epoch, 1)));
        })
    }

    /// The newest minute where it changes, on every worker.
    pub(crate) fn minutes(&self) -> Minutes<'scope> {
        let rises = self.rises(FloorName::Minutes).inner;
        let minutes =
            rises.map(|(newest, epoch, _)| (u32::try_from(newest).unwrap_or(u32::MAX), epoch));
        minutes.broadcast()
    }
}

/// The newest keys as a function of the events and of what the program says;
/// [`Inputs::newest`] keeps them for all who read them.
pub(crate) fn newest<'scope>(
    events: &Events<'scope>,
    rows: &Rows<'scope>,
    system_updates: SystemUpdates<'scope>,
    has_ledger: bool,
) -> NewestKeys<'scope> {
    let tweets = if has_ledger { FloorName::Tweets } else { FloorName::Forgotten };
    let seen = events.extract("newest keys", move |batch, newest| {
        for name in [FloorName::Minutes, tweets] {
            // One for each epoch of the batch, of which there is nearly always one.
            let mut greatest: Option<(u64, Epoch)> = None;
            for (event, epoch, _) in batch.iter().filter(|(.., difference)| *difference > 0) {
                let Some(key) = name.key(event) else { continue };
                match &mut greatest {
                    Some((held, at)) if at == epoch => *held = key.max(*held),
                    _ => {
                        let before = greatest.replace((key, *epoch));
                        newest.extend(before.map(|(last, at)| (name, at, Latest(last))));
                    }
                }
            }
            newest.extend(greatest.map(|(key, epoch)| (name, epoch, Latest(key))));
        }
    });
    let restored =
        rows.restore(|row| FloorName::of(row).map(|(name, newest)| (name, Latest(newest))));
    NewestKeys(Shared::new(seen.concat(system_updates).concat(restored).count_total()))
}

/// The rows as a function of the newest keys.
pub fn build<'scope>(inputs: &Inputs<'scope>, rows: &Rows<'scope>) -> Changes<'scope> {
    changes(&inputs.newest().0, rows.number(), &TABLE, |name, newest| {
        [Value::Text(name.text().into()), Value::UInt(newest.0)].into()
    })
}

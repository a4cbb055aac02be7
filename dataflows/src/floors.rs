//! `floors(name, newest)`: the newest key that was seen of what is forgotten by age.
//!
//! Whatever is forgotten is forgotten by one number that rises and never falls: its floor, which
//! lies a fixed span below the newest key. It is a function of the data's own keys, so that it is
//! the same whatever the order of arrival, the epochs and the workers; and it is stored, because
//! the newest key may have no row of its own.
//!
//! [`Newest::below`] is how the others learn a floor: every worker hears of each rise, at the epoch
//! in which it happened.
//!
//! Restore: a row is the greatest key so far, so it enters as that and only a greater one replaces
//! it.

use crate::changes::{Changes, changes};
use crate::latest::Latest;
use crate::table::{Column, Kind, Panel, Restore, Table};
use crate::{Epoch, Event, Inputs, Rows, Value};
use differential_dataflow::VecCollection;
use differential_dataflow::operators::CountTotal;
use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::operators::vec::{Broadcast, Map};

/// The declaration.
pub const TABLE: Table = Table {
    name: "floors",
    comment: "the newest of what is forgotten by age",
    columns: &[
        Column::new("name", Kind::Text(64), "what is forgotten by age: minutes"),
        Column::new("newest", Kind::Unsigned, "the newest seen; minutes since 1970"),
    ],
    key: 1,
    restore: Restore::FromRows,
    panel: Panel::None,
    version: 1,
};

/// What is forgotten by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Name {
    /// Minutes in which tweets were written.
    Minutes,
}

impl Name {
    const ALL: [Name; 1] = [Name::Minutes];

    /// As the table names it.
    pub const fn text(self) -> &'static str {
        match self {
            Name::Minutes => "minutes",
        }
    }

    /// The key of an event.
    fn key(self, event: &Event) -> Option<u64> {
        match (self, event) {
            (Name::Minutes, Event::Tweet(tweet)) => tweet.time.minute().map(u64::from),
            _ => None,
        }
    }
}

/// The newest keys, at most one a name.
#[derive(Clone)]
pub struct Newest<'scope>(VecCollection<'scope, Epoch, (Name, Latest<u64>), isize>);

impl<'scope> Newest<'scope> {
    /// The floor of `name` where it changes, on every worker: `span` below the newest key.
    pub fn below(&self, name: Name, span: u64) -> StreamVec<'scope, Epoch, (u64, Epoch)> {
        let rises = self.0.clone().inner.flat_map(move |((of, newest), epoch, difference)| {
            let is_meant = of == name && difference > 0;
            is_meant.then_some((newest.0.saturating_sub(span), epoch))
        });
        rises.broadcast()
    }
}

/// The newest keys as a function of the events; [`Inputs::newest`] keeps them for all who read them.
pub(crate) fn newest<'scope>(inputs: &Inputs<'scope>) -> Newest<'scope> {
    let seen = inputs.events.extract("newest keys", |batch, newest| {
        for name in Name::ALL {
            // One for each epoch of the batch, of which there is nearly always one.
            let mut greatest: Option<(u64, Epoch)> = None;
            for (event, epoch, _) in batch.iter().filter(|(.., difference)| *difference > 0) {
                let Some(key) = name.key(event) else { continue };
                match &mut greatest {
                    Some((held, at)) if at == epoch => *held = key.max(*held),
                    _ => {
                        let before = greatest.replace((key, *epoch));
                        newest.extend(before.map(|(key, epoch)| (name, epoch, Latest(key))));
                    }
                }
            }
            newest.extend(greatest.map(|(key, epoch)| (name, epoch, Latest(key))));
        }
    });
    let restored = inputs.rows(&TABLE).restore(|row| match &row[..] {
        [Value::Text(text), Value::UInt(newest)] => {
            let name = Name::ALL.into_iter().find(|name| name.text() == &**text)?;
            Some((name, Latest(*newest)))
        }
        _ => None,
    });
    Newest(seen.concat(restored).count_total())
}

/// The rows as a function of the newest keys.
pub fn build<'scope>(inputs: &Inputs<'scope>, _rows: &Rows<'scope>) -> Changes<'scope> {
    changes(inputs.newest().0.clone(), &TABLE, |name, newest| {
        [Value::Text(name.text().into()), Value::UInt(newest.0)].into()
    })
}

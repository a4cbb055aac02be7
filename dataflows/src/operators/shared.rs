//! One stream that many tables read.
//!
//! Each message is put behind an `Rc` once, so that a table pays for what it takes out of a tweet
//! and not for a copy of the tweet. Nothing is exchanged between workers here.

use crate::Epoch;
use differential_dataflow::difference::Semigroup;
use differential_dataflow::{AsCollection, VecCollection};
use std::cell::Cell;
use std::rc::Rc;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Concat;
use timely::dataflow::operators::generic::operator::Operator;
use timely::dataflow::operators::rc::SharedStream;
use timely::dataflow::{Scope, Stream};
use types::{Event, Restored, Row};

/// The collection that all tables are functions of.
pub type Events<'scope> = Shared<'scope, Event>;

/// Update triples behind one counter.
pub(crate) type Batch<D> = Rc<Vec<(D, Epoch, isize)>>;

/// Update triples of `D`, shared by their readers.
#[derive(Clone)]
pub struct Shared<'scope, D: 'static> {
    stream: Stream<'scope, Epoch, Batch<D>>,
}

impl<'scope, D: Clone + 'static> Shared<'scope, D> {
    /// Shares a collection.
    pub fn new(collection: VecCollection<'scope, Epoch, D, isize>) -> Self {
        Shared { stream: collection.inner.shared() }
    }

    /// Both.
    #[must_use]
    pub fn concat(&self, other: &Self) -> Self {
        Shared { stream: self.stream.clone().concat(other.stream.clone()) }
    }

    /// The batches, for operators that [`Shared::extract`] cannot make.
    pub(crate) fn stream(&self) -> Stream<'scope, Epoch, Batch<D>> {
        self.stream.clone()
    }

    /// The scope that the collection lives in.
    pub fn scope(&self) -> Scope<'scope, Epoch> {
        self.stream.scope()
    }

    /// What one table takes out of each batch of updates, as a collection of its own.
    ///
    /// `logic` sees a whole batch, so that it may add up before anything is sent; what it pushes
    /// must carry the time of an update of that batch.
    pub fn extract<D2, R2>(
        &self,
        name: &str,
        logic: impl Fn(&[(D, Epoch, isize)], &mut Vec<(D2, Epoch, R2)>) + 'static,
    ) -> VecCollection<'scope, Epoch, D2, R2>
    where
        D2: Clone + 'static,
        R2: Semigroup + 'static,
    {
        self.stream
            .clone()
            .unary(Pipeline, name, move |_, _| {
                move |input, output| {
                    input.for_each(|capability, batch| {
                        let mut taken = Vec::with_capacity(batch.len());
                        logic(batch, &mut taken);
                        output.session(&capability).give_container(&mut taken);
                    });
                }
            })
            .as_collection()
    }
}

/// The rows of all tables as a restart found them in the database.
#[derive(Clone)]
pub struct RestoredRows<'scope> {
    rows: Shared<'scope, Restored>,
    unreadable: Unreadable,
}

/// A row that its table cannot have written, where there was one.
pub type Unreadable = Rc<Cell<Option<Restored>>>;

impl<'scope> RestoredRows<'scope> {
    /// Shares the rows. The caller checks `unreadable` before it uses anything that was made of
    /// them.
    pub fn new(
        rows: VecCollection<'scope, Epoch, Restored, isize>,
        unreadable: Unreadable,
    ) -> Self {
        RestoredRows { rows: Shared::new(rows), unreadable }
    }
}

/// The rows of one table as a restart found them in the database.
#[derive(Clone)]
pub struct Rows<'scope> {
    /// The restored rows of all tables.
    all: RestoredRows<'scope>,
    /// Which of them are meant.
    table: u8,
}

impl<'scope> Rows<'scope> {
    /// The rows of table number `table`.
    pub fn new(all: &RestoredRows<'scope>, table: u8) -> Self {
        Rows { all: all.clone(), table }
    }

    /// The number of their table.
    pub fn number(&self) -> u8 {
        self.table
    }

    /// The state behind each row. `state` answers `None` for a row that its table cannot have
    /// written: going on without it would count from zero, so it is noted as [`Unreadable`].
    pub fn restore<D2, R2>(
        &self,
        state: impl Fn(&Row) -> Option<(D2, R2)> + 'static,
    ) -> VecCollection<'scope, Epoch, D2, R2>
    where
        D2: Clone + 'static,
        R2: Semigroup + 'static,
    {
        let (table, unreadable) = (self.table, Rc::clone(&self.all.unreadable));
        self.all.rows.extract("restore", move |batch, taken| {
            for (restored, epoch, _) in batch.iter().filter(|(row, ..)| row.table == table) {
                match state(&restored.row) {
                    Some((data, difference)) => taken.push((data, *epoch, difference)),
                    None => unreadable.set(Some(restored.clone())),
                }
            }
        })
    }
}

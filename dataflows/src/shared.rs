//! One stream that many tables read.
//!
//! Each message is put behind an `Rc` once, so that a table pays for what it takes out of a tweet
//! and not for a copy of the tweet. Nothing is exchanged between workers here.

use crate::{Epoch, Event, Restored, Row};
use differential_dataflow::difference::Semigroup;
use differential_dataflow::{AsCollection, VecCollection};
use std::rc::Rc;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Concat;
use timely::dataflow::operators::generic::operator::Operator;
use timely::dataflow::operators::rc::SharedStream;
use timely::dataflow::{Scope, Stream};

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

/// The rows of one table as a restart found them in the database.
#[derive(Clone)]
pub struct Rows<'scope> {
    /// The restored rows of all tables.
    all: Shared<'scope, Restored>,
    /// Which of them are meant.
    table: u8,
}

impl<'scope> Rows<'scope> {
    /// The rows of table number `table`.
    pub fn new(all: &Shared<'scope, Restored>, table: u8) -> Self {
        Rows { all: all.clone(), table }
    }

    /// The number of their table.
    pub fn number(&self) -> u8 {
        self.table
    }

    /// The state behind each row. `state` answers `None` for a row that its table cannot have
    /// written.
    ///
    /// # Panics
    /// On such a row: going on without it would count from zero.
    pub fn restore<D2, R2>(
        &self,
        state: impl Fn(&Row) -> Option<(D2, R2)> + 'static,
    ) -> VecCollection<'scope, Epoch, D2, R2>
    where
        D2: Clone + 'static,
        R2: Semigroup + 'static,
    {
        let table = self.table;
        self.all.extract("restore", move |batch, taken| {
            for (restored, epoch, _) in batch.iter().filter(|(row, ..)| row.table == table) {
                let (data, difference) = state(&restored.row)
                    .unwrap_or_else(|| panic!("a restored row has no meaning: {restored:?}"));
                taken.push((data, *epoch, difference));
            }
        })
    }
}

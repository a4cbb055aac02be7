//! A collection added up per key, for several tables to read.
//!
//! It owns the arrangement that the sums stand in; a reader gets their changes, and may read all of
//! them where the changes alone do not tell what it needs.

use crate::{Epoch, Shared};
use differential_dataflow::difference::Semigroup;
use differential_dataflow::hashable::Hashable;
use differential_dataflow::operators::CountTotal;
use differential_dataflow::operators::arrange::TraceAgent;
use differential_dataflow::trace::implementations::KeySpine;
use differential_dataflow::{ExchangeData, VecCollection};

/// Where the sums stand: by key, as differences.
pub type Sums<K, R> = TraceAgent<KeySpine<K, Epoch, R>>;

/// The sum of each key's differences.
pub struct Counted<'scope, K: ExchangeData, R: ExchangeData + Semigroup> {
    /// At most one pair of key and sum for each key.
    pub sums: Shared<'scope, (K, R)>,
    /// The same to be read by key.
    pub trace: Sums<K, R>,
}

impl<'scope, K, R> Counted<'scope, K, R>
where
    K: ExchangeData + Hashable,
    R: ExchangeData + Semigroup,
{
    /// Adds up a collection.
    pub fn new(collection: VecCollection<'scope, Epoch, K, R>, name: &str) -> Self {
        let arranged = collection.arrange_by_self_named(name);
        let trace = arranged.trace.clone();
        Counted { sums: Shared::new(arranged.count_total()), trace }
    }
}

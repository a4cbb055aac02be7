//! What an operator keeps until an epoch is complete.

use crate::Epoch;
use std::collections::BTreeMap;
use timely::dataflow::operators::Capability;

/// Data of epochs that may still get more, each with its capability.
pub(crate) struct EpochBuffer<D>(BTreeMap<Epoch, (Capability<Epoch>, Vec<D>)>);

impl<D> Default for EpochBuffer<D> {
    fn default() -> Self {
        EpochBuffer(BTreeMap::new())
    }
}

impl<D> EpochBuffer<D> {
    /// The data of an epoch.
    pub(crate) fn open(
        &mut self,
        epoch: Epoch,
        capability: impl Fn(&Epoch) -> Capability<Epoch>,
    ) -> &mut Vec<D> {
        &mut self.0.entry(epoch).or_insert_with(|| (capability(&epoch), Vec::new())).1
    }

    /// The first epoch that is complete, with its data.
    pub(crate) fn pop_complete(
        &mut self,
        frontier: Option<Epoch>,
    ) -> Option<(Epoch, Capability<Epoch>, Vec<D>)> {
        let entry = self.0.first_entry()?;
        if frontier.is_some_and(|frontier| *entry.key() >= frontier) {
            return None;
        }
        let (epoch, (capability, data)) = entry.remove_entry();
        Some((epoch, capability, data))
    }
}

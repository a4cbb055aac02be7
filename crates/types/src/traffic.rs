//! Bytes that the processes of a cluster exchange; counted by the mesh, shown by the monitor.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that were exchanged with each process.
#[derive(Debug, Default)]
pub struct Traffic(Vec<[AtomicU64; 2]>);

impl Traffic {
    /// Nothing was exchanged with so many processes.
    pub fn new(processes: usize) -> Self {
        Traffic((0..processes).map(|_| Default::default()).collect())
    }

    /// Bytes sent to a process, and received from it.
    pub fn of(&self, process: usize) -> (u64, u64) {
        self.0.get(process).map_or((0, 0), |[sent, received]| {
            (sent.load(Ordering::Relaxed), received.load(Ordering::Relaxed))
        })
    }

    /// Adds bytes that were sent (direction 0) or received (1).
    pub fn add(&self, process: usize, direction: usize, bytes: usize) {
        self.0[process][direction].fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

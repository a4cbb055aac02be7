//! What is seen of a cluster: who its processes are, what each of them reads, who is silent.
//!
//! Each process tells the others its own part; nothing here decides anything.

use super::Remembered;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};
use types::traffic::Traffic;

/// A process without a heartbeat for this long is reported; heartbeats come every second.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a process says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessReport {
    /// Records read.
    pub records: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// The partitions that it reads.
    pub partitions: Vec<u32>,
    /// Its share of the ledger.
    pub ledger: Option<Remembered>,
}

/// A process, as it was heard of last.
#[derive(Clone, Debug)]
pub struct Process {
    /// Where it listened.
    pub address: String,
    /// What it said.
    pub report: ProcessReport,
    /// When.
    pub heard: Instant,
    /// Bytes sent to it over the mesh.
    pub sent: u64,
    /// Bytes received from it.
    pub received: u64,
}

/// All processes, as one of them sees them.
#[derive(Clone, Debug)]
pub struct Processes {
    /// The own index; 0 has the tables.
    pub own: usize,
    /// By index.
    pub all: Vec<Process>,
    traffic: Arc<Traffic>,
}

impl Processes {
    pub(super) fn new(own: usize, hosts: &[String], traffic: Arc<Traffic>) -> Self {
        let heard = Instant::now();
        let process = |address: &String| Process {
            address: address.clone(),
            report: ProcessReport::default(),
            heard,
            sent: 0,
            received: 0,
        };
        Processes { own, all: hosts.iter().map(process).collect(), traffic }
    }

    pub(super) fn heard(&mut self, process: usize, report: &ProcessReport) {
        if let Some(process) = self.all.get_mut(process) {
            (process.report, process.heard) = (report.clone(), Instant::now());
        }
    }

    /// With what has gone over the mesh until now.
    pub(super) fn with_traffic(&self) -> Self {
        let mut looked = self.clone();
        for (index, process) in looked.all.iter_mut().enumerate() {
            (process.sent, process.received) = self.traffic.of(index);
        }
        looked
    }

    /// Whether this process has the tables, and shows all there is.
    pub fn has_tables(&self) -> bool {
        self.own == 0
    }

    /// Records and bytes that the others have read.
    pub(super) fn others(&self) -> (u64, u64) {
        let others = self.all.iter().enumerate().filter(|(index, _)| *index != self.own);
        others.fold((0, 0), |(records, bytes), (_, process)| {
            (records + process.report.records, bytes + process.report.bytes)
        })
    }

    /// What the others remember.
    pub(super) fn others_remember(&self) -> impl Iterator<Item = Remembered> {
        let others = self.all.iter().enumerate().filter(|(index, _)| *index != self.own);
        others.filter_map(|(_, process)| process.report.ledger)
    }

    /// A process without a recent heartbeat, and for how long.
    pub fn silent(&self) -> Option<(usize, Duration)> {
        let silences = self.all.iter().map(|process| process.heard.elapsed()).enumerate();
        silences.max_by_key(|(_, since)| *since).filter(|(_, since)| *since >= PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::{PATIENCE, ProcessReport, Processes};
    use std::sync::Arc;

    #[test]
    fn the_whole_is_the_sum_of_the_others_and_silence_is_seen() {
        let hosts = ["a:1", "b:1", "c:1"].map(str::to_owned);
        let mut processes = Processes::new(0, &hosts, Arc::default());
        for process in 0..3_u64 {
            let report =
                ProcessReport { records: 10 + process, bytes: 100, ..ProcessReport::default() };
            processes.heard(usize::try_from(process).unwrap(), &report);
        }
        assert_eq!(processes.others(), (11 + 12, 200));
        assert_eq!(processes.silent(), None);
        processes.all[2].heard -= PATIENCE;
        assert_eq!(processes.silent().map(|(process, _)| process), Some(2));
        processes.heard(2, &ProcessReport::default());
        assert_eq!(processes.silent(), None);
    }
}

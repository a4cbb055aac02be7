//! The workers of this process: started on timely, alone or over the mesh, and waited for.
//!
//! The workers of a cluster do not end when another process vanishes. So [`Engine::wait`] also
//! checks the heartbeats, and after a timeout leaves the workers as they are.

use super::RunContext;
use super::peers::Peers;
use super::worker::{self, WorkerSummary};
use crate::pipeline::error::RunError;
use mesh::Mesh;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;
use timely::WorkerConfig;
use timely::communication::WorkerGuards;

/// Time between two checks of the heartbeats.
const PEER_CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The running workers.
pub(super) struct Engine {
    guards: WorkerGuards<WorkerSummary>,
    peers: Option<Arc<Peers>>,
}

impl Engine {
    pub(super) fn start(shared: &Arc<RunContext>, mesh: Option<Mesh>) -> Result<Self, RunError> {
        let peers = shared.peers.clone();
        let (builders, others) = match (mesh, shared.config.workers) {
            (Some(mesh), _) => mesh
                .engine()
                .map_err(|source| RunError::System { doing: "using the mesh", source })?,
            (None, 1) => {
                timely::CommunicationConfig::Thread.try_build().map_err(RunError::Engine)?
            }
            (None, workers) => timely::CommunicationConfig::Process(workers)
                .try_build()
                .map_err(RunError::Engine)?,
        };
        let shared = Arc::clone(shared);
        let work = move |timely: &mut timely::worker::Worker| worker::run(timely, &shared);
        // Idle workers park immediately, which frees the core for the broker and the database.
        let config = WorkerConfig::default().idle_spin(Duration::ZERO);
        let guards = timely::execute::execute_from(builders, others, config, work)
            .map_err(RunError::Engine)?;
        Ok(Engine { guards, peers })
    }

    /// Wakes worker 0.
    pub(super) fn wake(&self) {
        if let Some(first) = self.guards.guards().first() {
            first.thread().unpark();
        }
    }

    /// What comes out of `receiver`, or `None` when nothing will; an error if a process is silent.
    pub(super) fn receive<M>(&self, receiver: &Receiver<M>) -> Result<Option<M>, RunError> {
        receive(receiver, self.peers.as_ref())
    }

    /// Waits for all workers. After [`RunError::PeerTimeout`] they are still there.
    pub(super) fn wait(self) -> Result<Vec<WorkerSummary>, RunError> {
        let Engine { guards, peers } = self;
        // A worker that panicked has ended the process, if the program's panic hook is installed.
        let join = move || {
            let results = guards.join().into_iter();
            results.map(|result| result.map_err(RunError::Engine)).collect::<Result<Vec<_>, _>>()
        };
        if peers.is_none() {
            return join();
        }
        let (joined_in, joined) = channel();
        let work = move || drop(joined_in.send(join()));
        let spawned = std::thread::Builder::new().name("joining".to_owned()).spawn(work);
        spawned.map_err(|source| RunError::System { doing: "waiting for workers", source })?;
        let gone = || RunError::Engine("its threads could not be joined".to_owned());
        receive(&joined, peers.as_ref())?.ok_or_else(gone)?
    }
}

fn receive<M>(receiver: &Receiver<M>, peers: Option<&Arc<Peers>>) -> Result<Option<M>, RunError> {
    loop {
        match receiver.recv_timeout(PEER_CHECK_INTERVAL) {
            Ok(message) => return Ok(Some(message)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(error) = peers.and_then(|peers| peers.silent()) {
            return Err(error);
        }
    }
}

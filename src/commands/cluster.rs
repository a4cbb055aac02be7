//! Which process of a cluster this is.

use super::job::JobError;
use clap::Args;
use std::path::PathBuf;
use types::settings::Cluster;

/// Arguments of a cluster.
#[derive(Args)]
pub(super) struct ClusterArgs {
    /// Processes of the cluster; each is started with the same settings
    #[arg(long, env = "TWEETFLOW_PROCESSES", value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=256))]
    processes: u16,
    /// Which of them this is; process 0 alone uses the database
    #[arg(long, env = "TWEETFLOW_PROCESS", value_name = "I", default_value_t = 0)]
    process: u16,
    /// File with one HOST:PORT a line, process 0's first: where each listens for the others. There
    /// is neither a password nor encryption: for a network of your own only
    #[arg(long, env = "TWEETFLOW_HOSTS", value_name = "FILE")]
    hosts: Option<PathBuf>,
}

impl ClusterArgs {
    /// The cluster, unless one process is all.
    pub(super) fn cluster(&self) -> Result<Option<Cluster>, JobError> {
        let (processes, process) = (usize::from(self.processes), usize::from(self.process));
        if process >= processes {
            let text = format!(
                "--process {process}: with --processes {processes} the last is {}",
                processes - 1
            );
            return Err(JobError::Argument(text));
        }
        match &self.hosts {
            _ if processes == 1 => Ok(None),
            Some(hosts) => Ok(Some(mesh::read_hosts(hosts, processes, process)?)),
            None => Err(JobError::Argument(format!("--processes {processes} needs --hosts FILE"))),
        }
    }
}

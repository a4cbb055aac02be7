//! Who the processes of a cluster are, and where: the hosts file, one line a process.

use std::path::{Path, PathBuf};
use std::time::Duration;
use types::settings::Cluster;

/// Why a hosts file is refused.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum HostsError {
    #[error("cannot read --hosts {}", .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("--hosts {}: {found} lines for {processes} processes", .path.display())]
    Few { path: PathBuf, found: usize, processes: usize },
    #[error("--hosts {}: the line of process {process} is not HOST:PORT", .path.display())]
    Line { path: PathBuf, process: usize },
}

/// Reads the first `processes` lines; empty ones and those with a `#` in front do not count.
pub fn read(path: &Path, processes: usize, process: usize) -> Result<Cluster, HostsError> {
    let path = path.to_owned();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(HostsError::Read { path, source }),
    };
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let hosts: Vec<_> = lines.take(processes).map(str::to_owned).collect();
    let is_address = |line: &str| {
        line.rsplit_once(':').is_some_and(|(host, port)| {
            // `parse` takes a sign as well.
            !host.is_empty() && !port.starts_with('+') && port.parse::<u16>().is_ok()
        })
    };
    if let Some(wrong) = hosts.iter().position(|line| !is_address(line)) {
        return Err(HostsError::Line { path, process: wrong });
    }
    if hosts.len() < processes {
        return Err(HostsError::Few { path, found: hosts.len(), processes });
    }
    Ok(Cluster { process, hosts, patience: Duration::from_secs(30) })
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_line_is_a_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hosts");
        let read = |text: &str, processes| {
            std::fs::write(&path, text).unwrap();
            read(&path, processes, 1).map_err(|error| error.to_string())
        };
        let cluster = read("# the cluster\na:1\n\n [::1]:2 \nc:3\n", 2).unwrap();
        assert_eq!(cluster.hosts, ["a:1", "[::1]:2"]);
        assert_eq!(cluster.own(), "[::1]:2");
        assert!(read("a:1\n", 2).unwrap_err().contains("1 lines for 2 processes"));
        assert!(
            read("a:1\nb\n", 2).unwrap_err().contains("the line of process 1 is not HOST:PORT")
        );
        assert!(read("a:1\nb:+7\n", 2).unwrap_err().contains("is not HOST:PORT"));
        assert!(read("a:1\nb:70000\n", 2).unwrap_err().contains("is not HOST:PORT"));
    }
}

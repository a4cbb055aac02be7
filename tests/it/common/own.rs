//! A database server of a test's own: it may be stopped, hang, and be set in any way.

use super::Server;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A server in a folder of its own, gone when this is dropped.
pub(crate) struct OwnServer {
    /// Its usual database, with the account that may do everything.
    pub(crate) url: String,
    name: &'static str,
    home: tempfile::TempDir,
}

fn local(arguments: &[&str]) -> String {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/local"));
    let output = command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

impl OwnServer {
    pub(crate) fn start(server: Server) -> Self {
        let (name, variable) = match server {
            Server::MariaDb => ("mariadb", "TEST_MYSQL="),
            Server::MySql => ("mysql", "TEST_MYSQL9="),
        };
        let home = tempfile::tempdir().unwrap();
        let said = local(&["start", "--dir", home.path().to_str().unwrap(), name]);
        let line = said.lines().find_map(|line| line.split_once(variable));
        let url = line.expect("the server starts").1.trim_matches(['"', '\'']).to_owned();
        OwnServer { url, name, home }
    }

    /// `SIGSTOP` and `SIGCONT`: it hangs, and goes on.
    pub(crate) fn signal(&self, signal: Signal) {
        let path: PathBuf = self.home.path().join(self.name).join("pid");
        let pid = std::fs::read_to_string(path).unwrap().trim().parse().unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        local(&["destroy", "--dir", self.home.path().to_str().unwrap()]);
    }
}

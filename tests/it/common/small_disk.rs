//! A database server on a small disk of its own.

use super::Server;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A server on a tmpfs that only it and its shell see. Both are gone when it is dropped.
pub(crate) struct SmallDisk {
    shell: Child,
    answers: BufReader<ChildStdout>,
    pub(crate) url: String,
    home: tempfile::TempDir,
}

/// Makes the disk, starts the server, prints its address; then does what it is
/// told, line by line.
const SHELL: &str = r#"
    mount -t tmpfs -o size=500m tmpfs "$1" || exit
    trap 'umount -l "$1"' EXIT
    REDO_LOG=96M deploy/local start --dir "$1" "$2" </dev/null || exit
    echo ready
    while read -r line; do (cd "$1" && eval "$line"); echo ready; done
    deploy/local stop --dir "$1"
"#;

/// Ways to mount something that only one shell and its children see: as anybody where the kernel
/// lets users have namespaces, else as root; the last one also in a chroot, whose root is no mount.
const NAMESPACES: [&[&str]; 3] =
    [&["--map-root-user", "--mount"], &["--mount"], &["--mount", "--propagation", "unchanged"]];

/// A shell in which a disk can be mounted.
fn namespace() -> Command {
    let folder = tempfile::tempdir().unwrap();
    let attempt = r#"mount -t tmpfs -o size=1m tmpfs "$1" && umount "$1""#;
    let mut reasons = Vec::new();
    for way in NAMESPACES {
        let mut probe = Command::new("unshare");
        probe.args(way).args(["bash", "-c", attempt, "attempt"]).arg(folder.path());
        let output = probe.output().unwrap();
        if output.status.success() {
            let mut command = Command::new("unshare");
            command.args(way).arg("bash");
            return command;
        }
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        reasons.push(format!("unshare {}: {reason}", way.join(" ")));
    }
    panic!(
        "this test needs a small disk, hence a mount namespace with a tmpfs, and this machine gives \
         none; run it as root with CAP_SYS_ADMIN, or allow user namespaces. {}",
        reasons.join("; ")
    )
}

impl SmallDisk {
    pub(crate) fn start(server: Server) -> Self {
        let (name, variable) = match server {
            Server::MariaDb => ("mariadb", "TEST_MYSQL="),
            Server::MySql => ("mysql", "TEST_MYSQL9="),
        };
        let home = tempfile::tempdir().unwrap();
        let mut command = namespace();
        let log = home.path().with_extension("log");
        command.args(["-c", SHELL, "own-server"]).arg(home.path()).arg(name);
        command.stderr(std::fs::File::create(&log).unwrap());
        let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(shell.stdout.take().unwrap());
        let mut own = SmallDisk { shell, answers, url: String::new(), home };
        let said = own.answer();
        let line = said.lines().find_map(|line| line.split_once(variable));
        line.unwrap().1.trim_matches(['"', '\'']).clone_into(&mut own.url);
        own
    }

    /// What the shell has said of faults.
    fn log(&self) -> PathBuf {
        self.home.path().with_extension("log")
    }

    /// What is printed before the next `ready`.
    fn answer(&mut self) -> String {
        let mut said = String::new();
        while !said.ends_with("ready\n") {
            let length = self.answers.read_line(&mut said).unwrap();
            let log = || std::fs::read_to_string(self.log()).unwrap_or_default();
            assert!(length > 0, "the server's shell has ended: {said}{}", log());
        }
        said
    }

    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.shell.stdin.as_mut().unwrap(), "{line}").unwrap();
        self.answer();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
        let _ = std::fs::remove_file(self.log());
    }
}

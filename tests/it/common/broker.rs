//! A Kafka broker of a test's own, for what the shared one does not do: listeners with TLS and
//! passwords, an address that leads through a proxy, a restart.

use std::fmt::Write;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Running;

const START_TIME: Duration = Duration::from_mins(1);

/// A broker in a folder of its own; both are gone when it is dropped.
pub(crate) struct Broker {
    home: tempfile::TempDir,
    ports: Vec<u16>,
    process: Option<Running>,
}

/// A way into a broker.
pub(crate) struct Listener {
    /// Its name, small letters.
    pub(crate) name: &'static str,
    /// `PLAINTEXT`, `SSL` or `SASL_SSL`.
    pub(crate) protocol: &'static str,
    /// Where clients are sent, `host:port`; where it listens if `None`.
    pub(crate) advertised: Option<String>,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn java() -> Command {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".tweetflow");
    let entries = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path());
    let is_kafka =
        |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("kafka-");
    let jars = entries.filter(|path| is_kafka(path)).max().expect("deploy/local has fetched Kafka");
    let java = std::env::var_os("JAVA_HOME")
        .map_or("java".into(), |home| PathBuf::from(home).join("bin/java").into_os_string());
    let mut command = Command::new(java);
    command.arg("-Xmx512m").arg("-cp").arg(jars.join("*"));
    command
}

impl Broker {
    /// A broker with `listeners`, then `settings` as they stand in `server.properties`, where
    /// `@HOME@` is its folder, with `users` as the arguments that make them. Not started.
    pub(crate) fn new(
        home: tempfile::TempDir,
        listeners: &[Listener],
        settings: &str,
        users: &[&str],
    ) -> Self {
        let ports: Vec<_> = listeners.iter().map(|_| free_port()).collect();
        let broker = Broker { home, ports, process: None };
        let template = std::fs::read_to_string("deploy/kafka/server.properties").unwrap();
        let is_listener =
            |line: &&str| line.contains("listener") && !line.starts_with("controller");
        let mut text: String = template
            .lines()
            .filter(|line| !is_listener(line))
            .flat_map(|line| [line, "\n"])
            .collect();
        let controller = free_port().to_string();
        text = text.replace("@CONTROLLER_PORT@", &controller);
        let (mut at, mut announced, mut protocols) = (
            format!("listeners=CONTROLLER://127.0.0.1:{controller}"),
            "advertised.listeners=".to_owned(),
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT".to_owned(),
        );
        for (index, listener) in listeners.iter().enumerate() {
            let (name, address) = (listener.name.to_uppercase(), broker.address(index));
            write!(at, ",{name}://{address}").unwrap();
            write!(protocols, ",{name}:{}", listener.protocol).unwrap();
            let comma = if index == 0 { "" } else { "," };
            let address = listener.advertised.as_ref().unwrap_or(&address);
            write!(announced, "{comma}{name}://{address}").unwrap();
        }
        let inter = listeners[0].name.to_uppercase();
        write!(
            text,
            "{at}\n{announced}\n{protocols}\ninter.broker.listener.name={inter}\n{settings}"
        )
        .unwrap();
        text = text.replace("@DATA@", &broker.path("data")).replace("@HOME@", &broker.path(""));
        std::fs::write(broker.path("server.properties"), text).unwrap();
        let id = ["format", "--cluster-id", "AAAAAAAAAAAAAAAAAAAAAA", "--config"];
        let mut format = java();
        format.arg("kafka.tools.StorageTool").args(id).arg(broker.path("server.properties"));
        let output = format.args(users).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        broker
    }

    /// A file in its folder.
    pub(crate) fn path(&self, file: &str) -> String {
        self.home.path().join(file).to_str().unwrap().to_owned()
    }

    /// Where listener number `index` listens.
    pub(crate) fn address(&self, index: usize) -> String {
        format!("127.0.0.1:{}", self.ports[index])
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(&mut self) {
        let log = std::fs::File::create(self.path("log")).unwrap();
        let mut command = java();
        command.arg("kafka.Kafka").arg(self.path("server.properties"));
        command.stdin(Stdio::null()).stderr(log.try_clone().unwrap()).stdout(log);
        let mut process = Running::start(&mut command);
        let deadline = Instant::now() + START_TIME;
        for port in &self.ports {
            while TcpStream::connect(("127.0.0.1", *port)).is_err() {
                let logged = || std::fs::read_to_string(self.path("log")).unwrap();
                assert!(process.0.try_wait().unwrap().is_none(), "it ended: {}", logged());
                assert!(Instant::now() < deadline, "it does not listen: {}", logged());
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        self.process = Some(process);
    }

    /// One of Kafka's own tools, by its class, on the first listener.
    pub(crate) fn tool(&self, class: &str, arguments: &[&str]) {
        let mut command = java();
        command.arg(class).args(["--bootstrap-server", &self.address(0)]).args(arguments);
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
    }

    /// Kills it. What it has acknowledged is still there at the next start.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }
}

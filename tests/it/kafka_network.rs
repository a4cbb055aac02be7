//! A network that breaks, falls silent or is slow, and a broker that is killed and started again,
//! while the program reads: nothing is lost, nothing is counted twice, no restart is needed.

use crate::common::broker::{Broker, Listener};
use crate::common::proxy::Proxy;
use crate::common::{Running, Server, Sql, program};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

const TOPIC: &str = "tweets";
/// The client tries again after seconds, and gives a silent broker up after a request's time.
const SOON: Duration = Duration::from_mins(1);

/// A broker that is reached by its clients through a proxy only, and a job that reads it.
struct Scene {
    broker: Broker,
    proxy: Proxy,
    database: String,
    job: Option<Running>,
    produced: u64,
}

impl Scene {
    fn new(name: &str) -> Self {
        let entrance = TcpListener::bind("127.0.0.1:0").unwrap();
        let advertised = Some(entrance.local_addr().unwrap().to_string());
        let listeners = [
            Listener { name: "inner", protocol: "PLAINTEXT", advertised: None },
            Listener { name: "outer", protocol: "PLAINTEXT", advertised },
        ];
        let mut broker = Broker::new(tempfile::tempdir().unwrap(), &listeners, "", &[]);
        broker.start();
        let proxy = Proxy::listen(entrance, &broker.address(1));
        let database = Server::MariaDb.fresh_database(name);
        Scene { broker, proxy, database, job: None, produced: 0 }
    }

    fn done(&self, arguments: &[&str]) {
        let address = self.broker.address(0);
        let place = ["--brokers", &address, "--topic", TOPIC];
        let output = program(&[arguments, &place].concat(), &self.database).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Writes 500 tweets, past the proxy.
    fn produce(&mut self) {
        let seed = (self.produced + 1).to_string();
        self.done(&["produce", "--synthetic", "--limit", "500", "--seed", &seed]);
        self.produced += 500;
    }

    /// Starts the job, which sees the broker through the proxy. A silent broker is given up after
    /// seconds, not after the minute that is usual.
    fn start(&mut self) {
        let arguments = ["run", "--brokers", &self.proxy.address, "--topic", TOPIC];
        let mut command = program(&arguments, &self.database);
        command.env("TWEETFLOW_KAFKA", "socket.timeout.ms=3000");
        self.job = Some(Running::start(command.stdout(Stdio::null()).stderr(Stdio::null())));
        self.caught_up();
    }

    /// Waits until all that was written is counted, by the job that was started first.
    fn caught_up(&mut self) {
        let (mut sql, deadline) = (Sql::connect(&self.database), Instant::now() + SOON);
        while sql.records_counted() < self.produced {
            let ended = self.job.as_mut().unwrap().0.try_wait().unwrap();
            assert!(ended.is_none(), "the job ended: {ended:?}");
            assert!(Instant::now() < deadline, "{} records are not counted", self.produced);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn counted(&self) -> u64 {
        Sql::connect(&self.database).records_counted()
    }
}

#[test]
fn the_job_goes_on_after_every_fault_of_the_network_and_of_the_broker() {
    let mut scene = Scene::new("kafka_network");
    scene.produce();
    scene.start();

    for _ in 0..3 {
        scene.proxy.break_once();
        scene.produce();
        scene.caught_up();
    }

    // Out of reach: what is written meanwhile is read later, by the same process.
    scene.proxy.cut();
    let before = scene.counted();
    scene.produce();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(scene.counted(), before, "there was another way");
    scene.proxy.mend();
    scene.caught_up();

    // A black hole: connections stay open, nothing comes.
    scene.proxy.hold();
    scene.produce();
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(scene.counted(), before + 500, "there was another way");
    scene.proxy.mend();
    scene.caught_up();

    scene.proxy.delay(Duration::from_millis(200));
    scene.produce();
    scene.caught_up();
    scene.proxy.mend();

    for _ in 0..2 {
        scene.broker.kill();
        std::thread::sleep(Duration::from_secs(1));
        scene.broker.start();
        scene.produce();
        scene.caught_up();
    }

    drop(scene.job.take());
    scene.done(&["verify"]);
    assert_eq!(scene.counted(), scene.produced);
}

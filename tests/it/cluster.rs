//! Several processes as one job: real Kafka, real database, the mesh on the loopback.
//!
//! Whatever ends a process, all end in time and say why, and the next start, of any number of
//! processes, goes on exactly (`verify`).

use crate::common::browser::Browser;
use crate::common::job::Job;
use crate::common::proxy::Proxy;
use crate::common::{Running, Server, assert_ended};
use differential_dataflow::hashable::Hashable;
use nix::sys::signal::Signal;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Within so long every process has ended, whatever has happened to one of them.
const END: Duration = Duration::from_secs(15);
/// A machine with much else to do.
const PATIENCE: Duration = Duration::from_mins(2);

/// The processes of a cluster, each with one worker.
struct Cluster {
    processes: Vec<Running>,
    directory: tempfile::TempDir,
    hosts: Vec<String>,
}

impl Cluster {
    fn start(job: &Job, processes: usize, more: &[&str]) -> Self {
        let mut cluster = Cluster::of(processes);
        for process in 0..processes {
            cluster.add(job, process, more);
        }
        cluster
    }

    /// One without processes, so far.
    fn of(processes: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // All at once, so that no port is given twice.
        let ports: Vec<_> =
            (0..processes).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let hosts: Vec<_> =
            ports.iter().map(|port| port.local_addr().unwrap().to_string()).collect();
        Cluster { processes: Vec::new(), directory, hosts }
    }

    /// The same with a proxy between each two processes, in this order: 1 and 0, 2 and 0, 2 and 1.
    fn through_proxies(job: &Job, processes: usize) -> (Self, Vec<Proxy>) {
        let mut cluster = Cluster::of(processes);
        let (straight, mut proxies) = (cluster.hosts.clone(), Vec::new());
        for process in 0..processes {
            for (lower, host) in straight.iter().enumerate().take(process) {
                let proxy = Proxy::start(host);
                cluster.hosts[lower].clone_from(&proxy.address);
                proxies.push(proxy);
            }
            cluster.add(job, process, &[]);
            cluster.hosts.clone_from(&straight);
        }
        (cluster, proxies)
    }

    fn add(&mut self, job: &Job, process: usize, more: &[&str]) {
        let hosts = self.directory.path().join(format!("hosts-{}", self.processes.len()));
        std::fs::write(&hosts, self.hosts.join("\n")).unwrap();
        let (count, process) = (self.hosts.len().to_string(), process.to_string());
        let first = ["--workers", "1", "--processes", &count, "--process", &process];
        let log = File::create(self.log(self.processes.len())).unwrap();
        let mut command = job.command("run", &[&first[..], more].concat());
        command.arg("--hosts").arg(hosts).stdout(log.try_clone().unwrap()).stderr(log);
        self.processes.push(Running::start(&mut command));
    }

    fn log(&self, started: usize) -> std::path::PathBuf {
        self.directory.path().join(format!("log-{started}"))
    }

    fn said(&self, started: usize) -> String {
        std::fs::read_to_string(self.log(started)).unwrap()
    }

    /// Waits for one process: its exit code, and all that it said.
    fn end(&mut self, started: usize, within: Duration) -> (Option<i32>, String) {
        let since = Instant::now();
        loop {
            if let Some(status) = self.processes[started].0.try_wait().unwrap() {
                return (status.code(), self.said(started));
            }
            let said = self.said(started);
            assert!(since.elapsed() < within, "process {started} does not end:\n{said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// All of them have ended well.
    fn assert_done(&mut self) {
        for started in 0..self.processes.len() {
            let (code, said) = self.end(started, PATIENCE);
            assert_eq!(code, Some(0), "process {started}:\n{said}");
        }
    }

    /// All but one have ended in time, and said in one line of which process they are bereft.
    fn assert_bereft(&mut self, of: usize) {
        let since = Instant::now();
        for started in (0..self.processes.len()).filter(|started| *started != of) {
            let left = (END + Duration::from_secs(1)).saturating_sub(since.elapsed());
            let (code, said) = self.end(started, left);
            assert_eq!(code, Some(1), "process {started}:\n{said}");
            let line = said.lines().last().unwrap_or_default();
            // A second one may have ended meanwhile, and be missed first.
            let is_named = ["tweetflow: process ", "tweetflow: no heartbeat from process "]
                .iter()
                .any(|start| line.starts_with(start));
            assert!(is_named, "process {started}:\n{said}");
            assert_one_line(&said);
            println!("process {started} after {:?}: {line}", since.elapsed());
        }
    }

    /// One has ended by a panic of that thread and the others for want of it.
    fn assert_panicked(&mut self, process: usize, thread: &str) {
        let (code, said) = self.end(process, PATIENCE);
        assert_eq!(code, Some(1), "process {process}:\n{said}");
        let line = said.lines().last().unwrap_or_default();
        let start = format!("tweetflow: bug in {thread}");
        assert!(line.starts_with(&start), "process {process}, {thread}:\n{said}");
        assert_one_line(&said);
        println!("process {process}: {line}");
        self.assert_bereft(process);
    }
}

/// The reason of an end is said once.
fn assert_one_line(said: &str) {
    assert_eq!(said.matches("tweetflow: ").count(), 1, "{said}");
}

fn job(name: &str) -> Job {
    Job::new(Server::MariaDb, name)
}

// Where process 0 leaves something to the server: what a killed one had open, the claim of another.
// The others are about the processes alone, and on one server.
on_both_servers! {
    ; long: any_number_of_processes_makes_the_same_tables,
    a_process_that_is_killed_ends_all,
    a_fault_of_one_is_the_end_of_all,
}

fn produce(job: &Job, tweets: u64, seed: usize) {
    let (limit, seed) = (tweets.to_string(), seed.to_string());
    let arguments = ["--synthetic", "--limit", &limit, "--seed", &seed, "--partitions", "4"];
    job.done("produce", &arguments);
}

fn wait_for_records(job: &Job, cluster: &Cluster, records: u64) {
    let (mut sql, since) = (job.sql(), Instant::now());
    while sql.records_counted() < records {
        let said = || (0..cluster.processes.len()).map(|at| cluster.said(at)).collect::<Vec<_>>();
        assert!(since.elapsed() < PATIENCE, "{}", said().join("---\n"));
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn assert_equal(job: &Job, more: &[&str]) {
    assert_ended(job.verify(more), 0, &[]);
}

fn any_number_of_processes_makes_the_same_tables(server: Server) {
    let job = Job::new(server, "cluster_same");
    produce(&job, 3_000, 1);
    let mut tables = Vec::new();
    for processes in 1..=3 {
        let prefix = format!("of{processes}_");
        let more = ["--table-prefix", &prefix];
        Cluster::start(&job, processes, &[&more[..], &["--until-end"]].concat()).assert_done();
        assert_equal(&job, &more);
        tables.push(job.sql().recount_of(&prefix));
    }
    assert_eq!(tables[0], tables[1]);
    assert_eq!(tables[0], tables[2]);
    // And goes on from what another number has left.
    produce(&job, 1_000, 2);
    let more = ["--table-prefix", "of3_"];
    Cluster::start(&job, 2, &[&more[..], &["--until-end"]].concat()).assert_done();
    assert_equal(&job, &more);
    assert_ne!(job.sql().recount_of("of3_"), tables[2]);
}

#[test]
fn a_signal_to_one_or_to_all_stops_all() {
    let job = job("cluster_stop");
    for (round, signalled) in [&[0][..], &[1], &[2], &[0, 1, 2]].into_iter().enumerate() {
        produce(&job, 1_000, round);
        let mut cluster = Cluster::start(&job, 3, &[]);
        wait_for_records(&job, &cluster, 1_000 * (round as u64 + 1));
        for process in signalled {
            cluster.processes[*process].signal(Signal::SIGTERM);
        }
        cluster.assert_done();
        assert_equal(&job, &[]);
    }
}

fn a_process_that_is_killed_ends_all(server: Server) {
    let job = Job::new(server, "cluster_kill");
    for victim in 0..3 {
        produce(&job, 3_000, victim);
        let mut cluster = Cluster::start(&job, 3, &[]);
        // In the midst of it.
        wait_for_records(&job, &cluster, 3_000 * victim as u64 + 1);
        cluster.processes[victim].signal(Signal::SIGKILL);
        cluster.assert_bereft(victim);
    }
    Cluster::start(&job, 2, &["--until-end"]).assert_done();
    assert_eq!(job.sql().records_counted(), 9_000);
    assert_equal(&job, &[]);
}

#[test]
fn a_process_that_hangs_ends_all() {
    let job = job("cluster_hang");
    for victim in 0..3 {
        produce(&job, 1_000, victim);
        let mut cluster = Cluster::start(&job, 3, &[]);
        wait_for_records(&job, &cluster, 1_000 * (victim as u64 + 1));
        cluster.processes[victim].signal(Signal::SIGSTOP);
        cluster.assert_bereft(victim);
        // It finds the others gone, and a successor may have its tables already.
        cluster.processes[victim].signal(Signal::SIGCONT);
        assert_ended(cluster.end(victim, END), 1, &[]);
    }
    Cluster::start(&job, 3, &["--until-end"]).assert_done();
    assert_equal(&job, &[]);
}

#[test]
fn a_process_that_is_cut_off_ends_all() {
    let job = job("cluster_cut_off");
    for (victim, its) in [[0, 1], [0, 2], [1, 2]].into_iter().enumerate() {
        produce(&job, 1_000, victim);
        let (mut cluster, between) = Cluster::through_proxies(&job, 3);
        wait_for_records(&job, &cluster, 1_000 * (victim as u64 + 1));
        for proxy in its {
            between[proxy].hold();
        }
        // All are bereft, and the victim of both others.
        cluster.assert_bereft(3);
    }
    Cluster::start(&job, 3, &["--until-end"]).assert_done();
    assert_equal(&job, &[]);
}

fn a_fault_of_one_is_the_end_of_all(server: Server) {
    let job = Job::new(server, "cluster_fault");
    produce(&job, 1_000, 1);
    let mut cluster = Cluster::start(&job, 3, &[]);
    wait_for_records(&job, &cluster, 1_000);
    // Somebody else takes the tables: process 0 cannot commit any more.
    job.sql().run("UPDATE tweetflow_commit SET generation = generation + 1");
    produce(&job, 1_000, 2);
    for process in 0..3 {
        let (code, said) = cluster.end(process, END);
        assert_eq!(code, Some(1), "process {process}:\n{said}");
        assert_eq!(said.contains("process 0 at"), process != 0, "process {process}:\n{said}");
    }
    Cluster::start(&job, 2, &["--until-end"]).assert_done();
    assert_equal(&job, &[]);
}

/// No tweet makes such a row: one use more is more than a sum can hold.
#[test]
fn a_panic_of_a_worker_ends_all() {
    let job = job("cluster_worker");
    produce(&job, 3_000, 1);
    Cluster::start(&job, 2, &["--until-end"]).assert_done();
    let tags = "SELECT hashtag, uses FROM hashtags ORDER BY uses DESC LIMIT 50";
    let tags = job.sql().rows::<(String, u64)>(tags);
    for victim in 0..3_usize {
        let is_its =
            |(tag, _): &&(String, u64)| Box::<str>::from(&**tag).hashed() % 3 == victim as u64;
        let (tag, _) = tags.iter().find(is_its).expect("each worker counts some hashtags");
        let sql = format!("SELECT uses FROM hashtags WHERE hashtag = '{tag}'");
        let uses = job.sql().rows::<u64>(&sql)[0];
        let set = |number: u64| {
            job.sql().run(&format!("UPDATE hashtags SET uses = {number} WHERE hashtag = '{tag}'"));
        };
        set(i64::MAX.unsigned_abs());
        let mut cluster = Cluster::start(&job, 3, &[]);
        produce(&job, 3_000, 2 + victim);
        cluster.assert_panicked(victim, "timely:work");
        set(uses);
        Cluster::start(&job, 3, &["--until-end"]).assert_done();
        assert_equal(&job, &[]);
    }
}

/// After the greatest number there is none for a commit.
#[test]
fn a_panic_of_the_committer_ends_all() {
    let job = job("cluster_committer");
    produce(&job, 1_000, 1);
    Cluster::start(&job, 2, &["--until-end"]).assert_done();
    let commits = job.sql().rows::<u64>("SELECT commit_no FROM tweetflow_commit")[0];
    let set = |number: u64| {
        job.sql().run(&format!("UPDATE tweetflow_commit SET commit_no = {number}"));
    };
    set(u64::MAX);
    produce(&job, 1_000, 2);
    Cluster::start(&job, 3, &[]).assert_panicked(0, "committer");
    set(commits);
    Cluster::start(&job, 3, &["--until-end"]).assert_done();
    assert_equal(&job, &[]);
}

/// A message on the mesh for a worker that there is not: the thread that reads it panics.
#[test]
fn a_panic_of_a_receive_thread_ends_all() {
    let job = job("cluster_receive");
    // Channel, source, first and last target, length, sequence number, and a word of eight bytes.
    let message = [0, 0, 1_000, 1_001, 8, 0, 0].map(u64::to_be_bytes).concat();
    for victim in 0..3 {
        produce(&job, 1_000, victim);
        let (mut cluster, between) = Cluster::through_proxies(&job, 3);
        wait_for_records(&job, &cluster, 1_000 * (victim as u64 + 1));
        match victim {
            0 => between[0].say_to_server(&message),
            _ => between[victim - 1].say_to_client(&message),
        }
        cluster.assert_panicked(victim, "timely:recv");
    }
    Cluster::start(&job, 3, &["--until-end"]).assert_done();
    assert_equal(&job, &[]);
}

#[test]
fn strangers_and_other_settings_are_refused() {
    let job = job("cluster_refuse");
    produce(&job, 500, 1);
    let mut cluster = Cluster::of(2);
    cluster.add(&job, 0, &["--until-end"]);
    let since = Instant::now();
    let mut stranger = loop {
        match TcpStream::connect(&cluster.hosts[0]) {
            Ok(stream) => break stream,
            Err(error) => assert!(since.elapsed() < PATIENCE, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    cluster.add(&job, 1, &["--until-end", "--require-location"]);
    let sentence = "process 1 has settings require_location=true, process 0 has settings \
                    require_location=false";
    assert_ended(cluster.end(1, PATIENCE), 2, &[sentence]);
    cluster.add(&job, 1, &["--until-end"]);
    for started in [0, 2] {
        assert_ended(cluster.end(started, PATIENCE), 0, &[]);
    }
    let said = cluster.said(0);
    assert!(said.contains(sentence), "{said}");
    assert!(said.contains("does not speak as a process of a tweetflow cluster"), "{said}");
    assert_equal(&job, &[]);
}

/// Where a process's own server listens.
fn address(cluster: &Cluster, process: usize) -> String {
    let said = cluster.said(process);
    let (_, rest) = said.split_once("the live page: http://").unwrap();
    rest.split_once('/').unwrap().0.to_owned()
}

/// The body of its answer.
fn get(cluster: &Cluster, process: usize, path: &str) -> String {
    let address = address(cluster, process);
    let mut stream = TcpStream::connect(&address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn every_process_says_what_it_is() {
    let job = job("cluster_look");
    produce(&job, 1_000, 1);
    let mut cluster = Cluster::start(&job, 3, &["--listen", "0"]);
    wait_for_records(&job, &cluster, 1_000);
    let since = Instant::now();
    let wait_for = |what: &dyn Fn() -> Result<(), String>| {
        while let Err(said) = what() {
            assert!(since.elapsed() < PATIENCE, "{said}");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    // Each second the processes say what they have read, each on its own.
    wait_for(&|| {
        let state = get(&cluster, 0, "/api/v1/state");
        if state.contains(r#""total":1000"#) { Ok(()) } else { Err(state) }
    });
    // Partitions 0 and 3 are worker 0's.
    for (process, partitions) in [2, 1, 1].into_iter().enumerate() {
        let ready = get(&cluster, process, "/readyz");
        let text = format!("ready: process {process} of 3, reading {partitions} partitions");
        assert!(ready.contains(&text), "{ready}");
        wait_for(&|| {
            let metrics = get(&cluster, process, "/metrics");
            let read =
                metrics.lines().filter(|line| line.starts_with("tweetflow_process_records{"));
            let read = read.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap());
            if (read.sum::<f64>() - 1_000.0).abs() < 0.5 { Ok(()) } else { Err(metrics) }
        });
    }
    let mut browser = Browser::start();
    browser.open(&format!("http://{}/", address(&cluster, 0)));
    let row = |index: usize| {
        let row = format!("document.getElementById('processes').children[{index}]");
        format!("[...({row}?.children ?? [])].map((cell) => cell.textContent).join(' ')")
    };
    for (process, partitions) in ["0, 3", "1", "2"].into_iter().enumerate() {
        let start = format!("{process} {} {partitions} ", cluster.hosts[process]);
        browser.until(&format!("({}).startsWith({start:?})", row(process)));
        let heard = if process == 0 { "this one" } else { "just now" };
        browser.until(&format!("({}).includes({heard:?})", row(process)));
    }
    assert_eq!(browser.complaints, Vec::<String>::new());
    cluster.processes[0].signal(Signal::SIGTERM);
    cluster.assert_done();
}

#[test]
fn a_process_that_does_not_come_is_named() {
    let job = job("cluster_missing");
    produce(&job, 10, 1);
    let mut cluster = Cluster::of(2);
    cluster.add(&job, 0, &[]);
    let said = assert_ended(cluster.end(0, PATIENCE), 1, &[]);
    let line = format!("process 1 at {} did not come within 30 s", cluster.hosts[1]);
    assert!(said.contains(&line), "{said}");
    // The tables were left alone.
    assert!(!job.sql().has_table("tweetflow_commit"));
}

//! A database that takes connections and answers nothing: `/readyz` tells in seconds, a
//! signal ends the program in seconds, and what was counted stays exact.

use crate::common::own::OwnServer;
use crate::common::proxy::proxied;
use crate::common::{Running, Server, Sql, program};
use nix::sys::signal::Signal;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

on_both_servers! {
    a_copy_that_waits_ends_when_it_is_asked;
    long: a_stopped_server_is_noticed_and_not_waited_for,
    verify_ends_although_nothing_answers,
}

const SOON: Duration = Duration::from_mins(1);
/// What operating.md says of `/readyz` and of a signal.
const NOTICED: Duration = Duration::from_secs(10);

fn append(folder: &Path, tweets: std::ops::Range<u64>) {
    let line = |id| format!(r#"{{"id":{id},"text":"x #a","user":{{"id":1,"name":"n"}}}}"#) + "\n";
    let mut file = std::fs::OpenOptions::new();
    let mut file = file.create(true).append(true).open(folder.join("a.jsonl")).unwrap();
    file.write_all(tweets.map(line).collect::<String>().as_bytes()).unwrap();
}

/// The program's command on a folder of tweets.
fn command(name: &str, folder: &Path, database: &str, more: &[&str]) -> std::process::Command {
    let folder = folder.to_str().unwrap();
    let first = [name, "--files", folder, "--topic", "t"];
    program(&[&first[..], more].concat(), database)
}

/// Whether the job on `port` says that it is ready.
fn is_ready(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut answer = String::new();
    let ask =
        format!("GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).unwrap();
    let _ = stream.read_to_string(&mut answer);
    answer.starts_with("HTTP/1.1 200")
}

fn wait_until(limit: Duration, about: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !is_so() {
        assert!(Instant::now() < deadline, "{about}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn ends(running: &mut Running, limit: Duration, about: &str) -> ExitStatus {
    let mut status = None;
    wait_until(limit, about, || {
        status = running.0.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

fn a_stopped_server_is_noticed_and_not_waited_for(server: Server) {
    let (own, folder) = (OwnServer::start(server), tempfile::tempdir().unwrap());
    append(folder.path(), 1..100);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("127.0.0.1:{port}");
    let mut run = command("run", folder.path(), &own.url, &["--listen", &listen]);
    let mut job = Running::start(run.stdout(Stdio::null()).stderr(Stdio::piped()));
    wait_until(SOON, "ready", || is_ready(port));
    wait_until(SOON, "counted", || {
        Sql::connect(&own.url).rows::<u64>("SELECT uses FROM hashtags") == [99]
    });

    // It is idle: nobody sends it anything but the job's own question.
    own.signal(Signal::SIGSTOP);
    wait_until(NOTICED, "not ready", || !is_ready(port));
    own.signal(Signal::SIGCONT);
    wait_until(SOON, "ready again", || is_ready(port));

    own.signal(Signal::SIGSTOP);
    append(folder.path(), 100..200);
    std::thread::sleep(Duration::from_millis(1500));
    job.signal(Signal::SIGTERM);
    let status = ends(&mut job, NOTICED, "the end after SIGTERM");
    let mut said = String::new();
    job.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("stopped while the database did not answer"), "{said}");
    own.signal(Signal::SIGCONT);

    let done = command("run", folder.path(), &own.url, &["--until-end"]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(Sql::connect(&own.url).rows::<u64>("SELECT uses FROM hashtags"), [199]);
}

/// A proxy that holds everything; and the program gets a signal to stop while it reads the tables.
fn verify_ends_although_nothing_answers(server: Server) {
    let database = server.fresh_database("hangs_verify");
    let (proxy, url) = proxied(&database);
    let folder = tempfile::tempdir().unwrap();
    append(folder.path(), 1..10);
    assert!(command("run", folder.path(), &url, &["--until-end"]).status().unwrap().success());
    proxy.hold();
    let mut verify = command("verify", folder.path(), &url, &[]);
    let mut verify = Running::start(verify.stdout(Stdio::null()).stderr(Stdio::null()));
    std::thread::sleep(Duration::from_millis(1500));
    verify.signal(Signal::SIGTERM);
    assert_eq!(ends(&mut verify, NOTICED, "the end of verify").code(), Some(1));
}

fn a_copy_that_waits_ends_when_it_is_asked(server: Server) {
    let database = server.fresh_database("hangs_waits");
    let folder = tempfile::tempdir().unwrap();
    append(folder.path(), 1..10);
    let start = || {
        let mut run = command("run", folder.path(), &database, &[]);
        Running::start(run.stdout(Stdio::null()).stderr(Stdio::piped()))
    };
    let _first = start();
    let mut sql = Sql::connect(&database);
    wait_until(SOON, "counted", || sql.records_counted() > 0);
    let mut second = start();
    let mut lines = BufReader::new(second.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("another process holds the job")));
    second.signal(Signal::SIGTERM);
    assert_eq!(ends(&mut second, NOTICED, "the end of the copy that waits").code(), Some(0));
}

/// Another process is in a transaction that does not end.
#[test]
fn a_file_of_tables_that_is_busy_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (tweets, tables) = (folder.path().join("tweets"), folder.path().join("tables.sqlite"));
    std::fs::create_dir(&tweets).unwrap();
    append(&tweets, 1..10);
    let database = format!("sqlite:{}", tables.display());
    let mut run = command("run", &tweets, &database, &[]);
    let mut job = Running::start(run.stdout(Stdio::null()).stderr(Stdio::null()));
    let other = || rusqlite::Connection::open(&tables).unwrap();
    let uses = || other().query_row("SELECT uses FROM hashtags", [], |row| row.get::<_, i64>(0));
    wait_until(SOON, "counted", || tables.exists() && uses().is_ok_and(|uses| uses == 9));
    let busy = other();
    busy.execute_batch("BEGIN IMMEDIATE").unwrap();
    append(&tweets, 10..20);
    std::thread::sleep(Duration::from_millis(1500));
    job.signal(Signal::SIGTERM);
    assert_eq!(ends(&mut job, NOTICED, "the end after SIGTERM").code(), Some(1));
    busy.execute_batch("ROLLBACK").unwrap();
    assert!(command("run", &tweets, &database, &["--until-end"]).status().unwrap().success());
    assert_eq!(uses().unwrap(), 19);
}

//! Meshes of threads on the loopback.

use super::{Mesh, MeshError, join};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use types::settings::Cluster;

fn hosts(processes: usize) -> Vec<String> {
    // All at once, so that no port is given twice.
    let listeners: Vec<_> =
        (0..processes).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect()
}

fn process(
    hosts: &[String],
    process: usize,
    patience_ms: u64,
    settings: &str,
    stop: &Arc<AtomicBool>,
) -> JoinHandle<Result<Mesh, MeshError>> {
    let patience = Duration::from_millis(patience_ms);
    let cluster = Cluster { process, hosts: hosts.to_vec(), patience };
    let (settings, stop) = (settings.to_owned(), Arc::clone(stop));
    std::thread::spawn(move || join(&cluster, 2, settings, &stop))
}

fn fault(thread: JoinHandle<Result<Mesh, MeshError>>) -> String {
    thread.join().unwrap().err().expect("there is no mesh").to_string()
}

#[test]
fn strangers_stop_nothing() {
    let (hosts, stop) = (hosts(3), Arc::default());
    let first = process(&hosts, 0, 10_000, "a=1", &stop);
    let connect = || {
        (0..100)
            .find_map(|_| {
                std::thread::sleep(Duration::from_millis(20));
                TcpStream::connect(&hosts[0]).ok()
            })
            .unwrap()
    };
    let _silent = connect();
    let mut browser = connect();
    browser.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut said = [0; 10];
    browser.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"tweetflow:");
    let others = [1, 2].map(|index| process(&hosts, index, 10_000, "a=1", &stop));
    for thread in [first].into_iter().chain(others) {
        let mesh = thread.join().unwrap().unwrap();
        let links = mesh.links.iter().filter(|link| link.is_some()).count();
        assert_eq!(links, 2);
    }
}

/// However many strangers call, few threads hear them, and the processes come together.
#[test]
fn strangers_are_heard_by_few_threads() {
    let (hosts, stop) = (hosts(2), Arc::default());
    let first = process(&hosts, 0, 20_000, "a=1", &stop);
    let connect = || {
        (0..100)
            .find_map(|_| {
                let stream = TcpStream::connect(&hosts[0]).ok();
                if stream.is_none() {
                    std::thread::sleep(Duration::from_millis(20));
                }
                stream
            })
            .unwrap()
    };
    let silent: Vec<_> = (0..200).map(|_| connect()).collect();
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")));
        names.filter(|name| name.as_ref().is_ok_and(|name| name == "mesh\n")).count()
    };
    std::thread::sleep(Duration::from_millis(500));
    // Those of other tests among them.
    assert!(threads() < super::CALLERS + 20, "{}", threads());
    let second = process(&hosts, 1, 20_000, "a=1", &stop);
    assert!(first.join().unwrap().is_ok() && second.join().unwrap().is_ok());
    drop(silent);
}

#[test]
fn who_is_missing_is_named() {
    let (hosts, stop) = (hosts(3), Arc::default());
    let threads = [0, 2].map(|index| process(&hosts, index, 1_000, "a=1", &stop));
    for thread in threads {
        let text = fault(thread);
        assert!(text.starts_with(&format!("process 1 at {}", hosts[1])), "{text}");
    }
}

#[test]
fn other_settings_are_refused_on_both_sides() {
    let (hosts, stop) = (hosts(2), Arc::default());
    let first = process(&hosts, 0, 3_000, "a=1 b=2", &stop);
    let text = fault(process(&hosts, 1, 3_000, "a=1 b=3", &stop));
    assert!(text.contains("process 1 has settings b=3, process 0 has settings b=2"), "{text}");
    // The other one goes on waiting for one that fits.
    let second = process(&hosts, 1, 3_000, "a=1 b=2", &stop);
    assert!(first.join().unwrap().is_ok() && second.join().unwrap().is_ok());
}

#[test]
fn a_stop_ends_the_waiting() {
    let (hosts, stop) = (hosts(2), Arc::<AtomicBool>::default());
    let threads = [0, 1].map(|index| process(&hosts, index, 60_000, &format!("a={index}"), &stop));
    std::thread::sleep(Duration::from_millis(200));
    stop.store(true, Ordering::Relaxed);
    let [first, _] = threads.map(fault);
    assert_eq!(first, "stopped during the start");
}

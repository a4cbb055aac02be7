//! A proxy between the program and the server that does not pass settings on as they are.

use crate::common::Server;
use crate::{block_on, identity, on_both_servers};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use tweetflow::sink::mysql::MySqlSink;
use tweetflow::sink::{Sink, SinkError};

on_both_servers! {
    a_setting_that_does_not_reach_the_server_is_refused,
}

/// A proxy in front of the server of `url` that puts `to` for `from`, of the same length, into what
/// the client says; its URL. It lives as long as the test's process.
fn proxy(url: &str, from: &'static str, to: &'static str) -> String {
    assert_eq!(from.len(), to.len());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (account, place) = url.rsplit_once('@').unwrap();
    let (server, database) = place.split_once('/').unwrap();
    let (own, server) = (listener.local_addr().unwrap(), server.to_owned());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
            let (answers, asked) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || copy(answers, asked, b"", b""));
            std::thread::spawn(move || copy(client, server, from.as_bytes(), to.as_bytes()));
        }
    });
    format!("{account}@{own}/{database}")
}

/// Statements of a session's set-up are far smaller than the buffer, hence come in one piece.
fn copy(mut input: TcpStream, mut output: TcpStream, from: &[u8], to: &[u8]) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = input.read(&mut buffer) {
        let bytes = &mut buffer[..length];
        let at = bytes.windows(from.len().max(1)).position(|window| window == from);
        if let Some(at) = at {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
        if output.write_all(bytes).is_err() {
            break;
        }
    }
}

fn a_setting_that_does_not_reach_the_server_is_refused(server: Server) {
    let url = server.fresh_database("proxy");
    let claim = |url: &str| block_on(MySqlSink::new(url).unwrap().claim(&identity()));
    for (from, to, says) in [
        ("time_zone='+00:00'", "time_zone='+05:00'", "keeps time_zone at \"+05:00\""),
        ("NO_ENGINE_SUBSTITUTION", "NO_BACKSLASH_ESCAPES,,", "NO_BACKSLASH_ESCAPES"),
        ("SET NAMES utf8mb4", "SET NAMES latin1 ", "keeps character_set_client at \"latin1\""),
        ("wait_timeout=60", "wait_timeout=99", "keeps wait_timeout at \"99\""),
    ] {
        let error = claim(&proxy(&url, from, to)).unwrap_err();
        assert!(matches!(error, SinkError::Session { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    claim(&proxy(&url, "never said", "never said")).unwrap();
}

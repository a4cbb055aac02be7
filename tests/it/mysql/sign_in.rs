//! What a server may ask for before it answers: each way to sign in works or is an error in words,
//! never a panic. And addresses of both families.

use super::{block_on, identity};
use crate::common::Server;
use sink::mysql::MySqlSink;
use sink::{Sink, SinkError};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// Of the password `least` and the nonce 1, 2, … 32, as MariaDB's plugin defines it; computed by
/// another program.
const SIGNATURE: &str = "1ed70728bbe3073b027cd399c341775b6b0b9f40ac00e235d874418bf2a6a57698ade2b1c9468417f489238cf195aaa7c3a51d0731c513bc56e42e255d241002";

fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
    [&length[..3], &[number], payload].concat()
}

fn read_packet(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).ok()?;
    let mut payload = vec![0; u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize];
    stream.read_exact(&mut payload).ok()?;
    Some(payload)
}

fn greeting() -> Vec<u8> {
    let mut payload = b"\x0a10.11.6-MariaDB\0\x07\0\0\0".to_vec();
    payload.extend(b"12345678\0");
    // Protocol 41, secure connection, plugins, connecting with a database.
    let capabilities = (1_u32 | 1 << 3 | 1 << 9 | 1 << 15 | 1 << 19).to_le_bytes();
    payload.extend(&capabilities[..2]);
    payload.extend(b"\x2d\x02\0");
    payload.extend(&capabilities[2..]);
    payload.push(21);
    payload.extend([0; 10]);
    payload.extend(b"123456789012\0mysql_native_password\0");
    packet(0, &payload)
}

/// A server that asks for `plugin` with `nonce`, then says `more`; it refuses an
/// answer with 1045, and the one that is `wanted` with 4711. Returns its port.
fn asks_for(plugin: &'static str, nonce: Vec<u8>, more: &'static [u8], wanted: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut serve = || -> Option<()> {
            stream.write_all(&greeting()).ok()?;
            read_packet(&mut stream)?;
            let ask = [b"\xfe", plugin.as_bytes(), b"\0", &nonce[..], b"\0"].concat();
            stream.write_all(&packet(2, &ask)).ok()?;
            let answer = read_packet(&mut stream)?;
            let mut number = 4;
            if !more.is_empty() {
                stream.write_all(&packet(number, more)).ok()?;
                read_packet(&mut stream)?;
                number += 2;
            }
            let code: u16 = if answer == wanted { 4711 } else { 1045 };
            let refusal = [b"\xff", &code.to_le_bytes()[..], b"#28000so it is"].concat();
            stream.write_all(&packet(number, &refusal)).ok()
        };
        serve();
    });
    port
}

fn claim(port: u16) -> SinkError {
    let url = format!("mysql://tester:least@127.0.0.1:{port}/data");
    block_on(MySqlSink::new(&url).unwrap().claim(&identity())).unwrap_err()
}

#[test]
fn an_account_that_signs_with_ed25519_is_known() {
    let bytes = |at: usize| u8::from_str_radix(&SIGNATURE[at..at + 2], 16).unwrap();
    let wanted = (0..SIGNATURE.len()).step_by(2).map(bytes).collect();
    let error = claim(asks_for("client_ed25519", (1..=32).collect(), b"", wanted));
    assert!(matches!(error, SinkError::Server { code: 4711, .. }), "{error}");
}

/// With garbage behind it where the way has a second step.
#[test]
fn no_way_to_sign_in_is_a_panic() {
    let salt = b"\x01P\x00123456789012345678";
    for (plugin, nonce, more) in [
        ("parsec", &[7; 32][..], &salt[..]),
        ("parsec", &[], &salt[..]),
        ("dialog", b"Password: ", b""),
        ("mysql_clear_password", b"", b""),
        ("mysql_old_password", b"", b""),
        ("caching_sha2_password", b"", b"\x01\x04"),
        ("auth_gssapi_client", b"", b""),
    ] {
        let error = claim(asks_for(plugin, nonce.to_vec(), more, b"?".to_vec()));
        let is_told = matches!(
            error,
            SinkError::SignIn { .. } | SinkError::Unreachable { .. } | SinkError::Server { .. }
        );
        assert!(is_told, "{plugin}: {error:?}");
        if plugin == "dialog" || plugin == "parsec" && !nonce.is_empty() {
            assert!(error.to_string().contains("a way to sign in"), "{plugin}: {error}");
        }
    }
}

/// A relay: servers of tests listen on IPv4.
#[test]
fn an_address_may_be_of_ipv6() {
    let url = Server::MariaDb.fresh_database("ipv6");
    let (account, place) = url.rsplit_once('@').unwrap();
    let (server, database) = place.split_once('/').unwrap();
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = server.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(&server).unwrap();
            let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut &client, &mut &server));
            std::thread::spawn(move || std::io::copy(&mut &back.0, &mut &back.1));
        }
    });
    let sink = MySqlSink::new(&format!("{account}@[::1]:{port}/{database}"));
    let mut sink = sink.unwrap();
    assert!(sink.description().ends_with(&format!("at [::1]:{port}")), "{}", sink.description());
    assert_eq!(block_on(sink.claim(&identity())).unwrap().generation, 1);
}

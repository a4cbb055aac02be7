//! A server that behaves like the services, with all their faults, for tests.
//!
//! Plain sockets and threads: what is sent, in which pieces, and how a connection ends is in the
//! hands of the test; a library would send what is whole. Each connection carries one request. It
//! counts the requests and keeps what they said.

// Not every test uses all of it.
#![allow(dead_code)]

pub(crate) mod faulty;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// `GET`.
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// All header lines, names in small letters.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: String,
    /// Which request of this server it is, from 0.
    pub(crate) number: usize,
    /// When it came.
    pub(crate) at: Instant,
}

impl Request {
    /// A header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter of the query, as it stands there.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let (_, query) = self.path.split_once('?')?;
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

/// The way back to a client. Sending fails when the client is gone.
pub(crate) struct Connection {
    stream: TcpStream,
    ended: Arc<AtomicBool>,
}

impl Connection {
    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Sends each byte in a packet of its own.
    pub(crate) fn trickle(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        bytes.iter().try_for_each(|byte| self.send(&[*byte]))
    }

    /// The head of a stream with a body in chunks.
    pub(crate) fn head(&mut self, form: &str) -> std::io::Result<()> {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {form}\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        self.send(head.as_bytes())
    }

    /// A part of the body.
    pub(crate) fn chunk(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.send(&chunk(bytes))
    }

    /// The regular end of a body in chunks.
    pub(crate) fn end(&mut self) -> std::io::Result<()> {
        self.send(b"0\r\n\r\n")
    }

    /// Accepts a web socket.
    pub(crate) fn upgrade(&mut self, request: &Request) -> std::io::Result<()> {
        let key = request.header("sec-websocket-key").unwrap_or_default();
        let accepted = tungstenite::handshake::derive_accept_key(key.as_bytes());
        let protocol = request.header("sec-websocket-protocol");
        let protocol = protocol.map(|protocol| format!("Sec-WebSocket-Protocol: {protocol}\r\n"));
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accepted}\r\n{}\r\n",
            protocol.unwrap_or_default()
        );
        self.send(head.as_bytes())
    }

    /// A whole reply.
    pub(crate) fn reply(&mut self, status: u16, headers: &str, body: &str) -> std::io::Result<()> {
        let form = if body.starts_with('<') { "text/html" } else { "application/json" };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} Some\r\nContent-Type: {form}\r\nContent-Length: {length}\r\n\
             {headers}\r\n"
        );
        self.send(head.as_bytes())?;
        self.send(body.as_bytes())
    }

    /// Waits; fails when the client closes or the server ends meanwhile.
    pub(crate) fn wait(&mut self, time: Duration) -> std::io::Result<()> {
        let deadline = Instant::now() + time;
        while !self.ended.load(Ordering::Relaxed) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let slice = left.min(Duration::from_millis(20));
            self.stream.set_read_timeout(Some(slice.max(Duration::from_millis(1))))?;
            match self.stream.read(&mut [0; 256]) {
                Ok(0) => return Err(ErrorKind::ConnectionReset.into()),
                Ok(_) => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::ConnectionAborted.into())
    }

    /// Waits until the client closes.
    pub(crate) fn silence(&mut self) -> std::io::Result<()> {
        self.wait(Duration::from_hours(1))
    }

    /// Reads what the client sends.
    pub(crate) fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.stream.read(bytes)
    }
}

/// A frame of a web socket, as a server sends it: text is 1, binary 2, close 8, ping 9.
pub(crate) fn frame(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | kind];
    match bytes.len() {
        length @ 0..=125 => frame.push(u8::try_from(length).unwrap()),
        length @ 126..=0xFFFF => {
            frame.push(126);
            frame.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(bytes);
    frame
}

/// A part of a body in chunks, with its frame.
pub(crate) fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// A server on a port of its own, until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    ended: Arc<AtomicBool>,
}

impl Server {
    /// Answers each request by `answer`, on a thread of its own.
    pub(crate) fn start(
        answer: impl Fn(&Request, &mut Connection) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, ended): (Arc<Mutex<Vec<Request>>>, Arc<AtomicBool>) = Default::default();
        let server = Self { address, requests: requests.clone(), ended: ended.clone() };
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (answer, ended, requests) = (answer.clone(), ended.clone(), requests.clone());
                std::thread::spawn(move || {
                    let Ok(mut stream) = stream else { return };
                    let _ = stream.set_nodelay(true);
                    let Some(mut request) = read(&mut stream) else { return };
                    {
                        let mut requests = requests.lock().unwrap();
                        request.number = requests.len();
                        requests.push(request.clone());
                    }
                    // The client may be gone.
                    drop(answer(&request, &mut Connection { stream, ended }));
                });
            }
        });
        server
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `ws://127.0.0.1:PORT`
    pub(crate) fn web_socket_url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// All requests until now.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the listener.
        drop(TcpStream::connect(self.address));
    }
}

fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, length)| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).ok()?;
    Some(Request { method, path, headers, body, number: 0, at: Instant::now() })
}

/// Now, in Unix milliseconds.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

/// What a service has published, each event with its time. It grows while clients come and go.
#[derive(Default)]
pub(crate) struct Feed(Mutex<Vec<(u64, Arc<Vec<u8>>)>>);

impl Feed {
    /// Publishes an event.
    pub(crate) fn publish(&self, event: Vec<u8>) {
        self.0.lock().unwrap().push((now_ms(), Arc::new(event)));
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Events from one on.
    pub(crate) fn from(&self, index: usize) -> Vec<(u64, Arc<Vec<u8>>)> {
        self.0.lock().unwrap()[index..].to_vec()
    }
}

/// Publishes events at a steady pace, until it is dropped.
pub(crate) struct Publisher(Arc<AtomicBool>);

impl Publisher {
    /// Publishes what `event` makes of 0, 1, 2, …
    pub(crate) fn start(
        feed: &Arc<Feed>,
        event: impl Fn(usize) -> String + Send + 'static,
    ) -> Self {
        Self::paced(feed, Duration::from_micros(1_500), event)
    }

    /// Publishes one event in a time.
    pub(crate) fn paced(
        feed: &Arc<Feed>,
        pace: Duration,
        event: impl Fn(usize) -> String + Send + 'static,
    ) -> Self {
        let (feed, ended) = (feed.clone(), Arc::<AtomicBool>::default());
        let publisher = Self(ended.clone());
        std::thread::spawn(move || {
            for number in (0..).take_while(|_| !ended.load(Ordering::Relaxed)) {
                feed.publish(event(number).into_bytes());
                std::thread::sleep(pace);
            }
        });
        publisher
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What went wrong between what was published and what was received: an event that is missing
/// although no gap covers its time, one that is there twice, one that was never published.
pub(crate) fn differences(
    published: &[(u64, Arc<Vec<u8>>)],
    received: &[Vec<u8>],
    gaps: &[(u64, u64)],
) -> Vec<String> {
    let mut counts = std::collections::HashMap::<&[u8], usize>::new();
    for record in received {
        *counts.entry(record).or_default() += 1;
    }
    let mut differences = Vec::new();
    for (time, event) in published {
        let count = counts.remove(&event[..]).unwrap_or(0);
        let is_covered = gaps.iter().any(|(from, to)| (from..=to).contains(&time));
        if count > 1 || count == 0 && !is_covered {
            let event = String::from_utf8_lossy(&event[..event.len().min(80)]);
            differences.push(format!("{count} times: {time} {event}"));
        }
    }
    let strange =
        counts.keys().map(|record| String::from_utf8_lossy(&record[..record.len().min(200)]));
    differences.extend(strange.map(|record| format!("never published: {record}")));
    differences
}

/// Numbers that look random, the same for each seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below another.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % bound.max(1) as u64).unwrap()
    }
}

//! A TCP proxy that a test can cut, hold, slow down, or cut at one request.
//!
//! It knows no protocol: a scenario gives it a look at each piece that a client sends. Whatever
//! goes wrong on a connection closes both of its ends, as a real network would.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What becomes of a piece that a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is passed on.
    Pass,
    /// Both ends are closed; the server never sees it.
    CutBefore,
    /// The server gets it, and this long to act on it; the client never gets the answer.
    CutAnswer(Duration),
}

type Look = Box<dyn FnMut(&[u8]) -> Verdict + Send>;

#[derive(Default)]
struct State {
    is_cut: bool,
    is_held: bool,
    delay: Duration,
    look: Option<Look>,
    /// Of each connection the client's end, then the server's.
    open: Vec<TcpStream>,
    connections: u64,
    /// When a piece was passed on.
    last: Option<Instant>,
}

/// A proxy in front of one server. It ends with the test's process.
pub(crate) struct Proxy {
    /// Where clients connect to, `127.0.0.1:PORT`.
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    /// Passes everything on to `server` (`host:port`) until told otherwise.
    pub(crate) fn start(server: &str) -> Self {
        Proxy::listen(TcpListener::bind("127.0.0.1:0").unwrap(), server)
    }

    /// The same on a listener that stands already, where the address must be known before the
    /// server (a broker announces it).
    pub(crate) fn listen(listener: TcpListener, server: &str) -> Self {
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::<Mutex<State>>::default();
        let (shared, server) = (Arc::clone(&state), server.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                connect(client, &server, &shared);
            }
        });
        Proxy { address, state }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    /// Closes all connections and refuses new ones.
    pub(crate) fn cut(&self) {
        self.change(|state| {
            state.is_cut = true;
            state.close_all();
        });
    }

    /// Closes all connections; new ones are welcome.
    pub(crate) fn break_once(&self) {
        self.change(State::close_all);
    }

    /// Connections stay open, nothing passes in either direction: a black hole.
    pub(crate) fn hold(&self) {
        self.change(|state| state.is_held = true);
    }

    /// Ends `cut`, `hold`, `delay` and `look`. What was held goes on.
    pub(crate) fn mend(&self) {
        self.change(|state| {
            (state.is_cut, state.is_held, state.delay) = (false, false, Duration::ZERO);
            state.look = None;
        });
    }

    /// Each piece is that long on its way, in either direction; many are at once.
    pub(crate) fn delay(&self, delay: Duration) {
        self.change(|state| state.delay = delay);
    }

    /// Shows `look` each piece that a client sends.
    pub(crate) fn look(&self, look: impl FnMut(&[u8]) -> Verdict + Send + 'static) {
        self.change(|state| state.look = Some(Box::new(look)));
    }

    /// Says something to the client of the first connection, in its server's name.
    pub(crate) fn say_to_client(&self, bytes: &[u8]) {
        self.say(0, bytes);
    }

    /// Says something to the server of the first connection, in its client's name.
    pub(crate) fn say_to_server(&self, bytes: &[u8]) {
        self.say(1, bytes);
    }

    /// In a silence: not amidst what another says.
    fn say(&self, end: usize, bytes: &[u8]) {
        loop {
            let state = self.state.lock().unwrap();
            if state.last.is_none_or(|last| last.elapsed() > Duration::from_millis(50)) {
                return (&state.open[end]).write_all(bytes).unwrap();
            }
            drop(state);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> u64 {
        self.state.lock().unwrap().connections
    }
}

/// A proxy in front of the server of `url`, and the URL through it.
pub(crate) fn proxied(url: &str) -> (Proxy, String) {
    let (account, place) = url.rsplit_once('@').unwrap();
    let (server, database) = place.split_once('/').unwrap();
    let proxy = Proxy::start(server);
    let through = format!("{account}@{}/{database}", proxy.address);
    (proxy, through)
}

impl State {
    fn close_all(&mut self) {
        for stream in self.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn connect(client: TcpStream, server: &str, shared: &Arc<Mutex<State>>) {
    let mut state = shared.lock().unwrap();
    let (false, Ok(server)) = (state.is_cut, TcpStream::connect(server)) else {
        let _ = client.shutdown(Shutdown::Both);
        return;
    };
    let (_, _) = (client.set_nodelay(true), server.set_nodelay(true));
    state.connections += 1;
    for stream in [&client, &server] {
        state.open.push(stream.try_clone().unwrap());
    }
    drop(state);
    let copies = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (up, down) = (Arc::clone(shared), Arc::clone(shared));
    std::thread::spawn(move || pass(client, server, &up, true));
    std::thread::spawn(move || pass(copies.1, copies.0, &down, false));
}

/// A piece that was read, and the moment at which it is passed on.
type Piece = (Instant, Vec<u8>);

/// Passes on until one end closes; then both are closed.
fn pass(mut from: TcpStream, to: TcpStream, shared: &Arc<Mutex<State>>, is_request: bool) {
    // The writer is a thread of its own: a delay is a long way, on which many pieces are at once,
    // and not a narrow one (which the pieces' size, a matter of chance, would make narrower).
    let (sender, pieces) = sync_channel(256);
    let ends = [from.try_clone().unwrap(), to.try_clone().unwrap()];
    let of_writer = Arc::clone(shared);
    let writer = std::thread::spawn(move || write(&pieces, to, ends, &of_writer));
    let mut piece = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        let (verdict, delay) = {
            let mut state = shared.lock().unwrap();
            state.last = Some(Instant::now());
            let look = state.look.as_mut().filter(|_| is_request);
            let verdict = look.map_or(Verdict::Pass, |look| look(&piece[..length]));
            (verdict, state.delay)
        };
        if verdict == Verdict::CutBefore {
            break;
        }
        if matches!(verdict, Verdict::CutAnswer(_)) {
            // The other direction ends here: its writes to the client fail from now on.
            let _ = from.shutdown(Shutdown::Both);
        }
        if sender.send((Instant::now() + delay, piece[..length].to_vec())).is_err() {
            break;
        }
        if let Verdict::CutAnswer(time) = verdict {
            std::thread::sleep(time);
            break;
        }
    }
    drop(sender);
    let _ = writer.join();
}

/// Writes each piece when its time has come, and closes `ends` when there are no more.
fn write(pieces: &Receiver<Piece>, mut to: TcpStream, ends: [TcpStream; 2], shared: &Mutex<State>) {
    for (due, piece) in pieces {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        while shared.lock().unwrap().is_held {
            std::thread::sleep(Duration::from_millis(5));
        }
        if to.write_all(&piece).is_err() {
            break;
        }
    }
    for end in ends {
        let _ = end.shutdown(Shutdown::Both);
    }
}

//! The mesh: one TCP connection between each two processes of a cluster, made before anything else.
//!
//! Each process listens at its own line of the hosts file and calls those with a lower index, in
//! rising order; it answers those with a higher one when its own calls are done. The caller says
//! a hello, and both sides must find the other fit. When process 0 has heard that every process
//! has all its connections, it lets all of them go; then the sockets belong to timely.
//!
//! Invariants: no process goes before all are there; a process of another version, other settings
//! or another run is refused with the same sentence on both sides; a stranger at the port is
//! refused and stops nothing. It neither encrypts nor knows whom it talks to beyond the hello.

mod hello;
mod hosts;
mod link;

pub use hosts::{HostsError, read as read_hosts};
use types::settings::Cluster;

use hello::{Hello, Verdict};
use link::Link;
use std::any::Any;
use std::io::{self, ErrorKind, Read};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use timely::communication::Hooks;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};
use types::fault::Fault;
use types::traffic::Traffic;

/// Between two looks at what may have come.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a caller may take to identify itself.
const INTRODUCTION: Duration = Duration::from_secs(5);
/// Callers that are heard at a time; further ones are sent away, and a process calls again.
const CALLERS: usize = 64;
/// One attempt to reach an address.
const ATTEMPT: Duration = Duration::from_secs(2);

/// Why there is no mesh.
#[derive(Debug, thiserror::Error)]
pub enum MeshError {
    /// The own line of the hosts file is no address of this machine.
    #[error("cannot listen at {address}, the line of process {process} in --hosts")]
    Listen {
        /// The line.
        address: String,
        /// The own index.
        process: usize,
        /// Why.
        source: io::Error,
    },
    /// Not everybody came.
    #[error("{who} did not come within {seconds} s{why}")]
    Missing {
        /// The processes and their lines.
        who: String,
        /// How long it was waited.
        seconds: u64,
        /// What was seen of it, if anything.
        why: String,
    },
    /// A process does not fit.
    #[error("{0}")]
    Refused(String),
    /// A process ended before the start was over.
    #[error("{0} has ended during the start")]
    Left(String),
    /// The operating system refused something.
    #[error("making the mesh failed")]
    System(#[from] io::Error),
    /// A signal came.
    #[error("stopped during the start")]
    Stopped,
}

impl Fault for MeshError {
    fn is_config_error(&self) -> bool {
        matches!(self, MeshError::Listen { .. } | MeshError::Refused(_))
    }
}

/// The connections of one process to all others.
pub struct Mesh {
    process: usize,
    workers: usize,
    links: Vec<Option<Link>>,
    traffic: Arc<Traffic>,
}

impl Mesh {
    /// What has gone over it.
    pub fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    /// Hands the connections to timely: what its workers are built from.
    pub fn engine(self) -> io::Result<(Vec<AllocatorBuilder>, Box<dyn Any + Send>)> {
        let Mesh { process, workers, links, .. } = self;
        let hooks = Hooks::default();
        let locals = ProcessBuilder::new_typed_vector(workers, hooks.refill.clone(), None);
        let (builders, guard) =
            initialize_networking_from_sockets(locals, links, process, workers, hooks)?;
        Ok((builders.into_iter().map(AllocatorBuilder::Tcp).collect(), Box::new(guard)))
    }
}

/// Makes the connections; returns when all processes have all of theirs. `settings` is what they
/// must agree about, as words.
pub fn join(
    cluster: &Cluster,
    workers: usize,
    settings: String,
    stop: &AtomicBool,
) -> Result<Mesh, MeshError> {
    let (processes, index) = (cluster.processes(), cluster.process);
    let run = (index == 0).then(new_run);
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let hello = Hello { version, settings, processes, workers, index, run };
    let deadline = Instant::now() + cluster.patience;
    let streams = (0..processes).map(|_| None).collect();
    let mut forming = Forming { cluster, hello, stop, deadline, streams };
    let listener = forming.listen()?;
    for lower in 0..index {
        forming.call(lower)?;
    }
    forming.answer(&listener)?;
    drop(listener);
    forming.go()?;
    let traffic = Arc::new(Traffic::new(processes));
    let mut links = Vec::new();
    for (peer, stream) in forming.streams.into_iter().enumerate() {
        let link = stream.map(|stream| {
            prepare(&stream)?;
            Ok::<_, io::Error>(Link::new(stream, cluster.name(peer), peer, &traffic))
        });
        links.push(link.transpose()?);
    }
    tracing::info!(run = forming.hello.run, processes, process = index, "the mesh is made");
    Ok(Mesh { process: index, workers, links, traffic })
}

/// The number of a run: no two starts have the same.
fn new_run() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    // Keyed by the system's randomness.
    RandomState::new().hash_one(std::process::id())
}

/// The time-outs of a connection that is made: a machine that has gone is noticed, idle or not.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(None)?;
    stream.set_write_timeout(None)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(4))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(2))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    sockopt::set_tcp_user_timeout(stream, 10_000)?;
    Ok(())
}

/// A mesh in the making.
struct Forming<'a> {
    cluster: &'a Cluster,
    /// Of this process.
    hello: Hello,
    stop: &'a AtomicBool,
    deadline: Instant,
    streams: Vec<Option<TcpStream>>,
}

impl Forming<'_> {
    /// Listens at the own line. A predecessor may still hold it.
    fn listen(&self) -> Result<TcpListener, MeshError> {
        let (process, address) = (self.cluster.process, self.cluster.own());
        loop {
            match TcpListener::bind(address) {
                Ok(listener) => {
                    listener.set_nonblocking(true)?;
                    return Ok(listener);
                }
                Err(error) if error.kind() == ErrorKind::AddrInUse && !self.is_late() => {
                    self.pause()?;
                }
                Err(source) => {
                    return Err(MeshError::Listen { address: address.to_owned(), process, source });
                }
            }
        }
    }

    /// Calls a process until it answers.
    fn call(&mut self, index: usize) -> Result<(), MeshError> {
        loop {
            let error = match self.introduce(index) {
                Ok(()) => return Ok(()),
                Err(MeshError::System(error)) => error,
                Err(error) => return Err(error),
            };
            if self.is_late() {
                return Err(self.missing(&[index], format!(": {error}")));
            }
            self.pause()?;
        }
    }

    /// One attempt of a call.
    fn introduce(&mut self, index: usize) -> Result<(), MeshError> {
        let mut stream = connect(&self.cluster.hosts[index])?;
        stream.set_nodelay(true)?;
        hello::say(&mut stream, &self.hello)?;
        // It answers when its own calls are done.
        self.wait_for(&stream)?;
        let theirs = hello::hear(&mut stream)?;
        let verdict: Verdict = hello::receive(&mut stream)?;
        if let Verdict::Refused(why) = verdict {
            let name = self.cluster.name(index);
            return Err(MeshError::Refused(format!("{name} refuses this process: {why}")));
        }
        let fits = self.hello.fits(&theirs).and_then(|()| {
            if theirs.index == index { Ok(()) } else { Err(format!("it is {}", theirs.index)) }
        });
        if let Err(why) = fits {
            hello::send(&mut stream, &Verdict::Refused(why.clone()))?;
            return Err(MeshError::Refused(why));
        }
        hello::send(&mut stream, &Verdict::Welcome)?;
        self.hello.run = theirs.run;
        self.streams[index] = Some(stream);
        Ok(())
    }

    /// Accepts calls until all processes above this one are connected.
    fn answer(&mut self, listener: &TcpListener) -> Result<(), MeshError> {
        let (heard_in, heard) = channel();
        let own = Arc::new(self.hello.clone());
        let callers = Arc::new(());
        loop {
            self.take(&heard);
            let above = self.hello.index + 1..self.hello.processes;
            let missing: Vec<_> = above.filter(|index| self.streams[*index].is_none()).collect();
            if missing.is_empty() {
                return Ok(());
            }
            if self.is_late() {
                return Err(self.missing(&missing, String::new()));
            }
            match listener.accept() {
                // Each caller that is heard holds one.
                Ok((stream, _)) if Arc::strong_count(&callers) <= CALLERS => {
                    attend(stream, &own, (&heard_in, &callers))?;
                }
                Ok(_) => {}
                // Of a call that was given up meanwhile.
                Err(_) => self.pause()?,
            }
        }
    }

    fn take(&mut self, heard: &Receiver<(usize, TcpStream)>) {
        for (index, stream) in heard.try_iter() {
            // Who calls again has lost its first connection.
            self.streams[index] = Some(stream);
        }
    }

    /// All processes say that they are ready to process 0, which then lets all of them go.
    fn go(&mut self) -> Result<(), MeshError> {
        if self.hello.index == 0 {
            for index in 1..self.hello.processes {
                self.await_word(index)?;
            }
            for index in 1..self.hello.processes {
                self.say_word(index)?;
            }
            return Ok(());
        }
        self.say_word(0)?;
        self.await_word(0)
    }

    fn say_word(&mut self, index: usize) -> Result<(), MeshError> {
        let left = MeshError::Left(self.cluster.name(index));
        let Some(stream) = &mut self.streams[index] else { return Err(left) };
        hello::send(stream, &Verdict::Welcome).map_err(|_| left)
    }

    fn await_word(&mut self, index: usize) -> Result<(), MeshError> {
        let left = || MeshError::Left(self.cluster.name(index));
        let Some(stream) = &self.streams[index] else { return Err(left()) };
        match self.wait_for(stream) {
            Err(MeshError::System(error)) if error.kind() == ErrorKind::TimedOut => {
                return Err(self.missing(&[index], ": it waits for others".to_owned()));
            }
            Err(MeshError::System(_)) => return Err(left()),
            waited => waited?,
        }
        let mut stream = stream;
        hello::receive::<Verdict>(&mut stream).map(drop).map_err(|_| left())
    }

    /// Waits until the other side says something.
    fn wait_for(&self, stream: &TcpStream) -> Result<(), MeshError> {
        stream.set_read_timeout(Some(PAUSE))?;
        let waited = loop {
            match stream.peek(&mut [0]) {
                Ok(0) => break Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => break Ok(()),
                Err(error) if is_timeout(&error) => {}
                Err(error) => break Err(error),
            }
            self.check_stop()?;
            if self.is_late() {
                let text = "it has answered nothing";
                break Err(io::Error::new(ErrorKind::TimedOut, text));
            }
        };
        stream.set_read_timeout(Some(INTRODUCTION))?;
        Ok(waited?)
    }

    fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }

    fn check_stop(&self) -> Result<(), MeshError> {
        if self.stop.load(Ordering::Relaxed) { Err(MeshError::Stopped) } else { Ok(()) }
    }

    fn pause(&self) -> Result<(), MeshError> {
        self.check_stop()?;
        std::thread::sleep(PAUSE);
        Ok(())
    }

    fn missing(&self, who: &[usize], why: String) -> MeshError {
        let names: Vec<_> = who.iter().map(|index| self.cluster.name(*index)).collect();
        let seconds = self.cluster.patience.as_secs();
        MeshError::Missing { who: names.join(" and "), seconds, why }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn connect(host: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, ATTEMPT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Identifies a caller on a thread of its own: a silent caller delays no other.
fn attend(
    stream: TcpStream,
    own: &Arc<Hello>,
    (heard, callers): (&Sender<(usize, TcpStream)>, &Arc<()>),
) -> io::Result<()> {
    let (own, heard, caller) = (Arc::clone(own), heard.clone(), Arc::clone(callers));
    let work = move || {
        let from = stream.peer_addr().map_or_else(|_| "somebody".to_owned(), |at| at.to_string());
        match receive(stream, &own) {
            // There is no receiver once all processes are connected.
            Ok(joined) => drop(heard.send(joined)),
            Err(why) => tracing::warn!(from, why, "refused a caller at the mesh port"),
        }
        drop(caller);
    };
    std::thread::Builder::new().name("mesh".to_owned()).spawn(work).map(drop)
}

/// The called side of [`Forming::introduce`].
fn receive(mut stream: TcpStream, own: &Hello) -> Result<(usize, TcpStream), String> {
    let text = |error: io::Error| error.to_string();
    stream.set_nonblocking(false).map_err(text)?;
    stream.set_nodelay(true).map_err(text)?;
    stream.set_read_timeout(Some(INTRODUCTION)).map_err(text)?;
    stream.set_write_timeout(Some(INTRODUCTION)).map_err(text)?;
    let until = Instant::now() + INTRODUCTION;
    let theirs = match hello::hear(&mut InTime { stream: &mut stream, until }) {
        Ok(theirs) => theirs,
        Err(error) => {
            hello::refuse_stranger(&mut stream);
            return Err(error.to_string());
        }
    };
    stream.set_read_timeout(Some(INTRODUCTION)).map_err(text)?;
    let fits = own.fits(&theirs).and_then(|()| {
        if (own.index + 1..own.processes).contains(&theirs.index) {
            return Ok(());
        }
        Err(format!(
            "a process with --process {} has no call for process {}",
            theirs.index, own.index
        ))
    });
    let verdict = fits.clone().map_or_else(Verdict::Refused, |()| Verdict::Welcome);
    hello::say(&mut stream, own).map_err(text)?;
    hello::send(&mut stream, &verdict).map_err(text)?;
    fits?;
    match hello::receive(&mut stream).map_err(text)? {
        Verdict::Welcome => Ok((theirs.index, stream)),
        Verdict::Refused(why) => Err(why),
    }
}

/// A stream that is read until a moment, however slowly its bytes come.
struct InTime<'a> {
    stream: &'a mut TcpStream,
    until: Instant,
}

impl Read for InTime<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}

#[cfg(test)]
mod tests;

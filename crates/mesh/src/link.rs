//! A connection as timely uses it: it counts what goes over it, and names who has gone.
//!
//! timely's threads end a connection with a header of zeros; where a stream ends without, or fails,
//! they panic with the error's text. That text says here which process is gone.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use timely::communication::allocator::zero_copy::stream::Stream;
use types::traffic::Traffic;

/// Zeros at the end of a stream that was ended well: timely's last header.
const FAREWELL: usize = 48;

/// One process's connection to another.
pub(super) struct Link {
    stream: TcpStream,
    /// Who is at the other end, for people.
    name: String,
    peer: usize,
    traffic: Arc<Traffic>,
    /// How many zeros were read last.
    zeros: usize,
}

impl Link {
    pub(super) fn new(
        stream: TcpStream,
        name: String,
        peer: usize,
        traffic: &Arc<Traffic>,
    ) -> Self {
        Link { stream, name, peer, traffic: Arc::clone(traffic), zeros: 0 }
    }

    fn gone(&self, why: &dyn std::fmt::Display) -> io::Error {
        io::Error::other(format!("{} is gone ({why})", self.name))
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => return Err(self.gone(&error)),
            Ok(0) if !buffer.is_empty() && self.zeros < FAREWELL => {
                return Err(self.gone(&"it has closed the connection"));
            }
            Ok(read) => read,
        };
        let zeros = buffer[..read].iter().rev().take_while(|byte| **byte == 0).count();
        self.zeros = if zeros == read { self.zeros + read } else { zeros };
        self.traffic.add(self.peer, 1, read);
        Ok(read)
    }
}

impl Write for Link {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.stream.write(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => self.gone(&error),
        })?;
        self.traffic.add(self.peer, 0, written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Stream for Link {
    fn try_clone(&self) -> io::Result<Self> {
        let stream = self.stream.try_clone()?;
        Ok(Link::new(stream, self.name.clone(), self.peer, &self.traffic))
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.stream.shutdown(how).map_err(|error| self.gone(&error))
    }
}

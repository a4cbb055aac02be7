//! What two processes say to each other before they trust each other with records.
//!
//! A hello is eight letters, the version of this protocol, and a JSON object: a process of another
//! version can still be told what is wrong.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind, Read, Write};

const MAGIC: &[u8; 8] = b"TWFLMESH";
/// Raised when what follows the magic changes its meaning.
const PROTOCOL: u32 = 1;
/// No message of the start is longer.
const LONGEST: u32 = 1 << 16;

/// Who a process is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    /// Of the program.
    pub(super) version: String,
    /// What all must agree about, as words `name=value`.
    pub(super) settings: String,
    pub(super) processes: usize,
    /// Of each process.
    pub(super) workers: usize,
    pub(super) index: usize,
    /// Chosen by process 0; the others have it once they have reached that one.
    pub(super) run: Option<u64>,
}

/// Whether a process may take part.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Verdict {
    Welcome,
    Refused(String),
}

impl Hello {
    /// Whether the two can be one cluster, or why not.
    pub(super) fn fits(&self, other: &Hello) -> Result<(), String> {
        let (mine, theirs) = (self.index, other.index);
        let differs = |what: &str, one: &dyn std::fmt::Display, two: &dyn std::fmt::Display| {
            Err(format!("process {theirs} has {what} {two}, process {mine} has {what} {one}"))
        };
        if self.version != other.version {
            return differs("version", &self.version, &other.version);
        }
        if self.processes != other.processes {
            return differs("--processes", &self.processes, &other.processes);
        }
        if self.workers != other.workers {
            return differs("--workers", &self.workers, &other.workers);
        }
        if self.settings != other.settings {
            let (one, two) = difference(&self.settings, &other.settings);
            return differs("settings", &one, &two);
        }
        match (self.run, other.run) {
            (Some(one), Some(two)) if one != two => {
                Err(format!("process {theirs} belongs to another run of the cluster"))
            }
            _ => Ok(()),
        }
    }
}

/// The words that only one of the two has.
fn difference(one: &str, two: &str) -> (String, String) {
    let only = |these: &str, those: &str| {
        let words = these.split_whitespace();
        let words = words.filter(|word| !those.split_whitespace().any(|other| other == *word));
        words.collect::<Vec<_>>().join(" ")
    };
    (only(one, two), only(two, one))
}

pub(super) fn say(stream: &mut impl Write, hello: &Hello) -> io::Result<()> {
    stream.write_all(MAGIC)?;
    stream.write_all(&PROTOCOL.to_be_bytes())?;
    send(stream, hello)
}

pub(super) fn hear(stream: &mut impl Read) -> io::Result<Hello> {
    let mut magic = [0; 8];
    let read = stream.read_exact(&mut magic);
    if read.is_err() || magic != *MAGIC {
        let text = "it does not speak as a process of a tweetflow cluster";
        return Err(io::Error::new(ErrorKind::InvalidData, text));
    }
    let protocol = number(stream)?;
    if protocol != PROTOCOL {
        let text = format!("it speaks protocol {protocol} of the mesh, this version {PROTOCOL}");
        return Err(io::Error::new(ErrorKind::InvalidData, text));
    }
    receive(stream)
}

/// One line for somebody who is no process of the cluster, if it still listens.
pub(super) fn refuse_stranger(stream: &mut impl Write) {
    let text =
        format!("tweetflow: protocol {PROTOCOL}; this port accepts tweetflow cluster peers only\n");
    let _ = stream.write_all(text.as_bytes());
}

pub(super) fn send(stream: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(text);
    stream.write_all(&bytes)
}

pub(super) fn receive<T: DeserializeOwned>(stream: &mut impl Read) -> io::Result<T> {
    let length = number(stream)?;
    if length > LONGEST {
        return Err(io::Error::new(ErrorKind::InvalidData, "a message of the start is too long"));
    }
    let mut text = vec![0; length as usize];
    stream.read_exact(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

fn number(stream: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

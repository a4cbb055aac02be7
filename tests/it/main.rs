//! The integration tests, as one program: it links once, and its tests run side by side.
//!
//! A module is one area: `cargo test --test it verify::` runs one. A test of a database takes a
//! [`crate::common::Server`]; those on MySQL are in modules `mysql9`. Process-wide state
//! (environment, working folder, panic hook) is never changed here; what a test sets on a shared
//! server must not disturb the others, or the test starts a server of its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
mod common;

mod cases;
mod cli;
mod cluster;
mod crash;
mod demo;
mod docs;
mod end_to_end;
mod files;
mod hangs;
mod kafka;
mod kafka_faults;
mod kafka_network;
mod kafka_rights;
mod kafka_secure;
mod late_acts;
mod legacy;
mod mysql;
mod mysql_faults;
mod produce;
mod real_data;
mod real_tables;
mod rebuild;
mod sinks;
mod sources;
#[path = "../../crates/streams/tests/server/mod.rs"]
mod stream_server;
mod streams;
mod verify;

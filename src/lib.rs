//! tweetflow: Kafka tweets to exact MySQL tables through differential dataflow.
//!
//! This crate is the top of the workspace: [`commands`] turns arguments into a [`config`] and an
//! exit code, [`pipeline`] connects a source, the decoder, the dataflows and a sink. Read
//! [`pipeline`] first, it is the spine. The layers below it are crates of their own; none of them
//! knows this one.
//!
//! | layer | crate | owns |
//! |---|---|---|
//! | 0 | `types` | the plain data that the layers hand to each other |
//! | 1 | `dataflows` | the tables: declarations, and functions of the tweets |
//! | 1 | `decode` | payload bytes to events |
//! | 1 | `source` | records out of Kafka or files |
//! | 1 | `sink` | transactions into MySQL, MariaDB, SQLite or memory |
//! | 1 | `mesh` | the connections between the processes of a cluster |
//! | 1 | `synth` | made-up tweets |
//! | 1 | `monitor` | what the running job is doing |
//! | 2 | `produce` | a file or synthetic tweets into a topic |
//! | 2 | `verify` | recounts the topic by another code path, compares row by row |
//! | 2 | `server` | the live page, metrics and health checks |

pub mod commands;
pub mod config;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod pipeline;

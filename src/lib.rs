//! tweetflow: Kafka tweets to exact MySQL tables through differential dataflow.
//!
//! The modules in the order of the data; read [`pipeline`] first, it is the spine.
//!
//! | module | owns |
//! |---|---|
//! | [`source`] | the topic, and each worker's share of it |
//! | [`decode`] | payload bytes to events; the only place that knows JSON |
//! | [`progress`], [`dead_letters`], [`freshness`] | the tables that belong to the pipeline itself |
//! | `dataflows` (a crate) | all other tables, pure functions of the tweets |
//! | [`tables`] | which of all these a job has |
//! | [`sink`] | changes to transactions to the database |
//! | [`pipeline`] | one worker from poll to gather, and its loop |
//! | [`mesh`] | the connections between the processes of a cluster |
//! | [`produce`] | a file or synthetic tweets into a topic |
//! | [`verify`] | recounts the topic by another code path, compares row by row |
//! | [`rebuild`] | the topic counted again into twins of all tables, which take their place |
//! | [`monitor`], [`server`] | what the job is doing; the live page, metrics and health checks |
//! | [`outcome`] | what became of the records that were read, for the last line of a command |
//! | [`schema`] | prints DDL and grants |
//! | [`cli`], [`config`], [`error`], [`bar`] | arguments to configuration to exit code; what is seen meanwhile |

pub mod bar;
pub mod cli;
pub mod config;
pub mod dead_letters;
pub mod decode;
pub mod error;
mod foreign;
pub mod freshness;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod kafka_settings;
pub mod mesh;
pub mod monitor;
pub mod outcome;
pub mod pipeline;
pub mod produce;
pub mod progress;
pub mod rebuild;
pub mod schema;
pub mod server;
pub mod sink;
pub mod source;
pub mod tables;
pub mod verify;

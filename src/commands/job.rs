//! What says which job is meant: the arguments that `run` and all commands on its tables share.
//!
//! Each is declared once, so that the same file and environment mean the same tables to all of
//! them.

use super::choices::{NamesArg, RetweetsArg};
use crate::config::RunConfig;
use crate::pipeline::error::RunError;
use clap::Args;
use clap::builder::PossibleValuesParser;
use dataflows::catalogue::Tables;
use mesh::HostsError;
use server::{JobInfo, ServerError};
use sink::Database;
use sink::mysql::MySqlSink;
use source::Topic;
use source::files::{FilesConfig, FilesTopic};
use source::kafka::{From, KafkaConfig, KafkaTopic};
use std::collections::BTreeMap;
use std::path::PathBuf;
use types::prefix::Prefix;
use types::settings::{DecodeSettings, TableChoice, TableSettings};
use verify::VerifiedTopic;

const EARLIEST: &str = "earliest";

/// Arguments that say where the tables are.
#[derive(Args, Clone)]
pub(crate) struct DatabaseArgs {
    /// Database of the tables, with a password only from the environment or a file; `sqlite:FILE`
    /// needs no server
    #[arg(
        long,
        env = "TWEETFLOW_DATABASE",
        hide_env_values = true,
        value_name = "URL",
        default_value = "mysql://tweetflow@127.0.0.1:3306/data"
    )]
    database: String,
    /// File that holds the URL of the database, instead of --database
    #[arg(long, env = "TWEETFLOW_DATABASE_FILE", value_name = "FILE")]
    database_file: Option<PathBuf>,
    /// What stands before each table's name, so that a database can hold several jobs or other
    /// tables: small letters, digits, underscores
    #[arg(long, env = "TWEETFLOW_TABLE_PREFIX", value_name = "PREFIX", default_value = "")]
    pub(crate) table_prefix: Prefix,
}

/// The file of `--database-file` cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read --database-file {}", .path.display())]
pub(super) struct UnreadableUrl {
    path: PathBuf,
    source: std::io::Error,
}

/// Arguments that say which tables there are.
#[derive(Args, Clone)]
pub(crate) struct TablesArgs {
    /// Tables to have that are off by default; with commas between, or repeated. It belongs to the
    /// job: later starts, `verify` and `schema` must name the same
    #[arg(long, env = "TWEETFLOW_WITH", value_name = "TABLE", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(Tables::optional()))]
    with: Vec<String>,
    /// Tables to do without, which then cost nothing; likewise
    #[arg(long, env = "TWEETFLOW_WITHOUT", value_name = "TABLE", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(Tables::optional()))]
    without: Vec<String>,
}

impl TablesArgs {
    /// The tables that are asked for.
    pub(crate) fn choice(&self) -> TableChoice {
        TableChoice { with: self.with.clone(), without: self.without.clone() }
    }
}

/// Arguments that name a job: its topic, its database, and what its rows mean.
#[derive(Args)]
pub(super) struct JobArgs {
    /// Kafka brokers, host:port with commas between
    #[arg(long, env = "TWEETFLOW_BROKERS", default_value = "127.0.0.1:9092")]
    brokers: String,
    /// Folder to read instead of a Kafka topic: a file is a partition, *.ndjson, *.jsonl or *.json
    /// with one tweet a line, plain (followed as it grows) or packed (.gz, .zst)
    #[arg(long, env = "TWEETFLOW_FILES", value_name = "DIR")]
    files: Option<PathBuf>,
    /// Topic to read; what the tables call the folder of --files
    #[arg(long, env = "TWEETFLOW_TOPIC", default_value = "tweets")]
    topic: String,
    #[command(flatten)]
    place: DatabaseArgs,
    #[command(flatten)]
    tables: TablesArgs,
    /// Name of the job: one set of tables has one job
    #[arg(long, env = "TWEETFLOW_JOB", default_value = "tweetflow")]
    job: String,
    /// Where the first start reads from: earliest, latest, or a time (2026-11-01T12:00:00Z); it
    /// belongs to the job, later starts must name the same
    #[arg(long, env = "TWEETFLOW_FROM", value_name = "WHERE", default_value = EARLIEST,
        value_parser = from)]
    from: String,
    /// Leave out tweets whose author gives no location
    #[arg(long, env = "TWEETFLOW_REQUIRE_LOCATION")]
    require_location: bool,
    /// What becomes of shown names
    #[arg(long, env = "TWEETFLOW_NAMES", value_enum, default_value_t)]
    names: NamesArg,
    /// What a retweet adds to the hashtags
    #[arg(long, env = "TWEETFLOW_RETWEETS", value_enum, default_value_t)]
    retweets: RetweetsArg,
    /// Minutes before the newest that are kept minute by minute, by the time of the tweets
    #[arg(long, env = "TWEETFLOW_MINUTES_SPAN", value_name = "MINUTES", default_value_t = 1440,
        value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    minutes_span: u32,
    /// Minutes that trending compares with as many before them
    #[arg(long, env = "TWEETFLOW_TREND_MINUTES", value_name = "MINUTES", default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    trend_minutes: u32,
    /// A setting of the Kafka client, NAME=VALUE; may be repeated. From the environment: one a
    /// line. Passwords only from the environment or a file
    #[arg(long = "kafka", env = "TWEETFLOW_KAFKA", hide_env_values = true, value_delimiter = '\n',
        value_name = "NAME=VALUE", value_parser = super::setting)]
    kafka: Vec<(String, String)>,
}

/// Why no job came about.
#[derive(Debug, thiserror::Error)]
pub(super) enum JobError {
    #[error("{0}")]
    Argument(String),
    #[error(transparent)]
    DatabaseFile(#[from] UnreadableUrl),
    #[error(transparent)]
    Hosts(#[from] HostsError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("cannot use the folder {}", .path.display())]
    Folder { path: PathBuf, source: std::io::Error },
}

impl JobError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            JobError::Argument(_)
            | JobError::Hosts(_)
            | JobError::DatabaseFile(_)
            | JobError::Server(ServerError::Listen { .. })
            | JobError::Folder { .. } => 2,
            JobError::Server(ServerError::Start(_)) => 1,
            JobError::Run(error) => error.exit_code(),
        }
    }
}

impl DatabaseArgs {
    /// The database. Does not connect.
    pub(super) fn sink(&self) -> Result<Database, JobError> {
        Ok(Database::new(&self.url()?).map_err(RunError::from)?)
    }

    /// The same, where only a server will do. Does not connect.
    pub(super) fn mysql(&self) -> Result<MySqlSink, JobError> {
        Ok(MySqlSink::new(&self.url()?).map_err(RunError::from)?)
    }

    /// The database's URL, from its file where one is named.
    pub(crate) fn url(&self) -> Result<String, UnreadableUrl> {
        let Some(path) = &self.database_file else { return Ok(self.database.clone()) };
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(source) => Err(UnreadableUrl { path: path.clone(), source }),
        }
    }
}

impl JobArgs {
    /// The topic. Does not connect.
    pub(super) fn topic(
        &self,
        until_end: bool,
        accept_gap: bool,
    ) -> Result<Box<dyn Topic>, JobError> {
        match self.folder(until_end) {
            Some(folder) => Ok(Box::new(folder)),
            None => Ok(Box::new(self.kafka_topic(until_end, accept_gap)?)),
        }
    }

    /// The topic, as `verify` reads it. Does not connect.
    pub(super) fn verified_topic(&self) -> Result<Box<dyn VerifiedTopic>, JobError> {
        match self.folder(false) {
            Some(folder) => Ok(Box::new(folder)),
            None => Ok(Box::new(self.kafka_topic(false, false)?)),
        }
    }

    fn folder(&self, until_end: bool) -> Option<FilesTopic> {
        let (folder, topic) = (self.files.clone()?, self.topic.clone());
        Some(FilesTopic::new(FilesConfig { folder, topic, until_end }))
    }

    fn kafka_topic(&self, until_end: bool, accept_gap: bool) -> Result<KafkaTopic, JobError> {
        let kafka = self.kafka(until_end, accept_gap)?;
        Ok(KafkaTopic::new(kafka).map_err(RunError::from)?)
    }

    /// Whether a Kafka topic and a server are meant, which is what a rebuild needs.
    pub(super) fn can_rebuild(&self) -> Result<(), JobError> {
        let text = match (&self.files, self.place.sink()?) {
            (None, Database::MySql(_)) => return Ok(()),
            (_, Database::Sqlite(_)) => "a file of tables: move it away and start again",
            (Some(_), _) => "--files: use another --table-prefix, or empty the tables",
        };
        Err(JobError::Argument(format!("--rebuild is not for {text}")))
    }

    /// `dead-letters` with an action, as a command on the tables of this job. A server is not
    /// named: its URL may hold a password.
    pub(super) fn dead_letters(&self, action: &str) -> String {
        let file = self.place.url().ok().filter(|url| url.starts_with("sqlite:"));
        let file = file.map_or_else(String::new, |url| format!(" --database {url}"));
        let prefix = self.place.table_prefix.to_string();
        let prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
        let prefix = prefix.map(|prefix| format!(" --table-prefix {prefix}"));
        format!("tweetflow dead-letters {action}{}{file}", prefix.unwrap_or_default())
    }

    /// The topic's settings.
    pub(super) fn kafka(&self, until_end: bool, accept_gap: bool) -> Result<KafkaConfig, JobError> {
        Ok(KafkaConfig {
            brokers: self.brokers.clone(),
            topic: self.topic.clone(),
            group: self.job.clone(),
            from: start(&self.from).map_err(JobError::Argument)?,
            starts: BTreeMap::new(),
            until_end,
            accept_gap,
            settings: self.kafka.clone(),
        })
    }

    /// The database's URL, from its file where one is named.
    pub(super) fn database(&self) -> Result<String, JobError> {
        Ok(self.place.url()?)
    }

    /// The database. Does not connect.
    pub(super) fn sink(&self) -> Result<Database, JobError> {
        self.place.sink()
    }

    /// What the live page says of the job.
    pub(super) fn about(&self, database: &Database) -> JobInfo {
        JobInfo {
            job: self.job.clone(),
            topic: self.topic.clone(),
            source: if self.files.is_some() { "files" } else { "kafka" },
            database: database.description(),
        }
    }

    /// Whether the topic is a folder.
    pub(super) fn reads_files(&self) -> bool {
        self.files.is_some()
    }

    /// What offsets count.
    pub(super) fn unit(&self) -> &'static str {
        if self.files.is_some() { "bytes" } else { "records" }
    }

    /// What the rows mean, and where they are; the rest is at its default.
    pub(super) fn config(&self) -> RunConfig {
        let mut config = RunConfig::new(&self.topic);
        config.tables = self.tables.choice();
        config.job.clone_from(&self.job);
        config.table_prefix = self.place.table_prefix.clone();
        config.from.clone_from(&self.from);
        if self.files.is_some() {
            "files".clone_into(&mut config.from);
        }
        config.decode = DecodeSettings {
            require_location: self.require_location,
            names: self.names.into(),
            retweets: self.retweets.into(),
        };
        config.flows =
            TableSettings { minutes_span: self.minutes_span, trend_minutes: self.trend_minutes };
        config
    }
}

/// A text that [`start`] takes.
fn from(text: &str) -> Result<String, String> {
    start(text).map(|_| text.to_owned())
}

fn start(text: &str) -> Result<From, String> {
    match text {
        EARLIEST => Ok(From::Earliest),
        "latest" => Ok(From::Latest),
        time => match time.parse::<jiff::Timestamp>() {
            Ok(time) => Ok(From::Time(time.as_millisecond())),
            Err(_) => {
                Err("expected earliest, latest, or a time like 2026-11-01T12:00:00Z".to_owned())
            }
        },
    }
}

//! `tweetflow produce`: its arguments.

use super::stream::StreamArgs;
use produce::{ProduceConfig, ProduceError};
use std::path::PathBuf;
use std::sync::Arc;
use synth::Share;

/// Arguments of `produce`.
#[derive(clap::Args, Clone)]
#[group(skip)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["input", "synthetic", "stream"])))]
pub(super) struct ProduceArgs {
    /// Kafka brokers, host:port with commas between
    #[arg(long, env = "TWEETFLOW_BROKERS", default_value = "127.0.0.1:9092")]
    brokers: String,
    /// Topic to write to; created if it does not exist
    #[arg(long, env = "TWEETFLOW_TOPIC", default_value = "tweets")]
    topic: String,
    /// Partitions of a topic that is created; one that exists is left as it is
    #[arg(long, env = "TWEETFLOW_PARTITIONS", value_name = "N", default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(1..))]
    partitions: u16,
    /// A setting of the Kafka client, NAME=VALUE; may be repeated. From the environment: one a
    /// line, which is the place for passwords
    #[arg(long = "kafka", env = "TWEETFLOW_KAFKA", hide_env_values = true, value_delimiter = '\n',
        value_name = "NAME=VALUE", value_parser = super::setting)]
    kafka: Vec<(String, String)>,
    /// File of tweets; - reads standard input. JSON objects one a line or one after the other, an
    /// array, or pages {"statuses":[...]}, each also compressed by gzip or Zstandard; which of them
    /// is seen from the content. Bytes are sent as they are, lines that are no JSON too
    #[arg(long, env = "TWEETFLOW_INPUT", value_name = "FILE")]
    input: Option<PathBuf>,
    /// Make tweets up
    #[arg(long, env = "TWEETFLOW_SYNTHETIC")]
    synthetic: bool,
    /// Seed of the synthetic tweets: the same seed gives the same tweets, but for their times,
    /// which pass at --rate where that is slower than Twitter's average of 5,700 tweets a second
    #[arg(long, env = "TWEETFLOW_SEED", value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Delete notices among the synthetic tweets, so many for 100 tweets; a few are tombstones (no
    /// value, the tweet's id as key). Most come up to a minute of the tweets' own time after their
    /// tweet, some before it, and some are in another partition
    #[arg(long, env = "TWEETFLOW_DELETES", value_name = "PERCENT", default_value_t)]
    deletes: Share,
    /// Synthetic tweets that come again later, byte for byte, so many for 100 tweets; some are in
    /// another partition then
    #[arg(long, env = "TWEETFLOW_DUPLICATES", value_name = "PERCENT", default_value_t)]
    duplicates: Share,
    /// Stop after so many records: tweets and whatever else is sent
    #[arg(long, env = "TWEETFLOW_LIMIT", value_name = "N")]
    limit: Option<u64>,
    /// Leave out tweets whose author gives no location (user.location, or author.location of
    /// flattened v2 tweets, null or missing). What is no tweet, or does not hold its author (other
    /// v2 responses), is sent
    #[arg(long, env = "TWEETFLOW_REQUIRE_LOCATION")]
    require_location: bool,
    /// Go on where an earlier run with this FILE ended, however it ended: no record is left out,
    /// none is twice for readers of committed records. The first run makes the file; --limit counts
    /// for all runs together
    #[arg(long, env = "TWEETFLOW_RESUME", value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Records per second, evenly; as fast as it goes if left out
    #[arg(long, env = "TWEETFLOW_RATE", value_name = "N")]
    rate: Option<f64>,
    #[command(flatten)]
    stream: StreamArgs,
}

impl ProduceArgs {
    /// Whether nothing is sent anywhere, so that a signal may end the program at once.
    pub(super) fn only_asks(&self) -> bool {
        self.stream.only_asks()
    }

    /// What the service of a live stream says, where only that is asked for.
    pub(super) fn answer(&self) -> Option<Result<Vec<String>, ProduceError>> {
        self.stream.answer().map(|answer| answer.map_err(ProduceError::from))
    }

    /// The topic to write to.
    pub(super) fn topic(&self) -> &str {
        &self.topic
    }
}

impl TryFrom<&ProduceArgs> for ProduceConfig {
    type Error = ProduceError;

    fn try_from(args: &ProduceArgs) -> Result<Self, ProduceError> {
        Ok(ProduceConfig {
            brokers: args.brokers.clone(),
            topic: args.topic.clone(),
            partitions: args.partitions,
            kafka: args.kafka.clone(),
            input: args.input.clone(),
            synthetic: args.synthetic,
            seed: args.seed,
            deletes: args.deletes,
            duplicates: args.duplicates,
            limit: args.limit,
            require_location: args.require_location,
            resume: args.resume.clone(),
            rate: args.rate,
            stream: args.stream.config()?,
            status: Arc::default(),
        })
    }
}

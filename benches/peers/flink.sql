-- The job of the peer "flink": both tables from one scan of the topic. Words in braces are the
-- settings, filled in by flink_peer.py. A statement ends at a blank line.

CREATE TABLE tweets (
  id BIGINT,
  truncated BOOLEAN,
  `user` ROW<id BIGINT, name STRING, location STRING, friends_count BIGINT>,
  entities ROW<hashtags ARRAY<ROW<text STRING>>>,
  extended_tweet ROW<entities ROW<hashtags ARRAY<ROW<text STRING>>>>
) WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = '{brokers}',
  'properties.max.poll.records' = '{poll_records}',
  'properties.max.partition.fetch.bytes' = '{fetch_bytes}',
  'properties.fetch.max.bytes' = '104857600',
  'properties.receive.buffer.bytes' = '1048576',
  'topic' = '{topic}',
  'scan.startup.mode' = 'earliest-offset',
  'scan.bounded.mode' = 'latest-offset',
  'format' = 'json'
);

-- What both sinks have in common.
CREATE TABLE sink WITH (
  'connector' = 'jdbc',
  'url' = '{jdbc_url}',
  'driver' = '{jdbc_driver}',
  'sink.buffer-flush.max-rows' = '{sink_rows}',
  'sink.buffer-flush.interval' = '{sink_interval}',
  'sink.parallelism' = '{sink_parallelism}'
);

CREATE TABLE hashtags (hashtag STRING, uses BIGINT, PRIMARY KEY (hashtag) NOT ENFORCED)
WITH ('table-name' = 'hashtags') LIKE sink;

CREATE TABLE users (
  user_id BIGINT, username STRING, nb_friends BIGINT, PRIMARY KEY (user_id) NOT ENFORCED
) WITH ('table-name' = 'users') LIKE sink;

CREATE VIEW located AS
SELECT
  id,
  `user`.id AS user_id,
  `user`.name AS name,
  `user`.friends_count AS nb_friends,
  CASE
    WHEN truncated AND extended_tweet IS NOT NULL THEN extended_tweet.entities.hashtags
    ELSE entities.hashtags
  END AS tags
FROM tweets
WHERE `user`.location IS NOT NULL;

CREATE VIEW newest AS {newest};

EXECUTE STATEMENT SET
BEGIN
INSERT INTO hashtags
SELECT tag, COUNT(*) FROM located CROSS JOIN UNNEST(tags) AS t (tag) GROUP BY tag;
-- The clean-up of names as the report has it.
INSERT INTO users
SELECT
  user_id,
  COALESCE(NULLIF(TRIM(REGEXP_REPLACE(
    name,
    '[\x{1F600}-\x{1F64F}\x{1F300}-\x{1F5FF}\x{1F680}-\x{1F6FF}\x{1F1E0}-\x{1F1FF}\x{2702}-\x{27B0}\x{24C2}-\x{1F251}]+',
    ''
  )), ''), 'No name'),
  nb_friends
FROM newest;
END;

"""The two tables of the peers, and what they must hold.

The expected rows are counted from the topic by plain dicts, in a loop of its own: no peer has a part
in it.
"""

from urllib.parse import urlsplit

import confluent_kafka
import orjson
import pymysql

NAME = "tweetflow_bench_peers"
OPTIONS = "ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
DDL = (
    "CREATE TABLE hashtags (hashtag VARCHAR(255) NOT NULL PRIMARY KEY, uses BIGINT UNSIGNED NOT NULL)",
    (
        "CREATE TABLE users (user_id BIGINT UNSIGNED NOT NULL PRIMARY KEY, "
        "username VARCHAR(255) NOT NULL, nb_friends BIGINT NULL, tweet_id BIGINT UNSIGNED NULL)"
    ),
    "CREATE TABLE peer_offsets (partition_id INT NOT NULL PRIMARY KEY, next_offset BIGINT NOT NULL)",
)


def connect(url, database=None):
    server = urlsplit(url)
    return pymysql.connect(
        host=server.hostname, port=server.port, user=server.username, password=server.password,
        database=database, charset="utf8mb4", autocommit=True,
    )  # fmt: skip


def create(url, ddl):
    """A database with these tables alone on the server of `url`; returns its own URL."""
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {NAME}")
        cursor.execute(f"CREATE DATABASE {NAME}")
        cursor.execute(f"USE {NAME}")
        for statement in ddl:
            cursor.execute(f"{statement} {OPTIONS}")
    return urlsplit(url)._replace(path=f"/{NAME}").geturl()


class Expected:
    """Uses of each hashtag; newest tweet and friends of each user; tweets with a location, and all their friends."""

    def __init__(self):
        self.records, self.uses, self.users = 0, {}, {}
        self.located, self.friends = 0, 0

    def add(self, tweet):
        self.records += 1
        user = tweet["user"]
        if user.get("location") is None:
            return
        is_cut = tweet.get("truncated") is True and isinstance(tweet.get("extended_tweet"), dict)
        text = tweet["extended_tweet"] if is_cut else tweet
        for tag in text.get("entities", {}).get("hashtags", []):
            self.uses[tag["text"]] = self.uses.get(tag["text"], 0) + 1
        self.located += 1
        self.friends += user.get("friends_count") or 0
        newest = (tweet["id"], user.get("friends_count"))
        self.users[user["id"]] = max(newest, self.users.get(user["id"], newest))

    def compare(self, url):
        """Every row of both tables; a difference ends the benchmark."""
        friends = {user: newest[1] for user, newest in self.users.items()}
        with connect(url, NAME) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT hashtag, uses FROM hashtags")
            same("hashtags", self.uses, dict(cursor.fetchall()))
            cursor.execute("SELECT user_id, nb_friends FROM users")
            same("users", friends, dict(cursor.fetchall()))


def same(table, expected, found):
    wrong = [key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key)]
    if wrong:
        key = wrong[0]
        raise SystemExit(
            f"peers: {len(wrong)} rows of {table} are wrong, one of them is {key!r}: "
            f"expected {expected.get(key)!r}, found {found.get(key)!r}"
        )


def count(brokers, topic, tweets):
    """Reads the whole topic."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": brokers, "group.id": "peer-check"})
    partitions = consumer.list_topics(topic).topics[topic].partitions
    beginning = confluent_kafka.OFFSET_BEGINNING
    consumer.assign([confluent_kafka.TopicPartition(topic, number, beginning) for number in partitions])
    expected = Expected()
    while expected.records < tweets:
        records = consumer.consume(1000, timeout=10)
        if not records:
            raise SystemExit(f"peers: {topic} ends after {expected.records} records")
        for record in records:
            if record.error():
                raise SystemExit(f"peers: {topic} cannot be read: {record.error()}")
            expected.add(orjson.loads(record.value()))
    consumer.close()
    return expected

"""The plain Python consumer: a loop, two dicts, and one statement for many rows.

Owns the peer "python", a program of its own. A process reads some of the partitions, adds up what
it saw since the last commit, and hands it to a thread that writes it in one transaction, the offsets
with it; so a killed process goes on where its last commit was, without state of its own. Several
processes need not know of each other, because the statements add to what is there. The last line of
output has the time of the first record.
"""

import argparse
import json
import multiprocessing
import queue
import re
import threading
import time
from urllib.parse import urlsplit

import confluent_kafka
import msgspec
import orjson
import pymysql

# The range that many programs share, and the report's rule for blank names.
EMOJI = re.compile(
    "[\U0001f600-\U0001f64f\U0001f300-\U0001f5ff\U0001f680-\U0001f6ff\U0001f1e0-\U0001f1ff"
    "\u2702-\u27b0\u24c2-\U0001f251]+"
)
ADD_HASHTAGS = (
    "INSERT INTO hashtags (hashtag, uses) VALUES %s ON DUPLICATE KEY UPDATE uses = uses + VALUES(uses)"
)
# MariaDB assigns from left to right: the id must come last.
NEWER = "IF(VALUES(tweet_id) >= tweet_id, VALUES({0}), {0})"
SET_USERS = (
    "INSERT INTO users (user_id, username, nb_friends, tweet_id) VALUES %s ON DUPLICATE KEY UPDATE "
    + ", ".join(f"{name} = {NEWER.format(name)}" for name in ("username", "nb_friends", "tweet_id"))
)
SET_OFFSETS = (
    "INSERT INTO peer_offsets (partition_id, next_offset) VALUES %s "
    "ON DUPLICATE KEY UPDATE next_offset = VALUES(next_offset)"
)


class Hashtag(msgspec.Struct):
    text: str


class Entities(msgspec.Struct):
    hashtags: list[Hashtag] = []


class Extended(msgspec.Struct):
    entities: Entities | None = None


class User(msgspec.Struct):
    id: int
    name: str
    location: str | None = None
    friends_count: int | None = None


class Tweet(msgspec.Struct):
    """What the tables need; everything else is skipped, not built."""

    id: int
    user: User
    truncated: bool = False
    entities: Entities | None = None
    extended_tweet: Extended | None = None


def with_msgspec():
    """A function from a record to what the tables need of it, or None without a location."""
    decode = msgspec.json.Decoder(Tweet).decode

    def read(payload):
        tweet = decode(payload)
        user = tweet.user
        if user.location is None:
            return None
        cut = tweet.truncated and tweet.extended_tweet is not None
        entities = (tweet.extended_tweet if cut else tweet).entities
        tags = [tag.text for tag in entities.hashtags] if entities else ()
        return tags, user.id, (tweet.id, user.name, user.friends_count)

    return read


def with_orjson():
    """The same by an object of everything that the record says."""

    def read(payload):
        tweet = orjson.loads(payload)
        user = tweet["user"]
        if user["location"] is None:
            return None
        extended = tweet.get("extended_tweet")
        text = extended if tweet.get("truncated") and extended else tweet
        tags = [tag["text"] for tag in text["entities"]["hashtags"]]
        return tags, user["id"], (tweet["id"], user["name"], user["friends_count"])

    return read


PARSERS = {"msgspec": with_msgspec, "orjson": with_orjson}


class Deltas:
    """What was seen since the last commit."""

    def __init__(self):
        self.uses, self.users, self.offsets = {}, {}, {}

    def add(self, read, payload):
        tweet = read(payload)
        if tweet is None:
            return
        tags, user, newest = tweet
        for tag in tags:
            self.uses[tag] = self.uses.get(tag, 0) + 1
        held = self.users.get(user)
        if held is None or newest[0] >= held[0]:
            self.users[user] = newest


def quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def clean(name):
    if not name.isascii():
        name = EMOJI.sub("", name)
    return name.strip() or "No name"


class Writer:
    """A thread that writes one `Deltas` at a time."""

    def __init__(self, database, rows):
        server = urlsplit(database)
        self.connection = pymysql.connect(
            host=server.hostname, port=server.port, user=server.username, password=server.password,
            database=server.path.strip("/"), charset="utf8mb4", autocommit=False,
        )  # fmt: skip
        self.rows, self.failure = rows, None
        self.work = queue.Queue(maxsize=1)
        self.idle = threading.Event()
        self.idle.set()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def offsets(self):
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT partition_id, next_offset FROM peer_offsets")
            found = dict(cursor.fetchall())
        self.connection.rollback()
        return found

    def write(self, deltas):
        """Waits for the one before."""
        self.idle.wait()
        if self.failure:
            raise self.failure
        self.idle.clear()
        self.work.put(deltas)

    def end(self):
        self.idle.wait()
        self.work.put(None)
        self.thread.join()
        if self.failure:
            raise self.failure

    def _run(self):
        while (deltas := self.work.get()) is not None:
            try:
                self._commit(deltas)
            except pymysql.MySQLError as error:
                self.failure = error
            self.idle.set()

    def _commit(self, deltas):
        # In the order of the keys, so that two processes wait for each other instead of blocking.
        hashtags = [f"({quoted(tag)},{uses})" for tag, uses in sorted(deltas.uses.items())]
        users = [
            f"({user},{quoted(clean(name))},{'NULL' if friends is None else friends},{tweet})"
            for user, (tweet, name, friends) in sorted(deltas.users.items())
        ]
        offsets = [f"({partition},{offset + 1})" for partition, offset in deltas.offsets.items()]
        while True:
            try:
                with self.connection.cursor() as cursor:
                    for sql, rows in (ADD_HASHTAGS, hashtags), (SET_USERS, users), (SET_OFFSETS, offsets):
                        for start in range(0, len(rows), self.rows):
                            cursor.execute(sql.replace("%s", ",".join(rows[start : start + self.rows]), 1))
                self.connection.commit()
                return
            except pymysql.OperationalError as error:
                if error.args[0] not in (1205, 1213):  # Lock wait, deadlock: the other one goes first.
                    raise
                self.connection.rollback()


def assigned(words, share, writer):
    """A consumer of every so-manyth partition from where the tables are, and their ends."""
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": words.brokers, "group.id": "peer-python", "enable.auto.commit": False,
        "auto.offset.reset": "error", "fetch.queue.backoff.ms": words.backoff_ms,
        "queued.max.messages.kbytes": words.queue_kb, "fetch.message.max.bytes": words.fetch_bytes,
    })  # fmt: skip
    known, ends, start = writer.offsets(), {}, []
    for partition in sorted(consumer.list_topics(words.topic).topics[words.topic].partitions):
        if partition % words.processes == share:
            place = confluent_kafka.TopicPartition(words.topic, partition)
            low, ends[partition] = consumer.get_watermark_offsets(place)
            place.offset = known.get(partition, low)
            start.append(place)
    consumer.assign(start)
    return consumer, sum(ends[place.partition] - place.offset for place in start)


def consume(words, share, first):
    writer = Writer(words.database, words.rows)
    consumer, left = assigned(words, share, writer)
    read, deltas, commit_at = PARSERS[words.parser](), Deltas(), None
    while left:
        records = consumer.consume(min(words.batch, left), timeout=0.05)
        if commit_at is None and records:
            first[share] = time.time()
            commit_at = time.monotonic() + words.commit_seconds
        for record in records:
            if record.error():
                raise confluent_kafka.KafkaException(record.error())
            deltas.add(read, record.value())
            deltas.offsets[record.partition()] = record.offset()
        left -= len(records)
        if commit_at and time.monotonic() >= commit_at:
            writer.write(deltas)
            deltas, commit_at = Deltas(), time.monotonic() + words.commit_seconds
    writer.write(deltas)
    writer.end()
    consumer.close()


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in "brokers", "topic", "database":
        words.add_argument(f"--{name}", required=True)
    words.add_argument("--parser", choices=PARSERS, required=True)
    words.add_argument("--commit-seconds", type=float, required=True)
    for name in "processes", "batch", "rows", "backoff-ms", "queue-kb", "fetch-bytes":
        words.add_argument(f"--{name}", type=int, required=True)
    words = words.parse_args()
    first = multiprocessing.Array("d", words.processes)
    shares = [
        multiprocessing.Process(target=consume, args=(words, share, first))
        for share in range(words.processes)
    ]
    for share in shares:
        share.start()
    for share in shares:
        share.join()
    if any(share.exitcode for share in shares):
        raise SystemExit("a process failed")
    print(json.dumps({"first_record": min(time for time in first if time)}))


if __name__ == "__main__":
    main()

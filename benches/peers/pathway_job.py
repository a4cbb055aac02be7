"""The job of the peer "pathway": a graph of tables, and a sink for the changes of each of both.

Owns a program of its own. Records are parsed by a function of the plain Python consumer, which uses less
than half of what Pathway's own parser does; the rest is Pathway's. The records of a second are a time of
its own, whose changes a sink writes in one transaction. The line of output has the time of the first
record.
"""

import argparse
import json
import time
from urllib.parse import urlsplit

import pathway as pw
import pymysql
from python_consumer import PARSERS, clean, quoted

SET_HASHTAGS = "INSERT INTO hashtags (hashtag, uses) VALUES {} ON DUPLICATE KEY UPDATE uses = VALUES(uses)"
SET_USERS = (
    "INSERT INTO users (user_id, username, nb_friends) VALUES {} ON DUPLICATE KEY UPDATE "
    "username = VALUES(username), nb_friends = VALUES(nb_friends)"
)


def hashtag_row(row):
    return f"({quoted(row['tag'])},{row['uses']})"


def user_row(row):
    _, name, friends = row["newest"]
    return f"({row['user']},{quoted(clean(name))},{'NULL' if friends is None else friends})"


class Sink:
    """Collects the changes of a table, and writes them when their time ends."""

    def __init__(self, words, table, sql, quote):
        server = urlsplit(words.database)
        self.connection = pymysql.connect(
            host=server.hostname, port=server.port, user=server.username, password=server.password,
            database=server.path.strip("/"), charset="utf8mb4", autocommit=False,
        )  # fmt: skip
        self.limit, self.sql, self.quote, self.rows = words.rows, sql, quote, []
        pw.io.subscribe(table, on_change=self.change, on_time_end=self.write)

    def change(self, key, row, time, is_addition):
        # What was there before is taken away, too.
        if is_addition:
            self.rows.append(self.quote(row))

    def write(self, _):
        if not self.rows:
            return
        with self.connection.cursor() as cursor:
            for start in range(0, len(self.rows), self.limit):
                cursor.execute(self.sql.format(",".join(self.rows[start : start + self.limit])))
        self.connection.commit()
        self.rows = []


def tweets(words, first):
    """What the tables need of the tweets with a location."""
    read = PARSERS[words.parser]()

    @pw.udf(deterministic=True)
    def tweet(payload: bytes) -> tuple[tuple[str, ...], int, tuple[int, str, int | None]] | None:
        if not first:
            first.append(time.time())
        return read(payload)

    kafka = {
        "bootstrap.servers": words.brokers, "group.id": f"peer-pathway-{time.time_ns()}",
        "auto.offset.reset": "earliest", "enable.auto.commit": "false",
        "queued.max.messages.kbytes": str(words.queue_kb), "fetch.message.max.bytes": str(words.fetch_bytes),
    }  # fmt: skip
    records = pw.io.kafka.read(
        kafka, topic=words.topic, format="raw", mode=words.mode, autogenerate_key=True,
        autocommit_duration_ms=words.commit_ms, max_backlog_size=words.backlog or None,
    )  # fmt: skip
    read_ones = records.select(tweet=tweet(records.data))
    found = read_ones.filter(read_ones.tweet.is_not_none()).select(tweet=pw.unwrap(pw.this.tweet))
    return found.select(tags=pw.this.tweet[0], user=pw.this.tweet[1], newest=pw.this.tweet[2])


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in "brokers", "topic", "database":
        words.add_argument(f"--{name}", required=True)
    words.add_argument("--parser", choices=PARSERS, required=True)
    words.add_argument("--mode", choices=["static", "streaming"], required=True)
    for name in "commit-ms", "backlog", "rows", "queue-kb", "fetch-bytes":
        words.add_argument(f"--{name}", type=int, required=True)
    words = words.parse_args()
    first = []
    found = tweets(words, first)
    tags = found.select(tag=found.tags).flatten(pw.this.tag)
    uses = tags.groupby(tags.tag).reduce(tags.tag, uses=pw.reducers.count())
    users = found.groupby(found.user).reduce(found.user, newest=pw.reducers.max(found.newest))
    Sink(words, uses, SET_HASHTAGS, hashtag_row)
    Sink(words, users, SET_USERS, user_row)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    print(json.dumps({"first_record": first[0]}))


if __name__ == "__main__":
    main()

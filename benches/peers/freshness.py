"""How soon a tweet is visible by a peer: single tweets beside a steady stream of others.

The method is that of the end-to-end benchmark of tweetflow itself: a probe's time is from handing it to a
producer without lingering to the first answer of the database that shows it, asked every millisecond;
beside it stand transactions of one row of another client. CPU is the peer's process, from start to stop.
"""

import json
import os
import signal
import subprocess
import time

import confluent_kafka
import measure
import tables
from confluent_kafka.admin import AdminClient

WARM_UP = 30
PATIENCE_SECONDS = 180


def per_mille(values, number):
    """The value that so many of a thousand do not exceed."""
    return round(sorted(values)[max(1, -(-len(values) * number // 1000)) - 1], 2)


class OneRow(measure.Beside):
    """Transactions of one row."""

    def __init__(self, url):
        self.url, self.millis = url, []
        super().__init__()

    def run(self):
        with tables.connect(self.url, tables.NAME) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE one_row (id INT PRIMARY KEY, number INT)")
            cursor.execute("INSERT INTO one_row VALUES (1, 0)")
            while not self.stop.wait(0.037):
                began = time.monotonic()
                cursor.execute("UPDATE one_row SET number = number + 1")
                self.millis.append((time.monotonic() - began) * 1000)


def probe(number, producer, topic, cursor, child):
    """Milliseconds of one."""
    user = 9_000_000_000_000_000_000 + number
    tweet = {
        "id": user, "id_str": str(user), "truncated": False, "text": "a probe",
        "text": "", "entities": {"hashtags": [{"text": f"probe{number}"}]},
        "user": {"id": user, "id_str": str(user), "name": "probe", "location": "here", "friends_count": 1},
    }  # fmt: skip
    sql, sent = f"SELECT uses FROM hashtags WHERE hashtag = 'probe{number}'", time.monotonic()
    producer.produce(topic, json.dumps(tweet), str(user))
    while True:
        producer.poll(0)
        if tables_show(cursor, sql):
            return (time.monotonic() - sent) * 1000
        if time.monotonic() - sent > PATIENCE_SECONDS or child.poll() is not None:
            raise SystemExit(f"peers: probe {number} is not visible")
        time.sleep(0.001)


def tables_show(cursor, sql):
    try:
        cursor.execute(sql)
    except tables.pymysql.err.ProgrammingError:
        return False  # The table is missing at first.
    return cursor.fetchone() == (1,)


def beside(child, probes, brokers, topic, url):
    """The milliseconds of all probes, and of the transactions beside them."""
    producer = confluent_kafka.Producer({"bootstrap.servers": brokers, "linger.ms": 0, "acks": "all"})
    with tables.connect(url, tables.NAME) as connection, connection.cursor() as cursor, OneRow(url) as one_row:
        millis = []
        for number in range(WARM_UP + probes):
            # Uneven, so that no rhythm of the peer is met always at the same beat.
            time.sleep(0.02 + number * 7919 % 20000 / 1e6)
            millis.append(probe(number, producer, topic, cursor, child))
    producer.flush(10)
    return millis[WARM_UP:], one_row.millis


def stream(brokers, topic, rate):
    """A process that produces for ever, once its first records are there."""
    produce = [os.environ["TWEETFLOW_PROGRAM"], "produce", "--synthetic", "--seed=1", f"--topic={topic}"]
    produce += [f"--brokers={brokers}", "--partitions=4", f"--rate={rate}"]
    child = subprocess.Popen(produce, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    consumer = confluent_kafka.Consumer({"bootstrap.servers": brokers, "group.id": "peers"})
    first = confluent_kafka.TopicPartition(topic, 0)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if topic in consumer.list_topics().topics and consumer.get_watermark_offsets(first)[1] > 0:
            consumer.close()
            return child
        time.sleep(0.1)
    child.kill()
    raise SystemExit("peers: tweetflow produce does not begin")


def measured(name, peer, settings, words, brokers, server, work):
    """One measurement; the topic is its own and removed afterwards."""
    topic = f"peers-freshness-{time.time_ns()}"
    url = tables.create(server, getattr(peer, "DDL", tables.DDL))
    command, environment = peer.live(settings, brokers, topic, url)
    producing = stream(brokers, topic, words.rate)
    try:
        with open(work / f"{name}.log", "wb") as log:
            child = subprocess.Popen(
                command, env=os.environ | environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        began = time.monotonic()
        try:
            millis, one_row = beside(child, words.probes, brokers, topic, url)
        finally:
            os.killpg(child.pid, signal.SIGTERM)
            _, _, used = os.wait4(child.pid, 0)
        cores = (used.ru_utime + used.ru_stime) / (time.monotonic() - began)
    finally:
        producing.terminate()
        producing.wait()
        admin = AdminClient({"bootstrap.servers": brokers})
        admin.delete_topics([topic])[topic].result()
    return {
        "peer": name, "setting": settings, "rate": words.rate, "probes": len(millis),
        "p50_ms": per_mille(millis, 500), "p99_ms": per_mille(millis, 990),
        "one_row_p50_ms": per_mille(one_row, 500), "one_row_p99_ms": per_mille(one_row, 990),
        "cpu_cores": round(cores, 3),
    }  # fmt: skip

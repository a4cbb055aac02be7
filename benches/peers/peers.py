"""Measures peers one after another, and prints one line of JSON a run.

usage: benches/peers/run PEER|all [--tweets N] [--repeat N] [--once PEER[,PEER]...] [--set NAME=VALUE[,VALUE]...]...
       benches/peers/run PEER|all --freshness [--rate N] [--probes N] [--repeat N] [--set ...]...

Needs TEST_KAFKA and TEST_MYSQL: eval "$(deploy/local start kafka mariadb)". Makes the pinned topic of
benches/end_to_end if it is not there, counts what the tables must hold, and compares after each run.
--freshness measures how soon a tweet is visible beside a stream of others; of tweetflow and Pathway.
--once names those that have a part in the first round alone. --set changes a setting of the peer, which are in
its NAME_peer.py; each combination of several values is measured.
"""

import argparse
import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import sys
from pathlib import Path

import confluent_kafka
import flink_peer
import freshness
import kafka_streams_peer
import measure
import pathway_peer
import python_peer
import spark_append_peer
import spark_peer
import tables
import tweetflow_peer

PEERS = {
    "tweetflow": tweetflow_peer,
    "python": python_peer,
    "kafka-streams": kafka_streams_peer,
    "flink": flink_peer,
    "spark": spark_peer,
    "spark-append": spark_append_peer,
    "pathway": pathway_peer,
}
ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "target" / "peers"
PARTITIONS = 4


def server(name):
    if name not in os.environ:
        sys.exit(f'peers: {name} is not set; run: eval "$(deploy/local start kafka mariadb)"')
    return os.environ[name]


def records(brokers, topic):
    """Partitions and records of a topic."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": brokers, "group.id": "peers"})
    partitions = consumer.list_topics().topics.get(topic)
    ends = [
        consumer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, number))
        for number in (partitions.partitions if partitions else ())
    ]
    consumer.close()
    return len(ends), sum(high - low for low, high in ends)


def filled(brokers, tweets):
    """The pinned topic, made if there is none."""
    source = (ROOT / "crates/synth/src/lib.rs").read_text()
    version = re.search(r"const GENERATOR_VERSION: u32 = (\d+);", source)[1]
    topic = f"bench-v{version}-{tweets}"
    if records(brokers, topic)[0] == 0:
        produce = [os.environ["TWEETFLOW_PROGRAM"], "produce", "--synthetic", "--seed=1", f"--topic={topic}"]
        produce += [f"--brokers={brokers}", f"--partitions={PARTITIONS}", f"--limit={tweets}"]
        subprocess.run(produce, check=True, stdout=subprocess.DEVNULL)
    if records(brokers, topic) != (PARTITIONS, tweets):
        sys.exit(f"peers: {topic} does not hold {tweets} tweets; remove it")
    return topic


def measured(name, settings, brokers, topic, expected):
    """One run into an empty database."""
    peer, log = PEERS[name], WORK / f"{name}.log"
    url = tables.create(server("TEST_MYSQL"), getattr(peer, "DDL", tables.DDL))
    command, environment = peer.command(settings, brokers, topic, url, WORK)
    with tables.connect(url) as connection, measure.Commits(connection) as commits:
        output, usage = measure.run(command, environment, log)
    getattr(peer, "check", tables.Expected.compare)(expected, url)
    seconds = peer.seconds(output, log, commits.last())
    return {
        "peer": name,
        "setting": settings,
        "tweets": expected.records,
        "seconds": round(seconds, 2),
        "tweets_per_second": round(expected.records / seconds),
        "cpu_seconds": round(usage.cpu_seconds, 2),
        "others_cpu_seconds": round(usage.others_cpu_seconds, 2),
        "peak_mb": round(usage.peak_mb, 1),
        "max_gap_s": round(commits.longest_gap(), 2),
        "checked": True,
    }


def medians(lines):
    numbers = [key for key, value in lines[0].items() if type(value) in (int, float)]
    return {key: statistics.median(line[key] for line in lines) for key in numbers}


def arguments():
    words = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    words.add_argument("peer", choices=[*PEERS, "all"])
    words.add_argument("--tweets", type=int, default=1_000_000)
    words.add_argument("--repeat", type=int, default=1)
    words.add_argument("--once", default="", metavar="PEER,...")
    words.add_argument("--freshness", action="store_true")
    words.add_argument("--rate", type=int, default=5000)
    words.add_argument("--probes", type=int, default=1000)
    words.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    words = words.parse_args()
    words.set = dict(word.split("=", 1) for word in words.set)
    words.once = words.once.split(",")
    if unknown := set(words.once) - {"", *PEERS}:
        sys.exit(f"peers: there is no peer {', '.join(unknown)}")
    return words


def combinations(name, settings, changed):
    """The settings of a peer, once for each combination of the values that are asked for."""
    if unknown := changed.keys() - settings.keys():
        sys.exit(f"peers: {name} has no setting {', '.join(unknown)}; it has {', '.join(settings)}")
    values = itertools.product(*(value.split(",") for value in changed.values()))
    return [settings | dict(zip(changed, combination, strict=True)) for combination in values]


def measure_freshness(words, brokers, names):
    """Of the peers that can follow a topic, in turn."""
    followers = [name for name in names if hasattr(PEERS[name], "live")]
    if not followers:
        sys.exit(f"peers: the freshness of {words.peer} is not measured")
    for _ in range(words.repeat):
        for name in followers:
            for settings in combinations(name, PEERS[name].LIVE, words.set):
                line = freshness.measured(
                    name, PEERS[name], settings, words, brokers, server("TEST_MYSQL"), WORK
                )
                print(json.dumps(line), flush=True)


def main():
    words = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("peers: stopped by a signal"))
    brokers, names = server("TEST_KAFKA"), list(PEERS) if words.peer == "all" else [words.peer]
    if words.freshness:
        return measure_freshness(words, brokers, names)
    runs = [
        (name, settings) for name in names for settings in combinations(name, PEERS[name].SETTINGS, words.set)
    ]
    topic = filled(brokers, words.tweets)
    expected = tables.count(brokers, topic, words.tweets)
    lines = [[] for _ in runs]
    for number in range(words.repeat):
        for (name, settings), found in zip(runs, lines, strict=True):
            if number > 0 and name in words.once:
                continue
            found.append(measured(name, settings, brokers, topic, expected))
            print(json.dumps(found[-1]), flush=True)
    for (name, settings), found in zip(runs, lines, strict=True) if words.repeat > 1 else ():
        line = {"peer": name, "setting": settings, "median_of": len(found), "medians": medians(found)}
        print(json.dumps(line))


if __name__ == "__main__":
    main()

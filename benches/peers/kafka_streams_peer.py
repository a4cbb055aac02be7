"""How the peer "kafka-streams" is run: a Java program of its own, StreamsPeer.java, in one process.

Owns its settings and its configuration file.
"""

import time

import java
from measure import since_first_record as seconds  # noqa: F401

SETTINGS = {
    "threads": 2,
    "store": "InMemory",
    "guarantee": "at_least_once",
    "commit_ms": 1000,
    "cache_mb": 0,
    "sink_ms": 500,
    "poll_records": 5000,
    "fetch_bytes": 4194304,
    "buffered_records": 5000,
    "linger_ms": 100,
    "batch_kb": 256,
    "compression": "none",
    "heap": "2g",
    "collector": "Parallel",
}


def configuration(settings, brokers, topic, database, home):
    return {
        "peer.topic": topic,
        "peer.database": java.address(database),
        "peer.sink.ms": settings["sink_ms"],
        "application.id": f"peer-kafka-streams-{time.time_ns()}",
        "bootstrap.servers": brokers,
        "state.dir": home,
        "auto.offset.reset": "earliest",
        "num.stream.threads": settings["threads"],
        "processing.guarantee": settings["guarantee"],
        "commit.interval.ms": settings["commit_ms"],
        "statestore.cache.max.bytes": int(settings["cache_mb"]) << 20,
        "dsl.store.suppliers.class": "org.apache.kafka.streams.state.BuiltInDslStoreSuppliers$"
        f"{settings['store']}DslStoreSuppliers",
        "buffered.records.per.partition": settings["buffered_records"],
        "consumer.max.poll.records": settings["poll_records"],
        "consumer.max.partition.fetch.bytes": settings["fetch_bytes"],
        "consumer.fetch.max.bytes": 104857600,
        "consumer.receive.buffer.bytes": 1048576,
        "producer.linger.ms": settings["linger_ms"],
        "producer.batch.size": int(settings["batch_kb"]) << 10,
        "producer.buffer.memory": 134217728,
        "producer.compression.type": settings["compression"],
    }


def command(settings, brokers, topic, database, work):
    """The command and its environment."""
    home = work / "kafka-streams"
    home.mkdir(parents=True, exist_ok=True)
    lines = configuration(settings, brokers, topic, database, home).items()
    (home / "job.properties").write_text("".join(f"{key}={value}\n" for key, value in lines))
    start = java.command("kafka-streams", "StreamsPeer", settings, work)
    return [*start, f"{home}/job.properties"], {}

"""How the peer "spark" is run: a Java program of its own, SparkPeer.java, with Spark inside it.

Owns its settings, and what all programs with Spark inside are given.
"""

import shutil

import java
from measure import since_first_record as seconds  # noqa: F401

SETTINGS = {
    "threads": 2,
    "batch": 30000,
    "shuffle_partitions": 2,
    "store": "HDFSBacked",
    "poll_records": 5000,
    "fetch_bytes": 4194304,
    "heap": "2g",
    "collector": "Parallel",
}
STATE = "org.apache.spark.sql.execution.streaming.state"
STORES = {
    "HDFSBacked": f"{STATE}.HDFSBackedStateStoreProvider",
    "RocksDB": f"{STATE}.RocksDBStateStoreProvider",
}


def source(settings, brokers, topic):
    """Where the records come from, and how many at a time."""
    return {
        "source.kafka.bootstrap.servers": brokers,
        "source.subscribe": topic,
        "source.startingOffsets": "earliest",
        "source.maxOffsetsPerTrigger": settings["batch"],
        "source.kafka.max.poll.records": settings["poll_records"],
        "source.kafka.max.partition.fetch.bytes": settings["fetch_bytes"],
        "source.kafka.fetch.max.bytes": 104857600,
        "source.kafka.receive.buffer.bytes": 1048576,
    }


def process(settings, peer, work):
    """Spark within one process, its files in a folder of the peer's own."""
    return {
        "spark.master": f"local[{settings['threads']}]",
        "spark.app.name": f"peer-{peer}",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.local.dir": work / peer,
        "spark.sql.streaming.checkpointLocation": work / peer / "checkpoints",
    }


def start(main, peer, configuration, settings, work):
    """The command of a Java program that has its configuration in a file, and its environment."""
    home = work / peer
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / "job.properties").write_text("".join(f"{key}={value}\n" for key, value in configuration.items()))
    return [*java.command("spark", main, settings, work), f"{home}/job.properties"], {}


def command(settings, brokers, topic, database, work):
    """The command and its environment."""
    configuration = source(settings, brokers, topic) | process(settings, "spark", work)
    configuration |= {
        "peer.database": java.address(database),
        "spark.sql.shuffle.partitions": settings["shuffle_partitions"],
        "spark.sql.streaming.stateStore.providerClass": STORES[settings["store"]],
        "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
        "spark.sql.streaming.noDataMicroBatches.enabled": "false",
    }
    return start("SparkPeer", "spark", configuration, settings, work)

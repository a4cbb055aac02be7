"""How the peer "spark" is run: a Java program of its own, SparkPeer.java, with Spark inside it.

Owns its settings and its configuration file.
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


def configuration(settings, brokers, topic, database, home):
    return {
        "peer.database": java.address(database),
        "source.kafka.bootstrap.servers": brokers,
        "source.subscribe": topic,
        "source.startingOffsets": "earliest",
        "source.maxOffsetsPerTrigger": settings["batch"],
        "source.kafka.max.poll.records": settings["poll_records"],
        "source.kafka.max.partition.fetch.bytes": settings["fetch_bytes"],
        "source.kafka.fetch.max.bytes": 104857600,
        "source.kafka.receive.buffer.bytes": 1048576,
        "spark.master": f"local[{settings['threads']}]",
        "spark.app.name": "peer-spark",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.local.dir": home,
        "spark.sql.streaming.checkpointLocation": home / "checkpoints",
        "spark.sql.shuffle.partitions": settings["shuffle_partitions"],
        "spark.sql.streaming.stateStore.providerClass": STORES[settings["store"]],
        "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
        "spark.sql.streaming.noDataMicroBatches.enabled": "false",
    }


def command(settings, brokers, topic, database, work):
    """The command and its environment."""
    home = work / "spark"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    lines = configuration(settings, brokers, topic, database, home).items()
    (home / "job.properties").write_text("".join(f"{key}={value}\n" for key, value in lines))
    start = java.command("spark", "SparkPeer", settings, work)
    return [*start, f"{home}/job.properties"], {}

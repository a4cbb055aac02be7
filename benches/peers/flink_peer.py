"""How the peer "flink" is run: Flink SQL in one Java process, started by RunSql.java.

Owns its settings, its configuration file and its command. The process is a whole cluster (job manager,
task manager); a job of its own in it reads to the end of the topic as seen at the start.
"""

import re
import shutil
from pathlib import Path

import java

HERE = Path(__file__).resolve().parent
SETTINGS = {
    "parallelism": 1,
    "mini_batch": "1 s",
    "mini_batch_rows": 100000,
    "two_phase": "AUTO",
    "checkpoint": "1 s",
    "checkpoint_mode": "EXACTLY_ONCE",
    "newest": "max",
    "driver": "mariadb",
    "sink_rows": 5000,
    "sink_interval": "1 s",
    "sink_parallelism": 1,
    "poll_records": 5000,
    "fetch_bytes": 4194304,
    "heap": "2g",
    "collector": "Parallel",
}
# Two ways to say "of the newest tweet". The second is a sum that is kept in batches, of a text that
# begins with the id.
NEWEST = {
    "rank": "SELECT user_id, name, nb_friends FROM (SELECT *, "
    "ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY id DESC) AS place FROM located) WHERE place = 1",
    "max": "SELECT user_id, SUBSTRING(newest, 23 + CHAR_LENGTH(SPLIT_INDEX(newest, '|', 1))) AS name, "
    "CAST(NULLIF(SPLIT_INDEX(newest, '|', 1), '') AS BIGINT) AS nb_friends FROM ("
    "SELECT user_id, MAX(LPAD(CAST(id AS STRING), 20, '0') || '|' || "
    "COALESCE(CAST(nb_friends AS STRING), '') || '|' || name) AS newest FROM located GROUP BY user_id)",
}
DRIVERS = {
    "mysql": ("com.mysql.cj.jdbc.Driver", "rewriteBatchedStatements=true"),
    "mariadb": ("org.mariadb.jdbc.Driver", "permitMysqlScheme&useBulkStmts=true"),
}
LOGGING = """
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = console
appender.console.name = console
appender.console.type = CONSOLE
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{UNIX_MILLIS} %-5p %c{1} %m%n
"""


def configuration(settings, work):
    return {
        "execution.target": "local",
        "execution.runtime-mode": "STREAMING",
        "execution.checkpointing.interval": settings["checkpoint"],
        "execution.checkpointing.mode": settings["checkpoint_mode"],
        "execution.checkpointing.dir": (work / "checkpoints").as_uri(),
        "state.backend.type": "hashmap",
        "parallelism.default": settings["parallelism"],
        "pipeline.object-reuse": "true",
        "table.dml-sync": "true",
        "table.exec.mini-batch.enabled": "true",
        "table.exec.mini-batch.allow-latency": settings["mini_batch"],
        "table.exec.mini-batch.size": settings["mini_batch_rows"],
        "table.optimizer.agg-phase-strategy": settings["two_phase"],
        "rest.port": 0,
        "rest.bind-port": 0,
    }


def sql(settings, brokers, topic, database):
    driver, options = DRIVERS[settings["driver"]]
    filled = settings | {
        "brokers": brokers,
        "topic": topic,
        "jdbc_url": java.address(database, options),
        "jdbc_driver": driver,
        "newest": NEWEST[settings["newest"]],
    }
    text = (HERE / "flink.sql").read_text()
    return re.sub(r"\{([a-z_]+)\}", lambda word: str(filled[word[1]]), text)


def command(settings, brokers, topic, database, work):
    """The command and its environment."""
    home = work / "flink"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    lines = (f"{key}: {value}\n" for key, value in configuration(settings, home).items())
    (home / "config.yaml").write_text("".join(lines))
    (home / "log4j2.properties").write_text(LOGGING)
    (home / "job.sql").write_text(sql(settings, brokers, topic, database))
    logging = f"-Dlog4j.configurationFile={home}/log4j2.properties"
    start = java.command("flink", "RunSql", settings, work, logging)
    return [*start, f"{home}/job.sql"], {"FLINK_CONF_DIR": str(home)}


def seconds(_, log, last_commit):
    """From when the first source task ran, which is a little before its first record."""
    running = re.compile(r"^(\d+) .*Source: .* from INITIALIZING to RUNNING", re.MULTILINE)
    return last_commit - int(running.search(Path(log).read_text())[1]) / 1000

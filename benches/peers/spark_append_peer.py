"""How the peer "spark-append" is run: the report's form of the job, SparkAppend.java, with Spark inside it.

Owns its settings, and what its tables, which have a row for each tweet and each use, must hold. Shares the
rest with spark_peer.
"""

import java
import spark_peer
import tables
from measure import since_first_record as seconds  # noqa: F401

SETTINGS = {
    "threads": 2,
    "batch": 200000,
    "poll_records": 5000,
    "fetch_bytes": 4194304,
    "heap": "2g",
    "collector": "Parallel",
    "parse": "once",
    "rows": 5000,
    "driver": "mariadb",
}
# The class of a driver, and what lets it make one statement of many rows.
DRIVERS = {
    "mysql": ("com.mysql.cj.jdbc.Driver", "rewriteBatchedStatements=true"),
    "mariadb": ("org.mariadb.jdbc.Driver", "permitMysqlScheme&useBulkStmts=true"),
}
DDL = (
    "CREATE TABLE hashtags (hashtag VARCHAR(255) NOT NULL)",
    "CREATE TABLE users (username VARCHAR(255) NOT NULL, nb_friends BIGINT NULL)",
)


def command(settings, brokers, topic, database, work):
    """The command and its environment."""
    configuration = spark_peer.source(settings, brokers, topic) | spark_peer.process(settings, "spark-append", work)
    driver, options = DRIVERS[settings["driver"]]
    configuration |= {
        "job.parse": settings["parse"],
        "writer.url": java.address(database, options),
        "writer.driver": driver,
        "writer.batchsize": settings["rows"],
    }
    return spark_peer.start("SparkAppend", "spark-append", configuration, settings, work)


def check(expected, url):
    """Uses of each hashtag by counting its rows; of the users, which have no key, their number and all friends."""
    with tables.connect(url, tables.NAME) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT hashtag, COUNT(*) FROM hashtags GROUP BY hashtag COLLATE utf8mb4_bin")
        tables.same("hashtags", expected.uses, dict(cursor.fetchall()))
        cursor.execute("SELECT COUNT(*), CAST(SUM(nb_friends) AS SIGNED) FROM users")
        found = dict(zip(("rows", "friends"), cursor.fetchone(), strict=True))
        tables.same("users", {"rows": expected.located, "friends": expected.friends}, found)

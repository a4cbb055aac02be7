"""Superset's settings. Owns nothing: all state is in $SUPERSET_HOME (its database, its key).

SQLite for Superset's own data, no Redis, no Celery, no cache: every chart is read when it is asked for.
"""

import os
from pathlib import Path

import pymysql

# Superset imports MySQLdb to name types of columns, under mysql+pymysql:// too.
pymysql.install_as_MySQLdb()

HOME = Path(os.environ["SUPERSET_HOME"])
# Made once by `serve`. It encrypts the database's password: with another key that is lost.
SECRET_KEY = (HOME / "secret_key").read_text().strip()
SQLALCHEMY_DATABASE_URI = f"sqlite:///{HOME}/superset.db?check_same_thread=false"

# Superset 6.1 with sqlglot 28 writes its own grains of seconds to hours wrongly for MySQL: 02:47 becomes
# 05:34, without an error (apache/superset#44412). No chart of the bundle has a grain; a viewer's may.
TIME_GRAIN_ADDON_EXPRESSIONS = {
    "mysql": {
        "PT1S": "CAST(DATE_FORMAT({col}, '%Y-%m-%d %H:%i:%s') AS DATETIME)",
        "PT1M": "CAST(DATE_FORMAT({col}, '%Y-%m-%d %H:%i:00') AS DATETIME)",
        "PT1H": "CAST(DATE_FORMAT({col}, '%Y-%m-%d %H:00:00') AS DATETIME)",
    }
}

# Defaults, said aloud: freshness hangs on them.
CACHE_CONFIG = DATA_CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
DASHBOARD_AUTO_REFRESH_MODE = "force"
SUPERSET_DASHBOARD_PERIODICAL_REFRESH_LIMIT = 0
DASHBOARD_AUTO_REFRESH_INTERVALS = [
    [0, "Don't refresh"], [1, "1 second"], [2, "2 seconds"], [5, "5 seconds"], [60, "1 minute"]
]

"""How the peer "python" is run: python_consumer.py with its settings."""

import measure
from measure import since_first_record as seconds  # noqa: F401

SETTINGS = {
    "processes": 2,
    "parser": "msgspec",
    "commit_seconds": 1.0,
    "batch": 1000,
    "rows": 5000,
    "backoff_ms": 5,
    "queue_kb": 16384,
    "fetch_bytes": 1048576,
}


def command(settings, brokers, topic, database, _):
    """The command and its environment."""
    words = {"brokers": brokers, "topic": topic, "database": database} | settings
    return measure.python("python_consumer.py", **words), {}

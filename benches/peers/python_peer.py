"""How the peer "python" is run: python_consumer.py with its settings."""

import sys
from pathlib import Path

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
    program = Path(__file__).resolve().parent / "python_consumer.py"
    words = {"brokers": brokers, "topic": topic, "database": database} | settings
    options = [f"--{name.replace('_', '-')}={value}" for name, value in words.items()]
    return [sys.executable, str(program), *options], {}

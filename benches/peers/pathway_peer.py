"""How the peer "pathway" is run: pathway_job.py with its settings."""

import sys
from pathlib import Path

from measure import since_first_record as seconds  # noqa: F401

SETTINGS = {
    "threads": 2,
    "parser": "msgspec",
    "commit_ms": 500,
    "backlog": 20000,
    "rows": 5000,
    "queue_kb": 16384,
    "fetch_bytes": 1048576,
}


def command(settings, brokers, topic, database, _):
    """The command and its environment."""
    program = Path(__file__).resolve().parent / "pathway_job.py"
    words = {"brokers": brokers, "topic": topic, "database": database} | settings
    threads = words.pop("threads")
    options = [f"--{name.replace('_', '-')}={value}" for name, value in words.items()]
    return [sys.executable, str(program), *options], {"PATHWAY_THREADS": str(threads)}

"""How the peer "pathway" is run: pathway_job.py with its settings."""

import measure
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


LIVE = SETTINGS | {"commit_ms": 5, "threads": 1}


def command(settings, brokers, topic, database, _, mode="static"):
    """The command and its environment."""
    words = {"brokers": brokers, "topic": topic, "database": database, "mode": mode} | settings
    threads = words.pop("threads")
    return measure.python("pathway_job.py", **words), {"PATHWAY_THREADS": str(threads)}


def live(settings, brokers, topic, database):
    """The same of a job that follows the topic."""
    return command(settings, brokers, topic, database, None, mode="streaming")

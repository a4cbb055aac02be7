"""How tweetflow itself is run beside its peers: the basic tables, nothing else that can go."""

import os
import re

SETTINGS = {"workers": 2, "ledger": "0", "names": "legacy"}
DDL = ()  # It makes its own.
LIVE = {"workers": 2, "epoch_ms": 8}
EXTRAS = (
    "hashtags_folded", "friends_histogram", "top_hashtags", "top_users", "hashtags_by_minute",
    "trending", "freshness",
)  # fmt: skip


def command(settings, brokers, topic, database, _):
    """The command and its environment."""
    options = [f"--{name}={value}" for name, value in settings.items()]
    run = [os.environ["TWEETFLOW_PROGRAM"], "run", "--until-end", "--require-location"]
    environment = {"TWEETFLOW_DATABASE": database, "TWEETFLOW_LOG": "info"}
    run += [f"--brokers={brokers}", f"--topic={topic}", f"--without={','.join(EXTRAS)}"]
    return [*run, *options], environment


def seconds(output, *_):
    """Its own figure, which is from the first record to the last commit too."""
    return float(re.search(r"\bseconds=([\d.]+)", output)[1])


def live(settings, brokers, topic, database):
    """The same of a job that follows the topic, with all tables that it has by default."""
    run = [os.environ["TWEETFLOW_PROGRAM"], "run", "--require-location"]
    run += [f"--brokers={brokers}", f"--topic={topic}"]
    run += [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    return run, {"TWEETFLOW_DATABASE": database, "TWEETFLOW_LOG": "error"}

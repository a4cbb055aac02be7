"""Compares what the Tweeter dashboard's charts answer with SQL, and the dashboard with what it must be.

Reads only: the server at $SUPERSET_URL by its API (as admin, $SUPERSET_ADMIN_PASSWORD), and the tables
at $SUPERSET_DATABASE. Each chart's SQL is written here again, by hand. Prints a line per fault and a sum;
exit code 1 for any fault. Nothing may write to the tables meanwhile.

usage: check.py [QUERIES.json]    with the queries that a browser has sent (browser.py), these are asked;
                                  else the charts' saved ones, which only the API uses
"""

import datetime
import decimal
import json
import os
import sys
import urllib.request
from pathlib import Path

from fill import connect

URL = os.environ["SUPERSET_URL"]
# Chart: (columns of its answer in this order, SQL, whether the order of rows counts). Every chart that
# the dashboard must have is here.
EXPECTED = {
    "Hashtag uses": (["value"], "SELECT SUM(uses) FROM hashtags", True),
    "Distinct hashtags": (["value"], "SELECT COUNT(DISTINCT BINARY hashtag) FROM hashtags", True),
    "Users": (["value"], "SELECT COUNT(DISTINCT user_id) FROM users", True),
    "Hashtag counts": (
        ["hashtag", "uses", "place"],
        "SELECT hashtag, uses, `rank` FROM top_hashtags WHERE `rank` <= 15 ORDER BY `rank`",
        True,
    ),
    "Hashtag cloud": (
        ["hashtag", "uses"],
        "SELECT hashtag, uses FROM hashtags ORDER BY uses DESC, hashtag LIMIT 100",
        False,
    ),
    "Hashtags per minute": (
        ["minute", "hashtag", "uses"],
        "SELECT minute, hashtag, uses FROM hashtags_by_minute WHERE hashtag IN"
        " (SELECT * FROM (SELECT hashtag FROM hashtags ORDER BY uses DESC, hashtag LIMIT 5) AS five)"
        " AND minute > (SELECT MAX(minute) - INTERVAL 1 HOUR FROM hashtags_by_minute)",
        False,
    ),
    "Trending": (
        ["rank", "hashtag", "uses_now", "uses_before", "score"],
        "SELECT `rank`, hashtag, uses_now, uses_before, score FROM trending ORDER BY `rank` LIMIT 100",
        True,
    ),
    "Friends": (
        ["username", "nb_friends", "nb_followers", "user_id"],
        "SELECT username, nb_friends, nb_followers, CONCAT(user_id) FROM users WHERE nb_friends IS NOT NULL"
        " ORDER BY nb_friends DESC, users.user_id LIMIT 100",
        True,
    ),
    "Friends histogram": (
        ["bucket", "users"],
        "SELECT LEAST(nb_friends DIV 250 * 250, 10000) AS b, COUNT(*) FROM users WHERE nb_friends >= 0"
        " GROUP BY b ORDER BY b",
        True,
    ),
    "Hashtag pairs": (
        ["rank", "hashtag_a", "hashtag_b", "uses"],
        "SELECT `rank`, hashtag_a, hashtag_b, uses FROM top_hashtag_pairs ORDER BY `rank` LIMIT 100",
        True,
    ),
    "As of": (
        ["as_of", "commit_no"],
        "SELECT CONCAT(LEFT(as_of, 19), ' UTC'), commit_no FROM tweetflow_commit",
        True,
    ),
    "Lag by partition": (
        ["place", "records_behind", "p50_ms", "p99_ms"],
        "SELECT place, records_behind, p50_ms, p99_ms FROM freshness ORDER BY place = 'all' DESC, partition_id",
        True,
    ),
    "Legacy hashtag counts": (
        ["hashtag", "uses"],
        "SELECT hashtag, COUNT(*) AS n FROM legacy_hashtags GROUP BY hashtag ORDER BY n DESC, hashtag LIMIT 15",
        True,
    ),
    "Legacy users": (
        ["username", "nb_friends", "entries"],
        "SELECT username, MAX(nb_friends) AS n, COUNT(*) FROM legacy_users GROUP BY username"
        " ORDER BY n DESC, username LIMIT 15",
        True,
    ),
}
OPTIONAL = {
    "Hashtag pairs": "top_hashtag_pairs",
    "Lag by partition": "freshness",
    "Legacy hashtag counts": "legacy_hashtags",
    "Legacy users": "legacy_users",
}


class Api:
    """Superset's API, logged in."""

    def __init__(self):
        self.token = None
        login = {"username": "admin", "password": os.environ["SUPERSET_ADMIN_PASSWORD"], "provider": "db"}
        self.token = self.call("/api/v1/security/login", login)["access_token"]

    def call(self, path, body=None):
        request = urllib.request.Request(URL + path)
        request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        data = json.dumps(body).encode() if body is not None else None
        try:
            with urllib.request.urlopen(request, data, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {error.code} {error.read()[:300]!r}") from None


def plain(value):
    """Numbers as numbers; moments as Superset sends them: ms of UTC."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=datetime.timezone.utc).timestamp() * 1000
    return value


def rows_of(api, chart_id, sent):
    """What the chart's query answers, past any cache."""
    if sent is None:
        context = json.loads(api.call(f"/api/v1/chart/{chart_id}")["result"]["query_context"])
    else:
        context = sent[str(chart_id)]
        for query in context["queries"]:
            # What turns rows into the chart's shape.
            query["post_processing"] = []
    result = api.call("/api/v1/chart/data", context | {"force": True})["result"][0]
    if result.get("error"):
        raise RuntimeError(result["error"])
    return result["data"]


def compare(name, answer, connection):
    columns, sql, ordered = EXPECTED[name]
    with connection.cursor() as cursor:
        cursor.execute(sql)
        wanted = [tuple(map(plain, row)) for row in cursor.fetchall()]
    found = [tuple(plain(row[column]) for column in columns) for row in answer]
    key = lambda row: tuple(map(str, row))  # noqa: E731
    same = found == wanted if ordered else sorted(found, key=key) == sorted(wanted, key=key)
    if not wanted:
        yield f"{name}: nothing to compare, the tables are empty"
    if not same:
        pairs = zip(found + [None] * len(wanted), wanted + [None] * len(found))
        first = next((pair for pair in pairs if pair[0] != pair[1]), None)
        yield f"{name}: {len(found)} rows, SQL has {len(wanted)}; the first that differ: {first}"
    if name == "As of" and not 0 <= answer[0]["seconds_ago"] < 86_400:
        yield f"{name}: seconds_ago is {answer[0]['seconds_ago']}"


def check_dashboard(dashboard, charts, expected):
    metadata, position = (json.loads(dashboard[name]) for name in ("json_metadata", "position_json"))
    if not 1 <= metadata.get("refresh_frequency", 0) <= 5:
        yield f"it refreshes every {metadata.get('refresh_frequency')} s, not every 1 to 5"
    if metadata.get("stagger_refresh") is not False:
        yield "its rounds are staggered"
    for name in sorted(expected - charts):
        yield f"{name}: it is not on the dashboard"
    for name in sorted(charts - expected):
        yield f"{name}: nobody expects it"
    placed = [part["meta"]["sliceName"] for part in position.values() if isinstance(part, dict) and part.get("type") == "CHART"]
    if sorted(placed) != sorted(expected):
        yield f"it shows {sorted(placed)}"
    texts = [part for part in position.values() if isinstance(part, dict) and part.get("type") == "MARKDOWN"]
    if not any("read of its own" in text["meta"]["code"] for text in texts):
        yield "it does not say that charts are separate reads"


def faults(sent):
    api, connection = Api(), connect()
    with connection.cursor() as cursor:
        cursor.execute("SHOW TABLES")
        tables = {row[0] for row in cursor.fetchall()}
    expected = {name for name in EXPECTED if OPTIONAL.get(name, "users") in tables}
    dashboard = api.call("/api/v1/dashboard/tweeter")["result"]
    charts = {chart["slice_name"]: chart["id"] for chart in api.call("/api/v1/dashboard/tweeter/charts")["result"]}
    yield from check_dashboard(dashboard, set(charts), expected)
    for name in sorted(expected & set(charts)):
        try:
            yield from compare(name, rows_of(api, charts[name], sent), connection)
        except (RuntimeError, KeyError, IndexError) as error:
            yield f"{name}: {error!r}"
    print(f"charts={len(charts)} expected={len(expected)}", end=" ")


def main():
    sent = json.loads(Path(sys.argv[1]).read_text()) if len(sys.argv) > 1 else None
    found = list(faults(sent))
    print(f"faults={len(found)}")
    for fault in found:
        print(f"  {fault}")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()

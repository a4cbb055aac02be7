"""Fills the tables of a test database with made-up rows that have caused trouble: ties, ids above 2^53,
right to left, emoji, an apostrophe, nothing said, below zero.

Owns the database that $SUPERSET_DATABASE names: every table here is emptied first. Rankings and the
histogram are computed here, in Python, not by the SQL that the check compares the charts with.
"""

import datetime
import os
import sys

import pymysql
from sqlalchemy.engine.url import make_url

TAGS = ["東京", "السلام", "שלום", "café", "cafe", "Rust", "rust", "🎉", "👩‍🚀", "it's", "ひらがな", "ヒラガナ", "a%b", "Ünï_çødé", "한국어"]
NAMES = ["田中 太郎", "محمد", "משה", "O'Brien", "Ana María", "No name", "No name", "김민준"]
TABLES = ["hashtags", "users", "top_hashtags", "top_users", "totals", "tweetflow_commit", "hashtags_by_minute",
          "trending", "friends_histogram", "top_hashtag_pairs", "freshness", "legacy_hashtags", "legacy_users"]


def connect():
    url = make_url(os.environ["SUPERSET_DATABASE"])
    return pymysql.connect(
        host=url.host, port=url.port, user=url.username, password=url.password, database=url.database,
        charset="utf8mb4", autocommit=True,
    )


def fill(connection, more=0):
    """`more`: plain hashtags, and twice as many users, beside the awkward ones."""
    # Every third use count is shared: ties.
    hashtags = [(tag, 1000 - index // 3 * 7) for index, tag in enumerate(TAGS)]
    hashtags += [(f"tag{index}", index % 300 + 1) for index in range(80 + more)]
    users = [
        (2**63 - 1 - index * 2, NAMES[index % len(NAMES)], [None, -1, 0, 249, 250, 8102][index % 6] if index > 30 else 90_000 - index // 2, index)
        for index in range(400)
    ]
    users += [(index + 1, f"user {index}", index * 7919 % 9000, index) for index in range(2 * more)]
    ranked = sorted(hashtags, key=lambda row: (-row[1], row[0].encode()))[:100]
    ranked_users = sorted((row for row in users if row[2] is not None), key=lambda row: (-row[2], row[0]))[:100]
    buckets = {}
    for _, _, friends, _ in users:
        if friends is not None and friends >= 0:
            bucket = min(friends // 250 * 250, 10_000)
            buckets[bucket] = buckets.get(bucket, 0) + 1
    # Two hours of a day long gone, so that "the last hour" must be the tweets'.
    newest = datetime.datetime(2014, 3, 9, 2, 47)
    minutes = [
        (newest - datetime.timedelta(minutes=ago), tag, (ago * 7 + place * 3) % 11 + 1)
        for ago in range(120) for place, (tag, _) in enumerate(ranked[:8])
    ]
    rows = {
        "hashtags (hashtag, uses)": hashtags,
        "users (user_id, username, nb_friends, nb_followers, tweet_id, record_ms, record_partition, record_offset)":
            [(*row, 1, 1, 0, 0) for row in users],
        "top_hashtags (`rank`, hashtag, uses)": [(place, *row) for place, row in enumerate(ranked, 1)],
        "top_users (`rank`, user_id, username, nb_friends, nb_followers)":
            [(place, *row) for place, row in enumerate(ranked_users, 1)],
        "totals (name, records)": [("tweets", 4711)],
        "hashtags_by_minute (minute, hashtag, uses)": minutes,
        "trending (`rank`, hashtag, uses_now, uses_before, score)":
            [(place, tag, 50 - place, place, 100 - place) for place, (tag, _) in enumerate(ranked[:40], 1)],
        "friends_histogram (bucket, users)": list(buckets.items()),
        "top_hashtag_pairs (`rank`, hashtag_a, hashtag_b, uses)":
            [(place, TAGS[place % 15], TAGS[place * 4 % 15], 90 - place // 2) for place in range(1, 31)],
        "freshness (place, partition_id, as_of, commit_no, records_behind, p50_ms, p99_ms)":
            [("all", None, newest, 4711, 18, 40, 90)]
            + [(str(index), index, newest, 4711, index * 3, 40 + index, None) for index in range(12)],
        "legacy_hashtags (hashtag)": [(tag,) for index, tag in enumerate(TAGS) for _ in range(index // 2 + 1)],
        "legacy_users (username, nb_friends)": [(name, index * 10) for index, name in enumerate(NAMES * 3)],
    }
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"DELETE FROM {table}")
        for target, values in rows.items():
            marks = ", ".join(["%s"] * len(values[0]))
            for start in range(0, len(values), 10_000):
                cursor.executemany(f"INSERT INTO {target} VALUES ({marks})", values[start : start + 10_000])
        cursor.execute(
            "INSERT INTO tweetflow_commit (job, generation, commit_no, as_of, fingerprint, writer) "
            "VALUES ('tweetflow', 1, 4711, UTC_TIMESTAMP(6), '', 1)"
        )


if __name__ == "__main__":
    fill(connect(), int(sys.argv[1]) if len(sys.argv) > 1 else 0)

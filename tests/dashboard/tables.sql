-- Tables with made-up rows that have caused trouble: ties, ids above 2^53, right to left, emoji, an
-- apostrophe, nothing said, below zero. For a database of the test's own. Tables that the program's
-- schema has made are kept as they are; every one of them is emptied first.
CREATE TABLE IF NOT EXISTS hashtags_by_minute (minute DATETIME NOT NULL, hashtag VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, uses BIGINT UNSIGNED NOT NULL, PRIMARY KEY (minute, hashtag));
CREATE TABLE IF NOT EXISTS trending (`rank` BIGINT UNSIGNED PRIMARY KEY, hashtag VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, uses_now BIGINT UNSIGNED NOT NULL, uses_before BIGINT UNSIGNED NOT NULL, score BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS friends_histogram (bucket BIGINT UNSIGNED PRIMARY KEY, users BIGINT UNSIGNED NOT NULL);
CREATE TABLE IF NOT EXISTS top_hashtag_pairs (`rank` BIGINT UNSIGNED PRIMARY KEY, hashtag_a VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, hashtag_b VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, uses BIGINT UNSIGNED NOT NULL);
CREATE TABLE IF NOT EXISTS freshness (place VARCHAR(20) PRIMARY KEY, partition_id BIGINT NULL, as_of DATETIME(3) NOT NULL, commit_no BIGINT UNSIGNED NOT NULL, records_behind BIGINT NULL, p50_ms BIGINT NULL, p99_ms BIGINT NULL);
CREATE TABLE IF NOT EXISTS legacy_hashtags (hashtag TEXT CHARACTER SET utf8mb4);
CREATE TABLE IF NOT EXISTS legacy_users (username TEXT CHARACTER SET utf8mb4, nb_friends INT);

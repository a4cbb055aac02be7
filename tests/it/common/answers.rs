//! The right answers for the real tweets, counted by another program.

/// Per file: tweets, those kept by the filter, hashtags, distinct ones, hashtags of the kept,
/// users, sum of their newest friend counts.
pub(crate) const V1: &[(&str, [usize; 6], i64)] = &[
    ("twut_500.jsonl", [500, 299, 138, 129, 83, 498], 739_354),
    ("twut_100.jsonl", [100, 59, 20, 20, 11, 100], 69_686),
    ("twut_10.jsonl", [10, 5, 1, 1, 0, 10], 2_140),
    ("tweet_parser_original.ndjson", [25, 0, 4, 4, 0, 1], 2),
    ("tweet_parser_public_api_sample.ndjson", [20, 20, 4, 4, 4, 1], 0),
    ("tweepy_v11_tweets.ndjson", [39, 39, 1, 1, 1, 3], 3_577),
    ("eggmode_tweet_array.json", [20, 20, 7, 4, 7, 1], 0),
    ("eggmode_sample-stream.json", [1, 1, 0, 0, 0, 1], 59),
    ("eggmode_nullable_user_mention.json", [1, 1, 0, 0, 0, 1], 216),
];

/// Per file: records, tweets, hashtags, distinct ones, users, sum of their newest friend counts.
pub(crate) const V2: &[(&str, [usize; 5], i64)] = &[
    ("twarc-csv/2sets.jsonl", [2, 200, 653, 181, 289], 721_155),
    ("twarc-csv/brexit.jsonl", [1, 100, 157, 54, 177], 648_043),
    ("twarc-csv/cashtags.jsonl", [1, 1, 4, 4, 1], 202),
    ("twarc-csv/cotweet.jsonl", [1, 1, 0, 0, 1], 1_079),
    ("twarc-csv/counts.jsonl", [1, 0, 0, 0, 0], 0),
    ("twarc-csv/edited.jsonl", [1, 1, 0, 0, 1], 1_871),
    ("twarc-csv/edited_after.jsonl", [1, 1, 0, 0, 1], 1_871),
    ("twarc-csv/edited_before.jsonl", [1, 1, 0, 0, 1], 1_871),
    ("twarc-csv/empty.json", [0, 0, 0, 0, 0], 0),
    ("twarc-csv/entities_test.jsonl", [1, 474, 313, 98, 0], 0),
    ("twarc-csv/flat.jsonl", [100, 100, 10, 7, 96], 134_708),
    ("twarc-csv/geo_tweets.jsonl", [2, 2, 13, 12, 4], 9_246),
    ("twarc-csv/kpop.jsonl", [1, 100, 496, 127, 112], 73_112),
    ("twarc-csv/lists.jsonl", [2, 0, 0, 0, 0], 0),
    ("twarc-csv/many_urls.jsonl", [1, 1, 0, 0, 1], 119),
    ("twarc-csv/media_policy_violation_off.jsonl", [1, 100, 78, 15, 52], 100_568),
    ("twarc-csv/media_policy_violation_on.jsonl", [1, 100, 0, 0, 46], 72_844),
    ("twarc-csv/media_tweet.jsonl", [1, 1, 0, 0, 1], 5_000),
    ("twarc-csv/mentions_tweet.jsonl", [1, 1, 0, 0, 2], 2_007),
    ("twarc-csv/noflat.jsonl", [1, 100, 10, 7, 178], 928_031),
    ("twarc-csv/quoted_edit.jsonl", [1, 1, 0, 0, 2], 3_258),
    ("twarc-csv/streaming_output_with_error.jsonl", [7, 7, 2, 2, 11], 18_521),
    ("twarc-csv/tweets_compliance.jsonl", [2, 0, 0, 0, 0], 0),
    ("twarc-csv/two_tweets.jsonl", [1, 1, 1, 1, 2], 4),
    ("twarc-csv/users.jsonl", [1, 0, 0, 0, 0], 0),
    ("twarc-csv/users_compliance.jsonl", [2, 0, 0, 0, 0], 0),
    ("twarc-csv/verified_type.jsonl", [1, 1, 0, 0, 1], 1_961),
    ("twarc-csv/withheld.jsonl", [5, 215, 176, 117, 591], 1_351_840),
    ("twut_10_v2.jsonl", [10, 10, 0, 0, 10], 9_612),
];

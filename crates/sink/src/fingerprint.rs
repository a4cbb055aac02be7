//! Two fingerprints of a job as one sentence: which settings differ, what is stored, what is given
//! now.

/// What differs, in the order in which a fingerprint names it.
pub(super) fn differences(stored: &str, now: &str) -> String {
    let (stored, now) = (pairs(stored), pairs(now));
    let value = |pairs: &[(&str, &str)], name: &str| {
        pairs.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
    };
    let is_new = |(name, _): &&(&str, &str)| value(&stored, name).is_none();
    let names = stored.iter().chain(now.iter().filter(is_new)).map(|(name, _)| *name);
    let differs =
        names.filter_map(|name| difference(name, value(&stored, name), value(&now, name)));
    differs.collect::<Vec<_>>().join(", ")
}

fn pairs(fingerprint: &str) -> Vec<(&str, &str)> {
    fingerprint.split(' ').map(|word| word.split_once('=').unwrap_or((word, ""))).collect()
}

fn difference(name: &str, stored: Option<String>, now: Option<String>) -> Option<String> {
    if stored == now {
        return None;
    }
    let option = match name {
        "decoder" => "the program's version of the rules",
        "topic" => "--topic",
        "from" => "--from",
        "require_location" => "--require-location",
        "names" => "--names",
        "retweets" => "--retweets",
        "minutes_span" => "--minutes-span",
        "trend_minutes" => "--trend-minutes",
        _ => "",
    };
    Some(match (option, stored, now) {
        // The value "files" stands for a folder.
        ("--from", Some(stored), Some(now)) if stored == "files" || now == "files" => {
            let source = |from: &str| if from == "files" { "a folder (--files)" } else { "Kafka" };
            format!("the records came from {} and come from {} now", source(&stored), source(&now))
        }
        ("", Some(_), Some(_)) => format!("table {name} is defined otherwise in this version"),
        ("", Some(_), None) => format!("table {name} was on and is off now (--with, --without)"),
        ("", None, _) => format!("table {name} was off and is on now (--with, --without)"),
        (option, stored, now) => {
            let value = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
            format!("{option} was {} and is {} now", value(stored), value(now))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::differences;

    #[test]
    fn only_what_differs_is_named() {
        let stored = "decoder=3 topic=a from=earliest require_location=false names=plain retweets=as-sent \
             hashtags=0a \
             users=1b top_users=2c";
        let cases = [
            ("topic=a", "topic=b", "--topic was a and is b now"),
            (
                "earliest",
                "files",
                "the records came from Kafka and come from a folder (--files) now",
            ),
            ("=false", "=true", "--require-location was false and is true now"),
            ("as-sent", "none", "--retweets was as-sent and is none now"),
            ("users=1b", "users=1c", "table users is defined otherwise in this version"),
            (" top_users=2c", "", "table top_users was on and is off now (--with, --without)"),
            ("=2c", "=2c pairs=3d", "table pairs was off and is on now (--with, --without)"),
            (
                "decoder=3 topic=a",
                "decoder=4 topic=b",
                "the program's version of the rules was 3 and is 4 now, --topic was a and is b now",
            ),
        ];
        for (from, to, expected) in cases {
            assert_eq!(differences(stored, &stored.replace(from, to)), expected);
        }
        assert_eq!(differences(stored, stored), "");
    }
}

//! What `produce` has to know of a record: its key, the id of the tweet that it is or is about, so
//! that a tweet and its delete are in one partition; whether the author gives a location, for
//! `--require-location`; and whether it is a page of statuses.
//!
//! It reads a record's form and ids by the decoders' own types, so that both mean the same tweet;
//! it never refuses a record.

use super::ids::PostKey;
use super::json::{Given, Leaf, Part, Raw, parse};
use super::v1::{self, Form};
use super::{Undecodable, bluesky, mastodon, mend};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// What is known of a record; nothing of messages that are not about one tweet, of other JSON, and
/// of what is no JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The tweet's id: of v1.1 or a flattened v2 tweet, of a message about one, else of `data`.
    pub key: Option<u64>,
    /// It is a tweet whose author stands in it, and gives no location.
    pub lacks_location: bool,
    /// It has a member `statuses` that is an array.
    pub is_page: bool,
}

/// The key of a record in a topic: the id that the decoder gives to the tweet that the record is or
/// is about, so that a tweet and its delete are in one partition. `None`: any partition will do.
pub fn key(record: &[u8]) -> Option<u64> {
    facts(record).key
}

/// Looks at a record.
pub fn facts(record: &[u8]) -> Facts {
    let mended = |_| mend::mend(record).and_then(|mended| read_facts(&mended).ok());
    read_facts(record).map_or_else(mended, Some).unwrap_or_default()
}

fn read_facts(record: &[u8]) -> Result<Facts, Undecodable> {
    let message: v1::Message<'_> = parse(record)?;
    let (own, form) = (message.id(), message.form());
    if matches!(form, Form::Bluesky)
        && let Some(key) = bluesky::key(record)?
    {
        return Ok(key.into());
    }
    let key = match form {
        Form::Tweet => {
            let lacks_location = own.is_some() && message.lacks_location();
            return Ok(Facts { key: own, lacks_location, is_page: false });
        }
        Form::Flat => {
            let author = parse::<Outermost<'_>>(record)?.author;
            let lacks_location = author.read().is_some_and(|author| !author.location.0);
            let lacks_location = own.is_some() && lacks_location;
            return Ok(Facts { key: own, lacks_location, is_page: false });
        }
        Form::Statuses(_) => return Ok(Facts { is_page: true, ..Facts::default() }),
        Form::DirectMessage => own,
        Form::Profiles => None,
        Form::Mastodon => return Ok(mastodon::key(record)?.into()),
        Form::Page | Form::Bluesky | Form::Other => {
            let outermost: Outermost<'_> = parse(record)?;
            match &outermost.data {
                Part::Odd => None,
                Part::Read(data) if data.is_tweet() => data.id.id(),
                data => {
                    let data = data.read();
                    let deleted = outermost.delete.read().and_then(|it| it.status.read());
                    let deleted = deleted.or_else(|| data.and_then(Level::deleted));
                    let about = || outermost.about().or_else(|| data.and_then(Level::about));
                    let inner = || data.and_then(|data| data.id.id());
                    deleted.and_then(Ids::id).or_else(about).or(own).or_else(inner)
                }
            }
        }
    };
    Ok(Facts { key, ..Facts::default() })
}

/// Other services: no account gives a location.
impl From<PostKey> for Facts {
    fn from(PostKey { id, is_post }: PostKey) -> Self {
        Facts { key: id, lacks_location: is_post && id.is_some(), is_page: false }
    }
}

type Outermost<'a> = Level<'a, Part<Level<'a, IgnoredAny>>>;

/// The outermost object, or `data` in it.
#[derive(Deserialize)]
#[serde(bound = "D: Deserialize<'de> + Default")]
struct Level<'a, D> {
    #[serde(default, borrow)]
    id: Leaf<'a>,
    #[serde(default, borrow)]
    text: Option<Raw<'a>>,
    #[serde(default)]
    event_type: Option<IgnoredAny>,
    #[serde(default)]
    author: Part<Author>,
    #[serde(default)]
    data: D,
    // Messages about one tweet.
    #[serde(default, borrow)]
    delete: Part<Message<'a>>,
    #[serde(default, borrow)]
    tweet_delete: Part<Message<'a>>,
    #[serde(default, borrow)]
    status_withheld: Part<Ids<'a>>,
    #[serde(default, borrow)]
    withheld: Part<Message<'a>>,
    #[serde(default, borrow)]
    tweet_withheld: Part<Message<'a>>,
    #[serde(default, borrow)]
    drop: Part<Message<'a>>,
    #[serde(default, borrow)]
    undrop: Part<Message<'a>>,
    #[serde(default, borrow)]
    tweet_drop: Part<Message<'a>>,
    #[serde(default, borrow)]
    tweet_undrop: Part<Message<'a>>,
}

#[derive(Deserialize)]
struct Author {
    #[serde(default)]
    location: Given,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(default, borrow)]
    status: Part<Ids<'a>>,
    #[serde(default, borrow)]
    tweet: Part<Ids<'a>>,
}

#[derive(Deserialize)]
struct Ids<'a> {
    #[serde(default, borrow)]
    id: Leaf<'a>,
    #[serde(default, borrow)]
    id_str: Leaf<'a>,
}

impl Ids<'_> {
    fn id(&self) -> Option<u64> {
        v1::id(&self.id_str, &self.id)
    }
}

impl<D> Level<'_, D> {
    /// Whether it is a tweet of the second API.
    fn is_tweet(&self) -> bool {
        self.text.is_some_and(Raw::is_text) && self.event_type.is_none()
    }

    /// The tweet that a message of the second API deletes.
    fn deleted(&self) -> Option<&Ids<'_>> {
        self.delete.read().or(self.tweet_delete.read())?.tweet.read()
    }

    /// The id of the tweet that a message is about.
    fn about(&self) -> Option<u64> {
        let messages = [
            &self.delete,
            &self.tweet_delete,
            &self.withheld,
            &self.tweet_withheld,
            &self.drop,
            &self.undrop,
            &self.tweet_drop,
            &self.tweet_undrop,
        ];
        let of = |message: &Message<'_>| {
            message.status.read().or(message.tweet.read()).and_then(Ids::id)
        };
        let mut messages = messages.into_iter().filter_map(Part::read);
        messages.find_map(of).or_else(|| self.status_withheld.read().and_then(Ids::id))
    }
}

#[cfg(test)]
mod tests {
    use super::facts;

    #[test]
    fn the_id_of_the_outermost_object_is_found() {
        for (line, expected) in [
            (r#"{"id":7,"id_str":"7"}"#, Some(7)),
            (
                r#"{"id":2116681624581155840,"id_str":"2116681624581155509"}"#,
                Some(2_116_681_624_581_155_509),
            ),
            (r#"{"id":"8"}"#, Some(8)),
            (r#"{"id_str":"x","id":9}"#, Some(9)),
            (r#"{"id_str":null,"id":18446744073709551615}"#, Some(u64::MAX)),
            (r#"{"id_str":["1"],"id":3}"#, Some(3)),
            (r#"{"retweeted_status":{"id":5},"id":4,"user":{"id":6}}"#, Some(4)),
            (r#"{"\u0069d":11}"#, Some(11)),
            (r#"{"id":1,"id":2}"#, Some(2)),
            (r#"{"id":1e3}"#, Some(1000)),
            (r#"{"id":1.05e18,"id_str":"5"}"#, Some(5)),
            (r#"{"id":{"$numberLong":"7"}}"#, Some(7)),
            ("\u{feff}{\"id\":7}", Some(7)),
            (r#"{"id":7,"text":"\ud83d"},"#, Some(7)),
            // Somebody's keys beside a tweet, and beside a delete.
            (r#"{"id_str":"5","data":{"delete":{"tweet":{"id":"7"}}}}"#, Some(7)),
            (r#"{"drop":{"tweet":{"id":5}},"data":{"delete":{"tweet":{"id":"7"}}}}"#, Some(7)),
            (r#"{"id":7,"text":"x","delete":{"status":{"id":8}},"data":{"id":9}}"#, Some(7)),
            (r#"{"data":{"id":"7","text":"x","drop":{"tweet":{"id":"8"}}}}"#, Some(7)),
            (r#"{"data":{"id":"12","text":"t"},"includes":{"users":[{"id":"3"}]}}"#, Some(12)),
            (r#"{"id":"13","data":{"id":"14"}}"#, Some(13)),
        ] {
            assert_eq!(facts(line.as_bytes()).key, expected, "{line}");
        }
    }

    #[test]
    fn a_message_about_a_tweet_has_its_key() {
        for (line, expected) in [
            (
                r#"{"delete":{"status":{"id":9007199254740992,"id_str":"9007199254740993",
                    "user_id":3,"user_id_str":"3"},"timestamp_ms":"5"}}"#,
                9_007_199_254_740_993,
            ),
            (r#"{"delete":{"timestamp_ms":"5","status":{"user_id":3,"id":7}}}"#, 7),
            (r#"{"status_withheld":{"id":8,"user_id":3,"withheld_in_countries":["XY"]}}"#, 8),
            (r#"{"data":{"delete":{"tweet":{"id":"9","author_id":"3"},"event_at":"x"}}}"#, 9),
            (r#"{"data":{"tweet_delete":{"tweet":{"id":"10"}}}}"#, 10),
            (r#"{"data":{"undrop":{"tweet":{"id":"11","author_id":"3"}}}}"#, 11),
            (r#"{"data":{"tweet_withheld":{"tweet":{"id":"12"}}}}"#, 12),
            // A tweet that is withheld somewhere says so itself.
            (r#"{"data":{"id":"13","withheld":{"country_codes":["XY"]}}}"#, 13),
            (r#"{"id":14,"withheld":{"copyright":true},"user":{}}"#, 14),
            (r#"{"id":15,"delete":null}"#, 15),
        ] {
            assert_eq!(facts(line.as_bytes()).key, Some(expected), "{line}");
        }
    }

    #[test]
    fn what_is_no_tweet_has_no_key() {
        for line in [
            "",
            "no json",
            "7",
            r#"[{"id":7}]"#,
            r#"{"delete":{"status":{"user_id":7}}}"#,
            r#"{"delete":{"status":[7]}}"#,
            r#"{"scrub_geo":{"user_id":7,"up_to_status_id":8,"up_to_status_id_str":"8"}}"#,
            r#"{"user_withheld":{"id":7,"withheld_in_countries":["XY"]}}"#,
            r#"{"data":{"user_delete":{"user":{"id":"7"}}}}"#,
            r#"{"data":{"scrub_geo":{"user":{"id":"7"},"up_to_tweet_id":"8"}}}"#,
            r#"{"status":{"id":7}}"#,
            r#"{"limit":{"track":5}}"#,
            r#"{"id":-1}"#,
            r#"{"data":[{"id":"12"}]}"#,
            r#"{"data":{"id":["1"]}}"#,
            r#"{"id":1.5}"#,
            r#"{"id":1.05e18}"#,
            r#"{"id":true}"#,
            r#"{"id_str":"+7"}"#,
            r#"{"id_str":""}"#,
            r#"{"id":18446744073709551616}"#,
            r#"{"id":7"#,
            r#"{"id":7} x"#,
        ] {
            assert_eq!(facts(line.as_bytes()).key, None, "{line}");
        }
        assert_eq!(facts(b"{\"text\":\"\xff\",\"id\":7}").key, Some(7));
    }

    #[test]
    fn a_location_is_looked_for_where_a_tweet_has_its_author() {
        for (line, lacks) in [
            (r#"{"id":1,"text":"t","user":{"id":2,"location":"Bern"}}"#, false),
            (r#"{"id":1,"text":"t","user":{"location":""}}"#, false),
            (r#"{"id":1,"text":"t","user":{"location":{}}}"#, true),
            (r#"{"id":1,"text":"t","user":{"location":null}}"#, true),
            (r#"{"user":{"id":2},"id":1,"full_text":"t"}"#, true),
            // No tweet: it becomes a dead letter, with the filter as without.
            (r#"{"id":1,"user":{"id":2},"name":"a list"}"#, false),
            (r#"{"id":1,"text":"t","user":{}}"#, false),
            (r#"{"id":"1","text":"t","author":{"location":"Bern"}}"#, false),
            (r#"{"id":"1","text":"t","author":{"name":"x"}}"#, true),
            (r#"{"id":1,"user":{"location":"x"},"retweeted_status":{"id":3,"user":{}}}"#, false),
            (r#"{"data":{"id":"1"},"includes":{"users":[{"id":"2"}]}}"#, false),
            (r#"{"delete":{"status":{"id":1}}}"#, false),
            (r#"{"user_withheld":{"id":1},"user":{}}"#, false),
            (r#"{"id":1,"user":7}"#, false),
            (r#"{"id":1,"user":{"location":null}"#, false),
        ] {
            assert_eq!(facts(line.as_bytes()).lacks_location, lacks, "{line}");
        }
    }

    #[test]
    fn a_page_has_statuses_in_an_array() {
        for (line, is_page) in [
            (r#"{"statuses":[{"id":1}],"search_metadata":{}}"#, true),
            (r#"{"statuses":{}}"#, false),
            (r#"{"user":{"statuses":[]}}"#, false),
        ] {
            assert_eq!(facts(line.as_bytes()).is_page, is_page, "{line}");
        }
    }
}

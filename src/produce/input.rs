//! Where the tweets of `produce` come from: lines of a file or of standard input, or made up.
//!
//! A line is handed on as it is; only its tweet id is looked for, for the record's key.

use super::synthetic::Synthetic;
use super::{ProduceArgs, ProduceError};
use std::fs::File;
use std::io::{BufRead, BufReader};

/// One record to send.
pub(super) struct Tweet<'a> {
    /// The tweet's id in decimal; empty where there is none.
    pub(super) key: &'a [u8],
    /// The JSON text.
    pub(super) payload: &'a [u8],
}

/// A source of tweets that reuses its buffers.
pub(super) struct Tweets {
    origin: Origin,
    key: Vec<u8>,
    payload: Vec<u8>,
}

enum Origin {
    Lines { path: String, reader: Box<dyn BufRead> },
    Synthetic { generator: Box<Synthetic>, index: u64 },
}

/// The tweets that `args` ask for.
pub(super) fn tweets(args: &ProduceArgs) -> Result<Tweets, ProduceError> {
    let origin = match &args.input {
        None => Origin::Synthetic { generator: Box::new(Synthetic::new(args.seed)), index: 0 },
        Some(path) => {
            let path = path.display().to_string();
            let reader: Box<dyn BufRead> = if path == "-" {
                Box::new(std::io::stdin().lock())
            } else {
                match File::open(&path) {
                    Ok(file) => Box::new(BufReader::with_capacity(1 << 20, file)),
                    Err(source) => return Err(ProduceError::Input { path, source }),
                }
            };
            Origin::Lines { path, reader }
        }
    };
    Ok(Tweets { origin, key: Vec::new(), payload: Vec::new() })
}

impl Tweets {
    /// The next tweet, or `None` at the end. Blank lines are passed over.
    pub(super) fn next(&mut self) -> Result<Option<Tweet<'_>>, ProduceError> {
        self.key.clear();
        self.payload.clear();
        match &mut self.origin {
            Origin::Synthetic { generator, index } => {
                let id = generator.tweet(*index, &mut self.payload);
                *index += 1;
                self.key.extend_from_slice(itoa::Buffer::new().format(id).as_bytes());
            }
            Origin::Lines { path, reader } => {
                while self.payload.is_empty() {
                    let read = reader.read_until(b'\n', &mut self.payload);
                    let read =
                        read.map_err(|source| ProduceError::Input { path: path.clone(), source })?;
                    if read == 0 {
                        return Ok(None);
                    }
                    let line = self.payload.trim_ascii_end().len();
                    self.payload.truncate(line);
                }
                self.key.extend_from_slice(&id_of(&self.payload));
            }
        }
        Ok(Some(Tweet { key: &self.key, payload: &self.payload }))
    }
}

/// The id of a v1.1 tweet in decimal; empty where the line has none.
fn id_of(line: &[u8]) -> Vec<u8> {
    #[derive(serde::Deserialize)]
    struct Ids {
        id_str: Option<String>,
        id: Option<u64>,
    }
    let ids = serde_json::from_slice(line).unwrap_or(Ids { id_str: None, id: None });
    let text = ids.id_str.filter(|id| id.parse::<u64>().is_ok());
    text.or(ids.id.map(|id| id.to_string())).unwrap_or_default().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::{Origin, Tweets};

    #[test]
    fn lines_are_sent_as_they_are_and_keyed_by_id() {
        let text = "\n{\"id\":7}\r\n  \n{\"id\":1,\"id_str\":\"9\"}\nno json\n{\"delete\":{}}";
        let reader = Box::new(text.as_bytes());
        let origin = Origin::Lines { path: "-".to_owned(), reader };
        let mut tweets = Tweets { origin, key: Vec::new(), payload: Vec::new() };
        let mut seen = Vec::new();
        while let Some(tweet) = tweets.next().expect("memory can be read") {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            seen.push((text(tweet.key), text(tweet.payload)));
        }
        let seen: Vec<_> = seen.iter().map(|(key, line)| (key.as_str(), line.as_str())).collect();
        let expected = [
            ("7", "{\"id\":7}"),
            ("9", "{\"id\":1,\"id_str\":\"9\"}"),
            ("", "no json"),
            ("", "{\"delete\":{}}"),
        ];
        assert_eq!(seen, expected);
    }
}

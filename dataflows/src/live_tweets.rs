//! Live tweets, those that count: the input of every table that adds up.
//!
//! Without a ledger each tweet that was read is live, and this costs nothing. With one
//! ([`LedgerInputs`]) a tweet that was read twice is live once and a deleted or replaced one is
//! not, so there are retractions. Tables of the newest statement (`users`, `floors`) do not use
//! them: what a tweet said of its author stays true when the tweet is deleted.

use crate::operators::ledger::{Act, Acts, Effect, Floors, Watched, ledger};
use crate::{Epoch, Events, Shared};
use differential_dataflow::VecCollection;
use differential_dataflow::difference::Semigroup;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::rc::Rc;
use std::slice;
use types::Version;
use types::event::{Time, Tweet};
use types::ledger::Figures;
use types::{Event, Text};

/// What the ledger needs beside the events.
pub struct LedgerInputs<'scope> {
    /// At [`crate::RESTORED`]: the events that were counted before and must be remembered.
    pub replayed: Events<'scope>,
    /// How it is doing on this worker.
    pub figures: Rc<Cell<Figures>>,
}

/// One post, as far as a table may know it.
#[derive(Clone, Copy, Debug)]
pub struct LiveTweet<'a> {
    /// The tweet's id.
    pub tweet_id: u64,
    /// When it was written.
    pub time: Time,
    tags: HashtagText<'a>,
}

#[derive(Clone, Copy, Debug)]
enum HashtagText<'a> {
    Read(&'a [Text]),
    Kept(&'a Text),
}

impl<'a> LiveTweet<'a> {
    /// Its hashtags as written, repeated where they are repeated.
    pub fn hashtags(&self) -> impl Iterator<Item = Text> + use<'a> {
        let (whole, joined) = match self.tags {
            HashtagText::Read(tags) => (tags, ""),
            // Most have one or none.
            HashtagText::Kept(text) if text.contains(BETWEEN) => (&[][..], &**text),
            HashtagText::Kept(text) => (slice::from_ref(text), ""),
        };
        let whole = whole.iter().filter(|tag| !tag.is_empty()).cloned();
        whole.chain(joined.split_terminator(BETWEEN).map(Text::from))
    }
}

/// What the ledger keeps of a tweet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Content {
    /// First, so that a later edition is the greater content.
    edition: u64,
    /// Its hashtags as one text, for that is small.
    tags: Text,
    time: Time,
}

/// No hashtag holds a control character; and texts that are made with it are in the order of the
/// lists that they were made of.
const BETWEEN: char = '\n';

impl Content {
    fn of(tweet: &Tweet) -> Self {
        let tags = match &tweet.hashtags[..] {
            [] => Text::new(),
            [tag] => tag.clone(),
            tags => tags.join("\n").into(),
        };
        Content { edition: tweet.edition, tags, time: tweet.time }
    }

    /// What its text takes on the heap, with what an allocation adds.
    fn weight(&self) -> usize {
        // A short text stands in its place; a longer one has the number of its copies and its size
        // before it.
        let length = self.tags.len();
        if length <= Text::INLINE_LIMIT { 0 } else { (length + 16).next_multiple_of(16) }
    }
}

/// The live tweets of a dataflow.
#[derive(Clone)]
pub enum LiveTweets<'scope> {
    /// Every tweet that was read.
    Read(Events<'scope>),
    /// What the ledger lets pass.
    Kept(Effects<'scope>),
}

/// By tweet id, what leaves the ledger.
pub type Effects<'scope> = Shared<'scope, (u64, Effect<Content>)>;

impl<'scope> LiveTweets<'scope> {
    /// Through the ledger, where there is one. Its floors are what `floors` stores.
    pub fn new(
        events: &Events<'scope>,
        ledger: Option<LedgerInputs<'scope>>,
        floors: Floors<'scope>,
    ) -> Self {
        let Some(LedgerInputs { replayed, figures }) = ledger else {
            return LiveTweets::Read(events.clone());
        };
        let acts = acts(events).concat(acts(&replayed));
        let watched = Watched { figures, weigh: Content::weight };
        LiveTweets::Kept(Shared::new(self::ledger(acts, floors, watched)))
    }

    /// What one table takes out of each post. `logic` sees a post, the time and the difference of
    /// its update, and what it pushes must carry that time.
    pub fn extract<D, R>(
        &self,
        name: &str,
        logic: impl Fn(LiveTweet<'_>, (Epoch, isize), &mut Vec<(D, Epoch, R)>) + 'static,
    ) -> VecCollection<'scope, Epoch, D, R>
    where
        D: Clone + 'static,
        R: Semigroup + 'static,
    {
        match self {
            LiveTweets::Read(events) => events.extract(name, move |batch, taken| {
                for (event, epoch, difference) in batch {
                    if let Event::Tweet(tweet) = event {
                        let tags = HashtagText::Read(&tweet.hashtags);
                        let Tweet { version: Version { tweet_id, .. }, time, .. } = *tweet;
                        let post = LiveTweet { tweet_id, time, tags };
                        logic(post, (*epoch, *difference), taken);
                    }
                }
            }),
            LiveTweets::Kept(effects) => effects.extract(name, move |batch, taken| {
                for ((tweet_id, effect), epoch, difference) in batch {
                    if let Effect::Counts(content) = effect {
                        let (tweet_id, time) = (*tweet_id, content.time);
                        let post =
                            LiveTweet { tweet_id, time, tags: HashtagText::Kept(&content.tags) };
                        logic(post, (*epoch, *difference), taken);
                    }
                }
            }),
        }
    }
}

fn acts<'scope>(events: &Events<'scope>) -> Acts<'scope, Content> {
    events.extract("acts on tweets", |batch, acts| {
        for (event, epoch, difference) in batch {
            let Some(clocks) = event.clocks() else { continue };
            let mut push = |id, act| acts.push(((id, act), *epoch, *difference));
            match (event, clocks.is_implausible()) {
                (Event::Tweet(tweet), false) => {
                    push(clocks.id, Act::Post(Content::of(tweet)));
                    tweet.replaces.iter().for_each(|id| push(*id, Act::Replace));
                }
                (Event::Tweet(tweet), true) => {
                    let post = (Content::of(tweet), clocks.id_of_record());
                    push(clocks.id, Act::TransientPost(Box::new(post)));
                }
                (_, false) => push(clocks.id, Act::Delete),
                (_, true) => push(clocks.id, Act::TransientDelete(clocks.id_of_record())),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{Content, HashtagText, LiveTweet, Text, Time, Tweet};
    use types::Version;

    #[test]
    fn a_content_is_its_hashtags() {
        let lists: [&[&str]; 6] = [&[], &["a"], &["a", "a"], &["a", "b"], &["ab"], &["b"]];
        let lists = lists.map(|tags| tags.iter().map(|tag| Text::from(*tag)).collect::<Vec<_>>());
        let (version, time) = (Version::default(), Time::Own(7));
        let contents = lists.each_ref().map(|tags| {
            let (hashtags, user, replaces) = (tags.clone(), None, [].into());
            Content::of(&Tweet { version, time, own_ms: 0, hashtags, user, replaces, edition: 0 })
        });
        assert!(contents.is_sorted(), "{contents:?}");
        for (tags, content) in lists.iter().zip(&contents) {
            let post = LiveTweet {
                tweet_id: 1,
                time: content.time,
                tags: HashtagText::Kept(&content.tags),
            };
            assert!(post.hashtags().eq(tags.iter().cloned()), "{content:?}");
        }
    }
}

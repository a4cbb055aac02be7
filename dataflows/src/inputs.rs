//! What all tables are functions of, and the sums that several of them read.
//!
//! A sum is built when the first table asks for it, and once.

use crate::live_tweets::LiveTweets;
use crate::tables::floors::FloorName;
use crate::tables::{floors, hashtag_pairs, hashtags, hashtags_by_minute, users};
use crate::{Definition, Events, RestoredRows, Rows};
use crate::{Fold, Sources};
use std::cell::OnceCell;
use types::Table;
use types::settings::TableSettings;

/// The events, the restored rows, and what is shared.
pub struct Inputs<'scope> {
    /// What was read.
    pub events: Events<'scope>,
    /// What of it was a dead letter before.
    pub retried: Events<'scope>,
    /// What of it counts.
    pub live_tweets: LiveTweets<'scope>,
    /// What the operator said.
    pub settings: TableSettings,
    /// What hashtags fall together.
    pub fold: Fold,
    tables: Vec<Definition>,
    rows: RestoredRows<'scope>,
    hashtags: OnceCell<hashtags::HashtagUses<'scope>>,
    users: OnceCell<users::NewestUsers<'scope>>,
    pairs: OnceCell<hashtag_pairs::PairUses<'scope>>,
    newest: floors::NewestKeys<'scope>,
    minute: OnceCell<floors::Minutes<'scope>>,
    minutes: OnceCell<hashtags_by_minute::MinuteUses<'scope>>,
}

impl<'scope> Inputs<'scope> {
    /// Nothing is built yet.
    pub fn new(
        tables: &[Definition],
        (settings, fold): (TableSettings, Fold),
        sources: Sources<'scope>,
    ) -> Self {
        let Sources { events, retried, rows, system_updates, ledger } = sources;
        let all = events.concat(&retried);
        let floors = numbered(tables, &floors::TABLE, &rows);
        let newest = floors::newest(&all, &floors, system_updates, ledger.is_some());
        Inputs {
            live_tweets: LiveTweets::new(&all, ledger, newest.rises(FloorName::Ledger)),
            newest,
            events: all,
            retried,
            settings,
            fold,
            tables: tables.to_vec(),
            rows,
            hashtags: OnceCell::new(),
            users: OnceCell::new(),
            pairs: OnceCell::new(),
            minute: OnceCell::new(),
            minutes: OnceCell::new(),
        }
    }

    /// The restored rows of a table of the job.
    pub fn rows(&self, table: &Table) -> Rows<'scope> {
        numbered(&self.tables, table, &self.rows)
    }

    /// Uses by hashtag.
    pub fn hashtags(&self) -> &hashtags::HashtagUses<'scope> {
        self.hashtags.get_or_init(|| hashtags::count(self))
    }

    /// The newest statement about each user.
    pub fn users(&self) -> &users::NewestUsers<'scope> {
        self.users.get_or_init(|| users::count(self))
    }

    /// Uses by pair of hashtags.
    pub fn pairs(&self) -> &hashtag_pairs::PairUses<'scope> {
        self.pairs.get_or_init(|| hashtag_pairs::count(self))
    }

    /// The newest keys of what is forgotten by age.
    pub fn newest(&self) -> &floors::NewestKeys<'scope> {
        &self.newest
    }

    /// The newest minute where it changes, on every worker.
    pub fn newest_minute(&self) -> floors::Minutes<'scope> {
        self.minute.get_or_init(|| self.newest.minutes()).clone()
    }

    /// Uses by minute and hashtag.
    pub fn minutes(&self) -> &hashtags_by_minute::MinuteUses<'scope> {
        self.minutes.get_or_init(|| hashtags_by_minute::count(self))
    }
}

/// The restored rows of a table of the job.
fn numbered<'scope>(
    tables: &[Definition],
    table: &Table,
    rows: &RestoredRows<'scope>,
) -> Rows<'scope> {
    let numbered = (0_u8..).zip(tables);
    let index = numbered.filter(|(_, definition)| definition.table.name == table.name);
    let (index, _) = index.last().expect("a job has the tables that its tables need");
    Rows::new(rows, index)
}

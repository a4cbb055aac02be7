//! What all tables are functions of, and the sums that several of them read.
//!
//! A sum is built when the first table asks for it, and once.

use crate::posts::{Ledger, Posts};
use crate::{Definition, Events, Fold, Restored, Rows, Settings, Shared, Table};
use crate::{floors, hashtag_pairs, hashtags, hashtags_by_minute, users};
use std::cell::OnceCell;

/// The events, the restored rows, and what is shared.
pub struct Inputs<'scope> {
    /// What was read.
    pub events: Events<'scope>,
    /// What of it counts.
    pub posts: Posts<'scope>,
    /// What the operator said.
    pub settings: Settings,
    /// What hashtags fall together.
    pub fold: Fold,
    tables: Vec<Definition>,
    rows: Shared<'scope, Restored>,
    hashtags: OnceCell<hashtags::Uses<'scope>>,
    users: OnceCell<users::Newest<'scope>>,
    pairs: OnceCell<hashtag_pairs::Uses<'scope>>,
    newest: OnceCell<floors::Newest<'scope>>,
    minutes: OnceCell<hashtags_by_minute::Uses<'scope>>,
}

impl<'scope> Inputs<'scope> {
    /// Nothing is built yet.
    pub fn new(
        tables: &[Definition],
        (settings, fold): (Settings, Fold),
        events: Events<'scope>,
        rows: Shared<'scope, Restored>,
        ledger: Option<Ledger<'scope>>,
    ) -> Self {
        Inputs {
            posts: Posts::new(&events, ledger),
            events,
            settings,
            fold,
            tables: tables.to_vec(),
            rows,
            hashtags: OnceCell::new(),
            users: OnceCell::new(),
            pairs: OnceCell::new(),
            newest: OnceCell::new(),
            minutes: OnceCell::new(),
        }
    }

    /// The restored rows of a table of the job.
    pub fn rows(&self, table: &Table) -> Rows<'scope> {
        let numbered = (0_u8..).zip(&self.tables);
        let index = numbered.filter(|(_, definition)| definition.table.name == table.name);
        let (index, _) = index.last().expect("a job has the tables that its tables need");
        Rows::new(&self.rows, index)
    }

    /// Uses by hashtag.
    pub fn hashtags(&self) -> &hashtags::Uses<'scope> {
        self.hashtags.get_or_init(|| hashtags::count(self))
    }

    /// The newest statement about each user.
    pub fn users(&self) -> &users::Newest<'scope> {
        self.users.get_or_init(|| users::count(self))
    }

    /// Uses by pair of hashtags.
    pub fn pairs(&self) -> &hashtag_pairs::Uses<'scope> {
        self.pairs.get_or_init(|| hashtag_pairs::count(self))
    }

    /// The newest keys of what is forgotten by age.
    pub fn newest(&self) -> &floors::Newest<'scope> {
        self.newest.get_or_init(|| floors::newest(self))
    }

    /// Uses by minute and hashtag.
    pub fn minutes(&self) -> &hashtags_by_minute::Uses<'scope> {
        self.minutes.get_or_init(|| hashtags_by_minute::count(self))
    }
}

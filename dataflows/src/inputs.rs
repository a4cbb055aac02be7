//! What all tables are functions of, and the sums that several of them read.
//!
//! A sum is built when the first table asks for it, and once.

use crate::{Definition, Events, Fold, Restored, Rows, Shared, Table};
use crate::{hashtag_pairs, hashtags, users};
use std::cell::OnceCell;

/// The events, the restored rows, and what is shared.
pub struct Inputs<'scope> {
    /// What was read.
    pub events: Events<'scope>,
    /// What hashtags fall together.
    pub fold: Fold,
    tables: Vec<Definition>,
    rows: Shared<'scope, Restored>,
    hashtags: OnceCell<hashtags::Uses<'scope>>,
    users: OnceCell<users::Newest<'scope>>,
    pairs: OnceCell<hashtag_pairs::Uses<'scope>>,
}

impl<'scope> Inputs<'scope> {
    /// Nothing is built yet.
    pub fn new(
        tables: &[Definition],
        fold: Fold,
        events: Events<'scope>,
        rows: Shared<'scope, Restored>,
    ) -> Self {
        let (hashtags, users, pairs) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Inputs { events, fold, tables: tables.to_vec(), rows, hashtags, users, pairs }
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
}

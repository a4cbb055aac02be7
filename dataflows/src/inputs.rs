//! What all tables are functions of, and the sums that several of them read.
//!
//! A sum is built when the first table asks for it, and once.

use crate::posts::{Ledger, Posts};
use crate::{ALL, Events, Restored, Rows, Settings, Shared, Table};
use crate::{floors, hashtags, hashtags_by_minute, users};
use std::cell::OnceCell;

/// The events, the restored rows, and what is shared.
pub struct Inputs<'scope> {
    /// What was read.
    pub events: Events<'scope>,
    /// What of it counts.
    pub posts: Posts<'scope>,
    /// What the operator said.
    pub settings: Settings,
    rows: Shared<'scope, Restored>,
    hashtags: OnceCell<hashtags::Uses<'scope>>,
    users: OnceCell<users::Newest<'scope>>,
    newest: OnceCell<floors::Newest<'scope>>,
    minutes: OnceCell<hashtags_by_minute::Uses<'scope>>,
}

impl<'scope> Inputs<'scope> {
    /// Nothing is built yet.
    pub fn new(
        events: Events<'scope>,
        rows: Shared<'scope, Restored>,
        settings: Settings,
        ledger: Option<Ledger<'scope>>,
    ) -> Self {
        let posts = Posts::new(&events, ledger);
        let (hashtags, users) = (OnceCell::new(), OnceCell::new());
        let (newest, minutes) = (OnceCell::new(), OnceCell::new());
        Inputs { events, posts, settings, rows, hashtags, users, newest, minutes }
    }

    /// The restored rows of a table of [`ALL`].
    pub fn rows(&self, table: &Table) -> Rows<'scope> {
        let numbered = (0_u8..).zip(ALL);
        let index = numbered.filter(|(_, definition)| definition.table.name == table.name);
        let (index, _) = index.last().expect("the table is listed");
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

    /// The newest keys of what is forgotten by age.
    pub fn newest(&self) -> &floors::Newest<'scope> {
        self.newest.get_or_init(|| floors::newest(self))
    }

    /// Uses by minute and hashtag.
    pub fn minutes(&self) -> &hashtags_by_minute::Uses<'scope> {
        self.minutes.get_or_init(|| hashtags_by_minute::count(self))
    }
}

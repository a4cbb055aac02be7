//! Which tables a job has.
//!
//! Those that are functions of tweets and switched on, then the pipeline's own: a table's number is
//! its place here, for all that handles rows. What is switched off is not built, has no DDL, and
//! is not part of the fingerprint; so a change of the set stops the next start, as any other change
//! of what the tables are.

use crate::tables::{self, dead_letter_overflow, dead_letters, floors, freshness};
use crate::tables::{kafka_offsets, late_acts};
use crate::{Changes, Inputs, Rows};
use types::Table;
use types::settings::TableChoice;

/// Whether a job has a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Each job has it.
    Always,
    /// Unless it is switched off.
    On,
    /// Only if it is switched on.
    Off,
}

/// A table and the function that maintains it.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// The declaration.
    pub table: Table,
    /// The rows as a function of the events.
    pub build: for<'a, 'scope> fn(&'a Inputs<'scope>, &'a Rows<'scope>) -> Changes<'scope>,
    /// Whether a job has it.
    pub switch: Switch,
    /// The table from whose rows its state is restored, where not each job has that one.
    pub needs: Option<&'static str>,
}

macro_rules! definition {
    ($name:ident, $switch:ident) => {
        definition!($name, $switch, None)
    };
    ($name:ident, $switch:ident, needs $needs:ident) => {
        definition!($name, $switch, Some(tables::$needs::TABLE.name))
    };
    ($name:ident, $switch:ident, $needs:expr) => {
        Definition {
            table: tables::$name::TABLE,
            build: tables::$name::build,
            switch: Switch::$switch,
            needs: $needs,
        }
    };
}

/// Every table, in the order in which a transaction writes them. A job has some of them; what is
/// not built costs nothing.
pub const ALL: &[Definition] = &[
    definition!(hashtags, Always),
    definition!(users, Always),
    definition!(totals, Always),
    definition!(floors, Always),
    definition!(hashtags_by_minute, On),
    definition!(top_hashtags, On),
    definition!(top_users, On),
    definition!(trending, On, needs hashtags_by_minute),
    definition!(friends_histogram, On),
    definition!(hashtags_folded, On),
    definition!(hashtag_pairs, Off),
    definition!(top_hashtag_pairs, Off, needs hashtag_pairs),
];

/// The tables of a job, in the order in which a transaction writes them.
#[derive(Clone, Debug)]
pub struct Tables {
    flows: Vec<Definition>,
    has_freshness: bool,
}

impl Default for Tables {
    /// What a job has that says nothing else.
    fn default() -> Self {
        let flows = ALL.iter().filter(|table| table.switch != Switch::Off);
        Tables { flows: flows.copied().collect(), has_freshness: true }
    }
}

impl Tables {
    /// Every table that there is.
    pub fn every() -> Self {
        Tables { flows: ALL.to_vec(), has_freshness: true }
    }

    /// The tables that are on by default, some more and some less.
    pub fn choose(choice: &TableChoice) -> Result<Self, String> {
        let TableChoice { with, without } = choice;
        let is_named = |names: &[String], table: &str| names.iter().any(|name| name == table);
        if let Some(name) = with.iter().find(|name| is_named(without, name)) {
            return Err(format!("--with and --without both name {name}"));
        }
        let is_on = |table: &str, switch: Switch| match switch {
            Switch::Always => true,
            Switch::On => !is_named(without, table),
            Switch::Off => is_named(with, table),
        };
        let flows = ALL.iter().filter(|table| is_on(table.table.name, table.switch));
        let flows: Vec<_> = flows.copied().collect();
        for Definition { table, needs, .. } in &flows {
            let is_there = |name: &str| flows.iter().any(|flow| flow.table.name == name);
            if let Some(needs) = needs.filter(|needs| !is_there(needs)) {
                let name = table.name;
                return Err(format!(
                    "{name} needs {needs}: switch both on (--with), or both off (--without)"
                ));
            }
        }
        Ok(Tables { flows, has_freshness: is_on(freshness::TABLE.name, Switch::On) })
    }

    /// The names of the tables that can be switched.
    pub fn optional() -> impl Iterator<Item = &'static str> {
        let is_free = |flow: &&Definition| matches!(flow.switch, Switch::On | Switch::Off);
        let flows = ALL.iter().filter(is_free);
        flows.map(|flow| flow.table.name).chain([freshness::TABLE.name])
    }

    /// The tables that are functions of the events; they are numbered first.
    pub fn flows(&self) -> &[Definition] {
        &self.flows
    }

    /// All declarations, by number.
    pub fn all(&self) -> Vec<Table> {
        let mut tables: Vec<_> = self.flows.iter().map(|flow| flow.table).collect();
        tables.extend([kafka_offsets::TABLE, dead_letters::TABLE]);
        tables.extend([dead_letter_overflow::TABLE, late_acts::TABLE]);
        tables.extend(self.has_freshness.then_some(freshness::TABLE));
        tables
    }

    /// The number of `kafka_offsets`.
    pub fn progress(&self) -> u8 {
        u8::try_from(self.flows.len()).expect("there are fewer than 250 tables")
    }

    /// The number of `floors`.
    pub fn floors(&self) -> u8 {
        let index = self.flows.iter().position(|flow| flow.table.name == floors::TABLE.name);
        index.and_then(|index| u8::try_from(index).ok()).expect("each job has them")
    }

    /// The number of `dead_letters`.
    pub fn dead_letters(&self) -> u8 {
        self.progress() + 1
    }

    /// The number of `dead_letter_overflow`.
    pub fn dead_letter_overflow(&self) -> u8 {
        self.progress() + 2
    }

    /// The number of `late_acts`.
    pub fn late_acts(&self) -> u8 {
        self.progress() + 3
    }

    /// The number of `freshness`, if the job has it.
    pub fn freshness(&self) -> Option<u8> {
        self.has_freshness.then_some(self.progress() + 4)
    }
}

#[cfg(test)]
mod tests {
    use super::{TableChoice, Tables};

    fn names(with: &[&str], without: &[&str]) -> Result<Vec<&'static str>, String> {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let tables = Tables::choose(&TableChoice { with: owned(with), without: owned(without) })?;
        Ok(tables.all().iter().map(|table| table.name).collect())
    }

    #[test]
    fn a_job_has_what_is_switched_on() {
        let by_default = names(&[], &[]).expect("they fit");
        let tables = Tables::default();
        let all = tables.all();
        assert!(all.iter().map(|table| table.name).eq(by_default.iter().copied()));
        assert!(!by_default.contains(&"hashtag_pairs") && by_default.contains(&"freshness"));
        let number = |number: u8| all[usize::from(number)].name;
        assert_eq!(number(tables.progress()), "kafka_offsets");
        assert_eq!(number(tables.dead_letters()), "dead_letters");
        assert_eq!(number(tables.dead_letter_overflow()), "dead_letter_overflow");
        assert_eq!(number(tables.late_acts()), "late_acts");
        assert_eq!(tables.freshness().map(number), Some("freshness"));
        let least = Tables::optional().collect::<Vec<_>>();
        assert_eq!(
            names(&[], &least).expect("they fit"),
            [
                "hashtags",
                "users",
                "totals",
                "floors",
                "kafka_offsets",
                "dead_letters",
                "dead_letter_overflow",
                "late_acts"
            ]
        );
        let pairs = ["hashtag_pairs", "top_hashtag_pairs"];
        let every = Tables::every().all().len();
        assert_eq!(names(&pairs, &[]).expect("they fit").len(), every);
    }

    #[test]
    fn a_set_that_does_not_fit_is_refused() {
        let error = names(&["top_hashtag_pairs"], &[]).expect_err("it needs another");
        assert!(error.starts_with("top_hashtag_pairs needs hashtag_pairs"), "{error}");
        let ambiguous = names(&["top_users"], &["top_users"]).expect_err("which?");
        assert_eq!(ambiguous, "--with and --without both name top_users");
    }
}

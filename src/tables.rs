//! Which tables a job has.
//!
//! Those of the crate `dataflows` that are switched on, then the pipeline's own: a table's number is
//! its place here, for all that handles rows. What is switched off is not built, has no DDL, and is
//! not part of the fingerprint; so a change of the set stops the next start, as any other change of
//! what the tables are.

use crate::{dead_letters, freshness, progress};
use dataflows::{Definition, Switch, Table, Value, floors};
use std::fmt::Write;

/// The tables of a job, in the order in which a transaction writes them.
#[derive(Clone, Debug)]
pub struct Tables {
    flows: Vec<Definition>,
    has_freshness: bool,
}

impl Default for Tables {
    /// What a job has that says nothing else.
    fn default() -> Self {
        let flows = dataflows::ALL.iter().filter(|table| table.switch != Switch::Off);
        Tables { flows: flows.copied().collect(), has_freshness: true }
    }
}

impl Tables {
    /// Every table that there is.
    pub fn every() -> Self {
        Tables { flows: dataflows::ALL.to_vec(), has_freshness: true }
    }

    /// The tables that are on by default, some more and some less.
    pub fn choose(with: &[String], without: &[String]) -> Result<Self, String> {
        let is_named = |names: &[String], table: &str| names.iter().any(|name| name == table);
        if let Some(name) = with.iter().find(|name| is_named(without, name)) {
            return Err(format!("--with and --without both name {name}"));
        }
        let is_on = |table: &str, switch: Switch| match switch {
            Switch::Always => true,
            Switch::On => !is_named(without, table),
            Switch::Off => is_named(with, table),
        };
        let flows = dataflows::ALL.iter().filter(|table| is_on(table.table.name, table.switch));
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
        let flows = dataflows::ALL.iter().filter(is_free);
        flows.map(|flow| flow.table.name).chain([freshness::TABLE.name])
    }

    /// The tables that are functions of the events; they are numbered first.
    pub fn flows(&self) -> &[Definition] {
        &self.flows
    }

    /// All declarations, by number.
    pub fn all(&self) -> Vec<Table> {
        let mut tables: Vec<_> = self.flows.iter().map(|flow| flow.table).collect();
        tables.extend([progress::TABLE, dead_letters::TABLE, dead_letters::overflow::TABLE]);
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
    pub fn letters(&self) -> u8 {
        self.progress() + 1
    }

    /// The number of `dead_letter_overflow`.
    pub fn dropped(&self) -> u8 {
        self.progress() + 2
    }

    /// The number of `freshness`, if the job has it.
    pub fn freshness(&self) -> Option<u8> {
        self.has_freshness.then_some(self.progress() + 3)
    }
}

/// A row in one line: its table, and what stands in some of its columns.
pub fn shown(table: &Table, row: &[Value], columns: impl Iterator<Item = usize>) -> String {
    let mut line = String::new();
    for column in columns {
        let _ = write!(line, " {}=", table.columns[column].name);
        let _ = match row.get(column) {
            None | Some(Value::Null) => write!(line, "NULL"),
            Some(Value::Int(number)) => write!(line, "{number}"),
            Some(Value::UInt(number)) => write!(line, "{number}"),
            Some(Value::Moment(ms)) => write!(line, "{ms} ms"),
            Some(Value::Text(text)) => write!(line, "{text:?}"),
            Some(Value::Bytes(bytes)) => write!(line, "{} bytes", bytes.len()),
        };
    }
    line
}

/// A row in one line, whole.
pub fn whole(table: &Table, row: &[Value]) -> String {
    table.name.to_owned() + &shown(table, row, 0..table.columns.len())
}

#[cfg(test)]
mod tests {
    use super::Tables;

    fn names(with: &[&str], without: &[&str]) -> Result<Vec<&'static str>, String> {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let tables = Tables::choose(&owned(with), &owned(without))?;
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
        assert_eq!(number(tables.letters()), "dead_letters");
        assert_eq!(number(tables.dropped()), "dead_letter_overflow");
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
                "dead_letter_overflow"
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
        let error = names(&["top_users"], &["top_users"]).expect_err("which?");
        assert_eq!(error, "--with and --without both name top_users");
    }
}

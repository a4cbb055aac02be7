//! Settings that exclude each other, and which of them holds.
//!
//! One precedence for all settings: flag, environment variable, file of `--config`, default. It
//! holds for one setting by the order in which the parser looks, and for two that exclude each
//! other by what is here: the one that is given nearer holds, as if the other were not there; two
//! that are given in the same place are refused. It parses nothing and knows no setting's value.

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches, Id};
use std::ops::Deref;

/// Two settings that say the same thing in two ways. Where both are there, the code reads the
/// first.
const EITHER: &[(&str, &str)] = &[
    ("database_file", "database"),
    ("files", "brokers"),
    ("demo", "files"),
    ("demo", "topic"),
    ("demo", "database"),
    ("demo", "database_file"),
    ("input", "synthetic"),
    ("stream", "input"),
    ("stream", "synthetic"),
    ("server", "database"),
    ("server", "database_file"),
    ("baseline", "table"),
    ("baseline", "sample"),
    ("reason", "all"),
    ("partition", "all"),
    ("offset", "all"),
];

/// A setting, and one that it means nothing beside.
const NOT_BESIDE: &[(&str, &str)] = &[
    ("from", "files"),
    ("kafka", "files"),
    ("seed", "input"),
    ("deletes", "input"),
    ("duplicates", "input"),
    ("seed", "stream"),
    ("deletes", "stream"),
    ("duplicates", "stream"),
];

/// Where a value is given; the greater one is nearer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum SettingLevel {
    Default,
    File,
    Environment,
    Flag,
}

impl SettingLevel {
    fn place(self) -> &'static str {
        match self {
            SettingLevel::Default => "by default",
            SettingLevel::File => "in the file of --config",
            SettingLevel::Environment => "in the environment",
            SettingLevel::Flag => "on the command line",
        }
    }
}

/// Arguments of which no two exclude each other.
pub(super) struct Settled<A>(A);

impl<A> Deref for Settled<A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.0
    }
}

impl<A: Args> Args for Settled<A> {
    fn augment_args(command: Command) -> Command {
        A::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        A::augment_args_for_update(command)
    }

    fn group_id() -> Option<Id> {
        A::group_id()
    }
}

impl<A: Args> FromArgMatches for Settled<A> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Self::from_arg_matches_mut(&mut matches.clone())
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, Error> {
        let command = A::augment_args(Command::new("settings"));
        settle(&command, matches).map_err(|text| Error::raw(ErrorKind::ArgumentConflict, text))?;
        A::from_arg_matches_mut(matches).map(Settled)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}

/// Takes away what a nearer setting excludes.
fn settle(command: &Command, matches: &mut ArgMatches) -> Result<(), String> {
    for &(one, other) in EITHER {
        let (level, against) = (level(command, matches, one), level(command, matches, other));
        if level == against && level > SettingLevel::Default {
            let place = level.place();
            return Err(format!(
                "{} and {} exclude each other, and both are given {place}: give one of them",
                flag(one),
                flag(other)
            ));
        }
        if level < against {
            // An argument that this command does not have is not there to be cleared.
            let _ = matches.try_clear_id(one);
        }
    }
    for &(setting, beside) in NOT_BESIDE {
        let (level, beside_level) =
            (level(command, matches, setting), level(command, matches, beside));
        if beside_level > SettingLevel::Default && level >= beside_level {
            return Err(format!(
                "{} ({}) means nothing beside {} ({}): leave one of them out",
                flag(setting),
                level.place(),
                flag(beside),
                beside_level.place()
            ));
        }
    }
    Ok(())
}

fn flag(id: &str) -> String {
    format!("--{}", id.replace('_', "-"))
}

/// Where an argument's value is given. What the file says stands in the place of the default.
fn level(command: &Command, matches: &ArgMatches, id: &str) -> SettingLevel {
    if !matches.try_contains_id(id).unwrap_or(false) {
        return SettingLevel::Default;
    }
    let values: Vec<_> = matches.get_raw(id).into_iter().flatten().collect();
    let argument = command.get_arguments().find(|argument| argument.get_id() == id);
    let defaults = argument.map(clap::Arg::get_default_values).unwrap_or_default();
    let is_default =
        defaults.iter().map(clap::builder::OsStr::as_os_str).eq(values.iter().copied());
    match matches.value_source(id) {
        // A switch that is off.
        _ if values == ["false"] => SettingLevel::Default,
        Some(ValueSource::CommandLine) => SettingLevel::Flag,
        Some(ValueSource::EnvVariable) => SettingLevel::Environment,
        _ if is_default => SettingLevel::Default,
        _ => SettingLevel::File,
    }
}

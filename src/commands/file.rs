//! The file of `--config`: one more layer of defaults under the environment and the flags.
//!
//! A key is the name of a flag, with underscores. At the top it holds for every command that has
//! the flag; in a section named like a command, `[run]`, for that command only. So the flags are
//! declared once, and a key that no command knows is an error. The file's text is never shown, it
//! may hold secrets.

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("cannot read --config {}", .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("--config {} line {line} is no TOML: {reason}", .path.display())]
    Syntax { path: PathBuf, line: usize, reason: String },
    #[error("--config {}: no command knows the key {key}{}", .path.display(), nearest(.near.as_ref()))]
    Unknown { path: PathBuf, key: String, near: Option<String> },
    #[error("--config {}: key {key}: {reason}", .path.display())]
    Value { path: PathBuf, key: String, reason: String },
}

fn nearest(near: Option<&String>) -> String {
    near.map(|near| format!("; is it {near}?")).unwrap_or_default()
}

/// `command` with the file's values as its defaults.
pub(super) fn apply(command: Command, path: &Path) -> Result<Command, FileError> {
    let path = path.to_owned();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(FileError::Read { path, source }),
    };
    let table = text.parse::<Table>().map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = 1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count();
        FileError::Syntax { path: path.clone(), line, reason: error.message().to_owned() }
    })?;
    let sections = |key: &String| command.find_subcommand(key).is_some();
    let (inner, outer): (Vec<_>, Vec<_>) = table.into_iter().partition(|(key, _)| sections(key));
    let mut layered = Layered { command, path };
    for (key, value) in outer {
        layered.set(None, &key, &value)?;
    }
    // A section is nearer to its command than the top of the file.
    for (section, values) in inner {
        let Value::Table(values) = values else {
            return Err(layered.unknown(&section));
        };
        for (key, value) in values {
            layered.set(Some(&section), &key, &value)?;
        }
    }
    Ok(layered.command)
}

struct Layered {
    command: Command,
    path: PathBuf,
}

impl Layered {
    /// Sets one key for the command `section`, or for all that know it.
    fn set(&mut self, section: Option<&str>, key: &str, value: &Value) -> Result<(), FileError> {
        let name = section.map_or(key.to_owned(), |section| format!("{section}.{key}"));
        let mut is_known = false;
        if section.is_none() && has(&self.command, key) {
            is_known = true;
            self.command = self.with(self.command.clone(), &name, key, value)?;
        }
        let commands = self.command.get_subcommands().map(|command| command.get_name().to_owned());
        for command in commands.collect::<Vec<_>>() {
            let found = self.command.find_subcommand(&command).filter(|found| has(found, key));
            if section.is_none_or(|section| section == command)
                && let Some(found) = found
            {
                is_known = true;
                let changed = self.with(found.clone(), &name, key, value)?;
                self.command = self.command.clone().mut_subcommand(command, |_| changed);
            }
        }
        if is_known { Ok(()) } else { Err(self.unknown(&name)) }
    }

    /// `command` with a value as the default of its argument `key`, if the argument takes it.
    fn with(
        &self,
        command: Command,
        name: &str,
        key: &str,
        value: &Value,
    ) -> Result<Command, FileError> {
        let wrong = |reason: String| FileError::Value {
            path: self.path.clone(),
            key: name.to_owned(),
            reason,
        };
        let argument = command.get_arguments().find(|argument| argument.get_id() == key);
        let Some(argument) = argument else { return Err(self.unknown(name)) };
        let texts = texts(argument, value).map_err(wrong)?;
        let is_switch = matches!(argument.get_action(), ArgAction::SetTrue);
        if !is_switch {
            for text in &texts {
                check(&command, argument, text).map_err(wrong)?;
            }
        }
        // The parser does not count a default when it asks for one argument of a group.
        let is_given = texts.iter().any(|text| text != "false");
        let groups = command.get_groups().filter(|group| group.get_args().any(|id| id == key));
        let groups: Vec<_> =
            groups.filter(|_| is_given).map(|group| group.get_id().clone()).collect();
        let command = groups.into_iter().fold(command, |command, group| {
            command.mut_group(group, |group| group.required(false))
        });
        // Shown defaults would show secrets. (A switch shows none.)
        let set = |found: Arg| found.default_values(texts).hide_default_value(!is_switch);
        Ok(command.mut_arg(key, set))
    }

    fn unknown(&self, key: &str) -> FileError {
        let names = std::iter::once(&self.command).chain(self.command.get_subcommands());
        let names = names.flat_map(Command::get_arguments);
        let (_, last) = key.rsplit_once('.').unwrap_or(("", key));
        let likeness = |name: &str| strsim::jaro(name, last);
        let near = names
            .map(|argument| argument.get_id().as_str())
            .filter(|name| likeness(name) > 0.8)
            .max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
        FileError::Unknown {
            path: self.path.clone(),
            key: key.to_owned(),
            near: near.map(str::to_owned),
        }
    }
}

/// Whether a command has a setting of this name: a long flag other than `--config` itself.
fn has(command: &Command, key: &str) -> bool {
    let argument = command.get_arguments().find(|argument| argument.get_id() == key);
    argument.is_some_and(|argument| {
        argument.get_long().is_some()
            // A flag of the benchmarks is no setting of a job.
            && !argument.is_hide_set()
            && !["config", "help", "version"].contains(&key)
    })
}

/// A value as the texts that the flag would be given.
fn texts(argument: &Arg, value: &Value) -> Result<Vec<String>, String> {
    let is_list = matches!(argument.get_action(), ArgAction::Append);
    match (argument.get_action(), value) {
        (ArgAction::SetTrue, Value::Boolean(value)) => Ok(vec![value.to_string()]),
        (ArgAction::SetTrue, _) => Err("expected true or false".to_owned()),
        (_, Value::Table(settings)) if is_list => {
            let pair = |(name, setting)| Ok(format!("{name}={}", text(setting)?));
            settings.iter().map(pair).collect()
        }
        (_, Value::Array(values)) if is_list => values.iter().map(text).collect(),
        (_, value) => Ok(vec![text(value)?]),
    }
}

fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(value) => Ok(value.to_string()),
        Value::Datetime(time) => Ok(time.to_string()),
        Value::Array(_) => Err("expected one value".to_owned()),
        Value::Table(_) => Err("expected one value; quote a name with dots in it".to_owned()),
    }
}

/// Whether the flag would take the text. What else the command needs does not matter here.
fn check(command: &Command, argument: &Arg, text: &str) -> Result<(), String> {
    if let Some(reason) = super::refusal::sign(argument, text.as_ref()) {
        return Err(reason.to_owned());
    }
    let flag = format!("--{}={text}", argument.get_long().unwrap_or_default());
    let command = command.clone().no_binary_name(true).subcommand_required(false);
    match command.try_get_matches_from([flag]) {
        Err(error)
            if matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) =>
        {
            Err(super::refusal::reason(&error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, FileError, Path, apply, has};
    use clap::{CommandFactory, Parser};

    const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/tweetflow.toml");

    fn with(text: &str) -> Result<Command, FileError> {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), text).expect("it is written");
        apply(super::super::Cli::command(), file.path())
    }

    fn defaults(program: &Command) -> Vec<String> {
        let mut program = program.clone();
        program.build();
        let commands = std::iter::once(&program).chain(program.get_subcommands());
        let lines = commands.flat_map(|command| {
            command.get_arguments().filter(|argument| has(command, argument.get_id().as_str())).map(
                move |argument| {
                    let values = argument.get_default_values();
                    format!("{} {} {values:?}", command.get_name(), argument.get_id())
                },
            )
        });
        let mut lines: Vec<_> = lines.collect();
        lines.sort();
        lines
    }

    /// The shipped file holds every key, with the default that the code has.
    #[test]
    fn the_shipped_file_is_the_defaults() {
        let shipped = apply(super::super::Cli::command(), Path::new(SHIPPED)).expect("it is right");
        assert_eq!(defaults(&shipped), defaults(&super::super::Cli::command()));
        let text = std::fs::read_to_string(SHIPPED).expect("it is there");
        let keys = text.lines().filter_map(|line| line.trim_start_matches("# ").split_once(" = "));
        let keys = keys.map(|(key, _)| key).collect::<Vec<_>>();
        for line in defaults(&shipped) {
            let key = line.split(' ').nth(1).expect("a line has three parts");
            assert!(keys.contains(&key), "{SHIPPED} lacks {key}");
        }
    }

    /// Every setting of `run` and `produce` is an environment variable, too.
    #[test]
    fn every_setting_has_its_variable() {
        let program = super::super::Cli::command();
        for command in ["run", "produce"].map(|name| program.find_subcommand(name)) {
            let command = command.expect("it is a command");
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                let name = argument.get_id().as_str();
                let variable = format!("TWEETFLOW_{}", name.to_uppercase());
                assert_eq!(argument.get_env(), Some(variable.as_ref()), "--{name}");
            }
        }
    }

    #[test]
    fn the_section_wins_over_the_top_and_both_over_the_default() {
        let command =
            with("topic = \"a\"\nworkers = 3\n[produce]\ntopic = \"b\"\n").expect("right");
        let topic = |name: &str| {
            let command = command.find_subcommand(name).expect("a command");
            let topic = command.get_arguments().find(|argument| argument.get_id() == "topic");
            topic.expect("a topic").get_default_values().to_vec()
        };
        assert_eq!((topic("run"), topic("produce")), (vec!["a".into()], vec!["b".into()]));
        let cli = super::super::Cli::try_parse_from(["tweetflow", "run"]);
        assert!(cli.is_ok());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, says) in [
            ("wrokers = 2", "no command knows the key wrokers; is it workers?"),
            ("[run]\nwrokers = 2", "no command knows the key run.wrokers; is it workers?"),
            ("run = 2", "no command knows the key run"),
            ("config = \"x\"", "no command knows the key config"),
            ("workers = 0", "key workers: its value is refused; it is not in 1..=256"),
            ("workers = \"many\"", "key workers: its value is refused; invalid digit"),
            ("workers = \"+3\"", "key workers: its value is refused; write the number without +"),
            ("ledger = \"+15m\"", "key ledger: its value is refused; write the number without +"),
            ("workers = [1]", "key workers: expected one value"),
            ("until_end = 1", "key until_end: expected true or false"),
            ("log = \"=\"", "key log: its value is refused"),
            (
                "kafka.sasl.password = \"x\"",
                "key kafka: expected one value; quote a name with dots",
            ),
            ("topic = \"a\"\ntopic = \"b\"", "line 2 is no TOML"),
            ("\n\nx", "line 3 is no TOML"),
        ] {
            let error = with(text).expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn settings_of_the_client_are_a_table() {
        let command = with("[run.kafka]\n\"sasl.password\" = \"x=y\"\nretries = 3").expect("right");
        let run = command.find_subcommand("run").expect("a command");
        let kafka = run.get_arguments().find(|argument| argument.get_id() == "kafka");
        assert_eq!(kafka.expect("a flag").get_default_values(), ["retries=3", "sasl.password=x=y"]);
    }
}

//! What is said of a value that is refused: which setting, where it was given, and what is expected.
//!
//! Never the value itself. The parser's own errors show it, and it may be a password that came into
//! the wrong place.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error};

/// One line for an error of the parser that would show a value; `None` for the others.
pub(super) fn line(command: &Command, error: &Error) -> Option<String> {
    match error.kind() {
        ErrorKind::InvalidValue
        | ErrorKind::ValueValidation
        | ErrorKind::InvalidUtf8
        | ErrorKind::TooManyValues
        | ErrorKind::WrongNumberOfValues => {
            let name = text(error, ContextKind::InvalidArg).unwrap_or_default();
            let name = name.split_whitespace().next().unwrap_or("an argument");
            let place = place(command, name).unwrap_or_default();
            Some(format!("{name}{place}: {}", reason(error)))
        }
        // A flag is shown, without its value; what is no flag may be a value.
        ErrorKind::UnknownArgument
            if text(error, ContextKind::InvalidArg).is_none_or(|name| !name.starts_with('-')) =>
        {
            Some("an argument belongs to no option; see tweetflow help".to_owned())
        }
        _ => None,
    }
}

/// Why the value is refused.
pub(super) fn reason(error: &Error) -> String {
    let expected = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => {
            Some(format!("possible values: {}", values.join(", ")))
        }
        _ => None,
    };
    let value = text(error, ContextKind::InvalidValue).unwrap_or_default();
    let said = std::error::Error::source(error).map(|source| plain(&source.to_string(), &value));
    match expected.or(said).filter(|text| !text.is_empty()) {
        Some(expected) => format!("its value is refused; {expected}"),
        None => "its value is refused".to_owned(),
    }
}

/// The library's words without the value.
fn plain(said: &str, value: &str) -> String {
    match said.strip_prefix(value) {
        Some(rest) if !value.is_empty() && rest.starts_with(" is ") => format!("it{rest}"),
        // A short value may well be a part of other words.
        _ if value.len() > 2 && said.contains(value) => String::new(),
        _ => said.to_owned(),
    }
}

fn text(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    }
}

/// Where the value of a flag was given, unless it was on the command line.
fn place(command: &Command, name: &str) -> Option<String> {
    let long = name.strip_prefix("--")?;
    let is_flag = |argument: std::ffi::OsString| {
        let argument = argument.to_string_lossy().into_owned();
        argument.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    if std::env::args_os().any(is_flag) {
        return None;
    }
    let commands = std::iter::once(command).chain(command.get_subcommands());
    let mut arguments = commands.flat_map(Command::get_arguments);
    let argument = arguments.find(|argument| argument.get_long() == Some(long))?;
    let variable = Arg::get_env(argument).filter(|name| std::env::var_os(name).is_some())?;
    Some(format!(" (from {})", variable.to_string_lossy()))
}

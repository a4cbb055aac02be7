//! What is said of a value that is refused: which setting, where it was given, and what is
//! expected.
//!
//! Never the value itself. The parser's own errors show it, and it may be a password that came into
//! the wrong place.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Command, Error};
use std::any::TypeId;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::time::Duration;
use synth::Share;

/// What is wrong with a number such as `+5`.
const SIGNED: &str = "its value is refused; write the number without +";

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

/// One line for a number with a plus sign, which the parsers of numbers take. An id or an offset
/// that is written so was changed on its way.
pub(super) fn signed_number(command: &Command, matches: &ArgMatches) -> Option<String> {
    let (name, matches) = matches.subcommand()?;
    let has_sign = |argument: &&Arg| {
        let values = matches.try_get_raw(argument.get_id().as_str()).ok().flatten();
        values.into_iter().flatten().any(|value| sign(argument, value).is_some())
    };
    let argument = command.find_subcommand(name)?.get_arguments().find(has_sign)?;
    let flag = format!("--{}", argument.get_long().unwrap_or_default());
    let place = place(command, &flag).unwrap_or_default();
    Some(format!("{flag}{place}: {SIGNED}"))
}

/// Why the value of an argument is refused, if it is a number with a plus sign.
pub(super) fn sign(argument: &Arg, value: &OsStr) -> Option<&'static str> {
    let numbers = [
        TypeId::of::<u8>(),
        TypeId::of::<u16>(),
        TypeId::of::<u32>(),
        TypeId::of::<u64>(),
        TypeId::of::<usize>(),
        TypeId::of::<f64>(),
        TypeId::of::<Share>(),
        TypeId::of::<Duration>(),
        TypeId::of::<SocketAddr>(),
    ];
    let kind = argument.get_value_parser().type_id();
    let has_sign = value.as_encoded_bytes().first() == Some(&b'+');
    (has_sign && numbers.iter().any(|number| kind == *number)).then_some(SIGNED)
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
    let variable = Arg::get_env(argument).filter(|it| std::env::var_os(it).is_some())?;
    Some(format!(" (from {})", variable.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::sign;
    use clap::CommandFactory;

    #[test]
    fn no_number_may_have_a_plus_sign() {
        let numbers = ["N", "I", "MS", "S", "MINUTES", "SPAN", "MB", "MIB", "PERCENT", "PORT"];
        let mut program = super::super::Cli::command();
        program.build();
        let mut refused = 0;
        for argument in program.get_subcommands().flat_map(clap::Command::get_arguments) {
            let names = argument.get_value_names().unwrap_or_default();
            let is_number = names.iter().any(|name| numbers.contains(&name.as_str()));
            let is_refused = sign(argument, "+5".as_ref()).is_some();
            assert_eq!(is_refused, is_number, "{argument}");
            assert_eq!(sign(argument, "5".as_ref()), None, "{argument}");
            refused += u32::from(is_refused);
        }
        assert!(refused > 20, "{refused}");
    }
}

//! Arguments to configuration to one function per command to exit code.
//!
//! Exit codes: 0 done, 1 a difference or a failure at run time, 2 wrong arguments or configuration,
//! 3 cannot be checked. An error is one
//! line on standard error, with its causes and what to do; there is never a backtrace. A secret on
//! the command line is refused, because every user of the machine could read it.

mod choices;
mod cluster;
mod config;
mod dead_letters;
mod demo;
mod demo_folder;
mod file;
mod job;
mod last_line;
mod legacy;
mod listen;
mod produce;
mod refusal;
mod run;
mod schema;
mod settle;
mod status;
mod stream;
mod verify;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use produce::ProduceArgs;
use schema::SchemaArgs;
use settle::Settled;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use types::fault::{is_caught, one_line};

/// Kafka tweets to exact MySQL tables, through differential dataflow
#[derive(Parser)]
#[command(name = "tweetflow", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Arguments of every command.
#[derive(Args)]
#[command(next_help_heading = "Common options")]
struct Common {
    /// TOML file with settings; flags and environment win over it (see `tweetflow config`)
    #[arg(long, env = "TWEETFLOW_CONFIG", global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What is logged to standard error: a level (error, warn, info, debug, trace), or
    /// `module=level` with commas between
    #[arg(long, env = "TWEETFLOW_LOG", global = true, value_name = "FILTER",
        default_value = "info", value_parser = filter)]
    log: String,
    /// How log lines look
    #[arg(long, env = "TWEETFLOW_LOG_FORMAT", global = true, value_enum, value_name = "FORMAT",
        default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// See it work, with no server: made-up tweets, a file of tables, the live page
    #[command(after_help = demo::EXAMPLES)]
    Demo(demo::DemoArgs),
    /// Keep the tables equal to the topic until stopped
    #[command(after_help = run::EXAMPLES)]
    Run(Box<Settled<run::RunArgs>>),
    /// Write tweets into a topic
    #[command(after_help = PRODUCE_EXAMPLES)]
    Produce(Box<Settled<ProduceArgs>>),
    /// Recount the topic and compare the tables with it, row by row, beside the running job
    #[command(after_help = verify::EXAMPLES)]
    Verify(Box<Settled<verify::VerifyArgs>>),
    /// Look at records that were not counted, and have them tried again
    #[command(after_help = dead_letters::EXAMPLES)]
    DeadLetters(Settled<dead_letters::DeadLettersArgs>),
    /// Print the DDL of all tables and the least rights on them
    #[command(after_help = schema::EXAMPLES)]
    Schema(Settled<SchemaArgs>),
    /// Rename the old program's tables, whose names the job needs
    #[command(after_help = legacy::EXAMPLES)]
    Legacy(Settled<legacy::LegacyArgs>),
    /// Print a file with every setting, its default and what it means
    #[command(after_help = config::EXAMPLES)]
    Config,
    /// Print completions for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = MAN_EXAMPLES)]
    Man {
        /// The command to describe; the program itself if left out
        command: Option<String>,
    },
}

const PRODUCE_EXAMPLES: &str = "Examples:\n  \
    tweetflow produce --synthetic --limit 100000\n  \
    tweetflow produce --input tweets.ndjson --topic tweets --rate 5000\n  \
    TWEETFLOW_TOKEN=… tweetflow produce --stream x --max-dollars 5 --resume x.resume";

const COMPLETIONS_EXAMPLES: &str = "Examples:\n  \
    tweetflow completions bash > ~/.local/share/bash-completion/completions/tweetflow\n  \
    tweetflow completions fish > ~/.config/fish/completions/tweetflow.fish";

const MAN_EXAMPLES: &str = "Examples:\n  \
    tweetflow man > tweetflow.1\n  \
    tweetflow man run > tweetflow-run.1";

/// The program. A panic anywhere ends the process: timely would go on without the worker.
pub fn main() -> ExitCode {
    end_on_panic();
    let (cli, matches) = match parse() {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    if let Some(text) = secret_in_arguments(&matches) {
        return refuse(&text);
    }
    log_to_stderr(&cli.common);
    // A signal ends the other commands at once: none of them leaves anything half done.
    let heeds_stop = match &cli.command {
        Command::Demo(_) | Command::Run(_) | Command::Verify(_) => true,
        Command::Produce(args) => !args.only_asks(),
        _ => false,
    };
    let stop = match if heeds_stop { stop_on_signal() } else { Ok(Arc::default()) } {
        Ok(stop) => stop,
        Err(error) => return fail(&error, 1),
    };
    match cli.command {
        Command::Demo(args) => demo::run(&args, &stop),
        Command::Run(args) => run::run(&args, stop),
        Command::Produce(args) => produce(&args, &stop),
        Command::Verify(args) => verify::run(&args, &stop),
        Command::DeadLetters(args) => dead_letters::run(&args),
        Command::Schema(args) => match schema::run(&args) {
            Ok(text) => print(text.as_bytes()),
            Err(error) => fail(&error, error.exit_code()),
        },
        Command::Legacy(args) => legacy::run(&args),
        Command::Config => config::run(),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tweetflow", &mut text);
            print(&text)
        }
        Command::Man { command } => man(command.as_deref()),
    }
}

/// Arguments, then environment, then the file, then defaults.
fn parse() -> Result<(Cli, ArgMatches), ExitCode> {
    // A first look for --config only; whatever else is wrong is said by the second.
    let first = Cli::command().ignore_errors(true).try_get_matches();
    let path = first.ok().and_then(|matches| matches.get_one::<PathBuf>("config").cloned());
    let command = match path {
        None => Cli::command(),
        Some(path) => file::apply(Cli::command(), &path).map_err(|error| fail(&error, 2))?,
    };
    let refuse = |error: clap::Error| match refusal::line(&command, &error) {
        Some(line) => refuse(&line),
        None if error.kind() == ErrorKind::ArgumentConflict && error.context().next().is_none() => {
            refuse(error.to_string().trim().trim_start_matches("error: "))
        }
        None => error.exit(),
    };
    let matches = command.clone().try_get_matches().map_err(refuse)?;
    if let Some(line) = refusal::signed_number(&command, &matches) {
        return Err(self::refuse(&line));
    }
    let cli = Cli::from_arg_matches(&matches).map_err(refuse)?;
    Ok((cli, matches))
}

fn refuse(line: &str) -> ExitCode {
    eprintln!("tweetflow: {line}");
    ExitCode::from(2)
}

/// Why a file of settings is refused.
#[cfg(any(test, fuzzing))]
pub(crate) fn check_file(path: &std::path::Path) -> Result<(), String> {
    file::apply(Cli::command(), path).map(drop).map_err(|error| one_line(&error))
}

/// Why the arguments hold something that the process list must not show.
fn secret_in_arguments(matches: &ArgMatches) -> Option<String> {
    let (_, matches) = matches.subcommand()?;
    let is_argument = |id: &str| {
        let is_known = matches.try_contains_id(id).unwrap_or(false);
        is_known && matches.value_source(id) == Some(ValueSource::CommandLine)
    };
    if is_argument("database")
        && matches.get_one::<String>("database").is_some_and(|url| has_password(url))
    {
        return Some(
            "the password of --database would stand in the process list; set TWEETFLOW_DATABASE \
             or --database-file instead"
                .to_owned(),
        );
    }
    let settings = matches.try_get_many::<(String, String)>("kafka").ok().flatten();
    let secret = settings.into_iter().flatten().find(|(name, _)| is_secret(name));
    match secret {
        Some((name, _)) if is_argument("kafka") => Some(format!(
            "the value of --kafka {name} would stand in the process list; set TWEETFLOW_KAFKA or \
             the file of --config instead"
        )),
        _ => None,
    }
}

/// Whether a setting of the Kafka client holds a secret, by its name.
fn is_secret(name: &str) -> bool {
    ["password", "secret", "key.pem", "oauthbearer.config"].iter().any(|part| name.contains(part))
}

fn produce(args: &ProduceArgs, stop: &AtomicBool) -> ExitCode {
    match args.answer() {
        None => {}
        Some(Ok(lines)) => return print((lines.join("\n") + "\n").as_bytes()),
        Some(Err(error)) => return fail(&error, error.exit_code()),
    }
    let config = ::produce::ProduceConfig::try_from(args);
    match config.and_then(|config| ::produce::run(&config, stop)) {
        Ok(summary) => {
            let ::produce::ProduceSummary {
                tweets,
                bytes,
                left_out,
                no_json,
                sent_before,
                elapsed,
            } = summary;
            if no_json > 0 {
                tracing::warn!(
                    "{no_json} records are no JSON; they were sent as they are, and run makes dead \
                     letters of them"
                );
            }
            let (seconds, rate) = (elapsed.as_secs_f64(), per_second(tweets, elapsed));
            let topic = args.topic();
            println!(
                "produced tweets={tweets} bytes={bytes} seconds={seconds:.3} \
                 tweets_per_second={rate:.0} left_out={left_out} no_json={no_json} \
                 sent_before={sent_before} topic={topic}"
            );
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error, error.exit_code()),
    }
}

fn man(command: Option<&str>) -> ExitCode {
    let mut program = Cli::command();
    program.build();
    let page = match command {
        None => Some(&program),
        Some(name) => program.find_subcommand(name),
    };
    let Some(page) = page else {
        eprintln!("tweetflow: there is no such command; see tweetflow --help");
        return ExitCode::from(2);
    };
    let mut text = Vec::new();
    match clap_mangen::Man::new(page.clone()).render(&mut text) {
        Ok(()) => print(&text),
        Err(error) => fail(&error, 1),
    }
}

/// To standard output; a reader that has gone is no failure of ours.
fn print(text: &[u8]) -> ExitCode {
    use std::io::Write;
    match std::io::stdout().write_all(text) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => fail(&error, 1),
        _ => ExitCode::SUCCESS,
    }
}

fn filter(text: &str) -> Result<String, String> {
    // A word alone would be taken for a module, and silence all others.
    let is_word = |part: &str| !part.contains(['=', '[']) && part.parse::<LevelFilter>().is_err();
    if text.split(',').map(str::trim).any(is_word) || EnvFilter::try_new(text).is_err() {
        return Err("use error, warn, info, debug, trace or off, or MODULE=LEVEL".to_owned());
    }
    Ok(text.to_owned())
}

/// `NAME=VALUE` of `--kafka`.
pub(crate) fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// Whether a URL holds a password: something behind a colon before the last `@`.
fn has_password(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    user.split_once(':').is_some_and(|(_, password)| !password.is_empty())
}

fn per_second(count: u64, elapsed: Duration) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let count = count as f64;
    count / elapsed.as_secs_f64().max(1e-9)
}

fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    eprintln!("tweetflow: {}", one_line(error));
    ExitCode::from(code)
}

/// One line and the end. Installed before anything else.
fn end_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        if is_caught() {
            return;
        }
        let thread = std::thread::current();
        let text = panic.payload_as_str().unwrap_or("a panic").replace('\n', " ");
        // Held until the end: of several threads one says why.
        let _alone = std::io::stderr().lock();
        // A thread of the mesh has lost the process that it serves.
        if let Some(error) = text.strip_prefix("timely communication error: ") {
            let why = error.split_once(": ").map_or(error, |(_doing, why)| why);
            eprintln!("tweetflow: {why}; the tables hold the last commit");
            std::process::exit(1);
        }
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let name = thread.name().unwrap_or("a thread");
        eprintln!("tweetflow: bug in {name} at {place}: {text}; the tables hold the last commit");
        std::process::exit(1);
    }));
}

/// The first signal asks for a clean stop, the second ends the process.
fn stop_on_signal() -> std::io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// Colours are for a terminal, unless `NO_COLOR` says otherwise (no-color.org).
fn log_to_stderr(common: &Common) {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&common.log))
        .with_ansi(std::io::stderr().is_terminal() && !no_color)
        .with_writer(std::io::stderr);
    match common.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
    tracing::debug!(version = env!("CARGO_PKG_VERSION"), "started");
}

#[cfg(test)]
mod tests {
    use super::{Cli, CommandFactory, end_on_panic, has_password, is_secret};
    use std::process::Command;

    /// In a process of its own, for that one ends.
    #[test]
    fn a_panic_in_any_thread_ends_the_process() {
        const PANICS: &str = "TWEETFLOW_TEST_PANICS";
        if std::env::var_os(PANICS).is_some() {
            end_on_panic();
            let thread = std::thread::Builder::new().name("a worker".to_owned());
            let panicked = thread.spawn(|| panic!("of two\nlines")).expect("it starts").join();
            assert!(panicked.is_ok(), "the process goes on");
        }
        let mut program = Command::new(std::env::current_exe().expect("this test"));
        program.args([
            "--exact",
            "--nocapture",
            "commands::tests::a_panic_in_any_thread_ends_the_process",
        ]);
        let output = program.env(PANICS, "1").output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().find(|line| line.starts_with("tweetflow: "));
        let line = line.unwrap_or_else(|| panic!("{said}"));
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(line.starts_with("tweetflow: bug in a worker at src/commands.rs"), "{line}");
        assert!(line.ends_with("of two lines; the tables hold the last commit"), "{line}");
    }

    #[test]
    fn a_password_is_seen() {
        assert!(has_password("mysql://u:p@h/d"));
        assert!(has_password("mysql://u:p@w@h:3306/d"));
        assert!(!has_password("mysql://u@h:3306/d"));
        assert!(!has_password("mysql://h:3306/d"));
        assert!(!has_password("mysql://u:@h/d"));
    }

    #[test]
    fn the_arguments_make_sense_to_the_parser() {
        Cli::command().debug_assert();
    }

    #[test]
    fn secrets_of_the_client_are_known_by_name() {
        for name in ["sasl.password", "ssl.key.password", "ssl.key.pem", "client_secret"] {
            assert!(is_secret(name), "{name}");
        }
        assert!(!is_secret("security.protocol"));
    }
}

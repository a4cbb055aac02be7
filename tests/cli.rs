//! The program as its user meets it, without any server: help, errors, layers of settings, secrets.
//!
//! `INSTA_UPDATE=always cargo test --test cli` writes the snapshots anew.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::program;
use std::io::Write;
use std::process::{Command, Output};

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// Without `TWEETFLOW_DATABASE`, which `program` sets.
fn plain(arguments: &[&str]) -> Command {
    let mut command = program(arguments, "");
    command.env_remove("TWEETFLOW_DATABASE").env("COLUMNS", "100");
    command
}

fn said(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr];
    texts.map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

#[test]
fn help() {
    for command in
        ["", "run", "produce", "verify", "dead-letters", "schema", "legacy", "completions", "man"]
    {
        let arguments: Vec<_> = [command, "--help"].into_iter().filter(|a| !a.is_empty()).collect();
        let output = plain(&arguments).output().unwrap();
        assert!(output.status.success());
        insta::assert_snapshot!(format!("help {command}").trim(), said(&output));
    }
}

#[test]
fn misuse() {
    let unknown = file("[run]\nwrokers = 3\n");
    let broken = file("topic = \"a\"\nworkers 3\n");
    let path = |file: &tempfile::NamedTempFile| file.path().to_str().unwrap().to_owned();
    let (unknown, broken) = (path(&unknown), path(&broken));
    let cases: &[&[&str]] = &[
        &[],
        &["walk"],
        &["run", "--wrokers", "3"],
        &["run", "--workers", "0"],
        &["run", "--processes", "2"],
        &["run", "--processes", "2", "--process", "2"],
        &["run", "--processes", "2", "--hosts", "/nonexistent"],
        &["run", "--from", "yesterday"],
        &["run", "--table-prefix", "A-"],
        &["run", "--without", "users"],
        &["run", "--with", "top_hashtag_pairs"],
        &["run", "--with", "top_users", "--without", "top_users"],
        &["run", "--log", "="],
        &["schema", "--database", "mysql://u@127.0.0.1:1/d"],
        &["run", "--log", "inof"],
        &["run", "--log", "tweetflow=debug,nothing"],
        &["run", "--kafka", "x"],
        &["run", "--kafka", "sasl.password=secret"],
        &["run", "--database", "mysql://u:secret@h/d"],
        &["run", "--database", "postgres://h/d"],
        &["run", "--database-file", "/nonexistent"],
        &["run", "--config", "/nonexistent"],
        &["run", "--config", &unknown],
        &["run", "--config", &broken],
        &["schema", "--database", "mysql://u:secret@h/d"],
        &["dead-letters", "retry"],
        &["dead-letters", "list", "--offset", "1"],
        &["verify", "--table", "nothing"],
        &["verify", "--table", "top_users", "--without", "top_users"],
        &["verify", "--sample", "0"],
        &["produce"],
        &["produce", "--input", "/nonexistent"],
        &["man", "walk"],
        &["completions", "cmd"],
    ];
    let mut all = Vec::new();
    for arguments in cases {
        let output = plain(arguments).output().unwrap();
        let text = said(&output).replace(&unknown, "unknown.toml").replace(&broken, "broken.toml");
        let line =
            arguments.join(" ").replace(&unknown, "unknown.toml").replace(&broken, "broken.toml");
        let code = output.status.code().unwrap();
        assert!(!text.contains("panicked") && !text.contains("secret@"), "{text}");
        all.push(format!("$ tweetflow {line}\n{text}[exit code {code}]\n\n"));
    }
    insta::assert_snapshot!("misuse", all.concat());
}

/// Flags over environment over file over default; the message shows which one was taken.
#[test]
fn layers() {
    let config = file("[run]\nfrom = \"file\"\n");
    let path = config.path().to_str().unwrap();
    let taken = |command: &mut Command| said(&command.output().unwrap());
    assert!(taken(&mut plain(&["run", "--config", path])).contains("--from \"file\""));
    let mut by_variable = plain(&["run"]);
    by_variable.env("TWEETFLOW_CONFIG", path);
    assert!(taken(&mut by_variable).contains("--from \"file\""));
    by_variable.env("TWEETFLOW_FROM", "variable");
    assert!(taken(&mut by_variable).contains("--from \"variable\""));
    by_variable.args(["--from", "flag"]);
    assert!(taken(&mut by_variable).contains("--from \"flag\""));
}

/// Secrets in each place where they may stand are neither printed nor shown by `--help`, at the
/// most talkative level; and log lines are JSON where that is asked for.
#[test]
fn secrets_stay_secret_and_json_is_json() {
    let url = file("mysql://me:hush-file@127.0.0.1:1/data\n");
    let config = file(
        "database = \"mysql://me:hush-toml@h/d\"\n[kafka]\n\"sasl.password\" = \"hush-key\"\n",
    );
    let mut command = plain(&["run", "--brokers", "127.0.0.1:1", "--log", "trace"]);
    command.args(["--log-format", "json"]);
    command.arg("--config").arg(config.path()).arg("--database-file").arg(url.path());
    let settings = "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n\
        sasl.username=me\nsasl.password=hush-variable\ndebug=all";
    let output = command.env("TWEETFLOW_KAFKA", settings).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains("no Kafka broker answers") && !text.contains("hush"), "{text}");
    let lines = String::from_utf8_lossy(&output.stderr).into_owned();
    let (ours, logs) = lines.lines().partition::<Vec<_>, _>(|line| line.starts_with("tweetflow: "));
    assert_eq!(ours.len(), 1, "{ours:?}");
    assert!(!logs.is_empty());
    for line in logs {
        let parsed: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(parsed["level"].is_string() && parsed["fields"].is_object(), "{line}");
    }
    let help = plain(&["run", "--help", "--config", config.path().to_str().unwrap()]);
    let mut help = help;
    let text = said(&help.env("TWEETFLOW_DATABASE", "mysql://me:hush@h/d").output().unwrap());
    assert!(!text.contains("hush"), "{text}");
}

/// What the shells and `man` read is what the parser knows.
#[test]
fn completions_and_manual() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = plain(&["completions", shell]).output().unwrap();
        assert!(output.status.success() && said(&output).contains("require-location"), "{shell}");
    }
    let output = plain(&["man", "run"]).output().unwrap();
    assert!(output.status.success() && said(&output).starts_with(".ie"), "{}", said(&output));
}

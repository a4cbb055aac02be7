//! The program as its user meets it, without any server: help, errors, layers of settings, secrets.
//!
//! `INSTA_UPDATE=always cargo test --workspace --test it cli::` writes the snapshots anew.

use crate::common::program;
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
    let commands = "run produce verify dead-letters schema legacy config completions man";
    for command in std::iter::once("").chain(commands.split(' ')) {
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
        &["run", "--workers", "+3"],
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
        &["run", "--database", "mysql://u@h/d?x=a@b"],
        &["run", "--database", "mysql://u@h/d?ssl=1"],
        &["run", "--kafka", "sasl.passwrod=x"],
        &["run", "--kafka", "linger.ms=x"],
        &["run", "--brokers", "me:secret@h:1"],
        &["run", "more"],
        &["run", "--until-end=yes"],
        &["run", "--database-file", "/nonexistent"],
        &["run", "--config", "/nonexistent"],
        &["run", "--config", &unknown],
        &["run", "--config", &broken],
        &["schema", "--database", "mysql://u:secret@h/d"],
        &["dead-letters", "retry"],
        &["dead-letters", "list", "--offset", "1"],
        &["dead-letters", "list", "--reason", "json "],
        &["dead-letters", "list", "--all"],
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
    let config = file("[run]\nprocess = 7\n");
    let path = config.path().to_str().unwrap();
    let taken = |command: &mut Command| said(&command.output().unwrap());
    assert!(taken(&mut plain(&["run", "--config", path])).contains("--process 7:"));
    let mut by_variable = plain(&["run"]);
    by_variable.env("TWEETFLOW_CONFIG", path);
    assert!(taken(&mut by_variable).contains("--process 7:"));
    by_variable.env("TWEETFLOW_PROCESS", "8");
    assert!(taken(&mut by_variable).contains("--process 8:"));
    by_variable.args(["--process", "9"]);
    assert!(taken(&mut by_variable).contains("--process 9:"));
}

/// Of two settings that exclude each other the nearer one holds; in the same place both are
/// refused. What the message names shows which one was taken.
#[test]
#[expect(clippy::too_many_lines, clippy::type_complexity, reason = "a table of cases")]
fn settings_that_exclude_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().to_str().unwrap();
    let tables = format!("sqlite:{empty}/tables.sqlite");
    let (by_url, by_file) = ("--database is not an address", "cannot read --database-file");
    let none = "no Kafka broker answers at 127.0.0.1:1";
    let (absent, no_files) = (format!("{empty}/none"), "cannot read");
    let (input, excluded) = ("cannot open", "exclude each other");
    // Command, file of --config, environment, flags, what is said.
    let cases: &[(&str, String, &[(&str, &str)], Vec<&str>, &str)] = &[
        ("run", "database_file = \"/none\"".into(), &[("DATABASE", "x://h/d")], vec![], by_url),
        ("run", "database = \"x://h/d\"".into(), &[("DATABASE_FILE", "/none")], vec![], by_file),
        (
            "run",
            "database_file = \"/none\"\ndatabase = \"x://h/d\"".into(),
            &[],
            vec![],
            "both are given in the file of --config",
        ),
        (
            "run",
            String::new(),
            &[("DATABASE", "x://h/d"), ("DATABASE_FILE", "/none")],
            vec![],
            "--database-file and --database exclude each other, and both are given in the environ",
        ),
        (
            "verify",
            String::new(),
            &[("DATABASE", "x://h/d")],
            vec!["--database-file", "/none"],
            by_file,
        ),
        (
            "dead-letters",
            String::new(),
            &[],
            vec!["--database-file", "/none", "--database", "x://h/d", "list"],
            excluded,
        ),
        ("schema", String::new(), &[("DATABASE_FILE", "/none")], vec![], by_file),
        (
            "schema",
            String::new(),
            &[("DATABASE_FILE", "/none")],
            vec!["--server", "mysql"],
            "CREATE",
        ),
        ("schema", "database_file = \"/none\"".into(), &[("DATABASE", "x://h/d")], vec![], by_url),
        (
            "schema",
            String::new(),
            &[],
            vec!["--server", "mysql", "--database-file", "/none"],
            excluded,
        ),
        (
            "run",
            format!("files = \"{empty}\"\ndatabase = \"{tables}\""),
            &[("BROKERS", "127.0.0.1:1")],
            vec![],
            none,
        ),
        (
            "run",
            format!("brokers = \"127.0.0.1:1\"\ndatabase = \"{tables}\""),
            &[("FROM", "latest"), ("KAFKA", "linger.ms=5")],
            vec!["--files", &absent],
            no_files,
        ),
        ("run", String::new(), &[], vec!["--files", empty, "--brokers", "127.0.0.1:1"], excluded),
        (
            "run",
            format!("files = \"{empty}\""),
            &[("KAFKA", "linger.ms=5")],
            vec![],
            "--kafka (in the environment) means nothing beside --files (in the file of --config)",
        ),
        (
            "run",
            String::new(),
            &[],
            vec!["--files", empty, "--from", "latest"],
            "--from (on the command line) means nothing beside --files",
        ),
        ("produce", "synthetic = true".into(), &[("INPUT", "/none")], vec![], input),
        (
            "produce",
            "input = \"/none\"".into(),
            &[("BROKERS", "127.0.0.1:1")],
            vec!["--synthetic"],
            none,
        ),
        (
            "produce",
            "deletes = \"5%\"\nseed = 3".into(),
            &[("DUPLICATES", "3")],
            vec!["--input", "/none"],
            input,
        ),
        ("produce", String::new(), &[], vec!["--input", "/none", "--synthetic"], excluded),
        (
            "produce",
            String::new(),
            &[],
            vec!["--input", "/none", "--deletes", "5"],
            "--deletes (on the command line) means nothing beside --input",
        ),
        (
            "dead-letters",
            format!("database = \"{tables}\"\n[dead-letters]\nreason = \"json\""),
            &[],
            vec!["retry", "--all"],
            "there is no file of tables",
        ),
    ];
    let check = |(command, text, variables, flags, says): &(
        &str,
        String,
        &[(&str, &str)],
        Vec<&str>,
        &str,
    )| {
        let config = file(text);
        let mut program = plain(&[command]);
        program.arg("--config").arg(config.path()).args(flags);
        for (name, value) in *variables {
            program.env(format!("TWEETFLOW_{name}"), value);
        }
        let told = said(&program.output().unwrap());
        assert!(told.contains(says), "{command} {text:?} {variables:?} {flags:?}: {told}");
    };
    let check = &check;
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(move || check(case));
        }
    });
}

/// A number with a plus sign is refused wherever it comes from.
#[test]
fn no_number_has_a_plus_sign() {
    let config = file("[run]\nworkers = \"+3\"\n");
    let by_file = plain(&["run", "--config", config.path().to_str().unwrap()]);
    let mut by_variable = plain(&["run"]);
    by_variable.env("TWEETFLOW_WORKERS", "+3");
    let by_flag = plain(&["dead-letters", "list", "--partition", "1", "--offset", "+3"]);
    for (mut command, name) in [
        (by_file, "key run.workers"),
        (by_variable, "--workers (from TWEETFLOW_WORKERS)"),
        (by_flag, "--offset"),
    ] {
        let output = command.output().unwrap();
        let line = format!("{name}: its value is refused; write the number without +\n");
        assert!(said(&output).ends_with(&line), "{}", said(&output));
        assert_eq!(output.status.code(), Some(2));
    }
}

/// However a value comes in, and wherever, no output has it: neither an error nor a log line.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn no_value_is_shown() {
    let variables = |command: &str| {
        let help = said(&plain(&[command, "--help"]).output().unwrap());
        let names =
            help.split("[env: ").skip(1).map(|rest| rest.split('=').next().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    // These name a thing, which an error must name.
    let names = ["BROKERS", "TOPIC", "JOB", "FILES", "INPUT", "RESUME", "CONFIG", "HOSTS"]
        .map(|name| format!("TWEETFLOW_{name}"));
    let mut commands = Vec::new();
    for name in ["run", "produce", "verify", "schema", "dead-letters", "legacy", "demo"] {
        for variable in variables(name).into_iter().filter(|it| !names.contains(it)) {
            let key = variable.trim_start_matches("TWEETFLOW_").to_lowercase();
            if ["database_file", "demo_dir", "listen_name", "table_prefix"].contains(&&*key) {
                continue;
            }
            let more: &[&str] = match name {
                "produce" => &["--synthetic", "--brokers", "127.0.0.1:1"],
                "run" | "verify" => &["--brokers", "127.0.0.1:1"],
                "dead-letters" => &["list"],
                "demo" => &["--dir", "/dev/null/none"],
                _ => &[],
            };
            let mut by_variable = plain(&[name]);
            by_variable.args(more).env(&variable, "hunter2");
            commands.push(by_variable);
            let mut by_flag = plain(&[name]);
            by_flag.args(more).arg(format!("--{}=hunter2", key.replace('_', "-")));
            commands.push(by_flag);
            let config = file(&format!("{key} = \"hunter2\"\n"));
            let mut by_file = plain(&[name]);
            by_file.args(more).arg("--config").arg(config.into_temp_path().keep().unwrap());
            commands.push(by_file);
        }
    }
    for text in [
        "[run]\nkafka = hunter2",
        "[run.kafka]\nx = hunter2\n",
        "[run]\n hunter2",
        "topic = \"hunter2",
    ] {
        let mut command = plain(&["run", "--config"]);
        command.arg(file(text).into_temp_path().keep().unwrap());
        commands.push(command);
    }
    for setting in [
        "sasl.passwrod=hunter2",
        "linger.ms=hunter2",
        "security.protocol=hunter2",
        "security.protocol=sasl_plaintext\nsasl.mechanism=hunter2",
        "security.protocol=ssl\nssl.ca.location=/hunter2",
        "security.protocol=ssl\nssl.key.pem=hunter2",
        "security.protocol=ssl\nssl.key.location=/hunter2\nssl.key.password=hunter2",
        "auto.offset.reset=hunter2",
        "security.protocol=sasl_plaintext\nsasl.mechanism=PLAIN\nsasl.username=hunter2\n\
         sasl.password=hunter2\nclient.id=hunter2\ndebug=all",
        "sasl.oauthbearer.client.secret=hunter2\nsasl.oauthbearer.config=hunter2\ndebug=all",
        "hunter2",
    ] {
        for arguments in [&["run"][..], &["verify"], &["produce", "--synthetic"]] {
            let mut command = plain(arguments);
            command.args(["--brokers", "127.0.0.1:1", "--log", "trace"]);
            command.env("TWEETFLOW_KAFKA", setting);
            commands.push(command);
        }
    }
    for arguments in [&["run"][..], &["verify"], &["produce", "--synthetic"]] {
        let mut command = plain(arguments);
        command.env("TWEETFLOW_BROKERS", "SASL_SSL://me:hunter2@127.0.0.1:1");
        commands.push(command);
    }
    for url in [
        "mysql://u:hunter2/x@127.0.0.1:1/d",
        "mysql://u:x?hunter2@127.0.0.1:1/d",
        "mysql://u:x#hunter2@127.0.0.1:1/d",
        "mysql://u:1/hunter2@127.0.0.1:1/d",
        "mysql://u:1?hunter2=x@127.0.0.1:1/d",
        "mysql://u:x@hunter2@127.0.0.1:1/d",
        "mysql://u:hunter2@127.0.0.1:1/d",
        "mysql://u:hunter2@127.0.0.1:port/d",
        "mysql://u:hunter2@127.0.0.1:1",
        "mysql://u:hunter2@127.0.0.1:1/d?pool_min=hunter2",
        "mysql://u:hunter2@127.0.0.1:1/d?password=hunter2",
        "mysql:/u:hunter2@127.0.0.1:1/d",
        "mysql:u:hunter2@127.0.0.1:1/d",
        "u:hunter2@127.0.0.1:1/d",
        "hunter2://u:hunter2@127.0.0.1:1/d",
    ] {
        for arguments in [&["schema"][..], &["dead-letters", "list"], &["legacy"]] {
            let mut by_variable = plain(arguments);
            by_variable.arg("--log=trace").env("TWEETFLOW_DATABASE", url);
            commands.push(by_variable);
            let mut by_file = plain(arguments);
            by_file.arg("--database-file").arg(file(url).into_temp_path().keep().unwrap());
            commands.push(by_file);
            let mut by_flag = plain(arguments);
            by_flag.args(["--database", url]);
            commands.push(by_flag);
        }
    }
    let queue = std::sync::Mutex::new(commands);
    let work = || {
        while let Some(mut command) = { queue.lock().unwrap().pop() } {
            let output = command.stdin(std::process::Stdio::null()).output().unwrap();
            let text = said(&output);
            assert!(!text.contains("hunter2"), "{command:?}: {text}");
            assert!(!output.status.success(), "{command:?}: {text}");
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(work);
        }
    });
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
    let mut help = plain(&["run", "--help", "--config", config.path().to_str().unwrap()]);
    let page = said(&help.env("TWEETFLOW_DATABASE", "mysql://me:hush@h/d").output().unwrap());
    assert!(!page.contains("hush"), "{page}");
}

/// The last line says what did not count, and a warning how to see it.
#[test]
fn the_last_line_says_what_did_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let tweet =
        |id: u64| format!("{{\"id\":{id},\"text\":\"t\",\"user\":{{\"id\":2,\"name\":\"n\"}}}}\n");
    let (first, again, second) = (tweet(1 << 60), tweet(1 << 60), tweet((1 << 60) + 1));
    let delete = format!("{{\"delete\":{{\"status\":{{\"id\":{}}}}}}}\n", (1_u64 << 60) + 1);
    let records = [first, again, second, delete, "no json\n".repeat(2)].concat();
    std::fs::write(folder.path().join("partition-0.ndjson"), records).unwrap();
    let database = format!("sqlite:{}", folder.path().join("tables").display());
    let files = folder.path().to_str().unwrap();
    let ask = |arguments: &[&str]| said(&program(arguments, &database).output().unwrap());
    let counts = "tweets=1 duplicates=1 deleted=1 late_tweets=0 late_deletes=0 late_edits=0 \
                  superseded=0 filtered=0 keep_alive=0 dead_letter_overflow=1";
    let prefix = ["--files", files, "--table-prefix", "p_"];
    let run = ["run", "--until-end", "--ledger", "15m", "--dead-letter-rows", "1"];
    let text = ask(&[&run[..], &prefix].concat());
    assert!(text.contains("done records=6 "), "{text}");
    assert!(text.contains(&format!(" dead_letters=1 {counts} files_set_aside=0\n")), "{text}");
    assert_eq!(text.matches("WARN").count(), 2, "{text}");
    let next = "`tweetflow dead-letters list --table-prefix p_ --database sqlite:/";
    assert!(text.contains(next) && text.contains("a larger --dead-letter-rows"), "{text}");
    let equal = ask(&[&["verify"][..], &prefix].concat());
    assert!(equal.contains("equal ") && equal.contains(&format!(" {counts}\n")), "{equal}");
}

/// So does that of the demo.
#[test]
fn the_last_line_of_the_demo_says_what_did_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let tweet = "{\"id\":1,\"text\":\"t\",\"user\":{\"id\":2}}\n";
    let input = file(&[&tweet.repeat(4), "no json\n"].concat());
    let (input, folder) = (input.path().to_str().unwrap(), folder.path().to_str().unwrap());
    let first = ["demo", "--listen", "0", "--limit", "5"];
    let output = plain(&[&first[..], &["--input", input, "--dir", folder]].concat()).output();
    let text = said(&output.unwrap());
    assert!(text.contains("done records=5 "), "{text}");
    assert!(text.contains(" dead_letters=1 tweets=1 duplicates=3 "), "{text}");
    let list = format!("`tweetflow dead-letters list --database sqlite:{folder}/tables.sqlite`");
    assert!(text.contains("WARN") && text.contains(&list), "{text}");
}

/// What `config` prints is a file that the program takes.
#[test]
fn config_prints_a_file_that_is_taken() {
    let output = plain(&["config"]).output().unwrap();
    let text = said(&output);
    assert!(output.status.success() && text.starts_with("# Every setting"), "{text}");
    let file = file(&text);
    let path = file.path().to_str().unwrap();
    let taken = plain(&["schema", "--server", "mysql", "--config", path]).output().unwrap();
    assert!(taken.status.success(), "{}", said(&taken));
    let refused = plain(&["config", "--fresh"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
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

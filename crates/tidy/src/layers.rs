//! The layers: which crate of the workspace may use which.
//!
//! A crate's manifest is the rule, so only `[dependencies]` count: tests may use what they like.
//! Inside the program two rules more: its configuration is plain data, and only the commands know
//! the argument parser.

use crate::tree;
use std::path::Path;

/// Each crate and what it may use, from the bottom.
const MAY_USE: [(&str, &[&str]); 14] = [
    ("types", &[]),
    ("dataflows", &["types"]),
    ("decode", &["types"]),
    ("source", &["types"]),
    ("sink", &["types"]),
    ("mesh", &["types"]),
    ("synth", &["types"]),
    ("monitor", &["types"]),
    ("streams", &["types"]),
    ("produce", &["types", "decode", "source", "synth", "monitor", "streams"]),
    ("verify", &["types", "decode", "source", "sink", "monitor"]),
    ("server", &["types", "monitor"]),
    ("tidy", &[]),
    (
        "tweetflow",
        &[
            "types",
            "dataflows",
            "decode",
            "source",
            "sink",
            "mesh",
            "synth",
            "monitor",
            "streams",
            "produce",
            "verify",
            "server",
        ],
    ),
];
/// Libraries that only some crates may use: the argument parser, the engine, the
/// runtime, the clients of databases and of Kafka.
const RESERVED: [(&str, &[&str]); 7] = [
    ("clap", &["tweetflow"]),
    ("mysql_async", &["sink"]),
    ("rusqlite", &["sink"]),
    ("timely", &["dataflows", "mesh", "tweetflow"]),
    ("differential-dataflow", &["dataflows", "tweetflow"]),
    ("tokio", &["source", "sink", "streams", "produce", "verify", "server", "tweetflow"]),
    ("rdkafka", &["source", "produce", "verify"]),
];

/// What uses what it may not, one line each.
pub fn findings(top: &Path) -> Vec<String> {
    let mut findings = inside_the_program(top);
    for manifest in tree::files(top, "", &["Cargo.toml"]) {
        let Some((name, used)) = read(&manifest.text) else { continue };
        if manifest.path.starts_with("fuzz/") {
            continue;
        }
        let Some((_, may_use)) = MAY_USE.iter().find(|(known, _)| *known == name) else {
            findings.push(format!("{}: crate {name} has no layer", manifest.path));
            continue;
        };
        for one in used {
            let is_ours = MAY_USE.iter().any(|(known, _)| *known == one);
            let reserved = RESERVED.iter().find(|(library, _)| *library == one);
            let is_refused = is_ours && !may_use.contains(&one)
                || reserved.is_some_and(|(_, crates)| !crates.contains(&name));
            if is_refused {
                findings.push(format!("{}: {name} may not use {one}", manifest.path));
            }
        }
    }
    findings
}

/// What `src/config.rs` imports beside plain data, and who beside the commands knows clap.
fn inside_the_program(top: &Path) -> Vec<String> {
    let mut findings = Vec::new();
    for file in tree::files(top, "src", &["rs"]) {
        let imports = file.text.lines().filter_map(|line| line.trim().strip_prefix("use "));
        for import in imports {
            let root = import.split([':', ';', ' ']).next().unwrap_or_default();
            let is_plain = ["std", "types", "super"].contains(&root);
            let is_refused = match &file.path[..] {
                "src/config.rs" => !is_plain,
                path => root == "clap" && !path.starts_with("src/commands"),
            };
            if is_refused {
                findings.push(format!("{}: may not use {root}", file.path));
            }
        }
    }
    findings
}

/// The name of a package and its dependencies.
fn read(manifest: &str) -> Option<(&str, Vec<&str>)> {
    let (mut section, mut name, mut used) = ("", None, Vec::new());
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.trim_end();
            // `[dependencies.NAME]`, also of builds and of some systems.
            let one = section.split_once("dependencies.").map(|(_, one)| one.trim_end_matches(']'));
            used.extend(one.filter(|_| is_of_the_program(section)));
        } else if let Some((key, value)) = line.split_once('=') {
            let key = key.trim().trim_end_matches(".workspace");
            match section {
                "[package]" if key == "name" => name = Some(value.trim().trim_matches('"')),
                section if is_of_the_program(section) && section.ends_with("dependencies]") => {
                    used.push(key);
                }
                _ => {}
            }
        }
    }
    name.map(|name| (name, used))
}

/// Whether a section lists what the crate itself needs: not its tests, nor the list of the
/// workspace.
fn is_of_the_program(section: &str) -> bool {
    !section.starts_with("[dev-") && !section.starts_with("[workspace.")
}

#[cfg(test)]
mod tests {
    use super::{findings, read};
    use crate::tree::top;

    #[test]
    fn a_crate_uses_only_what_stands_below_it() {
        assert_eq!(findings(&top()), Vec::<String>::new());
    }

    #[test]
    fn a_manifest_is_read() {
        let text = "[package]\nname = \"a\"\n[dependencies]\nb.workspace = true\n\
                    # c = 1\nd = { version = \"1\" }\n[dev-dependencies]\ne = \"1\"\n\
                    [build-dependencies]\nf = \"1\"\n[dependencies.g]\npath = \"g\"\n";
        assert_eq!(read(text), Some(("a", vec!["b", "# c", "d", "f", "g"])));
    }
}

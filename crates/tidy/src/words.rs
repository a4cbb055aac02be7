//! Words: phrases that read like a translation, or private words where the field has one.

use crate::tree::files;
use std::path::Path;

/// The phrase, in small letters, and what to write instead.
const BANNED: [(&str, &str); 12] = [
    ("made anew", "recreated"),
    ("passed by", "skipped"),
    ("whoever", "name the reader: a dashboard, an operator"),
    ("nobody looks", "unread"),
    ("is told to", "name who sends what"),
    ("says that it is there", "sends a heartbeat"),
    ("hangs on it", "depends on it"),
    ("so little is no", "a plain sentence"),
    ("not for you", "say what the port accepts"),
    ("who was late", "a late worker"),
    ("what came", "the new records, rows …"),
    ("the only place that knows", "say what the module owns"),
];

/// Where a banned phrase stands, one line each. This file has them all.
pub fn findings(top: &Path) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files(top, "", &[".rs", ".md", ".toml"]) {
        if file.path == "crates/tidy/src/words.rs" || file.path.starts_with("CHANGELOG") {
            continue;
        }
        for (number, line) in (1..).zip(file.text.lines()) {
            let line = line.to_lowercase();
            for (phrase, instead) in BANNED {
                if line.contains(phrase) {
                    findings.push(format!("{}:{number}: “{phrase}”: {instead}", file.path));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::findings;
    use crate::tree::top;

    #[test]
    fn no_banned_phrase() {
        assert_eq!(findings(&top()), Vec::<String>::new());
    }
}

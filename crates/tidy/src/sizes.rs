//! Sizes: files that can be read in one sitting, lines that fit a screen. The length of functions
//! is held by clippy (`too-many-lines-threshold` in `clippy.toml`).

use crate::tree::files;
use std::path::Path;

/// Most lines of a file.
const FILE_LINES: usize = 500;
/// Most characters of a line of comment; rustfmt holds those of code, and a text of a test stays
/// one line.
const LINE_CHARACTERS: usize = 100;

/// Files that are longer, each with the reason, and how long they may be. The number may only fall.
const LONGER: [(&str, usize); 5] = [
    // A table of cases and their answers.
    ("tests/it/files.rs", 720),
    // The models of all tables beside each other.
    ("dataflows/tests/oracle.rs", 640),
    ("crates/source/src/kafka.rs", 510),
    ("crates/verify/src/tests.rs", 560),
    ("src/pipeline/worker.rs", 530),
];

/// What is too long, one line each.
pub fn findings(top: &Path) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files(top, "", &[".rs"]) {
        let longer = LONGER.iter().find(|(path, _)| *path == file.path);
        let most = longer.map_or(FILE_LINES, |(_, most)| *most);
        let lines = file.text.lines().count();
        if lines > most {
            findings.push(format!("{}: {lines} lines, more than {most}", file.path));
        }
        for (number, line) in (1..).zip(file.text.lines()) {
            let length = line.chars().count();
            let is_comment = line.trim_start().starts_with("//");
            if is_comment && length > LINE_CHARACTERS {
                findings.push(format!("{}:{number}: {length} characters", file.path));
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
    fn files_and_lines_are_short() {
        assert_eq!(findings(&top()), Vec::<String>::new());
    }
}

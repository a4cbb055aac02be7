//! The files of the repository, by the paths that people use.

use std::path::{Path, PathBuf};

/// A text file: its path from the top, and what it holds.
#[derive(Clone, Debug)]
pub struct File {
    /// With `/` between, as `git ls-files` writes it.
    pub path: String,
    /// The text.
    pub text: String,
}

/// The top of the repository.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file with one of these endings below `folder`, in order. What is built is not the
/// repository's.
///
/// # Panics
/// If a file cannot be read.
pub fn files(top: &Path, folder: &str, endings: &[&str]) -> Vec<File> {
    let mut found = Vec::new();
    visit(top, &top.join(folder), &mut |path| {
        if endings.iter().any(|ending| path.ends_with(ending)) {
            let text = std::fs::read_to_string(top.join(path)).expect("a text file");
            found.push(File { path: path.to_owned(), text });
        }
    });
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn visit(top: &Path, folder: &Path, found: &mut dyn FnMut(&str)) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let is_built = name == "target" || name.to_string_lossy().starts_with('.');
        if is_built || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            visit(top, &path, found);
        } else if let Ok(path) = path.strip_prefix(top) {
            found(&path.to_string_lossy());
        }
    }
}

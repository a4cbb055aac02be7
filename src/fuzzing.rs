//! What must hold for any file of settings, for the target `config` in `fuzz/`; not part of the
//! program.
//!
//! Each function panics when a promise is broken and does nothing else.

/// Any file of settings is taken or refused in one line that shows nothing of it but keys.
///
/// # Panics
/// If the refusal has several lines.
pub fn config(bytes: &[u8]) {
    let Ok(file) = tempfile::NamedTempFile::new() else { return };
    if std::fs::write(file.path(), bytes).is_ok()
        && let Err(fault) = crate::commands::check_file(file.path())
    {
        assert!(!fault.is_empty() && !fault.contains('\n'), "{fault:?}");
    }
}

#[cfg(test)]
mod tests {
    /// The promises, on the corpus that is kept: in every test run, without a fuzzer.
    #[test]
    fn the_corpus_breaks_no_promise() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/config");
        let files = std::fs::read_dir(folder).expect("a folder of seeds");
        let files: Vec<_> = files.map(|file| file.expect("readable").path()).collect();
        assert!(files.len() >= 3);
        for file in files {
            super::config(&std::fs::read(file).expect("readable"));
        }
    }
}

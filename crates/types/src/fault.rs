//! What all errors have in common ([`Fault`]), and panics of other code as errors.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// How a program treats an error, whichever layer it comes from.
pub trait Fault: std::error::Error {
    /// Whether the error stays until somebody changes arguments, configuration or rights.
    fn is_config_error(&self) -> bool;

    /// Whether the same attempt may succeed later.
    fn is_transient(&self) -> bool {
        false
    }
}

/// The exit code of a command that ends with `fault`: 2 for a configuration that cannot work, else
/// 1.
pub fn exit_code(fault: &dyn Fault) -> u8 {
    if fault.is_config_error() { 2 } else { 1 }
}

/// Runs code of others on what comes from outside; its panic is an error with the panic's text.
/// What `call` has changed must not be used afterwards.
pub fn catch<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    let before = IS_CAUGHT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    IS_CAUGHT.set(before);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref().copied()).unwrap_or("a panic").to_owned()
    })
}

/// Whether a panic of this thread is caught by [`catch`]: no other panic is survived.
pub fn is_caught() -> bool {
    IS_CAUGHT.get()
}

/// An error and its causes in one line, outermost first.
pub fn one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // Some libraries repeat their source in their own text.
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = cause.source();
    }
    line.replace('\n', " ")
}

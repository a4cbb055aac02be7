//! The program: arguments in, exit code out. Everything else is in the library.

use std::process::ExitCode;

/// The system's allocator costs the decode path measurably more.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tweetflow::commands::main()
}

//! `loadtest`: reads the command line, runs, prints, and says by its exit code how it went.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}

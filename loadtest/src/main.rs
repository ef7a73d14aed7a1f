//! `loadtest`: reads the command line, runs, prints, and says by its exit code how it went.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use loadtest::options::Arguments;
use loadtest::{report, run};

/// Wrong arguments (what clap exits with, too).
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = match arguments.checked() {
        Ok(options) => options,
        Err(message) => return fail(USAGE, &message),
    };
    let outcome = match run::run(&options) {
        Ok(outcome) => outcome,
        Err(error) => return fail(error.exit_code(), &error.to_string()),
    };
    let json = report::json(&outcome);
    if let Some(path) = &arguments.out
        && let Err(error) = std::fs::write(path, format!("{json}\n"))
    {
        return fail(1, &format!("cannot write {}: {error}", path.display()));
    }
    let mut text = report::table(&outcome);
    if arguments.json {
        text.push_str(&format!("{json}\n"));
    }
    // A reader that closed the pipe has seen enough; the exit code still tells.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::from(outcome.exit_code())
}

fn fail(code: u8, message: &str) -> ExitCode {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(std::io::stderr(), "loadtest: {message}");
    ExitCode::from(code)
}

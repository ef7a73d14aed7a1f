//! The command line: what is asked for, by which command, and the exit code.

mod arguments;
mod files;
mod run;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use loadtest::output;
use loadtest::result::{baseline, merge};
use loadtest::scenario::Scenario;
use loadtest::worker;

use arguments::{Arguments, Command, MergeArguments};

/// Something unforeseen.
pub(crate) const UNFORESEEN: u8 = 1;
/// Wrong arguments (what clap exits with, too).
pub(crate) const USAGE: u8 = 2;
/// A scenario or another file that does not say what it should.
pub(crate) const BAD_FILE: u8 = 78;

/// Why the program ends without a verdict: exit code and words.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) u8, pub(crate) String);

pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        None => run::run(arguments.run),
        Some(Command::Run(arguments)) => run::run(*arguments),
        Some(Command::Merge(arguments)) => merge_results(&arguments),
        Some(Command::Serve(arguments)) => serve(*arguments),
        Some(Command::Scenarios) => {
            say(&scenarios());
            Ok(0)
        }
        Some(Command::Worker) => {
            let outcome = worker::serve_commands();
            outcome.map(|()| 0).map_err(|error| Failure(error.exit_code(), error.to_string()))
        }
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(Failure(code, message)) => {
            // Nobody is left to tell when stderr is closed.
            let _ = writeln!(std::io::stderr(), "loadtest: {message}");
            ExitCode::from(code)
        }
    }
}

/// Prints to stdout. A reader that closed the pipe has seen enough; the exit code still tells.
pub(crate) fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Whether stdout takes colours.
pub(crate) fn has_colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

fn scenarios() -> String {
    let mut text = String::new();
    for scenario in Scenario::built_in() {
        text += &format!("{:<16} {}\n", scenario.name, scenario.about);
        if !scenario.server.is_empty() {
            text += &format!("{:<16}   against: {}\n", "", scenario.server);
        }
    }
    text + "\nloadtest NAME runs one; every value can be overridden (loadtest 10k-idle -c 500); a file.toml is a scenario, too.\n"
}

fn merge_results(arguments: &MergeArguments) -> Result<u8, Failure> {
    let bad = |error| Failure(BAD_FILE, error);
    let results: Result<Vec<_>, _> =
        arguments.results.iter().map(|path| baseline::read(path)).collect();
    let merged = merge(results.map_err(bad)?).map_err(bad)?;
    say(&output::table(&merged, None, has_colour()));
    files::write(&merged, &arguments.files)?;
    Ok(merged.verdict.exit_code)
}

#[cfg(feature = "engine")]
fn serve(arguments: arguments::ServeArguments) -> Result<u8, Failure> {
    run::serve(arguments)
}

#[cfg(not(feature = "engine"))]
fn serve(_: arguments::ServeArguments) -> Result<u8, Failure> {
    let remedy = "cargo run --release -p loadtest --features engine -- serve";
    Err(Failure(USAGE, format!("this build has no engine to serve with; build it in: {remedy}")))
}

//! The project's tasks: `cargo xtask test` proves everything, `cargo xtask figures` measures. Never part of the product.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people at a terminal: its output is its purpose"
)]

mod autobahn;
mod benches;
mod figures;
mod fuzz;
mod http;
mod js;
mod line;
mod loom;
mod ports;
mod proof;
mod report;
mod running;
mod smoke;
mod stress;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

/// A task's end: nothing, or a sentence that says what went wrong.
type Outcome<T = ()> = Result<T, String>;

const USAGE: &str = "\
usage: cargo xtask TASK
  test [--quick] [--only STEP]   every check, in order; stops at the first that fails
  mutations                      the loom models, and every mutation they must notice
  stress [--ops N]               rings and log under real threads, N operations each
  figures [--only NAME,...] [--rounds N] [--seconds S] [--clients N] [--with PROGRAM | --with-plain PROGRAM]
                                 Lineage against raw C in alternation; see docs/benchmarks
  figures --rivals               the same with servers on other libraries; three settings unless --only names them
  report [FILE]                  the load tester's HTML report, opened in a browser
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = arguments.split_first().map_or(("", &[][..]), |(task, rest)| (task, rest));
    let root = root();
    let outcome = std::env::set_current_dir(&root)
        .map_err(|error| format!("cannot enter {}: {error}", root.display()))
        .and_then(|()| match task {
            "test" => proof::run(rest),
            "mutations" => loom::run(),
            "stress" => stress::run(rest),
            "figures" => figures::run(rest),
            "report" => report::run(rest),
            _ => Err(USAGE.to_owned()),
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's folder.
fn root() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    own.parent().map_or(own.clone(), PathBuf::from)
}

/// The value behind `flag`, if it is there.
///
/// # Errors
/// When the flag stands last, or its value cannot be read.
fn option<T: std::str::FromStr>(arguments: &[String], flag: &str) -> Outcome<Option<T>> {
    let Some(at) = arguments.iter().position(|argument| argument == flag) else { return Ok(None) };
    let value = arguments.get(at + 1).ok_or_else(|| format!("{flag} needs a value"))?;
    value.parse().map(Some).map_err(|_| format!("{flag}: `{value}` cannot be read"))
}

/// Refuses arguments that no option knows.
///
/// # Errors
/// Names the first unknown one.
fn only_known(arguments: &[String], flags: &[&str], with_value: &[&str]) -> Outcome {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if with_value.contains(&argument.as_str()) {
            rest.next();
        } else if !flags.contains(&argument.as_str()) {
            return Err(format!("unknown argument `{argument}`\n{USAGE}"));
        }
    }
    Ok(())
}

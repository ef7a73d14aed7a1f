//! The command line: what was asked for, doing it, and one exit code for how it went.
//!
//! `arguments` reads the command line · `serve` runs an engine until a signal · `signals` waits for it · `log` sets
//! logging up · `subscribe` is the terminal client, `firehose` its way to the legacy URLs, `table` its lines ·
//! `simulate` prints a simulation without a server · `backtest` runs agents over a recording, `recorded` reads its prices ·
//! `record` writes a server's events into a file, `recording` is the
//! file.

mod arguments;
mod backtest;
mod firehose;
mod log;
mod record;
mod recorded;
mod recording;
#[cfg(test)]
mod recording_tests;
mod serve;
mod signals;
mod simulate;
mod subscribe;
mod table;
mod words;

use arguments::Invocation;
use lineage::error::Error;
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

/// Does what `arguments` ask for. Blocks until it is done.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let done = match arguments::read(arguments) {
        Ok(Invocation::Serve(settings)) => serve::serve(&settings),
        Ok(Invocation::Subscribe(subscription)) => subscribe::subscribe(&subscription),
        Ok(Invocation::Simulate(asked)) => simulate::simulate(&asked),
        Ok(Invocation::Backtest(asked)) => backtest::backtest(&asked),
        Ok(Invocation::Record(recording)) => record::record(&recording),
        Ok(Invocation::Explained(code)) => return code,
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("lineage: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// A line for whoever watches the terminal. That nobody does is no error.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// A runtime for one thread: signals, and the client.
fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Runtime(format!("cannot start a runtime: {error}")))
}

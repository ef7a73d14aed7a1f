//! One run: the program on one core, the load generator on the other, and what came of it.

use super::machine;
use super::programs::Program;
use super::settings::Setting;
use crate::line::Line;
use crate::running::Running;
use crate::{Outcome, ports};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

const FOLDER: &str = "target/figures";
const START_LIMIT: Duration = Duration::from_secs(15);

/// A finished run.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) setting: Setting,
    pub(crate) round: u32,
    /// The program's name in the table.
    pub(crate) program: &'static str,
    /// What the generator printed.
    pub(crate) result: Value,
    lines: [String; 2],
}

/// Runs one program once.
///
/// # Errors
/// When it does not start, or the generator fails or prints no result.
pub(crate) fn run(
    setting: &Setting,
    round: u32,
    program: &Program,
    seconds: u32,
    generator: &Path,
) -> Outcome<Run> {
    let (port, ack_port) = (ports::free_tcp()?, ports::free_udp()?);
    let server = program.server(setting, port, ack_port);
    let log = Path::new(FOLDER).join("server.log");
    let mut running = Running::start(&server, &log)?;
    running
        .wait_until(START_LIMIT, || ports::is_listening(port))
        .map_err(|why| format!("{why}; its output is in {}", log.display()))?;
    let load = program.load(generator, setting, port, ack_port, seconds);
    let load = load.arg("--server-pid").arg(running.id().to_string());
    let result = result(&load)
        .map_err(|why| format!("{why} (server: `{server}`, log {})", log.display()))?;
    let lines = [server, load].map(|line: Line| line.to_string());
    Ok(Run { setting: *setting, round, program: program.label, result, lines })
}

/// What the generator prints. It ends with failure when a connection was refused, but prints its result all the same:
/// that is a finding, not an end.
fn result(load: &Line) -> Outcome<Value> {
    let output = load.command().stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot run `{load}`: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.trim()).map_err(|error| {
        format!("`{load}` ended with {} and printed `{text}`: {error}", output.status)
    })
}

impl Run {
    /// Connections that were refused or closed on the way.
    pub(crate) fn lost_connections(&self) -> f64 {
        [self.number("failed"), self.number("closed")].into_iter().filter(|lost| *lost > 0.0).sum()
    }

    /// A number of the result; `/` reaches into it. Not a number when it is missing.
    pub(crate) fn number(&self, field: &str) -> f64 {
        self.result.pointer(&format!("/{field}")).and_then(Value::as_f64).unwrap_or(f64::NAN)
    }

    /// One line for a person who watches.
    pub(crate) fn summary(&self) -> String {
        let mut head =
            format!("{:<12} round {} {:<24}", self.setting.name, self.round, self.program);
        if self.lost_connections() > 0.0 {
            head += &format!(" {} CONNECTIONS LOST,", self.lost_connections());
        }
        if self.setting.is_idle() {
            let (memory, rate) =
                (self.number("rss_bytes_per_conn"), self.number("handshakes_per_s"));
            let cpu = self.number("server_cpu_us_per_handshake");
            return format!(
                "{head} {memory:.0} B per client, {rate:.0} handshakes/s, {cpu:.1} us each"
            );
        }
        let (rate, cpu) = (self.number("msgs_per_s"), self.number("server_us_per_msg"));
        let (p50, p99) = (self.number("lat_us/p50") / 1e3, self.number("lat_us/p99") / 1e3);
        let (merged, lost) =
            (self.number("msgs_per_read"), self.number("gap_events") + self.number("disorder"));
        format!(
            "{head} {rate:.0}/s, {cpu:.3} us each, p50 {p50:.2} ms, p99 {p99:.2} ms, {merged:.1} per read, {lost} lost or disordered"
        )
    }
}

/// Writes every run as a line of JSON.
#[derive(Debug)]
pub(crate) struct Recorder {
    path: PathBuf,
    file: std::fs::File,
}

impl Recorder {
    /// A new file in `target/figures`, which begins with the machine.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn create(machine: &str) -> Outcome<Self> {
        let name = machine::time().replace(':', "");
        let path = Path::new(FOLDER).join(format!("{name}.jsonl"));
        let create = || {
            std::fs::create_dir_all(FOLDER)?;
            let mut file = std::fs::File::create(&path)?;
            writeln!(file, "{}", json!({ "machine": machine }))?;
            Ok(file)
        };
        let file =
            create().map_err(|error: std::io::Error| format!("{}: {error}", path.display()))?;
        Ok(Self { path, file })
    }

    /// Where the lines are.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one run.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&mut self, run: &Run) -> Outcome {
        let [server, load] = &run.lines;
        let line = json!({
            "setting": run.setting.name, "clients": run.setting.clients, "round": run.round, "program": run.program,
            "server": server, "load": load, "result": run.result,
        });
        writeln!(self.file, "{line}").map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

#[cfg(test)]
impl Run {
    /// A run with this result.
    pub(crate) fn of(setting: &Setting, round: u32, program: &'static str, result: Value) -> Self {
        Self { setting: *setting, round, program, result, lines: [String::new(), String::new()] }
    }
}

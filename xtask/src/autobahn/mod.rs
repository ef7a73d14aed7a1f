//! The Autobahn suite against the echo server: what RFC 6455 wants of a server, case by case.
//!
//! The suite knows Python 2.7 alone. A machine without one is told loudly, as not checked; anything else that is
//! missing is an error. Cases on compression are left out, because the server offers none.

mod python;
mod verdict;

use crate::line::Line;
use crate::proof::Skipped;
use crate::running::Running;
use crate::{Outcome, ports};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const FOLDER: &str = "target/autobahn";
/// The name of the server in the reports.
const AGENT: &str = "lineage";
/// The longest messages of the suite, in group 9, are just as long.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// For the server to start.
const START_LIMIT: Duration = Duration::from_secs(30);
/// For all cases: twenty times of what they take on two idle cores.
const SUITE_LIMIT: Duration = Duration::from_secs(300);

/// Runs the suite and judges its report, or says why that cannot be on this machine.
///
/// # Errors
/// When the suite cannot be installed or run, or a case ended otherwise than it has to.
pub(crate) fn run(skipped: &mut Skipped) -> Outcome {
    let Some(python) = python::find() else {
        println!("{}", python::ABSENT);
        skipped.push(format!("autobahn: {}", python::ABSENT));
        return Ok(());
    };
    let suite = python::suite(&python)?;
    Line::new("cargo build --release --example echo").run()?;
    let folder = Path::new(FOLDER);
    // Reports of an earlier run would be taken for this one's.
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).map_err(|error| format!("{FOLDER}: {error}"))?;
    let port = ports::free_tcp()?;
    let server = Line::new("target/release/examples/echo");
    let server = server.env("PORT", port).env("MAX_MESSAGE", MESSAGE_BYTES_MAX);
    println!("$ {server}");
    let mut running = Running::start(&server, &folder.join("server.log"))?;
    running.wait_until(START_LIMIT, || ports::is_listening(port))?;
    let index = drive(&suite, folder, port)?;
    println!("{}", verdict::judge(&index[AGENT]).map_err(|faults| told(&faults))?);
    Ok(())
}

/// Lets the suite run all cases, and returns the index of its report.
fn drive(suite: &Line, folder: &Path, port: u16) -> Outcome<Value> {
    let reports = folder.join("reports");
    let spec = json!({
        "outdir": reports,
        "servers": [{"agent": AGENT, "url": format!("ws://127.0.0.1:{port}")}],
        "cases": verdict::groups().map(|group| format!("{group}.*")).collect::<Vec<_>>(),
        "exclude-cases": [],
        "exclude-agent-cases": {},
    });
    let path = folder.join("spec.json");
    std::fs::write(&path, spec.to_string())
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let line = suite.clone().arg("--mode").arg("fuzzingclient").arg("--spec");
    let line = line.arg(path.display().to_string());
    println!("$ {line}");
    let log = folder.join("wstest.log");
    // Success means that the suite ran, not that a case passed.
    let status = Running::start(&line, &log)?.wait(SUITE_LIMIT)?;
    if !status.success() {
        return Err(format!("the suite ended with {status}; its output is in {}", log.display()));
    }
    let index = reports.join("index.json");
    let text = std::fs::read_to_string(&index)
        .map_err(|error| format!("the suite left no report, see {}: {error}", log.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", index.display()))
}

fn told(faults: &[String]) -> String {
    let count = faults.len();
    let list = faults.join("\n  ");
    format!("{count} faults:\n  {list}\n  case by case: {FOLDER}/reports/index.html")
}

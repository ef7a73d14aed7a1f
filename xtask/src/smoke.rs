//! The released server under a few hundred clients for ten seconds: every client gets every event, in order; the
//! metrics are such that a Prometheus accepts them; SIGTERM ends it cleanly.

use crate::line::Line;
use crate::running::Running;
use crate::{Outcome, http, tools};
use serde_json::Value;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

const FOLDER: &str = "target/smoke";
const CLIENTS: u32 = 300;
/// Ten seconds of events, a second before them included.
const RATE: u32 = 100;
const TIME: &str = "9s";
const TOPICS: &str = "smoke:even smoke:odd";
const RESULT: &str = "result.json";
/// The step `report` opens it in a browser.
const REPORT: &str = "report.html";
/// For the server to start or end, and for the clients to connect or be done.
const LIMIT: Duration = Duration::from_secs(30);

/// Starts the server, loads it, scrapes it, ends it.
///
/// # Errors
/// When the server does not start, a client misses an event, or promtool finds fault with the metrics.
pub(crate) fn run() -> Outcome {
    let folder = Path::new(FOLDER);
    std::fs::create_dir_all(folder).map_err(|error| format!("{FOLDER}: {error}"))?;
    let ports_file = folder.join("ports.json");
    // A file of an earlier run would be taken for this one's.
    let _ = std::fs::remove_file(&ports_file);
    let listen = "--ws 127.0.0.1:0 --http 127.0.0.1:0 --metrics 127.0.0.1:0 --publish loopback";
    let server = Line::new(&format!("target/release/lineage serve {listen} --ports-file"));
    let server = server.arg(ports_file.display().to_string());
    println!("$ {server}");
    let log = folder.join("server.log");
    let mut running = Running::start(&server, &log)?;
    let outcome = load(&mut running, &ports_file).and_then(|()| running.terminate(LIMIT));
    outcome.map_err(|why| format!("{why}; the server's output is in {}", log.display()))
}

fn load(running: &mut Running, ports_file: &Path) -> Outcome {
    let mut ports = None;
    running.wait_until(LIMIT, || {
        let text = std::fs::read_to_string(ports_file).ok();
        ports = text.and_then(|text| serde_json::from_str(&text).ok());
        ports.is_some()
    })?;
    let ports: Value = ports.ok_or("the ports file was not written")?;
    let [ws, http, metrics] = ["ws", "http", "metrics"].map(|listener| address(&ports, listener));
    let (ws, http, metrics) = (ws?, http?, metrics?);
    let client = format!("target/release/loadtest --url ws://{ws}/v1 --quiet --checksum");
    let publish = format!("--publish-url http://{http}/v1/publish --rate {RATE} --duration {TIME}");
    let files = format!("--out {FOLDER}/{RESULT} --html {FOLDER}/{REPORT}");
    let client =
        Line::new(&format!("{client} --subscribe {TOPICS} --clients {CLIENTS} {publish} {files}"));
    println!("$ {client}");
    let folder = Path::new(FOLDER);
    // Files of an earlier run would be taken for this one's.
    for file in [RESULT, REPORT] {
        let _ = std::fs::remove_file(folder.join(file));
    }
    let log = folder.join("loadtest.log");
    let mut clients = Running::start(&client, &log)?;
    let status = clients.wait(LIMIT)?;
    print!("{}", std::fs::read_to_string(&log).unwrap_or_default());
    if !status.success() {
        return Err(format!("the load test ended with {status}"));
    }
    let result = std::fs::read_to_string(folder.join(RESULT)).map_err(|error| error.to_string())?;
    let result: Value = serde_json::from_str(&result).map_err(|error| error.to_string())?;
    check(&http::get(&metrics, "/metrics")?, &result["events"])
}

fn check(metrics: &str, events: &Value) -> Outcome {
    let deliveries = sum(metrics, "lineage_deliveries_total");
    let gaps = sum(metrics, "lineage_gaps_total");
    println!("the server counts {deliveries} deliveries and {gaps} gaps");
    let expected = events["published"].as_f64().unwrap_or_default() * f64::from(CLIENTS);
    if gaps > 0.0 || expected == 0.0 || deliveries < expected {
        return Err(format!("{expected} deliveries (more than 0) and no gap were expected"));
    }
    check_format(metrics)
}

fn address(ports: &Value, listener: &str) -> Outcome<String> {
    let address = ports.get(listener).and_then(Value::as_str).map(str::to_owned);
    address.ok_or_else(|| format!("the ports file names no `{listener}`: {ports}"))
}

/// The sum of a metric's series.
fn sum(text: &str, name: &str) -> f64 {
    let series = text.lines().filter_map(|line| line.strip_prefix(name));
    let series = series.filter(|rest| rest.starts_with(['{', ' ']));
    series.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

fn check_format(text: &str) -> Outcome {
    let line = Line::new(&tools::promtool()?.display().to_string()).arg("check").arg("metrics");
    println!("$ {line} (of {} lines)", text.lines().count());
    let child = line.command().stdin(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| format!("cannot run `{line}`: {error}"))?;
    let written = child.stdin.take().map(|mut input| input.write_all(text.as_bytes()));
    let status = child.wait().map_err(|error| format!("`{line}`: {error}"))?;
    let is_fine = status.success() && matches!(written, Some(Ok(())));
    is_fine.then_some(()).ok_or_else(|| format!("promtool finds fault with /metrics ({status})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE a_total counter\na_total{shard=\"0\"} 2\na_total{shard=\"1\"} 3\na_total_b 9\nb 4.5\n";

    #[test]
    fn a_metric_is_summed_over_its_series() {
        for (name, value) in [("a_total", 5.0), ("b", 4.5), ("none", 0.0)] {
            assert!((sum(TEXT, name) - value).abs() < 1e-9, "{name}");
        }
    }

    #[test]
    fn missing_deliveries_and_gaps_are_found() {
        let text = |deliveries: u32, gaps: u32| {
            format!("lineage_deliveries_total {deliveries}\nlineage_gaps_total {gaps}\n")
        };
        let five = serde_json::json!({"published": 5});
        assert!(check(&text(CLIENTS * 5 - 1, 0), &five).is_err());
        assert!(check(&text(CLIENTS * 5, 1), &five).is_err());
        assert!(check(&text(0, 0), &serde_json::json!({"published": 0})).is_err());
    }
}

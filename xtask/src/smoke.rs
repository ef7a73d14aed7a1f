//! The released server under a few hundred clients for ten seconds: every client gets every event, in order; the
//! metrics are such that a Prometheus accepts them; SIGTERM ends it cleanly.

use crate::line::Line;
use crate::running::Running;
use crate::{Outcome, http, tools};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

const FOLDER: &str = "target/smoke";
const CLIENTS: u32 = 300;
/// Ten seconds of events: batches, pause after each, events in each.
const BATCHES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);
const BATCH_EVENTS: u32 = 10;
const EVENTS: u32 = BATCHES * BATCH_EVENTS;
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
    let client = format!("target/release/loadtest --url ws://{ws}/v1 --subscribe smoke:*");
    let client =
        Line::new(&format!("{client} --clients {CLIENTS} --expect-each {EVENTS} --duration 60s"));
    println!("$ {client}");
    let report = Path::new(FOLDER).join("loadtest.log");
    let mut clients = Running::start(&client, &report)?;
    clients.wait_until(LIMIT, || {
        http::get(&metrics, "/metrics")
            .is_ok_and(|text| sum(&text, "lineage_subscribed_connections") >= f64::from(CLIENTS))
    })?;
    for batch in 0..BATCHES {
        publish(&http, batch)?;
        std::thread::sleep(PAUSE);
    }
    let status = clients.wait(LIMIT)?;
    print!("{}", std::fs::read_to_string(&report).unwrap_or_default());
    if !status.success() {
        return Err(format!("the load test ended with {status}"));
    }
    check(&http::get(&metrics, "/metrics")?)
}

/// Publishes one batch over HTTP, to two topics in turn.
fn publish(address: &str, batch: u32) -> Outcome {
    let mut lines = String::new();
    for at in 0..BATCH_EVENTS {
        let number = batch * BATCH_EVENTS + at;
        let topic = if number.is_multiple_of(2) { "smoke:even" } else { "smoke:odd" };
        let _ = writeln!(lines, r#"{{"topic":"{topic}","payload":{{"number":{number}}}}}"#);
    }
    let answer = http::post(address, "/v1/publish", &lines)?;
    let answer: Value =
        serde_json::from_str(&answer).map_err(|error| format!("{answer}: {error}"))?;
    let is_whole = answer["accepted"] == BATCH_EVENTS;
    is_whole.then_some(()).ok_or_else(|| format!("a batch was not taken whole: {answer}"))
}

fn check(metrics: &str) -> Outcome {
    let deliveries = sum(metrics, "lineage_deliveries_total");
    let gaps = sum(metrics, "lineage_gaps_total");
    println!("the server counts {deliveries} deliveries and {gaps} gaps");
    if gaps > 0.0 || deliveries < f64::from(CLIENTS * EVENTS) {
        return Err(format!("{} deliveries and no gap were expected", CLIENTS * EVENTS));
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
        assert!(check(&text(CLIENTS * EVENTS - 1, 0)).is_err());
        assert!(check(&text(CLIENTS * EVENTS, 1)).is_err());
    }
}

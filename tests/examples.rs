//! The examples, run as they stand. Goal: each does what its first lines promise, with real traffic and without a warning.
//! Method: the binaries that `cargo test` builds beside this one, on free ports, read through their own output.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise, its helpers too")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use tokio_tungstenite::tungstenite::{Message, connect};

/// An example at work; ended with its test.
struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
    name: &'static str,
}

impl Running {
    fn start(name: &'static str, arguments: &[&str]) -> Self {
        let mut command = Command::new(binary(name));
        for (variable, _) in std::env::vars().filter(|(it, _)| it.starts_with("LINEAGE_")) {
            command.env_remove(variable);
        }
        for listener in ["WS", "HTTP", "METRICS"] {
            command.env(format!("LINEAGE_{listener}"), "127.0.0.1:0");
        }
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines, name }
    }

    /// Reads on until a line holds `part`.
    fn line_with(&mut self, part: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).unwrap();
            assert!(read > 0, "{} ended without {part:?}", self.name);
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The URL in the first line with this scheme.
    fn url(&mut self, scheme: &str) -> String {
        let line = self.line_with(scheme);
        let words = line.split_whitespace();
        let url = words.map(|word| word.trim_end_matches(';')).find(|it| it.starts_with(scheme));
        url.unwrap().to_owned()
    }

    /// Ends it; it has not said anything that a user would have to worry about.
    fn end(mut self) {
        self.child.kill().unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said, "", "{} on stderr", self.name);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has been ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // `target/debug/deps/examples-…` and `target/debug/examples/NAME`.
    let path = test.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    assert!(path.is_file(), "{} is not built: cargo build --examples", path.display());
    path
}

fn get(url: &str) -> String {
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer
}

#[test]
fn s29_ws_broadcast_sends_prices_and_agents_to_whoever_connects() {
    let mut server = Running::start("ws_broadcast", &[]);
    let url = server.url("ws://");
    let (mut socket, _) = connect(&url).unwrap();
    let mut missing = vec![r#"{"type":"market","#, r#"{"type":"agent","#];
    while !missing.is_empty() {
        if let Message::Text(text) = socket.read().unwrap() {
            missing.retain(|start| !text.starts_with(start));
        }
    }
    server.line_with("1 connected");
    server.end();
}

#[test]
fn s29_ws_client_prints_a_table_of_what_ws_broadcast_v2_sends_and_its_metrics_count_it() {
    let mut server = Running::start("ws_broadcast_v2", &[]);
    let (url, metrics) = (server.url("ws://"), server.url("http://"));
    assert!(url.ends_with("/v1"), "{url}");
    let mut client = Running::start("ws_client", &[&url, "market:*", "agent:*"]);
    client.line_with("TOPIC");
    let price = client.line_with("market:BTC-USD");
    assert!(price.contains("BTC-USD at $4"), "{price}");
    let agent = client.line_with("agent:momentum");
    assert!(agent.contains("⚡ Momentum") && agent.contains(" trades, "), "{agent}");
    let text = get(&metrics);
    for name in
        ["lineage_build_info{", "lineage_deliveries_total", "lineage_messages_broadcast_total"]
    {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} in\n{text}");
    }
    client.end();
    server.end();
}

#[test]
fn s29_ws_client_says_that_it_tries_again_when_nobody_listens() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut client = Running::start("ws_client", &[&format!("ws://127.0.0.1:{port}/v1")]);
    client.line_with("trying again in");
    client.end();
}

#[test]
fn s29_metrics_server_v2_serves_the_agents_of_the_embedding_program() {
    let mut server = Running::start("metrics_server_v2", &[]);
    let url = server.url("http://");
    server.line_with("🌾 Harvester: $");
    let text = get(&url);
    for series in [
        "lineage_agent_capital{agent=\"🔭 Scout\"} ",
        "lineage_agent_trades_total{agent=\"🌾 Harvester\"} 1",
        "lineage_agent_win_rate{agent=\"🔭 Scout\"} ",
        "lineage_agent_scars_total{agent=\"🔭 Scout\"} ",
    ] {
        assert!(text.contains(series), "{series} in\n{text}");
    }
    server.end();
}

#[test]
fn s15_an_agent_of_ones_own_takes_part_in_the_arena() {
    let mut server = Running::start("strategy", &[]);
    let mut client = Running::start("ws_client", &[&server.url("ws://"), "agent:ceiling"]);
    let state = client.line_with("agent:ceiling ");
    assert!(state.contains("🏛️ Ceiling") && state.contains("$50000.00"), "{state}");
    client.end();
    server.end();
}

#[test]
fn s15_the_readme_shows_the_example_as_it_stands_in_30_lines() {
    let file = |name: &str| {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
    };
    let example = file("examples/strategy.rs");
    let shown = example.split_once("// README begins\n").unwrap().1;
    let shown = shown.split_once("// README ends\n").unwrap().0;
    assert!(shown.lines().count() <= 30, "{} lines", shown.lines().count());
    let readme = file("README.md");
    assert!(readme.contains(&format!("```rust\n{shown}```\n")), "README.md shows other code");
}

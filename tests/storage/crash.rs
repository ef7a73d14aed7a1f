//! The built program, killed while it stores.

use super::support::{Folder, get, value, wait_until};
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Rows of the queue and of a batch.
const WAITING_MAX: u64 = 50 + 3;

/// `lineage serve` with the arena and a store, which does not outlive its test.
struct Server {
    child: Child,
    metrics: SocketAddr,
}

impl Server {
    fn start(file: &Path) -> Self {
        let ports_file = file.with_extension("ports");
        let _ = std::fs::remove_file(&ports_file);
        let mut command = Command::new(env!("CARGO_BIN_EXE_lineage"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LINEAGE_")) {
            command.env_remove(name);
        }
        let child = command
            .args(["serve", "--ws", "0", "--http", "off", "--metrics", "0", "--seed", "7"])
            .args(["--store-batch-rows", "3", "--store-batch-wait", "60s"])
            .args(["--store-queue-rows", "50", "--store-path"])
            .arg(file)
            .arg("--ports-file")
            .arg(&ports_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ports = String::new();
        wait_until("the ports file", || {
            ports = std::fs::read_to_string(&ports_file).unwrap_or_default();
            !ports.is_empty()
        });
        let ports: serde_json::Value = serde_json::from_str(&ports).unwrap();
        Self { child, metrics: ports["metrics"].as_str().unwrap().parse().unwrap() }
    }

    /// Rows that it says are in the file.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    fn stored(&self) -> u64 {
        let scrape = get(self.metrics, "/metrics");
        let rows = value(&scrape, "lineage_store_rows_total{result=\"stored\"}").unwrap();
        rows as u64
    }

    /// Ends it by this signal; what it has logged.
    fn end(mut self, signal: &str) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), (signal == "TERM").then_some(0), "{log}");
        log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Rows of all tables, in a file that is whole.
fn rows(file: &Path) -> u64 {
    let connection = rusqlite::Connection::open(file).unwrap();
    let ask = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(ask("PRAGMA integrity_check"), "ok");
    let counted = ["candles", "alerts", "trades", "agents", "rounds"]
        .map(|table| ask(&format!("SELECT CAST(count(*) AS TEXT) FROM {table}")));
    counted.iter().map(|count| count.parse::<u64>().unwrap()).sum()
}

/// The numbers of a line: `run R of the store has no end: S rows are stored, M … missing, A at most …`.
fn told(log: &str) -> Option<[u64; 4]> {
    let line = log.lines().find(|line| line.contains("of the store has no end"))?;
    let (_, text) = line.split_once("run ")?;
    let numbers: Vec<u64> = text.split(' ').filter_map(|word| word.parse().ok()).collect();
    numbers.get(..4)?.try_into().ok()
}

#[test]
fn s62_a_server_that_is_killed_while_it_stores_loses_the_tail_and_says_how_much() {
    let folder = Folder::new();
    let file = folder.file();
    let server = Server::start(&file);
    let mut said = 0;
    wait_until("rows in the file", || {
        said = server.stored();
        said >= 3
    });
    let log = server.end("KILL");
    assert_eq!(told(&log), None, "the first run of a file follows no other: {log}");
    let stored = rows(&file);
    assert!(stored >= said, "{said} were said to be stored, and {stored} are there");

    // The next run tells of it, and ends as it should.
    let log = Server::start(&file).end("TERM");
    let [run, told_stored, missing, missing_max] = told(&log).unwrap_or_else(|| panic!("{log}"));
    assert_eq!((run, told_stored), (1, stored), "{log}");
    assert!(missing <= missing_max && missing_max == WAITING_MAX, "{log}");
    assert!(rows(&file) > stored, "what waits at an orderly end is stored");

    let log = Server::start(&file).end("TERM");
    assert_eq!(told(&log), None, "the run before had an end: {log}");
}

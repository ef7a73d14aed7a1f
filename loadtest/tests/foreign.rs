//! A server of other people: node's `ws`, from npm. Loss, order and latency are measured there as well.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use support::{Run, run};

/// The folder with the server and its dependency, installed once.
fn installed() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("foreign");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign");
        fs::create_dir_all(&folder).unwrap();
        for file in ["package.json", "ws-broadcast.mjs"] {
            fs::copy(source.join(file), folder.join(file)).unwrap();
        }
        let npm = ["install", "--no-audit", "--no-fund", "--no-package-lock"];
        let status = Command::new("npm").args(npm).current_dir(&folder).status();
        let status = status.expect("npm is needed: `cargo xtask test --only tools` installs it");
        assert!(status.success(), "npm install ended with {status}");
        folder
    })
}

/// A running server; ends with this.
struct Foreign(Child);

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the load tester says of a server that drops an event once so many clients are there (0: none).
fn judged(clients: u64, words: &str) -> Run {
    let server = Command::new("node")
        .args(["ws-broadcast.mjs", "500", &clients.to_string()])
        .current_dir(installed())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut server =
        Foreign(server.expect("node is needed: `cargo xtask test --only tools` installs it"));
    let mut port = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
    run(&format!(
        "--preset raw --url ws://127.0.0.1:{}/ -c 50 -z 2s --drain 2s {words}",
        port.trim()
    ))
}

#[test]
fn a_foreign_server_gets_loss_order_and_latency_too() {
    let run = judged(0, "--time-field ts --sent-field sent --seq-field seq");
    assert_eq!(run.code, 0, "{}", run.out);
    let events = &run.result.events;
    assert_eq!((events.lost, events.duplicated, events.reordered), (0, 0, 0));
    assert!(events.delivered > 50 * 100, "{}", run.out);
    let latency = run.result.latency_us.unwrap();
    assert_eq!(latency.scheduled.unwrap().count, run.result.detail.counts.measured);
    assert!(latency.actual.unwrap().p50 <= latency.scheduled.unwrap().p50 + 1_000);
}

#[test]
fn one_event_that_a_foreign_server_drops_is_found_and_named() {
    let run = judged(50, "--seq-field seq --topic-field topic");
    assert_eq!((run.code, run.result.events.lost), (99, 50), "{}", run.out);
    assert!(run.tells(&["client ", "news", "did not come"]), "{}", run.out);
}

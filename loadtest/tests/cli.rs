//! The program from outside: what it prints, what it writes, and the exit code by which scripts judge it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use support::server;

fn loadtest(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_good_run_prints_a_table_and_one_json_line_and_writes_the_same_to_a_file() {
    let address = server(|_, mut peer| {
        peer.subscribed(7);
        peer.events(&[8, 9]);
        peer.until_gone();
    });
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("loadtest-report.json");
    let url = format!("ws://{address}/v1");
    let run = loadtest(&[
        "--url",
        &url,
        "--subscribe",
        "t:a",
        "--clients",
        "3",
        "--expect-each",
        "2",
        "--json",
        "--out",
        file.to_str().unwrap(),
    ]);
    let out = text(&run.stdout);
    assert_eq!(run.status.code(), Some(0), "{out}{}", text(&run.stderr));
    assert!(out.starts_with("clients     3 asked, 3 connected, 0 failed, 0 closed\n"), "{out}");
    let line = out.lines().last().unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(line).unwrap()["events"]["delivered"], 6);
    assert_eq!(std::fs::read_to_string(file).unwrap().trim_end(), line);
}

#[test]
fn a_failed_check_is_99_and_a_server_that_is_not_there_69() {
    let lossy = server(|_, mut peer| {
        peer.subscribed(7);
        peer.events(&[9]);
        peer.until_gone();
    });
    let url = format!("ws://{lossy}/v1");
    let run = loadtest(&["--url", &url, "--subscribe", "t:a", "--expect-each", "1"]);
    assert_eq!(run.status.code(), Some(99), "{}", text(&run.stdout));
    assert!(
        text(&run.stdout).contains("fault       client 0: t:a 8..8 did not come"),
        "{}",
        text(&run.stdout)
    );

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let run = loadtest(&["--url", &format!("ws://{free}/"), "-c", "2"]);
    assert_eq!(run.status.code(), Some(69), "{}", text(&run.stdout));
    assert!(text(&run.stdout).contains("refused"), "{}", text(&run.stdout));
}

#[test]
fn wrong_arguments_are_2_with_the_reason_on_stderr() {
    for (arguments, reason) in [
        (&["--url", "http://127.0.0.1:1/"][..], "not a ws:// URL"),
        (&["-c", "many"], "not a count"),
        (&["-z", "5"], "not a duration"),
        (&["--url", "ws://127.0.0.1:1/v1"], "--subscribe"),
        (&["--no-such-option"], "--no-such-option"),
    ] {
        let run = loadtest(arguments);
        assert_eq!(
            (run.status.code(), text(&run.stdout)),
            (Some(2), String::new()),
            "{arguments:?}"
        );
        assert!(text(&run.stderr).contains(reason), "{}", text(&run.stderr));
    }
}

//! The program from outside: what it prints, what it writes, and the exit code by which scripts judge it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::{loadtest, run, server, v1};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A file of this test, not there yet.
fn file(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_file(&path);
    path
}

/// A server whose clients get these seqs after 7.
fn serving(seqs: &'static [u64]) -> std::net::SocketAddr {
    server(move |_, mut peer| {
        peer.subscribed(7);
        peer.events(seqs);
        peer.until_gone();
    })
}

#[test]
fn a_good_run_prints_one_screen_and_one_json_line_and_writes_what_was_asked_for() {
    let address = serving(&[8, 9]);
    let [out, csv, hgrm, hlog, html] =
        ["good.json", "good.csv", "good.hgrm", "good.hlog", "good.html"].map(file);
    let files = format!(
        "--out {} --csv {} --hgrm {} --hlog {} --html {} --svg {}",
        out.display(),
        csv.display(),
        hgrm.display(),
        hlog.display(),
        html.display(),
        env!("CARGO_TARGET_TMPDIR")
    );
    let run = run(&v1(address, &format!("-c 3 --expect-each 2 {files}")));
    assert_eq!((run.code, run.result.events.delivered), (0, 6), "{}", run.out);
    let lines: Vec<&str> = run.out.lines().collect();
    assert!(lines[0].contains(&format!("ws://{address}/v1")), "{}", run.out);
    assert_eq!(lines[lines.len() - 2], "result  ok", "{}", run.out);
    assert!(lines.len() < 50, "{} lines", lines.len());
    assert_eq!(std::fs::read_to_string(out).unwrap().trim_end(), *lines.last().unwrap());
    for (path, part) in [(csv, "at_s,"), (hgrm, "1/(1-Percentile)"), (hlog, "#"), (html, "<html")] {
        assert!(std::fs::read_to_string(&path).unwrap().contains(part), "{}", path.display());
    }
    for picture in ["latency.svg", "seconds.svg"] {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(picture);
        assert!(std::fs::read_to_string(path).unwrap().starts_with("<svg"));
    }
}

#[test]
fn the_exit_code_says_what_the_expressions_say() {
    for (expressions, code) in [
        (&[][..], 0),
        (&["lost>0"], 0),
        (&["lost>=0"], 99),
        (&["delivered<4"], 0),
        (&["delivered<5"], 99),
        (&["lost>0", "closed>0", "delivered!=4"], 0),
        (&["lost>0", "connect.p99>0us"], 99),
        (&["lost>50%"], 0),
        (&["p99.99<1s"], 99),
    ] {
        let url = format!("ws://{}/v1", serving(&[8, 9]));
        let mut words = vec!["--url", &url, "--subscribe", "t:a", "-c", "2", "--expect-each", "2"];
        words.push("--quiet");
        expressions.iter().for_each(|expression| words.extend(["--fail-if", expression]));
        let run = loadtest(&words);
        assert_eq!(run.status.code(), Some(code), "{expressions:?}\n{}", text(&run.stdout));
    }
}

#[test]
fn a_failed_check_is_99_and_a_server_that_is_not_there_69() {
    let lossy = run(&v1(serving(&[9]), "--expect-each 1"));
    assert_eq!(lossy.code, 99, "{}", lossy.out);
    assert!(lossy.out.contains("fault   client 0: t:a 8..8 did not come"), "{}", lossy.out);

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = run(&format!("--url ws://{free}/ -c 2"));
    assert_eq!(nobody.code, 69, "{}", nobody.out);
    assert!(nobody.out.contains("connection refused"), "{}", nobody.out);
    let publisher = loadtest(&[
        "--url",
        &format!("ws://{}/v1", serving(&[])),
        "--subscribe",
        "t:a",
        "--rate",
        "1",
        "--publish-url",
        &format!("http://{free}/v1/publish"),
    ]);
    assert_eq!(publisher.status.code(), Some(69));
    assert!(text(&publisher.stderr).contains(&free.to_string()), "{}", text(&publisher.stderr));
}

#[test]
fn wrong_arguments_are_2_with_the_reason_on_stderr() {
    for (arguments, reason) in [
        (&["--url", "http://127.0.0.1:1/"][..], "not a ws:// URL"),
        (&["-c", "many"], "not a count"),
        (&["-z", "5"], "not a time"),
        (&["--url", "ws://127.0.0.1:1/v1"], "--subscribe"),
        (&["--no-such-option"], "--no-such-option"),
        (&["no-such-scenario"], "first-look"),
        (&["--subscribe", "a", "--fail-if", "p98>5ms"], "p98"),
        (&["--subscribe", "a", "--fail-if", "p99>+10%"], "--baseline"),
        (&["--subscribe", "a", "--slow", "all"], "64KiB"),
        (&["--subscribe", "a", "--shape", "burst:0", "-q", "1"], "burst"),
        (&["--subscribe", "a:*", "--rate", "1"], "--topic"),
        (&["--subscribe", "{x}"], "{i%32}"),
        (&["--subscribe", "a", "-c", "10", "--stall", "100%"], "strictly"),
        (&["serve"], "--features engine"),
    ] {
        let run = loadtest(arguments);
        let code = run.status.code();
        assert_eq!((code, text(&run.stdout)), (Some(2), String::new()), "{arguments:?}");
        assert!(text(&run.stderr).contains(reason), "{arguments:?}: {}", text(&run.stderr));
    }
}

#[test]
fn a_bad_file_is_78_and_named() {
    let (bad, other) = (file("bad.toml"), file("other.json"));
    std::fs::write(&bad, "about = \"x\"\n[settings]\nclinets = 3\n").unwrap();
    std::fs::write(&other, "{\"schema\": \"other/9\"}").unwrap();
    let (bad, other) = (bad.to_str().unwrap(), other.to_str().unwrap());
    for (arguments, reason) in [
        (&[bad][..], "clinets"),
        (&["missing.toml"], "missing.toml"),
        (&["--subscribe", "a", "--baseline", other], "other/9"),
        (&["merge", other], "other/9"),
        (&["merge", "missing.json"], "missing.json"),
    ] {
        let run = loadtest(arguments);
        assert_eq!(run.status.code(), Some(78), "{arguments:?}: {}", text(&run.stderr));
        assert!(text(&run.stderr).contains(reason), "{arguments:?}: {}", text(&run.stderr));
    }
}

#[test]
fn results_are_compared_and_merged() {
    let paths = ["one.json", "two.json"].map(file);
    for path in &paths {
        let words = format!("-c 2 --expect-each 2 --out {}", path.display());
        assert_eq!(run(&v1(serving(&[8, 9]), &words)).code, 0);
    }
    let [one, two] = paths.each_ref().map(|path| path.to_str().unwrap());
    let words = format!("-c 2 --expect-each 2 --baseline {one} --fail-if delivered<+0%");
    let compared = run(&v1(serving(&[8, 9]), &words));
    assert_eq!(compared.code, 0, "{}", compared.out);
    assert!(compared.out.contains("against the baseline"), "{}", compared.out);
    let merged = file("merged.json");
    let run = loadtest(&["merge", one, two, "--out", merged.to_str().unwrap()]);
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let merged: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(merged).unwrap()).unwrap();
    assert_eq!(
        (&merged["events"]["delivered"], &merged["clients"]["connected"]),
        (&8.into(), &4.into())
    );
}

#[test]
fn several_processes_count_as_one() {
    let split = run(&v1(serving(&[8, 9]), "-c 5 --workers 3 --expect-each 2"));
    assert_eq!(split.code, 0, "{}", split.out);
    assert_eq!((split.result.events.delivered, split.result.generator.workers), (10, 3));
    let lossy = run(&v1(serving(&[9]), "-c 5 --workers 2 --expect-each 1"));
    assert_eq!((lossy.code, lossy.result.events.lost), (99, 5), "{}", lossy.out);
}

#[test]
fn the_first_interrupt_ends_the_measurement_with_a_report() {
    let subscribed = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&subscribed);
    let address = server(move |_, mut peer| {
        peer.subscribed(7);
        peer.events(&[8, 9]);
        seen.fetch_add(1, Ordering::Relaxed);
        peer.until_gone();
    });
    let url = format!("ws://{address}/v1");
    let out = file("interrupted.json");
    let child = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["--url", &url, "--subscribe", "t:a", "-c", "2", "-z", "1h", "--quiet", "--out"])
        .arg(&out)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Its handlers stand before it connects.
    let pid = child.id().to_string();
    while subscribed.load(Ordering::Relaxed) < 2 {
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("interrupted"), "{}", text(&output.stdout));
    let result: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(out).unwrap()).unwrap();
    assert_eq!(result["verdict"]["interrupted"], true);
}

#[test]
fn the_help_is_a_lesson() {
    let long = text(&loadtest(&["--help"]).stdout);
    for part in [
        "first-look",
        "scheduled",
        "--fail-if",
        "p99.99",
        "Exit code",
        "judged",
        "64KiB",
        "--resume",
    ] {
        assert!(long.contains(part), "{part}\n{long}");
    }
    let names = text(&loadtest(&["scenarios"]).stdout);
    assert!(names.contains("10k-firehose") && names.contains("lineage serve"), "{names}");
}

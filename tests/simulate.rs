//! `lineage simulate` as its users meet it. Goal: the same seed prints the same bytes, and the hash is that of the
//! events it prints. Method: the binary's output is read back line by line and hashed again.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise, its helpers too")]

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

fn lineage(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lineage"));
    command.arg("simulate").args(words).stdin(Stdio::null());
    command
}

fn output(words: &[&str]) -> Output {
    let output = lineage(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    output
}

fn printed(words: &[&str]) -> String {
    String::from_utf8(output(words).stdout).unwrap()
}

/// What is printed of an event, as far as the hash needs it.
#[derive(serde::Deserialize)]
struct Line<'a> {
    topic: String,
    seq: u64,
    pos: u64,
    us: u64,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[test]
fn the_hash_is_that_of_topic_seq_us_and_payload_of_the_events_it_prints() {
    let asked = ["--seed", "7", "--events", "3000", "--flow-per-s", "3"];
    let text = printed(&asked);
    let (mut hash, mut seqs, mut last_us) = (Sha256::new(), HashMap::new(), 0);
    for (text, pos) in text.lines().zip(1..) {
        let line: Line<'_> = serde_json::from_str(text).unwrap();
        let seq = seqs.entry(line.topic.clone()).or_insert(0);
        *seq += 1;
        assert_eq!((line.seq, line.pos), (*seq, pos), "{text}");
        assert!(line.us >= last_us, "time goes back: {text}");
        last_us = line.us;
        let (topic, payload) = (&line.topic, line.payload.get());
        hash.update(format!("{topic} {seq} {} {payload}\n", line.us));
    }
    assert_eq!(text.lines().count(), 3_000);
    assert!(text.contains(r#""us":1767225600000000,"#), "from the start of 2026 on");
    assert!(seqs.keys().any(|topic| topic.starts_with("sim:trade:")), "{:?}", seqs.keys());
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let words = [&asked[..], &["--hash"]].concat();
    assert_eq!(printed(&words), format!("{digest}\n"));
}

#[test]
fn the_same_seed_prints_the_same_hash_in_every_run_and_another_seed_another() {
    let hash = |seed| printed(&["--seed", seed, "--events", "20000", "--hash"]);
    assert_eq!(hash("7"), hash("7"));
    assert_ne!(hash("7"), hash("8"));
    assert_eq!(hash("7").trim_end().len(), 64);
    assert_ne!(hash("7"), printed(&["--seed", "7", "--events", "19999", "--hash"]));
}

#[test]
fn as_many_events_as_were_asked_for_are_printed_and_without_events_nothing() {
    for events in [0, 1, 2, 1_001] {
        let text = printed(&["--events", &events.to_string()]);
        assert_eq!(text.lines().count(), events);
    }
    // The SHA-256 of nothing.
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";
    assert_eq!(printed(&["--events", "0", "--hash"]), empty);
}

#[test]
fn a_reader_that_has_enough_ends_it_without_an_error() {
    let mut child = lineage(&["--events", "1000000"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with(r#"{"type":"market","topic":"market:BTC-USD","seq":1,"pos":1,"#));
    assert!(child.wait().unwrap().success());
}

#[test]
fn help_teaches_what_is_printed_and_what_is_hashed() {
    let help = printed(&["--help"]);
    for part in ["Examples:", "2026-01-01T00:00:00Z", "SHA-256", "topic seq us payload", "--seed"] {
        assert!(help.contains(part), "{part} in\n{help}");
    }
}

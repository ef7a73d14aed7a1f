//! The judge is judged: a server that follows a script sends good and bad streams, and each must be called what it is.
//!
//! No test waits for time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use loadtest::options::Options;
use loadtest::report::{self, Outcome};
use loadtest::run::run;
use support::{UPGRADE, event, frame, options, server};

/// One client, until it has that many events: ack 7, then these events.
fn judged(seqs: &'static [u64]) -> Outcome {
    let address = server(move |_, mut peer| {
        peer.subscribed(7);
        peer.events(seqs);
        peer.until_gone();
    });
    run(&Options { expect_each: Some(seqs.len() as u64), ..options(address, 1) }).unwrap()
}

/// Lost, duplicated, reordered.
fn faults(outcome: &Outcome) -> [u64; 3] {
    [outcome.verdict.lost, outcome.verdict.duplicated, outcome.verdict.reordered]
}

#[test]
fn a_clean_stream_passes_at_every_client() {
    let address = server(|number, mut peer| {
        peer.subscribed(number as u64);
        let seqs: Vec<u64> = (1..=500).map(|n| n + number as u64).collect();
        peer.events(&seqs);
        peer.until_gone();
    });
    let outcome = run(&Options {
        expect_each: Some(500),
        expect_events: Some(10_000),
        ..options(address, 20)
    })
    .unwrap();
    assert_eq!(outcome.exit_code(), report::OK, "{}", report::table(&outcome));
    assert_eq!((outcome.clients.connected, outcome.delivered), (20, 10_000));
    assert_eq!((outcome.min_per_client, outcome.max_per_client), (500, 500));
    assert!(outcome.bytes > 10_000 * 80 && outcome.reads >= 20);
    assert_eq!(outcome.connect_us.len(), 20);
}

#[test]
fn loss_duplicates_and_reordering_are_caught_and_named() {
    for (seqs, expected, word) in [
        (&[8, 9, 11][..], [1, 0, 0], "10..10 did not come"),
        (&[9], [1, 0, 0], "8..8 did not come"),
        (&[8, 9, 9, 10], [0, 1, 0], "9 came again"),
        (&[8, 10, 9, 11], [0, 0, 1], "9 came after 10"),
    ] {
        let outcome = judged(seqs);
        assert_eq!(faults(&outcome), expected, "{seqs:?}");
        assert_eq!(outcome.exit_code(), report::CHECK_FAILED);
        let told = outcome.verdict.faults.join("\n");
        assert!(told.contains("client 0: t:a") && told.contains(word), "{told}");
    }
}

#[test]
fn an_announced_gap_passes_and_is_counted_apart() {
    let address = server(|_, mut peer| {
        peer.subscribed(7);
        peer.events(&[8]);
        peer.text(r#"{"type":"gap","topic":"t:a","payload":{"from":9,"to":20,"reason":"slow","action":"resume"},"timestamp":1}"#);
        peer.events(&[21, 22]);
        peer.until_gone();
    });
    let outcome = run(&Options { expect_each: Some(3), ..options(address, 1) }).unwrap();
    assert_eq!(outcome.exit_code(), report::OK, "{}", report::table(&outcome));
    assert_eq!((outcome.verdict.announced_gaps, outcome.verdict.gap_events), (1, 12));
}

#[test]
fn frames_in_single_bytes_and_messages_in_fragments_are_put_together() {
    let address = server(|_, mut peer| {
        peer.subscribed(7);
        for byte in frame(0x81, event(8).as_bytes()) {
            peer.send(&[byte]);
        }
        let text = event(9);
        let (first, rest) = text.as_bytes().split_at(20);
        let (second, third) = rest.split_at(0);
        peer.send(&frame(0x01, first));
        peer.send(&frame(0x89, b"between"));
        assert_eq!(peer.frame(), (0x8a, b"between".to_vec()), "a ping is answered at once");
        peer.send(&frame(0x00, second));
        peer.send(&frame(0x80, third));
        peer.events(&[10]);
        peer.until_gone();
    });
    let outcome = run(&Options { expect_each: Some(3), ..options(address, 1) }).unwrap();
    assert_eq!(outcome.exit_code(), report::OK, "{}", report::table(&outcome));
}

#[test]
fn a_large_frame_behind_small_ones_arrives_whole() {
    let address = server(|_, mut peer| {
        peer.subscribed(7);
        let large = event(9).replace(r#""x":"9""#, &format!(r#""x":"{}""#, "y".repeat(60_000)));
        let frames = [frame(0x81, event(8).as_bytes()), frame(0x81, large.as_bytes())].concat();
        for piece in frames.chunks(1_009) {
            peer.send(piece);
        }
        peer.events(&[10]);
        peer.until_gone();
    });
    let outcome = run(&Options { expect_each: Some(3), ..options(address, 2) }).unwrap();
    assert_eq!(outcome.exit_code(), report::OK, "{}", report::table(&outcome));
    assert_eq!(outcome.delivered, 6);
}

#[test]
fn elsewhere_than_on_v1_messages_are_only_counted() {
    let address = server(|_, mut peer| {
        peer.upgrade(UPGRADE);
        for _ in 0..3 {
            peer.text(r#"{"agent":"⚡","status":"active"}"#);
        }
        peer.send(&frame(0x82, b"\x00\x01"));
        peer.until_gone();
    });
    let plain = Options { path: "/".to_owned(), topics: Vec::new(), ..options(address, 5) };
    let outcome = run(&Options { expect_each: Some(4), ..plain }).unwrap();
    assert_eq!(
        (outcome.exit_code(), outcome.delivered),
        (report::OK, 20),
        "{}",
        report::table(&outcome)
    );
}

#[test]
fn too_few_events_fail_the_check_when_the_time_is_over() {
    let address = server(|_, mut peer| {
        peer.subscribed(7);
        peer.events(&[8, 9]);
        peer.until_gone();
    });
    let short = Options { duration: Duration::from_millis(200), ..options(address, 2) };
    let each = run(&Options { expect_each: Some(3), ..short.clone() }).unwrap();
    assert_eq!(each.exit_code(), report::CHECK_FAILED);
    assert!(each.unmet[0].contains("2 of 2 clients did not get 3"), "{:?}", each.unmet);
    let all = run(&Options { expect_events: Some(5), ..short.clone() }).unwrap();
    assert!(all.unmet[0].contains("4 events arrived, 5 were expected"), "{:?}", all.unmet);
    let enough = run(&Options { expect_events: Some(4), ..short }).unwrap();
    assert_eq!(enough.exit_code(), report::OK, "{}", report::table(&enough));
}

#[test]
fn the_json_line_holds_what_the_table_says() {
    let outcome = judged(&[8, 10]);
    let value: serde_json::Value = serde_json::from_str(&report::json(&outcome)).unwrap();
    assert_eq!(value["clients"]["connected"], 1);
    assert_eq!(value["events"]["lost"], 1);
    assert_eq!(value["exit_code"], 99);
    assert!(!report::json(&outcome).contains('\n'));
    assert!(report::table(&outcome).contains("1 lost"));
}

//! The judge is judged: a server that follows a script sends good and bad streams, and each must be called what it is.
//!
//! No test waits for time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{Run, UPGRADE, event, frame, run, server, v1};

/// One client, until it has that many events: ack 7, then these events.
fn judged(seqs: &'static [u64]) -> Run {
    let address = server(move |_, mut peer| {
        peer.subscribed(7);
        peer.events(seqs);
        peer.until_gone();
    });
    run(&v1(address, &format!("--expect-each {}", seqs.len())))
}

#[test]
fn a_clean_stream_passes_at_every_client() {
    let address = server(|_, mut peer| {
        peer.subscribed(0);
        let seqs: Vec<u64> = (1..=500).collect();
        peer.events(&seqs);
        peer.until_gone();
    });
    let outcome = run(&v1(address, "-c 20 --expect-each 500 --expect-events 10k"));
    assert_eq!(outcome.code, 0, "{}", outcome.out);
    let result = &outcome.result;
    assert_eq!((result.clients.connected, result.events.delivered), (20, 10_000));
    assert_eq!((result.events.expected, result.connect_us.count), (10_000, 20));
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
        assert_eq!(outcome.faults(), expected, "{seqs:?}");
        assert_eq!(outcome.code, 99, "{}", outcome.out);
        assert!(outcome.tells(&["client 0: t:a", word]), "{}", outcome.out);
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
    let outcome = run(&v1(address, "-c 1 --expect-each 3"));
    assert_eq!(outcome.code, 0, "{}", outcome.out);
    let events = &outcome.result.events;
    assert_eq!((events.announced_gaps, events.gap_events), (1, 12));
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
    let outcome = run(&v1(address, "-c 1 --expect-each 3"));
    assert_eq!(outcome.code, 0, "{}", outcome.out);
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
    let outcome = run(&v1(address, "-c 2 --expect-each 3"));
    assert_eq!(outcome.code, 0, "{}", outcome.out);
    assert_eq!(outcome.result.events.delivered, 6);
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
    let outcome = run(&format!("--url ws://{address}/ -c 5 --expect-each 4 -z 20s"));
    assert_eq!((outcome.code, outcome.result.events.delivered), (0, 20), "{}", outcome.out);
}

#[test]
fn too_few_events_fail_the_check_when_the_time_is_over() {
    let address = server(|_, mut peer| {
        peer.subscribed(7);
        peer.events(&[8, 9]);
        peer.until_gone();
    });
    let short = v1(address, "-c 2 -z 200ms");
    let each = run(&format!("{short} --expect-each 3"));
    assert_eq!(each.code, 99);
    assert!(each.out.contains("not every client got the 3 events"), "{}", each.out);
    let all = run(&format!("{short} --expect-events 5"));
    assert!(all.out.contains("4 events of 5 expected"), "{}", all.out);
    let enough = run(&format!("{short} --expect-events 4"));
    assert_eq!(enough.code, 0, "{}", enough.out);
}

//! Connections that fail, are refused, break the protocol, are closed, or never read: each is counted as what it is.
//!
//! The server follows a script; no test waits for time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Barrier;
use std::time::Duration;

use loadtest::options::Options;
use loadtest::report;
use loadtest::run::run;
use support::{UPGRADE, event, frame, options, server};

#[test]
fn what_a_server_must_not_send_fails_the_check() {
    for (bytes, word) in [
        (&[0x81, 0x80][..], "masked"),
        (&[0x80, 0x00], "continuation of nothing"),
        (&[0x01, 0x00, 0x81, 0x00], "inside a fragmented one"),
        (b"\x81\x02{}", "not a v1 message"),
    ] {
        let address = server(move |_, mut peer| {
            peer.subscribed(7);
            peer.send(bytes);
            peer.send(&frame(0x88, &1000_u16.to_be_bytes()));
            peer.until_gone();
        });
        let outcome = run(&options(address, 1)).unwrap();
        assert_eq!((outcome.exit_code(), outcome.breaches), (report::CHECK_FAILED, 1), "{word}");
        assert!(outcome.verdict.faults[0].contains(word), "{:?}", outcome.verdict.faults);
    }
}

#[test]
fn a_client_that_the_server_closes_is_counted_by_code_and_fails_the_check() {
    let address = server(|number, mut peer| {
        peer.subscribed(7);
        peer.events(&[8]);
        if number == 0 {
            peer.send(&frame(0x88, &[&4008_u16.to_be_bytes()[..], b"slow"].concat()));
            assert_eq!(
                peer.frame(),
                (0x88, 4008_u16.to_be_bytes().to_vec()),
                "a close is answered"
            );
        }
    });
    let outcome = run(&options(address, 2)).unwrap();
    assert_eq!(outcome.exit_code(), report::CHECK_FAILED);
    let codes: Vec<(u16, usize)> = outcome.clients.close_codes.clone().into_iter().collect();
    assert_eq!((outcome.clients.closed, codes), (2, vec![(1006, 1), (4008, 1)]));
}

#[test]
fn nobody_there_and_nobody_let_in_is_told_from_a_failed_check() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = run(&options(free, 3)).unwrap();
    assert_eq!((refused.exit_code(), refused.clients.failed), (report::CANNOT_CONNECT, 3));

    let full = server(|number, mut peer| match number {
        0 => {
            peer.subscribed(7);
            peer.events(&[8]);
            peer.until_gone();
        }
        _ => peer.upgrade("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n"),
    });
    let brief = Options { duration: Duration::from_millis(50), ..options(full, 4) };
    let partly = run(&brief).unwrap();
    assert_eq!((partly.clients.connected, partly.clients.failed), (1, 3));
    assert_eq!(partly.exit_code(), report::CANNOT_CONNECT, "{}", report::table(&partly));
    assert!(partly.verdict.faults[0].contains("503"), "{:?}", partly.verdict.faults);
}

#[test]
fn a_refused_subscription_is_a_client_that_did_not_connect() {
    for answer in [
        r#"{"type":"ack","id":1,"payload":{"topics":[],"rejected":[{"topic":"t:a","code":"bad_topic"}]},"timestamp":1}"#,
        r#"{"type":"error","id":1,"payload":{"code":"bad_topic"},"timestamp":1}"#,
    ] {
        let address = server(move |_, mut peer| {
            peer.upgrade(UPGRADE);
            let (head, subscribe) = peer.frame();
            assert_eq!(
                (head, &subscribe[..]),
                (0x81, &br#"{"id":1,"op":"subscribe","topics":["t:a"]}"#[..])
            );
            peer.text(answer);
            peer.until_gone();
        });
        let outcome = run(&options(address, 1)).unwrap();
        assert_eq!((outcome.exit_code(), outcome.clients.failed), (report::CANNOT_CONNECT, 1));
        assert!(outcome.verdict.faults[0].contains("bad_topic"), "{:?}", outcome.verdict.faults);
    }
}

#[test]
fn stalled_clients_never_read_and_are_judged_apart() {
    // The last client to connect is the stalled one. It is reset when its socket is full, and only then do the others
    // get the event with which the run ends.
    let is_reset = Barrier::new(3);
    let address = server(move |number, mut peer| {
        peer.subscribed(7);
        if number < 2 {
            peer.events(&[8]);
            is_reset.wait();
            peer.events(&[9]);
            peer.until_gone();
        } else {
            peer.stream.set_nonblocking(true).unwrap();
            let event = frame(0x81, event(8).as_bytes());
            while peer.stream.write_all(&event).is_ok() {}
            socket2::SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).unwrap();
            drop(peer);
            is_reset.wait();
        }
    });
    let outcome = run(&Options { stalled: 1, expect_each: Some(2), ..options(address, 2) });
    let outcome = outcome.unwrap();
    assert_eq!(outcome.exit_code(), report::OK, "{}", report::table(&outcome));
    assert_eq!((outcome.clients.connected, outcome.clients.closed, outcome.delivered), (2, 0, 4));
    assert_eq!((outcome.stalled.connected, outcome.stalled.closed), (1, 1));
}

#[test]
fn connections_start_no_faster_than_the_rate_asked_for() {
    let address = server(|_, mut peer| {
        peer.subscribed(7);
        peer.events(&[8]);
        peer.until_gone();
    });
    let begun = std::time::Instant::now();
    let outcome =
        run(&Options { connect_rate: Some(50), expect_each: Some(1), ..options(address, 6) })
            .unwrap();
    assert_eq!(outcome.clients.connected, 6);
    assert!(
        begun.elapsed() >= Duration::from_millis(100),
        "the sixth starts 5/50 s after the first"
    );
}

//! Connections that fail, are refused, break the protocol, are closed, or never read: each is counted as what it is.
//!
//! The server follows a script; no test waits for time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Barrier;
use std::time::Duration;

use support::{UPGRADE, event, frame, run, server, v1};

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
        let outcome = run(&v1(address, ""));
        assert_eq!((outcome.code, outcome.result.events.breaches), (99, 1), "{word}");
        assert!(outcome.tells(&["client 0", word]), "{}", outcome.out);
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
    let outcome = run(&v1(address, "-c 2"));
    assert_eq!(outcome.code, 99, "{}", outcome.out);
    let clients = &outcome.result.clients.strict;
    let codes: Vec<(u16, u64)> = clients.close_codes.clone().into_iter().collect();
    assert_eq!((clients.closed, codes), (2, vec![(1006, 1), (4008, 1)]));
}

#[test]
fn nobody_there_and_nobody_let_in_is_told_from_a_failed_check() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = run(&v1(free, "-c 3"));
    assert_eq!((refused.code, refused.result.clients.failed), (69, 3), "{}", refused.out);
    assert_eq!(refused.result.clients.strict.failure_reasons["connection refused"], 3);

    let full = server(|number, mut peer| match number {
        0 => {
            peer.subscribed(7);
            peer.events(&[8]);
            peer.until_gone();
        }
        _ => peer.upgrade("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n"),
    });
    let partly = run(&v1(full, "-c 4 -z 50ms"));
    let clients = &partly.result.clients;
    assert_eq!((clients.connected, clients.failed), (1, 3));
    assert_eq!(partly.code, 69, "{}", partly.out);
    assert!(partly.tells(&["503"]), "{}", partly.out);
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
        let outcome = run(&v1(address, ""));
        assert_eq!((outcome.code, outcome.result.clients.failed), (69, 1), "{}", outcome.out);
        assert!(outcome.tells(&["client 0", "bad_topic"]), "{}", outcome.out);
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
    let outcome = run(&v1(address, "-c 3 --stall 1 --expect-each 2"));
    assert_eq!(outcome.code, 0, "{}", outcome.out);
    let clients = &outcome.result.clients;
    assert_eq!((clients.strict.connected, clients.strict.closed), (2, 0));
    assert_eq!((clients.faulty["stall"].connected, clients.faulty["stall"].closed), (1, 1));
    assert_eq!(outcome.result.events.delivered, 4);
}

#[test]
fn connections_start_no_faster_than_the_rate_asked_for() {
    let address = server(|_, mut peer| {
        peer.subscribed(7);
        peer.events(&[8]);
        peer.until_gone();
    });
    let begun = std::time::Instant::now();
    let outcome = run(&v1(address, "-c 6 --connect-rate 50 --expect-each 1"));
    assert_eq!(outcome.result.clients.connected, 6);
    assert!(
        begun.elapsed() >= Duration::from_millis(100),
        "the sixth starts 5/50 s after the first"
    );
}

//! How connections end: each breach of RFC 6455 has its code, concerns one client alone, and ends without a reset.
//!
//! Method: bytes that no client library would send; a healthy client beside them stays served.

use super::client::{BINARY, CLOSE, Client, Next, TEXT, masked};
use super::support::{config, start};
use lineage::config::Config;
use std::net::Shutdown;

const LIMIT: usize = 2_048;

/// A text frame that is not final, or a continuation.
fn fragment(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = masked(TEXT, payload);
    frame[0] = first;
    frame
}

fn unmasked(mut frame: Vec<u8>) -> Vec<u8> {
    frame[1] &= 0x7f;
    frame.drain(2..6);
    frame
}

#[test]
fn s06_each_breach_closes_that_client_alone_with_its_code() {
    let limits =
        Config { message_bytes_max: LIMIT, v1_message_bytes_max: LIMIT, shards: 1, ..config() };
    let engine = start(limits);
    let ws = engine.addresses().ws;
    let mut healthy = Client::open(ws, "/");
    let with_first = |first: u8| fragment(first, b"x");
    let cases: [(&str, Vec<u8>, u16); 13] = [
        ("not masked", unmasked(masked(TEXT, b"x")), 1002),
        ("first reserved bit", with_first(0xc1), 1002),
        ("second reserved bit", with_first(0xa1), 1002),
        ("third reserved bit", with_first(0x91), 1002),
        ("reserved opcode", with_first(0x83), 1002),
        ("reserved control opcode", with_first(0x8b), 1002),
        ("fragmented ping", with_first(0x09), 1002),
        ("ping of 126 bytes", masked(0x9, &[b'x'; 126]), 1002),
        ("continuation of nothing", with_first(0x80), 1002),
        ("text within a fragmented one", [with_first(0x01), with_first(0x81)].concat(), 1002),
        ("not UTF-8", masked(TEXT, &[0xc3, 0x28]), 1007),
        ("UTF-8 cut off", [with_first(0x01), fragment(0x80, &[0xf0, 0x9f])].concat(), 1007),
        ("close of one byte", masked(CLOSE, b"x"), 1002),
    ];
    for path in ["/", "/v1"] {
        for (what, bytes, expected) in &cases {
            let mut client = Client::open(ws, path);
            client.raw(bytes);
            let (code, reason) = client.closed();
            assert_eq!(code, *expected, "{what} on {path}: {reason}");
            assert_eq!(client.next(), Next::End, "{what} on {path} ends without a reset");
            healthy.assert_served();
        }
    }
}

#[test]
fn s06_a_message_over_the_limit_closes_with_1009() {
    let engine =
        start(Config { message_bytes_max: LIMIT, v1_message_bytes_max: LIMIT, ..config() });
    for opcode in [TEXT, BINARY] {
        for is_fragmented in [false, true] {
            for (bytes, is_closed) in [(LIMIT - 1, false), (LIMIT, false), (LIMIT + 1, true)] {
                let mut client = Client::open(engine.addresses().ws, "/");
                let payload = vec![b'x'; bytes];
                if is_fragmented {
                    let (head, tail) = payload.split_at(bytes / 2);
                    client.raw(&[fragment(opcode, head), fragment(0x80, tail)].concat());
                } else {
                    client.raw(&masked(opcode, &payload));
                }
                if !is_closed {
                    client.assert_served();
                    continue;
                }
                let (code, reason) = client.closed();
                assert!(code == 1009 && reason.starts_with("too_big"), "{code} {reason}");
                // What was still under way is read, so that no reset overtakes the close frame.
                client.raw(&[b'x'; 64 * 1024]);
                assert_eq!(client.next(), Next::End);
            }
        }
    }
}

#[test]
fn a_close_is_echoed_with_its_code_and_then_the_end_without_a_reset() {
    let engine = start(config());
    for path in ["/", "/v1"] {
        for (payload, code) in [(&b""[..], 0), (b"\x03\xe8", 1000), (b"\x10\xe1mine", 4321)] {
            let mut client = Client::open(engine.addresses().ws, path);
            client.raw(&masked(CLOSE, payload));
            assert_eq!(client.closed().0, code, "{path}");
            assert_eq!(client.next(), Next::End, "{path}");
        }
    }
    super::support::wait_until("nobody is connected", || engine.clients() == 0);
}

#[test]
fn a_client_that_only_ends_its_side_is_let_go_without_a_reset() {
    let engine = start(config());
    for path in ["/", "/v1"] {
        let mut client = Client::open(engine.addresses().ws, path);
        client.assert_served();
        client.stream.shutdown(Shutdown::Write).expect("a socket");
        assert_eq!(client.next(), Next::End, "{path}");
    }
    super::support::wait_until("nobody is connected", || engine.clients() == 0);
}

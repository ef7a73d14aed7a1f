//! What v1 clients are refused, and what closes their connection.
//!
//! Method: a table of mistakes with their answers; each limit just below, at and above it.

use super::client::{BINARY, Client, masked};
use super::support::{config, start};
use lineage::config::Config;
use serde_json::json;

fn open(config: Config) -> (lineage::Engine, Client) {
    let engine = start(config);
    let mut client = Client::open(engine.addresses().ws, "/v1");
    client.message();
    (engine, client)
}

#[test]
fn mistakes_are_answered_with_their_code_and_the_connection_goes_on() {
    let (_engine, mut client) = open(config());
    for (request, code) in [
        (r#"{"op":"subscribe","id":1}"#, "bad_request"),
        (r#"{"op":"subscribe","id":1,"topics":[]}"#, "bad_request"),
        (r#"{"op":"subscribe","id":1,"topics":["a"],"mode":"some"}"#, "bad_request"),
        (r#"{"op":"subscribe","id":1,"topics":["a"],"mode":"latest","max_hz":3}"#, "bad_request"),
        (r#"{"op":"subscribe","id":1,"topics":["a"],"from":"x.1"}"#, "bad_request"),
        (r#"{"op":"auth","id":1}"#, "bad_request"),
        (r#"{"op":"dance","id":1}"#, "unknown_op"),
        (r#"{"op":"publish","id":1,"topic":"a","payload":1}"#, "publishing_disabled"),
        (r#"{"op":"publish","id":1,"topic":"a b","payload":1}"#, "bad_topic"),
        (r#"{"op":"publish","id":1,"topic":"a:gap","payload":1}"#, "reserved"),
    ] {
        client.text(request);
        let answer = client.json();
        let expected = (&json!("error"), &json!(1), &json!(code));
        let found = (&answer["type"], &answer["id"], &answer["payload"]["code"]);
        assert_eq!(found, expected, "{request}: {answer}");
    }
    client.text(r#"{"op":"subscribe","topics":["x y","a:welcome","a"]}"#);
    let ack = client.json();
    assert_eq!(ack["payload"]["topics"], json!([{"topic": "a", "seq": 0}]));
    let rejected = json!([
        {"topic": "x y", "code": "bad_topic"}, {"topic": "a:welcome", "code": "reserved"}]);
    assert_eq!(ack["payload"]["rejected"], rejected);
    client.text(r#"{"op":"ping","id":4,"t":123}"#);
    let pong = client.json();
    assert_eq!(pong["payload"], json!({"t": 123, "head": 0, "lag": 0}), "{pong}");
}

#[test]
fn the_third_bad_message_in_a_row_closes_with_4011() {
    let (engine, mut client) = open(config());
    let bad = [masked(0x1, b"hello"), masked(BINARY, b"{}"), masked(0x1, b"[1]")];
    let expect_error = |client: &mut Client, bytes: &[u8]| {
        client.raw(bytes);
        let answer = client.json();
        assert_eq!(answer["payload"]["code"], "bad_message", "{answer}");
    };
    for _ in 0..3 {
        expect_error(&mut client, &bad[0]);
        expect_error(&mut client, &bad[1]);
        // A good one in between starts the count anew.
        client.text(r#"{"op":"ping"}"#);
        assert_eq!(client.json()["type"], "pong");
    }
    bad.iter().for_each(|bytes| expect_error(&mut client, bytes));
    let (code, reason) = client.closed();
    assert!(code == 4011 && reason.starts_with("bad_message"), "{code} {reason}");
    drop(client);
    let mut other = Client::open(engine.addresses().ws, "/v1");
    assert_eq!(other.json()["type"], "welcome");
}

#[test]
fn the_hundredth_message_in_a_row_over_the_rate_closes_with_1008() {
    for (dropped, is_closed) in [(99, false), (100, true)] {
        // In one write: they are all there within the second in which no further message is allowed.
        let (_engine, mut client) = open(Config { control_rate: 1, control_burst: 3, ..config() });
        let ping = masked(0x1, br#"{"op":"ping","id":1}"#);
        client.raw(&ping.repeat(3 + dropped));
        for _ in 0..3 {
            assert_eq!(client.json()["type"], "pong");
        }
        for n in 0..dropped {
            let answer = client.json();
            assert_eq!(answer["payload"]["code"], "rate_limited", "{n}: {answer}");
            assert_eq!(answer["payload"]["retryable"], true);
        }
        if is_closed {
            let (code, reason) = client.closed();
            assert!(code == 1008 && reason.starts_with("policy"), "{code} {reason}");
        } else {
            client.assert_served();
        }
    }
}

#[test]
fn a_v1_message_at_its_limit_is_read_and_a_longer_one_is_answered_too_big() {
    let (_engine, mut client) = open(Config { v1_message_bytes_max: 1_024, ..config() });
    let ping = |bytes: usize| format!("{:<bytes$}", r#"{"op":"ping"}"#);
    for bytes in [1_023, 1_024, 1_025] {
        client.text(&ping(bytes));
        let answer = client.json();
        match bytes {
            1_025 => assert_eq!(answer["payload"]["code"], "too_big", "{answer}"),
            _ => assert_eq!(answer["type"], "pong", "{answer}"),
        }
    }
}

#[test]
fn patterns_beyond_the_limit_of_a_connection_are_rejected_by_name() {
    let (_engine, mut client) = open(Config { topics_per_connection_max: 3, ..config() });
    client.subscribe(&["a", "b"]);
    assert_eq!(client.json()["payload"]["topics"].as_array().map(Vec::len), Some(2));
    client.subscribe(&["a", "c", "d"]);
    let ack = client.json();
    assert_eq!(ack["payload"]["topics"].as_array().map(Vec::len), Some(2), "{ack}");
    let rejected = json!([{"topic": "d", "code": "too_many_topics"}]);
    assert_eq!(ack["payload"]["rejected"], rejected);
    client.text(r#"{"op":"unsubscribe","topics":["a"]}"#);
    client.message();
    client.subscribe(&["d"]);
    assert_eq!(client.json()["payload"]["topics"], json!([{"topic": "d", "seq": 0}]));
}

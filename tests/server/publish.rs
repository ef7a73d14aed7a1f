//! `POST /v1/publish` through a socket: what is accepted arrives everywhere, in order, once.
//!
//! Method: chunked bodies whose chunks end anywhere; subscribers hold every message against the promise of order.

use super::client::Client;
use super::order::{Order, payload};
use super::support::{config, http, post, start};
use lineage::config::Config;
use lineage::http::PublishAccess;
use serde_json::json;
use std::time::Duration;

fn open() -> Config {
    // Subscribers that are kept waiting by a busy machine are waited for.
    let patience = Duration::from_secs(30);
    Config { publish: PublishAccess::Loopback, publish_pace_patience: patience, ..config() }
}

/// Cuts a body into chunks of rising sizes.
fn chunks(body: &[u8]) -> Vec<Vec<u8>> {
    let (mut rest, mut size, mut chunks) = (body, 1, Vec::new());
    while !rest.is_empty() {
        let (chunk, left) = rest.split_at(size.min(rest.len()));
        chunks.push(chunk.to_vec());
        (rest, size) = (left, size * 3 % 16_381 + 1);
    }
    chunks
}

#[test]
fn twenty_thousand_events_reach_twenty_subscribers_in_order_without_a_gap() {
    const EVENTS: u64 = 20_000;
    const TOPICS: u64 = 3;
    let engine = start(open());
    let readers: Vec<_> = (0..20)
        .map(|_| {
            let (mut client, ack) = Client::subscribed(engine.addresses().ws, &["desk:*"]);
            std::thread::spawn(move || {
                let mut order = Order::after(&ack);
                for n in 0..EVENTS {
                    let text = client.message();
                    order.take(text);
                    let n_text = payload(text).strip_prefix("{\"n\":").expect("its start");
                    let found: u64 = n_text.split(',').next().expect("n").parse().expect("n");
                    assert_eq!(found, n);
                }
                (order.events, order.gaps)
            })
        })
        .collect();
    let body: String = (0..EVENTS)
        .map(|n| {
            let topic = n % TOPICS;
            let filler = "y".repeat(usize::try_from(n % 50).expect("small"));
            format!("{{\"topic\":\"desk:{topic}\",\"payload\":{{\"n\":{n},\"f\":\"{filler}\"}}}}\n")
        })
        .collect();
    let answer = post(http(&engine), chunks(body.as_bytes()));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json(), json!({"accepted": EVENTS, "rejected": [], "pos": EVENTS}));
    for reader in readers {
        assert_eq!(reader.join().expect("no panic"), (EVENTS, vec![]));
    }
}

#[test]
fn lines_that_are_no_events_are_named_and_harm_no_other() {
    let engine = start(Config { event_bytes_max: 1_024, ..open() });
    let (mut reader, ack) = Client::subscribed(engine.addresses().ws, &["*"]);
    let text_of = |bytes: usize| format!("\"{}\"", "z".repeat(bytes - 2));
    let [below, limit, above] = [1_023, 1_024, 1_025].map(text_of);
    let good = [" { \"a\" : [1.0, \"\\u0041\"] } ".trim(), "null", &below, &limit];
    let body = [
        format!("{{\"topic\":\"a\",\"payload\":{}}}", good[0]),
        "{\"topic\":\"a\",\"payload\":".to_owned(),
        String::new(),
        "{\"payload\":null,\"class\":\"event\",\"topic\":\"b\",\"more\":[]}\r".to_owned(),
        "{\"topic\":\"a b\",\"payload\":1}".to_owned(),
        "{\"topic\":\"a\"}".to_owned(),
        "{\"topic\":\"b\",\"payload\":1,\"class\":\"state\"}".to_owned(),
        format!("{{\"topic\":\"a\",\"payload\":{below}}}"),
        format!("{{\"topic\":\"a\",\"payload\":{limit}}}"),
        format!("{{\"topic\":\"a\",\"payload\":{above}}}"),
        "{\"topic\":\"a:snapshot\",\"payload\":1}".to_owned(),
        "{\"topic\":\"a\",\"payload\":\"last, without a line end\"}".to_owned(),
    ]
    .join("\n");
    let answer = post(http(&engine), chunks(body.as_bytes()));
    let line = |number: u64, code: &str| json!({"line": number, "code": code});
    let rejected = [
        line(2, "bad_json"),
        line(5, "bad_topic"),
        line(6, "missing_payload"),
        line(7, "class_conflict"),
        line(10, "too_large"),
        line(11, "reserved_topic"),
    ];
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({"accepted": 5, "rejected": rejected, "pos": 5}));
    let mut order = Order::after(&ack);
    for expected in good.into_iter().chain(["\"last, without a line end\""]) {
        let text = reader.message();
        order.take(text);
        assert_eq!(payload(text), expected);
    }
    assert_eq!((order.last("a"), order.last("b")), (4, 1));
}

#[test]
fn publishing_is_off_unless_it_was_turned_on() {
    let line = || [b"{\"topic\":\"a\",\"payload\":1}\n".to_vec()];
    let engine = start(config());
    let answer = post(http(&engine), line());
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(answer.body.contains("--publish"), "says what would help: {answer:?}");
    assert_eq!(post(engine.addresses().ws, line()).status, 404, "there is one door");
    let engine = start(Config { publish: PublishAccess::Token("open sesame".into()), ..config() });
    assert_eq!(post(http(&engine), line()).status, 401);
    // Nothing of it is in the stream.
    let (_, ack) = Client::subscribed(engine.addresses().ws, &["a"]);
    assert_eq!(ack["topics"], json!([{"topic": "a", "seq": 0}]));
}

#[test]
fn a_subscriber_that_stands_still_delays_a_long_body_but_does_not_stop_it() {
    let limits = Config { publish_pace_patience: Duration::from_millis(20), ..open() };
    let engine = start(Config { lag_bytes_max: 16 * 1024, send_buffer_bytes: 4_096, ..limits });
    let stream = super::slow::narrow(engine.addresses().ws);
    let mut stuck = Client::upgrade(stream, "/v1").expect("101");
    stuck.message();
    stuck.subscribe(&["a"]);
    stuck.message();
    let line = format!("{{\"topic\":\"a\",\"payload\":\"{}\"}}\n", "x".repeat(500));
    let answer = post(http(&engine), (0..4_000).map(|_| line.clone().into_bytes()));
    assert_eq!((answer.status, &answer.json()["accepted"]), (200, &json!(4_000)));
    assert_eq!(answer.json()["pos"], 4_000);
}

//! Faults of one part that the others must not feel: a payload that panics, peers that vanish, more clients than places.
//!
//! Method: the fault is made on purpose, and then everybody else is asked.

use super::client::{Client, Next, TEXT, masked};
use super::order::{Order, payload};
use super::support::{config, external, http, publisher, start, topic, wait_until};
use lineage::config::Config;
use lineage::event::{Body, Class, Event, Payload, Typed};
use lineage::telemetry::EngineCounter;
use serde_json::json;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// Writes a number, or fails in the middle of it.
#[derive(Debug)]
struct Number {
    value: u64,
    fails: bool,
}

impl Payload for Number {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"n\":");
        assert!(!self.fails, "a payload that fails on purpose");
        out.extend_from_slice(format!("{}}}", self.value).as_bytes());
    }
}

#[test]
fn an_event_whose_payload_panics_is_skipped_and_counted_and_leaves_no_hole() {
    let engine = start(config());
    let typed = topic(&engine, "typed", Class::Event);
    let (mut client, ack) = Client::subscribed(engine.addresses().ws, &["typed"]);
    let mut order = Order::after(&ack);
    let mut publisher = publisher(&engine);
    for value in 1..=600 {
        let number = Number { value, fails: value == 300 || value == 301 };
        let body = Body::Typed(Typed(Arc::new(number)));
        let time_us = engine.clock().now_us();
        publisher.publish(Event { topic: typed, key: 0, time_us, body }).expect("room");
    }
    for value in (1..=600).filter(|value| !(300..=301).contains(value)) {
        let text = client.message();
        assert_eq!(payload(text), format!("{{\"n\":{value}}}"));
        order.take(text);
    }
    assert_eq!(order.last("typed"), 598, "seqs are without a hole");
    let telemetry = engine.telemetry();
    assert_eq!(telemetry.value(EngineCounter::EncodeFailures), 2);
    wait_until("the batch is booked", || telemetry.value(EngineCounter::Events) == 598);
    client.text(r#"{"op":"ping"}"#);
    assert_eq!(client.json()["payload"]["head"], json!(598), "positions neither");
    assert!(engine.is_healthy());
}

/// Nobody is pinged: only what a peer does itself can end its connection.
fn unasked() -> Config {
    let hour = Duration::from_secs(3_600);
    Config { ping_interval: hour, silence_max: 2 * hour, ..config() }
}

#[test]
fn s06_a_peer_that_says_something_and_ends_at_once_is_gone_at_once() {
    let engine = start(unasked());
    let message = masked(TEXT, &[b'x'; 1_000]);
    // One read, many reads, and none at all, each followed by the end without a close frame.
    for messages in [1, 2, 64, 65, 200, 0] {
        for path in ["/", "/v1"] {
            let client = Client::open(engine.addresses().ws, path);
            let bytes = message.repeat(messages);
            // A v1 client that talks that much is closed meanwhile, and then its bytes find no reader.
            let _ = (&client.stream).write_all(&bytes);
            drop(client);
        }
        wait_until("they are gone", || engine.clients() == 0);
    }
}

#[test]
fn peers_that_vanish_in_mid_frame_leave_the_others_whole() {
    let engine = start(unasked());
    let ws = engine.addresses().ws;
    let (mut reader, ack) = Client::subscribed(ws, &["t"]);
    let mut order = Order::after(&ack);
    let mut publisher = publisher(&engine);
    let t = topic(&engine, "t", Class::Event);
    let halves: [&[u8]; 4] = [
        &[0x81],
        &[0x81, 0xfe, 0x10],
        &[0x81, 0x85, 0, 0, 0, 0, b'h'],
        &[0x01, 0x81, 0, 0, 0, 0, b'x'],
    ];
    for n in 0..200_usize {
        let (mut client, _) = Client::subscribed(ws, &["t", "*"]);
        client.raw(halves[n % halves.len()]);
        publisher.publish(external(t, "1")).expect("room");
        if n % 2 == 0 {
            let linger = socket2::SockRef::from(&client.stream).set_linger(Some(Duration::ZERO));
            linger.expect("a socket");
        }
        drop(client);
        order.take(reader.message());
    }
    wait_until("they are gone", || engine.clients() == 1);
    publisher.publish(external(t, "1")).expect("room");
    order.take(reader.message());
    assert_eq!((order.last("t"), order.gaps.len()), (201, 0));
}

#[test]
fn a_client_over_the_limit_gets_503_and_a_place_when_one_is_free() {
    let engine = start(Config { connections_max: Some(4), ..config() });
    let ws = engine.addresses().ws;
    let mut clients: Vec<Client> = (0..4).map(|_| Client::open(ws, "/")).collect();
    clients.iter_mut().for_each(Client::assert_served);
    for path in ["/", "/v1"] {
        let stream = TcpStream::connect(ws).expect("the listener is open");
        assert_eq!(Client::upgrade(stream, path).err(), Some(503));
    }
    let stream = TcpStream::connect(http(&engine)).expect("the listener is open");
    assert_eq!(Client::upgrade(stream, "/v1").err(), Some(503), "the limit is that of all");
    drop(clients.pop());
    wait_until("another is served", || {
        let stream = TcpStream::connect(ws).expect("the listener is open");
        Client::upgrade(stream, "/").map(|client| clients.push(client)).is_ok()
    });
    clients.iter_mut().for_each(Client::assert_served);
    let stream = TcpStream::connect(ws).expect("the listener is open");
    assert_eq!(Client::upgrade(stream, "/").err(), Some(503));
}

#[test]
fn a_dropped_engine_ends_every_connection_and_frees_its_ports() {
    let engine = start(config());
    let ws = engine.addresses().ws;
    let mut clients = [Client::open(ws, "/"), Client::open(ws, "/v1")];
    clients.iter_mut().for_each(Client::assert_served);
    drop(engine);
    for client in &mut clients {
        while let Next::Frame(..) = client.next() {}
    }
    assert!(TcpStream::connect(ws).is_err());
    drop(clients);
    drop(start(Config { ws, ..config() }));
}

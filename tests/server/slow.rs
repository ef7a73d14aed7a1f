//! Clients that read too slowly or not at all: others lose nothing, and what they themselves lose is named.
//!
//! Method: sockets with small buffers that nobody reads until the engine has shown what it did about them.

use super::client::{Client, Next};
use super::order::Order;
use super::support::{config, external, publisher, start, topic, wait_for_events, wait_until};
use lineage::config::Config;
use lineage::event::Class;
use lineage::telemetry::ShardCounter;
use socket2::{Domain, Socket, Type};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A connection that holds little when it is not read.
pub(crate) fn narrow(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor");
    socket.set_recv_buffer_size(4_096).expect("a socket");
    socket.connect(&address.into()).expect("the listener is open");
    socket.into()
}

pub(crate) fn narrow_subscriber(address: SocketAddr, topics: &[&str]) -> (Client, Order) {
    let mut client = Client::upgrade(narrow(address), "/v1").expect("101");
    client.message();
    client.subscribe(topics);
    let ack = client.json();
    (client, Order::after(&ack["payload"]))
}

#[test]
fn a_client_that_never_reads_is_evicted_and_twenty_others_lose_nothing() {
    const EVENTS: u64 = 1_000;
    let limits = Config {
        write_stall_max: Duration::from_secs(2),
        lag_age_max: Duration::from_secs(60),
        lag_bytes_max: 1 << 30,
        send_buffer_bytes: 16 * 1024,
        ..config()
    };
    let engine = start(limits);
    let ws = engine.addresses().ws;
    let readers: Vec<_> = (0..20)
        .map(|_| {
            let (mut client, ack) = Client::subscribed(ws, &["bulk"]);
            std::thread::spawn(move || {
                let mut order = Order::after(&ack);
                while order.last("bulk") <= EVENTS {
                    order.take(client.message());
                }
                (order.events, order.gaps)
            })
        })
        .collect();
    let (mut stuck, _) = narrow_subscriber(ws, &["bulk"]);
    let mut publisher = publisher(&engine);
    let bulk = topic(&engine, "bulk", Class::Event);
    let payload = format!("\"{}\"", "x".repeat(2_000));
    for _ in 0..EVENTS {
        publisher.publish(external(bulk, &payload)).expect("room");
    }
    let telemetry = engine.telemetry();
    wait_until("the eviction", || telemetry.sum(ShardCounter::EvictedStalled) == 1);
    wait_until("it is gone", || engine.clients() == 20);
    // The stream goes on for the others.
    publisher.publish(external(bulk, "\"last\"")).expect("room");
    for reader in readers {
        assert_eq!(reader.join().expect("no panic"), (EVENTS + 1, vec![]));
    }
    while let Next::Frame(..) = stuck.next() {}
    assert_eq!(telemetry.sum(ShardCounter::EvictedStalled), 1);
}

#[test]
fn past_the_lag_budget_each_topic_gets_one_exact_gap_and_state_topics_their_newest_value() {
    let limits = Config {
        lag_bytes_max: 64 * 1024,
        lag_age_max: Duration::from_secs(600),
        write_stall_max: Duration::from_secs(600),
        send_buffer_bytes: 8 * 1024,
        shards: 1,
        ..config()
    };
    let engine = start(limits);
    let (mut slow, mut order) = narrow_subscriber(engine.addresses().ws, &["quote", "trade"]);
    let state = topic(&engine, "quote", Class::State);
    let event = topic(&engine, "trade", Class::Event);
    let mut publisher = publisher(&engine);
    let payload = |n: u64| format!("{{\"n\":{n},\"x\":\"{}\"}}", "x".repeat(500));
    let mut publish = |range: std::ops::RangeInclusive<u64>| {
        for n in range {
            publisher.publish(external(state, &payload(n))).expect("room");
            publisher.publish(external(event, &payload(n))).expect("room");
        }
    };
    publish(1..=2_000);
    wait_for_events(&engine, 4_000);
    wait_until("the gap", || engine.telemetry().sum(ShardCounter::GapEvents) > 0);
    let mut newest = String::new();
    // A gap of the state topic is followed by its newest value.
    let is_over = |order: &Order| {
        let gaps = order.gaps.iter().filter(|gap| gap.topic == "quote").count();
        let is_whole = order.snapshots.len() == gaps;
        is_whole && order.last("quote") == 2_000 && order.last("trade") == 2_000
    };
    while !is_over(&order) {
        let text = slow.message().to_owned();
        order.take(&text);
        if text.starts_with("{\"type\":\"snapshot\"") {
            newest = text;
        }
    }
    // Some were sent before the budget was spent, and each of the others is in a gap.
    assert!(order.events > 0, "{order:?}");
    let missed = |topic: &str| {
        let gaps = order.gaps.iter().filter(|gap| gap.topic == topic);
        let (events, actions): (Vec<u64>, Vec<&str>) =
            gaps.map(|gap| (gap.to - gap.from + 1, gap.action.as_str())).unzip();
        assert!(order.gaps.iter().all(|gap| gap.reason == "slow"), "{order:?}");
        (events.iter().sum::<u64>(), actions)
    };
    let ((quotes, snapshot), (trades, resume)) = (missed("quote"), missed("trade"));
    assert_eq!(order.events + quotes + trades, 4_000);
    assert!(!snapshot.is_empty() && snapshot.iter().all(|action| *action == "snapshot"));
    assert!(!resume.is_empty() && resume.iter().all(|action| *action == "resume"));
    assert_eq!(order.snapshots.len(), snapshot.len(), "one value for each gap of a state topic");
    let seq = super::order::number(&newest, "seq");
    assert_eq!(super::order::payload(&newest), payload(seq), "the value of that seq");
    let gap_events = engine.telemetry().sum(ShardCounter::GapEvents);
    assert_eq!(gap_events, quotes + trades, "and counted");
    // From here on it is served like any other.
    publish(2_001..=2_010);
    while order.last("trade") < 2_010 {
        order.take(slow.message());
    }
    assert_eq!(order.last("quote"), 2_010);
}

#[test]
fn a_plain_client_that_falls_behind_gets_the_newest_values_and_only_whole_messages() {
    let limits = Config {
        lag_bytes_max: 16 * 1024,
        lag_age_max: Duration::from_secs(600),
        write_stall_max: Duration::from_secs(600),
        send_buffer_bytes: 8 * 1024,
        shards: 1,
        ..config()
    };
    let engine = start(limits);
    let mut slow = Client::upgrade(narrow(engine.addresses().ws), "/").expect("101");
    slow.assert_served();
    let mut publisher = publisher(&engine);
    const PRICES: i64 = 10_000;
    for cents in 1..=PRICES {
        publisher.publish(super::support::price(&engine, "BTC-USD", cents)).expect("room");
    }
    wait_until("it was moved on", || engine.telemetry().sum(ShardCounter::GapEvents) > 0);
    let (mut last, mut messages) = (0, 0);
    while last < PRICES {
        let text = slow.message();
        let message: serde_json::Value = serde_json::from_str(text).expect("whole messages alone");
        assert_eq!(message["type"], "market", "{text}");
        let cents = text.split("\"price\":").nth(1).and_then(|rest| rest.split(',').next());
        let cents = cents.expect("a price").replace('.', "").parse().expect("a number");
        assert!(cents > last, "prices rise: {cents} after {last}");
        (last, messages) = (cents, messages + 1);
    }
    assert!(messages < PRICES, "{messages}");
}

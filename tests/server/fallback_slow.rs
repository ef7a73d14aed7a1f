//! Readers of a stream that are too slow: what they miss is named, and they cost a bounded amount of memory.
//!
//! Method: sockets with small buffers that nobody reads until the engine has shown what it did about them.

use super::fallback_client::{Answer, ask_over};
use super::order::Order;
use super::slow::narrow;
use super::support::{
    config, external, http, publisher, start, topic, wait_for_events, wait_until,
};
use lineage::Engine;
use lineage::config::Config;
use lineage::event::{Class, Topic};
use lineage::telemetry::EngineCounter;
use std::time::Duration;

const PAYLOAD_BYTES: usize = 500;

fn patient(lag_bytes_max: u64) -> Config {
    Config {
        lag_bytes_max,
        lag_age_max: Duration::from_secs(600),
        write_stall_max: Duration::from_secs(600),
        send_buffer_bytes: 8 * 1024,
        ..config()
    }
}

/// A stream of two topics that nobody reads yet.
fn narrow_stream(engine: &Engine) -> Answer {
    let stream = narrow(http(engine));
    ask_over(stream, "GET", "/v1/sse?topics=quote,trade", "")
}

fn publish(engine: &Engine, topics: &[Topic], events: u64) {
    let mut publisher = publisher(engine);
    let filler = "x".repeat(PAYLOAD_BYTES);
    for n in 0..events {
        for topic in topics {
            publisher.publish(external(*topic, &format!("[{n},\"{filler}\"]"))).expect("room");
        }
    }
}

/// Reads until both topics stand at `last`; every frame is held against the promise.
fn read_to(answer: &mut Answer, last: u64) -> Order {
    let mut order = Order::default();
    order.expect("quote", 1);
    order.expect("trade", 1);
    let mut owed = false;
    while order.last("quote") < last || order.last("trade") < last || owed {
        let sent = answer.event().expect("a stream has no end");
        if ["welcome", "ack", "heartbeat"].iter().any(|kind| is(&sent.json, kind)) {
            continue;
        }
        if is(&sent.json, "gap") {
            owed |= sent.json.contains("\"action\":\"snapshot\"");
            assert_eq!(sent.id, None, "who goes on from a gap misses its value: {}", sent.json);
        } else if is(&sent.json, "snapshot") {
            owed = false;
        } else {
            assert!(sent.id.is_some(), "{}", sent.json);
            assert!(!owed, "before the value: {}", sent.json);
        }
        order.take(&sent.json);
    }
    order
}

fn is(json: &str, kind: &str) -> bool {
    json.starts_with(&format!("{{\"type\":\"{kind}\""))
}

fn topics(engine: &Engine) -> [Topic; 2] {
    [topic(engine, "quote", Class::State), topic(engine, "trade", Class::Event)]
}

#[test]
fn past_the_lag_budget_a_stream_is_told_what_it_missed_and_gets_newest_values() {
    const EVENTS: u64 = 2_000;
    let engine = start(patient(64 * 1024));
    let topics = topics(&engine);
    let mut answer = narrow_stream(&engine);
    publish(&engine, &topics, EVENTS);
    wait_for_events(&engine, 2 * EVENTS);
    let telemetry = engine.telemetry();
    wait_until("the gap", || telemetry.value(EngineCounter::HttpGaps) >= 2);
    // What was written is in the buffers of the kernel and one chunk before them.
    let written = telemetry.value(EngineCounter::HttpFrames) * PAYLOAD_BYTES as u64;
    assert!(written < 512 * 1024, "{written} bytes are held for a client that takes nothing");
    let order = read_to(&mut answer, EVENTS);
    let missed = |topic: &str| {
        let gaps = order.gaps.iter().filter(|gap| gap.topic == topic);
        gaps.map(|gap| gap.to + 1 - gap.from).sum::<u64>()
    };
    assert_eq!(order.events + missed("quote") + missed("trade"), 2 * EVENTS);
    assert!(order.gaps.iter().all(|gap| gap.reason == "slow"), "{:?}", order.gaps);
    let made_good = order.gaps.iter().filter(|gap| gap.action == "snapshot");
    let made_good: Vec<_> = made_good.map(|gap| (gap.topic.clone(), gap.to)).collect();
    assert_eq!(order.snapshots, made_good);
    assert_eq!(telemetry.value(EngineCounter::HttpGaps), order.gaps.len() as u64);
}

#[test]
fn a_stream_within_its_budget_that_the_log_leaves_behind_is_told_so() {
    const EVENTS: u64 = 2_000;
    let engine = start(Config { log_segments: 2, ..patient(1 << 30) });
    let topics = topics(&engine);
    let mut answer = narrow_stream(&engine);
    publish(&engine, &topics, EVENTS);
    wait_for_events(&engine, 2 * EVENTS);
    wait_until("the gap", || engine.telemetry().value(EngineCounter::HttpGaps) >= 2);
    let order = read_to(&mut answer, EVENTS);
    assert!(order.gaps.iter().all(|gap| gap.reason == "overrun"), "{:?}", order.gaps);
    assert!(order.events > 0);
}

#[test]
fn what_a_stream_asked_to_resume_from_is_not_held_against_it() {
    const EVENTS: u64 = 2_000;
    let engine = start(patient(64 * 1024));
    let topics = topics(&engine);
    let first = super::fallback_client::ask(http(&engine), "/v1/snapshot?topics=*", "");
    let from = first.header("lineage-next").expect("where to go on").to_owned();
    publish(&engine, &topics, EVENTS);
    wait_for_events(&engine, 2 * EVENTS);
    let path = format!("/v1/sse?topics=quote,trade&from={from}");
    let mut answer = ask_over(narrow(http(&engine)), "GET", &path, "");
    let order = read_to(&mut answer, EVENTS);
    assert_eq!((order.events, order.gaps), (2 * EVENTS, vec![]));
}

#[test]
fn a_stream_that_nobody_reads_is_reset_and_others_go_on() {
    const EVENTS: u64 = 1_000;
    let stall = Duration::from_millis(300);
    let engine = start(Config { write_stall_max: stall, ..patient(1 << 30) });
    let topics = topics(&engine);
    let mut stuck = narrow_stream(&engine);
    let address = http(&engine);
    let other = super::fallback_client::ask(address, "/v1/sse?topics=quote,trade", "");
    let reader = std::thread::spawn(move || {
        let mut other = other;
        read_to(&mut other, EVENTS + 1)
    });
    publish(&engine, &topics, EVENTS);
    let telemetry = engine.telemetry();
    wait_until("the reset", || telemetry.value(EngineCounter::HttpStalled) == 1);
    wait_until("it is gone", || telemetry.value(EngineCounter::HttpStreams) == 1);
    publish(&engine, &topics, 1);
    let order = reader.join().expect("no panic");
    assert_eq!((order.events, order.gaps), (2 * (EVENTS + 1), vec![]));
    while stuck.read(64 * 1024) {}
    assert!(!stuck.rest().1, "it was cut off");
}

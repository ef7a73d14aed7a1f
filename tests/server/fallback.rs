//! Server-Sent Events, long polls and snapshots: whoever goes on from where it was misses nothing.
//!
//! Method: clients that are cut off at random bytes while thousands of events are published, and compare what they have
//! with the publisher's list. The seeds are fixed and shown on failure.

use super::fallback_client::{Answer, Dice, ask};
use super::order::{Order, number, word};
use super::support::{
    config, external, get, http, price, publisher, start, topic, wait_for_events,
};
use lineage::Engine;
use lineage::config::Config;
use lineage::event::Class;
use serde_json::{Value, json};
use std::net::SocketAddr;

const TOPICS: [&str; 3] = ["desk:a", "desk:b", "desk:c"];

/// Publishes `events` of them, numbered, on the topics in turn, at the pace of the machine.
fn publish(engine: &Engine, events: u64) {
    let topics = TOPICS.map(|name| topic(engine, name, Class::Event));
    let mut publisher = publisher(engine);
    for n in 0..events {
        let of = topics[usize::try_from(n % 3).expect("small")];
        publisher.publish(external(of, &n.to_string())).expect("room");
        if n % 64 == 0 {
            // So that readers come in between.
            std::thread::yield_now();
        }
    }
}

fn number_of(json: &str) -> u64 {
    super::order::payload(json).parse().expect("a number")
}

/// Reads a stream from `from` on until it is cut off at some byte; what came goes to `got`.
fn read_some(address: SocketAddr, from: &mut Option<String>, dice: &mut Dice, got: &mut Vec<u64>) {
    let header = from.as_ref().map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
    let mut answer = ask(address, "/v1/sse?topics=desk:*", &header);
    assert_eq!(answer.status, 200, "{}", answer.head);
    let mut bytes = dice.below(60_000);
    while bytes > 0 {
        let portion = bytes.min(1 + dice.below(3_000));
        bytes -= portion;
        assert!(answer.read(usize::try_from(portion).expect("small")), "a stream has no end");
        while let Some(sent) = answer.whole_event() {
            match word(&sent.json, "type") {
                "ack" if from.is_some() => {
                    assert!(sent.json.contains("\"recovered\":true"), "{}", sent.json);
                }
                "event" | "a" | "b" | "c" => got.push(number_of(&sent.json)),
                "welcome" | "ack" | "heartbeat" => {}
                other => panic!("{other}: {}", sent.json),
            }
            *from = sent.id.or(from.take());
        }
        if got.last().is_some_and(|last| *last == LAST) {
            return;
        }
    }
}

const EVENTS: u64 = 6_000;
const LAST: u64 = EVENTS - 1;

#[test]
fn a_stream_that_is_cut_off_at_any_byte_goes_on_without_a_loss_or_a_repeat() {
    for seed in [0x9e37_79b9_u64, 0x1234_5678_9abc] {
        let engine = start(config());
        let address = http(&engine);
        let (mut dice, mut got) = (Dice(seed), Vec::new());
        let mut from = Some(first_position(&engine));
        std::thread::scope(|scope| {
            scope.spawn(|| publish(&engine, EVENTS));
            while got.last() != Some(&LAST) {
                read_some(address, &mut from, &mut dice, &mut got);
            }
        });
        let expected: Vec<u64> = (0..EVENTS).collect();
        assert!(got == expected, "seed {seed:#x}: {:?}", first_difference(&got));
    }
}

fn first_difference(got: &[u64]) -> Option<(u64, &u64)> {
    (0..).zip(got).find(|(expected, found)| expected != *found)
}

/// The position before everything.
fn first_position(engine: &Engine) -> String {
    let answer = ask(http(engine), "/v1/snapshot?topics=*", "");
    answer.header("lineage-next").expect("where to go on").to_owned()
}

#[test]
fn polls_that_are_cut_off_at_any_byte_go_on_without_a_loss_or_a_repeat() {
    const SEED: u64 = 0x5bd1_e995;
    let engine = start(config());
    let address = http(&engine);
    let (mut dice, mut got) = (Dice(SEED), Vec::new());
    let mut from = first_position(&engine);
    std::thread::scope(|scope| {
        scope.spawn(|| publish(&engine, EVENTS));
        while got.last() != Some(&LAST) {
            let wait_ms = dice.below(50);
            let path = format!("/v1/poll?topics=desk:*&from={from}&wait_ms={wait_ms}");
            let mut answer = ask(address, &path, "");
            if dice.below(4) == 0 {
                // The client goes away in the middle of the answer, and asks again.
                answer.read(usize::try_from(dice.below(2_000) + 1).expect("small"));
                continue;
            }
            let next = answer.header("lineage-next").expect("where to go on").to_owned();
            let frames = answer.array();
            assert_eq!(frames[0]["type"], "ack");
            assert_eq!(frames[0]["payload"]["recovered"], true);
            let last = frames.last().expect("a heartbeat");
            assert_eq!(last["type"], "heartbeat");
            assert!(next.ends_with(&format!(".{}", last["payload"]["pos"])), "{next} {last}");
            got.extend(frames[1..frames.len() - 1].iter().map(|frame| {
                frame["payload"].as_u64().unwrap_or_else(|| panic!("no event: {frame}"))
            }));
            from = next;
        }
    });
    assert!(got == (0..EVENTS).collect::<Vec<_>>(), "{SEED:#x}: {:?}", first_difference(&got));
}

#[test]
fn a_snapshot_and_what_follows_from_it_make_every_state() {
    let engine = start(config());
    let address = http(&engine);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut publisher = publisher(&engine);
            for cents in 1..=4_000 {
                let symbol = ["A", "B", "C"][usize::try_from(cents % 3).expect("small")];
                publisher.publish(price(&engine, symbol, cents)).expect("room");
            }
        });
        for _ in 0..20 {
            let mut answer = ask(address, "/v1/snapshot?topics=market:*", "");
            let mut from = answer.header("lineage-next").expect("where to go on").to_owned();
            let mut order = Order::default();
            for frame in answer.array() {
                assert_eq!(frame["type"], "snapshot");
                let (topic, seq) = (frame["topic"].as_str(), frame["seq"].as_u64());
                order.expect(topic.expect("a topic"), seq.expect("a seq") + 1);
            }
            for _ in 0..3 {
                let path = format!("/v1/poll?topics=market:*&from={from}&wait_ms=10");
                let mut answer = ask(address, &path, "");
                from = answer.header("lineage-next").expect("where to go on").to_owned();
                let frames = answer.array();
                for event in &frames[1..frames.len() - 1] {
                    order.take(&event.to_string());
                }
            }
            assert_eq!(order.gaps, []);
        }
    });
}

#[test]
fn a_stream_begins_with_welcome_ack_and_snapshots_and_only_the_last_has_an_id() {
    let engine = start(config());
    let mut publisher = publisher(&engine);
    publisher.publish(price(&engine, "A", 100)).expect("room");
    publisher.publish(price(&engine, "B", 200)).expect("room");
    wait_for_events(&engine, 2);
    let mut answer = ask(http(&engine), "/v1/sse?topics=market:*,desk:new", "");
    let content_type = answer.header("content-type").map(str::to_owned);
    assert_eq!(content_type.as_deref(), Some("text/event-stream"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    let mut next = |kind: &str| {
        let sent = answer.event().expect("a stream has no end");
        assert_eq!(word(&sent.json, "type"), kind, "{sent:?}");
        let value: Value = serde_json::from_str(&sent.json).expect("JSON");
        (sent.id, value)
    };
    let (id, welcome) = next("welcome");
    assert_eq!(id, None);
    let epoch = welcome["payload"]["epoch"].as_str().expect("an epoch").to_owned();
    let (id, ack) = next("ack");
    assert_eq!(id, None, "the snapshots are still to come");
    let topics = json!([{"pattern": "market:*", "count": 2}, {"topic": "desk:new", "seq": 0}]);
    assert_eq!((&ack["payload"]["pos"], &ack["payload"]["topics"]), (&json!(2), &topics));
    assert!(ack["payload"].get("recovered").is_none(), "{ack}");
    assert_eq!(next("snapshot").0, None);
    assert_eq!(next("snapshot").0, Some(format!("{epoch}.2")));
    let new = topic(&engine, "desk:new", Class::Event);
    publisher.publish(external(new, "[1]")).expect("room");
    let (id, event) = next("new");
    assert_eq!(id, Some(format!("{epoch}.3")));
    assert_eq!((&event["seq"], &event["payload"]), (&json!(1), &json!([1])));
}

#[test]
fn a_stream_gives_the_very_bytes_that_a_web_socket_gives() {
    let engine = start(config());
    let (mut socket, _) = super::client::Client::subscribed(engine.addresses().ws, &["*"]);
    let mut answer = ask(http(&engine), "/v1/sse?topics=*&snapshot=false", "");
    for kind in ["welcome", "ack"] {
        assert_eq!(word(&answer.event().expect("a frame").json, "type"), kind);
    }
    publish(&engine, 500);
    for _ in 0..500 {
        assert_eq!(answer.event().expect("an event").json, socket.message());
    }
}

#[test]
fn a_position_that_is_gone_brings_gaps_and_newest_values() {
    let engine = start(Config { log_segments: 2, ..config() });
    let mut publisher = publisher(&engine);
    let bulk = topic(&engine, "desk:bulk", Class::Event);
    publisher.publish(price(&engine, "A", 100)).expect("room");
    let payload = format!("\"{}\"", "x".repeat(10_000));
    for _ in 0..200 {
        publisher.publish(external(bulk, &payload)).expect("room");
    }
    wait_for_events(&engine, 201);
    let first = first_position(&engine);
    let epoch = first.split('.').next().expect("an epoch");
    let poll = |from: &str| {
        let path = format!("/v1/poll?topics=market:A,desk:*,desk:none&from={from}");
        ask(http(&engine), &path, "").array()
    };
    let told = |frames: &[Value]| -> Vec<Value> {
        let without_time = |frame: &Value| match frame["type"].as_str() {
            Some("gap") => json!([frame["topic"], frame["payload"]]),
            _ => json!([frame["type"], frame["topic"], frame["seq"]]),
        };
        frames[1..frames.len() - 1].iter().map(without_time).collect()
    };
    let frames = poll(&format!("{epoch}.0"));
    assert_eq!(frames[0]["payload"]["recovered"], false);
    let gap = |from: u64, to: u64, reason: &str, action: &str| json!({"from": from, "to": to, "reason": reason, "action": action});
    let expected = [
        json!(["desk:bulk", gap(0, 200, "expired", "resume")]),
        json!(["market:A", gap(0, 1, "expired", "snapshot")]),
        json!(["snapshot", "market:A", 1]),
    ];
    assert_eq!(told(&frames), expected);
    let frames = poll("zzzz.201");
    assert_eq!(frames[0]["payload"]["recovered"], false);
    let expected = [
        json!(["desk:none", gap(0, 0, "restart", "resume")]),
        json!(["desk:bulk", gap(0, 0, "restart", "resume")]),
        json!(["market:A", gap(0, 0, "restart", "snapshot")]),
        json!(["snapshot", "market:A", 1]),
    ];
    assert_eq!(told(&frames), expected);
    let frames = poll(&format!("{epoch}.999"));
    assert_eq!(frames[0]["payload"]["recovered"], false, "a position that is yet to come");
}

#[test]
fn a_poll_is_answered_at_once_when_there_is_something_and_otherwise_when_something_comes() {
    let engine = start(config());
    let address = http(&engine);
    let mut publisher = publisher(&engine);
    let note = topic(&engine, "desk:note", Class::Event);
    // Nothing is there, and nothing comes in no time.
    let frames = ask(address, "/v1/poll?topics=desk:*&wait_ms=0", "").array();
    assert_eq!(frames.len(), 2);
    assert!(frames[0]["payload"].get("recovered").is_none());
    let mut waiting = std::thread::scope(|scope| {
        let poll =
            scope.spawn(|| ask(address, "/v1/poll?topics=desk:*,market:*&wait_ms=60000", ""));
        super::support::wait_until("the poll waits", || {
            get(address, "/health").json()["connections"].is_u64() && engine_polls(&engine) == 2
        });
        publisher.publish(external(note, "1")).expect("room");
        poll.join().expect("no panic")
    });
    let frames = waiting.array();
    assert_eq!(frames.len(), 3, "{frames:?}");
    assert_eq!(frames[1]["payload"], 1);
    // A last value is something.
    publisher.publish(price(&engine, "A", 100)).expect("room");
    wait_for_events(&engine, 2);
    let path = "/v1/poll?topics=desk:*,market:*&wait_ms=60000";
    let frames = ask(address, path, "").array();
    assert_eq!(frames[1]["type"], "snapshot");
    let without = ask(address, &format!("{path}&snapshot=false&wait_ms=0"), "").array();
    assert_eq!(without.len(), 2);
}

fn engine_polls(engine: &Engine) -> u64 {
    engine.telemetry().value(lineage::telemetry::EngineCounter::HttpPolls)
}

#[test]
fn an_answer_to_a_poll_is_at_most_a_mebibyte_and_the_rest_comes_with_the_next() {
    let engine = start(config());
    let address = http(&engine);
    let mut from = first_position(&engine);
    let mut publisher = publisher(&engine);
    let bulk = topic(&engine, "desk:bulk", Class::Event);
    let payload = format!("\"{}\"", "x".repeat(30_000));
    for _ in 0..100 {
        publisher.publish(external(bulk, &payload)).expect("room");
    }
    wait_for_events(&engine, 100);
    let mut sizes = Vec::new();
    let mut order = Order::default();
    while order.last("desk:bulk") < 100 {
        let mut answer = ask(address, &format!("/v1/poll?topics=desk:*&from={from}"), "");
        from = answer.header("lineage-next").expect("where to go on").to_owned();
        let (text, is_whole) = answer.rest();
        assert!(is_whole);
        sizes.push(text.len());
        for line in text.lines().filter(|line| line.contains("\"type\":\"bulk\"")) {
            order.take(line.trim_end_matches(','));
        }
    }
    assert!(sizes.iter().all(|&bytes| bytes <= 1 << 20), "{sizes:?}");
    assert_eq!(sizes.len(), 3, "as few as it takes: {sizes:?}");
    assert_eq!((order.events, order.gaps.len()), (100, 0));
}

/// The id of every frame so far is one from which nothing that came later is missed.
#[test]
fn positions_in_ids_are_those_of_their_events() {
    let engine = start(config());
    let mut answer: Answer = ask(http(&engine), "/v1/sse?topics=desk:b", "");
    publish(&engine, 90);
    let mut events = 0;
    while events < 30 {
        let sent = answer.event().expect("a stream has no end");
        if word(&sent.json, "type") == "b" {
            events += 1;
            let id = sent.id.expect("events have an id");
            assert!(id.ends_with(&format!(".{}", number(&sent.json, "pos"))), "{id}");
        }
    }
}

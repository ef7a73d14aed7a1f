//! Heartbeats through sockets: what they say is true, they list what has moved, and who is owed something gets none.
//!
//! Method: one a second, the shortest there is; every heartbeat is held against a ledger of what was published. Where
//! something has to fit between two of them, it is done again until it did.

use super::client::Client;
use super::cycle_press::locked;
use super::cycle_proof::{Ledger, matches};
use super::desk::{Desk, Watcher, patient, welcomed};
use super::order::{number, word};
use super::slow::narrow;
use super::support::{config, start};
use lineage::config::Config;
use lineage::event::Class;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// One shard, so that all clients see the same beats.
fn fast() -> Config {
    Config { heartbeat_interval: Duration::from_secs(1), shards: 1, ..patient() }
}

/// So many topics, every second one of a state.
fn topics(count: usize) -> Vec<(String, Class)> {
    let class = |n| if n % 2 == 0 { Class::State } else { Class::Event };
    (0..count).map(|n| (format!("beat:{n}"), class(n))).collect()
}

/// Proves frames until a heartbeat has come: its payload.
fn heartbeat(watcher: &mut Watcher<'_>) -> Value {
    loop {
        let text = watcher.take();
        if word(&text, "type") == "heartbeat" {
            let frame: Value = serde_json::from_str(&text).expect("JSON");
            return frame["payload"].clone();
        }
    }
}

/// Until a heartbeat says that everything has come.
fn hear_all(watcher: &mut Watcher<'_>, ledger: &Mutex<Ledger>) {
    while heartbeat(watcher)["pos"] != locked(ledger).head() {}
}

#[test]
fn amid_events_each_heartbeat_is_true_of_every_topic() {
    const BEATS: usize = 3;
    let engine = start(fast());
    let ledger = &Mutex::new(Ledger::new(topics(10)));
    let mut desk = Desk::new(&engine, ledger);
    desk.publish(0..10);
    let address = engine.addresses().ws;
    let patterns: [&[&str]; 4] =
        [&["beat:*"], &["*"], &["beat:1", "beat:2"], &["beat:3", "beat:4", "beat:*"]];
    let listening = AtomicUsize::new(patterns.len());
    let listening = &listening;
    std::thread::scope(|scope| {
        for patterns in patterns {
            scope.spawn(move || {
                let mut listener = Watcher::new(welcomed(address), ledger, patterns);
                // It counts as done also when a frame does not fit.
                let done = Done(listening);
                for _ in 0..BEATS {
                    heartbeat(&mut listener);
                }
                drop(done);
                hear_all(&mut listener, ledger);
                listener.assert_equals();
            });
        }
        while listening.load(Ordering::Relaxed) > 0 {
            desk.publish((0..10).filter(|n| n % 3 > 0));
        }
    });
}

/// Counts down when it is dropped.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn heads_are_the_topics_that_moved_since_the_last_one_and_left_out_beyond_sixty_four() {
    let engine = start(fast());
    let ledger = &Mutex::new(Ledger::new(topics(70)));
    let mut desk = Desk::new(&engine, ledger);
    desk.publish(0..70);
    let mut all = Watcher::new(welcomed(engine.addresses().ws), ledger, &["beat:*"]);
    let mut some = Watcher::new(welcomed(engine.addresses().ws), ledger, &["beat:1", "beat:69"]);
    for count in [0, 1, 63, 64, 65, 70] {
        let heartbeats = loop {
            let head = locked(ledger).head();
            for watcher in [&mut all, &mut some] {
                hear_all(watcher, ledger);
            }
            desk.publish(0..count);
            let after = [&mut all, &mut some].map(|watcher| heartbeat(watcher));
            // All of it fell between two beats.
            if after.iter().all(|heartbeat| heartbeat["pos"] == head + count as u64) {
                break after;
            }
        };
        let ledger = locked(ledger);
        let heads = |places: &mut dyn Iterator<Item = usize>| {
            let seqs = ledger.seqs();
            json!(
                places
                    .filter(|&place| place < count)
                    .map(|place| (ledger.topics[place].0.as_str(), seqs[place]))
                    .collect::<BTreeMap<_, _>>()
            )
        };
        let expected = if count > 64 { Value::Null } else { heads(&mut (0..count)) };
        assert_eq!(heartbeats[0]["heads"], expected, "{count}");
        assert_eq!(heartbeats[1]["heads"], heads(&mut [1, 69].into_iter()), "{count}");
    }
}

#[test]
fn who_holds_no_subscription_gets_no_heartbeat() {
    let engine = start(fast());
    let ledger = Mutex::new(Ledger::new(topics(2)));
    let address = engine.addresses().ws;
    let mut greeted = welcomed(address);
    let mut gone = welcomed(address);
    for op in ["subscribe", "unsubscribe"] {
        gone.text(&json!({"op": op, "topics": ["beat:*"]}).to_string());
        while gone.json()["payload"]["op"] != op {}
    }
    let mut listener = Watcher::new(welcomed(address), &ledger, &["beat:*"]);
    for _ in 0..3 {
        heartbeat(&mut listener);
    }
    for client in [&mut greeted, &mut gone] {
        client.text(r#"{"op":"ping"}"#);
        assert_eq!(client.json()["type"], "pong");
    }
}

#[test]
fn who_is_behind_gets_no_heartbeat_until_it_has_everything() {
    const EVENTS: usize = 500;
    let engine = start(Config { send_buffer_bytes: 8 * 1024, ..fast() });
    let ledger = &Mutex::new(Ledger::new(topics(2)));
    let mut desk = Desk::new(&engine, ledger);
    let address = engine.addresses().ws;
    let mut client = Client::upgrade(narrow(address), "/v1").expect("101");
    assert_eq!(client.json()["type"], "welcome");
    let mut behind = Watcher::new(client, ledger, &["beat:*"]);
    let mut listener = Watcher::new(welcomed(address), ledger, &["beat:*"]);
    (0..EVENTS).for_each(|_| desk.publish(0..2));
    for _ in 0..2 {
        hear_all(&mut listener, ledger);
    }
    // Those from before it was behind are true all the same.
    let seqs = locked(ledger).seqs();
    while !behind.proof.has(&seqs) {
        let text = behind.take();
        let is_heartbeat = word(&text, "type") == "heartbeat";
        assert!(!is_heartbeat || number(&text, "pos") < 2 * EVENTS as u64, "{text}");
    }
    hear_all(&mut behind, ledger);
    behind.assert_equals();
}

#[test]
fn a_heartbeat_of_conflated_topics_is_true_of_what_the_view_has_told() {
    let engine = start(fast());
    let ledger = &Mutex::new(Ledger::new(topics(6)));
    let mut desk = Desk::new(&engine, ledger);
    desk.publish(0..6);
    let address = engine.addresses().ws;
    let is_over = AtomicUsize::new(2);
    let is_over = &is_over;
    std::thread::scope(|scope| {
        for whole in [&[][..], &["beat:0", "beat:1"]] {
            scope.spawn(move || {
                let _done = Done(is_over);
                let mut client = welcomed(address);
                let latest =
                    json!({"op": "subscribe", "topics": ["beat:*"], "mode": "latest", "max_hz": 1});
                client.text(&latest.to_string());
                if !whole.is_empty() {
                    client.subscribe(whole);
                }
                assert_true_heartbeats(&mut client, ledger, whole);
            });
        }
        while is_over.load(Ordering::Relaxed) > 0 {
            desk.publish([0, 1, 2, 4]);
        }
    });
}

/// Three of them: of each state topic at least what it was at their position has come, and of those in `whole` too.
fn assert_true_heartbeats(client: &mut Client, ledger: &Mutex<Ledger>, whole: &[&str]) {
    let mut last: HashMap<usize, u64> = HashMap::new();
    let (mut heartbeats, mut is_joined) = (0, whole.is_empty());
    while heartbeats < 3 {
        let text = client.message();
        match word(text, "type") {
            "ack" => {
                let ack: Value = serde_json::from_str(text).expect("JSON");
                for entry in ack["payload"]["topics"].as_array().expect("a list") {
                    if let (Some(name), Some(seq)) =
                        (entry["topic"].as_str(), entry["seq"].as_u64())
                    {
                        last.insert(locked(ledger).place(name), seq);
                        is_joined = true;
                    }
                }
            }
            "heartbeat" => {
                let ledger = locked(ledger);
                let seqs = ledger.seqs_at(number(text, "pos"));
                let is_whole = |name: &str| whole.iter().any(|pattern| matches(name, pattern));
                for (place, (name, class)) in ledger.topics.iter().enumerate() {
                    if *class == Class::State || (is_joined && is_whole(name)) {
                        let seq = last.get(&place).copied().unwrap_or(0);
                        assert!(seq >= seqs[place], "{name} is at {seq}: {text}");
                    }
                }
                heartbeats += 1;
            }
            _ => {
                let place = locked(ledger).place(word(text, "topic"));
                last.insert(place, number(text, "seq"));
            }
        }
    }
}

#[test]
fn the_interval_is_told_in_the_welcome() {
    let engine = start(Config { heartbeat_interval: Duration::from_secs(7), ..config() });
    let welcome = Client::open(engine.addresses().ws, "/v1").json();
    assert_eq!(welcome["payload"]["heartbeat_s"], 7);
}

//! Mode `latest` through sockets: frames that chain, no more of them than the rate allows, and the newest value last.
//!
//! Method: a [`View`] is a client that keeps the last seq of each topic and holds `prev` against it. Rates are judged by
//! the times in the frames: an event was published before the round that tells it, and a pong is written after the
//! rounds whose frames came before it.

use super::client::Client;
use super::desk::{patient, welcomed};
use super::order::{Order, number, payload, word};
use super::slow::narrow;
use super::support::{config, external, publisher, start, topic, wait_for_events, wait_until};
use lineage::Engine;
use lineage::config::Config;
use lineage::encode::Publisher;
use lineage::event::{Class, Topic};
use lineage::telemetry::ShardCounter;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;

/// State topics of these tests.
const TOPICS: usize = 4;

/// A client of conflated topics.
struct View {
    client: Client,
    hz: u64,
    last: HashMap<String, u64>,
    /// Per topic, when the event of each frame was published.
    told_us: HashMap<String, Vec<u64>>,
    newest: HashMap<String, String>,
    gaps: u64,
}

impl View {
    fn new(client: Client, hz: u64) -> Self {
        let (last, told_us, newest) = Default::default();
        Self { client, hz, last, told_us, newest, gaps: 0 }
    }

    fn open(address: SocketAddr, hz: u64) -> Self {
        Self::new(welcomed(address), hz)
    }

    /// Subscribes, and the ack.
    fn subscribe(&mut self, topics: &[&str], wants_snapshot: bool) -> Value {
        let request = json!({"op": "subscribe", "topics": topics, "mode": "latest",
            "max_hz": self.hz, "snapshot": wants_snapshot});
        self.client.text(&request.to_string());
        let ack = self.client.json();
        assert_eq!(ack["type"], "ack", "{ack}");
        for entry in ack["payload"]["topics"].as_array().expect("a list") {
            if let (Some(name), Some(seq)) = (entry["topic"].as_str(), entry["seq"].as_u64()) {
                self.last.insert(name.to_owned(), seq);
            }
        }
        ack["payload"].clone()
    }

    /// The next frame, which has to fit; it is shown.
    fn take(&mut self) -> String {
        let text = self.client.message().to_owned();
        self.hold(&text);
        text
    }

    fn hold(&mut self, text: &str) {
        let kind = word(text, "type");
        if kind == "heartbeat" {
            return;
        }
        if kind == "pong" {
            return self.judge_rate(number(text, "timestamp"));
        }
        let name = word(text, "topic").to_owned();
        assert!(name.starts_with("view:quote:"), "an event topic: {text}");
        if kind == "gap" {
            assert_eq!(number(text, "from"), self.last[&name] + 1, "{text}");
            self.last.insert(name, number(text, "to"));
            self.gaps += 1;
            return;
        }
        let seq = number(text, "seq");
        let before = self.last.insert(name.clone(), seq);
        if kind == "snapshot" {
            assert!(before.is_none_or(|before| before <= seq), "{before:?} before {text}");
        } else {
            let prev = number(text, "prev");
            assert!(prev < seq && before.is_none_or(|before| before == prev), "{before:?}: {text}");
            self.told_us.entry(name.clone()).or_default().push(number(text, "us"));
        }
        self.newest.insert(name, payload(text).to_owned());
    }

    /// From the event of any frame to a pong behind the last one there was time for the rounds after the first: a round
    /// begins when the events of the one before it are published.
    fn judge_rate(&self, pong_ms: u64) {
        // The timestamp has whole milliseconds.
        let now_us = (pong_ms + 1) * 1_000;
        for (name, told) in &self.told_us {
            for (rounds, us) in told.iter().rev().enumerate().skip(1) {
                let needed_us = (rounds as u64 - 1) * 1_000_000 / self.hz;
                assert!(us + needed_us <= now_us, "{rounds} rounds of {name} since {us}");
            }
        }
    }

    /// Takes frames until every topic has the payload.
    fn read_until_all_are(&mut self, newest: &str) {
        while self.newest.values().filter(|payload| *payload == newest).count() < TOPICS {
            self.take();
        }
    }

    fn has_frames(&self, frames: usize) -> bool {
        self.told_us.len() == TOPICS && self.told_us.values().all(|told| told.len() >= frames)
    }
}

/// The topics of these tests: some of each class.
struct Topics {
    publisher: Publisher,
    quotes: Vec<Topic>,
    trade: Topic,
    published: u64,
}

impl Topics {
    fn new(engine: &Engine) -> Self {
        let quote = |n| topic(engine, &format!("view:quote:{n}"), Class::State);
        let trade = topic(engine, "view:trade", Class::Event);
        Self {
            publisher: publisher(engine),
            quotes: (0..TOPICS).map(quote).collect(),
            trade,
            published: 0,
        }
    }

    /// One event of every topic, and waits until they are in the log.
    fn publish(&mut self, engine: &Engine, payload: &str) {
        for topic in self.quotes.iter().copied().chain([self.trade]) {
            self.publisher.publish(external(topic, payload)).expect("room");
            self.published += 1;
        }
        wait_for_events(engine, self.published);
    }

    /// The same again and again, until it is enough.
    fn publish_until(&mut self, engine: &Engine, is_enough: &AtomicBool) {
        let mut n = 0;
        while !is_enough.load(Ordering::Relaxed) {
            n += 1;
            self.publish(engine, &format!("{{\"n\":{n}}}"));
        }
    }
}

#[test]
fn frames_chain_and_keep_to_their_rate_and_the_newest_value_comes_last() {
    const ROUNDS: usize = 10;
    let (control_rate, control_burst) = (1_000_000, 1_000_000);
    let engine = start(Config { control_rate, control_burst, ..patient() });
    let mut topics = Topics::new(&engine);
    let address = engine.addresses().ws;
    let is_enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = [5, 20, 100, 100]
            .into_iter()
            .map(|hz| {
                let mut view = View::open(address, hz);
                assert_eq!(view.subscribe(&["view:*"], true)["topics"][0]["pattern"], "view:*");
                scope.spawn(move || {
                    while !view.has_frames(ROUNDS) {
                        view.take();
                        view.client.text(r#"{"op":"ping"}"#);
                    }
                    view
                })
            })
            .collect();
        let publishing = scope.spawn(|| {
            topics.publish_until(&engine, &is_enough);
            topics.publish(&engine, "\"last\"");
        });
        let views: Vec<_> = readers.into_iter().map(ScopedJoinHandle::join).collect();
        is_enough.store(true, Ordering::Relaxed);
        publishing.join().expect("published");
        for view in views {
            let mut view = view.expect("it fits");
            view.read_until_all_are("\"last\"");
            view.client.text(r#"{"op":"ping"}"#);
            while word(&view.take(), "type") != "pong" {}
            assert_eq!(view.gaps, 0);
        }
    });
    assert!(engine.telemetry().sum(ShardCounter::Conflated) > 0, "more than the rates came");
}

#[test]
fn it_begins_with_the_newest_value_of_each_state_topic_unless_nobody_wants_it() {
    let engine = start(Config { shards: 1, ..config() });
    let mut topics = Topics::new(&engine);
    for n in 1..=3 {
        topics.publish(&engine, &format!("{{\"n\":{n}}}"));
    }
    let address = engine.addresses().ws;
    drop(Client::greeted(address, topics.published));
    let exact = ["view:quote:1", "view:trade", "view:quote:0"];
    let mut view = View::open(address, 100);
    let ack = view.subscribe(&exact, true);
    let stands = json!([{"topic": "view:quote:1", "seq": 3}, {"topic": "view:quote:0", "seq": 3}]);
    assert_eq!(ack["topics"], stands, "{ack}");
    assert_eq!(ack["rejected"], json!([{"topic": "view:trade", "code": "not_conflatable"}]));
    let mut wildcard = View::open(address, 100);
    assert_eq!(wildcard.subscribe(&["*"], true)["rejected"], json!(null));
    for (view, count) in [(&mut view, 2), (&mut wildcard, TOPICS)] {
        for _ in 0..count {
            let text = view.take();
            assert_eq!((word(&text, "type"), payload(&text)), ("snapshot", "{\"n\":3}"), "{text}");
        }
        assert_eq!(view.newest.len(), count);
    }
    // Who wants none gets none: what comes first follows the seq of the ack.
    let mut bare = View::open(address, 100);
    bare.subscribe(&["view:quote:0"], false);
    topics.publish(&engine, "{\"n\":4}");
    let text = bare.take();
    assert_eq!((word(&text, "type"), number(&text, "prev"), number(&text, "seq")), ("quote", 3, 4));
    // The event topic is in nobody's view: these are all of them, and then the pong.
    wildcard.read_until_all_are("{\"n\":4}");
    wildcard.client.text(r#"{"op":"ping","id":1}"#);
    assert_eq!(word(&wildcard.take(), "type"), "pong");
}

#[test]
fn clients_of_one_shard_with_the_same_topics_and_rate_get_the_same_bytes() {
    let engine = start(Config { shards: 1, ..patient() });
    let mut topics = Topics::new(&engine);
    let address = engine.addresses().ws;
    let is_enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let mut view = View::open(address, 50);
                view.subscribe(&["view:*"], true);
                let is_enough = &is_enough;
                scope.spawn(move || {
                    let mut texts = Vec::new();
                    while !view.newest.values().any(|payload| payload == "\"last\"") {
                        texts.push(view.take());
                        if view.has_frames(20) {
                            is_enough.store(true, Ordering::Relaxed);
                        }
                    }
                    texts
                })
            })
            .collect();
        topics.publish_until(&engine, &is_enough);
        topics.publish(&engine, "\"last\"");
        let texts: Vec<Vec<String>> =
            readers.into_iter().map(|reader| reader.join().expect("it fits")).collect();
        assert!(texts[0].len() >= 20 * TOPICS, "{}", texts[0].len());
        assert!(texts.iter().all(|other| *other == texts[0]));
    });
}

#[test]
fn a_client_with_whole_and_conflated_topics_gets_each_in_its_mode() {
    const EVENTS: u64 = 2_000;
    let engine = start(patient());
    let mut topics = Topics::new(&engine);
    let mut view = View::open(engine.addresses().ws, 20);
    view.client.subscribe(&["view:quote:0", "view:trade"]);
    let mut order = Order::after(&view.client.json()["payload"]);
    view.subscribe(&["*"], true);
    std::thread::scope(|scope| {
        scope.spawn(|| (0..EVENTS).for_each(|n| topics.publish(&engine, &n.to_string())));
        let newest = (EVENTS - 1).to_string();
        let mut conflated = 0;
        while order.events < 2 * EVENTS
            || view.newest.values().filter(|payload| **payload == newest).count() < TOPICS - 1
        {
            let text = view.client.message().to_owned();
            let is_whole = text.contains("\"view:quote:0\"") || text.contains("\"view:trade\"");
            if is_whole && word(&text, "type") != "heartbeat" {
                assert!(!text.contains("\"prev\""), "{text}");
                order.take(&text);
            } else {
                view.hold(&text);
                conflated += 1;
            }
        }
        assert!(conflated > 0 && order.gaps.is_empty());
    });
    // Whole becomes conflated: the chain goes on behind the ack.
    view.subscribe(&["view:quote:0"], false);
    assert_eq!(view.last["view:quote:0"], EVENTS);
    topics.publish(&engine, "\"last\"");
    view.newest.clear();
    while view.newest.len() < TOPICS {
        let text = view.client.message().to_owned();
        if text.contains("\"view:trade\"") { order.take(&text) } else { view.hold(&text) }
    }
    assert_eq!(view.last["view:quote:0"], EVENTS + 1);
}

#[test]
fn a_conflated_client_that_is_slow_is_told_gaps_and_its_chain_goes_on_behind_them() {
    let limits =
        Config { lag_bytes_max: 64 * 1024, send_buffer_bytes: 8 * 1024, shards: 1, ..patient() };
    let engine = start(limits);
    let mut topics = Topics::new(&engine);
    let mut client = Client::upgrade(narrow(engine.addresses().ws), "/v1").expect("101");
    client.message();
    let mut view = View::new(client, 100);
    view.subscribe(&["view:*"], true);
    topics.publish(&engine, "\"first\"");
    view.read_until_all_are("\"first\"");
    let payload = format!("\"{}\"", "x".repeat(10_000));
    wait_until("the gap", || {
        topics.publish(&engine, &payload);
        engine.telemetry().sum(ShardCounter::Gaps) > 0
    });
    topics.publish(&engine, "\"last\"");
    view.read_until_all_are("\"last\"");
    assert!(view.gaps > 0, "a notice for each");
}

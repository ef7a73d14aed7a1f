//! What the model test demands of the bytes a client got: whole frames, per topic the next seq or a gap that starts
//! there, nothing unasked, nothing missing at the end.

use crate::event::{Class, Pattern};
use serde_json::Value;
use std::collections::HashMap;

pub(super) const TOPICS: [(&str, Class); 6] = [
    ("market:A", Class::State),
    ("market:B", Class::State),
    ("feed:trade:X", Class::Event),
    ("feed:trade:Y", Class::Event),
    ("desk:note", Class::Event),
    ("desk:level:Z", Class::State),
];
pub(super) const PATTERNS: [&str; 9] = [
    "*",
    "market:*",
    "feed:*",
    "feed:trade:*",
    "desk:*",
    "market:A",
    "feed:trade:Y",
    "desk:note",
    "desk:level:Z",
];

/// The text messages in `bytes`, and how many pongs; everything must be whole.
pub(super) fn parse(bytes: &[u8]) -> (Vec<Value>, usize) {
    let (mut at, mut messages, mut pongs) = (0, Vec::new(), 0);
    while at < bytes.len() {
        let (length, header) = match bytes[at + 1] {
            126 => (usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]])), 4),
            127 => (
                usize::try_from(u64::from_be_bytes(bytes[at + 2..at + 10].try_into().unwrap()))
                    .unwrap(),
                10,
            ),
            length => (usize::from(length), 2),
        };
        let payload = &bytes[at + header..at + header + length];
        match bytes[at] {
            0x81 => {
                messages.push(serde_json::from_slice(payload).expect("every text frame is json"))
            }
            0x8a => pongs += 1,
            other => panic!("unexpected frame {other:#x}"),
        }
        at += header + length;
    }
    (messages, pongs)
}

fn seq_at(history: &[usize], pos: u64, topic: usize) -> u64 {
    history[..usize::try_from(pos).unwrap()].iter().filter(|&&other| other == topic).count() as u64
}

/// What a v1 client may be sent next.
struct Expected<'a> {
    history: &'a [usize],
    patterns: Vec<Pattern>,
    /// Per topic: the next seq.
    next: HashMap<usize, u64>,
    last_pos: u64,
}

fn index_of(name: &str) -> usize {
    TOPICS.iter().position(|(topic, _)| *topic == name).expect("a known topic")
}

impl Expected<'_> {
    fn ack(&mut self, payload: &Value) {
        let pos = payload["pos"].as_u64().unwrap();
        assert!(pos >= self.last_pos, "ack at {pos} behind {}", self.last_pos);
        self.last_pos = pos;
        for entry in payload["topics"].as_array().unwrap() {
            let text = entry["topic"].as_str().or(entry["pattern"].as_str()).or(entry.as_str());
            let text = text.unwrap();
            let pattern = Pattern::parse(text).unwrap();
            if payload["op"] == "unsubscribe" {
                self.patterns.retain(|known| *known != pattern);
                continue;
            }
            if let Some(seq) = entry["seq"].as_u64() {
                assert_eq!(
                    seq,
                    seq_at(self.history, pos, index_of(text)),
                    "ack of {text} at {pos}"
                );
            }
            self.patterns.push(pattern);
        }
        for (topic, (name, _)) in TOPICS.iter().enumerate() {
            if self.patterns.iter().any(|pattern| pattern.matches(name)) {
                self.next.entry(topic).or_insert_with(|| seq_at(self.history, pos, topic) + 1);
            } else {
                self.next.remove(&topic);
            }
        }
    }

    fn frame(&mut self, message: &Value) {
        let topic = index_of(message["topic"].as_str().unwrap());
        let next = self.next.get_mut(&topic).unwrap_or_else(|| panic!("not asked for: {message}"));
        match message["type"].as_str().unwrap() {
            "gap" => {
                let payload = &message["payload"];
                assert_eq!(payload["from"].as_u64(), Some(*next), "{message}");
                let to = payload["to"].as_u64().unwrap();
                assert!(to >= *next, "{message}");
                *next = to + 1;
            }
            "snapshot" => assert_eq!(message["seq"].as_u64().unwrap() + 1, *next, "{message}"),
            _ => {
                assert_eq!(message["seq"].as_u64(), Some(*next), "{message}");
                *next += 1;
                let pos = message["pos"].as_u64().unwrap();
                assert!(pos > self.last_pos, "pos {pos} after {}", self.last_pos);
                self.last_pos = pos;
            }
        }
    }
}

pub(super) fn check_v1(messages: &[Value], history: &[usize]) {
    let mut expected =
        Expected { history, patterns: Vec::new(), next: HashMap::new(), last_pos: 0 };
    assert_eq!(messages[0]["type"], "welcome");
    for message in &messages[1..] {
        if message["type"] == "ack" {
            expected.ack(&message["payload"]);
        } else {
            expected.frame(message);
        }
    }
    for (topic, next) in expected.next {
        let total = history.iter().filter(|&&other| other == topic).count() as u64;
        assert_eq!(next, total + 1, "{} ends early", TOPICS[topic].0);
    }
}

pub(super) fn check_legacy(messages: &[Value], history: &[usize]) {
    let mut last: HashMap<String, f64> = HashMap::new();
    for message in messages {
        assert_eq!(message["type"], "market");
        let symbol = message["symbol"].as_str().unwrap().to_owned();
        let price = message["price"].as_f64().unwrap();
        let before = last.insert(symbol, price).unwrap_or(0.0);
        assert!(price >= before, "the price goes back: {message}");
    }
    for (topic, symbol) in [(0, "A"), (1, "B")] {
        if let Some(at) = history.iter().rposition(|&other| other == topic) {
            let newest = (at + 100) as f64 / 100.0;
            assert_eq!(last.get(symbol).copied(), Some(newest), "the newest {symbol} is missing");
        }
    }
}

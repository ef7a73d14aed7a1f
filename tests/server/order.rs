//! The promise of mode `all`, checked on every message of a connection: the next seq of its topic, or a gap that says
//! so, and positions that only rise.
//!
//! Method: three fields are cut from the text of each message, so that hundreds of thousands can be looked at.

use std::collections::HashMap;

/// What one connection was sent, held against the promise.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// Per topic, the seq that has to come next.
    next: HashMap<String, u64>,
    pos: u64,
    pub(crate) events: u64,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) snapshots: Vec<(String, u64)>,
}

/// A gap message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) topic: String,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) reason: String,
    pub(crate) action: String,
}

/// The number behind `"key":`.
pub(crate) fn number(text: &str, key: &str) -> u64 {
    let rest = behind(text, key);
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().unwrap_or_else(|error| panic!("{key}: {error}: {text}"))
}

/// The string behind `"key":`.
pub(crate) fn word<'a>(text: &'a str, key: &str) -> &'a str {
    let rest = behind(text, key).strip_prefix('"').expect("a string");
    &rest[..rest.find('"').expect("its end")]
}

/// The payload of an event, byte for byte.
pub(crate) fn payload(text: &str) -> &str {
    let rest = behind(text, "payload");
    &rest[..rest.rfind(",\"timestamp\":").expect("a timestamp")]
}

fn behind<'a>(text: &'a str, key: &str) -> &'a str {
    let at = text
        .match_indices(key)
        .map(|(at, _)| at)
        .find(|&at| text[..at].ends_with('"') && text[at + key.len()..].starts_with("\":"))
        .unwrap_or_else(|| panic!("no {key} in {text}"));
    &text[at + key.len() + 2..]
}

impl Order {
    /// From the payload of an ack of exact topics: each goes on behind the seq it names.
    pub(crate) fn after(ack: &serde_json::Value) -> Self {
        let mut order = Self { pos: ack["pos"].as_u64().expect("pos"), ..Self::default() };
        for topic in ack["topics"].as_array().expect("topics") {
            if let (Some(name), Some(seq)) = (topic["topic"].as_str(), topic["seq"].as_u64()) {
                order.next.insert(name.to_owned(), seq + 1);
            }
        }
        order
    }

    /// The next seq of a topic that was joined meanwhile.
    pub(crate) fn expect(&mut self, topic: &str, seq: u64) {
        self.next.insert(topic.to_owned(), seq);
    }

    /// Takes the next message in.
    pub(crate) fn take(&mut self, text: &str) {
        let topic = word(text, "topic");
        match word(text, "type") {
            "gap" => {
                let [reason, action] = ["reason", "action"].map(|key| word(text, key).to_owned());
                let (from, to) = (number(text, "from"), number(text, "to"));
                assert!(from <= to, "{text}");
                self.advance(topic, from, to, text);
                self.gaps.push(Gap { topic: topic.to_owned(), from, to, reason, action });
            }
            "snapshot" => {
                let seq = number(text, "seq");
                assert_eq!(self.next.get(topic), Some(&(seq + 1)), "the newest value: {text}");
                self.snapshots.push((topic.to_owned(), seq));
            }
            _ => {
                let (seq, pos) = (number(text, "seq"), number(text, "pos"));
                assert!(pos > self.pos, "positions rise, {} is before {text}", self.pos);
                self.pos = pos;
                self.advance(topic, seq, seq, text);
                self.events += 1;
            }
        }
    }

    /// `from` is what had to come; behind `to` it goes on. A topic met for the first time begins anywhere.
    fn advance(&mut self, topic: &str, from: u64, to: u64, text: &str) {
        match self.next.get_mut(topic) {
            Some(next) => {
                assert_eq!(from, *next, "the next of {topic}, in {text}");
                *next = to + 1;
            }
            None => {
                self.next.insert(topic.to_owned(), to + 1);
            }
        }
    }

    /// The last seq of a topic that was sent or named as missing.
    pub(crate) fn last(&self, topic: &str) -> u64 {
        self.next.get(topic).map_or(0, |next| next - 1)
    }
}

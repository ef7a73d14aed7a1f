//! What the model test demands of the bytes a client got, by a model that knows the whole history and nothing of
//! groups, cursors or lanes: of a topic every event in order, or a gap that names exactly what is
//! missing; snapshots that join without a hole; conflated views whose chain of `prev` is unbroken; heartbeats that
//! are true; nothing that was not asked for, and at the end nothing missing.

use crate::event::{Class, Pattern};
use serde_json::Value;
use std::collections::HashMap;

pub(super) const TOPICS: [(&str, Class); 7] = [
    ("market:A", Class::State),
    ("market:B", Class::State),
    ("feed:trade:X", Class::Event),
    ("feed:trade:Y", Class::Event),
    ("desk:note", Class::Event),
    ("desk:level:Z", Class::State),
    ("feed:quote:X", Class::State),
];
pub(super) const PATTERNS: [&str; 12] = [
    "*",
    "market:*",
    "feed:*",
    "feed:trade:*",
    "desk:*",
    "market:A",
    "feed:trade:Y",
    "desk:note",
    "desk:level:Z",
    "feed:quote:X",
    "desk:level:*",
    "market:B",
];
/// How a topic may be delivered: 0 every event, else the newest, at most so often a second.
pub(super) const MODES: [u64; 3] = [0, 10, 100];
pub(super) const EPOCH: &str = "test";

/// What a client asked, kept by the number it gave.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) op: &'static str,
    pub(super) mode: u64,
    pub(super) wants_snapshot: bool,
    pub(super) from: Option<(String, u64)>,
    /// It would rather be closed than told gaps.
    pub(super) is_strict: bool,
}

/// Every event that was published, by its topic's index, in order.
#[derive(Debug, Default)]
pub(super) struct History {
    /// By topic: the positions of its events.
    positions: [Vec<u64>; TOPICS.len()],
    pub(super) events: Vec<usize>,
}

impl History {
    pub(super) fn push(&mut self, topic: usize) {
        self.events.push(topic);
        self.positions[topic].push(self.events.len() as u64);
    }

    /// Seq of the newest event of a topic at a position.
    fn seq_at(&self, pos: u64, topic: usize) -> u64 {
        self.positions[topic].partition_point(|&own| own <= pos) as u64
    }

    fn newest(&self, topic: usize) -> u64 {
        self.positions[topic].len() as u64
    }
}

pub(super) fn index_of(name: &str) -> usize {
    TOPICS.iter().position(|(topic, _)| *topic == name).expect("a known topic")
}

/// What a client has of a topic.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Held {
    mode: u64,
    /// The newest seq it knows; none: it has nothing to compare with.
    last: Option<u64>,
    /// A snapshot has to come before the next event.
    is_owed: bool,
    /// It did not ask for a value: until an event comes it may know nothing.
    is_blank: bool,
}

/// What a v1 client may be sent next.
struct Expected<'a> {
    history: &'a History,
    asked: &'a HashMap<u64, Asked>,
    rules: Vec<(Pattern, u64)>,
    held: HashMap<usize, Held>,
    /// Positions of the v1 stream only grow.
    pos: u64,
    /// The message before was a gap that announced a snapshot of this topic, with this seq.
    announced: Option<(usize, u64)>,
    /// Gaps that are still to come, one per topic, after a resume that failed; whether each has to.
    lost: HashMap<usize, (&'static str, u64, bool)>,
    is_strict: bool,
}

impl Expected<'_> {
    fn mode_of(&self, topic: usize) -> Option<u64> {
        let (name, class) = TOPICS[topic];
        let usable = |mode: u64| mode == 0 || class == Class::State;
        let exact = self.rules.iter().find(|(p, mode)| p.as_str() == name && usable(*mode));
        let wild = || {
            let mut latest_first = self.rules.iter().rev();
            latest_first.find(|(p, mode)| !p.is_exact() && usable(*mode) && p.matches(name))
        };
        exact.or_else(wild).map(|(_, mode)| *mode)
    }

    fn ack(&mut self, message: &Value) {
        let asked = &self.asked[&message["id"].as_u64().expect("every request has a number")];
        let payload = &message["payload"];
        assert_eq!(payload["op"], asked.op);
        let pos = payload["pos"].as_u64().expect("a position");
        assert!(pos >= self.pos || asked.from.is_some(), "ack at {pos} behind {}", self.pos);
        self.pos = pos;
        for entry in payload["rejected"].as_array().into_iter().flatten() {
            let name = entry["topic"].as_str().expect("a name");
            let is_known =
                TOPICS.iter().any(|(topic, class)| *topic == name && *class == Class::Event);
            let expected =
                if asked.op == "unsubscribe" { "not_subscribed" } else { "not_conflatable" };
            assert_eq!(entry["code"], expected, "{entry}");
            assert!(asked.op == "unsubscribe" || (is_known && asked.mode > 0), "{entry}");
        }
        if asked.op == "subscribe" {
            self.is_strict = asked.is_strict;
        }
        let mut joined = Vec::new();
        for entry in payload["topics"].as_array().expect("a list") {
            let text = entry["topic"].as_str().or(entry["pattern"].as_str()).expect("a name");
            let pattern = Pattern::parse(text).expect("a pattern");
            self.rules.retain(|(known, _)| *known != pattern);
            if asked.op == "subscribe" {
                self.rules.push((pattern.clone(), asked.mode));
                joined.push((pattern, entry["seq"].as_u64()));
            }
        }
        let recovered = payload["recovered"].as_bool();
        assert_eq!(recovered.is_some(), asked.from.is_some() && asked.op == "subscribe");
        for topic in 0..TOPICS.len() {
            self.rejoin(topic, asked, pos, recovered, &joined);
        }
    }

    /// What a change of the rules means for one topic.
    fn rejoin(
        &mut self,
        topic: usize,
        asked: &Asked,
        pos: u64,
        recovered: Option<bool>,
        joined: &[(Pattern, Option<u64>)],
    ) {
        let (name, class) = TOPICS[topic];
        let Some(mode) = self.mode_of(topic) else {
            self.held.remove(&topic);
            return;
        };
        let at_pos = self.history.seq_at(pos, topic);
        let is_named =
            joined.iter().any(|(pattern, _)| pattern.matches(name)) && mode == asked.mode;
        let told = joined.iter().find(|(p, _)| p.as_str() == name).and_then(|(_, seq)| *seq);
        let before = self.held.get(&topic).copied().filter(|held| held.mode == mode);
        let mut held = before.unwrap_or(Held {
            mode,
            last: if mode == 0 { Some(at_pos) } else { None },
            is_owed: false,
            is_blank: true,
        });
        if is_named {
            held.is_blank &= !asked.wants_snapshot;
            if let Some(seq) = told {
                assert!(mode > 0 || seq == at_pos, "ack of {name}: {seq}, not {at_pos}");
                held.last = Some(seq);
            }
            let is_continued = mode == 0 && recovered == Some(true);
            let has_value = class == Class::State
                && if mode == 0 { at_pos > 0 } else { told.is_some_and(|seq| seq > 0) };
            held.is_owed = has_value && asked.wants_snapshot && !is_continued;
            let is_restart = asked.from.as_ref().is_some_and(|(epoch, _)| epoch != EPOCH);
            if recovered == Some(false) && is_restart {
                // A wildcard says nothing of topics that the server does not know yet.
                self.lost.insert(topic, ("restart", 0, at_pos > 0 || told.is_some()));
            } else if recovered == Some(false) && at_pos > 0 && mode == 0 {
                self.lost.insert(topic, ("expired", at_pos, true));
            }
        }
        self.held.insert(topic, held);
    }

    fn gap(&mut self, topic: usize, message: &Value) {
        let payload = &message["payload"];
        let (from, to) =
            (payload["from"].as_u64().expect("from"), payload["to"].as_u64().expect("to"));
        let reason = payload["reason"].as_str().expect("a reason");
        let held = self.held.get_mut(&topic).unwrap_or_else(|| panic!("not asked for: {message}"));
        match reason {
            "restart" | "expired" => {
                let lost = self.lost.remove(&topic);
                let (expected, lost, _) = lost.unwrap_or_else(|| panic!("unasked: {message}"));
                assert_eq!(expected, reason, "{message}");
                assert_eq!(from, 0, "{message}");
                assert!(to == lost || (to > lost && reason == "expired"), "{message}");
                if reason == "expired" {
                    held.last = Some(to);
                }
            }
            "slow" | "overrun" => {
                assert!(!self.is_strict, "it asked to be closed: {message}");
                let last = held.last.map_or(from, |last| last + 1);
                assert_eq!(from, last, "{message}");
                assert!(to >= from, "{message}");
                held.last = Some(to);
            }
            other => panic!("unknown reason {other}"),
        }
        let is_state = TOPICS[topic].1 == Class::State;
        match payload["action"].as_str() {
            Some("snapshot") => self.announced = Some((topic, to)),
            Some("resume") => assert!(!is_state || from == 0, "a value makes it good: {message}"),
            other => panic!("unknown action {other:?}"),
        }
    }

    fn value(&mut self, topic: usize, message: &Value) {
        let (seq, pos) =
            (message["seq"].as_u64().expect("seq"), message["pos"].as_u64().expect("pos"));
        assert_eq!(self.history.events.get(usize::try_from(pos).expect("short") - 1), Some(&topic));
        assert_eq!(self.history.seq_at(pos, topic), seq, "{message}");
        let held = self.held.get_mut(&topic).unwrap_or_else(|| panic!("not asked for: {message}"));
        if message["type"] == "snapshot" {
            assert_eq!(TOPICS[topic].1, Class::State, "each event matters: {message}");
            assert!(message.get("prev").is_none(), "{message}");
            assert!(held.last.is_none_or(|last| last == seq), "after {:?}: {message}", held.last);
            *held = Held { last: Some(seq), is_owed: false, ..*held };
            return;
        }
        assert!(!held.is_owed, "before its snapshot: {message}");
        let is_lost = self.lost.remove(&topic).is_some_and(|(.., has_to_come)| has_to_come);
        assert!(!is_lost, "before its gap: {message}");
        if held.mode == 0 {
            assert_eq!(held.last, Some(seq - 1), "{message}");
            assert!(message.get("prev").is_none(), "{message}");
            assert!(pos > self.pos, "pos {pos} after {}", self.pos);
            self.pos = pos;
        } else {
            let prev = message["prev"].as_u64().expect("a conflated event says what was before");
            assert!(held.last.is_none_or(|last| last == prev), "after {:?}: {message}", held.last);
            assert!(seq > prev, "{message}");
        }
        held.last = Some(seq);
    }

    fn heartbeat(&self, payload: &Value) {
        let pos = payload["pos"].as_u64().expect("a position");
        for (&topic, held) in &self.held {
            let at_pos = self.history.seq_at(pos, topic);
            assert!(held.last.unwrap_or(0) >= at_pos || held.last.is_none(), "{payload}: {held:?}");
        }
        for (name, seq) in payload["heads"].as_object().into_iter().flatten() {
            let topic = index_of(name);
            assert_eq!(seq.as_u64(), Some(self.history.seq_at(pos, topic)), "{payload}");
            let last = self.held.get(&topic).and_then(|held| held.last);
            assert!(last.is_none() || last == seq.as_u64(), "{payload}: {last:?}");
        }
    }

    fn take(&mut self, message: &Value) {
        let topic = message["topic"].as_str().map(index_of);
        if let Some((topic, to)) = self.announced.take() {
            assert_eq!(
                (&message["type"], message["topic"].as_str()),
                (&"snapshot".into(), Some(TOPICS[topic].0))
            );
            assert!(
                to == 0 || message["seq"].as_u64() == Some(to),
                "{message} after a gap to {to}"
            );
        }
        match (message["type"].as_str().expect("a type"), topic) {
            ("ack", _) if message["payload"]["op"] == "stats" => {}
            ("ack", _) => self.ack(message),
            ("pong", _) => {}
            ("heartbeat", _) => self.heartbeat(&message["payload"]),
            ("gap", Some(topic)) => self.gap(topic, message),
            (_, Some(topic)) => self.value(topic, message),
            (other, None) => panic!("unexpected {other}: {message}"),
        }
    }
}

/// Checks what a v1 client got; with `is_complete` nothing may be missing at the end.
pub(super) fn check_v1(
    messages: &[Value],
    history: &History,
    asked: &HashMap<u64, Asked>,
    is_complete: bool,
) {
    let mut expected = Expected {
        history,
        asked,
        rules: Vec::new(),
        held: HashMap::new(),
        pos: 0,
        announced: None,
        lost: HashMap::new(),
        is_strict: false,
    };
    let Some((welcome, rest)) = messages.split_first() else { return };
    assert_eq!(welcome["type"], "welcome");
    rest.iter().for_each(|message| expected.take(message));
    if !is_complete {
        return;
    }
    let is_told = expected.lost.values().all(|&(.., has_to_come)| !has_to_come);
    assert!(expected.announced.is_none() && is_told, "{:?}", expected.lost);
    for (topic, held) in expected.held {
        let (name, newest) = (TOPICS[topic].0, history.newest(topic));
        assert!(!held.is_owed, "{name}: a snapshot is missing");
        let is_blank = held.is_blank && held.last.is_none();
        assert!(is_blank || held.last.unwrap_or(0) == newest, "{name} ends early: {held:?}");
    }
}

/// Checks what a legacy client got: prices never go back, and the newest is there.
pub(super) fn check_legacy(
    messages: &[Value],
    history: &History,
    is_nested: bool,
    symbols: &[&str],
) {
    let mut last: HashMap<String, f64> = HashMap::new();
    for message in messages {
        let message = if is_nested { &message["market"] } else { message };
        assert_eq!(message["type"], "market");
        let symbol = message["symbol"].as_str().expect("a symbol").to_owned();
        assert!(symbols.contains(&&*symbol), "not asked for: {message}");
        let price = message["price"].as_f64().expect("a price");
        let before = last.insert(symbol, price).unwrap_or(0.0);
        assert!(price >= before, "the price goes back: {message}");
    }
    for &symbol in symbols {
        let topic = index_of(&format!("market:{symbol}"));
        if let Some(at) = history.events.iter().rposition(|&other| other == topic) {
            let newest = (at + 100) as f64 / 100.0;
            assert_eq!(last.get(symbol).copied(), Some(newest), "the newest {symbol} is missing");
        }
    }
}

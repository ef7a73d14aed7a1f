//! What a client may believe, held against what was published: for tests in which clients come and go.
//!
//! Method: the only publisher writes every event into a [`Ledger`] before it publishes it, so that for each position of
//! the stream it is known where every topic stands. A [`Proof`] is a client by the rules of the protocol document: it
//! keeps one seq per topic and the position that is safe to resume from, and fails at the first frame that leaves
//! something out, repeats it or turns it round.

use super::order::{number, payload, word};
use lineage::event::Class;
use serde_json::Value;
use std::collections::BTreeSet;

/// Everything that was published. Topics are called by their place.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) topics: Vec<(String, Class)>,
    /// Per topic, the position of each of its events.
    positions: Vec<Vec<u64>>,
    head: u64,
}

/// What an event of this topic and seq carries: 1 to 5 KB that tell them both.
pub(crate) fn content(topic: usize, seq: u64) -> String {
    let length = 1_000 + usize::try_from(seq * 2_654_435_761 % 4_001).expect("small") + topic;
    let head = format!("{{\"topic\":{topic},\"n\":{seq},\"x\":\"");
    let mut content = String::with_capacity(head.len() + length + 2);
    content.push_str(&head);
    content.push_str(&"x".repeat(length));
    content.push_str("\"}");
    content
}

impl Ledger {
    pub(crate) fn new(topics: Vec<(String, Class)>) -> Self {
        let positions = vec![Vec::new(); topics.len()];
        Self { topics, positions, head: 0 }
    }

    /// An event of `topic` is about to be published; its seq.
    pub(crate) fn note(&mut self, topic: usize) -> u64 {
        self.head += 1;
        self.positions[topic].push(self.head);
        self.positions[topic].len() as u64
    }

    /// An event of no topic in the list is about to be published.
    pub(crate) fn note_other(&mut self) {
        self.head += 1;
    }

    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    /// Where every topic stood when `pos` was the newest event.
    pub(crate) fn seqs_at(&self, pos: u64) -> Vec<u64> {
        self.positions.iter().map(|of| of.partition_point(|&at| at <= pos) as u64).collect()
    }

    /// Where every topic stands.
    pub(crate) fn seqs(&self) -> Vec<u64> {
        self.positions.iter().map(|of| of.len() as u64).collect()
    }

    fn pos_of(&self, topic: usize, seq: u64) -> Option<u64> {
        let place = usize::try_from(seq).ok()?.checked_sub(1)?;
        self.positions[topic].get(place).copied()
    }

    pub(crate) fn place(&self, name: &str) -> usize {
        let place = self.topics.iter().position(|(known, _)| known == name);
        place.unwrap_or_else(|| panic!("nobody publishes {name}"))
    }
}

/// Whether `pattern` names the topic.
pub(crate) fn matches(name: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(stem) => name.len() > stem.len() && name.starts_with(stem),
        None => name == pattern,
    }
}

/// What one client has, across all of its connections.
#[derive(Debug)]
pub(crate) struct Proof {
    /// Places of its topics.
    topics: Vec<usize>,
    /// Per topic of the ledger: its last seq on this connection, sent or named as missing.
    last: Vec<u64>,
    /// The newest payload that was shown to it, and its seq.
    shown: Vec<(u64, String)>,
    /// A gap of these is still to come.
    untold: BTreeSet<usize>,
    /// A snapshot of these is still to come.
    owed: BTreeSet<usize>,
    pos: u64,
    /// The position to resume from, and `last` as it was there.
    safe: Option<(u64, Vec<u64>)>,
    /// `last` has moved by other frames than events since the safe position.
    is_held: bool,
    /// Gaps of this reason so far.
    pub(crate) slow_gaps: u64,
    pub(crate) overruns: u64,
    pub(crate) heartbeats: u64,
}

impl Proof {
    /// A client of these patterns that has nothing yet.
    pub(crate) fn new(ledger: &Ledger, patterns: &[String]) -> Self {
        let names = ledger.topics.iter().map(|(name, _)| name);
        let topics = names
            .enumerate()
            .filter(|(_, name)| patterns.iter().any(|pattern| matches(name, pattern)))
            .map(|(place, _)| place);
        let count = ledger.topics.len();
        Self {
            topics: topics.collect(),
            last: vec![0; count],
            shown: vec![(0, String::new()); count],
            untold: BTreeSet::new(),
            owed: BTreeSet::new(),
            pos: 0,
            safe: None,
            is_held: false,
            slow_gaps: 0,
            overruns: 0,
            heartbeats: 0,
        }
    }

    /// The position it may resume from.
    pub(crate) fn safe(&self) -> Option<u64> {
        self.safe.as_ref().map(|(pos, _)| *pos)
    }

    /// Whether it has everything up to these seqs.
    pub(crate) fn has(&self, seqs: &[u64]) -> bool {
        self.untold.is_empty()
            && self.owed.is_empty()
            && self.topics.iter().all(|&topic| self.last[topic] >= seqs[topic])
    }

    /// What it has is what the ledger has: of every topic the last seq, of state topics the payload too.
    pub(crate) fn assert_equals(&self, ledger: &Ledger) {
        let seqs = ledger.seqs();
        for &topic in &self.topics {
            assert_eq!(self.last[topic], seqs[topic], "{:?}", ledger.topics[topic]);
            if ledger.topics[topic].1 == Class::State {
                let expected = (seqs[topic], content(topic, seqs[topic]));
                assert_eq!(self.shown[topic], expected, "the value of {:?}", ledger.topics[topic]);
            }
        }
    }

    /// The answer to a subscribe, which asked for the safe position if there is one: whether it was recovered.
    pub(crate) fn joined(&mut self, ledger: &Ledger, ack: &Value) -> Option<bool> {
        let ack = &ack["payload"];
        let pos = ack["pos"].as_u64().expect("a position");
        let recovered = ack["recovered"].as_bool();
        assert_eq!(recovered.is_some(), self.safe.is_some(), "{ack}");
        let seqs = ledger.seqs_at(pos);
        for entry in ack["topics"].as_array().expect("a list") {
            if let Some(name) = entry["topic"].as_str() {
                assert_eq!(entry["seq"], seqs[ledger.place(name)], "at {pos}: {ack}");
            }
        }
        let known = self.topics.iter().copied().filter(|&topic| seqs[topic] > 0);
        self.untold.clear();
        self.owed.clear();
        match (recovered, &self.safe) {
            (Some(true), Some((safe, last))) => {
                assert_eq!(pos, *safe, "{ack}");
                let has = |&topic: &usize| last[topic] == seqs[topic];
                assert!(self.topics.iter().all(has), "{last:?} at {pos} is {seqs:?}");
            }
            (Some(false), _) => self.untold = known.collect(),
            _ => {
                let is_state = |topic: &usize| ledger.topics[*topic].1 == Class::State;
                self.owed = known.filter(is_state).collect();
            }
        }
        (self.last, self.pos, self.is_held) = (seqs, pos, true);
        recovered
    }

    /// The next frame.
    pub(crate) fn take(&mut self, ledger: &Ledger, text: &str) {
        match word(text, "type") {
            "heartbeat" => self.heartbeat(ledger, text),
            "gap" => self.gap(ledger, text),
            "snapshot" => {
                let (topic, seq) = self.value(ledger, text);
                assert!(self.owed.remove(&topic), "not asked for: {text}");
                assert_eq!(seq, self.last[topic], "the newest value: {text}");
                self.is_held = true;
            }
            _ => {
                let (topic, seq) = self.value(ledger, text);
                assert!(self.untold.is_empty(), "{:?} before {text}", self.untold);
                assert!(!self.owed.contains(&topic), "a snapshot was to come before {text}");
                assert_eq!(seq, self.last[topic] + 1, "{text}");
                let pos = number(text, "pos");
                assert!(pos > self.pos, "positions rise, {} is before {text}", self.pos);
                (self.last[topic], self.pos) = (seq, pos);
                self.go_on_from(pos, topic);
            }
        }
    }

    /// Everything up to `pos` was sent, the last of it an event of `topic`.
    fn go_on_from(&mut self, pos: u64, topic: usize) {
        if !self.owed.is_empty() {
            return;
        }
        match &mut self.safe {
            Some((safe, last)) if !self.is_held => {
                *safe = pos;
                last[topic] = self.last[topic];
            }
            safe => *safe = Some((pos, self.last.clone())),
        }
        self.is_held = false;
    }

    /// A frame with an event's payload, which has to be that of its seq; topic and seq.
    fn value(&mut self, ledger: &Ledger, text: &str) -> (usize, u64) {
        let (topic, seq) = (ledger.place(word(text, "topic")), number(text, "seq"));
        assert!(self.topics.contains(&topic), "not subscribed: {text}");
        assert_eq!(Some(number(text, "pos")), ledger.pos_of(topic, seq), "{text}");
        let (shown_seq, shown) = &mut self.shown[topic];
        *shown_seq = seq;
        payload(text).clone_into(shown);
        assert_eq!(*shown, content(topic, seq));
        (topic, seq)
    }

    fn gap(&mut self, ledger: &Ledger, text: &str) {
        let topic = ledger.place(word(text, "topic"));
        let (from, to) = (number(text, "from"), number(text, "to"));
        assert!(self.topics.contains(&topic), "not subscribed: {text}");
        match word(text, "reason") {
            "expired" => {
                assert!(self.untold.remove(&topic), "not asked for: {text}");
                assert!(from == 0 && to >= self.last[topic], "{} to {text}", self.last[topic]);
            }
            reason => {
                assert!(!self.untold.contains(&topic), "expired comes first: {text}");
                assert!(from == self.last[topic] + 1 && to >= from, "{text}");
                match reason {
                    "slow" => self.slow_gaps += 1,
                    "overrun" => self.overruns += 1,
                    _ => panic!("the server was not started anew: {text}"),
                }
            }
        }
        assert!(ledger.pos_of(topic, to).is_some(), "nobody published {text}");
        let is_state = ledger.topics[topic].1 == Class::State;
        assert_eq!(word(text, "action"), if is_state { "snapshot" } else { "resume" }, "{text}");
        if is_state {
            self.owed.insert(topic);
        }
        (self.last[topic], self.is_held) = (to, true);
    }

    fn heartbeat(&mut self, ledger: &Ledger, text: &str) {
        assert!(self.untold.is_empty() && self.owed.is_empty(), "{self:?} before {text}");
        let pos = number(text, "pos");
        let seqs = ledger.seqs_at(pos);
        for &topic in &self.topics {
            assert!(self.last[topic] >= seqs[topic], "{:?} at {text}", ledger.topics[topic]);
        }
        let frame: Value = serde_json::from_str(text).expect("JSON");
        for (name, seq) in frame["payload"]["heads"].as_object().into_iter().flatten() {
            assert_eq!(*seq, self.last[ledger.place(name)], "{name} in {text}");
        }
        self.heartbeats += 1;
        if pos >= self.pos {
            self.is_held = true;
            self.go_on_from(pos, self.topics[0]);
        }
    }
}

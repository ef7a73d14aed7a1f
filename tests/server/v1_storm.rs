//! A client that subscribes and unsubscribes as fast as it may: each ack stands exactly where it says, nothing comes of
//! what is not held, and nobody beside it loses an event.
//!
//! Method: one shard for all; a model of the subscriptions of the restless client, held against every frame. It sends
//! changes in bursts of what the server lets wait, and orders events in between.

use super::client::Client;
use super::cycle_press::{Dice, ORDERS_MAX, Order, Press, THREADS, locked, topics};
use super::cycle_proof::{Ledger, content, matches};
use super::desk::{Watcher, patient, welcomed};
use super::order::{number, payload, word};
use super::support::start;
use super::v1_join::{Witness, seed};
use lineage::config::Config;
use lineage::event::Class;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

/// Threads with a restless client; the others watch.
const STORMS: usize = 2;
const BURSTS: u64 = 250;
/// Changes that the server lets wait.
const BURST_MAX: u64 = 16;

/// What can be held.
const PATTERNS: [&str; 9] = [
    "desk:quote:0",
    "desk:quote:1",
    "desk:trade:0",
    "desk:trade:1",
    "desk:quote:*",
    "desk:trade:*",
    "desk:*",
    "*",
    "desk:none",
];

/// A change that was sent.
#[derive(Debug, Clone)]
struct Asked {
    is_subscribe: bool,
    wants_snapshot: bool,
    patterns: Vec<String>,
}

/// The restless client.
struct Storm<'a> {
    client: Client,
    ledger: &'a Mutex<Ledger>,
    dice: Dice,
    held: BTreeSet<String>,
    /// Of each topic that is held the last seq.
    last: HashMap<usize, u64>,
    /// Snapshots that are still to come.
    owed: BTreeSet<usize>,
    asked: VecDeque<Asked>,
    acked: u64,
}

impl<'a> Storm<'a> {
    fn new(address: SocketAddr, ledger: &'a Mutex<Ledger>, dice: Dice) -> Self {
        let client = welcomed(address);
        let (held, last, owed, asked) = Default::default();
        Self { client, ledger, dice, held, last, owed, asked, acked: 0 }
    }

    /// Sends so many changes without waiting for an answer.
    fn change(&mut self, changes: u64) {
        for _ in 0..changes {
            let count = 1 + self.dice.below(2);
            let any = |dice: &mut Dice| dice.below(PATTERNS.len() as u64);
            let patterns: BTreeSet<u64> = (0..count).map(|_| any(&mut self.dice)).collect();
            let name = |n: u64| PATTERNS[usize::try_from(n).expect("small")].to_owned();
            let asked = Asked {
                is_subscribe: self.dice.below(2) == 0,
                wants_snapshot: self.dice.below(2) == 0,
                patterns: patterns.into_iter().map(name).collect(),
            };
            let op = if asked.is_subscribe { "subscribe" } else { "unsubscribe" };
            let mut request = json!({"op": op, "topics": asked.patterns});
            if asked.is_subscribe {
                request["snapshot"] = asked.wants_snapshot.into();
            }
            self.client.text(&request.to_string());
            self.asked.push_back(asked);
        }
    }

    /// Reads until every change was answered and everything published by now is there.
    fn settle(&mut self) {
        let seqs = locked(self.ledger).seqs();
        let is_behind = |storm: &Self| storm.last.iter().any(|(&topic, &seq)| seq < seqs[topic]);
        while !self.asked.is_empty() || !self.owed.is_empty() || is_behind(self) {
            let text = self.client.message().to_owned();
            match word(&text, "type") {
                "ack" => self.ack(&serde_json::from_str(&text).expect("JSON")),
                "snapshot" => {
                    let (topic, seq) = self.value(&text);
                    assert!(self.owed.remove(&topic), "not asked for: {text}");
                    assert_eq!(self.last[&topic], seq, "the newest value: {text}");
                }
                "heartbeat" => {}
                _ => {
                    let (topic, seq) = self.value(&text);
                    assert!(!self.owed.contains(&topic), "a snapshot was to come before {text}");
                    assert_eq!(self.last.insert(topic, seq), Some(seq - 1), "{text}");
                }
            }
        }
    }

    /// Topic and seq of a frame; its payload is that of the ledger.
    fn value(&self, text: &str) -> (usize, u64) {
        let (topic, seq) = (locked(self.ledger).place(word(text, "topic")), number(text, "seq"));
        assert!(self.last.contains_key(&topic), "nothing of this is held: {text}");
        assert_eq!(payload(text), content(topic, seq));
        (topic, seq)
    }

    /// The answer to the oldest change: of what is held everything up to its position has come, and not more.
    fn ack(&mut self, ack: &Value) {
        let asked = self.asked.pop_front().expect("one answer per change");
        let ack = &ack["payload"];
        let ledger = locked(self.ledger);
        let seqs = ledger.seqs_at(ack["pos"].as_u64().expect("a position"));
        for (&topic, &seq) in &self.last {
            assert_eq!(seq, seqs[topic], "{:?} at {ack}", ledger.topics[topic]);
        }
        assert!(self.owed.is_empty(), "{:?} are owed before {ack}", self.owed);
        let of = |pattern: &String| -> Vec<usize> {
            let names = ledger.topics.iter().enumerate();
            names.filter(|(_, (name, _))| matches(name, pattern)).map(|(place, _)| place).collect()
        };
        let (mut stands, mut rejected) = (Vec::new(), Vec::new());
        for pattern in &asked.patterns {
            let (is_exact, topics) = (!pattern.ends_with('*'), of(pattern));
            let is_taken = if asked.is_subscribe {
                self.held.insert(pattern.clone());
                true
            } else {
                self.held.remove(pattern)
            };
            let key = if is_exact { "topic" } else { "pattern" };
            match (is_taken, asked.is_subscribe) {
                (false, _) => rejected.push(json!({"topic": pattern, "code": "not_subscribed"})),
                (true, false) => stands.push(json!({key: pattern})),
                (true, true) if is_exact => {
                    let seq = topics.first().map_or(0, |&topic| seqs[topic]);
                    stands.push(json!({"topic": pattern, "seq": seq}));
                }
                (true, true) => stands.push(json!({"pattern": pattern, "count": topics.len()})),
            }
            if asked.is_subscribe && asked.wants_snapshot {
                let is_state = |&topic: &usize| ledger.topics[topic].1 == Class::State;
                self.owed.extend(topics.into_iter().filter(is_state));
            }
        }
        assert_eq!(ack["topics"], json!(stands), "{asked:?}: {ack}");
        let expected = if rejected.is_empty() { Value::Null } else { json!(rejected) };
        assert_eq!(ack["rejected"], expected, "{asked:?}: {ack}");
        let wanted: BTreeSet<usize> = self.held.iter().flat_map(of).collect();
        self.last.retain(|topic, _| wanted.contains(topic));
        for topic in wanted {
            self.last.entry(topic).or_insert(seqs[topic]);
        }
        self.acked += 1;
    }

    fn run(mut self, witness: &Witness) {
        let mut sent = 0;
        for _ in 0..BURSTS {
            witness.order(self.dice.below(4));
            let changes = 1 + self.dice.below(BURST_MAX);
            self.change(changes);
            sent += changes;
            witness.order(self.dice.below(4));
            self.settle();
        }
        assert_eq!(self.acked, sent);
    }
}

/// Notes at its end that a storm is over.
struct Over<'a>(&'a AtomicUsize);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn a_storm_of_subscriptions_is_exact_and_costs_nobody_an_event() {
    let unlimited = (1_000_000, 1_000_000);
    let (control_rate, control_burst) = unlimited;
    // The test alone publishes: what is in the log is in its ledger.
    let silent = Config { pipeline_enabled: false, ..patient() };
    let engine = start(Config { control_rate, control_burst, shards: 1, ..silent });
    let (seed, ledger) = (seed(), Mutex::new(Ledger::new(topics())));
    let mut press = Press::new(&engine, &ledger, seed);
    let (address, raging) = (engine.addresses().ws, AtomicUsize::new(STORMS));
    let names = topics();
    let every: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    // One names what the storms name, so that it shares their groups; one names each topic.
    let watched = [vec!["desk:*"], every];
    assert_eq!(STORMS + watched.len(), usize::try_from(THREADS).expect("small"));
    std::thread::scope(|scope| {
        let (send, orders) = sync_channel(ORDERS_MAX);
        let (ledger, raging) = (&ledger, &raging);
        for thread in 1..=STORMS as u64 {
            let witness = Witness { seed, orders: send.clone() };
            scope.spawn(move || {
                // Also when it panics, or the watchers would wait for it for ever.
                let _over = Over(raging);
                Storm::new(address, ledger, Dice(seed ^ thread)).run(&witness);
                let _ = witness.orders.send(Order::Done);
            });
        }
        for patterns in watched {
            let witness = Witness { seed, orders: send.clone() };
            scope.spawn(move || {
                let mut watcher = Watcher::new(welcomed(address), ledger, &patterns);
                while raging.load(Ordering::Relaxed) > 0 {
                    witness.order(1);
                    watcher.read();
                }
                watcher.read();
                watcher.assert_whole();
                let _ = witness.orders.send(Order::Done);
            });
        }
        press.serve(&orders);
    });
    assert!(locked(&ledger).head() > BURSTS, "events were published meanwhile");
}

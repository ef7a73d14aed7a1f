//! A publisher that keeps the ledger, and clients whose every frame is proved: for tests of what v1 clients are sent.
//!
//! Method: the [`Desk`] writes down what it publishes before it does; a [`Watcher`] holds a connection against that.

use super::client::Client;
use super::cycle_press::locked;
use super::cycle_proof::{Ledger, Proof, content};
use super::support::{config, external, publisher, topic, wait_for_events};
use lineage::Engine;
use lineage::config::Config;
use lineage::encode::Publisher;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

/// Nobody is too slow here.
pub(crate) fn patient() -> Config {
    Config {
        lag_bytes_max: 1 << 30,
        lag_age_max: Duration::from_secs(600),
        write_stall_max: Duration::from_secs(600),
        log_segments: 1_024,
        ..config()
    }
}

/// The only publisher.
pub(crate) struct Desk<'a> {
    engine: &'a Engine,
    ledger: &'a Mutex<Ledger>,
    publisher: Publisher,
}

impl<'a> Desk<'a> {
    pub(crate) fn new(engine: &'a Engine, ledger: &'a Mutex<Ledger>) -> Self {
        Self { engine, ledger, publisher: publisher(engine) }
    }

    /// The next event of each of these, and waits until they are in the log.
    pub(crate) fn publish(&mut self, places: impl IntoIterator<Item = usize>) {
        for place in places {
            let (name, class) = locked(self.ledger).topics[place].clone();
            let seq = locked(self.ledger).note(place);
            let event = external(topic(self.engine, &name, class), &content(place, seq));
            self.publisher.publish(event).expect("room");
        }
        wait_for_events(self.engine, locked(self.ledger).head());
    }
}

/// A connection, greeted.
pub(crate) fn welcomed(address: SocketAddr) -> Client {
    let mut client = Client::open(address, "/v1");
    assert_eq!(client.json()["type"], "welcome");
    client
}

/// A connection in mode `all` and its proof.
pub(crate) struct Watcher<'a> {
    pub(crate) client: Client,
    ledger: &'a Mutex<Ledger>,
    pub(crate) proof: Proof,
}

impl<'a> Watcher<'a> {
    /// Subscribes somebody who was greeted.
    pub(crate) fn new(mut client: Client, ledger: &'a Mutex<Ledger>, patterns: &[&str]) -> Self {
        client.subscribe(patterns);
        Self::joined(client, ledger, patterns)
    }

    /// The ack of what was asked is what comes next.
    pub(crate) fn joined(mut client: Client, ledger: &'a Mutex<Ledger>, patterns: &[&str]) -> Self {
        let ack = client.json();
        let rejected = &ack["payload"]["rejected"];
        assert_eq!((&ack["type"], rejected), (&json!("ack"), &Value::Null), "{ack}");
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        let mut proof = Proof::new(&locked(ledger), &patterns);
        proof.joined(&locked(ledger), &ack);
        Self { client, ledger, proof }
    }

    /// Proves the next frame, and shows it.
    pub(crate) fn take(&mut self) -> String {
        let text = self.client.message().to_owned();
        self.proof.take(&locked(self.ledger), &text);
        text
    }

    /// Proves frames until it has what is published by now.
    pub(crate) fn read(&mut self) {
        let seqs = locked(self.ledger).seqs();
        while !self.proof.has(&seqs) {
            self.take();
        }
    }

    /// It has what the ledger has.
    pub(crate) fn assert_equals(&self) {
        self.proof.assert_equals(&locked(self.ledger));
    }

    /// It was never told of a gap.
    pub(crate) fn assert_whole(&self) {
        assert_eq!((self.proof.slow_gaps, self.proof.overruns), (0, 0), "nobody was slow");
    }
}

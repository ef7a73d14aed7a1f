//! The last update of each kind, for who asks over HTTP and for clients that connect between two updates.
//!
//! One thread writes (the one that steps the chain), any thread reads; neither waits for the other. Without a chain, or
//! before its first update, the answer is that there is none.

use super::metrics::Metrics;
use crate::api::{self, Route};
use crate::event::{ChainUpdate, Event, write_chain_message};
use crate::sync::ArcSwap;
use prometheus::core::Collector;
use serde_json::{Value, json};
use std::sync::Arc;

/// Last updates and metrics of a chain that runs, or of one that does not.
#[derive(Debug, Default)]
pub struct Live {
    /// By the kind.
    latest: [ArcSwap<Option<Event>>; 4],
    metrics: Metrics,
}

impl Live {
    /// Of a chain that has told nothing.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Appends the last message of a kind, as the older clients read it; false (and nothing appended) when there is
    /// none. Does not block.
    pub fn write_message(&self, update: ChainUpdate, out: &mut Vec<u8>) -> bool {
        let latest = self.latest[update as usize].load();
        latest.as_ref().as_ref().is_some_and(|event| write_chain_message(out, event))
    }

    /// The routes that answer with the last message of each kind, or with `{"status":"not_available"}`.
    #[must_use]
    pub fn routes(self: &Arc<Self>) -> Vec<Route> {
        let route = |update| {
            let (path, summary, example) = description(update);
            let live = Arc::clone(self);
            let answer = Arc::new(move |_: &_| Ok(live.answer(update)));
            Route { path, summary, parameters: Vec::new(), example, is_blocking: false, answer }
        };
        ChainUpdate::ALL.map(route).into()
    }

    /// The chain's metrics, to be registered once, and only when there is a chain.
    #[must_use]
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        self.metrics.collectors()
    }

    /// Keeps `event`, the newest of its kind.
    pub(super) fn keep(&self, update: ChainUpdate, event: Event) {
        self.latest[update as usize].store(Arc::new(Some(event)));
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn answer(&self, update: ChainUpdate) -> Value {
        let mut message = Vec::new();
        self.write_message(update, &mut message);
        serde_json::from_slice(&message).unwrap_or_else(|_| api::not_available())
    }
}

/// Path, summary and example of a kind's route.
fn description(update: ChainUpdate) -> (&'static str, &'static str, Value) {
    let (path, summary, payload) = match update {
        ChainUpdate::Tps => (
            "/api/v11/live/tps",
            "The last rate and latency of the simulated ledger.",
            json!({ "currentTPS": 801_234, "peakTPS": 812_345, "averageTPS": 775_001, "latency": 47 }),
        ),
        ChainUpdate::Block => (
            "/api/v11/live/block",
            "The last block of the simulated ledger.",
            json!({
                "blockHeight": 12_345,
                "blockTime": 2_000,
                "transactions": 1_600_321,
                "producer": "validator-17",
            }),
        ),
        ChainUpdate::Network => (
            "/api/v11/live/network",
            "How many nodes of the simulated ledger serve, and how fast.",
            json!({
                "activeNodes": 64,
                "totalNodes": 100,
                "networkHealth": "healthy",
                "avgLatency": 42,
            }),
        ),
        ChainUpdate::Validator => (
            "/api/v11/live/validators",
            "How many validators of the simulated ledger vote, wait and are jailed.",
            json!({
                "totalValidators": 100,
                "activeValidators": 92,
                "inactiveValidators": 6,
                "jailedValidators": 2,
            }),
        ),
    };
    let example = json!({
        "type": update.message_type(),
        "payload": payload,
        "timestamp": 1_730_000_000_000_u64,
    });
    (path, summary, example)
}

#[cfg(test)]
mod tests {
    use super::Live;
    use crate::api::Asked;
    use crate::event::{ChainUpdate, Event, Topics, write_chain_message, write_chain_welcome};
    use crate::simulation::chain::{Chain, Options};
    use serde_json::{Value, json};
    use std::sync::Arc;
    use uuid::Uuid;

    const START_US: u64 = 1_730_000_000_000_000;

    fn chain(live: &Arc<Live>) -> Chain {
        let chain = Chain::new(&Options::default(), &Topics::new(), START_US);
        chain.expect("the topics are free").telling(Arc::clone(live))
    }

    /// What the routes answer, in the order of the kinds.
    fn answers(live: &Arc<Live>) -> Vec<Value> {
        let asked = Asked::default();
        live.routes().iter().map(|route| (route.answer)(&asked).expect("there is one")).collect()
    }

    fn last_messages(live: &Live) -> Vec<String> {
        let message = |update| {
            let mut out = Vec::new();
            live.write_message(update, &mut out).then(|| String::from_utf8(out).expect("text"))
        };
        ChainUpdate::ALL.into_iter().filter_map(message).collect()
    }

    #[test]
    fn s49_after_the_first_step_there_is_a_last_value_of_each_of_the_four() {
        let live = Live::new();
        let mut chain = chain(&live);
        assert_eq!(last_messages(&live), [""; 0]);
        let mut events = Vec::new();
        for step in 0..20 {
            chain.step(chain.next_due_us(), &mut events);
            let newest = |update| {
                let of_it = |event: &&Event| ChainUpdate::of(event) == Some(update);
                let mut out = Vec::new();
                let event = events.iter().rev().find(of_it).expect("all four are due at the start");
                write_chain_message(&mut out, event);
                String::from_utf8(out).expect("text")
            };
            assert_eq!(last_messages(&live), ChainUpdate::ALL.map(newest), "step {step}");
        }
    }

    #[test]
    fn s51_the_routes_answer_with_the_last_messages() {
        let live = Live::new();
        let mut chain = chain(&live);
        chain.step(START_US, &mut Vec::new());
        chain.step(START_US + 1_000_000, &mut Vec::new());
        let expected: Vec<Value> =
            last_messages(&live).iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        assert_eq!(answers(&live), expected);
        assert_eq!(expected[0]["timestamp"], (START_US + 1_000_000) / 1_000);
        let routes = live.routes();
        let paths: Vec<&str> = routes.iter().map(|route| route.path).collect();
        let known = ["tps", "block", "network", "validators"];
        assert_eq!(paths, known.map(|name| format!("/api/v11/live/{name}")));
        assert!(routes.iter().all(|route| !route.is_blocking && route.parameters.is_empty()));
    }

    #[test]
    fn s51_the_examples_have_the_keys_and_kinds_of_the_answers() {
        fn outline(value: &Value) -> Value {
            match value {
                Value::Object(map) => {
                    map.iter().map(|(key, value)| (key.clone(), outline(value))).collect()
                }
                Value::Number(_) => json!("number"),
                Value::String(_) => json!("text"),
                other => other.clone(),
            }
        }
        let live = Live::new();
        chain(&live).step(START_US, &mut Vec::new());
        for (route, answer) in live.routes().iter().zip(answers(&live)) {
            assert_eq!(outline(&route.example), outline(&answer), "{}", route.path);
            assert_eq!(route.example["type"], answer["type"], "{}", route.path);
        }
    }

    #[test]
    fn s41_s51_without_a_chain_the_routes_answer_that_it_is_not_available() {
        assert_eq!(answers(&Live::new()), [(); 4].map(|()| json!({ "status": "not_available" })));
    }

    #[test]
    fn s52_a_client_reads_less_than_a_kilobyte_per_second() {
        let (live, mut events, mut bytes) = (Live::new(), Vec::new(), 0);
        let mut chain = chain(&live);
        chain.step(START_US, &mut events);
        // What it is sent when it connects: a welcome and the last values.
        let mut message = Vec::new();
        write_chain_welcome(&mut message, &Uuid::from_u128(7), START_US);
        bytes += framed(message.len());
        bytes += last_messages(&live).iter().map(|text| framed(text.len())).sum::<usize>();
        events.clear();
        // The minute that follows, its last moment included.
        while chain.next_due_us() <= START_US + 60_000_000 {
            chain.step(chain.next_due_us(), &mut events);
        }
        assert_eq!(events.len(), 60 + 30 + 20 + 12);
        for event in &events {
            message.clear();
            write_chain_message(&mut message, event);
            bytes += framed(message.len());
        }
        let per_second = bytes / 60;
        println!("{per_second} bytes per second and client");
        assert!((200..1_000).contains(&per_second), "{per_second}");
    }

    /// A message with the header of its WebSocket frame.
    fn framed(bytes: usize) -> usize {
        bytes + if bytes < 126 { 2 } else { 4 }
    }
}

//! An engine whose clock stands until the test moves it, and the golden files.

use super::client::Client;
use super::support::{config, get, http};
use lineage::Engine;
use lineage::clock::{Clock, ManualClock};
use lineage::config::{Config, SourceChoice};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// 2026-01-01T00:00:00Z.
pub(crate) const START_US: u64 = 1_767_225_600_000_000;
/// A second.
pub(crate) const SECOND_US: u64 = 1_000_000;

/// The engine, its clock, and somebody who sees that all of a second is there.
pub(crate) struct Stage {
    pub(crate) engine: Engine,
    hand: ManualClock,
    witness: Client,
}

/// The default systems on free ports, with a metrics listener. Nobody is pinged.
pub(crate) fn systems() -> Config {
    Config {
        source: SourceChoice::Simulation,
        metrics: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        ping_interval: Duration::from_secs(3_600),
        silence_max: Duration::from_secs(7_200),
        heartbeat_interval: Duration::from_secs(3_600),
        ..config()
    }
}

/// An engine that stands at [`START_US`].
pub(crate) fn standing(config: Config) -> (Engine, ManualClock) {
    let (clock, hand) = Clock::manual(START_US);
    let engine = Engine::builder(config).clock(clock).start().expect("free ports");
    (engine, hand)
}

impl Stage {
    /// Has published what is due at the start; `witnessed` is the topic of the last thing that comes in every second
    /// that is waited for.
    pub(crate) fn start(config: Config, witnessed: &str) -> Self {
        let (engine, hand) = standing(config);
        let (witness, _) = Client::subscribed(http(&engine), &[witnessed]);
        let mut stage = Self { engine, hand, witness };
        stage.witness_now();
        stage
    }

    /// With everything on. Of the updates at the start the validators' is the last.
    pub(crate) fn all() -> Self {
        Self::all_of(systems())
    }

    /// The same, with other options.
    pub(crate) fn all_of(config: Config) -> Self {
        let mut stage = Self::start(config, "chain:validator");
        stage.witness.text(r#"{"op":"unsubscribe","topics":["chain:validator"]}"#);
        assert_eq!(stage.witness.json()["type"], "ack");
        stage.witness.text(r#"{"op":"subscribe","topics":["chain:tps"],"snapshot":false}"#);
        assert_eq!(stage.witness.json()["type"], "ack");
        stage
    }

    /// Moves the clock on and does not wait for anything.
    pub(crate) fn advance_us(&self, by_us: u64) {
        self.hand.advance_us(by_us);
    }

    /// Moves the clock on by so many seconds, each when what is witnessed of the last has come.
    pub(crate) fn pass(&mut self, seconds: u64, step: u64) {
        for _ in 0..seconds / step {
            self.advance_us(step * SECOND_US);
            self.witness_now();
        }
    }

    fn witness_now(&mut self) {
        while self.witness.json()["us"] != self.now_us() {}
    }

    /// What the clock shows, microseconds since 1970.
    pub(crate) fn now_us(&self) -> u64 {
        self.engine.clock().now_us()
    }

    /// What a GET on the HTTP listener is answered, which has to be a success.
    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = get(http(&self.engine), path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// The value of the one series of `/metrics` that is written like this.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let address = self.engine.addresses().metrics.expect("the listener is on");
        let text = get(address, "/metrics").body;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("{series} is not exposed"));
        value.trim().parse().expect("a number")
    }

    /// Clients of the path on both listeners.
    pub(crate) fn on_both(&self, path: &str) -> [Client; 2] {
        [self.engine.addresses().ws, http(&self.engine)].map(|at| Client::open(at, path))
    }
}

/// A message as JSON, its keys in their order.
pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The keys of an object, joined with commas.
pub(crate) fn keys(value: &Value) -> String {
    let object = value.as_object().unwrap_or_else(|| panic!("an object, not {value}"));
    object.keys().map(String::as_str).collect::<Vec<_>>().join(",")
}

/// Panics unless these are the lines of `tests/golden/NAME`; with `UPDATE=1` in the environment they become it.
pub(crate) fn assert_golden(name: &str, lines: &[String]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).expect("the folder is there");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (line, golden)) in text.lines().zip(golden.lines()).enumerate() {
        assert_eq!(line, golden, "line {} of {name}", number + 1);
    }
    assert_eq!(text.lines().count(), golden.lines().count(), "lines of {name}");
}

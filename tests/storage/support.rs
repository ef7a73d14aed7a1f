//! Engines with a store, events for them, and HTTP.

use lineage::config::{Config, SourceChoice};
use lineage::encode::{OnFull, Publisher};
use lineage::event::{Action, Agent, AgentName, Body, Cents, Class, Event, Status};
use lineage::{Engine, store};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder that goes with its test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("storage-{}-{count}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("lineage.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Without a source, with the store at `file`; an empty path is none.
pub(crate) fn config(file: impl Into<PathBuf>) -> Config {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let batch_wait = Duration::from_millis(1);
    Config {
        ws: any_port,
        http: Some(any_port),
        metrics: Some(any_port),
        source: SourceChoice::None,
        shards: 1,
        store: store::Options { batch_wait, ..store::Options::new(file) },
        ..Config::default()
    }
}

/// An engine and a publisher that waits for room.
pub(crate) struct World {
    pub(crate) engine: Engine,
    publisher: Publisher,
}

impl World {
    pub(crate) fn new(file: impl Into<PathBuf>) -> Self {
        Self::of(config(file))
    }

    pub(crate) fn of(config: Config) -> Self {
        let engine = Engine::start(config).unwrap();
        let publisher = engine.publisher().unwrap().on_full(OnFull::SpinPark(PATIENCE));
        Self { engine, publisher }
    }

    pub(crate) fn publish(&mut self, topic: &str, class: Class, time_us: u64, body: Body) {
        let topic = self.engine.topic(topic, class).unwrap();
        self.publisher.publish(Event { topic, key: 0, time_us, body }).unwrap();
    }

    /// A state of the agent `momentum`.
    pub(crate) fn agent(&mut self, time_us: u64, cents: i64) {
        let state = Agent {
            agent: momentum(),
            capital: Cents(cents),
            trades: 3,
            wins: 2,
            scars: 1,
            status: Status::Active,
            action: Action::Won(450),
        };
        self.publish("agent:momentum", Class::State, time_us, Body::Agent(state));
    }

    pub(crate) fn ask(&self, path: &str) -> Value {
        let answer = get(self.engine.addresses().http.unwrap(), path);
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// Blocks until the answer is as it has to be.
    pub(crate) fn wait(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut answer = Value::Null;
        wait_until(path, || {
            answer = self.ask(path);
            is_so(&answer)
        });
        answer
    }

    pub(crate) fn metrics(&self) -> String {
        get(self.engine.addresses().metrics.unwrap(), "/metrics")
    }

    pub(crate) fn end(self) {
        drop(self.publisher);
        let _ = self.engine.drain(PATIENCE);
    }
}

pub(crate) fn momentum() -> Arc<AgentName> {
    Arc::new(AgentName { slug: "momentum".into(), name: "⚡ Momentum".into() })
}

/// Blocks until `is_so`, looking every few milliseconds.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not come about");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The body of an answer.
pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    body.to_owned()
}

/// The value of a series in a scrape.
pub(crate) fn value(scrape: &str, series: &str) -> Option<f64> {
    let line = scrape.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

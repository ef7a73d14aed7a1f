//! Engines on free ports, events to publish, waiting, and HTTP as bytes. What all tests here begin with.
//!
//! Method: everything that fails panics with what was expected; nothing blocks for longer than [`PATIENCE`].

use bytes::Bytes;
use lineage::clock::Clock;
use lineage::config::{Config, SourceChoice};
use lineage::encode::{OnFull, Publisher};
use lineage::event::{Body, Class, Event, Json, Topic};
use lineage::telemetry::EngineCounter;
use lineage::{Engine, event};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longer than anything here takes; reaching it is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Free ports, two shards, no source of its own.
pub(crate) fn config() -> Config {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    Config {
        ws: any_port,
        http: Some(any_port),
        metrics: None,
        source: SourceChoice::None,
        shards: 2,
        ..Config::default()
    }
}

pub(crate) fn start(config: Config) -> Engine {
    Engine::start(config).expect("a valid configuration and free ports")
}

/// Where the HTTP listener is.
pub(crate) fn http(engine: &Engine) -> SocketAddr {
    engine.addresses().http.expect("the listener is on")
}

/// A publisher that waits for room.
pub(crate) fn publisher(engine: &Engine) -> Publisher {
    engine.publisher().expect("a free ring").on_full(OnFull::SpinPark(PATIENCE))
}

pub(crate) fn topic(engine: &Engine, name: &str, class: Class) -> Topic {
    engine.topic(name, class).expect("a good name")
}

/// An event with this payload, published now.
pub(crate) fn external(topic: Topic, payload: &str) -> Event {
    let payload = Json::parse(Bytes::copy_from_slice(payload.as_bytes())).expect("JSON");
    Event { topic, key: 0, time_us: Clock::system().now_us(), body: Body::External(payload) }
}

/// A price, published now.
pub(crate) fn price(engine: &Engine, symbol: &str, cents: i64) -> Event {
    let topic = topic(engine, &format!("market:{symbol}"), Class::State);
    let market = event::Market { symbol: symbol.into(), price: event::Cents(cents) };
    Event { topic, key: 0, time_us: Clock::system().now_us(), body: Body::Market(market) }
}

/// The same event, published at the time of the golden files.
pub(crate) fn golden(event: Event) -> Event {
    Event { time_us: 1_738_512_000_123_456, ..event }
}

/// Blocks until `is_so`, looking every millisecond.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not come about");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Blocks until so many events are in the log.
pub(crate) fn wait_for_events(engine: &Engine, events: u64) {
    wait_until("the events in the log", || {
        engine.telemetry().value(EngineCounter::Events) >= events
    });
}

/// An HTTP response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends `request` and reads until the server closes.
pub(crate) fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the listener is open");
    stream.write_all(request.as_ref()).expect("the server reads");
    answer(stream)
}

fn answer(mut stream: TcpStream) -> Answer {
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer, then the end");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    Answer { status: head[9..12].parse().expect("a status"), body: body.to_owned() }
}

/// Sends a POST to `/v1/publish` whose body comes in these chunks.
pub(crate) fn post(address: SocketAddr, chunks: impl IntoIterator<Item = Vec<u8>>) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the listener is open");
    let head = "POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
        Transfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("the server reads");
    for chunk in chunks {
        let mut framed = format!("{:x}\r\n", chunk.len()).into_bytes();
        framed.extend_from_slice(&chunk);
        framed.extend_from_slice(b"\r\n");
        stream.write_all(&framed).expect("the server reads");
    }
    stream.write_all(b"0\r\n\r\n").expect("the server reads");
    answer(stream)
}

/// A GET without upgrade.
pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    exchange(address, request)
}

//! What a real server sends, frame by frame, against the schemas.
//!
//! Method: an engine with a fast simulation is led through [`STEPS`]; every text frame that comes is validated by its
//! type. At the end every frame of the server has been seen, except for those in [`UNSEEN`]: who adds a step that
//! brings one of them about takes it from there.

use super::client::{Client, Next, TEXT};
use super::schemas::{Schemas, is_v1_frame};
use super::support::{PATIENCE, config, external, get, http, post, publisher, topic, wait_until};
use lineage::Engine;
use lineage::config::Config;
use lineage::event::{Body, Book, Class, Event, Typed};
use lineage::http::PublishAccess;
use lineage::simulation::hub::{self, Board};
use lineage::simulation::{Options, Simulation, chain};
use lineage::telemetry::ShardCounter;
use rust_decimal::Decimal;
use socket2::{Domain, Socket, Type};
use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// What is done in a step.
enum Act {
    /// A new connection to this path takes the place of the last one.
    Connect(&'static str),
    /// The client says this, and a schema takes it.
    Say(&'static str),
    /// The client says this, which no schema takes.
    Blurt(&'static str),
    /// Somebody publishes this line.
    Publish(&'static str),
    /// An order book is published, as a feed's would be.
    Rebuild,
    /// So much is published that the client falls behind.
    FallBehind,
    /// Nothing: the simulation goes on.
    Watch,
    /// The server takes its leave.
    Drain,
}
use Act::{Blurt, Connect, Drain, FallBehind, Publish, Rebuild, Say, Watch};

/// What is done, and the names of the schemas whose frames have come when the next step begins.
const STEPS: &[(Act, &[&str])] = &[
    (Connect("/"), &["legacy-market", "legacy-agent"]),
    (Connect("/?compat=nested"), &["legacy-market-nested", "legacy-agent-nested"]),
    (Connect("/ws"), &["legacy-hub"]),
    (
        Connect("/api/v11/live/stream"),
        &[
            "legacy-chain-welcome",
            "legacy-chain-tps",
            "legacy-chain-block",
            "legacy-chain-network",
            "legacy-chain-validator",
        ],
    ),
    (Connect("/v1"), &["welcome"]),
    (Say(r#"{"op":"ping","id":1,"t":123}"#), &["pong"]),
    (Say(r#"{"op":"ping","id":"a \" b","t":"é"}"#), &["pong"]),
    (Say(r#"{"op":"ping"}"#), &["pong"]),
    (Say(r#"{"op":"subscribe","id":2,"topics":["desk:*","desk:none","*"]}"#), &["ack-subscribe"]),
    (Watch, &["event-market", "event-agent", "event-trade", "event-arena"]),
    (
        Watch,
        &["event-hub", "event-sim-trade", "event-sim-quote", "event-candle", "event-indicator"],
    ),
    (Watch, &["event-chain-tps", "event-chain-block", "event-chain-network"]),
    (Watch, &["event-chain-validator", "event-alert"]),
    (Rebuild, &["event-book"]),
    (Say(r#"{"op":"subscribe","id":3,"topics":["desk:signal:A","a:gap"]}"#), &["ack-subscribe"]),
    (Blurt(r#"{"op":"subscribe","topics":["x y","\u0001"]}"#), &["ack-subscribe"]),
    (Say(r#"{"op":"unsubscribe","id":4,"topics":["*","nobody:*"]}"#), &["ack-unsubscribe"]),
    (Say(r#"{"op":"unsubscribe","topics":["desk:signal:A"]}"#), &["ack-unsubscribe"]),
    (Publish(r#"{"topic":"desk:signal:A","payload":{ "side" : "buy" }}"#), &["event"]),
    (Publish(r#"{"topic":"desk","payload":null}"#), &[]),
    (
        Say(r#"{"op":"publish","id":5,"topic":"desk:signal:B","payload":1}"#),
        &["ack-publish", "event"],
    ),
    (Say(r#"{"op":"publish","topic":"desk:signal:B","payload":1,"class":"state"}"#), &["error"]),
    (Say(r#"{"op":"publish","id":6,"topic":"a:welcome","payload":1}"#), &["error"]),
    (Blurt(r#"{"op":"publish","id":7,"topic":"a b","payload":1}"#), &["error"]),
    (Blurt(r#"{"op":"subscribe","id":8,"topics":[]}"#), &["error"]),
    (Blurt(r#"{"op":"dance","id":9}"#), &["error"]),
    (Blurt("hello"), &["error"]),
    (Say(r#"{"op":"stats","id":10}"#), &["ack-stats"]),
    (Say(r#"{"op":"auth","id":11,"token":"9d41c0"}"#), &["ack-auth"]),
    (
        Say(r#"{"op":"subscribe","topics":["market:*"],"mode":"latest","max_hz":100}"#),
        &["ack-subscribe", "snapshot", "event-market"],
    ),
    (Watch, &["heartbeat"]),
    (Connect("/v1"), &["welcome"]),
    (
        Say(r#"{"op":"subscribe","topics":["desk:*","market:*"],"from":{"epoch":"gone","pos":1}}"#),
        &["ack-subscribe", "gap", "snapshot"],
    ),
    (Say(r#"{"op":"subscribe","topics":["desk:*"],"from":{"epoch":"gone","pos":1}}"#), &["error"]),
    (Say(r#"{"op":"subscribe","topics":["desk:*"],"on_lag":"gap"}"#), &["ack-subscribe"]),
    (Connect("/v1"), &["welcome"]),
    (
        Say(r#"{"op":"subscribe","topics":["desk:*","*"],"from":{"epoch":"EPOCH","pos":1}}"#),
        &["ack-subscribe", "event-market", "event-trade"],
    ),
    (Connect("/v1"), &["welcome"]),
    // Nothing is known of a position that is still to come: it counts as expired.
    (
        Say(
            r#"{"op":"subscribe","topics":["desk:*","market:*"],"from":{"epoch":"EPOCH","pos":9007199254740991}}"#,
        ),
        &["ack-subscribe", "gap", "snapshot"],
    ),
    (FallBehind, &["gap", "snapshot"]),
    (Drain, &["shutdown"]),
];

/// Frames that no step brings about: this engine has a hub.
const UNSEEN: [&str; 1] = ["legacy-hub-off"];

/// An engine, a client, and what it has seen.
struct Stage {
    /// Until it has taken its leave.
    engine: Option<Engine>,
    client: Client,
    schemas: Schemas,
    seen: BTreeSet<String>,
    /// Of the last welcome; it stands for `EPOCH` in what is said.
    epoch: String,
}

/// A simulation in a hurry, a client's budget that is soon spent.
fn engine() -> Engine {
    let options = Options {
        market_interval: Duration::from_millis(50),
        agent_interval: Duration::from_millis(50),
        trade_permille: 900,
        flow_per_s: 20,
        ..Options::default()
    };
    let status_interval = Duration::from_millis(100);
    let hub = hub::Options { status_interval, ..hub::Options::default() };
    let board = Board::new(&hub, Arc::default());
    let ledger = chain::Options {
        tps_interval: Duration::from_millis(200),
        block_interval: Duration::from_millis(200),
        network_interval: Duration::from_millis(300),
        validator_interval: Duration::from_millis(300),
        ..chain::Options::default()
    };
    let simulation =
        Simulation::new(options).with_hub(hub, board).with_chain(ledger, chain::Live::new());
    let config = Config {
        publish: PublishAccess::Loopback,
        heartbeat_interval: Duration::from_secs(1),
        lag_bytes_max: 64 * 1024,
        lag_age_max: Duration::from_secs(600),
        write_stall_max: Duration::from_secs(600),
        send_buffer_bytes: 8 * 1024,
        shards: 1,
        ..config()
    };
    let builder = Engine::builder(config).source(simulation);
    builder.start().expect("free ports")
}

/// A connection that holds little when it is not read.
fn narrow(address: SocketAddr, path: &str) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor");
    socket.set_recv_buffer_size(4_096).expect("a socket");
    socket.connect(&address.into()).expect("the listener is open");
    Client::upgrade(TcpStream::from(socket), path).expect("101")
}

/// Whose frames are sought; legacy ones are at the WebSocket listener.
fn address(engine: &Engine, path: &str) -> SocketAddr {
    if path.starts_with("/v1") { http(engine) } else { engine.addresses().ws }
}

impl Stage {
    fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("the server takes its leave in the last step")
    }

    fn act(&mut self, act: &Act) {
        match act {
            Connect(path) => self.client = narrow(address(self.engine(), path), path),
            Say(message) => {
                let message = message.replace("EPOCH", &self.epoch);
                let value = serde_json::from_str(&message).expect("JSON");
                assert!(self.schemas.takes(&value), "{message}");
                self.client.text(&message);
            }
            Blurt(message) => {
                let value = serde_json::from_str(message);
                assert!(!value.is_ok_and(|value| self.schemas.takes(&value)), "{message}");
                self.client.text(message);
            }
            Publish(line) => {
                let answer = post(http(self.engine()), [line.as_bytes().to_vec()]).json();
                assert_eq!(self.schemas.errors("publish-answer", &answer), [""; 0], "{answer}");
            }
            Rebuild => self.rebuild(),
            FallBehind => self.fall_behind(),
            Watch | Drain => {}
        }
    }

    fn rebuild(&mut self) {
        let level = |price| (Decimal::new(price, 2), Decimal::new(10_087, 4));
        let book = Book {
            symbol: "BTCUSDT".into(),
            is_synchronised: true,
            bids: vec![level(6_168_599), level(6_168_550)],
            asks: vec![level(6_168_600)],
        };
        let event = external(topic(self.engine(), "book:BTCUSDT", Class::State), "0");
        let event = Event { body: Body::Typed(Typed::new(book)), ..event };
        publisher(self.engine()).publish(event).expect("room");
    }

    fn fall_behind(&mut self) {
        let quote = topic(self.engine(), "desk:quote:A", Class::State);
        let mut publisher = publisher(self.engine());
        let payload = format!("\"{}\"", "x".repeat(500));
        let telemetry = self.engine().telemetry();
        wait_until("the client is behind", || {
            (0..100).for_each(|_| publisher.publish(external(quote, &payload)).expect("room"));
            telemetry.sum(ShardCounter::GapEvents) > 0
        });
    }

    /// Reads until a frame of each of these schemas has come.
    fn read(&mut self, names: &[&str]) {
        let mut wanted: BTreeSet<&str> = names.iter().copied().collect();
        while !wanted.is_empty() {
            let text = self.client.message();
            let name = self.schemas.assert_sent(text);
            if name == "welcome" {
                let welcome: serde_json::Value = serde_json::from_str(text).expect("JSON");
                welcome["payload"]["epoch"].as_str().expect("text").clone_into(&mut self.epoch);
            }
            wanted.remove(name.as_str());
            self.seen.insert(name);
        }
    }

    /// Reads what comes while the engine drains, to the close frame.
    fn drain(&mut self, names: &[&str]) {
        let engine = self.engine.take().expect("it takes its leave once");
        std::thread::scope(|scope| {
            scope.spawn(|| engine.drain(PATIENCE));
            let mut last = String::new();
            while let Next::Frame(opcode, range) = self.client.next() {
                if opcode == TEXT {
                    let text = std::str::from_utf8(self.client.bytes(range)).expect("text");
                    last = self.schemas.assert_sent(text);
                    self.seen.insert(last.clone());
                }
            }
            assert_eq!(names, [last]);
        });
    }
}

#[test]
fn every_frame_that_comes_is_what_its_schema_says_and_every_kind_comes() {
    let (engine, schemas) = (engine(), Schemas::load());
    let client = narrow(engine.addresses().ws, "/");
    let (seen, epoch) = (BTreeSet::new(), String::new());
    let mut stage = Stage { engine: Some(engine), client, schemas, seen, epoch };
    for (act, names) in STEPS {
        stage.act(act);
        if matches!(act, Drain) { stage.drain(names) } else { stage.read(names) }
    }
    let is_frame = |name: &&str| is_v1_frame(name) || name.starts_with("legacy-");
    let all: BTreeSet<&str> = stage.schemas.names().filter(is_frame).collect();
    let unseen: Vec<&str> = all.into_iter().filter(|name| !stage.seen.contains(*name)).collect();
    assert_eq!(unseen, UNSEEN);
}

#[test]
fn what_is_refused_over_http_is_a_problem_of_its_schema() {
    let engine = super::support::start(config());
    let schemas = Schemas::load();
    let answers = [get(http(&engine), "/nothing"), post(http(&engine), [b"{}".to_vec()])];
    for (answer, status) in answers.iter().zip([404, 403]) {
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(schemas.errors("http-problem", &answer.json()), [""; 0], "{answer:?}");
    }
}

#[test]
fn s34_without_a_hub_a_client_that_asks_is_told_so_as_the_schema_says() {
    let engine = super::support::start(config());
    let mut client = Client::open(http(&engine), "/ws");
    client.text(r#"{"action":"get_hub_status"}"#);
    assert_eq!(Schemas::load().assert_sent(client.message()), UNSEEN[0]);
}

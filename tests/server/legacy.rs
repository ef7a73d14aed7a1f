//! The firehose of older clients: connect, read, nothing else.
//!
//! Method: events of a fixed time are compared with the golden bytes; then the simulation itself is watched.

use super::client::{BINARY, Client, Next, PING, PONG, TEXT, masked};
use super::support::{
    config, exchange, get, golden, http, price, publisher, start, topic, wait_for_events,
    wait_until,
};
use lineage::Engine;
use lineage::config::{Config, SourceChoice};
use lineage::event::{Action, Agent, AgentName, Body, Cents, Class, Event, Status};
use lineage::telemetry::ShardCounter;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) const MARKET: &str = include_str!("../golden/legacy_market.json");
pub(crate) const AGENT: &str = include_str!("../golden/legacy_agent.json");

pub(crate) fn momentum(engine: &Engine) -> Event {
    let agent = Agent {
        agent: Arc::new(AgentName { slug: "momentum".into(), name: "⚡ Momentum".into() }),
        capital: Cents(5_000_000),
        trades: 5,
        wins: 3,
        scars: 1,
        status: Status::Active,
        action: Action::Won(450),
    };
    let topic = topic(engine, "agent:momentum", Class::State);
    Event { topic, key: 0, time_us: 0, body: Body::Agent(agent) }
}

#[test]
fn s02_s08_s09_a_new_client_gets_the_last_values_at_once_in_the_golden_bytes() {
    let engine = start(config());
    let mut publisher = publisher(&engine);
    let events = [
        price(&engine, "BTC-USD", 4_199_900),
        price(&engine, "ETH-USD", 230_005),
        momentum(&engine),
        price(&engine, "BTC-USD", 4_200_050),
    ];
    for event in events {
        publisher.publish(golden(event)).expect("room");
    }
    wait_for_events(&engine, 4);
    let mut client = Client::open(engine.addresses().ws, "/");
    assert_eq!(client.message(), MARKET.trim_end());
    let ether = MARKET.trim_end().replace("BTC-USD", "ETH-USD").replace("42000.50", "2300.05");
    assert_eq!(client.message(), ether);
    assert_eq!(client.message(), AGENT.trim_end());
    // And then what comes, in order, each once.
    for cents in 1..=500 {
        publisher.publish(price(&engine, "ETH-USD", cents)).expect("room");
    }
    for cents in 1..=500 {
        let part = format!("\"ETH-USD\",\"price\":{}.{:02},", cents / 100, cents % 100);
        let text = client.message();
        assert!(text.contains(&part), "{part} in {text}");
    }
}

#[test]
fn s01_s02_s03_the_simulation_greets_a_client_with_both_prices_and_all_agents() {
    let engine = start(Config { source: SourceChoice::Simulation, ..config() });
    let mut client = Client::open(engine.addresses().ws, "/");
    let mut seen = Vec::new();
    for _ in 0..5 {
        let text = client.message().to_owned();
        let message: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let stamp = message["timestamp"].as_u64().expect("seconds");
        assert!(stamp.abs_diff(engine.clock().now_us() / 1_000_000) < 60, "{text}");
        // The same message in the golden order and number formats.
        if message["type"] == "market" {
            let (symbol, price) = (message["symbol"].as_str(), message["price"].as_f64());
            let (symbol, price) = (symbol.expect("text"), price.expect("a number"));
            let (middle, reach) =
                if symbol == "BTC-USD" { (42_000.0, 1_000.0) } else { (2_300.0, 100.0) };
            assert!((price - middle).abs() <= reach, "{text}");
            let golden = format!(
                r#"{{"type":"market","symbol":"{symbol}","price":{price:.2},"timestamp":{stamp}}}"#
            );
            assert_eq!(text, golden);
            seen.push(symbol.to_owned());
        } else {
            let name = message["agent_name"].as_str().expect("text").to_owned();
            let number = |key: &str| message[key].as_f64().expect("a number");
            let action = message["action"].as_str().expect("text");
            assert!(action.starts_with(&name), "{text}");
            let golden = format!(
                r#"{{"type":"agent","agent_name":"{name}","capital":{:.2},"trades":{},"win_rate":{:.1},"scars":{},"action":"{action}","timestamp":{stamp}}}"#,
                number("capital"),
                message["trades"],
                number("win_rate"),
                message["scars"]
            );
            assert_eq!(text, golden);
            seen.push(name);
        }
    }
    seen.sort();
    assert_eq!(seen, ["BTC-USD", "ETH-USD", "⚖️ Balanced", "⚡ Momentum", "🛡️ Conservative"]);
}

#[test]
fn the_simulation_publishes_both_prices_at_start_and_stops_at_once() {
    let options = lineage::simulation::Options {
        market_interval: Duration::from_secs(3_600),
        agent_interval: Duration::from_secs(3_600),
        ..lineage::simulation::Options::default()
    };
    let simulation = lineage::simulation::Simulation::new(options);
    let engine = Engine::builder(config()).source(simulation).start().expect("a free port");
    let (mut client, _) = Client::subscribed(engine.addresses().ws, &["*"]);
    wait_for_events(&engine, 5);
    let mut fresh = Client::open(engine.addresses().ws, "/");
    let prices = [fresh.message().to_owned(), fresh.message().to_owned()];
    assert!(prices[0].contains("BTC-USD") && prices[1].contains("ETH-USD"), "{prices:?}");
    // It would sleep for an hour.
    let begun = Instant::now();
    let draining = std::thread::spawn(move || engine.drain(Duration::from_secs(20)));
    assert_eq!((client.closed().0, fresh.closed().0), (1001, 1001));
    drop((client, fresh));
    assert_eq!(draining.join().expect("no panic").dropped, 0);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn s06_what_a_plain_client_says_is_counted_and_ignored_and_its_pings_are_answered() {
    let engine = start(config());
    let mut client = Client::open(engine.addresses().ws, "/");
    client.text("subscribe please");
    client.text(r#"{"op":"subscribe","topics":["*"]}"#);
    client.raw(&masked(BINARY, &[0, 159, 146, 150]));
    for payload in [&b""[..], b"are you there?", &[b'x'; 125]] {
        client.raw(&masked(PING, payload));
        let Next::Frame(PONG, range) = client.next() else { panic!("a pong") };
        assert_eq!(client.bytes(range), payload, "and nothing before it");
    }
    let telemetry = engine.telemetry();
    wait_until("three ignored messages", || telemetry.sum(ShardCounter::IgnoredMessages) == 3);
    publisher(&engine).publish(golden(price(&engine, "BTC-USD", 4_200_050))).expect("room");
    assert_eq!(client.message(), MARKET.trim_end());
}

#[test]
fn events_without_a_legacy_form_are_not_sent_to_plain_clients() {
    let engine = start(config());
    let mut client = Client::open(engine.addresses().ws, "/");
    let mut publisher = publisher(&engine);
    let foreign = topic(&engine, "binance:trade:BTCUSDT", Class::Event);
    publisher.publish(super::support::external(foreign, "{\"p\":1}")).expect("room");
    publisher.publish(golden(price(&engine, "BTC-USD", 4_200_050))).expect("room");
    let Next::Frame(TEXT, range) = client.next() else { panic!("a message") };
    assert_eq!(client.bytes(range), MARKET.trim_end().as_bytes());
}

#[test]
fn other_paths_are_not_found_and_a_page_request_is_told_to_upgrade() {
    let engine = start(config());
    let (ws, http) = (engine.addresses().ws, http(&engine));
    for (address, path) in [(ws, "/other"), (ws, "/v2"), (ws, "/v1/"), (ws, "//"), (http, "/")] {
        let stream = TcpStream::connect(address).expect("the listener is open");
        assert_eq!(Client::upgrade(stream, path).err(), Some(404), "{path}");
    }
    for (address, path, status) in [(ws, "/", 426), (ws, "/v1", 426), (ws, "/index.html", 404)] {
        assert_eq!(get(address, path).status, status, "{path}");
    }
    let post =
        "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(exchange(ws, post).status, 405);
    assert_eq!(get(http, "/v1").status, 426);
}

#[test]
fn a_web_socket_path_of_the_http_listener_gives_what_it_gives_on_the_other() {
    let engine = start(config());
    let mut publisher = publisher(&engine);
    for path in ["/v1", "/v1?later=1"] {
        let mut clients = [engine.addresses().ws, http(&engine)].map(|at| Client::open(at, path));
        for client in &mut clients {
            assert_eq!(client.json()["type"], "welcome", "{path}");
            client.subscribe(&["market:*"]);
            assert_eq!(client.json()["type"], "ack", "{path}");
        }
        publisher.publish(golden(price(&engine, "BTC-USD", 4_200_050))).expect("room");
        let [on_ws, on_http] = clients.map(|mut client| {
            loop {
                let message = client.message().to_owned();
                if message.starts_with("{\"type\":\"market\"") {
                    break message;
                }
            }
        });
        assert_eq!(on_ws, on_http, "{path}");
    }
}

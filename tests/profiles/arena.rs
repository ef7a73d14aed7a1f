//! The arena over sockets: intervals, forms of messages, bands of prices, many clients.

use super::client::Client;
use super::support::{config, start, wait_until};
use lineage::Engine;
use lineage::clock::Clock;
use lineage::config::{Config, Profile, SourceChoice};
use lineage::simulation::Symbol;
use serde_json::Value;
use std::time::Duration;

const START_US: u64 = 1_767_225_600_000_000;

/// A server of this profile on free ports, whose clients need not say anything for hours.
fn profile(profile: Profile) -> Config {
    let Config { ws, http, shards, .. } = config();
    Config {
        ws,
        http,
        metrics: None,
        shards,
        source: SourceChoice::Simulation,
        ping_interval: Duration::from_secs(3_600),
        silence_max: Duration::from_secs(7_200),
        ..profile.config()
    }
}

/// Prices and agents as fast as a test wants to read them.
fn fast() -> Config {
    let mut config = profile(Profile::All);
    config.arena.market_interval = Duration::from_millis(5);
    config.arena.agent_interval = Duration::from_millis(5);
    config
}

#[test]
fn s02_s03_each_profile_of_the_arena_keeps_its_intervals() {
    let (s, hour_s) = (Duration::from_secs, 3_600);
    let mut slowest = profile(Profile::Arena);
    // 0.03 events per second.
    slowest.arena.market_interval = s(33);
    slowest.arena.agent_interval = s(hour_s);
    for (name, config, [market_s, agent_s]) in [
        ("arena", profile(Profile::Arena), [5, 10]),
        ("arena-slow", profile(Profile::ArenaSlow), [30, 15]),
        ("single options", slowest, [33, hour_s]),
    ] {
        let (clock, hand) = Clock::manual(START_US);
        let engine = Engine::builder(config).clock(clock).start().expect("free ports");
        let mut client = Client::open(engine.addresses().ws, "/");
        // The greeting is the first prices and states; then each of the next 60 seconds has what is due in it.
        for second in 0..=60 {
            if second > 0 {
                hand.advance_us(1_000_000);
            }
            let mut expected = Vec::new();
            if second % market_s == 0 {
                expected.extend(["BTC-USD", "ETH-USD"]);
            }
            if second % agent_s == 0 {
                expected.extend(["⚡ Momentum", "🛡️ Conservative", "⚖️ Balanced"]);
            }
            for expected in expected {
                let message = client.json();
                let subject = message["symbol"].as_str().or(message["agent_name"].as_str());
                assert_eq!(subject, Some(expected), "{name}, second {second}: {message}");
                let stamp = START_US / 1_000_000 + second;
                assert_eq!(message["timestamp"], stamp, "{name}, second {second}: {message}");
            }
        }
    }
}

#[test]
fn s04_hundreds_of_clients_on_defaults_are_greeted_and_get_the_next_price() {
    // As many as a test may open descriptors for; the load tester connects the thousands.
    const CLIENTS: usize = 400;
    let (clock, hand) = Clock::manual(START_US);
    let engine = Engine::builder(profile(Profile::All)).clock(clock).start().expect("free ports");
    let mut clients: Vec<Client> =
        (0..CLIENTS).map(|_| Client::open(engine.addresses().ws, "/?types=market")).collect();
    for client in &mut clients {
        let prices = [client.json(), client.json()].map(|price| price["symbol"].clone());
        assert_eq!(prices, ["BTC-USD", "ETH-USD"]);
    }
    wait_until("all are counted", || engine.clients() == CLIENTS);
    hand.advance_us(5_000_000);
    let first = [clients[0].message().to_owned(), clients[0].message().to_owned()];
    for client in &mut clients[1..] {
        assert_eq!([client.message().to_owned(), client.message().to_owned()], first);
    }
}

#[test]
fn s07_every_message_of_every_stream_is_one_json_object_with_a_type() {
    let engine = start(fast());
    let ws = engine.addresses().ws;
    for (path, messages) in [("/", 50), ("/v1", 50), ("/api/v11/live/stream", 5), ("/ws", 1)] {
        let mut client = Client::open(ws, path);
        if path == "/v1" {
            client.subscribe(&["*"]);
        }
        for _ in 0..messages {
            let message = client.json();
            assert!(message["type"].is_string(), "{path}: {message}");
        }
    }
}

#[test]
fn s08_s09_s10_the_simulation_speaks_in_the_legacy_forms_flat_and_nested() {
    let engine = start(fast());
    for path in ["/", "/?compat=nested"] {
        let mut client = Client::open(engine.addresses().ws, path);
        for _ in 0..60 {
            let text = client.message().to_owned();
            let message: Value = serde_json::from_str(&text).expect("JSON");
            let (kind, flat) = match (&message["market"], &message["agent"]) {
                (Value::Null, Value::Null) => (message["type"].clone(), message),
                (market, Value::Null) => ("market".into(), market.clone()),
                (_, agent) => ("agent".into(), agent.clone()),
            };
            let number = |key: &str| flat[key].as_f64().unwrap_or_else(|| panic!("{key}: {text}"));
            let body = if kind == "market" {
                let (price, stamp) = (number("price"), &flat["timestamp"]);
                format!(r#""symbol":{},"price":{price:.2},"timestamp":{stamp}}}"#, flat["symbol"])
            } else {
                format!(
                    r#""agent_name":{},"capital":{:.2},"trades":{},"win_rate":{:.1},"scars":{},"action":{},"timestamp":{}}}"#,
                    flat["agent_name"],
                    number("capital"),
                    flat["trades"],
                    number("win_rate"),
                    flat["scars"],
                    flat["action"],
                    flat["timestamp"]
                )
            };
            assert!(
                text.trim_end_matches('}').ends_with(body.trim_end_matches('}')),
                "{text}: {body}"
            );
            assert_eq!(path == "/", text.starts_with(&format!(r#"{{"type":{kind}"#)), "{text}");
        }
    }
}

#[test]
fn s14_prices_of_every_symbol_stay_in_their_band_and_move() {
    let mut config = profile(Profile::Bench);
    // Few enough agents that the test reads prices.
    config.arena.agent_interval = Duration::from_secs(3_600);
    config.arena.market_interval = Duration::from_micros(2_000);
    config.arena.symbols.push(Symbol::new("SOL-USD", 150, 20));
    let engine = start(config);
    let mut client = Client::open(engine.addresses().ws, "/?types=market");
    for (symbol, middle, band) in
        [("BTC-USD", 42_000.0, 1_000.0), ("ETH-USD", 2_300.0, 100.0), ("SOL-USD", 150.0, 20.0)]
    {
        let (mut lowest, mut highest) = (f64::MAX, f64::MIN);
        let mut prices = 0;
        while prices < 400 {
            let message = client.json();
            if message["symbol"] == symbol {
                let price = message["price"].as_f64().expect("a number");
                assert!((price - middle).abs() <= band, "{message}");
                (lowest, highest) = (lowest.min(price), highest.max(price));
                prices += 1;
            }
        }
        assert!(highest - lowest > band / 4.0, "{symbol} stayed between {lowest} and {highest}");
    }
}

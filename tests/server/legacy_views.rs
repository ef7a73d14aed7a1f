//! The views of the firehose: what a query picks, in which form, and what a reader that is too slow is given.
//!
//! Method: events of a fixed time are compared with the golden bytes; every view is open at once, and each is told
//! the same rounds of events, so that a message too many in one round is found in the next.

use super::client::Client;
use super::legacy::{AGENT, MARKET, momentum};
use super::slow::narrow;
use super::support::{
    config, external, get, golden, http, price, publisher, start, topic, wait_for_events,
    wait_until,
};
use lineage::Engine;
use lineage::config::Config;
use lineage::encode::Publisher;
use lineage::event::{Class, Event};
use lineage::telemetry::{EngineCounter, ShardCounter};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::TcpStream;
use std::time::Duration;

const MARKET_NESTED: &str = include_str!("../golden/legacy_market_nested.json");
const AGENT_NESTED: &str = include_str!("../golden/legacy_agent_nested.json");

/// What is said of each round, in order: a bitcoin, an ether, an agent, a doge.
const ROUND: [char; 4] = ['B', 'E', 'A', 'D'];

/// Which of these each view gets.
const VIEWS: &[(&str, &str)] = &[
    ("/", "BEAD"),
    ("/?compat=nested", "BEAD"),
    ("/?types=market", "BED"),
    ("/?types=agent&compat=nested", "A"),
    ("/?types=market,agent", "BEAD"),
    ("/?types=market&symbols=BTC-USD", "B"),
    ("/?compat=nested&types=market&symbols=ETH-USD,BTC-USD", "BE"),
    ("/?symbols=ETH-USD", "EA"),
    ("/?types=agent&symbols=ETH-USD", "A"),
    ("/?types=market&symbols=DOGE-USD", "D"),
    ("/?types=market%2Cagent&symbols=%44OGE-USD&volume=11", "AD"),
];

/// The bytes of one of the four in a view.
fn text(what: char, path: &str) -> String {
    let is_nested = path.contains("nested");
    let market = if is_nested { MARKET_NESTED } else { MARKET }.trim_end();
    let priced =
        |symbol: &str, cents: &str| market.replace("BTC-USD", symbol).replace("42000.50", cents);
    match what {
        'B' => market.to_owned(),
        'E' => priced("ETH-USD", "2300.05"),
        'D' => priced("DOGE-USD", "0.07"),
        _ => if is_nested { AGENT_NESTED } else { AGENT }.trim_end().to_owned(),
    }
}

fn event(engine: &Engine, what: char) -> Event {
    golden(match what {
        'B' => price(engine, "BTC-USD", 4_200_050),
        'E' => price(engine, "ETH-USD", 230_005),
        'D' => price(engine, "DOGE-USD", 7),
        _ => momentum(engine),
    })
}

fn publish(engine: &Engine, publisher: &mut Publisher, round: &[char]) {
    let foreign = topic(engine, "binance:trade:BTCUSDT", Class::Event);
    for &what in round {
        publisher.publish(event(engine, what)).expect("room");
        publisher.publish(external(foreign, "1")).expect("room");
    }
}

#[test]
fn s10_each_view_gets_its_messages_alone_in_the_golden_bytes_greeting_included() {
    let engine = start(config());
    let mut publisher = publisher(&engine);
    // Nobody has heard of a doge when the clients come.
    publish(&engine, &mut publisher, &ROUND[..3]);
    wait_for_events(&engine, 6);
    let mut clients: Vec<_> = VIEWS
        .iter()
        .map(|(path, wanted)| (*path, *wanted, Client::open(engine.addresses().ws, path)))
        .collect();
    for (path, wanted, client) in &mut clients {
        for what in ROUND[..3].iter().filter(|what| wanted.contains(**what)) {
            assert_eq!(client.message(), text(*what, path), "{path} greeting");
        }
    }
    wait_until("all are served", || engine.clients() == VIEWS.len());
    for round in 0..3 {
        publish(&engine, &mut publisher, &ROUND);
        for (path, wanted, client) in &mut clients {
            for what in ROUND.iter().filter(|what| wanted.contains(**what)) {
                assert_eq!(client.message(), text(*what, path), "{path} round {round}");
            }
        }
    }
}

#[test]
fn what_the_client_of_a_view_says_is_counted_and_ignored() {
    let engine = start(config());
    let mut client = Client::open(engine.addresses().ws, "/?compat=nested&types=market");
    client.text(r#"{"op":"subscribe","topics":["*"]}"#);
    client.text("types=agent");
    client.assert_served();
    let telemetry = engine.telemetry();
    assert_eq!(telemetry.sum(ShardCounter::IgnoredMessages), 2);
    let mut publisher = publisher(&engine);
    publish(&engine, &mut publisher, &['A', 'B']);
    assert_eq!(client.message(), MARKET_NESTED.trim_end());
}

#[test]
fn a_query_that_no_view_can_obey_is_refused_by_name() {
    let engine = start(config());
    let ws = engine.addresses().ws;
    for (query, named) in [
        ("types=markets", r#"types: "markets" is not market or agent"#),
        ("types=market,", r#"types: "" is not market or agent"#),
        ("symbols=BTC%2FUSD", r#"symbols: "BTC/USD" is not a symbol"#),
        ("symbols=*", r#"symbols: "*" is not a symbol"#),
        ("compat=flat", r#"compat: "flat" is not nested"#),
    ] {
        let path = format!("/?{query}");
        let stream = TcpStream::connect(ws).expect("the listener is open");
        assert_eq!(Client::upgrade(stream, &path).err(), Some(400), "{path}");
        let answer = get(ws, &path);
        assert_eq!(answer.status, 400);
        assert!(answer.body.starts_with(&format!("bad query: {named}")), "{answer:?}");
    }
    let refused = engine.telemetry().value(EngineCounter::HandshakesRefused400);
    assert_eq!(refused, 10);
    // The query of other paths is not looked at.
    let mut client = Client::open(http(&engine), "/v1?types=markets&compat=flat");
    assert_eq!(client.json()["type"], "welcome");
}

#[test]
fn sixty_four_symbols_may_be_named_and_one_more_is_refused() {
    let engine = start(config());
    for (count, expected) in [(63, None), (64, None), (65, Some(400))] {
        let symbols: Vec<String> = (0..count).map(|n| format!("S{n}")).collect();
        let path = format!("/?types=market&symbols={}", symbols.join(","));
        let stream = TcpStream::connect(engine.addresses().ws).expect("the listener is open");
        let client = Client::upgrade(stream, &path);
        assert_eq!(client.as_ref().err().copied(), expected, "{count}");
        let Ok(mut client) = client else { continue };
        client.assert_served();
        let mut publisher = publisher(&engine);
        let last = price(&engine, symbols.last().expect("one"), 100);
        publisher.publish(price(&engine, "BTC-USD", 100)).expect("room");
        publisher.publish(last).expect("room");
        let message = client.json();
        assert_eq!(message["symbol"], symbols[count - 1], "the last one counts too");
    }
}

/// The prices are one cent, two cents, and so on.
const PRICES: i64 = 6_000;
const PRICE_LAST: f64 = 60.0;

/// A reader that stands still while thousands of prices of two symbols and of an agent go by.
/// What it is given, until it has the newest prices of `symbols`, and the agent's state if it wants that.
fn fall_behind(
    path: &str,
    symbols: &[&str],
    wants_agent: bool,
    key: fn(&Value) -> String,
) -> BTreeMap<String, Vec<f64>> {
    let limits = Config {
        lag_bytes_max: 16 * 1024,
        lag_age_max: Duration::from_secs(600),
        write_stall_max: Duration::from_secs(600),
        send_buffer_bytes: 8 * 1024,
        shards: 1,
        ..config()
    };
    let engine = start(limits);
    let mut slow = Client::upgrade(narrow(engine.addresses().ws), path).expect("101");
    slow.assert_served();
    let mut publisher = publisher(&engine);
    for cents in 1..=PRICES {
        for symbol in ["BTC-USD", "ETH-USD"] {
            publisher.publish(price(&engine, symbol, cents)).expect("room");
        }
        publisher.publish(momentum(&engine)).expect("room");
    }
    wait_until("it was moved on", || engine.telemetry().sum(ShardCounter::GapEvents) > 0);
    wait_for_events(&engine, 3 * PRICES.unsigned_abs());
    let mut seen: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    loop {
        let text = slow.message();
        for word in ["\"seq\"", "\"pos\"", "\"topic\"", "gap", "snapshot", "payload"] {
            assert!(!text.contains(word), "{word} on a plain URL: {text}");
        }
        let message: Value = serde_json::from_str(text).expect("whole messages alone");
        let inner = message.get("market").unwrap_or(&message);
        seen.entry(key(&message)).or_default().push(inner["price"].as_f64().unwrap_or(0.0));
        let is_at_end =
            |name: &&str| seen.get(*name).and_then(|prices| prices.last()) == Some(&PRICE_LAST);
        let has_agent = seen.contains_key("⚡ Momentum");
        if symbols.iter().all(is_at_end) && has_agent == wants_agent {
            break seen;
        }
    }
}

fn assert_conflated(seen: &BTreeMap<String, Vec<f64>>, symbols: &[&str]) {
    for symbol in symbols {
        let prices = &seen[*symbol];
        assert!(prices.is_sorted_by(|before, after| before < after), "{symbol}: prices rise");
        assert!((prices.len() as u64) < PRICES.unsigned_abs(), "{symbol}: some were passed over");
    }
}

#[test]
fn a_slow_reader_of_the_nested_form_gets_the_newest_of_each_symbol_and_agent() {
    let seen = fall_behind("/?compat=nested", &["BTC-USD", "ETH-USD"], true, |message| {
        let (kind, inner) = message.as_object().expect("an object").iter().next().expect("a kind");
        assert_eq!(inner["type"], **kind, "{message}");
        let name = &inner[if kind == "market" { "symbol" } else { "agent_name" }];
        name.as_str().expect("a name").to_owned()
    });
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["BTC-USD", "ETH-USD", "⚡ Momentum"]);
    assert_conflated(&seen, &["BTC-USD", "ETH-USD"]);
}

#[test]
fn a_slow_reader_of_one_symbol_gets_the_newest_of_it_and_of_nothing_else() {
    let seen = fall_behind("/?types=market&symbols=ETH-USD", &["ETH-USD"], false, |message| {
        assert_eq!(message["type"], "market", "{message}");
        message["symbol"].as_str().expect("a name").to_owned()
    });
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["ETH-USD"]);
    assert_conflated(&seen, &["ETH-USD"]);
}

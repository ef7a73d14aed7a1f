//! Topics, agents and markets over REST, and how the gateway treats requests.

use super::http::{Reply, ask, get};
use super::support::{
    self, config, external, golden, price, publisher, topic, wait_for_events, wait_until,
};
use flate2::read::GzDecoder;
use lineage::config::{Config, SourceChoice};
use lineage::event::{Action, Agent, AgentName, Body, Cents, Class, Event, Status};
use serde_json::{Value, json};
use std::io::Read;
use std::sync::Arc;

fn momentum(topic: lineage::event::Topic) -> Event {
    let agent = AgentName { slug: "momentum".into(), name: "⚡ Momentum".into() };
    let body = Body::Agent(Agent {
        agent: Arc::new(agent),
        capital: Cents(5_000_050),
        trades: 5,
        wins: 3,
        scars: 1,
        status: Status::Active,
        action: Action::Won(450),
    });
    Event { topic, key: 0, time_us: 0, body }
}

#[test]
fn topics_are_listed_with_class_kind_and_newest_seq() {
    let engine = support::start(Config { pipeline_enabled: false, ..config() });
    let http = support::http(&engine);
    let empty = get(http, "/api/topics?pattern=desk:*").json();
    assert_eq!(empty, json!({ "total": 0, "topics": [] }));
    let mut publisher = publisher(&engine);
    let signal = topic(&engine, "desk:signal:BTC", Class::Event);
    topic(&engine, "desk:quote:BTC", Class::State);
    for n in 1..=3 {
        publisher.publish(external(signal, &n.to_string())).expect("room");
    }
    wait_for_events(&engine, 3);
    let rows = json!([
        { "name": "desk:signal:BTC", "class": "event", "kind": "signal", "seq": 3 },
        { "name": "desk:quote:BTC", "class": "state", "kind": "quote", "seq": 0 },
    ]);
    // Another spelling of the query is another answer in the cache.
    let all = get(http, "/api/topics?pattern=desk:*&limit=2").json();
    assert_eq!(all, json!({ "total": 2, "topics": rows }));
    let first = get(http, "/api/topics?pattern=desk:*&limit=1").json();
    assert_eq!((&first["total"], &first["topics"]), (&json!(2), &json!([rows[0]])));
    let exact = get(http, "/api/topics?pattern=desk:quote:BTC").json();
    assert_eq!(exact["topics"], json!([rows[1]]));
    for (query, detail) in [
        ("pattern=de*sk", "pattern is \"de*sk\", and neither a topic nor a pattern"),
        ("limit=0", "limit is \"0\", and not an integer from 1 to 65536"),
        ("limit=65537", "limit is \"65537\", and not an integer from 1 to 65536"),
    ] {
        let refused = get(http, &format!("/api/topics?{query}"));
        assert_eq!((refused.status, &*refused.detail()), (400, detail));
    }
    for limit in [1, 65_536] {
        assert_eq!(get(http, &format!("/api/topics?limit={limit}")).status, 200);
    }
}

#[test]
fn an_agents_state_is_that_of_its_last_message() {
    let engine = support::start(config());
    let http = support::http(&engine);
    let off = json!({ "status": "not_available" });
    for path in ["/api/agents", "/api/agents/nobody", "/api/market", "/api/market/BTC-USD"] {
        let answer = get(http, path);
        assert_eq!((answer.status, answer.json()), (200, off.clone()), "{path}");
    }
    let mut publisher = publisher(&engine);
    let topic = topic(&engine, "agent:momentum", Class::State);
    for _ in 0..2 {
        publisher.publish(golden(momentum(topic))).expect("room");
    }
    wait_for_events(&engine, 2);
    let expected = json!({
        "agent": "momentum", "name": "⚡ Momentum", "capital": 50_000.5, "trades": 5, "win_rate": 0.6, "scars": 1,
        "status": "active", "action": "⚡ Momentum WON trade (+$450)", "seq": 2, "us": 1_738_512_000_123_456_u64,
    });
    assert_eq!(get(http, "/api/agents/momentum").json(), expected);
    wait_until("the list", || get(http, "/api/agents").json() == json!({ "agents": [expected] }));
    let unknown = get(http, "/api/agents/nobody?x");
    assert_eq!(
        (unknown.status, &*unknown.detail()),
        (404, "there is no agent \"nobody\"; /api/agents lists them")
    );
}

#[test]
fn a_market_shows_its_last_price_whether_it_is_in_the_log_or_has_left_it() {
    let engine = support::start(Config { log_segments: 2, ..config() });
    let http = support::http(&engine);
    let mut publisher = publisher(&engine);
    for (symbol, cents) in [("ETH-USD", 230_000), ("BTC-USD", 1), ("BTC-USD", 4_200_050)] {
        publisher.publish(golden(price(&engine, symbol, cents))).expect("room");
    }
    wait_for_events(&engine, 3);
    let us = 1_738_512_000_123_456_u64;
    let markets = json!({ "markets": [
        { "symbol": "BTC-USD", "price": 42_000.5, "seq": 2, "us": us },
        { "symbol": "ETH-USD", "price": 2_300.0, "seq": 1, "us": us },
    ]});
    assert_eq!(get(http, "/api/market").json(), markets);
    // Two segments are 512 KiB; this is more than twice that.
    let filler = topic(&engine, "desk:signal:BTC", Class::Event);
    let long = format!("\"{}\"", "x".repeat(8_000));
    for _ in 0..200 {
        publisher.publish(external(filler, &long)).expect("room");
    }
    wait_for_events(&engine, 203);
    publisher.publish(golden(price(&engine, "ETH-USD", 240_000))).expect("room");
    wait_for_events(&engine, 204);
    assert_eq!(get(http, "/api/market/BTC-USD").json(), markets["markets"][0]);
    assert_eq!(get(http, "/api/market/ETH-USD").json()["price"], 2_400.0);
    let unknown = get(http, "/api/market/DOGE-USD");
    assert_eq!(
        (unknown.status, &*unknown.detail()),
        (404, "there is no market \"DOGE-USD\"; /api/market lists them")
    );
}

#[test]
fn the_arena_is_there_over_rest() {
    let engine = support::start(Config { source: SourceChoice::Simulation, ..config() });
    let http = support::http(&engine);
    let count =
        |path: &str, list: &str| get(http, path).json()[list].as_array().map_or(0, Vec::len);
    wait_until("three agents", || count("/api/agents", "agents") == 3);
    wait_until("two markets", || count("/api/market", "markets") == 2);
    let names: Vec<Value> = get(http, "/api/agents").json()["agents"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|agent| agent["agent"].clone())
        .collect();
    assert_eq!(names, ["balanced", "conservative", "momentum"]);
}

#[test]
fn methods_encodings_and_origins_are_answered_as_http_has_it() {
    let origins = vec!["https://desk.example".to_owned()];
    let engine = support::start(Config { origins, ..config() });
    let http = support::http(&engine);
    let head = ask(http, "HEAD", "/api/topics", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("cache-control"), "no-store");
    assert_eq!(head.header("content-type"), "application/json");
    for method in ["POST", "DELETE", "PUT", "PATCH"] {
        let refused = ask(http, method, "/api/agents", &["Content-Length: 0"]);
        assert_eq!((refused.status, refused.header("allow")), (405, "GET, HEAD"), "{method}");
        assert_eq!(refused.detail(), "allowed here: GET, HEAD");
    }
    // What a route does not know is passed over.
    assert_eq!(get(http, "/api/topics?nothing=1").status, 200);
    let packed = ask(http, "GET", "/api/openapi.json", &["Accept-Encoding: gzip"]);
    assert_eq!((packed.header("content-encoding"), packed.header("vary")), ("gzip", VARY));
    let mut text = String::new();
    GzDecoder::new(&packed.body[..]).read_to_string(&mut text).expect("gzip");
    assert_eq!(serde_json::from_str::<Value>(&text).expect("json")["openapi"], "3.1.0");
    let plain = get(http, "/api/openapi.json");
    assert_eq!((plain.text(), plain.header("content-encoding")), (&*text, ""));
    check_origins(|method, lines| ask(http, method, "/api/topics", lines));
}

const VARY: &str = "Accept-Encoding, Origin";

fn check_origins(ask: impl Fn(&str, &[&str]) -> Reply) {
    let origin = "Origin: https://desk.example";
    let allowed = ask("GET", &[origin]);
    assert_eq!(allowed.header("access-control-allow-origin"), "https://desk.example");
    assert!(allowed.header("vary").contains("Origin"));
    assert_eq!(ask("GET", &["Origin: https://other.example"]).status, 403);
    assert_eq!(ask("GET", &[]).header("access-control-allow-origin"), "");
    let preflight = ask("OPTIONS", &[origin, "Access-Control-Request-Method: GET"]);
    assert_eq!(preflight.status, 204, "{preflight:?}");
    assert!(preflight.header("access-control-allow-methods").contains("GET"));
    assert_eq!(preflight.header("access-control-allow-origin"), "https://desk.example");
    let options = ask("OPTIONS", &[]);
    assert_eq!((options.status, options.header("access-control-allow-methods")), (204, ""));
    assert!(options.header("allow").contains("HEAD"));
}

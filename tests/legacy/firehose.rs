//! The arena's firehose, flat and nested.

use super::client::Client;
use super::stage::{SECOND_US, Stage, assert_golden, json, systems};
use lineage::config::Config;
use lineage::telemetry::EngineCounter;

/// What comes at this second after the start: two prices every five, three agents every ten.
fn due(second: u64) -> usize {
    let prices = if second.is_multiple_of(5) { 2 } else { 0 };
    let agents = if second.is_multiple_of(10) { 3 } else { 0 };
    prices + agents
}

#[test]
fn s01_s02_s03_s07_s10_prices_come_every_five_seconds_and_agents_every_ten_in_the_golden_bytes() {
    let stage = Stage::all();
    let address = stage.engine.addresses().ws;
    let mut flat = Client::open(address, "/");
    let mut nested = Client::open(address, "/?compat=nested");
    let mut lines = Vec::new();
    for second in 0..=30 {
        if second > 0 {
            stage.advance_us(SECOND_US);
        }
        for _ in 0..due(second) {
            let text = flat.message().to_owned();
            let message = json(&text);
            assert_eq!(message["timestamp"], stage.now_us() / SECOND_US, "{text}");
            let kind = message["type"].as_str().expect("text");
            assert_eq!(nested.message(), format!(r#"{{"{kind}":{text}}}"#));
            lines.push(text);
        }
    }
    assert_golden("legacy_firehose_30_s.jsonl", &lines);
}

#[test]
fn s13_the_arena_alone_makes_an_event_a_second_and_a_thousand_clients_have_it_before_the_clock_moves()
 {
    let arena =
        Config { hub_enabled: false, chain_enabled: false, pipeline_enabled: false, ..systems() };
    let stage = Stage::start(arena, "agent:balanced");
    let address = stage.engine.addresses().ws;
    let mut clients: Vec<Client> = (0..1_000).map(|_| Client::open(address, "/")).collect();
    for client in &mut clients {
        (0..due(0)).for_each(|_| drop(client.json()));
    }
    let events = || stage.engine.telemetry().value(EngineCounter::Events);
    let before = events();
    for second in (5..=60).step_by(5) {
        stage.advance_us(5 * SECOND_US);
        for client in &mut clients {
            for _ in 0..due(second) {
                assert_eq!(client.json()["timestamp"], stage.now_us() / SECOND_US);
            }
        }
    }
    // Prices, states, at most a trade for each state, three rounds at most.
    let made = events() - before;
    assert!((42..=63).contains(&made), "{made} events in a minute, however many clients there are");
}

//! What comes back: candles beyond memory, alerts, trades, states and rounds.

use super::support::{Folder, World, config, momentum, value};
use lineage::Engine;
use lineage::config::{Config, SourceChoice};
use lineage::event::{Body, Cents, Class, Round, Side, Tick, Trade, Typed};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::time::Duration;

const START_US: u64 = 1_767_225_600_000_000;
const SECOND_US: u64 = 1_000_000;
/// Candles of an interval that stay in memory.
const KEPT: u64 = 5_000;

fn tick(second: u64) -> Body {
    Body::Typed(Typed::new(Tick {
        symbol: "BTC-USD".into(),
        price: Decimal::new(4_200_000 + i64::try_from(second).unwrap(), 2),
        quantity: Decimal::new(5, 1),
        time_us: START_US + second * SECOND_US,
        is_taker_buy: true,
        id: None,
        is_simulated: true,
    }))
}

fn opened_ms(second: u64) -> u64 {
    START_US / 1_000 + second * 1_000
}

fn times(answer: &Value) -> Vec<u64> {
    let bars = answer.as_array().into_iter().flatten();
    bars.map(|bar| bar["open_time_ms"].as_u64().unwrap()).collect()
}

#[test]
fn s62_candles_beyond_memory_come_from_the_store_and_outlive_the_engine() {
    let folder = Folder::new();
    let mut world = World::new(folder.file());
    let seconds = KEPT + 300;
    for second in 0..seconds {
        world.publish(
            "sim:trade:BTC-USD",
            Class::Event,
            START_US + second * SECOND_US,
            tick(second),
        );
        if second % 500 == 499 || second + 1 == seconds {
            let newest = "/api/candles?symbol=BTC-USD&interval=1s&limit=1";
            world.wait(newest, |answer| times(answer) == [opened_ms(second)]);
        }
    }
    let first = format!("/api/candles?symbol=BTC-USD&interval=1s&from={}&limit=400", opened_ms(0));
    let expected: Vec<u64> = (0..400).map(opened_ms).collect();
    let answer = world.wait(&first, |answer| times(answer) == expected);
    let bar = json!({
        "open_time_ms": opened_ms(7), "open": "42000.07", "high": "42000.07", "low": "42000.07", "close": "42000.07",
        "volume": "0.5", "taker_buy_volume": "0.5", "trades": 1, "final": true,
    });
    assert_eq!(answer[7], bar);
    world.end();

    let world = World::new(folder.file());
    assert_eq!(world.ask(&first), answer, "a new engine has nothing in memory");
    let newest = times(&world.ask("/api/candles?symbol=BTC-USD&interval=1s&limit=3"));
    assert!(newest.is_sorted() && newest.last() >= Some(&opened_ms(seconds - 3)), "{newest:?}");
    world.end();
}

#[test]
fn a_drain_keeps_the_candles_of_what_was_published_before_it() {
    let (folder, seconds) = (Folder::new(), 3_000);
    let mut world = World::new(folder.file());
    for second in 0..seconds {
        let time_us = START_US + second * SECOND_US;
        world.publish("sim:trade:BTC-USD", Class::Event, time_us, tick(second));
    }
    world.end();
    let world = World::new(folder.file());
    let newest = times(&world.ask("/api/candles?symbol=BTC-USD&interval=1s&limit=1"));
    assert_eq!(newest, [opened_ms(seconds - 3)], "the last two were not final");
    world.end();
}

#[test]
fn candles_are_made_before_the_clients_come_that_a_source_waits_for() {
    let mut world = World::of(Config { start_at_clients: 5, ..config("") });
    world.publish("sim:trade:BTC-USD", Class::Event, START_US, tick(0));
    let newest = "/api/candles?symbol=BTC-USD&interval=1s&limit=1";
    world.wait(newest, |answer| times(answer) == [opened_ms(0)]);
    let of_sources = value(&world.metrics(), "lineage_source_events_total");
    assert_eq!(of_sources, Some(0.0), "the pipeline is no source");
    world.end();
}

fn states(answer: &Value) -> Vec<&str> {
    answer["alerts"].as_array().unwrap().iter().map(|it| it["state"].as_str().unwrap()).collect()
}

#[test]
fn s54_a_firing_alert_outlives_a_restart_and_is_resolved_and_not_fired_again() {
    let folder = Folder::new();
    let mut world = World::new(folder.file());
    world.agent(START_US, 100);
    let fired = world.wait("/api/alerts", |answer| answer["active_total"] == 1);
    assert_eq!(fired["active"][0]["rule"], "agent_capital_low");
    world.end();

    let mut world = World::new(folder.file());
    assert_eq!(world.ask("/api/alerts"), fired, "seen before anything is published");
    let mut tap = world.engine.tap(&["alert"], 16).unwrap();
    world.agent(START_US + SECOND_US, 200);
    world.agent(START_US + 2 * SECOND_US, 10_000_000_000);
    let resolved = world.wait("/api/alerts", |answer| answer["active_total"] == 0);
    assert_eq!(states(&resolved), ["resolved", "firing"]);
    assert_eq!(resolved["alerts"][0]["since_ms"], fired["active"][0]["since_ms"]);
    assert_eq!(resolved["alerts"][1], fired["active"][0]);
    super::support::wait_until("the alert", || tap.receive().unwrap().is_some());
    assert_eq!(tap.receive(), Ok(None), "it was told once");
    world.end();

    let world = World::new(folder.file());
    assert_eq!(world.ask("/api/alerts"), resolved);
    world.end();
}

#[test]
fn s17_the_history_of_agents_and_the_rounds_are_kept() {
    let folder = Folder::new();
    let mut world = World::new(folder.file());
    let trade = Trade {
        agent: momentum(),
        symbol: "BTC-USD".into(),
        side: Side::Sell,
        price: Cents(4_200_050),
        quantity: Cents(150),
        pnl: Cents(45_000),
        won: true,
    };
    world.publish("trade:momentum", Class::Event, START_US, Body::Trade(trade));
    world.agent(START_US, 5_045_000);
    let round =
        Round { round: 4, winner: momentum(), capital: vec![(momentum(), Cents(5_045_000))] };
    world.publish("arena", Class::Event, START_US + 1, Body::Typed(Typed::new(round)));
    let rounds = world.wait("/api/rounds", |answer| answer != &json!([]));
    let expected = json!([{
        "time_us": START_US + 1, "round": 4, "winner": "momentum", "capital": { "momentum": 50450.0 }
    }]);
    assert_eq!(rounds, expected);
    world.end();

    let world = World::new(folder.file());
    assert_eq!(world.ask("/api/rounds"), expected);
    let history = json!({
        "agent": "momentum",
        "states": [{
            "time_us": START_US, "name": "⚡ Momentum", "capital": 50450.0, "trades": 3, "wins": 2, "scars": 1,
            "status": "active", "action": "⚡ Momentum WON trade (+$450)"
        }],
        "trades": [{
            "time_us": START_US, "symbol": "BTC-USD", "side": "sell", "price": 42000.5, "quantity": 1.5,
            "pnl": 450.0, "won": true
        }],
    });
    assert_eq!(world.ask("/api/agents/momentum/history"), history);
    assert_eq!(world.ask("/api/agents/nobody/history")["status"], 404);
    world.end();
}

#[test]
fn s41_without_a_store_its_routes_say_that_it_is_not_available() {
    let world = World::new("");
    for path in ["/api/rounds", "/api/agents/momentum/history"] {
        assert_eq!(world.ask(path), json!({ "status": "not_available" }), "{path}");
    }
    world.end();
}

#[test]
fn a_store_that_cannot_be_opened_stops_the_start_with_its_path_and_a_remedy() {
    let folder = Folder::new();
    let file = folder.file().join("none/lineage.db");
    let error = Engine::start(config(&file)).unwrap_err();
    let message = error.to_string();
    assert!(message.contains(file.to_str().unwrap()) && message.contains("name"), "{message}");
    assert_eq!(error.exit_code(), 78);
}

#[test]
fn s55_a_file_that_is_full_makes_the_engine_not_ready_until_there_is_room() {
    let folder = Folder::new();
    let mut config = config(folder.file());
    (config.source, config.store.file_bytes_max) = (SourceChoice::Simulation, 1 << 20);
    config.arena.agent_interval = Duration::from_millis(1);
    let world = World::of(config);
    let check = |health: &Value| -> Value {
        let checks = health["checks"].as_array().expect("a list");
        checks.iter().find(|check| check["name"] == "store").expect("a check")["ok"].clone()
    };
    assert_eq!(check(&world.ask("/health")), true);
    let full = world.wait("/health", |health| check(health) == false);
    assert_eq!(full["status"], "not_ready");
    let other = rusqlite::Connection::open(folder.file()).unwrap();
    other.execute("DELETE FROM agents", []).unwrap();
    world.wait("/health", |health| check(health) == true);
}

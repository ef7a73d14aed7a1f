//! Every name that dashboards ask for is there at the first scrape, with its kind, its help and its labels.

use super::http::{Family, get, scrape};
use super::support::{self, config, publisher, wait_until};
use lineage::Engine;
use lineage::config::Config;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Name, kind, label, series.
type Row = (&'static str, &'static str, &'static str, usize);

const CANONICAL: [Row; 16] = [
    ("lineage_cache_hit_rate", "gauge", "", 1),
    ("lineage_request_success_rate", "gauge", "", 1),
    ("lineage_api_errors_total", "counter", "", 1),
    ("lineage_agent_capital", "gauge", "agent", 3),
    ("lineage_agent_start_capital", "gauge", "agent", 3),
    ("lineage_agent_trades_total", "counter", "agent", 3),
    ("lineage_agent_win_rate", "gauge", "agent", 3),
    ("lineage_agent_scars_total", "counter", "agent", 3),
    ("lineage_arena_rounds_total", "counter", "", 1),
    ("lineage_arena_agent_wins_total", "counter", "agent", 3),
    ("lineage_arena_agent_final_capital", "gauge", "agent", 3),
    ("lineage_market_price_usd", "gauge", "symbol", 2),
    ("lineage_active_connections", "gauge", "", 1),
    ("lineage_messages_broadcast_total", "counter", "", 1),
    ("lineage_uptime_seconds", "gauge", "", 1),
    ("lineage_build_info", "gauge", "arch,os,profile,version", 1),
];

const COMPATIBLE: [Row; 9] = [
    ("market_price_usd", "gauge", "symbol", 2),
    ("agent_capital", "gauge", "agent", 3),
    ("agent_trades_total", "counter", "agent", 3),
    ("agent_win_rate", "gauge", "agent", 3),
    ("agent_scars", "gauge", "agent", 3),
    ("trades_executed_total", "counter", "", 1),
    ("arena_rounds_total", "counter", "", 1),
    ("avg_win_rate", "gauge", "", 1),
    ("last_market_update_timestamp", "gauge", "", 1),
];

fn start(config: Config) -> (Engine, SocketAddr) {
    let metrics = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let engine = support::start(Config { metrics, ..config });
    let address = engine.addresses().metrics.expect("the listener is on");
    (engine, address)
}

fn label_names(labels: &str) -> String {
    let pairs = labels.split("\",").filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, _)| name).collect::<Vec<_>>().join(",")
}

fn check(scrape: &BTreeMap<String, Family>, rows: &[Row]) {
    for &(name, kind, labels, series) in rows {
        let family = scrape.get(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!((&*family.kind, family.samples.len()), (kind, series), "{name}");
        assert!(family.help.ends_with('.'), "{name}: {}", family.help);
        for (found, _) in &family.samples {
            assert_eq!(label_names(found), labels, "{name}");
        }
    }
}

/// The value of a series, its labels as they are written.
fn value(scrape: &BTreeMap<String, Family>, name: &str, labels: &str) -> f64 {
    let mut samples = scrape[name].samples.iter();
    let found = samples.find(|(found, _)| found == labels);
    found.unwrap_or_else(|| panic!("{name}{{{labels}}}: {:?}", scrape[name])).1
}

#[test]
fn s20_a_fresh_engine_has_every_name_at_the_first_scrape() {
    let (_engine, address) = start(config());
    let scrape = scrape(address);
    check(&scrape, &CANONICAL);
    for (name, labels, expected) in [
        ("lineage_cache_hit_rate", "", 1.0),
        ("lineage_request_success_rate", "", 1.0),
        ("lineage_api_errors_total", "", 0.0),
        ("lineage_agent_capital", "agent=\"⚡ Momentum\"", 50_000.0),
        ("lineage_arena_agent_final_capital", "agent=\"🛡️ Conservative\"", 45_000.0),
        ("lineage_arena_agent_wins_total", "agent=\"⚖️ Balanced\"", 0.0),
        ("lineage_market_price_usd", "symbol=\"BTC-USD\"", 42_000.0),
    ] {
        let found = value(&scrape, name, labels);
        assert!((found - expected).abs() < 1e-9, "{name}: {found}");
    }
}

#[test]
fn s21_older_names_are_there_and_only_they_can_be_switched_off() {
    let (_engine, address) = start(config());
    let all = scrape(address);
    check(&all, &COMPATIBLE);
    let (_engine, address) = start(Config { metrics_compat_names: false, ..config() });
    let canonical = scrape(address);
    check(&canonical, &CANONICAL);
    let is_ours = |name: &str| name.starts_with("lineage_") || name.starts_with("process_");
    for name in all.keys() {
        assert_eq!(canonical.contains_key(name), is_ours(name), "{name}");
    }
}

#[test]
fn s22_values_are_those_at_the_scrape() {
    let (engine, address) = start(config());
    let mut publisher = publisher(&engine);
    for cents in [4_312_345, 4_300_001] {
        publisher.publish(support::price(&engine, "BTC-USD", cents)).expect("room");
        let dollars = cents as f64 / 100.0;
        wait_until("the price in the scrape", || {
            let scrape = scrape(address);
            let prices = ["lineage_market_price_usd", "market_price_usd"]
                .map(|name| value(&scrape, name, "symbol=\"BTC-USD\""));
            assert!((prices[0] - prices[1]).abs() < 1e-9, "one cell under two names: {prices:?}");
            (prices[0] - dollars).abs() < 1e-9
        });
    }
    assert!(value(&scrape(address), "last_market_update_timestamp", "") > 1.7e9);
}

#[test]
fn s20_the_ratios_are_those_of_the_requests_that_rest_answered() {
    let (engine, address) = start(config());
    let http = support::http(&engine);
    for (path, status) in [
        ("/api/topics?limit=7", 200),
        ("/api/topics?limit=7", 200),
        ("/api/topics?limit=0", 400),
        ("/api/openapi.json", 200),
        ("/api/nothing", 404),
    ] {
        assert_eq!(get(http, path).status, status, "{path}");
    }
    let scrape = scrape(address);
    // A path that is no route is no request to the API, and the document is no look-up.
    for (name, expected) in [
        ("lineage_api_requests_total", 4.0),
        ("lineage_api_errors_total", 0.0),
        ("lineage_request_success_rate", 1.0),
    ] {
        let found = value(&scrape, name, "");
        assert!((found - expected).abs() < 1e-9, "{name}: {found}");
    }
    let [hits, misses, rate] =
        ["lineage_cache_hits_total", "lineage_cache_misses_total", "lineage_cache_hit_rate"]
            .map(|name| value(&scrape, name, ""));
    // The second of two equal requests is a hit, unless the first is more than a quarter of a second ago.
    assert!((hits + misses - 3.0).abs() < 1e-9 && hits <= 1.0, "{hits} {misses}");
    assert!((rate - hits / 3.0).abs() < 1e-9, "{rate}");
}

#[test]
fn s20b_a_program_sets_and_reads_the_metrics_of_its_agents_through_the_engine() {
    let (engine, address) = start(config());
    let metrics = engine.agents();
    assert!(metrics.register("scout", "🔭 Scout", 10_000.0));
    assert!(metrics.set_agent_capital("scout", 10_250.5));
    assert!(metrics.set_agent_trades("scout", 4) && metrics.set_agent_scars("scout", 1));
    assert!(metrics.set_agent_win_rate("scout", 0.75));
    assert_eq!(metrics.agent_capital("scout"), Some(10_250.5));
    assert_eq!(metrics.agent_trades("momentum"), Some(0), "the arena's are there too");
    let scrape = scrape(address);
    for (name, expected) in [
        ("lineage_agent_start_capital", 10_000.0),
        ("lineage_agent_capital", 10_250.5),
        ("lineage_agent_trades_total", 4.0),
        ("lineage_agent_win_rate", 0.75),
        ("lineage_agent_scars_total", 1.0),
    ] {
        let found = value(&scrape, name, "agent=\"🔭 Scout\"");
        assert!((found - expected).abs() < 1e-9, "{name}: {found}");
    }
}

#[test]
fn s23_what_dashboards_ask_for_is_in_a_real_scrape() {
    let (_engine, address) = start(config());
    let scrape = scrape(address);
    // topk(3, lineage_agent_capital); lineage_agent_capital < 50000
    let capitals: Vec<f64> =
        scrape["lineage_agent_capital"].samples.iter().map(|(_, value)| *value).collect();
    assert_eq!(capitals.len(), 3);
    assert_eq!(capitals.iter().filter(|dollars| **dollars < 50_000.0).count(), 2);
    // avg(lineage_agent_win_rate); sum(lineage_agent_scars_total) by (agent)
    assert_eq!(scrape["lineage_agent_win_rate"].samples.len(), 3);
    assert!(scrape["lineage_agent_scars_total"].samples.iter().all(|(l, _)| l.contains("agent=")));
    // lineage_cache_hit_rate; rate(lineage_api_errors_total[5m])
    assert_eq!(scrape["lineage_cache_hit_rate"].samples.len(), 1);
    assert_eq!(scrape["lineage_api_errors_total"].kind, "counter");
    // {__name__=~"lineage_.+"}
    assert!(scrape.keys().filter(|name| name.starts_with("lineage_")).count() > 60);
}

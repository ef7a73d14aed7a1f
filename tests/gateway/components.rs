//! Listeners of single components: each shows its own metrics alone, and the three health pages.

use super::http::{get, scrape};
use super::support::{self, config};
use lineage::config::{Components, Config};
use lineage::{Engine, Error};
use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};

fn any_port() -> Option<SocketAddr> {
    Some(SocketAddr::from(([127, 0, 0, 1], 0)))
}

fn all() -> Components {
    Components {
        collector_metrics: any_port(),
        calculator_metrics: any_port(),
        alerts_metrics: any_port(),
        gateway_metrics: any_port(),
    }
}

/// A configuration with one of the listeners.
fn one(name: &str, address: SocketAddr) -> Components {
    let at = |option| (name == option).then_some(address);
    Components {
        collector_metrics: at("collector_metrics"),
        calculator_metrics: at("calculator_metrics"),
        alerts_metrics: at("alerts_metrics"),
        gateway_metrics: at("gateway_metrics"),
    }
}

#[test]
fn s54_each_component_shows_its_own_metrics_alone() {
    let engine = support::start(Config { components: all(), metrics: any_port(), ..config() });
    let whole = scrape(engine.addresses().metrics.expect("on"));
    let mut seen = BTreeSet::new();
    for (name, address) in engine.addresses().named().filter(|(name, _)| name.ends_with("_metrics"))
    {
        let (own, foreign) = match name {
            "collector_metrics" => {
                ("data_collector_candles_received_total", "lineage_alerts_active")
            }
            "calculator_metrics" => {
                ("metrics_calculator_candles_processed_total", "lineage_cache_hit_rate")
            }
            "alerts_metrics" => ("alert_engine_alerts_triggered_total", "lineage_agent_capital"),
            _ => ("lineage_cache_hit_rate", "lineage_collector_trades_total"),
        };
        let families = scrape(address);
        assert!(families.contains_key(own), "{name} has no {own}");
        assert!(!families.contains_key(foreign), "{name} has {foreign}");
        for family in families.keys() {
            assert!(whole.contains_key(family), "{family} is not among all metrics");
            assert!(seen.insert(family.clone()), "{family} is of two components");
        }
    }
    let of_pipeline = |name: &&String| {
        ["lineage_collector_", "lineage_calculator_", "lineage_alert", "data_collector_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    for name in whole.keys().filter(of_pipeline) {
        assert!(seen.contains(name), "{name} is of no component");
    }
}

#[test]
fn s54_each_component_has_the_three_health_pages_with_its_own_checks() {
    let engine = support::start(Config { components: all(), ..config() });
    let addresses = engine.addresses();
    let components = addresses.named().filter(|(name, _)| name.ends_with("_metrics"));
    let mut count = 0;
    for (name, address) in components {
        count += 1;
        assert_eq!(get(address, "/health/live").json()["status"], "live", "{name}");
        let own = if name == "gateway_metrics" { "gateway" } else { "pipeline" };
        for path in ["/health", "/health/ready"] {
            let answer = get(address, path);
            assert_eq!(answer.status, 200, "{name}{path}: {answer:?}");
            let checks = answer.json()["checks"].clone();
            let names: Vec<&str> = checks
                .as_array()
                .expect("a list")
                .iter()
                .filter_map(|c| c["name"].as_str())
                .collect();
            assert!(names.contains(&"serving") && names.contains(&own), "{name}: {names:?}");
            assert!(!names.contains(&"hub"), "{name}: {names:?}");
        }
        let other = get(address, "/api/topics");
        assert_eq!(other.status, 404);
        assert!(other.detail().contains("/health/ready"), "{other:?}");
    }
    assert_eq!(count, 4);
}

#[test]
fn s54_the_listeners_are_off_unless_they_are_asked_for() {
    assert_eq!(Config::default().components, Components::default());
    let engine = support::start(config());
    let names: Vec<_> = engine.addresses().named().map(|(name, _)| name).collect();
    assert_eq!(names, ["ws", "http"]);
}

#[test]
fn s54_a_port_that_is_taken_is_named_with_its_option() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound");
    for name in ["collector_metrics", "calculator_metrics", "alerts_metrics", "gateway_metrics"] {
        let error = Engine::start(Config { components: one(name, address), ..config() })
            .expect_err("the port is taken");
        let flag = format!("(choose another with --{})", name.replace('_', "-"));
        assert!(matches!(error, Error::Bind { listener, .. } if listener == name), "{error}");
        assert!(error.to_string().ends_with(&flag), "{error}");
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}

#[test]
fn s54_a_listener_for_what_does_not_run_is_refused_with_the_remedy() {
    let at = SocketAddr::from(([127, 0, 0, 1], 0));
    for (name, remedy) in [
        ("collector_metrics", "switch the pipeline on"),
        ("calculator_metrics", "switch the pipeline on"),
        ("alerts_metrics", "switch the pipeline on"),
        ("gateway_metrics", "switch http on"),
    ] {
        let off =
            Config { pipeline_enabled: false, http: None, components: one(name, at), ..config() };
        let error = Engine::start(off).expect_err("nothing to show").to_string();
        assert!(error.starts_with(name) && error.contains(remedy), "{error}");
    }
}

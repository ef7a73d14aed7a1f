//! The names that dashboards of earlier systems ask for: there with the right type at the first scrape, and those of
//! what is not configured absent.

use super::world::World;
use std::collections::BTreeMap;

/// Name and type of every family of a scrape, each with at least one sample.
fn families(text: &str) -> BTreeMap<&str, &str> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let families: BTreeMap<&str, &str> = types.filter_map(|line| line.split_once(' ')).collect();
    for (name, kind) in &families {
        let suffixes: &[&str] =
            if *kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        for suffix in suffixes {
            let sample = format!("{name}{suffix}");
            let is_sample = |line: &str| {
                let rest = line.strip_prefix(&sample);
                rest.is_some_and(|rest| rest.starts_with([' ', '{']))
            };
            assert!(*kind == "summary" || text.lines().any(is_sample), "{sample} has no sample");
        }
    }
    families
}

/// Canonical name, its older name, type.
const TWINS: [(&str, &str, &str); 7] = [
    (
        "lineage_collector_candles_received_total",
        "data_collector_candles_received_total",
        "counter",
    ),
    (
        "lineage_collector_candles_published_total",
        "data_collector_candles_published_total",
        "counter",
    ),
    ("lineage_collector_websocket_connections", "data_collector_websocket_connections", "gauge"),
    (
        "lineage_calculator_candles_processed_total",
        "metrics_calculator_candles_processed_total",
        "counter",
    ),
    (
        "lineage_calculator_metrics_calculated_total",
        "metrics_calculator_metrics_calculated_total",
        "counter",
    ),
    (
        "lineage_calculator_calculation_duration_seconds",
        "metrics_calculator_calculation_duration_seconds",
        "histogram",
    ),
    ("lineage_alerts_triggered_total", "alert_engine_alerts_triggered_total", "counter"),
];

/// What belongs to an upstream feed, a broker, a webhook: none of them is configured.
const ABSENT: [&str; 5] = [
    "data_collector_websocket_reconnects_total",
    "data_collector_websocket_errors_total",
    "nats_messages_published_total",
    "nats_publish_errors_total",
    "lineage_webhook_delivered_total",
];

#[test]
fn s56_s57_s58_every_name_has_its_type_at_the_first_scrape_and_nothing_is_invented() {
    let text = World::new("", |config| config).scrape();
    let families = families(&text);
    for (ours, theirs, kind) in TWINS {
        assert_eq!(
            (families.get(ours), families.get(theirs)),
            (Some(&kind), Some(&kind)),
            "{ours}"
        );
    }
    for name in ABSENT {
        assert_eq!(families.get(name), None, "{name}");
    }
}

#[test]
fn s56_s57_s58_older_names_go_when_they_are_switched_off_and_ours_stay() {
    let text = World::new("", |mut config| {
        config.metrics_compat_names = false;
        config
    })
    .scrape();
    let families = families(&text);
    for (ours, theirs, kind) in TWINS {
        assert_eq!((families.get(ours), families.get(theirs)), (Some(&kind), None), "{ours}");
    }
}

#[test]
fn s58_a_webhook_has_its_figures_at_the_first_scrape() {
    let text = World::new("", |mut config| {
        config.webhook.url = "http://127.0.0.1:9/hook".into();
        config
    })
    .scrape();
    let families = families(&text);
    for word in ["delivered", "failed", "retries", "dropped"] {
        assert_eq!(
            families.get(&*format!("lineage_webhook_{word}_total")),
            Some(&"counter"),
            "{word}"
        );
    }
}

//! The metrics of the systems as a Prometheus server reads them: the text of a scrape, parsed.

use super::{Lookup, Options, Systems, Telemetry};
use crate::event::{
    Action, Agent, AgentName, Body, Cents, Event, Market, Payload, Round, Side, Status, Topic,
    Trade, Typed,
};
use crate::sync::Arc;
use std::collections::BTreeMap;

/// Labels and value of each sample of a family, its kind and its help.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    help: String,
    samples: Vec<(BTreeMap<String, String>, f64)>,
}

/// A scrape in the text format 0.0.4; panics on what is not of that form.
fn parse(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            help.clone_into(&mut families.entry(name.to_owned()).or_default().help);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a kind");
            kind.clone_into(&mut families.entry(name.to_owned()).or_default().kind);
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let labels = labels.strip_suffix('}').expect("labels end");
            let pairs = labels.split_terminator(',').map(|pair| {
                let (label, value) = pair.split_once('=').expect("a label");
                (label.to_owned(), value.trim_matches('"').to_owned())
            });
            let sample = (pairs.collect(), value.parse().expect("a number"));
            // Buckets, sums and counts belong to a family of a shorter name; those are not asked for here.
            families.entry(name.to_owned()).or_default().samples.push(sample);
        }
    }
    families
}

/// Agents and markets of the default arena, before anything happened.
fn exposed(options: Options) -> (Arc<Telemetry>, Arc<Systems>) {
    let (telemetry, systems) = (Telemetry::new(1), Systems::new(options));
    for collector in systems.collectors() {
        telemetry.register(collector).expect("a new name");
    }
    for (slug, name, capital) in [
        ("momentum", "⚡ Momentum", 50_000.0),
        ("conservative", "🛡️ Conservative", 45_000.0),
        ("balanced", "⚖️ Balanced", 48_000.0),
    ] {
        assert!(systems.agents().register(slug, name, capital));
    }
    for (symbol, price) in [("BTC-USD", 42_000.0), ("ETH-USD", 2_300.0)] {
        assert!(systems.set_price(symbol, price));
    }
    (telemetry, systems)
}

fn scrape(telemetry: &Telemetry) -> BTreeMap<String, Family> {
    parse(std::str::from_utf8(&telemetry.text()).expect("text"))
}

/// The value of a series; the label is `name=value` or empty.
fn value(scrape: &BTreeMap<String, Family>, name: &str, label: &str) -> Option<f64> {
    let family = scrape.get(name)?;
    let wanted = label.split_once('=');
    let fits = |labels: &BTreeMap<String, String>| match wanted {
        Some((label, value)) => labels.len() == 1 && labels.get(label).is_some_and(|v| v == value),
        None => labels.is_empty(),
    };
    family.samples.iter().find(|(labels, _)| fits(labels)).map(|(_, value)| *value)
}

/// Name, kind, label, samples before anything happened, and what they show.
const CANONICAL: [(&str, &str, &str, usize, Option<f64>); 14] = [
    ("lineage_cache_hit_rate", "gauge", "", 1, Some(1.0)),
    ("lineage_request_success_rate", "gauge", "", 1, Some(1.0)),
    ("lineage_api_errors_total", "counter", "", 1, Some(0.0)),
    ("lineage_agent_capital", "gauge", "agent", 3, None),
    ("lineage_agent_start_capital", "gauge", "agent", 3, None),
    ("lineage_agent_trades_total", "counter", "agent", 3, Some(0.0)),
    ("lineage_agent_win_rate", "gauge", "agent", 3, Some(0.0)),
    ("lineage_agent_scars_total", "counter", "agent", 3, Some(0.0)),
    ("lineage_arena_rounds_total", "counter", "", 1, Some(0.0)),
    ("lineage_arena_agent_wins_total", "counter", "agent", 3, Some(0.0)),
    ("lineage_arena_agent_final_capital", "gauge", "agent", 3, None),
    ("lineage_market_price_usd", "gauge", "symbol", 2, None),
    ("lineage_active_connections", "gauge", "", 1, Some(0.0)),
    ("lineage_messages_broadcast_total", "counter", "", 1, Some(0.0)),
];

const COMPATIBLE: [(&str, &str, &str, usize, Option<f64>); 9] = [
    ("market_price_usd", "gauge", "symbol", 2, None),
    ("agent_capital", "gauge", "agent", 3, None),
    ("agent_trades_total", "counter", "agent", 3, Some(0.0)),
    ("agent_win_rate", "gauge", "agent", 3, Some(0.0)),
    ("agent_scars", "gauge", "agent", 3, Some(0.0)),
    ("trades_executed_total", "counter", "", 1, Some(0.0)),
    ("arena_rounds_total", "counter", "", 1, Some(0.0)),
    ("avg_win_rate", "gauge", "", 1, Some(0.0)),
    ("last_market_update_timestamp", "gauge", "", 1, Some(0.0)),
];

fn check(scrape: &BTreeMap<String, Family>, expected: &[(&str, &str, &str, usize, Option<f64>)]) {
    for &(name, kind, label, samples, value) in expected {
        let family = scrape.get(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!((&*family.kind, family.samples.len()), (kind, samples), "{name}");
        assert!(family.help.ends_with('.'), "{name}: {}", family.help);
        for (labels, found) in &family.samples {
            let names: Vec<_> = labels.keys().map(String::as_str).collect();
            assert_eq!(names, if label.is_empty() { vec![] } else { vec![label] }, "{name}");
            assert!(value.is_none_or(|value| value.to_bits() == found.to_bits()), "{name} {found}");
        }
    }
}

#[test]
fn s20_every_name_is_there_at_the_first_scrape_with_its_type_and_labels() {
    let (telemetry, _systems) = exposed(Options::default());
    let scrape = scrape(&telemetry);
    check(&scrape, &CANONICAL);
    assert!(scrape.contains_key("lineage_uptime_seconds"));
    let (labels, _) = &scrape["lineage_build_info"].samples[0];
    assert!(labels.contains_key("version"), "{labels:?}");
    for (name, agent, dollars) in [
        ("lineage_agent_capital", "⚡ Momentum", 50_000.0),
        ("lineage_agent_start_capital", "⚖️ Balanced", 48_000.0),
        ("lineage_arena_agent_final_capital", "🛡️ Conservative", 45_000.0),
    ] {
        assert_eq!(value(&scrape, name, &format!("agent={agent}")), Some(dollars), "{name}");
    }
    assert_eq!(value(&scrape, "lineage_market_price_usd", "symbol=ETH-USD"), Some(2_300.0));
}

#[test]
fn s21_the_compatible_names_are_there_unless_they_are_switched_off() {
    let (telemetry, _systems) = exposed(Options::default());
    check(&scrape(&telemetry), &COMPATIBLE);
    let (telemetry, _systems) = exposed(Options { has_compat_names: false, ..Options::default() });
    let scrape = scrape(&telemetry);
    check(&scrape, &CANONICAL);
    for (name, ..) in COMPATIBLE {
        assert!(!scrape.contains_key(name), "{name} is there");
    }
}

fn momentum() -> Arc<AgentName> {
    Arc::new(AgentName { slug: "momentum".into(), name: "⚡ Momentum".into() })
}

fn event(time_us: u64, body: Body) -> Event {
    Event { topic: Topic::from_index(0), key: 0, time_us, body }
}

fn market(cents: i64) -> Body {
    Body::Market(Market { symbol: "BTC-USD".into(), price: Cents(cents) })
}

fn state() -> Body {
    Body::Agent(Agent {
        agent: momentum(),
        capital: Cents(4_999_950),
        trades: 8,
        wins: 6,
        scars: 2,
        status: Status::Active,
        action: Action::Holds,
    })
}

fn trade() -> Body {
    Body::Trade(Trade {
        agent: momentum(),
        symbol: "BTC-USD".into(),
        side: Side::Buy,
        price: Cents(1),
        quantity: Cents(1),
        pnl: Cents(1),
        won: true,
    })
}

/// A record of another system.
#[derive(Debug)]
struct Record;

impl Payload for Record {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"round":2,"winner":"momentum","capital":{}}"#);
    }
}

fn round() -> Round {
    let balanced = Arc::new(AgentName { slug: "balanced".into(), name: "⚖️ Balanced".into() });
    let capital = vec![(momentum(), Cents(5_012_325)), (balanced, Cents(-550))];
    Round { round: 1, winner: momentum(), capital }
}

#[test]
fn s22_values_are_those_of_the_events_and_a_name_agrees_with_its_twin() {
    let (telemetry, systems) = exposed(Options::default());
    for (time_us, body) in [
        (5_500_000, market(4_200_050)),
        (5_000_000, market(4_200_051)),
        (6_000_000, trade()),
        (6_000_000, trade()),
        (6_000_000, state()),
        (7_000_000, Body::Typed(Typed::new(round()))),
        (7_000_000, Body::Typed(Typed::new(Record))),
    ] {
        systems.observe(&event(time_us, body));
    }
    let scrape = scrape(&telemetry);
    let agent = "agent=⚡ Momentum";
    for (name, twin, label, expected) in [
        ("lineage_market_price_usd", "market_price_usd", "symbol=BTC-USD", 42_000.51),
        ("lineage_market_last_update_timestamp_seconds", "last_market_update_timestamp", "", 5.5),
        ("lineage_agent_capital", "agent_capital", agent, 49_999.5),
        ("lineage_agent_trades_total", "agent_trades_total", agent, 8.0),
        ("lineage_agent_win_rate", "agent_win_rate", agent, 0.75),
        ("lineage_agent_scars_total", "agent_scars", agent, 2.0),
        ("lineage_arena_trades_total", "trades_executed_total", "", 2.0),
        ("lineage_arena_rounds_total", "arena_rounds_total", "", 1.0),
    ] {
        assert_eq!(value(&scrape, name, label), Some(expected), "{name}");
        assert_eq!(value(&scrape, twin, label), Some(expected), "{twin}");
    }
    assert_eq!(value(&scrape, "avg_win_rate", ""), Some(0.25), "of three agents, two at 0");
    assert_eq!(value(&scrape, "lineage_arena_agent_wins_total", agent), Some(1.0));
    for (agent, dollars) in
        [("⚡ Momentum", 50_123.25), ("⚖️ Balanced", -5.5), ("🛡️ Conservative", 45_000.0)]
    {
        let found = value(&scrape, "lineage_arena_agent_final_capital", &format!("agent={agent}"));
        assert_eq!(found, Some(dollars), "{agent}");
    }
}

#[test]
fn s22_ratios_fall_from_one_with_each_miss_and_each_failed_request() {
    let (telemetry, systems) = exposed(Options::default());
    for lookup in [Lookup::Hit, Lookup::Hit, Lookup::Hit, Lookup::Miss] {
        systems.count_cache(lookup);
    }
    for status in [200, 304, 404, 499, 500, 503, 200, 200] {
        systems.count_request(status);
    }
    let scrape = scrape(&telemetry);
    for (name, expected) in [
        ("lineage_cache_hit_rate", 0.75),
        ("lineage_request_success_rate", 0.75),
        ("lineage_api_errors_total", 2.0),
        ("lineage_api_requests_total", 8.0),
    ] {
        assert_eq!(value(&scrape, name, ""), Some(expected), "{name}");
    }
}

#[test]
fn s23_the_questions_of_the_dashboards_have_answers() {
    let (telemetry, systems) = exposed(Options::default());
    systems.observe(&event(1, state()));
    let scrape = scrape(&telemetry);
    let values = |name: &str| scrape[name].samples.iter().map(|(_, value)| *value);
    // topk(3, lineage_agent_capital) and lineage_agent_capital < 50000
    assert_eq!(values("lineage_agent_capital").count(), 3);
    assert_eq!(values("lineage_agent_capital").filter(|dollars| *dollars < 50_000.0).count(), 3);
    // avg(lineage_agent_win_rate)
    assert!((values("lineage_agent_win_rate").sum::<f64>() / 3.0 - 0.25).abs() < 1e-9);
    // sum(lineage_agent_scars_total) by (agent)
    let agents = scrape["lineage_agent_scars_total"].samples.iter();
    let agents: std::collections::BTreeSet<_> =
        agents.map(|(labels, _)| &labels["agent"]).collect();
    assert_eq!(agents.len(), 3);
    // lineage_cache_hit_rate and rate(lineage_api_errors_total[5m])
    assert_eq!(values("lineage_cache_hit_rate").count(), 1);
    assert_eq!(scrape["lineage_api_errors_total"].kind, "counter");
    // {__name__=~"lineage_.+"}
    assert!(scrape.keys().filter(|name| name.starts_with("lineage_")).count() > CANONICAL.len());
}

#[test]
fn agents_of_one_display_name_are_told_apart_by_their_slugs() {
    let (telemetry, systems) = exposed(Options::default());
    for slug in ["twin-a", "twin-b"] {
        systems.agents().register(slug, "Twin", 1.0);
    }
    let scrape = scrape(&telemetry);
    for slug in ["twin-a", "twin-b"] {
        let label = format!("agent={slug}");
        assert_eq!(value(&scrape, "lineage_agent_capital", &label), Some(1.0));
    }
    assert_eq!(value(&scrape, "lineage_agent_capital", "agent=Twin"), None);
}

#[test]
fn symbols_are_taken_up_to_the_limit_and_those_beyond_are_counted() {
    for (limit, taken, refused) in [(1, 1, 1.0), (2, 2, 0.0), (3, 2, 0.0)] {
        let (telemetry, systems) =
            (Telemetry::new(1), Systems::new(Options { symbols_max: limit, ..Options::default() }));
        for collector in systems.collectors() {
            telemetry.register(collector).expect("a new name");
        }
        let done = ["A", "B"].map(|symbol| systems.set_price(symbol, 1.0));
        assert_eq!(done.iter().filter(|done| **done).count(), taken, "limit {limit}");
        let scrape = scrape(&telemetry);
        assert_eq!(value(&scrape, "lineage_metric_labels_refused_total", ""), Some(refused));
        assert!(systems.set_price("A", 2.0), "what is there may change");
        assert!(!systems.set_price("A", f64::NAN) && systems.price("A") == Some(2.0));
    }
}

#[test]
fn a_second_collector_of_the_same_names_is_refused() {
    let (telemetry, _systems) = exposed(Options::default());
    let other = Systems::new(Options::default());
    assert!(other.collectors().into_iter().all(|second| telemetry.register(second).is_err()));
}

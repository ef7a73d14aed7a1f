//! The documents name what the code has: every metric, every option, every close code. Method: the tables that the code
//! itself reads are looked up in the documents; what is missing is told by name.

use lineage::Engine;
use lineage::config::{Config, Key, SourceChoice};
use lineage::session::CLOSE_CODES;
use lineage::source::replay::{Options, Replay, Speed};
use lineage::telemetry::{EngineCounter, Probe, ShardCounter, Telemetry};
use std::path::Path;

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of all tables whose first cell is this, in backquotes or not.
fn rows<'a>(document: &'a str, cell: &str) -> Vec<&'a str> {
    let is_row = |line: &&str| {
        let first = line.strip_prefix("| ").and_then(|row| row.split(" | ").next());
        first.is_some_and(|first| first.trim_matches('`') == cell)
    };
    document.lines().filter(is_row).collect()
}

/// What a whole engine exposes, with a webhook.
fn exposition() -> String {
    let any_port = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config = Config {
        ws: any_port,
        http: None,
        metrics: None,
        source: SourceChoice::None,
        shards: 1,
        ..Config::default()
    };
    config.webhook.url = "http://127.0.0.1:9/hook".to_owned();
    let engine = Engine::start(config).expect("a valid configuration and a free port");
    String::from_utf8(engine.telemetry().text()).expect("the format is text")
}

/// Families of the pipeline, in either of their names.
const PIPELINE: [&str; 8] = [
    "lineage_collector_",
    "lineage_calculator_",
    "lineage_pipeline_",
    "lineage_alert",
    "lineage_webhook_",
    "data_collector_",
    "metrics_calculator_",
    "alert_engine_",
];

fn kinds(exposition: &str) -> Vec<(&str, &str)> {
    let kinds = exposition.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    kinds.filter_map(|line| line.split_once(' ')).collect()
}

#[test]
fn every_metric_is_explained_with_its_kind_and_no_other_is() {
    let text = document("metrics.md");
    let telemetry = Telemetry::new(1);
    telemetry.set_probe(Box::new(Probe::default));
    let core = String::from_utf8(telemetry.text()).expect("the format is text");
    let core = kinds(&core);
    let exposition = exposition();
    let exposed = kinds(&exposition);
    let is_explained = |name: &str| {
        let is_core = core.iter().any(|(other, _)| *other == name) && name.starts_with("lineage_");
        is_core || PIPELINE[..5].iter().any(|prefix| name.starts_with(prefix))
    };
    for (name, kind) in exposed.iter().filter(|(name, _)| is_explained(name)) {
        let rows = rows(&text, name);
        assert_eq!(rows.len(), 1, "docs/metrics.md explains {name} {} times", rows.len());
        assert!(rows[0].contains(&format!("| {kind} |")), "{name} is a {kind}, not: {}", rows[0]);
    }
    for line in text.lines().filter_map(|line| line.strip_prefix("| `lineage_")) {
        let name = format!("lineage_{}", line.split('`').next().unwrap_or_default());
        assert!(exposed.iter().any(|(other, _)| *other == name), "there is no metric {name}");
    }
}

#[test]
fn every_figure_of_the_pipeline_is_explained_in_its_own_words_and_under_both_names() {
    let (text, exposition) = (document("metrics.md"), exposition());
    let of_pipeline =
        |(name, _): &(&str, &str)| PIPELINE.iter().any(|prefix| name.starts_with(prefix));
    let families: Vec<_> = kinds(&exposition).into_iter().filter(of_pipeline).collect();
    assert!(families.len() > 20, "{families:?}");
    for (name, kind) in families {
        let cell = format!("`{name}`");
        let rows: Vec<&str> =
            text.lines().filter(|line| line.starts_with('|') && line.contains(&cell)).collect();
        assert_eq!(rows.len(), 1, "docs/metrics.md names {name} in {} rows", rows.len());
        assert!(rows[0].contains(&format!("| {kind} |")), "{name} is a {kind}: {}", rows[0]);
        let help = format!("# HELP {name} ");
        let help = exposition.lines().find_map(|line| line.strip_prefix(&help)).expect("a help");
        if name.starts_with("lineage_") {
            assert!(rows[0].contains(help), "{name}: {help}");
        }
    }
}

#[test]
fn a_metric_is_explained_in_the_words_of_its_table() {
    let text = document("metrics.md");
    let shard = ShardCounter::ALL.iter().map(|counter| counter.description());
    let engine = EngineCounter::ALL.iter().map(|counter| counter.description());
    for description in shard.chain(engine) {
        let row = rows(&text, description.name).concat();
        assert!(row.contains(description.help), "{}: {}", description.name, description.help);
        if let Some((_, value)) = description.label {
            assert!(row.contains(value), "{} has no `{value}`: {row}", description.name);
        }
    }
}

#[test]
fn every_option_is_explained_with_its_form_and_no_other_is() {
    let text = document("operations.md");
    let options = text.split("## Options").nth(1).and_then(|rest| rest.split("\n## ").next());
    let options = options.expect("the document has a section on options");
    for key in Key::ALL {
        let rows = rows(options, key.name);
        assert_eq!(rows.len(), 1, "docs/operations.md explains {} {} times", key.name, rows.len());
        let form = format!("| `{}` |", key.value.replace('|', "\\|"));
        assert!(rows[0].contains(&form), "{}: {form} is not in: {}", key.name, rows[0]);
        assert!(rows[0].contains(key.help), "{}: {}", key.name, key.help);
    }
    for line in options.lines().filter_map(|line| line.strip_prefix("| `")) {
        let name = line.split('`').next().unwrap_or_default();
        assert!(Key::ALL.iter().any(|key| key.name == name), "there is no option {name}");
    }
}

#[test]
fn every_close_code_is_explained_and_says_whether_to_come_back() {
    let text = document("protocol.md");
    for row in CLOSE_CODES {
        let rows = rows(&text, &row.code.code().to_string());
        assert_eq!(rows.len(), 1, "{:?}", row.code);
        let advice = if row.may_reconnect { "| yes" } else { "| no" };
        assert!(rows[0].contains(&format!("`{}`", row.word)), "{:?}: {}", row.code, rows[0]);
        assert!(rows[0].contains(advice), "{:?}: {}", row.code, rows[0]);
    }
}

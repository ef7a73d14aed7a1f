//! The documents name what the code has: every metric, every option, every close code. Method: the tables that the code
//! itself reads are looked up in the documents; what is missing is told by name.

use lineage::config::Key;
use lineage::pipeline::Feeds;
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

/// What the reader of feeds and a replay add to the exposition.
fn register_feeds(telemetry: &Telemetry) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("documents.jsonl");
    let frame = r#"1 {"stream":"btcusdt@trade","data":{}}"#;
    std::fs::write(&path, frame).expect("a folder for tests");
    let options = Options { path, feed: None, speed: Speed::Max };
    let replay = Replay::open(options).expect("a recording");
    let feeds = Feeds::new(lineage::feeds::Options::default());
    for collector in feeds.collectors().into_iter().chain([replay.report().collector()]) {
        telemetry.register(collector).expect("no other family has its name");
    }
}

#[test]
fn every_metric_is_explained_with_its_kind_and_no_other_is() {
    let text = document("metrics.md");
    let telemetry = Telemetry::new(1);
    telemetry.set_probe(Box::new(Probe::default));
    register_feeds(&telemetry);
    let exposition = String::from_utf8(telemetry.text()).expect("the format is text");
    let kinds = exposition.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let exposed: Vec<(&str, &str)> = kinds.filter_map(|line| line.split_once(' ')).collect();
    for (name, kind) in exposed.iter().filter(|(name, _)| name.starts_with("lineage_")) {
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

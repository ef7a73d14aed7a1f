//! The document names what the program has: every scenario, every metric, every fault.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use loadtest::result::lesson;
use loadtest::scenario::Scenario;

#[test]
fn the_document_names_every_scenario_and_every_metric() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/load-testing.md");
    let text = std::fs::read_to_string(path).unwrap();
    for scenario in Scenario::built_in() {
        assert!(text.contains(&format!("| `{}` |", scenario.name)), "{}", scenario.name);
    }
    for line in lesson().lines() {
        let name = line.split_whitespace().next().unwrap();
        assert!(text.contains(&format!("`{name}`")), "{name}");
    }
    for option in [
        "--slow",
        "--stall",
        "--rst",
        "--churn",
        "--half-open",
        "--storm",
        "--resume",
        "--drain",
        "--workers",
    ] {
        assert!(text.contains(option), "{option}");
    }
}

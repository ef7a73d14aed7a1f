//! The rules that the documents show are rules, and a wrong file of rules keeps the engine from starting.

use super::support::config;
use super::world::RulesFile;
use lineage::Engine;
use lineage::config::Config;
use lineage::pipeline::alerts::{ENGINE_FIELDS, Rules};

fn operations() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The section on alerts.
fn section(text: &str) -> &str {
    let section = text.split("\n## Alerts\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    section.expect("docs/operations.md has a section on alerts")
}

#[test]
fn s54_the_example_of_the_documents_is_a_file_of_rules() {
    let text = operations();
    let example =
        section(&text).split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let rules = Rules::parse(example.expect("an example"), "docs/operations.md").expect("rules");
    let names: Vec<&str> = rules.names().collect();
    assert_eq!(names, ["price_jump", "trend_up", "agent_capital_low", "clients_fall_behind"]);
    for (kind, word) in [("crossing", "crossing"), ("rate", "rate")] {
        let line = format!("kind = \"{kind}\"");
        assert!(example.is_some_and(|text| text.contains(&line)), "no rule of {word}");
    }
    for key in ["for = ", "hysteresis = ", "resolve_for = ", "only_if = "] {
        assert!(example.is_some_and(|text| text.contains(key)), "no {key}");
    }
}

#[test]
fn s54_every_number_of_the_engine_is_explained_and_no_other_is() {
    let text = operations();
    let table = section(&text).split("| number of `engine` |").nth(1).expect("a table of numbers");
    let table = table.split("\n\n").next().expect("its end");
    let rows: Vec<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(rows, ENGINE_FIELDS);
}

#[test]
fn s54_a_wrong_file_of_rules_keeps_the_engine_from_starting_and_is_told_with_its_line() {
    let rule = "# one\n[[rule]]\nname = \"x\"\nseverity = \"info\"\nsubject = \"engine\"\nfield = \"laggers\"\n\
                is = \"above\"\nthreshold = 1\n";
    let file = RulesFile::new(rule);
    let error =
        Engine::start(Config { alerts_rules: Some(file.0.clone()), ..config() }).unwrap_err();
    assert_eq!(error.exit_code(), 78);
    let message = error.to_string();
    let place = format!("{}: line 6: rule 1 (\"x\"): field = \"laggers\"", file.0.display());
    assert!(message.contains(&place), "{message}");
    assert!(message.contains("allowed: one of active_connections"), "{message}");
    let missing = Config { alerts_rules: Some("no/such/rules.toml".into()), ..config() };
    let message = Engine::start(missing).unwrap_err().to_string();
    assert!(message.contains("cannot read no/such/rules.toml"), "{message}");
}

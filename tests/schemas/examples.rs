//! The document against the schemas: each example is one, each schema has one, and the tables say the same words.

use super::document::{examples, rows, section, text};
use super::schemas::{Schemas, is_v1_frame, name_of};
use lineage::config::Key;
use serde_json::Value;
use std::collections::BTreeSet;

const GOLDEN: [&str; 11] = [
    include_str!("../golden/legacy_agent.json"),
    include_str!("../golden/legacy_agent_nested.json"),
    include_str!("../golden/legacy_chain.jsonl"),
    include_str!("../golden/legacy_chain_welcome.json"),
    include_str!("../golden/legacy_hub.json"),
    include_str!("../golden/legacy_market.json"),
    include_str!("../golden/legacy_market_nested.json"),
    include_str!("../golden/v1_agent.json"),
    include_str!("../golden/v1_external.json"),
    include_str!("../golden/v1_market.json"),
    include_str!("../golden/v1_trade.json"),
];

#[test]
fn every_example_is_what_its_schema_says_key_by_key() {
    let schemas = Schemas::load();
    for text in examples(&text()) {
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        let name = name_of(&value).unwrap_or_else(|why| panic!("{why}: {text}"));
        if is_v1_frame(&name) || name.starts_with("legacy") {
            schemas.assert_sent(&text);
        } else {
            assert_eq!(schemas.errors(&name, &value), [""; 0], "{name}: {text}");
        }
    }
}

#[test]
fn every_schema_has_an_example() {
    let shown: BTreeSet<String> = examples(&text())
        .iter()
        .map(|text| name_of(&serde_json::from_str(text).expect("JSON")).expect("a name"))
        .collect();
    for name in Schemas::load().names() {
        assert!(shown.contains(name), "docs/protocol.md has no example of {name}");
    }
}

#[test]
fn the_examples_of_our_own_events_are_the_golden_bytes() {
    let examples = examples(&text());
    for golden in GOLDEN.iter().flat_map(|file| file.lines()) {
        assert!(examples.iter().any(|text| text == golden), "not there: {golden}");
    }
}

/// The words in backquotes of a cell.
fn words(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The words of the list at this place of a schema.
fn listed(schemas: &Schemas, name: &str, place: &str) -> BTreeSet<String> {
    let list = schemas.values[name].pointer(place).and_then(Value::as_array);
    let list = list.unwrap_or_else(|| panic!("{name} has no list at {place}"));
    list.iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
}

#[test]
fn the_table_of_errors_has_the_codes_of_the_schema() {
    let text = text();
    let rows = rows(section(&text, "Errors"));
    let told: BTreeSet<String> =
        rows.iter().flat_map(|row| words(row[0]).map(str::to_owned)).collect();
    let schemas = Schemas::load();
    let codes = listed(&schemas, "error", "/properties/payload/properties/code/enum");
    assert_eq!(told, codes);
    let lines =
        listed(&schemas, "publish-answer", "/properties/rejected/items/properties/code/enum");
    let publishing: BTreeSet<&str> = words(section(&text, "Publishing")).collect();
    assert!(lines.iter().all(|code| publishing.contains(code.as_str())), "{lines:?}");
}

#[test]
fn the_table_of_limits_names_options_that_exist_and_their_defaults() {
    let text = text();
    let rows = rows(section(&text, "Limits"));
    assert!(!rows.is_empty());
    for row in rows {
        let [_, default, option, _] = row[..] else { panic!("four cells: {row:?}") };
        let Some(name) = words(option).next() else {
            assert_eq!(option, "fixed", "{row:?}");
            continue;
        };
        let key = Key::ALL.iter().find(|key| key.name == name);
        let key = key.unwrap_or_else(|| panic!("there is no option {name}"));
        assert_eq!(key.default_text(), default, "{name}");
    }
}

//! The OpenAPI document, held against the routes, against what they really answer, and against the handbook.

use super::http::get;
use super::support::{self, config, wait_until};
use lineage::Engine;
use lineage::config::{Config, SourceChoice};
use serde_json::{Map, Value};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Values for what a route asks for.
const ASKED: [(&str, &str); 2] = [("name", "momentum"), ("symbol", "BTC-USD")];
/// Objects whose keys are data: those of an answer need not stand in the example.
const MAPS: [&str; 2] = ["/api/hub/stats.performance", "/api/rounds[].capital"];

/// An engine with every system on.
fn everything() -> (Engine, SocketAddr) {
    let mut config = Config { source: SourceChoice::Simulation, ..config() };
    // Rounds end soon.
    (config.arena.agent_interval, config.arena.round_updates) = (Duration::from_millis(20), 2);
    static ENGINES: AtomicUsize = AtomicUsize::new(0);
    let number = ENGINES.fetch_add(1, Ordering::Relaxed);
    let file = format!("shapes-{}-{number}.db", std::process::id());
    config.store.path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
    let engine = support::start(config);
    let http = support::http(&engine);
    (engine, http)
}

fn paths(http: SocketAddr) -> Map<String, Value> {
    let document = get(http, "/api/openapi.json").json();
    document["paths"].as_object().expect("paths").clone()
}

/// The path with its parameters filled in, the required ones of the query too.
fn filled(path: &str, get: &Value) -> String {
    let mut filled = path.to_owned();
    for parameter in get["parameters"].as_array().expect("a list") {
        let name = parameter["name"].as_str().expect("a name");
        if parameter["required"] == true {
            let (_, value) =
                ASKED.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{path}"));
            filled = match &parameter["in"] {
                place if place == "path" => filled.replace(&format!("{{{name}}}"), value),
                _ => format!("{filled}?{name}={value}"),
            };
        }
    }
    filled
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// Notes where `found` is not of the shape of `example`. What may be nothing is of no kind in the example.
fn compare(place: &str, example: &Value, found: &Value, faults: &mut Vec<String>) {
    match (example, found) {
        (Value::Null, _) => {}
        (Value::Object(example), Value::Object(_))
            if MAPS.contains(&place) && !example.is_empty() => {}
        (Value::Object(example), Value::Object(found)) => {
            for (name, value) in found {
                match example.get(name) {
                    Some(example) => compare(&format!("{place}.{name}"), example, value, faults),
                    None => faults.push(format!("{place}.{name} is not in the example")),
                }
            }
            for name in example.keys().filter(|name| !found.contains_key(*name)) {
                faults.push(format!("{place}.{name} is not in the answer"));
            }
        }
        (Value::Array(example), Value::Array(found)) => {
            for (example, value) in
                example.first().into_iter().flat_map(|e| found.iter().map(move |v| (e, v)))
            {
                compare(&format!("{place}[]"), example, value, faults);
            }
        }
        (example, found) if kind(example) == kind(found) => {}
        (example, found) => {
            faults.push(format!("{place} is a {}, not a {}", kind(found), kind(example)));
        }
    }
}

#[test]
fn every_route_answers_in_the_shape_of_its_example_and_of_its_schema() {
    let (_engine, http) = everything();
    let mut faults = Vec::new();
    for (path, methods) in paths(http) {
        let route = &methods["get"];
        let url = filled(&path, route);
        // A system tells of itself when it has begun.
        wait_until(&format!("{url} is available"), || {
            let answer = get(http, &url);
            let has_begun = answer.status == 200
                && answer.json().get("status").is_none_or(|status| status != "not_available");
            has_begun || answer.status == 400
        });
        let answer = get(http, &url);
        assert_eq!(answer.status, 200, "{url}: {answer:?}");
        let media = &route["responses"]["200"]["content"]["application/json"];
        let found = answer.json();
        compare(&path, &media["example"], &found, &mut faults);
        let schema = jsonschema::validator_for(&media["schema"]).expect("a schema");
        if let Err(error) = schema.validate(&found) {
            faults.push(format!("{path}: {error}"));
        }
        schema.validate(&media["example"]).expect("the example is of its own schema");
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_handbook_lists_the_routes_of_the_document_and_no_other() {
    let (_engine, http) = everything();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let handbook = std::fs::read_to_string(&path).expect("the handbook");
    let section = handbook.split("\n## REST\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let rows = section.expect("a section on REST").lines();
    let listed: Vec<&str> = rows
        .filter_map(|line| line.strip_prefix("| `/api/"))
        .filter_map(|row| row.split(['`', '?']).next())
        .collect();
    let served: Vec<String> =
        paths(http).keys().map(|path| path["/api/".len()..].to_owned()).collect();
    for path in &served {
        let times = listed.iter().filter(|row| *row == path).count();
        assert_eq!(times, 1, "docs/operations.md lists /api/{path} {times} times");
    }
    for row in listed {
        assert!(served.iter().any(|path| path == row), "there is no route /api/{row}");
    }
}

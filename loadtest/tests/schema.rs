//! `result.json` against its schema: what the program writes is what the schema says, and the schema says it all.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod sample;

use loadtest::measure::Part;
use loadtest::result::{Environment, Notes, Rules, RunResult, judge};
use serde_json::Value;

const SCHEMA: &str = include_str!("../schema/result.schema.json");

fn errors(result: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let words =
        |error: jsonschema::ValidationError<'_>| format!("{} at {}", error, error.instance_path);
    validator.iter_errors(result).map(words).collect()
}

fn value(result: &RunResult) -> Value {
    serde_json::to_value(result).unwrap()
}

#[test]
fn a_full_and_an_empty_result_are_what_the_schema_says() {
    assert_eq!(errors(&value(&sample::passed())), [""; 0]);
    let mut empty =
        RunResult::new(Environment::default(), Part::default(), None, &Notes::default());
    judge(&mut empty, &Rules::default());
    assert_eq!(errors(&value(&empty)), [""; 0]);
}

/// Objects whose keys are data: kinds of faults, close codes, reasons, seconds, events, topics.
const MAPS: [&str; 6] =
    ["faulty", "close_codes", "failure_reasons", "seconds", "skew", "per_topic"];

/// A result in which no list is empty, every option is there, and lists and maps are short.
fn every_field() -> RunResult {
    let mut result = sample::failed();
    let strict = &mut result.clients.strict;
    strict.failure_reasons = [("refused".to_owned(), 2)].into();
    result.detail.clients = strict.clone();
    result.clients.faulty.values_mut().for_each(|group| *group = strict.clone());
    result.detail.faulty.clone_from(&result.clients.faulty);
    result.detail.faults.push("client 1: a fault".to_owned());
    result.detail.seconds = result.detail.seconds.into_iter().take(1).collect();
    result.detail.skew = result.detail.skew.into_iter().take(1).collect();
    result.per_second.truncate(1);
    result.latency_note = Some("a note".to_owned());
    let published = result.published.as_mut().unwrap();
    published.per_topic.insert("t".to_owned(), 1);
    published.faults.push("a fault".to_owned());
    result
}

/// The paths of all objects within a value, each with its name and its keys.
fn objects(path: &str, name: &str, value: &Value, found: &mut Vec<(String, String, Vec<String>)>) {
    match value {
        Value::Object(object) => {
            let keys = object.keys().cloned().collect();
            found.push((path.to_owned(), name.to_owned(), keys));
            for (key, inner) in object {
                let step = key.replace('~', "~0").replace('/', "~1");
                objects(&format!("{path}/{step}"), key, inner, found);
            }
        }
        Value::Array(list) => {
            let items = list.iter().enumerate();
            items.for_each(|(at, item)| objects(&format!("{path}/{at}"), "", item, found));
        }
        _ => {}
    }
}

#[test]
fn every_field_is_asked_for_and_no_other_is_taken() {
    let full = value(&every_field());
    let mut found = Vec::new();
    objects("", "", &full, &mut found);
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&full), "{:?}", errors(&full));
    let mut fields = 0;
    for (path, name, keys) in &found {
        if MAPS.contains(&name.as_str()) {
            assert!(!keys.is_empty(), "{path} has no entry to look at");
            continue;
        }
        let object = |value: &mut Value, change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
            change(value.pointer_mut(path).unwrap().as_object_mut().unwrap());
        };
        for key in keys {
            let mut less = full.clone();
            object(&mut less, &|object| drop(object.remove(key)));
            assert!(!validator.is_valid(&less), "without {path}/{key}");
            let mut other = full.clone();
            object(&mut other, &|object| drop(object.insert(key.clone(), Value::from(vec![-1]))));
            assert!(!validator.is_valid(&other), "with another type in {path}/{key}");
            fields += 1;
        }
        let mut more = full.clone();
        object(&mut more, &|object| drop(object.insert("invented".to_owned(), 1.into())));
        assert!(!validator.is_valid(&more), "with {path}/invented");
    }
    assert!(fields > 150, "{fields} fields only");
}

#[test]
fn a_result_without_latency_or_publisher_says_so_by_null() {
    let mut result = sample::passed();
    (result.latency_us, result.published, result.generator.publisher) = (None, None, None);
    (result.events.published, result.rates.published_per_s) = (None, None);
    result.connect_us.p99_9 = None;
    let result = value(&result);
    assert_eq!(errors(&result), [""; 0]);
    assert!(result["latency_us"].is_null() && result["connect_us"]["p99_9"].is_null());
}

#[test]
fn the_names_that_scripts_rely_on_stay() {
    let result = value(&sample::passed());
    for (object, names) in [
        (
            "/events",
            "published expected delivered lost duplicated reordered announced_gaps corrupt",
        ),
        ("/clients", "asked connected failed closed"),
        ("/latency_us/scheduled", "p50 p90 p99 p99_9 p99_99 max"),
        ("/latency_us/actual", "p50 p90 p99 p99_9 p99_99 max"),
        ("/generator", "cpu_s limited"),
        ("/verdict", "pass checks"),
        ("", "schema environment rates connect_us per_second"),
    ] {
        for name in names.split(' ') {
            assert!(result.pointer(&format!("{object}/{name}")).is_some(), "{object}/{name}");
        }
    }
}

#[test]
fn a_result_is_read_back_as_it_was_written() {
    let result = sample::passed();
    let text = serde_json::to_string(&result).unwrap();
    let back: RunResult = serde_json::from_str(&text).unwrap();
    assert!(back == result, "not what was written");
}

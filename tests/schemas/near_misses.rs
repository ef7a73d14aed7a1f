//! Frames that are almost right: the schemas refuse them.
//!
//! Method: the examples of the document are spoilt in every place: a key less, a key more, another type. Every
//! schema has an example, so every schema is tried.

use super::document::{examples, text};
use super::schemas::{Schemas, name_of};
use serde_json::{Map, Value, json};

/// What may be left out: how the names of the schemas begin, and the place in the frame.
const OPTIONAL: [(&str, &str); 14] = [
    ("", "/id"),
    ("ack-subscribe", "/payload/recovered"),
    ("ack-subscribe", "/payload/rejected"),
    ("ack-unsubscribe", "/payload/rejected"),
    ("event-market", "/prev"),
    ("heartbeat", "/payload/heads"),
    ("pong", "/payload/t"),
    ("client-subscribe", "/mode"),
    ("client-subscribe", "/max_hz"),
    ("client-subscribe", "/snapshot"),
    ("client-subscribe", "/from"),
    ("client-subscribe", "/on_lag"),
    ("client-p", "/t"),
    ("publish-line", "/class"),
];
/// The same, where the last part of the place is data: topics, agents; and a class that may be left out.
const MAPS: [(&str, &str); 3] = [
    ("heartbeat", "/payload/heads/"),
    ("event-arena", "/payload/capital/"),
    ("client-publish", "/class"),
];

/// A schema, how a place in it begins, and what else may stand there.
type Either = (&'static str, &'static str, fn(&Value) -> bool);
/// What may be of another type.
const EITHER: [Either; 2] = [
    ("event-candle", "/payload/", Value::is_number),
    ("event-indicator", "/payload/", |other| other.is_null() || other.is_number()),
];
/// Members of these that are of one type all the same.
const OF_ONE_TYPE: [&str; 3] = ["/payload/symbol", "/payload/interval", "/payload/final"];

/// A frame and all places of it that an object stands at.
struct Example {
    name: String,
    frame: Value,
    objects: Vec<String>,
}

fn read() -> Vec<Example> {
    let example = |text: &String| {
        let frame: Value = serde_json::from_str(text).expect("JSON");
        let name = name_of(&frame).expect("a name");
        let mut objects = Vec::new();
        find_objects("", &frame, &mut objects);
        // Of payloads from outside the schemas know nothing.
        let is_foreign = match &*name {
            "event" | "client-publish" | "publish-line" => true,
            "snapshot" => frame["topic"].as_str().is_some_and(|topic| topic.starts_with("desk:")),
            _ => false,
        };
        objects.retain(|place| !(is_foreign && place.starts_with("/payload")));
        Example { name, frame, objects }
    };
    examples(&text()).iter().map(example).collect()
}

fn find_objects(place: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.push(place.to_owned());
            let mut below = |(key, inner)| find_objects(&format!("{place}/{key}"), inner, found);
            members.iter().for_each(&mut below);
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(at, item)| find_objects(&format!("{place}/{at}"), item, found));
        }
        _ => {}
    }
}

impl Example {
    /// Every member: the object it is in, its key, its value.
    fn members(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        self.objects.iter().flat_map(|place| {
            let object = self.frame.pointer(place).and_then(Value::as_object);
            let members = object.expect("an object of the frame").iter();
            members.map(move |(key, value)| (place.as_str(), key.as_str(), value))
        })
    }

    /// The frame with another object at this place.
    fn with(&self, place: &str, change: impl FnOnce(&mut Map<String, Value>)) -> Value {
        let mut frame = self.frame.clone();
        change(frame.pointer_mut(place).and_then(Value::as_object_mut).expect("an object"));
        frame
    }
}

#[test]
fn a_key_less_is_refused_where_it_is_needed_and_taken_where_it_is_not() {
    let schemas = Schemas::load();
    let (mut needed, mut tried) = (0, vec![false; OPTIONAL.len()]);
    for example in read() {
        for (place, key, _) in example.members() {
            let (spot, less) =
                (format!("{place}/{key}"), example.with(place, |o| drop(o.remove(key))));
            let is_here =
                |(part, other): &(&str, &str)| example.name.starts_with(part) && spot == *other;
            let is_data =
                MAPS.iter().any(|(name, map)| example.name == *name && spot.starts_with(map));
            let optional = OPTIONAL.iter().position(is_here);
            if let Some(at) = optional {
                tried[at] = true;
            }
            let is_taken = schemas.takes(&less);
            assert_eq!(
                is_taken,
                optional.is_some() || is_data,
                "{} without {spot}: {less}",
                example.name
            );
            needed += usize::from(!is_taken);
        }
    }
    assert!(needed > 300, "{needed} keys only");
    let untried: Vec<_> = OPTIONAL.iter().zip(tried).filter(|(_, is_tried)| !is_tried).collect();
    assert!(untried.is_empty(), "no example has {untried:?}");
}

#[test]
fn a_key_more_is_refused() {
    let schemas = Schemas::load();
    for example in read() {
        for place in &example.objects {
            let more =
                example.with(place, |object| drop(object.insert("in vented".into(), json!("x"))));
            assert!(!schemas.takes(&more), "{} with a key in {place}", example.name);
        }
    }
}

#[test]
fn another_type_is_refused_and_so_is_a_broken_or_negative_count() {
    let schemas = Schemas::load();
    let others = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0.5),
        json!("é"),
        json!([[]]),
        json!({"é": []}),
    ];
    let mut tries = 0;
    for example in read() {
        for (place, key, right) in example.members() {
            let spot = format!("{place}/{key}");
            for other in others.iter().filter(|other| example.is_wrong(&spot, right, other)) {
                // A payload from outside may be anything.
                if spot == "/payload" && !example.objects.contains(&spot) {
                    continue;
                }
                let wrong = example.with(place, |o| drop(o.insert(key.to_owned(), other.clone())));
                assert!(!schemas.takes(&wrong), "{} with {other} at {spot}", example.name);
                tries += 1;
            }
        }
    }
    assert!(tries > 2_000, "{tries} tries only");
}

impl Example {
    /// Whether `other` must not stand where `right` does.
    fn is_wrong(&self, spot: &str, right: &Value, other: &Value) -> bool {
        let is_echoed = ["/id", "/t", "/payload/t"].contains(&spot);
        if is_echoed && (other.is_number() || other.is_string()) {
            return spot == "/id" && other.is_f64();
        }
        let is_count = right.is_u64() && other.is_number();
        let may_be = |(name, place, is_allowed): &Either| {
            self.name == *name && spot.starts_with(place) && is_allowed(other)
        };
        let is_either = !is_count && !OF_ONE_TYPE.contains(&spot) && EITHER.iter().any(may_be);
        is_count || (!is_either && std::mem::discriminant(right) != std::mem::discriminant(other))
    }
}

//! The folder of schemas: which one a frame is held against, and what is wrong with the frame.
//!
//! Two schemas have a say in every frame: the one of its type, and `server` or `client`, which choose by themselves.
//! The order of keys is that of `properties` in the schema of its type.

use super::ordered::Ordered;
use jsonschema::{Resource, ValidationError, Validator};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

const BASE: &str = "https://lineage.example/schemas/v1/";
const SUFFIX: &str = ".schema.json";
/// Schemas that no frame has for itself.
const SHARED: [&str; 3] = ["types", "server", "client"];
/// Types that are words of the protocol. An `ack` is told by its `op` as well.
const WORDS: [&str; 7] = ["welcome", "error", "snapshot", "gap", "heartbeat", "pong", "shutdown"];
/// First segments of our own topics whose events have a schema.
const OWN: [&str; 9] =
    ["market", "agent", "trade", "arena", "hub", "candle", "indicator", "alert", "book"];
/// The same, where the second segment belongs to the type.
const OWN_PAIRS: [&str; 2] = ["chain", "sim"];

/// All schemas, compiled.
pub(crate) struct Schemas {
    validators: BTreeMap<String, Validator>,
    texts: BTreeMap<String, Ordered>,
    pub(crate) values: BTreeMap<String, Value>,
}

impl Schemas {
    /// Reads the folder.
    pub(crate) fn load() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas");
        let (mut texts, mut values) = (BTreeMap::new(), BTreeMap::new());
        for entry in std::fs::read_dir(&folder).expect("the folder of schemas") {
            let path = entry.expect("its entries").path();
            let file = path.file_name().and_then(|name| name.to_str()).expect("text");
            let Some(name) = file.strip_suffix(SUFFIX) else {
                assert_eq!(file, "README.md", "a schema is named {SUFFIX}");
                continue;
            };
            let text = std::fs::read_to_string(&path).expect("readable");
            let ordered = Ordered::parse(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
            let value: Value = serde_json::from_str(&text).expect("JSON, as it has just been");
            assert_eq!(value["$id"], format!("{BASE}{file}"), "{file}");
            texts.insert(name.to_owned(), ordered);
            values.insert(name.to_owned(), value);
        }
        let resources = values.iter().map(|(name, value)| {
            let resource = Resource::from_contents(value.clone()).expect("a known draft");
            (format!("{BASE}{name}{SUFFIX}"), resource)
        });
        let resources: Vec<_> = resources.collect();
        let compile = |(name, value): (&String, &Value)| {
            assert!(jsonschema::meta::is_valid(value), "{name} is no schema");
            let options = jsonschema::options().with_resources(resources.iter().cloned());
            let validator = options.build(value).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name.clone(), validator)
        };
        let validators = values.iter().map(compile).collect();
        Self { validators, texts, values }
    }

    /// The schemas of single frames, messages and bodies.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.validators.keys().map(String::as_str).filter(|name| !SHARED.contains(name))
    }

    /// What is wrong with `frame` by its own schema and by the one that chooses.
    pub(crate) fn errors(&self, name: &str, frame: &Value) -> Vec<String> {
        let choosing = match name {
            _ if name.starts_with("client-") => Some("client"),
            _ if is_v1_frame(name) => Some("server"),
            _ => None,
        };
        let words = |error: ValidationError<'_>| format!("{error} at {}", error.instance_path);
        let errors_by = |name: &str| {
            let validator = self.validators.get(name);
            let validator = validator.unwrap_or_else(|| panic!("there is no schema {name}"));
            validator.iter_errors(frame).map(words).collect::<Vec<_>>()
        };
        let own = errors_by(name);
        if let Some(choosing) = choosing {
            let chosen = errors_by(choosing);
            assert_eq!(
                own.is_empty(),
                chosen.is_empty(),
                "{name}: {own:?}, {choosing}: {chosen:?}"
            );
        }
        own
    }

    /// Whether the value has a schema that takes it.
    pub(crate) fn takes(&self, value: &Value) -> bool {
        let name = name_of(value).ok().filter(|name| self.validators.contains_key(name));
        name.is_some_and(|name| self.errors(&name, value).is_empty())
    }

    /// Panics unless `text` is a frame of the server that its schema takes, with its keys in the order of the
    /// schema and, but for payloads from outside, no white space. Says which schema that was.
    pub(crate) fn assert_sent(&self, text: &str) -> String {
        let frame: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
        let name = name_of(&frame).unwrap_or_else(|why| panic!("{why}: {text}"));
        assert_eq!(self.errors(&name, &frame), [""; 0], "{name}: {text}");
        let ordered = Ordered::parse(text).expect("JSON, as it has just been");
        assert!(self.is_in_order(&name, &ordered), "keys of {name} in another order: {text}");
        let is_foreign = frame.get("topic").is_some() && own_topic(&frame).is_none();
        let is_compact = ordered.to_string() == text;
        assert!(is_compact || is_foreign, "white space, or a name with escapes: {text}");
        if name == "snapshot" && own_topic(&frame).is_some() {
            let topic = frame["topic"].as_str().expect("the schema asks for it");
            let event = text.replacen("snapshot", event_type(topic), 1);
            self.assert_sent(&event);
        }
        name
    }

    /// Whether the keys stand in the order in which the schema of this name lists them.
    pub(crate) fn is_in_order(&self, name: &str, value: &Ordered) -> bool {
        self.follows(name, &self.texts[name], value)
    }

    fn follows<'a>(&'a self, mut file: &'a str, mut schema: &'a Ordered, value: &Ordered) -> bool {
        while let Some(Ordered::Scalar(reference)) = schema.member("$ref") {
            let (target, path) = reference
                .trim_matches('"')
                .split_once('#')
                .unwrap_or_else(|| (reference.trim_matches('"'), ""));
            file = if target.is_empty() { file } else { target.trim_end_matches(SUFFIX) };
            let (found, tree) = self.texts.get_key_value(file).expect("a file of the folder");
            let steps = path.split('/').filter(|step| !step.is_empty());
            schema = steps.fold(tree, |node, step| node.member(step).expect("a part of it"));
            file = found;
        }
        match value {
            Ordered::Array(items) => schema
                .member("items")
                .is_none_or(|schema| items.iter().all(|item| self.follows(file, schema, item))),
            Ordered::Object(members) => {
                let Some(Ordered::Object(known)) = schema.member("properties") else { return true };
                let place = |key: &str| known.iter().position(|(name, _)| name == key);
                let places: Vec<usize> = members.iter().filter_map(|(key, _)| place(key)).collect();
                places.is_sorted()
                    && members.iter().all(|(key, value)| {
                        place(key).is_none_or(|at| self.follows(file, &known[at].1, value))
                    })
            }
            Ordered::Scalar(_) => true,
        }
    }
}

/// Whether this is the schema of a frame of v1, from the server.
pub(crate) fn is_v1_frame(name: &str) -> bool {
    WORDS.contains(&name) || name.starts_with("ack-") || name.starts_with("event")
}

/// Which schema a frame, a message or a body has, by its type and its topic.
pub(crate) fn name_of(value: &Value) -> Result<String, String> {
    let word = |key: &str| value[key].as_str();
    let has = |key: &str| value.get(key).is_some();
    if let Some(op) = word("op") {
        return Ok(format!("client-{op}"));
    }
    let unknown = || format!("unknown type {}", value["type"]);
    match word("type") {
        Some("about:blank") => Ok("http-problem".to_owned()),
        Some("hub_status_update") if value["data"].get("status").is_some() => {
            Ok("legacy-hub-off".to_owned())
        }
        Some("hub_status_update") => Ok("legacy-hub".to_owned()),
        Some("welcome") if value["payload"].get("connectionId").is_some() => {
            Ok("legacy-chain-welcome".to_owned())
        }
        Some(kind) if kind.ends_with("_update") && !has("topic") => {
            Ok(format!("legacy-chain-{}", kind.trim_end_matches("_update")))
        }
        Some("ack") => {
            let op = value["payload"]["op"].as_str().ok_or_else(unknown)?;
            Ok(format!("ack-{op}"))
        }
        Some(kind) if WORDS.contains(&kind) => Ok(kind.to_owned()),
        Some(kind @ ("market" | "agent")) if !has("topic") => Ok(format!("legacy-{kind}")),
        Some(kind) if word("topic").is_some_and(|topic| event_type(topic) == kind) => {
            Ok(own_topic(value).map_or("event".to_owned(), |own| format!("event-{own}")))
        }
        Some(_) => Err(unknown()),
        None if has("accepted") => Ok("publish-answer".to_owned()),
        None if has("error") => Ok("http-error".to_owned()),
        None if has("topic") => Ok("publish-line".to_owned()),
        None if has("market") => Ok("legacy-market-nested".to_owned()),
        None if has("agent") => Ok("legacy-agent-nested".to_owned()),
        None => Err("neither op nor type".to_owned()),
    }
}

/// What follows `event-` in the name of the schema, where the frame's topic is one of ours.
fn own_topic(frame: &Value) -> Option<String> {
    let mut segments = frame["topic"].as_str()?.split(':');
    let first = segments.next()?;
    if OWN_PAIRS.contains(&first) {
        return Some(format!("{first}-{}", segments.next()?));
    }
    OWN.contains(&first).then(|| first.to_owned())
}

/// The type of the events of a topic, by the rule of the document.
fn event_type(topic: &str) -> &str {
    let segments: Vec<&str> = topic.split(':').collect();
    match segments[..] {
        ["chain", second, ..] => &topic[.."chain:".len() + second.len()],
        [first, ..] if OWN.contains(&first) => first,
        [_, "snapshot", _, ..] | [_] => "event",
        [_, second, ..] => second,
        [] => "",
    }
}

#[test]
fn a_frame_of_no_known_type_has_no_schema() {
    let name = |text: &str| name_of(&serde_json::from_str(text).expect("JSON"));
    for text in [
        r#"{"type":"invented"}"#,
        r#"{"type":"quote","topic":"desk:signal:BTC"}"#,
        r#"{"type":"ack","payload":{}}"#,
        r#"{"kind":"welcome"}"#,
    ] {
        assert!(name(text).is_err(), "{text}");
    }
    let event =
        |kind: &str, topic: &str| name(&format!(r#"{{"type":"{kind}","topic":"{topic}"}}"#));
    assert_eq!(event("trade", "trade:momentum").as_deref(), Ok("event-trade"));
    assert_eq!(event("trade", "sim:trade:BTC-USD").as_deref(), Ok("event-sim-trade"));
    assert_eq!(event("chain:tps", "chain:tps").as_deref(), Ok("event-chain-tps"));
    assert_eq!(event("trade", "binance:trade:BTCUSDT").as_deref(), Ok("event"));
    assert_eq!(event("event", "binance:snapshot:BTCUSDT").as_deref(), Ok("event"));
}

#[test]
fn keys_in_another_order_are_noticed_at_every_depth() {
    let schemas = Schemas::load();
    let is_in_order =
        |name: &str, text: &str| schemas.is_in_order(name, &Ordered::parse(text).expect("JSON"));
    for (name, right, wrong) in [
        ("pong", r#"{"type":"pong","id":1}"#, r#"{"id":1,"type":"pong"}"#),
        ("pong", r#"{"payload":{"t":1,"lag":0}}"#, r#"{"payload":{"lag":0,"t":1}}"#),
        (
            "ack-subscribe",
            r#"{"payload":{"topics":[{"topic":"a","seq":1}]}}"#,
            r#"{"payload":{"topics":[{"seq":1,"topic":"a"}]}}"#,
        ),
        // Through two references.
        (
            "legacy-market-nested",
            r#"{"market":{"symbol":"a","price":1}}"#,
            r#"{"market":{"price":1,"symbol":"a"}}"#,
        ),
        (
            "event-market",
            r#"{"payload":{"symbol":"a","price":1}}"#,
            r#"{"payload":{"price":1,"symbol":"a"}}"#,
        ),
    ] {
        assert!(is_in_order(name, right), "{right}");
        assert!(!is_in_order(name, wrong), "{wrong}");
    }
}

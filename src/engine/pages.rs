//! What the stream itself tells over HTTP: its topics, and the present state of agents and markets.
//!
//! Last values are those that a client gets which subscribes now: from the snapshot store, and from the log for what
//! came since. So agents and markets of a replay, of an embedding program or of a publisher are there as well as the
//! arena's. Never: a copy of its own that could be older.
//!
//! An answer walks the log back to the newest block of last values, which is half of the log at most: some hundred
//! microseconds, on the edge's thread, and not more often than the gateway's cache lets it.

use crate::api::{self, Answer, Asked, Parameter, Refusal, Route, Shape};
use crate::encode::{Encoder, Lane, frame};
use crate::event::{Class, Pattern, Topic, Topics};
use crate::snapshot::Values;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Topics in an answer unless the request says otherwise.
const TOPICS_SHOWN: u64 = 1_000;

/// Things that have a topic each, and a last value there.
struct Kind {
    /// What stands before the name in a topic.
    prefix: &'static str,
    /// What one is called in a message.
    word: &'static str,
    /// What an answer calls all of them.
    plural: &'static str,
    list: (&'static str, &'static str),
    one: (&'static str, &'static str),
    parameter: (&'static str, &'static str),
    example: fn() -> Value,
}

const AGENTS: Kind = Kind {
    prefix: "agent:",
    word: "agent",
    plural: "agents",
    list: ("/api/agents", "The present state of all agents."),
    one: ("/api/agents/{name}", "The present state of one agent."),
    parameter: ("name", "the agent's name in topics, such as momentum"),
    example: || {
        json!({
            "agent": "momentum",
            "name": "⚡ Momentum",
            "capital": 50_450.25,
            "trades": 5,
            "win_rate": 0.6,
            "scars": 1,
            "status": "active",
            "action": "⚡ Momentum WON trade (+$450)",
            "seq": 17,
            "us": 1_738_512_000_123_456_u64,
        })
    },
};

const MARKETS: Kind = Kind {
    prefix: "market:",
    word: "market",
    plural: "markets",
    list: ("/api/market", "The last price of all markets, in dollars."),
    one: ("/api/market/{symbol}", "The last price of one market, in dollars."),
    parameter: ("symbol", "the symbol as its topic names it, such as BTC-USD"),
    example: || {
        json!({
            "symbol": "BTC-USD",
            "price": 42_000.5,
            "seq": 5_013,
            "us": 1_738_512_000_123_456_u64,
        })
    },
};

/// What the answers are read from.
#[derive(Clone)]
struct Stream {
    encoder: Arc<Encoder>,
    values: Values,
}

/// The routes of topics, agents and markets.
pub(super) fn routes(encoder: Arc<Encoder>, values: Values) -> Vec<Route> {
    let stream = Stream { encoder, values };
    let mut routes = vec![topics_route(stream.clone())];
    for kind in [&AGENTS, &MARKETS] {
        routes.extend([list_route(kind, stream.clone()), one_route(kind, stream.clone())]);
    }
    routes
}

fn topics_route(stream: Stream) -> Route {
    let parameter = |name, meaning, shape| Parameter { name, meaning, is_required: false, shape };
    Route {
        path: "/api/topics",
        summary: "The topics, whether the last value matters (state) or each one (event), and their newest seq.",
        parameters: vec![
            parameter("pattern", "a topic, or a pattern such as market:*; default *", Shape::Text),
            parameter(
                "limit",
                "topics at most, 1 to 65,536; default 1,000",
                Shape::Integer(1, 65_536),
            ),
        ],
        example: json!({
            "total": 1,
            "topics": [{ "name": "market:BTC-USD", "class": "state", "kind": "market", "seq": 5_013 }],
        }),
        is_blocking: false,
        answer: Arc::new(move |asked| stream.topics(asked)),
    }
}

fn list_route(kind: &'static Kind, stream: Stream) -> Route {
    let (path, summary) = kind.list;
    let mut example = Map::new();
    example.insert(kind.plural.to_owned(), json!([(kind.example)()]));
    let answer: Answer = Arc::new(move |_| {
        let topics = stream.encoder.topics();
        let wanted = |index| topics.info(Topic::from_index(index)).name.starts_with(kind.prefix);
        let found: Vec<Value> = stream.last(wanted).into_values().collect();
        Ok(if found.is_empty() { api::not_available() } else { json!({ kind.plural: found }) })
    });
    Route {
        path,
        summary,
        parameters: Vec::new(),
        example: Value::Object(example),
        is_blocking: false,
        answer,
    }
}

fn one_route(kind: &'static Kind, stream: Stream) -> Route {
    let (path, summary) = kind.one;
    let (name, meaning) = kind.parameter;
    let answer: Answer = Arc::new(move |asked| {
        let name = asked.text(name).unwrap_or_default();
        let topics = stream.encoder.topics();
        let topic = topics.find(&format!("{}{name}", kind.prefix));
        let found = topic
            .and_then(|topic| stream.last(|index| index == topic.index()).into_values().next());
        let is_any = |topics: &Topics| all(topics).any(|(_, name)| name.starts_with(kind.prefix));
        match found {
            Some(found) => Ok(found),
            None if is_any(topics) => {
                let (word, (list, _)) = (kind.word, kind.list);
                Err(Refusal::Unknown(format!("there is no {word} {name:?}; {list} lists them")))
            }
            None => Ok(api::not_available()),
        }
    });
    Route {
        path,
        summary,
        parameters: vec![Parameter { name, meaning, is_required: true, shape: Shape::Text }],
        example: (kind.example)(),
        is_blocking: false,
        answer,
    }
}

/// Index and name of every topic.
fn all(topics: &Topics) -> impl Iterator<Item = (u16, &str)> {
    let indices = (0..=u16::MAX).take(topics.len());
    indices.map(|index| (index, &*topics.info(Topic::from_index(index)).name))
}

impl Stream {
    fn topics(&self, asked: &Asked) -> Result<Value, Refusal> {
        let text = asked.text("pattern").unwrap_or("*");
        let pattern = Pattern::parse(text).map_err(|_| {
            Refusal::Bad(format!("pattern is {text:?}, and neither a topic nor a pattern"))
        })?;
        let limit = asked.integer("limit").unwrap_or(TOPICS_SHOWN);
        let topics = self.encoder.topics();
        // A topic that is registered after this has no place among the seqs yet, and none among the topics.
        let found: Vec<u16> = all(topics)
            .filter(|(_, name)| pattern.matches(name) || pattern.is_all())
            .map(|(index, _)| index)
            .collect();
        let shown = &found[..found.len().min(usize::try_from(limit).unwrap_or(usize::MAX))];
        let seqs: Vec<u64> = self.encoder.between_batches(|seqs| {
            let seq = |index: &u16| seqs.get(usize::from(*index)).copied().unwrap_or(0);
            shown.iter().map(seq).collect()
        });
        let row = |(&index, seq): (&u16, u64)| {
            let info = topics.info(Topic::from_index(index));
            let class = match info.class {
                Class::State => "state",
                Class::Event => "event",
            };
            json!({ "name": &*info.name, "class": class, "kind": &*info.kind, "seq": seq })
        };
        let rows: Vec<Value> = shown.iter().zip(seqs).map(row).collect();
        Ok(json!({ "total": found.len(), "topics": rows }))
    }

    /// The last payloads of the wanted topics, with their seq and time, in the order of the topics' names. A topic
    /// whose last payload is no JSON object is not among them.
    fn last(&self, wanted: impl Fn(u16) -> bool) -> BTreeMap<&str, Value> {
        // The block before the log: what the block does not have is in the log then.
        let block = self.values.load();
        let reader = self.encoder.log(Lane::V1).reader_from_oldest();
        let topics = self.encoder.topics();
        let wanted: Vec<u16> = all(topics).map(|(index, _)| index).filter(|i| wanted(*i)).collect();
        let mut newest: BTreeMap<u16, _> = BTreeMap::new();
        let mut at = block.base().max(reader.oldest());
        while let Some(segment) = reader.segment(at).filter(|_| at < reader.head()) {
            let skip = usize::try_from(at - segment.base()).expect("segments are small");
            for record in &segment.records()[skip..] {
                at += 1;
                if wanted.binary_search(&record.topic).is_ok() {
                    newest.insert(record.topic, (segment, record));
                }
            }
        }
        let state = |&index: &u16| {
            let found = match newest.get(&index) {
                Some((segment, record)) => {
                    told(record.seq, record.time_us, segment.bytes(record.range()))
                }
                None => {
                    let value = block.value(index)?;
                    told(value.seq, value.time_us, value.frame)
                }
            };
            Some((&*topics.info(Topic::from_index(index)).name, found?))
        };
        wanted.iter().filter_map(state).collect()
    }
}

/// The payload of a v1 frame, with seq and time.
fn told(seq: u64, time_us: u64, bytes: &[u8]) -> Option<Value> {
    let mut message: Value = serde_json::from_slice(frame::payload(bytes)).ok()?;
    let mut payload = message.get_mut("payload")?.take();
    let fields = payload.as_object_mut()?;
    fields.insert("seq".to_owned(), seq.into());
    fields.insert("us".to_owned(), time_us.into());
    Some(payload)
}

//! The named numbers of a subject: what rules may look at, and how they are read from an event.
//!
//! A subject is a topic (`agent:momentum`), or `engine` for the engine itself. Its kind has a fixed list of fields, so that
//! a rule with a wrong name is refused when it is loaded, and a field is an index afterwards. It never keeps a number:
//! [`Readings`] are those of one event.
//!
//! A number that an event does not have, or that is not finite, is absent: no rule judges it.

use crate::event::{Agent, Body, Event, Market, Status};
use serde_json::Value;

/// Fields of a kind at most.
const FIELDS_MAX: usize = 20;

/// The subject of the engine's own numbers; the others are topics.
pub const ENGINE: &str = "engine";

/// A kind of subject.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// How its topics begin; all of the name where it does not end in `:`.
    pub(super) prefix: &'static str,
    /// Its fields.
    pub(super) fields: &'static [&'static str],
    /// Whether its topics end in an interval, between which a rule has to choose.
    pub(super) has_intervals: bool,
}

/// All kinds of subject.
pub(super) const KINDS: [Kind; 4] = [
    Kind {
        prefix: "agent:",
        fields: &["capital", "capital_ratio", "trades", "win_rate", "scars", "resting"],
        has_intervals: false,
    },
    Kind { prefix: "market:", fields: &["price"], has_intervals: false },
    Kind {
        prefix: "indicator:",
        fields: &["sma_20", "ema_20", "rsi_14", "volatility", "vwap", "return"],
        has_intervals: true,
    },
    Kind { prefix: ENGINE, fields: &ENGINE_FIELDS, has_intervals: false },
];

/// The engine's own numbers, as [`observe_engine`](super::Alerts::observe_engine) takes them.
pub const ENGINE_FIELDS: [&str; 20] = [
    "active_connections",
    "api_errors_total",
    "api_requests_total",
    "cache_hit_rate",
    "cache_lookups_total",
    "deliveries_total",
    "delivery_latency_p99_ms",
    "events_missed_total",
    "events_refused_total",
    "events_total",
    "evictions_total",
    "gap_events_total",
    "gaps_total",
    "http_errors_total",
    "laggard_share",
    "laggards",
    "request_success_rate",
    "ring_depth_share",
    "store_free_ratio",
    "subscribed_connections",
];

/// The intervals of indicators.
pub(super) const INTERVALS: [&str; 3] = ["1s", "10s", "1m"];

/// The numbers of one event, by the index of the field within its kind.
pub(super) type Readings = [Option<f64>; FIELDS_MAX];

impl Kind {
    /// The kind of a subject, or of a pattern of subjects.
    pub(super) fn of(subject: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| match kind.prefix.strip_suffix(':') {
            Some(_) => subject.strip_prefix(kind.prefix).is_some_and(|name| !name.is_empty()),
            None => subject == kind.prefix,
        })
    }

    /// The index of a field.
    pub(super) fn field(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| *field == name)
    }

    fn set(&self, readings: &mut Readings, name: &str, number: f64) {
        if let Some(field) = self.field(name).filter(|_| number.is_finite()) {
            readings[field] = Some(number);
        }
    }

    /// Readings of pairs of name and number; names that are no field are passed over.
    pub(super) fn named<'a>(&self, numbers: impl IntoIterator<Item = (&'a str, f64)>) -> Readings {
        let mut readings = Readings::default();
        for (name, number) in numbers {
            self.set(&mut readings, name, number);
        }
        readings
    }
}

/// The numbers in the body of an event of this kind. `start_capital` is what an agent's capital is held against. `scratch`
/// is overwritten.
pub(super) fn read(
    kind: &Kind,
    event: &Event,
    start_capital: f64,
    scratch: &mut Vec<u8>,
) -> Readings {
    match &event.body {
        Body::Agent(agent) => of_agent(kind, agent, start_capital),
        Body::Market(Market { price, .. }) => kind.named([("price", units(price.0))]),
        Body::Typed(typed) => {
            scratch.clear();
            typed.0.write_json(scratch);
            of_json(kind, scratch)
        }
        Body::External(json) | Body::Recorded { payload: json, .. } => of_json(kind, json.bytes()),
        Body::Trade(_) => Readings::default(),
    }
}

/// Hundredths as units; exact up to 2^53.
pub(super) fn units(hundredths: i64) -> f64 {
    hundredths as f64 / 100.0
}

fn of_agent(kind: &Kind, agent: &Agent, start_capital: f64) -> Readings {
    let capital = units(agent.capital.0);
    // Without trades, and without a start, there is no ratio: a division by zero is not finite and so not read.
    kind.named([
        ("capital", capital),
        ("capital_ratio", capital / start_capital.max(0.0)),
        ("trades", agent.trades.into()),
        ("win_rate", f64::from(agent.wins) / f64::from(agent.trades)),
        ("scars", agent.scars.into()),
        ("resting", if agent.status == Status::Resting { 1.0 } else { 0.0 }),
    ])
}

/// The fields of a JSON object: numbers, or exact decimals as strings. What is not an object has none.
fn of_json(kind: &Kind, json: &[u8]) -> Readings {
    let Ok(Value::Object(object)) = serde_json::from_slice(json) else {
        return Readings::default();
    };
    let number = |name: &&'static str| {
        let number = match object.get(*name)? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        Some((*name, number?))
    };
    kind.named(kind.fields.iter().filter_map(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Action, AgentName, Cents, Json, Topic};
    use std::sync::Arc;

    fn event(body: Body) -> Event {
        Event { topic: Topic::from_index(0), key: 0, time_us: 0, body }
    }

    fn agent(trades: u32, wins: u32) -> Body {
        Body::Agent(Agent {
            agent: Arc::new(AgentName { slug: "momentum".into(), name: "⚡ Momentum".into() }),
            capital: Cents(4_000_000),
            trades,
            wins,
            scars: 3,
            status: Status::Resting,
            action: Action::Rests,
        })
    }

    fn numbers(subject: &str, body: Body, start_capital: f64) -> Vec<(&'static str, f64)> {
        let kind = Kind::of(subject).unwrap();
        let readings = read(kind, &event(body), start_capital, &mut Vec::new());
        let pairs = kind.fields.iter().zip(readings);
        pairs.filter_map(|(name, number)| Some((*name, number?))).collect()
    }

    #[test]
    fn every_kind_fits_the_readings_and_is_found_by_its_subjects() {
        for kind in &KINDS {
            assert!(kind.fields.len() <= FIELDS_MAX, "{}", kind.prefix);
        }
        assert_eq!(Kind::of("agent:momentum"), Some(&KINDS[0]));
        assert_eq!(Kind::of("agent:*"), Some(&KINDS[0]));
        assert_eq!(Kind::of("engine"), Some(&KINDS[3]));
        for none in ["", "agent", "agent:", "engine:x", "engines", "alert", "trade:momentum"] {
            assert_eq!(Kind::of(none), None, "{none}");
        }
    }

    #[test]
    fn an_agent_has_a_ratio_only_where_there_is_something_to_divide_by() {
        let all = numbers("agent:momentum", agent(10, 6), 50_000.0);
        let expected = [
            ("capital", 40_000.0),
            ("capital_ratio", 0.8),
            ("trades", 10.0),
            ("win_rate", 0.6),
            ("scars", 3.0),
            ("resting", 1.0),
        ];
        assert_eq!(all, expected);
        for start in [0.0, -1.0] {
            let names: Vec<&str> =
                numbers("agent:momentum", agent(0, 0), start).iter().map(|pair| pair.0).collect();
            assert_eq!(names, ["capital", "trades", "scars", "resting"]);
        }
    }

    #[test]
    fn a_json_object_gives_its_numbers_by_name_and_anything_else_none() {
        let of = |json: &[u8]| {
            let json = Json::parse(json.to_vec().into()).unwrap();
            numbers("indicator:BTC-USD:1m", Body::External(json), 0.0)
        };
        let some = br#"{"symbol":"BTC-USD","sma_20":41999.5,"ema_20":"42000.25","rsi_14":null,"vwap":true,"return":"inf"}"#;
        assert_eq!(of(some), [("sma_20", 41_999.5), ("ema_20", 42_000.25)]);
        for none in [&b"[1,2]"[..], b"7", b"\"sma_20\"", b"{}", br#"{"sma_20":"NaN"}"#] {
            assert_eq!(of(none), []);
        }
    }

    #[test]
    fn a_price_is_in_units_and_a_trade_has_no_numbers() {
        let price = Body::Market(Market { symbol: "BTC-USD".into(), price: Cents(4_200_050) });
        assert_eq!(numbers("market:BTC-USD", price, 0.0), [("price", 42_000.5)]);
    }
}

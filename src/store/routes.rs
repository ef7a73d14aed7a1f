//! What the store answers over HTTP: the history of an agent, and the rounds of the arena.
//!
//! Both read the file and so run on threads that may wait. Money is in its unit, with two decimals, as everywhere in
//! the simulation's answers. Without a store both say so, with status 200: that a part is off is no error. Never: writes.

use super::reader::{AgentHistory, Reader};
use super::rows::{Agent, Round, Trade, side, status};
use crate::api::{self, Answer, Asked, Parameter, Refusal, Route, Shape};
use crate::event::Cents;
use crate::sync::Arc;
use serde_json::{Map, Value, json};

/// Rows of one kind in an answer, if the request does not say.
const LIMIT_DEFAULT: u64 = 500;
/// Rows of one kind in an answer at most.
const LIMIT_MAX: u64 = 5_000;

/// The routes over a store with this reader; none: of a store that is off.
pub(super) fn routes(reader: Option<&Arc<Reader>>) -> Vec<Route> {
    vec![
        Route {
            path: "/api/agents/{name}/history",
            summary: "States and trades of an agent that the store has kept, oldest first.",
            parameters: vec![
                Parameter {
                    name: "name",
                    meaning: "the agent as topics call it, such as momentum",
                    is_required: true,
                    shape: Shape::Text,
                },
                Parameter {
                    name: "from",
                    meaning: "milliseconds since the Unix epoch, included: the first rows from then on; without it the \
                              newest",
                    is_required: false,
                    shape: Shape::Integer(0, (1 << 53) - 1),
                },
                limit(),
            ],
            example: json!({
                "agent": "momentum",
                "states": [agent(&example_agent())],
                "trades": [trade(&example_trade())],
            }),
            is_blocking: reader.is_some(),
            answer: answer(reader, answer_history),
        },
        Route {
            path: "/api/rounds",
            summary: "The newest rounds of the arena that the store has kept, oldest first.",
            parameters: vec![limit()],
            example: json!([round(&example_round())]),
            is_blocking: reader.is_some(),
            answer: answer(reader, answer_rounds),
        },
    ]
}

fn answer(
    reader: Option<&Arc<Reader>>,
    tell: fn(&Reader, &Asked) -> Result<Value, Refusal>,
) -> Answer {
    let reader = reader.cloned();
    Arc::new(move |asked| match &reader {
        Some(reader) => tell(reader, asked),
        None => Ok(api::not_available()),
    })
}

fn answer_rounds(reader: &Reader, asked: &Asked) -> Result<Value, Refusal> {
    let found = reader.rounds(asked_limit(asked)).map_err(unavailable)?;
    Ok(found.iter().map(round).collect())
}

fn answer_history(reader: &Reader, asked: &Asked) -> Result<Value, Refusal> {
    let name = asked.text("name").unwrap_or_default();
    let from_ms = asked.integer("from");
    let AgentHistory { states, trades } =
        reader.agent_history(name, from_ms, asked_limit(asked)).map_err(unavailable)?;
    if states.is_empty() && trades.is_empty() && !is_known(reader, name, from_ms)? {
        return Err(Refusal::Unknown(format!("the store knows no agent {name:?}")));
    }
    Ok(json!({
        "agent": name,
        "states": states.iter().map(agent).collect::<Vec<_>>(),
        "trades": trades.iter().map(trade).collect::<Vec<_>>(),
    }))
}

/// Whether an agent without rows from a time on has any before it.
fn is_known(reader: &Reader, name: &str, from_ms: Option<u64>) -> Result<bool, Refusal> {
    if from_ms.is_none() {
        return Ok(false);
    }
    let any = reader.agent_history(name, None, 1).map_err(unavailable)?;
    Ok(any != AgentHistory::default())
}

fn limit() -> Parameter {
    Parameter {
        name: "limit",
        meaning: "rows of one kind at most; default 500",
        is_required: false,
        shape: Shape::Integer(1, LIMIT_MAX),
    }
}

fn asked_limit(asked: &Asked) -> usize {
    usize::try_from(asked.integer("limit").unwrap_or(LIMIT_DEFAULT)).unwrap_or(usize::MAX)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what an answer's error is mapped with")]
fn unavailable(error: super::Error) -> Refusal {
    Refusal::Unavailable(error.to_string())
}

fn agent(row: &Agent) -> Value {
    json!({
        "time_us": row.time_us,
        "name": &*row.name,
        "capital": money(row.capital),
        "trades": row.trades,
        "wins": row.wins,
        "scars": row.scars,
        "status": status(row.status),
        "action": &*row.action,
    })
}

fn trade(row: &Trade) -> Value {
    json!({
        "time_us": row.time_us,
        "symbol": &*row.symbol,
        "side": side(row.side),
        "price": money(row.price),
        "quantity": money(row.quantity),
        "pnl": money(row.pnl),
        "won": row.is_won,
    })
}

fn round(row: &Round) -> Value {
    let capital = row.capital.iter().map(|(agent, cents)| (agent.clone(), money(*cents)));
    json!({
        "time_us": row.time_us,
        "round": row.round,
        "winner": &*row.winner,
        "capital": capital.collect::<Map<String, Value>>(),
    })
}

/// In units rather than hundredths; exact to the cent up to 2^53 hundredths.
#[expect(clippy::cast_precision_loss, reason = "JSON numbers are doubles")]
fn money(Cents(cents): Cents) -> Value {
    json!(cents as f64 / 100.0)
}

fn example_agent() -> Agent {
    Agent {
        time_us: 1_767_225_603_000_000,
        agent: "momentum".into(),
        name: "⚡ Momentum".into(),
        capital: Cents(5_045_050),
        trades: 12,
        wins: 7,
        scars: 5,
        status: crate::event::Status::Active,
        action: "⚡ Momentum WON trade (+$450)".into(),
    }
}

fn example_trade() -> Trade {
    Trade {
        time_us: 1_767_225_603_000_000,
        agent: "momentum".into(),
        symbol: "BTC-USD".into(),
        side: crate::event::Side::Buy,
        price: Cents(4_200_050),
        quantity: Cents(150),
        pnl: Cents(45_050),
        is_won: true,
    }
}

fn example_round() -> Round {
    Round {
        time_us: 1_767_225_900_000_000,
        round: 3,
        winner: "momentum".into(),
        capital: vec![
            ("momentum".to_owned(), Cents(5_045_050)),
            ("balanced".to_owned(), Cents(4_780_025)),
        ],
    }
}

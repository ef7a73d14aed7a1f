//! Agents from outside: their forms of action over a socket, their odds and their books in what `lineage simulate`
//! prints.

use super::binary::{Server, lineage};
use super::client::Client;
use super::support::get;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const NAMES: [&str; 3] = ["⚡ Momentum", "🛡️ Conservative", "⚖️ Balanced"];

/// Which form an action has, without the name it begins with.
fn form(action: &str, name: &str) -> Option<&'static str> {
    let dollars = |text: &str| {
        let dollars = text.strip_suffix(')')?;
        let is_number = !dollars.is_empty() && dollars.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| dollars.parse::<u32>().ok())?
    };
    let rest = action.strip_prefix(name)?.strip_prefix(' ')?;
    match rest {
        "holds" => Some("holds"),
        "rests" => Some("rests"),
        _ => {
            let won = rest.strip_prefix("WON trade (+$").and_then(dollars);
            let lost = rest.strip_prefix("LOSS trade (-$").and_then(dollars);
            let (form, amount) = won.map(|won| ("won", won)).or(lost.map(|lost| ("lost", lost)))?;
            (20..=500).contains(&amount).then_some(form)
        }
    }
}

#[test]
fn s03_s09b_each_cycle_of_each_agent_is_one_event_in_one_of_four_forms() {
    let options = "--profile arena --agent-interval 10ms --market-interval 60m --losses-to-rest 1 --trade-log debug";
    let server = Server::start(options);
    let mut client = Client::open(server.ws, "/?types=agent");
    let mut forms = BTreeSet::new();
    for cycle in 0..100 {
        for name in NAMES {
            let message = client.json();
            assert_eq!(message["agent_name"], name, "cycle {cycle}: {message}");
            let action = message["action"].as_str().expect("text");
            forms.insert(form(action, name).unwrap_or_else(|| panic!("cycle {cycle}: {message}")));
        }
    }
    assert_eq!(forms.into_iter().collect::<Vec<_>>(), ["holds", "lost", "rests", "won"]);
}

#[test]
fn s15_agents_begin_with_their_capital() {
    let server = Server::start("--profile arena");
    let metrics = get(server.metrics, "/metrics").body;
    for (name, dollars) in NAMES.into_iter().zip([50_000, 45_000, 48_000]) {
        let line = format!("lineage_agent_start_capital{{agent=\"{name}\"}} {dollars}");
        assert!(metrics.lines().any(|other| other == line), "{line} in\n{metrics}");
    }
}

/// What an agent has according to its trades.
#[derive(Debug, Default)]
struct Books {
    capital_cents: i64,
    trades: u64,
    wins: u64,
    updates: u64,
    /// Losses since the last win or rest, and updates of rest to come.
    losses: u32,
    rest: u32,
}

fn cents(value: &Value) -> i64 {
    let text = value.to_string();
    let (whole, part) = text.split_once('.').unwrap_or((&text, "00"));
    format!("{whole}{part:0<2}").parse().unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What `lineage simulate` prints of agents and their trades.
fn simulated(seed: u64, events: u64) -> Vec<Value> {
    let (seed, events) = (seed.to_string(), events.to_string());
    let output = lineage().args(["simulate", "--seed", &seed, "--events", &events]).output();
    let output = output.expect("the binary");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let is_ours = |line: &&str| {
        line.starts_with(r#"{"type":"trade""#) || line.starts_with(r#"{"type":"agent""#)
    };
    text.lines().filter(is_ours).map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn s15_s16_what_agents_are_said_to_have_follows_from_their_trades_and_their_odds_hold() {
    let start = [("momentum", 50_000), ("conservative", 45_000), ("balanced", 48_000)];
    let mut books: BTreeMap<String, Books> = start
        .map(|(slug, dollars)| {
            (slug.to_owned(), Books { capital_cents: dollars * 100, ..Books::default() })
        })
        .into();
    for event in simulated(3, 60_000) {
        let (kind, topic) = (event["type"].as_str(), event["topic"].as_str().expect("text"));
        let slug = topic.split(':').nth(1).expect("a slug");
        let (books, payload) = (books.get_mut(slug).expect("one of the three"), &event["payload"]);
        if kind == Some("trade") {
            let pnl = cents(&payload["pnl"]);
            assert!((2_000..=50_000).contains(&pnl.abs()) && pnl % 100 == 0, "{event}");
            assert_eq!(payload["won"], pnl > 0, "{event}");
            assert_eq!(books.rest, 0, "who rests does not trade: {event}");
            books.capital_cents += pnl;
            books.trades += 1;
            books.wins += u64::from(pnl > 0);
            books.losses = if pnl > 0 { 0 } else { books.losses + 1 };
            if books.losses == 3 {
                (books.losses, books.rest) = (0, 4);
            }
            continue;
        }
        books.updates += 1;
        assert_eq!(cents(&payload["capital"]), books.capital_cents, "{event}");
        assert_eq!(
            (&payload["trades"], &payload["scars"]),
            (&books.trades.into(), &(books.trades - books.wins).into()),
            "{event}"
        );
        let status = if books.rest > 0 { "resting" } else { "active" };
        assert_eq!(payload["status"], status, "{event}");
        books.rest = books.rest.saturating_sub(1);
    }
    for (slug, odds) in [("momentum", 0.575), ("conservative", 0.615), ("balanced", 0.525)] {
        let books = &books[slug];
        let rate = books.wins as f64 / books.trades as f64;
        assert!(books.trades > 400, "seed 3: {slug} traded {} times", books.trades);
        // A standard deviation is 0.02 with so many.
        assert!((rate - odds).abs() <= 0.06, "seed 3: {slug} won {rate}");
    }
}

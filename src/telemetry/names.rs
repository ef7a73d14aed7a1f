//! The metrics of the systems by name: one collector that reads their cells at a scrape.
//!
//! Each row says how a name's samples come out of the cells; two rows with the same reading are two names of one cell.
//! Every family is there at the first scrape, those without labels with a sample, the others with one sample for each
//! agent or symbol that was registered. It keeps no state and counts nothing.

use super::agents::AgentRow;
use super::exposition::{Sample, family_of};
use super::systems::{Systems, Totals};
use super::table::Kind;
use crate::sync::Arc;
use prometheus::core::{Collector, Desc};
use prometheus::proto;
use std::collections::{BTreeMap, HashMap};

/// Whose name it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Ours: `lineage_…`.
    Canonical,
    /// Of the program that Lineage replaces.
    Compatible,
}

/// How samples are read.
#[derive(Clone, Copy)]
enum Reading {
    /// One sample.
    Total(fn(&Totals) -> f64),
    /// A sample per agent.
    Agent(fn(&AgentRow) -> f64),
    /// A sample per symbol: its price.
    Price,
    /// The mean win rate of all agents; 0 without agents.
    MeanWinRate,
}

/// A name and where its value comes from.
struct Row {
    name: &'static str,
    kind: Kind,
    origin: Origin,
    reading: Reading,
    help: &'static str,
}

/// One row: `Origin Kind "name" reading "help"`.
macro_rules! rows {
    ($($origin:ident $kind:ident $name:literal ($reading:expr) $help:literal)*) => {
        &[$(Row {
            name: $name,
            kind: Kind::$kind,
            origin: Origin::$origin,
            reading: $reading,
            help: $help,
        },)*]
    };
}

const ROWS: &[Row] = rows! {
    Canonical Gauge "lineage_cache_hit_rate" (Reading::Total(|t| t.cache_hit_rate))
        "Share of look-ups that the cache behind the API answered, since the start; 1 before the first."
    Canonical Counter "lineage_cache_hits_total" (Reading::Total(|t| t.cache_hits as f64))
        "Look-ups that the cache behind the API answered."
    Canonical Counter "lineage_cache_misses_total" (Reading::Total(|t| t.cache_misses as f64))
        "Look-ups that the cache behind the API could not answer."
    Canonical Gauge "lineage_request_success_rate" (Reading::Total(|t| t.success_rate))
        "Share of requests to the API that did not fail, since the start; 1 before the first."
    Canonical Counter "lineage_api_requests_total" (Reading::Total(|t| t.requests as f64))
        "Requests to the API that were answered."
    Canonical Counter "lineage_api_errors_total" (Reading::Total(|t| t.errors as f64))
        "Requests to the API that failed: answered with 500 or above."
    Canonical Gauge "lineage_agent_capital" (Reading::Agent(|a| a.capital))
        "Capital of the agent in dollars."
    Canonical Gauge "lineage_agent_start_capital" (Reading::Agent(|a| a.start_capital))
        "Capital that the agent began with, in dollars."
    Canonical Counter "lineage_agent_trades_total" (Reading::Agent(|a| a.trades as f64))
        "Trades of the agent."
    Canonical Gauge "lineage_agent_win_rate" (Reading::Agent(|a| a.win_rate))
        "Share of the agent's trades that were won, from 0 to 1; 0 before the first."
    Canonical Counter "lineage_agent_scars_total" (Reading::Agent(|a| a.scars as f64))
        "Losses that left a mark on the agent."
    Canonical Counter "lineage_arena_rounds_total" (Reading::Total(|t| t.rounds as f64))
        "Rounds of the arena that ended."
    Canonical Counter "lineage_arena_agent_wins_total" (Reading::Agent(|a| a.rounds_won as f64))
        "Rounds of the arena that the agent won."
    Canonical Gauge "lineage_arena_agent_final_capital" (Reading::Agent(|a| a.final_capital))
        "Capital of the agent at the end of the last round in dollars; its start capital before the first."
    Canonical Counter "lineage_arena_trades_total" (Reading::Total(|t| t.trades as f64))
        "Trades of all agents."
    Canonical Gauge "lineage_market_price_usd" (Reading::Price)
        "Last price of the symbol in dollars."
    Canonical Gauge "lineage_market_last_update_timestamp_seconds" (Reading::Total(last_update_s))
        "Time of the last price, seconds since the Unix epoch; 0 before the first."
    Canonical Counter "lineage_metric_labels_refused_total" (Reading::Total(|t| t.refused as f64))
        "Values of agents and symbols left out because as many have metrics as may."
    Compatible Gauge "market_price_usd" (Reading::Price)
        "Last price of the symbol in dollars; the same as lineage_market_price_usd."
    Compatible Gauge "agent_capital" (Reading::Agent(|a| a.capital))
        "Capital of the agent in dollars; the same as lineage_agent_capital."
    Compatible Counter "agent_trades_total" (Reading::Agent(|a| a.trades as f64))
        "Trades of the agent; the same as lineage_agent_trades_total."
    Compatible Gauge "agent_win_rate" (Reading::Agent(|a| a.win_rate))
        "Share of the agent's trades that were won, from 0 to 1; the same as lineage_agent_win_rate."
    Compatible Gauge "agent_scars" (Reading::Agent(|a| a.scars as f64))
        "Losses that left a mark on the agent; the same as lineage_agent_scars_total."
    Compatible Counter "trades_executed_total" (Reading::Total(|t| t.trades as f64))
        "Trades of all agents; the same as lineage_arena_trades_total."
    Compatible Counter "arena_rounds_total" (Reading::Total(|t| t.rounds as f64))
        "Rounds of the arena that ended; the same as lineage_arena_rounds_total."
    Compatible Gauge "avg_win_rate" (Reading::MeanWinRate)
        "Mean of all agents' win rates, from 0 to 1; 0 without agents."
    Compatible Gauge "last_market_update_timestamp" (Reading::Total(last_update_s))
        "Time of the last price in seconds; the same as lineage_market_last_update_timestamp_seconds."
};

/// Reads the cells of the systems when asked.
pub(super) struct SystemsCollector {
    systems: Arc<Systems>,
    descriptions: Vec<Desc>,
}

impl SystemsCollector {
    pub(super) fn new(systems: Arc<Systems>) -> Self {
        let descriptions = rows(&systems).map(|row| {
            let labels = row.label().map(str::to_owned).into_iter().collect();
            Desc::new(row.name.to_owned(), row.help.to_owned(), labels, HashMap::new())
                .expect("names, labels and help texts are constants that the crate accepts")
        });
        let descriptions = descriptions.collect();
        Self { systems, descriptions }
    }
}

/// The rows that are exposed.
fn rows(systems: &Systems) -> impl Iterator<Item = &'static Row> {
    let has_compat_names = systems.options().has_compat_names;
    ROWS.iter().filter(move |row| has_compat_names || row.origin == Origin::Canonical)
}

impl Collector for SystemsCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let scrape = Scrape {
            totals: self.systems.totals(),
            agents: self.systems.agents().rows(),
            prices: self.systems.prices(),
        };
        rows(&self.systems)
            .map(|row| family_of(row.name, row.help, row.kind, &scrape.samples(row)))
            .collect()
    }
}

/// What the cells said at one scrape, so that a name and its twin agree.
struct Scrape {
    totals: Totals,
    agents: BTreeMap<Box<str>, AgentRow>,
    prices: BTreeMap<Box<str>, f64>,
}

impl Scrape {
    fn samples(&self, row: &Row) -> Vec<Sample<'_>> {
        let label = row.label().unwrap_or_default();
        match row.reading {
            Reading::Total(read) => vec![Sample { label: None, value: read(&self.totals) }],
            Reading::MeanWinRate => vec![Sample { label: None, value: self.mean_win_rate() }],
            Reading::Price => self
                .prices
                .iter()
                .map(|(symbol, price)| Sample { label: Some((label, symbol)), value: *price })
                .collect(),
            Reading::Agent(read) => self
                .agents
                .iter()
                .map(|(slug, agent)| Sample {
                    label: Some((label, self.shown_name(slug, agent))),
                    value: read(agent),
                })
                .collect(),
        }
    }

    /// The display name; the slug when two agents have the same one, since no two series may have the same labels.
    fn shown_name<'a>(&'a self, slug: &'a str, agent: &'a AgentRow) -> &'a str {
        let is_alone = self.agents.values().filter(|other| other.name == agent.name).count() == 1;
        if is_alone { &agent.name } else { slug }
    }

    fn mean_win_rate(&self) -> f64 {
        if self.agents.is_empty() {
            return 0.0;
        }
        let sum: f64 = self.agents.values().map(|agent| agent.win_rate).sum();
        sum / self.agents.len() as f64
    }
}

impl Row {
    fn label(&self) -> Option<&'static str> {
        match self.reading {
            Reading::Total(_) | Reading::MeanWinRate => None,
            Reading::Agent(_) => Some("agent"),
            Reading::Price => Some("symbol"),
        }
    }
}

/// Exact to the microsecond.
fn last_update_s(totals: &Totals) -> f64 {
    totals.last_price_us as f64 / 1e6
}

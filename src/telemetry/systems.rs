//! What the systems around the engine have done, in numbers: agents, markets, rounds, the cache and the API.
//!
//! [`Systems::observe`] fills the cells from events of the arena and looks at no clock; the API counts requests and
//! cache look-ups; a collector (see `names`) reads all of it at a scrape. One cell per fact: a name and its compatible
//! twin show the same cell.
//!
//! Never on the data path: its events come through a tap. An event costs a look-up by name and a lock of one shard of
//! a map.

use super::agents::{AGENTS_MAX, Agents};
use super::names;
use crate::event::{Agent, Body, Cents, Event, Market, Round, Typed};
use crate::sync::{Arc, Tally, Watermark};
use dashmap::DashMap;
use prometheus::core::Collector;
use std::collections::BTreeMap;

/// What metrics of the systems are shown, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whether the names of the program that Lineage replaces are exposed too (default: yes).
    pub has_compat_names: bool,
    /// Agents that have metrics at most (default 1,024).
    pub agents_max: usize,
    /// Symbols that have metrics at most (default 1,024).
    pub symbols_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { has_compat_names: true, agents_max: AGENTS_MAX, symbols_max: 1_024 }
    }
}

/// The cells of all systems; shared by whoever fills them and the collector.
#[derive(Debug)]
pub struct Systems {
    options: Options,
    agents: Agents,
    /// Prices in dollars by symbol.
    prices: DashMap<Box<str>, f64>,
    prices_refused: Tally,
    /// Time of the newest price, microseconds since the Unix epoch; 0 before the first.
    last_price_us: Watermark,
    trades: Tally,
    rounds: Tally,
    cache_hits: Tally,
    cache_misses: Tally,
    requests: Tally,
    request_errors: Tally,
}

impl Systems {
    /// All at zero, without agents and symbols.
    #[must_use]
    pub fn new(options: Options) -> Arc<Self> {
        Arc::new(Self {
            agents: Agents::new(options.agents_max),
            options,
            prices: DashMap::new(),
            prices_refused: Tally::new(),
            last_price_us: Watermark::new(),
            trades: Tally::new(),
            rounds: Tally::new(),
            cache_hits: Tally::new(),
            cache_misses: Tally::new(),
            requests: Tally::new(),
            request_errors: Tally::new(),
        })
    }

    /// The agents' metrics.
    #[must_use]
    pub fn agents(&self) -> &Agents {
        &self.agents
    }

    /// What is to be registered with [`Telemetry::register`](super::Telemetry::register).
    #[must_use]
    pub fn collectors(self: &Arc<Self>) -> Vec<Box<dyn Collector>> {
        vec![Box::new(names::SystemsCollector::new(Arc::clone(self)))]
    }

    /// Fills the metrics from an event of the arena: prices, agents' states, trades and rounds. Others are passed
    /// over. Each event is to be shown once.
    pub fn observe(&self, event: &Event) {
        match &event.body {
            Body::Market(market) => self.observe_price(market, event.time_us),
            Body::Agent(agent) => self.observe_agent(agent),
            Body::Trade(_) => self.trades.add(1),
            Body::Typed(typed) => self.observe_typed(typed),
            Body::External(_) | Body::Recorded { .. } => {}
        }
    }

    /// Sets the price of a symbol in dollars, and so adds its series. False, and nothing done, when the price is not
    /// finite or there are as many symbols as may be.
    pub fn set_price(&self, symbol: &str, dollars: f64) -> bool {
        if !dollars.is_finite() {
            return false;
        }
        if let Some(mut price) = self.prices.get_mut(symbol) {
            *price = dollars;
            return true;
        }
        if self.prices.len() >= self.options.symbols_max {
            self.prices_refused.add(1);
            return false;
        }
        self.prices.insert(symbol.into(), dollars);
        true
    }

    /// The last price of a symbol, in dollars.
    #[must_use]
    pub fn price(&self, symbol: &str) -> Option<f64> {
        self.prices.get(symbol).map(|price| *price)
    }

    /// Counts a look-up in the cache behind the API.
    pub fn count_cache(&self, lookup: Lookup) {
        match lookup {
            Lookup::Hit => self.cache_hits.add(1),
            Lookup::Miss => self.cache_misses.add(1),
        }
    }

    /// Counts a request to the API that was answered with this HTTP status: 500 and above are errors.
    pub fn count_request(&self, status: u16) {
        if status >= 500 {
            self.request_errors.add(1);
        }
        self.requests.add(1);
    }

    /// What the API and its cache have done so far.
    #[must_use]
    pub fn api(&self) -> ApiTotals {
        let totals = self.totals();
        ApiTotals {
            requests: totals.requests,
            errors: totals.errors,
            success_rate: totals.success_rate,
            cache_lookups: totals.cache_hits + totals.cache_misses,
            cache_hit_rate: totals.cache_hit_rate,
        }
    }

    fn observe_price(&self, market: &Market, time_us: u64) {
        if self.set_price(&market.symbol, dollars(market.price)) {
            self.last_price_us.raise_to(time_us);
        }
    }

    fn observe_agent(&self, state: &Agent) {
        self.agents.change(&state.agent.slug, |row| {
            if row.name != state.agent.name {
                row.name = state.agent.name.clone();
            }
            row.capital = dollars(state.capital);
            row.trades = state.trades.into();
            row.scars = state.scars.into();
            row.win_rate = ratio(state.wins.into(), state.trades.into(), 0.0).clamp(0.0, 1.0);
        });
    }

    fn observe_typed(&self, typed: &Typed) {
        // Other systems have other records.
        let Some(round) = typed.get::<Round>() else { return };
        self.rounds.add(1);
        for (agent, capital) in &round.capital {
            self.agents.change(&agent.slug, |row| row.final_capital = dollars(*capital));
        }
        self.agents.change(&round.winner.slug, |row| row.rounds_won += 1);
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn prices(&self) -> BTreeMap<Box<str>, f64> {
        self.prices.iter().map(|entry| (entry.key().clone(), *entry.value())).collect()
    }

    /// The numbers without labels.
    pub(super) fn totals(&self) -> Totals {
        // Errors first: no more of them than requests are seen.
        let (errors, hits) = (self.request_errors.value(), self.cache_hits.value());
        let (requests, misses) = (self.requests.value(), self.cache_misses.value());
        Totals {
            trades: self.trades.value(),
            rounds: self.rounds.value(),
            last_price_us: self.last_price_us.observe(),
            cache_hits: hits,
            cache_misses: misses,
            cache_hit_rate: ratio(hits, hits + misses, 1.0),
            requests,
            errors,
            success_rate: ratio(requests.saturating_sub(errors), requests, 1.0),
            refused: self.prices_refused.value() + self.agents.refused(),
        }
    }
}

/// How a look-up in a cache ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// It was there.
    Hit,
    /// It was not.
    Miss,
}

/// What the API and its cache have done, since the start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ApiTotals {
    /// Requests answered.
    pub requests: u64,
    /// Of them, those answered with 500 or above.
    pub errors: u64,
    /// The share of the others, 0 to 1; 1 before the first request.
    pub success_rate: f64,
    /// Look-ups in the cache.
    pub cache_lookups: u64,
    /// Of them, the share that found something, 0 to 1; 1 before the first.
    pub cache_hit_rate: f64,
}

/// The numbers without labels, at one moment.
#[derive(Debug)]
pub(super) struct Totals {
    pub(super) trades: u64,
    pub(super) rounds: u64,
    pub(super) last_price_us: u64,
    pub(super) cache_hits: u64,
    pub(super) cache_misses: u64,
    pub(super) cache_hit_rate: f64,
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) success_rate: f64,
    pub(super) refused: u64,
}

/// Exact to the cent up to 2^53 cents.
fn dollars(amount: Cents) -> f64 {
    amount.0 as f64 / 100.0
}

/// `part` of `whole`, and `of_nothing` when there is no whole.
fn ratio(part: u64, whole: u64, of_nothing: f64) -> f64 {
    if whole == 0 { of_nothing } else { part as f64 / whole as f64 }
}

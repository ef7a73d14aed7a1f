//! The agents as metrics see them: one row of numbers per agent, set and read from any thread.
//!
//! The engine's own reader fills the rows from the arena's events; an embedding program fills and reads them itself:
//!
//! ```
//! let metrics = lineage::telemetry::Agents::default();
//! metrics.register("momentum", "⚡ Momentum", 50_000.0);
//! metrics.set_agent_capital("momentum", 50_450.0);
//! metrics.set_agent_trades("momentum", 8);
//! metrics.set_agent_win_rate("momentum", 0.625);
//! assert_eq!(metrics.agent_capital("momentum"), Some(50_450.0));
//! assert_eq!(metrics.agent_win_rate("momentum"), Some(0.625));
//! assert_eq!(metrics.agent_capital("nobody"), None);
//! ```
//!
//! Never on the data path: a call takes a lock of one shard of the map for a moment, never the whole map.
//!
//! Invariants: there are at most as many rows as the limit says, and what was turned away is counted; every number is
//! finite; a win rate lies from 0 to 1.

use crate::sync::Tally;
use dashmap::DashMap;
use std::collections::BTreeMap;

/// How many agents have metrics unless another limit is given.
pub const AGENTS_MAX: usize = 1_024;

/// What is known of one agent.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentRow {
    /// Display name, the label of its series: `⚡ Momentum`.
    pub name: Box<str>,
    /// Money, in dollars.
    pub capital: f64,
    /// Money at the start, in dollars.
    pub start_capital: f64,
    /// Money at the end of the last round, in dollars; the start capital before the first.
    pub final_capital: f64,
    /// Trades so far.
    pub trades: u64,
    /// Share of them that were won, from 0 to 1; 0 before the first.
    pub win_rate: f64,
    /// Losses that left a mark.
    pub scars: u64,
    /// Rounds won.
    pub rounds_won: u64,
}

/// Metrics of agents by slug, the agent's name in topics.
#[derive(Debug)]
pub struct Agents {
    rows: DashMap<Box<str>, AgentRow>,
    agents_max: usize,
    refused: Tally,
}

impl Default for Agents {
    fn default() -> Self {
        Self::new(AGENTS_MAX)
    }
}

impl Agents {
    /// None yet, and `agents_max` at most. Threads that add agents at the same moment may each add one more.
    #[must_use]
    pub fn new(agents_max: usize) -> Self {
        Self { rows: DashMap::new(), agents_max, refused: Tally::new() }
    }

    /// Adds an agent, so that its series are there before it does anything; one that is there already keeps its
    /// numbers and takes name and start capital (in dollars). False when there are as many as may be.
    pub fn register(&self, slug: &str, name: &str, start_capital: f64) -> bool {
        let start = if start_capital.is_finite() { start_capital } else { 0.0 };
        let is_new = !self.rows.contains_key(slug);
        self.change(slug, |row| {
            row.name = name.into();
            row.start_capital = start;
            if is_new {
                row.capital = start;
                row.final_capital = start;
            }
        })
    }

    /// Sets the capital, in dollars. As all setters: an agent that is not there yet is added under its slug; false,
    /// and nothing done, when the value is not finite or there are as many agents as may be.
    pub fn set_agent_capital(&self, slug: &str, dollars: f64) -> bool {
        dollars.is_finite() && self.change(slug, |row| row.capital = dollars)
    }

    /// Sets the number of trades.
    pub fn set_agent_trades(&self, slug: &str, trades: u64) -> bool {
        self.change(slug, |row| row.trades = trades)
    }

    /// Sets the share of trades won; what lies outside 0 to 1 becomes the nearer end.
    pub fn set_agent_win_rate(&self, slug: &str, win_rate: f64) -> bool {
        win_rate.is_finite() && self.change(slug, |row| row.win_rate = win_rate.clamp(0.0, 1.0))
    }

    /// Sets the number of scars.
    pub fn set_agent_scars(&self, slug: &str, scars: u64) -> bool {
        self.change(slug, |row| row.scars = scars)
    }

    /// The capital, in dollars; none for an agent that is not there, as with all readers.
    #[must_use]
    pub fn agent_capital(&self, slug: &str) -> Option<f64> {
        self.rows.get(slug).map(|row| row.capital)
    }

    /// The number of trades.
    #[must_use]
    pub fn agent_trades(&self, slug: &str) -> Option<u64> {
        self.rows.get(slug).map(|row| row.trades)
    }

    /// The share of trades won, from 0 to 1.
    #[must_use]
    pub fn agent_win_rate(&self, slug: &str) -> Option<f64> {
        self.rows.get(slug).map(|row| row.win_rate)
    }

    /// The number of scars.
    #[must_use]
    pub fn agent_scars(&self, slug: &str) -> Option<u64> {
        self.rows.get(slug).map(|row| row.scars)
    }

    /// All rows by slug, in the order of the slugs. Copies them.
    #[must_use]
    pub fn rows(&self) -> BTreeMap<Box<str>, AgentRow> {
        self.rows.iter().map(|entry| (entry.key().clone(), entry.value().clone())).collect()
    }

    /// Changes that were turned away because there are as many agents as may be.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.value()
    }

    /// Runs `change` on the agent's row, which is made if there is room.
    pub(super) fn change(&self, slug: &str, change: impl FnOnce(&mut AgentRow)) -> bool {
        if let Some(mut row) = self.rows.get_mut(slug) {
            change(&mut row);
            return true;
        }
        if self.rows.len() >= self.agents_max {
            self.refused.add(1);
            return false;
        }
        change(self.rows.entry(slug.into()).or_insert_with(|| AgentRow::named(slug)).value_mut());
        true
    }
}

impl AgentRow {
    fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            capital: 0.0,
            start_capital: 0.0,
            final_capital: 0.0,
            trades: 0,
            win_rate: 0.0,
            scars: 0,
            rounds_won: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Agents;

    #[test]
    fn s20b_a_program_sets_and_reads_the_metrics_of_its_agents_from_many_threads() {
        let metrics = Agents::default();
        std::thread::scope(|scope| {
            for thread in 0..4_u32 {
                let metrics = &metrics;
                scope.spawn(move || {
                    let slug = format!("agent{thread}");
                    for step in 1..=100_u32 {
                        assert!(metrics.set_agent_capital(&slug, f64::from(step)));
                        assert!(metrics.set_agent_trades(&slug, step.into()));
                        assert!(metrics.set_agent_win_rate(&slug, f64::from(step) / 100.0));
                        assert!(metrics.set_agent_scars(&slug, u64::from(step) * 2));
                    }
                });
            }
        });
        for thread in 0..4 {
            let slug = format!("agent{thread}");
            assert_eq!(metrics.agent_capital(&slug), Some(100.0));
            assert_eq!(metrics.agent_trades(&slug), Some(100));
            assert_eq!(metrics.agent_win_rate(&slug), Some(1.0));
            assert_eq!(metrics.agent_scars(&slug), Some(200));
        }
        assert_eq!((metrics.agent_capital("other"), metrics.agent_scars("other")), (None, None));
    }

    #[test]
    fn s20b_values_that_no_gauge_can_show_are_refused_and_win_rates_stay_in_range() {
        let metrics = Agents::default();
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(
                !metrics.set_agent_capital("a", wrong) && !metrics.set_agent_win_rate("a", wrong)
            );
        }
        assert_eq!(metrics.agent_capital("a"), None, "nothing was added");
        for (given, kept) in [(-0.1, 0.0), (0.0, 0.0), (0.5, 0.5), (1.0, 1.0), (1.1, 1.0)] {
            assert!(metrics.set_agent_win_rate("a", given));
            assert_eq!(metrics.agent_win_rate("a"), Some(kept));
        }
    }

    #[test]
    fn agents_are_taken_up_to_the_limit_and_those_beyond_are_counted() {
        for (agents, refused) in [(1, 0), (2, 0), (3, 1)] {
            let metrics = Agents::new(2);
            let taken = (0..agents).filter(|n| metrics.register(&format!("a{n}"), "A", 1.0));
            assert_eq!(taken.count() as u64, agents - refused);
            assert_eq!(metrics.refused(), refused, "{agents}");
            assert!(metrics.set_agent_trades("a0", 7), "who is there may change");
        }
    }

    #[test]
    fn registering_again_keeps_the_numbers() {
        let metrics = Agents::default();
        metrics.set_agent_capital("a", 3.0);
        metrics.register("a", "⚡ A", 50_000.0);
        let rows = metrics.rows();
        let row = &rows["a"];
        assert_eq!((&*row.name, row.capital, row.start_capital), ("⚡ A", 3.0, 50_000.0));
    }
}

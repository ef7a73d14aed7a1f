//! Rounds of the arena: every few updates the agent that gained most wins, and all begin a new one.
//!
//! What counts is the gain since the round began, not the capital: the agents do not start with the same.

use super::Options;
use super::agents::Trader;
use crate::event::{Cents, Round};
use std::sync::Arc;

/// The round that goes on.
#[derive(Debug)]
pub(super) struct Rounds {
    updates: u32,
    is_capital_reset: bool,
    /// Rounds that have ended.
    ended: u64,
    /// Updates of this round so far.
    done: u32,
    /// Each agent's capital when it began.
    began_with: Vec<Cents>,
}

impl Rounds {
    pub(super) fn new<'a>(options: &Options, traders: impl Iterator<Item = &'a Trader>) -> Self {
        let began_with = traders.map(Trader::capital).collect();
        let (updates, is_capital_reset) = (options.round_updates, options.is_capital_reset);
        Self { updates, is_capital_reset, ended: 0, done: 0, began_with }
    }

    /// Counts an update of all agents; the round, if that was its last. Always the same `traders`.
    pub(super) fn update<'a, T>(&mut self, traders: T) -> Option<Round>
    where
        T: Iterator<Item = &'a mut Trader>,
    {
        self.done += 1;
        if self.done != self.updates {
            // Without rounds nobody looks at the count: it only must not overflow.
            self.done = self.done.min(self.updates);
            return None;
        }
        self.done = 0;
        let mut winner = None;
        let mut capital = Vec::with_capacity(self.began_with.len());
        for (trader, began_with) in traders.zip(&mut self.began_with) {
            let gain = trader.capital().0.saturating_sub(began_with.0);
            if winner.as_ref().is_none_or(|(most, _)| gain > *most) {
                winner = Some((gain, Arc::clone(trader.name())));
            }
            capital.push((Arc::clone(trader.name()), trader.capital()));
            if self.is_capital_reset {
                trader.reset_capital();
            }
            *began_with = trader.capital();
        }
        let (_, winner) = winner?;
        self.ended += 1;
        Some(Round { round: self.ended, winner, capital })
    }
}

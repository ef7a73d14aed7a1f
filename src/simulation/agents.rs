//! The arena's agents: who takes part, and the life of one from update to update.
//!
//! An update is one of: rest (after a streak of losses), hold, or trade. A calibrated trade is won with the agent's
//! probability, whatever the prices do, and moves the capital by a whole number of dollars. A trade that earns
//! nothing is lost, and a loss leaves a scar. Capital may fall below zero: the arena has no margin calls.
//!
//! Invariants: wins + scars = trades; capital = start + the sum of all trades' profits and losses
//! since it was last set to the start.

use super::Options;
use super::market::Market;
use super::random::Random;
use super::strategy::{Decision, MeanReversion, Mixed, Momentum, Outcome, Strategy};
use crate::event::{Action, Agent, AgentName, Cents, Status, Trade};
use std::sync::Arc;

/// Somebody who takes part in the arena.
#[derive(Debug)]
pub struct Contestant {
    /// Name in topics and on screens.
    pub name: AgentName,
    /// Capital at the start.
    pub capital: Cents,
    /// Calibrated trades won of a thousand.
    pub win_permille: u32,
    /// How it chooses what to trade.
    pub strategy: Box<dyn Strategy>,
}

impl Contestant {
    /// An agent of one's own: $50,000 and, where its strategy asks for calibrated outcomes, 450 of a thousand won.
    #[must_use]
    pub fn new(slug: &str, name: &str, strategy: impl Strategy + 'static) -> Self {
        let name = AgentName { slug: slug.into(), name: name.into() };
        Self { name, capital: Cents(5_000_000), win_permille: 450, strategy: Box::new(strategy) }
    }

    /// The three agents of the arena: Momentum, Conservative and Balanced.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        let contestant = |slug: &str, name: &str, dollars: i64, win_permille, strategy| Self {
            name: AgentName { slug: slug.into(), name: name.into() },
            capital: Cents(dollars * 100),
            win_permille,
            strategy,
        };
        vec![
            contestant("momentum", "⚡ Momentum", 50_000, 575, Box::new(Momentum)),
            contestant("conservative", "🛡️ Conservative", 45_000, 615, Box::new(MeanReversion)),
            contestant("balanced", "⚖️ Balanced", 48_000, 525, Box::new(Mixed)),
        ]
    }
}

/// An agent at work.
#[derive(Debug)]
pub(super) struct Trader {
    agent: Arc<AgentName>,
    /// Capital at the start.
    start: Cents,
    capital: Cents,
    trades: u32,
    wins: u32,
    scars: u32,
    losses_in_a_row: u32,
    /// Updates it still rests for.
    rest_left: u32,
    win_permille: u32,
    strategy: Box<dyn Strategy>,
    random: Random,
}

impl Trader {
    pub(super) fn new(contestant: Contestant, random: Random) -> Self {
        let Contestant { name, capital, win_permille, strategy } = contestant;
        Self {
            agent: Arc::new(name),
            start: capital,
            capital,
            trades: 0,
            wins: 0,
            scars: 0,
            losses_in_a_row: 0,
            rest_left: 0,
            win_permille,
            strategy,
            random,
        }
    }

    pub(super) fn name(&self) -> &Arc<AgentName> {
        &self.agent
    }

    pub(super) fn capital(&self) -> Cents {
        self.capital
    }

    /// Sets the capital to that of the start; trades, wins and scars stay.
    pub(super) fn reset_capital(&mut self) {
        self.capital = self.start;
    }

    /// One update: the trade, if there was one, and the state after it.
    pub(super) fn update(
        &mut self,
        options: &Options,
        markets: &[Market],
    ) -> (Option<Trade>, Agent) {
        if self.rest_left > 0 {
            self.rest_left -= 1;
            return (None, self.state(Status::Resting, Action::Rests));
        }
        if !self.random.chance(options.trade_permille) {
            return (None, self.state(Status::Active, Action::Holds));
        }
        let decision = self.strategy.decide(markets, &mut self.random);
        // A market that does not exist is no trade either.
        let Some((Decision { side, outcome, .. }, market)) =
            decision.and_then(|decision| Some((decision, markets.get(decision.market)?)))
        else {
            return (None, self.state(Status::Active, Action::Holds));
        };
        let price = market.price();
        // A tenth of the capital, but at least the smallest quantity.
        let quantity = Cents((self.capital.0.saturating_mul(10) / price.0.max(1)).max(1));
        let (won, pnl) = self.settle(options, outcome);
        let dollars = u32::try_from(pnl.0.unsigned_abs() / 100).unwrap_or(u32::MAX);
        let status = if self.rest_left > 0 { Status::Resting } else { Status::Active };
        let action = if won { Action::Won(dollars) } else { Action::Lost(dollars) };
        let (agent, symbol) = (Arc::clone(&self.agent), Arc::clone(market.symbol()));
        let trade = Trade { agent, symbol, side, price, quantity, pnl, won };
        (Some(trade), self.state(status, action))
    }

    /// Settles a trade and keeps the books: whether it was won, and what it earned.
    fn settle(&mut self, options: &Options, outcome: Outcome) -> (bool, Cents) {
        let (won, pnl) = match outcome {
            Outcome::Calibrated => self.draw(options),
            Outcome::Realised(pnl) => (pnl.0 > 0, pnl),
        };
        self.capital.0 = self.capital.0.saturating_add(pnl.0);
        self.trades = self.trades.saturating_add(1);
        if won {
            self.wins = self.wins.saturating_add(1);
            self.losses_in_a_row = 0;
        } else {
            self.scars = self.scars.saturating_add(1);
            self.losses_in_a_row = self.losses_in_a_row.saturating_add(1);
            if self.losses_in_a_row == options.losses_to_rest {
                self.losses_in_a_row = 0;
                self.rest_left = options.rest_updates;
            }
        }
        (won, pnl)
    }

    /// The calibrated outcome: won as often as stated, by whole dollars within the bounds.
    fn draw(&mut self, options: &Options) -> (bool, Cents) {
        let won = self.random.chance(self.win_permille);
        let spread = options.pnl_dollars_max.saturating_sub(options.pnl_dollars_min);
        let above = self.random.below(u64::from(spread) + 1).cast_signed();
        let size = (i64::from(options.pnl_dollars_min) + above) * 100;
        (won, Cents(if won { size } else { -size }))
    }

    fn state(&self, status: Status, action: Action) -> Agent {
        Agent {
            agent: Arc::clone(&self.agent),
            capital: self.capital,
            trades: self.trades,
            wins: self.wins,
            scars: self.scars,
            status,
            action,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Action, Agent, AgentName, Cents, Contestant, Market, Momentum, Options, Random, Status,
        Strategy, Trader,
    };
    use crate::event::Side;
    use crate::simulation::{Decision, Outcome};

    const SEED: u64 = 9;

    /// Always the same decision.
    #[derive(Debug)]
    struct Fixed(Option<Decision>);
    impl Strategy for Fixed {
        fn decide(&mut self, _: &[Market], _: &mut Random) -> Option<Decision> {
            self.0
        }
    }

    fn trader(win_permille: u32) -> Trader {
        let name = AgentName { slug: "a".into(), name: "A".into() };
        let (capital, strategy) = (Cents(5_000_000), Box::new(Momentum));
        Trader::new(Contestant { name, capital, win_permille, strategy }, Random::new(SEED))
    }

    fn market() -> [Market; 1] {
        [Market::new("X", Cents(4_200_000), Cents(100_000), Random::new(SEED))]
    }

    fn updates(trader: &mut Trader, options: &Options, count: usize) -> Vec<Agent> {
        (0..count).map(|_| trader.update(options, &market()).1).collect()
    }

    #[test]
    fn s16_an_agent_rests_after_a_streak_of_losses_and_then_trades_again() {
        let base = Options { trade_permille: 1_000, rest_updates: 2, ..Options::default() };
        for losses_to_rest in [1, 2, 3] {
            let options = Options { losses_to_rest, ..base.clone() };
            let states = updates(&mut trader(0), &options, 12);
            for (index, state) in states.iter().enumerate() {
                let place = index % (losses_to_rest as usize + 2);
                let rests = place >= losses_to_rest as usize;
                assert_eq!(matches!(state.action, Action::Rests), rests, "update {index}");
                // It is known to rest from the loss that ended the streak on.
                let is_resting = place + 1 >= losses_to_rest as usize;
                assert_eq!(state.status == Status::Resting, is_resting, "update {index}");
            }
        }
        let never = Options { losses_to_rest: 0, ..base };
        let states = updates(&mut trader(0), &never, 12);
        assert!(
            states
                .iter()
                .all(|state| state.status == Status::Active && state.scars == state.trades)
        );
    }

    #[test]
    fn s16_profit_and_loss_reach_both_bounds_and_no_further() {
        for (min, max) in [(20, 500), (20, 22), (7, 7), (9, 3)] {
            let options = Options {
                trade_permille: 1_000,
                pnl_dollars_min: min,
                pnl_dollars_max: max,
                losses_to_rest: 0,
                ..Options::default()
            };
            let dollars: Vec<u32> = updates(&mut trader(500), &options, 20_000)
                .iter()
                .map(|state| match state.action {
                    Action::Won(dollars) | Action::Lost(dollars) => dollars,
                    _ => panic!("an agent that always trades did not"),
                })
                .collect();
            // Bounds the wrong way round mean the lower one.
            assert_eq!(
                (dollars.iter().min(), dollars.iter().max()),
                (Some(&min), Some(&max.max(min)))
            );
        }
    }

    #[test]
    fn s16_an_active_agent_trades_in_two_of_five_updates() {
        let options = Options { losses_to_rest: 0, ..Options::default() };
        let last = updates(&mut trader(500), &options, 100_000).pop().expect("many");
        assert!(
            last.trades.abs_diff(40_000) < 620,
            "seed {SEED}: {} trades, over four deviations",
            last.trades
        );
    }

    #[test]
    fn a_strategy_that_holds_or_names_no_market_makes_no_trade() {
        let options = Options { trade_permille: 1_000, ..Options::default() };
        for (index, trades) in [(None, 0), (Some(0), 1), (Some(1), 0)] {
            let mut trader = trader(500);
            let decision = index.map(|market| Decision {
                market,
                side: Side::Buy,
                outcome: Outcome::Calibrated,
            });
            trader.strategy = Box::new(Fixed(decision));
            let (trade, state) = trader.update(&options, &market());
            assert_eq!((trade.is_some(), state.trades), (trades == 1, trades), "{decision:?}");
        }
    }

    #[test]
    fn a_realised_outcome_moves_the_capital_to_the_cent_and_is_won_only_with_a_profit() {
        let options = Options { trade_permille: 1_000, ..Options::default() };
        for (pnl, won, action) in [
            (45_099, true, Action::Won(450)),
            (1, true, Action::Won(0)),
            (0, false, Action::Lost(0)),
            (-199, false, Action::Lost(1)),
        ] {
            let mut trader = trader(500);
            let outcome = Outcome::Realised(Cents(pnl));
            let decision = Decision { market: 0, side: Side::Sell, outcome };
            trader.strategy = Box::new(Fixed(Some(decision)));
            let (trade, state) = trader.update(&options, &market());
            let trade = trade.expect("it always trades");
            assert_eq!((trade.side, trade.pnl, trade.won), (Side::Sell, Cents(pnl), won));
            assert_eq!((state.capital, state.action), (Cents(5_000_000 + pnl), action));
            assert_eq!((state.trades, state.wins, state.scars), (1, won.into(), (!won).into()));
        }
    }

    #[test]
    fn a_quantity_is_a_tenth_of_the_capital_and_never_nothing() {
        let options = Options { trade_permille: 1_000, ..Options::default() };
        let (trade, _) = trader(500).update(&options, &market());
        // $5,000 at $42,000.
        assert_eq!(trade.map(|trade| trade.quantity), Some(Cents(11)));
        let mut poor = trader(500);
        poor.capital = Cents(-1);
        let (trade, _) = poor.update(&options, &market());
        assert_eq!(trade.map(|trade| trade.quantity), Some(Cents(1)));
    }
}

//! How an agent decides: the `Strategy` trait, and the strategies of the arena.
//!
//! The default strategies take symbol and side from the price signal and leave the outcome to the arena's
//! calibrated model, so that the stated win rates hold on any market. [`PricePath`] makes of each of them a pure
//! price strategy, whose outcome is what the prices did. None looks at other agents or at the clock; random
//! numbers come from the stream they are given.

use super::market::Market;
use super::random::Random;
use crate::event::{Cents, Side};

/// What an agent wants to trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Index of the market, below the number of markets.
    pub market: usize,
    /// Buy or sell.
    pub side: Side,
    /// What comes of it.
    pub outcome: Outcome,
}

/// What comes of a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The arena draws it: won with the agent's probability, by an amount within the arena's bounds.
    Calibrated,
    /// This profit, or loss below zero; won when there is a profit.
    Realised(Cents),
}

/// How an agent decides. Called on the simulation's thread, once in every cycle in which the agent trades.
pub trait Strategy: std::fmt::Debug + Send {
    /// Looks at the markets, of which there is at least one, and chooses; None: it holds after all.
    fn decide(&mut self, markets: &[Market], random: &mut Random) -> Option<Decision>;
}

/// Goes with the move: the market that moved farthest since its last step, in the direction it moved.
#[derive(Debug, Clone, Copy, Default)]
pub struct Momentum;

/// Goes against the excess: the market farthest from its middle, back towards it.
#[derive(Debug, Clone, Copy, Default)]
pub struct MeanReversion;

/// Neither looks nor thinks: market and side by the toss of a coin. What it wins, the calibrated outcome alone wins.
#[derive(Debug, Clone, Copy, Default)]
pub struct Coin;

/// A market by the toss of a coin: with the move while the price is in the inner half of its band, else back.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mixed;

impl Strategy for Momentum {
    fn decide(&mut self, markets: &[Market], _random: &mut Random) -> Option<Decision> {
        let market = farthest(markets, |market| market.change().0)?;
        Some(calibrated(market, with_move(&markets[market])))
    }
}

impl Strategy for MeanReversion {
    fn decide(&mut self, markets: &[Market], _random: &mut Random) -> Option<Decision> {
        let market = farthest(markets, |market| market.offset().0)?;
        Some(calibrated(market, back(&markets[market])))
    }
}

impl Strategy for Mixed {
    fn decide(&mut self, markets: &[Market], random: &mut Random) -> Option<Decision> {
        let market = any(markets, random)?;
        let chosen = &markets[market];
        let is_calm = chosen.offset().0.abs() <= chosen.half_width().0 / 2;
        Some(calibrated(market, if is_calm { with_move(chosen) } else { back(chosen) }))
    }
}

impl Strategy for Coin {
    fn decide(&mut self, markets: &[Market], random: &mut Random) -> Option<Decision> {
        let market = any(markets, random)?;
        Some(calibrated(market, if random.chance(500) { Side::Buy } else { Side::Sell }))
    }
}

/// Takes the signal of another strategy and holds what it chose until the next trade, which closes it: the outcome
/// is the price path's alone, so its win rate is not known beforehand.
#[derive(Debug, Clone)]
pub struct PricePath<S> {
    signal: S,
    stake: Cents,
    open: Option<Position>,
}

/// What is held between two trades.
#[derive(Debug, Clone, Copy)]
struct Position {
    market: usize,
    side: Side,
    price: Cents,
}

impl<S: Strategy> PricePath<S> {
    /// Puts `stake` into each position that `signal` chooses.
    #[must_use]
    pub fn new(signal: S, stake: Cents) -> Self {
        Self { signal, stake, open: None }
    }
}

impl<S: Strategy> Strategy for PricePath<S> {
    /// Closes what is held and opens what the signal chooses; the first call only opens, so the agent holds.
    fn decide(&mut self, markets: &[Market], random: &mut Random) -> Option<Decision> {
        let chosen = self.signal.decide(markets, random)?;
        let price = markets.get(chosen.market)?.price();
        let Decision { market, side, .. } = chosen;
        let closed = self.open.replace(Position { market, side, price })?;
        let change = markets.get(closed.market)?.price().0 - closed.price.0;
        let profit = self.stake.0.saturating_mul(change) / closed.price.0.max(1);
        let (side, pnl) = match closed.side {
            Side::Buy => (Side::Sell, Cents(profit)),
            Side::Sell => (Side::Buy, Cents(-profit)),
        };
        Some(Decision { market: closed.market, side, outcome: Outcome::Realised(pnl) })
    }
}

fn calibrated(market: usize, side: Side) -> Decision {
    Decision { market, side, outcome: Outcome::Calibrated }
}

/// A market, each as likely as another; none when there is none.
fn any(markets: &[Market], random: &mut Random) -> Option<usize> {
    let index = usize::try_from(random.below(markets.len() as u64)).expect("below a length");
    (index < markets.len()).then_some(index)
}

/// The market whose `distance` is the largest part of its band; the first of equals.
fn farthest(markets: &[Market], distance: impl Fn(&Market) -> i64) -> Option<usize> {
    let part = |market: &Market| distance(market).abs() * 1_000_000 / market.half_width().0.max(1);
    (0..markets.len()).rev().max_by_key(|&index| part(&markets[index]))
}

fn with_move(market: &Market) -> Side {
    if market.change().0 >= 0 { Side::Buy } else { Side::Sell }
}

fn back(market: &Market) -> Side {
    if market.offset().0 <= 0 { Side::Buy } else { Side::Sell }
}

#[cfg(test)]
mod tests {
    use super::{
        Cents, Coin, Decision, MeanReversion, Mixed, Momentum, Outcome, PricePath, Side, Strategy,
        farthest,
    };
    use crate::simulation::market::Market;
    use crate::simulation::random::Random;

    /// Two markets after `steps` steps of a seed.
    fn markets(seed: u64, steps: usize) -> Vec<Market> {
        let mut root = Random::new(seed);
        let mut markets = vec![
            Market::new("A", Cents(4_200_000), Cents(100_000), root.split()),
            Market::new("B", Cents(230_000), Cents(10_000), root.split()),
        ];
        for _ in 0..steps {
            markets.iter_mut().for_each(Market::step);
        }
        markets
    }

    #[test]
    fn s15_default_strategies_follow_the_price_signal() {
        let mut random = Random::new(3);
        let mut markets_seen = [0; 2];
        for seed in 0..500 {
            let markets = markets(seed, 30);
            let part = |distance: Cents, market: &Market| {
                distance.0.abs() * 1_000_000 / market.half_width().0
            };
            let moved = |market: &Market| part(market.change(), market);
            let off = |market: &Market| part(market.offset(), market);

            let Decision { market, side, .. } =
                Momentum.decide(&markets, &mut random).expect("trades");
            assert!(
                markets.iter().all(|other| moved(other) <= moved(&markets[market])),
                "seed {seed}"
            );
            assert_eq!(side == Side::Buy, markets[market].change().0 >= 0, "seed {seed}");

            let Decision { market, side, .. } =
                MeanReversion.decide(&markets, &mut random).expect("trades");
            assert!(markets.iter().all(|other| off(other) <= off(&markets[market])), "seed {seed}");
            assert_eq!(side == Side::Buy, markets[market].offset().0 <= 0, "seed {seed}");

            let Decision { market, side, .. } =
                Mixed.decide(&markets, &mut random).expect("trades");
            let chosen = &markets[market];
            let is_outer = chosen.offset().0.abs() > chosen.half_width().0 / 2;
            let is_rising = if is_outer { chosen.offset().0 <= 0 } else { chosen.change().0 >= 0 };
            assert_eq!(side == Side::Buy, is_rising, "seed {seed}");
            markets_seen[market] += 1;
        }
        assert!(markets_seen.iter().all(|&times| times > 150), "a coin chooses: {markets_seen:?}");
    }

    #[test]
    fn s15_a_pure_price_strategy_earns_what_its_position_did() {
        let (mut random, mut market) = (Random::new(3), markets(3, 1).remove(0));
        let stake = Cents(500_000);
        let mut strategy = PricePath::new(MeanReversion, stake);
        let mut held = (strategy.decide(&[market.clone()], &mut random), market.clone());
        assert_eq!(held.0, None, "the first call only opens");
        let (mut wins, mut losses) = (0, 0);
        for _ in 0..2_000 {
            market.step();
            let decision = strategy.decide(&[market.clone()], &mut random).expect("closes");
            let (opened, is_long) = (held.1.price().0, held.1.offset().0 <= 0);
            let earned = stake.0 * (market.price().0 - opened) / opened;
            let (side, pnl) = if is_long { (Side::Sell, earned) } else { (Side::Buy, -earned) };
            let outcome = Outcome::Realised(Cents(pnl));
            assert_eq!(decision, Decision { market: 0, side, outcome });
            (wins, losses) = (wins + i32::from(pnl > 0), losses + i32::from(pnl < 0));
            held = (None, market.clone());
        }
        // The walk reverts, so going back with it wins more often than not, and not always.
        assert!(wins > losses && losses > 500, "{wins} won, {losses} lost");
    }

    #[test]
    fn s15_a_coin_chooses_every_market_and_side_as_often() {
        let (mut random, markets) = (Random::new(3), markets(3, 30));
        let mut chosen = [[0_u32; 2]; 2];
        for _ in 0..40_000 {
            let Decision { market, side, outcome } =
                Coin.decide(&markets, &mut random).expect("trades");
            assert_eq!(outcome, Outcome::Calibrated);
            chosen[market][usize::from(side == Side::Buy)] += 1;
        }
        assert!(
            chosen.iter().flatten().all(|times| times.abs_diff(10_000) < 350),
            "seed 3: {chosen:?}, over four deviations"
        );
    }

    #[test]
    fn without_a_market_nobody_trades() {
        let mut random = Random::new(3);
        assert_eq!(Momentum.decide(&[], &mut random), None);
        assert_eq!(MeanReversion.decide(&[], &mut random), None);
        assert_eq!(Mixed.decide(&[], &mut random), None);
        assert_eq!(Coin.decide(&[], &mut random), None);
        assert_eq!(
            farthest(&markets(1, 0), |market| market.change().0),
            Some(0),
            "the first of equals"
        );
    }
}

//! Agents over recorded prices, as fast as they come: no engine, no clock, no events.
//!
//! A [`Backtest`] is told one price after the other, with its time. At the end of every interval of recorded time in which
//! a price came, each agent makes one update at the newest prices, as in the arena: trade, hold or rest. On a market that
//! stands still nobody acts. Rounds and resets of capital are left out.
//!
//! Every agent draws from a random stream of its own that begins at the same seed. So an agent's outcome does not depend on
//! who else takes part, and the same seed and the same prices give the same standings.
//!
//! Never: IO, floating-point numbers, a price that was not told. A price costs a look into a table, an update of an agent
//! some 100 ns.

use super::Options;
use super::agents::{Contestant, Trader};
use super::market::{Market, PRICE_MAX};
use super::random::Random;
use crate::event::{Agent, AgentName, Cents};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use std::collections::HashMap;
use std::sync::Arc;

/// Most symbols that can have prices at a time.
pub const BACKTEST_SYMBOLS_MAX: usize = 4_096;

/// Prices are counted in units in which the first of a symbol has at least this many, so that a symbol of fractions of a
/// cent moves as finely as a dear one.
const UNITS_MIN: i64 = 100_000;
/// The most decimal places a unit has.
const PLACES_MAX: u32 = 16;

/// What a price is. A symbol follows the best kind of price it was told, the last one here being the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PriceKind {
    /// Of the last trade: it jumps between bid and ask.
    Trade,
    /// Halfway between the best bid and the best ask.
    Quote,
    /// Told as the price of the symbol.
    Market,
}

/// What became of an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Who.
    pub agent: Arc<AgentName>,
    /// Capital at the start.
    pub start: Cents,
    /// Capital at the end.
    pub capital: Cents,
    /// Trades made.
    pub trades: u32,
    /// Trades won, at most `trades`.
    pub wins: u32,
    /// Losses that left a mark.
    pub scars: u32,
    /// The farthest the capital fell below the highest it had been until then; 0 or more.
    pub drawdown_max: Cents,
}

impl Standing {
    /// What was earned, or lost below zero.
    #[must_use]
    pub fn profit(&self) -> Cents {
        Cents(self.capital.0.saturating_sub(self.start.0))
    }

    /// Trades that were not won.
    #[must_use]
    pub fn losses(&self) -> u32 {
        self.trades - self.wins
    }

    /// Trades won of a thousand, rounded to the nearest; none before the first trade.
    #[must_use]
    pub fn win_permille(&self) -> Option<u64> {
        let trades = u64::from(self.trades);
        (u64::from(self.wins) * 1_000 + trades / 2).checked_div(trades)
    }
}

/// Agents and the prices they act on.
#[derive(Debug)]
pub struct Backtest {
    options: Options,
    interval_us: u64,
    markets: Vec<Market>,
    quoted: HashMap<Box<str>, Quoted>,
    runners: Vec<Runner>,
    /// When the agents act next; none before the first price.
    next_us: Option<u64>,
    has_news: bool,
    updates: u64,
}

/// A symbol, its newest price, and how prices become whole numbers.
#[derive(Debug)]
struct Quoted {
    market: usize,
    kind: PriceKind,
    places: u32,
    newest: Cents,
    is_new: bool,
}

/// An agent and the highest and lowest points of its capital.
#[derive(Debug)]
struct Runner {
    trader: Trader,
    start: Cents,
    peak: Cents,
    drawdown_max: Cents,
    last: Option<Agent>,
}

impl Backtest {
    /// The agents, before the first price. Of `options` the seed, the interval of the agents and the rules for trading
    /// count.
    #[must_use]
    pub fn new(options: &Options, contestants: Vec<Contestant>) -> Self {
        let runner = |contestant: Contestant| {
            let start = contestant.capital;
            let trader = Trader::new(contestant, Random::new(options.seed));
            Runner { trader, start, peak: start, drawdown_max: Cents(0), last: None }
        };
        let interval_us = u64::try_from(options.agent_interval.as_micros()).unwrap_or(u64::MAX);
        Self {
            options: options.clone(),
            interval_us: interval_us.max(1),
            markets: Vec::new(),
            quoted: HashMap::new(),
            runners: contestants.into_iter().map(runner).collect(),
            next_us: None,
            has_news: false,
            updates: 0,
        }
    }

    /// Tells a price of `symbol` at `time_us`, microseconds since the Unix epoch; what comes with an earlier time than the
    /// one before counts as of that moment. False when nothing was done with it: it is not above zero or too large to be
    /// kept, there are [`BACKTEST_SYMBOLS_MAX`] symbols, or the symbol has prices of a better kind.
    pub fn price(&mut self, symbol: &str, kind: PriceKind, price: Decimal, time_us: u64) -> bool {
        self.advance(time_us);
        if let Some(quoted) = self.quoted.get_mut(symbol) {
            if kind < quoted.kind {
                return false;
            }
            let Some(newest) = units(price, quoted.places) else { return false };
            (quoted.kind, quoted.newest, quoted.is_new) = (kind, newest, true);
        } else {
            let Some((places, newest)) = first_units(price) else { return false };
            if self.quoted.len() >= BACKTEST_SYMBOLS_MAX {
                return false;
            }
            let market = self.markets.len();
            self.markets.push(Market::given(symbol, newest));
            let quoted = Quoted { market, kind, places, newest, is_new: false };
            self.quoted.insert(symbol.into(), quoted);
        }
        self.has_news = true;
        true
    }

    /// Lets the agents act as often as they were due until `time_us`.
    fn advance(&mut self, time_us: u64) {
        let Some(next_us) = self.next_us else {
            self.next_us = Some(time_us.saturating_add(self.interval_us));
            return;
        };
        let Some(late_us) = time_us.checked_sub(next_us) else { return };
        // What is due at the moment of a price is due before it. Of several missed intervals only the first has news.
        self.act();
        let ahead_us = self.interval_us - late_us % self.interval_us;
        self.next_us = Some(time_us.saturating_add(ahead_us));
    }

    /// One update of every agent, if a price has come since the last.
    fn act(&mut self) {
        if !std::mem::take(&mut self.has_news) {
            return;
        }
        for quoted in self.quoted.values_mut().filter(|quoted| quoted.is_new) {
            quoted.is_new = false;
            self.markets[quoted.market].follow(quoted.newest);
        }
        self.updates += 1;
        for runner in &mut self.runners {
            let (_, state) = runner.trader.update(&self.options, &self.markets);
            runner.peak = runner.peak.max(state.capital);
            let fallen = Cents(runner.peak.0.saturating_sub(state.capital.0));
            runner.drawdown_max = runner.drawdown_max.max(fallen);
            runner.last = Some(state);
        }
    }

    /// How often each agent has acted.
    #[must_use]
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// How the agents stand, in the order in which they were given.
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        self.runners.iter().map(Runner::standing).collect()
    }
}

impl Runner {
    fn standing(&self) -> Standing {
        let last = self.last.as_ref();
        let count = |of: fn(&Agent) -> u32| last.map_or(0, of);
        Standing {
            agent: Arc::clone(self.trader.name()),
            start: self.start,
            capital: self.trader.capital(),
            trades: count(|agent| agent.trades),
            wins: count(|agent| agent.wins),
            scars: count(|agent| agent.scars),
            drawdown_max: self.drawdown_max,
        }
    }
}

/// A first price in the coarsest units that are fine enough, and their decimal places.
fn first_units(price: Decimal) -> Option<(u32, Cents)> {
    let fine = |places| units(price, places).filter(|units| units.0 >= UNITS_MIN);
    (2..PLACES_MAX)
        .find_map(|places| Some((places, fine(places)?)))
        .or_else(|| Some((PLACES_MAX, units(price, PLACES_MAX)?)))
}

/// A price in units of so many decimal places; none unless it is above zero and can be kept.
fn units(price: Decimal, places: u32) -> Option<Cents> {
    let scale = Decimal::from(10_u64.pow(places));
    let units = price.checked_mul(scale)?.round().to_i64()?;
    (1..=PRICE_MAX.0).contains(&units).then_some(Cents(units))
}

#[cfg(test)]
mod tests {
    use super::{
        BACKTEST_SYMBOLS_MAX, Backtest, Cents, Contestant, PLACES_MAX, PriceKind, Standing,
        first_units, units,
    };
    use crate::simulation::{Decision, Market, Options, Outcome, PricePath, Random, Strategy};
    use rust_decimal::Decimal;
    use std::time::Duration;

    const SECOND_US: u64 = 1_000_000;

    /// Buys the first market whenever it is asked.
    #[derive(Debug)]
    struct Bull;
    impl Strategy for Bull {
        fn decide(&mut self, _: &[Market], _: &mut Random) -> Option<Decision> {
            let side = crate::event::Side::Buy;
            Some(Decision { market: 0, side, outcome: Outcome::Calibrated })
        }
    }

    fn options() -> Options {
        let agent_interval = Duration::from_secs(1);
        Options { agent_interval, trade_permille: 1_000, losses_to_rest: 0, ..Options::default() }
    }

    fn bull() -> Vec<Contestant> {
        vec![Contestant::new("bull", "Bull", PricePath::new(Bull, Cents(100_000)))]
    }

    /// A price every second, from second 1 on, and one that only ends the last interval.
    fn run(prices: &[i64]) -> Standing {
        let mut backtest = Backtest::new(&options(), bull());
        let mut now_us = SECOND_US;
        for &price in prices {
            assert!(backtest.price("X", PriceKind::Trade, price.into(), now_us));
            now_us += SECOND_US;
        }
        backtest.price("X", PriceKind::Trade, 1.into(), now_us);
        assert_eq!(backtest.updates(), prices.len() as u64);
        backtest.standings().remove(0)
    }

    #[test]
    fn a_pure_price_agent_earns_what_the_prices_did_and_its_drawdown_is_that_of_its_capital() {
        // $1,000 held from each price to the next: +10 %, -10 %, -10 %, +20 %.
        let standing = run(&[1_000, 1_100, 990, 891, 1_069]);
        assert_eq!((standing.trades, standing.wins, standing.losses()), (4, 2, 2));
        assert_eq!(standing.scars, 2);
        let earned = 10_000 - 10_000 - 10_000 + 100_000 * 178 / 891;
        assert_eq!(standing.profit(), Cents(earned));
        assert_eq!(standing.capital, Cents(5_000_000 + earned));
        assert_eq!(standing.drawdown_max, Cents(20_000));
        assert_eq!(standing.win_permille(), Some(500));
    }

    #[test]
    fn without_prices_nothing_is_done() {
        let standing = Backtest::new(&options(), bull()).standings().remove(0);
        assert_eq!((standing.trades, standing.profit()), (0, Cents(0)));
        assert_eq!(standing.win_permille(), None);
        assert_eq!(run(&[5]).trades, 0, "the first update only opens");
    }

    #[test]
    fn agents_act_once_an_interval_and_not_while_the_market_stands_still() {
        let mut backtest = Backtest::new(&options(), bull());
        let mut updates_at = |time_us| {
            backtest.price("X", PriceKind::Trade, 7.into(), time_us);
            backtest.updates()
        };
        assert_eq!(updates_at(5 * SECOND_US), 0);
        assert_eq!(updates_at(6 * SECOND_US - 1), 0);
        assert_eq!(updates_at(6 * SECOND_US), 1);
        assert_eq!(updates_at(6 * SECOND_US + 1), 1);
        assert_eq!(updates_at(3 * SECOND_US), 1, "time does not go back");
        assert_eq!(updates_at(3_600 * SECOND_US), 2, "an hour without prices is one update");
        assert_eq!(updates_at(u64::MAX), 3);
        assert_eq!(updates_at(u64::MAX), 4, "the end of time does not wrap");
    }

    #[test]
    fn a_symbol_follows_the_best_kind_of_price_it_has() {
        let mut backtest = Backtest::new(&options(), bull());
        let mut tell = |kind| backtest.price("X", kind, 7.into(), 1);
        assert!(tell(PriceKind::Trade) && tell(PriceKind::Quote) && !tell(PriceKind::Trade));
        assert!(tell(PriceKind::Market) && !tell(PriceKind::Quote) && tell(PriceKind::Market));
    }

    #[test]
    fn an_agent_fares_the_same_alone_and_among_others() {
        let prices: Vec<i64> = (0..500).map(|n: i64| 1_000 + (n * n) % 97).collect();
        let standings = |names: &[&str]| {
            let contestants = names.iter().filter_map(|name| Contestant::named(name)).collect();
            let mut backtest = Backtest::new(&options(), contestants);
            for (&price, second) in prices.iter().zip(1..) {
                backtest.price("X", PriceKind::Trade, price.into(), second * SECOND_US);
            }
            backtest.standings()
        };
        let all = standings(&Contestant::STRATEGIES);
        for (name, among) in Contestant::STRATEGIES.iter().zip(&all) {
            let alone = standings(&[name]).remove(0);
            assert_eq!(&alone, among);
            assert!(alone.trades > 400, "{name}: {}", alone.trades);
        }
    }

    #[test]
    fn symbols_are_taken_up_to_the_limit() {
        let mut backtest = Backtest::new(&options(), Vec::new());
        let mut is_taken = |n: usize| backtest.price(&n.to_string(), PriceKind::Trade, 1.into(), 1);
        assert!((0..BACKTEST_SYMBOLS_MAX - 1).all(&mut is_taken));
        assert!(is_taken(BACKTEST_SYMBOLS_MAX - 1));
        assert!(!is_taken(BACKTEST_SYMBOLS_MAX), "one too many");
        assert!(is_taken(0), "who is there may go on");
    }

    #[test]
    fn prices_become_whole_numbers_fine_enough_to_move() {
        let first = |text: &str| first_units(text.parse().expect("a number"));
        assert_eq!(first("61685.99"), Some((2, Cents(6_168_599))));
        assert_eq!(first("1000"), Some((2, Cents(100_000))));
        assert_eq!(first("999.99"), Some((3, Cents(999_990))));
        assert_eq!(first("0.00001234"), Some((10, Cents(123_400))));
        assert_eq!(first("0.0000000000000001"), Some((PLACES_MAX, Cents(1))));
        assert_eq!(first("0.00000000000000001"), None);
        for refused in [Decimal::ZERO, Decimal::NEGATIVE_ONE, Decimal::MAX] {
            assert_eq!((first_units(refused), units(refused, 2)), (None, None), "{refused}");
        }
    }
}

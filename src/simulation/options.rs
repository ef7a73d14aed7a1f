//! What the arena does and how often: its options with their defaults, and the profiles. Plain data.

use super::Symbol;
use std::time::Duration;

/// Most events a second that one of prices, agents and order flow is asked for; what asks for more becomes it.
pub const EVENTS_PER_S_MAX: u32 = 100_000;

/// What the arena does and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where the random numbers start; the same seed gives the same events (default 42).
    pub seed: u64,
    /// What is traded (default BTC-USD and ETH-USD).
    pub symbols: Vec<Symbol>,
    /// Time between two prices of a symbol (default 5 s; at least 10 µs for each symbol).
    pub market_interval: Duration,
    /// Trades and quotes of the markets' own order flow, per second and over all symbols: half of them are trades
    /// (default 0: none; at most [`EVENTS_PER_S_MAX`]).
    pub flow_per_s: u32,
    /// Time between two updates of an agent (default 10 s; at least 20 µs for each agent).
    pub agent_interval: Duration,
    /// Updates of a thousand in which an agent trades, unless it rests (default 400).
    pub trade_permille: u32,
    /// Least profit or loss of a trade, in dollars (default 20).
    pub pnl_dollars_min: u32,
    /// Greatest profit or loss of a trade, in dollars (default 500; below the least one: the least one).
    pub pnl_dollars_max: u32,
    /// Losses in a row after which an agent rests (default 3; 0: it never does).
    pub losses_to_rest: u32,
    /// Updates for which it then rests (default 3).
    pub rest_updates: u32,
    /// Updates of each agent in a round (default 20; 0: there are no rounds).
    pub round_updates: u32,
    /// Whether every round begins with the capital of the start (default false). Trades, wins and scars stay.
    pub is_capital_reset: bool,
    /// How each trade is logged (default `Info`).
    pub trade_lines: TradeLines,
}

/// How trades are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TradeLines {
    /// One info line per trade, for people who watch.
    #[default]
    Info,
    /// One debug line per trade, for runs at high rates.
    Debug,
}

impl Options {
    /// The profile `arena`: prices every 5 s, agents every 10 s.
    #[must_use]
    pub fn arena() -> Self {
        Self {
            seed: 42,
            symbols: vec![
                Symbol::new("BTC-USD", 42_000, 1_000),
                Symbol::new("ETH-USD", 2_300, 100),
            ],
            market_interval: Duration::from_secs(5),
            flow_per_s: 0,
            agent_interval: Duration::from_secs(10),
            trade_permille: 400,
            pnl_dollars_min: 20,
            pnl_dollars_max: 500,
            losses_to_rest: 3,
            rest_updates: 3,
            round_updates: 20,
            is_capital_reset: false,
            trade_lines: TradeLines::Info,
        }
    }

    /// The profile `arena-slow`: prices every 30 s, agents every 15 s.
    #[must_use]
    pub fn arena_slow() -> Self {
        Self {
            market_interval: Duration::from_secs(30),
            agent_interval: Duration::from_secs(15),
            ..Self::arena()
        }
    }

    /// The profile `pipeline`: prices every second, and 20 trades and quotes a second to make candles of.
    #[must_use]
    pub fn pipeline() -> Self {
        Self { market_interval: Duration::from_secs(1), flow_per_s: 20, ..Self::arena() }
    }

    /// The profile `bench`: 10,000 prices a second, agents every 10 ms, trades logged at debug.
    #[must_use]
    pub fn bench() -> Self {
        Self {
            market_interval: Duration::from_micros(200),
            agent_interval: Duration::from_millis(10),
            trade_lines: TradeLines::Debug,
            ..Self::arena()
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::arena()
    }
}

#[cfg(test)]
mod tests {
    use super::{Options, Symbol, TradeLines};
    use crate::event::Cents;
    use std::time::Duration;

    #[test]
    fn s02_s03_profiles_have_their_intervals() {
        let intervals = |options: Options| (options.market_interval, options.agent_interval);
        let seconds = Duration::from_secs;
        assert_eq!(intervals(Options::default()), (seconds(5), seconds(10)));
        assert_eq!(intervals(Options::arena()), (seconds(5), seconds(10)));
        assert_eq!(intervals(Options::arena_slow()), (seconds(30), seconds(15)));
        assert_eq!(Options::bench().trade_lines, TradeLines::Debug);
    }

    #[test]
    fn order_flow_is_off_unless_a_profile_asks_for_it() {
        assert_eq!([Options::arena(), Options::arena_slow()].map(|it| it.flow_per_s), [0, 0]);
        assert!(Options::pipeline().flow_per_s > 0);
    }

    #[test]
    fn s14_default_symbols_have_their_bands() {
        let [bitcoin, ether] = &Options::arena().symbols[..] else { panic!("two symbols") };
        assert_eq!((&*bitcoin.name, &*ether.name), ("BTC-USD", "ETH-USD"));
        assert_eq!((bitcoin.middle, bitcoin.half_width), (Cents(4_200_000), Cents(100_000)));
        assert_eq!(*ether, Symbol::new("ETH-USD", 2_300, 100));
    }
}

//! A trading arena to watch and to test with: markets, agents, rounds, and a seed.
//!
//! ```text
//! Options ─► Arena (pure: time in, events out) ─┐
//!            ├ market    prices: a mean-reverting walk in a band, calm or wild by turns
//!            ├ prices    or prices from outside
//!            ├ flow      trades and quotes of the markets themselves
//!            ├ agents    updates: trade, hold or rest; the books
//!            ├ strategy  what to trade, and which way
//!            └ rounds    who gained most in twenty updates
//!            other parts that implement Stepper ┴► Scheduler ─► Simulation (a Source: sleeps, publishes, logs trades)
//! ```
//!
//! The same seed and the same times give the same events, byte for byte, on every machine: integers only, random
//! numbers of its own, no clock inside a [`Stepper`]. It never drops an event: when its ring is full it waits.
//!
//! A `Backtest` lets the same agents act on recorded prices, without an arena.
//!
//! It runs on the thread of its source; a step costs a few microseconds, every few seconds.

mod agents;
mod arena;
mod backtest;
pub mod chain;
mod flow;
pub mod hub;
mod lines;
mod live;
mod market;
mod options;
mod prices;
mod random;
mod roster;
mod rounds;
mod scheduler;
mod strategy;
mod symbol;

pub use agents::Contestant;
pub use arena::Arena;
pub use backtest::{BACKTEST_SYMBOLS_MAX, Backtest, PriceKind, Standing};
pub use live::Simulation;
pub use market::{Market, PRICE_MAX, Regime};
pub use options::{EVENTS_PER_S_MAX, Options, TradeLines};
pub use prices::PriceSource;
pub use random::Random;
pub use scheduler::{CATCH_UP_US, Scheduler, Stepper};
pub use strategy::{Coin, Decision, MeanReversion, Mixed, Momentum, Outcome, PricePath, Strategy};
pub use symbol::{NotASymbol, Symbol};

/// The document that shows how to add a strategy; its programs are compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/strategies.md")]
struct StrategiesDocument;

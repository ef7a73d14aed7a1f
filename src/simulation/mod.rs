//! A trading arena to watch and to test with: two markets, three agents, and a seed.
//!
//! ```text
//! Options ─► Arena (pure: time in, events out) ─► Simulation (a Source: sleeps, steps, publishes, logs trades)
//!            ├ market    prices: a mean-reverting walk in a band
//!            ├ agents    updates: trade, hold or rest; the books
//!            └ strategy  what to trade, and which way
//! ```
//!
//! The same seed and the same times give the same events, byte for byte, on every machine: integers only, random
//! numbers of its own, no clock inside [`Arena`]. It never drops an event: when its ring is full it waits.
//!
//! It runs on the thread of its source; a step costs a few microseconds, every few seconds.

mod agents;
mod arena;
pub mod hub;
mod market;
mod random;
mod strategy;

pub use agents::Contestant;
pub use arena::Arena;
pub use market::Market;
pub use random::Random;
pub use strategy::{Decision, MeanReversion, Mixed, Momentum, Outcome, PricePath, Strategy};

use crate::encode::Publisher;
use crate::event::{Action, Agent, Body, Event};
use crate::source::{Source, SourceContext, SourceError, Stop};
use std::time::Duration;
use tracing::{debug, info};

/// How long the simulation waits for room in a full ring before it looks again.
const FULL_RING_PAUSE: Duration = Duration::from_millis(1);

/// What the arena does and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where the random numbers start; the same seed gives the same events (default 42).
    pub seed: u64,
    /// Time between two prices of a symbol (default 5 s; at least 1 ms).
    pub market_interval: Duration,
    /// Time between two updates of an agent (default 10 s; at least 1 ms).
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
            market_interval: Duration::from_secs(5),
            agent_interval: Duration::from_secs(10),
            trade_permille: 400,
            pnl_dollars_min: 20,
            pnl_dollars_max: 500,
            losses_to_rest: 3,
            rest_updates: 3,
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
}

impl Default for Options {
    fn default() -> Self {
        Self::arena()
    }
}

/// The arena as a source: publishes the first values at once and then at its intervals, until it is stopped.
#[derive(Debug)]
pub struct Simulation {
    options: Options,
}

impl Simulation {
    /// An arena that has not begun.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options }
    }
}

impl Source for Simulation {
    fn name(&self) -> &'static str {
        "simulation"
    }

    fn run(&mut self, mut context: SourceContext) -> Result<(), SourceError> {
        let now_us = context.clock.now_us();
        let mut arena = Arena::new(&self.options, &context.topics, now_us).map_err(|error| {
            SourceError(format!("the arena's topics cannot be registered: {error:?}"))
        })?;
        info!("market ticker started, every {:?}", self.options.market_interval);
        info!("agent simulator started, every {:?}", self.options.agent_interval);
        let (mut events, mut trades) = (Vec::new(), 0);
        loop {
            arena.step(context.clock.now_us(), &mut events);
            for line in trade_lines(&events, &mut trades) {
                match self.options.trade_lines {
                    TradeLines::Info => info!("{line}"),
                    TradeLines::Debug => debug!("{line}"),
                }
            }
            let is_stopped = publish_all(&mut context.publisher, &mut events, &context.stop)
                || context.stop.wait_until(&context.clock, arena.next_due_us());
            if is_stopped {
                return Ok(());
            }
        }
    }
}

/// Publishes all of `events`, waiting for room where there is none; returns whether it was stopped meanwhile.
fn publish_all(publisher: &mut Publisher, events: &mut Vec<Event>, stop: &Stop) -> bool {
    loop {
        publisher.publish_batch(events);
        if events.is_empty() {
            return stop.is_stopped();
        }
        if stop.wait_for(FULL_RING_PAUSE) {
            return true;
        }
    }
}

/// A line for each agent that has just traded; `trades` counts them over the whole run.
fn trade_lines(events: &[Event], trades: &mut u64) -> Vec<String> {
    let traders = events.iter().filter_map(|event| match &event.body {
        Body::Agent(agent) if matches!(agent.action, Action::Won(_) | Action::Lost(_)) => {
            Some(agent)
        }
        _ => None,
    });
    traders
        .map(|agent| {
            *trades += 1;
            trade_line(*trades, agent)
        })
        .collect()
}

/// `[n] ⚖️ Balanced - Capital: $48030, Trades: 1, WR: 100.0%`: whole dollars, one decimal.
fn trade_line(number: u64, agent: &Agent) -> String {
    let (name, trades) = (&agent.agent.name, u64::from(agent.trades));
    let dollars = agent.capital.0 / 100;
    let permille = (u64::from(agent.wins) * 1_000 + trades / 2) / trades.max(1);
    let (percent, tenths) = (permille / 10, permille % 10);
    let sign = if agent.capital.0 <= -100 { "-" } else { "" };
    format!(
        "[{number}] {name} - Capital: {sign}${}, Trades: {trades}, WR: {percent}.{tenths}%",
        dollars.unsigned_abs()
    )
}

#[cfg(test)]
mod tests {
    use super::{Options, trade_line, trade_lines};
    use crate::event::{Action, Agent, AgentName, Body, Cents, Event, Status, Topic};
    use std::sync::Arc;
    use std::time::Duration;

    fn balanced(action: Action) -> Agent {
        Agent {
            agent: Arc::new(AgentName { slug: "balanced".into(), name: "⚖️ Balanced".into() }),
            capital: Cents(4_803_000),
            trades: 1,
            wins: 1,
            scars: 0,
            status: Status::Active,
            action,
        }
    }

    #[test]
    fn s12_trade_line_has_whole_dollars_and_a_rate_with_one_decimal() {
        let agent = balanced(Action::Won(30));
        assert_eq!(
            trade_line(7, &agent),
            "[7] ⚖️ Balanced - Capital: $48030, Trades: 1, WR: 100.0%"
        );
        let agent = Agent { capital: Cents(-12_000), trades: 3, wins: 2, ..agent };
        assert_eq!(trade_line(8, &agent), "[8] ⚖️ Balanced - Capital: -$120, Trades: 3, WR: 66.7%");
    }

    #[test]
    fn s12_only_trades_are_logged_and_numbered_on_over_the_whole_run() {
        let event = |action| {
            let body = Body::Agent(balanced(action));
            Event { topic: Topic::from_index(0), key: 0, time_us: 0, body }
        };
        let (mut trades, updates) =
            (0, [Action::Holds, Action::Won(30), Action::Rests, Action::Lost(20)]);
        let events = updates.map(event);
        let begins = |lines: Vec<String>, numbers: [&str; 2]| {
            lines.len() == 2
                && lines.iter().zip(numbers).all(|(line, number)| line.starts_with(number))
        };
        assert!(begins(trade_lines(&events, &mut trades), ["[1] ", "[2] "]));
        assert!(begins(trade_lines(&events, &mut trades), ["[3] ", "[4] "]));
    }

    #[test]
    fn s02_s03_profiles_have_their_intervals() {
        let intervals = |options: Options| (options.market_interval, options.agent_interval);
        let seconds = Duration::from_secs;
        assert_eq!(intervals(Options::default()), (seconds(5), seconds(10)));
        assert_eq!(intervals(Options::arena()), (seconds(5), seconds(10)));
        assert_eq!(intervals(Options::arena_slow()), (seconds(30), seconds(15)));
    }
}

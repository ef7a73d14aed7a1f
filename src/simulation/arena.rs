//! The arena as a pure stepper: it is told the time and answers with the events that are due.
//!
//! It reads no clock, sleeps nowhere and publishes nothing, so the same seed and the same times give the same events.
//! Prices and agents have a schedule each. A schedule keeps its phase: what fires late does not move what follows,
//! and what was missed altogether (the machine slept) is left out, not caught up.
//!
//! Order within a step: prices first, so that agents trade at the newest; then agent by agent, a trade before the
//! state it leads to.

use super::Options;
use super::agents::{Contestant, Trader};
use super::market::Market;
use super::random::Random;
use crate::event::{self, Body, Cents, Event, Topic, TopicError, Topics};
use std::sync::Arc;
use std::time::Duration;

/// Shortest interval of a schedule; shorter ones become it.
const INTERVAL_US_MIN: u64 = 1_000;

/// Markets and agents, and when each is due.
#[derive(Debug)]
pub struct Arena {
    options: Options,
    markets: Vec<Market>,
    /// The topic of each market.
    prices: Vec<Topic>,
    seats: Vec<Seat>,
    prices_due: Schedule,
    agents_due: Schedule,
}

/// A trader and where its events go.
#[derive(Debug)]
struct Seat {
    trader: Trader,
    states: Topic,
    trades: Topic,
}

impl Arena {
    /// The arena with its three agents. Everything is due for the first time at `start_us` (microseconds since the
    /// Unix epoch).
    ///
    /// # Errors
    /// When a topic cannot be registered.
    pub fn new(options: &Options, topics: &Topics, start_us: u64) -> Result<Self, TopicError> {
        Self::with_contestants(options, Contestant::defaults(), topics, start_us)
    }

    /// The arena with agents of one's own; as [`new`](Self::new) otherwise.
    ///
    /// # Errors
    /// When a topic cannot be registered, such as that of a slug which is no segment of a topic.
    pub fn with_contestants(
        options: &Options,
        contestants: Vec<Contestant>,
        topics: &Topics,
        start_us: u64,
    ) -> Result<Self, TopicError> {
        let mut root = Random::new(options.seed);
        let markets = vec![
            Market::new("BTC-USD", Cents(4_200_000), Cents(100_000), root.split()),
            Market::new("ETH-USD", Cents(230_000), Cents(10_000), root.split()),
        ];
        let topic = |kind, name: &str| topics.register(&format!("{kind}:{name}"), None);
        let prices = markets.iter().map(|market| topic("market", market.symbol()));
        let prices = prices.collect::<Result<_, _>>()?;
        let mut seats = Vec::with_capacity(contestants.len());
        for contestant in contestants {
            let states = topic("agent", &contestant.name.slug)?;
            let trades = topic("trade", &contestant.name.slug)?;
            seats.push(Seat { trader: Trader::new(contestant, root.split()), states, trades });
        }
        let prices_due = Schedule::new(start_us, options.market_interval);
        let agents_due = Schedule::new(start_us, options.agent_interval);
        Ok(Self { options: options.clone(), markets, prices, seats, prices_due, agents_due })
    }

    /// When something is due next, in microseconds since the Unix epoch.
    #[must_use]
    pub fn next_due_us(&self) -> u64 {
        self.prices_due.next_us.min(self.agents_due.next_us)
    }

    /// Appends what is due at `now_us`, stamped with it; nothing before [`next_due_us`](Self::next_due_us). Each
    /// price and each agent moves on by one step, however long ago the last one was.
    pub fn step(&mut self, now_us: u64, out: &mut Vec<Event>) {
        if self.prices_due.fires(now_us) {
            for (market, &topic) in self.markets.iter_mut().zip(&self.prices) {
                market.step();
                let price =
                    event::Market { symbol: Arc::clone(market.symbol()), price: market.price() };
                out.push(Event { topic, key: 0, time_us: now_us, body: Body::Market(price) });
            }
        }
        if self.agents_due.fires(now_us) {
            for seat in &mut self.seats {
                let (trade, state) = seat.trader.update(&self.options, &self.markets);
                let trade = trade.map(|trade| (seat.trades, Body::Trade(trade)));
                for (topic, body) in trade.into_iter().chain([(seat.states, Body::Agent(state))]) {
                    out.push(Event { topic, key: 0, time_us: now_us, body });
                }
            }
        }
    }
}

/// Fires at a start and then in equal intervals.
#[derive(Debug)]
struct Schedule {
    interval_us: u64,
    next_us: u64,
}

impl Schedule {
    fn new(start_us: u64, interval: Duration) -> Self {
        let interval_us = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
        Self { interval_us: interval_us.max(INTERVAL_US_MIN), next_us: start_us }
    }

    /// Whether it is due, in which case it moves on to the first moment of its phase after `now_us`.
    fn fires(&mut self, now_us: u64) -> bool {
        let Some(late_us) = now_us.checked_sub(self.next_us) else { return false };
        let ahead_us = self.interval_us - late_us % self.interval_us;
        self.next_us = now_us.saturating_add(ahead_us);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Arena, INTERVAL_US_MIN, Schedule};
    use crate::event::{TopicError, Topics};
    use crate::simulation::{Contestant, Options};
    use std::time::Duration;

    #[test]
    fn a_schedule_fires_at_its_start_and_keeps_its_phase_when_late() {
        let mut schedule = Schedule::new(10_000, Duration::from_millis(5));
        let mut fires = |now_us| (schedule.fires(now_us), schedule.next_us);
        assert_eq!(fires(9_999), (false, 10_000));
        assert_eq!(fires(10_000), (true, 15_000));
        assert_eq!(fires(14_999), (false, 15_000));
        assert_eq!(fires(15_300), (true, 20_000), "late, yet the next one is on time");
        assert_eq!(fires(42_000), (true, 45_000), "what was missed is left out");
        assert_eq!(fires(45_000), (true, 50_000));
        assert_eq!(fires(u64::MAX), (true, u64::MAX), "the end of time does not wrap");
    }

    #[test]
    fn intervals_shorter_than_the_limit_become_it() {
        for (micros, expected_us) in [(0, 0), (999, 0), (1_000, 0), (1_001, 1)] {
            let mut schedule = Schedule::new(0, Duration::from_micros(micros));
            assert!(schedule.fires(0));
            assert_eq!(schedule.next_us, INTERVAL_US_MIN + expected_us, "{micros}");
        }
        let mut schedule = Schedule::new(0, Duration::MAX);
        assert!(schedule.fires(0) && schedule.next_us == u64::MAX);
    }

    #[test]
    fn an_agent_whose_slug_is_no_topic_segment_is_refused() {
        let mut contestants = Contestant::defaults();
        contestants[0].name.slug = "no segment".into();
        let arena = Arena::with_contestants(&Options::default(), contestants, &Topics::new(), 0);
        assert_eq!(arena.err(), Some(TopicError::BadName));
    }
}

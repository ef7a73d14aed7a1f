//! The arena as a pure stepper: it is told the time and answers with the events that are due.
//!
//! It reads no clock, sleeps nowhere and publishes nothing, so the same seed and the same times give the same events.
//! Prices and agents have a schedule each. A schedule keeps its phase: what fires late does not move what follows,
//! and what was missed altogether (the machine slept) is left out, not caught up.
//!
//! Prices are simulated, or given from outside: then a symbol is told when it has a new price, and agents act only when one
//! has come since they last did; their schedule begins with the first.
//!
//! Order within a step: prices first, so that everybody trades at the newest; then the order flow; then agent by
//! agent, a trade before the state it leads to; then the round, when it ends with this update.

use super::agents::{Contestant, Trader};
use super::flow::Flow;
use super::market::Market;
use super::prices::{Given, PriceSource};
use super::random::Random;
use super::rounds::Rounds;
use super::{EVENTS_PER_S_MAX, Options};
use crate::event::{self, Body, Event, Topic, TopicError, Topics, Typed};
use std::sync::Arc;
use std::time::Duration;

/// Least time for an event of a schedule.
const EVENT_US: u64 = 1_000_000 / EVENTS_PER_S_MAX as u64;
/// Events of an agent's update: a trade and a state.
const UPDATE_EVENTS: usize = 2;

/// Markets and agents, and when each is due.
#[derive(Debug)]
pub struct Arena {
    options: Options,
    markets: Vec<Market>,
    /// The topic of each simulated market.
    prices: Vec<Topic>,
    /// Where prices come from when they are not simulated.
    given: Option<Given>,
    flow: Flow,
    seats: Vec<Seat>,
    rounds: Rounds,
    rounds_topic: Topic,
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
        Self::with_prices(options, contestants, None, topics, start_us)
    }

    /// The same, at prices from outside where `prices` is there: of the symbols only the names count then, and there is
    /// no order flow.
    ///
    /// # Errors
    /// When a topic cannot be registered.
    pub fn with_prices(
        options: &Options,
        contestants: Vec<Contestant>,
        prices: Option<Box<dyn PriceSource>>,
        topics: &Topics,
        start_us: u64,
    ) -> Result<Self, TopicError> {
        let given =
            prices.map(|source| Given::new(source, options, topics, start_us)).transpose()?;
        let mut root = Random::new(options.seed);
        let symbols = options.symbols.iter().filter(|_| given.is_none());
        let markets: Vec<Market> = symbols
            .map(|it| Market::new(&it.name, it.middle, it.half_width, root.split()))
            .collect();
        let topic = |kind, name: &str| topics.register(&format!("{kind}:{name}"), None);
        let prices = markets.iter().map(|market| topic("market", market.symbol()));
        let prices = prices.collect::<Result<_, _>>()?;
        let mut seats = Vec::with_capacity(contestants.len());
        for contestant in contestants {
            let states = topic("agent", &contestant.name.slug)?;
            let trades = topic("trade", &contestant.name.slug)?;
            seats.push(Seat { trader: Trader::new(contestant, root.split()), states, trades });
        }
        let flow_per_s = if given.is_some() { 0 } else { options.flow_per_s.min(EVENTS_PER_S_MAX) };
        let flow = Flow::new(flow_per_s, &markets, topics, start_us, root.split())?;
        let rounds = Rounds::new(options, seats.iter().map(|seat| &seat.trader));
        Ok(Self {
            prices_due: Schedule::new(start_us, options.market_interval, markets.len()),
            agents_due: Schedule::new(
                start_us,
                options.agent_interval,
                seats.len() * UPDATE_EVENTS,
            ),
            options: options.clone(),
            given,
            markets,
            prices,
            flow,
            seats,
            rounds,
            rounds_topic: topics.register("arena", None)?,
        })
    }

    /// When something is due next, in microseconds since the Unix epoch.
    #[must_use]
    pub fn next_due_us(&self) -> u64 {
        let given_us = self.given.as_ref().map_or(u64::MAX, Given::next_us);
        let agents_us = if self.is_waiting() { u64::MAX } else { self.agents_due.next_us };
        self.prices_due.next_us.min(given_us).min(agents_us).min(self.flow.next_us())
    }

    /// Whether prices are to be given and none has come yet.
    fn is_waiting(&self) -> bool {
        self.given.is_some() && self.markets.is_empty()
    }

    /// Takes the prices that are given; with the first one the agents begin.
    fn given_prices(&mut self, now_us: u64, out: &mut Vec<Event>) {
        let was_waiting = self.is_waiting();
        if let Some(given) = &mut self.given {
            given.step(now_us, &mut self.markets, out);
        }
        if was_waiting && !self.markets.is_empty() {
            self.agents_due.next_us = now_us;
        }
    }

    /// Appends what is due at `now_us`, stamped with it; nothing before [`next_due_us`](Self::next_due_us). Each
    /// price and each agent moves on by one step, and one order comes, however long ago the last one was.
    pub fn step(&mut self, now_us: u64, out: &mut Vec<Event>) {
        self.given_prices(now_us, out);
        if self.prices_due.fires(now_us) {
            for (market, &topic) in self.markets.iter_mut().zip(&self.prices) {
                market.step();
                let price =
                    event::Market { symbol: Arc::clone(market.symbol()), price: market.price() };
                out.push(Event { topic, key: 0, time_us: now_us, body: Body::Market(price) });
            }
        }
        self.flow.step(now_us, &self.markets, out);
        let acts = !self.is_waiting() && self.agents_due.fires(now_us);
        if acts && self.given.as_mut().is_none_or(Given::take_news) {
            for seat in &mut self.seats {
                let (trade, state) = seat.trader.update(&self.options, &self.markets);
                let trade = trade.map(|trade| (seat.trades, Body::Trade(trade)));
                for (topic, body) in trade.into_iter().chain([(seat.states, Body::Agent(state))]) {
                    out.push(Event { topic, key: 0, time_us: now_us, body });
                }
            }
            let traders = self.seats.iter_mut().map(|seat| &mut seat.trader);
            if let Some(round) = self.rounds.update(traders) {
                let (topic, body) = (self.rounds_topic, Body::Typed(Typed::new(round)));
                out.push(Event { topic, key: 0, time_us: now_us, body });
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
    /// Shorter intervals than [`EVENT_US`] for each of `events` become that; without events it never fires.
    fn new(start_us: u64, interval: Duration, events: usize) -> Self {
        let interval_us = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
        let least_us = EVENT_US.saturating_mul(events as u64);
        let next_us = if events == 0 { u64::MAX } else { start_us };
        Self { interval_us: interval_us.max(least_us).max(1), next_us }
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
    use super::{Arena, EVENT_US, Schedule};
    use crate::event::{TopicError, Topics};
    use crate::simulation::{Contestant, Options};
    use std::time::Duration;

    #[test]
    fn a_schedule_fires_at_its_start_and_keeps_its_phase_when_late() {
        let mut schedule = Schedule::new(10_000, Duration::from_millis(5), 2);
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
        assert_eq!(EVENT_US, 10);
        for (micros, expected_us) in [(0, 30), (29, 30), (30, 30), (31, 31)] {
            let mut schedule = Schedule::new(0, Duration::from_micros(micros), 3);
            assert!(schedule.fires(0));
            assert_eq!(schedule.next_us, expected_us, "{micros}");
        }
        let mut schedule = Schedule::new(0, Duration::MAX, 1);
        assert!(schedule.fires(0) && schedule.next_us == u64::MAX);
        assert!(!Schedule::new(0, Duration::ZERO, 0).fires(1_000), "nothing to come");
    }

    #[test]
    fn an_agent_whose_slug_is_no_topic_segment_is_refused() {
        let mut contestants = Contestant::defaults();
        contestants[0].name.slug = "no segment".into();
        let arena = Arena::with_contestants(&Options::default(), contestants, &Topics::new(), 0);
        assert_eq!(arena.err(), Some(TopicError::BadName));
    }
}

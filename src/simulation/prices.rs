//! Prices from outside, in place of the simulated ones.
//!
//! A [`PriceSource`] is asked for what is new. A symbol enters the arena with its first price, in the order in which
//! the first prices come, and keeps its place; it is told at most once per market interval, always at its newest price.
//! Without new prices nothing is told and no agent acts: on a market that stands still there is nothing to trade.
//!
//! Never: a price that the source did not give. Asking costs one call per symbol every [`LOOK_US`] at most.

use super::Options;
use super::market::Market;
use crate::event::{self, Body, Cents, Event, Topic, TopicError, Topics};
use std::fmt;
use std::sync::Arc;

/// Time between two looks for a price that is due and has not come.
pub(super) const LOOK_US: u64 = 50_000;

/// Where prices come from that are not simulated. Asked on the simulation's thread; must not block.
pub trait PriceSource: fmt::Debug + Send {
    /// The newest price of `symbol`, above zero, if one has come since it was last asked for.
    fn newest(&mut self, symbol: &str) -> Option<Cents>;
}

/// The markets whose prices are given.
#[derive(Debug)]
pub(super) struct Given {
    source: Box<dyn PriceSource>,
    listed: Vec<Listed>,
    interval_us: u64,
    next_us: u64,
    /// Whether a price came since the agents acted.
    has_news: bool,
}

/// A symbol that may get prices.
#[derive(Debug)]
struct Listed {
    symbol: Arc<str>,
    topic: Topic,
    /// Its place among the markets, once it had a price.
    market: Option<usize>,
    /// When it may be told next.
    free_us: u64,
}

impl Given {
    /// The symbols of `options`, none with a price yet.
    pub(super) fn new(
        source: Box<dyn PriceSource>,
        options: &Options,
        topics: &Topics,
        start_us: u64,
    ) -> Result<Self, TopicError> {
        let listed = options.symbols.iter().map(|symbol| {
            let topic = topics.register(&format!("market:{}", symbol.name), None)?;
            let name: &str = &symbol.name;
            Ok(Listed { symbol: name.into(), topic, market: None, free_us: start_us })
        });
        let interval_us = u64::try_from(options.market_interval.as_micros()).unwrap_or(u64::MAX);
        Ok(Self {
            listed: listed.collect::<Result<_, _>>()?,
            source,
            interval_us: interval_us.max(1),
            next_us: if options.symbols.is_empty() { u64::MAX } else { start_us },
            has_news: false,
        })
    }

    /// When it looks for prices next.
    pub(super) fn next_us(&self) -> u64 {
        self.next_us
    }

    /// Takes the prices that are new and may be told, into `markets` and `out`.
    pub(super) fn step(&mut self, now_us: u64, markets: &mut Vec<Market>, out: &mut Vec<Event>) {
        if now_us < self.next_us {
            return;
        }
        let mut free_us = u64::MAX;
        for listed in &mut self.listed {
            if now_us >= listed.free_us
                && let Some(price) = self.source.newest(&listed.symbol)
            {
                match listed.market {
                    Some(market) => markets[market].follow(price),
                    None => {
                        listed.market = Some(markets.len());
                        markets.push(Market::given(&listed.symbol, price));
                    }
                }
                let told = event::Market { symbol: Arc::clone(&listed.symbol), price };
                let (topic, body) = (listed.topic, Body::Market(told));
                out.push(Event { topic, key: 0, time_us: now_us, body });
                listed.free_us = now_us.saturating_add(self.interval_us);
                self.has_news = true;
            }
            free_us = free_us.min(listed.free_us);
        }
        let soon_us = now_us.saturating_add(LOOK_US.min(self.interval_us));
        self.next_us = if self.listed.is_empty() { u64::MAX } else { free_us.max(soon_us) };
    }

    /// Whether a price came since the last call.
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }
}

#[cfg(test)]
mod tests {
    use super::{LOOK_US, PriceSource};
    use crate::event::{Body, Cents, Event, Topics};
    use crate::simulation::{Arena, Contestant, Options, Symbol};
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    const START_US: u64 = 1_000_000;

    /// Prices that the test sets.
    #[derive(Debug, Clone, Default)]
    struct Desk(Arc<Mutex<BTreeMap<String, i64>>>);

    impl Desk {
        fn set(&self, symbol: &str, cents: i64) {
            self.0.lock().expect("no panic").insert(symbol.to_owned(), cents);
        }
    }

    impl PriceSource for Desk {
        fn newest(&mut self, symbol: &str) -> Option<Cents> {
            self.0.lock().expect("no panic").remove(symbol).map(Cents)
        }
    }

    /// An arena that tells prices at most every 5 s and whose agents act every 10 s, always trading.
    fn arena(desk: &Desk, topics: &Topics) -> Arena {
        let options = Options {
            symbols: vec![Symbol::new("A", 0, 0), Symbol::new("B", 0, 0)],
            market_interval: Duration::from_secs(5),
            agent_interval: Duration::from_secs(10),
            flow_per_s: 50,
            trade_permille: 1_000,
            ..Options::default()
        };
        let (desk, contestants) = (Box::new(desk.clone()), Contestant::defaults());
        Arena::with_prices(&options, contestants, Some(desk), topics, START_US).expect("topics")
    }

    fn step(arena: &mut Arena, after_us: u64) -> Vec<Event> {
        let mut out = Vec::new();
        arena.step(START_US + after_us, &mut out);
        out
    }

    fn prices(events: &[Event]) -> Vec<(String, i64)> {
        let price = |event: &Event| match &event.body {
            Body::Market(market) => Some((market.symbol.to_string(), market.price.0)),
            _ => None,
        };
        events.iter().filter_map(price).collect()
    }

    fn states(events: &[Event]) -> usize {
        events.iter().filter(|event| matches!(event.body, Body::Agent(_))).count()
    }

    #[test]
    fn s18_a_given_price_is_told_at_most_once_per_market_interval_and_at_its_newest() {
        let (desk, topics) = (Desk::default(), Topics::new());
        let mut arena = arena(&desk, &topics);
        assert!(step(&mut arena, 0).is_empty(), "no price, no event");
        desk.set("A", 100);
        assert!(step(&mut arena, LOOK_US - 1).is_empty(), "it looks when it is time");
        assert_eq!(prices(&step(&mut arena, LOOK_US)), [("A".to_owned(), 100)]);
        desk.set("A", 200);
        desk.set("A", 300);
        assert_eq!(prices(&step(&mut arena, LOOK_US + 4_900_000)), []);
        assert_eq!(prices(&step(&mut arena, LOOK_US + 5_000_000)), [("A".to_owned(), 300)]);
        desk.set("B", 7);
        assert_eq!(
            prices(&step(&mut arena, LOOK_US + 5_100_000)),
            [("B".to_owned(), 7)],
            "a symbol waits for its own interval alone"
        );
        assert_eq!(prices(&step(&mut arena, 20_000_000)), [], "an old price is not told again");
    }

    #[test]
    fn s18_agents_begin_with_the_first_given_price_and_act_only_at_new_ones() {
        let (desk, topics) = (Desk::default(), Topics::new());
        let mut arena = arena(&desk, &topics);
        assert_eq!(states(&step(&mut arena, 30_000_000)), 0, "nobody trades without a price");
        desk.set("B", 4_200);
        let first = step(&mut arena, 31_000_000);
        assert_eq!((prices(&first).len(), states(&first)), (1, 3), "agents act at once");
        let traded: Vec<(&str, i64)> = first
            .iter()
            .filter_map(|event| match &event.body {
                Body::Trade(trade) => Some((&*trade.symbol, trade.price.0)),
                _ => None,
            })
            .collect();
        assert_eq!(traded, [("B", 4_200); 3], "at the given price");
        assert_eq!(states(&step(&mut arena, 41_000_000)), 0, "no price has come since");
        desk.set("A", 100);
        assert_eq!(states(&step(&mut arena, 51_000_000)), 3);
    }

    #[test]
    fn it_looks_at_intervals_while_no_price_comes() {
        let (desk, topics) = (Desk::default(), Topics::new());
        let mut arena = arena(&desk, &topics);
        for look in 0..3 {
            assert_eq!(arena.next_due_us(), START_US + look * LOOK_US, "look {look}");
            step(&mut arena, look * LOOK_US);
        }
    }
}

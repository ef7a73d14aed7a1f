//! Goal: the arena is what it says: the same seed gives the same bytes, the stated odds hold in the long run, and its
//! books agree with its trades. Method: the pure stepper on a schedule of times, read as a client would read it.

use lineage::encode::json::write_v1;
use lineage::encode::legacy::write_legacy;
use lineage::event::{Action, Agent, Body, Class, Event, Status, Topics, Trade};
use lineage::simulation::{Arena, Options};
use proptest::prelude::*;
use std::collections::HashMap;
use std::time::Duration;

const START_US: u64 = 1_738_512_000_000_000;

/// The events of the arena's first `steps` steps, each at the moment it is due.
fn events(options: &Options, topics: &Topics, steps: usize) -> Vec<Event> {
    let mut arena = Arena::new(options, topics, START_US).expect("the topics are free");
    let mut events = Vec::new();
    for _ in 0..steps {
        arena.step(arena.next_due_us(), &mut events);
    }
    events
}

/// What a v1 and a legacy client would read, a line for each message.
fn bytes(seed: u64, steps: usize) -> String {
    let topics = Topics::new();
    let options = Options { seed, ..Options::arena() };
    let mut out = Vec::new();
    let mut seqs: HashMap<u16, u64> = HashMap::new();
    for (event, pos) in events(&options, &topics, steps).iter().zip(0..) {
        let seq = seqs.entry(event.topic.index()).or_insert(0);
        *seq += 1;
        write_v1(&mut out, topics.info(event.topic), *seq, pos, event);
        out.push(b'\n');
        if write_legacy(&mut out, event) {
            out.push(b'\n');
        }
    }
    String::from_utf8(out).expect("written as text")
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    assert_eq!(bytes(1, 500), bytes(1, 500));
    assert_ne!(bytes(1, 500), bytes(2, 500));
}

#[test]
fn the_default_seed_gives_the_golden_bytes() {
    assert_eq!(bytes(Options::default().seed, 6), include_str!("golden/arena.jsonl"));
}

#[test]
fn s02_s03_prices_come_every_five_seconds_and_agents_every_ten_from_the_start_on() {
    let (topics, second) = (Topics::new(), 1_000_000);
    let events = events(&Options::arena(), &topics, 5);
    let times = |name: &str| -> Vec<u64> {
        let topic = topics.find(name).unwrap_or_else(|| panic!("{name} is not registered"));
        let own = events.iter().filter(|event| event.topic == topic);
        own.map(|event| (event.time_us - START_US) / second).collect()
    };
    for symbol in ["market:BTC-USD", "market:ETH-USD"] {
        assert_eq!(times(symbol), [0, 5, 10, 15, 20], "{symbol}");
    }
    for agent in ["agent:momentum", "agent:conservative", "agent:balanced"] {
        assert_eq!(times(agent), [0, 10, 20], "{agent}: one event per cycle");
    }
    for name in ["trade:momentum", "trade:conservative", "trade:balanced"] {
        let topic = topics.find(name).unwrap_or_else(|| panic!("{name} is not registered"));
        assert_eq!(topics.info(topic).class, Class::Event);
    }
}

#[test]
fn a_step_that_comes_late_is_stamped_with_its_time_and_skips_what_was_missed() {
    let topics = Topics::new();
    let mut arena = Arena::new(&Options::arena(), &topics, START_US).expect("the topics are free");
    let mut out = Vec::new();
    arena.step(START_US - 1, &mut out);
    assert!(out.is_empty(), "nothing is due before the start");
    let late_us = START_US + 3_600_000_000 + 1;
    arena.step(late_us, &mut out);
    assert!(out.len() >= 5 && out.iter().all(|event| event.time_us == late_us));
    let prices = out.iter().filter(|event| matches!(event.body, Body::Market(_))).count();
    assert_eq!(prices, 2, "one step for each symbol, not an hour of them");
    assert_eq!(arena.next_due_us(), late_us - 1 + 5_000_000, "the phase is kept");
}

#[test]
fn s14_prices_of_both_symbols_keep_their_bands() {
    let events = events(&Options::arena(), &Topics::new(), 50_000);
    let mut seen: HashMap<String, (i64, i64)> = HashMap::new();
    for event in &events {
        let Body::Market(market) = &event.body else { continue };
        let price = market.price.0;
        let range = seen.entry(market.symbol.to_string()).or_insert((price, price));
        *range = (range.0.min(price), range.1.max(price));
    }
    for (symbol, middle, half_width) in
        [("BTC-USD", 4_200_000, 100_000), ("ETH-USD", 230_000, 10_000)]
    {
        let (lowest, highest) = seen[symbol];
        assert!(lowest >= middle - half_width && highest <= middle + half_width, "{symbol}");
        // It uses its band: at least half of it on both sides.
        assert!(lowest < middle - half_width / 2 && highest > middle + half_width / 2, "{symbol}");
    }
}

#[test]
fn s15_agents_start_with_their_capital_and_win_as_often_as_stated() {
    let options = Options { seed: 2_026, ..Options::arena() };
    let events = events(&options, &Topics::new(), 500_000);
    let stated = [
        ("momentum", "⚡ Momentum", 50_000, 0.575),
        ("conservative", "🛡️ Conservative", 45_000, 0.615),
        ("balanced", "⚖️ Balanced", 48_000, 0.525),
    ];
    for (slug, name, dollars, probability) in stated {
        let own = |event: &&Event| matches!(&event.body, Body::Agent(agent) if *agent.agent.slug == *slug);
        let state = |event: &Event| match &event.body {
            Body::Agent(agent) => agent.clone(),
            _ => unreachable!("filtered"),
        };
        let first =
            events.iter().find(own).map(state).expect("every agent speaks in the first step");
        let last = events.iter().rfind(own).map(state).expect("as above");
        assert_eq!(&*first.agent.name, name);
        let moved = match first.action {
            Action::Won(dollars) => i64::from(dollars),
            Action::Lost(dollars) => -i64::from(dollars),
            Action::Holds | Action::Rests => 0,
        };
        assert_eq!(first.capital.0, (dollars + moved) * 100, "{slug}");
        let trades = f64::from(last.trades);
        let rate = f64::from(last.wins) / trades;
        let deviation = (probability * (1.0 - probability) / trades).sqrt();
        assert!(last.trades > 50_000, "{slug}: {} trades", last.trades);
        assert!(
            (rate - probability).abs() < 4.0 * deviation,
            "seed {}: {slug} won {rate}",
            options.seed
        );
    }
}

/// The books of one agent, kept from its trade events alone.
#[derive(Debug, Default)]
struct Books {
    capital: i64,
    trades: u32,
    wins: u32,
    losses_in_a_row: u32,
    rest_left: u32,
    pending: Option<Trade>,
}

impl Books {
    fn trade(&mut self, trade: &Trade, options: &Options) {
        let dollars = trade.pnl.0.unsigned_abs() / 100;
        assert!((20..=500).contains(&dollars) && trade.pnl.0 % 100 == 0);
        assert_eq!(trade.won, trade.pnl.0 > 0);
        assert_eq!(self.rest_left, 0, "who rests does not trade");
        assert!(self.pending.replace(trade.clone()).is_none(), "one trade for each update");
        self.capital += trade.pnl.0;
        self.trades += 1;
        self.wins += u32::from(trade.won);
        self.losses_in_a_row = if trade.won { 0 } else { self.losses_in_a_row + 1 };
        if self.losses_in_a_row == options.losses_to_rest && !trade.won {
            (self.losses_in_a_row, self.rest_left) = (0, options.rest_updates);
        }
    }

    fn state(&mut self, agent: &Agent) {
        let kept = (self.capital, self.trades, self.wins, self.trades - self.wins);
        assert_eq!((agent.capital.0, agent.trades, agent.wins, agent.scars), kept);
        let trade = self.pending.take();
        let expected = match &trade {
            Some(trade) if trade.won => {
                Action::Won(u32::try_from(trade.pnl.0 / 100).expect("small"))
            }
            Some(trade) => Action::Lost(u32::try_from(-trade.pnl.0 / 100).expect("small")),
            None if self.rest_left > 0 => Action::Rests,
            None => Action::Holds,
        };
        assert_eq!(agent.action, expected);
        assert_eq!(agent.status == Status::Resting, self.rest_left > 0);
        if trade.is_none() {
            self.rest_left = self.rest_left.saturating_sub(1);
        }
    }
}

proptest! {
    #[test]
    fn s16_states_follow_from_the_trades_before_them(
        seed in any::<u64>(), losses_to_rest in 0_u32..4, rest_updates in 0_u32..4, trade_permille in 0_u32..=1_000,
    ) {
        let interval = Duration::from_millis(10);
        let options = Options {
            seed, losses_to_rest, rest_updates, trade_permille, market_interval: interval, agent_interval: interval,
            ..Options::arena()
        };
        let mut books: HashMap<String, Books> = [("momentum", 50_000), ("conservative", 45_000), ("balanced", 48_000)]
            .map(|(slug, dollars)| (slug.to_owned(), Books { capital: dollars * 100, ..Books::default() }))
            .into();
        for event in events(&options, &Topics::new(), 150) {
            match &event.body {
                Body::Trade(trade) => books.get_mut(&*trade.agent.slug).expect("known").trade(trade, &options),
                Body::Agent(agent) => books.get_mut(&*agent.agent.slug).expect("known").state(agent),
                Body::Market(_) | Body::External(_) | Body::Recorded { .. } | Body::Typed(_) => {}
            }
        }
        prop_assert!(books.values().all(|books| books.pending.is_none()), "a state follows each trade");
    }
}

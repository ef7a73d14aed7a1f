//! One order of time: the same events however the time is cut into calls, with and without order flow, from one event
//! in half a minute to a hundred thousand in a second.

use super::{START_US, name};
use lineage::encode::json::write_v1;
use lineage::event::{Event, Tick, Topics};
use lineage::simulation::{
    CATCH_UP_US, EVENTS_PER_S_MAX, Options, Scheduler, Simulation, Stepper, Symbol,
};
use proptest::prelude::*;
use std::time::Duration;

fn scheduler(options: Options, topics: &Topics) -> Scheduler {
    Simulation::new(options).into_scheduler(topics, START_US).expect("the topics are free")
}

/// All that is due up to `until_us`, told in one go.
fn advance(scheduler: &mut Scheduler, until_us: u64, out: &mut Vec<Event>) {
    let mut events = Vec::new();
    while scheduler.next_due_us() <= until_us {
        scheduler.advance(until_us, &mut events);
        out.append(&mut events);
    }
}

/// The events as a v1 client reads them.
fn bytes(topics: &Topics, events: &[Event]) -> String {
    let mut out = Vec::new();
    for (event, pos) in events.iter().zip(1..) {
        write_v1(&mut out, topics.info(event.topic), pos, pos, event);
        out.push(b'\n');
    }
    String::from_utf8(out).expect("written as text")
}

/// The first `events` events, jumping from one moment at which something is due to the next.
fn jumped(options: &Options, events: usize) -> (Vec<Event>, Topics) {
    let (topics, mut out) = (Topics::new(), Vec::new());
    let mut scheduler = scheduler(options.clone(), &topics);
    while out.len() < events {
        let due_us = scheduler.next_due_us();
        scheduler.advance(due_us, &mut out);
    }
    out.truncate(events);
    (out, topics)
}

fn fast(seed: u64) -> Options {
    Options {
        seed,
        market_interval: Duration::from_micros(7_001),
        agent_interval: Duration::from_micros(11_003),
        flow_per_s: 300,
        ..Options::arena()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_same_events_come_however_the_time_is_cut(
        seed in any::<u64>(), gaps in prop::collection::vec(0..=CATCH_UP_US / 4, 1..20),
    ) {
        let topics = Topics::new();
        let (mut cut, mut out, mut now_us) = (scheduler(fast(seed), &topics), Vec::new(), START_US);
        for gap in gaps {
            now_us += gap;
            advance(&mut cut, now_us, &mut out);
        }
        let (whole, own) = jumped(&fast(seed), out.len());
        prop_assert_eq!(bytes(&topics, &out), bytes(&own, &whole));
        prop_assert!(out.is_sorted_by_key(|event| event.time_us), "time does not go back");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_with_order_flow_and_another_seed_others() {
    let text = |seed| {
        let (events, topics) = jumped(&fast(seed), 5_000);
        bytes(&topics, &events)
    };
    assert_eq!(text(1), text(1));
    assert_ne!(text(1), text(2));
}

#[test]
fn order_flow_changes_neither_prices_nor_agents() {
    let own = |flow_per_s| {
        let options = Options { flow_per_s, ..Options::arena() };
        let (topics, mut out) = (Topics::new(), Vec::new());
        let mut scheduler = scheduler(options, &topics);
        while scheduler.next_due_us() <= START_US + 600_000_000 {
            let due_us = scheduler.next_due_us();
            scheduler.advance(due_us, &mut out);
        }
        out.retain(|event| !name(&topics, event).starts_with("sim:"));
        bytes(&topics, &out)
    };
    let without = own(0);
    assert_eq!(without.lines().filter(|line| line.starts_with(r#"{"type":"arena""#)).count(), 3);
    assert_eq!(without, own(7));
}

#[test]
fn flow_events_have_the_topics_and_the_payloads_of_a_feed() {
    let (events, topics) = jumped(&fast(3), 2_000);
    let text = bytes(&topics, &events);
    for part in [
        r#"{"type":"trade","topic":"sim:trade:BTC-USD","seq":"#,
        r#"{"type":"quote","topic":"sim:quote:ETH-USD","seq":"#,
    ] {
        assert!(text.contains(part), "{part}");
    }
    let mut ids = [0, 0];
    for event in &events {
        let Some(symbol) = name(&topics, event).strip_prefix("sim:trade:") else { continue };
        let lineage::event::Body::Typed(typed) = &event.body else { panic!("{event:?}") };
        let tick = typed.get::<Tick>().expect("a trade");
        assert_eq!((&*tick.symbol, tick.time_us), (symbol, event.time_us));
        let id = &mut ids[usize::from(symbol == "ETH-USD")];
        *id += 1;
        assert_eq!(tick.id, Some(*id), "{symbol}: numbered from 1 on");
    }
    assert!(ids.iter().all(|&count| count > 100), "{ids:?}");
}

#[test]
fn rates_reach_from_one_event_in_half_a_minute_to_a_hundred_thousand_a_second() {
    let most = usize::try_from(EVENTS_PER_S_MAX).expect("small");
    let count = |symbols: &[&str], micros, seconds: u64| {
        let symbols = symbols.iter().map(|name| Symbol::new(name, 1_000, 10)).collect();
        let options =
            Options { symbols, market_interval: Duration::from_micros(micros), ..Options::arena() };
        let topics = Topics::new();
        let simulation = Simulation::new(options).with_contestants(Vec::new());
        let mut scheduler = simulation.into_scheduler(&topics, START_US).expect("free");
        let (mut out, mut count) = (Vec::new(), 0);
        while scheduler.next_due_us() < START_US + seconds * 1_000_000 {
            let due_us = scheduler.next_due_us();
            scheduler.advance(due_us, &mut out);
            count += out.len();
            out.clear();
        }
        count
    };
    assert_eq!(count(&["A"], 30_000_000, 300), 10);
    assert_eq!(count(&["A"], 10, 1), most);
    assert_eq!(count(&["A", "B"], 19, 1), most, "no faster than the limit");
    assert_eq!(count(&["A", "B"], 20, 1), most);
    assert_eq!(count(&["A", "B"], 21, 1), 2 * 47_620);
}

/// Counts what the arena emits and speaks whenever it does.
#[derive(Debug)]
struct Witness {
    topic: lineage::event::Topic,
    due_us: u64,
}

impl Stepper for Witness {
    fn next_due_us(&self) -> u64 {
        self.due_us
    }

    fn step(&mut self, now_us: u64, out: &mut Vec<Event>) {
        self.due_us = u64::MAX;
        let price = lineage::event::Market { symbol: "W".into(), price: lineage::event::Cents(1) };
        let body = lineage::event::Body::Market(price);
        out.push(Event { topic: self.topic, key: 0, time_us: now_us, body });
    }

    fn watch(&mut self, events: &[Event]) {
        self.due_us = events[0].time_us;
    }
}

#[test]
fn a_part_beside_the_arena_sees_its_events_and_comes_after_it_at_the_same_moment() {
    let topics = Topics::new();
    let simulation = Simulation::new(Options::arena()).with(|topics, _| {
        Ok(Box::new(Witness { topic: topics.register("market:W", None)?, due_us: u64::MAX }))
    });
    let mut scheduler = simulation.into_scheduler(&topics, START_US).expect("free");
    let mut out = Vec::new();
    for step in 0..4 {
        out.clear();
        scheduler.advance(START_US + step * 5_000_000, &mut out);
        let witnessed: Vec<bool> =
            out.iter().map(|event| name(&topics, event) == "market:W").collect();
        assert!(out.len() >= 3 && witnessed.iter().filter(|&&is| is).count() == 1);
        assert!(witnessed.last() == Some(&true), "step {step}: {witnessed:?}");
    }
}

//! Goal: the simulated ledger is what it says: what it tells was counted, its figures keep to their bands, the same seed
//! gives the same bytes, and its updates come when they should. Method: the pure stepper, read as a client would read
//! it, on the network's own schedule or on that of a clock moved by hand.

use lineage::clock::Clock;
use lineage::encode::json::write_v1;
use lineage::event::{
    AgentName, Body, Cents, ChainBlock, ChainNetwork, ChainTps, ChainUpdate, ChainValidators,
    Class, Event, Market, NetworkHealth, Payload, Side, Topics, Trade, write_chain_message,
};
use lineage::simulation::Arena;
use lineage::simulation::chain::{Chain, Live, Options};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const START_US: u64 = 1_730_000_000_000_000;
const SECOND_US: u64 = 1_000_000;
const HOUR: u64 = 3_600;

fn chain(options: &Options) -> Chain {
    Chain::new(options, &Topics::new(), START_US).expect("the topics are free")
}

/// What a chain tells in its first `seconds`, each at the moment it is due.
fn events(options: &Options, seconds: u64) -> Vec<Event> {
    let (mut chain, mut events) = (chain(options), Vec::new());
    while chain.next_due_us() < START_US + seconds * SECOND_US {
        chain.step(chain.next_due_us(), &mut events);
    }
    events
}

/// The payloads of one kind, with the second at which each came.
fn payloads<T: Payload + Clone>(events: &[Event]) -> Vec<(u64, T)> {
    let payload = |event: &Event| {
        let Body::Typed(typed) = &event.body else { return None };
        Some(((event.time_us - START_US) / SECOND_US, typed.get::<T>()?.clone()))
    };
    events.iter().filter_map(payload).collect()
}

/// What a v1 and an older client would read, a line for each message.
fn bytes(events: &[Event]) -> String {
    let topics = Topics::new();
    for update in ChainUpdate::ALL {
        topics.register(update.topic(), None).expect("a valid name");
    }
    let mut out = Vec::new();
    for (event, pos) in events.iter().zip(0..) {
        write_v1(&mut out, topics.info(event.topic), 1, pos, event);
        out.push(b'\n');
        assert!(write_chain_message(&mut out, event));
        out.push(b'\n');
    }
    String::from_utf8(out).expect("written as text")
}

fn trade(time_us: u64) -> Event {
    let agent = Arc::new(AgentName { slug: "momentum".into(), name: "Momentum".into() });
    let trade = Trade {
        agent,
        symbol: "BTC-USD".into(),
        side: Side::Buy,
        price: Cents(4_200_000),
        quantity: Cents(10),
        pnl: Cents(45_000),
        won: true,
    };
    let topic = Topics::new().register("trade:momentum", None).expect("a valid name");
    Event { topic, key: 0, time_us, body: Body::Trade(trade) }
}

/// A network that commits trades alone.
fn without_load() -> Options {
    Options { load_tps: 0, ..Options::default() }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let of_seed = |seed| bytes(&events(&Options { seed, ..Options::default() }, 60));
    assert_eq!(of_seed(1), of_seed(1));
    assert_ne!(of_seed(1), of_seed(2));
}

#[test]
fn the_figures_do_not_depend_on_how_often_the_chain_is_called() {
    let (mut chain, mut often) = (chain(&Options::default()), Vec::new());
    let price = Market { symbol: "BTC-USD".into(), price: Cents(1) };
    let other = Event { body: Body::Market(price), ..trade(START_US) };
    for tick in 0..60 * 1_000 / 7 {
        let now_us = START_US + tick * 7_000;
        chain.observe(&Event { time_us: now_us, ..other.clone() });
        // In between, when nothing is due, and at the moments that are.
        while chain.next_due_us() <= now_us {
            chain.step(chain.next_due_us(), &mut often);
        }
        chain.step(now_us, &mut often);
    }
    assert_eq!(bytes(&often), bytes(&events(&Options::default(), 60)));
}

#[test]
fn s44_rates_and_latencies_stay_in_their_bands_for_hours_whatever_the_seed() {
    for seed in 0..8 {
        let events = events(&Options { seed, ..Options::default() }, 2 * HOUR);
        let updates = payloads::<ChainTps>(&events);
        assert_eq!(updates.len() as u64, 2 * HOUR);
        let (mut peak, mut sum) = (800_000, 750_000);
        let (mut rates, mut latencies) = (BTreeSet::new(), BTreeSet::new());
        for ((second, tps), count) in updates.iter().zip(2..) {
            let place = format!("seed {seed}, second {second}: {tps:?}");
            assert!((776_000..=826_000).contains(&tps.current_tps), "{place}");
            assert!((40..=60).contains(&tps.latency_ms), "{place}");
            peak = tps.current_tps.max(peak);
            sum += tps.current_tps;
            assert_eq!((tps.peak_tps, tps.average_tps), (peak, sum / count), "{place}");
            rates.insert(tps.current_tps);
            latencies.insert(tps.latency_ms);
        }
        println!("seed {seed}: {:?} to {:?}, {latencies:?} ms", rates.first(), rates.last());
        assert!(rates.len() > 1_000 && latencies.len() > 3, "they move");
    }
}

#[test]
fn members_are_limited() {
    for (asked, members) in [(999, 999), (1_000, 1_000), (1_001, 1_000)] {
        let mut out = Vec::new();
        chain(&Options { nodes: asked, validators: asked, ..Options::default() })
            .step(START_US, &mut out);
        assert_eq!(payloads::<ChainNetwork>(&out)[0].1.total_nodes, members, "{asked}");
        assert_eq!(payloads::<ChainValidators>(&out)[0].1.total_validators, members, "{asked}");
    }
}

#[test]
fn s44_tps_counts_committed_transactions() {
    let events = events(&Options::default(), 600);
    let rates: Vec<u64> =
        payloads::<ChainTps>(&events).iter().map(|(_, tps)| tps.current_tps).collect();
    let blocks = payloads::<ChainBlock>(&events);
    assert_eq!(blocks.len(), 300);
    for (second, block) in &blocks[1..] {
        let last = usize::try_from(*second).expect("a few hundred");
        let in_two_seconds = rates[last - 1] + rates[last];
        assert_eq!(block.transactions, in_two_seconds, "second {second}");
    }
}

#[test]
fn s44_trades_are_single_transactions_and_count_when_they_are_committed() {
    let (mut chain, mut out) = (chain(&without_load()), Vec::new());
    chain.step(START_US, &mut out);
    for number in 0..70 {
        chain.observe(&trade(START_US + 10_000 * number));
    }
    // The last ones of the first second are too young to be committed within it.
    (0..3).for_each(|number| chain.observe(&trade(START_US + SECOND_US - 1_000 - number)));
    for second in 1..=4 {
        chain.step(START_US + second * SECOND_US, &mut out);
    }
    let rates: Vec<u64> =
        payloads::<ChainTps>(&out).iter().map(|(_, tps)| tps.current_tps).collect();
    assert_eq!(rates, [0, 70, 3, 0, 0]);
    let blocks: Vec<u64> =
        payloads::<ChainBlock>(&out).iter().map(|(_, block)| block.transactions).collect();
    assert_eq!(blocks, [0, 73, 0]);
    let (_, last) = payloads::<ChainTps>(&out)[2];
    assert!((35..=60).contains(&last.latency_ms), "from arrival to commit: {last:?}");
}

#[test]
fn s44_every_trade_of_the_arena_is_in_a_block() {
    let topics = Topics::new();
    let mut arena = Arena::new(&lineage::simulation::Options::arena(), &topics, START_US)
        .expect("the topics are free");
    let mut chain = Chain::new(&without_load(), &topics, START_US).expect("the topics are free");
    let (mut all, mut trades) = (Vec::new(), 0);
    let end_us = START_US + 600 * SECOND_US;
    while chain.next_due_us() <= end_us + 2 * SECOND_US {
        let mut out = Vec::new();
        if arena.next_due_us() <= chain.next_due_us() && arena.next_due_us() <= end_us {
            arena.step(arena.next_due_us(), &mut out);
            out.iter().for_each(|event| chain.observe(event));
            trades += out.iter().filter(|event| matches!(event.body, Body::Trade(_))).count();
        } else {
            chain.step(chain.next_due_us(), &mut all);
        }
    }
    let in_blocks: u64 =
        payloads::<ChainBlock>(&all).iter().map(|(_, block)| block.transactions).sum();
    assert!(trades > 20, "{trades}");
    assert_eq!(in_blocks, trades as u64);
}

#[test]
fn s45_heights_begin_at_12345_and_producers_share_the_blocks() {
    let events = events(&Options::default(), HOUR);
    let blocks = payloads::<ChainBlock>(&events);
    let mut producers = BTreeSet::new();
    for ((second, block), number) in blocks.iter().zip(0..) {
        assert_eq!((*second, block.block_height), (2 * number, 12_345 + number));
        assert_eq!(block.block_time_ms, 2_000);
        assert!((1_552_000..=1_652_000).contains(&block.transactions), "{block:?}");
        let index = block.producer.strip_prefix("validator-").expect("a validator");
        assert!(index.parse::<u32>().is_ok_and(|index| index < 100), "{block:?}");
        producers.insert(block.producer.clone());
    }
    assert!(producers.len() > 90, "{} of 100 validators sealed a block", producers.len());
}

#[test]
fn s46_about_64_of_100_nodes_serve_with_about_42_ms_and_outages_are_told() {
    let events = events(&Options::default(), 4 * HOUR);
    let updates = payloads::<ChainNetwork>(&events);
    let mut health = BTreeSet::new();
    for (second, network) in &updates {
        let place = format!("second {second}: {network:?}");
        assert!((50..=64).contains(&network.active_nodes), "{place}");
        assert!((37..=47).contains(&network.avg_latency_ms), "{place}");
        let expected = match network.active_nodes {
            58.. => NetworkHealth::Healthy,
            43..=57 => NetworkHealth::Degraded,
            _ => NetworkHealth::Critical,
        };
        assert_eq!((network.total_nodes, network.network_health), (100, expected), "{place}");
        health.insert(network.network_health);
    }
    let mean = |value: fn(&ChainNetwork) -> u64| {
        updates.iter().map(|(_, network)| value(network)).sum::<u64>() / updates.len() as u64
    };
    assert!((61..=64).contains(&mean(|network| network.active_nodes.into())));
    assert!((41..=43).contains(&mean(|network| network.avg_latency_ms)));
    assert_eq!(health, BTreeSet::from([NetworkHealth::Healthy, NetworkHealth::Degraded]));
}

#[test]
fn s46_a_network_that_loses_its_nodes_is_critical_and_commits_nothing() {
    let options = Options { node_failure_permille: 1_000, ..Options::default() };
    let live = Live::new();
    let mut out = Vec::new();
    let mut chain = chain(&options).telling(live.clone());
    for second in 0..30 {
        chain.step(START_US + second * SECOND_US, &mut out);
    }
    let health = payloads::<ChainNetwork>(&out);
    assert!(
        health.iter().all(|(_, it)| it.network_health == NetworkHealth::Critical),
        "{health:?}"
    );
    assert!(payloads::<ChainTps>(&out).iter().all(|(_, tps)| tps.current_tps == 0));
    assert_eq!(payloads::<ChainBlock>(&out), [], "nobody agrees on a block");
    // 4 million wait, and what came after them is rejected.
    let waiting = metric(&live, "lineage_chain_mempool_transactions");
    assert!((3_990_000.0..=4_000_000.0).contains(&waiting), "{waiting}");
    assert!(metric(&live, "lineage_chain_transactions_rejected_total") > 1e7);
}

#[test]
fn s47_validators_add_up_and_are_jailed_and_released() {
    let (live, mut out) = (Live::new(), Vec::new());
    let mut chain = chain(&Options::default()).telling(live.clone());
    while chain.next_due_us() < START_US + HOUR * SECOND_US {
        chain.step(chain.next_due_us(), &mut out);
    }
    let updates = payloads::<ChainValidators>(&out);
    let mut sums = [0, 0, 0];
    for (second, counts) in &updates {
        let parts =
            [counts.active_validators, counts.inactive_validators, counts.jailed_validators];
        assert_eq!((parts.iter().sum(), 100), (counts.total_validators, 100), "second {second}");
        assert!(counts.active_validators > 66, "second {second}: {counts:?}");
        sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
    }
    let means = sums.map(|sum| sum / u32::try_from(updates.len()).expect("few"));
    assert!((88..=96).contains(&means[0]) && (2..=10).contains(&means[1]), "{means:?}");
    assert!((1..=6).contains(&means[2]), "{means:?}");
    let (_, last) = *updates.last().expect("some came");
    let jailings = metric(&live, "lineage_chain_jailings_total");
    let releases = metric(&live, "lineage_chain_releases_total");
    assert!(releases > 20.0, "{releases}");
    // Those that are in jail at the end, give or take what happened since the last update.
    assert!((jailings - releases - f64::from(last.jailed_validators)).abs() < 4.0);
}

#[test]
fn s44_s45_s46_s47_updates_come_at_their_intervals_from_the_start_on() {
    let (clock, hand) = Clock::manual(START_US);
    let topics = Topics::new();
    let mut chain = Chain::new(&Options::default(), &topics, clock.now_us()).expect("free topics");
    let mut out = Vec::new();
    for _ in 0..=300 {
        if chain.next_due_us() <= clock.now_us() {
            chain.step(clock.now_us(), &mut out);
        }
        hand.advance_us(100_000);
    }
    for (update, seconds) in ChainUpdate::ALL.into_iter().zip([1, 2, 3, 5]) {
        let own = out.iter().filter(|event| ChainUpdate::of(event) == Some(update));
        let times: Vec<u64> = own.map(|event| event.time_us).collect();
        let expected: Vec<u64> =
            (0..=30 / seconds).map(|n| START_US + n * seconds * SECOND_US).collect();
        assert_eq!(times, expected, "{update:?}");
        let topic = topics.find(update.topic()).expect("registered");
        let is_event = topics.info(topic).class == Class::Event;
        assert_eq!(is_event, update == ChainUpdate::Block, "{update:?}");
    }
}

#[test]
fn intervals_are_options_within_their_limits() {
    for (asked_ms, interval_ms) in [
        (0, 100),
        (99, 100),
        (100, 100),
        (101, 101),
        (59_999, 59_999),
        (60_000, 60_000),
        (60_001, 60_000),
    ] {
        let interval = Duration::from_millis(asked_ms);
        let mut chain = chain(&Options {
            tps_interval: interval,
            block_interval: interval,
            network_interval: interval,
            validator_interval: interval,
            ..Options::default()
        });
        let mut out = Vec::new();
        chain.step(START_US, &mut out);
        assert_eq!(chain.next_due_us(), START_US + interval_ms * 1_000, "{asked_ms} ms");
        chain.step(chain.next_due_us(), &mut out);
        assert_eq!(out.len(), 8, "{asked_ms} ms");
        let rates = payloads::<ChainTps>(&out);
        assert!(rates.iter().all(|(_, tps)| tps.current_tps > 776_000), "{asked_ms} ms: {rates:?}");
    }
}

#[test]
fn a_network_that_nobody_called_for_long_is_late_once_and_then_as_before() {
    for late_us in [SECOND_US / 3, 59 * SECOND_US, 61 * SECOND_US, 1_000 * HOUR * SECOND_US] {
        let (mut chain, mut out) = (chain(&Options::default()), Vec::new());
        chain.step(START_US + late_us, &mut out);
        assert_eq!(out.len(), 4, "{late_us}");
        let next_us = chain.next_due_us();
        assert_eq!((next_us - START_US) % SECOND_US, 0, "its phase stands: {late_us}");
        chain.step(next_us, &mut out);
        chain.step(next_us - 5 * SECOND_US, &mut out);
        let rates = payloads::<ChainTps>(&out);
        assert_eq!(rates.len(), 2, "nothing comes when time goes back: {late_us}");
        assert!(rates.iter().all(|(_, tps)| (776_000..=826_000).contains(&tps.current_tps)));
    }
    let (mut chain, mut out) = (chain(&Options::default()), Vec::new());
    chain.step(u64::MAX, &mut out);
    chain.observe(&trade(0));
    assert_eq!((out.len(), chain.next_due_us()), (4, u64::MAX), "the end of time does not wrap");
}

/// The value of a metric without labels.
fn metric(live: &Live, name: &str) -> f64 {
    let families = live.collectors().into_iter().flat_map(|collector| collector.collect());
    let family = families.into_iter().find(|family| family.name() == name);
    let family = family.unwrap_or_else(|| panic!("{name} is not there"));
    let metric = &family.get_metric()[0];
    match family.get_field_type() {
        prometheus::proto::MetricType::COUNTER => metric.get_counter().get_value(),
        _ => metric.get_gauge().get_value(),
    }
}

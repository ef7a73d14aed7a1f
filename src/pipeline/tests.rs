//! Goal: trades in the engine's stream come back into it as candles and indicators. Method: an encoder without shards,
//! driven by the test's thread; the pipeline on its own thread with a manual clock, or its stages called by hand.

use super::{
    BATCH_EVENTS_MAX, Batch, Calculator, Collector, History, Metrics, MissedLines, Options, Outlet,
    Pipeline, Stages, publish_all,
};
use crate::clock::{Clock, ManualClock};
use crate::encode::{self, Encoder, OnFull, Publisher, Tap};
use crate::event::{
    AgentName, Body, Candle, Cents, Event, Indicator, Interval, Market, Pattern, Side, Tick,
    Topics, Trade, Typed,
};
use crate::snapshot::Keeper;
use crate::source::{OpenGate, Source, SourceContext, Stop};
use crate::telemetry::Telemetry;
use crate::wake::Wake;
use crate::{log, ring};
use rust_decimal::Decimal;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// 2024-08-09T00:00:00Z.
pub(super) const MIDNIGHT_US: u64 = 1_723_161_600_000_000;
/// How long a test waits for the pipeline's thread before it fails.
const PATIENCE: Duration = Duration::from_secs(60);
const RING_EVENTS: usize = 64;

/// An encoder that runs when the test says so.
pub(super) struct World {
    pub(super) topics: Arc<Topics>,
    encoder: Arc<Encoder>,
    intake: Arc<ring::Intake<Event>>,
    telemetry: Arc<Telemetry>,
    pub(super) clock: Clock,
    time: ManualClock,
    pub(super) stop: Stop,
}

impl World {
    pub(super) fn new() -> Self {
        let (clock, time) = Clock::manual(MIDNIGHT_US);
        let wake = Arc::new(Wake::new(1));
        let telemetry = Telemetry::with_clock(1, clock.clone());
        let topics = Arc::new(Topics::new());
        let (intake, consumer) = ring::intake(RING_EVENTS, wake.clone());
        let (keeper, _values) = Keeper::new(log::Options::default().segments_max);
        let encoder = Arc::new(Encoder::new(encode::Parts {
            topics: topics.clone(),
            intake: intake.clone(),
            consumer,
            wake,
            telemetry: telemetry.clone(),
            values: Box::new(keeper),
            log: log::Options::default(),
        }));
        Self { topics, encoder, intake, telemetry, clock, time, stop: Stop::new() }
    }

    fn publisher(&self) -> Publisher {
        let ring = self.intake.publisher().expect("few publishers");
        Publisher::new(ring, self.encoder.clone(), self.telemetry.clone(), OnFull::Help)
    }

    pub(super) fn tap(&self, patterns: &[&str], capacity: usize) -> Tap {
        let parse = |pattern: &&str| Pattern::parse(pattern).expect("a valid pattern");
        self.encoder.tap(patterns.iter().map(parse).collect(), capacity)
    }

    pub(super) fn context(&self) -> SourceContext {
        SourceContext {
            publisher: self.publisher(),
            topics: self.topics.clone(),
            clock: self.clock.clone(),
            stop: self.stop.clone(),
            gate: Arc::new(OpenGate),
        }
    }

    pub(super) fn event(&self, topic: &str, body: Body) -> Event {
        let topic = self.topics.register(topic, None).expect("a valid name");
        Event { topic, key: 0, time_us: self.clock.now_us(), body }
    }

    /// Runs the encoder until `tap` has an event.
    fn next(&self, tap: &mut Tap) -> Event {
        let begun = Instant::now();
        loop {
            self.encoder.run();
            if let Some(tapped) = tap.receive().expect("the tap is large enough") {
                return tapped.event;
            }
            assert!(begun.elapsed() < PATIENCE, "no event");
            std::thread::yield_now();
        }
    }
}

fn order_flow(symbol: &str, time_us: u64, price: i64) -> Body {
    Body::Typed(Typed::new(Tick {
        symbol: symbol.into(),
        price: Decimal::new(price, 2),
        quantity: Decimal::new(25, 2),
        time_us,
        is_taker_buy: true,
        id: None,
        is_simulated: true,
    }))
}

fn agents_trade(side: Side) -> Body {
    Body::Trade(Trade {
        agent: Arc::new(AgentName { slug: "momentum".into(), name: "Momentum".into() }),
        symbol: "BTC-USD".into(),
        side,
        price: Cents(4_200_050),
        quantity: Cents(150),
        pnl: Cents(0),
        won: false,
    })
}

fn stages(options: &Options) -> Stages {
    Stages {
        collector: Collector::new(options),
        calculator: options.has_indicators.then(Calculator::new),
        history: History::new(options, None),
        metrics: Arc::new(Metrics::new()),
        outlet: Outlet::default(),
        feeds: None,
        candles: Vec::new(),
    }
}

#[test]
fn s62_a_trade_becomes_a_candle_and_that_an_indicator_in_the_stream() {
    let world = World::new();
    let (options, metrics) = (Options::default(), Arc::new(Metrics::new()));
    let history = History::new(&options, None);
    let tap = world.tap(&Pipeline::TOPICS, 1_024);
    let mut told = world.tap(&["candle:*", "indicator:*"], 1_024);
    let mut pipeline = Pipeline::new(&options, tap, history.clone(), metrics.clone());
    assert_eq!(pipeline.name(), "pipeline");
    let context = world.context();
    let thread = std::thread::spawn(move || pipeline.run(context));

    let mut publisher = world.publisher();
    let flow = order_flow("BTC-USD", MIDNIGHT_US, 4_200_000);
    publisher.publish(world.event("sim:trade:BTC-USD", flow)).expect("the ring is empty");
    let running = world.next(&mut told);
    assert_eq!(&*world.topics.info(running.topic).name, "candle:BTC-USD:1s");
    // The last trade comes a minute and the grace period later: the first three candles are final with it.
    world.time.advance_us(61_000_000);
    publisher.publish(world.event("trade:momentum", agents_trade(Side::Buy))).expect("room");
    let mut finals = Vec::new();
    while finals.len() < 6 {
        let event = world.next(&mut told);
        let name = &*world.topics.info(event.topic).name;
        let Body::Typed(typed) = &event.body else { panic!("{event:?}") };
        let is_final = typed.get::<Candle>().is_none_or(|candle| candle.bar.is_final);
        if is_final {
            assert_eq!(event.time_us, MIDNIGHT_US + 61_000_000);
            finals.push(name.to_owned());
        }
    }
    let (second, minute) = ("candle:BTC-USD:1s", "candle:BTC-USD:1m");
    let indicators = ["1s", "10s", "1m"].map(|interval| format!("indicator:BTC-USD:{interval}"));
    let [of_second, of_ten, of_minute] = indicators.each_ref().map(|name| &**name);
    let expected = [second, of_second, "candle:BTC-USD:10s", of_ten, minute, of_minute];
    assert_eq!(finals, expected);
    world.stop.stop();
    assert!(thread.join().expect("no panic").is_ok());
    let minutes = history.candles("BTC-USD", Interval::Minute, None, 10);
    let minutes = minutes.expect("memory alone").expect("it has traded");
    assert!(minutes[0].is_final);
}

#[test]
fn agents_trades_and_the_order_flow_are_trades_and_nothing_else_is() {
    let (world, mut stages) = (World::new(), stages(&Options::default()));
    let price = Market { symbol: "BTC-USD".into(), price: Cents(1) };
    for (topic, body) in [
        ("trade:momentum", agents_trade(Side::Buy)),
        ("trade:momentum", agents_trade(Side::Sell)),
        ("sim:trade:BTC-USD", order_flow("BTC-USD", MIDNIGHT_US, 4_200_100)),
        ("market:BTC-USD", Body::Market(price)),
    ] {
        stages.event(&world.event(topic, body), MIDNIGHT_US, &world.topics, &mut Vec::new());
    }
    let mut out = Vec::new();
    stages.step(MIDNIGHT_US, &world.topics, &mut out);
    let candles: Vec<&Candle> = out.iter().filter_map(candle).collect();
    assert_eq!(candles.len(), 3);
    let bar = &candles[0].bar;
    assert_eq!((bar.trades, bar.volume), (3, Decimal::new(325, 2)));
    assert_eq!(bar.taker_buy_volume, Decimal::new(175, 2), "an agent takes");
    assert_eq!((bar.open, bar.high), (Decimal::new(4_200_050, 2), Decimal::new(4_200_100, 2)));
    assert!(candles[0].is_simulated);
}

fn candle(event: &Event) -> Option<&Candle> {
    match &event.body {
        Body::Typed(typed) => typed.get(),
        _ => None,
    }
}

/// What is told of a second that ended.
fn told_of_a_second(options: &Options) -> (Vec<Event>, Stages) {
    let (world, mut stages, mut out) = (World::new(), stages(options), Vec::new());
    for after_us in [0, 2_000_000] {
        let body = order_flow("BTC-USD", MIDNIGHT_US + after_us, 4_200_000);
        stages.event(
            &world.event("sim:trade:BTC-USD", body),
            MIDNIGHT_US + after_us,
            &world.topics,
            &mut Vec::new(),
        );
    }
    stages.step(MIDNIGHT_US + 2_000_000, &world.topics, &mut out);
    (out, stages)
}

#[test]
fn s54_indicators_follow_final_candles_alone_and_can_be_switched_off() {
    for (has_indicators, expected) in [(true, 1), (false, 0)] {
        let (out, _) = told_of_a_second(&Options { has_indicators, ..Options::default() });
        let is_indicator = |event: &&Event| match &event.body {
            Body::Typed(typed) => typed.get::<Indicator>().is_some(),
            _ => false,
        };
        assert_eq!(out.iter().filter(is_indicator).count(), expected);
        assert_eq!(out.iter().filter_map(candle).count(), 4, "one final, three running");
    }
}

fn scraped(metrics: &Metrics) -> String {
    let telemetry = Telemetry::new(1);
    for collector in metrics.collectors() {
        telemetry.register(collector).expect("the names differ");
    }
    String::from_utf8(telemetry.text()).expect("text")
}

#[test]
fn s56_s57_what_happened_is_counted() {
    let (_, mut stages) = told_of_a_second(&Options::default());
    let body = order_flow("BTC-USD", MIDNIGHT_US, 4_200_000);
    let world = World::new();
    let event = world.event("sim:trade:BTC-USD", body);
    stages.event(&event, MIDNIGHT_US, &world.topics, &mut Vec::new());
    let text = scraped(&stages.metrics);
    for line in [
        "lineage_collector_trades_total 2",
        "lineage_collector_trades_left_out_total{reason=\"late\"} 1",
        "lineage_collector_candles_received_total 4",
        "lineage_calculator_candles_processed_total 1",
        // The mean price by volume; everything else needs more candles.
        "lineage_calculator_metrics_calculated_total 1",
        "lineage_calculator_calculation_duration_seconds_count 1",
    ] {
        assert!(text.lines().any(|found| found == line), "no line {line:?}");
    }
}

#[test]
fn a_full_ring_is_waited_for_and_nothing_is_lost() {
    let world = World::new();
    let (mut publisher, count) = (world.publisher(), 3 * RING_EVENTS as i64 + 1);
    let mut told = world.tap(&["sim:*"], 1_024);
    let event = |price| world.event("sim:trade:A", order_flow("A", MIDNIGHT_US, price));
    let mut events: Vec<Event> = (0..count).map(event).collect();
    assert!(publish_all(&mut publisher, &mut events, &world.stop));
    let prices: Vec<Decimal> = (0..count)
        .map(|_| match world.next(&mut told).body {
            Body::Typed(typed) => typed.get::<Tick>().expect("a trade").price,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(prices, (0..count).map(|price| Decimal::new(price, 2)).collect::<Vec<_>>());
}

#[test]
fn missed_events_are_counted_and_what_the_tap_holds_is_still_read() {
    let world = World::new();
    let tap = world.tap(&Pipeline::TOPICS, 8);
    let (options, metrics) = (Options::default(), Arc::new(Metrics::new()));
    let history = History::new(&options, None);
    let mut pipeline = Pipeline::new(&options, tap, history.clone(), metrics.clone());
    let mut publisher = world.publisher();
    for price in 0..11 {
        let body = order_flow("BTC-USD", MIDNIGHT_US, price);
        publisher.publish(world.event("sim:trade:BTC-USD", body)).expect("the ring has room");
    }
    while world.encoder.run() > 0 {}
    let mut out = Vec::new();
    let batch = pipeline.read(MIDNIGHT_US, &world.topics, &mut out);
    assert_eq!(batch, Batch::All, "the tap is empty then");
    assert_eq!(pipeline.read(MIDNIGHT_US, &world.topics, &mut out), Batch::Nothing);
    let bars = history.candles("BTC-USD", Interval::Second, None, 1).unwrap().unwrap();
    assert_eq!(bars[0].trades, 8);
    assert!(scraped(&metrics).lines().any(|line| line == "lineage_pipeline_events_missed_total 3"));
    assert_eq!(pipeline.missed.events, 3, "and not logged yet");
}

#[test]
fn missed_events_are_logged_at_most_once_a_second() {
    let mut lines = MissedLines::default();
    lines.add(2);
    lines.tell(MIDNIGHT_US);
    assert_eq!(lines.events, 0, "at once");
    lines.add(3);
    for (after_us, left) in [(999_999, 3), (1_000_000, 0), (1_000_001, 0)] {
        lines.tell(MIDNIGHT_US + after_us);
        assert_eq!(lines.events, left, "{after_us}");
    }
}

#[test]
fn an_idle_pipeline_sleeps_longer_step_by_step_and_events_make_it_quick_again() {
    let ms = Duration::from_millis;
    let mut pause = Duration::ZERO;
    for (batch, expected_ms) in [
        (Batch::All, 10),
        (Batch::Nothing, 20),
        (Batch::Nothing, 40),
        (Batch::Nothing, 50),
        (Batch::Nothing, 50),
        (Batch::Full, 0),
        (Batch::Nothing, 10),
        (Batch::Nothing, 20),
        (Batch::All, 10),
    ] {
        pause = batch.pause(pause);
        assert_eq!(pause, ms(expected_ms), "{batch:?}");
    }
}

#[test]
fn what_the_tap_holds_at_the_stop_is_read_and_published() {
    let world = World::new();
    let tap = world.tap(&Pipeline::TOPICS, 512);
    let mut told = world.tap(&["candle:A:1s"], 16);
    let (options, metrics) = (Options::default(), Arc::new(Metrics::new()));
    let history = History::new(&options, None);
    let mut pipeline = Pipeline::new(&options, tap, history, metrics);
    let mut publisher = world.publisher();
    // More than a batch.
    for second in [0; BATCH_EVENTS_MAX].into_iter().chain([2]) {
        let body = order_flow("A", MIDNIGHT_US + second * 1_000_000, 1);
        publisher.publish(world.event("sim:trade:A", body)).expect("the ring has room");
        world.encoder.run();
    }
    world.stop.stop();
    pipeline.run(world.context()).expect("it ends well");
    let is_final = |event: &Event| candle(event).is_some_and(|candle| candle.bar.is_final);
    // The running candle of the first batch may come before it.
    while !is_final(&world.next(&mut told)) {}
}

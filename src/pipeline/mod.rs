//! Readers of the engine that publish what they make of its events: candles, and indicators of them.
//!
//! ```text
//! tap ─► Pipeline ─ frames of feeds ─► Feeds ─ books ─► publisher
//!           ├ trades ◄─────────────────┘
//!           ├ trades ─► Collector ─ candles ─► Calculator ─ indicators ─► publisher
//!           │                       └───────► History ─► GET /api/candles
//!           └ everything ─► Alerts ─ alerts ─► publisher, GET /api/alerts
//! ```
//!
//! Each part is a pure state machine: data and the time in, data out. [`Pipeline`] is the one thread that feeds them
//! from a tap and publishes what they say; a full tap is counted and logged, never silent.
//!
//! Never: sockets, files, or a place inside the encoder role.

pub mod alerts;
mod calculator;
mod collector;
mod feeds;
mod history;
mod metrics;
mod outlet;

pub use alerts::{Options as AlertOptions, WebhookOptions};
pub use calculator::{Calculator, RSI_WINDOW, WINDOW};
pub use collector::{Collector, LeftOut};
pub use feeds::{Feeds, TradeListener};
pub use history::{History, LIMIT_DEFAULT, LIMIT_MAX};
pub use metrics::Metrics;

use crate::encode::{Missed, Publisher, Tap};
use crate::event::{Body, Candle, Event, Side, Tick, Topics, Trade};
use crate::ring::Full;
use crate::source::{Source, SourceContext, SourceError, Stop};
use alerts::{Alerts, Webhook};
use outlet::Outlet;
use rust_decimal::Decimal;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{debug, warn};

/// How long the pipeline sleeps when its tap is empty for the first time, and when its ring is full.
const PAUSE: Duration = Duration::from_millis(10);
/// How long it sleeps when there was nothing for a while: at 100,000 events per second the tap of 8,192 does not fill up.
const PAUSE_MAX: Duration = Duration::from_millis(50);
/// Events between two looks at the clock, at most.
const BATCH_EVENTS_MAX: usize = 256;
/// Batches read after the stop at most, which is more than the tap holds: others may publish on and on.
const LAST_BATCHES_MAX: usize = 64;
/// Time between two looks of the alert engine at the engine and at the clock.
const WATCH_US: u64 = 1_000_000;
/// Time between two log lines on missed events.
const MISSED_LINE_US: u64 = 1_000_000;

/// How candles are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How much older than the newest trade of its symbol a trade may be, by the venue's clock, and still count; a
    /// candle is final that long after its end (default 1 s; at most 60 s).
    pub grace: Duration,
    /// Time between two updates of a running candle (default 250 ms; 10 ms to 60 s).
    pub update_interval: Duration,
    /// How long a symbol is silent, by our clock, until its last candles are closed without a newer trade (default
    /// 10 s; 0: never; for a recording replayed in slow motion, more than its longest pause takes).
    pub quiet_close: Duration,
    /// How far ahead of our clock a trade's time may lie (default 60 s).
    pub ahead_max: Duration,
    /// Symbols collected at most; trades of further ones are left out (default 64; at least 1).
    pub symbols_max: usize,
    /// Candles per symbol and interval in memory, about 120 bytes each (default 5,000; at least 1).
    pub candles_kept: usize,
    /// Whether indicators are calculated (default true).
    pub has_indicators: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(1),
            update_interval: Duration::from_millis(250),
            quiet_close: Duration::from_secs(10),
            ahead_max: Duration::from_secs(60),
            symbols_max: 64,
            candles_kept: 5_000,
            has_indicators: true,
        }
    }
}

/// The thread that reads trades and publishes candles and indicators, as a source of the engine.
#[derive(Debug)]
pub struct Pipeline {
    tap: Tap,
    stages: Stages,
    watch: Option<Watch>,
    /// What is published first.
    first: Vec<Event>,
    missed: MissedLines,
}

/// The alert engine, and what it is told of the engine around it.
#[derive(Debug)]
struct Watch {
    alerts: Alerts,
    engine: EngineFigures,
    webhook: Option<Arc<Webhook>>,
    due_us: u64,
}

impl Watch {
    /// Shows the alert engine an event.
    fn observe(&mut self, event: &Event, topics: &Topics, now_us: u64, out: &mut Vec<Event>) {
        let told = out.len();
        self.alerts.observe(event, &topics.info(event.topic).name, now_us, out);
        self.send(&out[told..]);
    }

    /// Shows the alert engine the engine around it and the time.
    fn step(&mut self, now_us: u64, out: &mut Vec<Event>) {
        let was_set_back = self.due_us.saturating_sub(now_us) > WATCH_US;
        if now_us >= self.due_us || was_set_back {
            self.due_us = now_us.saturating_add(WATCH_US);
            let told = out.len();
            self.alerts.observe_engine(&(self.engine.0)(), now_us, out);
            self.alerts.tick(now_us, out);
            self.send(&out[told..]);
        }
    }

    fn send(&self, told: &[Event]) {
        if let Some(webhook) = &self.webhook {
            webhook.send_alerts(told);
        }
    }
}

impl Pipeline {
    /// Topics whose trades it takes, to be named when its tap is made: the arena's trades and the simulated order flow.
    pub const TOPICS: [&'static str; 2] = ["trade:*", "sim:trade:*"];

    /// A pipeline over `tap`, which recorded nothing yet in `history`.
    #[must_use]
    pub fn new(options: &Options, tap: Tap, history: Arc<History>, metrics: Arc<Metrics>) -> Self {
        let stages = Stages {
            collector: Collector::new(options),
            calculator: options.has_indicators.then(Calculator::new),
            history,
            metrics,
            outlet: Outlet::default(),
            feeds: None,
            candles: Vec::new(),
        };
        Self { tap, stages, watch: None, first: Vec::new(), missed: MissedLines::default() }
    }

    /// Reads frames of exchanges too, whose topics ([`Feeds::topics`]) the tap has as well.
    #[must_use]
    pub fn reading(mut self, feeds: Feeds) -> Self {
        self.stages.feeds = Some(feeds);
        self
    }

    /// With the alert engine, whose rules' topics the tap has as well; `engine` is asked about once a second, and what
    /// is told is handed to `webhook` too.
    #[must_use]
    pub fn watched_by(
        self,
        alerts: Alerts,
        engine: EngineFigures,
        webhook: Option<Arc<Webhook>>,
    ) -> Self {
        Self { watch: Some(Watch { alerts, engine, webhook, due_us: 0 }), ..self }
    }

    /// With `events` that are published before anything else: alerts that ended while nobody watched.
    #[must_use]
    pub fn beginning_with(self, events: Vec<Event>) -> Self {
        Self { first: events, ..self }
    }

    /// Reads a batch from the tap.
    fn read(&mut self, now_us: u64, topics: &Topics, out: &mut Vec<Event>) -> Batch {
        let mut batch = Batch::Nothing;
        for _ in 0..BATCH_EVENTS_MAX {
            match self.tap.receive() {
                Ok(Some(tapped)) => {
                    batch = Batch::All;
                    self.stages.event(&tapped.event, now_us, topics, out);
                    if let Some(watch) = &mut self.watch {
                        watch.observe(&tapped.event, topics, now_us, out);
                    }
                }
                Ok(None) => {
                    self.step(now_us, topics, out);
                    return batch;
                }
                Err(Missed(events)) => {
                    self.stages.metrics.missed(events);
                    self.missed.add(events);
                }
            }
        }
        self.step(now_us, topics, out);
        Batch::Full
    }

    fn step(&mut self, now_us: u64, topics: &Topics, out: &mut Vec<Event>) {
        self.stages.step(now_us, topics, out);
        if let Some(watch) = &mut self.watch {
            watch.step(now_us, out);
        }
    }
}

/// What a batch from the tap was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Batch {
    /// The tap was empty.
    Nothing,
    /// All that was there.
    All,
    /// There may be more.
    Full,
}

impl Batch {
    /// How long to sleep after it, when it was `pause` before: at first short, then longer while nothing comes.
    fn pause(self, pause: Duration) -> Duration {
        match self {
            Self::Full => Duration::ZERO,
            Self::All => PAUSE,
            Self::Nothing => (pause * 2).clamp(PAUSE, PAUSE_MAX),
        }
    }
}

/// Named numbers of the engine, as the rules of the alert engine name them.
pub struct EngineFigures(pub Box<dyn Fn() -> Vec<(&'static str, f64)> + Send>);

impl fmt::Debug for EngineFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EngineFigures")
    }
}

impl Source for Pipeline {
    fn name(&self) -> &'static str {
        "pipeline"
    }

    fn run(&mut self, mut context: SourceContext) -> Result<(), SourceError> {
        debug!("pipeline started");
        self.watch.iter().for_each(|watch| watch.send(&self.first));
        let (mut events, mut pause) = (std::mem::take(&mut self.first), PAUSE);
        let mut last_batches = LAST_BATCHES_MAX;
        loop {
            // Looked at before the tap is read, so that what was published before the stop is read too.
            let is_stopped = context.stop.is_stopped();
            let now_us = context.clock.now_us();
            let batch = self.read(now_us, &context.topics, &mut events);
            self.missed.tell(now_us);
            let candles = events.iter().filter(|event| is_candle(event)).count() as u64;
            if !publish_all(&mut context.publisher, &mut events, &context.stop) {
                warn!(events = events.len(), "stopped with a full ring: these are not published");
                return Ok(());
            }
            self.stages.metrics.candles_published(candles);
            last_batches -= usize::from(is_stopped);
            if is_stopped && (batch != Batch::Full || last_batches == 0) {
                return Ok(());
            }
            pause = batch.pause(pause);
            if !pause.is_zero() {
                let _ = context.stop.wait_for(pause);
            }
        }
    }
}

fn is_candle(event: &Event) -> bool {
    matches!(&event.body, Body::Typed(typed) if typed.get::<Candle>().is_some())
}

/// Publishes all of `events`, and waits for room in a full ring; false when it was stopped and found none.
fn publish_all(publisher: &mut Publisher, events: &mut Vec<Event>, stop: &Stop) -> bool {
    loop {
        publisher.publish_batch(events);
        if events.is_empty() {
            return true;
        }
        // One by one the publisher's policy for a full ring applies.
        if let Err(Full(event)) = publisher.publish(events.remove(0)) {
            events.insert(0, event);
            if stop.wait_for(PAUSE) {
                return false;
            }
        }
    }
}

/// The parts, one behind the other.
#[derive(Debug)]
struct Stages {
    collector: Collector,
    calculator: Option<Calculator>,
    history: Arc<History>,
    metrics: Arc<Metrics>,
    outlet: Outlet,
    feeds: Option<Feeds>,
    /// Candles that were told and have not gone on yet.
    candles: Vec<Candle>,
}

impl Stages {
    /// Takes what is a trade or of a feed; anything else is passed over.
    fn event(&mut self, event: &Event, now_us: u64, topics: &Topics, out: &mut Vec<Event>) {
        match &event.body {
            Body::Trade(trade) => self.trade(&tick(trade, event.time_us), now_us),
            Body::Typed(typed) => {
                if let Some(tick) = typed.get::<Tick>() {
                    self.trade(tick, now_us);
                }
            }
            Body::External(json) => {
                let Self { feeds, collector, metrics, candles, .. } = self;
                if let Some(feeds) = feeds {
                    feeds.frame(event, json, now_us, topics, out, |tick| {
                        metrics.trade(collector.trade(tick, now_us, candles));
                    });
                }
            }
            Body::Market(_) | Body::Agent(_) | Body::Recorded { .. } => {}
        }
    }

    fn trade(&mut self, tick: &Tick, now_us: u64) {
        let outcome = self.collector.trade(tick, now_us, &mut self.candles);
        self.metrics.trade(outcome);
    }

    /// Lets time pass and appends the events of all candles told since the last call.
    fn step(&mut self, now_us: u64, topics: &Topics, out: &mut Vec<Event>) {
        self.collector.step(now_us, &mut self.candles);
        self.metrics.candles_received(self.candles.len() as u64);
        for candle in self.candles.drain(..) {
            self.history.record(&candle);
            let begun = Instant::now();
            let indicator = self.calculator.as_mut().and_then(|parts| parts.candle(&candle));
            if let Some(indicator) = &indicator {
                self.metrics.calculated(indicator.known() as u64, begun.elapsed());
            }
            self.outlet.candle(candle, now_us, topics, out);
            if let Some(indicator) = indicator {
                self.outlet.indicator(indicator, now_us, topics, out);
            }
        }
    }
}

/// An agent's trade as a trade of its symbol. The agent takes, so its side is the taker's.
fn tick(trade: &Trade, time_us: u64) -> Tick {
    Tick {
        symbol: Arc::clone(&trade.symbol),
        price: Decimal::new(trade.price.0, 2),
        quantity: Decimal::new(trade.quantity.0, 2),
        time_us,
        is_taker_buy: trade.side == Side::Buy,
        id: None,
        is_simulated: true,
    }
}

/// Events that were missed and not logged yet: one line per second, however many.
#[derive(Debug, Default)]
struct MissedLines {
    events: u64,
    told_us: u64,
}

impl MissedLines {
    fn add(&mut self, events: u64) {
        self.events += events;
    }

    fn tell(&mut self, now_us: u64) {
        if self.events > 0 && now_us.abs_diff(self.told_us) >= MISSED_LINE_US {
            warn!(
                events = self.events,
                "the pipeline's tap was full: trades are missing in candles"
            );
            (self.events, self.told_us) = (0, now_us);
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod watch_tests;

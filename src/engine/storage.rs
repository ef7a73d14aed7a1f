//! The store beside the engine: opened before anything runs, fed by a tap of its own, closed after everything else.
//!
//! What is kept: final candles, alerts, and of the arena trades, agents' states and rounds, as they are published. A
//! thread takes them from the tap and hands them to the store's queue. What finds the tap or the queue full is counted
//! and logged, at most once a second, and nobody waits for the disk.
//!
//! Never: changes what is published, or stores JSON from outside, whatever its topic.

use super::builder::runtime;
use crate::api::Route;
use crate::clock::Clock;
use crate::config::Config;
use crate::encode::json::action_text;
use crate::encode::{Encoder, Missed, Tap};
use crate::error::Error;
use crate::event::{self, AlertHistory, Body, Event, OlderCandles, Pattern, Typed};
use crate::source::Stop;
use crate::store::{self, Store, Writer};
use crate::telemetry::Telemetry;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Where what is kept is published.
const TOPICS: [&str; 5] = ["candle:*", "alert", "trade:*", "agent:*", "arena"];
/// Events that the thread may be behind by.
const TAP_CAPACITY: usize = 8_192;
/// Events between two looks at what was lost, at most.
const BATCH_EVENTS_MAX: usize = 256;
/// How long the thread sleeps when there is nothing new.
const PAUSE: Duration = Duration::from_millis(20);
/// Time between two log lines on what was lost.
const LOST_LINE: Duration = Duration::from_secs(1);

/// The store and the thread that feeds it. Dropping it keeps what is in the tap, closes the file and waits for both.
#[derive(Debug)]
pub(crate) struct Storage {
    store: Store,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Storage {
    /// Opens the store that `config` names, if it names one. Blocks on the disk.
    ///
    /// # Errors
    /// With the file, what is wrong with it and what to do.
    pub(super) fn open(config: &Config, clock: &Clock) -> Result<Option<Self>, Error> {
        if config.store.path.as_os_str().is_empty() {
            return Ok(None);
        }
        let store = Store::open(config.store.clone(), clock.clone())?;
        Ok(Some(Self { store, stop: Stop::new(), thread: None }))
    }

    /// Keeps from now on what `encoder` publishes.
    pub(super) fn feed(&mut self, encoder: &Encoder) -> Result<(), Error> {
        let patterns = TOPICS.map(|text| Pattern::parse(text).expect("a pattern"));
        let feed = Feed {
            tap: encoder.tap(patterns.to_vec(), TAP_CAPACITY),
            writer: self.store.writer(),
            lost: Lost { events: 0, rows: 0, told: None },
        };
        let stop = self.stop.clone();
        let thread = thread::Builder::new().name("storage".to_owned());
        self.thread = Some(thread.spawn(move || feed.run(&stop)).map_err(runtime("storage"))?);
        Ok(())
    }

    /// Adds the store's families to the exposition.
    pub(super) fn register(
        &self,
        telemetry: &Telemetry,
        has_compat_names: bool,
    ) -> Result<(), Error> {
        let mut collectors = self.store.collectors();
        if has_compat_names {
            collectors.extend(self.store.compat_collectors());
        }
        collectors.into_iter().try_for_each(|collector| telemetry.register(collector))
    }

    /// How it fares.
    pub(super) fn condition(&self) -> store::Condition {
        self.store.condition()
    }

    /// Candles that have left memory.
    pub(super) fn older_candles(&self) -> Arc<dyn OlderCandles> {
        self.store.older_candles()
    }

    /// Alerts that have left memory.
    pub(super) fn alert_history(&self) -> Arc<dyn AlertHistory> {
        self.store.alert_history()
    }
}

/// What `storage` answers over HTTP; without one the same routes say that it is not available.
pub(super) fn routes(storage: Option<&Storage>) -> Vec<Route> {
    storage.map_or_else(Store::routes_without, |storage| storage.store.routes())
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that feeds the store panicked; what it held is not kept");
        }
    }
}

/// The thread's own things.
struct Feed {
    tap: Tap,
    writer: Writer,
    lost: Lost,
}

impl Feed {
    /// Until `stop`, and then until the tap is empty, or what it held then is read: others may publish on and on.
    fn run(mut self, stop: &Stop) {
        let mut last_batches = TAP_CAPACITY / BATCH_EVENTS_MAX;
        loop {
            let is_stopped = stop.is_stopped();
            let is_empty = self.read();
            self.lost.tell(is_stopped);
            last_batches -= usize::from(is_stopped);
            if is_stopped && (is_empty || last_batches == 0) {
                return;
            }
            if is_empty {
                // Looked at above, before the tap is read for the last time.
                let _ = stop.wait_for(PAUSE);
            }
        }
    }

    /// Hands a batch over; whether the tap was empty before the batch was full.
    fn read(&mut self) -> bool {
        for _ in 0..BATCH_EVENTS_MAX {
            match self.tap.receive() {
                Ok(Some(tapped)) => {
                    let is_kept = keep(&self.writer, &tapped.event);
                    self.lost.rows += u64::from(!is_kept);
                }
                Ok(None) => return true,
                Err(Missed(events)) => {
                    self.writer.missed(events);
                    self.lost.events += events;
                }
            }
        }
        false
    }
}

/// What was lost and not logged yet.
struct Lost {
    /// Events that found the tap full.
    events: u64,
    /// Rows that found the queue full.
    rows: u64,
    told: Option<Instant>,
}

impl Lost {
    fn tell(&mut self, is_stopped: bool) {
        let is_due = is_stopped || self.told.is_none_or(|told| told.elapsed() >= LOST_LINE);
        if is_due && self.events + self.rows > 0 {
            tracing::warn!(
                events = self.events,
                rows = self.rows,
                "events come faster than the store takes them: these are not kept"
            );
            (self.events, self.rows, self.told) = (0, 0, Some(Instant::now()));
        }
    }
}

/// Hands in what of `event` is kept; false when the queue was full.
fn keep(writer: &Writer, event: &Event) -> bool {
    match &event.body {
        Body::Agent(agent) => writer.agent(agent_row(agent, event.time_us)),
        Body::Trade(trade) => writer.trade(trade_row(trade, event.time_us)),
        Body::Typed(typed) => keep_typed(writer, typed, event.time_us),
        Body::Market(_) | Body::External(_) | Body::Recorded { .. } => true,
    }
}

fn keep_typed(writer: &Writer, typed: &Typed, time_us: u64) -> bool {
    if let Some(candle) = typed.get::<event::Candle>() {
        !candle.bar.is_final || writer.candle(candle_row(candle))
    } else if let Some(alert) = typed.get::<event::Alert>() {
        writer.alert(alert_row(alert, time_us))
    } else if let Some(round) = typed.get::<event::Round>() {
        writer.round(round_row(round, time_us))
    } else {
        true
    }
}

fn candle_row(candle: &event::Candle) -> store::Candle {
    let bar = &candle.bar;
    store::Candle {
        symbol: Arc::clone(&candle.symbol),
        interval: candle.interval.word().into(),
        open_time_ms: bar.open_time_ms,
        open: bar.open,
        high: bar.high,
        low: bar.low,
        close: bar.close,
        volume: bar.volume,
        taker_buy_volume: bar.taker_buy_volume,
        trades: bar.trades,
        is_final: bar.is_final,
    }
}

fn alert_row(alert: &event::Alert, time_us: u64) -> store::Alert {
    store::Alert {
        time_us,
        rule: (&*alert.rule).into(),
        state: alert.state.word().into(),
        severity: alert.severity.word().into(),
        subject: (&*alert.subject).into(),
        value: alert.value,
        threshold: alert.threshold,
        since_ms: alert.since_ms,
    }
}

fn trade_row(trade: &event::Trade, time_us: u64) -> store::Trade {
    store::Trade {
        time_us,
        agent: (&*trade.agent.slug).into(),
        symbol: Arc::clone(&trade.symbol),
        side: trade.side,
        price: trade.price,
        quantity: trade.quantity,
        pnl: trade.pnl,
        is_won: trade.won,
    }
}

fn agent_row(agent: &event::Agent, time_us: u64) -> store::Agent {
    store::Agent {
        time_us,
        agent: (&*agent.agent.slug).into(),
        name: (&*agent.agent.name).into(),
        capital: agent.capital,
        trades: agent.trades,
        wins: agent.wins,
        scars: agent.scars,
        status: agent.status,
        action: action_text(&agent.agent, agent.action).into(),
    }
}

fn round_row(round: &event::Round, time_us: u64) -> store::Round {
    let capital = round.capital.iter().map(|(agent, amount)| (agent.slug.to_string(), *amount));
    store::Round {
        time_us,
        round: round.round,
        winner: (&*round.winner.slug).into(),
        capital: capital.collect(),
    }
}

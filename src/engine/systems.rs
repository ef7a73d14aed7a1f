//! The systems beside the broadcast: which of them run, and what they lend to HTTP, to the metrics and to each other.
//!
//! ```text
//! simulation ─ arena, hub, ledger ─► ring ─► … ─► clients
//!                                      └ taps ─► pipeline ─ candles, indicators ─► ring
//!                                        └─────► figures ─► /metrics
//! ```
//!
//! A system that is off answers `not_available`. Never: an event passes through here.

use super::Parts;
use super::absent;
use super::alerting::{self, Outbox};
use super::storage::{self, Storage};
use crate::api::Route;
use crate::clock::Clock;
use crate::config::{Config, SourceChoice};
use crate::encode::{Encoder, Missed, Tap};
use crate::error::Error;
use crate::event::{Event, Pattern, Topics};
use crate::pipeline::alerts::{self, Alerts, Rules};
use crate::pipeline::{self, Feeds, History, Pipeline};
use crate::simulation::chain::Live;
use crate::simulation::hub::{self, Board};
use crate::simulation::{self, Contestant, Simulation};
use crate::source::Stop;
use crate::store;
use crate::sync::Arc;
use crate::telemetry::{self, PerformanceMetrics, Telemetry};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Events that a reader inside may be behind by.
const TAP_CAPACITY: usize = 8_192;
/// What the figures of the arena are read from.
const FIGURES: [&str; 4] = ["market:*", "agent:*", "trade:*", "arena"];
/// How long the reader of figures sleeps when there is nothing new.
const FIGURES_PAUSE: Duration = Duration::from_millis(50);

/// What the systems have in common with the rest of the engine.
#[derive(Debug)]
pub(crate) struct Systems {
    board: Option<Arc<Board>>,
    live: Arc<Live>,
    has_chain: bool,
    candles: Option<(Arc<History>, Arc<pipeline::Metrics>)>,
    /// The alert engine, and what it has to say of the time before the start.
    alerts: Mutex<Option<(Alerts, Vec<Event>)>>,
    alert_board: Option<Arc<alerts::Board>>,
    /// What the store answers, or that there is none.
    kept: Vec<Route>,
    /// How the store fares, if there is one.
    store: Option<store::Condition>,
    /// What the rules of the alert engine are about.
    watched: Vec<Pattern>,
    /// Where alerts are sent.
    outbox: Outbox,
    options: pipeline::Options,
    figures: Arc<telemetry::Systems>,
    has_compat_names: bool,
}

impl Systems {
    /// The systems that `config` asks for; none of them runs yet. What they knew before the process began comes from
    /// `storage`.
    ///
    /// # Errors
    /// Rules for alerts that cannot be read, or that name what is not there; a webhook that cannot be started; a store
    /// that cannot be read.
    pub(super) fn new(
        config: &Config,
        topics: &Topics,
        storage: Option<&Storage>,
        clock: &Clock,
    ) -> Result<Self, Error> {
        let options = telemetry::Options {
            has_compat_names: config.metrics_compat_names,
            ..telemetry::Options::default()
        };
        let figures = telemetry::Systems::new(options);
        for contestant in Contestant::defaults() {
            let (slug, name) = (&contestant.name.slug, &contestant.name.name);
            // Exact: a start capital is whole dollars.
            let dollars = contestant.capital.0 as f64 / 100.0;
            figures.agents().register(slug, name, dollars);
        }
        // Where a recording gives the prices there is none before its first trade.
        if !matches!(config.source, SourceChoice::Replay { .. }) {
            for symbol in &config.arena.symbols {
                // Exact to the cent: a middle is below 2^53 cents.
                figures.set_price(&symbol.name, symbol.middle.0 as f64 / 100.0);
            }
        }
        // Hub and ledger are steps of the simulation.
        let is_simulated = config.source == SourceChoice::Simulation;
        let board = || Board::new(&config.hub, Arc::new(PerformanceMetrics::new()));
        let candles = || {
            let history = History::new(&config.pipeline, storage.map(Storage::older_candles));
            (history, Arc::new(pipeline::Metrics::new()))
        };
        let rules = alerting::rules(config)?;
        let watched = rules.topics();
        let alerts = config
            .pipeline_enabled
            .then(|| alert_engine((rules, config.alerts), topics, storage, clock.now_us()))
            .transpose()?;
        Ok(Self {
            alert_board: alerts.as_ref().map(|(alerts, _)| alerts.board().clone()),
            alerts: Mutex::new(alerts),
            kept: storage::routes(storage),
            store: storage.map(Storage::condition),
            watched,
            outbox: Outbox::start(config, clock)?,
            options: config.pipeline.clone(),
            board: (config.hub_enabled && is_simulated).then(board),
            live: Live::new(),
            has_chain: config.chain_enabled && is_simulated,
            candles: config.pipeline_enabled.then(candles),
            figures,
            has_compat_names: config.metrics_compat_names,
        })
    }

    /// The arena with the parts beside it.
    pub(super) fn simulation(&self, config: &Config) -> Simulation {
        let options = simulation::Options { seed: config.seed, ..config.arena.clone() };
        let mut simulation = Simulation::new(options);
        if let Some(board) = &self.board {
            simulation = simulation.with_hub(config.hub.clone(), board.clone());
        }
        if self.has_chain {
            simulation = simulation.with_chain(config.chain.clone(), self.live.clone());
        }
        simulation
    }

    /// The numbers of agents, markets, rounds and the API.
    pub(super) fn figures(&self) -> &Arc<telemetry::Systems> {
        &self.figures
    }

    /// How the store fares, if there is one.
    pub(super) fn store(&self) -> Option<&store::Condition> {
        self.store.as_ref()
    }

    /// Whether hub, ledger and pipeline are on.
    pub(super) fn has(&self) -> [bool; 3] {
        [self.board.is_some(), self.has_chain, self.candles.is_some()]
    }

    /// What the systems answer over HTTP.
    pub(super) fn routes(&self) -> Vec<Route> {
        let mut routes = hub::routes(self.board.as_ref());
        routes.extend(self.live.routes());
        if self.candles.is_none() {
            routes.extend(absent::pipeline_routes());
        }
        routes.extend(self.kept.iter().cloned());
        routes.extend(self.alert_board.iter().flat_map(|board| board.routes()));
        routes.extend(self.candles.iter().flat_map(|(history, _)| history.routes()));
        routes
    }

    /// Adds the systems' families to the exposition.
    pub(super) fn register(&self, telemetry: &Telemetry) -> Result<(), Error> {
        let mut collectors = self.figures.collectors();
        collectors.extend(self.board.iter().flat_map(|board| board.collectors()));
        if self.has_chain {
            collectors.extend(self.live.collectors());
        }
        if let Some((_, metrics)) = &self.candles {
            collectors.extend(metrics.collectors());
            if self.has_compat_names {
                collectors.extend(metrics.compatible_collectors());
            }
        }
        if let Some((alerts, _)) = &*self.alerts.lock().unwrap_or_else(PoisonError::into_inner) {
            collectors.extend(alerts.metrics().collectors());
            if self.has_compat_names {
                collectors.extend(alerts.metrics().compat_collectors());
            }
        }
        collectors.extend(self.outbox.collectors());
        collectors.into_iter().try_for_each(|collector| telemetry.register(collector))
    }

    /// The pipeline over a tap of its own, if it runs; it reads feeds with `feeds`.
    pub(super) fn pipeline(&self, parts: &Parts, feeds: Option<Feeds>) -> Option<Pipeline> {
        let (history, metrics) = self.candles.as_ref()?;
        let (alerts, first) = self.alerts.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let own = Pipeline::TOPICS.map(|text| Pattern::parse(text).expect("a pattern"));
        let mut patterns = [&own[..], &self.watched].concat();
        if feeds.is_some() {
            patterns.extend(Feeds::topics().map(|text| Pattern::parse(&text).expect("a pattern")));
        }
        let tap = parts.encoder.tap(patterns, TAP_CAPACITY);
        let mut pipeline = Pipeline::new(&self.options, tap, history.clone(), metrics.clone());
        if let Some(feeds) = feeds {
            pipeline = pipeline.reading(feeds);
        }
        let figures = alerting::figures(parts);
        Some(pipeline.watched_by(alerts, figures, self.outbox.webhook()).beginning_with(first))
    }

    /// Delivers the alerts that still wait for the webhook, for `patience` at most. Once the pipeline has ended.
    pub(super) fn finish_alerts(&self, patience: Duration) {
        self.outbox.finish(patience);
    }

    /// What keeps the arena's figures up to date: to be run on a thread of its own, until `stop`.
    pub(super) fn keep_figures(&self, encoder: &Encoder) -> impl FnOnce(Stop) + Send + 'static {
        let (mut tap, figures) = (tap(encoder, &FIGURES), self.figures.clone());
        move |stop| {
            while !stop.wait_for(FIGURES_PAUSE) {
                loop {
                    match tap.receive() {
                        Ok(Some(tapped)) => figures.observe(&tapped.event),
                        Ok(None) => break,
                        // The encoder has counted it; what comes next is newer.
                        Err(Missed(_)) => {}
                    }
                }
            }
        }
    }
}

/// The alert engine, going on from what `storage` holds, and the events that follow from that.
fn alert_engine(
    (rules, options): (Rules, alerts::Options),
    topics: &Topics,
    storage: Option<&Storage>,
    now_us: u64,
) -> Result<(Alerts, Vec<Event>), Error> {
    let mut alerts = Alerts::new(rules, topics, options)
        .map_err(|error| Error::Runtime(format!("topic alert: {error:?}")))?;
    for contestant in Contestant::defaults() {
        alerts.set_start_capital(&contestant.name.slug, contestant.capital);
    }
    let mut first = Vec::new();
    if let Some(storage) = storage {
        let restored = alerts.restore(storage.alert_history(), now_us, &mut first);
        let restored = restored.map_err(Error::Runtime)?;
        tracing::info!(restored, ended = first.len(), "alerts go on from the store");
    }
    Ok((alerts, first))
}

fn tap(encoder: &Encoder, topics: &[&str]) -> Tap {
    let pattern = |text: &&str| Pattern::parse(text).expect("a pattern");
    encoder.tap(topics.iter().map(pattern).collect(), TAP_CAPACITY)
}

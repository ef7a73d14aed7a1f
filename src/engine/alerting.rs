//! What lies around the alert engine: its rules, the figures of the engine that it watches, and where alerts are sent.
//!
//! Figures are read about once a second on the pipeline's thread, from the cells that a scrape reads too, and the disk's
//! from the system; nothing is counted for them. Never: an event, or a rule's judgement.

use super::Parts;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::Error;
use crate::pipeline::EngineFigures;
use crate::pipeline::alerts::{Rules, Webhook};
use crate::store::Condition;
use crate::telemetry::{EngineCounter, ShardCounter, Telemetry};
use prometheus::core::Collector;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The rules of the file that `config` names, or the built-in ones.
///
/// # Errors
/// A file that cannot be read, or that is not rules.
pub(super) fn rules(config: &Config) -> Result<Rules, Error> {
    config.alerts_rules.as_deref().map_or_else(|| Ok(Rules::defaults()), Rules::read)
}

/// What rules on `engine` look at.
pub(super) fn figures(parts: &Parts) -> EngineFigures {
    let (telemetry, intake) = (parts.telemetry.clone(), parts.intake.clone());
    let systems = parts.systems.figures().clone();
    let store = parts.systems.store().cloned();
    EngineFigures(Box::new(move || {
        let mut all = of_telemetry(&telemetry);
        // Other publishers have rings of their own: together they may hold more than one ring.
        all.push(("ring_depth_share", share(intake.depth(), intake.capacity() as u64)));
        let api = systems.api();
        all.extend([
            ("api_requests_total", exact(api.requests)),
            ("api_errors_total", exact(api.errors)),
            ("request_success_rate", api.success_rate),
            ("cache_lookups_total", exact(api.cache_lookups)),
            ("cache_hit_rate", api.cache_hit_rate),
        ]);
        let free = store.as_ref().and_then(Condition::free_ratio);
        all.extend(free.map(|ratio| ("store_free_ratio", ratio)));
        all
    }))
}

fn of_telemetry(telemetry: &Telemetry) -> Vec<(&'static str, f64)> {
    let connections = telemetry.sum(ShardCounter::Connections);
    let laggards = telemetry.sum(ShardCounter::Laggards);
    // The reasons of evictions and the statuses of refusals are rows of their own.
    let evictions = ShardCounter::ALL
        .iter()
        .filter(|counter| counter.description().name == "lineage_evictions_total")
        .map(|counter| telemetry.sum(*counter));
    let refusals = EngineCounter::ALL
        .iter()
        .filter(|counter| counter.description().name == "lineage_handshakes_refused_total")
        .map(|counter| telemetry.value(*counter));
    let mut all = vec![
        ("active_connections", exact(connections)),
        ("subscribed_connections", exact(telemetry.sum(ShardCounter::Subscribed))),
        ("laggards", exact(laggards)),
        ("laggard_share", share(laggards, connections.max(1))),
        ("evictions_total", exact(evictions.sum())),
        ("gaps_total", exact(telemetry.sum(ShardCounter::Gaps))),
        ("gap_events_total", exact(telemetry.sum(ShardCounter::GapEvents))),
        ("deliveries_total", exact(telemetry.sum(ShardCounter::Deliveries))),
        ("events_total", exact(telemetry.value(EngineCounter::Events))),
        ("events_refused_total", exact(telemetry.value(EngineCounter::EventsRefused))),
        ("events_missed_total", exact(telemetry.value(EngineCounter::TapMissed))),
        ("http_errors_total", exact(refusals.sum())),
    ];
    let latency = telemetry.delivery_latency_p99();
    all.extend(latency.map(|p99| ("delivery_latency_p99_ms", p99.as_secs_f64() * 1_000.0)));
    all
}

/// Exact up to 2^53.
fn exact(count: u64) -> f64 {
    count as f64
}

fn share(part: u64, whole: u64) -> f64 {
    exact(part) / exact(whole)
}

/// The webhook, if there is one: lent to the pipeline while that runs, ended after it.
#[derive(Debug)]
pub(super) struct Outbox(Mutex<Option<Arc<Webhook>>>);

impl Outbox {
    /// Starts the webhook, if `config` has an address for it and a pipeline that can tell alerts.
    ///
    /// # Errors
    /// An address that is none, or a thread that cannot be started.
    pub(super) fn start(config: &Config, clock: &Clock) -> Result<Self, Error> {
        let is_on = config.webhook.is_on();
        if is_on && !config.pipeline_enabled {
            tracing::warn!("webhook_url is set, but without the pipeline there are no alerts");
        }
        let webhook = (is_on && config.pipeline_enabled)
            .then(|| Webhook::start(&config.webhook, clock.clone()))
            .transpose()?;
        Ok(Self(Mutex::new(webhook.map(Arc::new))))
    }

    /// Where alerts are to be handed in.
    pub(super) fn webhook(&self) -> Option<Arc<Webhook>> {
        self.lock().clone()
    }

    /// Its families for the exposition.
    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        self.lock().iter().flat_map(|webhook| webhook.metrics().collectors()).collect()
    }

    /// Delivers what waits, for `patience` at most and what is left of the try under way. To be called when the pipeline
    /// has ended; again is harmless.
    pub(super) fn finish(&self, patience: Duration) {
        let webhook = self.lock().take();
        if let Some(webhook) = webhook.and_then(Arc::into_inner) {
            webhook.finish_within(patience);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Webhook>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

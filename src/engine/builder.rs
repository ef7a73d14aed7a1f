//! Puts an engine together.

use super::gate::Gate;
use super::listeners::listen;
use super::parts::limits;
use super::sources::{
    AnySource, Configured, configured_source, keep_figures, register_reports, start_pipeline,
    start_source,
};
use super::storage::Storage;
use super::systems::Systems;
use super::{Engine, Parts};
use crate::clock::Clock;
use crate::config::Config;
use crate::encode::{self, Encoder};
use crate::error::Error;
use crate::event::Topics;
use crate::http::{Hub, stream};
use crate::log;
use crate::ring;
use crate::server::{self, Edge, EdgeCounters};
use crate::shard::{Broadcaster, Dispatch, Floors, Handler};
use crate::snapshot::Keeper;
use crate::source::{Source, Stop};
use crate::sync::{Flag, Tally};
use crate::telemetry::{EngineCounter, Telemetry};
use crate::wake::Wake;
use std::sync::Arc;

/// Descriptors kept for everything but clients.
const DESCRIPTORS_RESERVED: u64 = 128;

/// An engine that is not started yet.
#[derive(Debug)]
pub struct Builder {
    config: Config,
    clock: Clock,
    handler: Option<Arc<dyn Handler>>,
    sources: Vec<Box<dyn AnySource>>,
}

impl Builder {
    /// An engine as `config` says.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, clock: Clock::system(), handler: None, sources: Vec::new() }
    }

    /// Takes the time from `clock`.
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Every WebSocket connection on the `ws` listener, whatever its path, speaks to `handler`.
    #[must_use]
    pub fn handler(self, handler: impl Handler + 'static) -> Self {
        Self { handler: Some(Arc::new(handler)), ..self }
    }

    /// Runs `source` too, on a thread of its own.
    #[must_use]
    pub fn source(mut self, source: impl Source + std::fmt::Debug) -> Self {
        self.sources.push(Box::new(source));
        self
    }

    /// Starts the engine; returns when it listens.
    ///
    /// # Errors
    /// A bad configuration, an address that cannot be bound, a recording that cannot be read, a store that cannot be
    /// opened.
    pub fn start(self) -> Result<Engine, Error> {
        self.config.validate()?;
        let mut sources = self.sources;
        let topics = Arc::new(Topics::new());
        let storage = Storage::open(&self.config, &self.clock)?;
        let systems = Arc::new(Systems::new(&self.config, &topics, storage.as_ref(), &self.clock)?);
        let Configured { sources: configured, report, feeds } =
            configured_source(&self.config, &systems)?;
        sources.extend(configured);
        let fd_limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1_024);
        let shards = self.config.shards;
        let wake = Arc::new(Wake::new(shards));
        let floors = Arc::new(Floors::new(shards));
        let parts = parts(self.config, self.clock, (topics, systems), &wake, &floors);
        parts.systems.register(&parts.telemetry)?;
        register_reports(&parts.telemetry, feeds.as_ref(), report.as_deref())?;
        if let Some(storage) = &storage {
            storage.register(&parts.telemetry, parts.config.metrics_compat_names)?;
        }
        let options = server_options(&parts.config, fd_limit);
        let (listeners, addresses) = listen(&parts, &options, self.handler.is_some())?;
        let limits = [fd_limit, options.connections_max as u64];
        parts.telemetry.set_probe(parts.probe(&wake, limits, report));
        let mut engine = Engine {
            parts,
            addresses,
            shards: Vec::new(),
            edge: None,
            sources: Vec::new(),
            pipeline: None,
            storage,
            fd_limit,
        };
        for index in 0..shards {
            let setup = engine.parts.setup(index, &floors, self.handler.clone());
            engine.shards.push(Broadcaster::start(setup, wake.clone()).map_err(runtime("shard"))?);
        }
        let place = engine.parts.dispatch.clone();
        let counters = Arc::new(DoorCounters(engine.parts.telemetry.clone()));
        engine.edge =
            Some(Edge::start(listeners, place, options, counters).map_err(runtime("edge"))?);
        if let Some(storage) = &mut engine.storage {
            storage.feed(&engine.parts.encoder)?;
        }
        if let Some(pipeline) = engine.parts.systems.pipeline(&engine.parts, feeds) {
            let stop = Stop::new();
            let thread = start_pipeline(&engine.parts, pipeline, stop.clone())?;
            engine.pipeline = Some((stop, thread));
        }
        engine.sources.push(keep_figures(&engine.parts)?);
        for source in sources {
            engine.sources.push(start_source(&engine.parts, source)?);
        }
        Ok(engine)
    }
}

/// What an engine shares between its threads.
fn parts(
    config: Config,
    clock: Clock,
    (topics, systems): (Arc<Topics>, Arc<Systems>),
    wake: &Arc<Wake>,
    floors: &Arc<Floors>,
) -> Parts {
    let config = Arc::new(config);
    let shards = config.shards;
    let telemetry = Telemetry::with_clock(shards, clock.clone());
    let (intake, consumer) = ring::intake(config.ring_capacity, wake.clone());
    let (keeper, values) = Keeper::new(config.log_segments);
    let encoder = Arc::new(Encoder::new(encode::Parts {
        topics: topics.clone(),
        intake: intake.clone(),
        consumer,
        wake: wake.clone(),
        telemetry: telemetry.clone(),
        log: log::Options { segments_max: config.log_segments, ..log::Options::default() },
        values: Box::new(keeper),
    }));
    let gate = Arc::new(Gate::new(encoder.clone(), floors.clone(), config.lag_bytes_max));
    let epoch = epoch();
    let reads = stream::Parts {
        encoder: encoder.clone(),
        values: values.clone(),
        telemetry: telemetry.clone(),
        clock: clock.clone(),
        epoch: epoch.clone(),
    };
    Parts {
        streams: Hub::new(reads, stream_options(&config)),
        systems,
        dispatch: Arc::new(Dispatch::new(shards, wake.clone())),
        clock,
        topics,
        intake,
        encoder,
        values,
        telemetry,
        gate,
        served: Arc::new(Tally::new()),
        stop: Stop::new(),
        is_draining: Arc::new(Flag::new()),
        roster: Arc::default(),
        epoch,
        config,
    }
}

/// The front door's counts, in the engine's telemetry.
struct DoorCounters(Arc<Telemetry>);

impl EdgeCounters for DoorCounters {
    fn accepted(&self) {
        self.0.add(EngineCounter::HandshakesAccepted, 1);
    }
    fn refused(&self, status: u16) {
        self.0.refused(status);
    }
    fn stalled(&self) {
        self.0.add(EngineCounter::HttpStalled, 1);
    }
    fn accept_paused(&self) {
        self.0.add(EngineCounter::AcceptPaused, 1);
    }
    fn descriptors_exhausted(&self) {
        self.0.add(EngineCounter::DescriptorsExhausted, 1);
    }
}

pub(super) fn runtime(part: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |error| Error::Runtime(format!("cannot start the {part} thread: {error}"))
}

/// Eight characters that no other start of a server is likely to have.
fn epoch() -> Arc<str> {
    uuid::Uuid::new_v4().simple().to_string()[..8].into()
}

fn server_options(config: &Config, fd_limit: u64) -> server::Options {
    let by_descriptors =
        usize::try_from(fd_limit.saturating_sub(DESCRIPTORS_RESERVED)).unwrap_or(usize::MAX);
    let defaults = server::Options::default();
    server::Options {
        head_timeout: config.head_timeout,
        write_stall_max: config.write_stall_max,
        // Streams stay in the HTTP phase, and must not take the room of those who come.
        http_connections_max: defaults.http_connections_max + config.http_streams_max,
        heads_in_progress_max: config.heads_in_progress_max,
        connections_max: config.connections_max.unwrap_or(by_descriptors),
        connections_per_address_max: config.connections_per_address_max,
        origins: config.origins.clone(),
        allowed_hosts: config.allowed_hosts.clone(),
        send_buffer_bytes: config.send_buffer_bytes,
        notsent_lowat_bytes: config.notsent_lowat_bytes,
        ..defaults
    }
}

fn stream_options(config: &Config) -> stream::Options {
    stream::Options {
        streams_max: config.http_streams_max,
        lag_bytes_max: config.lag_bytes_max,
        lag_age_max: config.lag_age_max,
        heartbeat_interval: config.heartbeat_interval,
        limits: limits(config),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn streams_over_http_have_the_options_of_the_engine() {
        let config = Config {
            http_streams_max: 7,
            lag_bytes_max: 70_000,
            lag_age_max: Duration::from_secs(8),
            heartbeat_interval: Duration::from_secs(9),
            ..Config::default()
        };
        let options = stream_options(&config);
        assert_eq!(options.streams_max, 7);
        assert_eq!(options.lag_bytes_max, 70_000);
        assert_eq!(options.lag_age_max, Duration::from_secs(8));
        assert_eq!(options.heartbeat_interval, Duration::from_secs(9));
        assert_eq!(options.limits.heartbeat_s, 9);
    }
}

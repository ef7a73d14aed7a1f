//! Wiring: the one place that knows every part; starts, runs and stops them.
//!
//! [`Engine::start`] binds the listeners first, so that a busy port is an error before a thread exists, then starts
//! shards, edge and sources. [`Engine::drain`] goes the other way round: sources stop, every client is told and
//! closed with 1001, then the threads end. An embedding program publishes through [`Engine::publisher`].

mod absent;
mod alerting;
mod builder;
mod feeds;
mod gate;
mod health;
mod legacy_query;
mod listeners;
mod pages;
mod parts;
mod sources;
mod storage;
mod systems;

pub use builder::Builder;

use crate::clock::Clock;
use crate::config::{Components, Config};
use crate::encode::{Encoder, OnFull, Publisher, SharedPublisher, Tap};
use crate::error::Error;
use crate::event::{Class, Event, Pattern, Topic, TopicError, Topics};
use crate::http::Hub;
use crate::ring::Intake;
use crate::server::Edge;
use crate::session;
use crate::shard::{Broadcaster, Dispatch};
use crate::snapshot::Values;
use crate::source::{FlowGate, Stop};
use crate::sync::{Flag, Tally};
use crate::telemetry::{Agents, Probe, Telemetry};
use gate::Gate;
use health::Roster;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use storage::Storage;
use systems::Systems;

/// How often waiting calls look again.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// A running engine. Dropping it stops everything at once; [`drain`](Self::drain) takes leave of the clients.
#[derive(Debug)]
pub struct Engine {
    parts: Parts,
    addresses: Addresses,
    shards: Vec<Broadcaster>,
    edge: Option<Edge>,
    sources: Vec<JoinHandle<()>>,
    /// The pipeline's thread and what stops it: after the sources, so that it reads their last events.
    pipeline: Option<(Stop, JoinHandle<()>)>,
    /// Goes when everything that publishes has gone.
    storage: Option<Storage>,
    fd_limit: u64,
}

/// What the parts of an engine share.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    pub(crate) topics: Arc<Topics>,
    pub(crate) intake: Arc<Intake<Event>>,
    pub(crate) encoder: Arc<Encoder>,
    pub(crate) values: Values,
    pub(crate) streams: Arc<Hub>,
    pub(crate) systems: Arc<Systems>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) dispatch: Arc<Dispatch>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) served: Arc<Tally>,
    pub(crate) stop: Stop,
    pub(crate) is_draining: Arc<Flag>,
    /// The writers of events, and how they fare.
    pub(crate) roster: Arc<Roster>,
    pub(crate) epoch: Arc<str>,
}

/// Where an engine listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// WebSocket clients.
    pub ws: SocketAddr,
    /// HTTP clients.
    pub http: Option<SocketAddr>,
    /// Metrics and health.
    pub metrics: Option<SocketAddr>,
    /// Metrics and health of single components.
    pub components: Components,
}

impl Addresses {
    /// Those that are there, each with the name of its option.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        let Components { collector_metrics, calculator_metrics, alerts_metrics, gateway_metrics } =
            self.components;
        let all = [
            ("ws", Some(self.ws)),
            ("http", self.http),
            ("metrics", self.metrics),
            ("collector_metrics", collector_metrics),
            ("calculator_metrics", calculator_metrics),
            ("alerts_metrics", alerts_metrics),
            ("gateway_metrics", gateway_metrics),
        ];
        all.into_iter().filter_map(|(name, address)| Some((name, address?)))
    }
}

/// What a drain came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Clients that were there when it began.
    pub clients: usize,
    /// Clients that had not gone when the time was over, and were dropped.
    pub dropped: usize,
}

impl Engine {
    /// Starts an engine; returns when it listens.
    ///
    /// # Errors
    /// A bad configuration, an address that cannot be bound, a recording that cannot be read, a store that cannot be
    /// opened.
    pub fn start(config: Config) -> Result<Self, Error> {
        Builder::new(config).start()
    }

    /// An engine with parts of the embedding program's own.
    #[must_use]
    pub fn builder(config: Config) -> Builder {
        Builder::new(config)
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// What it was told.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.parts.config
    }

    /// Descriptors the process may have.
    #[must_use]
    pub fn fd_limit(&self) -> u64 {
        self.fd_limit
    }

    /// The clock that publish times come from.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.parts.clock
    }

    /// The counters.
    #[must_use]
    pub fn telemetry(&self) -> &Arc<Telemetry> {
        &self.parts.telemetry
    }

    /// The metrics of agents: an embedding program sets and reads those of its own, the arena's are filled by the
    /// engine. Every agent that is registered is in the next scrape.
    ///
    /// ```
    /// # use lineage::config::{Config, SourceChoice};
    /// # let any = "127.0.0.1:0".parse()?;
    /// # let config = Config { ws: any, http: None, metrics: None, source: SourceChoice::None, ..Config::default() };
    /// let engine = lineage::Engine::start(config)?;
    /// let metrics = engine.agents();
    /// metrics.register("scout", "🔭 Scout", 10_000.0); // name in topics, label in metrics, start capital
    /// metrics.set_agent_capital("scout", 10_250.0);
    /// metrics.set_agent_trades("scout", 4);
    /// metrics.set_agent_win_rate("scout", 0.75);
    /// assert_eq!(metrics.agent_capital("scout"), Some(10_250.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn agents(&self) -> &Agents {
        self.parts.systems.figures().agents()
    }

    /// Registers a topic, or finds it; cheap enough to call often, but meant to be called once.
    ///
    /// # Errors
    /// A bad name, or the other class: see [`TopicError`].
    pub fn topic(&self, name: &str, class: Class) -> Result<Topic, TopicError> {
        self.parts.topics.register(name, Some(class))
    }

    /// A publisher with a ring of its own, for one thread at a time: wait-free.
    ///
    /// # Errors
    /// When 63 publishers exist at once.
    pub fn publisher(&self) -> Result<Publisher, Error> {
        self.parts.publisher(OnFull::Refuse)
    }

    /// A clonable publisher on the ring that all share: lock-free.
    #[must_use]
    pub fn shared_publisher(&self) -> SharedPublisher {
        self.parts.shared_publisher()
    }

    /// Reads typed events of the topics that `patterns` name, from now on; holds up to `capacity` of them (a power
    /// of two, 2 to 2^20) and counts what finds it full.
    ///
    /// # Errors
    /// A text that is no pattern.
    pub fn tap(&self, patterns: &[&str], capacity: usize) -> Result<Tap, Error> {
        let parse = |text: &&str| {
            Pattern::parse(text).map_err(|_| {
                Error::Config(format!("tap pattern {text:?} is neither a topic nor a pattern"))
            })
        };
        Ok(self.parts.encoder.tap(patterns.iter().map(parse).collect::<Result<_, _>>()?, capacity))
    }

    /// Tells how far a publisher without a pace of its own may run ahead of the slowest subscriber.
    #[must_use]
    pub fn flow_gate(&self) -> Arc<dyn FlowGate> {
        self.parts.gate.clone()
    }

    /// Clients served so far: v1 clients whose first ack is written, legacy clients that were upgraded.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.parts.served.value()
    }

    /// Clients that are connected.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.parts.dispatch.open()
    }

    /// Blocks until `clients` were served; false when `patience` was over first.
    #[must_use]
    pub fn wait_for_clients(&self, clients: u64, patience: Duration) -> bool {
        let start = Instant::now();
        while self.served() < clients {
            if start.elapsed() >= patience {
                return false;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        true
    }

    /// Whether every shard is alive: false means that the process should end.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.shards.iter().all(|shard| !shard.is_finished())
    }

    /// Stops the sources, sends every client a close frame with 1001, waits up to `timeout` for them to go, and
    /// stops. Blocks.
    #[must_use]
    pub fn drain(mut self, timeout: Duration) -> Drained {
        let start = Instant::now();
        self.parts.is_draining.raise();
        self.parts.stop.stop();
        if let Some(edge) = &self.edge {
            edge.stop_accepting();
        }
        self.join_writers(timeout / 4);
        // A quarter of the time for the writers, another for the clients.
        self.flush(start, timeout / 2);
        let clients = self.connected();
        self.parts.streams.drain(session::reconnect_window_ms(clients));
        self.shards.iter().for_each(Broadcaster::drain);
        while self.connected() > 0 && start.elapsed() < timeout {
            std::thread::sleep(LOOK_AGAIN);
        }
        self.parts.systems.finish_alerts(timeout.saturating_sub(start.elapsed()));
        Drained { clients, dropped: self.connected() }
    }

    /// Waits for the stopped sources, then for the pipeline, which first reads what they published: it is waited up to
    /// `patience` for that to come out of the rings.
    fn join_writers(&mut self, patience: Duration) {
        for source in self.sources.drain(..) {
            // A source that panicked has said so already.
            let _ = source.join();
        }
        let Some((stop, pipeline)) = self.pipeline.take() else { return };
        let start = Instant::now();
        while self.parts.intake.depth() > 0 && start.elapsed() < patience {
            std::thread::sleep(LOOK_AGAIN);
        }
        stop.stop();
        let _ = pipeline.join();
    }

    /// WebSocket clients, and streams and polls over HTTP.
    fn connected(&self) -> usize {
        self.parts.dispatch.open() + self.parts.streams.open()
    }

    /// Waits until what was published has been written, for clients that take it.
    fn flush(&self, start: Instant, timeout: Duration) {
        let is_flushed = || {
            self.parts.intake.depth() == 0
                && self.parts.gate.lowest() >= self.parts.encoder.head_bytes()
        };
        while !is_flushed() && start.elapsed() < timeout {
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.parts.is_draining.raise();
        self.parts.stop.stop();
        self.join_writers(Duration::ZERO);
        self.parts.systems.finish_alerts(Duration::ZERO);
        self.parts.streams.drain(session::reconnect_window_ms(self.connected()));
        if let Some(edge) = self.edge.take() {
            edge.stop();
        }
        self.shards.iter().for_each(Broadcaster::stop);
        for shard in self.shards.drain(..) {
            shard.join();
        }
        // The probe holds the encoder, and the encoder holds the telemetry that holds the probe.
        self.parts.telemetry.set_probe(Box::new(Probe::default));
    }
}

impl Parts {
    /// A publisher with a ring of its own.
    pub(crate) fn publisher(&self, on_full: OnFull) -> Result<Publisher, Error> {
        let ring = self.intake.publisher().map_err(|_| {
            Error::Runtime("all 63 private rings are taken: share a publisher or drop one".into())
        })?;
        Ok(Publisher::new(ring, self.encoder.clone(), self.telemetry.clone(), on_full))
    }

    /// A publisher on the shared ring.
    pub(crate) fn shared_publisher(&self) -> SharedPublisher {
        SharedPublisher::new(self.intake.shared_publisher(), self.telemetry.clone())
    }
}

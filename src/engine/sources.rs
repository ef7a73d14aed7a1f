//! Starts the writers of events: the configured source, those of an embedding program, and the systems' own threads.

use super::Parts;
use super::builder::runtime;
use super::feeds;
use super::health::{Roster, State};
use super::systems::Systems;
use crate::config::{Config, SourceChoice};
use crate::encode::{OnFull, Publisher};
use crate::error::Error;
use crate::pipeline::{Feeds, Pipeline};
use crate::source::replay::{self, Replay, ReplayReport};
use crate::source::{Source, SourceContext, Stop};
use crate::telemetry::{EngineCounter, Telemetry};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a writer of events waits for room in its ring.
const PATIENCE: Duration = Duration::from_secs(1);

/// A source whose type is forgotten.
pub(super) trait AnySource: std::fmt::Debug + Source {}
impl<S: Source + std::fmt::Debug> AnySource for S {}

/// The sources that a configuration names.
#[derive(Debug, Default)]
pub(super) struct Configured {
    pub(super) sources: Vec<Box<dyn AnySource>>,
    /// What a replay tells of itself.
    pub(super) report: Option<Arc<ReplayReport>>,
    /// What the pipeline reads frames of feeds with.
    pub(super) feeds: Option<Feeds>,
}

pub(super) fn configured_source(config: &Config, systems: &Systems) -> Result<Configured, Error> {
    Ok(match &config.source {
        SourceChoice::None => Configured { feeds: feeds::reader(config), ..Configured::default() },
        SourceChoice::Simulation => Configured {
            sources: vec![Box::new(systems.simulation(config))],
            feeds: feeds::reader(config),
            report: None,
        },
        SourceChoice::Replay { path, feed } => {
            let options = replay::Options { path: path.clone(), feed: *feed, speed: config.speed };
            let replay = Replay::open(options)
                .map_err(|error| Error::Config(error.to_string()))?
                .passage(config.passage);
            let report = Some(replay.report());
            // A recording of our own stream has its candles, books and prices in itself.
            let (feeds, arena) = match replay.is_of_own_stream() {
                true => (None, None),
                false => feeds::priced(config),
            };
            let mut sources: Vec<Box<dyn AnySource>> = vec![Box::new(replay)];
            sources.extend(arena.map(|arena| Box::new(arena) as _));
            Configured { sources, report, feeds }
        }
    })
}

/// Adds what feeds and a replay tell of themselves to the exposition.
pub(super) fn register_reports(
    telemetry: &Telemetry,
    feeds: Option<&Feeds>,
    report: Option<&ReplayReport>,
) -> Result<(), Error> {
    let mut collectors = feeds.map_or_else(Vec::new, Feeds::collectors);
    collectors.extend(report.map(ReplayReport::collector));
    collectors.into_iter().try_for_each(|collector| telemetry.register(collector))
}

pub(super) fn keep_figures(parts: &Parts) -> Result<JoinHandle<()>, Error> {
    let (keep, stop) = (parts.systems.keep_figures(&parts.encoder), parts.stop.clone());
    std::thread::Builder::new()
        .name("figures".to_owned())
        .spawn(move || keep(stop))
        .map_err(runtime("figures"))
}

/// Starts a source as soon as so many clients are there as the configuration says.
pub(super) fn start_source(
    parts: &Parts,
    source: Box<dyn AnySource>,
) -> Result<JoinHandle<()>, Error> {
    let publisher =
        parts.publisher(OnFull::SpinPark(PATIENCE))?.counted_as(EngineCounter::SourceEvents);
    let clients = parts.config.start_at_clients as u64;
    start(parts, source, publisher, clients, parts.stop.clone())
}

/// Starts the pipeline, which reads from the first event on and has a stop of its own.
pub(super) fn start_pipeline(
    parts: &Parts,
    pipeline: Pipeline,
    stop: Stop,
) -> Result<JoinHandle<()>, Error> {
    let publisher = parts.publisher(OnFull::SpinPark(PATIENCE))?;
    start(parts, Box::new(pipeline), publisher, 0, stop)
}

fn start(
    parts: &Parts,
    mut source: Box<dyn AnySource>,
    publisher: Publisher,
    clients: u64,
    stop: Stop,
) -> Result<JoinHandle<()>, Error> {
    let context = SourceContext {
        publisher,
        topics: parts.topics.clone(),
        clock: parts.clock.clone(),
        stop: stop.clone(),
        gate: parts.gate.clone(),
    };
    let served = parts.served.clone();
    let name = source.name();
    let entry = Roster::enter(&parts.roster, name);
    std::thread::Builder::new()
        .name(format!("source-{name}"))
        .spawn(move || {
            while served.value() < clients {
                if stop.wait_for(Duration::from_millis(1)) {
                    entry.end(State::Ended);
                    return;
                }
            }
            match source.run(context) {
                Ok(()) => {
                    entry.end(State::Ended);
                    tracing::debug!(source = name, "source has ended");
                }
                Err(error) => {
                    tracing::error!(source = name, error = error.0, "source has failed");
                    entry.end(State::Failed(error.0));
                }
            }
        })
        .map_err(runtime("source"))
}

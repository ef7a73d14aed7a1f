//! `lineage serve`: starts an engine, says where it listens, and drains it at the first signal.

use super::signals::Signals;
use super::{log, tell};
use lineage::config::{Config, LogFormat, Settings, SourceChoice};
use lineage::engine::{Addresses, Engine};
use lineage::error::Error;
use std::path::Path;
use tracing::info;

/// Runs until a signal has been obeyed.
///
/// # Errors
/// Why it did not start.
pub(super) fn serve(settings: &Settings) -> Result<(), Error> {
    log::start(settings)?;
    let signals = Signals::take_over()?;
    if let Some(file) = &settings.ports_file {
        forget_ports(file)?;
    }
    // The engine sizes itself by the limit it finds.
    let descriptors = rlimit::increase_nofile_limit(rlimit::INFINITY)
        .map_err(|error| Error::Runtime(format!("cannot read the descriptor limit: {error}")))?;
    let engine = Engine::start(settings.config.clone())?;
    let addresses = engine.addresses();
    if let Some(file) = &settings.ports_file {
        write_ports(file, &addresses)?;
    }
    announce(settings, &addresses, descriptors);
    let Some(signal) = signals.first(|| engine.is_healthy()) else {
        return Err(Error::Runtime("a shard has ended: its clients cannot be served".into()));
    };
    info!(signal, "draining; a second signal ends at once");
    let drained = engine.drain(settings.config.drain_timeout);
    info!(?drained, "stopped");
    Ok(())
}

/// Says what runs and where, and that it is ready, to people or to programs.
fn announce(settings: &Settings, addresses: &Addresses, descriptors: u64) {
    let config = &settings.config;
    if settings.log_format == LogFormat::Text {
        let mut lines = banner(settings, addresses, descriptors);
        lines.extend(started(config));
        lines.iter().for_each(|line| tell(line));
        tell("ready");
        return;
    }
    started(config).iter().for_each(|line| info!("{line}"));
    info!(
        version = env!("CARGO_PKG_VERSION"),
        profile = settings.profile.word(),
        systems = systems(config),
        shards = config.shards,
        descriptors,
        addresses = ports(addresses),
        "ready"
    );
}

/// What to know before using it, a line each.
fn banner(settings: &Settings, addresses: &Addresses, descriptors: u64) -> Vec<String> {
    let config = &settings.config;
    let mut lines = vec![
        format!("lineage {}", env!("CARGO_PKG_VERSION")),
        format!("profile {}: {}", settings.profile.word(), systems(config)),
        format!("listening on ws://{}", addresses.ws),
        format!("  firehose   ws://{}/", addresses.ws),
        format!("  v1         ws://{}/v1", addresses.ws),
    ];
    if let Some(http) = addresses.http {
        lines.push(format!("  dashboard  http://{http}/dashboard.html"));
        lines.push(format!("  publish    http://{http}/v1/publish ({:?})", config.publish));
    }
    if let Some(metrics) = addresses.metrics {
        lines.push(format!("  metrics    http://{metrics}/metrics"));
        lines.push(format!("  health     http://{metrics}/health"));
    }
    for (name, address) in addresses.named().filter(|(name, _)| name.ends_with("_metrics")) {
        lines.push(format!("  {name} http://{address}/metrics"));
    }
    lines.push(format!("shards {}, descriptor limit {descriptors}", config.shards));
    lines
}

/// What runs, in words: the source and the systems beside it.
fn systems(config: &Config) -> String {
    let source = match &config.source {
        SourceChoice::None => "no source",
        SourceChoice::Simulation => "arena",
        SourceChoice::Replay { .. } => "replay",
    };
    let is_simulated = config.source == SourceChoice::Simulation;
    let beside = [
        ("hub", config.hub_enabled && is_simulated),
        ("chain", config.chain_enabled && is_simulated),
        ("pipeline", config.pipeline_enabled),
    ];
    let beside = beside.iter().filter(|(_, runs)| *runs).map(|(name, _)| *name);
    std::iter::once(source).chain(beside).collect::<Vec<_>>().join(", ")
}

/// What the simulation has begun with; nothing where it does not run.
fn started(config: &Config) -> Vec<String> {
    if config.source != SourceChoice::Simulation {
        return Vec::new();
    }
    let (markets, agents) = (config.arena.market_interval, config.arena.agent_interval);
    let starts = match config.start_at_clients {
        0 => "started".to_owned(),
        clients => format!("starts with client {clients}"),
    };
    vec![
        format!("market ticker {starts}, every {markets:?}"),
        format!("agent simulator {starts}, every {agents:?}"),
    ]
}

/// The addresses as one JSON object; listeners that are off are left out.
fn ports(addresses: &Addresses) -> String {
    let members: Vec<String> =
        addresses.named().map(|(name, address)| format!("\"{name}\":\"{address}\"")).collect();
    format!("{{{}}}", members.join(","))
}

/// Removes what an earlier run left, so that whoever waits for the file waits for this run's.
fn forget_ports(file: &Path) -> Result<(), Error> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Config(format!("cannot replace {}: {error}", file.display())))
        }
        _ => Ok(()),
    }
}

/// Writes the file whole or not at all: a reader never sees half of it.
fn write_ports(file: &Path, addresses: &Addresses) -> Result<(), Error> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, ports(addresses) + "\n")
        .and_then(|()| std::fs::rename(&beside, file))
        .map_err(|error| Error::Runtime(format!("cannot write {}: {error}", file.display())))
}

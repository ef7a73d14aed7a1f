//! What an engine is told before it starts: plain fields with defaults.
//!
//! An embedding program fills a [`Config`] by hand; the `lineage` binary fills it from its [`Settings`]: flags over
//! environment over file over defaults, all through one table of keys (`keys`), so that an option has one name, one
//! range and one explanation wherever it is set. Each limit lies with the module that keeps it; here are its values.

mod arena_text;
mod keys;
mod profile;
mod rows;
mod settings;
#[cfg(test)]
mod systems_tests;
#[cfg(test)]
mod tests;
mod text;

pub use keys::{Group, Key};
pub use profile::Profile;
pub use settings::{LogFormat, Settings};

use crate::error::Error;
use crate::feeds::Options as FeedOptions;
use crate::http::PublishAccess;
use crate::pipeline::{self, AlertOptions, WebhookOptions};
use crate::shard::Coalesce;
use crate::simulation::{self, EVENTS_PER_S_MAX, chain, hub};
use crate::source::replay::{Feed, Passage, Speed};
use crate::store::Options as StoreOptions;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Least time between two prices of the only symbol; the simulation has no more than 100,000 prices per second.
const PRICE_INTERVAL_MIN: Duration = Duration::from_micros(1_000_000 / EVENTS_PER_S_MAX as u64);

/// Where the events come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SourceChoice {
    /// Only from publishers: over HTTP, over v1, or from the embedding program.
    None,
    /// The trading simulation.
    #[default]
    Simulation,
    /// A recording.
    Replay {
        /// The file.
        path: PathBuf,
        /// Of which feed it is; `None`: recognised from its first frames.
        feed: Option<Feed>,
    },
}

/// Listeners of single components, for scrapers that know each by its own address; `None`: no such listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Components {
    /// Of what makes candles.
    pub collector_metrics: Option<SocketAddr>,
    /// Of what makes indicators.
    pub calculator_metrics: Option<SocketAddr>,
    /// Of the alert engine.
    pub alerts_metrics: Option<SocketAddr>,
    /// Of REST.
    pub gateway_metrics: Option<SocketAddr>,
}

/// Everything an engine can be told. Start from the default and change what matters:
///
/// ```
/// # use lineage::config::Config;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config { ws: "127.0.0.1:0".parse()?, http: None, ..Config::default() };
/// config.validate()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where WebSocket clients connect (127.0.0.1:9001). Port 0 chooses a free one.
    pub ws: SocketAddr,
    /// Where HTTP clients connect (127.0.0.1:8000); `None`: no such listener.
    pub http: Option<SocketAddr>,
    /// Where metrics and health are served (127.0.0.1:9184); `None`: no such listener.
    pub metrics: Option<SocketAddr>,
    /// Where the metrics and health of one component are served, each on a listener of its own (none).
    pub components: Components,

    /// Where the events come from (the simulation).
    pub source: SourceChoice,
    /// The pace of a replay (as recorded).
    pub speed: Speed,
    /// Which symbols of a replayed feed are which markets, by the feed's symbol as topics write it: their trades are the
    /// prices of `market:*`, at which the agents act (`BTCUSDT` and others → `BTC-USD`, the same for `ETH-USD`; empty: no
    /// market).
    pub symbol_map: BTreeMap<String, String>,
    /// Limits of the reader of feeds.
    pub feeds: FeedOptions,
    /// Which part of a recording is replayed, how often, and what its pace follows (all of it, once, its own times).
    pub passage: Passage,
    /// Seed of the simulation: the same seed gives the same bytes (1).
    pub seed: u64,
    /// What the arena of the simulation does and how often; its seed is not read: [`seed`](Self::seed) is.
    pub arena: simulation::Options,
    /// What the hub has and how it works.
    pub hub: hub::Options,
    /// What the ledger network is; its seed is not read either.
    pub chain: chain::Options,
    /// Whether the hub runs beside the simulation (true); without it its pages say that it is not available.
    pub hub_enabled: bool,
    /// Whether the ledger runs beside the simulation (true).
    pub chain_enabled: bool,
    /// Whether candles and indicators are made of trades (true).
    pub pipeline_enabled: bool,
    /// How candles and indicators are made.
    pub pipeline: pipeline::Options,
    /// A file with the rules of the alert engine; `None`: the built-in ones.
    pub alerts_rules: Option<PathBuf>,
    /// Limits of the alert engine, which runs with the pipeline.
    pub alerts: AlertOptions,
    /// Where alerts are sent (nowhere).
    pub webhook: WebhookOptions,
    /// Whether metrics also have the names of older dashboards (true).
    pub metrics_compat_names: bool,
    /// What is kept beyond the end of the process, and how; an empty path is no store (no store).
    pub store: StoreOptions,
    /// Clients that must be subscribed before the source starts (0: it starts at once).
    pub start_at_clients: usize,
    /// Who may publish from outside (nobody).
    pub publish: PublishAccess,
    /// How long a publish request waits for room in the ring, without progress, before it is answered 429 (5 s).
    pub publish_patience: Duration,
    /// How long a long publish request waits for its slowest subscriber, without progress, before it goes on
    /// (250 ms).
    pub publish_pace_patience: Duration,

    /// Shards, each a thread that writes to its part of the connections (one per core, at most 64).
    pub shards: usize,
    /// When the sweep starts a revolution (adaptive).
    pub coalesce: Coalesce,
    /// Slots of one intake ring, a power of two (4,096).
    pub ring_capacity: usize,
    /// Segments of 256 KiB that the log keeps, a power of two (64).
    pub log_segments: usize,
    /// Longest event, in bytes of its payload (1 MiB).
    pub event_bytes_max: usize,

    /// Connections at most; `None`: the limit of file descriptors less 128.
    pub connections_max: Option<usize>,
    /// Connections of one address; `None`: not limited on loopback listeners, 256 on others.
    pub connections_per_address_max: Option<usize>,
    /// Event streams and polls over HTTP at a time; surplus gets 503 (256).
    pub http_streams_max: usize,
    /// Request heads in progress at a time; further ones wait (32).
    pub heads_in_progress_max: usize,
    /// From accept to the end of a request head (5 s).
    pub head_timeout: Duration,
    /// Origins that browsers may come from besides the host itself, as `scheme://host[:port]` (none).
    pub origins: Vec<String>,
    /// Host names that requests on loopback listeners may name besides IP literals and `localhost` (none).
    pub allowed_hosts: Vec<String>,
    /// Bytes the kernel may hold per connection towards the client (64 KiB).
    pub send_buffer_bytes: usize,
    /// Unsent bytes in the kernel above which a socket is not writable (16 KiB).
    pub notsent_lowat_bytes: u32,

    /// A WebSocket ping after this time (20 s).
    pub ping_interval: Duration,
    /// A client that sent nothing for so long is closed with 4010 (30 s).
    pub silence_max: Duration,
    /// How often a v1 client that is up to date is told so, in whole seconds (15 s).
    pub heartbeat_interval: Duration,
    /// Long snapshots that a shard sends at a time (32).
    pub snapshots_at_once: usize,
    /// Unsent bytes of a client's own events beyond which it gets a gap (1 MiB).
    pub lag_bytes_max: u64,
    /// Age of the oldest unsent event beyond which it gets a gap (10 s).
    pub lag_age_max: Duration,
    /// A client whose socket took nothing for so long is evicted (10 s).
    pub write_stall_max: Duration,
    /// Longest message a client may send; longer: 1009 (64 KiB).
    pub message_bytes_max: usize,
    /// Longest v1 message; longer ones are answered with an error (16 KiB).
    pub v1_message_bytes_max: usize,
    /// Topics and patterns one connection may be subscribed to (1,024).
    pub topics_per_connection_max: usize,
    /// Control messages per second a client may send in the long run (50).
    pub control_rate: u32,
    /// Control messages a client may send at once after a pause (200).
    pub control_burst: u32,

    /// How long a drain lets clients take what is under way before it closes them (5 s).
    pub drain_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            ws: loopback(9001),
            http: Some(loopback(8000)),
            metrics: Some(loopback(9184)),
            components: Components::default(),
            source: SourceChoice::Simulation,
            speed: Speed::default(),
            symbol_map: default_symbol_map(),
            feeds: FeedOptions::default(),
            passage: Passage::default(),
            seed: 1,
            arena: simulation::Options::arena(),
            hub: hub::Options::default(),
            chain: chain::Options::default(),
            hub_enabled: true,
            chain_enabled: true,
            pipeline_enabled: true,
            pipeline: pipeline::Options::default(),
            alerts_rules: None,
            alerts: AlertOptions::default(),
            webhook: WebhookOptions::default(),
            metrics_compat_names: true,
            store: StoreOptions::default(),
            start_at_clients: 0,
            publish: PublishAccess::Off,
            publish_patience: Duration::from_secs(5),
            publish_pace_patience: Duration::from_millis(250),
            shards: std::thread::available_parallelism().map_or(1, |cores| cores.get().min(64)),
            coalesce: Coalesce::Adaptive,
            ring_capacity: 4_096,
            log_segments: 64,
            event_bytes_max: 1 << 20,
            connections_max: None,
            connections_per_address_max: None,
            http_streams_max: 256,
            heads_in_progress_max: 32,
            head_timeout: Duration::from_secs(5),
            origins: Vec::new(),
            allowed_hosts: Vec::new(),
            send_buffer_bytes: 64 * 1024,
            notsent_lowat_bytes: 16 * 1024,
            ping_interval: Duration::from_secs(20),
            silence_max: Duration::from_secs(30),
            heartbeat_interval: Duration::from_secs(15),
            snapshots_at_once: 32,
            lag_bytes_max: 1 << 20,
            lag_age_max: Duration::from_secs(10),
            write_stall_max: Duration::from_secs(10),
            message_bytes_max: 64 * 1024,
            v1_message_bytes_max: 16 * 1024,
            topics_per_connection_max: 1_024,
            control_rate: 50,
            control_burst: 200,
            drain_timeout: Duration::from_secs(5),
        }
    }
}

/// The symbols of the two markets at the feeds that can be replayed.
fn default_symbol_map() -> BTreeMap<String, String> {
    const BITCOIN: [&str; 6] = ["BTCUSDT", "BTC-USD", "BTC-USDT", "XBT-USD", "XBTUSD", "PI_XBTUSD"];
    const ETHER: [&str; 5] = ["ETHUSDT", "ETH-USD", "ETH-USDT", "ETHUSD", "PI_ETHUSD"];
    let of = |market: &str, feed: &str| (feed.to_owned(), market.to_owned());
    let bitcoin = BITCOIN.iter().map(|feed| of("BTC-USD", feed));
    bitcoin.chain(ETHER.iter().map(|feed| of("ETH-USD", feed))).collect()
}

impl Config {
    /// Checks every field against its range, and those that depend on each other.
    ///
    /// # Errors
    /// [`Error::Config`], naming the option, its value and what is allowed.
    pub fn validate(&self) -> Result<(), Error> {
        keys::check_ranges(self)?;
        let refuse = |reason: String| Err(Error::Config(reason));
        if self.ping_interval >= self.silence_max {
            return refuse(format!(
                "ping_interval = {} must be shorter than silence_max = {}: a client answers pings only",
                text::show_duration(self.ping_interval),
                text::show_duration(self.silence_max),
            ));
        }
        if self.webhook.backoff_min > self.webhook.backoff_max {
            return refuse(format!(
                "webhook_backoff_min = {} must not be longer than webhook_backoff_max = {}",
                text::show_duration(self.webhook.backoff_min),
                text::show_duration(self.webhook.backoff_max),
            ));
        }
        // The message does not repeat the URL: receivers keep tokens in it.
        if self.webhook.is_on() {
            self.webhook.check()?;
        }
        if self.v1_message_bytes_max > self.message_bytes_max {
            return refuse(format!(
                "v1_message_bytes_max = {} must not be larger than message_bytes_max = {}",
                text::show_bytes(self.v1_message_bytes_max as u64),
                text::show_bytes(self.message_bytes_max as u64),
            ));
        }
        self.validate_systems()?;
        self.components.check(self.pipeline_enabled, self.http.is_some()).or_else(refuse)
    }

    /// Options of the simulation that depend on each other.
    fn validate_systems(&self) -> Result<(), Error> {
        let refuse = |reason: String| Err(Error::Config(reason));
        let (arena, chain) = (&self.arena, &self.chain);
        let symbols = u32::try_from(arena.symbols.len()).unwrap_or(u32::MAX);
        let least = PRICE_INTERVAL_MIN.saturating_mul(symbols);
        if arena.market_interval < least {
            return refuse(format!(
                "market_interval = {} must be at least {} for {symbols} symbols: 10us for each",
                text::show_duration(arena.market_interval),
                text::show_duration(least),
            ));
        }
        if arena.pnl_dollars_min > arena.pnl_dollars_max {
            return refuse(format!(
                "pnl_dollars_min = {} must not be larger than pnl_dollars_max = {}",
                arena.pnl_dollars_min, arena.pnl_dollars_max,
            ));
        }
        if chain.load_spread_tps > chain.load_tps {
            return refuse(format!(
                "chain_load_spread_tps = {} must not be larger than chain_load_tps = {}",
                chain.load_spread_tps, chain.load_tps,
            ));
        }
        Ok(())
    }
}

impl Components {
    /// Whether what is listened for runs.
    fn check(&self, has_pipeline: bool, has_gateway: bool) -> Result<(), String> {
        let pipeline = (has_pipeline, "pipeline_enabled = false: switch the pipeline on");
        for (name, address, (runs, why)) in [
            ("collector_metrics", self.collector_metrics, pipeline),
            ("calculator_metrics", self.calculator_metrics, pipeline),
            ("alerts_metrics", self.alerts_metrics, pipeline),
            ("gateway_metrics", self.gateway_metrics, (has_gateway, "http = off: switch http on")),
        ] {
            if let Some(address) = address.filter(|_| !runs) {
                return Err(format!(
                    "{name} = {address} has nothing to show, because {why}, or set {name} = off"
                ));
            }
        }
        Ok(())
    }
}

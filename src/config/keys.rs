//! The table of options: name, form, range and explanation of each, once.
//!
//! Flags (`--lag-bytes-max 2MiB`), environment (`LINEAGE_LAG_BYTES_MAX=2MiB`) and file (`lag_bytes_max = "2MiB"`)
//! are three spellings of a row. What an embedding program put into a `Config` is checked by the same rows.

use super::settings::{LogFormat, PublishMode, Settings};
use super::text::{self, Allowed};
use super::{Config, Error};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Options that belong together, in the order of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Where to listen.
    Listeners,
    /// Where events come from.
    Source,
    /// What runs beside the broadcast.
    Systems,
    /// What is made of trades, and who is told.
    Pipeline,
    /// Who may publish from outside.
    Publishing,
    /// Sizes of the engine.
    Engine,
    /// Limits on connections.
    Connections,
    /// Limits on a connected client.
    Clients,
    /// The process around the engine.
    Process,
}

impl Group {
    /// The heading in the help.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Listeners => "Listeners",
            Self::Source => "Source of events",
            Self::Systems => "Systems",
            Self::Pipeline => "Candles, indicators and alerts",
            Self::Publishing => "Publishing from outside",
            Self::Engine => "Engine",
            Self::Connections => "Connections",
            Self::Clients => "Clients",
            Self::Process => "Process",
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Name in the file, and field of [`Config`] where it has one: `lag_bytes_max`.
    pub name: &'static str,
    /// The form of its value, for the help: `SIZE`.
    pub value: &'static str,
    /// One sentence on what it does.
    pub help: &'static str,
    /// Where it stands in the help.
    pub group: Group,
    /// Reads a value; the error is what is allowed.
    pub(super) apply: fn(&mut Settings, &str) -> Result<(), Allowed>,
    /// The value as text that `apply` takes.
    pub(super) show: fn(&Settings) -> String,
}

impl Key {
    /// All rows.
    pub const ALL: &'static [Self] = KEYS;

    /// The name as a flag, without the dashes in front: `lag-bytes-max`.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The name in the environment: `LINEAGE_LAG_BYTES_MAX`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("LINEAGE_{}", self.name.to_ascii_uppercase())
    }

    /// Whether its value must not appear in messages, nor on a command line that others can read.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self.name, "publish_token" | "webhook_secret")
    }

    /// The default as text; empty where there is none.
    #[must_use]
    pub fn default_text(&self) -> String {
        (self.show)(&Settings::default())
    }
}

/// Checks each field of `config` against its row.
pub(super) fn check_ranges(config: &Config) -> Result<(), Error> {
    let given = Settings { config: config.clone(), ..Settings::default() };
    let mut scratch = Settings::default();
    for key in KEYS {
        let shown = (key.show)(&given);
        (key.apply)(&mut scratch, &shown).map_err(|allowed| {
            let shown = if key.is_secret() { "…" } else { &shown };
            Error::Config(format!("{} = {shown} is not {allowed}", key.name))
        })?;
    }
    Ok(())
}

/// A count or size that fits memory: [`text::number`] as `usize`.
fn count(text: &str, range: RangeInclusive<u64>) -> Result<usize, Allowed> {
    text::number(text, range).map(to_usize)
}

fn size(text: &str, range: RangeInclusive<u64>) -> Result<usize, Allowed> {
    text::bytes(text, range).map(to_usize)
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).expect("the ranges of the table fit the address space")
}

fn to_u32(number: u64) -> u32 {
    u32::try_from(number).expect("the ranges of the table fit 32 bits")
}

fn show_usize_bytes(bytes: &usize) -> String {
    text::show_bytes(*bytes as u64)
}

fn span(text: &str, low_ms: u64, high_s: u64) -> Result<Duration, Allowed> {
    text::duration(text, Duration::from_millis(low_ms)..=Duration::from_secs(high_s))
}

fn show_span(span: &Duration) -> String {
    text::show_duration(*span)
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A path, or nothing.
fn file(text: &str) -> Option<PathBuf> {
    Some(PathBuf::from(text)).filter(|_| !text.is_empty())
}

fn show_file(file: &Option<PathBuf>) -> String {
    file.as_ref().map_or_else(String::new, |file| file.display().to_string())
}

/// `Group FORM name [field] reader, shower; "help"`.
macro_rules! keys {
    ($($group:ident $value:literal $name:ident [$($field:tt)+] $read:expr, $show:expr; $help:literal)*) => {
        const KEYS: &[Key] = &[$(Key {
            name: stringify!($name),
            value: $value,
            help: $help,
            group: Group::$group,
            apply: |settings, text| {
                let read: fn(&str) -> Result<_, Allowed> = $read;
                settings.$($field)+ = read(text)?;
                Ok(())
            },
            show: |settings| {
                let show: fn(&_) -> String = $show;
                show(&settings.$($field)+)
            },
        },)*];
    };
}

keys! {
    Listeners "ADDRESS" ws [config.ws] text::address, ToString::to_string;
        "Where WebSocket clients connect"
    Listeners "ADDRESS|off" http [config.http] text::address_or_off, |a| text::show_address_or_off(*a);
        "Where HTTP clients connect"
    Listeners "ADDRESS|off" metrics [config.metrics] text::address_or_off, |a| text::show_address_or_off(*a);
        "Where /metrics and /health are served"

    Source "SOURCE" source [config.source] text::source, text::show_source;
        "simulation, replay:PATH, replay:FEED=PATH or none; FEED is recognised, or one of binance, coinbase, kraken, kraken-futures, bitmex, okx"
    Source "FACTOR|max" speed [config.speed] |t| t.parse().map_err(|_| "`max` or a factor such as `1x`, `10x`, `0.5x`".to_owned()), ToString::to_string;
        "Pace of a replay; max goes as fast as the slowest subscriber follows"
    Source "NUMBER" seed [config.seed] |t| text::number(t, 0..=u64::MAX), ToString::to_string;
        "Seed of the simulation; the same seed gives the same bytes"
    Source "COUNT" start_at_clients [config.start_at_clients] |t| count(t, 0..=1_000_000), ToString::to_string;
        "Start the source when so many clients have subscribed"
    Source "FEED=MARKET,…" symbols [config.symbols] text::symbols, text::show_symbols;
        "Symbols of a replayed feed whose trades are the prices of a market; empty for none"
    Source "COUNT" feed_symbols_max [config.feeds.symbols_max] |t| count(t, 1..=65_536), ToString::to_string;
        "Symbols of feeds that are read; frames of further ones are refused"
    Source "SIZE" feed_frame_bytes_max [config.feeds.frame_bytes_max] |t| size(t, KIB..=16 * MIB), show_usize_bytes;
        "Longest frame of a feed that is read"
    Source "COUNT" feed_held_levels_max [config.feeds.held_levels_max] |t| count(t, 1..=10_000_000), ToString::to_string;
        "Price levels held back per order book while it waits for a snapshot"
    Source "COUNT" feed_side_levels_max [config.feeds.side_levels_max] |t| count(t, 10..=1_000_000), ToString::to_string;
        "Price levels that a side of an order book keeps"

    Systems "true|false" hub_enabled [config.hub_enabled] text::switch, ToString::to_string;
        "Run the hub beside the simulation; in a file also `[hub] enabled`"
    Systems "true|false" chain_enabled [config.chain_enabled] text::switch, ToString::to_string;
        "Run the ledger beside the simulation; in a file also `[chain] enabled`"
    Systems "true|false" pipeline_enabled [config.pipeline_enabled] text::switch, ToString::to_string;
        "Make candles and indicators of trades; in a file also `[pipeline] enabled`"
    Systems "true|false" metrics_compat_names [config.metrics_compat_names] text::switch, ToString::to_string;
        "Show metrics under the names of older dashboards as well"

    Pipeline "TIME" pipeline_grace [config.pipeline.grace] |t| span(t, 0, 60), show_span;
        "How much older than the newest trade a trade may be and still count; candles are final that much later"
    Pipeline "TIME" pipeline_update_interval [config.pipeline.update_interval] |t| span(t, 10, 60), show_span;
        "Time between two updates of a running candle"
    Pipeline "TIME" pipeline_quiet_close [config.pipeline.quiet_close] |t| span(t, 0, 3_600), show_span;
        "Close the last candles of a symbol that is silent for so long; 0s: never"
    Pipeline "TIME" pipeline_ahead_max [config.pipeline.ahead_max] |t| span(t, 0, 3_600), show_span;
        "How far ahead of this clock the time of a trade may lie"
    Pipeline "COUNT" pipeline_symbols_max [config.pipeline.symbols_max] |t| count(t, 1..=4_096), ToString::to_string;
        "Symbols that have candles; trades of further ones are left out"
    Pipeline "COUNT" pipeline_candles_kept [config.pipeline.candles_kept] |t| count(t, 1..=100_000), ToString::to_string;
        "Candles per symbol and interval in memory, about 120 bytes each"
    Pipeline "true|false" pipeline_indicators [config.pipeline.has_indicators] text::switch, ToString::to_string;
        "Calculate indicators of candles"
    Pipeline "FILE" alerts_rules [config.alerts_rules] |t| Ok(file(t)), show_file;
        "Rules of the alert engine, instead of the built-in ones"
    Pipeline "COUNT" alerts_subjects_max [config.alerts.subjects_max] |t| count(t, 1..=65_536), ToString::to_string;
        "Topics that rules watch at most; further ones are passed over"
    Pipeline "COUNT" alerts_recent_max [config.alerts.recent_max] |t| count(t, 1..=100_000), ToString::to_string;
        "Newest alerts that are kept in memory"
    Pipeline "URL" webhook_url [config.webhook.url] |t| Ok(t.to_owned()), Clone::clone;
        "Send alerts to this http:// or https:// address"
    Pipeline "SECRET" webhook_secret [config.webhook.secret] |t| Ok(Some(t.to_owned()).filter(|_| !t.is_empty())), |s: &Option<String>| s.clone().unwrap_or_default();
        "Key that alerts sent to webhook_url are signed with"
    Pipeline "COUNT" webhook_queue_max [config.webhook.queue_max] |t| count(t, 1..=65_536), ToString::to_string;
        "Alerts that wait for the receiver at most; a further one is dropped"
    Pipeline "COUNT" webhook_attempts_max [config.webhook.attempts_max] |t| count(t, 1..=100), ToString::to_string;
        "Tries of one alert at most, the first included"
    Pipeline "TIME" webhook_timeout [config.webhook.timeout] |t| span(t, 100, 60), show_span;
        "How long one try may take"
    Pipeline "TIME" webhook_backoff_min [config.webhook.backoff_min] |t| span(t, 1, 60), show_span;
        "Wait before the second try; it doubles with every further one"
    Pipeline "TIME" webhook_backoff_max [config.webhook.backoff_max] |t| span(t, 1, 3_600), show_span;
        "The longest wait between two tries"

    Publishing "off|loopback|token" publish [publish] PublishMode::parse, |m: &PublishMode| m.word().to_owned();
        "Who may POST events to /v1/publish"
    Publishing "TOKEN" publish_token [publish_token] |t| Ok(Some(t.to_owned()).filter(|t| !t.is_empty())), |_| String::new();
        "Token that publishers present when publish is token"
    Publishing "TIME" publish_patience [config.publish_patience] |t| span(t, 0, 60), show_span;
        "How long a publish request waits for room in the ring before it gets 429"
    Publishing "TIME" publish_pace_patience [config.publish_pace_patience] |t| span(t, 0, 60), show_span;
        "How long a long publish request waits for a subscriber that stands still"

    Engine "COUNT" shards [config.shards] |t| count(t, 1..=64), ToString::to_string;
        "Threads that write to connections; the default is one per core"
    Engine "adaptive|TIME" coalesce [config.coalesce] text::coalesce, |c| text::show_coalesce(*c);
        "Least time between two sweeps: more saves CPU and costs latency"
    Engine "COUNT" ring_capacity [config.ring_capacity] |t| text::power_of_two(t, 2..=1 << 20).map(to_usize), ToString::to_string;
        "Events that fit into an intake ring"
    Engine "COUNT" log_segments [config.log_segments] |t| text::power_of_two(t, 2..=4_096).map(to_usize), ToString::to_string;
        "Segments of 256 KiB that the log keeps"
    Engine "SIZE" event_bytes_max [config.event_bytes_max] |t| size(t, KIB..=MIB), show_usize_bytes;
        "Longest payload of an event"

    Connections "COUNT|auto" connections_max [config.connections_max] |t| Ok(text::number_or_auto(t, 1..=10_000_000)?.map(to_usize)), |n| text::show_number_or_auto(*n);
        "Connections at most; auto is the limit of file descriptors less 128"
    Connections "COUNT|auto" connections_per_address_max [config.connections_per_address_max] |t| Ok(text::number_or_auto(t, 1..=10_000_000)?.map(to_usize)), |n| text::show_number_or_auto(*n);
        "Connections of one address; auto is no limit on loopback and 256 elsewhere"
    Connections "COUNT" http_streams_max [config.http_streams_max] |t| count(t, 1..=65_536), ToString::to_string;
        "Event streams and polls over HTTP at a time"
    Connections "COUNT" heads_in_progress_max [config.heads_in_progress_max] |t| count(t, 1..=65_536), ToString::to_string;
        "Request heads in progress at a time; further ones wait"
    Connections "TIME" head_timeout [config.head_timeout] |t| span(t, 100, 600), show_span;
        "From accept to the end of a request head"
    Connections "ORIGIN,…" origins [config.origins] |t| Ok(text::words(t)), |o: &Vec<String>| o.join(",");
        "Origins that browsers may come from besides the host itself"
    Connections "HOST,…" allowed_hosts [config.allowed_hosts] |t| Ok(text::words(t)), |h: &Vec<String>| h.join(",");
        "Host names that requests on loopback listeners may name besides localhost"
    Connections "SIZE" send_buffer_bytes [config.send_buffer_bytes] |t| size(t, 4 * KIB..=64 * MIB), show_usize_bytes;
        "Bytes the kernel may hold per connection"
    Connections "SIZE" notsent_lowat_bytes [config.notsent_lowat_bytes] |t| text::bytes(t, KIB..=64 * MIB).map(to_u32), |b| text::show_bytes(u64::from(*b));
        "Unsent bytes in the kernel above which a socket counts as full"

    Clients "TIME" ping_interval [config.ping_interval] |t| span(t, 100, 3_600), show_span;
        "A ping after this time"
    Clients "TIME" silence_max [config.silence_max] |t| span(t, 200, 7_200), show_span;
        "A client that sent nothing for so long, not even a pong, is closed"
    Clients "TIME" heartbeat_interval [config.heartbeat_interval] |t| span(t, 1_000, 3_600), show_span;
        "A v1 client that is up to date is told so after this time"
    Clients "COUNT" snapshots_at_once [config.snapshots_at_once] |t| count(t, 1..=65_536), ToString::to_string;
        "Clients of a shard that are sent a long snapshot at a time; further ones wait"
    Clients "SIZE" lag_bytes_max [config.lag_bytes_max] |t| text::bytes(t, 16 * KIB..=1 << 34), |b| text::show_bytes(*b);
        "Unsent bytes beyond which a client gets a gap"
    Clients "TIME" lag_age_max [config.lag_age_max] |t| span(t, 100, 3_600), show_span;
        "Age of the oldest unsent event beyond which a client gets a gap"
    Clients "TIME" write_stall_max [config.write_stall_max] |t| span(t, 100, 3_600), show_span;
        "A client that takes nothing for so long is evicted"
    Clients "SIZE" message_bytes_max [config.message_bytes_max] |t| size(t, KIB..=64 * MIB), show_usize_bytes;
        "Longest message of a client"
    Clients "SIZE" v1_message_bytes_max [config.v1_message_bytes_max] |t| size(t, KIB..=64 * MIB), show_usize_bytes;
        "Longest message of a v1 client"
    Clients "COUNT" topics_per_connection_max [config.topics_per_connection_max] |t| count(t, 1..=65_536), ToString::to_string;
        "Topics and patterns one client may subscribe to"
    Clients "COUNT" control_rate [config.control_rate] |t| text::number(t, 1..=1_000_000).map(to_u32), ToString::to_string;
        "Messages per second a client may send in the long run"
    Clients "COUNT" control_burst [config.control_burst] |t| text::number(t, 1..=1_000_000).map(to_u32), ToString::to_string;
        "Messages a client may send at once"

    Process "TIME" drain_timeout [config.drain_timeout] |t| span(t, 0, 600), show_span;
        "How long a stopping server lets clients take what is under way"
    Process "FILE" ports_file [ports_file] |t| Ok(file(t)), show_file;
        "Write the addresses listened on to this file, as JSON"
    Process "text|json" log_format [log_format] LogFormat::parse, |f: &LogFormat| f.word().to_owned();
        "Form of the log on stderr"
    Process "LEVEL" log_level [log_level] |t| Ok(t.to_owned()), Clone::clone;
        "error, warn, info, debug, trace, or by module: info,lineage::server=debug"
}

//! The table of options, row by row, and how their values are read and shown.
//!
//! A row is all there is to an option: `Group FORM name [field] reader, shower; "help"`. What the reader takes is its
//! range, and the error names what is allowed.

use super::keys::{Group, Key};
use super::settings::{LogFormat, PublishMode};
use super::text::{self, Allowed};
use super::{Profile, arena_text};
use crate::simulation::EVENTS_PER_S_MAX;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

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

fn permille(text: &str) -> Result<u32, Allowed> {
    text::number(text, 0..=1_000).map(to_u32)
}

/// Transactions per second.
fn tps(text: &str) -> Result<u32, Allowed> {
    text::number(text, 0..=100_000_000).map(to_u32)
}

const HOUR: Duration = Duration::from_secs(3_600);
/// Tasks that a lane of the hub lets wait at most.
const LANE_MAX: u64 = 1 << 20;
/// Workers of a lane at most.
const WORKERS_MAX: u64 = 1_024;
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
        pub(super) const KEYS: &[Key] = &[$(Key {
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
    Listeners "ADDRESS|off" collector_metrics [config.components.collector_metrics] text::address_or_off, |a| text::show_address_or_off(*a);
        "Where metrics and health of the data collector alone are served; usual port 9090"
    Listeners "ADDRESS|off" calculator_metrics [config.components.calculator_metrics] text::address_or_off, |a| text::show_address_or_off(*a);
        "Where metrics and health of the metrics calculator alone are served; usual port 9091"
    Listeners "ADDRESS|off" alerts_metrics [config.components.alerts_metrics] text::address_or_off, |a| text::show_address_or_off(*a);
        "Where metrics and health of the alert engine alone are served; usual port 9092"
    Listeners "ADDRESS|off" gateway_metrics [config.components.gateway_metrics] text::address_or_off, |a| text::show_address_or_off(*a);
        "Where metrics and health of the REST gateway alone are served; usual port 9093"

    Source "SOURCE" source [config.source] text::source, text::show_source;
        "simulation, replay:PATH, replay:FEED=PATH or none; FEED is recognised, or one of binance, coinbase, kraken, kraken-futures, bitmex, okx"
    Source "FACTOR|max" speed [config.speed] |t| t.parse().map_err(|_| "`max` or a factor such as `1x`, `10x`, `0.5x`".to_owned()), ToString::to_string;
        "Pace of a replay; max goes as fast as the slowest subscriber follows"
    Source "START" from [config.passage.start] |t| t.parse().map_err(|_| "a position such as `81234`, a time from the first event such as `+90s`, or a time since 1970 such as `@1723161254.5`".to_owned()), ToString::to_string;
        "Where a replay begins: 81234 (pos; of a foreign feed the n-th frame), +90s, @1723161254.5"
    Source "COUNT|forever" loop [config.passage.repeats] text::repeats, ToString::to_string;
        "How often a replay is played; seq and us go on from one round to the next"
    Source "publish|receive" pace [config.passage.paced_by] text::paced_by, ToString::to_string;
        "What the pace of a replay follows: when events were published first, or when they were recorded"
    Source "NUMBER" seed [config.seed] |t| text::number(t, 0..=u64::MAX), ToString::to_string;
        "Seed of the simulation; the same seed gives the same bytes"
    Source "COUNT" start_at_clients [config.start_at_clients] |t| count(t, 0..=1_000_000), ToString::to_string;
        "Start the source when so many clients have subscribed"
    Source "FEED=MARKET,…" symbol_map [config.symbol_map] text::symbol_map, text::show_symbol_map;
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

    Systems "all|arena|arena-slow|bench|chain|hub|pipeline" profile [profile] Profile::parse, |p: &Profile| p.word().to_owned();
        "Which systems run and how fast; every option that is given wins over it"
    Arena "NAME:MIDDLE:BAND,…" symbols [config.arena.symbols] arena_text::symbols, |s: &Vec<_>| arena_text::show_symbols(s);
        "What is traded: each price stays within BAND of MIDDLE, both in dollars"
    Arena "TIME" market_interval [config.arena.market_interval] |t| text::duration(t, Duration::from_micros(10)..=HOUR), show_span;
        "Time between two prices of a symbol; at least 10us for each symbol"
    Arena "TIME" agent_interval [config.arena.agent_interval] |t| text::duration(t, Duration::from_micros(60)..=HOUR), show_span;
        "Time between two updates of an agent"
    Arena "RATE" flow_per_s [config.arena.flow_per_s] |t| text::number(t, 0..=u64::from(EVENTS_PER_S_MAX)).map(to_u32), ToString::to_string;
        "Trades and quotes of the markets themselves, per second over all symbols"
    Arena "PERMILLE" trade_permille [config.arena.trade_permille] |t| permille(t), ToString::to_string;
        "Updates of a thousand in which an agent trades, unless it rests"
    Arena "DOLLARS" pnl_dollars_min [config.arena.pnl_dollars_min] |t| text::number(t, 0..=1_000_000).map(to_u32), ToString::to_string;
        "Least profit or loss of a trade"
    Arena "DOLLARS" pnl_dollars_max [config.arena.pnl_dollars_max] |t| text::number(t, 0..=1_000_000).map(to_u32), ToString::to_string;
        "Greatest profit or loss of a trade"
    Arena "COUNT" losses_to_rest [config.arena.losses_to_rest] |t| text::number(t, 0..=1_000_000).map(to_u32), ToString::to_string;
        "Losses in a row after which an agent rests; 0: it never does"
    Arena "COUNT" rest_updates [config.arena.rest_updates] |t| text::number(t, 0..=1_000_000).map(to_u32), ToString::to_string;
        "Updates for which an agent rests"
    Arena "COUNT" round_updates [config.arena.round_updates] |t| text::number(t, 0..=1_000_000).map(to_u32), ToString::to_string;
        "Updates of each agent in a round; 0: there are no rounds"
    Arena "true|false" round_capital_reset [config.arena.is_capital_reset] text::switch, ToString::to_string;
        "Whether every round begins with the capital of the start"
    Arena "info|debug" trade_log [config.arena.trade_lines] arena_text::trade_lines, |l| arena_text::show_trade_lines(*l);
        "Level of the log line for each trade"

    Hub "TIME" hub_status_interval [config.hub.status_interval] |t| span(t, 1, 3_600), show_span;
        "Time between two statuses of the hub"
    Hub "COUNT" hub_sessions_max [config.hub.sessions_max] |t| count(t, 1..=65_536), ToString::to_string;
        "Agents at most that have a session"
    Hub "TIME" hub_session_idle [config.hub.session_idle] |t| span(t, 1_000, 86_400), show_span;
        "How long an agent that is not heard of keeps its session"
    Hub "PERMILLE" hub_failure_permille [config.hub.failure_permille] |t| permille(t), ToString::to_string;
        "Attempts of a thousand that fail"
    Hub "COUNT" hub_attempts_max [config.hub.attempts_max] |t| text::number(t, 1..=100).map(to_u32), ToString::to_string;
        "Attempts after which a task is given up"
    Hub "COUNT" hub_research_capacity [config.hub.lanes.research.capacity] |t| count(t, 1..=LANE_MAX), ToString::to_string;
        "Research tasks that wait at most"
    Hub "COUNT" hub_research_workers [config.hub.lanes.research.workers] |t| count(t, 1..=WORKERS_MAX), ToString::to_string;
        "Research tasks worked at the same time"
    Hub "COUNT" hub_trading_capacity [config.hub.lanes.trading.capacity] |t| count(t, 1..=LANE_MAX), ToString::to_string;
        "Trading tasks that wait at most"
    Hub "COUNT" hub_trading_workers [config.hub.lanes.trading.workers] |t| count(t, 1..=WORKERS_MAX), ToString::to_string;
        "Trading tasks worked at the same time"
    Hub "COUNT" hub_risk_capacity [config.hub.lanes.risk.capacity] |t| count(t, 1..=LANE_MAX), ToString::to_string;
        "Risk tasks that wait at most"
    Hub "COUNT" hub_risk_workers [config.hub.lanes.risk.workers] |t| count(t, 1..=WORKERS_MAX), ToString::to_string;
        "Risk tasks worked at the same time"

    Chain "TIME" chain_tps_interval [config.chain.tps_interval] |t| span(t, 100, 60), show_span;
        "Time between two updates of the transaction rate"
    Chain "TIME" chain_block_interval [config.chain.block_interval] |t| span(t, 100, 60), show_span;
        "Time between two blocks"
    Chain "TIME" chain_network_interval [config.chain.network_interval] |t| span(t, 100, 60), show_span;
        "Time between two updates of the nodes"
    Chain "TIME" chain_validator_interval [config.chain.validator_interval] |t| span(t, 100, 60), show_span;
        "Time between two updates of the validators"
    Chain "RATE" chain_load_tps [config.chain.load_tps] |t| tps(t), ToString::to_string;
        "Mean of the synthetic load, in transactions per second"
    Chain "RATE" chain_load_spread_tps [config.chain.load_spread_tps] |t| tps(t), ToString::to_string;
        "How far the load walks away from its mean, at most the mean"
    Chain "RATE" chain_tps_max [config.chain.tps_max] |t| tps(t), ToString::to_string;
        "Transactions per second that the network takes in; what waits too long is rejected"
    Chain "RATE" chain_node_tps_max [config.chain.node_tps_max] |t| tps(t), ToString::to_string;
        "Transactions per second that one node carries"

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

    Store "FILE" store_path [config.store.path] |t| Ok(PathBuf::from(t)), |f: &PathBuf| f.display().to_string();
        "Keep candles, alerts and the arena's history in this SQLite file; none keeps nothing"
    Store "checkpoint|batch" store_fsync [config.store.fsync] |t| t.parse().map_err(str::to_owned), ToString::to_string;
        "When the disk is waited for: batch loses nothing stored even when the power fails"
    Store "COUNT" store_batch_rows [config.store.batch_rows] |t| count(t, 1..=100_000), ToString::to_string;
        "Rows of one transaction at most"
    Store "TIME" store_batch_wait [config.store.batch_wait] |t| span(t, 0, 60), show_span;
        "How long the first row of a batch waits for others"
    Store "COUNT" store_queue_rows [config.store.queue_rows] |t| count(t, 1..=1_000_000), ToString::to_string;
        "Rows that wait for the disk at most; further ones are dropped and counted"
    Store "SIZE" store_file_bytes_max [config.store.file_bytes_max] |t| text::bytes(t, MIB..=1 << 44), |b| text::show_bytes(*b);
        "Size of the file at most; beyond it nothing more is stored"

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

//! Values of options as text: read with a range, shown as they are written.
//!
//! Whatever `show_*` gives, its reader takes back unchanged. A refusal says what is allowed, as the rest of the
//! sentence "… is not".

use crate::shard::Coalesce;
use crate::source::replay::{self, PacedBy, Repeats};
use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::SourceChoice;

/// What is allowed, for a message.
pub(super) type Allowed = String;

/// A whole number within `range`; `_` may separate groups of digits.
pub(super) fn number(text: &str, range: RangeInclusive<u64>) -> Result<u64, Allowed> {
    let digits = text.replace('_', "");
    let number = if digits.starts_with('+') { None } else { digits.parse().ok() };
    number.filter(|number| range.contains(number)).ok_or_else(|| {
        if *range.end() == u64::MAX {
            format!("a whole number of at least {}", range.start())
        } else {
            format!("a whole number from {} to {}", range.start(), range.end())
        }
    })
}

/// `true` or `false`.
pub(super) fn switch(text: &str) -> Result<bool, Allowed> {
    text.parse().map_err(|_| "`true` or `false`".to_owned())
}

/// As [`number`], and a power of two.
pub(super) fn power_of_two(text: &str, range: RangeInclusive<u64>) -> Result<u64, Allowed> {
    let allowed = format!("a power of two from {} to {}", range.start(), range.end());
    number(text, range).ok().filter(|number| number.is_power_of_two()).ok_or(allowed)
}

/// A number of bytes, as `16384`, `16KiB` or `1MiB`, within `range`.
pub(super) fn bytes(text: &str, range: RangeInclusive<u64>) -> Result<u64, Allowed> {
    let factors = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1), ("", 1)];
    let parsed = factors.iter().find_map(|(suffix, factor)| {
        let whole = number(text.strip_suffix(suffix)?.trim_end(), 0..=u64::MAX).ok()?;
        whole.checked_mul(*factor)
    });
    parsed.filter(|bytes| range.contains(bytes)).ok_or_else(|| {
        let (low, high) = (show_bytes(*range.start()), show_bytes(*range.end()));
        format!("a size from {low} to {high}, such as `64KiB`")
    })
}

/// Bytes in the largest unit that shows them exactly.
pub(super) fn show_bytes(bytes: u64) -> String {
    match bytes {
        _ if bytes > 0 && bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ if bytes > 0 && bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        _ => bytes.to_string(),
    }
}

/// A time span with its unit, as `250ms`, `20s` or `2m`, within `range`.
pub(super) fn duration(text: &str, range: RangeInclusive<Duration>) -> Result<Duration, Allowed> {
    let units_us = [("us", 1), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000)];
    let parsed = units_us.iter().find_map(|(suffix, us)| {
        let whole = number(text.strip_suffix(suffix)?.trim_end(), 0..=u64::MAX).ok()?;
        whole.checked_mul(*us).map(Duration::from_micros)
    });
    parsed.filter(|span| range.contains(span)).ok_or_else(|| {
        let (low, high) = (show_duration(*range.start()), show_duration(*range.end()));
        format!("a time from {low} to {high} with its unit, such as `500ms` or `20s`")
    })
}

/// A time span in the largest unit that shows it exactly.
pub(super) fn show_duration(span: Duration) -> String {
    let us = span.as_micros();
    match us {
        _ if us > 0 && us.is_multiple_of(1_000_000) => format!("{}s", us / 1_000_000),
        _ if us.is_multiple_of(1_000) => format!("{}ms", us / 1_000),
        _ => format!("{us}us"),
    }
}

/// `host:port`, `:port` or `port`; without a host it is 127.0.0.1, so that nothing opens to the network unasked.
/// A host name is looked up; of its addresses the IPv4 one is taken if there is one.
pub(super) fn address(text: &str) -> Result<SocketAddr, Allowed> {
    let allowed =
        || "an address such as `127.0.0.1:9001`, `0.0.0.0:9001`, `[::1]:9001` or `9001`".to_owned();
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let port: u16 =
        if port.starts_with('+') { None } else { port.parse().ok() }.ok_or_else(allowed)?;
    let host = match host {
        "" | "localhost" => "127.0.0.1",
        named => named,
    };
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(|_| allowed())?.collect();
    found.iter().find(|found| found.is_ipv4()).or(found.first()).copied().ok_or_else(allowed)
}

/// An address as in [`address`], or `off`.
pub(super) fn address_or_off(text: &str) -> Result<Option<SocketAddr>, Allowed> {
    if text == "off" {
        return Ok(None);
    }
    address(text).map(Some).map_err(|allowed| format!("{allowed}, nor `off`"))
}

pub(super) fn show_address_or_off(address: Option<SocketAddr>) -> String {
    address.map_or_else(|| "off".to_owned(), |address| address.to_string())
}

/// A whole number, or `auto` for what depends on the machine.
pub(super) fn number_or_auto(
    text: &str,
    range: RangeInclusive<u64>,
) -> Result<Option<u64>, Allowed> {
    if text == "auto" {
        return Ok(None);
    }
    number(text, range).map(Some).map_err(|allowed| format!("{allowed}, nor `auto`"))
}

pub(super) fn show_number_or_auto(number: Option<usize>) -> String {
    number.map_or_else(|| "auto".to_owned(), |number| number.to_string())
}

/// Words separated by commas; spaces around them do not count, nor do empty ones.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Symbols that a map may hold.
const SYMBOLS_MAX: usize = 1_024;
/// Longest symbol in a map.
const SYMBOL_BYTES_MAX: usize = 64;

/// `FEED=MARKET` pairs separated by commas: symbols of a feed, and the markets they are. Empty: none.
pub(super) fn symbol_map(text: &str) -> Result<BTreeMap<String, String>, Allowed> {
    let is_symbol = |symbol: &str| {
        let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        (1..=SYMBOL_BYTES_MAX).contains(&symbol.len()) && symbol.bytes().all(is_allowed)
    };
    let allowed = || {
        format!(
            "up to {SYMBOLS_MAX} pairs such as `BTCUSDT=BTC-USD`, separated by commas, each symbol once and of 1 to \
             {SYMBOL_BYTES_MAX} characters of A-Z a-z 0-9 . _ -"
        )
    };
    let mut symbols = BTreeMap::new();
    for pair in words(text) {
        let (feed, market) = pair.split_once('=').ok_or_else(allowed)?;
        let (feed, market) = (feed.trim().to_ascii_uppercase(), market.trim());
        let is_good = is_symbol(&feed) && is_symbol(market) && symbols.len() < SYMBOLS_MAX;
        if !is_good || symbols.insert(feed, market.to_owned()).is_some() {
            return Err(allowed());
        }
    }
    Ok(symbols)
}

pub(super) fn show_symbol_map(symbols: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> =
        symbols.iter().map(|(feed, market)| format!("{feed}={market}")).collect();
    pairs.join(",")
}

/// `adaptive`, or a time.
pub(super) fn coalesce(text: &str) -> Result<Coalesce, Allowed> {
    if text == "adaptive" {
        return Ok(Coalesce::Adaptive);
    }
    duration(text, Duration::from_millis(1)..=Duration::from_millis(20))
        .map(Coalesce::Every)
        .map_err(|_| "`adaptive` or a time from 1ms to 20ms".to_owned())
}

pub(super) fn show_coalesce(coalesce: Coalesce) -> String {
    match coalesce {
        Coalesce::Adaptive => "adaptive".to_owned(),
        Coalesce::Every(span) => show_duration(span),
    }
}

/// A number of rounds, or `forever`.
pub(super) fn repeats(text: &str) -> Result<Repeats, Allowed> {
    if text == "forever" {
        return Ok(Repeats::Forever);
    }
    let times = number(text, 1..=u64::MAX).map(Repeats::Times);
    times.map_err(|allowed| format!("{allowed}, nor `forever`"))
}

/// `publish` or `receive`.
pub(super) fn paced_by(text: &str) -> Result<PacedBy, Allowed> {
    match text {
        "publish" => Ok(PacedBy::PublishTime),
        "receive" => Ok(PacedBy::ReceiveTime),
        _ => Err("`publish` or `receive`".to_owned()),
    }
}

/// `none`, `simulation`, `replay:PATH` or `replay:FEED=PATH`.
pub(super) fn source(text: &str) -> Result<SourceChoice, Allowed> {
    match text.split_once(':') {
        None if text == "none" => Ok(SourceChoice::None),
        None if text == "simulation" => Ok(SourceChoice::Simulation),
        Some(("replay", spec)) => replay::Options::from_spec(spec, replay::Speed::default())
            .map(|replay| SourceChoice::Replay { path: replay.path, feed: replay.feed })
            .map_err(|error| format!("a recording that can be named: {error}")),
        _ => Err("`simulation`, `replay:PATH`, `replay:FEED=PATH` or `none`".to_owned()),
    }
}

pub(super) fn show_source(source: &SourceChoice) -> String {
    match source {
        SourceChoice::None => "none".to_owned(),
        SourceChoice::Simulation => "simulation".to_owned(),
        SourceChoice::Replay { path, feed: Some(feed) } => {
            format!("replay:{feed}={}", path.display())
        }
        // A word before `=` would be read as a feed.
        SourceChoice::Replay { path, feed: None } if path.is_relative() => {
            format!("replay:./{}", path.strip_prefix(".").unwrap_or(path).display())
        }
        SourceChoice::Replay { path, feed: None } => format!("replay:{}", path.display()),
    }
}

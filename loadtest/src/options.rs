//! The command line, checked once; inner code takes the checked form.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// The most clients of both kinds together.
pub const CLIENTS_MAX: u64 = 200_000;

/// Connects WebSocket clients, counts what arrives and checks its order.
///
/// Exit code: 0 all is well, 1 something unforeseen, 2 wrong arguments, 69 cannot connect, 99 a check failed.
#[derive(Debug, Clone, Parser)]
#[command(name = "loadtest", version)]
pub struct Arguments {
    /// Where to connect; with the path /v1 the order of every topic is checked, elsewhere messages are counted.
    #[arg(long, default_value = "ws://127.0.0.1:9001/v1")]
    pub url: String,
    /// Topic or pattern to subscribe to (v1 only; may be repeated or take several).
    #[arg(long, value_name = "TOPIC", num_args = 1..)]
    pub subscribe: Vec<String>,
    /// How many clients (suffixes k and m).
    #[arg(short = 'c', long, default_value = "1", value_parser = count)]
    pub clients: u64,
    /// How long to listen once everybody is connected (ms, s, m, h).
    #[arg(short = 'z', long, default_value = "10s", value_parser = duration)]
    pub duration: Duration,
    /// Listen this long first, before the duration begins (what arrives counts).
    #[arg(long, default_value = "0s", value_parser = duration)]
    pub settle: Duration,
    /// Connections started per second (default: as fast as they are accepted).
    #[arg(long, value_name = "PER_SECOND", value_parser = count)]
    pub connect_rate: Option<u64>,
    /// Further clients that subscribe and then never read; judged apart.
    #[arg(long, default_value = "0", value_parser = count)]
    pub stalled: u64,
    /// Fail unless all clients together got at least this many events.
    #[arg(long, value_name = "N", value_parser = count)]
    pub expect_events: Option<u64>,
    /// End as soon as every client got this many events; fail if the duration ends before.
    #[arg(long, value_name = "N", value_parser = count)]
    pub expect_each: Option<u64>,
    /// Write the report as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print the report as one JSON line after the table.
    #[arg(long)]
    pub json: bool,
}

/// What a run needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server's address.
    pub address: SocketAddr,
    /// `host:port`, for the request.
    pub host: String,
    /// Path and query, starting with `/`.
    pub path: String,
    /// What to subscribe to; empty: messages are only counted.
    pub topics: Vec<String>,
    /// Clients that read, at least 1.
    pub clients: usize,
    /// Clients that do not.
    pub stalled: usize,
    /// How long to listen.
    pub duration: Duration,
    /// How long to listen before that.
    pub settle: Duration,
    /// Connections started per second.
    pub connect_rate: Option<u64>,
    /// Events that all clients together must have got.
    pub expect_events: Option<u64>,
    /// Events after which each client is done.
    pub expect_each: Option<u64>,
}

impl Arguments {
    /// The checked form; resolves the host's name.
    ///
    /// # Errors
    /// What is wrong, as a sentence.
    pub fn checked(&self) -> Result<Options, String> {
        let rest = self
            .url
            .strip_prefix("ws://")
            .ok_or_else(|| format!("{:?} is not a ws:// URL", self.url))?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let host = if authority.rsplit(']').next().is_some_and(|tail| tail.contains(':')) {
            authority.to_owned()
        } else {
            format!("{authority}:80")
        };
        let addresses =
            host.to_socket_addrs().map_err(|error| format!("cannot resolve {host:?}: {error}"))?;
        let address =
            addresses.into_iter().next().ok_or_else(|| format!("{host:?} has no address"))?;
        let is_v1 = path.split('?').next() == Some("/v1");
        if is_v1 && self.subscribe.is_empty() {
            return Err("a client of /v1 gets nothing without --subscribe TOPIC".to_owned());
        }
        if !is_v1 && !self.subscribe.is_empty() {
            return Err(format!("--subscribe needs a /v1 URL, not {path:?}"));
        }
        if self.clients == 0 || self.clients.saturating_add(self.stalled) > CLIENTS_MAX {
            return Err(format!(
                "1 to {CLIENTS_MAX} clients, not {} and {} stalled",
                self.clients, self.stalled
            ));
        }
        if self.connect_rate == Some(0) {
            return Err("at a connect rate of 0 nobody ever connects".to_owned());
        }
        let small = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        Ok(Options {
            address,
            host,
            path: path.to_owned(),
            topics: self.subscribe.clone(),
            clients: small(self.clients),
            stalled: small(self.stalled),
            duration: self.duration,
            settle: self.settle,
            connect_rate: self.connect_rate,
            expect_events: self.expect_events,
            expect_each: self.expect_each,
        })
    }
}

/// `250`, `10k`, `2m`.
fn count(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 1_000),
        Some(b'm') => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    whole(digits)
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| format!("{text:?} is not a count such as 250, 10k or 2m"))
}

/// `500ms`, `30s`, `5m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit_at);
    let unit_ms = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let ms = whole(digits).zip(unit_ms).and_then(|(number, unit_ms)| number.checked_mul(unit_ms));
    ms.filter(|ms| *ms <= 30 * 24 * 3_600_000).map(Duration::from_millis).ok_or_else(|| {
        format!("{text:?} is not a duration such as 500ms, 30s, 5m or 1h, at most 30 days")
    })
}

/// Digits only: no signs.
fn whole(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(line: &str) -> Result<Options, String> {
        let words = std::iter::once("loadtest").chain(line.split_whitespace());
        Arguments::try_parse_from(words).map_err(|error| error.to_string())?.checked()
    }

    #[test]
    fn counts_and_durations_take_the_usual_suffixes() {
        assert_eq!([count("7"), count("10k"), count("2m")], [Ok(7), Ok(10_000), Ok(2_000_000)]);
        for (text, ms) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("720h", 2_592_000_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)));
        }
        for bad in ["", "k", "-1", "+1", "1.5k", "10K", "18446744073709551615k"] {
            assert!(count(bad).is_err(), "{bad}");
        }
        for bad in ["", "s", "30", "-1s", "1.5s", "30 s", "721h", "99999999999999999999s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_url_gives_address_host_and_path() {
        let options =
            checked("--url ws://127.0.0.1:9001/v1?x=1 --subscribe a:b c:* -c 10k -z 30s").unwrap();
        assert_eq!((options.host.as_str(), options.path.as_str()), ("127.0.0.1:9001", "/v1?x=1"));
        assert_eq!((options.topics.len(), options.clients), (2, 10_000));
        assert_eq!(options.duration, Duration::from_secs(30));
        let options = checked("--url ws://[::1]").unwrap();
        assert_eq!((options.host.as_str(), options.path.as_str()), ("[::1]:80", "/"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [
            "--url http://127.0.0.1:1/",
            "--url ws://127.0.0.1:1/v1",
            "--url ws://127.0.0.1:1/ --subscribe a",
            "--url ws://127.0.0.1:x/",
            "--url ws://127.0.0.1:1/ -c 0",
            "--url ws://127.0.0.1:1/ -c 200001",
            "--url ws://127.0.0.1:1/ -c 199999 --stalled 2",
            "--url ws://127.0.0.1:1/ --connect-rate 0",
        ] {
            assert!(checked(bad).is_err(), "{bad}");
        }
        assert!(checked("--url ws://127.0.0.1:1/ -c 199999 --stalled 1").is_ok());
    }
}

//! What can be asked for: the same names on the command line and in a scenario file.
//!
//! `Settings` holds what was said, each value optional; the command line is laid over the scenario, and
//! [`crate::plan::Plan`] is what comes out, checked.

mod template;
mod units;

pub use template::{TOPICS_MAX, Template};
pub use units::{Bytes, Count, Rate, Share, Time, Word};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::wire::fields::TimeUnit;

/// How messages are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Lineage's protocol at /v1: subscribe, ack, seq per topic, gaps.
    V1,
    /// Lineage's legacy firehose at /: messages are counted.
    Firehose,
    /// The ledger stream at /api/v11/live/stream: messages are counted.
    Chain,
    /// The hub's status at /ws: messages are counted.
    Hub,
    /// Any other server: time stamp, sequence and topic by the names of their fields.
    Raw,
}

/// How events are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// Not by this program.
    None,
    /// Over `POST /v1/publish`.
    Http,
}

/// Everything that a scenario can say and the command line can override.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// Where to connect; repeat it to spread the clients over several servers [default: ws://127.0.0.1:9001 and the preset's path].
    #[arg(long, value_name = "WS_URL", help_heading = "Clients")]
    pub url: Vec<String>,
    /// How messages are read [default: by the URL's path].
    #[arg(long, value_name = "PRESET", help_heading = "Clients")]
    pub preset: Option<Preset>,
    /// How many clients: 250, 10k [default: 1].
    #[arg(short = 'c', long, value_name = "COUNT", help_heading = "Clients")]
    pub clients: Option<Count>,
    /// Topics of each client (v1), with placeholders: {i} its number, {i%32}, {0..100} each, {20/5000} its own 20 of 5,000.
    #[arg(long, value_name = "TOPIC", num_args = 1.., help_heading = "Clients")]
    pub subscribe: Vec<String>,
    /// Text that each client sends once connected (raw and other servers), with the placeholder {i}.
    #[arg(long, value_name = "TEXT", help_heading = "Clients")]
    pub message: Option<String>,
    /// Whether to ask for the last values first (v1) [default: the server's].
    #[arg(long, value_name = "BOOL", help_heading = "Clients")]
    pub snapshot: Option<bool>,
    /// Connections started per second [default: as fast as they are accepted].
    #[arg(long, value_name = "RATE", help_heading = "Clients")]
    pub connect_rate: Option<Rate>,
    /// Processes that hold the clients: a number, or auto for as many as the descriptor limit demands [default: auto].
    #[arg(long, value_name = "COUNT|auto", help_heading = "Clients")]
    pub workers: Option<Word>,
    /// How long to measure: 500ms, 30s, 5m [default: 10s].
    #[arg(short = 'z', long, value_name = "TIME", help_heading = "Time")]
    pub duration: Option<Time>,
    /// How long to run before that: what arrives is proved, but not measured [default: 0s; 1s with a rate].
    #[arg(long, value_name = "TIME", help_heading = "Time")]
    pub settle: Option<Time>,
    /// How long to wait at the end for what is still on its way [default: 5s].
    #[arg(long, value_name = "TIME", help_heading = "Time")]
    pub drain: Option<Time>,
    /// Whether and how this program publishes [default: http when a rate or a shape is given].
    #[arg(long, value_name = "VIA", help_heading = "Publishing")]
    pub publish: Option<Via>,
    /// Events per second, on average.
    #[arg(short = 'q', long, value_name = "RATE", help_heading = "Publishing")]
    pub rate: Option<Rate>,
    /// When events are due: constant, burst:N, recorded (like a market), replay:FILE [default: constant].
    #[arg(long, value_name = "SHAPE", help_heading = "Publishing")]
    pub shape: Option<String>,
    /// Bytes of a payload, or recorded for the sizes of a market [default: 256].
    #[arg(long, value_name = "SIZE", help_heading = "Publishing")]
    pub size: Option<Word>,
    /// Topics to publish to, with {0..100} [default: those subscribed to].
    #[arg(long, value_name = "TOPIC", num_args = 1.., help_heading = "Publishing")]
    pub topic: Vec<String>,
    /// Where to publish, one for each --url [default: port 8000 of the same host, /v1/publish].
    #[arg(long, value_name = "HTTP_URL", help_heading = "Publishing")]
    pub publish_url: Vec<String>,
    /// Token of the publish API.
    #[arg(
        long,
        value_name = "TOKEN",
        env = "LINEAGE_TOKEN",
        hide_env_values = true,
        help_heading = "Publishing"
    )]
    pub token: Option<String>,
    /// Publish with a checksum, and check it at every client.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = "Publishing")]
    pub checksum: Option<bool>,
    /// The same seed gives the same schedule [default: 1].
    #[arg(long, value_name = "NUMBER", help_heading = "Publishing")]
    pub seed: Option<u64>,
    /// Start a server with `lineage serve` where none answers [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = "Publishing")]
    pub spawn: Option<bool>,
    /// Field that says when an event was due or published [default: ts].
    #[arg(long, value_name = "NAME", help_heading = "Fields of messages")]
    pub time_field: Option<String>,
    /// Unit of the time fields [default: ns].
    #[arg(long, value_name = "UNIT", help_heading = "Fields of messages")]
    pub time_unit: Option<TimeUnit>,
    /// Field that says when an event was published, where the time field says when it was due.
    #[arg(long, value_name = "NAME", help_heading = "Fields of messages")]
    pub sent_field: Option<String>,
    /// Field with a number that grows by one (raw): order and loss are proved with it.
    #[arg(long, value_name = "NAME", help_heading = "Fields of messages")]
    pub seq_field: Option<String>,
    /// Field that the numbers count within (raw) [default: the whole stream].
    #[arg(long, value_name = "NAME", help_heading = "Fields of messages")]
    pub topic_field: Option<String>,
    /// Clients that read slowly: 1%@64KiB/s. They may get gaps, but nothing may be lost in silence.
    #[arg(long, value_name = "SHARE@BYTES/s", help_heading = "Faults (judged apart)")]
    pub slow: Option<String>,
    /// Clients that never read: 0.5%, 10.
    #[arg(long, value_name = "SHARE", help_heading = "Faults (judged apart)")]
    pub stall: Option<Share>,
    /// Connections reset per second; they come back at once.
    #[arg(long, value_name = "RATE", help_heading = "Faults (judged apart)")]
    pub rst: Option<Rate>,
    /// Clients that leave per second and come back: 1%/s, 5/s.
    #[arg(long, value_name = "SHARE/s", help_heading = "Faults (judged apart)")]
    pub churn: Option<Word>,
    /// Further connections that never finish their request.
    #[arg(long, value_name = "COUNT", help_heading = "Faults (judged apart)")]
    pub half_open: Option<Count>,
    /// Resets this share of the clients at that time of the measurement, and lets them all come back: 50%@10s.
    #[arg(long, value_name = "SHARE@TIME", help_heading = "Faults (judged apart)")]
    pub storm: Option<String>,
    /// Clients that come back ask for what they missed.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = "Faults (judged apart)")]
    pub resume: Option<bool>,
    /// Fail when this is true: 'p99>50ms', 'lost>0', 'p99>+10%' against --baseline (repeatable).
    #[arg(long, value_name = "EXPRESSION", help_heading = "Verdict")]
    pub fail_if: Vec<String>,
    /// Fail unless all clients together got at least so many events.
    #[arg(long, value_name = "COUNT", help_heading = "Verdict")]
    pub expect_events: Option<Count>,
    /// End as soon as every client got so many events; fail if the time is over before.
    #[arg(long, value_name = "COUNT", help_heading = "Verdict")]
    pub expect_each: Option<Count>,
}

/// What was said above, else what was said below.
macro_rules! over {
    ($above:ident, $below:ident; $($value:ident)*; $($list:ident)*) => {
        Self {
            $($value: $above.$value.or($below.$value),)*
            $($list: if $above.$list.is_empty() { $below.$list } else { $above.$list },)*
        }
    };
}

impl Settings {
    /// These settings, and those of `below` where these say nothing.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        over!(self, below;
            preset clients message snapshot connect_rate workers duration settle drain publish rate shape size token
            checksum seed spawn time_field time_unit sent_field seq_field topic_field slow stall rst churn half_open
            storm resume expect_events expect_each;
            url subscribe topic publish_url fail_if)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_settings_win_and_the_lower_ones_fill_in() {
        let below: Settings =
            toml::from_str("clients = \"10k\"\nrate = 5\nfail-if = [\"lost>0\"]\nurl = [\"a\"]")
                .unwrap();
        let above: Settings = toml::from_str("rate = \"2k\"\nurl = [\"b\", \"c\"]").unwrap();
        let both = above.over(below);
        assert_eq!((both.clients, both.rate), (Some(Count(10_000)), Some(Rate(2e3))));
        assert_eq!((both.url.len(), both.fail_if.len()), (2, 1));
    }

    #[test]
    fn an_unknown_or_bad_value_is_named() {
        let unknown = toml::from_str::<Settings>("clinets = 3").unwrap_err().to_string();
        assert!(unknown.contains("clinets"), "{unknown}");
        let bad = toml::from_str::<Settings>("duration = \"3 weeks\"").unwrap_err().to_string();
        assert!(bad.contains("3 weeks") && bad.contains("30s"), "{bad}");
    }
}

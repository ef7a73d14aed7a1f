//! The numbers of a result, in the order in which `result.json` holds them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Environment;
use crate::measure::{Group, Part};
use crate::publish::Published;

/// A whole result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// [`super::SCHEMA`].
    pub schema: String,
    /// Where and how it ran.
    pub environment: Environment,
    /// Clients, judged strictly and not.
    pub clients: Clients,
    /// Events at the strictly judged clients.
    pub events: Events,
    /// Events at the clients with a fault of their own.
    pub faulty_events: Events,
    /// Per second of the measured time.
    pub rates: Rates,
    /// Absent where it cannot be measured honestly (see `latency_note`).
    pub latency_us: Option<LatencyUs>,
    /// Why there is no latency.
    pub latency_note: Option<String>,
    /// From starting to connect to the 101, microseconds.
    pub connect_us: Quantiles,
    /// Between the first and the last client that had the same event, of the sampled events.
    pub skew_us: Skew,
    /// Each second, from the first connection to the end.
    pub per_second: Vec<SecondLine>,
    /// What the generator itself had to bear.
    pub generator: Generator,
    /// The first faults in words: client, topic, seq; then the publisher's.
    pub faults: Vec<String>,
    /// The judgement.
    pub verdict: Verdict,
    /// The sums that all the above was worked out from.
    pub detail: Part,
    /// What the publisher did, where the tool published.
    pub published: Option<Published>,
}

/// Clients.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Clients {
    /// All kinds together: how many there should be.
    pub asked: u64,
    /// How many came to life.
    pub connected: u64,
    /// How many did not.
    pub failed: u64,
    /// How many of those connected the server closed before the end.
    pub closed: u64,
    /// The strictly judged ones.
    pub strict: Group,
    /// The others, by their fault.
    pub faulty: BTreeMap<String, Group>,
}

/// Events.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Events {
    /// Events that were published, where the tool knows.
    pub published: Option<u64>,
    /// Deliveries that were due to the clients.
    pub expected: u64,
    /// Deliveries.
    pub delivered: u64,
    /// Never came, though nothing said so.
    pub lost: u64,
    /// Came again.
    pub duplicated: u64,
    /// Came after a later one.
    pub reordered: u64,
    /// Gap messages.
    pub announced_gaps: u64,
    /// Events in them.
    pub gap_events: u64,
    /// Payloads with a wrong checksum.
    pub corrupt: u64,
    /// Messages that break the protocol.
    pub breaches: u64,
    /// Snapshots that came.
    pub snapshots: u64,
    /// Reconnects that were answered with the events missed.
    pub recovered: u64,
    /// Events without a time stamp.
    pub untimed: u64,
    /// Events with a time stamp in the future.
    pub from_the_future: u64,
}

/// Rates over the measured time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// The measured time, seconds.
    pub measured_s: f64,
    /// Events published per second, where the tool knows.
    pub published_per_s: Option<f64>,
    /// Deliveries per second, over the strictly judged clients.
    pub delivered_per_s: f64,
    /// Bytes per second, over all clients that read.
    pub bytes_per_s: f64,
    /// Messages per read: how much the server put together.
    pub messages_per_read: f64,
    /// Deliveries at the client that got fewest.
    pub per_client_min: u64,
    /// Deliveries at the median client.
    pub per_client_p50: u64,
    /// Deliveries at the client that got most.
    pub per_client_max: u64,
    /// Jain's index of the deliveries per client: 1 all the same, 1/n one has everything.
    pub fairness: f64,
}

/// Latency, microseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyUs {
    /// From the time the event was due: what a user feels, and free of coordinated omission. Absent where the server
    /// does not say when events were due.
    pub scheduled: Option<Quantiles>,
    /// From the time it was published.
    pub actual: Option<Quantiles>,
    /// How much later than due events were published (the difference's source), where the tool publishes.
    pub publish_delay: Option<Quantiles>,
}

/// Quantiles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many values.
    pub count: u64,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: u64,
    /// 90 %.
    pub p90: u64,
    /// 99 %.
    pub p99: u64,
    /// 99.9 %; absent below 1,000 values.
    pub p99_9: Option<u64>,
    /// 99.99 %; absent below 10,000 values.
    pub p99_99: Option<u64>,
    /// The largest.
    pub max: u64,
}

/// Skew between clients.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Skew {
    /// Events that were sampled (and had by more than one client).
    pub events: u64,
    /// Of last arrival less first arrival, microseconds.
    pub last_less_first: Quantiles,
}

/// One second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SecondLine {
    /// Seconds since the first one.
    pub at_s: u64,
    /// Deliveries in it.
    pub delivered: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// Clients connected at its end.
    pub connected: u64,
    /// Latency from due, median; this and the next three are 0 in a second without latency.
    pub p50_us: u64,
    /// 99 %.
    pub p99_us: u64,
    /// 99.9 %.
    pub p99_9_us: u64,
    /// The largest.
    pub max_us: u64,
}

/// The generator's own effort.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// Processes with clients.
    pub workers: u64,
    /// CPU time of clients and publisher in the measured time, seconds.
    pub cpu_s: f64,
    /// CPU time of the clients per delivery, microseconds.
    pub cpu_us_per_delivery: f64,
    /// The busiest client thread, as a share of a core.
    pub busiest: f64,
    /// How long an arrival can have waited within the generator, microseconds.
    pub loop_delay_us: Quantiles,
    /// User memory per client, bytes.
    pub bytes_per_client: u64,
    /// The publisher's own effort, where the tool published.
    pub publisher: Option<PublisherEffort>,
    /// Whether the generator was the bottleneck: then no capacity claim is made.
    pub limited: bool,
    /// Why it was.
    pub limits: Vec<String>,
}

/// The publisher's effort.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PublisherEffort {
    /// Events that were due.
    pub due: u64,
    /// Events that could not be sent before the end.
    pub dropped: u64,
    /// Events that the server rejected.
    pub rejected: u64,
    /// CPU time, seconds.
    pub cpu_s: f64,
}

/// The judgement.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether every check passed.
    pub pass: bool,
    /// The process's exit code.
    pub exit_code: u8,
    /// Whether the run was ended before its time.
    pub interrupted: bool,
    /// Each check.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was asked, such as `lost == 0` or `p99 > 50ms`.
    pub name: String,
    /// What it was, with its unit.
    pub value: String,
    /// Whether it is well.
    pub pass: bool,
}

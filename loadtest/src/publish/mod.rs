//! The publisher: a schedule that is known beforehand and never waits, sent over `POST /v1/publish`.
//!
//! `shape` decides when events are due and how large they are · `payload` writes one · `http` sends them ·
//! `spawn` starts a server where none answers.

mod answers;
mod http;
mod payload;
mod recorded;
mod shape;
mod spawn;

pub use http::{Publisher, start};
pub use payload::{PayloadWriter, checksum_ok};
pub use shape::{Due, Schedule};
pub use spawn::{Server, is_answering, lineage};

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::measure::Hist;

/// When events are due.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Evenly, at this many per second.
    Constant {
        /// Events per second, above 0.
        rate: f64,
    },
    /// Evenly spaced bursts of `burst` events, at `rate` events per second on average.
    Burst {
        /// Events per second, above 0.
        rate: f64,
        /// Events that are due at the same time.
        burst: u64,
    },
    /// Like the recorded market: its quiet and its worst moments. `rate`: scaled to this mean; none: as recorded.
    Recorded {
        /// Mean events per second.
        rate: Option<f64>,
    },
    /// At the receive times of a recording (lines of `<ns since epoch> <anything>`, plain or gzip).
    Replay {
        /// The file.
        path: std::path::PathBuf,
        /// Faster (above 1) or slower.
        speed: f64,
    },
}

/// How large payloads are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Size {
    /// All of that many bytes.
    Bytes(usize),
    /// From the recorded distribution (or the recording's own line lengths with [`Shape::Replay`]).
    Recorded,
}

/// What is to be published.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishPlan {
    /// `host:port` of the publish API.
    pub host: String,
    /// Path of the publish API.
    pub path: String,
    /// A bearer token.
    pub token: Option<String>,
    /// Topics, at least one; each event takes the next pseudo-random one.
    pub topics: Vec<String>,
    /// When.
    pub shape: Shape,
    /// How large.
    pub size: Size,
    /// Whether payloads end with a checksum.
    pub has_checksum: bool,
    /// How long.
    pub duration: Duration,
    /// The same seed gives the same schedule, topics and sizes.
    pub seed: u64,
}

/// What was published.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// Events that the server accepted.
    pub accepted: u64,
    /// Events that it rejected.
    pub rejected: u64,
    /// Events that were due.
    pub due: u64,
    /// Events that were due and not sent before the end and a second of grace, or sent and never acknowledged.
    pub dropped: u64,
    /// How late events were sent, microseconds.
    pub delay: Hist,
    /// How long it published, seconds.
    pub seconds: f64,
    /// CPU time of the publisher's thread, seconds.
    pub cpu_s: f64,
    /// Events per topic that were accepted (as many as were sent, where all were).
    pub per_topic: BTreeMap<String, u64>,
    /// What went wrong, in words.
    pub faults: Vec<String>,
}

impl Published {
    /// Adds what another publisher did.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.due += other.due;
        self.dropped += other.dropped;
        self.delay.merge(&other.delay);
        self.seconds = self.seconds.max(other.seconds);
        self.cpu_s += other.cpu_s;
        for (topic, count) in &other.per_topic {
            *self.per_topic.entry(topic.clone()).or_default() += count;
        }
        self.faults.extend(other.faults.iter().cloned());
    }
}

/// Why publishing cannot begin, as a sentence.
#[derive(Debug)]
pub struct PublishError(String);

impl std::fmt::Display for PublishError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PublishError {}

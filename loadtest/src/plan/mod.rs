//! What a run needs to know: settings, checked once; inner code takes this form.

mod checks;

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::publish::PublishPlan;
use crate::settings::Settings;
use crate::wire::fields::FieldNames;

/// The most clients of all kinds together.
pub const CLIENTS_MAX: u64 = 1_000_000;

/// How messages are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dialect {
    /// Lineage's v1.
    V1,
    /// Messages are counted, and timed and ordered by their fields where those are named.
    Fields,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The URL as it was given.
    pub url: String,
    /// Its address.
    pub address: SocketAddr,
    /// `host:port`, for the request.
    pub host: String,
    /// Path and query, starting with `/`.
    pub path: String,
}

/// Clients that behave badly, by number; the rest is judged strictly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Faults {
    /// Clients that read slowly.
    pub slow: u64,
    /// Bytes per second that each of them reads.
    pub slow_bytes_per_s: u64,
    /// Clients that never read.
    pub stall: u64,
    /// Clients that are reset in turn.
    pub rst: u64,
    /// Resets per second.
    pub rst_per_s: f64,
    /// Clients that leave in turn.
    pub churn: u64,
    /// Leaves per second.
    pub churn_per_s: f64,
    /// Further connections that never finish their request.
    pub half_open: u64,
}

/// A part of the strictly judged clients is reset at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storm {
    /// How many: the first ones.
    pub clients: u64,
    /// When, from the start of the measurement.
    pub at: Duration,
}

/// What a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Judged strictly.
    Strict,
    /// Leaves and comes back.
    Churn,
    /// Is reset and comes back.
    Rst,
    /// Never reads.
    Stall,
    /// Reads slowly.
    Slow,
    /// Never finishes its request.
    HalfOpen,
}

impl Role {
    /// The name under which its clients are reported.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Churn => "churn",
            Self::Rst => "rst",
            Self::Stall => "stall",
            Self::Slow => "slow",
            Self::HalfOpen => "half-open",
        }
    }
}

/// A checked run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The scenario's name.
    pub scenario: String,
    /// Where to connect; client n goes to target n modulo their number.
    pub targets: Vec<Target>,
    /// How messages are read.
    pub dialect: Dialect,
    /// Names of fields.
    pub fields: FieldNames,
    /// Templates of topics (v1).
    pub subscribe: Vec<String>,
    /// Whether last values are asked for (v1).
    pub snapshot: Option<bool>,
    /// Template of a text that is sent once connected.
    pub message: Option<String>,
    /// Clients, half-open ones apart.
    pub clients: u64,
    /// Those of them that behave badly.
    pub faults: Faults,
    /// A storm.
    pub storm: Option<Storm>,
    /// Whether clients that come back ask for what they missed.
    pub resume: bool,
    /// Whether payloads' checksums are checked.
    pub has_checksum: bool,
    /// Connections started per second, over all workers.
    pub connect_rate: Option<f64>,
    /// Processes; none: as many as are needed.
    pub workers: Option<u64>,
    /// How long to measure.
    pub duration: Duration,
    /// How long to run before.
    pub settle: Duration,
    /// How long to wait at the end.
    pub drain: Duration,
    /// Events after which each client is done.
    pub expect_each: Option<u64>,
    /// Events that all together must have got.
    pub expect_events: Option<u64>,
    /// One event in so many is followed from the first to the last client.
    pub skew_every: u64,
    /// What is published, to each target.
    #[serde(skip)]
    pub publish: Vec<PublishPlan>,
    /// Whether a server is started where none answers.
    pub spawn: bool,
}

impl Plan {
    /// Checks settings; resolves the hosts' names.
    ///
    /// # Errors
    /// What is wrong, as a sentence that names the value and what is allowed.
    pub fn new(scenario: &str, settings: &Settings) -> Result<Self, String> {
        checks::plan(scenario, settings)
    }

    /// Clients and half-open connections together.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.clients + self.faults.half_open
    }

    /// What the client of this number is. The strict ones have the first numbers.
    #[must_use]
    pub fn role(&self, number: u64) -> Role {
        let faults = &self.faults;
        let Some(mut from_end) = self.clients.checked_sub(number + 1) else {
            return Role::HalfOpen;
        };
        for (role, count) in [
            (Role::Slow, faults.slow),
            (Role::Stall, faults.stall),
            (Role::Rst, faults.rst),
            (Role::Churn, faults.churn),
        ] {
            match from_end.checked_sub(count) {
                None => return role,
                Some(rest) => from_end = rest,
            }
        }
        Role::Strict
    }

    /// How long the publisher publishes.
    #[must_use]
    pub fn publish_time(&self) -> Duration {
        self.settle + self.duration
    }
}

//! Whether the process lives, and whether it can serve. Reports what the engine says, never finds out by itself.

use super::answer;
use crate::telemetry::{EngineCounter, ShardCounter, Telemetry};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode};
use serde::Serialize;

/// One thing the engine depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// A word: `shards`, `source`, `listeners`.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What is the case, for people.
    pub detail: String,
}

/// All checks at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// In the order in which they are shown.
    pub checks: Vec<Check>,
}

impl Health {
    /// Whether every check is as it should be: new clients are welcome.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }

    /// The checks of these names, as far as there are such.
    #[must_use]
    pub fn only(mut self, names: &[&str]) -> Self {
        self.checks.retain(|check| names.contains(&check.name));
        self
    }

    fn status(&self) -> (StatusCode, &'static str) {
        if self.is_ready() {
            (StatusCode::OK, "ready")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "not_ready")
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    status: &'static str,
    checks: &'a [Check],
}

/// 200 as long as the edge can answer at all: a restart would not help a process that is only not ready.
pub(super) fn live() -> Response<Full<Bytes>> {
    let edge = Check { name: "edge", ok: true, detail: "answers requests".to_owned() };
    answer::json(StatusCode::OK, &Report { status: "live", checks: &[edge] })
}

/// 200 when every check is as it should be, else 503.
pub(super) fn ready(health: &Health) -> Response<Full<Bytes>> {
    let (code, status) = health.status();
    answer::json(code, &Report { status, checks: &health.checks })
}

/// As [`ready`], with what runs and the counters that say whether it works.
pub(super) fn detail(health: &Health, telemetry: &Telemetry) -> Response<Full<Bytes>> {
    #[derive(Serialize)]
    struct Detail<'a> {
        status: &'static str,
        version: &'static str,
        uptime_s: u64,
        connections: u64,
        events: u64,
        checks: &'a [Check],
    }
    let (code, status) = health.status();
    let detail = Detail {
        status,
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: telemetry.uptime().as_secs(),
        connections: telemetry.sum(ShardCounter::Connections),
        events: telemetry.value(EngineCounter::Events),
        checks: &health.checks,
    };
    answer::json(code, &detail)
}

//! The hub: what agents do has work behind it, and the work flows through lanes.
//!
//! ```text
//! agent holds   ─► research
//! agent wins    ─► research ─► trading
//! agent loses   ─► research ─► trading ─► risk
//!                  └ a lane: bounded queue ─► workers that take simulated time, try again, and may give up
//!
//! Hub (pure: time and events in, statuses out) ─► Board (figures, read by routes, metrics and other threads)
//! ```
//!
//! A stage begins when the one before it has ended, well or not: an agent whose research failed trades without it, and
//! a loss is looked into even if the lanes before were full. A task that finds its queue full is dropped and counted.
//!
//! The same seed, events and times give the same statuses, byte for byte: integers only, random numbers of its own, no
//! clock. Nothing grows without bound: queues, workers and sessions have limits, and a task has at most three stages.
//!
//! Cost: a price seen is one addition; a stage takes a few microseconds, most of them for the figures.

#[cfg(test)]
mod answer_tests;
mod board;
mod lane;
mod routes;
mod sessions;
mod stepper;
#[cfg(test)]
mod tests;

pub use board::Board;
pub use routes::routes;
pub use stepper::Hub;

use crate::event::hub::{HubLane, HubLanes};
use std::time::Duration;

/// What the hub has and how it works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Time between two statuses (default 2 s; at least 1 ms).
    pub status_interval: Duration,
    /// Agents at most that have a session; the updates of further ones are counted and passed over (default 64).
    pub sessions_max: usize,
    /// How long an agent that is not heard of keeps its session, told at the next status (default 60 s).
    pub session_idle: Duration,
    /// Attempts of a thousand that fail (default 200).
    pub failure_permille: u32,
    /// Attempts after which a task is given up (default 3; at least 1).
    pub attempts_max: u32,
    /// What research takes longer for each price since the agent's last one, of at most 1,000 prices (default 10 µs).
    pub price_reading: Duration,
    /// The lanes.
    pub lanes: HubLanes<LaneOptions>,
}

/// What a lane has and how long its work takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneOptions {
    /// Tasks that wait at most (at least 1).
    pub capacity: usize,
    /// Tasks worked at the same time at most (at least 1).
    pub workers: usize,
    /// What an attempt takes at least.
    pub attempt_min: Duration,
    /// What an attempt takes at most; below the least: the least.
    pub attempt_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let lane = |capacity, workers, min, max| LaneOptions {
            capacity,
            workers,
            attempt_min: Duration::from_millis(min),
            attempt_max: Duration::from_millis(max),
        };
        Self {
            status_interval: Duration::from_secs(2),
            sessions_max: 64,
            session_idle: Duration::from_secs(60),
            failure_permille: 200,
            attempts_max: 3,
            price_reading: Duration::from_micros(10),
            lanes: HubLanes::new(|kind| match kind {
                HubLane::Research => lane(64, 4, 15, 60),
                HubLane::Trading => lane(128, 2, 1, 5),
                HubLane::Risk => lane(64, 2, 5, 20),
            }),
        }
    }
}

/// Whole microseconds; as many as fit.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
